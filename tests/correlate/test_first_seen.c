/* first_seen against a plain reading of the sorted list of events: for every event, go through all
 * events before it and see whether the value was shown, by the group and by how many others of its
 * department, whether the group had learned, and how many values came newly within the burst
 * window. A department is what an event has in `bytes`. */
#include "correlate/peers.h"
#include "tests/correlate/stream_check.h"

struct novelty {
	unsigned ttl, learn, burst, quiet; /* seconds */
	unsigned learn_events, at_least;
	unsigned rare_below; /* 0: nobody is compared */
	bool chained;        /* over a correlation, which has one source and a department */
	const struct stream *stream;
};

enum { USERS = 6 };

static bool shows(const struct thing *thing, const char *value)
{
	return value[0] != '\0' &&
	       (strcmp(thing->source[0], value) == 0 || strcmp(thing->source[1], value) == 0);
}

static bool takes_part(const struct thing *thing)
{
	return thing->a && (thing->source[0][0] != '\0' || thing->source[1][0] != '\0');
}

/* When the group's present life began: the first event after a gap longer than the ttl. */
static size_t life_begin(const struct novelty *novelty, const struct thing *const *group, size_t at)
{
	size_t begin = at;
	for (size_t i = at; i-- > 0;) {
		if (group[begin]->time_us - group[i]->time_us > (int64_t)novelty->ttl * SECOND)
			break;
		begin = i;
	}
	return begin;
}

static bool has_learned(const struct novelty *novelty, const struct thing *const *group, size_t at)
{
	size_t begin = life_begin(novelty, group, at);
	size_t events = 0;
	while (begin + events < at && group[begin + events]->time_us < group[at]->time_us)
		events++;
	bool long_enough =
		group[at]->time_us - group[begin]->time_us >= (int64_t)novelty->learn * SECOND;
	return long_enough || (novelty->learn_events > 0 && events >= novelty->learn_events);
}

/* How many other users of the department have shown the value in the timespan before. */
static unsigned others_showing(const struct novelty *novelty, const struct thing *thing,
			       const char *value)
{
	bool shown[USERS] = {0};
	unsigned count = 0;
	for (size_t i = 0; i < novelty->stream->count; i++) {
		const struct thing *other = &novelty->stream->things[i];
		bool peer = strcmp(other->tenant, thing->tenant) == 0 &&
			    strcmp(other->amount, thing->amount) == 0 && thing->amount[0] != '\0' &&
			    other->user[0] != '\0' && strcmp(other->user, thing->user) != 0;
		if (peer && takes_part(other) && shows(other, value) &&
		    other->time_us < thing->time_us &&
		    thing->time_us - other->time_us <= (int64_t)novelty->ttl * SECOND)
			shown[other->user[1] - '0'] = true;
	}
	for (size_t i = 0; i < USERS; i++)
		count += shown[i];
	return count;
}

/* Whether enough others have, of the department of any event of that user and time. */
static bool is_common(const struct novelty *novelty, const struct thing *thing, const char *value)
{
	for (size_t i = 0; novelty->rare_below > 0 && i < novelty->stream->count; i++) {
		const struct thing *same = &novelty->stream->things[i];
		if (same->time_us == thing->time_us && takes_part(same) && shows(same, value) &&
		    strcmp(same->tenant, thing->tenant) == 0 &&
		    strcmp(same->user, thing->user) == 0 &&
		    others_showing(novelty, same, value) >= novelty->rare_below)
			return true;
	}
	return false;
}

static bool is_new(const struct novelty *novelty, const struct thing *const *group, size_t at,
		   const char *value)
{
	for (size_t i = 0; i < at; i++)
		if (group[i]->time_us < group[at]->time_us && shows(group[i], value) &&
		    group[at]->time_us - group[i]->time_us <= (int64_t)novelty->ttl * SECOND)
			return false;
	return value[0] != '\0' && has_learned(novelty, group, at) &&
	       !is_common(novelty, group[at], value);
}

