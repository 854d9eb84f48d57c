/* Budgets of memory: what is packed and spilled says what it would have said, what cannot be
 * spilled stays, and one tenant's flood is nobody else's. That no answer of any type changes is
 * shown by stream_check.h; here is what only happens at the limits. PICKET_TEST_GROUPS: groups of
 * the flood. */
#include "correlate/survey.h"
#include "tests/correlate/fixture.h"
#include "tests/correlate/spill_memory.h"

enum { FLOOD_GROUPS = 20000, FLOOD_STEPS = 5, STEP_S = 40 };

#define SLOW_RULE_OF(at_least)                                                                   \
	"title: Failed login\nname: failed\nlogsource: {product: x}\nlevel: informational\n"     \
	"detection: {s: {event.action: login}, condition: s}\n---\n"                             \
	"title: Slow\nname: slow\nlevel: high\ncorrelation: {type: event_count, rules: [failed]" \
	", group-by: [user.id], timespan: 1h, condition: {gte: " at_least "}}\n"

struct scene {
	struct setup setup;
	struct actor *actor;
	struct spill_memory spill;
	struct bytes fed;
	uint64_t epoch;
	int64_t offset;
};

static struct scene *scene_of(const char *yaml, size_t cells_max, size_t memory_max, bool spills)
{
	struct scene *scene = calloc(1, sizeof *scene);
	ck_assert_ptr_nonnull(scene);
	scene->setup = setup_of(yaml);
	spill_memory_init(&scene->spill);
	struct actor_options options = {.plan = scene->setup.plan,
					.actor_count = 1,
					.cells_max = cells_max,
					.memory_max = memory_max,
					.spill = spills ? &scene->spill.spill : NULL};
	ck_assert_int_eq(actor_new(&options, &scene->actor, NULL), OK);
	return scene;
}

static struct scene *scene_new(size_t cells_max, size_t memory_max, bool spills)
{
	return scene_of(SLOW_RULE_OF("5"), cells_max, memory_max, spills);
}

static void scene_free(struct scene *scene)
{
	actor_free(&scene->actor);
	spill_memory_done(&scene->spill);
	bytes_done(&scene->fed);
	setup_done(&scene->setup);
	free(scene);
}

static void login(struct scene *scene, const char *tenant, const char *user, int64_t second)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct event event = event_at(second * 1000000, scene->offset++, tenant);
	struct record_sink sink = {&scene->fed, 1};
	struct route_counters counters = {0};
	uint32_t rule = rule_index(&scene->setup, "failed");
	event_put(&event, arena, "user.id", user);
	enum status status = plan_route(scene->setup.plan, &event, &rule, 1, 0, &sink, &counters);
	assert(status == OK);
}

static enum status close_at(struct scene *scene, int64_t second, struct error *err)
{
	struct bytes out cleanup(bytes_done) = {0};
	struct record_sink exchange = {&out, 1};
	int64_t watermark_us = second == INT64_MAX ? second : second * 1000000;
	scene->epoch++;
	enum status status = actor_feed(scene->actor, bytes_text(&scene->fed), err);
	bytes_clear(&scene->fed);
	if (status == OK)
		status = actor_round(scene->actor, scene->epoch, watermark_us, &exchange, err);
	return status == OK ? actor_close(scene->actor, scene->epoch, watermark_us, err) : status;
}

static size_t changes_of(const struct scene *scene, const char *tenant)
{
	size_t count = 0;
	size_t found = 0;
	const struct alert_change *changes = actor_changes(scene->actor, &count);
	for (size_t i = 0; i < count; i++)
		found += text_equal(changes[i].alert->tenant, text_of(tenant));
	return found;
}

/* Tenant A opens groups without end, far more than memory holds; tenant B is guessed at slowly, and
 * its alert opens with the fifth try. A is refused at its own limit, and that is told once. */
