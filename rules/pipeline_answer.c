#include "rules/pipeline_private.h"

#include <assert.h>

#include "rules/pattern_private.h"

/* What the conditions of a pipeline ask for is what pySigma holds in memory after the modifiers of
 * an item have been worked out: `contains: x` is the text *x*; under re, cidr, comparisons and
 * encodings a value is no text any more, and nothing asked about texts holds for it. */

bool id_list_has(const struct id_list *list, struct text id)
{
	for (; list != NULL; list = list->next)
		if (text_equal(list->id, id))
			return true;
	return false;
}

/* How the modifiers of an item change what its values are. */
struct reading_of_item {
	bool before, behind; /* a run is added */
	bool cased;
	bool fieldref;
	bool other; /* a value is neither text nor number any more */
};

static struct reading_of_item modifiers_read(struct text rest)
{
	struct reading_of_item reading = {0};
	while (rest.size > 0) {
		rest = text_cut(rest, 1); /* the '|' */
		const char *bar = rest.size == 0 ? NULL : memchr(rest.data, '|', rest.size);
		struct text word = {rest.data, bar == NULL ? rest.size : (size_t)(bar - rest.data)};
		bool contains = text_equal(word, TEXT("contains"));
		bool starts = text_equal(word, TEXT("startswith"));
		bool ends = text_equal(word, TEXT("endswith"));
		bool plain = text_equal(word, TEXT("all")) || text_equal(word, TEXT("neq"));
		bool cased = text_equal(word, TEXT("cased"));
		bool fieldref = text_equal(word, TEXT("fieldref"));
		reading.before = reading.before || contains || ends;
		reading.behind = reading.behind || contains || starts;
		reading.cased = reading.cased || cased;
		reading.fieldref = reading.fieldref || fieldref;
		reading.other = reading.other || fieldref ||
				!(contains || starts || ends || plain || cased);
		rest = text_cut(rest, word.size);
	}
	return reading;
}

static size_t value_count(const struct item *item)
{
	return item->value->kind == YAML_SEQUENCE ? item->value->count : 1;
}

static const struct yaml_node *value_at(const struct item *item, size_t index)
{
	return item->value->kind == YAML_SEQUENCE ? item->value->items[index] : item->value;
}

static bool pattern_of(struct loader *loader, const struct yaml_node *value,
		       const struct reading_of_item *reading, struct pattern *ret_pattern)
{
	bool made = pattern_parse(value->text, false, loader->yaml, ret_pattern) &&
		    pattern_open(ret_pattern, reading->before, reading->behind, loader->yaml);
	loader->out_of_memory = loader->out_of_memory || !made;
	return made;
}

static bool patterns_equal(const struct pattern *a, const struct pattern *b)
{
	bool equal = a->count == b->count;
	for (size_t i = 0; equal && i < a->count; i++)
		equal = a->tokens[i].kind == b->tokens[i].kind &&
			text_equal(a->tokens[i].literal, b->tokens[i].literal);
	return equal;
}

static bool value_equals(struct loader *loader, const struct yaml_node *value,
			 const struct reading_of_item *reading, const struct yaml_node *wanted)
{
	const struct reading_of_item plain = {0};
	struct pattern left, right;
	bool numbers = wanted->kind == YAML_INTEGER || wanted->kind == YAML_REAL;
	if (reading->other)
		return false;
	if (numbers)
		return (value->kind == YAML_INTEGER || value->kind == YAML_REAL) &&
		       value->real == wanted->real;
	if (value->kind != wanted->kind)
		return false;
	if (value->kind == YAML_BOOLEAN)
		return value->boolean == wanted->boolean;
	return value->kind == YAML_STRING && pattern_of(loader, value, reading, &left) &&
	       pattern_of(loader, wanted, &plain, &right) && patterns_equal(&left, &right);
}

bool item_has_value(struct loader *loader, const struct item *item, const struct yaml_node *value)
{
	struct reading_of_item reading = modifiers_read(item->modifiers);
	bool found = false;
	for (size_t i = 0; i < value_count(item) && !found && !reading.cased; i++) {
		const struct yaml_node *one = value_at(item, i);
		found = (value->kind == YAML_NULL && one->kind == YAML_NULL) ||
			value_equals(loader, one, &reading, value);
	}
	return found;
}

static bool value_answers(struct loader *loader, const struct question *question,
			  const struct yaml_node *value, const struct reading_of_item *reading)
{
	struct pattern pattern;
	if (question->kind == QUESTION_NULL)
		return value->kind == YAML_NULL;
	if (question->kind == QUESTION_VALUE)
		return value_equals(loader, value, reading, question->value);
	return !reading->other && value->kind == YAML_STRING &&
	       pattern_of(loader, value, reading, &pattern) && pattern_has_wildcard(&pattern);
}

