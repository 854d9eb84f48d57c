/* Explanations: the verdict is the matcher's, the leaves that decided are named, limits hold. */
#include "rules/explain.h"
#include "tests/rules/loading.h"

struct explained {
	struct ruleset *ruleset;
	struct arena *arena;
	struct explanation explanation;
};

/* The rule of these lines on an event with the texts f and g (NULL: absent). */
static struct explained explain(const char *lines, const char *f, const char *g)
{
	char buffer[8192];
	struct explained it = {.arena = arena_new(1 << 26)};
	struct event event = {0};
	const char *values[] = {f, g};
	it.ruleset = rules_of(detection_of(lines, buffer, sizeof buffer));
	for (int i = 0; i < 2; i++) {
		struct value value = {.type = VALUE_STRING, .text = text_of(values[i])};
		if (values[i] != NULL)
			ck_assert_int_eq(
				event_add(&event, it.arena, i == 0 ? TEXT("f") : TEXT("g"), value),
				OK);
	}
	ck_assert_int_eq(explain_rule(it.ruleset, ruleset_rule(it.ruleset, 0), &event, it.arena,
				      &it.explanation),
			 OK);
	bool matched = it.explanation.verdict == VERDICT_TRUE;
	ck_assert_msg(matched == matches_values(it.ruleset, f, g), "%s", lines);
	return it;
}

static void explained_done(struct explained *it)
{
	ruleset_free(&it->ruleset);
	arena_free(&it->arena);
}

static const struct explain_node *leaf(const struct explained *it, const char *words)
{
	for (size_t i = 0; i < it->explanation.count; i++)
		if (text_equal(it->explanation.nodes[i].words, text_of(words)))
			return &it->explanation.nodes[i];
	ck_abort_msg("no leaf says: %s", words);
}

static size_t deciding(const struct explained *it)
{
	size_t count = 0;
	for (size_t i = 0; i < it->explanation.count; i++)
		count += it->explanation.nodes[i].decided &&
			 it->explanation.nodes[i].kind == EXPLAIN_PREDICATE;
	return count;
}

#define RULE                                         \
	"    sel:\n        f|endswith: ['x', 'y']\n" \
	"    flt:\n        g: z\n    condition: sel and not flt\n"

START_TEST(a_match_rests_on_what_holds)
{
	struct explained it = explain(RULE, "ax", NULL);
	ck_assert_uint_eq(deciding(&it), 2);
	const struct explain_node *node = leaf(&it, "f ends with 'x'");
	ck_assert(node->decided && node->verdict == VERDICT_TRUE);
	ck_assert_uint_eq(node->value_count, 1);
	ck_assert(text_equal(node->values[0].value->text, TEXT("ax")));
	ck_assert_uint_eq(node->at.line, 7);
	ck_assert(!leaf(&it, "f ends with 'y'")->decided);
	ck_assert(leaf(&it, "g is 'z'")->decided);
	ck_assert_uint_eq(leaf(&it, "g is 'z'")->value_count, 0);
	explained_done(&it);
}
END_TEST

START_TEST(no_match_rests_on_what_fails)
{
	struct explained it = explain(RULE, "ax", "z");
	ck_assert_uint_eq(deciding(&it), 1);
	ck_assert(leaf(&it, "g is 'z'")->decided);
	explained_done(&it);
	it = explain(RULE, "b", NULL);
	ck_assert_uint_eq(deciding(&it), 2); /* both endings failed; the filter did not matter */
	ck_assert(!leaf(&it, "g is 'z'")->decided);
	explained_done(&it);
}
END_TEST

START_TEST(names_and_kinds)
{
	struct explained it = explain("    a_1: {f: x}\n    a_2: {f: y}\n    a_3: {g|neq: z}\n"
				      "    condition: 2 of a_*\n",
				      "x", "q");
	const struct explain_node *root = &it.explanation.nodes[0];
	ck_assert_int_eq(root->kind, EXPLAIN_AT_LEAST);
	ck_assert_uint_eq(root->at_least, 2);
	ck_assert(text_equal(leaf(&it, "f is 'x'")->name, TEXT("a_1 / f")));
	ck_assert_uint_eq(deciding(&it), 2);
	explained_done(&it);
}
END_TEST

START_TEST(wording_of_every_kind)
{
	struct explained it = explain(
		"    a:\n        f|re|i: 'x+'\n        g|cidr: 10.0.0.0/8\n        h: null\n"
		"        i|exists: true\n        j: 5\n        k: true\n        l|fieldref: m\n"
		"        n|hour|gte: 22\n        o|contains|cased: 'A*b'\n        p: ''\n"
		"        q|windash|contains: ' -x'\n        r: '*'\n        s|gt: 1.5\n"
		"    condition: a\n",
		"xx", "11.0.0.1");
	static const char *const words[] = {
		"f matches /x+/i",
		"g is in 10.0.0.0/8",
		"h is absent or null",
		"i is there",
		"j = 5",
		"k is true",
		"l equals the value of m",
		"n has the hour >= 22 (UTC)",
		"o contains 'A*b' (case counts)",
		"p is ''",
		"q contains ' -x' (with any dash)",
		"r has a value",
		"s > 1.5",
	};
	size_t hidden = it.explanation.nodes[0].hidden;
	ck_assert_uint_eq(hidden, 13 - EXPLAIN_CHILDREN_MAX);
	size_t found = 0;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		for (size_t k = 0; k < it.explanation.count; k++)
			found += text_equal(it.explanation.nodes[k].words, text_of(words[i]));
	ck_assert_uint_eq(found, EXPLAIN_CHILDREN_MAX);
	explained_done(&it);
}
END_TEST

START_TEST(keywords_name_the_value)
{
	struct explained it =
		explain("    k: ['needle', 'other']\n    condition: k\n", "hay", "a needle");
	const struct explain_node *node = leaf(&it, "any value contains 'needle'");
	ck_assert_uint_eq(node->value_count, 1);
	ck_assert(text_equal(node->values[0].field, TEXT("g")));
	explained_done(&it);
}
END_TEST

START_TEST(long_lists_are_cut)
{
	char lines[4096] = "    s:\n        f: [x0";
	for (int i = 1; i < 300; i++)
		(void)sprintf(lines + strlen(lines), ",x%d", i);
	strcat(lines, "]\n    condition: s\n");
	struct explained it = explain(lines, "x250", NULL);
	ck_assert_uint_eq(it.explanation.count, EXPLAIN_CHILDREN_MAX + 1);
	ck_assert_uint_eq(it.explanation.nodes[0].hidden, 300 - EXPLAIN_CHILDREN_MAX);
	ck_assert(text_equal(it.explanation.nodes[1].words, TEXT("f is 'x250'")));
	explained_done(&it);
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("explain");
	tcase_add_test(cases, a_match_rests_on_what_holds);
	tcase_add_test(cases, no_match_rests_on_what_fails);
	tcase_add_test(cases, names_and_kinds);
	tcase_add_test(cases, wording_of_every_kind);
	tcase_add_test(cases, keywords_name_the_value);
	tcase_add_test(cases, long_lists_are_cut);
	return tests_run(cases);
}
