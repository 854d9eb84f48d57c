/* The actor by examples; what holds for every stream is in test_actor_oracle.c. */
#include "tests/correlate/fixture.h"

enum { SECOND = 1000000 };

static const char rules[] =
	"title: Failed login\nname: failed\nlogsource: {product: x}\nlevel: low\n"
	"detection: {s: {event.action: login}, condition: s}\n---\n"
	"title: Brute force\nname: brute\nlevel: high\n"
	"correlation: {type: event_count, rules: [failed], group-by: [user.id], timespan: 10s, "
	"condition: {gte: %d}}\n%s";

struct bench {
	struct setup setup;
	struct actor *actor;
	struct bytes fed;
	uint64_t epoch;
	int64_t offset;
	const struct alert_change *changes;
	size_t count;
};

static void actor_start(struct bench *bench, size_t cells_max)
{
	struct actor_options options = {
		.plan = bench->setup.plan, .actor_count = 1, .cells_max = cells_max};
	ck_assert_int_eq(actor_new(&options, &bench->actor, NULL), OK);
}

static struct bench bench_new(int at_least, const char *more, size_t cells_max)
{
	char *yaml = NULL;
	ck_assert_int_gt(asprintf(&yaml, rules, at_least, more), 0);
	struct bench bench = {.setup = setup_of(yaml)};
	free(yaml);
	actor_start(&bench, cells_max);
	return bench;
}

static void bench_done(struct bench *bench)
{
	bytes_done(&bench->fed);
	actor_free(&bench->actor);
	setup_done(&bench->setup);
}

static void login_as(struct bench *bench, const char *tenant, const char *user, int64_t second,
		     uint8_t flags)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 16);
	struct event event = event_at(second * SECOND, bench->offset++, tenant);
	event_put(&event, arena, "user.id", user);
	uint32_t rule = rule_index(&bench->setup, "failed");
	struct record_sink sink = {&bench->fed, 1};
	struct route_counters counters = {0};
	ck_assert_int_eq(plan_route(bench->setup.plan, &event, &rule, 1, flags, &sink, &counters),
			 OK);
}

static void login(struct bench *bench, int64_t second)
{
	login_as(bench, "acme", "alice", second, 0);
}

static void close_at(struct bench *bench, int64_t second)
{
	struct bytes out = {0};
	struct record_sink exchange = {&out, 1};
	struct error err;
	int64_t watermark_us = second == INT64_MAX ? INT64_MAX : second * SECOND;
	bench->epoch++;
	ck_assert_int_eq(actor_feed(bench->actor, bytes_text(&bench->fed), &err), OK);
	bytes_clear(&bench->fed);
	ck_assert_int_eq(actor_round(bench->actor, bench->epoch, watermark_us, &exchange, &err),
			 OK);
	ck_assert_uint_eq(out.size, 0);
	ck_assert_int_eq(actor_close(bench->actor, bench->epoch, watermark_us, &err), OK);
	bench->changes = actor_changes(bench->actor, &bench->count);
}

static const struct alert *only_change(const struct bench *bench, bool announce)
{
	ck_assert_uint_eq(bench->count, 1);
	ck_assert_int_eq(bench->changes[0].announce, announce);
	return bench->changes[0].alert;
}

START_TEST(opens_grows_and_ends)
{
	struct bench bench = bench_new(3, "", 0);
	login(&bench, 100);
	login(&bench, 101);
	close_at(&bench, 90);
	ck_assert_uint_eq(bench.count, 0);
	login(&bench, 102);
	close_at(&bench, 92);
	const struct alert *alert = only_change(&bench, true);
	char id[ALERT_ID_SIZE + 1];
	memcpy(id, alert->id, sizeof id);
	ck_assert_uint_eq(alert->revision, 1);
	ck_assert_uint_eq(alert->count, 3);
	ck_assert_int_eq(alert->state, ALERT_OPEN);
	ck_assert_uint_eq(alert->opened_epoch, 2);
	ck_assert_uint_eq(alert->evidence_count, 3);
	ck_assert_uint_eq(alert->flags, 0);
	ck_assert(text_equal(alert->reason, TEXT("3 events of \"Failed login\" within 10s for "
						 "user.id=alice (threshold 3)")));
	login(&bench, 103); /* grows, stored, not worth a message */
	close_at(&bench, 93);
	alert = only_change(&bench, false);
	ck_assert_uint_eq(alert->revision, 1);
	ck_assert_uint_eq(alert->count, 4);
	login(&bench, 104);
	login(&bench, 104); /* doubled */
	close_at(&bench, 94);
	ck_assert_uint_eq(only_change(&bench, true)->revision, 2);
	close_at(&bench, 114); /* exactly last + timespan: not yet */
	ck_assert_uint_eq(bench.count, 0);
	close_at(&bench, 115);
	alert = only_change(&bench, true);
	ck_assert_int_eq(alert->state, ALERT_ENDED);
	ck_assert_uint_eq(alert->revision, 3);
	ck_assert_str_eq(alert->id, id);
	ck_assert_int_eq(alert->first_us, 100 * SECOND);
	ck_assert_int_eq(alert->last_us, 104 * SECOND);
	struct actor_counters counters = actor_counters(bench.actor);
	ck_assert_uint_eq(counters.records, 6);
	ck_assert_uint_eq(counters.cells, 0);
	ck_assert_uint_eq(counters.cell_bytes, 0);
	bench_done(&bench);
}
END_TEST

