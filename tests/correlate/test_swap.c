/* Rules edited while the engine runs, or while it was down. Every edit of every type either keeps
 * what the rule remembers or makes it another rule that starts empty; never is a cell read as
 * something it was not written as, and never does a checkpoint that is whole count as damaged. */
#include "tests/correlate/stream_check.h"

enum { STREAMS = 24, WALKS = 20, SWAP_EVERY = 9 };

enum edit { KEEPS, STARTS };

#define GROUPED            "group-by: [user.id], "
#define SPAN               GROUPED "timespan: 9s, "
#define COUNT              "type: event_count, rules: [a, b], " SPAN
#define DIFFERENT          "type: value_count, rules: [a, b], " SPAN
#define SUM                "type: value_sum, rules: [a, b], " SPAN
#define RANK               "type: value_percentile, rules: [a, b], " SPAN
#define NAMES              "type: temporal, rules: [a, b], " SPAN
#define STEPS              "type: sequence, " SPAN "steps: "
#define FIRST              "type: first_seen, rules: [a, b], " SPAN
#define USUAL              "type: baseline, rules: [a, b], " GROUPED "timespan: 2s, min-buckets: 2, "
#define TRAVEL             "type: geo_velocity, rules: [a, b], " SPAN
#define SILENT             "type: absence, rules: [a], "
#define JOIN_FOR(duration) "}\npicket: {dedup: {for: " duration "}"

