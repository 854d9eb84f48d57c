/* The actor against brute force: random rules, groups, tenants and streams; every order of arrival
 * within the lateness bound, every cut into epochs, every number of actors and every restart must
 * give the alerts that the definitions of docs/CORRELATION.md give for the sorted list of events.
 */
#include "tests/correlate/stream_check.h"

static size_t alerts_expected;

static void check_case(const struct setup *setup, const struct spec *spec, uint64_t *random,
		       int number)
{
	static struct lines expected;
	struct stream stream = {0};
	stream_make(&stream, random);
	oracle(&stream, spec, &expected);
	alerts_expected += expected.count;
	check_stream(setup, &stream, &expected, random, number);
}

START_TEST(alerts_are_those_of_the_definition)
{
	uint64_t random = first_seed();
	int number = 0;
	int sets = sets_wanted(CASES_USUAL / 2);
	for (int set = 0; set < sets; set++) {
		struct spec spec = spec_make(&random);
		char *yaml = rules_text(&spec);
		struct setup setup = setup_of(yaml);
		free(yaml);
		ck_assert_uint_eq(plan_rounds(setup.plan), 1);
		for (int i = 0; i < CASES_A_SET; i++)
			check_case(&setup, &spec, &random, number++);
		setup_done(&setup);
		sets_told(set, sets, alerts_expected);
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