START_TEST(suppression_counts_event_time)
{
	struct bench bench = bench_new(1, "picket: {suppress: {for: 5s}}\n", 0);
	login(&bench, 100);
	close_at(&bench, 0);
	ck_assert_uint_eq(only_change(&bench, true)->revision, 1);
	for (int i = 0; i < 8; i++)
		login(&bench, 104);
	close_at(&bench, 0);
	ck_assert_uint_eq(only_change(&bench, false)->count, 9);
	login(&bench, 105);
	close_at(&bench, 0);
	ck_assert_uint_eq(only_change(&bench, true)->revision, 2);
	bench_done(&bench);
}
END_TEST

START_TEST(late_events)
{
	struct bench bench = bench_new(3, "", 0);
	login(&bench, 100);
	login(&bench, 101);
	close_at(&bench, 105);
	login_as(&bench, "acme", "alice", 99, RECORD_LATE); /* the window still covers it */
	login_as(&bench, "acme", "alice", 94, RECORD_LATE); /* beyond */
	close_at(&bench, 105);
	const struct alert *alert = only_change(&bench, true);
	ck_assert_uint_eq(alert->flags, ALERT_LATE);
	ck_assert_uint_eq(alert->count, 3);
	ck_assert_int_eq(alert->first_us, 99 * SECOND);
	struct actor_counters counters = actor_counters(bench.actor);
	ck_assert_uint_eq(counters.late_counted, 1);
	ck_assert_uint_eq(counters.late_dropped, 1);
	close_at(&bench, INT64_MAX);
	login(&bench, 200); /* nothing more will come, it was said */
	close_at(&bench, INT64_MAX);
	ck_assert_uint_eq(actor_counters(bench.actor).late_dropped, 2);
	bench_done(&bench);
}
END_TEST

START_TEST(marks_of_an_alert)
{
	struct bench bench =
		bench_new(2, "picket: {stage: shadow, tenant: {scope: cross-tenant}}\n", 0);
	login_as(&bench, "acme", "alice", 100, RECORD_BACKFILL);
	login_as(&bench, "other", "alice", 101, RECORD_BACKFILL);
	close_at(&bench, 90);
	const struct alert *alert = only_change(&bench, true);
	ck_assert_uint_eq(alert->flags, ALERT_BACKFILL | ALERT_SHADOW);
	ck_assert(text_equal(alert->tenant, TEXT("")));
	bench_done(&bench);

	bench = bench_new(2, "", 0); /* tenants never share a group */
	login_as(&bench, "acme", "alice", 100, 0);
	login_as(&bench, "other", "alice", 101, 0);
	close_at(&bench, 90);
	ck_assert_uint_eq(bench.count, 0);
	bench_done(&bench);
}
END_TEST

