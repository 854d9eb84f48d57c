/* absence against a plain reading: between two events of a group, and behind the last as far as the
 * watermark went, it is missed once per timespan. And members of a list, who need no event at all.
 */
#include "correlate/gated.h"
#include "tests/correlate/stream_check.h"

enum { AFTER = 12 };

static size_t alerts_expected;

/* time_us: how far the watermark went before the end of the input. */
static void answer_group(const struct thing *const *all, size_t all_count, unsigned span,
			 unsigned forget, int64_t end_us, struct lines *lines)
{
	const struct thing *group[EVENTS_MAX];
	int64_t times[ITEMS_MAX];
	int64_t span_us = (int64_t)span * SECOND;
	size_t count = 0;
	size_t told = 0;
	for (size_t i = 0; i < all_count; i++)
		if (all[i]->a)
			group[count++] = all[i];
	for (size_t i = 0; i < count; i++) {
		int64_t until_us = i + 1 < count ? group[i + 1]->time_us : end_us;
		for (int64_t gap_us = span_us;
		     group[i]->time_us + gap_us < until_us &&
		     (gap_us <= (int64_t)forget * SECOND || gap_us == span_us);
		     gap_us += span_us)
			times[told++] = group[i]->time_us + gap_us;
	}
	if (told > 0)
		lines_of_times(lines, "s", group[0], times, told, span_us);
}

static void check_absence(const struct setup *setup, unsigned span, unsigned forget,
			  struct sets *sets)
{
	static struct lines expected;
	static const char *const names[][2] = {
		{"t0", "u0"}, {"t0", "u1"}, {"t1", "u0"}, {"t1", "u1"}};
	struct stream stream = {0};
	stream_make(&stream, &sets->random);
	for (size_t i = 0; i < stream.count; i++)
		stream.things[i].a = below(&sets->random, 3) == 0;
	expected.count = 0;
	int64_t end_us = stream.things[stream.count - 1].time_us + SECOND;
	for (size_t i = 0; i < 4; i++) {
		const struct thing *group[EVENTS_MAX];
		size_t count = stream_group(&stream, names[i][0], names[i][1], group);
		answer_group(group, count, span, forget, end_us, &expected);
	}
	alerts_expected += expected.count;
	check_stream(setup, &stream, &expected, sets);
}

START_TEST(silences_are_those_of_a_plain_reading)
{
	struct sets sets = sets_begin(CASES_USUAL);
	while (sets_next(&sets, alerts_expected)) {
		unsigned span = 1 + (unsigned)below(&sets.random, 10);
		unsigned forget = 1 + (unsigned)below(&sets.random, 40);
		char *yaml = NULL;
		ck_assert_int_gt(asprintf(&yaml,
					  STREAM_RULES
					  "title: S\nname: s\nlevel: high\ncorrelation: {type: "
					  "absence, rules: [a], group-by: [user.id], timespan: "
					  "%us, forget: %us}\n",
					  span, forget),
				 0);
		struct setup setup = setup_of(yaml);
		free(yaml);
		for (int i = 0; i < CASES_A_SET; i++)
			check_absence(&setup, span, forget, &sets);
		setup_done(&setup);
	}
}
END_TEST

/* Second by second: who was heard is awaited, until nothing was heard of it for `within`. */
static void answer_heard(const struct thing *const *group, size_t count, unsigned span,
			 unsigned within, struct lines *lines, int64_t last_us)
{
	int64_t times[ITEMS_MAX];
	size_t told = 0;
	size_t next = 0;
	bool awaited = false;
	int64_t since_us = 0;
	int64_t heard_us = 0;
	for (int64_t now_us = 0; now_us <= last_us; now_us += SECOND) {
		for (; next < count && group[next]->time_us == now_us; next++) {
			heard_us = now_us;
			if (!awaited || group[next]->a)
				since_us = now_us;
			awaited = true;
		}
		if (!awaited || now_us == since_us ||
		    (now_us - since_us) % ((int64_t)span * SECOND) != 0)
			continue;
		awaited = now_us - heard_us <= (int64_t)within * SECOND;
		if (awaited)
			times[told++] = now_us;
	}
	if (told > 0)
		lines_of_times(lines, "s", group[0], times, told, (int64_t)span * SECOND);
}

