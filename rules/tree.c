/* Conditions made ready to be evaluated. Equal in value to what the parser made, but faster:
 *
 *   groups   `field|endswith` with a list of a thousand values is an OR of a thousand predicates,
 *            of which the index finds those that hold. The OR becomes one more predicate, its
 *            *group*, that is true as soon as one of them was found. Equal groups are one. A group
 *            costs a mark at each hit of each of its predicates, so only long ORs get one.
 *   order    AND, OR and "n of" ask the cheap children first: what the index has answered before
 *            what has to be compared, regular expressions last. Three-valued AND and OR do not
 *            depend on order.
 *
 * matcher_match_plainly() evaluates what the parser made, so the two are compared in the tests. */
#include <assert.h>
#include <xxhash.h>

#include "rules/program_private.h"

enum { GROUP_SIZE_MIN = 8, TREE_BYTES_MAX = 1 << 29 };

enum cost { COST_KNOWN, COST_COMPARED, COST_SEARCHED, COST_COUNT };

/* The checks of one group, ascending as the condition has them. */
struct group {
	struct list checks;
};

struct planter {
	struct program *program;
	struct arena *arena; /* while the trees are made */
	struct group *groups;
	struct table table; /* by hash of the checks */
};

static bool is_found_by_index(const struct program *program, const struct expr *expr)
{
	if (expr->kind != EXPR_PREDICATE || expr->predicate >= program->check_count)
		return false;
	enum check_index index = program->checks[expr->predicate].index;
	return index != INDEX_NONE && index != INDEX_REGEX;
}

static enum cost cost_of(const struct program *program, const struct expr *expr)
{
	if (expr->kind == EXPR_PREDICATE) {
		if (expr->predicate >= program->check_count || is_found_by_index(program, expr))
			return COST_KNOWN;
		const struct check *check = &program->checks[expr->predicate];
		return check->predicate->kind == PREDICATE_REGEX ? COST_SEARCHED : COST_COMPARED;
	}
	enum cost cost = COST_KNOWN;
	for (size_t i = 0; i < expr->child_count; i++) {
		enum cost one = cost_of(program, expr->children[i]);
		cost = one > cost ? one : cost;
	}
	return cost;
}

/* How many groups there may be at most. */
static size_t count_groups(const struct expr *expr)
{
	size_t count = expr->kind == EXPR_OR && expr->child_count >= GROUP_SIZE_MIN;
	for (size_t i = 0; i < expr->child_count; i++)
		count += count_groups(expr->children[i]);
	return count;
}

static uint32_t group_intern(struct planter *planter, struct list checks)
{
	struct table *table = &planter->table;
	uint64_t hash = XXH3_64bits(checks.items, checks.count * sizeof *checks.items);
	size_t at = hash & table->mask;
	for (; table->entries[at].item != ITEM_NONE; at = (at + 1) & table->mask) {
		struct list have = planter->groups[table->entries[at].item].checks;
		if (table->entries[at].hash == hash && have.count == checks.count &&
		    memcmp(have.items, checks.items, have.count * sizeof *have.items) == 0)
			return table->entries[at].item;
	}
	uint32_t group = (uint32_t)planter->program->group_count++;
	planter->groups[group].checks = checks;
	table_put(table, hash, group);
	return group;
}

/* Takes the children that the index finds out of an OR and puts their group in front; the number of
 * children that are left, or SIZE_MAX when out of memory. */
static size_t group_children(struct planter *planter, const struct expr **children, size_t count)
{
	uint32_t *checks = arena_alloc(planter->arena, count * sizeof *checks);
	struct expr *leaf = arena_alloc(planter->program->arena, sizeof *leaf);
	size_t found = 0;
	size_t rest = 1;
	if (checks == NULL || leaf == NULL)
		return SIZE_MAX;
	for (size_t i = 0; i < count; i++)
		if (is_found_by_index(planter->program, children[i]))
			checks[found++] = children[i]->predicate;
	if (found < GROUP_SIZE_MIN)
		return count;
	/* The rest moves up behind the place of the group: an OR has no order. */
	const struct expr *first = children[0];
	for (size_t i = 1; i < count; i++)
		if (!is_found_by_index(planter->program, children[i]))
			children[rest++] = children[i];
	if (!is_found_by_index(planter->program, first))
		children[rest++] = first;
	assert(rest + found == count + 1);
	uint32_t group = group_intern(planter, (struct list){checks, found});
	*leaf = (struct expr){.kind = EXPR_PREDICATE,
			      .predicate = (uint32_t)planter->program->check_count + group};
	children[0] = leaf;
	return rest;
}

