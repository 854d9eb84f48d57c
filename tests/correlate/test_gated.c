/* Damage in the checkpoint of gated rules is refused or harmless: whatever was taken goes on. */
#include "tests/correlate/stream_check.h"

enum { DAMAGES = 1500 };

static const char yaml[] = STREAM_RULES
	"title: N\nname: n\nlevel: high\ncorrelation: {type: temporal, rules: [a, b, c], group-by: "
	"[user.id], timespan: 9s, condition: a and b and not c}\n---\n"
	"title: S\nname: s\nlevel: high\ncorrelation: {type: sequence, group-by: [user.id], "
	"timespan: 9s, steps: [{rule: a}, {rule: b, match: {source.ip: source.ip}}]}\n---\n"
	"title: M\nname: m\nlevel: high\ncorrelation: {type: value_median, rules: [a], group-by: "
	"[user.id], timespan: 9s, condition: {field: bytes, gte: 0}}\n---\n"
	"title: T\nname: t\nlevel: high\ncorrelation: {type: geo_velocity, rules: [a], group-by: "
	"[user.id], timespan: 9s, condition: {field: source.ip}}\n---\n"
	"title: F\nname: f\nlevel: high\ncorrelation: {type: first_seen, rules: [a], group-by: "
	"[user.id], timespan: 9s, learn: {for: 0s}, condition: {field: source.ip}}\n---\n"
	"title: P\nname: p\nlevel: high\ncorrelation: {type: first_seen, rules: [a], group-by: "
	"[user.id], timespan: 9s, learn: {for: 0s}, condition: {field: source.ip}, peers: {by: "
	"[service.name], rare-below: 2}}\n---\n"
	"title: Q\nname: q\nlevel: high\ncorrelation: {type: absence, rules: [a], group-by: "
	"[user.id], timespan: 9s}\n---\n"
	"title: D\nname: d\nlevel: high\ncorrelation: {type: baseline, rules: [a], group-by: "
	"[user.id], timespan: 9s, history: 90s, condition: {aggregate: distinct, field: "
	"source.ip, deviation: {gte: 1}}}\n---\n"
	"title: R\nname: r\nlevel: high\ncorrelation: {type: baseline, rules: [a], group-by: "
	"[user.id], timespan: 9s, history: 90s, condition: {aggregate: p95, field: bytes, "
	"deviation: {gte: 1}}}\n---\n"
	"title: U\nname: u\nlevel: high\ncorrelation: {type: baseline, rules: [a], group-by: "
	"[user.id], timespan: 2s, history: 16s, condition: {aggregate: count, deviation: {gte: "
	"1}}}\n";

static void run_damaged(const struct setup *setup, struct text saved, size_t *refused)
{
	struct actor_options options = {.plan = setup->plan, .actor_count = 1};
	struct actor *actor = NULL;
	struct bytes out cleanup(bytes_done) = {0};
	struct record_sink exchange = {&out, 1};
	ck_assert_int_eq(actor_new(&options, &actor, NULL), OK);
	enum status status = actor_restore(actor, saved, NULL);
	*refused += status != OK;
	if (status == OK) {
		for (unsigned round = 0; round <= plan_rounds(setup->plan); round++) {
			assert(actor_feed(actor, bytes_text(&out), NULL) == OK);
			bytes_clear(&out);
			assert(actor_round(actor, 9, INT64_MAX, &exchange, NULL) == OK);
		}
		assert(actor_close(actor, 9, INT64_MAX, NULL) == OK);
	}
	actor_free(&actor);
}

START_TEST(damage_is_refused_or_harmless)
{
	uint64_t random = first_seed();
	struct setup setup = setup_of(yaml);
	struct stream stream = {0};
	struct run run;
	struct bytes fed[ACTORS_MAX] = {0};
	size_t refused = 0;
	size_t tried = 0;
	run_begin(&run, &setup, 1);
	while (stream.count < EVENTS_MAX / 2)
		stream_make(&stream, &random);
	for (size_t i = 0; i < stream.count; i++) {
		struct record_sink sink = {fed, 1};
		stream.things[i].placed = true;
		(void)snprintf(stream.things[i].amount, sizeof stream.things[i].amount, "%zu",
			       i % 10);
		route(&setup, &stream.things[i], &sink);
	}
	run_epoch(&run, fed, stream.things[stream.count / 2].time_us);
	for (unsigned p = 0; p < VIRTUAL_PARTITIONS; p++) {
		struct bytes saved cleanup(bytes_done) = {0};
		ck_assert_int_eq(actor_checkpoint(run.actors[0], (uint8_t)p, &saved), OK);
		for (int i = 0; saved.size > 32 && i < DAMAGES / 8; i++) {
			size_t at = below(&random, saved.size);
			unsigned char was = saved.data[at];
			saved.data[at] = (unsigned char)below(&random, 256);
			run_damaged(&setup, bytes_text(&saved), &refused);
			saved.data[at] = was;
			tried++;
		}
	}
	printf("%zu damages, %zu refused\n", tried, refused);
	ck_assert_uint_gt(refused, 100);
	ck_assert_uint_gt(tried, refused);
	run_end(&run);
	setup_done(&setup);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("gated");
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, damage_is_refused_or_harmless);
	return run_tests("gated", tests);
}
