/* From an event to the rules that match it:
 *
 *   1 reading    values by slot (reading.c)
 *   2 routing    which log sources fit (routing.c)
 *   3 index      for each value of a slot that rules read: its exact, number and scanned hits.
 *                A hit is remembered as the predicate's answer and proposes the rules whose
 *                witness it is; so does a field that is there; rules without witness are proposed
 *   4 evaluation of the proposed rules, each predicate at most once; the first that asks for a
 *                regular expression of a slot runs all of that slot, in one scan
 *
 * Answers are three-valued (Kleene): an undecided predicate decides nothing, but `false and
 * undecided` is false. A rule that comes out undecided is reported as such.
 *
 * A remembered answer is `generation << 2 | verdict`, so nothing needs clearing between events. */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "rules/routing_private.h"

enum { GENERATION_MAX = (1 << 30) - 1 };

struct matcher {
	const struct program *program;
	struct reading reading;
	uint32_t generation;
	uint32_t *memo;       /* by check */
	uint32_t *searched;   /* by slot: generation in which its expressions were run */
	uint32_t *proposed;   /* by detection: generation in which it was proposed */
	uint32_t *candidates; /* detections proposed for this event */
	size_t candidate_count;
	uint32_t *matched; /* rule indices */
	uint32_t *undecided;
	struct rule_counters *counters; /* by detection */
	uint32_t *detection_of;         /* by rule index, or ITEM_NONE */
	struct router *router;
	const struct routing *routing; /* of this event */
	bool plainly;
};

void matcher_free(struct matcher **matcher)
{
	struct matcher *m = *matcher;
	if (m == NULL)
		return;
	if (m->reading.program != NULL)
		reading_done(&m->reading);
	free(m->memo);
	free(m->searched);
	free(m->proposed);
	free(m->candidates);
	free(m->matched);
	free(m->undecided);
	free(m->counters);
	free(m->detection_of);
	router_free(&m->router);
	free(m);
	*matcher = NULL;
}

static bool allocate(struct matcher *m)
{
	size_t checks = m->program->check_count + 1;
	size_t detections = m->program->input.detection_count + 1;
	m->memo = calloc(checks, sizeof *m->memo);
	m->searched = calloc(m->program->slot_count, sizeof *m->searched);
	m->proposed = calloc(detections, sizeof *m->proposed);
	m->candidates = calloc(detections, sizeof *m->candidates);
	m->matched = calloc(detections, sizeof *m->matched);
	m->undecided = calloc(detections, sizeof *m->undecided);
	m->counters = calloc(detections, sizeof *m->counters);
	m->detection_of = calloc(m->program->rule_index_max + 1, sizeof *m->detection_of);
	m->router = router_new(m->program);
	return m->memo != NULL && m->searched != NULL && m->proposed != NULL &&
	       m->candidates != NULL && m->matched != NULL && m->undecided != NULL &&
	       m->counters != NULL && m->detection_of != NULL && m->router != NULL;
}

enum status matcher_of_program(const struct program *program, struct matcher **ret_matcher)
{
	struct matcher *matcher cleanup(matcher_free) = calloc(1, sizeof *matcher);
	if (matcher == NULL)
		return ENOMEMORY;
	matcher->program = program;
	if (!allocate(matcher) || reading_new(program, &matcher->reading) != OK)
		return ENOMEMORY;
	for (size_t i = 0; i <= program->rule_index_max; i++)
		matcher->detection_of[i] = ITEM_NONE;
	for (uint32_t i = 0; i < program->input.detection_count; i++)
		matcher->detection_of[program->input.detections[i].rule_index] = i;
	*ret_matcher = TAKE(matcher);
	return OK;
}

enum status matcher_new(const struct ruleset *ruleset, struct matcher **ret_matcher,
			struct error *err)
{
	enum status status = matcher_of_program(ruleset_program(ruleset), ret_matcher);
	return status == OK ? OK : error_set(err, status, "out of memory for a matcher");
}

/* ---- index ---- */

static void propose(struct matcher *matcher, struct list detections)
{
	for (size_t i = 0; i < detections.count; i++) {
		uint32_t detection = detections.items[i];
		if (matcher->proposed[detection] == matcher->generation)
			continue;
		matcher->proposed[detection] = matcher->generation;
		if (matcher->routing->fits[matcher->program->route_of[detection]])
			matcher->candidates[matcher->candidate_count++] = detection;
	}
}

