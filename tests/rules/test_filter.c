/* What filters take away is counted, per filter, and nothing of the counting is ever told as a
 * match. */
#include "tests/rules/loading.h"

static const char rules[] =
	"title: t\nname: r\nlevel: low\nlogsource: {category: c}\ndetection:\n"
	"    sel: {f|contains: x}\n    condition: sel\n---\n"
	"title: u\nname: q\nlevel: low\nlogsource: {category: c}\ndetection:\n"
	"    sel: {f: xx}\n    condition: sel\n---\n"
	"title: robots\nlogsource: {category: c}\nfilter:\n  rules: any\n  ok: {g: robot}\n"
	"  condition: not ok\n---\n"
	"title: only some\nlogsource: {category: c}\nfilter:\n  rules: [q]\n  ok: {g: [robot, me]}\n"
	"  condition: ok\npicket: {filter: narrow}\n---\n"
	"title: elsewhere\nlogsource: {category: d}\nfilter:\n  rules: any\n  ok: {g: robot}\n"
	"  condition: not ok\n";

/* The rules that match an event of that time, as bits. */
static unsigned match_at(struct matcher *matcher, int64_t time_us, const char *f, const char *g,
			 bool plainly)
{
	struct arena *arena = arena_new(1 << 20);
	struct event event = {.time_us = time_us};
	struct matches found;
	struct value value = {.type = VALUE_STRING, .text = text_of(f)};
	ck_assert_int_eq(event_add(&event, arena, TEXT("f"), value), OK);
	value.text = text_of(g);
	ck_assert_int_eq(event_add(&event, arena, TEXT("g"), value), OK);
	ck_assert_int_eq(plainly ? matcher_match_plainly(matcher, &event, &found)
				 : matcher_match(matcher, &event, &found),
			 OK);
	unsigned bits = 0;
	for (size_t i = 0; i < found.count; i++) {
		ck_assert_uint_lt(found.rules[i], 2);
		bits |= 1u << found.rules[i];
	}
	ck_assert_uint_eq(found.undecided_count, 0);
	arena_free(&arena);
	return bits;
}

static unsigned match(struct matcher *matcher, const char *f, const char *g, bool plainly)
{
	return match_at(matcher, 0, f, g, plainly);
}

START_TEST(excluded_matches_are_counted)
{
	static const struct {
		const char *f, *g;
		unsigned rules;
	} events[] = {
		{"ax", "you", 1},   {"xx", "me", 3},    {"xx", "you", 1},
		{"xx", "robot", 0}, {"ax", "robot", 0}, {"b", "robot", 0},
	};
	struct ruleset *ruleset = rules_of(rules);
	struct matcher *matcher = NULL;
	ck_assert_int_eq(matcher_new(ruleset, &matcher, NULL), OK);
	ck_assert_uint_eq(ruleset_count(ruleset), 2);
	ck_assert_uint_eq(ruleset_filter_count(ruleset), 3);
	for (size_t i = 0; i < sizeof events / sizeof *events; i++)
		for (int plainly = 0; plainly < 2; plainly++)
			ck_assert_uint_eq(match(matcher, events[i].f, events[i].g, plainly != 0),
					  events[i].rules);
	const struct rule_filter *robots = ruleset_filter(ruleset, 0);
	const struct rule_filter *narrow = ruleset_filter(ruleset, 1);
	ck_assert(text_equal(robots->title, TEXT("robots")));
	ck_assert_uint_eq(robots->tap_count, 2);
	ck_assert_uint_eq(matcher_excluded(matcher, robots), 3); /* r twice, q once */
	ck_assert_uint_eq(narrow->tap_count, 1);
	ck_assert_uint_eq(matcher_excluded(matcher, narrow), 1); /* q by you */
	ck_assert_uint_eq(ruleset_filter(ruleset, 2)->tap_count, 0);
	ck_assert_uint_eq(matcher_excluded(matcher, ruleset_filter(ruleset, 2)), 0);
	matcher_free(&matcher);
	ruleset_free(&ruleset);
}
END_TEST

static const int64_t FEBRUARY_US = INT64_C(1769904000000000); /* 2026-02-01T00:00:00Z */

/* By the event's time, so that a replay finds what was found. */
START_TEST(a_filter_expires)
{
	static const char *const days[] = {"2026-02-01", "2026-02-01T00:00:00Z",
					   "2026-02-01T01:00:00+01:00"};
	for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
		char yaml[1024];
		struct matcher *matcher = NULL;
		(void)snprintf(yaml, sizeof yaml, "%.*spicket: {expires: '%s'}\n",
			       (int)(strstr(rules, "---\ntitle: only") - rules), rules, days[i]);
		struct ruleset *ruleset = rules_of(yaml);
		ck_assert_int_eq(matcher_new(ruleset, &matcher, NULL), OK);
		const struct rule_filter *robots = ruleset_filter(ruleset, 0);
		ck_assert_int_eq(robots->expires_us, FEBRUARY_US);
		for (int plainly = 0; plainly < 2; plainly++) {
			bool plain = plainly != 0;
			ck_assert_uint_eq(match_at(matcher, FEBRUARY_US - 1, "xx", "robot", plain),
					  0);
			ck_assert_uint_eq(match_at(matcher, FEBRUARY_US, "xx", "robot", plain), 3);
			ck_assert_uint_eq(match_at(matcher, FEBRUARY_US, "b", "robot", plain), 0);
			ck_assert_uint_eq(match_at(matcher, FEBRUARY_US - 1, "xx", "me", plain), 3);
		}
		ck_assert_uint_eq(matcher_excluded(matcher, robots), 2); /* before, r and q */
		matcher_free(&matcher);
		ruleset_free(&ruleset);
	}
}
END_TEST

START_TEST(an_expiry_that_is_no_date_is_refused)
{
	static const char *const wrong[] = {"soon", "2026-13-01", "30d", "20260201"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct ruleset_options options = {0};
		struct ruleset *ruleset = NULL;
		struct error err = {0};
		char yaml[1024];
		(void)snprintf(yaml, sizeof yaml, "%.*spicket: {expires: '%s'}\n",
			       (int)(strstr(rules, "---\ntitle: only") - rules), rules, wrong[i]);
		ck_assert_int_eq(ruleset_parse(&options, text_of(yaml), "t", &ruleset, &err),
				 EINVALID);
		ck_assert_msg(strstr(err.text, "is no date") != NULL, "%s", err.text);
	}
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("filter");
	tcase_add_test(cases, excluded_matches_are_counted);
	tcase_add_test(cases, a_filter_expires);
	tcase_add_test(cases, an_expiry_that_is_no_date_is_refused);
	return tests_run(cases);
}
