#include "cli/rule_explanation.h"

#include <assert.h>
#include <inttypes.h>

#include "cli/rules_json.h"

static const char *verdict_word(enum verdict verdict)
{
	static const char *const words[] = {"no", "yes", "undecided"};
	assert((unsigned)verdict < sizeof words / sizeof *words);
	return words[verdict];
}

const char *explanation_word(const struct explanation *explanation)
{
	if (!explanation->logsource_fits || explanation->verdict == VERDICT_FALSE)
		return "no match";
	return explanation->verdict == VERDICT_TRUE ? "match" : "undecided";
}

static void put_value(const struct explain_value *value, struct bytes *to)
{
	bytes_write(to, value->field);
	bytes_write(to, TEXT(" = "));
	if (value->value->type == VALUE_NULL) {
		bytes_write(to, TEXT("null"));
	} else if (value->value->type == VALUE_EMPTY) {
		bytes_write(to, TEXT("nothing (an empty list or map)"));
	} else if (value->value->type != VALUE_STRING) {
		bytes_write(to, value->value->text);
	} else {
		struct text text = value->value->text;
		bool cut = text.size > EXPLANATION_VALUE_MAX;
		if (cut)
			text.size = EXPLANATION_VALUE_MAX;
		bytes_print(to, "\"%.*s\"%s", TEXT_ARG(text), cut ? " ..." : "");
	}
}

static void put_place(struct position at, struct bytes *to)
{
	if (at.file != NULL)
		bytes_print(to, "   (%s:%u)", at.file, at.line);
}

/* The values below a predicate; of a keyword that does not hold there is nothing to show. */
static void put_values(const struct explain_node *node, const char *indent, struct bytes *to)
{
	bool keyword = text_starts(node->words, TEXT("any value"));
	if (node->value_count == 0 && !keyword)
		bytes_print(to, "%s(the event has no such field)\n", indent);
	for (size_t i = 0; i < node->value_count; i++) {
		bytes_write(to, text_of(indent));
		put_value(&node->values[i], to);
		bytes_write(to, TEXT("\n"));
	}
	if (node->value_hidden > 0)
		bytes_print(to, "%s... and %zu more values\n", indent, node->value_hidden);
}

static void put_what(const struct explain_node *node, struct bytes *to)
{
	switch (node->kind) {
	case EXPLAIN_PREDICATE:
		bytes_write(to, node->words);
		return;
	case EXPLAIN_ALL_OF:
		bytes_write(to, TEXT("all of"));
		break;
	case EXPLAIN_ANY_OF:
		bytes_write(to, TEXT("any of"));
		break;
	case EXPLAIN_NOT:
		bytes_write(to, TEXT("not"));
		break;
	case EXPLAIN_AT_LEAST:
		bytes_print(to, "at least %zu of", node->at_least);
		break;
	}
	if (node->child_count > 1)
		bytes_print(to, " %zu", node->child_count);
}

static void put_decided(const struct explanation *explanation, struct bytes *to)
{
	bytes_write(to, TEXT("decided by\n"));
	for (size_t i = 0; i < explanation->count; i++) {
		const struct explain_node *node = &explanation->nodes[i];
		if (!node->decided || node->kind != EXPLAIN_PREDICATE)
			continue;
		bytes_print(to, "  %-9s ", verdict_word(node->verdict));
		bytes_write(to, node->words);
		put_place(node->at, to);
		bytes_write(to, TEXT("\n"));
		put_values(node, "              ", to);
	}
}

static void put_tree(const struct explanation *explanation, struct bytes *to)
{
	bytes_write(to, TEXT("the whole condition\n"));
	for (size_t i = 0; i < explanation->count; i++) {
		const struct explain_node *node = &explanation->nodes[i];
		bytes_print(to, "  %-9s %*s", verdict_word(node->verdict), (int)node->depth * 2,
			    "");
		if (node->name.size > 0) {
			bytes_write(to, node->name);
			bytes_write(to, TEXT(": "));
		}
		put_what(node, to);
		bytes_write(to, TEXT("\n"));
		if (node->hidden > 0)
			bytes_print(to, "  %9s %*s(%zu more are not shown)\n", "",
				    (int)node->depth * 2 + 2, "", node->hidden);
	}
	if (explanation->cut)
		bytes_write(to, TEXT("  (the rest is not shown)\n"));
}

