/* What breaks the silence between two revisions of an alert: a value that it has not shown yet, in
 * whatever order they come, and over a restart. */
#include "correlate/breaks.h"
#include "tests/correlate/fixture.h"

enum { MINUTE_US = 60 * 1000000 };

static const char rules[] =
	"title: Refused\nname: refused\nlogsource: {product: x}\nlevel: low\n"
	"detection: {s: {event.action: refuse}, condition: s}\n---\n"
	"title: Guessing\nname: guessing\nlevel: high\npicket: {suppress: {for: 6h, break-on: "
	"[source.ip, http.response.status_code]}}\n"
	"correlation: {type: event_count, rules: [refused], group-by: [user.id], timespan: 10m, "
	"condition: {gte: 2}}\n";

struct life {
	struct setup setup;
	struct actor *actor;
	int64_t minute;
};

static struct life life_begin(void)
{
	struct life life = {.setup = setup_of(rules)};
	struct actor_options options = {.plan = life.setup.plan, .actor_count = 1};
	ck_assert_int_eq(actor_new(&options, &life.actor, NULL), OK);
	return life;
}

static void life_end(struct life *life)
{
	actor_free(&life->actor);
	setup_done(&life->setup);
}

/* A refusal in the next minute; the revision that is announced then, 0: none. */
static unsigned refusal(struct life *life, const char *address, const char *code)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 16);
	struct bytes fed cleanup(bytes_done) = {0};
	struct bytes out cleanup(bytes_done) = {0};
	struct record_sink sink = {&fed, 1};
	struct record_sink exchange = {&out, 1};
	struct route_counters counters = {0};
	uint32_t rule = rule_index(&life->setup, "refused");
	int64_t now_us = ++life->minute * MINUTE_US;
	struct event event = event_at(now_us, life->minute, "acme");
	event_put(&event, arena, "user.id", "ann");
	event_put(&event, arena, "source.ip", address);
	event_put(&event, arena, "http.response.status_code", code);
	ck_assert_int_eq(plan_route(life->setup.plan, &event, &rule, 1, 0, &sink, &counters), OK);
	ck_assert_int_eq(actor_feed(life->actor, bytes_text(&fed), NULL), OK);
	uint64_t epoch = (uint64_t)life->minute;
	ck_assert_int_eq(actor_round(life->actor, epoch, now_us - MINUTE_US, &exchange, NULL), OK);
	ck_assert_int_eq(actor_close(life->actor, epoch, now_us - MINUTE_US, NULL), OK);
	size_t count = 0;
	const struct alert_change *changes = actor_changes(life->actor, &count);
	ck_assert_uint_le(count, 1);
	return count == 1 && changes[0].announce ? changes[0].alert->revision : 0;
}

/* Another actor goes on with what this one has stored. */
static void restart(struct life *life)
{
	struct actor *next = NULL;
	struct actor_options options = {.plan = life->setup.plan, .actor_count = 1};
	ck_assert_int_eq(actor_new(&options, &next, NULL), OK);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		struct bytes saved cleanup(bytes_done) = {0};
		ck_assert_int_eq(actor_checkpoint(life->actor, (uint8_t)i, &saved), OK);
		ck_assert_int_eq(actor_restore(next, bytes_text(&saved), NULL), OK);
	}
	actor_free(&life->actor);
	life->actor = next;
}

START_TEST(a_new_value_is_told_at_once)
{
	struct life life = life_begin();
	ck_assert_uint_eq(refusal(&life, "198.51.100.1", "401"), 0);
	ck_assert_uint_eq(refusal(&life, "198.51.100.1", "401"), 1); /* opens */
	ck_assert_uint_eq(refusal(&life, "198.51.100.1", "401"), 0);
	ck_assert_uint_eq(refusal(&life, "198.51.100.2", "401"), 2); /* another address */
	ck_assert_uint_eq(refusal(&life, "198.51.100.1", "401"), 0);
	restart(&life);
	ck_assert_uint_eq(refusal(&life, "198.51.100.2", "401"), 0); /* it is remembered */
	ck_assert_uint_eq(refusal(&life, "198.51.100.2", "403"), 3); /* the other field */
	ck_assert_uint_eq(refusal(&life, "198.51.100.1", "403"), 0);
	life_end(&life);
}
END_TEST

START_TEST(a_flood_of_values_is_no_flood_of_news)
{
	struct life life = life_begin();
	char address[32];
	unsigned told = 0;
	for (unsigned i = 0; i < 4 * BREAKS_MAX; i++) {
		(void)snprintf(address, sizeof address, "198.51.100.%u", i);
		told += refusal(&life, address, "401") > 0;
	}
	/* One mark is the code's, one address came before the alert opened with the second. */
	ck_assert_uint_eq(told, BREAKS_MAX - 2);
	life_end(&life);
}
END_TEST

START_TEST(marks_are_a_set)
{
	uint64_t state = 7;
	for (unsigned round = 0; round < 200; round++) {
		struct breaks one cleanup(breaks_done) = {0};
		struct breaks other cleanup(breaks_done) = {0};
		struct breaks read cleanup(breaks_done) = {0};
		struct bytes first cleanup(bytes_done) = {0};
		struct bytes second cleanup(bytes_done) = {0};
		uint64_t marks[BREAKS_MAX / 2];
		unsigned count = (unsigned)(next_random(&state) % (BREAKS_MAX / 2));
		for (unsigned i = 0; i < count; i++)
			marks[i] = next_random(&state) % 40;
		for (unsigned i = 0; i < count; i++) {
			bool fresh = false, again = false;
			ck_assert_int_eq(breaks_add(&one, marks[i], &fresh), OK);
			ck_assert_int_eq(breaks_add(&one, marks[i], &again), OK);
			ck_assert(!again);
			ck_assert_int_eq(breaks_add(&other, marks[count - 1 - i], &fresh), OK);
		}
		breaks_encode(&one, &first);
		breaks_encode(&other, &second);
		ck_assert(text_equal(bytes_text(&first), bytes_text(&second)));
		struct cursor from = cursor_of(bytes_text(&first));
		ck_assert_int_eq(breaks_decode(&from, &read), OK);
		ck_assert_uint_eq(cursor_left(&from), 0);
		ck_assert_uint_eq(read.count, one.count);
		ck_assert_int_eq(breaks_join(&read, &other), OK);
		ck_assert_uint_eq(read.count, one.count);
		for (size_t cut = 0; cut < first.size; cut++) {
			struct breaks none cleanup(breaks_done) = {0};
			from = cursor_of((struct text){(const char *)first.data, cut});
			ck_assert_int_eq(breaks_decode(&from, &none), ECORRUPT);
		}
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("breaks");
	tcase_add_test(tests, a_new_value_is_told_at_once);
	tcase_add_test(tests, a_flood_of_values_is_no_flood_of_news);
	tcase_add_test(tests, marks_are_a_set);
	return run_tests("breaks", tests);
}
