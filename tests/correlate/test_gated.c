/* Damage in the checkpoint of gated rules is refused or harmless: whatever was taken goes on. And
 * alerts of busy groups show events, however long these had to wait. */
#include "correlate/gated.h"
#include "tests/correlate/stream_check.h"

enum { DAMAGES = 1500 };

static const char yaml[] = STREAM_RULES
	"title: N\nname: n\nlevel: high\ncorrelation: {type: temporal, rules: [a, b, c], group-by: "
	"[user.id], timespan: 9s, condition: a and b and not c}\n---\n"
	"title: S\nname: s\nlevel: high\ncorrelation: {type: sequence, group-by: [user.id], "
	"timespan: 9s, steps: [{rule: a}, {rule: b, match: {source.ip: source.ip}}]}\n---\n"
	"title: M\nname: m\nlevel: high\ncorrelation: {type: value_median, rules: [a], group-by: "
	"[user.id], timespan: 9s, condition: {field: bytes, gte: 0}}\n---\n"
	"title: T\nname: t\nlevel: high\ncorrelation: {type: geo_velocity, rules: [a], group-by: "
	"[user.id], timespan: 9s, condition: {field: source.ip}}\n---\n"
	"title: F\nname: f\nlevel: high\ncorrelation: {type: first_seen, rules: [a], group-by: "
	"[user.id], timespan: 9s, learn: {for: 0s}, condition: {field: source.ip}}\n---\n"
	"title: P\nname: p\nlevel: high\ncorrelation: {type: first_seen, rules: [a], group-by: "
	"[user.id], timespan: 9s, learn: {for: 0s}, condition: {field: source.ip}, peers: {by: "
	"[service.name], rare-below: 2}}\n---\n"
	"title: Q\nname: q\nlevel: high\ncorrelation: {type: absence, rules: [a], group-by: "
	"[user.id], timespan: 9s}\n---\n"
	"title: D\nname: d\nlevel: high\ncorrelation: {type: baseline, rules: [a], group-by: "
	"[user.id], timespan: 9s, history: 90s, condition: {aggregate: distinct, field: "
	"source.ip, deviation: {gte: 1}}}\n---\n"
	"title: R\nname: r\nlevel: high\ncorrelation: {type: baseline, rules: [a], group-by: "
	"[user.id], timespan: 9s, history: 90s, condition: {aggregate: p95, field: bytes, "
	"deviation: {gte: 1}}}\n---\n"
	"title: U\nname: u\nlevel: high\ncorrelation: {type: baseline, rules: [a], group-by: "
	"[user.id], timespan: 2s, history: 16s, condition: {aggregate: count, deviation: {gte: "
	"1}}}\n";

static void run_damaged(const struct setup *setup, struct text saved, size_t *refused)
{
	struct actor_options options = {.plan = setup->plan, .actor_count = 1};
	struct actor *actor = NULL;
	struct bytes out cleanup(bytes_done) = {0};
	struct record_sink exchange = {&out, 1};
	ck_assert_int_eq(actor_new(&options, &actor, NULL), OK);
	enum status status = actor_restore(actor, saved, NULL);
	*refused += status != OK;
	if (status == OK) {
		for (unsigned round = 0; round <= plan_rounds(setup->plan); round++) {
			assert(actor_feed(actor, bytes_text(&out), NULL) == OK);
			bytes_clear(&out);
			assert(actor_round(actor, 9, INT64_MAX, &exchange, NULL) == OK);
		}
		assert(actor_close(actor, 9, INT64_MAX, NULL) == OK);
	}
	actor_free(&actor);
}

START_TEST(damage_is_refused_or_harmless)
{
	uint64_t random = first_seed();
	struct setup setup = setup_of(yaml);
	struct stream stream = {0};
	struct run run;
	struct bytes fed[ACTORS_MAX] = {0};
	size_t refused = 0;
	size_t tried = 0;
	run_begin(&run, &setup, 1);
	while (stream.count < EVENTS_MAX / 2)
		stream_make(&stream, &random);
	for (size_t i = 0; i < stream.count; i++) {
		struct record_sink sink = {fed, 1};
		stream.things[i].placed = true;
		(void)snprintf(stream.things[i].amount, sizeof stream.things[i].amount, "%zu",
			       i % 10);
		route(&setup, &stream.things[i], &sink);
	}
	run_epoch(&run, fed, stream.things[stream.count / 2].time_us);
	for (unsigned p = 0; p < VIRTUAL_PARTITIONS; p++) {
		struct bytes saved cleanup(bytes_done) = {0};
		ck_assert_int_eq(actor_checkpoint(run.actors[0], (uint8_t)p, &saved), OK);
		for (int i = 0; saved.size > 32 && i < DAMAGES / 8; i++) {
			size_t at = below(&random, saved.size);
			unsigned char was = saved.data[at];
			saved.data[at] = (unsigned char)below(&random, 256);
			run_damaged(&setup, bytes_text(&saved), &refused);
			saved.data[at] = was;
			tried++;
		}
	}
	printf("%zu damages, %zu refused\n", tried, refused);
	ck_assert_uint_gt(refused, 100);
	ck_assert_uint_gt(tried, refused);
	run_end(&run);
	setup_done(&setup);
}
END_TEST

