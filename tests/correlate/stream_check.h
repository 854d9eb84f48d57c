/* stream_check - one set of rules against its oracle: arrivals, cuts, restarts.
 *
 * Why: every type is proved the same way: several orders of arrival within the lateness, cut into
 * epochs anywhere, by any number of actors, must give what the oracle gives for the sorted list of
 * events; and a run with restarts must say exactly what one without says, also when it has no
 * memory and spills every cell at every close.
 * Owner: each test that includes it. Limits: EVENTS_MAX events. */
#ifndef PICKET_TESTS_CORRELATE_STREAM_CHECK_H
#define PICKET_TESTS_CORRELATE_STREAM_CHECK_H

#include "tests/correlate/stream_run.h"

enum { CHECK_ARRIVALS = 20, CASES_A_SET = 25, CASES_USUAL = 1000 };

/* How many sets of rules, each with CASES_A_SET streams: for `usual` cases, or as many as
 * PICKET_TEST_CASES asks for. */
static inline int sets_wanted(long usual)
{
	const char *given = getenv("PICKET_TEST_CASES");
	long cases = given != NULL ? strtol(given, NULL, 10) : usual;
	return cases < CASES_A_SET ? 1 : (int)(cases / CASES_A_SET);
}

/* At the end of a set: a long run tells how far it is, a short one how much it was. */
static inline void sets_told(int set, int sets, size_t alerts)
{
	int cases = (set + 1) * CASES_A_SET;
	bool last = set + 1 == sets;
	if (last || cases % 50000 == 0)
		printf("%d cases, %d arrivals and a restart each, %zu alerts expected\n", cases,
		       CHECK_ARRIVALS, alerts);
	(void)fflush(stdout);
	ck_assert(!last || alerts > 100);
}

static inline void check_stream(const struct setup *setup, struct stream *stream,
				struct lines *expected, uint64_t *random, int number)
{
	static struct routed routed;
	bool cuts[EVENTS_MAX];
	stream_route(setup, stream, &routed);
	for (int arrival = 0; arrival < CHECK_ARRIVALS; arrival++) {
		struct run run;
		struct run restarted;
		size_t density = 1 + below(random, 20);
		stream_shuffle(stream, random);
		for (size_t i = 0; i < stream->count; i++)
			cuts[i] = below(random, density) == 0;
		run_begin(&run, setup, 1 + (unsigned)below(random, ACTORS_MAX));
		run_stream(&run, stream, &routed, cuts, 0);
		compare_with_oracle(&run, expected, number);
		if (arrival == CHECK_ARRIVALS - 1) {
			run_begin_within(&restarted, setup, 1 + (unsigned)below(random, ACTORS_MAX),
					 below(random, 2));
			run_stream(&restarted, stream, &routed, cuts, next_random(random) | 1);
			ck_assert_msg(
				text_equal(bytes_text(&run.log), bytes_text(&restarted.log)),
				"case %d: a restart, or a budget of %zu bytes, changed what is said",
				number, restarted.memory_max);
			run_end(&restarted);
		}
		run_end(&run);
	}
}

/* The events of one tenant and user, in order of time. */
static inline size_t stream_group(const struct stream *stream, const char *tenant, const char *user,
				  const struct thing **group)
{
	size_t count = 0;
	for (size_t i = 0; i < stream->count; i++)
		if (strcmp(stream->things[i].tenant, tenant) == 0 &&
		    strcmp(stream->things[i].user, user) == 0)
			group[count++] = &stream->things[i];
	return count;
}

/* Ascending times of contributing events as alerts: chains of neighbours at most quiet_us apart. */
static inline void lines_of_times(struct lines *lines, const char *rule, const struct thing *like,
				  const int64_t *times, size_t count, int64_t quiet_us)
{
	char name[16];
	size_t first = 0;
	(void)snprintf(name, sizeof name, "user.id=%s", like->user);
	for (size_t i = 1; i <= count; i++) {
		if (i < count && times[i] - times[i - 1] <= quiet_us)
			continue;
		line_add(lines, rule, like->tenant, name, times[first], times[i - 1], i - first,
			 "high");
		first = i;
	}
}

/* Three informational rules a, b and c. */
#define STREAM_RULES                                                         \
	"title: A\nname: a\nlogsource: {product: x}\nlevel: informational\n" \
	"detection: {s: {event.action: a}, condition: s}\n---\n"             \
	"title: B\nname: b\nlogsource: {product: x}\nlevel: informational\n" \
	"detection: {s: {event.action: b}, condition: s}\n---\n"             \
	"title: C\nname: c\nlogsource: {product: x}\nlevel: informational\n" \
	"detection: {s: {event.action: c}, condition: s}\n---\n"

#endif
