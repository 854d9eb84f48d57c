/* Every allocation of the correlation paths failing once: feeding, folding, closing, saving and
 * restoring end in ENOMEMORY or in the right answer, never in a crash, a leak (the sanitizers look)
 * or a half-written checkpoint that is taken for a whole one. The program brings its own malloc(),
 * which counts down and then asks the real one. */
#include "tests/correlate/fixture.h"

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define REAL(name) __interceptor_##name
#else
#define REAL(name) __libc_##name
#endif

void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t count, size_t size);
void *REAL(realloc)(void *memory, size_t size);

static size_t fail_in; /* the n-th allocation from now fails; 0: none */

static bool fails(void)
{
	return fail_in > 0 && --fail_in == 0;
}

void *malloc(size_t size)
{
	return fails() ? NULL : REAL(malloc)(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : REAL(calloc)(count, size);
}

void *realloc(void *memory, size_t size)
{
	return fails() ? NULL : REAL(realloc)(memory, size);
}

#define RULES                                                                                     \
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

enum { EPOCHS = 4, EVENTS_AN_EPOCH = 12 };

static void feed_make(const struct setup *setup, int epoch, struct bytes *fed)
{
	struct record_sink sink = {fed, 1};
	for (int i = 0; i < EVENTS_AN_EPOCH; i++) {
		struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
		int number = epoch * EVENTS_AN_EPOCH + i;
		struct event event = event_at(INT64_C(1000000) * number, number, "acme");
		struct route_counters counters = {0};
		uint32_t rule = rule_index(setup, "a");
		char source[16];
		(void)snprintf(source, sizeof source, "10.0.0.%d", number % 7);
		event_put(&event, arena, "user.id", i % 2 == 0 ? "ann" : "bob");
		event_put(&event, arena, "source.ip", source);
		event_put(&event, arena, "bytes", "5");
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

/* All epochs, saved and restored in the middle; what is left at the end goes into `end`. */
static enum status run(const struct setup *setup, const struct bytes *feds, size_t memory_max,
		       struct bytes *end)
{
	struct actor *actor = NULL;
	struct actor *next = NULL;
	struct error err = {0};
	struct actor_options options = {
		.plan = setup->plan, .actor_count = 1, .memory_max = memory_max};
	enum status status = actor_new(&options, &actor, &err);
	for (int epoch = 0; status == OK && epoch < EPOCHS; epoch++) {
		status = epoch_run(actor, setup->plan, &feds[epoch], epoch, &err);
		if (status != OK || epoch != EPOCHS / 2)
			continue;
		status = actor_new(&options, &next, &err);
		for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++) {
			struct bytes saved cleanup(bytes_done) = {0};
			status = actor_checkpoint(actor, (uint8_t)i, &saved);
			if (status == OK)
				status = actor_restore(next, bytes_text(&saved), &err);
		}
		actor_free(&actor);
		actor = TAKE(next);
	}
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++)
		status = actor_checkpoint(actor, (uint8_t)i, end);
	actor_free(&actor);
	actor_free(&next);
	return status;
}

static void sweep(size_t memory_max)
{
	struct setup setup = setup_of(RULES);
	struct bytes feds[EPOCHS] = {0};
	struct bytes expected cleanup(bytes_done) = {0};
	size_t failures = 0;
	size_t survived = 0;
	for (int epoch = 0; epoch < EPOCHS; epoch++)
		feed_make(&setup, epoch, &feds[epoch]);
	ck_assert_int_eq(run(&setup, feds, memory_max, &expected), OK);
	ck_assert_uint_gt(expected.size, 0);
	for (size_t nth = 1;; nth++) {
		struct bytes end cleanup(bytes_done) = {0};
		fail_in = nth;
		enum status status = run(&setup, feds, memory_max, &end);
		bool reached = fail_in == 0;
		fail_in = 0;
		ck_assert_msg(status == OK || status == ENOMEMORY, "allocation %zu: %s", nth,
			      status_text(status));
		ck_assert_msg(status != OK || text_equal(bytes_text(&end), bytes_text(&expected)),
			      "allocation %zu failed and changed the state", nth);
		if (!reached)
			break;
		failures += status != OK;
		survived += status == OK;
	}
	printf("%zu allocations failed the run, %zu were done without\n", failures, survived);
	ck_assert_uint_gt(failures, 100);
	for (int epoch = 0; epoch < EPOCHS; epoch++)
		bytes_done(&feds[epoch]);
	setup_done(&setup);
}

START_TEST(every_allocation_may_fail)
{
	sweep(0);
}
END_TEST

/* One byte of memory: everything is packed and thawed on the way. */
START_TEST(packing_may_fail)
{
	sweep(1);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("memory_failure");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, every_allocation_may_fail);
	tcase_add_test(tests, packing_may_fail);
	return run_tests("memory_failure", tests);
}