START_TEST(two_alerts_become_one)
{
	struct bench bench = bench_new(2, "", 0);
	login(&bench, 100);
	login(&bench, 100);
	close_at(&bench, 50);
	char elder[ALERT_ID_SIZE + 1];
	memcpy(elder, only_change(&bench, true)->id, sizeof elder);
	login(&bench, 115);
	login(&bench, 115);
	close_at(&bench, 50);
	char younger[ALERT_ID_SIZE + 1];
	memcpy(younger, only_change(&bench, true)->id, sizeof younger);
	ck_assert_str_ne(elder, younger);
	login(&bench, 108);
	close_at(&bench, 50);
	ck_assert_uint_eq(bench.count, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct alert *alert = bench.changes[i].alert;
		bool stays = strcmp(alert->id, elder) == 0;
		ck_assert(bench.changes[i].announce);
		ck_assert_uint_eq(alert->revision, 2);
		ck_assert_int_eq(alert->state, stays ? ALERT_OPEN : ALERT_MERGED);
		ck_assert_str_eq(alert->merged_into, stays ? "" : elder);
		ck_assert_uint_eq(alert->count, stays ? 5 : 2);
	}
	bench_done(&bench);
}
END_TEST

/* A tenant that makes up groups harms itself, and it shows; the other one does not notice. */
START_TEST(caps_are_per_tenant)
{
	struct bench bench = bench_new(2, "", 2 * VIRTUAL_PARTITIONS);
	char user[16];
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(user, sizeof user, "u%d", i);
		login_as(&bench, "bad", user, 100, 0);
	}
	close_at(&bench, 90);
	struct actor_counters counters = actor_counters(bench.actor);
	ck_assert_uint_eq(counters.cells, 2 * VIRTUAL_PARTITIONS);
	ck_assert_uint_eq(counters.cells_refused, 5000 - 2 * VIRTUAL_PARTITIONS);
	login_as(&bench, "good", "alice", 100, 0);
	login_as(&bench, "good", "alice", 101, 0);
	for (int i = 0; i < 10; i++) {
		(void)snprintf(user, sizeof user, "u%d", i);
		login_as(&bench, "bad", user, 101, 0);
	}
	close_at(&bench, 90);
	size_t good = 0;
	size_t bad = 0;
	for (size_t i = 0; i < bench.count; i++) {
		const struct alert *alert = bench.changes[i].alert;
		bool is_good = text_equal(alert->tenant, TEXT("good"));
		good += is_good;
		bad += !is_good;
		ck_assert_uint_eq(alert->flags, is_good ? 0 : ALERT_DEGRADED);
	}
	ck_assert_uint_eq(good, 1);
	ck_assert_uint_ge(bad, 1);
	close_at(&bench, INT64_MAX);
	ck_assert_uint_eq(actor_counters(bench.actor).cells, 0);
	bench_done(&bench);
}
END_TEST

static void save(const struct bench *bench, struct bytes saved[VIRTUAL_PARTITIONS])
{
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		bytes_clear(&saved[i]);
		ck_assert_int_eq(actor_checkpoint(bench->actor, (uint8_t)i, &saved[i]), OK);
	}
}

static void load(struct bench *bench, struct bytes saved[VIRTUAL_PARTITIONS])
{
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		ck_assert_int_eq(actor_restore(bench->actor, bytes_text(&saved[i]), NULL), OK);
		bytes_done(&saved[i]);
	}
}

START_TEST(edited_rules_keep_their_state)
{
	static const struct {
		int at_least;
		size_t changes_at_once; /* by one more event */
	} cases[] = {{2, 1}, {3, 1}, {4, 0}, {1, 1}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bytes saved[VIRTUAL_PARTITIONS] = {0};
		struct bench old = bench_new(3, "", 0);
		login(&old, 100);
		login(&old, 101);
		close_at(&old, 95);
		save(&old, saved);
		bench_done(&old);
		struct bench new = bench_new(cases[i].at_least, "", 0);
		load(&new, saved);
		login(&new, 102);
		close_at(&new, 95);
		ck_assert_uint_eq(new.count, cases[i].changes_at_once);
		bench_done(&new);
	}
	/* A rule that is gone: its cells are dropped and counted, records for it too. */
	struct bytes saved[VIRTUAL_PARTITIONS] = {0};
	struct bench old = bench_new(3, "", 0);
	login(&old, 100);
	close_at(&old, 95);
	save(&old, saved);
	login(&old, 101);
	struct bench new = {.setup = setup_of("title: X\nname: x\nlogsource: {product: x}\n"
					      "detection: {s: {a: b}, condition: s}\n")};
	actor_start(&new, 0);
	load(&new, saved);
	ck_assert_uint_eq(actor_counters(new.actor).unknown_state, 1);
	bytes_put(&new.fed, old.fed.data, old.fed.size);
	close_at(&new, 95);
	ck_assert_uint_eq(actor_counters(new.actor).unknown_state, 2);
	bench_done(&old);
	bench_done(&new);
}
END_TEST

