/* stream_check - one set of rules against its oracle: arrivals, cuts, restarts.
 *
 * Why: every type is proved the same way: several orders of arrival within the lateness, cut into
 * epochs anywhere, by any number of actors, must give what the oracle gives for the sorted list of
 * events; and a run with restarts must say exactly what one without says, also when it has no
 * memory and spills every cell at every close.
 * Owner: each test that includes it. Limits: EVENTS_MAX events. */
#ifndef PICKET_TESTS_CORRELATE_STREAM_CHECK_H
#define PICKET_TESTS_CORRELATE_STREAM_CHECK_H

#include "tests/correlate/sets.h"
#include "tests/correlate/stream_run.h"

/* A restart in between, with a budget or without, changes nothing of what is said. */
static inline void check_restart(const struct run *run, const struct stream *stream,
				 const struct routed *routed, const bool *cuts, struct sets *sets)
{
	uint64_t *random = &sets->random;
	struct run restarted;
	run_begin_within(&restarted, run->setup, actors_some(random), below(random, 2));
	run_stream(&restarted, stream, routed, cuts, next_random(random) | 1);
	ck_assert_msg(text_equal(bytes_text(&run->log), bytes_text(&restarted.log)),
		      "seed %llu, case %ld: a restart, or a budget of %zu bytes, changed what is "
		      "said",
		      (unsigned long long)sets->seed, sets->cases % CASES_A_SET,
		      restarted.memory_max);
	run_end(&restarted);
}

/* One case: the stream in CHECK_ARRIVALS orders, the last of them also with restarts. */
static inline void check_stream(const struct setup *setup, struct stream *stream,
				struct lines *expected, struct sets *sets)
{
	static struct routed routed;
	uint64_t *random = &sets->random;
	bool cuts[EVENTS_MAX];
	sets->cases++;
	stream_route(setup, stream, &routed);
	qsort(expected->all, expected->count, sizeof *expected->all, compare_lines);
	for (int arrival = 0; arrival < CHECK_ARRIVALS; arrival++) {
		struct run run;
		char difference[3 * LINE_PRINTED_MAX];
		size_t density = 1 + below(random, 20);
		stream_shuffle(stream, random);
		for (size_t i = 0; i < stream->count; i++)
			cuts[i] = below(random, density) == 0;
		bool last = arrival == CHECK_ARRIVALS - 1;
		run_begin(&run, setup, actors_some(random));
		run.ends_only = !last;
		run_stream(&run, stream, &routed, cuts, 0);
		if (run_differs(&run, expected, difference))
			ck_abort_msg("seed %llu, case %ld: %s", (unsigned long long)sets->seed,
				     sets->cases % CASES_A_SET, difference);
		if (last)
			check_restart(&run, stream, &routed, cuts, sets);
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
