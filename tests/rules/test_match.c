/* What a rule means on an event: each decision of the rule language, matched both ways. */
#include <stdio.h>

#include "tests/rules/predicates.h"

static bool holds(struct bench *bench, const struct expr *expr)
{
	bench->detection_count = 0;
	matcher_free(&bench->matcher);
	program_free(&bench->program);
	add_rule(bench, expr);
	compile(bench);
	return match_both(bench).count == 1;
}

static bool fails(struct bench *bench, const struct expr *expr)
{
	return !holds(bench, expr) && match_both(bench).undecided_count == 0;
}

START_TEST(null_and_exists)
{
	struct bench *b cleanup(bench_done) = bench_new();
	event_begin(b);
	put_nothing(b, "nothing", VALUE_NULL);
	put_nothing(b, "empty", VALUE_EMPTY);
	put_string(b, "blank", "");
	put_string(b, "o.inner", "x");
	put_string(b, "word", "null");
	ck_assert(holds(b, plain_of(b, PREDICATE_NULL, "absent")));
	ck_assert(holds(b, plain_of(b, PREDICATE_NULL, "nothing")));
	ck_assert(fails(b, plain_of(b, PREDICATE_NULL, "empty")));
	ck_assert(fails(b, plain_of(b, PREDICATE_NULL, "blank")));
	ck_assert(fails(b, plain_of(b, PREDICATE_NULL, "o")));
	ck_assert(fails(b, plain_of(b, PREDICATE_NULL, "word")));
	ck_assert(fails(b, plain_of(b, PREDICATE_EXISTS, "absent")));
	ck_assert(holds(b, plain_of(b, PREDICATE_EXISTS, "nothing")));
	ck_assert(holds(b, plain_of(b, PREDICATE_EXISTS, "empty")));
	ck_assert(holds(b, plain_of(b, PREDICATE_EXISTS, "blank")));
	ck_assert(holds(b, plain_of(b, PREDICATE_EXISTS, "o")));
	ck_assert(fails(b, plain_of(b, PREDICATE_EXISTS, "o.inn")));
	ck_assert(holds(b, glob_of(b, "blank", "")));
	ck_assert(fails(b, glob_of(b, "nothing", "")));
	ck_assert(fails(b, glob_of(b, "empty", "")));
	ck_assert(fails(b, glob_of(b, "absent", "")));
	ck_assert(fails(b, glob_of(b, "empty", "*")));
}
END_TEST

START_TEST(negation_is_the_complement)
{
	struct bench *b cleanup(bench_done) = bench_new();
	event_begin(b);
	put_string(b, "user.name", "alice");
	const struct expr *absent = glob_of(b, "absent", "x");
	const struct expr *alice = glob_of(b, "user.name", "ALICE");
	ck_assert(holds(b, join(b, EXPR_NOT, absent, NULL)));
	ck_assert(fails(b, join(b, EXPR_NOT, alice, NULL)));
	ck_assert(holds(b, join(b, EXPR_NOT, join(b, EXPR_AND, absent, alice, NULL), NULL)));
	ck_assert(fails(b, join(b, EXPR_NOT, join(b, EXPR_OR, absent, alice, NULL), NULL)));
	ck_assert(holds(b, join(b, EXPR_AND, alice, join(b, EXPR_NOT, absent, NULL), NULL)));
	ck_assert(holds(b, join(b, EXPR_AND, NULL)));
	ck_assert(fails(b, join(b, EXPR_OR, NULL)));
}
END_TEST

