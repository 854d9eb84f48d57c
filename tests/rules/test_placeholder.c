/* `expand`: what a placeholder becomes in texts, encodings and regular expressions. */
#include <unistd.h>

#include "rules/list_private.h"
#include "tests/rules/loading.h"

static char list_a[64], list_b[64];

static void write_list(char *path, const char *letter, const char *content)
{
	(void)snprintf(path, 64, "/tmp/picket-placeholder-%d-%s.txt", (int)getpid(), letter);
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(content, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

/* The item loads with A = a, b*, back\ and B = 1, 2.3; NULL when it is refused with `words`. */
static struct ruleset *expanded(const char *item, const char *words)
{
	char rule[1024], lines[512], a[80], b[80];
	const char *lists[] = {a, b};
	struct ruleset_options options = {.lists = lists, .list_count = 2, .any_logsource = true};
	struct ruleset *ruleset = NULL;
	struct error err = {0};
	write_list(list_a, "A", "a\nb*\nback\\\n");
	write_list(list_b, "B", "1\n2.3\n");
	(void)snprintf(a, sizeof a, "A=%s", list_a);
	(void)snprintf(b, sizeof b, "B=%s", list_b);
	(void)snprintf(lines, sizeof lines, "    s:\n        %s\n    condition: s\n", item);
	enum status status = ruleset_parse(
		&options, text_of(detection_of(lines, rule, sizeof rule)), "r.yml", &ruleset, &err);
	(void)unlink(list_a);
	(void)unlink(list_b);
	ck_assert_msg((status == OK) == (words == NULL), "%s: %s", item, err.text);
	if (words != NULL)
		ck_assert_msg(strstr(err.text, words) != NULL, "'%s' is not in: %s", words,
			      err.text);
	return ruleset;
}

static void holds(const char *item, const char *value, bool wanted)
{
	struct ruleset *ruleset = expanded(item, NULL);
	ck_assert_msg(matches_values(ruleset, value, NULL) == wanted, "%s on '%s'", item, value);
	ruleset_free(&ruleset);
}

START_TEST(texts)
{
	holds("f|expand: '%A%'", "a", true);
	holds("f|expand: '%A%'", "B-52", true); /* a listed wildcard is one */
	holds("f|expand: '%A%'", "c", false);
	holds("f|expand: '%A%'", "%A%", false);
	holds("f|expand: '%A%'", "back\\", true);
	holds("f|expand: '%A%*'", "back\\slash", true); /* its backslash escapes nothing */
	holds("f|expand: '%A%-%B%'", "a-2.3", true);
	holds("f|expand: '%A%-%B%'", "a-3", false);
	holds("f|expand: '\\\\%A%'", "\\a", true);
	holds("f|expand: '\\%A%%B%'", "%A%1", true);
	holds("f|expand: '100\\% %A%'", "100% a", true);
	holds("f|expand|contains: '%B%'", "x2.3y", true);
	holds("f|expand: 'plain'", "plain", true);
}
END_TEST

START_TEST(lists_of_values)
{
	holds("f|expand: ['%A%', z]", "z", true);
	holds("f|expand|contains|all: ['%A%', '%B%']", "xa1", true); /* any of A and any of B */
	holds("f|expand|contains|all: ['%A%', '%B%']", "xa", false);
	holds("f|expand|neq: '%A%'", "a", false);
	holds("f|expand|neq: '%A%'", "z", true);
	holds("f|expand|cased: '%A%'", "A", false);
	holds("f|expand|base64: 'x%B%'", "eDE=", true);
	holds("f|expand|windash: ' -%B%'", " /1", true);
}
END_TEST

START_TEST(regular_expressions)
{
	holds("f|re|expand: '^%B%$'", "2.3", true);
	holds("f|re|expand: '^%B%$'", "2x3", false); /* a listed dot is a dot */
	holds("f|re|expand: '^%A%$'", "bcd", true);  /* a listed wildcard is one */
	holds("f|re|expand: '^%A%\\d+$'", "back\\7", true);
	holds("f|re|expand|i: '^%A%$'", "A", true);
}
END_TEST

START_TEST(refusals)
{
	ck_assert_ptr_null(expanded("f|expand: '%C%'", "no list of values"));
	ck_assert_ptr_null(expanded("f|expand: '%a%'", "did you mean 'A'"));
	ck_assert_ptr_null(expanded("f|expand: '%Administrators%'", "accounts of administrators"));
	ck_assert_ptr_null(expanded("f|expand: '%C%'", "--list C=FILE"));
	ck_assert_ptr_null(expanded("f|re|expand: '%C%'", "rules.lists"));
	ck_assert_ptr_null(expanded("f|expand: 'C:\\%A%'", "no placeholder"));
	ck_assert_ptr_null(expanded("f|expand|base64: '%A%'", "wildcards cannot be encoded"));
	ck_assert_ptr_null(
		expanded("f|expand: '%A%%A%%A%%A%%A%%A%%A%%A%%A%%A%%A%%A%'", "combinations"));
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("placeholder");
	tcase_add_test(cases, texts);
	tcase_add_test(cases, lists_of_values);
	tcase_add_test(cases, regular_expressions);
	tcase_add_test(cases, refusals);
	return tests_run(cases);
}
