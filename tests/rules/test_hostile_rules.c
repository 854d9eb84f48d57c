/* Rules and events that were written to hurt: patterns that explode, values as long as they may be,
 * lists of a hundred thousand values, parentheses without end, verbs. Nothing of it may be slow,
 * and nothing may be silently unmatched: what was not decided is told. Work is counted where it can
 * be: a rule that is not evaluated has cost nothing. The times are measured by tests/bench. */
#include <stdio.h>
#include <stdlib.h>

#include "rules/program_private.h"
#include "tests/rules/suite.h"

enum { LIST_LONG = 100000, LIST_PUBLIC = 4432, CONDITION_NAMES = 5000 };

struct trial {
	struct bytes yaml;
	struct ruleset *ruleset;
	struct matcher *matcher;
	struct arena *arena;
	struct event event;
	struct matches matches;
};

static void trial_done(struct trial *trial)
{
	matcher_free(&trial->matcher);
	ruleset_free(&trial->ruleset);
	arena_free(&trial->arena);
	bytes_done(&trial->yaml);
}

static void say(struct trial *trial, const char *words)
{
	bytes_put(&trial->yaml, words, strlen(words));
}

static enum status load(struct trial *trial, struct error *err)
{
	struct ruleset_options options = {.any_logsource = true, .verbatim_names = true};
	trial->arena = arena_new(1 << 28);
	ck_assert(trial->arena != NULL && !trial->yaml.failed);
	enum status status = ruleset_parse(&options, bytes_text(&trial->yaml), "hostile.yml",
					   &trial->ruleset, err);
	if (status == OK)
		ck_assert_int_eq(matcher_new(trial->ruleset, &trial->matcher, err), OK);
	return status;
}

/* A rule with one selection of one item, which stands on line 6. */
static void say_rule(struct trial *trial, const char *item)
{
	say(trial, "title: t\nlogsource: {product: p}\nlevel: low\ndetection:\n    s:\n        ");
	say(trial, item);
	say(trial, "\n    condition: s\n---\n");
}

/* Matches an event with one field f. */
static void meet(struct trial *trial, struct text value)
{
	trial->event = (struct event){0};
	ck_assert_int_eq(event_add(&trial->event, trial->arena, TEXT("f"),
				   (struct value){.type = VALUE_STRING, .text = value}),
			 OK);
	ck_assert_int_eq(matcher_match(trial->matcher, &trial->event, &trial->matches), OK);
}

/* unit, as often as it fits into size with `end` behind it. */
static struct text repeated(struct trial *trial, const char *unit, size_t size, const char *end)
{
	size_t unit_size = strlen(unit), end_size = strlen(end), used = 0;
	char *text = arena_alloc(trial->arena, size);
	ck_assert_ptr_nonnull(text);
	for (; used + unit_size + end_size <= size; used += unit_size)
		memcpy(text + used, unit, unit_size);
	memcpy(text + used, end, end_size);
	return (struct text){text, used + end_size};
}

static uint64_t evaluated(const struct trial *trial, size_t rule)
{
	return matcher_counters(trial->matcher, rule)->evaluated;
}

static const struct {
	const char *item, *unit, *end;
} explosions[] = {
	{"f|re: '^(a+)+$'", "a", "!"},
	{"f|re: '(a|aa)+$'", "a", "b"},
	{"f|re: '(a|a?)+b$'", "a", "c"},
	{"f|re: '(x+x+)+y'", "x", "z"},
	{"f|re: '(.*)*(.*)*(.*)*evil$'", "evil ", "!"},
	{"f|re: 'id=.*id=.*role=admin$'", "id=", "!"},
	{"f|re: '([a-z]+)*[0-9]{9}'", "abcdefgh", "12345678!"},
	{"f|contains: 'a*a*a*a*a*a*a*b'", "a", "c"},
	/* PCRE2 would explode, but without look-around and references there is no match either. */
	{"f|re: '^(?=a)(a+)+$'", "a", "!"},
	{"f|re: '(.*)*\\1evil!'", "evil", "?"},
	{"f|re: '(?:id=.*)+(?!q)role=admin$'", "id=", "role=admin?"},
	{"f|re: '(a|aa)+(?<!b)c'", "a", "d"},
};

/* What Vectorscan takes and what wildcards say is decided, whatever the text. */
START_TEST(linear_patterns_decide_every_text)
{
	for (size_t i = 0; i < sizeof explosions / sizeof *explosions; i++) {
		struct trial trial cleanup(trial_done) = {0};
		struct error err = {0};
		say_rule(&trial, explosions[i].item);
		ck_assert_msg(load(&trial, &err) == OK, "%s", err.text);
		meet(&trial,
		     repeated(&trial, explosions[i].unit, EVENT_VALUE_MAX, explosions[i].end));
		ck_assert_msg(trial.matches.count == 0 && trial.matches.undecided_count == 0,
			      "%s: %zu matches, %zu undecided", explosions[i].item,
			      trial.matches.count, trial.matches.undecided_count);
	}
}
END_TEST