START_TEST(numbers)
{
	struct bench *b cleanup(bench_done) = bench_new();
	event_begin(b);
	put_integer(b, "i", 4688);
	put_string(b, "s", "4688");
	put_real(b, "r", "4688.0");
	put_real(b, "e", "4.688e3");
	put_string(b, "padded", " 4688");
	put_string(b, "hex", "0x1250");
	put_integer(b, "large", INT64_MAX);
	put_real(b, "larger", "9223372036854775808");
	put_boolean(b, "t", true);
	static const char *const equal[] = {"i", "s", "r", "e"};
	for (size_t k = 0; k < 4; k++) {
		ck_assert(holds(b, number_of(b, equal[k], COMPARE_EQ, 4688)));
		ck_assert(fails(b, number_of(b, equal[k], COMPARE_NEQ, 4688)));
		ck_assert(fails(b, number_of(b, equal[k], COMPARE_GT, 4688)));
		ck_assert(holds(b, number_of(b, equal[k], COMPARE_GTE, 4688)));
		ck_assert(holds(b, number_of(b, equal[k], COMPARE_LT, 4689)));
		ck_assert(fails(b, number_of(b, equal[k], COMPARE_LTE, 4687)));
		ck_assert(holds(b, glob_of(b, equal[k], "4688"))); /* canonical text */
	}
	ck_assert(fails(b, number_of(b, "padded", COMPARE_EQ, 4688)));
	ck_assert(fails(b, number_of(b, "hex", COMPARE_EQ, 4688)));
	ck_assert(holds(b, number_of(b, "large", COMPARE_EQ, INT64_MAX)));
	ck_assert(fails(b, number_of(b, "large", COMPARE_EQ, INT64_MAX - 1)));
	ck_assert(fails(b, number_of(b, "larger", COMPARE_EQ, INT64_MAX)));
	ck_assert(holds(b, number_of(b, "larger", COMPARE_GT, INT64_MAX)));
	ck_assert(holds(b, glob_of(b, "larger", "9223372036854775808")));
	ck_assert(fails(b, number_of(b, "t", COMPARE_EQ, 1)));
}
END_TEST

static const struct expr *boolean_of(struct bench *b, const char *field, bool wanted)
{
	return add_predicate(b, (struct predicate){.kind = PREDICATE_BOOLEAN,
						   .field = text_of(field),
						   .boolean = wanted});
}

START_TEST(booleans)
{
	struct bench *b cleanup(bench_done) = bench_new();
	event_begin(b);
	put_boolean(b, "t", true);
	put_string(b, "word", "FALSE");
	put_integer(b, "one", 1);
	ck_assert(holds(b, boolean_of(b, "t", true)));
	ck_assert(fails(b, boolean_of(b, "t", false)));
	ck_assert(holds(b, boolean_of(b, "word", false)));
	ck_assert(fails(b, boolean_of(b, "one", true)));
	ck_assert(fails(b, boolean_of(b, "absent", false)));
	ck_assert(holds(b, glob_of(b, "t", "True")));
}
END_TEST

START_TEST(any_member_of_an_array)
{
	struct bench *b cleanup(bench_done) = bench_new();
	event_begin(b);
	put_string(b, "roles", "reader");
	put_nothing(b, "roles", VALUE_NULL);
	put_integer(b, "roles", 7);
	put_string(b, "roles", "admin");
	ck_assert(holds(b, glob_of(b, "roles", "ADMIN")));
	ck_assert(holds(b, glob_of(b, "roles", "r*")));
	ck_assert(holds(b, number_of(b, "roles", COMPARE_EQ, 7)));
	ck_assert(holds(b, plain_of(b, PREDICATE_NULL, "roles")));
	ck_assert(fails(b, glob_of(b, "roles", "root")));
	ck_assert(holds(b, join(b, EXPR_AND, glob_of(b, "roles", "admin"),
				glob_of(b, "roles", "reader"), NULL)));
}
END_TEST

START_TEST(strings_fold)
{
	struct bench *b cleanup(bench_done) = bench_new();
	event_begin(b);
	put_string(b, "ascii", "C:\\Tools\\KISS.exe");
	put_string(b, "kelvin", "x \xe2\x84\xaaiss y");
	put_string(b, "accent", "CAF\xc3\x89");
	put_text(b, "broken",
		 TEXT("a\xff"
		      "b"));
	ck_assert(holds(b, glob_of(b, "ascii", "*kiss*")));
	ck_assert(holds(b, glob_of(b, "kelvin", "*kiss*")));
	ck_assert(holds(b, glob_of(b, "kelvin", "*\xe2\x84\xaaISS*")));
	ck_assert(holds(b, glob_of(b, "ascii", "*\xe2\x84\xaaISS*")));
	ck_assert(fails(b, cased_of(b, "kelvin", "*kiss*")));
	ck_assert(holds(b, cased_of(b, "kelvin", "*iss*")));
	ck_assert(fails(b, cased_of(b, "ascii", "*kiss*")));
	ck_assert(holds(b, glob_of(b, "accent", "caf\xc3\xa9")));
	ck_assert(holds(b, regex_of(b, "accent", "^caf\xc3\xa9$", REGEX_CASELESS)));
	ck_assert(fails(b, regex_of(b, "accent", "^caf\xc3\xa9$", 0)));
	ck_assert(holds(b, glob_of(b, "broken", "a?b"))); /* one U+FFFD */
	ck_assert(holds(b, regex_of(b, "broken", "^a.b$", 0)));
}
END_TEST