/* How many values came newly at the time of the event. */
static size_t new_at(const struct novelty *novelty, const struct thing *const *group, size_t count,
		     size_t at)
{
	char values[2 * EVENTS_MAX][4];
	size_t different = 0;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < 2 && group[i]->time_us == group[at]->time_us; k++) {
			bool seen = false;
			for (size_t n = 0; n < different; n++)
				seen = seen || strcmp(values[n], group[i]->source[k]) == 0;
			if (!seen && is_new(novelty, group, i, group[i]->source[k]))
				memcpy(values[different++], group[i]->source[k], 4);
		}
	return different;
}

static void answer_group(const struct novelty *novelty, const struct thing *const *all,
			 size_t all_count, struct lines *lines)
{
	const struct thing *group[EVENTS_MAX];
	int64_t times[EVENTS_MAX];
	size_t count = 0;
	size_t told = 0;
	for (size_t i = 0; i < all_count; i++)
		if (takes_part(all[i]))
			group[count++] = all[i];
	for (size_t at = 0; at < count; at++) {
		size_t burst = 0;
		bool fresh = is_new(novelty, group, at, group[at]->source[0]) ||
			     is_new(novelty, group, at, group[at]->source[1]);
		for (size_t i = life_begin(novelty, group, at); i < count; i++)
			if ((i == 0 || group[i - 1]->time_us != group[i]->time_us) &&
			    group[i]->time_us <= group[at]->time_us &&
			    group[at]->time_us - group[i]->time_us <=
				    (int64_t)novelty->burst * SECOND)
				burst += new_at(novelty, group, count, i);
		if (fresh && burst >= novelty->at_least)
			times[told++] = group[at]->time_us;
	}
	if (told > 0)
		lines_of_times(lines, "s", group[0], times, told, (int64_t)novelty->quiet * SECOND);
}

static size_t alerts_expected;

/* Users, sources and departments at random. */
static void stream_people(struct stream *stream, const struct novelty *novelty, uint64_t *random)
{
	size_t sources = 1 + below(random, 8);
	size_t users = 1 + below(random, novelty->rare_below == 0 ? 2 : USERS);
	size_t departments = 1 + below(random, 3);
	stream_make(stream, random);
	for (size_t i = 0; i < stream->count; i++) {
		struct thing *thing = &stream->things[i];
		if (thing->user[0] != '\0')
			(void)snprintf(thing->user, sizeof thing->user, "u%zu",
				       below(random, users));
		if (novelty->chained)
			thing->source[1][0] = '\0';
		if (novelty->chained || below(random, 8) > 0)
			(void)snprintf(thing->amount, sizeof thing->amount, "%zu",
				       below(random, departments));
		for (size_t k = 0; k < 2; k++)
			if (thing->source[k][0] != '\0')
				(void)snprintf(thing->source[k], 4, "s%zu", below(random, sources));
	}
}

static void check_novelty(const struct setup *setup, struct novelty *novelty, struct sets *sets)
{
	static struct lines expected;
	struct stream stream = {0};
	stream_people(&stream, novelty, &sets->random);
	novelty->stream = &stream;
	expected.count = 0;
	for (size_t i = 0; i < 2 * USERS; i++) {
		const struct thing *group[EVENTS_MAX];
		char user[4];
		(void)snprintf(user, sizeof user, "u%zu", i / 2);
		size_t count = stream_group(&stream, i % 2 == 0 ? "t0" : "t1", user, group);
		answer_group(novelty, group, count, &expected);
	}
	alerts_expected += expected.count;
	check_stream(setup, &stream, &expected, sets);
}

