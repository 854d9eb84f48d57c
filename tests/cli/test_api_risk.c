/* The route of risks: rows as a daemon leaves them in the store, asked for one entity. */
#include "tests/cli/api_fixture.h"

#include "ingest/detect.h"
#include "ingest/state_rows.h"
#include "tests/correlate/fixture.h"

enum { SECOND_US = 1000000 };

#define BRUTE_FORCE                                                          \
	"title: Brute force\nname: a\nlogsource: {product: x}\nlevel: low\n" \
	"detection: {s: {event.action: a}, condition: s}\n"

static const char risk_rules[] =
	BRUTE_FORCE "picket: {risk: {score: 60, on: [user.id, source.ip], once-per: 0s}}\n---\n"
		    "title: New country\nname: b\nlogsource: {product: x}\nlevel: low\n"
		    "detection: {s: {event.action: b}, condition: s}\n"
		    "picket: {risk: {score: 30, on: [user.id]}}\n---\n"
		    "title: Too much\nname: s\nlevel: high\ncorrelation: {type: risk, group-by: "
		    "[entity], timespan: 1d, half-life: 1h, condition: {gte: 100}}\n";

static struct setup engine;

static void put_identity(void)
{
	struct identity_row row = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	memcpy(row.hash_key, test_key.bytes, sizeof row.hash_key);
	identity_key(&key);
	identity_encode(&row, &value);
	put_row(FAMILY_POSITION, &key, &value);
}

static void match(struct bytes *records, const char *rule, const char *tenant, const char *user,
		  int64_t minute)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct record_sink sink = {records, 1};
	struct route_counters counters = {0};
	struct event event = event_at(T0 + minute * 60 * SECOND_US, (int64_t)records->size, tenant);
	uint32_t index = rule_index(&engine, rule);
	event_put(&event, arena, "user.id", user);
	event_put(&event, arena, "source.ip", user);
	event_put(&event, arena, "tenant.id", tenant);
	ck_assert_int_eq(plan_route(engine.plan, &event, &index, 1, 0, &sink, &counters), OK);
}

/* Correlates the records up to the minute and leaves the checkpoint in the store. */
static void checkpoint_at(const struct bytes *records, int64_t minute)
{
	struct actor_options options = {.plan = engine.plan, .actor_count = 1};
	struct state_rows state[VIRTUAL_PARTITIONS] = {0};
	struct bytes out cleanup(bytes_done) = {0};
	struct bytes rows cleanup(bytes_done) = {0};
	struct record_sink exchange = {&out, 1};
	struct actor *actor cleanup(actor_free) = NULL;
	int64_t watermark_us = T0 + minute * 60 * SECOND_US;
	ck_assert_int_eq(actor_new(&options, &actor, NULL), OK);
	ck_assert_int_eq(actor_feed(actor, bytes_text(records), NULL), OK);
	ck_assert_int_eq(actor_round(actor, 1, watermark_us, &exchange, NULL), OK);
	ck_assert_int_eq(actor_close(actor, 1, watermark_us, NULL), OK);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++)
		ck_assert_int_eq(state_rows_put(&state[i], actor, (uint8_t)i, &rows), OK);
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	struct cursor from = cursor_of(bytes_text(&rows));
	enum store_family family;
	struct text key = {0};
	struct text value = {0};
	while (rows_next(&from, &family, &key, &value))
		store_batch_put(batch, family, key, value);
	ck_assert_int_eq(store_batch_commit(batch, false, NULL), OK);
}

/* alice of acme: 60 an hour ago, 60 and 30 now; of globex: 30; others: 60 each. */
static void begin(void)
{
	struct bytes records cleanup(bytes_done) = {0};
	setup();
	engine = setup_of(risk_rules);
	api.ruleset = engine.ruleset;
	put_identity();
	match(&records, "a", "acme", "alice", 0);
	match(&records, "a", "acme", "alice", 60);
	match(&records, "b", "acme", "alice", 60);
	match(&records, "b", "globex", "alice", 60);
	match(&records, "a", "acme", "alice2", 60);
	match(&records, "a", "acme", "alic", 60);
	checkpoint_at(&records, 120);
}

static void end(void)
{
	teardown();
	setup_done(&engine);
}

static double number_of(struct json_object *object, const char *path)
{
	return json_object_get_double(json_path(object, path));
}

