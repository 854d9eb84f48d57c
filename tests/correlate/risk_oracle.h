/* risk_oracle - rules that add to a risk, made at random, and a plain reading of what they add: for
 * every entity, list what each rule adds and when.
 *
 * Why: what an alert says and what stands on an entity now are held against the same list.
 * Owner: each test that includes it. Thread: one. Limits: those of stream_check.h. */
#ifndef PICKET_TESTS_CORRELATE_RISK_ORACLE_H
#define PICKET_TESTS_CORRELATE_RISK_ORACLE_H

#include <math.h>

#include "tests/correlate/stream_check.h"

enum { SOURCES = 4, ADDITIONS_MAX = 4 * EVENTS_MAX };

struct danger {
	unsigned span, half_life, tactics; /* half_life 0: none */
	double bound;
	bool strict;
	unsigned once[SOURCES], score[SOURCES]; /* of a, b, c and the count over a and b */
	unsigned count_span, count_least;
};

struct gain {
	int64_t time_us;
	double score;
	int source;
	bool contributes;
};

static inline double weight_of(const char *value)
{
	return strcmp(value, "u0") == 0 ? 2 : strcmp(value, "s1") == 0 ? 0.5 : 1;
}

/* Which rules add to an entity of that field: a and the count to users, c to addresses. */
static inline bool is_on(int source, bool user)
{
	return source == 1 || (user ? source != 2 : source == 2);
}

static inline bool names(const struct thing *thing, const char *value, bool user)
{
	return user ? strcmp(thing->user, value) == 0
		    : strcmp(thing->source[0], value) == 0 || strcmp(thing->source[1], value) == 0;
}

/* Whether so many a or b of the user lie in the count's window that ends at the thing. */
static inline bool counts(const struct danger *danger, const struct thing *const *all, size_t count,
			  const struct thing *end)
{
	size_t inside = 0;
	for (size_t i = 0; i < count; i++)
		inside += (all[i]->a || all[i]->b) && all[i]->time_us <= end->time_us &&
			  end->time_us - all[i]->time_us <= (int64_t)danger->count_span * SECOND;
	return inside >= danger->count_least;
}

/* What one rule adds to the entity. */
static inline size_t gains_of(const struct danger *danger, int source,
			      const struct thing *const *all, size_t count, const char *value,
			      struct gain *gains)
{
	size_t gained = 0;
	for (size_t i = 0; i < count; i++) {
		const bool matched[] = {all[i]->a, all[i]->b, all[i]->c,
					(all[i]->a || all[i]->b) &&
						counts(danger, all, count, all[i])};
		int64_t once_us = (int64_t)danger->once[source] * SECOND;
		bool paused = gained > 0 && once_us > 0 &&
			      all[i]->time_us - gains[gained - 1].time_us < once_us;
		if (matched[source] && !paused)
			gains[gained++] =
				(struct gain){.time_us = all[i]->time_us,
					      .score = danger->score[source] * weight_of(value),
					      .source = source};
	}
	return gained;
}

static inline int compare_gains(const void *a, const void *b)
{
	const struct gain *left = a;
	const struct gain *right = b;
	return (left->time_us > right->time_us) - (left->time_us < right->time_us);
}

/* What all rules add to the entity, in order of time. */
static inline size_t gains_of_entity(const struct danger *danger, const struct stream *stream,
				     const char *tenant, const char *value, struct gain *gains)
{
	const struct thing *all[EVENTS_MAX];
	bool user = value[0] == 'u';
	size_t count = 0;
	size_t gained = 0;
	for (size_t i = 0; i < stream->count; i++)
		if (strcmp(stream->things[i].tenant, tenant) == 0 &&
		    names(&stream->things[i], value, user))
			all[count++] = &stream->things[i];
	for (int source = 0; source < SOURCES; source++)
		if (is_on(source, user))
			gained += gains_of(danger, source, all, count, value, gains + gained);
	qsort(gains, gained, sizeof *gains, compare_gains);
	return gained;
}

static const char *const tenants[] = {"t0", "t1"};
static const char *const entities[] = {"u0", "u1", "s0", "s1", "s2"};

static inline void danger_stream(struct stream *stream, uint64_t *random)
{
	stream_make(stream, random);
	for (size_t i = 0; i < stream->count; i++)
		stream->things[i].c = below(random, 3) == 0;
}

static inline char *danger_text(const struct danger *danger)
{
	char *yaml = NULL;
	char half_life[32] = "";
	if (danger->half_life > 0)
		(void)snprintf(half_life, sizeof half_life, "half-life: %us, ", danger->half_life);
	int size = asprintf(
		&yaml,
		"title: A\nname: a\nlogsource: {product: x}\nlevel: informational\n"
		"tags: [attack.persistence, attack.t1098]\n"
		"detection: {s: {event.action: a}, condition: s}\n"
		"picket: {risk: {score: %u, on: [user.id], once-per: %us}}\n---\n"
		"title: B\nname: b\nlogsource: {product: x}\nlevel: informational\n"
		"tags: [attack.initial_access]\n"
		"detection: {s: {event.action: b}, condition: s}\n"
		"picket: {risk: {score: %u, on: [user.id, source.ip], once-per: %us}}\n---\n"
		"title: C\nname: c\nlogsource: {product: x}\nlevel: informational\n"
		"detection: {s: {event.action: c}, condition: s}\n"
		"picket: {risk: {score: %u, on: [source.ip], once-per: %us}}\n---\n"
		"title: D\nname: d\nlevel: informational\ntags: [attack.persistence]\n"
		"correlation: {type: event_count, rules: [a, b], group-by: [user.id], timespan: "
		"%us, condition: {gte: %u}}\n"
		"picket: {risk: {score: %u, on: [user.id], once-per: %us}}\n---\n"
		"title: S\nname: s\nlevel: high\n"
		"correlation: {type: risk, group-by: [entity], timespan: %us, %s"
		"weight: {u0: 2, s1: 0.5}, condition: {%s: %g, tactics: {gte: %u}}}\n",
		danger->score[0], danger->once[0], danger->score[1], danger->once[1],
		danger->score[2], danger->once[2], danger->count_span, danger->count_least,
		danger->score[3], danger->once[3], danger->span, half_life,
		danger->strict ? "gt" : "gte", danger->bound, danger->tactics);
	ck_assert_int_gt(size, 0);
	return yaml;
}

static inline struct danger danger_make(uint64_t *random)
{
	struct danger danger = {.span = 1 + (unsigned)below(random, 30),
				.half_life = (unsigned)below(random, 20),
				.tactics = (unsigned)below(random, 3),
				.bound = 10 + (double)below(random, 10) * 10,
				.strict = below(random, 2) == 0,
				.count_span = 1 + (unsigned)below(random, 10),
				.count_least = 1 + (unsigned)below(random, 3)};
	for (int i = 0; i < SOURCES; i++) {
		danger.once[i] = (unsigned)below(random, 10);
		danger.score[i] = 5 + 5 * (unsigned)below(random, 8);
	}
	return danger;
}

#endif
