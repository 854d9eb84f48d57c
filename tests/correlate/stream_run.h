/* stream_run - one stream through the real thing: actors, epochs, rounds, restarts.
 *
 * Why: every oracle test does the same with its own rules: routes the events in some order of
 * arrival, cuts epochs, saves and restores in between, and collects what the alerts end as.
 * Inner loops use assert(): each of check's own assertions writes to a pipe. Owner: each test that
 * includes it. Limits: ITEMS_MAX alerts. */
#ifndef PICKET_TESTS_CORRELATE_STREAM_RUN_H
#define PICKET_TESTS_CORRELATE_STREAM_RUN_H

#include "tests/correlate/spill_memory.h"
#include "tests/correlate/stream_oracle.h"

enum { ACTORS_MAX = 4, CHANGES_MAX = 8 };

/* One, as often as not: that is the quickest, and cells of one actor meet more of each other. */
static inline unsigned actors_some(uint64_t *random)
{
	return below(random, 2) == 0 ? 1 : 1 + (unsigned)below(random, ACTORS_MAX);
}

/* The rows that a store would have of one virtual partition. */
struct stored {
	struct bytes whole;
	struct bytes changes[CHANGES_MAX]; /* since; what stands in none is not written */
	size_t count;
};

/* Where the newest state of an alert stands in the log, as long as nobody clears it. */
struct last_change {
	char id[ALERT_ID_SIZE + 1];
	size_t at, size;
};

/* One run of the real thing. */
struct run {
	const struct setup *setup;
	struct actor *actors[ACTORS_MAX];
	unsigned actor_count;
	size_t memory_max; /* 1: every cell is spilled at every close (spill_memory.h) */
	struct spill_memory spills[ACTORS_MAX];
	uint64_t epoch;
	struct bytes log; /* every change of every epoch, in order of id */
	bool ends_only;   /* or only those that end an alert */
	struct last_change *alerts;
	size_t alert_count, alert_capacity;
	struct stored *stored; /* by virtual partition; NULL before the first save */
};

static inline void actors_start(struct run *run, unsigned actor_count)
{
	run->actor_count = actor_count;
	for (unsigned i = 0; i < actor_count; i++) {
		struct actor_options options = {
			.plan = run->setup->plan,
			.index = i,
			.actor_count = actor_count,
			.memory_max = run->memory_max,
			.spill = &run->spills[i].spill,
		};
		spill_memory_init(&run->spills[i]);
		{
			enum status status = actor_new(&options, &run->actors[i], NULL);
			assert(status == OK);
		}
	}
}

/* What changed, or all of it when that is asked for or there is no room for one row more. */
static inline void actors_save(struct run *run)
{
	if (run->stored == NULL)
		run->stored = calloc(VIRTUAL_PARTITIONS, sizeof *run->stored);
	assert(run->stored != NULL);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		struct actor *actor = run->actors[i % run->actor_count];
		struct stored *stored = &run->stored[i];
		struct bytes row = {0};
		bool any = false;
		bool full = stored->count == CHANGES_MAX;
		enum status status =
			full ? ENOTFOUND : actor_checkpoint_changes(actor, (uint8_t)i, &row, &any);
		if (status == OK) {
			stored->changes[stored->count++] = row;
			continue;
		}
		assert(status == ENOTFOUND);
		while (stored->count > 0)
			bytes_done(&stored->changes[--stored->count]);
		bytes_clear(&stored->whole);
		status = actor_checkpoint(actor, (uint8_t)i, &stored->whole);
		assert(status == OK);
		actor_stored(actor, (uint8_t)i);
	}
}

static inline void stored_restore(struct actor *actor, uint8_t virtual_partition,
				  const struct stored *stored)
{
	struct error err = {0};
	enum status status = OK;
	for (size_t i = stored->count; status == OK && i-- > 0;)
		status = actor_restore(actor, bytes_text(&stored->changes[i]), &err);
	if (status == OK)
		status = actor_restore(actor, bytes_text(&stored->whole), &err);
	assert(status == OK);
	actor_stored(actor, virtual_partition);
}

