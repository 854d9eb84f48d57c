/* The whole engine in a made-up world: sources, clocks, disk and crashes follow a seed.
 *
 * Each seed gives a world (world.h), which is played once without any trouble by one worker and one
 * shard, and then with trouble: any number of threads, commits that fail (the process is gone), a
 * disk that is full for a while, stops and starts, reloads of the same rules, partitions that
 * stall, and a machine clock that jumps. After every end, whatever ended it:
 *
 *   - each record below a partition's position is stored or quarantined, once; none above is;
 *   - no alert has an event of another tenant as its evidence;
 *   - an alert that was there stays, its revision never goes back, nor does the epoch;
 *   - the cells are as many as the groups, and their memory within its bound;
 *
 * and at the end the stored events, rejects, buckets and final alerts are those of the calm run.
 * Which thread runs when is the machine's choice and not the seed's: that it does not matter is
 * what is tested. PICKET_TEST_SEEDS: how many worlds; PICKET_TEST_SEED: only that one. */
#include "tests/ingest/running.h"
#include "tests/sim/stage.h"

enum {
	SEEDS = 200,
	SEEDS_LONG = 10000,
	SHAPE_MAX = 3,
	TROUBLES_MAX = 6, /* then it is let be */
	ALERTS_MAX = 4096,
	CELLS_MAX = 256, /* a group of each rule, tenant, user, service, address */
	CELL_BYTES_MAX = CELLS_MAX * 4096, /* none of them sees more than a world's records */
};