static bool names_field(const struct question *question, struct text field)
{
	bool listed = false;
	for (size_t i = 0; i < question->field_count && field.size > 0; i++)
		listed = listed || text_equal(question->fields[i], field);
	return question->kind == QUESTION_INCLUDE ? listed : !listed;
}

/* Who is asked. */
struct asked {
	struct loader *loader;
	const struct item *item;        /* or */
	const struct rule_facts *facts; /* or */
	struct text field;
};

static bool item_answers(const struct asked *asked, const struct question *question)
{
	const struct item *item = asked->item;
	struct reading_of_item reading = modifiers_read(item->modifiers);
	size_t hits = 0, count = value_count(item);
	if (question->kind == QUESTION_APPLIED)
		return id_list_has(item->applied, question->word);
	if (question->kind == QUESTION_INCLUDE || question->kind == QUESTION_EXCLUDE) {
		bool holds = names_field(question, item->field);
		for (size_t i = 0; i < count && reading.fieldref; i++)
			holds = holds || names_field(question, value_at(item, i)->text);
		return holds;
	}
	for (size_t i = 0; i < count; i++)
		hits += value_answers(asked->loader, question, value_at(item, i), &reading);
	return question->all ? hits == count : hits > 0;
}

static bool logsource_fits(const struct logsource *wanted, const struct logsource *have)
{
	return (wanted->category.size == 0 || text_equal(wanted->category, have->category)) &&
	       (wanted->product.size == 0 || text_equal(wanted->product, have->product)) &&
	       (wanted->service.size == 0 || text_equal(wanted->service, have->service));
}

static bool has_tag(const struct yaml_node *tags, struct text tag)
{
	for (size_t i = 0; tags != NULL && tags->kind == YAML_SEQUENCE && i < tags->count; i++)
		if (text_equal(tags->items[i]->text, tag))
			return true;
	return false;
}

static bool rule_answers(const struct rule_facts *facts, const struct question *question)
{
	bool found = false;
	switch (question->kind) {
	case QUESTION_LOGSOURCE:
		for (size_t i = 0; i < facts->of_referenced_count && !found; i++)
			found = logsource_fits(&question->logsource, &facts->of_referenced[i]);
		return found || (!facts->is_correlation &&
				 logsource_fits(&question->logsource, &facts->logsource));
	case QUESTION_HAS_ITEM:
	case QUESTION_HAS_FIELD:
		return facts->some_item != NULL && facts->some_item(facts->context, question);
	case QUESTION_APPLIED:
		return id_list_has(facts->applied, question->word);
	case QUESTION_IS_RULE:
		return !facts->is_correlation;
	case QUESTION_IS_CORRELATION:
		return facts->is_correlation;
	case QUESTION_TAG:
		return has_tag(facts->tags, question->word);
	case QUESTION_NULL:
	case QUESTION_WILDCARD:
	case QUESTION_VALUE:
	case QUESTION_INCLUDE:
	case QUESTION_EXCLUDE:
		break;
	}
	assert(false && "a question about items among those about rules");
}

static bool answers(const struct asked *asked, const struct question *question)
{
	if (asked->facts != NULL)
		return rule_answers(asked->facts, question);
	return asked->item != NULL ? item_answers(asked, question)
				   : names_field(question, asked->field);
}

static bool expression_holds(const struct asked *asked, const struct questions *questions,
			     const struct condition_node *node)
{
	if (node->kind == CONDITION_NAME) {
		size_t i = 0;
		while (!text_equal(questions->items[i].label, node->name))
			i++; /* names_checked() found it */
		return answers(asked, &questions->items[i]);
	}
	size_t hits = 0;
	for (size_t i = 0; i < node->child_count; i++)
		hits += expression_holds(asked, questions, node->children[i]);
	if (node->kind == CONDITION_NOT)
		return hits == 0;
	return node->kind == CONDITION_AND ? hits == node->child_count : hits > 0;
}

static bool hold(const struct asked *asked, const struct questions *questions)
{
	bool result = false;
	if (questions->count == 0)
		return true;
	if (questions->expression != NULL) {
		result = expression_holds(asked, questions, questions->expression);
	} else {
		size_t hits = 0;
		for (size_t i = 0; i < questions->count; i++)
			hits += answers(asked, &questions->items[i]);
		result = questions->any ? hits > 0 : hits == questions->count;
	}
	return result != questions->negated;
}

bool questions_hold_for_rule(const struct questions *questions, const struct rule_facts *facts)
{
	struct asked asked = {.facts = facts};
	return hold(&asked, questions);
}

bool questions_hold_for_item(struct loader *loader, const struct step *step,
			     const struct item *item)
{
	struct asked asked = {.loader = loader, .item = item};
	return hold(&asked, &step->of_item) && hold(&asked, &step->of_field);
}

bool questions_hold_for_field(const struct step *step, struct text field)
{
	struct asked asked = {.field = field};
	return hold(&asked, &step->of_field);
}
