#include "rules/explain.h"

#include <assert.h>
#include <stdlib.h>

#include "rules/fold.h"
#include "rules/parse_private.h"
#include "rules/program_private.h"
#include "rules/wording_private.h"

struct explainer {
	const struct program *program;
	struct reading reading;
	struct arena *arena;
	struct explain_node *nodes;
	size_t count;
	bool cut;
};

static void explainer_done(struct explainer *explainer)
{
	if (explainer->reading.program != NULL)
		reading_done(&explainer->reading);
}

static enum verdict negated(enum verdict verdict)
{
	if (verdict == VERDICT_UNDECIDED)
		return verdict;
	return verdict == VERDICT_TRUE ? VERDICT_FALSE : VERDICT_TRUE;
}

/* How many children hold, and how many may. */
struct tally {
	size_t holds, undecided;
};

/* Kleene's logic, as in match.c, but without leaving early: every child is asked. */
static enum verdict verdict_of(const struct expr *expr, struct tally tally)
{
	size_t needed = expr->kind == EXPR_AND  ? expr->child_count
			: expr->kind == EXPR_OR ? 1
						: expr->at_least;
	if (tally.holds >= needed)
		return VERDICT_TRUE;
	return tally.holds + tally.undecided >= needed ? VERDICT_UNDECIDED : VERDICT_FALSE;
}

static enum verdict evaluate(struct explainer *explainer, const struct expr *expr)
{
	if (expr->kind == EXPR_PREDICATE)
		return check_run(&explainer->program->checks[expr->predicate], expr->predicate,
				 &explainer->reading);
	if (expr->kind == EXPR_NOT)
		return negated(evaluate(explainer, expr->children[0]));
	struct tally tally = {0};
	for (size_t i = 0; i < expr->child_count; i++) {
		enum verdict one = evaluate(explainer, expr->children[i]);
		tally.holds += one == VERDICT_TRUE;
		tally.undecided += one == VERDICT_UNDECIDED;
	}
	return verdict_of(expr, tally);
}

static bool is_read(const struct explainer *explainer, const struct check *check, size_t field)
{
	uint32_t slot = explainer->reading.views[field].slot;
	return slot != SLOT_NONE &&
	       (slot == check->slot ||
		(check->predicate->kind == PREDICATE_FIELDREF && slot == check->other_slot));
}

/* Whether this value alone makes a keyword hold. */
static bool holds_alone(struct explainer *explainer, uint32_t id, size_t field)
{
	const struct event *whole = explainer->reading.event;
	struct event one = *whole;
	one.fields = &whole->fields[field];
	one.field_count = 1;
	reading_open(&explainer->reading, &one);
	bool holds =
		check_run(&explainer->program->checks[id], id, &explainer->reading) == VERDICT_TRUE;
	reading_open(&explainer->reading, whole);
	return holds;
}

/* The values that a predicate looked at; of a keyword only those that hold. */
static enum status values_listed(struct explainer *explainer, uint32_t id,
				 struct explain_node *node)
{
	const struct check *check = &explainer->program->checks[id];
	const struct event *event = explainer->reading.event;
	struct explain_value *values =
		arena_alloc(explainer->arena, EXPLAIN_VALUES_MAX * sizeof *values);
	if (values == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < event->field_count; i++) {
		bool listed = check->slot == SLOT_ANY ? node->verdict == VERDICT_TRUE &&
								holds_alone(explainer, id, i)
						      : is_read(explainer, check, i);
		if (!listed)
			continue;
		if (node->value_count == EXPLAIN_VALUES_MAX)
			node->value_hidden++;
		else
			values[node->value_count++] = (struct explain_value){
				event->fields[i].name, &event->fields[i].value};
	}
	node->values = values;
	return OK;
}

static enum status node_worded(struct explainer *explainer, const struct expr *expr,
			       struct explain_node *node)
{
	struct bytes text cleanup(bytes_done) = {0};
	for (const struct expr_origin *origin = expr->origin; origin != NULL;
	     origin = origin->inner) {
		if (text.size > 0)
			bytes_write_string(&text, " / ");
		bytes_write(&text, origin->name);
		node->at = origin->at;
	}
	node->name = arena_copy(explainer->arena, bytes_text(&text));
	bool failed = text.failed || (node->name.data == NULL && text.size > 0);
	if (expr->kind == EXPR_PREDICATE && !failed) {
		bytes_clear(&text);
		wording_put(explainer->program->checks[expr->predicate].predicate, &text);
		node->words = arena_copy(explainer->arena, bytes_text(&text));
		failed = text.failed || node->words.data == NULL;
	}
	return failed ? ENOMEMORY : OK;
}