START_TEST(a_flood_is_spilled_and_hides_nobody)
{
	const char *given = getenv("PICKET_TEST_GROUPS");
	long groups = given != NULL ? strtol(given, NULL, 10) : FLOOD_GROUPS;
	size_t budget = (size_t)groups * 40;
	struct scene *scene = scene_new((size_t)groups / 2, budget, groups <= FLOOD_GROUPS);
	size_t refusals = 0;
	for (int step = 0; step < FLOOD_STEPS; step++) {
		for (long i = 0; i < groups / FLOOD_STEPS; i++) {
			char user[24];
			(void)snprintf(user, sizeof user, "x%ld", step * groups + i);
			login(scene, "flood", user, step * STEP_S);
			if (scene->fed.size > 1 << 24)
				ck_assert_int_eq(close_at(scene, step * STEP_S - 10, NULL), OK);
		}
		login(scene, "victim", "ann", step * STEP_S);
		ck_assert_int_eq(close_at(scene, step * STEP_S - 10, NULL), OK);
		ck_assert_uint_eq(changes_of(scene, "victim"), step + 1 == FLOOD_STEPS);
		ck_assert_uint_eq(changes_of(scene, "flood"), 0);
		size_t count = 0;
		const struct refusal *refused = actor_refusals(scene->actor, &count);
		for (size_t i = 0; i < count; i++)
			ck_assert(text_equal(refused[i].tenant, TEXT("flood")));
		refusals += count;
	}
	struct actor_counters counters = actor_counters(scene->actor);
	printf("%ld groups: %llu live, %llu packed, %llu spilled, %llu refused, %.0f B a group\n",
	       groups, (unsigned long long)counters.cells,
	       (unsigned long long)counters.cells_packed,
	       (unsigned long long)counters.cells_spilled,
	       (unsigned long long)counters.cells_refused,
	       (double)counters.cell_bytes / (double)counters.cells);
	ck_assert_uint_gt(refusals, 0);
	ck_assert_uint_le(refusals, VIRTUAL_PARTITIONS);
	ck_assert_uint_gt(counters.cells_refused, (uint64_t)groups / 3);
	ck_assert_uint_gt(counters.cells_packed + counters.cells_spilled, counters.cells / 2);
	ck_assert_uint_eq(counters.spill_failures, 0);
	ck_assert_int_eq(close_at(scene, INT64_MAX, NULL), OK);
	ck_assert_uint_eq(changes_of(scene, "victim"), 1);
	counters = actor_counters(scene->actor);
	ck_assert_uint_eq(counters.cells + counters.cells_packed + counters.cells_spilled, 0);
	ck_assert_uint_eq(counters.cell_bytes, 0);
	scene_free(scene);
}
END_TEST

static void few_logins(struct scene *scene, int64_t second)
{
	char user[16];
	for (int i = 0; i < 50; i++) {
		(void)snprintf(user, sizeof user, "u%d", i);
		login(scene, "acme", user, second);
	}
}

/* A store that takes nothing: the cells stay packed, it is counted and tried again later. */
START_TEST(what_cannot_be_spilled_stays)
{
	struct scene *scene = scene_new(0, 1, true);
	scene->spill.fail_at = 1;
	few_logins(scene, 100);
	ck_assert_int_eq(close_at(scene, 90, NULL), OK);
	ck_assert_int_eq(close_at(scene, 90, NULL), OK); /* cold cells go when an epoch begins */
	struct actor_counters counters = actor_counters(scene->actor);
	ck_assert_uint_eq(counters.spill_failures, 1);
	ck_assert_uint_eq(counters.cells_packed, 50);
	ck_assert_uint_eq(counters.cells_spilled, 0);
	for (int64_t second = 101; second < 104; second++) {
		few_logins(scene, second);
		ck_assert_int_eq(close_at(scene, second - 10, NULL), OK);
		ck_assert_uint_eq(changes_of(scene, "acme"), 0);
	}
	ck_assert_int_eq(close_at(scene, 93, NULL), OK);
	ck_assert_uint_eq(actor_counters(scene->actor).cells_spilled, 50);
	ck_assert_uint_eq(scene->spill.count, 50);
	few_logins(scene, 104);
	ck_assert_int_eq(close_at(scene, 94, NULL), OK);
	ck_assert_uint_eq(changes_of(scene, "acme"), 50);
	scene_free(scene);
}
END_TEST

/* A cell that cannot be read again is an error with a reason, and not a group that starts anew. */
START_TEST(what_was_lost_is_said)
{
	struct scene *scene = scene_new(0, 1, true);
	struct error err = {0};
	few_logins(scene, 100);
	ck_assert_int_eq(close_at(scene, 90, NULL), OK);
	ck_assert_int_eq(close_at(scene, 90, NULL), OK);
	ck_assert_uint_eq(actor_counters(scene->actor).cells_spilled, 50);
	scene->spill.lose = true;
	struct bytes saved cleanup(bytes_done) = {0};
	enum status saving = OK;
	for (unsigned i = 0; saving == OK && i < VIRTUAL_PARTITIONS; i++)
		saving = actor_checkpoint(scene->actor, (uint8_t)i, &saved);
	ck_assert_int_eq(saving, ECORRUPT);
	few_logins(scene, 101);
	ck_assert_int_eq(close_at(scene, 91, &err), ECORRUPT);
	ck_assert_str_eq(err.text, "a cell is not there");
	scene_free(scene);
}
END_TEST

