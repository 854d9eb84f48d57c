/* Conditions over values against brute force: value_count (also of tuples and of several values in
 * one event), temporal, temporal_ordered, value_sum, and chains of them. Random rules and streams;
 * every order of arrival within the lateness, every cut into epochs, every number of actors and
 * every restart must give what the definition gives for the sorted list of events: an event fires
 * iff [t - W, t] satisfies the condition, and contributes iff a window that fires holds it. */
#include "tests/correlate/stream_check.h"

struct value_spec {
	unsigned span[6];
	unsigned different, pairs, together, sum;
};

/* One event as a rule sees it. */
struct seen {
	int64_t time_us;
	char tenant[4], user[4];
	uint64_t values; /* as bits */
	uint64_t amount;
};

struct seens {
	struct seen all[ITEMS_MAX];
	size_t count;
};

struct question {
	enum correlation_type type;
	const char *rule, *level;
	unsigned span, at_least;
};

static struct value_spec value_spec_make(uint64_t *random)
{
	struct value_spec spec = {.different = 1 + (unsigned)below(random, 5),
				  .pairs = 1 + (unsigned)below(random, 6),
				  .together = 1 + (unsigned)below(random, 3),
				  .sum = 1 + (unsigned)below(random, 40)};
	for (size_t i = 0; i < 6; i++)
		spec.span[i] = 1 + (unsigned)below(random, 20);
	return spec;
}

static char *value_rules_text(const struct value_spec *spec)
{
	char *yaml = NULL;
	int size = asprintf(
		&yaml,
		"title: A\nname: a\nlogsource: {product: x}\nlevel: informational\n"
		"detection: {s: {event.action: a}, condition: s}\n---\n"
		"title: B\nname: b\nlogsource: {product: x}\nlevel: informational\n"
		"detection: {s: {event.action: b}, condition: s}\n---\n"
		"title: C\nname: c\nlogsource: {product: x}\nlevel: informational\n"
		"detection: {s: {event.action: c}, condition: s}\n---\n"
		"title: Different\nname: different\nlevel: high\n"
		"correlation: {type: value_count, rules: [a, b], group-by: [user.id], timespan: "
		"%us, condition: {field: source.ip, gte: %u}}\n---\n"
		"title: Pairs\nname: pairs\nlevel: low\n"
		"correlation: {type: value_count, rules: [b], group-by: [user.id], timespan: %us, "
		"condition: {field: [source.ip, bytes], gt: %u}}\n---\n"
		"title: Together\nname: together\nlevel: medium\n"
		"correlation: {type: temporal, rules: [a, b, c], group-by: [user.id], timespan: "
		"%us, condition: {gte: %u}}\n---\n"
		"title: Order\nname: order\nlevel: critical\n"
		"correlation: {type: temporal_ordered, rules: [a, b, c], group-by: [user.id], "
		"timespan: %us}\n---\n"
		"title: Sum\nname: sum\nlevel: high\npicket: {nonnegative: true}\n"
		"correlation: {type: value_sum, rules: [a, c], group-by: [user.id], timespan: %us, "
		"condition: {field: bytes, gte: %u.5}}\n---\n"
		"title: Chain\nname: chain\nlevel: critical\ngenerate: true\n"
		"correlation: {type: temporal_ordered, rules: [different, c], group-by: [user.id], "
		"timespan: %us}\n",
		spec->span[0], spec->different, spec->span[1], spec->pairs - 1, spec->span[2],
		spec->together, spec->span[3], spec->span[4], spec->sum, spec->span[5]);
	ck_assert_int_gt(size, 0);
	return yaml;
}

/* More sources than the other oracle uses, amounts, and a third rule. */
static void stream_enrich(struct stream *stream, uint64_t *random)
{
	size_t sources = 1 + below(random, 8);
	size_t kinds = 1 + below(random, 6);
	for (size_t i = 0; i < stream->count; i++) {
		struct thing *thing = &stream->things[i];
		for (size_t k = 0; k < 2; k++)
			if (thing->source[k][0] != '\0')
				(void)snprintf(thing->source[k], 4, "s%zu", below(random, sources));
		if (below(random, 8) > 0)
			(void)snprintf(thing->amount, sizeof thing->amount, "%zu%s",
				       below(random, 4), below(random, 2) == 0 ? "" : ".5");
		size_t kind = below(random, kinds);
		thing->a = kind == 0 || kind == 3;
		thing->b = kind == 1 || kind == 3 || kind == 4;
		thing->c = kind == 2 || kind == 4;
	}
}

