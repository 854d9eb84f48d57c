/* The answers of other Sigma implementations' own tests (shared data, sigma-triples): every case of
 * class "spec" must hold; where implementations disagree, or one has something of its own, our
 * answer and its reason stand in decision.def, and a case that goes another way fails. */
#include <check.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "rules/ruleset.h"
#include "tests/rules/json_event.h"
#include "tests/rules/table.h"

/* What a case gives: "refused", or one letter per event, T for a match. */
struct decision {
	const char *id;
	const char *answer;
	const char *why;
};

static const struct decision decisions[] = {
#define DECISION(id, answer, why) {id, answer, why},
#include "tests/rules/decision.def"
#undef DECISION
};

static const struct decision *decision_for(const char *id)
{
	for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++)
		if (strcmp(decisions[i].id, id) == 0)
			return &decisions[i];
	return NULL;
}

/* Which row of rules/RULES.md a feature of a case belongs to. */
static const struct {
	const char *feature, *row;
} rows[] = {
	{"contains", "W4"},
	{"backslash", "S2"},
	{"list", "D3"},
	{"number", "D9"},
	{"endswith", "W3"},
	{"cond-of", "C3"},
	{"list-of-maps", "D4"},
	{"wildcard", "S1"},
	{"cond-and", "C1"},
	{"cased", "W6"},
	{"correlation", "X1"},
	{"all", "W1"},
	{"cond-not", "C1"},
	{"re", "W9"},
	{"corr-event_count", "X2"},
	{"startswith", "W2"},
	{"corr-value_count", "X2"},
	{"neq", "W7"},
	{"windash", "W8"},
	{"cond-or", "C1"},
	{"cond-(", "C1"},
	{"keywords", "D5"},
	{"escape", "S2"},
	{"nested-field", "D10"},
	{"gt", "W19"},
	{"gte", "W19"},
	{"lt", "W19"},
	{"lte", "W19"},
	{"cidr", "W21"},
	{"non-ascii", "S4"},
	{"fieldref", "W23"},
	{"equalsfield", "W23"},
	{"corr-temporal", "X2"},
	{"corr-temporal_ordered", "X2"},
	{"corr-value_sum", "X2"},
	{"corr-value_avg", "X2"},
	{"corr-aliases", "X7"},
	{"cond-them", "C2"},
	{"bool", "D9"},
	{"filter", "F1"},
	{"i", "W10"},
	{"m", "W11"},
	{"s", "W12"},
	{"base64", "W13"},
	{"base64offset", "W14"},
	{"utf16le", "W15"},
	{"wide", "W16"},
	{"utf16be", "W17"},
	{"utf16", "W18"},
	{"exists", "W5"},
	{"null", "D14"},
	{"empty", "D14"},
	{"expand", "W22"},
	{"day", "W20"},
	{"hour", "W20"},
	{"action-global", "Y4"},
	{"action-repeat", "Y4"},
};

/* A case counts once in each row that one of its features belongs to. */
static void rows_count(struct table *table, struct json_object *features, bool passed)
{
	bool counted[sizeof rows / sizeof *rows] = {false};
	for (size_t i = 0; i < json_object_array_length(features); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(features, i));
		size_t at = 0;
		while (at < sizeof rows / sizeof *rows && strcmp(rows[at].feature, name) != 0)
			at++;
		ck_assert_msg(at < sizeof rows / sizeof *rows, "feature %s has no row", name);
		bool again = false;
		for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
			again = again || (counted[k] && strcmp(rows[k].row, rows[at].row) == 0);
		counted[at] = true;
		if (!again)
			table_count(table, rows[at].row, passed);
	}
}

static const char *data_folder(void)
{
	const char *named = getenv("PICKET_DATA");
	return named != NULL ? named : PICKET_SOURCE_DIR "/../shared/data";
}

static const char *member(struct json_object *json, const char *key)
{
	return json_object_get_string(json_object_object_get(json, key));
}

static size_t number_at(struct json_object *list, size_t index)
{
	return (size_t)json_object_get_int64(json_object_array_get_idx(list, index));
}

/* Whether the rules that matched carry exactly the titles wanted, in any order. */
static bool titles_agree(const struct ruleset *ruleset, const struct matches *matches,
			 struct json_object *wanted)
{
	if (matches->count != json_object_array_length(wanted))
		return false;
	for (size_t i = 0; i < matches->count; i++) {
		struct text title = ruleset_rule(ruleset, matches->rules[i])->title;
		bool found = false;
		for (size_t k = 0; k < json_object_array_length(wanted); k++)
			found = found ||
				text_equal(title, text_of(json_object_get_string(
							  json_object_array_get_idx(wanted, k))));
		if (!found)
			return false;
	}
	return true;
}