/* Cells beyond the budget are packed while they are read: as they stand when their rule is the
 * same, anew when its threshold was edited. */
START_TEST(a_restart_over_the_budget_changes_nothing)
{
	struct scene *before = scene_new(0, 0, false);
	for (int64_t second = 100; second < 103; second++)
		few_logins(before, second);
	ck_assert_int_eq(close_at(before, 90, NULL), OK);
	for (int edited = 0; edited < 2; edited++) {
		const char *yaml = edited ? SLOW_RULE_OF("4") : SLOW_RULE_OF("5");
		struct scene *after = scene_of(yaml, 0, 1, false);
		for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
			struct bytes saved cleanup(bytes_done) = {0};
			struct bytes again cleanup(bytes_done) = {0};
			ck_assert_int_eq(actor_checkpoint(before->actor, (uint8_t)i, &saved), OK);
			struct text row = bytes_text(&saved);
			ck_assert_int_eq(actor_restore(after->actor, row, NULL), OK);
			ck_assert_int_eq(actor_checkpoint(after->actor, (uint8_t)i, &again), OK);
			ck_assert(edited || text_equal(bytes_text(&again), row));
		}
		ck_assert_uint_eq(actor_counters(after->actor).cells_packed, 50);
		few_logins(after, 103);
		ck_assert_int_eq(close_at(after, 93, NULL), OK);
		ck_assert_uint_eq(changes_of(after, "acme"), edited ? 50 : 0);
		few_logins(after, 104);
		ck_assert_int_eq(close_at(after, 94, NULL), OK);
		ck_assert_uint_eq(changes_of(after, "acme"), 50);
		scene_free(after);
	}
	scene_free(before);
}
END_TEST

/* What a survey says of the checkpoints, whatever tier the cells are in. */
START_TEST(a_survey_adds_up)
{
	struct scene *scene = scene_new(0, 1, true);
	struct survey *survey cleanup(survey_free) = NULL;
	struct survey *damaged cleanup(survey_free) = NULL;
	struct survey_options options = {.plan = scene->setup.plan, .top = 3};
	few_logins(scene, 100);
	for (int i = 0; i < 7; i++)
		login(scene, "other", "zoe", 100 + i);
	ck_assert_int_eq(close_at(scene, 90, NULL), OK);
	ck_assert_int_eq(close_at(scene, 91, NULL), OK);
	ck_assert_int_eq(survey_new(&options, &survey, NULL), OK);
	ck_assert_int_eq(survey_new(&options, &damaged, NULL), OK);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		struct bytes saved cleanup(bytes_done) = {0};
		ck_assert_int_eq(actor_checkpoint(scene->actor, (uint8_t)i, &saved), OK);
		ck_assert_int_eq(survey_add(survey, bytes_text(&saved), NULL), OK);
		struct text cut = {(const char *)saved.data, saved.size - 1};
		ck_assert_int_eq(survey_add(damaged, cut, NULL), ECORRUPT);
	}
	survey_finish(survey);
	ck_assert_int_eq(survey->watermark_us, 91000000);
	ck_assert_uint_eq(survey->line_count, 2);
	ck_assert_uint_eq(survey->lines[0].cells + survey->lines[1].cells, 51);
	ck_assert_uint_eq(survey->group_count, 3);
	ck_assert(text_equal(survey->groups[0].tenant, TEXT("other")));
	ck_assert_uint_eq(survey->groups[0].events, 7);
	ck_assert_int_eq(survey->groups[0].oldest_us, 100000000);
	struct bytes group cleanup(bytes_done) = {0};
	survey_put_group(&survey->groups[0], &group);
	struct cursor from = cursor_of(bytes_text(&group));
	ck_assert(text_equal(cursor_text(&from), TEXT("user.id")));
	ck_assert(text_equal(cursor_text(&from), TEXT("zoe")));
	scene_free(scene);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("tiers");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, a_flood_is_spilled_and_hides_nobody);
	tcase_add_test(tests, what_cannot_be_spilled_stays);
	tcase_add_test(tests, what_was_lost_is_said);
	tcase_add_test(tests, a_restart_over_the_budget_changes_nothing);
	tcase_add_test(tests, a_survey_adds_up);
	return run_tests("tiers", tests);
}
