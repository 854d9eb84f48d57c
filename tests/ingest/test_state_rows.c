/* Checkpoints of an actor as rows: what is read back is what the actor had, after every checkpoint;
 * few changes are few bytes; rows do not pile up; damage is an error. */
#include "ingest/state_rows.h"

#include "correlate/survey.h"
#include "ingest/detect.h"
#include "storage/rows.h"
#include "tests/correlate/fixture.h"

enum { GROUPS = 2000, CHECKPOINTS = 120, AN_EPOCH = 20, SECOND_US = 1000000 };

#define RULES                                                                                   \
	"title: A\nname: a\nlogsource: {product: x}\nlevel: informational\n"                    \
	"detection: {s: {event.action: a}, condition: s}\n---\n"                                \
	"title: C\nname: c\nlevel: high\ncorrelation: {type: event_count, rules: [a], "         \
	"group-by: [user.id], timespan: 4h, condition: {gte: 3}}\n---\n"                        \
	"title: V\nname: v\nlevel: high\ncorrelation: {type: value_avg, rules: [a], group-by: " \
	"[user.id], timespan: 20m, condition: {field: bytes, gt: 1}}\n"

struct scene {
	struct setup setup;
	struct store *store;
	struct actor *actor;
	struct state_rows state[VIRTUAL_PARTITIONS];
	uint64_t epoch;
	uint64_t random;
	size_t written; /* bytes of the last checkpoint */
};

static void scene_begin(struct scene *scene)
{
	struct error err = {0};
	*scene = (struct scene){.setup = setup_of(RULES), .random = first_seed()};
	struct actor_options options = {.plan = scene->setup.plan, .actor_count = 1};
	ck_assert_int_eq(store_open_memory(&scene->store, &err), OK);
	ck_assert_int_eq(actor_new(&options, &scene->actor, &err), OK);
}

static void scene_end(struct scene *scene)
{
	actor_free(&scene->actor);
	store_free(&scene->store);
	setup_done(&scene->setup);
}

static void epoch_run(struct scene *scene, size_t groups, int64_t at_s)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 26);
	struct bytes fed cleanup(bytes_done) = {0};
	struct bytes out cleanup(bytes_done) = {0};
	struct record_sink sink = {&fed, 1};
	struct record_sink exchange = {&out, 1};
	struct error err = {0};
	uint32_t rule = rule_index(&scene->setup, "a");
	for (size_t i = 0; i < groups; i++) {
		struct event event = event_at(at_s * SECOND_US, (int64_t)i, "acme");
		struct route_counters counters = {0};
		size_t user = groups == GROUPS ? i : below(&scene->random, GROUPS);
		char *name = (char *)arena_print(arena, "u%zu", user).data;
		event_put(&event, arena, "user.id", name);
		event_put(&event, arena, "bytes", "5");
		enum status status =
			plan_route(scene->setup.plan, &event, &rule, 1, 0, &sink, &counters);
		assert(status == OK);
	}
	int64_t watermark_us = (at_s - 10) * SECOND_US;
	scene->epoch++;
	enum status status = actor_feed(scene->actor, bytes_text(&fed), &err);
	if (status == OK)
		status = actor_round(scene->actor, scene->epoch, watermark_us, &exchange, &err);
	if (status == OK)
		status = actor_close(scene->actor, scene->epoch, watermark_us, &err);
	ck_assert_int_eq(status, OK);
}

static void checkpoint(struct scene *scene)
{
	struct bytes rows cleanup(bytes_done) = {0};
	struct error err = {0};
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++)
		ck_assert_int_eq(state_rows_put(&scene->state[i], scene->actor, (uint8_t)i, &rows),
				 OK);
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(scene->store);
	struct cursor from = cursor_of(bytes_text(&rows));
	enum store_family family;
	struct text key = {0};
	struct text value = {0};
	while (rows_next(&from, &family, &key, &value))
		store_batch_put(batch, family, key, value);
	ck_assert_int_eq(store_batch_commit(batch, false, &err), OK);
	scene->written = rows.size;
}

static enum status take(void *context, struct text row, struct error *err)
{
	return actor_restore(context, row, err);
}

