/* The index of one slot. Three ways to find, for a value, all checks that hold for it:
 *
 *   exact    hash of the folded value -> checks (cased ones are compared again byte by byte)
 *   numbers  hash of the number -> checks
 *   scanner  all segments of globs, their longest run of literals and dashes: for *segment* the hit
 *            is the answer, for all other shapes it is necessary and the glob is matched then;
 *            and the literals that regular expressions require: the expression is searched when a
 *            rule asks for it, in an event that holds one of its literals
 *
 * Three globs are cheaper one by one than by scanner. */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "rules/fold.h"
#include "rules/program_private.h"

enum { INDEX_BYTES_MAX = 1 << 29 }; /* while the index is made */

struct counts {
	size_t exact;
	size_t numbers;
	size_t scan;    /* globs */
	size_t regexes; /* literals of expressions */
};

static struct counts *count_checks(const struct program *program)
{
	struct counts *counts = calloc(program->slot_count, sizeof *counts);
	for (size_t i = 0; counts != NULL && i < program->check_count; i++) {
		const struct check *check = &program->checks[i];
		struct counts *slot = &counts[check->slot];
		slot->exact += check->index == INDEX_EXACT;
		slot->numbers += check->index == INDEX_NUMBER;
		slot->scan += check->index == INDEX_SCAN;
		slot->regexes += check->index == INDEX_REGEX ? check->required.count : 0;
	}
	return counts;
}

static void counts_free(struct counts **counts)
{
	free(*counts);
}

static enum status put_exact(struct program *program, uint32_t id)
{
	const struct check *check = &program->checks[id];
	struct text folded = fold_copy(check->glob.needle, program->arena);
	if (folded.data == NULL)
		return ENOMEMORY;
	struct slot *slot = &program->slots[check->slot];
	table_put(&slot->exact, XXH3_64bits(folded.data, folded.size), id);
	slot->exact_sizes |= slot_size_bit(folded.size);
	return OK;
}

static enum hit_meaning meaning_of(const struct check *check)
{
	if (check->index == INDEX_REGEX)
		return HIT_ALLOWS;
	if (check->hit_proves)
		return HIT_PROVES;
	switch (check->glob.cased ? GLOB_MIXED : check->glob.shape) {
	case GLOB_CONTAINS:
		return HIT_ANYWHERE;
	case GLOB_PREFIX:
		return HIT_AT_START;
	case GLOB_SUFFIX:
		return HIT_AT_END;
	case GLOB_EXACT:
		return HIT_IS_ALL;
	case GLOB_ANY:
	case GLOB_MIXED:
		break;
	}
	return HIT_SUGGESTS;
}

static enum status make_consequences(struct program *program)
{
	size_t count = program->check_count;
	program->consequences =
		arena_alloc(program->arena, (count + 1) * sizeof *program->consequences);
	if (program->consequences == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < count; i++) {
		const struct check *check = &program->checks[i];
		const struct glob *glob = &check->glob;
		program->consequences[i] = (struct consequence){
			.size = (uint32_t)glob->needle.size,
			.meaning = (uint8_t)meaning_of(check),
			.has_dash = !scanner_proves(glob->segment, glob->segment_count),
		};
	}
	return OK;
}

/* What the scanner of a slot looks for, or what is tried one by one. */
struct wanted {
	struct scan_pattern *patterns;
	size_t count;
};

static bool by_scanner(const struct counts *counts)
{
	return counts->scan > SLOT_LIST_MAX || counts->regexes > 0;
}

static enum status make_room(struct program *program, const struct counts *counts,
			     struct arena *arena, struct wanted *wanted)
{
	for (size_t i = 0; i < program->slot_count; i++) {
		struct slot *slot = &program->slots[i];
		if (counts[i].exact > 0 &&
		    table_new(counts[i].exact, program->arena, &slot->exact) != OK)
			return ENOMEMORY;
		if (counts[i].numbers > 0 &&
		    table_new(counts[i].numbers, program->arena, &slot->numbers) != OK)
			return ENOMEMORY;
		size_t size = counts[i].scan + counts[i].regexes;
		wanted[i].patterns = arena_alloc(arena, (size + 1) * sizeof *wanted[i].patterns);
		if (wanted[i].patterns == NULL)
			return ENOMEMORY;
	}
	return OK;
}

/* The literals that an expression requires, as patterns of one token each. */
static enum status put_required(const struct check *check, uint32_t id, struct arena *arena,
				struct wanted *wanted)
{
	struct token *tokens = arena_alloc(arena, check->required.count * sizeof *tokens);
	if (tokens == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < check->required.count; i++) {
		tokens[i] = (struct token){TOKEN_LITERAL, check->required.items[i]};
		wanted->patterns[wanted->count++] = (struct scan_pattern){id, &tokens[i], 1};
	}
	return OK;
}

static enum status sort_checks(struct program *program, struct arena *arena, struct wanted *wanted)
{
	for (uint32_t id = 0; id < program->check_count; id++) {
		const struct check *check = &program->checks[id];
		struct slot *slot = &program->slots[check->slot];
		struct wanted *here = &wanted[check->slot];
		enum status status = OK;
		if (check->index == INDEX_EXACT)
			status = put_exact(program, id);
		if (check->index == INDEX_NUMBER)
			table_put(&slot->numbers, number_hash(&check->number), id);
		if (check->index == INDEX_SCAN)
			here->patterns[here->count++] = (struct scan_pattern){
				id, check->glob.segment, check->glob.segment_count};
		if (check->index == INDEX_REGEX)
			status = put_required(check, id, arena, here);
		if (status != OK)
			return status;
	}
	return OK;
}

static enum status build_slot(struct program *program, struct slot *slot,
			      const struct wanted *wanted, bool use_scanner)
{
	if (use_scanner)
		return scanner_new(wanted->patterns, wanted->count, program->arena, &slot->scanner);
	assert(wanted->count <= SLOT_LIST_MAX);
	uint32_t *few = arena_alloc(program->arena, SLOT_LIST_MAX * sizeof *few);
	if (few == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < wanted->count; i++)
		few[i] = wanted->patterns[i].id;
	slot->few = (struct list){few, wanted->count};
	return OK;
}

enum status index_build(struct program *program)
{
	struct counts *counts cleanup(counts_free) = count_checks(program);
	struct arena *arena cleanup(arena_free) = arena_new(INDEX_BYTES_MAX);
	if (counts == NULL || arena == NULL || make_consequences(program) != OK)
		return ENOMEMORY;
	struct wanted *wanted = arena_alloc(arena, program->slot_count * sizeof *wanted);
	if (wanted == NULL)
		return ENOMEMORY;
	enum status status = make_room(program, counts, arena, wanted);
	if (status == OK)
		status = sort_checks(program, arena, wanted);
	for (size_t i = 0; i < program->slot_count && status == OK; i++) {
		assert(wanted[i].count == counts[i].scan + counts[i].regexes);
		status =
			build_slot(program, &program->slots[i], &wanted[i], by_scanner(&counts[i]));
	}
	return status;
}
