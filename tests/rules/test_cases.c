/* Our own conformance cases: tests/rules/cases/, one YAML document per rule. Its keys:
 *
 *   row       row of the conformance table (rules/RULES.md)
 *   about     one line for people
 *   pysigma   why the second oracle (tests/rules/oracle/cases.py) says something else
 *   rule      the lines of `detection:`; or `document`: whole documents, the first is asked
 *   source    log source of the events, {category: c}: only rules that fit it are tried
 *   lists     values for placeholders: {NAME: "one\nvalue\na line"}
 *   yes, no   events as JSON texts, which match or do not: one case each
 *   refused   words of the message: the rule must not load (one case)
 *   warns     words of a lint warning: it must load with it (one case)
 *   loads     true: it must load (one case) */
#include <dirent.h>
#include <unistd.h>

#include "rules/yaml.h"
#include "tests/rules/json_event.h"
#include "tests/rules/loading.h"
#include "tests/rules/table.h"

enum { CASES_MIN = 400, LISTS_MAX_HERE = 4, COLUMN = 3 };

struct run {
	struct table table;
	const struct yaml_node *document;
	struct arena *arena;
	unsigned cases, failed;
};

static struct text text_at(const struct run *run, const char *key)
{
	const struct yaml_node *node = yaml_get(run->document, key);
	return node == NULL ? (struct text){0} : node->text;
}

static void count(struct run *run, bool passed, const char *what, struct text detail)
{
	char row[8];
	(void)snprintf(row, sizeof row, "%.*s", TEXT_ARG(text_at(run, "row")));
	run->cases++;
	run->failed += !passed;
	table_count(&run->table, row, passed);
	if (!passed)
		printf("FAIL %s:%u %s: %.*s\n", run->document->at.file, run->document->at.line,
		       what, TEXT_ARG(detail));
}

/* The rule as a whole document. */
static struct text rule_text(const struct run *run)
{
	static const char head[] =
		"title: case\nlevel: low\nlogsource: {category: c}\ndetection:\n";
	struct text lines = text_at(run, "rule"), document = text_at(run, "document");
	if (document.size > 0)
		return document;
	char *to = arena_alloc(run->arena, sizeof head + lines.size * 8);
	size_t size = sizeof head - 1;
	memcpy(to, head, size);
	for (size_t i = 0; i < lines.size; i++) {
		if (i == 0 || lines.data[i - 1] == '\n') {
			memcpy(to + size, "    ", 4);
			size += 4;
		}
		to[size++] = lines.data[i];
	}
	return (struct text){to, size};
}

/* Writes the lists of the case to files; returns how many. */
static size_t lists_write(const struct run *run, const char **names)
{
	const struct yaml_node *lists = yaml_get(run->document, "lists");
	size_t list_count = lists == NULL ? 0 : lists->count;
	ck_assert_uint_le(list_count, LISTS_MAX_HERE);
	for (size_t i = 0; i < list_count; i++) {
		names[i] = arena_print(run->arena, "%.*s=/tmp/picket-case-%d-%zu.txt",
				       TEXT_ARG(lists->keys[i]->text), (int)getpid(), i)
				   .data;
		FILE *file = fopen(strchr(names[i], '=') + 1, "w");
		ck_assert_ptr_nonnull(file);
		(void)fprintf(file, "%.*s\n", TEXT_ARG(lists->values[i]->text));
		ck_assert_int_eq(fclose(file), 0);
	}
	return list_count;
}

static struct logsource source_of(const struct run *run)
{
	const struct yaml_node *node = yaml_get(run->document, "source");
	struct logsource source = {0};
	for (size_t i = 0; node != NULL && i < node->count; i++) {
		struct text key = node->keys[i]->text, value = node->values[i]->text;
		if (text_equal(key, TEXT("category")))
			source.category = value;
		else if (text_equal(key, TEXT("product")))
			source.product = value;
		else if (text_equal(key, TEXT("service")))
			source.service = value;
		else
			ck_abort_msg("no attribute of a log source: %s", key.data);
	}
	return source;
}

static struct ruleset *load(const struct run *run, struct error *err)
{
	const char *names[LISTS_MAX_HERE];
	struct ruleset_options options = {
		.any_logsource = yaml_get(run->document, "source") == NULL,
		.verbatim_names = true,
		.lists = names,
		.list_count = lists_write(run, names),
	};
	struct ruleset *ruleset = NULL;
	if (ruleset_parse(&options, rule_text(run), "case.yml", &ruleset, err) != OK)
		ck_assert_msg(err->line > 0 && strstr(err->text, "fix: ") != NULL, "%s:%u: %s",
			      run->document->at.file, run->document->at.line, err->text);
	for (size_t i = 0; i < options.list_count; i++)
		(void)unlink(strchr(names[i], '=') + 1);
	return ruleset;
}