/* --- evidence of busy groups ------------------------------------------------------------------ */

enum { SECOND_US = 1000000, PER_SECOND = 10 };

static const char averages[] =
	"title: Answer\nname: answer\nlogsource: {product: x}\nlevel: low\n"
	"detection: {s: {event.action: answer}, condition: s}\n---\n"
	"title: Slow\nname: slow\nlevel: high\ncorrelation: {type: value_avg, rules: [answer], "
	"group-by: [user.id], timespan: 10s, condition: {field: bytes, gt: 500}}\n";

/* Ten answers of one second; slow from second 150 to 160. */
static void answer(const struct setup *setup, int64_t second, struct bytes *fed)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 16);
	struct record_sink sink = {fed, 1};
	struct route_counters counters = {0};
	uint32_t rule = rule_index(setup, "answer");
	for (int i = 0; i < PER_SECOND; i++) {
		struct event event = event_at(second * SECOND_US + i * (SECOND_US / PER_SECOND),
					      second * PER_SECOND + i, "acme");
		event_put(&event, arena, "user.id", "ann");
		event_put(&event, arena, "bytes", second >= 150 && second < 160 ? "1000" : "10");
		ck_assert_int_eq(plan_route(setup->plan, &event, &rule, 1, 0, &sink, &counters),
				 OK);
	}
}

/* The alert as it opens, when an epoch is so many seconds and the watermark 10 s behind. */
static void assert_shown(int64_t epoch_seconds, size_t at_least)
{
	struct setup setup = setup_of(averages);
	struct actor_options options = {.plan = setup.plan, .actor_count = 1};
	struct actor *actor = NULL;
	struct bytes fed = {0}, out = {0};
	struct record_sink exchange = {&out, 1};
	const struct alert_change *changes = NULL;
	size_t count = 0;
	ck_assert_int_eq(actor_new(&options, &actor, NULL), OK);
	for (int64_t second = 0; count == 0 && second < 300;) {
		for (int64_t end = second + epoch_seconds; second < end; second++)
			answer(&setup, second, &fed);
		int64_t watermark_us = (second - 10) * SECOND_US;
		ck_assert_int_eq(actor_feed(actor, bytes_text(&fed), NULL), OK);
		bytes_clear(&fed);
		ck_assert_int_eq(
			actor_round(actor, (uint64_t)second, watermark_us, &exchange, NULL), OK);
		ck_assert_int_eq(actor_close(actor, (uint64_t)second, watermark_us, NULL), OK);
		changes = actor_changes(actor, &count);
	}
	ck_assert_uint_eq(count, 1);
	const struct alert *alert = changes[0].alert;
	ck_assert_uint_ge(alert->evidence_count, at_least);
	for (size_t i = 0; i < alert->evidence_count; i++) {
		ck_assert_int_ge(alert->evidence[i].time_us, alert->first_us);
		ck_assert_int_le(alert->evidence[i].time_us, alert->last_us);
	}
	bytes_done(&fed);
	bytes_done(&out);
	actor_free(&actor);
	setup_done(&setup);
}

START_TEST(busy_groups_show_events_live)
{
	assert_shown(1, 8);
}
END_TEST

START_TEST(busy_groups_show_events_after_a_pause)
{
	assert_shown(300, 4); /* all of it waits before any of it is judged */
}
END_TEST

START_TEST(few_of_many_waiting_events_keep_their_proof)
{
	struct setup setup = setup_of(averages);
	const struct unit *unit = unit_of(&setup, "slow");
	int owner = 0;
	struct gated *gated = gated_new(&owner);
	size_t kept = 0;
	for (int i = 0; i < GATED_ENTRIES_MAX; i++) {
		const struct evidence evidence = {{TEXT("logs"), 0, 0, i}, i, TEXT("")};
		struct gated_value value = {0};
		struct proof *proof = proof_new(&evidence);
		struct gated_event event = {.proof = proof, .values = &value, .value_count = 1};
		ck_assert_int_eq(gated_add(gated, unit, &event), OK);
		proof_release(&proof);
	}
	for (size_t i = 0; i < gated->count; i++)
		kept += gated->entries[i].proof != NULL;
	printf("%zu of %zu waiting events keep their proof\n", kept, gated->count);
	ck_assert_uint_ge(kept, GATED_PROOFS_WAITING);
	ck_assert_uint_le(kept, 12 * GATED_PROOFS_WAITING);
	gated_free(&gated, unit);
	setup_done(&setup);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("gated");
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, damage_is_refused_or_harmless);
	tcase_add_test(tests, busy_groups_show_events_live);
	tcase_add_test(tests, busy_groups_show_events_after_a_pause);
	tcase_add_test(tests, few_of_many_waiting_events_keep_their_proof);
	return run_tests("gated", tests);
}
