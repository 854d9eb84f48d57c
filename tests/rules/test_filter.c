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

/* The rules that match, as bits. */
static unsigned match(struct matcher *matcher, const char *f, const char *g, bool plainly)
{
	struct arena *arena = arena_new(1 << 20);
	struct event event = {0};
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

int main(void)
{
	TCase *cases = tcase_create("filter");
	tcase_add_test(cases, excluded_matches_are_counted);
	return tests_run(cases);
}