static bool in_order(const struct seen *first, const struct seen *last, unsigned steps)
{
	int64_t after_us = INT64_MIN;
	for (unsigned step = 0; step < steps; step++) {
		const struct seen *found = first; /* they ascend: the first is the earliest */
		while (found <= last &&
		       ((found->values >> step & 1) == 0 || found->time_us < after_us))
			found++;
		if (found > last)
			return false;
		after_us = found->time_us;
	}
	return true;
}

/* Whether the window that ends at the time of group[event] satisfies the condition. */
static bool window_holds(const struct seen *group, size_t count, size_t event,
			 const struct question *question)
{
	int64_t end_us = group[event].time_us;
	size_t first = 0;
	size_t last = event;
	uint64_t values = 0;
	uint64_t amount = 0;
	while (end_us - group[first].time_us > (int64_t)question->span * SECOND)
		first++;
	while (last + 1 < count && group[last + 1].time_us == end_us)
		last++;
	for (size_t i = first; i <= last; i++) {
		values |= group[i].values;
		amount += group[i].amount;
	}
	if (question->type == CORRELATION_TEMPORAL_ORDERED)
		return in_order(&group[first], &group[last], question->at_least);
	if (question->type == CORRELATION_VALUE_SUM)
		return amount >= question->at_least;
	return (unsigned)__builtin_popcountll(values) >= question->at_least;
}

static int compare_seen(const void *a, const void *b)
{
	const struct seen *left = a;
	const struct seen *right = b;
	int order = strcmp(left->tenant, right->tenant);
	if (order == 0)
		order = strcmp(left->user, right->user);
	if (order == 0)
		order = (left->time_us > right->time_us) - (left->time_us < right->time_us);
	return order;
}

/* The alerts of one group. */
static void answer_group(const struct seen *group, size_t count, const struct question *question,
			 struct lines *lines, struct seens *fired)
{
	int64_t span_us = (int64_t)question->span * SECOND;
	char name[16];
	uint64_t events = 0;
	int64_t first_us = 0;
	int64_t last_us = 0;
	(void)snprintf(name, sizeof name, "user.id=%s", group->user);
	for (size_t i = 0; i < count; i++) {
		bool contributes = false;
		for (size_t end = i;
		     end < count && group[end].time_us - group[i].time_us <= span_us; end++)
			contributes = contributes || window_holds(group, count, end, question);
		if (fired != NULL && window_holds(group, count, i, question)) {
			fired->all[fired->count] = group[i];
			fired->all[fired->count++].values = 1;
		}
		if (!contributes)
			continue;
		if (events > 0 && group[i].time_us - last_us > span_us) {
			line_add(lines, question->rule, group->tenant, name, first_us, last_us,
				 events, question->level);
			events = 0;
		}
		first_us = events == 0 ? group[i].time_us : first_us;
		last_us = group[i].time_us;
		events++;
	}
	if (events > 0)
		line_add(lines, question->rule, group->tenant, name, first_us, last_us, events,
			 question->level);
}

static void answer(struct seens *seens, const struct question *question, struct lines *lines,
		   struct seens *fired)
{
	qsort(seens->all, seens->count, sizeof *seens->all, compare_seen);
	for (size_t start = 0, end = 0; start < seens->count; start = end) {
		const struct seen *group = &seens->all[start];
		while (end < seens->count && strcmp(group->tenant, seens->all[end].tenant) == 0 &&
		       strcmp(group->user, seens->all[end].user) == 0)
			end++;
		answer_group(group, end - start, question, lines, fired);
	}
}