static bool is_hit(const struct matcher *matcher, uint32_t id)
{
	return matcher->memo[id] == (matcher->generation << 2 | VERDICT_TRUE);
}

static void hit(struct matcher *matcher, uint32_t id)
{
	if (is_hit(matcher, id))
		return;
	matcher->memo[id] = matcher->generation << 2 | VERDICT_TRUE;
	propose(matcher, matcher->program->rules_of_check[id]);
}

struct scan_context {
	struct matcher *matcher;
	struct view *view;
	bool caseless; /* this pass answers for caseless globs */
	bool cased;    /* ... for cased ones */
};

static void on_scan_hit(void *context, uint32_t id)
{
	struct scan_context *scan = context;
	const struct glob *glob = &scan->matcher->program->checks[id].glob;
	if (!(glob->cased ? scan->cased : scan->caseless) || is_hit(scan->matcher, id))
		return;
	bool sufficient =
		glob->segment_is_all && scanner_takes_all(glob->segment, glob->segment_count);
	if (sufficient ||
	    check_glob(&scan->matcher->program->checks[id], &scan->matcher->reading, scan->view))
		hit(scan->matcher, id);
}

static void scan(struct matcher *matcher, const struct scanner *scanner, struct view *view)
{
	struct reading *reading = &matcher->reading;
	struct text text = view_text(reading, view);
	struct scan_context context = {matcher, view, view->is_ascii, true};
	enum status status =
		scanner_scan(scanner, reading->scan_scratch, text, on_scan_hit, &context);
	if (status == OK && !view->is_ascii) {
		context = (struct scan_context){matcher, view, true, false};
		status = scanner_scan(scanner, reading->scan_scratch, view_folded(reading, view),
				      on_scan_hit, &context);
	}
	if (status != OK)
		reading->status = status;
}

static void on_regex_hit(void *context, uint32_t id)
{
	struct matcher *matcher = context;
	matcher->memo[id] = matcher->generation << 2 | VERDICT_TRUE;
}

/* All regular expressions of a slot on all its members, when the first rule asks for one. */
static void search(struct matcher *matcher, uint32_t slot)
{
	struct reading *reading = &matcher->reading;
	const struct scanner *regexes = matcher->program->slots[slot].regexes;
	uint32_t end = (uint32_t)reading->event->field_count;
	uint32_t at = slot == SLOT_ANY ? 0 : reading->first[slot];
	matcher->searched[slot] = matcher->generation;
	while (at < end) {
		struct view *view = &reading->views[at];
		at = slot == SLOT_ANY ? at + 1 : view->next;
		if (!view_is_member(view))
			continue;
		enum status status = scanner_scan(regexes, reading->scan_scratch,
						  view_text(reading, view), on_regex_hit, matcher);
		if (status != OK)
			reading->status = status;
	}
}

static void find_exact(struct matcher *matcher, const struct table *table, struct view *view)
{
	struct text folded = view_folded(&matcher->reading, view);
	uint64_t hash = XXH3_64bits(folded.data, folded.size);
	size_t at = hash & table->mask;
	for (; table->entries[at].item != ITEM_NONE; at = (at + 1) & table->mask) {
		uint32_t id = table->entries[at].item;
		const struct check *check = &matcher->program->checks[id];
		if (table->entries[at].hash == hash && check_glob(check, &matcher->reading, view))
			hit(matcher, id);
	}
}

static void find_number(struct matcher *matcher, const struct table *table, struct view *view)
{
	struct number number = {0};
	if (!number_of_value(view->value, &number))
		return;
	uint64_t hash = number_hash(&number);
	size_t at = hash & table->mask;
	for (; table->entries[at].item != ITEM_NONE; at = (at + 1) & table->mask) {
		uint32_t id = table->entries[at].item;
		const struct number *wanted = &matcher->program->checks[id].number;
		if (table->entries[at].hash == hash && number_compare(&number, wanted) == 0)
			hit(matcher, id);
	}
}

