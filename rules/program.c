#include "rules/program_private.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "rules/fold.h"

enum { PROGRAM_BYTES_MAX = 1 << 30 };

enum status table_new(size_t count, struct arena *arena, struct table *ret_table)
{
	size_t size = 4;
	while (size < count * 2)
		size *= 2;
	struct table table = {arena_alloc(arena, size * sizeof *table.entries), size - 1};
	if (table.entries == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < size; i++)
		table.entries[i].item = ITEM_NONE;
	*ret_table = table;
	return OK;
}

void table_put(struct table *table, uint64_t hash, uint32_t item)
{
	assert(item != ITEM_NONE);
	size_t at = hash & table->mask;
	while (table->entries[at].item != ITEM_NONE)
		at = (at + 1) & table->mask;
	table->entries[at] = (struct table_entry){hash, item};
}

static uint32_t slot_of_name(const struct program *program, struct text name)
{
	const struct table *names = &program->slot_names;
	uint64_t hash = XXH3_64bits(name.data, name.size);
	size_t at = hash & names->mask;
	for (; names->entries[at].item != ITEM_NONE; at = (at + 1) & names->mask) {
		uint32_t slot = names->entries[at].item;
		if (names->entries[at].hash == hash && text_equal(program->slots[slot].name, name))
			return slot;
	}
	return SLOT_NONE;
}

uint32_t program_slot(const struct program *program, const struct field *field)
{
	if (field->id != FIELD_OTHER && !program->input.verbatim_names)
		return program->slot_of_field[field->id];
	return slot_of_name(program, field->name);
}

/* The slot of a field that a rule reads, new when it is the first to do so. */
static uint32_t slot_intern(struct program *program, struct text name)
{
	if (name.size == 0)
		name.data = "";
	uint32_t slot = slot_of_name(program, name);
	if (slot != SLOT_NONE)
		return slot;
	slot = (uint32_t)program->slot_count++;
	program->slots[slot].name = name;
	table_put(&program->slot_names, XXH3_64bits(name.data, name.size), slot);
	enum field_id id = schema_find(name);
	if (id != FIELD_OTHER && text_equal(schema_info(id)->name, name))
		program->slot_of_field[id] = slot;
	return slot;
}

static enum status make_checks(struct program *program, struct error *err)
{
	const struct program_input *input = &program->input;
	size_t slots_max = 1 + 2 * input->predicate_count;
	program->slots = arena_alloc(program->arena, slots_max * sizeof *program->slots);
	program->checks =
		arena_alloc(program->arena, (input->predicate_count + 1) * sizeof *program->checks);
	if (program->slots == NULL || program->checks == NULL ||
	    table_new(slots_max, program->arena, &program->slot_names) != OK)
		return ENOMEMORY;
	for (unsigned id = 0; id < FIELD_COUNT; id++)
		program->slot_of_field[id] = SLOT_NONE;
	program->slot_count = 1; /* SLOT_ANY, which has no name */
	for (size_t i = 0; i < input->predicate_count; i++) {
		const struct predicate *predicate = &input->predicates[i];
		struct check *check = &program->checks[i];
		enum status status = check_new(predicate, program->arena, check, err);
		if (status != OK)
			return status;
		program->check_count++;
		check->slot =
			predicate->keyword ? SLOT_ANY : slot_intern(program, predicate->field);
		if (predicate->kind == PREDICATE_FIELDREF)
			check->other_slot = slot_intern(program, predicate->fieldref.other);
	}
	return OK;
}

static void mark_slots(const struct program *program, const struct expr *expr, uint64_t *marks)
{
	if (expr->kind == EXPR_PREDICATE) {
		uint32_t slot = program->checks[expr->predicate].slot;
		marks[slot / 64] |= (uint64_t)1 << slot % 64;
		return;
	}
	for (size_t i = 0; i < expr->child_count; i++)
		mark_slots(program, expr->children[i], marks);
}

/* The tree is sound and not too deep for recursion. */
static enum status check_expr(const struct program *program, const struct expr *expr,
			      const struct detection *detection, unsigned depth, struct error *err)
{
	if (depth > EXPR_DEPTH_MAX)
		return error_at(err, ELIMIT, detection->at,
				"the condition is nested more than %d levels deep", EXPR_DEPTH_MAX);
	if (expr->kind == EXPR_PREDICATE) {
		assert(expr->predicate < program->check_count);
		return OK;
	}
	assert(expr->kind != EXPR_NOT || expr->child_count == 1);
	for (size_t i = 0; i < expr->child_count; i++) {
		enum status status =
			check_expr(program, expr->children[i], detection, depth + 1, err);
		if (status != OK)
			return status;
	}
	return OK;
}

