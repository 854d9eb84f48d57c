#include "rules/parse_private.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static void note_add(struct loader *loader, const struct rule_note *note)
{
	struct rule_note *notes = arena_grown(loader->arena, loader->notes, loader->note_count,
					      &loader->note_capacity, sizeof *notes);
	if (notes == NULL) {
		loader->out_of_memory = true;
		return;
	}
	loader->notes = notes;
	notes[loader->note_count++] = *note;
}

void lint_warn(struct loader *loader, struct position at, const char *fix, const char *format, ...)
{
	char text[512];
	va_list args;
	if (loader->silent)
		return;
	va_start(args, format);
	int length = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	assert(length >= 0);
	struct rule_note note = {
		.kind = NOTE_WARNING,
		.at = at,
		.text = loader_keep(loader, text_of(text)),
		.fix = loader_keep(loader, text_of(fix)),
	};
	note_add(loader, &note);
}

static void note_refused(struct loader *loader, const struct error *err, bool gate_block)
{
	static const char mark[] = "\n  fix: ";
	const char *fix = strstr(err->text, mark);
	struct text text = text_of(err->text);
	struct rule_note note = {
		.kind = NOTE_REFUSED,
		.gate_block = gate_block,
		.at = {loader_keep(loader, text_of(err->file)).data, err->line, err->column},
		.fix = TEXT(""),
	};
	if (fix != NULL) {
		text.size = (size_t)(fix - err->text);
		note.fix = loader_keep(loader, text_of(fix + sizeof mark - 1));
	}
	note.text = loader_keep(loader, text);
	note_add(loader, &note);
}

enum status lint_refuse(struct loader *loader, enum status status, struct error *err,
			bool gate_block)
{
	assert(status != OK);
	if (status == ENOMEMORY || !loader->options->skip_refused)
		return status;
	note_refused(loader, err, gate_block);
	return loader->out_of_memory ? loader_exhausted(err) : OK;
}

void lint_scalar(struct loader *loader, const struct yaml_node *node)
{
	const char *old = yaml_old_reading(node);
	if (old != NULL)
		lint_warn(loader, node->at, "put it in quotes if text is meant",
			  "'%.*s' is %s for YAML 1.1, which other Sigma tools read",
			  TEXT_ARG(node->text), old);
	else if (node->kind == YAML_INTEGER && !node->quoted && node->text.size > 1 &&
		 node->text.data[1] == 'x')
		lint_warn(loader, node->at, "put it in quotes if the log holds text",
			  "'%.*s' is the number %lld", TEXT_ARG(node->text), node->integer);
}

void lint_document(struct loader *loader, const struct yaml_node *document)
{
	static const char *const known[] = {
		"title",
		"id",
		"name",
		"related",
		"taxonomy",
		"status",
		"description",
		"license",
		"author",
		"references",
		"date",
		"modified",
		"logsource",
		"detection",
		"correlation",
		"filter",
		"falsepositives",
		"level",
		"tags",
		"fields",
		"scope",
		"picket",
		"generate",
		"sigma-version",
		"simulation",
		"action",
		"regression_tests_path",
	};
	for (size_t i = 0; i < document->count; i++) {
		struct text key = document->keys[i]->text;
		const char *nearest = nearest_name(key, known, sizeof known / sizeof *known);
		if (nearest != NULL && !text_equal(key, text_of(nearest)))
			lint_warn(loader, document->keys[i]->at,
				  "correct the key, or ignore this if it is your own",
				  "key '%.*s' is ignored: did you mean '%s'?", TEXT_ARG(key),
				  nearest);
	}
}

void lint_drafts(struct loader *loader)
{
	for (size_t i = 0; i < loader->draft_count; i++) {
		const struct draft *draft = loader->drafts[i];
		const struct rule *rule = &draft->rule;
		if (draft->refused || !rule->alerts)
			continue;
		if (!draft->level_given)
			lint_warn(loader, rule->at, "add `level:`",
				  "rule '%.*s' has no level: medium is taken", TEXT_ARG(rule->key));
		if (rule->test_count == 0)
			lint_warn(loader, rule->at, "add `picket: {tests: [...]}`",
				  "rule '%.*s' has no tests", TEXT_ARG(rule->key));
	}
}