START_TEST(keywords_look_everywhere)
{
	struct bench *b cleanup(bench_done) = bench_new();
	event_begin(b);
	put_string(b, "a", "nothing here");
	put_integer(b, "b", 31337);
	put_string(b, "unknown.to.rules", "an OutOfMemoryError came");
	ck_assert(holds(b, glob_of(b, NULL, "*outofmemoryerror*")));
	ck_assert(holds(b, glob_of(b, NULL, "31337")));
	ck_assert(fails(b, glob_of(b, NULL, "OutOfMemoryError")));
	ck_assert(holds(b, regex_of(b, NULL, "Error\\b", 0)));
	ck_assert(holds(b, regex_of(b, NULL, "(?<=an )Out", 0)));
	ck_assert(fails(b, glob_of(b, NULL, "*unknown.to*"))); /* names are no values */
}
END_TEST

static const struct expr *reference(struct bench *b, const char *field, const char *other,
				    enum fieldref_mode mode)
{
	return add_predicate(b, (struct predicate){.kind = PREDICATE_FIELDREF,
						   .field = text_of(field),
						   .fieldref = {text_of(other), mode}});
}

START_TEST(references_to_fields)
{
	struct bench *b cleanup(bench_done) = bench_new();
	event_begin(b);
	put_string(b, "a", "Tenant-7");
	put_string(b, "b", "tenant-7");
	put_integer(b, "n", 7);
	put_string(b, "m", "7");
	put_nothing(b, "nothing", VALUE_NULL);
	ck_assert(holds(b, reference(b, "a", "b", FIELDREF_EQUALS)));
	ck_assert(holds(b, reference(b, "n", "m", FIELDREF_EQUALS)));
	ck_assert(fails(b, reference(b, "a", "n", FIELDREF_EQUALS)));
	ck_assert(holds(b, reference(b, "a", "n", FIELDREF_ENDS)));
	ck_assert(fails(b, reference(b, "a", "n", FIELDREF_STARTS)));
	ck_assert(holds(b, reference(b, "a", "m", FIELDREF_CONTAINS)));
	ck_assert(fails(b, reference(b, "a", "absent", FIELDREF_EQUALS)));
	ck_assert(fails(b, reference(b, "absent", "alsoabsent", FIELDREF_EQUALS)));
	ck_assert(fails(b, reference(b, "nothing", "nothing", FIELDREF_EQUALS)));
	ck_assert(holds(b, join(b, EXPR_NOT, reference(b, "a", "absent", FIELDREF_EQUALS), NULL)));
}
END_TEST

static const struct expr *part_of(struct bench *b, const char *field, enum time_part part,
				  int64_t value)
{
	return add_predicate(b, (struct predicate){.kind = PREDICATE_TIME_PART,
						   .field = text_of(field),
						   .time = {part, COMPARE_EQ, value}});
}

START_TEST(time_parts)
{
	struct bench *b cleanup(bench_done) = bench_new();
	event_begin(b);
	put_string(b, "t", "2026-11-22T01:40:25+02:00"); /* 23:40 of the day before in UTC */
	put_integer(b, "ms", 1795304425000);             /* 2026-11-21T23:40:25Z */
	put_string(b, "jan", "2021-01-03T00:00:00Z");    /* Sunday of week 53 of 2020 */
	put_string(b, "dec", "2024-12-30T00:00:00Z");    /* Monday of week 1 of 2025 */
	put_string(b, "word", "yesterday");
	static const int64_t parts[] = {40, 23, 21, 47, 11, 2026};
	for (int part = PART_MINUTE; part <= PART_YEAR; part++) {
		ck_assert(holds(b, part_of(b, "t", (enum time_part)part, parts[part])));
		ck_assert(holds(b, part_of(b, "ms", (enum time_part)part, parts[part])));
		ck_assert(fails(b, part_of(b, "word", (enum time_part)part, parts[part])));
	}
	ck_assert(holds(b, part_of(b, "jan", PART_WEEK, 53)));
	ck_assert(holds(b, part_of(b, "dec", PART_WEEK, 1)));
	ck_assert(fails(b, part_of(b, "absent", PART_HOUR, 0)));
}
END_TEST