static const struct {
	const char *item, *unit, *end;
} limited[] = {
	{"f|re: '^(a+)+(?=b)'", "a", "!"},
	{"f|re: '(a|aa)+(?<!a)$'", "a", ""},
	{"f|re: '^(x.*)+(?!$)(?=z)'", "x", ""},
};

/* What only PCRE2 takes ends at its limits, and says so. */
START_TEST(limits_are_told_as_undecided)
{
	for (size_t i = 0; i < sizeof limited / sizeof *limited; i++) {
		struct trial trial cleanup(trial_done) = {0};
		struct error err = {0};
		say_rule(&trial, limited[i].item);
		ck_assert_msg(load(&trial, &err) == OK, "%s", err.text);
		const size_t sizes[] = {2000, 5000}; /* by steps; by length */
		for (size_t k = 0; k < 2; k++) {
			meet(&trial, repeated(&trial, limited[i].unit, sizes[k], limited[i].end));
			ck_assert_msg(trial.matches.count == 0, "%s", limited[i].item);
			ck_assert_msg(trial.matches.undecided_count == 1, "%s: silent at %zu bytes",
				      limited[i].item, sizes[k]);
		}
	}
}
END_TEST

/* Without its literal an expression is not searched: the attacker has to show the literal. */
START_TEST(a_missing_literal_costs_nothing)
{
	struct trial trial cleanup(trial_done) = {0};
	struct error err = {0};
	say_rule(&trial, "f|re: '^(?=a)(a+)+evil$'");
	say_rule(&trial, "f|re: '(a|aa)+(?!b)evil'");
	ck_assert_msg(load(&trial, &err) == OK, "%s", err.text);
	for (int i = 0; i < 1000; i++)
		meet(&trial, repeated(&trial, "a", EVENT_VALUE_MAX / 64, "!"));
	ck_assert_uint_eq(trial.matches.undecided_count, 0);
	ck_assert_uint_eq(evaluated(&trial, 0) + evaluated(&trial, 1), 0);
	meet(&trial, repeated(&trial, "a", 100, "!evil"));
	ck_assert_uint_eq(evaluated(&trial, 0) + evaluated(&trial, 1), 2);
}
END_TEST

START_TEST(verbs_do_not_lift_the_limits)
{
	static const char *const refused[] = {
		"(*LIMIT_MATCH=4000000000)a",
		"(*LIMIT_DEPTH=9)a",
		"(*LIMIT_HEAP=0)a",
		"(*NO_START_OPT)a",
		"(*UTF)a",
		"(*UCP)a",
		"(*NOTEMPTY)a",
		"(*CRLF)a",
		"(*BSR_ANYCRLF)a",
		"(?:(*LIMIT_MATCH=9)a)",
		"a|(*UTF)b",
		"(*NOSUCHVERB)a",
	};
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct trial trial cleanup(trial_done) = {0};
		struct error err = {0};
		char item[128];
		(void)snprintf(item, sizeof item, "f|re: '%s'", refused[i]);
		say_rule(&trial, item);
		ck_assert_msg(load(&trial, &err) == EINVALID, "'%s' loads", refused[i]);
		ck_assert_msg(err.line == 6 && strstr(err.text, "fix: ") != NULL, "%u: %s",
			      err.line, err.text);
	}
}
END_TEST

static void say_list(struct trial *trial, const char *key, const char *format, unsigned count)
{
	say(trial, "title: t\nlogsource: {product: p}\nlevel: low\ndetection:\n    s:\n        ");
	say(trial, key);
	say(trial, ":\n");
	for (unsigned i = 0; i < count; i++) {
		char line[96];
		(void)snprintf(line, sizeof line, format, i * 2654435761u, i);
		say(trial, "            - '");
		say(trial, line);
		say(trial, "'\n");
	}
	say(trial, "    condition: s\n---\n");
}

static struct text listed(struct trial *trial, const char *format, unsigned i)
{
	return arena_print(trial->arena, format, i * 2654435761u, i);
}

