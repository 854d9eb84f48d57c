/* The actor against brute force: random rules, groups, tenants and streams; every order of arrival
 * within the lateness bound, every cut into epochs, every number of actors and every restart must
 * give the alerts that the definitions of docs/CORRELATION.md give for the sorted list of events.
 */
#include "tests/correlate/stream_check.h"

static size_t alerts_expected;

static void check_case(const struct setup *setup, const struct spec *spec, struct sets *sets)
{
	static struct lines expected;
	struct stream stream = {0};
	stream_make(&stream, &sets->random);
	oracle(&stream, spec, &expected);
	alerts_expected += expected.count;
	check_stream(setup, &stream, &expected, sets);
}

START_TEST(alerts_are_those_of_the_definition)
{
	struct sets sets = sets_begin(CASES_USUAL / 2);
	while (sets_next(&sets, alerts_expected)) {
		struct spec spec = spec_make(&sets.random);
		char *yaml = rules_text(&spec);
		struct setup setup = setup_of(yaml);
		free(yaml);
		ck_assert_uint_eq(plan_rounds(setup.plan), 1);
		for (int i = 0; i < CASES_A_SET; i++)
			check_case(&setup, &spec, &sets);
		setup_done(&setup);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("actor_oracle");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, alerts_are_those_of_the_definition);
	return run_tests("actor_oracle", tests);
}
