/* What a start reads of correlation: the rows of one virtual partition, newest first, as texts one
 * after the other. A row is refused, or the actor that has it goes on: it says the same again when
 * it is saved and restored, whole and as changes, and what waits in it is decided to the end. */
#include <assert.h>
#include <stdlib.h>

#include "correlate/actor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct hash_key key = {"sixteen bytes .."};

/* One rule of each kind of memory. */
static const char rules[] =
	"title: A\nname: a\nlogsource: {product: x}\nlevel: informational\n"
	"detection: {s: {event.action: a}, condition: s}\n---\n"
	"title: B\nname: b\nlogsource: {product: x}\nlevel: informational\n"
	"detection: {s: {event.action: b}, condition: s}\n---\n"
	"title: Count\nname: count\nlevel: high\ncorrelation: {type: event_count, rules: [a], "
	"group-by: [user.id], timespan: 1m, condition: {gte: 3}}\n---\n"
	"title: Values\nname: values\nlevel: high\ncorrelation: {type: value_count, rules: [a], "
	"group-by: [user.id], timespan: 1m, condition: {field: source.ip, gte: 2}}\n---\n"
	"title: Many\nname: many\nlevel: high\npicket: {accuracy: {exact-until: 1, error: 0.05}}\n"
	"correlation: {type: value_count, rules: [a], group-by: [user.id], timespan: 1m, "
	"condition: {field: source.ip, gte: 2}}\n---\n"
	"title: Order\nname: order\nlevel: high\ncorrelation: {type: temporal_ordered, "
	"rules: [a, b], group-by: [user.id], timespan: 1m}\n---\n"
	"title: Average\nname: average\nlevel: high\ncorrelation: {type: value_avg, rules: [a], "
	"group-by: [user.id], timespan: 1m, condition: {field: bytes, gt: 1}}\n---\n"
	"title: Few\nname: few\nlevel: high\ncorrelation: {type: event_count, rules: [a], "
	"group-by: [user.id], timespan: 1h, condition: {lt: 2}}\n---\n"
	"title: Steps\nname: steps\nlevel: high\ncorrelation: {type: sequence, group-by: [user.id], "
	"timespan: 1m, steps: [{rule: a, count: {gte: 2}}, {rule: b}]}\n---\n"
	"title: New\nname: new\nlevel: high\ncorrelation: {type: first_seen, rules: [a], "
	"group-by: [user.id], timespan: 1d, learn: {for: 1s}, condition: {field: source.ip}}\n---\n"
	"title: Unlike\nname: unlike\nlevel: high\ncorrelation: {type: baseline, rules: [a], "
	"group-by: [user.id], timespan: 1h, history: 2d, min-buckets: 4, "
	"condition: {aggregate: count, deviation: {gte: 6}}}\n";

static const struct plan *plan_shared(void)
{
	static struct ruleset *ruleset;
	static struct plan *plan;
	if (plan != NULL)
		return plan;
	struct ruleset_options options = {.supply_metadata = true};
	struct error err = {0};
	enum status status = ruleset_parse(&options, text_of(rules), "fuzz.yml", &ruleset, &err);
	if (status == OK)
		status = plan_new(ruleset, &key, &plan, &err);
	assert(status == OK);
	return plan;
}

static struct actor *actor_made(void)
{
	struct actor_options options = {.plan = plan_shared(), .actor_count = 1};
	struct actor *actor = NULL;
	enum status status = actor_new(&options, &actor, NULL);
	assert(status == OK);
	return actor;
}

/* Saved and restored, it is the same. */
static void expect_again(const struct actor *actor, uint8_t virtual_partition)
{
	struct actor *again cleanup(actor_free) = actor_made();
	struct bytes saved cleanup(bytes_done) = {0};
	struct bytes resaved cleanup(bytes_done) = {0};
	struct error err = {0};
	enum status status = actor_checkpoint(actor, virtual_partition, &saved);
	assert(status == OK);
	status = actor_restore(again, bytes_text(&saved), &err);
	assert(status == OK);
	status = actor_checkpoint(again, virtual_partition, &resaved);
	assert(status == OK && text_equal(bytes_text(&saved), bytes_text(&resaved)));
}

/* Everything that waits is decided; nothing is left when nothing more can come. */
static void run_to_the_end(struct actor *actor)
{
	struct bytes out cleanup(bytes_done) = {0};
	struct record_sink exchange = {&out, 1};
	struct error err = {0};
	enum status status = actor_round(actor, 1, INT64_MAX, &exchange, &err);
	if (status == OK)
		status = actor_close(actor, 1, INT64_MAX, &err);
	assert(status == OK && actor_counters(actor).cells == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct actor *actor cleanup(actor_free) = actor_made();
	struct cursor from = cursor_of((struct text){(const char *)data, size});
	struct error err = {0};
	uint8_t virtual_partition = 0;
	enum status status = OK;
	for (size_t rows = 0; status == OK && cursor_left(&from) > 0; rows++) {
		struct text row = cursor_text(&from);
		if (from.failed || row.size < 2 ||
		    (rows > 0 && (uint8_t)row.data[1] != virtual_partition))
			return 0;
		virtual_partition = (uint8_t)row.data[1];
		status = actor_restore(actor, row, &err);
	}
	if (status != OK) {
		assert(status == ECORRUPT && err.text[0] != '\0');
		return 0;
	}
	actor_stored(actor, virtual_partition);
	expect_again(actor, virtual_partition);
	run_to_the_end(actor);
	return 0;
}