static void check_heard(const struct setup *setup, unsigned span, unsigned within,
			struct sets *sets)
{
	static struct lines expected;
	static const char *const names[][2] = {
		{"t0", "u0"}, {"t0", "u1"}, {"t1", "u0"}, {"t1", "u1"}};
	struct stream stream = {0};
	stream_make(&stream, &sets->random);
	for (size_t i = 0; i < stream.count; i++)
		stream.things[i].a = below(&sets->random, 4) == 0;
	expected.count = 0;
	for (size_t i = 0; i < 4; i++) {
		const struct thing *group[EVENTS_MAX];
		size_t count = stream_group(&stream, names[i][0], names[i][1], group);
		answer_heard(group, count, span, within, &expected,
			     stream.things[stream.count - 1].time_us);
	}
	alerts_expected += expected.count;
	check_stream(setup, &stream, &expected, sets);
}

START_TEST(whoever_was_heard_is_awaited)
{
	struct sets sets = sets_begin(CASES_USUAL);
	alerts_expected = 0;
	while (sets_next(&sets, alerts_expected)) {
		unsigned span = 1 + (unsigned)below(&sets.random, 10);
		unsigned within = span + (unsigned)below(&sets.random, 30);
		char *yaml = NULL;
		ck_assert_int_gt(asprintf(&yaml,
					  STREAM_RULES
					  "title: S\nname: s\nlevel: high\ncorrelation: {type: "
					  "absence, rules: [a], group-by: [user.id], timespan: "
					  "%us, members: {seen-within: %us}}\n",
					  span, within),
				 0);
		struct setup setup = setup_of(yaml);
		free(yaml);
		for (int i = 0; i < CASES_A_SET; i++)
			check_heard(&setup, span, within, &sets);
		setup_done(&setup);
	}
}
END_TEST

static size_t records_heard(const struct setup *setup, int64_t time_us, struct hearing *hearing,
			    struct bytes *to)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct event event = event_at(time_us, 1, "t0");
	struct record_sink sink = {to, 1};
	uint64_t before = hearing->records;
	event_put(&event, arena, "user.id", "u0");
	ck_assert_int_eq(plan_hear(setup->plan, &event, 0, hearing, &sink), OK);
	return hearing->records - before;
}

/* A second is told once, as of its end; what was forgotten is told again. */
START_TEST(a_second_is_heard_once)
{
	struct setup setup =
		setup_of(STREAM_RULES "title: S\nname: s\nlevel: high\ncorrelation: {type: "
				      "absence, rules: [a], group-by: [user.id], timespan: 5m, "
				      "members: {seen-within: 1h}}\n");
	struct hearing hearing = {0};
	struct bytes told cleanup(bytes_done) = {0};
	struct match_record record;
	ck_assert_uint_eq(records_heard(&setup, SECOND + 1, &hearing, &told), 1);
	ck_assert_uint_eq(records_heard(&setup, 2 * SECOND - 1, &hearing, &told), 0);
	ck_assert_uint_eq(records_heard(&setup, 2 * SECOND, &hearing, &told), 0);
	ck_assert_uint_eq(records_heard(&setup, 2 * SECOND + 1, &hearing, &told), 1);
	hearing = (struct hearing){0};
	ck_assert_uint_eq(records_heard(&setup, SECOND + 1, &hearing, &told), 1);
	struct cursor from = cursor_of(bytes_text(&told));
	for (int64_t second = 2; second <= 4; second++) {
		ck_assert_int_eq(record_decode(&from, &record, NULL), OK);
		ck_assert_int_eq(record.time_us, (second == 4 ? 2 : second) * SECOND);
	}
	bytes_clear(&told);
	ck_assert_uint_eq(records_heard(&setup, -1, &hearing, &told), 1);
	ck_assert_uint_eq(records_heard(&setup, -SECOND, &hearing, &told), 1);
	from = cursor_of(bytes_text(&told));
	ck_assert_int_eq(record_decode(&from, &record, NULL), OK);
	ck_assert_int_eq(record.time_us, 0);
	ck_assert_int_eq(record_decode(&from, &record, NULL), OK);
	ck_assert_int_eq(record.time_us, -SECOND);
	setup_done(&setup);
}
END_TEST