/* Cheap ones first, otherwise as they were. */
static bool sort_children(const struct planter *planter, const struct expr **children, size_t count)
{
	const struct expr **sorted = arena_alloc(planter->arena, (count + 1) * sizeof *sorted);
	size_t used = 0;
	if (sorted == NULL)
		return false;
	for (enum cost cost = COST_KNOWN; cost < COST_COUNT; cost++)
		for (size_t i = 0; i < count; i++)
			if (cost_of(planter->program, children[i]) == cost)
				sorted[used++] = children[i];
	assert(used == count);
	memcpy(children, sorted, count * sizeof *sorted);
	return true;
}

/* NULL: out of memory. */
static const struct expr *plant(struct planter *planter, const struct expr *from)
{
	struct arena *arena = planter->program->arena;
	struct expr *expr = arena_alloc(arena, sizeof *expr);
	if (expr == NULL)
		return NULL;
	*expr = *from; /* leaves too: what is read together stands together */
	if (from->kind == EXPR_PREDICATE)
		return expr;
	const struct expr **children =
		arena_alloc(arena, (from->child_count + 1) * sizeof *children);
	if (children == NULL)
		return NULL;
	for (size_t i = 0; i < from->child_count; i++) {
		children[i] = plant(planter, from->children[i]);
		if (children[i] == NULL)
			return NULL;
	}
	expr->children = children;
	if (expr->kind == EXPR_OR && expr->child_count >= GROUP_SIZE_MIN)
		expr->child_count = group_children(planter, children, expr->child_count);
	if (expr->child_count == SIZE_MAX || !sort_children(planter, children, expr->child_count))
		return NULL;
	bool joins = expr->kind == EXPR_AND || expr->kind == EXPR_OR;
	return joins && expr->child_count == 1 ? children[0] : expr;
}

/* Turns "group -> checks" round into "check -> groups". */
static enum status file_groups(struct planter *planter)
{
	struct program *program = planter->program;
	struct list *lists =
		arena_alloc(program->arena, (program->check_count + 1) * sizeof *lists);
	size_t total = 0;
	for (size_t g = 0; g < program->group_count; g++)
		total += planter->groups[g].checks.count;
	uint32_t *items = arena_alloc(program->arena, (total + 1) * sizeof *items);
	if (lists == NULL || items == NULL)
		return ENOMEMORY;
	for (size_t g = 0; g < program->group_count; g++)
		for (size_t i = 0; i < planter->groups[g].checks.count; i++)
			lists[planter->groups[g].checks.items[i]].count++;
	for (size_t i = 0; i < program->check_count; i++) {
		lists[i].items = items;
		items += lists[i].count;
		lists[i].count = 0;
	}
	for (uint32_t g = 0; g < program->group_count; g++)
		for (size_t i = 0; i < planter->groups[g].checks.count; i++) {
			struct list *list = &lists[planter->groups[g].checks.items[i]];
			((uint32_t *)list->items)[list->count++] = g;
		}
	program->groups_of_check = lists;
	return OK;
}

enum status tree_build(struct program *program)
{
	size_t detections = program->input.detection_count;
	struct arena *arena cleanup(arena_free) = arena_new(TREE_BYTES_MAX);
	struct planter planter = {.program = program, .arena = arena};
	size_t groups = 0;
	for (size_t i = 0; i < detections; i++)
		groups += count_groups(program->input.detections[i].expr);
	program->exprs = arena_alloc(program->arena, (detections + 1) * sizeof *program->exprs);
	if (arena == NULL || program->exprs == NULL ||
	    table_new(groups, arena, &planter.table) != OK)
		return ENOMEMORY;
	planter.groups = arena_alloc(arena, (groups + 1) * sizeof *planter.groups);
	if (planter.groups == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < detections; i++) {
		program->exprs[i] = plant(&planter, program->input.detections[i].expr);
		if (program->exprs[i] == NULL)
			return ENOMEMORY;
	}
	assert(program->group_count <= groups);
	return file_groups(&planter);
}
