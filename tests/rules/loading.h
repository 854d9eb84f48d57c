/* loading - what the tests of the rule front end share: rules from a string, and a verdict.
 *
 * Why: every case is a few lines of YAML and one answer. Invariant: a failed load has a message
 * with a place and a fix. Owner: the test. Thread: one. Limits: flat events of texts and numbers.
 */
#ifndef PICKET_TESTS_RULES_LOADING_H
#define PICKET_TESTS_RULES_LOADING_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "rules/ruleset.h"

static inline struct ruleset *rules_try(const char *yaml, struct error *err)
{
	static const struct ruleset_options options = {.any_logsource = true};
	struct ruleset *ruleset = NULL;
	*err = (struct error){0};
	if (ruleset_parse(&options, text_of(yaml), "test.yml", &ruleset, err) == OK)
		return ruleset;
	ck_assert_ptr_null(ruleset);
	ck_assert_str_eq(err->file, "test.yml");
	ck_assert_msg(err->line > 0 && err->column > 0, "no place: %s", err->text);
	ck_assert_msg(strstr(err->text, "\n  fix: ") != NULL, "no fix: %s", err->text);
	return NULL;
}

static inline struct ruleset *rules_of(const char *yaml)
{
	struct error err;
	struct ruleset *ruleset = rules_try(yaml, &err);
	ck_assert_msg(ruleset != NULL, "%u:%u: %s\n%s", err.line, err.column, err.text, yaml);
	return ruleset;
}

/* Refused at this place (0: any), with these words in the message. */
static inline void refused(const char *yaml, unsigned line, unsigned column, const char *words)
{
	struct error err;
	struct ruleset *ruleset = rules_try(yaml, &err);
	ck_assert_msg(ruleset == NULL, "loaded: %s", yaml);
	ck_assert_msg(strstr(err.text, words) != NULL, "'%s' is not in: %s", words, err.text);
	ck_assert_msg(line == 0 || (err.line == line && err.column == column),
		      "at %u:%u, not %u:%u: %s", err.line, err.column, line, column, err.text);
}

static inline bool has_warning(const struct ruleset *ruleset, const char *words)
{
	size_t count = 0;
	const struct rule_note *notes = ruleset_notes(ruleset, &count);
	for (size_t i = 0; i < count; i++)
		if (notes[i].kind == NOTE_WARNING &&
		    memmem(notes[i].text.data, notes[i].text.size, words, strlen(words)) != NULL)
			return true;
	return false;
}

/* A detection around lines that are indented by 4; its log source and level are given. */
static inline const char *detection_of(const char *lines, char *buffer, size_t size)
{
	(void)snprintf(buffer, size,
		       "title: t\nname: r\nlevel: low\nlogsource: {category: c}\ndetection:\n%s",
		       lines);
	return buffer;
}

/* Whether rule 0 matches an event of one text field f (and g when it is not NULL). */
static inline bool matches_values(const struct ruleset *ruleset, const char *f, const char *g)
{
	struct arena *arena = arena_new(1 << 20);
	struct event event = {0};
	struct matcher *matcher = NULL;
	struct matches matches;
	const char *values[] = {f, g};
	for (int i = 0; i < 2; i++) {
		struct value value = {.type = VALUE_STRING, .text = text_of(values[i])};
		if (values[i] != NULL)
			ck_assert_int_eq(
				event_add(&event, arena, i == 0 ? TEXT("f") : TEXT("g"), value),
				OK);
	}
	ck_assert_int_eq(matcher_new(ruleset, &matcher, NULL), OK);
	ck_assert_int_eq(matcher_match(matcher, &event, &matches), OK);
	bool matched = matches.count > 0 && matches.rules[0] == 0;
	matcher_free(&matcher);
	arena_free(&arena);
	return matched;
}

/* Runs all tests of a case without forking, so that sanitizers see everything. */
static inline int tests_run(TCase *cases)
{
	Suite *suite = suite_create("rules");
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