static bool logsource_equal(const struct logsource *a, const struct logsource *b)
{
	return text_equal(a->category, b->category) && text_equal(a->product, b->product) &&
	       text_equal(a->service, b->service);
}

static enum status logsource_fold(const struct program *program, const struct logsource *from,
				  struct logsource *ret_folded)
{
	struct logsource folded = {fold_copy(from->category, program->arena),
				   fold_copy(from->product, program->arena),
				   fold_copy(from->service, program->arena)};
	if (folded.category.data == NULL || folded.product.data == NULL ||
	    folded.service.data == NULL)
		return ENOMEMORY;
	*ret_folded = folded;
	return OK;
}

static uint64_t logsource_hash(const struct logsource *source)
{
	uint64_t hash = XXH3_64bits(source->category.data, source->category.size);
	hash = XXH3_64bits_withSeed(source->product.data, source->product.size, hash);
	return XXH3_64bits_withSeed(source->service.data, source->service.size, hash);
}

static enum status route_intern(struct program *program, struct table *table,
				const struct logsource *source, uint32_t *ret_route)
{
	uint64_t hash = logsource_hash(source);
	size_t at = hash & table->mask;
	for (; table->entries[at].item != ITEM_NONE; at = (at + 1) & table->mask) {
		*ret_route = table->entries[at].item;
		if (logsource_equal(&program->routes[*ret_route].logsource, source))
			return OK;
	}
	uint64_t *reads = arena_alloc(program->arena, program_slot_words(program) * sizeof *reads);
	if (reads == NULL)
		return ENOMEMORY;
	program->routes[program->route_count] = (struct route){*source, reads};
	table_put(table, hash, (uint32_t)program->route_count);
	*ret_route = (uint32_t)program->route_count++;
	return OK;
}

static enum status make_routes(struct program *program, struct error *err)
{
	size_t count = program->input.detection_count;
	struct table table;
	program->routes = arena_alloc(program->arena, (count + 1) * sizeof *program->routes);
	program->route_of = arena_alloc(program->arena, (count + 1) * sizeof *program->route_of);
	if (program->routes == NULL || program->route_of == NULL ||
	    table_new(count, program->arena, &table) != OK)
		return ENOMEMORY;
	for (size_t i = 0; i < count; i++) {
		const struct detection *detection = &program->input.detections[i];
		struct logsource source = {0};
		enum status status = check_expr(program, detection->expr, detection, 1, err);
		if (status == OK && !program->input.any_logsource)
			status = logsource_fold(program, &detection->logsource, &source);
		if (status == OK)
			status = route_intern(program, &table, &source, &program->route_of[i]);
		if (status != OK)
			return status;
		mark_slots(program, detection->expr, program->routes[program->route_of[i]].reads);
		if (detection->rule_index > program->rule_index_max)
			program->rule_index_max = detection->rule_index;
	}
	return OK;
}

void program_free(struct program **program)
{
	if (*program == NULL)
		return;
	for (size_t i = 0; i < (*program)->check_count; i++)
		regex_free(&(*program)->checks[i].regex);
	arena_free(&(*program)->arena);
	free(*program);
	*program = NULL;
}

enum status program_new(const struct program_input *input, struct program **ret_program,
			struct error *err)
{
	struct program *program cleanup(program_free) = calloc(1, sizeof *program);
	if (program == NULL)
		return error_set(err, ENOMEMORY, "out of memory while compiling rules");
	program->input = *input;
	program->arena = arena_new(PROGRAM_BYTES_MAX);
	enum status status = program->arena == NULL ? ENOMEMORY : make_checks(program, err);
	if (status == OK)
		status = index_build(program);
	if (status == OK)
		status = make_routes(program, err);
	if (status == OK)
		status = tree_build(program);
	if (status == OK)
		status = witness_build(program);
	if (status == ENOMEMORY)
		return error_set(err, ENOMEMORY, "out of memory while compiling rules");
	if (status == OK)
		*ret_program = TAKE(program);
	return status;
}
