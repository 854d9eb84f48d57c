/* bench_correlate: match records a second through one actor, by type and by number of groups.
 *
 * Records are made and encoded first; what is measured is feeding, folding and closing epochs of
 * EPOCH_RECORDS records, with a watermark that follows at LATENESS behind, in CPU time of the
 * process: what a shard does for its part of an epoch. Time goes on by a millisecond a record, so
 * that windows slide and alerts open and end. Beside it: memory per group as the actor counts it,
 * the size of a checkpoint per group, and how long saving and restoring all of them takes. Each
 * group is shown once before anything is measured, so that all of them are live; with more than a
 * million the window is a day and only three types are tried, and the restored actor has a budget
 * of restored_bytes, because two of that size do not fit. Then one group with more and more
 * different values, where value_count must stay as fast. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "correlate/actor.h"

enum { EPOCH_RECORDS = 20000, RECORDS = 2000000, STEP_US = 1000, LATENESS_US = 10000000 };

static const uint64_t huge_groups = 1000001;
static const size_t restored_bytes = (size_t)2 << 30;

static const struct hash_key key = {"sixteen bytes .."};

static const struct {
	const char *name, *correlation;
	bool huge; /* also tried with ten millions */
} kinds[] = {
	{"event_count", "type: event_count, rules: [a], condition: {gte: 10}", true},
	{"value_count", "type: value_count, rules: [a], condition: {field: source.ip, gte: 10}",
	 true},
	{"temporal_ordered", "type: temporal_ordered, rules: [a, b]", false},
	{"value_avg (gated)", "type: value_avg, rules: [a], condition: {field: bytes, gt: 900}",
	 false},
	{"first_seen (gated)", "type: first_seen, rules: [a], condition: {field: source.ip}", true},
};

struct bench {
	struct ruleset *ruleset;
	struct plan *plan;
	struct actor *actor;
	uint32_t rules[2];
	uint64_t epoch;
};

static double cpu_seconds(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void must(enum status status, const struct error *err)
{
	if (status == OK)
		return;
	(void)fprintf(stderr, "bench_correlate: %s\n", err->text);
	exit(EXIT_FAILURE);
}

static void bench_begin(struct bench *bench, const char *correlation, unsigned span_s)
{
	struct ruleset_options options = {.supply_metadata = true};
	struct error err = {0};
	char yaml[2048];
	(void)snprintf(yaml, sizeof yaml,
		       "title: A\nname: a\nlogsource: {product: x}\nlevel: informational\n"
		       "detection: {s: {event.action: a}, condition: s}\n---\n"
		       "title: B\nname: b\nlogsource: {product: x}\nlevel: informational\n"
		       "detection: {s: {event.action: b}, condition: s}\n---\n"
		       "title: C\nname: c\nlevel: high\ncorrelation: {group-by: [user.id], "
		       "timespan: %us, %s}\n",
		       span_s, correlation);
	*bench = (struct bench){0};
	must(ruleset_parse(&options, text_of(yaml), "bench.yml", &bench->ruleset, &err), &err);
	must(plan_new(bench->ruleset, &key, &bench->plan, &err), &err);
	bench->rules[0] = ruleset_find(bench->ruleset, TEXT("a"))->index;
	bench->rules[1] = ruleset_find(bench->ruleset, TEXT("b"))->index;
	struct actor_options actor = {.plan = bench->plan, .actor_count = 1, .cells_max = 1 << 25};
	must(actor_new(&actor, &bench->actor, &err), &err);
}

static void bench_end(struct bench *bench)
{
	actor_free(&bench->actor);
	plan_free(&bench->plan);
	ruleset_free(&bench->ruleset);
}

/* Record number i, of one of so many groups and with one of so many values. */
static void record_make(const struct bench *bench, uint64_t i, uint64_t groups, uint64_t values,
			struct arena *arena, struct record_sink *sink)
{
	uint64_t mixed = (i + 1) * UINT64_C(0x9E3779B97F4A7C15) >> 16;
	struct event event = {.time_us = (int64_t)i * STEP_US,
			      .origin = {TEXT("logs"), 0, 0, (int64_t)i},
			      .owner = TEXT("acme")};
	struct route_counters counters = {0};
	struct value user = {.type = VALUE_STRING};
	struct value source = {.type = VALUE_STRING};
	struct value bytes = {.type = VALUE_INTEGER, .integer = (int64_t)(mixed % 1000)};
	uint64_t group = i < groups ? i : mixed % groups;
	user.text = arena_print(arena, "user-%08llu", (unsigned long long)group);
	source.text = arena_print(arena, "10.%llu", (unsigned long long)(i % values));
	enum status status = event_add(&event, arena, TEXT("user.id"), user);
	if (status == OK)
		status = event_add(&event, arena, TEXT("source.ip"), source);
	if (status == OK)
		status = event_add(&event, arena, TEXT("bytes"), bytes);
	uint32_t rule = bench->rules[i >= groups && mixed / groups % 8 == 0];
	if (status == OK)
		status = plan_route(bench->plan, &event, &rule, 1, 0, sink, &counters);
	must(status, &(struct error){.text = "no memory"});
}

/* CPU seconds of the actor for `count` records. */
static double records_run(struct bench *bench, uint64_t from, uint64_t count, uint64_t groups,
			  uint64_t values)
{
	struct bytes fed cleanup(bytes_done) = {0};
	struct bytes out cleanup(bytes_done) = {0};
	struct record_sink sink = {&fed, 1};
	struct record_sink exchange = {&out, 1};
	struct error err = {0};
	double spent = 0;
	for (uint64_t i = from; i < from + count; i += EPOCH_RECORDS) {
		struct arena *arena cleanup(arena_free) = arena_new(1 << 30);
		bytes_clear(&fed);
		for (uint64_t k = i; k < i + EPOCH_RECORDS; k++)
			record_make(bench, k, groups, values, arena, &sink);
		int64_t watermark_us = (int64_t)(i + EPOCH_RECORDS) * STEP_US - LATENESS_US;
		double begun = cpu_seconds();
		must(actor_feed(bench->actor, bytes_text(&fed), &err), &err);
		bench->epoch++;
		must(actor_round(bench->actor, bench->epoch, watermark_us, &exchange, &err), &err);
		must(actor_close(bench->actor, bench->epoch, watermark_us, &err), &err);
		spent += cpu_seconds() - begun;
	}
	return spent;
}

static void restart_measure(const struct bench *bench, uint64_t cells)
{
	struct actor_options options = {.plan = bench->plan,
					.actor_count = 1,
					.cells_max = 1 << 25,
					.memory_max = cells >= huge_groups ? restored_bytes : 0};
	struct actor *again = NULL;
	struct error err = {0};
	size_t size = 0;
	double saving = 0;
	double restoring = 0;
	must(actor_new(&options, &again, &err), &err);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		struct bytes saved cleanup(bytes_done) = {0};
		double begun = cpu_seconds();
		must(actor_checkpoint(bench->actor, (uint8_t)i, &saved), &err);
		double middle = cpu_seconds();
		must(actor_restore(again, bytes_text(&saved), &err), &err);
		restoring += cpu_seconds() - middle;
		saving += middle - begun;
		size += saved.size;
	}
	struct actor_counters counters = actor_counters(again);
	assert(counters.cells == cells);
	printf("    checkpoint %.0f B and %.2f us a group, restored in %.2f us a group\n",
	       (double)size / (double)cells, saving * 1e6 / (double)cells,
	       restoring * 1e6 / (double)cells);
	if (counters.cells_packed > 0)
		printf("    all %llu restored in %.1f s of CPU, %llu of them packed: %.0f B a group\n",
		       (unsigned long long)cells, restoring,
		       (unsigned long long)counters.cells_packed,
		       (double)counters.cell_bytes / (double)cells);
	actor_free(&again);
}