/* Everything the index of a slot says about one member. */
static void look_up(struct matcher *matcher, const struct slot *slot, struct view *view)
{
	if (slot->exact.entries != NULL)
		find_exact(matcher, &slot->exact, view);
	if (slot->numbers.entries != NULL)
		find_number(matcher, &slot->numbers, view);
	if (slot->scanner != NULL)
		scan(matcher, slot->scanner, view);
	for (size_t i = 0; i < slot->few.count; i++) {
		uint32_t id = slot->few.items[i];
		const struct check *check = &matcher->program->checks[id];
		if (!is_hit(matcher, id) && check_glob(check, &matcher->reading, view))
			hit(matcher, id);
	}
}

static void find_candidates(struct matcher *matcher)
{
	const struct program *program = matcher->program;
	struct reading *reading = &matcher->reading;
	matcher->candidate_count = 0;
	for (size_t i = 0; i < reading->slot_count; i++) {
		const struct slot *slot = &program->slots[reading->slots[i]];
		propose(matcher, slot->rules);
		uint32_t at = reading->first[reading->slots[i]];
		for (; at != VIEW_NONE; at = reading->views[at].next)
			if (view_is_member(&reading->views[at]))
				look_up(matcher, slot, &reading->views[at]);
	}
	if (matcher->routing->has_keywords)
		for (size_t i = 0; i < reading->event->field_count; i++)
			if (view_is_member(&reading->views[i]))
				look_up(matcher, &program->slots[SLOT_ANY], &reading->views[i]);
	propose(matcher, program->always);
}

/* ---- evaluation ---- */

static enum verdict evaluate_check(struct matcher *matcher, uint32_t id)
{
	const struct check *check = &matcher->program->checks[id];
	if (matcher->memo[id] >> 2 == matcher->generation)
		return (enum verdict)(matcher->memo[id] & 3);
	if (check->index == INDEX_REGEX && !matcher->plainly) {
		if (matcher->searched[check->slot] != matcher->generation)
			search(matcher, check->slot);
		return is_hit(matcher, id) ? VERDICT_TRUE : VERDICT_FALSE;
	}
	if (check->index != INDEX_NONE && !matcher->plainly)
		return VERDICT_FALSE; /* the index has found everything that is true */
	enum verdict verdict = check_run(check, id, &matcher->reading);
	matcher->memo[id] = matcher->generation << 2 | verdict;
	return verdict;
}

static enum verdict evaluate(struct matcher *matcher, const struct expr *expr);

/* AND stops at the first false, OR at the first true; undecided is what is left over. */
static enum verdict evaluate_list(struct matcher *matcher, const struct expr *expr,
				  enum verdict deciding)
{
	enum verdict result = deciding == VERDICT_TRUE ? VERDICT_FALSE : VERDICT_TRUE;
	for (size_t i = 0; i < expr->child_count; i++) {
		enum verdict one = evaluate(matcher, expr->children[i]);
		if (one == deciding)
			return deciding;
		if (one == VERDICT_UNDECIDED)
			result = VERDICT_UNDECIDED;
	}
	return result;
}

static enum verdict evaluate_at_least(struct matcher *matcher, const struct expr *expr)
{
	size_t held = 0;
	size_t undecided = 0;
	for (size_t i = 0; i < expr->child_count && held < expr->at_least; i++) {
		enum verdict one = evaluate(matcher, expr->children[i]);
		held += one == VERDICT_TRUE;
		undecided += one == VERDICT_UNDECIDED;
	}
	if (held >= expr->at_least)
		return VERDICT_TRUE;
	return held + undecided >= expr->at_least ? VERDICT_UNDECIDED : VERDICT_FALSE;
}

static enum verdict evaluate(struct matcher *matcher, const struct expr *expr)
{
	switch (expr->kind) {
	case EXPR_PREDICATE:
		return evaluate_check(matcher, expr->predicate);
	case EXPR_AND:
		return evaluate_list(matcher, expr, VERDICT_FALSE);
	case EXPR_OR:
		return evaluate_list(matcher, expr, VERDICT_TRUE);
	case EXPR_AT_LEAST:
		return evaluate_at_least(matcher, expr);
	case EXPR_NOT: {
		enum verdict inner = evaluate(matcher, expr->children[0]);
		if (inner == VERDICT_UNDECIDED)
			return inner;
		return inner == VERDICT_TRUE ? VERDICT_FALSE : VERDICT_TRUE;
	}
	}
	assert(false && "an expression of no kind");
}