START_TEST(long_lists_cost_one_look)
{
	static const char exact[] = "%08x-host-%u.example";
	static const char part[] = "/%08x/drop%u";
	struct trial trial cleanup(trial_done) = {0};
	struct error err = {0};
	say_list(&trial, "f", exact, LIST_LONG);
	say_list(&trial, "f|contains", part, LIST_LONG);
	say_list(&trial, "f|endswith", "\\%08x-%u.exe", LIST_PUBLIC);
	ck_assert_msg(load(&trial, &err) == OK, "%s", err.text);
	meet(&trial, TEXT("nothing that any list holds"));
	ck_assert_uint_eq(trial.matches.count, 0);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(evaluated(&trial, i), 0);
	for (unsigned i = 0; i < LIST_LONG; i += 997) {
		meet(&trial, listed(&trial, exact, i));
		ck_assert_uint_eq(trial.matches.count, 1);
		ck_assert_uint_eq(trial.matches.rules[0], 0);
		meet(&trial, listed(&trial, "GET /a/%08X/DROP%u?x", i));
		ck_assert_uint_eq(trial.matches.count, 1);
		ck_assert_uint_eq(trial.matches.rules[0], 1);
	}
	meet(&trial, listed(&trial, "C:\\t\\%08x-%u.exe", LIST_PUBLIC - 1));
	ck_assert_uint_eq(trial.matches.count, 1);
	meet(&trial, listed(&trial, "C:\\t\\%08x-%u.exe", LIST_PUBLIC));
	ck_assert_uint_eq(trial.matches.count, 0);
	ck_assert_uint_eq(evaluated(&trial, 2), 1);
}
END_TEST

/* As long as a value may be: found at its very end; what PCRE2 will not look at is undecided. */
START_TEST(the_longest_value_is_read_to_its_end)
{
	struct trial trial cleanup(trial_done) = {0};
	struct error err = {0};
	say_rule(&trial, "f|contains: needle");
	say_rule(&trial, "f|endswith: '/needle'");
	say_rule(&trial, "f|re: 'n[e]+dle$'");
	say_rule(&trial, "f|re: '(?!x)needle$'");
	say_rule(&trial, "f|re: '(?!x)pin$'");
	ck_assert_msg(load(&trial, &err) == OK, "%s", err.text);
	meet(&trial, repeated(&trial, "needl ", EVENT_VALUE_MAX, "/needle"));
	ck_assert_uint_eq(trial.matches.count, 3);
	ck_assert_uint_eq(trial.matches.undecided_count, 1);
	ck_assert_uint_eq(trial.matches.undecided[0], 3); /* the last has not even its literal */
}
END_TEST

static enum status load_nested(struct trial *trial, unsigned levels, struct error *err)
{
	say(trial, "title: t\nlogsource: {product: p}\nlevel: low\ndetection:\n"
		   "    s: {f: a}\n    condition: ");
	for (unsigned i = 0; i < levels; i++)
		say(trial, "(");
	say(trial, "s");
	for (unsigned i = 0; i < levels; i++)
		say(trial, ")");
	say(trial, "\n");
	return load(trial, err);
}

START_TEST(parentheses_without_end_are_refused_where_they_stand)
{
	static const unsigned levels[] = {1000, 30000, 100000};
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		struct trial trial cleanup(trial_done) = {0};
		struct error err = {0};
		enum status status = load_nested(&trial, levels[i], &err);
		ck_assert_msg(status == EINVALID || status == ELIMIT, "%u levels", levels[i]);
		ck_assert_uint_eq(err.line, 6);
		ck_assert_msg(strstr(err.text, "fix: ") != NULL, "%s", err.text);
	}
	struct trial trial cleanup(trial_done) = {0};
	struct error err = {0};
	ck_assert_int_eq(load_nested(&trial, 30, &err), OK);
	meet(&trial, TEXT("a"));
	ck_assert_uint_eq(trial.matches.count, 1);
}
END_TEST

START_TEST(a_condition_of_thousands_of_names_is_answered)
{
	struct trial trial cleanup(trial_done) = {0};
	struct error err = {0};
	char words[64];
	say(&trial, "title: t\nlogsource: {product: p}\nlevel: low\ndetection:\n");
	for (unsigned i = 0; i < CONDITION_NAMES; i++) {
		(void)snprintf(words, sizeof words, "    s%u: {f: v%u}\n", i, i);
		say(&trial, words);
	}
	say(&trial, "    condition: 1 of s* and not all of s*\n");
	ck_assert_msg(load(&trial, &err) == OK, "%s", err.text);
	meet(&trial, TEXT("V4999"));
	ck_assert_uint_eq(trial.matches.count, 1);
	meet(&trial, TEXT("v5000"));
	ck_assert_uint_eq(trial.matches.count, 0);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, linear_patterns_decide_every_text);
	tcase_add_test(tcase, limits_are_told_as_undecided);
	tcase_add_test(tcase, a_missing_literal_costs_nothing);
	tcase_add_test(tcase, verbs_do_not_lift_the_limits);
	tcase_add_test(tcase, long_lists_cost_one_look);
	tcase_add_test(tcase, the_longest_value_is_read_to_its_end);
	tcase_add_test(tcase, parentheses_without_end_are_refused_where_they_stand);
	tcase_add_test(tcase, a_condition_of_thousands_of_names_is_answered);
}

int main(void)
{
	return run_suite("hostile_rules", fill);
}