/* Every type of correlation, or one of those that are judged by the same file. */
static const char sim_rules[] =
	"title: failed\nname: failed\nlogsource: {product: microservice}\n"
	"detection: {s: {event.outcome: failure}, condition: s}\nlevel: informational\n"
	"picket: {risk: {score: 10, on: [user.id, source.ip], once-per: 5s}}\n"
	"---\n"
	"title: passed\nname: passed\nlogsource: {product: microservice}\n"
	"detection: {s: {event.outcome: success}, condition: s}\nlevel: informational\n"
	"---\n"
	"title: many failed\nid: 11111111-1111-4111-8111-111111111111\n"
	"correlation: {type: event_count, rules: [failed], group-by: [user.id], timespan: 20s,\n"
	"              condition: {gte: 4}}\nlevel: high\n"
	"---\n"
	"title: chained\nid: 22222222-2222-4222-8222-222222222222\nname: chained\n"
	"correlation: {type: event_count, rules: [11111111-1111-4111-8111-111111111111],\n"
	"              group-by: [user.id], timespan: 2m, condition: {gte: 3}, generate: true}\n"
	"level: critical\n"
	"---\n"
	"title: many addresses\nid: 33333333-3333-4333-8333-333333333333\n"
	"correlation: {type: value_count, rules: [failed], group-by: [user.id], timespan: 30s,\n"
	"              condition: {field: source.ip, gte: 3}}\nlevel: medium\n"
	"---\n"
	"title: then in\nid: 44444444-4444-4444-8444-444444444444\n"
	"correlation: {type: temporal_ordered, rules: [failed, passed], group-by: [user.id],\n"
	"              timespan: 10s}\nlevel: medium\n"
	"---\n"
	"title: few\nid: 55555555-5555-4555-8555-555555555555\n"
	"correlation: {type: event_count, rules: [passed], group-by: [user.id], timespan: 30s,\n"
	"              condition: {lt: 2}}\nlevel: low\n"
	"---\n"
	"title: in without another try\nid: 66666666-6666-4666-8666-666666666666\n"
	"correlation: {type: sequence, group-by: [user.id], timespan: 20s,\n"
	"              steps: [{rule: failed, count: {gte: 2}}, {not: failed}, {rule: passed}]}\n"
	"level: low\n"
	"---\n"
	"title: many addresses, by estimate\nid: 88888888-8888-4888-8888-888888888888\n"
	"picket: {accuracy: {exact-until: 1, error: 0.05}}\n"
	"correlation: {type: value_count, rules: [failed], group-by: [user.id], timespan: 30s,\n"
	"              condition: {field: source.ip, gte: 4}}\nlevel: medium\n"
	"---\n"
	"title: rare address\nid: 99999999-9999-4999-8999-999999999999\n"
	"correlation: {type: first_seen, rules: [passed], group-by: [user.id], timespan: 1m,\n"
	"              learn: {for: 20s}, peers: {by: [service.name], rare-below: 2},\n"
	"              condition: {field: source.ip}}\nlevel: medium\n"
	"---\n"
	"title: risky\nid: aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa\n"
	"correlation: {type: risk, group-by: [entity], timespan: 1m, half-life: 30s,\n"
	"              condition: {gte: 25}}\nlevel: medium\n"
	"---\n"
	"title: errors on average\nid: bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb\n"
	"correlation: {type: value_avg, rules: [passed], group-by: [service.name], timespan: 20s,\n"
	"              condition: {field: http.response.status_code, gt: 240}}\nlevel: medium\n"
	"---\n"
	"title: silent\nid: cccccccc-cccc-4ccc-8ccc-cccccccccccc\n"
	"correlation: {type: absence, rules: [failed], group-by: [user.id], timespan: 30s}\n"
	"level: medium\n"
	"---\n"
	"title: no success of who is heard\nid: dddddddd-dddd-4ddd-8ddd-dddddddddddd\n"
	"correlation: {type: absence, rules: [passed], group-by: [service.name], timespan: 20s,\n"
	"              members: {seen-within: 40s}}\nlevel: medium\n"
	"---\n"
	"title: unlike before\nid: eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee\n"
	"correlation: {type: baseline, rules: [passed], group-by: [service.name], timespan: 5s,\n"
	"              history: 1m, min-buckets: 3, adapt: 20s,\n"
	"              condition: {aggregate: count, deviation: {gte: 2}, direction: both}}\n"
	"level: medium\n"
	"---\n"
	"title: far too fast\nid: ffffffff-ffff-4fff-8fff-ffffffffffff\n"
	"correlation: {type: geo_velocity, rules: [passed], group-by: [user.id], timespan: 20s,\n"
	"              condition: {field: source.ip, speed-kmh: {gt: 1000},\n"
	"              distance-km: {gt: 500}}}\nlevel: medium\n"
	"---\n"
	"title: passed without a failure\nid: 12121212-1212-4121-8121-121212121212\n"
	"correlation: {type: temporal, rules: [passed, failed], group-by: [user.id],\n"
	"              timespan: 15s, condition: passed and not failed}\nlevel: medium\n"
	"---\n"
	"title: logins fail\nid: 77777777-7777-4777-8777-777777777777\nname: login_failure\n"
	"correlation: {type: cohort_compare, rules: [failed, passed], compare: {numerator: failed}}\n"
	"level: medium\n";

/* How the ids of those begin that raise alerts: each must, in some world. */
static const char *const alerting[] = {"11111111", "22222222", "33333333", "44444444", "55555555",
				       "66666666", "88888888", "99999999", "aaaaaaaa", "bbbbbbbb",
				       "cccccccc", "dddddddd", "eeeeeeee", "ffffffff", "12121212"};
enum { ALERTING = sizeof alerting / sizeof *alerting };

/* What was seen at the end before, to hold the next one against. */
struct seen {
	uint64_t epoch;
	struct {
		char id[ALERT_ID_SIZE + 1];
		uint32_t revision;
	} alerts[ALERTS_MAX];
	size_t alert_count;
};

struct play {
	struct stage stage;
	struct store *store;
	struct seen seen;
	uint64_t seed;
	unsigned crashes, stops, fulls, swaps;
	uint64_t spills;         /* cells that went to the store */
	uint64_t rejected_rules; /* reloads that did not work */
};

