#include <check.h>
#include <stdlib.h>

#include "rules/condition_private.h"
#include "tests/rules/loading.h"

/* The tree in prefix form: (and a (not b)); OF as <2 of p*>, all as <0 of p*>. */
static void print(const struct condition_node *node, char *to, size_t size)
{
	static const char *const names[] = {
		[CONDITION_AND] = "and", [CONDITION_OR] = "or", [CONDITION_NOT] = "not"};
	size_t used = strlen(to);
	if (node->kind == CONDITION_NAME) {
		(void)snprintf(to + used, size - used, "%.*s", TEXT_ARG(node->name));
		return;
	}
	if (node->kind == CONDITION_OF) {
		(void)snprintf(to + used, size - used, "<%zu of %.*s>", node->at_least,
			       TEXT_ARG(node->name));
		return;
	}
	(void)snprintf(to + used, size - used, "(%s", names[node->kind]);
	for (size_t i = 0; i < node->child_count; i++) {
		(void)strncat(to, " ", size - strlen(to) - 1);
		print(node->children[i], to, size);
	}
	(void)strncat(to, ")", size - strlen(to) - 1);
}

START_TEST(precedence)
{
	static const char *const cases[][2] = {
		{"a", "a"},
		{"a or b and not c", "(or a (and b (not c)))"},
		{"a and b or c and d", "(or (and a b) (and c d))"},
		{"(a or b) and c", "(and (or a b) c)"},
		{"not (a or b)", "(not (or a b))"},
		{"not a and b", "(and (not a) b)"},
		{"not not a", "a"},
		{"not not not a", "(not a)"},
		{"a and b and c", "(and a b c)"},
		{"1 of them", "<1 of them>"},
		{"any of sel*", "<1 of sel*>"},
		{"all of *", "<0 of *>"},
		{"2 of sel_* and not 1 of filter_*", "(and <2 of sel_*> (not <1 of filter_*>))"},
		{"NOT a AND (B Or c)", "(and (not a) (or B c))"},
		{"1 OF THEM", "<1 of them>"},
		{"((((a))))", "a"},
		{"  a\n  and b\n", "(and a b)"},
		{"sel-1 or 4688", "(or sel-1 4688)"},
		{"1 of selection", "<1 of selection>"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena *arena = arena_new(1 << 20);
		const struct condition_node *node = NULL;
		struct error err = {0};
		char printed[512] = "";
		ck_assert_msg(condition_parse(text_of(cases[i][0]), (struct position){"t", 1, 1},
					      true, arena, &node, &err) == OK,
			      "%s: %s", cases[i][0], err.text);
		print(node, printed, sizeof printed);
		ck_assert_str_eq(printed, cases[i][1]);
		arena_free(&arena);
	}
}
END_TEST

START_TEST(mistakes_point_at_the_word)
{
	static const struct {
		const char *text;
		unsigned column;
		const char *words;
	} cases[] = {
		{"", 5, "empty"},
		{"   ", 5, "empty"},
		{"a and", 10, "at its end"},
		{"a and and b", 11, "at 'and'"},
		{"and a", 5, "name or '('"},
		{"a b", 7, "'and' or 'or' expected"},
		{"(a", 7, "')' expected"},
		{"a)", 6, "no '('"},
		{"()", 6, "name or '('"},
		{"not", 8, "at its end"},
		{"1 of", 9, "behind 'of'"},
		{"1 of and", 10, "behind 'of'"},
		{"0 of sel*", 7, "'and' or 'or' expected"},
		{"sel*", 5, "pattern without a quantifier"},
		{"a | count() > 5", 7, "aggregations were removed"},
		{"| count() > 5", 5, "aggregations were removed"},
		{"a && b", 7, "expected"},
		{"them", 5, "name or '('"},
		{"a or \xC2\xA7 b", 13, "'and' or 'or' expected"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena *arena = arena_new(1 << 20);
		const struct condition_node *node = NULL;
		struct error err = {0};
		ck_assert_msg(condition_parse(text_of(cases[i].text), (struct position){"t", 3, 5},
					      true, arena, &node, &err) == EINVALID,
			      "accepted: %s", cases[i].text);
		ck_assert_msg(err.line == 3 && err.column == cases[i].column, "%s: column %u: %s",
			      cases[i].text, err.column, err.text);
		ck_assert_msg(strstr(err.text, cases[i].words) != NULL, "%s: %s", cases[i].text,
			      err.text);
		arena_free(&arena);
	}
}
END_TEST

START_TEST(hostile_sizes_end)
{
	enum { SIZE = CONDITION_BYTES_MAX + 10 };
	struct arena *arena = arena_new(64 << 20);
	const struct condition_node *node = NULL;
	struct error err = {0};
	char *text = malloc(SIZE);
	struct position at = {"t", 1, 1};
	memset(text, '(', SIZE);
	struct text many = {text, 1000};
	ck_assert_int_eq(condition_parse(many, at, true, arena, &node, &err), EINVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "fix: "));
	many.size = SIZE;
	ck_assert_int_eq(condition_parse(many, at, true, arena, &node, &err), ELIMIT);
	for (size_t i = 0; i + 4 <= SIZE; i += 4)
		memcpy(text + i, "not ", 4);
	many.size = 60000;
	ck_assert_int_eq(condition_parse(many, at, true, arena, &node, &err), EINVALID);
	for (size_t i = 0; i + 5 <= SIZE; i += 5)
		memcpy(text + i, "a or ", 5);
	many.size = 60001;
	ck_assert_int_eq(condition_parse(many, at, true, arena, &node, &err), OK);
	ck_assert_uint_eq(node->child_count, 12001);
	free(text);
	arena_free(&arena);
}
END_TEST

static bool excludes(const char *text)
{
	struct arena *arena = arena_new(1 << 20);
	const struct condition_node *node = NULL;
	ck_assert_int_eq(condition_parse(text_of(text), (struct position){"t", 1, 1}, true, arena,
					 &node, NULL),
			 OK);
	bool answer = condition_excludes(node);
	arena_free(&arena);
	return answer;
}

START_TEST(a_filter_excludes_by_not)
{
	ck_assert(excludes("not a"));
	ck_assert(excludes("not (a and b)"));
	ck_assert(excludes("not a and not 1 of b*"));
	ck_assert(excludes("not a or not b"));
	ck_assert(!excludes("a"));
	ck_assert(!excludes("a and not b"));
	ck_assert(!excludes("not not a"));
	ck_assert(!excludes("1 of them"));
}
END_TEST

START_TEST(patterns)
{
	ck_assert(condition_pattern_matches(TEXT("sel*"), TEXT("sel")));
	ck_assert(condition_pattern_matches(TEXT("*_main_*"), TEXT("filter_main_x")));
	ck_assert(condition_pattern_matches(TEXT("*"), TEXT("")));
	ck_assert(condition_pattern_matches(TEXT("a*b*c"), TEXT("abbc")));
	ck_assert(!condition_pattern_matches(TEXT("sel*"), TEXT("xsel")));
	ck_assert(!condition_pattern_matches(TEXT("Sel*"), TEXT("sel1")));
	ck_assert(!condition_pattern_matches(TEXT("a*b"), TEXT("abc")));
	/* many stars on a long name stay cheap */
	char name[4096];
	memset(name, 'a', sizeof name);
	ck_assert(!condition_pattern_matches(TEXT("*a*a*a*a*a*a*a*a*a*b"),
					     (struct text){name, sizeof name}));
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("condition");
	tcase_add_test(cases, precedence);
	tcase_add_test(cases, mistakes_point_at_the_word);
	tcase_add_test(cases, hostile_sizes_end);
	tcase_add_test(cases, a_filter_excludes_by_not);
	tcase_add_test(cases, patterns);
	return tests_run(cases);
}
