/* Every allocation of the correlation paths failing once: feeding, folding, closing, packing,
 * saving whole and by what changed, and restoring from both. */
#include "tests/correlate/memory_fault.h"

#define COUNTING                                                                                  \
	"title: A\nname: a\nlogsource: {product: x}\nlevel: informational\n"                      \
	"detection: {s: {event.action: a}, condition: s}\n---\n"                                  \
	"title: Count\nname: count\nlevel: high\ncorrelation: {type: event_count, rules: [a], "   \
	"group-by: [user.id], timespan: 1h, condition: {gte: 3}}\n---\n"                          \
	"title: Values\nname: values\nlevel: high\ncorrelation: {type: value_count, rules: [a], " \
	"group-by: [user.id], timespan: 1h, condition: {field: source.ip, gte: 3}}\n---\n"        \
	"title: Many\nname: many\nlevel: high\npicket: {accuracy: {exact-until: 1}}\n"            \
	"correlation: {type: value_count, rules: [a], group-by: [user.id], timespan: 1h, "        \
	"condition: {field: source.ip, gte: 3}}\n---\n"                                           \
	"title: Average\nname: average\nlevel: high\ncorrelation: {type: value_avg, rules: [a], " \
	"group-by: [user.id], timespan: 1h, condition: {field: bytes, gt: 1}}\n---\n"             \
	"title: New\nname: new\nlevel: high\ncorrelation: {type: first_seen, rules: [a], "        \
	"group-by: [user.id], timespan: 1d, learn: {for: 1s}, condition: {field: source.ip}}\n"   \
	"---\n"                                                                                   \
	"title: Rare\nname: rare\nlevel: high\ncorrelation: {type: first_seen, rules: [a], "      \
	"group-by: [user.id], timespan: 1d, learn: {for: 1s}, condition: {field: source.ip}, "    \
	"peers: {by: [bytes], rare-below: 1}}\n"                                                  \
	"---\n"                                                                                   \
	"title: Chain\nname: chain\nlevel: high\ncorrelation: {type: event_count, "               \
	"rules: [count], group-by: [user.id], timespan: 1h, condition: {gte: 2}}\n"

#define REMEMBERING                                                                                   \
	"title: A\nname: a\nlogsource: {product: x}\nlevel: informational\n"                          \
	"detection: {s: {event.action: a}, condition: s}\n"                                           \
	"picket: {risk: {score: 10, on: [user.id], once-per: 1s}}\n---\n"                             \
	"title: B\nname: b\nlogsource: {product: x}\nlevel: informational\n"                          \
	"detection: {s: {event.action: b}, condition: s}\n---\n"                                      \
	"title: Order\nname: order\nlevel: high\ncorrelation: {type: temporal_ordered, "              \
	"rules: [b, a], group-by: [user.id], timespan: 1h}\n---\n"                                    \
	"title: Steps\nname: steps\nlevel: high\ncorrelation: {type: sequence, group-by: [user.id], " \
	"timespan: 1h, steps: [{rule: a, count: {gte: 2}}, {not: b, within: 2s}]}\n---\n"             \
	"title: Usual\nname: usual\nlevel: high\ncorrelation: {type: baseline, rules: [a], "          \
	"group-by: [user.id], timespan: 2s, history: 1h, min-buckets: 2, condition: {aggregate: "     \
	"distinct, field: source.ip, deviation: {gte: 1}}}\n---\n"                                    \
	"title: Silent\nname: silent\nlevel: high\ncorrelation: {type: absence, rules: [a], "         \
	"group-by: [user.id], timespan: 3s}\n---\n"                                                   \
	"title: Travel\nname: travel\nlevel: high\ncorrelation: {type: geo_velocity, rules: [a], "    \
	"group-by: [user.id], timespan: 1h, condition: {field: source.ip, speed-kmh: {gt: 1000}, "    \
	"distance-km: {gt: 100}}}\n---\n"                                                             \
	"title: Risk\nname: risk\nlevel: high\ncorrelation: {type: risk, group-by: [entity], "        \
	"timespan: 1h, half-life: 1m, condition: {gte: 30}}\n"

enum { EPOCHS = 4, EVENTS_AN_EPOCH = 12 };

static void feed_make(const struct setup *setup, int epoch, struct bytes *fed)
{
	struct record_sink sink = {fed, 1};
	for (int i = 0; i < EVENTS_AN_EPOCH; i++) {
		struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
		int number = epoch * EVENTS_AN_EPOCH + i;
		struct event event = event_at(INT64_C(1000000) * number, number, "acme");
		struct route_counters counters = {0};
		bool other = ruleset_find(setup->ruleset, TEXT("b")) != NULL && i % 6 == 0;
		uint32_t rule = rule_index(setup, other ? "b" : "a");
		char source[16];
		(void)snprintf(source, sizeof source, "10.0.0.%d", number % 7);
		event_put(&event, arena, "user.id", i % 2 == 0 ? "ann" : "bob");
		event_put(&event, arena, "source.ip", source);
		event_put(&event, arena, "bytes", "5");
		event_put(&event, arena, "source.geo.city_name", number % 5 == 0 ? "Oslo" : "Rome");
		event_put(&event, arena, "source.geo.location.lat",
			  number % 5 == 0 ? "59.9" : "41.9");
		event_put(&event, arena, "source.geo.location.lon", "12");
		enum status status = plan_route(setup->plan, &event, &rule, 1, 0, &sink, &counters);
		assert(status == OK);
	}
}