START_TEST(an_entity_has_its_parts)
{
	struct json_object *answer =
		ask("GET /v1/risk?value=ALICE&fields=user.name,user.id&tenant=acme", NULL, 200);
	struct json_object *list = json_path(answer, "entities");
	ck_assert_str_eq(json_path_text(answer, "loaded"), "1");
	ck_assert(json_object_get_boolean(json_path(answer, "complete")));
	ck_assert_uint_eq(json_object_array_length(list), 1);
	struct json_object *one = json_object_array_get_idx(list, 0);
	ck_assert_str_eq(json_path_text(one, "title"), "Too much");
	ck_assert_str_eq(json_path_text(one, "tenant"), "acme");
	ck_assert_str_eq(json_path_text(one, "field"), "user.id");
	ck_assert_str_eq(json_path_text(one, "value"), "alice");
	ck_assert_str_eq(json_path_text(one, "at"), "2026-01-01T02:00:00Z");
	ck_assert_double_eq(number_of(one, "score"), 15 + 30 + 15);
	ck_assert_double_eq(number_of(one, "threshold"), 100);
	ck_assert(!json_object_get_boolean(json_path(one, "reached")));
	ck_assert(json_object_get_boolean(json_path(one, "complete")));
	struct json_object *parts = json_path(one, "parts");
	ck_assert_uint_eq(json_object_array_length(parts), 2);
	struct json_object *most = json_object_array_get_idx(parts, 0);
	ck_assert_str_eq(json_path_text(most, "title"), "Brute force");
	ck_assert_double_eq(number_of(most, "score"), 45);
	ck_assert_str_eq(json_path_text(most, "additions"), "2");
	ck_assert_str_eq(json_path_text(most, "last"), "2026-01-01T01:00:00Z");
	(void)json_object_put(answer);
}
END_TEST

static size_t found_by(const char *question)
{
	struct json_object *answer = ask(question, NULL, 200);
	size_t count = json_object_array_length(json_path(answer, "entities"));
	(void)json_object_put(answer);
	return count;
}

START_TEST(tenants_fields_and_values_narrow_it)
{
	ck_assert_uint_eq(found_by("GET /v1/risk?value=alice"), 3);
	ck_assert_uint_eq(found_by("GET /v1/risk?value=alice&fields=user.id"), 2);
	ck_assert_uint_eq(found_by("GET /v1/risk?value=alice&tenant=globex"), 1);
	ck_assert_uint_eq(found_by("GET /v1/risk?value=alice&tenant=glob"), 0);
	ck_assert_uint_eq(found_by("GET /v1/risk?value=alice2&tenant=globex"), 0);
	ck_assert_uint_eq(found_by("GET /v1/risk?value=alice&fields=user.i,user.idx"), 0);
	ck_assert_uint_eq(found_by("GET /v1/risk?value=bob"), 0);
	refused("GET /v1/risk?value=alice&tenants=acme", 400, "tenants");
	refused("GET /v1/risk", 400, "value= is missing");
	refused("GET /v1/risk?value=alice&limit=0", 400, "limit is from 1");
}
END_TEST

START_TEST(a_limit_keeps_the_most_and_is_told)
{
	struct json_object *answer = ask("GET /v1/risk?value=alice&limit=1", NULL, 200);
	struct json_object *list = json_path(answer, "entities");
	ck_assert(!json_object_get_boolean(json_path(answer, "complete")));
	ck_assert_uint_eq(json_object_array_length(list), 1);
	ck_assert_double_eq(number_of(json_object_array_get_idx(list, 0), "score"), 60);
	(void)json_object_put(answer);
}
END_TEST

/* Without rules it is not known; where none adds risks up, there is none; neither reads cells. */
START_TEST(not_known_is_not_none)
{
	api.ruleset = NULL;
	struct json_object *answer = ask("GET /v1/risk?value=alice", NULL, 200);
	ck_assert_ptr_null(json_path(answer, "loaded"));
	ck_assert(!json_object_get_boolean(json_path(answer, "complete")));
	(void)json_object_put(answer);
	struct ruleset *plain = ruleset_of(BRUTE_FORCE);
	api.ruleset = plain;
	answer = ask("GET /v1/risk?value=alice", NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "loaded"), "0");
	ck_assert(json_object_get_boolean(json_path(answer, "complete")));
	ck_assert_uint_eq(json_object_array_length(json_path(answer, "entities")), 0);
	(void)json_object_put(answer);
	ruleset_free(&plain);
}
END_TEST

/* What cannot be read is an error, and not an entity without risk. */
START_TEST(damage_is_told)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	bytes_put_u8(&key, 'c');
	bytes_put_u8(&key, 7);
	bytes_put_u8(&value, 99);
	put_row(FAMILY_CELL, &key, &value);
	refused("GET /v1/risk?value=alice", 500, "a checkpoint is damaged");
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("api risk");
	tcase_add_checked_fixture(tests, begin, end);
	tcase_add_test(tests, an_entity_has_its_parts);
	tcase_add_test(tests, tenants_fields_and_values_narrow_it);
	tcase_add_test(tests, a_limit_keeps_the_most_and_is_told);
	tcase_add_test(tests, not_known_is_not_none);
	tcase_add_test(tests, damage_is_told);
	return run_tests("api risk", tests);
}