static void close_at(struct actor *actor, uint64_t epoch, int64_t watermark_us)
{
	struct bytes out cleanup(bytes_done) = {0};
	struct record_sink exchange = {&out, 1};
	ck_assert_int_eq(actor_feed(actor, TEXT(""), NULL), OK);
	ck_assert_int_eq(actor_round(actor, epoch, watermark_us, &exchange, NULL), OK);
	ck_assert_int_eq(actor_close(actor, epoch, watermark_us, NULL), OK);
}

/* A partition that stalls holds the watermark for long: what waits is thinned out, not cut. */
START_TEST(many_events_that_wait_make_no_silence)
{
	enum { SECONDS = GATED_ENTRIES_MAX + 8192 };
	struct setup setup =
		setup_of(STREAM_RULES "title: S\nname: s\nlevel: high\ncorrelation: {type: "
				      "absence, rules: [a], group-by: [user.id], timespan: 5m}\n");
	struct actor_options options = {.plan = setup.plan, .actor_count = 1};
	struct actor *actor = NULL;
	ck_assert_int_eq(actor_new(&options, &actor, NULL), OK);
	struct bytes fed cleanup(bytes_done) = {0};
	struct bytes out cleanup(bytes_done) = {0};
	struct record_sink exchange = {&out, 1};
	for (int64_t i = 0; i < SECONDS; i++) {
		struct thing thing = {.time_us = i * SECOND, .offset = i, .a = true};
		(void)strcpy(thing.tenant, "t0");
		(void)strcpy(thing.user, "u0");
		route(&setup, &thing, &(struct record_sink){&fed, 1});
		if (i % 4096 != 4095)
			continue;
		ck_assert_int_eq(actor_feed(actor, bytes_text(&fed), NULL), OK);
		bytes_clear(&fed);
		ck_assert_int_eq(actor_round(actor, 1, 0, &exchange, NULL), OK);
		ck_assert_int_eq(actor_close(actor, 1, 0, NULL), OK);
		ck_assert_uint_lt(actor_counters(actor).cell_bytes, SECONDS);
	}
	close_at(actor, 2, (SECONDS - 1) * (int64_t)SECOND);
	size_t count = 0;
	(void)actor_changes(actor, &count);
	ck_assert_uint_eq(count, 0);
	close_at(actor, 3, (SECONDS + 300) * (int64_t)SECOND);
	(void)actor_changes(actor, &count);
	ck_assert_uint_eq(count, 1);
	actor_free(&actor);
	setup_done(&setup);
}
END_TEST

static void beat_at(const struct setup *setup, struct actor *actor, int64_t second)
{
	struct thing thing = {.time_us = second * SECOND, .offset = second, .a = true};
	struct bytes fed cleanup(bytes_done) = {0};
	(void)strcpy(thing.tenant, "t0");
	(void)strcpy(thing.user, "u0");
	route(setup, &thing, &(struct record_sink){&fed, 1});
	ck_assert_int_eq(actor_feed(actor, bytes_text(&fed), NULL), OK);
}

static enum alert_state state_of_only(const struct actor *actor, uint64_t times_missed)
{
	size_t count = 0;
	const struct alert_change *changes = actor_changes(actor, &count);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(changes[0].alert->count, times_missed);
	return changes[0].alert->state;
}