static void see(struct seens *seens, const struct thing *thing, uint64_t values, uint64_t amount)
{
	struct seen *seen = &seens->all[seens->count++];
	*seen = (struct seen){.time_us = thing->time_us, .values = values, .amount = amount};
	(void)snprintf(seen->tenant, sizeof seen->tenant, "%s", thing->tenant);
	(void)snprintf(seen->user, sizeof seen->user, "%s", thing->user);
}

/* The sources of a thing as bits. */
static uint64_t source_bits(const struct thing *thing)
{
	uint64_t bits = 0;
	for (size_t i = 0; i < 2; i++)
		if (thing->source[i][0] != '\0')
			bits |= UINT64_C(1) << (thing->source[i][1] - '0');
	return bits;
}

/* Amounts are 0 to 3.5 in halves, so that a pair of a source and an amount is one of 64. */
static uint64_t halves(const struct thing *thing)
{
	return 2 * (uint64_t)(thing->amount[0] - '0') + (thing->amount[1] == '.');
}

static void value_oracle(const struct stream *stream, const struct value_spec *spec,
			 struct lines *lines)
{
	static struct seens different, pairs, together, order, sum, chain;
	different.count = pairs.count = together.count = order.count = sum.count = 0;
	chain.count = 0;
	lines->count = 0;
	for (size_t i = 0; i < stream->count; i++) {
		const struct thing *thing = &stream->things[i];
		uint64_t bits = source_bits(thing);
		uint64_t matched =
			(thing->a ? 1u : 0u) | (thing->b ? 2u : 0u) | (thing->c ? 4u : 0u);
		if (thing->user[0] == '\0')
			continue;
		if ((thing->a || thing->b) && bits != 0)
			see(&different, thing, bits, 0);
		if (thing->b && bits != 0 && thing->amount[0] != '\0')
			see(&pairs, thing, bits << (8 * halves(thing)), 0);
		if (matched != 0) {
			see(&together, thing, matched, 0);
			see(&order, thing, matched, 0);
		}
		if ((thing->a || thing->c) && thing->amount[0] != '\0')
			see(&sum, thing, 0, halves(thing));
		if (thing->c)
			see(&chain, thing, 2, 0);
	}
	answer(&different,
	       &(struct question){CORRELATION_VALUE_COUNT, "different", "high", spec->span[0],
				  spec->different},
	       lines, &chain);
	answer(&pairs,
	       &(struct question){CORRELATION_VALUE_COUNT, "pairs", "low", spec->span[1],
				  spec->pairs},
	       lines, NULL);
	answer(&together,
	       &(struct question){CORRELATION_TEMPORAL, "together", "medium", spec->span[2],
				  spec->together},
	       lines, NULL);
	answer(&order,
	       &(struct question){CORRELATION_TEMPORAL_ORDERED, "order", "critical", spec->span[3],
				  3},
	       lines, NULL);
	answer(&sum,
	       &(struct question){CORRELATION_VALUE_SUM, "sum", "high", spec->span[4],
				  2 * spec->sum + 1},
	       lines, NULL);
	answer(&chain,
	       &(struct question){CORRELATION_TEMPORAL_ORDERED, "chain", "critical", spec->span[5],
				  2},
	       lines, NULL);
}

static size_t alerts_expected;

static void check_values(const struct setup *setup, const struct value_spec *spec,
			 struct sets *sets)
{
	static struct lines expected;
	struct stream stream = {0};
	stream_make(&stream, &sets->random);
	stream_enrich(&stream, &sets->random);
	value_oracle(&stream, spec, &expected);
	alerts_expected += expected.count;
	check_stream(setup, &stream, &expected, sets);
}

START_TEST(alerts_over_values_are_those_of_the_definition)
{
	struct sets sets = sets_begin(CASES_USUAL);
	while (sets_next(&sets, alerts_expected)) {
		struct value_spec spec = value_spec_make(&sets.random);
		char *yaml = value_rules_text(&spec);
		struct setup setup = setup_of(yaml);
		free(yaml);
		for (int i = 0; i < CASES_A_SET; i++)
			check_values(&setup, &spec, &sets);
		setup_done(&setup);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("values_oracle");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, alerts_over_values_are_those_of_the_definition);
	return run_tests("values_oracle", tests);
}