static enum status restored(const struct scene *scene, struct actor **ret_actor, struct error *err)
{
	struct actor_options options = {.plan = scene->setup.plan, .actor_count = 1};
	enum status status = actor_new(&options, ret_actor, err);
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++) {
		struct state_rows state = {0};
		status = state_rows_read(scene->store, (uint8_t)i, take, *ret_actor, &state, err);
		assert(status != OK || memcmp(&state, &scene->state[i], sizeof state) == 0);
		if (status == OK)
			actor_stored(*ret_actor, (uint8_t)i);
	}
	return status;
}

static void expect_equal(const struct actor *a, const struct actor *b)
{
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		struct bytes left cleanup(bytes_done) = {0};
		struct bytes right cleanup(bytes_done) = {0};
		enum status status = actor_checkpoint(a, (uint8_t)i, &left);
		if (status == OK)
			status = actor_checkpoint(b, (uint8_t)i, &right);
		assert(status == OK && text_equal(bytes_text(&left), bytes_text(&right)));
	}
}

static enum status take_survey(void *context, struct text row, struct error *err)
{
	return survey_add(context, row, err);
}

/* What people are shown of the rows is what they are shown of whole checkpoints. */
static void expect_same_survey(const struct scene *scene)
{
	struct survey *rows cleanup(survey_free) = NULL;
	struct survey *whole cleanup(survey_free) = NULL;
	struct survey_options options = {.plan = scene->setup.plan, .top = 3};
	struct error err = {0};
	struct state_rows state;
	ck_assert_int_eq(survey_new(&options, &rows, &err), OK);
	ck_assert_int_eq(survey_new(&options, &whole, &err), OK);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		struct bytes saved cleanup(bytes_done) = {0};
		enum status status =
			state_rows_read(scene->store, (uint8_t)i, take_survey, rows, &state, &err);
		if (status == OK)
			status = actor_checkpoint(scene->actor, (uint8_t)i, &saved);
		if (status == OK)
			status = survey_add(whole, bytes_text(&saved), &err);
		assert(status == OK);
	}
	survey_finish(rows);
	survey_finish(whole);
	ck_assert_uint_eq(rows->line_count, whole->line_count);
	ck_assert_int_eq(rows->watermark_us, whole->watermark_us);
	for (size_t i = 0; i < rows->line_count; i++) {
		ck_assert_uint_eq(rows->lines[i].cells, whole->lines[i].cells);
		ck_assert_uint_eq(rows->lines[i].bytes, whole->lines[i].bytes);
	}
}

/* The run goes on with what was restored now and then, as after a crash. */
START_TEST(rows_say_what_the_actor_has)
{
	struct scene scene;
	struct error err = {0};
	scene_begin(&scene);
	epoch_run(&scene, GROUPS, 100);
	checkpoint(&scene);
	size_t whole = scene.written;
	size_t total = 0;
	uint32_t most = 0;
	for (int i = 1; i <= CHECKPOINTS; i++) {
		epoch_run(&scene, i % 5 == 0 ? 0 : AN_EPOCH, 100 + (int64_t)i * 30);
		checkpoint(&scene);
		total += scene.written;
		most = scene.state[0].change_count > most ? scene.state[0].change_count : most;
		if (below(&scene.random, 10) > 0)
			continue;
		struct actor *actor = NULL;
		ck_assert_msg(restored(&scene, &actor, &err) == OK, "%s", err.text);
		expect_equal(scene.actor, actor);
		expect_same_survey(&scene);
		actor_free(&scene.actor);
		scene.actor = actor;
	}
	ck_assert_uint_lt(total, CHECKPOINTS * whole / 10);
	ck_assert_uint_gt(most, 3);
	ck_assert_uint_lt(most, CHANGE_ROWS_MAX);
	scene_end(&scene);
}
END_TEST

