/* Conditions made ready to be evaluated. Equal in value to what the parser made, but faster:
 *
 *   groups   `field|endswith` with a list of a thousand values is an OR of a thousand predicates,
 *            of which the index finds those that hold. The OR becomes one more predicate, its
 *            *group*, that is true as soon as one of them was found. Equal groups are one. A group
 *            costs a mark at each hit of each of its predicates, so only long ORs get one.
 *   order    AND, OR and "n of" ask the cheap children first: what the index has answered before
 *            what has to be compared, regular expressions last. Three-valued AND and OR do not
 *            depend on order.
 *   classes  what is left is written down as a row of steps, without a pointer: parent, then its
 *            children. Detections of one log source whose steps are the same bytes are one class,
 *            evaluated once. Rule sets are full of them: one detection for each of many teams,
 *            and imports of the same public rule under several names.
 *
 * matcher_match_plainly() evaluates what the parser made, so the two are compared in the tests. */
#include <assert.h>
#include <xxhash.h>

#include "rules/parse_private.h"
#include "rules/program_private.h"

enum { GROUP_SIZE_MIN = 8, TREE_BYTES_MAX = 1 << 29 };

enum cost { COST_KNOWN, COST_COMPARED, COST_SEARCHED, COST_COUNT };

/* The checks of one group, ascending as the condition has them. */
struct group {
	struct list checks;
};

struct planter {
	struct program *program;
	struct arena *arena; /* while all trees are made */
	struct arena *tree;  /* while one tree is made */
	struct group *groups;
	struct table group_table; /* by hash of the checks */
	struct table class_table; /* by hash of the route and the steps */
	struct step *steps;       /* of the tree at hand */
	size_t step_count, step_capacity;
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
	struct table *table = &planter->group_table;
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
	struct expr *leaf = arena_alloc(planter->tree, sizeof *leaf);
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
	const struct expr **sorted = arena_alloc(planter->tree, (count + 1) * sizeof *sorted);
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
	struct expr *expr = arena_alloc(planter->tree, sizeof *expr);
	if (from->kind == EXPR_PREDICATE)
		return from;
	const struct expr **children =
		arena_alloc(planter->tree, (from->child_count + 1) * sizeof *children);
	if (expr == NULL || children == NULL)
		return NULL;
	for (size_t i = 0; i < from->child_count; i++) {
		children[i] = plant(planter, from->children[i]);
		if (children[i] == NULL)
			return NULL;
	}
	*expr = *from;
	expr->children = children;
	if (expr->kind == EXPR_OR && expr->child_count >= GROUP_SIZE_MIN)
		expr->child_count = group_children(planter, children, expr->child_count);
	if (expr->child_count == SIZE_MAX || !sort_children(planter, children, expr->child_count))
		return NULL;
	bool joins = expr->kind == EXPR_AND || expr->kind == EXPR_OR;
	return joins && expr->child_count == 1 ? children[0] : expr;
}

/* Writes the tree down as steps. */
static enum status put_steps(struct planter *planter, const struct expr *expr)
{
	size_t at = planter->step_count;
	struct step *steps = arena_grown(planter->arena, planter->steps, at,
					 &planter->step_capacity, sizeof *steps);
	uint32_t operand = 0;
	if (steps == NULL)
		return ENOMEMORY;
	planter->steps = steps;
	planter->step_count++;
	if (expr->kind == EXPR_PREDICATE)
		operand = expr->predicate;
	if (expr->kind == EXPR_AT_LEAST) /* more than there are children: never */
		operand = (uint32_t)(expr->at_least <= expr->child_count ? expr->at_least
									 : expr->child_count + 1);
	assert(operand <= STEP_OPERAND_MAX);
	for (size_t i = 0; expr->kind != EXPR_PREDICATE && i < expr->child_count; i++)
		if (put_steps(planter, expr->children[i]) != OK)
			return ENOMEMORY;
	planter->steps[at] = (struct step){(uint32_t)expr->kind << STEP_KIND_SHIFT | operand,
					   (uint32_t)(planter->step_count - at)};
	return OK;
}

static bool class_equals(const struct planter *planter, const struct class *class, uint32_t route)
{
	size_t size = planter->step_count * sizeof *planter->steps;
	return class->route == route && class->steps[0].size == planter->step_count &&
	       memcmp(class->steps, planter->steps, size) == 0;
}