/* Runs the events of a case; answer gets T or F per event. False when counts or titles differ. */
static bool events_run(struct json_object *item, const struct ruleset *ruleset, char *answer)
{
	struct json_object *events = json_object_object_get(item, "events");
	struct json_object *counts = json_object_object_get(item, "expected_matches");
	struct json_object *titles = json_object_object_get(item, "expected_titles");
	struct matcher *matcher = NULL;
	bool agreed = true;
	ck_assert_int_eq(matcher_new(ruleset, &matcher, NULL), OK);
	struct arena *arena = arena_new(64 << 20);
	size_t count = json_object_array_length(events);
	for (size_t i = 0; i < count; i++) {
		struct event event = {0};
		struct matches matches, plain;
		arena_reset(arena);
		struct flattening to = {json_object_array_get_idx(events, i), arena, &event};
		flatten(&to, to.root, TEXT(""));
		ck_assert_int_eq(matcher_match_plainly(matcher, &event, &plain), OK);
		size_t plain_count = plain.count;
		ck_assert_int_eq(matcher_match(matcher, &event, &matches), OK);
		ck_assert_msg(plain_count == matches.count, "%s: index and full scan differ",
			      member(item, "id"));
		ck_assert_uint_eq(matches.undecided_count, 0);
		answer[i] = matches.count > 0 ? 'T' : 'F';
		if (counts != NULL)
			agreed = agreed && matches.count == number_at(counts, i);
		if (titles != NULL)
			agreed = agreed && titles_agree(ruleset, &matches,
							json_object_array_get_idx(titles, i));
	}
	answer[count] = '\0';
	arena_free(&arena);
	matcher_free(&matcher);
	return agreed;
}

/* What the case's source says, in the same letters; '?' is not asserted. */
static void expectation(struct json_object *item, char *wanted)
{
	struct json_object *list = json_object_object_get(item, "expected");
	if (strcmp(member(item, "kind"), "invalid") == 0) {
		strcpy(wanted, "refused");
		return;
	}
	if (strcmp(member(item, "kind"), "correlation") == 0) {
		strcpy(wanted, "loaded");
		return;
	}
	size_t count = json_object_array_length(list);
	for (size_t i = 0; i < count; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		wanted[i] = one == NULL ? '?' : json_object_get_boolean(one) ? 'T' : 'F';
	}
	wanted[count] = '\0';
}

static bool agrees(const char *answer, const char *wanted)
{
	if (strlen(answer) != strlen(wanted))
		return false;
	for (size_t i = 0; answer[i] != '\0'; i++)
		if (wanted[i] != '?' && wanted[i] != answer[i])
			return false;
	return true;
}

enum { ANSWER_MAX = 4096, COLUMN = 4 };

static bool case_run(struct json_object *item, char *answer, char *reason)
{
	static const struct ruleset_options options = {
		.any_logsource = true, .verbatim_names = true, .supply_metadata = true};
	struct json_object *yaml = json_object_object_get(item, "rule_yaml");
	struct text text = {json_object_get_string(yaml), (size_t)json_object_get_string_len(yaml)};
	struct ruleset *ruleset = NULL;
	struct error err = {0};
	bool agreed = true;
	reason[0] = '\0';
	if (ruleset_parse(&options, text, member(item, "id"), &ruleset, &err) != OK) {
		strcpy(answer, "refused");
		(void)error_print(&err, reason, ANSWER_MAX);
		ck_assert_msg(err.line > 0, "%s has no place: %s", member(item, "id"), reason);
		ck_assert_msg(strstr(reason, "fix: ") != NULL, "no fix: %s", reason);
		return true;
	}
	if (strcmp(member(item, "kind"), "detection") == 0)
		agreed = events_run(item, ruleset, answer);
	else
		strcpy(answer, "loaded");
	ruleset_free(&ruleset);
	return agreed;
}

START_TEST(other_implementations_cases)
{
	char path[1024], answer[ANSWER_MAX], wanted[ANSWER_MAX], reason[ANSWER_MAX];
	(void)snprintf(path, sizeof path, "%s/sigma-triples/public.jsonl", data_folder());
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		printf("SKIP conformance cases: %s is not there\n", path);
		return;
	}
	unsigned total = 0, passed = 0, failed = 0, decided = 0;
	char *line = NULL;
	size_t capacity = 0;
	struct table table = {0};
	while (getline(&line, &capacity, file) > 0) {
		struct json_object *item = json_tokener_parse(line);
		ck_assert_ptr_nonnull(item);
		const char *id = member(item, "id");
		bool is_spec = strcmp(member(item, "class"), "spec") == 0;
		const struct decision *decision = decision_for(id);
		expectation(item, wanted);
		bool agreed = case_run(item, answer, reason);
		bool as_source = agreed && agrees(answer, wanted);
		bool right = decision != NULL ? strcmp(answer, decision->answer) == 0
					      : is_spec && as_source;
		total++;
		passed += is_spec && decision == NULL && right;
		decided += decision != NULL && right;
		failed += !right;
		rows_count(&table, json_object_object_get(item, "features"), right);
		if (!right || decision != NULL)
			printf("%s %s %s: %s, source says %s%s%s %s\n", right ? "    " : "FAIL",
			       member(item, "class"), id, answer, wanted,
			       decision != NULL ? ": " : "", decision != NULL ? decision->why : "",
			       reason);
		json_object_put(item);
	}
	free(line);
	(void)fclose(file);
	printf("conformance: %u cases, %u of class spec pass, %u by our decision, %u fail\n", total,
	       passed, decided, failed);
	ck_assert_uint_eq(failed, 0);
	ck_assert_uint_eq(decided, sizeof decisions / sizeof *decisions);
	table_check(&table, COLUMN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conformance");
	TCase *cases = tcase_create("conformance");
	tcase_set_timeout(cases, 300);
	tcase_add_test(cases, other_implementations_cases);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