/* What stands between the braces of `correlation: {...}`. */
static const struct {
	const char *before, *after;
	enum edit edit;
} edits[] = {
	{COUNT "condition: {gte: 3}", COUNT "condition: {gte: 2}", KEEPS},
	{COUNT "condition: {gte: 3}", COUNT "condition: {gt: 4}", KEEPS},
	{COUNT "condition: {gte: 3}", COUNT "condition: {gte: 1}", KEEPS},
	{COUNT "condition: {gte: 3}", COUNT "condition: {lte: 3}", STARTS},
	{COUNT "condition: {gte: 3}", COUNT "condition: {gte: 2, lte: 3}", STARTS},
	{COUNT "condition: {lte: 3}", COUNT "condition: {lte: 1}", KEEPS},
	{COUNT "condition: {lte: 3}", COUNT "condition: {eq: 2}", KEEPS},
	{COUNT "condition: {lte: 3}", COUNT "condition: {gte: 1, lte: 3}", STARTS},
	{COUNT "condition: {gte: 2, lte: 3}", COUNT "condition: {gte: 1, lte: 9}", KEEPS},
	{COUNT "condition: {gte: 3}",
	 "type: event_count, rules: [a, b], " GROUPED "timespan: 8s, condition: {gte: 3}", STARTS},
	{COUNT "condition: {gte: 3}", "type: event_count, rules: [a], " SPAN "condition: {gte: 3}",
	 STARTS},
	{COUNT "condition: {gte: 3}",
	 "type: event_count, rules: [a, b], group-by: [source.ip], timespan: 9s, condition: {gte: "
	 "3}",
	 STARTS},
	{COUNT "condition: {gte: 3}",
	 COUNT "condition: {gte: 3}}\npicket: {tenant: {scope: cross-tenant}", STARTS},
	{DIFFERENT "condition: {field: source.ip, gte: 2}",
	 DIFFERENT "condition: {field: source.ip, gte: 3}", KEEPS},
	{DIFFERENT "condition: {field: source.ip, gte: 3}",
	 DIFFERENT "condition: {field: source.ip, gte: 1}", KEEPS},
	{DIFFERENT "condition: {field: source.ip, gte: 2}",
	 DIFFERENT "condition: {field: bytes, gte: 2}", STARTS},
	{DIFFERENT "condition: {field: source.ip, gte: 2}",
	 DIFFERENT "condition: {field: source.ip, lt: 2}", STARTS},
	{SUM "condition: {field: bytes, gte: 3}", SUM "condition: {field: bytes, gte: 5}", KEEPS},
	{SUM "condition: {field: bytes, gte: 3}", SUM "condition: {field: bytes, lte: 5}", STARTS},
	{SUM "condition: {field: bytes, gte: 3}",
	 SUM "condition: {field: bytes, gte: 3}}\npicket: {nonnegative: true", STARTS},
	{"type: value_avg, rules: [a, b], " SPAN "condition: {field: bytes, gte: 1}",
	 "type: value_avg, rules: [a, b], " SPAN "condition: {field: bytes, lt: 2}", KEEPS},
	{"type: value_avg, rules: [a, b], " SPAN "condition: {field: bytes, gte: 1}",
	 "type: value_median, rules: [a, b], " SPAN "condition: {field: bytes, gte: 1}", STARTS},
	{RANK "condition: {field: bytes, percentile: 50, gte: 1}",
	 RANK "condition: {field: bytes, percentile: 90, gte: 1}", KEEPS},
	{RANK "condition: {field: bytes, percentile: 50, gte: 1}",
	 RANK "condition: {field: source.ip, percentile: 50, gte: 1}", STARTS},
	{"type: temporal, rules: [a, b], " GROUPED "timespan: 9s", NAMES "condition: {gte: 1}",
	 KEEPS},
	{NAMES "condition: a and b", NAMES "condition: a or b", KEEPS},
	{NAMES "condition: a and b", NAMES "condition: a and not b", STARTS},
	{NAMES "condition: a and not b", NAMES "condition: b and not a", KEEPS},
	{NAMES "condition: a and b",
	 "type: temporal, rules: [a, b, c], " SPAN "condition: a and b and c", STARTS},
	{"type: temporal_ordered, rules: [a, b], " GROUPED "timespan: 9s",
	 "type: temporal_ordered, rules: [b, a], " GROUPED "timespan: 9s", STARTS},
	{"type: temporal_ordered, rules: [a, b], " GROUPED "timespan: 9s",
	 "type: temporal_ordered, rules: [a, b, c], " GROUPED "timespan: 9s", STARTS},
	{STEPS "[{rule: a, count: {gte: 2}}, {rule: b}]",
	 STEPS "[{rule: a, count: {gte: 1}}, {rule: b}]", KEEPS},
	{STEPS "[{rule: a}, {rule: b}]", STEPS "[{rule: a}, {rule: b, within: 5s}]", STARTS},
	{STEPS "[{rule: a}, {rule: b}]", STEPS "[{rule: b}, {rule: a}]", STARTS},
	{STEPS "[{rule: a}, {rule: b}, {rule: a}]", STEPS "[{rule: a}, {rule: b}]", STARTS},
	{STEPS "[{rule: a}, {rule: b}]", STEPS "[{rule: a}, {rule: b}], until: c", STARTS},
	{STEPS "[{rule: a}, {not: c}, {rule: b}]",
	 STEPS "[{rule: a}, {rule: b}, {not: c, within: 3s}]", STARTS},
	{STEPS "[{rule: a}, {rule: b}, {not: c, within: 3s}]",
	 STEPS "[{rule: a}, {rule: b}, {not: c, within: 2s}]", STARTS},
	{STEPS "[{rule: a}, {rule: b, match: {source.ip: source.ip}}]",
	 STEPS "[{rule: a}, {rule: b, match: {bytes: bytes}}]", STARTS},
	{STEPS "[{rule: a}, {rule: b, match: {source.ip: source.ip, bytes: bytes}}]",
	 STEPS "[{rule: a}, {rule: b, match: {bytes: bytes}}]", STARTS},
	{FIRST "learn: {for: 0s}, condition: {field: source.ip}",
	 FIRST "learn: {for: 5s}, condition: {field: source.ip, gte: 2, burst-window: 3s}", KEEPS},
	{FIRST "learn: {for: 0s}, condition: {field: source.ip}",
	 FIRST "learn: {for: 0s}, condition: {field: bytes}", STARTS},
	{FIRST "learn: {for: 0s}, condition: {field: source.ip}" JOIN_FOR("1s"),
	 FIRST "learn: {for: 0s}, condition: {field: source.ip}" JOIN_FOR("30s"), KEEPS},
	{USUAL "history: 16s, condition: {aggregate: count, deviation: {gte: 1}}",
	 USUAL "history: 16s, season: hour_of_day, adapt: 4s, condition: {aggregate: count, "
	       "deviation: {gte: 2}, direction: up, floor: 2}",
	 KEEPS},
	{USUAL "history: 30s, condition: {aggregate: count, deviation: {gte: 1}}",
	 USUAL "history: 8s, condition: {aggregate: count, deviation: {gte: 1}}", KEEPS},
	{USUAL "history: 8s, condition: {aggregate: count, deviation: {gte: 1}}",
	 USUAL "history: 30s, condition: {aggregate: count, deviation: {gte: 1}}", KEEPS},
	{USUAL "history: 16s, condition: {aggregate: sum, field: bytes, deviation: {gte: 1}}",
	 USUAL "history: 16s, condition: {aggregate: avg, field: bytes, deviation: {gte: 1}}",
	 STARTS},
	{USUAL "history: 16s, condition: {aggregate: count, deviation: {gte: 1}}",
	 USUAL "history: 16s, condition: {aggregate: sum, field: bytes, deviation: {gte: 1}}",
	 STARTS},
	{TRAVEL "condition: {field: source.ip, speed-kmh: {gt: 1000}}",
	 TRAVEL "condition: {field: source.ip, speed-kmh: {gt: 500}, distance-km: {gt: 10}}, "
		"ignore: {known-transition: 20s}",
	 KEEPS},
	{TRAVEL "condition: {field: source.ip}" JOIN_FOR("1s"),
	 TRAVEL "condition: {field: source.ip}" JOIN_FOR("30s"), KEEPS},
	{TRAVEL "condition: {field: source.ip}", TRAVEL "condition: {field: destination.ip}",
	 STARTS},
	{SILENT SPAN "forget: 20s", SILENT SPAN "forget: 9s", KEEPS},
	{SILENT SPAN "forget: 20s", SILENT GROUPED "timespan: 4s, forget: 20s", STARTS},
};

