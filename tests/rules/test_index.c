/* What each slot of a compiled program holds. */
#include "tests/rules/predicates.h"

static const struct slot *slot_of(const struct bench *b, size_t check)
{
	return &b->program->slots[b->program->checks[check].slot];
}

START_TEST(few_one_by_one_many_by_scanner)
{
	struct bench *b cleanup(bench_done) = bench_new();
	for (unsigned i = 0; i < SLOT_LIST_MAX; i++)
		add_rule(b, glob_of(b, "few", arena_print(b->arena, "*few%u*", i).data));
	for (unsigned i = 0; i <= SLOT_LIST_MAX; i++)
		add_rule(b, glob_of(b, "many", arena_print(b->arena, "*many%u*", i).data));
	add_rule(b, regex_of(b, "regex", "needle\\d", 0));
	add_rule(b, glob_of(b, "exact", "Value"));
	add_rule(b, number_of(b, "number", COMPARE_EQ, 7));
	compile(b);
	ck_assert_ptr_null(slot_of(b, 0)->scanner);
	ck_assert_uint_eq(slot_of(b, 0)->few.count, SLOT_LIST_MAX);
	ck_assert_ptr_nonnull(slot_of(b, SLOT_LIST_MAX)->scanner);
	ck_assert_uint_eq(slot_of(b, SLOT_LIST_MAX)->few.count, 0);
	size_t regex = 2 * SLOT_LIST_MAX + 1;
	ck_assert_ptr_nonnull(slot_of(b, regex)->scanner);
	ck_assert_ptr_nonnull(slot_of(b, regex + 1)->exact.entries);
	ck_assert_ptr_null(slot_of(b, regex + 1)->numbers.entries);
	ck_assert_ptr_nonnull(slot_of(b, regex + 2)->numbers.entries);
	event_begin(b);
	put_string(b, "few", "xfew1x");
	put_string(b, "many", "xMANY2x");
	put_string(b, "regex", "needle7");
	put_string(b, "exact", "VALUE");
	put_string(b, "number", "7.0");
	ck_assert_uint_eq(match_both(b).count, 5);
}
END_TEST

/* Hits that are only necessary: prefixes, suffixes, cases, dashes, holes. */
START_TEST(a_hit_is_looked_at_when_it_proves_nothing)
{
	static const char *const patterns[] = {"abc*",  "*abc",   "*a-b*",
					       "*a~b*", "*abc?*", "*ab*bc*"};
	static const struct {
		const char *text;
		unsigned wanted; /* bit set of patterns */
	} cases[] = {
		{"abcd", 1 | 16},
		{"xabc", 2},
		{"xabcx", 16},
		{"a-b", 4 | 8},
		{"a/b", 8},
		{"a/ba-b", 12},
		{"\xc3\xa9"
		 "a/b a-b",
		 12},
		{"a\xe2\x80\x93"
		 "b",
		 8},
		{"abbc", 32},
		{"abc", 1 | 2},
		{"ABC\xc3\xa9", 1 | 16},
	};
	struct bench *b cleanup(bench_done) = bench_new();
	for (size_t i = 0; i < 6; i++)
		add_rule(b, glob_of(b, "f", patterns[i]));
	add_rule(b, cased_of(b, "f", "*abc*"));
	compile(b);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		event_begin(b);
		put_string(b, "f", cases[i].text);
		struct matches matches = match_both(b);
		for (uint32_t k = 0; k < 6; k++)
			ck_assert_msg(has_rule(matches, k) == (cases[i].wanted >> k & 1),
				      "'%s' and '%s'", cases[i].text, patterns[k]);
		ck_assert_int_eq(has_rule(matches, 6), strstr(cases[i].text, "abc") != NULL);
	}
}
END_TEST

/* A text made of one anchor, and a pattern that is never complete: the work stays linear. */
START_TEST(a_hostile_value_costs_one_look)
{
	struct bench *b cleanup(bench_done) = bench_new();
	for (unsigned i = 0; i < 50; i++)
		add_rule(b, glob_of(b, "f", arena_print(b->arena, "*aaaa*%u*b*", i + 1000).data));
	compile(b);
	char *text = bench_alloc(b, EVENT_VALUE_MAX);
	memset(text, 'a', EVENT_VALUE_MAX);
	event_begin(b);
	put_text(b, "f", (struct text){text, EVENT_VALUE_MAX});
	ck_assert_uint_eq(match_both(b).count, 0);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, few_one_by_one_many_by_scanner);
	tcase_add_test(tcase, a_hit_is_looked_at_when_it_proves_nothing);
	tcase_add_test(tcase, a_hostile_value_costs_one_look);
}

int main(void)
{
	return run_suite("index", fill);
}
