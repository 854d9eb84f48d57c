#include "correlate/risk_standing.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

static const double millionths = 1e6;

static uint64_t score_at(const struct addition *addition, int64_t time_us, int64_t half_life_us)
{
	if (half_life_us == 0)
		return addition->score;
	double halvings = (double)(time_us - addition->time_us) / (double)half_life_us;
	return (uint64_t)llround((double)addition->score * exp2(-halvings));
}

/* The first addition of the window that ends at time_us. */
static size_t window_first(const struct risk *risk, int64_t time_us, int64_t span_us)
{
	size_t first = 0;
	while (first < risk->count &&
	       !time_within(risk->additions[first].time_us, time_us, span_us))
		first++;
	return first;
}

static int source_compare(const void *a, const void *b)
{
	const struct risk_source *left = a;
	const struct risk_source *right = b;
	return (left->hash > right->hash) - (left->hash < right->hash);
}

void risk_sources_sort(struct risk_source *sources, size_t count)
{
	qsort(sources, count, sizeof *sources, source_compare);
}

/* Parts without a rule behind all others, those without an addition behind them. */
static int part_compare(const void *a, const void *b)
{
	const struct risk_part *left = a;
	const struct risk_part *right = b;
	if (left->rule == NULL || right->rule == NULL) {
		int order = (left->rule == NULL) - (right->rule == NULL);
		return order != 0 ? order : (left->additions == 0) - (right->additions == 0);
	}
	if (left->score != right->score)
		return left->score > right->score ? -1 : 1;
	return text_compare(left->rule->key, right->rule->key);
}

/* The part of an addition: parts stand as the sources do, the one of those that are gone last. */
static struct risk_part *part_of(const struct unit *unit, const struct addition *addition,
				 struct risk_part *parts)
{
	size_t count = unit->rule->correlation->rule_count;
	const struct risk_source wanted = {.hash = addition->source};
	const struct risk_source *source =
		bsearch(&wanted, unit->sources, count, sizeof *unit->sources, source_compare);
	if (source == NULL)
		return &parts[count];
	struct risk_part *part = &parts[source - unit->sources];
	part->rule = source->rule;
	return part;
}

struct risk_sum risk_sum(const struct risk *risk, const struct unit *unit, int64_t time_us)
{
	const struct risk_terms *terms = unit->rule->correlation->risk;
	struct risk_sum sum = {.first = window_first(risk, time_us, unit->timespan_us)};
	uint32_t tactics = 0;
	assert(risk->count == 0 || risk->additions[risk->count - 1].time_us <= time_us);
	for (size_t i = sum.first; i < risk->count; i++) {
		sum.score += score_at(&risk->additions[i], time_us, terms->half_life_us);
		tactics |= risk->additions[i].tactics;
	}
	sum.tactics = (unsigned)__builtin_popcount(tactics);
	sum.reached = lower_bound_holds(&terms->score, (double)sum.score / millionths) &&
		      sum.tactics >= terms->tactics;
	sum.cut =
		risk->cut_us != INT64_MIN && time_within(risk->cut_us, time_us, unit->timespan_us);
	return sum;
}

enum status risk_stand(const struct risk *risk, const struct unit *unit, int64_t time_us,
		       struct risk_standing *ret_standing)
{
	const struct correlation *correlation = unit->rule->correlation;
	struct risk_standing standing = {.sum = risk_sum(risk, unit, time_us)};
	standing.parts = calloc(correlation->rule_count + 1, sizeof *standing.parts);
	if (standing.parts == NULL)
		return ENOMEMORY;
	for (size_t i = standing.sum.first; i < risk->count; i++) {
		const struct addition *addition = &risk->additions[i];
		struct risk_part *part = part_of(unit, addition, standing.parts);
		standing.part_count += part->additions == 0;
		part->score += score_at(addition, time_us, correlation->risk->half_life_us);
		part->additions++;
		part->last_us = addition->time_us;
	}
	qsort(standing.parts, correlation->rule_count + 1, sizeof *standing.parts, part_compare);
	*ret_standing = standing;
	return OK;
}

/* With the watermark at the end of time everything has passed, and nothing is left. */
static enum status memory_stand(const struct gated *gated, const struct unit *unit, int64_t time_us,
				struct risk_standing *ret_standing)
{
	const struct risk *risk = gated->memory;
	if (risk == NULL)
		return OK;
	if (risk->count > 0 && risk->additions[risk->count - 1].time_us > time_us)
		return ECORRUPT;
	enum status status = risk_stand(risk, unit, time_us, ret_standing);
	if (status == OK && gated_is_cut(gated, time_before(time_us, unit->timespan_us)))
		ret_standing->sum.cut = true;
	return status;
}

enum status risk_stand_saved(const struct unit *unit, struct text memory, int64_t watermark_us,
			     struct risk_standing *ret_standing)
{
	struct cursor from = cursor_of(memory);
	struct risk_standing standing = {0};
	assert(unit->judged == JUDGED_RISK);
	struct gated *gated = gated_new(NULL);
	if (gated == NULL)
		return ENOMEMORY;
	(void)cursor_varint(&from); /* at_least */
	enum status status = gated_decode(&from, unit, gated);
	if (status == OK)
		status =
			from.failed ? ECORRUPT : memory_stand(gated, unit, watermark_us, &standing);
	gated_free(&gated, unit);
	if (status == OK)
		*ret_standing = standing;
	return status;
}

void risk_standing_done(struct risk_standing *standing)
{
	free(standing->parts);
	*standing = (struct risk_standing){0};
}