static enum explain_kind kind_of(const struct expr *expr)
{
	switch (expr->kind) {
	case EXPR_PREDICATE:
		return EXPLAIN_PREDICATE;
	case EXPR_AND:
		return EXPLAIN_ALL_OF;
	case EXPR_OR:
		return EXPLAIN_ANY_OF;
	case EXPR_NOT:
		return EXPLAIN_NOT;
	case EXPR_AT_LEAST:
		return EXPLAIN_AT_LEAST;
	}
	assert(false && "an expression of no kind");
}

static enum status node_add(struct explainer *explainer, const struct expr *expr,
			    const struct explain_node *parent, bool decided);

/* Children that decided come first; of the others as many as still fit. */
static enum status children_add(struct explainer *explainer, const struct expr *expr,
				struct explain_node *node)
{
	enum verdict wanted = expr->kind == EXPR_NOT ? negated(node->verdict) : node->verdict;
	bool decided = node->decided;
	size_t listed = 0;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < expr->child_count; i++) {
			bool carries = evaluate(explainer, expr->children[i]) == wanted;
			if (carries != (pass == 0))
				continue;
			if (listed++ >= EXPLAIN_CHILDREN_MAX)
				continue;
			enum status status =
				node_add(explainer, expr->children[i], node, decided && carries);
			if (status != OK)
				return status;
		}
	}
	assert(listed == expr->child_count);
	node->hidden = listed > EXPLAIN_CHILDREN_MAX ? listed - EXPLAIN_CHILDREN_MAX : 0;
	return OK;
}

static enum status node_add(struct explainer *explainer, const struct expr *expr,
			    const struct explain_node *parent, bool decided)
{
	if (explainer->count == EXPLAIN_NODES_MAX) {
		explainer->cut = true;
		return OK;
	}
	struct explain_node *node = &explainer->nodes[explainer->count++];
	*node = (struct explain_node){
		.kind = kind_of(expr),
		.verdict = evaluate(explainer, expr),
		.decided = decided,
		.depth = parent == NULL ? 0 : parent->depth + 1,
		.at_least = expr->at_least,
		.child_count = expr->child_count,
	};
	if (parent != NULL)
		node->at = parent->at; /* unless it has a name, and so a place, of its own */
	enum status status = node_worded(explainer, expr, node);
	if (status == OK && expr->kind == EXPR_PREDICATE)
		status = values_listed(explainer, expr->predicate, node);
	else if (status == OK)
		status = children_add(explainer, expr, node);
	return status;
}

static bool attribute_fits(struct text wanted, struct text have, struct arena *arena)
{
	return wanted.size == 0 || text_equal(fold_copy(wanted, arena), fold_copy(have, arena));
}

static bool logsource_fits(const struct program_input *input, const struct logsource *wanted,
			   const struct logsource *have, struct arena *arena)
{
	return input->any_logsource || (attribute_fits(wanted->category, have->category, arena) &&
					attribute_fits(wanted->product, have->product, arena) &&
					attribute_fits(wanted->service, have->service, arena));
}

static const struct detection *detection_of(const struct program_input *input,
					    const struct rule *rule)
{
	for (size_t i = 0; i < input->detection_count; i++)
		if (input->detections[i].rule_index == rule->index)
			return &input->detections[i];
	assert(false && "a rule without a detection");
}

enum status explain_rule(const struct ruleset *ruleset, const struct rule *rule,
			 const struct event *event, struct arena *arena,
			 struct explanation *ret_explanation)
{
	assert(rule->kind == RULE_DETECTION);
	struct explainer explainer cleanup(explainer_done) = {
		.program = ruleset_program(ruleset),
		.arena = arena,
		.nodes = arena_alloc(arena, EXPLAIN_NODES_MAX * sizeof *explainer.nodes),
	};
	const struct detection *detection = detection_of(ruleset_input(ruleset), rule);
	if (explainer.nodes == NULL)
		return ENOMEMORY;
	enum status status = reading_new(explainer.program, &explainer.reading);
	if (status != OK)
		return status;
	reading_open(&explainer.reading, event);
	status = node_add(&explainer, detection->expr, NULL, true);
	if (status == OK)
		status = explainer.reading.status;
	if (status != OK)
		return status;
	*ret_explanation = (struct explanation){
		.verdict = explainer.nodes[0].verdict,
		.logsource_fits = logsource_fits(ruleset_input(ruleset), &detection->logsource,
						 &event->logsource, arena),
		.nodes = explainer.nodes,
		.count = explainer.count,
		.cut = explainer.cut,
	};
	return OK;
}