/* --- what must hold at every end ---------------------------------------------------------------
 */

static void check_record(const struct world *world, struct text topic, int32_t partition,
			 int64_t offset, bool stored, char *kept)
{
	const struct partition *of = world_find(world, topic, partition);
	ck_assert_ptr_nonnull(of);
	const struct item *item = partition_find(of, offset);
	ck_assert_msg(item != NULL, "%s/%d has no record %lld", of->topic, of->number,
		      (long long)offset);
	ck_assert_msg((item->tenant >= 0) == stored, "%s/%d %lld is %s", of->topic, of->number,
		      (long long)offset, stored ? "stored" : "quarantined");
	size_t place = (size_t)(of - world->partitions) * ITEMS_MAX + (size_t)(item - of->items);
	ck_assert_msg(kept[place]++ == 0, "%s/%d %lld is there twice", of->topic, of->number,
		      (long long)offset);
}

static void check_block(const struct world *world, struct text key, struct text value, char *kept)
{
	struct block_reader *reader cleanup(block_reader_free) = NULL;
	struct arena *arena cleanup(arena_free) = arena_new(1 << 24);
	struct error err = {0};
	bool more = true;
	ck_assert_int_eq(block_open(key, value, &reader, &err), OK);
	while (more) {
		struct event event = {0};
		ck_assert_int_eq(block_next(reader, arena, &event, &more, &err), OK);
		if (more)
			check_record(world, event.origin.topic, event.origin.partition,
				     event.origin.offset, true, kept);
	}
}

static void each_row(struct store *store, enum store_family family, const char *prefix,
		     void (*visit)(void *context, struct text key, struct text value),
		     void *context)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct error err = {0};
	struct text key = {0};
	struct text value = {0};
	ck_assert_int_eq(
		store_scan_new(store, family, text_of(prefix), text_of(prefix), &scan, &err), OK);
	while (store_scan_next(scan, &key, &value))
		visit(context, key, value);
	ck_assert_int_eq(store_scan_status(scan, &err), OK);
}

struct records {
	const struct world *world;
	char kept[PARTITIONS_MAX * ITEMS_MAX];
};

static void visit_block(void *context, struct text key, struct text value)
{
	struct records *records = context;
	check_block(records->world, key, value, records->kept);
}

static void visit_reject(void *context, struct text key, struct text value)
{
	struct records *records = context;
	struct quarantine_row row;
	struct error err = {0};
	ck_assert_int_eq(quarantine_decode(key, value, &row, &err), OK);
	check_record(records->world, row.origin.topic, row.origin.partition, row.origin.offset,
		     false, records->kept);
}

static void visit_position(void *context, struct text key, struct text value)
{
	struct records *records = context;
	struct position_row row;
	struct error err = {0};
	ck_assert_int_eq(position_decode(key, value, &row, &err), OK);
	const struct partition *partition = world_find(records->world, row.topic, row.partition);
	ck_assert_ptr_nonnull(partition);
	char *kept = records->kept + (size_t)(partition - records->world->partitions) * ITEMS_MAX;
	for (size_t i = 0; i < partition->item_count; i++) {
		bool below = partition->items[i].offset < row.next_offset;
		ck_assert_msg(kept[i] == below, "%s/%d: position %lld, record %lld is %s",
			      partition->topic, partition->number, (long long)row.next_offset,
			      (long long)partition->items[i].offset, below ? "lost" : "too early");
		kept[i] = 0; /* accounted for */
	}
	ck_assert_uint_eq(row.records, row.stored + row.quarantined);
}

static void check_records(const struct world *world, struct store *store)
{
	struct records *records = calloc(1, sizeof *records);
	ck_assert_ptr_nonnull(records);
	records->world = world;
	each_row(store, FAMILY_EPOCH, "", visit_block, records);
	each_row(store, FAMILY_QUARANTINE, "", visit_reject, records);
	each_row(store, FAMILY_POSITION, "s", visit_position, records);
	for (size_t i = 0; i < sizeof records->kept; i++)
		ck_assert_msg(records->kept[i] == 0, "a record of a partition without a position");
	free(records);
}