/* Saves everything, forgets everything, and goes on with another number of actors. */
static inline void actors_restart(struct run *run, unsigned actor_count)
{
	struct bytes saved[VIRTUAL_PARTITIONS] = {0};
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		enum status status =
			actor_checkpoint(run->actors[i % run->actor_count], (uint8_t)i, &saved[i]);
		assert(status == OK);
	}
	actors_save(run);
	for (unsigned i = 0; i < run->actor_count; i++) {
		actor_free(&run->actors[i]);
		spill_memory_done(&run->spills[i]);
	}
	actors_start(run, actor_count);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		struct actor *actor = run->actors[i % actor_count];
		struct bytes again cleanup(bytes_done) = {0};
		stored_restore(actor, (uint8_t)i, &run->stored[i]);
		{
			enum status status = actor_checkpoint(actor, (uint8_t)i, &again);
			assert(status == OK);
		}
		assert(text_equal(bytes_text(&again), bytes_text(&saved[i])));
		bytes_done(&saved[i]);
	}
}

/* Where sources lie: towns near to each other and far. */
static const struct {
	const char *city, *latitude, *longitude, *radius_km;
} stream_places[] = {
	{"Berlin", "52.52", "13.405", "20"},       {"Potsdam", "52.39", "13.06", "20"},
	{"Munich", "48.137", "11.575", "50"},      {"Toronto", "43.6529", "-79.3849", "10"},
	{"Sydney", "-33.8688", "151.2093", "100"}, {"Suva", "-18.1416", "178.4419", "5"},
	{"Apia", "-13.8333", "-171.75", "5"},      {"Quito", "-0.18", "-78.4678", "900"},
};

static inline void put_place(struct event *event, struct arena *arena, const char *source)
{
	size_t at = (size_t)(source[1] - '0') % (sizeof stream_places / sizeof *stream_places);
	event_put(event, arena, "source.geo.city_name", stream_places[at].city);
	event_put(event, arena, "source.geo.location.lat", stream_places[at].latitude);
	event_put(event, arena, "source.geo.location.lon", stream_places[at].longitude);
	event_put(event, arena, "picket.geo.accuracy_km", stream_places[at].radius_km);
}

/* The rules a, b and c that the thing matched, ascending. */
static inline size_t rules_matched(const struct setup *setup, const struct thing *thing,
				   uint32_t rules[3])
{
	static const char *const names[] = {"a", "b", "c"};
	const bool matched[] = {thing->a, thing->b, thing->c};
	size_t count = 0;
	for (size_t i = 0; i < 3; i++) {
		const struct rule *rule = ruleset_find(setup->ruleset, text_of(names[i]));
		if (matched[i] && rule != NULL)
			rules[count++] = rule->index;
	}
	assert(count < 2 || rules[0] < rules[1]);
	return count;
}

static inline void route(const struct setup *setup, const struct thing *thing,
			 struct record_sink *sink)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct event event = event_at(thing->time_us, thing->offset, thing->tenant);
	if (thing->user[0] != '\0')
		event_put(&event, arena, "user.id", thing->user);
	for (size_t i = 0; i < 2; i++)
		if (thing->source[i][0] != '\0')
			event_put(&event, arena, "source.ip", thing->source[i]);
	if (thing->placed && thing->source[0][0] != '\0')
		put_place(&event, arena, thing->source[0]);
	if (thing->amount[0] != '\0')
		event_put(&event, arena, "bytes", thing->amount);
	uint32_t rules[3];
	size_t count = rules_matched(setup, thing, rules);
	struct route_counters counters = {0};
	struct hearing hearing = {0};
	enum status status = plan_route(setup->plan, &event, rules, count, 0, sink, &counters);
	if (status == OK)
		status = plan_hear(setup->plan, &event, 0, &hearing, sink);
	assert(status == OK);
}

/* The match records of every thing; an actor skips those of others, so all are fed the same. */
struct routed {
	struct bytes things[EVENTS_MAX];
};

static inline void stream_route(const struct setup *setup, const struct stream *stream,
				struct routed *routed)
{
	for (size_t i = 0; i < stream->count; i++) {
		bytes_clear(&routed->things[i]);
		route(setup, &stream->things[i], &(struct record_sink){&routed->things[i], 1});
	}
}