/* Ascending order without a library call: qsort() may allocate. */
static void sift_down(uint32_t *items, size_t at, size_t count)
{
	for (size_t child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && items[child + 1] > items[child])
			child++;
		if (items[at] >= items[child])
			return;
		uint32_t swapped = items[at];
		items[at] = items[child];
		items[child] = swapped;
	}
}

static void sort(uint32_t *items, size_t count)
{
	for (size_t at = count / 2; at-- > 0;)
		sift_down(items, at, count);
	for (size_t end = count; end-- > 1;) {
		uint32_t swapped = items[0];
		items[0] = items[end];
		items[end] = swapped;
		sift_down(items, 0, end);
	}
}

static void evaluate_detection(struct matcher *matcher, uint32_t at, struct matches *matches)
{
	const struct detection *detection = &matcher->program->input.detections[at];
	enum verdict verdict = evaluate(matcher, detection->expr);
	if (verdict == VERDICT_TRUE)
		matcher->matched[matches->count++] = detection->rule_index;
	if (verdict == VERDICT_UNDECIDED)
		matcher->undecided[matches->undecided_count++] = detection->rule_index;
	if (matcher->plainly)
		return; /* the oracle does not count */
	matcher->counters[at].evaluated++;
	matcher->counters[at].matches += verdict == VERDICT_TRUE;
	matcher->counters[at].undecided += verdict == VERDICT_UNDECIDED;
}

static void open(struct matcher *matcher, const struct event *event, bool plainly)
{
	const struct program *program = matcher->program;
	if (matcher->generation == GENERATION_MAX) {
		memset(matcher->memo, 0, program->check_count * sizeof *matcher->memo);
		memset(matcher->proposed, 0,
		       program->input.detection_count * sizeof *matcher->proposed);
		memset(matcher->searched, 0, program->slot_count * sizeof *matcher->searched);
		matcher->generation = 0;
	}
	matcher->generation++;
	matcher->plainly = plainly;
	reading_open(&matcher->reading, event);
	matcher->routing = router_find(matcher->router, &event->logsource, !plainly);
	if (matcher->routing == NULL)
		matcher->reading.status = ENOMEMORY;
}

static enum status finish(struct matcher *matcher, struct matches *matches,
			  struct matches *ret_matches)
{
	if (matcher->reading.status != OK)
		return matcher->reading.status;
	sort(matcher->matched, matches->count);
	sort(matcher->undecided, matches->undecided_count);
	matches->rules = matcher->matched;
	matches->undecided = matcher->undecided;
	*ret_matches = *matches;
	return OK;
}

enum status matcher_match(struct matcher *matcher, const struct event *event,
			  struct matches *ret_matches)
{
	struct matches matches = {0};
	open(matcher, event, false);
	if (matcher->reading.status == OK && matcher->routing->any) {
		find_candidates(matcher);
		for (size_t i = 0; i < matcher->candidate_count; i++)
			evaluate_detection(matcher, matcher->candidates[i], &matches);
	}
	return finish(matcher, &matches, ret_matches);
}

enum status matcher_match_plainly(struct matcher *matcher, const struct event *event,
				  struct matches *ret_matches)
{
	struct matches matches = {0};
	open(matcher, event, true);
	size_t count = matcher->reading.status == OK ? matcher->program->input.detection_count : 0;
	for (uint32_t i = 0; i < count; i++)
		if (matcher->routing->fits[matcher->program->route_of[i]])
			evaluate_detection(matcher, i, &matches);
	return finish(matcher, &matches, ret_matches);
}

const struct rule_counters *matcher_counters(const struct matcher *matcher, size_t rule_index)
{
	static const struct rule_counters nothing;
	if (rule_index > matcher->program->rule_index_max ||
	    matcher->detection_of[rule_index] == ITEM_NONE)
		return &nothing;
	uint32_t at = matcher->detection_of[rule_index];
	uint32_t route = matcher->program->route_of[at];
	matcher->counters[at].candidates = router_events(matcher->router, route);
	return &matcher->counters[at];
}