/* Nobody is kept awake for as long again as the silence that is asked for. */
START_TEST(who_is_back_is_missed_no_more)
{
	struct setup setup =
		setup_of(STREAM_RULES "title: S\nname: s\nlevel: high\ncorrelation: {type: "
				      "absence, rules: [a], group-by: [user.id], timespan: 5m}\n");
	struct actor_options options = {.plan = setup.plan, .actor_count = 1};
	struct actor *actor = NULL;
	size_t count = 0;
	ck_assert_int_eq(actor_new(&options, &actor, NULL), OK);
	beat_at(&setup, actor, 0);
	close_at(actor, 1, 601 * (int64_t)SECOND);
	ck_assert_int_eq(state_of_only(actor, 2), ALERT_OPEN);
	beat_at(&setup, actor, 610);
	close_at(actor, 2, 610 * (int64_t)SECOND); /* an earlier one may still come */
	(void)actor_changes(actor, &count);
	ck_assert_uint_eq(count, 0);
	close_at(actor, 3, 610 * (int64_t)SECOND + 1);
	ck_assert_int_eq(state_of_only(actor, 2), ALERT_ENDED);
	close_at(actor, 4, 911 * (int64_t)SECOND);
	ck_assert_int_eq(state_of_only(actor, 1), ALERT_OPEN); /* another one */
	beat_at(&setup, actor, 1000);
	beat_at(&setup, actor, 1400); /* back, and gone again, in one epoch */
	close_at(actor, 5, 1401 * (int64_t)SECOND);
	(void)actor_changes(actor, &count);
	ck_assert_uint_eq(count, 2);
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(actor_changes(actor, &count)[i].alert->state, ALERT_ENDED);
	actor_free(&actor);
	setup_done(&setup);
}
END_TEST

START_TEST(a_member_that_never_spoke_is_missed)
{
	struct setup setup = setup_of(
		STREAM_RULES "title: S\nname: s\nlevel: high\n"
			     "picket: {tenant: {scope: cross-tenant}}\n"
			     "correlation: {type: absence, rules: [a], group-by: [service.name], "
			     "timespan: 5m, members: [login, billing, search]}\n");
	struct actor_options options = {.plan = setup.plan, .actor_count = 1};
	struct actor *actor = NULL;
	size_t count = 0;
	ck_assert_int_eq(actor_new(&options, &actor, NULL), OK);
	close_at(actor, 1, 1000 * (int64_t)SECOND); /* the time is known: they are awaited */
	close_at(actor, 2, 1300 * (int64_t)SECOND);
	ck_assert_uint_eq(actor_counters(actor).cells, 3);
	(void)actor_changes(actor, &count);
	ck_assert_uint_eq(count, 0); /* at the edge of the timespan they may still come */
	close_at(actor, 3, 1300 * (int64_t)SECOND + 1);
	const struct alert_change *changes = actor_changes(actor, &count);
	ck_assert_uint_eq(count, 3);
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(changes[i].alert->first_us, 1300 * (int64_t)SECOND);
		ck_assert_uint_eq(changes[i].alert->evidence_count, 0);
	}
	close_at(actor, 4, INT64_MAX); /* the end of the input proves nothing more */
	changes = actor_changes(actor, &count);
	for (size_t i = 0; i < count; i++)
		ck_assert_uint_eq(changes[i].alert->count, 1);
	ck_assert_uint_eq(actor_counters(actor).cells, 0);
	actor_free(&actor);
	setup_done(&setup);
}
END_TEST

static struct setup members_setup(const char *members)
{
	char *yaml = NULL;
	ck_assert_int_gt(asprintf(&yaml,
				  STREAM_RULES
				  "title: S\nname: s\nlevel: high\n"
				  "picket: {tenant: {scope: cross-tenant}}\n"
				  "correlation: {type: absence, rules: [a], group-by: "
				  "[service.name], timespan: 5m, forget: 10m, members: [%s]}\n",
				  members),
			 0);
	struct setup setup = setup_of(yaml);
	free(yaml);
	return setup;
}

/* The actor's partitions into one that has none yet; what the last of them said. */
static enum status restore_all(const struct actor *from, struct actor *to)
{
	enum status status = OK;
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS && status == OK; i++) {
		struct bytes saved cleanup(bytes_done) = {0};
		ck_assert_int_eq(actor_checkpoint(from, (uint8_t)i, &saved), OK);
		status = actor_restore(to, bytes_text(&saved), NULL);
	}
	return status;
}

/* Taken off the list, a member is missed for `forget` and no longer; put on it, one that was seen
 * is missed for ever; whoever stays on it is missed as before. */