static inline int compare_changes(const void *a, const void *b)
{
	const struct alert_change *left = a;
	const struct alert_change *right = b;
	return strcmp(left->alert->id, right->alert->id);
}

static inline void keep_change(struct run *run, const struct alert_change *change)
{
	size_t at = 0;
	if (run->ends_only && change->alert->state == ALERT_OPEN)
		return;
	while (at < run->alert_count && strcmp(run->alerts[at].id, change->alert->id) != 0)
		at++;
	if (at == run->alert_capacity) {
		run->alert_capacity = at == 0 ? 32 : 2 * at;
		run->alerts = realloc(run->alerts, run->alert_capacity * sizeof *run->alerts);
		assert(run->alerts != NULL);
	}
	struct last_change *last = &run->alerts[at];
	if (at == run->alert_count) {
		memcpy(last->id, change->alert->id, sizeof last->id);
		run->alert_count++;
	}
	last->at = run->log.size;
	alert_encode(change->alert, &run->log);
	last->size = run->log.size - last->at;
	bytes_put_u8(&run->log, change->announce);
}

static inline void collect_changes(struct run *run)
{
	static struct alert_change all[ITEMS_MAX];
	size_t total = 0;
	for (unsigned i = 0; i < run->actor_count; i++) {
		size_t count = 0;
		const struct alert_change *changes = actor_changes(run->actors[i], &count);
		for (size_t k = 0; k < count; k++) {
			assert(k == 0 ||
			       strcmp(changes[k - 1].alert->id, changes[k].alert->id) < 0);
			all[total++] = changes[k];
		}
	}
	qsort(all, total, sizeof *all, compare_changes);
	for (size_t i = 0; i < total; i++)
		keep_change(run, &all[i]);
	bytes_put_text(&run->log, TEXT("epoch"));
}

static inline void run_epoch(struct run *run, struct bytes fed[ACTORS_MAX], int64_t watermark_us)
{
	struct error err = {0};
	run->epoch++;
	for (unsigned round = 0; round <= plan_rounds(run->setup->plan); round++) {
		struct bytes out[ACTORS_MAX] = {0};
		struct record_sink exchange = {out, run->actor_count};
		for (unsigned i = 0; i < run->actor_count; i++) {
			{
				enum status status =
					actor_feed(run->actors[i], bytes_text(&fed[i]), &err);
				assert(status == OK);
			}
			bytes_done(&fed[i]);
		}
		for (unsigned i = 0; i < run->actor_count; i++) {
			enum status status = actor_round(run->actors[i], run->epoch, watermark_us,
							 &exchange, &err);
			assert(status == OK);
		}
		memcpy(fed, out, sizeof out);
	}
	for (unsigned i = 0; i < run->actor_count; i++) {
		assert(fed[i].size == 0); /* the chain is not longer than it says */
		{
			enum status status =
				actor_close(run->actors[i], run->epoch, watermark_us, &err);
			assert(status == OK);
		}
	}
	collect_changes(run);
}

/* cuts[i]: an epoch ends behind arrival i. restarts: seed of where to restart, 0 = nowhere. */
static inline void run_stream(struct run *run, const struct stream *stream,
			      const struct routed *routed, const bool *cuts, uint64_t restarts)
{
	struct bytes fed[ACTORS_MAX] = {0};
	for (size_t i = 0; i < stream->count; i++) {
		struct text records = bytes_text(&routed->things[stream->arrival[i]]);
		for (unsigned k = 0; k < run->actor_count && records.size > 0; k++)
			bytes_put(&fed[k], records.data, records.size);
		if (!cuts[i] && i + 1 < stream->count)
			continue;
		run_epoch(run, fed, stream->safe[i + 1]);
		if (restarts != 0 && below(&restarts, 2) == 0)
			actors_save(run);
		if (restarts != 0 && below(&restarts, 8) == 0)
			actors_restart(run, actors_some(&restarts));
	}
	run_epoch(run, fed, INT64_MAX);
	for (unsigned i = 0; i < run->actor_count; i++) {
		struct actor_counters counters = actor_counters(run->actors[i]);
		assert(counters.cells == 0);
		assert(counters.cell_bytes == 0);
		assert(counters.late_dropped == 0);
		assert(counters.unknown_state == 0);
	}
}

