/* stream_oracle - random rules and streams, and the alerts they must give, by brute force.
 *
 * Why: the engine is incremental, forgets, merges and survives restarts; what it must say in the
 * end follows from the sorted list of events and the definitions of docs/CORRELATION.md alone. This
 * file computes that from nothing else. Owner: each test that includes it. Limits: EVENTS_MAX
 * events. */
#ifndef PICKET_TESTS_CORRELATE_STREAM_ORACLE_H
#define PICKET_TESTS_CORRELATE_STREAM_ORACLE_H

#include "tests/correlate/fixture.h"

enum {
	EVENTS_MAX = 64,
	SHORT_MAX = 12,
	ITEMS_MAX = 1024,
	SECOND = 1000000,
};

/* One event of the stream; values are small numbers. */
struct thing {
	int64_t time_us;
	char tenant[4];
	char user[4];      /* "" = the event has no user */
	char source[2][4]; /* "" = none; two = the event joins both */
	bool a, b, c;      /* which detections match */
	char amount[8];    /* "" = none */
	bool placed;       /* source[0] has a position */
	int64_t offset;
};

struct spec {
	unsigned count_span, count_at_least;
	unsigned both_span, both_at_least;
	unsigned cross_span, cross_at_least;
	unsigned chain_span, chain_at_least;
	unsigned dedup;
};

struct stream {
	struct thing things[EVENTS_MAX]; /* ascending time */
	size_t arrival[EVENTS_MAX];
	int64_t safe[EVENTS_MAX + 1]; /* smallest time still to come */
	size_t count;
};

/* What the oracle groups: one entry per event and group of a rule. */
struct item {
	int64_t time_us;
	char group[64];
	char tenant[4];
};

struct items {
	struct item all[ITEMS_MAX];
	size_t count;
};

/* What an alert ends as. Whole lines are compared, so no byte of one is left as it was. */
struct line {
	int64_t first_us, last_us;
	uint64_t count;
	char rule[24], tenant[8], group[48], level[16];
};

struct lines {
	struct line all[ITEMS_MAX];
	size_t count;
};

static inline char *rules_text(const struct spec *spec)
{
	char *yaml = NULL;
	int size = asprintf(
		&yaml,
		"title: A\nname: a\nlogsource: {product: x}\nlevel: low\n"
		"detection: {s: {event.action: a}, condition: s}\n"
		"picket: {dedup: {by: [user.id], for: %us}}\n"
		"---\n"
		"title: B\nname: b\nlogsource: {product: x}\nlevel: low\n"
		"detection: {s: {event.action: b}, condition: s}\n"
		"---\n"
		"title: Count\nname: count\nlevel: high\ngenerate: true\n"
		"correlation: {type: event_count, rules: [a], group-by: [user.id], timespan: %us, "
		"condition: {gte: %u}}\n"
		"---\n"
		"title: Both\nname: both\nlevel: medium\ngenerate: true\n"
		"correlation: {type: event_count, rules: [a, b], group-by: [user.id, source.ip], "
		"timespan: %us, condition: {gt: %u}}\n"
		"---\n"
		"title: Cross\nname: cross\nlevel: medium\npicket: {tenant: {scope: "
		"cross-tenant}}\n"
		"correlation: {type: event_count, rules: [b], group-by: [source.ip], timespan: %us, "
		"condition: {gte: %u}}\n"
		"---\n"
		"title: Chain\nname: chain\nlevel: critical\ngenerate: true\n"
		"correlation: {type: event_count, rules: [both], group-by: [user.id], timespan: %us, "
		"condition: {gte: %u}}\n",
		spec->dedup, spec->count_span, spec->count_at_least, spec->both_span,
		spec->both_at_least - 1, spec->cross_span, spec->cross_at_least, spec->chain_span,
		spec->chain_at_least);
	ck_assert_int_gt(size, 0);
	return yaml;
}

static inline struct spec spec_make(uint64_t *random)
{
	return (struct spec){
		.count_span = 1 + (unsigned)below(random, 20),
		.count_at_least = 1 + (unsigned)below(random, 6),
		.both_span = 1 + (unsigned)below(random, 20),
		.both_at_least = 1 + (unsigned)below(random, 5),
		.cross_span = 1 + (unsigned)below(random, 20),
		.cross_at_least = 1 + (unsigned)below(random, 6),
		.chain_span = 1 + (unsigned)below(random, 20),
		.chain_at_least = 1 + (unsigned)below(random, 4),
		.dedup = 1 + (unsigned)below(random, 20),
	};
}