static void check_evidence(const struct world *world, const struct alert *alert)
{
	for (size_t i = 0; i < alert->evidence_count; i++) {
		const struct origin *origin = &alert->evidence[i].origin;
		const struct partition *partition =
			world_find(world, origin->topic, origin->partition);
		ck_assert_ptr_nonnull(partition);
		const struct item *item = partition_find(partition, origin->offset);
		ck_assert_ptr_nonnull(item);
		ck_assert_int_ge(item->tenant, 0);
		ck_assert_msg(text_equal(alert->tenant, text_of(tenant_names[item->tenant])),
			      "an alert of tenant \"%.*s\" rests on an event of \"%s\"",
			      TEXT_ARG(alert->tenant), tenant_names[item->tenant]);
	}
}

static void visit_alert(void *context, struct text key, struct text value)
{
	struct play *play = context;
	struct seen *seen = &play->seen;
	struct alert alert = {0};
	struct error err = {0};
	(void)key;
	ck_assert_int_eq(alert_decode(value, &alert, &err), OK);
	check_evidence(play->stage.world, &alert);
	size_t at = 0;
	while (at < seen->alert_count && strcmp(seen->alerts[at].id, alert.id) != 0)
		at++;
	ck_assert_uint_lt(at, ALERTS_MAX);
	if (at == seen->alert_count) {
		memcpy(seen->alerts[at].id, alert.id, sizeof alert.id);
		seen->alerts[at].revision = 0;
		seen->alert_count++;
	}
	ck_assert_uint_ge(alert.revision, seen->alerts[at].revision);
	seen->alerts[at].revision = alert.revision;
}

static void count_row(void *context, struct text key, struct text value)
{
	(void)key;
	(void)value;
	++*(size_t *)context;
}

static void visit_epoch(void *context, struct text key, struct text value)
{
	struct play *play = context;
	struct epoch_row row;
	struct error err = {0};
	(void)key;
	ck_assert_int_eq(epoch_decode(value, &row, &err), OK);
	ck_assert_uint_ge(row.epoch, play->seen.epoch);
	ck_assert_uint_le(row.checkpoint_epoch, row.epoch);
	play->seen.epoch = row.epoch;
}

static void check_end(struct play *play)
{
	size_t alerts = 0;
	check_records(play->stage.world, play->store);
	each_row(play->store, FAMILY_POSITION, "e", visit_epoch, play);
	each_row(play->store, FAMILY_ALERT, "a", visit_alert, play);
	each_row(play->store, FAMILY_ALERT, "a", count_row, &alerts);
	ck_assert_uint_eq(alerts, play->seen.alert_count); /* none that was there is gone */
}

/* --- playing -----------------------------------------------------------------------------------
 */

static struct ruleset *rules_of_play(void)
{
	struct ruleset *rules = NULL;
	struct error err = {0};
	struct ruleset_options options = {0};
	enum status status = ruleset_parse(&options, text_of(sim_rules), "sim", &rules, &err);
	ck_assert_msg(status == OK, "%u:%u: %s", err.line, err.column, err.text);
	return rules;
}

static void swap_rules(struct play *play, struct runtime *runtime)
{
	struct generation_parts parts = {.ruleset = rules_of_play()};
	struct error err = {0};
	uint64_t epoch = 0;
	/* A runtime that is just failing takes no rules. */
	if (runtime_swap(runtime, &parts, &epoch, &err) == OK)
		play->swaps++;
	else
		play->rejected_rules++;
}

