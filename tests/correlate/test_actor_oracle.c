/* The actor against brute force: random rules, groups, tenants and streams; every order of arrival
 * within the lateness bound, every cut into epochs, every number of actors and every restart must
 * give the alerts that the definitions of docs/CORRELATION.md give for the sorted list of events.
 */
#include "tests/correlate/stream_run.h"

/* Two arrivals against the oracle; the second one again with restarts, against itself. */
static void check_case(const struct setup *setup, const struct spec *spec, uint64_t *random,
		       int number)
{
	static struct lines expected;
	struct stream stream = {0};
	bool cuts[EVENTS_MAX];
	stream_make(&stream, random);
	oracle(&stream, spec, &expected);
	for (int arrival = 0; arrival < 2; arrival++) {
		struct run run;
		struct run restarted;
		size_t density = 1 + below(random, 20);
		stream_shuffle(&stream, random);
		for (size_t i = 0; i < stream.count; i++)
			cuts[i] = below(random, density) == 0;
		run_begin(&run, setup, 1 + (unsigned)below(random, ACTORS_MAX));
		run_stream(&run, &stream, cuts, 0);
		compare_with_oracle(&run, &expected, number);
		if (arrival == 1) {
			run_begin(&restarted, setup, 1 + (unsigned)below(random, ACTORS_MAX));
			run_stream(&restarted, &stream, cuts, next_random(random) | 1);
			ck_assert_msg(text_equal(bytes_text(&run.log), bytes_text(&restarted.log)),
				      "case %d: a restart changed what is said", number);
			run_end(&restarted);
		}
		run_end(&run);
	}
}

START_TEST(alerts_are_those_of_the_definition)
{
	uint64_t random = first_seed();
	int number = 0;
	for (int set = 0; set < RULE_SETS; set++) {
		struct spec spec = spec_make(&random);
		char *yaml = rules_text(&spec);
		struct setup setup = setup_of(yaml);
		free(yaml);
		ck_assert_uint_eq(plan_rounds(setup.plan), 1);
		for (int i = 0; i < CASES_PER_SET; i++)
			check_case(&setup, &spec, &random, number++);
		setup_done(&setup);
	}
	printf("%d cases, 3 runs each\n", number);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("actor_oracle");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, alerts_are_those_of_the_definition);
	return run_tests("actor_oracle", tests);
}