START_TEST(first_times_are_those_of_a_plain_reading)
{
	struct sets sets = sets_begin(CASES_USUAL);
	while (sets_next(&sets, alerts_expected)) {
		struct novelty novelty = {.ttl = 2 + (unsigned)below(&sets.random, 30),
					  .learn = (unsigned)below(&sets.random, 4),
					  .burst = 1 + (unsigned)below(&sets.random, 10),
					  .quiet = 1 + (unsigned)below(&sets.random, 20),
					  .learn_events = (unsigned)below(&sets.random, 3),
					  .at_least = 1 + (unsigned)below(&sets.random, 3),
					  .rare_below = (unsigned)below(&sets.random, 4)};
		novelty.chained = below(&sets.random, 3) == 0;
		char events[32] = "";
		char peers[64] = "";
		char *yaml = NULL;
		novelty.burst = novelty.burst < novelty.ttl ? novelty.burst : novelty.ttl;
		if (novelty.chained)
			novelty.learn_events = 0;
		if (novelty.learn_events > 0)
			(void)snprintf(events, sizeof events, ", or-events: %u",
				       novelty.learn_events);
		if (novelty.rare_below > 0)
			(void)snprintf(peers, sizeof peers,
				       "peers: {by: [bytes], rare-below: %u}, ",
				       novelty.rare_below);
		ck_assert_int_gt(
			asprintf(
				&yaml,
				STREAM_RULES
				"title: K\nname: k\nlevel: informational\n"
				"correlation: {type: event_count, rules: [a], timespan: 1s, "
				"group-by: [user.id, source.ip, bytes], condition: {gte: 1}}\n"
				"---\n"
				"title: S\nname: s\nlevel: high\npicket: {dedup: {for: %us}}\n"
				"correlation: {type: first_seen, rules: [%s], group-by: [user.id], "
				"timespan: %us, learn: {for: %us%s}, %scondition: {field: "
				"source.ip, gte: %u, burst-window: %us}}\n",
				novelty.quiet, novelty.chained ? "k" : "a", novelty.ttl,
				novelty.learn, events, peers, novelty.at_least, novelty.burst),
			0);
		struct setup setup = setup_of(yaml);
		free(yaml);
		for (int i = 0; i < CASES_A_SET; i++)
			check_novelty(&setup, &novelty, &sets);
		setup_done(&setup);
	}
}
END_TEST

/* A value that so many show at once that their peers decide before the watermark has come. */
START_TEST(a_flood_of_what_peers_know_tells_nothing)
{
	enum { KNOWING = 3, FLOOD = PEERS_WAITING_MAX / 2 + 1000 };
	struct setup setup = setup_of(
		STREAM_RULES
		"title: S\nname: s\nlevel: high\ncorrelation: {type: first_seen, rules: [a], "
		"group-by: [user.id], timespan: 1h, learn: {for: 0s}, peers: {by: [service.name], "
		"rare-below: 3}, condition: {field: source.ip}}\n");
	struct bytes fed[ACTORS_MAX] = {0};
	struct record_sink sink = {fed, 1};
	struct route_counters counters = {0};
	uint32_t rule = rule_index(&setup, "a");
	struct run run;
	run_begin(&run, &setup, 1);
	for (int i = 0; i < KNOWING + FLOOD; i++) {
		struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
		struct event event = event_at((i < KNOWING ? 0 : 2 * SECOND) + i, i, "t0");
		char user[16];
		(void)snprintf(user, sizeof user, "u%d", i);
		event_put(&event, arena, "user.id", user);
		event_put(&event, arena, "source.ip", "192.0.2.1");
		event_put(&event, arena, "service.name", "login");
		ck_assert(plan_route(setup.plan, &event, &rule, 1, 0, &sink, &counters) == OK);
		if (i + 1 == KNOWING)
			run_epoch(&run, fed, SECOND);
	}
	run_epoch(&run, fed, SECOND);
	run_epoch(&run, fed, INT64_MAX);
	ck_assert_uint_eq(run.alert_count, KNOWING);
	run_end(&run);
	setup_done(&setup);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("first_seen");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, first_times_are_those_of_a_plain_reading);
	tcase_add_test(tests, a_flood_of_what_peers_know_tells_nothing);
	return run_tests("first_seen", tests);
}