static void put_logsource(const char *what, const struct logsource *source, struct bytes *to)
{
	const struct text values[] = {source->category, source->product, source->service};
	static const char *const names[] = {"category", "product", "service"};
	bool any = false;
	bytes_print(to, "  %-6s", what);
	for (size_t i = 0; i < 3; i++) {
		if (values[i].size == 0)
			continue;
		bytes_print(to, " %s=%.*s", names[i], TEXT_ARG(values[i]));
		any = true;
	}
	bytes_write(to, any ? TEXT("\n") : TEXT(" (none)\n"));
}

void explanation_text(const struct rule *rule, const struct event *event,
		      const struct explanation *explanation, struct bytes *to)
{
	bytes_print(to, "%s: ", explanation_word(explanation));
	bytes_write(to, rule->title);
	bytes_print(to, "\nevent %.*s:%" PRId64 "\n", TEXT_ARG(event->origin.topic),
		    event->origin.offset);
	bytes_print(to, "log source %s\n",
		    explanation->logsource_fits
			    ? "fits"
			    : "does not fit: the rule is never tried on such an event");
	put_logsource("rule", &rule->logsource, to);
	put_logsource("event", &event->logsource, to);
	put_decided(explanation, to);
	put_tree(explanation, to);
}

static void logsource_json(const char *key, const struct logsource *source,
			   struct json_writer *json)
{
	json_write_open(json, key, '{');
	json_write_text(json, "category", source->category);
	json_write_text(json, "product", source->product);
	json_write_text(json, "service", source->service);
	json_write_close(json, '}');
}

static void value_json(const struct explain_value *value, struct json_writer *json)
{
	json_write_open(json, NULL, '{');
	json_write_text(json, "field", value->field);
	if (value->value->type == VALUE_NULL)
		json_write_null(json, "value");
	else if (value->value->type == VALUE_EMPTY)
		json_write_raw(json, "value", TEXT("[]"));
	else if (value->value->type == VALUE_STRING)
		json_write_text(json, "value", value->value->text);
	else
		json_write_raw(json, "value", value->value->text);
	json_write_close(json, '}');
}

static void node_json(const struct explain_node *node, struct json_writer *json)
{
	static const char *const kinds[] = {"predicate", "all_of", "any_of", "not", "at_least"};
	assert((unsigned)node->kind < sizeof kinds / sizeof *kinds);
	json_write_open(json, NULL, '{');
	json_write_count(json, "depth", node->depth);
	json_write_string(json, "kind", kinds[node->kind]);
	json_write_string(json, "holds", verdict_word(node->verdict));
	json_write_boolean(json, "decided", node->decided);
	json_write_text(json, "name", node->name);
	if (node->at.file != NULL)
		position_json("at", node->at, json);
	if (node->kind != EXPLAIN_PREDICATE) {
		json_write_count(json, "children", node->child_count);
		json_write_count(json, "hidden", node->hidden);
	} else {
		json_write_text(json, "words", node->words);
		json_write_open(json, "values", '[');
		for (size_t i = 0; i < node->value_count; i++)
			value_json(&node->values[i], json);
		json_write_close(json, ']');
		json_write_count(json, "hidden", node->value_hidden);
	}
	json_write_close(json, '}');
}

void explanation_json(const struct rule *rule, const struct event *event,
		      const struct explanation *explanation, struct json_writer *json)
{
	json_write_open(json, NULL, '{');
	json_write_string(json, "answer", explanation_word(explanation));
	json_write_text(json, "rule", rule->key);
	json_write_text(json, "title", rule->title);
	json_write_open(json, "event", '{');
	json_write_text(json, "file", event->origin.topic);
	json_write_number(json, "line", event->origin.offset);
	json_write_count(json, "index", event->origin.index);
	json_write_close(json, '}');
	json_write_open(json, "logsource", '{');
	json_write_boolean(json, "fits", explanation->logsource_fits);
	logsource_json("rule", &rule->logsource, json);
	logsource_json("event", &event->logsource, json);
	json_write_close(json, '}');
	json_write_open(json, "nodes", '[');
	for (size_t i = 0; i < explanation->count; i++)
		node_json(&explanation->nodes[i], json);
	json_write_close(json, ']');
	json_write_boolean(json, "complete", !explanation->cut);
	json_write_close(json, '}');
}