static enum status epoch_run(struct actor *actor, const struct plan *plan, const struct bytes *fed,
			     int epoch, struct error *err)
{
	int64_t watermark_us = INT64_C(1000000) * EVENTS_AN_EPOCH * (epoch + 1) - 2000000;
	struct bytes out cleanup(bytes_done) = {0};
	struct record_sink exchange = {&out, 1};
	enum status status = actor_feed(actor, bytes_text(fed), err);
	for (unsigned round = 0; status == OK && round <= plan_rounds(plan); round++) {
		status = actor_round(actor, (uint64_t)epoch + 1, watermark_us, &exchange, err);
		if (status == OK && exchange.by_actor->failed)
			status = ENOMEMORY;
		if (status == OK && round < plan_rounds(plan))
			status = actor_feed(actor, bytes_text(&out), err);
		bytes_clear(&out);
	}
	return status == OK ? actor_close(actor, (uint64_t)epoch + 1, watermark_us, err) : status;
}

struct feds {
	struct setup setup;
	struct bytes epochs[EPOCHS];
	size_t memory_max;
	size_t changed; /* partitions that were moved by what changed in them */
};

/* The rows of all partitions after the first epoch, one behind the other. */
struct rows {
	struct bytes all;
	size_t ends[VIRTUAL_PARTITIONS];
	size_t changed; /* that something was added to since */
};

static void rows_done(struct rows *rows)
{
	bytes_done(&rows->all);
}

static enum status rows_save(struct actor *actor, struct rows *rows)
{
	enum status status = OK;
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++) {
		status = actor_checkpoint(actor, (uint8_t)i, &rows->all);
		rows->ends[i] = rows->all.size;
		actor_stored(actor, (uint8_t)i);
	}
	return status;
}

/* What changed since the rows, then the rows; or all of it, when it was not noted. */
static enum status partition_move(struct actor *from, struct rows *rows, uint8_t partition,
				  struct bytes *changes, struct actor *to)
{
	size_t begin = partition == 0 ? 0 : rows->ends[partition - 1];
	struct text row = {(const char *)rows->all.data + begin, rows->ends[partition] - begin};
	bool any = false;
	bytes_clear(changes);
	enum status status = actor_checkpoint_changes(from, partition, changes, &any);
	bool noted = status == OK;
	if (status == ENOTFOUND) {
		bytes_clear(changes);
		status = actor_checkpoint(from, partition, changes);
	}
	if (status == OK)
		status = actor_restore(to, bytes_text(changes), NULL);
	if (status == OK && noted)
		status = actor_restore(to, row, NULL);
	if (status == OK)
		actor_stored(to, partition);
	rows->changed += noted && any;
	return status;
}

static enum status actor_move(struct actor **actor, const struct actor_options *options,
			      struct rows *rows)
{
	struct actor *next cleanup(actor_free) = NULL;
	struct bytes changes cleanup(bytes_done) = {0};
	enum status status = actor_new(options, &next, NULL);
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++)
		status = partition_move(*actor, rows, (uint8_t)i, &changes, next);
	if (status != OK)
		return status;
	actor_free(actor);
	*actor = TAKE(next);
	return OK;
}

/* All epochs, with a restart in the middle. */
static enum status run(void *context, struct bytes *ret_end)
{
	struct feds *feds = context;
	struct actor *actor cleanup(actor_free) = NULL;
	struct rows rows cleanup(rows_done) = {0};
	struct error err = {0};
	struct actor_options options = {
		.plan = feds->setup.plan, .actor_count = 1, .memory_max = feds->memory_max};
	enum status status = actor_new(&options, &actor, &err);
	for (int epoch = 0; status == OK && epoch < EPOCHS; epoch++) {
		status = epoch_run(actor, feds->setup.plan, &feds->epochs[epoch], epoch, &err);
		if (status == OK && epoch == 0)
			status = rows_save(actor, &rows);
		if (status == OK && epoch == EPOCHS / 2)
			status = actor_move(&actor, &options, &rows);
	}
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++)
		status = actor_checkpoint(actor, (uint8_t)i, ret_end);
	feds->changed += rows.changed;
	return status;
}

static void sweep(const char *yaml, size_t memory_max)
{
	struct feds feds = {.setup = setup_of(yaml), .memory_max = memory_max};
	for (int epoch = 0; epoch < EPOCHS; epoch++)
		feed_make(&feds.setup, epoch, &feds.epochs[epoch]);
	memory_sweep(run, &feds);
	ck_assert_uint_gt(feds.changed, 1000);
	for (int epoch = 0; epoch < EPOCHS; epoch++)
		bytes_done(&feds.epochs[epoch]);
	setup_done(&feds.setup);
}

START_TEST(every_allocation_of_counting_may_fail)
{
	sweep(COUNTING, 0);
}
END_TEST

START_TEST(every_allocation_of_remembering_may_fail)
{
	sweep(REMEMBERING, 0);
}
END_TEST

/* One byte of memory: everything is packed and thawed on the way. */
START_TEST(packing_may_fail)
{
	sweep(COUNTING, 1);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("memory_failure");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, every_allocation_of_counting_may_fail);
	tcase_add_test(tests, every_allocation_of_remembering_may_fail);
	tcase_add_test(tests, packing_may_fail);
	return run_tests("memory_failure", tests);
}
