#include "cli/backtest.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/action.h"
#include "correlate/alert.h"
#include "ingest/scan.h"
#include "storage/event_cursor.h"
#include "storage/rows.h"

enum { SIDE_ARENA_BYTES = 256 * 1024 * 1024, CHECK_EVERY = 4096 };

/* A final alert, as far as it is compared. */
struct found {
	struct text key, title, tenant, group;
	enum rule_level level;
	int64_t first_us, last_us;
	uint64_t count;
	bool met;            /* one of the other side overlaps it */
	struct text verdict; /* what a person closed it as, or "" */
};

/* One rule set over the events. */
struct side {
	const struct ruleset *rules;
	int64_t since_us; /* alerts that were over before are none of ours */
	struct scan *scan;
	struct arena *arena;
	struct found *found;
	size_t count, capacity;
	bool failed; /* out of memory */
};

static void side_done(struct side *side)
{
	scan_free(&side->scan);
	free(side->found);
	arena_free(&side->arena);
}

static void take_alert(void *context, const struct alert *alert)
{
	struct side *side = context;
	const struct rule *rule = ruleset_find(side->rules, alert->rule_key);
	if (rule == NULL || side->failed || alert->last_us < side->since_us)
		return; /* rule NULL: an alert of picket's own, such as rule.undecided */
	if (side->count == side->capacity) {
		size_t capacity = side->capacity == 0 ? 256 : 2 * side->capacity;
		struct found *grown = realloc(side->found, capacity * sizeof *grown);
		side->failed = grown == NULL;
		if (side->failed)
			return;
		side->found = grown;
		side->capacity = capacity;
	}
	struct found found = {.key = rule->key,
			      .title = rule->title,
			      .tenant = arena_copy(side->arena, alert->tenant),
			      .group = arena_copy(side->arena, alert->group),
			      .level = alert->level,
			      .first_us = alert->first_us,
			      .last_us = alert->last_us,
			      .count = alert->count};
	side->failed = found.tenant.data == NULL || found.group.data == NULL;
	side->found[side->count++] = found;
}

