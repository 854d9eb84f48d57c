#include "rules/coverage.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "rules/fold.h"
#include "rules/parse_private.h"

enum { COVERAGE_BYTES_MAX = 1 << 28, NAME_SLOTS_FIRST = 256, NAMES_COMPARED_MAX = 4096 };

/* The events of one log source: open addressing over the names seen in them. */
struct source {
	struct logsource logsource; /* folded */
	uint64_t events;
	struct text *names; /* data == NULL: free */
	size_t name_count;
	size_t slot_count; /* a power of two, at most half used */
};

struct coverage {
	const struct program_input *input;
	struct arena *arena;
	struct arena *scratch;
	struct source *sources;
	size_t source_count;
	bool cut;
};

void coverage_free(struct coverage **coverage)
{
	struct coverage *old = *coverage;
	if (old == NULL)
		return;
	for (size_t i = 0; i < old->source_count; i++)
		free(old->sources[i].names);
	free(old->sources);
	arena_free(&old->scratch);
	arena_free(&old->arena);
	free(old);
	*coverage = NULL;
}

enum status coverage_new(const struct ruleset *ruleset, struct coverage **ret_coverage)
{
	struct coverage *coverage cleanup(coverage_free) = calloc(1, sizeof *coverage);
	if (coverage == NULL)
		return ENOMEMORY;
	coverage->input = ruleset_input(ruleset);
	coverage->arena = arena_new(COVERAGE_BYTES_MAX);
	coverage->scratch = arena_new(COVERAGE_BYTES_MAX);
	coverage->sources = calloc(COVERAGE_SOURCES_MAX, sizeof *coverage->sources);
	if (coverage->arena == NULL || coverage->scratch == NULL || coverage->sources == NULL)
		return ENOMEMORY;
	*ret_coverage = TAKE(coverage);
	return OK;
}

bool coverage_cut(const struct coverage *coverage)
{
	return coverage->cut;
}

/* Where the name is, or where it would go. */
static struct text *name_slot(struct text *names, size_t slot_count, struct text name)
{
	size_t at = XXH3_64bits(name.data, name.size) & (slot_count - 1);
	while (names[at].data != NULL && !text_equal(names[at], name))
		at = (at + 1) & (slot_count - 1);
	return &names[at];
}

static bool names_doubled(struct source *source)
{
	size_t count = source->slot_count == 0 ? NAME_SLOTS_FIRST : source->slot_count * 2;
	struct text *names = calloc(count, sizeof *names);
	if (names == NULL)
		return false;
	for (size_t i = 0; i < source->slot_count; i++)
		if (source->names[i].data != NULL)
			*name_slot(names, count, source->names[i]) = source->names[i];
	free(source->names);
	source->names = names;
	source->slot_count = count;
	return true;
}

static enum status name_add(struct coverage *coverage, struct source *source, struct text name)
{
	if (source->name_count * 2 >= source->slot_count && !names_doubled(source))
		return ENOMEMORY;
	struct text *slot = name_slot(source->names, source->slot_count, name);
	if (slot->data != NULL || name.size == 0)
		return OK;
	if (source->name_count == COVERAGE_NAMES_MAX) {
		coverage->cut = true;
		return OK;
	}
	struct text kept = arena_copy(coverage->arena, name);
	if (kept.data == NULL)
		return ENOMEMORY;
	*slot = kept;
	source->name_count++;
	return OK;
}

static bool is_seen(const struct source *source, struct text name)
{
	return source->slot_count > 0 &&
	       name_slot(source->names, source->slot_count, name)->data != NULL;
}

static bool logsource_equal(const struct logsource *a, const struct logsource *b)
{
	return text_equal(a->category, b->category) && text_equal(a->product, b->product) &&
	       text_equal(a->service, b->service);
}

