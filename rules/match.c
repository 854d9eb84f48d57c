/* From an event to the rules that match it:
 *
 *   1 reading    values by slot (reading.c)
 *   2 routing    which log sources fit (routing.c)
 *   3 index      for each value of a slot that rules read: its exact, number and scanned hits.
 *                A hit is remembered as the predicate's answer and proposes the rules whose
 *                witness it is; so does a field that is there; rules without witness are proposed
 *   4 evaluation of the proposed rules, each predicate at most once; of regular expressions only
 *                those that are asked for and that one of their required literals was found for
 *
 * Answers are three-valued (Kleene): an undecided predicate decides nothing, but `false and
 * undecided` is false. A rule that comes out undecided is reported as such.
 *
 * A remembered answer is `generation << 2 | verdict`, so nothing needs clearing between events.
 * Behind the predicates stand the groups of tree.c. */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "rules/routing_private.h"

enum {
	GENERATION_MAX = (1 << 30) - 1,
	MEMO_POSSIBLE = 3, /* beside the verdicts: a required literal of the expression is there */
};

struct matcher {
	const struct program *program;
	struct reading reading;
	uint32_t generation;
	uint32_t *memo;  /* by check, then by group */
	uint32_t *tried; /* by check: the scan in which its glob was matched last */
	uint32_t scan_number;
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
	free(m->tried);
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
	size_t checks = m->program->check_count + m->program->group_count + 1;
	size_t detections = m->program->input.detection_count + 1;
	m->memo = calloc(checks, sizeof *m->memo);
	m->tried = calloc(checks, sizeof *m->tried);
	m->proposed = calloc(detections, sizeof *m->proposed);
	m->candidates = calloc(detections, sizeof *m->candidates);
	m->matched = calloc(detections, sizeof *m->matched);
	m->undecided = calloc(detections, sizeof *m->undecided);
	m->counters = calloc(detections, sizeof *m->counters);
	m->detection_of = calloc(m->program->rule_index_max + 1, sizeof *m->detection_of);
	m->router = router_new(m->program);
	return m->memo != NULL && m->tried != NULL && m->proposed != NULL &&
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
	const struct program *program = matcher->program;
	uint32_t answer = matcher->generation << 2 | VERDICT_TRUE;
	if (is_hit(matcher, id))
		return;
	matcher->memo[id] = answer;
	struct list groups = program->groups_of_check[id];
	for (size_t i = 0; i < groups.count; i++)
		matcher->memo[program->check_count + groups.items[i]] = answer;
	propose(matcher, program->rules_of_check[id]);
}

struct scan_context {
	struct matcher *matcher;
	struct view *view;
};

/* What a hit at this place says about the glob. In ASCII the normal form has the places of the
 * text, and all places are reported: to look at this one is enough. Undecided: match the glob. */
static enum verdict look_at(const struct check *check, struct reading *reading, struct view *view,
			    size_t place)
{
	const struct glob *glob = &check->glob;
	bool fits = true;
	if (check->hit_proves)
		return VERDICT_TRUE;
	if (!view->is_ascii || glob->cased || glob->shape == GLOB_MIXED)
		return VERDICT_UNDECIDED;
	struct text text = view_folded(reading, view);
	if (glob->shape == GLOB_PREFIX || glob->shape == GLOB_EXACT)
		fits = place == 0;
	if (glob->shape == GLOB_SUFFIX || glob->shape == GLOB_EXACT)
		fits = fits && text.size - place == glob->needle.size;
	assert(glob->shape != GLOB_ANY && place < text.size);
	return fits && text_starts(text_cut(text, place), glob->needle) ? VERDICT_TRUE
									: VERDICT_FALSE;
}

static void on_scan_hit(void *context, uint32_t id, size_t place)
{
	const struct scan_context *scan = context;
	struct matcher *matcher = scan->matcher;
	const struct check *check = &matcher->program->checks[id];
	if (is_hit(matcher, id))
		return;
	if (check->index == INDEX_REGEX) {
		matcher->memo[id] = matcher->generation << 2 | MEMO_POSSIBLE;
		propose(matcher, matcher->program->rules_of_check[id]);
		return;
	}
	assert(check->index == INDEX_SCAN);
	enum verdict verdict = look_at(check, &matcher->reading, scan->view, place);
	/* The glob is matched against the whole value: once for each scan. */
	if (verdict == VERDICT_UNDECIDED && matcher->tried[id] != matcher->scan_number) {
		matcher->tried[id] = matcher->scan_number;
		if (check_glob(check, &matcher->reading, scan->view))
			verdict = VERDICT_TRUE;
	}
	if (verdict == VERDICT_TRUE)
		hit(matcher, id);
}

static void scan(struct matcher *matcher, const struct scanner *scanner, struct view *view)
{
	struct scan_context context = {matcher, view};
	if (++matcher->scan_number == 0) {
		memset(matcher->tried, 0, matcher->program->check_count * sizeof *matcher->tried);
		matcher->scan_number = 1;
	}
	scanner_scan(scanner, view_normal(&matcher->reading, view), on_scan_hit, &context);
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
	uint32_t memo = matcher->memo[id];
	bool known = memo >> 2 == matcher->generation;
	if (known && (memo & 3) != MEMO_POSSIBLE)
		return (enum verdict)(memo & 3);
	if (id >= matcher->program->check_count)
		return VERDICT_FALSE; /* a group without a hit */
	const struct check *check = &matcher->program->checks[id];
	/* The index has found everything that is true, and all expressions that may be. */
	if (check->index != INDEX_NONE && !matcher->plainly && !known)
		return VERDICT_FALSE;
	enum verdict verdict = check_run(check, id, &matcher->reading);
	matcher->memo[id] = matcher->generation << 2 | verdict;
	return verdict;
}

static enum verdict evaluate_join(struct matcher *matcher, const struct expr *expr);

static inline enum verdict evaluate(struct matcher *matcher, const struct expr *expr)
{
	return expr->kind == EXPR_PREDICATE ? evaluate_check(matcher, expr->predicate)
					    : evaluate_join(matcher, expr);
}

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

static enum verdict evaluate_join(struct matcher *matcher, const struct expr *expr)
{
	switch (expr->kind) {
	case EXPR_PREDICATE:
		break; /* evaluate() has answered */
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
	enum verdict verdict =
		evaluate(matcher, matcher->plainly ? detection->expr : matcher->program->exprs[at]);
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
		size_t memos = program->check_count + program->group_count;
		memset(matcher->memo, 0, memos * sizeof *matcher->memo);
		memset(matcher->proposed, 0,
		       program->input.detection_count * sizeof *matcher->proposed);
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
