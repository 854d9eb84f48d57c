/* An explanation in words and in JSON: the same nodes, the value that decided, the log source. */
#include <check.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cli/rule_explanation.h"

static const char yaml[] = "title: shell\nlevel: low\nlogsource: {category: process_creation}\n"
			   "detection:\n    s:\n        Image|endswith: '/sh'\n        User: root\n"
			   "    condition: s\n";

/* The rule on Image and a log source; the text or the JSON into `to`. */
static void explain(const char *image, const char *category, bool as_json, struct bytes *to)
{
	struct ruleset_options options = {.verbatim_names = true};
	struct ruleset *ruleset = NULL;
	struct arena *arena = arena_new(1 << 24);
	struct event event = {.origin = {.topic = TEXT("e.json"), .offset = 7},
			      .logsource = {.category = text_of(category)}};
	struct explanation explanation;
	ck_assert_int_eq(ruleset_parse(&options, text_of(yaml), "r.yml", &ruleset, NULL), OK);
	struct value value = {.type = VALUE_STRING, .text = text_of(image)};
	struct value user = {.type = VALUE_STRING, .text = TEXT("root")};
	ck_assert_int_eq(event_add(&event, arena, TEXT("Image"), value), OK);
	ck_assert_int_eq(event_add(&event, arena, TEXT("User"), user), OK);
	const struct rule *rule = ruleset_rule(ruleset, 0);
	ck_assert_int_eq(explain_rule(ruleset, rule, &event, arena, &explanation), OK);
	struct json_writer json = {.to = to};
	if (as_json)
		explanation_json(rule, &event, &explanation, &json);
	else
		explanation_text(rule, &event, &explanation, to);
	bytes_put_u8(to, 0);
	ck_assert(!to->failed);
	ruleset_free(&ruleset);
	arena_free(&arena);
}

static void says(const char *image, const char *category, const char *words)
{
	struct bytes text = {0};
	explain(image, category, false, &text);
	ck_assert_msg(strstr((const char *)text.data, words) != NULL, "'%s' is not in:\n%s", words,
		      (const char *)text.data);
	bytes_done(&text);
}

START_TEST(in_words)
{
	says("/bin/sh", "process_creation", "match: shell\nevent e.json:7\nlog source fits\n");
	says("/bin/sh", "Process_Creation", "log source fits");
	says("/bin/ls", "process_creation", "no match: shell\n");
	says("/bin/ls", "process_creation", "Image ends with '/sh'   (r.yml:6)\n");
	says("/bin/ls", "process_creation", "Image = \"/bin/ls\"");
	says("/bin/sh", "file_event", "no match: shell\n");
	says("/bin/sh", "file_event", "does not fit");
}
END_TEST

START_TEST(in_json)
{
	struct bytes text = {0};
	explain("/bin/ls", "process_creation", true, &text);
	struct json_object *answer = json_tokener_parse((const char *)text.data);
	ck_assert_ptr_nonnull(answer);
	struct json_object *nodes = json_object_object_get(answer, "nodes");
	ck_assert_str_eq(json_object_get_string(json_object_object_get(answer, "answer")),
			 "no match");
	ck_assert_uint_eq(json_object_array_length(nodes), 3);
	size_t decided = 0;
	for (size_t i = 0; i < json_object_array_length(nodes); i++)
		decided += json_object_get_boolean(
			json_object_object_get(json_object_array_get_idx(nodes, i), "decided"));
	ck_assert_uint_eq(decided, 2); /* the selection, and Image in it */
	json_object_put(answer);
	bytes_done(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rule_explanation");
	TCase *cases = tcase_create("rule_explanation");
	tcase_add_test(cases, in_words);
	tcase_add_test(cases, in_json);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