START_TEST(members_change_with_the_rules)
{
	struct setup before = members_setup("login, billing");
	struct setup after = members_setup("login, search");
	struct actor_options options = {.plan = before.plan, .actor_count = 1};
	struct actor *actor = NULL;
	struct actor *next = NULL;
	ck_assert_int_eq(actor_new(&options, &actor, NULL), OK);
	close_at(actor, 1, 1000 * (int64_t)SECOND);
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct event event = event_at(1050 * (int64_t)SECOND, 1, "t0");
	struct bytes fed cleanup(bytes_done) = {0};
	struct record_sink sink = {&fed, 1};
	struct route_counters counters = {0};
	uint32_t rule = rule_index(&before, "a");
	event_put(&event, arena, "service.name", "search");
	ck_assert_int_eq(plan_route(before.plan, &event, &rule, 1, 0, &sink, &counters), OK);
	ck_assert_int_eq(actor_feed(actor, bytes_text(&fed), NULL), OK);
	close_at(actor, 2, 1100 * (int64_t)SECOND);
	ck_assert_uint_eq(actor_counters(actor).cells, 3);
	options.plan = after.plan;
	ck_assert_int_eq(actor_new(&options, &next, NULL), OK);
	ck_assert_int_eq(restore_all(actor, next), OK);
	for (uint64_t epoch = 3; epoch < 33; epoch++) /* ten minutes later, and again */
		close_at(next, epoch, (1100 + 600 * (int64_t)(epoch - 2)) * SECOND);
	ck_assert_uint_eq(actor_counters(next).cells, 2);
	size_t count = 0;
	const struct alert_change *changes = actor_changes(next, &count);
	ck_assert_uint_eq(count, 2);
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(changes[i].alert->state, ALERT_OPEN);
		ck_assert_uint_ge(changes[i].alert->count, 59); /* every five minutes of 18,100 s */
	}
	actor_free(&actor);
	actor_free(&next);
	setup_done(&before);
	setup_done(&after);
}
END_TEST

/* A damaged time of long ago would be followed by a miss per timespan since then. */
START_TEST(a_silence_since_ever_is_damage)
{
	struct setup setup = members_setup("login");
	struct actor_options options = {.plan = setup.plan, .actor_count = 1};
	struct actor *actor = NULL;
	struct bytes was cleanup(bytes_done) = {0};
	struct bytes damaged cleanup(bytes_done) = {0};
	size_t replaced = 0;
	bytes_put_signed(&was, 1000 * (int64_t)SECOND);
	bytes_put_signed(&damaged, -1000 * (int64_t)SECOND);
	ck_assert_uint_eq(was.size, damaged.size);
	ck_assert_int_eq(actor_new(&options, &actor, NULL), OK);
	close_at(actor, 1, 1000 * (int64_t)SECOND);
	close_at(actor, 2, 1200 * (int64_t)SECOND);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		struct bytes saved cleanup(bytes_done) = {0};
		struct actor *other = NULL;
		ck_assert_int_eq(actor_checkpoint(actor, (uint8_t)i, &saved), OK);
		void *at = memmem(saved.data, saved.size, was.data, was.size);
		if (at == NULL)
			continue;
		memcpy(at, damaged.data, damaged.size);
		replaced++;
		ck_assert_int_eq(actor_new(&options, &other, NULL), OK);
		ck_assert_int_eq(actor_restore(other, bytes_text(&saved), NULL), ECORRUPT);
		actor_free(&other);
	}
	ck_assert_uint_eq(replaced, 1);
	actor_free(&actor);
	setup_done(&setup);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("absence");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, silences_are_those_of_a_plain_reading);
	tcase_add_test(tests, whoever_was_heard_is_awaited);
	tcase_add_test(tests, a_second_is_heard_once);
	tcase_add_test(tests, many_events_that_wait_make_no_silence);
	tcase_add_test(tests, who_is_back_is_missed_no_more);
	tcase_add_test(tests, a_member_that_never_spoke_is_missed);
	tcase_add_test(tests, members_change_with_the_rules);
	tcase_add_test(tests, a_silence_since_ever_is_damage);
	return run_tests("absence", tests);
}