/* As many rows as there may be, and then one. */
START_TEST(changes_end_in_a_whole_row)
{
	struct scene scene;
	struct error err = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	scene_begin(&scene);
	size_t whole = 0;
	uint32_t before = 0;
	for (int i = 0; i < 70; i++) {
		epoch_run(&scene, GROUPS / 2, 100 + i);
		checkpoint(&scene);
		whole += scene.state[0].change_count < before;
		before = scene.state[0].change_count;
	}
	ck_assert_uint_ge(whole, 1);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++)
		ck_assert_uint_le(scene.state[i].change_count, CHANGE_ROWS_MAX - i / 2);
	cell_change_key(0, scene.state[0].change_count, &key);
	enum status status = store_get(scene.store, FAMILY_CELL, bytes_text(&key), &value, &err);
	ck_assert(status == ENOTFOUND || value.size == 0);
	scene_end(&scene);
}
END_TEST

static void put(struct store *store, struct text key, struct text value)
{
	struct error err = {0};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	store_batch_put(batch, FAMILY_CELL, key, value);
	ck_assert_int_eq(store_batch_commit(batch, false, &err), OK);
}

/* A row of changes that is cut anywhere is an error; so are changes of nothing. */
START_TEST(damaged_changes_are_an_error)
{
	struct scene scene;
	struct error err = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes row cleanup(bytes_done) = {0};
	scene_begin(&scene);
	epoch_run(&scene, GROUPS, 100);
	checkpoint(&scene);
	epoch_run(&scene, GROUPS, 101);
	checkpoint(&scene);
	ck_assert_uint_eq(scene.state[9].change_count, 1);
	cell_change_key(9, 0, &key);
	ck_assert_int_eq(store_get(scene.store, FAMILY_CELL, bytes_text(&key), &row, &err), OK);
	for (size_t size = 1; size <= row.size; size += size + 40 < row.size ? 11 : 1) {
		struct actor *actor = NULL;
		struct actor_options options = {.plan = scene.setup.plan, .actor_count = 1};
		struct state_rows state = {0};
		put(scene.store, bytes_text(&key), (struct text){bytes_text(&row).data, size});
		ck_assert_int_eq(actor_new(&options, &actor, &err), OK);
		enum status status = state_rows_read(scene.store, 9, take, actor, &state, &err);
		assert(status == (size == row.size ? OK : ECORRUPT));
		actor_free(&actor);
	}
	struct actor *actor = NULL;
	bytes_clear(&key);
	cell_row_key('c', 9, &key);
	put(scene.store, bytes_text(&key), TEXT(""));
	ck_assert_int_eq(restored(&scene, &actor, &err), ECORRUPT);
	ck_assert_ptr_nonnull(strstr(err.text, "changes of a checkpoint that is not there"));
	actor_free(&actor);
	scene_end(&scene);
}
END_TEST

/* Rows that changed places are of no checkpoint there was. */
START_TEST(changes_that_go_back_are_an_error)
{
	struct scene scene;
	struct error err = {0};
	struct bytes keys[2] = {0};
	struct bytes values[2] = {0};
	struct actor *actor = NULL;
	scene_begin(&scene);
	for (int i = 0; i < 3; i++) {
		epoch_run(&scene, GROUPS, 100 + i);
		checkpoint(&scene);
	}
	for (uint32_t i = 0; i < 2; i++) {
		cell_change_key(9, i, &keys[i]);
		ck_assert_int_eq(
			store_get(scene.store, FAMILY_CELL, bytes_text(&keys[i]), &values[i], &err),
			OK);
	}
	for (uint32_t i = 0; i < 2; i++)
		put(scene.store, bytes_text(&keys[i]), bytes_text(&values[1 - i]));
	ck_assert_int_eq(restored(&scene, &actor, &err), ECORRUPT);
	ck_assert_ptr_nonnull(strstr(err.text, "goes back"));
	actor_free(&actor);
	for (uint32_t i = 0; i < 2; i++) {
		bytes_done(&keys[i]);
		bytes_done(&values[i]);
	}
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("state_rows");
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, rows_say_what_the_actor_has);
	tcase_add_test(tests, changes_end_in_a_whole_row);
	tcase_add_test(tests, damaged_changes_are_an_error);
	tcase_add_test(tests, changes_that_go_back_are_an_error);
	return run_tests("state_rows", tests);
}