static enum status side_init(struct side *side, const struct ruleset *rules, int64_t since_us,
			     struct error *err)
{
	side->rules = rules;
	side->since_us = since_us;
	side->arena = arena_new(SIDE_ARENA_BYTES);
	if (side->arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for a backtest");
	struct scan_options options = {.ruleset = rules,
				       .decoder = {.time_trusted = true},
				       .final_only = true,
				       .lateness_us = -1,
				       .sink = {.on_alert = take_alert, .context = side}};
	return scan_new(&options, &side->scan, err);
}

static int compare_groups(const struct found *a, const struct found *b)
{
	int order = text_compare(a->key, b->key);
	if (order == 0)
		order = text_compare(a->tenant, b->tenant);
	return order == 0 ? text_compare(a->group, b->group) : order;
}

static int compare_found(const void *left, const void *right)
{
	const struct found *a = left;
	const struct found *b = right;
	int order = compare_groups(a, b);
	return order != 0 ? order : (a->first_us > b->first_us) - (a->first_us < b->first_us);
}

/* The first of a side's alerts that is not before the group of `like`. */
static size_t group_start(const struct side *side, const struct found *like)
{
	size_t low = 0;
	size_t high = side->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare_groups(&side->found[middle], like) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Calls `visit` for each alert of the side that has the group of `like` and overlaps it. */
static void each_overlap(struct side *side, const struct found *like,
			 void (*visit)(struct found *found, const struct found *like))
{
	for (size_t i = group_start(side, like);
	     i < side->count && compare_groups(&side->found[i], like) == 0; i++) {
		struct found *found = &side->found[i];
		if (found->first_us <= like->last_us && like->first_us <= found->last_us)
			visit(found, like);
	}
}

static void note_met(struct found *found, const struct found *like)
{
	(void)like;
	found->met = true;
}

static void note_verdict(struct found *found, const struct found *like)
{
	found->verdict = like->verdict;
}

static enum status verdict_of(struct store *store, struct text id, struct bytes *keep,
			      struct text *ret_verdict, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct actions actions = {0};
	alert_key('u', id, &key);
	enum status status = store_get(store, FAMILY_ALERT, bytes_text(&key), keep, err);
	if (status == OK)
		status = actions_decode(bytes_text(keep), &actions, err);
	if (status == OK || status == ENOTFOUND)
		*ret_verdict = actions_verdict(&actions);
	return status == ENOTFOUND ? OK : status;
}

/* What people closed alerts as, put on those of the side that overlap them. */
static enum status read_verdicts(struct store *store, struct side *side, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes keep cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	enum status status = store_scan_new(store, FAMILY_ALERT, TEXT("a"), TEXT("a"), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct alert alert;
		struct found like = {0};
		status = alert_decode(value, &alert, err);
		if (status == OK)
			status = verdict_of(store, text_of(alert.id), &keep, &like.verdict, err);
		if (status != OK || like.verdict.size == 0)
			continue;
		like.key = alert.rule_key;
		like.tenant = alert.tenant;
		like.group = alert.group;
		like.first_us = alert.first_us;
		like.last_us = alert.last_us;
		like.verdict = arena_copy(side->arena, like.verdict);
		if (like.verdict.data == NULL)
			return error_set(err, ENOMEMORY, "no memory for a backtest");
		each_overlap(side, &like, note_verdict);
	}
	return status == OK ? store_scan_status(scan, err) : status;
}

/* --- the report ------------------------------------------------------------------------------ */

/* How many alerts of a rule there are: all, met or not, and by verdict. */
struct sum {
	uint64_t alerts, open, verdicts[8];
};

static void sum_add(struct sum *sum, const struct found *found)
{
	size_t i = 0;
	while (action_verdicts[i] != NULL &&
	       !text_equal(found->verdict, text_of(action_verdicts[i])))
		i++;
	assert(i < sizeof sum->verdicts / sizeof *sum->verdicts);
	sum->alerts++;
	if (action_verdicts[i] == NULL)
		sum->open++;
	else
		sum->verdicts[i]++;
}

static void write_sum(struct json_writer *json, const char *name, const struct sum *sum)
{
	json_write_open(json, name, '{');
	json_write_count(json, "alerts", sum->alerts);
	for (size_t i = 0; action_verdicts[i] != NULL; i++)
		json_write_count(json, action_verdicts[i], sum->verdicts[i]);
	json_write_count(json, "unjudged", sum->open);
	json_write_close(json, '}');
}

/* All alerts of a rule, or those that are met, or those that are not. */
enum wanted { ALL, MET, NOT_MET };

static bool is_wanted(const struct found *found, enum wanted wanted)
{
	return wanted == ALL || found->met == (wanted == MET);
}

static struct sum sum_of(const struct side *side, struct text key, enum wanted wanted)
{
	struct sum sum = {0};
	for (size_t i = 0; i < side->count; i++) {
		const struct found *found = &side->found[i];
		if (text_equal(found->key, key) && is_wanted(found, wanted))
			sum_add(&sum, found);
	}
	return sum;
}

static void write_pairs(struct json_writer *json, struct text pairs)
{
	struct cursor from = cursor_of(pairs);
	json_write_open(json, "group", '{');
	while (cursor_left(&from) > 0 && !from.failed) {
		char name[256];
		struct text field = cursor_text(&from);
		(void)snprintf(name, sizeof name, "%.*s", TEXT_ARG(field));
		json_write_text(json, name, cursor_text(&from));
	}
	json_write_close(json, '}');
}

/* Adds to *not_shown what the list has no room for. */
static void write_found(struct json_writer *json, const char *name, const struct side *side,
			enum wanted wanted, uint64_t shown_max, uint64_t *not_shown)
{
	uint64_t shown = 0;
	json_write_open(json, name, '[');
	for (size_t i = 0; i < side->count; i++) {
		const struct found *found = &side->found[i];
		if (!is_wanted(found, wanted))
			continue;
		if (shown++ >= shown_max) {
			++*not_shown;
			continue;
		}
		json_write_open(json, NULL, '{');
		json_write_text(json, "rule", found->key);
		json_write_text(json, "title", found->title);
		json_write_string(json, "level", level_name(found->level));
		json_write_text(json, "tenant", found->tenant);
		write_pairs(json, found->group);
		json_write_count(json, "count", found->count);
		json_write_time(json, "first", found->first_us);
		json_write_time(json, "last", found->last_us);
		json_write_text(json, "verdict", found->verdict);
		json_write_close(json, '}');
	}
	json_write_close(json, ']');
}

static void write_rule(struct json_writer *json, const struct rule *rule, const struct side *side,
		       const struct side *old)
{
	const struct sum all = sum_of(side, rule->key, ALL);
	json_write_open(json, NULL, '{');
	json_write_text(json, "rule", rule->key);
	json_write_text(json, "title", rule->title);
	json_write_string(json, "level", level_name(rule->level));
	write_sum(json, "found", &all);
	if (old->rules != NULL) {
		const struct sum before = sum_of(old, rule->key, ALL);
		const struct sum kept = sum_of(old, rule->key, MET);
		const struct sum removed = sum_of(old, rule->key, NOT_MET);
		const struct sum added = sum_of(side, rule->key, NOT_MET);
		write_sum(json, "before", &before);
		write_sum(json, "kept", &kept);
		write_sum(json, "removed", &removed);
		write_sum(json, "added", &added);
	}
	json_write_close(json, '}');
}

/* The rules of both sides that alert, each once. */
static void write_rules(struct json_writer *json, const struct side *side, const struct side *old)
{
	json_write_open(json, "rules", '[');
	for (size_t i = 0; i < ruleset_count(side->rules); i++) {
		const struct rule *rule = ruleset_rule(side->rules, i);
		if (rule->alerts)
			write_rule(json, rule, side, old);
	}
	for (size_t i = 0; old->rules != NULL && i < ruleset_count(old->rules); i++) {
		const struct rule *rule = ruleset_rule(old->rules, i);
		if (rule->alerts && ruleset_find(side->rules, rule->key) == NULL)
			write_rule(json, rule, side, old);
	}
	json_write_close(json, ']');
}

static void write_report(const struct backtest_options *options, const struct side *side,
			 const struct side *old, uint64_t events, const struct error *problem,
			 struct bytes *to)
{
	struct json_writer json = {.to = to};
	uint64_t not_shown = 0;
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.backtest/1");
	json_write_boolean(&json, "complete", problem->status == OK);
	if (problem->status != OK)
		json_write_string(&json, "problem", problem->text);
	json_write_time(&json, "since", options->since_us);
	json_write_time(&json, "until", options->until_us);
	json_write_count(&json, "events", events);
	write_rules(&json, side, old);
	if (old->rules != NULL) {
		write_found(&json, "removed", old, NOT_MET, options->shown_max, &not_shown);
		write_found(&json, "added", side, NOT_MET, options->shown_max, &not_shown);
	} else {
		write_found(&json, "found", side, ALL, options->shown_max, &not_shown);
	}
	json_write_count(&json, "not_shown", not_shown);
	json_write_close(&json, '}');
}

/* --- the run --------------------------------------------------------------------------------- */

/* Up to when the store's events are all there: nothing is known of a store that no daemon has
 * written, whose input is over. */
static enum status read_watermark(struct store *store, int64_t *ret_watermark_us, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct epoch_row row = {0};
	epoch_key(&key);
	enum status status = store_get(store, FAMILY_POSITION, bytes_text(&key), &value, err);
	if (status == OK)
		status = epoch_decode(bytes_text(&value), &row, err);
	if (status == OK || status == ENOTFOUND)
		*ret_watermark_us = status == OK ? row.watermark_us : INT64_MAX;
	return status == ENOTFOUND ? OK : status;
}

static enum status finish_side(struct side *side, const struct backtest_options *options,
			       int64_t watermark_us, struct error *err)
{
	struct scan_totals totals;
	if (side->rules == NULL)
		return OK;
	if (watermark_us > options->until_us)
		watermark_us = options->until_us;
	enum status status = scan_stop(side->scan, watermark_us, &totals, err);
	if (status == OK && side->failed)
		status = error_set(err, ENOMEMORY, "no memory for the alerts of a backtest");
	if (status == OK && side->count > 0)
		qsort(side->found, side->count, sizeof *side->found, compare_found);
	return status == OK ? read_verdicts(options->store, side, err) : status;
}

static void compare_sides(struct side *side, struct side *old)
{
	for (size_t i = 0; i < side->count; i++)
		each_overlap(old, &side->found[i], note_met);
	for (size_t i = 0; i < old->count; i++)
		each_overlap(side, &old->found[i], note_met);
}

static enum status feed(struct side *side, const struct event *event, struct error *err)
{
	return side->rules == NULL ? OK : scan_event(side->scan, event, err);
}

static bool holds_too_much(const struct side *side)
{
	return side->rules != NULL && scan_held_bytes(side->scan) > BACKTEST_HELD_MAX;
}

/* From when on events matter to alerts of since_us and later. */
static enum status history_start(const struct backtest_options *options,
				 struct side *const sides[static 2], int64_t *ret_since_us,
				 struct error *err)
{
	int64_t most_us = 0;
	for (size_t i = 0; i < 2; i++) {
		if (sides[i]->rules == NULL)
			continue;
		const struct plan *plan = scan_plan(sides[i]->scan);
		const struct unit_filter all = {.except = true};
		int64_t *spans_us = calloc(plan_unit_count(plan) + 1, sizeof *spans_us);
		if (spans_us == NULL)
			return error_set(err, ENOMEMORY, "no memory for a backtest");
		int64_t span_us = plan_history(plan, &all, spans_us);
		most_us = span_us > most_us ? span_us : most_us;
		free(spans_us);
	}
	if (__builtin_sub_overflow(options->since_us, most_us, ret_since_us))
		*ret_since_us = INT64_MIN;
	return OK;
}

/* Both sides over the events of the cursor. What stops early, but leaves an answer, is in *problem.
 */
static enum status feed_all(struct event_cursor *cursor, struct side *const sides[static 2],
			    struct backtest_progress *progress, struct error *problem,
			    struct error *err)
{
	enum status status = OK;
	for (uint64_t events = 1; status == OK; events++) {
		struct event event;
		bool more = false;
		status = event_cursor_next(cursor, &event, &more, err);
		if (status != OK || !more)
			break;
		status = feed(sides[0], &event, err);
		if (status == OK)
			status = feed(sides[1], &event, err);
		atomic_store(&progress->events, events);
		if (events % CHECK_EVERY != 0)
			continue;
		if (atomic_load(&progress->cancelled))
			return error_set(err, ECLOSED, "the backtest was cancelled");
		if (holds_too_much(sides[0]) || holds_too_much(sides[1])) {
			(void)!error_set(problem, ELIMIT,
					 "the rules match too much: stopped after %llu events; "
					 "narrow --since or the rule",
					 (unsigned long long)events);
			return OK;
		}
	}
	if (status == OK)
		(void)!event_cursor_status(cursor, problem); /* the rest is still worth having */
	return status;
}

static enum status read_events(const struct backtest_options *options,
			       struct side *const sides[static 2],
			       struct backtest_progress *progress, struct error *problem,
			       struct error *err)
{
	struct event_cursor *cursor cleanup(event_cursor_free) = NULL;
	struct event_cursor_options all = {.store = options->store,
					   .scoped = options->tenant.size > 0,
					   .tenant = options->tenant,
					   .until_us = options->until_us};
	uint64_t estimate = 0;
	enum status status = history_start(options, sides, &all.since_us, err);
	if (status == OK)
		status = event_cursor_new(&all, &cursor, err);
	if (status == OK)
		status = event_cursor_estimate(cursor, &estimate, err);
	if (status != OK)
		return status;
	atomic_store(&progress->estimate, estimate);
	return feed_all(cursor, sides, progress, problem, err);
}

enum status backtest_run(const struct backtest_options *options, struct backtest_progress *progress,
			 struct bytes *to, struct error *err)
{
	struct side side cleanup(side_done) = {0};
	struct side old cleanup(side_done) = {0};
	struct error problem = {0};
	int64_t watermark_us = INT64_MAX;
	enum status status = side_init(&side, options->rules, options->since_us, err);
	if (status == OK && options->old != NULL)
		status = side_init(&old, options->old, options->since_us, err);
	if (status == OK)
		status = read_watermark(options->store, &watermark_us, err);
	if (status == OK)
		status = read_events(options, (struct side *[]){&side, &old}, progress, &problem,
				     err);
	if (status == OK)
		status = finish_side(&side, options, watermark_us, err);
	if (status == OK)
		status = finish_side(&old, options, watermark_us, err);
	if (status != OK)
		return status;
	compare_sides(&side, &old);
	write_report(options, &side, &old, atomic_load(&progress->events), &problem, to);
	return to->failed ? error_set(err, ENOMEMORY, "no memory for a report") : OK;
}