/* A checkpoint after one epoch more, of which the rows before are stored. */
static void changes_measure(struct bench *bench, uint64_t groups)
{
	size_t size = 0;
	bool any = false;
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++)
		actor_stored(bench->actor, (uint8_t)i);
	(void)records_run(bench, bench->epoch * EPOCH_RECORDS, EPOCH_RECORDS, groups, 50);
	double begun = cpu_seconds();
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		struct bytes saved cleanup(bytes_done) = {0};
		enum status status =
			actor_checkpoint_changes(bench->actor, (uint8_t)i, &saved, &any);
		must(status, &(struct error){.text = "too much changed"});
		size += saved.size;
	}
	printf("    after %d records more: %.1f MB of changes in %.0f ms\n", EPOCH_RECORDS,
	       (double)size / 1e6, (cpu_seconds() - begun) * 1e3);
}

static void kind_measure(size_t kind, uint64_t groups)
{
	struct bench bench;
	bench_begin(&bench, kinds[kind].correlation, groups >= huge_groups ? 86400 : 3600);
	(void)records_run(&bench, 0, groups > RECORDS / 2 ? groups : RECORDS / 2, groups, 50);
	uint64_t from = bench.epoch * EPOCH_RECORDS;
	double spent = records_run(&bench, from, RECORDS, groups, 50);
	struct actor_counters counters = actor_counters(bench.actor);
	printf("%-20s %9llu groups  %6.2f M records/s/core  %6.0f B a group (%llu live)\n",
	       kinds[kind].name, (unsigned long long)groups, RECORDS / spent / 1e6,
	       (double)counters.cell_bytes / (double)counters.cells,
	       (unsigned long long)counters.cells);
	if (counters.cells > 0)
		restart_measure(&bench, counters.cells);
	if (counters.cells > 0)
		changes_measure(&bench, groups);
	bench_end(&bench);
}

static void flatness_measure(uint64_t values)
{
	struct bench bench;
	bench_begin(&bench,
		    "type: value_count, rules: [a], condition: {field: source.ip, gte: 100000}",
		    3600);
	double spent = records_run(&bench, 0, RECORDS, 1, values);
	printf("%-20s %9llu values  %6.2f M records/s/core\n", "value_count, 1 group",
	       (unsigned long long)values, RECORDS / spent / 1e6);
	bench_end(&bench);
}

/* bench_correlate [TYPE] [GROUPS...], 0 = the values of one group. */
int main(int argc, char **argv)
{
	const char *only = argc > 1 && (argv[1][0] < '0' || argv[1][0] > '9') ? argv[1] : "";
	argc -= only[0] != '\0';
	argv += only[0] != '\0';
	static const char *const usual[] = {"", "1000", "1000000", "0"};
	static const uint64_t values[] = {10, 1000, 10000, 90000};
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	int count = argc > 1 ? argc : (int)(sizeof usual / sizeof *usual);
	for (int g = 1; g < count; g++) {
		uint64_t groups = strtoull(argc > 1 ? argv[g] : usual[g], NULL, 10);
		for (size_t i = 0; groups == 0 && i < sizeof values / sizeof *values; i++)
			flatness_measure(values[i]);
		for (size_t kind = 0; groups > 0 && kind < sizeof kinds / sizeof *kinds; kind++)
			if ((groups < huge_groups || kinds[kind].huge) &&
			    strncmp(kinds[kind].name, only, strlen(only)) == 0)
				kind_measure(kind, groups);
	}
	return EXIT_SUCCESS;
}