static inline int compare_things(const void *a, const void *b)
{
	const struct thing *left = a;
	const struct thing *right = b;
	return (left->time_us > right->time_us) - (left->time_us < right->time_us);
}

static inline void stream_make(struct stream *stream, uint64_t *random)
{
	bool is_long = below(random, 8) == 0; /* most are short: more of them can be tried */
	stream->count = 1 + below(random, is_long ? EVENTS_MAX : SHORT_MAX);
	size_t range = 1 + below(random, 2 * stream->count + 10);
	for (size_t i = 0; i < stream->count; i++) {
		struct thing *thing = &stream->things[i];
		*thing = (struct thing){.time_us = (int64_t)below(random, range) * SECOND};
		(void)snprintf(thing->tenant, sizeof thing->tenant, "t%zu", below(random, 2));
		if (below(random, 8) > 0)
			(void)snprintf(thing->user, sizeof thing->user, "u%zu", below(random, 2));
		if (below(random, 8) > 0)
			(void)snprintf(thing->source[0], 4, "s%zu", below(random, 2));
		if (thing->source[0][0] != '\0' && below(random, 4) == 0)
			(void)snprintf(thing->source[1], 4, "s%zu", below(random, 3));
		size_t kind = below(random, 3);
		thing->a = kind != 1;
		thing->b = kind != 0;
	}
	qsort(stream->things, stream->count, sizeof *stream->things, compare_things);
	for (size_t i = 0; i < stream->count; i++)
		stream->things[i].offset = (int64_t)i;
}

/* An arrival out of order by at most some bound, which is new for every run. */
static inline void stream_shuffle(struct stream *stream, uint64_t *random)
{
	int64_t keys[EVENTS_MAX];
	size_t bound = 1 + below(random, 60);
	for (size_t i = 0; i < stream->count; i++) {
		keys[i] = stream->things[i].time_us + (int64_t)below(random, bound) * SECOND;
		size_t at = i;
		for (; at > 0 && keys[stream->arrival[at - 1]] > keys[i]; at--)
			stream->arrival[at] = stream->arrival[at - 1];
		stream->arrival[at] = i;
	}
	stream->safe[stream->count] = stream->things[stream->count - 1].time_us + SECOND;
	for (size_t i = stream->count; i-- > 0;) {
		int64_t here = stream->things[stream->arrival[i]].time_us;
		int64_t later = stream->safe[i + 1];
		stream->safe[i] = here < later ? here : later;
	}
}

static inline void item_add(struct items *items, int64_t time_us, const char *tenant,
			    const char *group)
{
	assert(items->count < ITEMS_MAX);
	struct item *item = &items->all[items->count++];
	item->time_us = time_us;
	(void)snprintf(item->tenant, sizeof item->tenant, "%s", tenant);
	(void)snprintf(item->group, sizeof item->group, "%s", group);
}

static inline int compare_items(const void *a, const void *b)
{
	const struct item *left = a;
	const struct item *right = b;
	int order = strcmp(left->tenant, right->tenant);
	if (order == 0)
		order = strcmp(left->group, right->group);
	if (order == 0)
		order = (left->time_us > right->time_us) - (left->time_us < right->time_us);
	return order;
}

static inline bool same_group(const struct item *a, const struct item *b)
{
	return strcmp(a->tenant, b->tenant) == 0 && strcmp(a->group, b->group) == 0;
}

/* From the definition: some window [from, from + span] with enough events holds the event. */
static inline bool contributes(const struct item *group, size_t count, size_t event, int64_t span,
			       size_t at_least)
{
	for (size_t first = 0; first <= event; first++) {
		size_t inside = 0;
		if (group[event].time_us - group[first].time_us > span)
			continue;
		for (size_t i = first; i < count; i++)
			inside += group[i].time_us - group[first].time_us <= span;
		if (inside >= at_least)
			return true;
	}
	return false;
}

static inline bool fires(const struct item *group, size_t count, size_t event, int64_t span,
			 size_t at_least)
{
	size_t inside = 0;
	for (size_t i = 0; i < count; i++)
		inside += group[i].time_us <= group[event].time_us &&
			  group[event].time_us - group[i].time_us <= span;
	return inside >= at_least;
}

static inline void line_word(char *to, size_t size, struct text word)
{
	assert(word.size < size);
	memcpy(to, word.data, word.size);
}