/* The class of the steps at hand, new when no detection before had them. */
static enum status class_intern(struct planter *planter, uint32_t detection)
{
	struct program *program = planter->program;
	struct table *table = &planter->class_table;
	uint32_t route = program->route_of[detection];
	size_t size = planter->step_count * sizeof *planter->steps;
	uint64_t hash = XXH3_64bits_withSeed(planter->steps, size, route);
	size_t at = hash & table->mask;
	for (; table->entries[at].item != ITEM_NONE; at = (at + 1) & table->mask) {
		uint32_t class = table->entries[at].item;
		if (table->entries[at].hash != hash ||
		    !class_equals(planter, &program->classes[class], route))
			continue;
		program->class_of[detection] = class;
		program->classes[class].rules.count++;
		return OK;
	}
	struct step *steps = arena_alloc(program->arena, size);
	if (steps == NULL)
		return ENOMEMORY;
	memcpy(steps, planter->steps, size);
	program->class_of[detection] = (uint32_t)program->class_count;
	table_put(table, hash, (uint32_t)program->class_count);
	program->classes[program->class_count++] = (struct class){
		.steps = steps, .route = route, .detection = detection, .rules = {NULL, 1}};
	return OK;
}

/* Turns "detection -> class" round into "class -> rules". */
static enum status file_rules(struct program *program)
{
	size_t detections = program->input.detection_count;
	uint32_t *items = arena_alloc(program->arena, (detections + 1) * sizeof *items);
	if (items == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < program->class_count; i++) {
		struct list *rules = &program->classes[i].rules;
		rules->items = items;
		items += rules->count;
		rules->count = 0;
	}
	for (size_t i = 0; i < detections; i++) {
		struct list *rules = &program->classes[program->class_of[i]].rules;
		((uint32_t *)rules->items)[rules->count++] =
			program->input.detections[i].rule_index;
	}
	return OK;
}

/* Turns "group -> checks" round into "check -> groups". */
static enum status file_groups(struct planter *planter)
{
	struct program *program = planter->program;
	struct consequence *consequences = program->consequences;
	size_t total = 0;
	for (size_t g = 0; g < program->group_count; g++)
		total += planter->groups[g].checks.count;
	uint32_t *items = arena_alloc(program->arena, (total + 1) * sizeof *items);
	if (items == NULL)
		return ENOMEMORY;
	for (size_t g = 0; g < program->group_count; g++)
		for (size_t i = 0; i < planter->groups[g].checks.count; i++)
			consequences[planter->groups[g].checks.items[i]].groups.count++;
	for (size_t i = 0; i < program->check_count; i++) {
		struct list *list = &consequences[i].groups;
		list->items = items;
		items += list->count;
		list->count = 0;
	}
	for (uint32_t g = 0; g < program->group_count; g++)
		for (size_t i = 0; i < planter->groups[g].checks.count; i++) {
			uint32_t check = planter->groups[g].checks.items[i];
			struct list *list = &consequences[check].groups;
			((uint32_t *)list->items)[list->count++] = g;
		}
	return OK;
}

static enum status make_room(struct planter *planter)
{
	struct program *program = planter->program;
	size_t detections = program->input.detection_count;
	size_t groups = 0;
	for (size_t i = 0; i < detections; i++)
		groups += count_groups(program->input.detections[i].expr);
	planter->groups = arena_alloc(planter->arena, (groups + 1) * sizeof *planter->groups);
	program->class_of = arena_alloc(program->arena, (detections + 1) * sizeof(uint32_t));
	program->classes = arena_alloc(program->arena, (detections + 1) * sizeof(struct class));
	if (planter->groups == NULL || program->class_of == NULL || program->classes == NULL ||
	    table_new(groups, planter->arena, &planter->group_table) != OK)
		return ENOMEMORY;
	return table_new(detections, planter->arena, &planter->class_table);
}

enum status tree_build(struct program *program)
{
	struct arena *arena cleanup(arena_free) = arena_new(TREE_BYTES_MAX);
	struct arena *tree cleanup(arena_free) = arena_new(TREE_BYTES_MAX);
	struct planter planter = {.program = program, .arena = arena, .tree = tree};
	if (arena == NULL || tree == NULL || make_room(&planter) != OK)
		return ENOMEMORY;
	for (uint32_t i = 0; i < program->input.detection_count; i++) {
		arena_reset(tree);
		planter.step_count = 0;
		const struct expr *expr = plant(&planter, program->input.detections[i].expr);
		if (expr == NULL || put_steps(&planter, expr) != OK ||
		    class_intern(&planter, i) != OK)
			return ENOMEMORY;
	}
	return file_rules(program) == OK ? file_groups(&planter) : ENOMEMORY;
}