static bool logsource_folded(const struct logsource *from, struct arena *arena,
			     struct logsource *ret_folded)
{
	struct logsource folded = {fold_copy(from->category, arena),
				   fold_copy(from->product, arena),
				   fold_copy(from->service, arena)};
	*ret_folded = folded;
	return (folded.category.data != NULL || from->category.size == 0) &&
	       (folded.product.data != NULL || from->product.size == 0) &&
	       (folded.service.data != NULL || from->service.size == 0);
}

/* NULL in *ret_source: there are too many log sources already. */
static enum status source_find(struct coverage *coverage, const struct logsource *logsource,
			       struct source **ret_source)
{
	struct logsource folded;
	arena_reset(coverage->scratch);
	if (!logsource_folded(logsource, coverage->scratch, &folded))
		return ENOMEMORY;
	*ret_source = NULL;
	for (size_t i = 0; i < coverage->source_count; i++)
		if (logsource_equal(&coverage->sources[i].logsource, &folded)) {
			*ret_source = &coverage->sources[i];
			return OK;
		}
	if (coverage->source_count == COVERAGE_SOURCES_MAX)
		return OK;
	struct source *source = &coverage->sources[coverage->source_count];
	if (!logsource_folded(logsource, coverage->arena, &source->logsource))
		return ENOMEMORY;
	coverage->source_count++;
	*ret_source = source;
	return OK;
}

enum status coverage_add(struct coverage *coverage, const struct event *event, uint64_t count)
{
	struct source *source = NULL;
	enum status status = source_find(coverage, &event->logsource, &source);
	if (source == NULL) {
		coverage->cut = coverage->cut || status == OK;
		return status;
	}
	source->events += count;
	for (size_t i = 0; status == OK && i < event->field_count; i++) {
		struct text name = event->fields[i].name;
		status = name_add(coverage, source, name);
		/* An object is there through its members. */
		for (size_t at = 1; status == OK && at < name.size; at++)
			if (name.data[at] == '.')
				status = name_add(coverage, source, (struct text){name.data, at});
	}
	if (status == OK && event->quality != 0) /* as rules read it: event_as_read() */
		status = name_add(coverage, source, schema_info(FIELD_QUALITY)->name);
	return status;
}

/* ---- what a rule can do with that */

enum possible { IMPOSSIBLE, POSSIBLE, CERTAIN };

static enum possible predicate_possible(const struct predicate *predicate,
					const struct source *source)
{
	if (predicate->keyword || predicate->kind == PREDICATE_SINCE)
		return POSSIBLE;
	bool seen = is_seen(source, predicate->field);
	if (predicate->kind == PREDICATE_NULL)
		return seen ? POSSIBLE : CERTAIN;
	if (predicate->kind == PREDICATE_FIELDREF && !is_seen(source, predicate->fieldref.other))
		return IMPOSSIBLE;
	return seen ? POSSIBLE : IMPOSSIBLE;
}

static enum possible expr_possible(const struct coverage *coverage, const struct expr *expr,
				   const struct source *source)
{
	if (expr->kind == EXPR_PREDICATE)
		return predicate_possible(&coverage->input->predicates[expr->predicate], source);
	if (expr->kind == EXPR_NOT)
		return (enum possible)(CERTAIN -
				       expr_possible(coverage, expr->children[0], source));
	size_t certain = 0, possible = 0;
	size_t needed = expr->kind == EXPR_AND  ? expr->child_count
			: expr->kind == EXPR_OR ? 1
						: expr->at_least;
	for (size_t i = 0; i < expr->child_count; i++) {
		enum possible one = expr_possible(coverage, expr->children[i], source);
		certain += one == CERTAIN;
		possible += one != IMPOSSIBLE;
	}
	if (certain >= needed)
		return CERTAIN;
	return possible >= needed ? POSSIBLE : IMPOSSIBLE;
}

static bool attribute_fits(struct text wanted, struct text have)
{
	return wanted.size == 0 || text_equal(wanted, have);
}