static inline void line_add(struct lines *lines, const char *rule, const char *tenant,
			    const char *group, int64_t first_us, int64_t last_us, uint64_t count,
			    const char *level)
{
	assert(lines->count < ITEMS_MAX);
	struct line *line = &lines->all[lines->count++];
	memset(line, 0, sizeof *line);
	line->first_us = first_us;
	line->last_us = last_us;
	line->count = count;
	line_word(line->rule, sizeof line->rule, text_of(rule));
	line_word(line->tenant, sizeof line->tenant, text_of(tenant));
	line_word(line->group, sizeof line->group, text_of(group));
	line_word(line->level, sizeof line->level, text_of(level));
}

/* Alerts of one rule; firings go to `fired` (by user, which every group of `both` begins with). */
static inline void oracle_rule(struct items *items, const char *rule, const char *level,
			       unsigned span, unsigned at_least, struct lines *lines,
			       struct items *fired)
{
	int64_t span_us = (int64_t)span * SECOND;
	qsort(items->all, items->count, sizeof *items->all, compare_items);
	for (size_t start = 0, end = 0; start < items->count; start = end) {
		const struct item *group = &items->all[start];
		while (end < items->count && same_group(group, &items->all[end]))
			end++;
		size_t count = end - start;
		uint64_t events = 0;
		int64_t first_us = 0;
		int64_t last_us = 0;
		for (size_t i = 0; i < count; i++) {
			if (fired != NULL && fires(group, count, i, span_us, at_least)) {
				char user[64];
				(void)snprintf(user, sizeof user, "%.*s",
					       (int)strcspn(group->group, ","), group->group);
				item_add(fired, group[i].time_us, group->tenant, user);
			}
			if (!contributes(group, count, i, span_us, at_least))
				continue;
			if (events > 0 && group[i].time_us - last_us > span_us) {
				line_add(lines, rule, group->tenant, group->group, first_us,
					 last_us, events, level);
				events = 0;
			}
			first_us = events == 0 ? group[i].time_us : first_us;
			last_us = group[i].time_us;
			events++;
		}
		if (events > 0)
			line_add(lines, rule, group->tenant, group->group, first_us, last_us,
				 events, level);
	}
}

/* The groups that a thing has for "user.id, source.ip" (`user` may be left out). */
static inline void item_sources(struct items *items, const struct thing *thing, bool user,
				bool partial, const char *tenant)
{
	if (user && !partial && thing->user[0] == '\0')
		return;
	for (size_t i = 0; i < 2; i++) {
		const char *source = thing->source[i];
		bool again = i == 1 && strcmp(source, thing->source[0]) == 0;
		if (again || (source[0] == '\0' && (!partial || i == 1)))
			continue;
		bool has_user = user && thing->user[0] != '\0';
		char group[64];
		(void)snprintf(group, sizeof group, "%s%s%s%s%s", has_user ? "user.id=" : "",
			       has_user ? thing->user : "", has_user && source[0] ? "," : "",
			       source[0] ? "source.ip=" : "", source);
		item_add(items, thing->time_us, tenant, group);
	}
}

static inline void oracle(const struct stream *stream, const struct spec *spec, struct lines *lines)
{
	static struct items a, b, count, both, cross, chain;
	a.count = b.count = count.count = both.count = cross.count = chain.count = 0;
	for (size_t i = 0; i < stream->count; i++) {
		const struct thing *thing = &stream->things[i];
		char user[64] = "";
		if (thing->user[0] != '\0')
			(void)snprintf(user, sizeof user, "user.id=%s", thing->user);
		if (thing->a)
			item_add(&a, thing->time_us, thing->tenant, user);
		if (thing->a && user[0] != '\0')
			item_add(&count, thing->time_us, thing->tenant, user);
		if (thing->b)
			item_sources(&b, thing, true, true, thing->tenant);
		if (thing->b)
			item_sources(&cross, thing, false, false, "");
		item_sources(&both, thing, true, false, thing->tenant);
	}
	lines->count = 0;
	oracle_rule(&a, "a", "low", spec->dedup, 1, lines, NULL);
	oracle_rule(&b, "b", "low", 3600, 1, lines, NULL);
	oracle_rule(&count, "count", "high", spec->count_span, spec->count_at_least, lines, NULL);
	oracle_rule(&both, "both", "medium", spec->both_span, spec->both_at_least, lines, &chain);
	oracle_rule(&cross, "cross", "medium", spec->cross_span, spec->cross_at_least, lines, NULL);
	oracle_rule(&chain, "chain", "critical", spec->chain_span, spec->chain_at_least, lines,
		    NULL);
}

#endif
