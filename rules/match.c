/* From an event to the rules that match it:
 *
 *   1 reading    values by slot (reading.c)
 *   2 routing    which log sources fit (routing.c)
 *   3 look-up    the index: which predicates hold, which classes of rules are proposed (lookup.c)
 *   4 evaluation of the proposed classes, each predicate at most once; of regular expressions only
 *                those that are asked for and that one of their required literals was found for
 *                (evaluate.c)
 *
 * A class that matches stands for all its rules; one that comes out undecided is reported as such,
 * for each of them. */
#include <assert.h>
#include <stdlib.h>

#include "rules/match_private.h"

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
	free(m->class_of_rule);
	router_free(&m->router);
	free(m);
	*matcher = NULL;
}

static bool allocate(struct matcher *m)
{
	size_t checks = m->program->check_count + m->program->group_count + 1;
	size_t detections = m->program->input.detection_count + 1;
	size_t classes = m->program->class_count + 1;
	m->memo = calloc(checks, sizeof *m->memo);
	m->tried = calloc(checks, sizeof *m->tried);
	m->proposed = calloc(classes, sizeof *m->proposed);
	m->candidates = calloc(classes, sizeof *m->candidates);
	m->matched = calloc(detections, sizeof *m->matched);
	m->undecided = calloc(detections, sizeof *m->undecided);
	m->counters = calloc(classes, sizeof *m->counters);
	m->class_of_rule = calloc(m->program->rule_index_max + 1, sizeof *m->class_of_rule);
	m->router = router_new(m->program);
	return m->memo != NULL && m->tried != NULL && m->proposed != NULL &&
	       m->candidates != NULL && m->matched != NULL && m->undecided != NULL &&
	       m->counters != NULL && m->class_of_rule != NULL && m->router != NULL;
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
		matcher->class_of_rule[i] = ITEM_NONE;
	for (size_t i = 0; i < program->input.detection_count; i++)
		matcher->class_of_rule[program->input.detections[i].rule_index] =
			program->class_of[i];
	*ret_matcher = TAKE(matcher);
	return OK;
}

enum status matcher_new(const struct ruleset *ruleset, struct matcher **ret_matcher,
			struct error *err)
{
	enum status status = matcher_of_program(ruleset_program(ruleset), ret_matcher);
	return status == OK ? OK : error_set(err, status, "out of memory for a matcher");
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

static void note(struct matcher *matcher, enum verdict verdict, struct list rules,
		 struct matches *matches)
{
	for (size_t i = 0; i < rules.count && verdict == VERDICT_TRUE; i++)
		matcher->matched[matches->count++] = rules.items[i];
	for (size_t i = 0; i < rules.count && verdict == VERDICT_UNDECIDED; i++)
		matcher->undecided[matches->undecided_count++] = rules.items[i];
}

static void evaluate_class(struct matcher *matcher, uint32_t at, struct matches *matches)
{
	const struct class *class = &matcher->program->classes[at];
	enum verdict verdict = matcher_evaluate(matcher, class->steps);
	note(matcher, verdict, class->rules, matches);
	matcher->counters[at].evaluated++;
	matcher->counters[at].matches += verdict == VERDICT_TRUE;
	matcher->counters[at].undecided += verdict == VERDICT_UNDECIDED;
}

static void open(struct matcher *matcher, const struct event *event, bool count)
{
	const struct program *program = matcher->program;
	if (matcher->generation == GENERATION_MAX) {
		size_t memos = program->check_count + program->group_count;
		memset(matcher->memo, 0, memos * sizeof *matcher->memo);
		memset(matcher->proposed, 0, program->class_count * sizeof *matcher->proposed);
		matcher->generation = 0;
	}
	matcher->generation++;
	reading_open(&matcher->reading, event);
	matcher->routing = router_find(matcher->router, &event->logsource, count);
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
	uint32_t taps_from = matcher->program->input.taps_from;
	while (taps_from > 0 && matches->count > 0 &&
	       matcher->matched[matches->count - 1] >= taps_from)
		matches->count--;
	while (taps_from > 0 && matches->undecided_count > 0 &&
	       matcher->undecided[matches->undecided_count - 1] >= taps_from)
		matches->undecided_count--;
	matches->rules = matcher->matched;
	matches->undecided = matcher->undecided;
	*ret_matches = *matches;
	return OK;
}

enum status matcher_match(struct matcher *matcher, const struct event *event,
			  struct matches *ret_matches)
{
	struct matches matches = {0};
	open(matcher, event, true);
	if (matcher->reading.status == OK && matcher->routing->any) {
		matcher_look_up(matcher);
		for (size_t i = 0; i < matcher->candidate_count; i++)
			evaluate_class(matcher, matcher->candidates[i], &matches);
	}
	return finish(matcher, &matches, ret_matches);
}

/* The oracle: without the index, the classes and the counters. */
enum status matcher_match_plainly(struct matcher *matcher, const struct event *event,
				  struct matches *ret_matches)
{
	const struct program *program = matcher->program;
	struct matches matches = {0};
	open(matcher, event, false);
	size_t count = matcher->reading.status == OK ? program->input.detection_count : 0;
	for (size_t i = 0; i < count; i++) {
		const struct detection *detection = &program->input.detections[i];
		const struct list rule = {&detection->rule_index, 1};
		if (matcher->routing->fits[program->route_of[i]])
			note(matcher, matcher_evaluate_plainly(matcher, detection->expr), rule,
			     &matches);
	}
	return finish(matcher, &matches, ret_matches);
}

uint64_t matcher_excluded(const struct matcher *matcher, const struct rule_filter *filter)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < filter->tap_count; i++) {
		assert(filter->taps[i] <= matcher->program->rule_index_max);
		uint32_t at = matcher->class_of_rule[filter->taps[i]];
		sum += at == ITEM_NONE ? 0 : matcher->counters[at].matches;
	}
	return sum;
}

const struct rule_counters *matcher_counters(const struct matcher *matcher, size_t rule_index)
{
	static const struct rule_counters nothing;
	if (rule_index > matcher->program->rule_index_max ||
	    matcher->class_of_rule[rule_index] == ITEM_NONE)
		return &nothing;
	uint32_t at = matcher->class_of_rule[rule_index];
	uint32_t route = matcher->program->classes[at].route;
	matcher->counters[at].candidates = router_events(matcher->router, route);
	return &matcher->counters[at];
}
