/* What the alerts of a rule are said to be of. */
#include "tests/correlate/fixture.h"

static const char BASE[] = "title: Failed\nname: failed\nlogsource: {product: x}\nlevel: low\n"
			   "detection: {s: {a: 1}, condition: s}\n---\n"
			   "title: Worked\nname: worked\nlogsource: {product: x}\nlevel: low\n"
			   "detection: {s: {a: 2}, condition: s}\n---\n"
			   "title: Proved\nname: proved\nlogsource: {product: x}\nlevel: low\n"
			   "detection: {s: {a: 3}, condition: s}\n---\n"
			   "title: Granted\nname: granted\nlogsource: {product: x}\nlevel: low\n"
			   "detection: {s: {a: 4}, condition: s}\n---\n"
			   "title: Odd\nname: odd\nlevel: high\ncorrelation: {group-by: [u], "
			   "timespan: 1h, ";

static void assert_subject(const char *correlation, const char *wanted)
{
	char *yaml = NULL;
	ck_assert_int_gt(asprintf(&yaml, "%s%s}\n", BASE, correlation), 0);
	struct setup setup = setup_of(yaml);
	struct text subject = unit_of(&setup, "odd")->subject;
	ck_assert_msg(text_equal(subject, text_of(wanted)), "%.*s, not %s", TEXT_ARG(subject),
		      wanted);
	setup_done(&setup);
	free(yaml);
}

START_TEST(counts_name_what_they_count)
{
	assert_subject("type: event_count, rules: [failed], condition: {gte: 2}", "Failed");
	assert_subject("type: event_count, rules: [failed, worked], condition: {gte: 2}",
		       "Failed or Worked");
	assert_subject("type: temporal, rules: [failed, worked, proved, granted]",
		       "Failed or Worked or Proved or others");
	assert_subject("type: temporal_ordered, rules: [failed, worked]", "Failed, then Worked");
}
END_TEST

START_TEST(what_must_not_be_there_is_said)
{
	assert_subject("type: temporal, rules: [proved, worked], condition: worked and not proved",
		       "Worked, without Proved");
	assert_subject("type: temporal, rules: [failed, proved, worked], "
		       "condition: (failed or worked) and not proved",
		       "Failed or Worked, without Proved");
}
END_TEST

START_TEST(sequences_name_their_steps)
{
	assert_subject("type: sequence, steps: [{rule: failed, count: {gte: 5}}, {rule: worked}, "
		       "{not: proved}, {rule: granted}], until: proved",
		       "Failed (5 times), then Worked, then no Proved, then Granted");
	assert_subject("type: sequence, steps: [{rule: failed}, {rule: worked}, {rule: failed}, "
		       "{rule: worked}, {rule: failed}, {rule: worked}, {rule: failed}, "
		       "{rule: worked}, {rule: failed}]",
		       "Failed, then Worked, then Failed, then Worked, then Failed, then Worked, "
		       "then Failed, then Worked, and so on");
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("subject");
	tcase_add_test(tests, counts_name_what_they_count);
	tcase_add_test(tests, what_must_not_be_there_is_said);
	tcase_add_test(tests, sequences_name_their_steps);
	return run_tests("subject", tests);
}