static bool is_match(const struct run *run, struct matcher *matcher, struct json_object *json,
		     bool plainly)
{
	struct event event = {.logsource = source_of(run)};
	struct arena *arena = arena_new(64 << 20);
	struct matches matches;
	struct flattening to = {json, arena, &event};
	flatten(&to, json, TEXT(""));
	enum status status = plainly ? matcher_match_plainly(matcher, &event, &matches)
				     : matcher_match(matcher, &event, &matches);
	ck_assert_int_eq(status, OK);
	ck_assert_uint_eq(matches.undecided_count, 0);
	arena_free(&arena);
	return matches.count > 0 && matches.rules[0] == 0;
}

static void events_run(struct run *run, struct matcher *matcher, const char *key, bool wanted)
{
	const struct yaml_node *events = yaml_get(run->document, key);
	for (size_t i = 0; events != NULL && i < events->count; i++) {
		const struct yaml_node *node = events->items[i];
		struct json_object *json = json_tokener_parse(node->text.data);
		ck_assert_msg(json_object_is_type(json, json_type_object), "%s:%u: no JSON: %s",
			      node->at.file, node->at.line, node->text.data);
		bool indexed = is_match(run, matcher, json, false);
		bool plain = is_match(run, matcher, json, true);
		count(run, indexed == wanted && plain == wanted,
		      indexed != plain ? "index and plain differ"
		      : wanted         ? "must match"
				       : "must not match",
		      node->text);
		json_object_put(json);
	}
}

static void case_run(struct run *run)
{
	struct error err = {0};
	struct text refused_words = text_at(run, "refused"), warning = text_at(run, "warns");
	struct ruleset *ruleset = load(run, &err);
	if (refused_words.size > 0) {
		count(run, ruleset == NULL && strstr(err.text, refused_words.data) != NULL,
		      ruleset != NULL ? "loaded, but must be refused" : "other words",
		      text_of(err.text));
	} else if (ruleset == NULL) {
		count(run, false, "refused", text_of(err.text));
	} else {
		struct matcher *matcher = NULL;
		if (warning.size > 0)
			count(run, has_warning(ruleset, warning.data), "no such warning", warning);
		if (yaml_get(run->document, "loads") != NULL)
			count(run, true, "", TEXT(""));
		ck_assert_int_eq(matcher_new(ruleset, &matcher, NULL), OK);
		events_run(run, matcher, "yes", true);
		events_run(run, matcher, "no", false);
		matcher_free(&matcher);
	}
	if (ruleset != NULL)
		ruleset_free(&ruleset);
}

static void keys_checked(const struct yaml_node *document)
{
	static const char *const keys[] = {"row",      "source",  "about",   "rule",
					   "document", "lists",   "pysigma", "yes",
					   "no",       "refused", "warns",   "loads"};
	for (size_t i = 0; i < document->count; i++) {
		bool known = false;
		for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
			known = known || text_equal(document->keys[i]->text, text_of(keys[k]));
		ck_assert_msg(known, "%s:%u: unknown key", document->at.file,
			      document->keys[i]->at.line);
	}
}

static void file_run(struct run *run, const char *path)
{
	const struct yaml_node *const *documents = NULL;
	size_t document_count = 0;
	struct error err = {0};
	struct arena *arena = arena_new(64 << 20);
	ck_assert_msg(yaml_load(path, arena, &documents, &document_count, &err) == OK, "%s:%u: %s",
		      err.file, err.line, err.text);
	for (size_t i = 0; i < document_count; i++) {
		run->document = documents[i];
		run->arena = arena;
		keys_checked(documents[i]);
		case_run(run);
	}
	arena_free(&arena);
}

static int is_case_file(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');
	return dot != NULL && strcmp(dot, ".yml") == 0;
}

START_TEST(every_case)
{
	struct run run = {0};
	struct dirent **entries = NULL;
	const char *folder = PICKET_SOURCE_DIR "/tests/rules/cases";
	int files = scandir(folder, &entries, is_case_file, alphasort);
	ck_assert_int_gt(files, 0);
	for (int i = 0; i < files; i++) {
		char path[1024];
		(void)snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
		file_run(&run, path);
		free(entries[i]);
	}
	free(entries);
	printf("own cases: %u in %d files, %u fail\n", run.cases, files, run.failed);
	ck_assert_uint_eq(run.failed, 0);
	ck_assert_uint_ge(run.cases, CASES_MIN);
	table_check(&run.table, COLUMN);
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("cases");
	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, every_case);
	return tests_run(cases);
}