START_TEST(networks)
{
	struct bench *b cleanup(bench_done) = bench_new();
	struct predicate predicate = {.kind = PREDICATE_CIDR, .field = text_of("source.ip")};
	memcpy(predicate.cidr.address, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\0", 16);
	predicate.cidr.prefix_bits = 104;
	const struct expr *expr = add_predicate(b, predicate);
	event_begin(b);
	put_string(b, "client.address", "10.9.8.7"); /* an alias of source.ip */
	ck_assert(holds(b, expr));
	event_begin(b);
	put_string(b, "source.ip", "11.9.8.7");
	ck_assert(fails(b, expr));
	put_string(b, "source.ip", "::ffff:10.0.0.1"); /* given twice: any member */
	ck_assert(holds(b, expr));
}
END_TEST

START_TEST(undecided_is_reported)
{
	struct bench *b cleanup(bench_done) = bench_new();
	const struct expr *gave_up = regex_of(b, "f", "^(a+)+(?=b)", 0);
	const struct expr *yes = glob_of(b, "g", "yes");
	const struct expr *no = glob_of(b, "g", "no");
	add_rule(b, gave_up);
	add_rule(b, join(b, EXPR_NOT, gave_up, NULL));
	add_rule(b, join(b, EXPR_AND, gave_up, yes, NULL));
	add_rule(b, join(b, EXPR_AND, gave_up, no, NULL)); /* false whatever it is */
	add_rule(b, join(b, EXPR_OR, gave_up, no, NULL));
	add_rule(b, join(b, EXPR_OR, gave_up, yes, NULL)); /* true whatever it is */
	struct expr *two = bench_alloc(b, sizeof *two);
	*two = *join(b, EXPR_OR, gave_up, yes, no, NULL);
	two->kind = EXPR_AT_LEAST;
	two->at_least = 2;
	add_rule(b, two);
	compile(b);
	event_begin(b);
	put_string(b, "f", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!");
	put_string(b, "g", "yes");
	struct matches matches = match_both(b);
	ck_assert_uint_eq(matches.count, 1);
	ck_assert_uint_eq(matches.rules[0], 5);
	static const uint32_t undecided[] = {0, 1, 2, 4, 6};
	ck_assert_uint_eq(matches.undecided_count, 5);
	for (size_t i = 0; i < 5; i++)
		ck_assert_uint_eq(matches.undecided[i], undecided[i]);
	ck_assert_uint_eq(matcher_counters(b->matcher, 0)->undecided, 1);
	ck_assert_uint_eq(matcher_counters(b->matcher, 3)->undecided, 0);
	/* The same with a member that decides it. */
	put_string(b, "f", "aab");
	matches = match_both(b);
	ck_assert(has_rule(matches, 0));
	ck_assert_uint_eq(matches.undecided_count, 0);
}
END_TEST

START_TEST(log_sources_route)
{
	struct bench *b cleanup(bench_done) = bench_new();
	b->any_logsource = false;
	const struct expr *always = join(b, EXPR_NOT, glob_of(b, "absent", "x"), NULL);
	static const struct logsource sources[] = {
		{{0}, {"windows", 7}, {0}}, {{"process_creation", 16}, {"Windows", 7}, {0}},
		{{0}, {"linux", 5}, {0}},   {{0}, {0}, {0}},
		{{0}, {0}, {"sysmon", 6}},
	};
	for (size_t i = 0; i < 5; i++) {
		add_rule(b, always);
		b->detections[i].logsource = sources[i];
	}
	compile(b);
	event_begin(b);
	b->event.logsource.product = TEXT("WINDOWS");
	ck_assert_uint_eq(match_both(b).count, 2); /* windows, any */
	b->event.logsource.category = TEXT("process_creation");
	ck_assert_uint_eq(match_both(b).count, 3);
	b->event.logsource.product = TEXT("window");
	ck_assert_uint_eq(match_both(b).count, 1);
	char *huge = bench_alloc(b, 1000);
	memset(huge, 'w', 1000);
	b->event.logsource.product = (struct text){huge, 1000};
	ck_assert_uint_eq(match_both(b).count, 1);
	ck_assert_uint_eq(matcher_counters(b->matcher, 0)->candidates, 2);
	ck_assert_uint_eq(matcher_counters(b->matcher, 1)->candidates, 1);
	ck_assert_uint_eq(matcher_counters(b->matcher, 2)->candidates, 0);
	ck_assert_uint_eq(matcher_counters(b->matcher, 3)->candidates, 4);
	/* More combinations than are kept: the counts survive. */
	for (unsigned i = 0; i < 1000; i++) {
		b->event.logsource.product = arena_print(b->arena, "p%u", i);
		ck_assert_uint_eq(match_both(b).count, 1);
	}
	ck_assert_uint_eq(matcher_counters(b->matcher, 3)->candidates, 1004);
	ck_assert_uint_eq(matcher_counters(b->matcher, 3)->matches, 1004);
	ck_assert_uint_eq(matcher_counters(b->matcher, 99)->candidates, 0);
}
END_TEST

START_TEST(verbatim_names)
{
	struct bench *b cleanup(bench_done) = bench_new();
	b->verbatim_names = true;
	event_begin(b);
	put_string(b, "client.address", "a");
	ck_assert(holds(b, glob_of(b, "client.address", "a")));
	ck_assert(fails(b, glob_of(b, "source.ip", "a")));
}
END_TEST

START_TEST(many_rules_of_one_literal_and_long_needles)
{
	struct bench *b cleanup(bench_done) = bench_new();
	char *needle = bench_alloc(b, 204);
	memset(needle, 'n', 203);
	needle[0] = '*';
	needle[201] = 'x';
	needle[202] = '*';
	add_rule(b, glob_of(b, "f", needle)); /* longer than the scanner takes */
	for (unsigned i = 1; i < 3000; i++)
		add_rule(b, glob_of(b, "f", i % 2 == 0 ? "*same*" : "same*"));
	compile(b);
	event_begin(b);
	put_string(b, "f", "Same");
	struct matches matches = match_both(b);
	ck_assert_uint_eq(matches.count, 2999);
	for (uint32_t i = 0; i < 2999; i++)
		ck_assert_uint_eq(matches.rules[i], i + 1);
	put_text(b, "f", (struct text){needle + 1, 200});
	ck_assert(!has_rule(match_both(b), 0));
	put_text(b, "f", (struct text){needle + 1, 201});
	ck_assert(has_rule(match_both(b), 0));
}
END_TEST

START_TEST(hostile_events)
{
	struct bench *b cleanup(bench_done) = bench_new();
	for (unsigned i = 0; i < 20; i++)
		add_rule(b, glob_of(b, i % 2 == 0 ? "f" : NULL,
				    arena_print(b->arena, "*n\xc3\xa9%u?x*", i).data));
	add_rule(b, glob_of(b, "f", "*a*a*a*a*a*a*a?b"));
	compile(b);
	event_begin(b);
	ck_assert_uint_eq(match_both(b).count, 0); /* no fields at all */
	char *value = bench_alloc(b, EVENT_VALUE_MAX);
	memset(value, 'a', EVENT_VALUE_MAX);
	put_text(b, "f", (struct text){value, EVENT_VALUE_MAX});
	char *noise = bench_alloc(b, EVENT_VALUE_MAX);
	for (size_t i = 0; i < EVENT_VALUE_MAX; i++)
		noise[i] = (char)(i * 37 + 128);
	put_text(b, "f", (struct text){noise, EVENT_VALUE_MAX});
	for (unsigned i = 2; i < EVENT_FIELDS_MAX; i++)
		put_string(b, i % 3 == 0 ? "f" : "g",
			   "N\xc3\x89"
			   "1\xff"
			   "X");
	struct matches matches = match_both(b);
	ck_assert(has_rule(matches, 1));
	ck_assert_uint_eq(matches.count, 1);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, null_and_exists);
	tcase_add_test(tcase, negation_is_the_complement);
	tcase_add_test(tcase, numbers);
	tcase_add_test(tcase, booleans);
	tcase_add_test(tcase, any_member_of_an_array);
	tcase_add_test(tcase, strings_fold);
	tcase_add_test(tcase, keywords_look_everywhere);
	tcase_add_test(tcase, references_to_fields);
	tcase_add_test(tcase, time_parts);
	tcase_add_test(tcase, networks);
	tcase_add_test(tcase, undecided_is_reported);
	tcase_add_test(tcase, log_sources_route);
	tcase_add_test(tcase, verbatim_names);
	tcase_add_test(tcase, many_rules_of_one_literal_and_long_needles);
	tcase_add_test(tcase, hostile_events);
}

int main(void)
{
	return run_suite("match", fill);
}
