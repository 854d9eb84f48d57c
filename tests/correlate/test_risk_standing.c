/* What stands on an entity at a checkpoint, against the plain list of what was added to it: the sum
 * of what is left, and the part of each rule. Damage and what is too much for a cell. */
#include "correlate/risk_standing.h"

#include "correlate/survey.h"
#include "tests/correlate/risk_oracle.h"

/* All that the actors' checkpoints say, one for every cell of a risk. */
struct stands {
	struct {
		char tenant[8], value[8];
		struct risk_sum sum;
		uint64_t of_parts;
		size_t part_count;
	} items[32];
	size_t count;
};

static enum status take_standing(void *context, const struct survey_line *cell, struct text memory,
				 int64_t watermark_us)
{
	struct stands *stands = context;
	struct risk_standing standing = {0};
	if (cell->unit->judged != JUDGED_RISK)
		return OK;
	enum status status = risk_stand_saved(cell->unit, memory, watermark_us, &standing);
	struct cursor from = cursor_of(cell->group);
	(void)cursor_text(&from);
	struct text value = cursor_text(&from);
	uint64_t of_parts = 0;
	for (size_t i = 0; i < standing.part_count; i++) {
		of_parts += standing.parts[i].score;
		assert(standing.parts[i].rule != NULL && standing.parts[i].additions > 0);
		assert(i == 0 || standing.parts[i].score <= standing.parts[i - 1].score);
	}
	assert(stands->count < sizeof stands->items / sizeof *stands->items);
	stands->items[stands->count].sum = standing.sum;
	stands->items[stands->count].of_parts = of_parts;
	stands->items[stands->count].part_count = standing.part_count;
	(void)snprintf(stands->items[stands->count].tenant, 8, "%.*s", TEXT_ARG(cell->tenant));
	(void)snprintf(stands->items[stands->count].value, 8, "%.*s", TEXT_ARG(value));
	stands->count += standing.part_count > 0;
	risk_standing_done(&standing);
	return status;
}

static enum status stands_read(const struct run *run, struct stands *stands)
{
	struct survey *survey cleanup(survey_free) = NULL;
	const struct survey_visitor visitor = {take_standing, stands};
	const struct survey_options options = {.plan = run->setup->plan, .visitor = &visitor};
	stands->count = 0;
	enum status status = survey_new(&options, &survey, NULL);
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++) {
		struct bytes saved cleanup(bytes_done) = {0};
		status = actor_checkpoint(run->actors[i % run->actor_count], (uint8_t)i, &saved);
		if (status == OK)
			status = survey_add(survey, bytes_text(&saved), NULL);
	}
	return status;
}

/* Whether an entity has what is left at time_us of what was added before. */
static size_t check_standing(const struct danger *danger, const struct stream *stream,
			     const char *tenant, const char *value, int64_t time_us,
			     const struct stands *stands)
{
	struct gain gains[ADDITIONS_MAX];
	bool by[SOURCES] = {false};
	double sum = 0;
	size_t gained = gains_of_entity(danger, stream, tenant, value, gains);
	for (size_t i = 0; i < gained; i++) {
		double age_us = (double)(time_us - gains[i].time_us);
		if (gains[i].time_us >= time_us || age_us > (double)danger->span * SECOND)
			continue;
		double half_lives =
			danger->half_life == 0 ? 0 : age_us / ((double)danger->half_life * SECOND);
		sum += round(gains[i].score * 1e6 * exp2(-half_lives));
		by[gains[i].source] = true;
	}
	size_t parts = (size_t)by[0] + by[1] + by[2] + by[3];
	for (size_t i = 0; i < stands->count; i++) {
		if (strcmp(stands->items[i].tenant, tenant) != 0 ||
		    strcmp(stands->items[i].value, value) != 0)
			continue;
		ck_assert_uint_eq(stands->items[i].sum.score, (uint64_t)sum);
		ck_assert_uint_eq(stands->items[i].of_parts, (uint64_t)sum);
		ck_assert_uint_eq(stands->items[i].part_count, parts);
		ck_assert(!stands->items[i].sum.cut);
		return 1;
	}
	ck_assert_uint_eq(parts, 0);
	return 0;
}

/* The events of a stream at once, and a watermark somewhere among them or behind. */
static size_t check_standings(const struct setup *setup, const struct danger *danger,
			      struct sets *sets)
{
	uint64_t *random = &sets->random;
	static struct routed routed;
	struct stream stream = {0};
	struct stands stands;
	struct run run;
	size_t told = 0;
	sets->cases++;
	danger_stream(&stream, random);
	stream_route(setup, &stream, &routed);
	run_begin(&run, setup, 1 + (unsigned)below(random, ACTORS_MAX));
	struct bytes fed[ACTORS_MAX] = {0};
	for (size_t i = 0; i < stream.count; i++)
		for (unsigned k = 0; k < run.actor_count; k++)
			bytes_put(&fed[k], routed.things[i].data, routed.things[i].size);
	int64_t time_us = stream.things[below(random, stream.count)].time_us +
			  (int64_t)below(random, 3 * SECOND);
	run_epoch(&run, fed, time_us);
	ck_assert_int_eq(stands_read(&run, &stands), OK);
	for (size_t t = 0; t < 2; t++)
		for (size_t v = 0; v < sizeof entities / sizeof *entities; v++)
			told += check_standing(danger, &stream, tenants[t], entities[v], time_us,
					       &stands);
	ck_assert_uint_eq(told, stands.count);
	run_end(&run);
	return told;
}