static bool source_fits(const struct coverage *coverage, const struct logsource *wanted,
			const struct source *source)
{
	return coverage->input->any_logsource ||
	       (attribute_fits(wanted->category, source->logsource.category) &&
		attribute_fits(wanted->product, source->logsource.product) &&
		attribute_fits(wanted->service, source->logsource.service));
}

/* What is being collected for one rule. */
struct collection {
	const struct coverage *coverage;
	struct logsource wanted;
	struct arena *arena;
	struct field_coverage *fields;
	size_t count, capacity;
};

static struct text nearest_field(const struct collection *work, struct text wrong)
{
	const char **names = arena_alloc(work->arena, NAMES_COMPARED_MAX * sizeof *names);
	size_t count = 0;
	for (size_t i = 0; names != NULL && i < work->coverage->source_count; i++) {
		const struct source *source = &work->coverage->sources[i];
		if (!source_fits(work->coverage, &work->wanted, source))
			continue;
		for (size_t k = 0; k < source->slot_count && count < NAMES_COMPARED_MAX; k++)
			if (source->names[k].data != NULL)
				names[count++] = source->names[k].data; /* kept: ends with a NUL */
	}
	const char *nearest = count == 0 ? NULL : nearest_name(wrong, names, count);
	return nearest == NULL ? TEXT("") : text_of(nearest);
}

static enum status field_collect(struct collection *work, struct text name)
{
	for (size_t i = 0; i < work->count; i++)
		if (text_equal(work->fields[i].name, name))
			return OK;
	work->fields = arena_grown(work->arena, work->fields, work->count, &work->capacity,
				   sizeof *work->fields);
	if (work->fields == NULL)
		return ENOMEMORY;
	struct field_coverage *field = &work->fields[work->count++];
	*field = (struct field_coverage){.name = name, .nearest = TEXT("")};
	for (size_t i = 0; i < work->coverage->source_count; i++)
		field->seen |=
			source_fits(work->coverage, &work->wanted, &work->coverage->sources[i]) &&
			is_seen(&work->coverage->sources[i], name);
	if (!field->seen)
		field->nearest = nearest_field(work, name);
	return OK;
}

static enum status fields_collect(struct collection *work, const struct expr *expr)
{
	enum status status = OK;
	for (size_t i = 0; status == OK && expr->kind != EXPR_PREDICATE && i < expr->child_count;
	     i++)
		status = fields_collect(work, expr->children[i]);
	if (status != OK || expr->kind != EXPR_PREDICATE)
		return status;
	const struct predicate *predicate = &work->coverage->input->predicates[expr->predicate];
	if (!predicate->keyword && predicate->kind != PREDICATE_SINCE)
		status = field_collect(work, predicate->field);
	if (status == OK && predicate->kind == PREDICATE_FIELDREF)
		status = field_collect(work, predicate->fieldref.other);
	return status;
}

enum status coverage_of_rule(const struct coverage *coverage, const struct rule *rule,
			     struct arena *arena, struct rule_coverage *ret_rule)
{
	assert(rule->kind == RULE_DETECTION);
	const struct program_input *input = coverage->input;
	size_t at = 0;
	while (at < input->detection_count && input->detections[at].rule_index != rule->index)
		at++;
	assert(at < input->detection_count);
	const struct expr *expr = input->detections[at].expr;
	struct collection work = {.coverage = coverage, .arena = arena};
	if (!logsource_folded(&rule->logsource, arena, &work.wanted))
		return ENOMEMORY;
	enum status status = fields_collect(&work, expr);
	if (status != OK)
		return status;
	struct rule_coverage result = {.fields = work.fields, .field_count = work.count};
	for (size_t i = 0; i < coverage->source_count; i++) {
		const struct source *source = &coverage->sources[i];
		if (!source_fits(coverage, &work.wanted, source))
			continue;
		result.events += source->events;
		result.can_fire |= expr_possible(coverage, expr, source) != IMPOSSIBLE;
	}
	for (size_t i = 0; i < work.count; i++)
		result.seen_count += work.fields[i].seen;
	*ret_rule = result;
	return OK;
}