/* One life of the engine, ended by what the seed says; returns how. */
static enum runtime_state live(struct play *play, unsigned workers, unsigned actors, bool trouble)
{
	struct generation_parts parts = {.ruleset = rules_of_play()};
	struct runtime_options options = {
		.store = play->store,
		.ruleset = parts.ruleset,
		.takes_parts = true,
		.source = {stage_source_new, &play->stage},
		.clock = {stage_wall, &play->stage},
		.worker_count = workers,
		.actor_count = actors,
		.epoch_ms = 1 + (unsigned)dice_below(&play->seed, 1500),
		.checkpoint_ms = 1 + (unsigned)dice_below(&play->seed, 20000),
		/* With next to no memory every cell that waits for nothing goes to the store. */
		.correlation_bytes = trouble && dice_below(&play->seed, 3) == 0 ? actors : 0,
	};
	uint64_t spills = 0;
	int64_t stop_us =
		dice_below(&play->seed, 3) > 0
			? INT64_MAX
			: WORLD_START_US + (int64_t)dice_below(&play->seed, 150) * SECOND_US;
	int64_t swap_us = WORLD_START_US + (int64_t)dice_below(&play->seed, 200) * SECOND_US;
	struct runtime *runtime cleanup(runtime_free) = NULL;
	struct error err = {0};
	enum status status = runtime_new(&options, &runtime, &err);
	if (status == ESYSTEM && trouble)
		return RUNTIME_FAILED; /* killed before it lived */
	ck_assert_msg(status == OK, "%s", err.text);
	for (;;) {
		struct runtime_status now cleanup(runtime_status_done) = {0};
		int64_t now_us = atomic_load(&play->stage.now_us);
		ck_assert_int_eq(runtime_status(runtime, &now), OK);
		ck_assert_uint_le(now.actors.cells, CELLS_MAX);
		ck_assert_uint_le(now.actors.cell_bytes, CELL_BYTES_MAX);
		play->spills += now.actors.spills - spills;
		spills = now.actors.spills;
		if (now.state != RUNTIME_RUNNING)
			return now.state;
		if (trouble && now_us >= stop_us) {
			play->stops++;
			return RUNTIME_RUNNING; /* freeing it ends it in good order */
		}
		if (trouble && now_us >= swap_us) {
			swap_rules(play, runtime);
			swap_us = INT64_MAX;
		}
		(void)poll(NULL, 0, 1);
	}
}

static void draw_trouble(struct play *play)
{
	unsigned nth = 1 + (unsigned)dice_below(&play->seed, 8);
	switch (dice_below(&play->seed, 4)) {
	case 0:
	case 1:
		store_memory_fail_at(play->store, nth, ESYSTEM);
		return;
	case 2:
		store_memory_fail_at(play->store, nth, ENOSPACE);
		play->fulls++;
		return;
	default:
		store_memory_fail_at(play->store, 0, OK);
	}
}

/* What picket says about its own troubles: there are none in a calm run. */
static void forget_health(struct lines *lines)
{
	size_t count = 0;
	for (size_t i = 0; i < lines->count; i++) {
		if (strncmp(lines->items[i], "alert picket.", strlen("alert picket.")) == 0)
			free(lines->items[i]);
		else
			lines->items[count++] = lines->items[i];
	}
	lines->count = count;
}

static struct lines play_world(const struct world *world, uint64_t seed, bool trouble,
			       struct play *play)
{
	*play = (struct play){.stage = {.world = world, .seed = seed, .calm = !trouble},
			      .store = new_store(),
			      .seed = seed};
	atomic_init(&play->stage.now_us, WORLD_START_US);
	enum runtime_state state = RUNTIME_RUNNING;
	for (unsigned lives = 0; state != RUNTIME_FINISHED; lives++) {
		bool troubled = trouble && lives < TROUBLES_MAX;
		if (troubled)
			draw_trouble(play);
		else
			store_memory_fail_at(play->store, 0, OK);
		state = live(play, trouble ? 1 + (unsigned)dice_below(&play->seed, SHAPE_MAX) : 1,
			     trouble ? 1 + (unsigned)dice_below(&play->seed, SHAPE_MAX) : 1,
			     troubled);
		play->crashes += state == RUNTIME_FAILED;
		ck_assert_msg(lives < 2 * TROUBLES_MAX, "it fails again and again");
		check_end(play);
	}
	struct lines lines = collect(play->store);
	forget_health(&lines);
	store_free(&play->store);
	return lines;
}