enum { EDITS = sizeof edits / sizeof *edits };

static struct setup setup_like(const char *correlation)
{
	char *yaml = NULL;
	ck_assert_int_gt(asprintf(&yaml, "%stitle: S\nname: s\nlevel: high\ncorrelation: {%s}\n",
				  STREAM_RULES, correlation),
			 0);
	struct setup setup = setup_of(yaml);
	free(yaml);
	return setup;
}

static void stream_fill(struct stream *stream, uint64_t *random)
{
	do
		stream_make(stream, random);
	while (stream->count < EVENTS_MAX / 2);
	for (size_t i = 0; i < stream->count; i++) {
		struct thing *thing = &stream->things[i];
		size_t kind = below(random, 4);
		thing->a = kind != 1;
		thing->b = kind == 1 || kind == 3;
		thing->c = kind == 2;
		thing->placed = true;
		(void)snprintf(thing->amount, sizeof thing->amount, "%zu", below(random, 4));
	}
	stream_shuffle(stream, random);
}

static size_t cells_of(const struct run *run)
{
	size_t cells = 0;
	for (unsigned i = 0; i < run->actor_count; i++)
		cells += actor_counters(run->actors[i]).cells;
	return cells;
}

/* As ingest/reload.c: alerts of what is gone end, the rest becomes what a start from the cells
 * under the other plan would make. What was said before is forgotten here. */
static void swap(struct run *run, const struct setup *next, unsigned actor_count)
{
	struct bytes saved[VIRTUAL_PARTITIONS] = {0};
	struct error err = {0};
	for (unsigned i = 0; i < run->actor_count; i++)
		ck_assert_int_eq(actor_retire(run->actors[i], next->plan, &err), OK);
	collect_changes(run);
	bytes_clear(&run->log);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		enum status status =
			actor_checkpoint(run->actors[i % run->actor_count], (uint8_t)i, &saved[i]);
		assert(status == OK);
	}
	for (unsigned i = 0; i < run->actor_count; i++)
		actor_free(&run->actors[i]);
	run->setup = next;
	actors_start(run, actor_count);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		enum status status =
			actor_restore(run->actors[i % actor_count], bytes_text(&saved[i]), &err);
		if (status != OK)
			ck_abort_msg("%s", err.text);
		bytes_done(&saved[i]);
	}
}

/* Events [from .. to) of the arrival, in epochs of at most SWAP_EVERY; routed by another plan than
 * that of the run where the match rows are of before a restart. Without: epochs of nothing. */
static void feed(struct run *run, const struct stream *stream, size_t from, size_t to,
		 const struct setup *routed_by)
{
	struct bytes fed[ACTORS_MAX] = {0};
	for (size_t i = from; i < to; i++) {
		struct record_sink sink = {fed, run->actor_count};
		if (routed_by != NULL)
			route(routed_by, &stream->things[stream->arrival[i]], &sink);
		if ((i + 1) % SWAP_EVERY == 0 || i + 1 == to)
			run_epoch(run, fed, stream->safe[i + 1]);
	}
}