static inline void run_begin_within(struct run *run, const struct setup *setup,
				    unsigned actor_count, size_t memory_max)
{
	*run = (struct run){.setup = setup, .memory_max = memory_max};
	actors_start(run, actor_count);
}

static inline void run_begin(struct run *run, const struct setup *setup, unsigned actor_count)
{
	run_begin_within(run, setup, actor_count, 0);
}

static inline void run_end(struct run *run)
{
	for (unsigned i = 0; i < run->actor_count; i++) {
		actor_free(&run->actors[i]);
		spill_memory_done(&run->spills[i]);
	}
	for (unsigned i = 0; run->stored != NULL && i < VIRTUAL_PARTITIONS; i++) {
		bytes_done(&run->stored[i].whole);
		for (size_t k = 0; k < run->stored[i].count; k++)
			bytes_done(&run->stored[i].changes[k]);
	}
	free(run->stored);
	bytes_done(&run->log);
	free(run->alerts);
}

static inline void group_print(struct text pairs, char *to, size_t size)
{
	struct cursor from = cursor_of(pairs);
	size_t used = 0;
	to[0] = '\0';
	while (cursor_left(&from) > 0) {
		struct text name = cursor_text(&from);
		struct text value = cursor_text(&from);
		assert(used + name.size + value.size + 3 <= size);
		if (used > 0)
			to[used++] = ',';
		memcpy(to + used, name.data, name.size);
		used += name.size;
		to[used++] = '=';
		memcpy(to + used, value.data, value.size);
		used += value.size;
		to[used] = '\0';
	}
}

/* What the n-th alert was when it was last heard of. */
static inline struct alert run_alert(const struct run *run, size_t n)
{
	const struct last_change *last = &run->alerts[n];
	struct text coded = {(const char *)run->log.data + last->at, last->size};
	struct alert alert;
	enum status status = alert_decode(coded, &alert, NULL);
	assert(status == OK);
	return alert;
}

static inline void run_lines(const struct run *run, struct lines *lines)
{
	lines->count = 0;
	for (size_t i = 0; i < run->alert_count; i++) {
		struct alert alert = run_alert(run, i);
		assert(alert.state != ALERT_OPEN);
		if (alert.state == ALERT_MERGED)
			continue;
		assert(lines->count < ITEMS_MAX);
		struct line *line = &lines->all[lines->count++];
		memset(line, 0, sizeof *line);
		line->first_us = alert.first_us;
		line->last_us = alert.last_us;
		line->count = alert.count;
		line_word(line->rule, sizeof line->rule, alert.rule_name);
		line_word(line->tenant, sizeof line->tenant, alert.tenant);
		line_word(line->level, sizeof line->level, text_of(level_name(alert.level)));
		group_print(alert.group, line->group, sizeof line->group);
	}
}

static inline int compare_lines(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct line));
}

enum { LINE_PRINTED_MAX = 200 };

static inline const char *line_print(const struct line *line, char to[LINE_PRINTED_MAX])
{
	(void)snprintf(to, LINE_PRINTED_MAX, "%s|%s|%s|%lld|%lld|%llu|%s", line->rule, line->tenant,
		       line->group, (long long)line->first_us, (long long)line->last_us,
		       (unsigned long long)line->count, line->level);
	return to;
}

/* The first difference, for a person to read; false: there is none. `expected` is sorted. */
static inline bool run_differs(const struct run *run, const struct lines *expected,
			       char to[3 * LINE_PRINTED_MAX])
{
	static struct lines got;
	char printed[2][LINE_PRINTED_MAX];
	run_lines(run, &got);
	qsort(got.all, got.count, sizeof *got.all, compare_lines);
	for (size_t i = 0; i < got.count && i < expected->count; i++)
		if (compare_lines(&got.all[i], &expected->all[i]) != 0) {
			(void)snprintf(to, 3 * LINE_PRINTED_MAX, "got %s, expected %s",
				       line_print(&got.all[i], printed[0]),
				       line_print(&expected->all[i], printed[1]));
			return true;
		}
	(void)snprintf(to, 3 * LINE_PRINTED_MAX, "%zu alerts, expected %zu", got.count,
		       expected->count);
	return got.count != expected->count;
}

#endif