/* What all seeds together must have shown, or the run has proved nothing. */
struct sum {
	unsigned crashes, stops, fulls, swaps, alerts, rejects, compared;
	uint64_t spills;
	unsigned of_rule[ALERTING];
};

static void play_seed(uint64_t number, struct sum *sum)
{
	struct play *play = malloc(sizeof *play);
	uint64_t seed = (number + 1) * 0x9e3779b97f4a7c15U;
	struct world *world = world_new(seed);
	ck_assert_ptr_nonnull(play);
	struct lines expected = play_world(world, seed, false, play);
	struct lines got = play_world(world, seed, true, play);
	char what[64];
	(void)snprintf(what, sizeof what, "PICKET_TEST_SEED=%llu", (unsigned long long)number);
	assert_same(&expected, &got, what);
	sum->crashes += play->crashes;
	sum->stops += play->stops;
	sum->fulls += play->fulls;
	sum->swaps += play->swaps;
	sum->spills += play->spills;
	sum->alerts += count_prefix(&got, "alert");
	sum->rejects += count_prefix(&got, "reject");
	for (size_t i = 0; i < ALERTING; i++) {
		char prefix[32];
		(void)snprintf(prefix, sizeof prefix, "alert %s", alerting[i]);
		sum->of_rule[i] += (unsigned)count_prefix(&got, prefix);
	}
	for (size_t i = 0; i < got.count; i++)
		sum->compared += strstr(got.items[i], "77777777-7777-4777") != NULL;
	lines_free(&expected);
	lines_free(&got);
	free(world);
	free(play);
}

START_TEST(the_answer_of_a_world)
{
	const char *seeds = getenv("PICKET_TEST_SEEDS");
	const char *only = getenv("PICKET_TEST_SEED");
	uint64_t count = getenv("PICKET_LONG") != NULL ? SEEDS_LONG : SEEDS;
	if (seeds != NULL)
		count = strtoull(seeds, NULL, 10);
	struct sum sum = {0};
	if (only != NULL) {
		play_seed(strtoull(only, NULL, 10), &sum);
		return;
	}
	for (uint64_t i = 0; i < count; i++)
		play_seed(i, &sum);
	(void)printf("%llu worlds: %u crashes, %u stops, %u full disks, %u reloads, %llu cells "
		     "spilled; %u alerts, %u rejects, %u buckets with a compared rule\n",
		     (unsigned long long)count, sum.crashes, sum.stops, sum.fulls, sum.swaps,
		     (unsigned long long)sum.spills, sum.alerts, sum.rejects, sum.compared);
	for (size_t i = 0; i < ALERTING; i++)
		(void)printf("%u alerts of %s\n", sum.of_rule[i], alerting[i]);
	if (count < SEEDS)
		return;
	ck_assert_uint_gt(sum.crashes, 40);
	ck_assert_uint_gt(sum.stops, 40);
	ck_assert_uint_gt(sum.swaps, 20);
	ck_assert_uint_gt(sum.spills, 1000);
	ck_assert_uint_gt(sum.alerts, 1000);
	for (size_t i = 0; i < ALERTING; i++)
		ck_assert_msg(sum.of_rule[i] > 100, "%u alerts of %s", sum.of_rule[i], alerting[i]);
	ck_assert_uint_gt(sum.rejects, 100);
	ck_assert_uint_gt(sum.compared, 100); /* buckets with counts of the rule */
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("simulation");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, the_answer_of_a_world);
	Suite *suite = suite_create("simulation");
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