static void finish(struct run *run)
{
	struct bytes fed[ACTORS_MAX] = {0};
	run_epoch(run, fed, INT64_MAX);
	ck_assert_uint_eq(cells_of(run), 0);
}

static size_t kept_cells;

/* The edit between two epochs; `replays`: the first events after it were routed before. */
static void check_edit(const struct setup *before, const struct setup *after,
		       const struct stream *stream, enum edit edit, bool replays)
{
	struct run run;
	struct run fresh;
	size_t half = stream->count / 2;
	size_t replayed = replays ? half + stream->count / 8 : half;
	run_begin(&run, before, 2);
	feed(&run, stream, 0, half, before);
	size_t cells = cells_of(&run);
	swap(&run, after, 3);
	ck_assert_uint_eq(cells_of(&run), edit == KEEPS ? cells : 0);
	kept_cells += cells_of(&run);
	feed(&run, stream, half, replayed, before);
	feed(&run, stream, replayed, stream->count, after);
	uint64_t unknown = 0;
	for (unsigned i = 0; i < run.actor_count; i++)
		unknown += actor_counters(run.actors[i]).unknown_state;
	if (edit == KEEPS)
		ck_assert_uint_eq(unknown, 0);
	finish(&run);
	if (edit == STARTS) {
		run_begin(&fresh, after, 1);
		feed(&fresh, stream, 0, half, NULL);
		bytes_clear(&fresh.log);
		feed(&fresh, stream, half, replayed, NULL);
		feed(&fresh, stream, replayed, stream->count, after);
		finish(&fresh);
		ck_assert(text_equal(bytes_text(&run.log), bytes_text(&fresh.log)));
		run_end(&fresh);
	}
	run_end(&run);
}

START_TEST(an_edit_keeps_the_state_or_starts_empty)
{
	uint64_t random = first_seed();
	for (size_t i = 0; i < EDITS; i++) {
		struct setup before = setup_like(edits[i].before);
		struct setup after = setup_like(edits[i].after);
		ck_assert_msg((unit_of(&before, "s")->state_id == unit_of(&after, "s")->state_id) ==
				      (edits[i].edit == KEEPS),
			      "from %s to %s", edits[i].before, edits[i].after);
		kept_cells = 0;
		for (int k = 0; k < STREAMS; k++) {
			struct stream stream = {0};
			stream_fill(&stream, &random);
			check_edit(&before, &after, &stream, edits[i].edit, k % 2 == 1);
			check_edit(&after, &before, &stream, edits[i].edit, k % 2 == 1);
		}
		if (edits[i].edit == KEEPS)
			ck_assert_msg(kept_cells > 0, "nothing to keep: %s", edits[i].before);
		setup_done(&before);
		setup_done(&after);
	}
	printf("%d edits, there and back\n", EDITS);
}
END_TEST

/* One rule edited again and again, by everything that can be written. */
START_TEST(any_edit_after_any_other)
{
	static struct setup all[2 * EDITS];
	uint64_t random = first_seed();
	for (size_t i = 0; i < EDITS; i++) {
		all[2 * i] = setup_like(edits[i].before);
		all[2 * i + 1] = setup_like(edits[i].after);
	}
	for (size_t walk = 0; walk < WALKS * EDITS; walk++) {
		struct stream stream = {0};
		struct run run;
		size_t near = below(&random, EDITS - 3); /* mostly of one type */
		stream_fill(&stream, &random);
		run_begin(&run, &all[below(&random, (size_t)2 * EDITS)], 1);
		for (size_t from = 0; from < stream.count;) {
			size_t to = from + 1 + below(&random, SWAP_EVERY);
			to = to < stream.count ? to : stream.count;
			feed(&run, &stream, from, to, run.setup);
			size_t next = below(&random, 4) == 0 ? below(&random, (size_t)2 * EDITS)
							     : 2 * near + below(&random, 8);
			swap(&run, &all[next], 1 + (unsigned)below(&random, ACTORS_MAX));
			from = to;
		}
		finish(&run);
		run_end(&run);
	}
	for (size_t i = 0; i < (size_t)2 * EDITS; i++)
		setup_done(&all[i]);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("swap");
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, an_edit_keeps_the_state_or_starts_empty);
	tcase_add_test(tests, any_edit_after_any_other);
	return run_tests("swap", tests);
}