START_TEST(standings_are_those_of_a_plain_reading)
{
	size_t told = 0;
	struct sets sets = sets_begin(CASES_USUAL);
	while (sets_next(&sets, told)) {
		struct danger danger = danger_make(&sets.random);
		char *yaml = danger_text(&danger);
		struct setup setup = setup_of(yaml);
		free(yaml);
		for (int i = 0; i < CASES_A_SET; i++)
			told += check_standings(&setup, &danger, &sets);
		setup_done(&setup);
	}
}
END_TEST

/* A memory with one addition per second from 1 on, of the rule a and one that is gone. */
static struct risk risk_of(const struct unit *unit, size_t count)
{
	struct risk risk = {.cut_us = INT64_MIN};
	for (size_t i = 1; i <= count; i++) {
		struct addition addition = {.time_us = (int64_t)i * SECOND,
					    .source = i % 2 == 0 ? unit->sources[0].hash : 1,
					    .score = 1000000};
		ck_assert_int_eq(risk_push(&risk, &addition), OK);
	}
	return risk;
}

static void risk_free(struct risk *risk)
{
	free(risk->additions);
	free(risk->pauses);
}

static struct setup setup_of_full(void)
{
	return setup_of("title: A\nname: a\nlogsource: {product: x}\nlevel: informational\n"
			"detection: {s: {event.action: a}, condition: s}\n"
			"picket: {risk: {score: 1, on: [user.id]}}\n---\n"
			"title: S\nname: s\nlevel: high\n"
			"correlation: {type: risk, group-by: [user.id], timespan: 2h, "
			"condition: {gte: 3}}\n");
}

/* Rules that are gone stand last, whatever they added; what was forgotten for its number is told.
 */
START_TEST(what_is_gone_or_cut_is_said)
{
	struct setup setup = setup_of_full();
	const struct unit *unit = unit_of(&setup, "s");
	struct risk risk = risk_of(unit, RISK_ADDITIONS_MAX + 1);
	struct risk_standing standing = {0};
	int64_t end_us = (int64_t)(RISK_ADDITIONS_MAX + 1) * SECOND;
	ck_assert_int_eq(risk_stand(&risk, unit, end_us, &standing), OK);
	ck_assert(standing.sum.cut && standing.sum.reached);
	ck_assert_uint_eq(standing.sum.score, RISK_ADDITIONS_MAX * UINT64_C(1000000));
	ck_assert_uint_eq(standing.part_count, 2);
	ck_assert_ptr_eq(standing.parts[0].rule, unit->sources[0].rule);
	ck_assert_ptr_null(standing.parts[1].rule);
	ck_assert_int_eq(standing.parts[1].last_us, end_us);
	risk_standing_done(&standing);
	int64_t later_us = end_us + unit->timespan_us;
	ck_assert_int_eq(risk_stand(&risk, unit, later_us, &standing), OK);
	ck_assert(!standing.sum.cut && !standing.sum.reached);
	ck_assert_uint_eq(standing.parts[standing.part_count - 1].additions, 1);
	risk_standing_done(&standing);
	ck_assert_int_eq(risk_stand(&risk, unit, later_us + 1, &standing), OK);
	ck_assert_uint_eq(standing.part_count, 0);
	risk_standing_done(&standing);
	risk_free(&risk);
	setup_done(&setup);
}
END_TEST

/* Cut anywhere, or with an addition behind the watermark: an error, and nothing is said. */
START_TEST(damage_is_told)
{
	struct setup setup = setup_of_full();
	const struct unit *unit = unit_of(&setup, "s");
	struct risk risk = risk_of(unit, 3);
	struct gated *gated = gated_new(NULL);
	struct bytes saved cleanup(bytes_done) = {0};
	struct risk_standing standing = {0};
	ck_assert_ptr_nonnull(gated);
	gated->memory = &risk;
	bytes_put_varint(&saved, 1); /* at_least */
	gated_encode(gated, unit, &saved);
	gated->memory = NULL;
	gated_free(&gated, unit);
	for (size_t size = 0; size < saved.size; size++) {
		struct text cut = {(const char *)saved.data, size};
		ck_assert_int_eq(risk_stand_saved(unit, cut, 3 * SECOND, &standing), ECORRUPT);
	}
	struct text whole = bytes_text(&saved);
	ck_assert_int_eq(risk_stand_saved(unit, whole, 3 * SECOND - 1, &standing), ECORRUPT);
	ck_assert_ptr_null(standing.parts);
	ck_assert_int_eq(risk_stand_saved(unit, whole, 3 * SECOND, &standing), OK);
	ck_assert_uint_eq(standing.sum.score, 3000000);
	risk_standing_done(&standing);
	risk_free(&risk);
	setup_done(&setup);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("risk standing");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, standings_are_those_of_a_plain_reading);
	tcase_add_test(tests, what_is_gone_or_cut_is_said);
	tcase_add_test(tests, damage_is_told);
	return run_tests("risk standing", tests);
}