/* One tenant opens groups without end; the other one is guessed at slowly, a try every 40 seconds,
 * and its alert opens with the fifth try all the same. */
START_TEST(a_flood_of_groups_hides_nobody_else)
{
	char *yaml = NULL;
	ck_assert_int_gt(
		asprintf(&yaml, "title: Failed login\nname: failed\nlogsource: {product: x}\n"
				"level: informational\n"
				"detection: {s: {event.action: login}, condition: s}\n---\n"
				"title: Slow\nname: slow\nlevel: high\ncorrelation: {type: "
				"event_count, rules: [failed], group-by: [user.id], timespan: 1h, "
				"condition: {gte: 5}}\n"),
		0);
	struct bench bench = {.setup = setup_of(yaml)};
	free(yaml);
	actor_start(&bench, 2048);
	bool opened = false;
	for (int step = 0; step < 5; step++) {
		for (int i = 0; i < 4000; i++) {
			char user[16];
			(void)snprintf(user, sizeof user, "x%d", step * 4000 + i);
			login_as(&bench, "flood", user, step * 40, 0);
		}
		login_as(&bench, "victim", "ann", step * 40, 0);
		close_at(&bench, step * 40 - 10);
		for (size_t i = 0; i < bench.count; i++) {
			ck_assert(text_equal(bench.changes[i].alert->tenant, TEXT("victim")));
			ck_assert_int_eq(step, 4);
			ck_assert_uint_eq(bench.changes[i].alert->flags, 0);
			opened = true;
		}
	}
	struct actor_counters counters = actor_counters(bench.actor);
	ck_assert(opened);
	ck_assert_uint_gt(counters.cells_refused, 10000);
	ck_assert_uint_le(counters.cells, 2048 + 1);
	bench_done(&bench);
}
END_TEST

/* Damage in a checkpoint is refused or harmless: whatever was taken goes on without a crash. */
START_TEST(damaged_checkpoints)
{
	struct bench bench = bench_new(3, "", 0);
	struct bytes saved[VIRTUAL_PARTITIONS] = {0};
	for (int i = 0; i < 12; i++)
		login(&bench, 100 + i % 5 * 3);
	close_at(&bench, 95);
	save(&bench, saved);
	size_t refused = 0;
	size_t tried = 0;
	for (unsigned p = 0; p < VIRTUAL_PARTITIONS; p++) {
		for (size_t bit = 0; saved[p].size > 64 && bit < saved[p].size * 8; bit++) {
			struct error err;
			saved[p].data[bit / 8] ^= (unsigned char)(1 << bit % 8);
			actor_free(&bench.actor);
			actor_start(&bench, 0);
			tried++;
			if (actor_restore(bench.actor, bytes_text(&saved[p]), &err) == OK) {
				login(&bench, 103);
				login(&bench, 107);
				close_at(&bench, 95);
				close_at(&bench, INT64_MAX);
			} else {
				refused++;
			}
			saved[p].data[bit / 8] ^= (unsigned char)(1 << bit % 8);
		}
		bytes_done(&saved[p]);
	}
	ck_assert_uint_gt(refused, 100);
	ck_assert_uint_gt(tried, refused);
	bench_done(&bench);
}
END_TEST

START_TEST(damaged_records_are_refused_whole)
{
	struct bench bench = bench_new(1, "", 0);
	struct error err;
	login(&bench, 100);
	bytes_put_u8(&bench.fed, 9); /* a record that is cut off */
	ck_assert_int_eq(actor_feed(bench.actor, bytes_text(&bench.fed), &err), ECORRUPT);
	bytes_clear(&bench.fed);
	close_at(&bench, 90);
	ck_assert_uint_eq(bench.count, 0);
	bench_done(&bench);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("actor");
	tcase_add_test(tests, opens_grows_and_ends);
	tcase_add_test(tests, suppression_counts_event_time);
	tcase_add_test(tests, late_events);
	tcase_add_test(tests, marks_of_an_alert);
	tcase_add_test(tests, two_alerts_become_one);
	tcase_add_test(tests, caps_are_per_tenant);
	tcase_add_test(tests, edited_rules_keep_their_state);
	tcase_add_test(tests, damaged_checkpoints);
	tcase_add_test(tests, damaged_records_are_refused_whole);
	tcase_add_test(tests, a_flood_of_groups_hides_nobody_else);
	return run_tests("actor", tests);
}
