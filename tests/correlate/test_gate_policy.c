/* Policies: what is shipped, what a file may say, and what each mistake is told. */
#include "correlate/gate_policy.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "rules/yaml.h"

static struct arena *arena;

static void set_up(void)
{
	arena = arena_new(1 << 22);
}

static void tear_down(void)
{
	arena_free(&arena);
}

static enum status read(const char *yaml, struct gate_policy *ret_policy, struct error *err)
{
	const struct yaml_node *const *documents = NULL;
	size_t count = 0;
	ck_assert_int_eq(yaml_parse(text_of(yaml), "p.yml", arena, &documents, &count, err), OK);
	ck_assert_uint_eq(count, 1);
	return gate_policy_read(documents[0], arena, ret_policy, err);
}

static double weights(const struct gate_policy *policy)
{
	double sum = 0;
	for (int i = 0; i < OUTCOME_COUNT; i++)
		sum += policy->outcomes[i].weight;
	return sum;
}

START_TEST(shipped_policies_are_sound)
{
	struct gate_shipped shipped;
	size_t count = 0;
	for (; gate_policy_shipped(count, &shipped); count++) {
		ck_assert_uint_gt(strlen(shipped.claim), 0);
		ck_assert_double_eq_tol(weights(&shipped.policy), 1, 1e-12);
		for (int i = 0; i < OUTCOME_COUNT; i++)
			ck_assert_double_gt(shipped.policy.outcomes[i].psi_tol,
					    shipped.policy.outcomes[i].psi0);
	}
	ck_assert_uint_eq(count, 3);
	/* The one that claims nothing about rates asks for nothing about them. */
	(void)gate_policy_shipped(2, &shipped);
	for (int i = 0; i < OUTCOME_COUNT; i++)
		ck_assert(!shipped.policy.outcomes[i].required);
}
END_TEST

START_TEST(a_file_says_what_differs)
{
	struct gate_policy policy;
	struct gate_policy usual = gate_policy_default();
	ck_assert_int_eq(read("name: payments\nalpha: 0.001\nbake: 10m\nwarmup: 0\n"
			      "outcomes:\n  http_5xx: {psi_tol: 1.5, required: false}\n"
			      "  latency_p99: {weight: 0}\n",
			      &policy, NULL),
			 OK);
	ck_assert(text_equal(policy.name, TEXT("payments")));
	ck_assert_double_eq(policy.alpha, 0.001);
	ck_assert_int_eq(policy.bake_us, 600000000);
	ck_assert_int_eq(policy.warmup_us, 0);
	ck_assert(!policy.outcomes[OUTCOME_HTTP_5XX].required);
	ck_assert_double_eq(policy.outcomes[OUTCOME_HTTP_5XX].psi_tol, 1.5);
	ck_assert_double_eq(policy.outcomes[OUTCOME_LATENCY_P99].weight, 0);
	ck_assert_double_eq_tol(weights(&policy), 1, 1e-12);
	ck_assert_double_eq(policy.beta, usual.beta);
	/* A rule that blocks is required, but where the policy says otherwise. */
	ck_assert_int_eq(read("name: x\nrules:\n  refund_failure: {required: false, weight: 0.2}\n",
			      &policy, NULL),
			 OK);
	struct gate_rule_policy of = gate_policy_of_rule(&policy, TEXT("refund_failure"));
	ck_assert(!of.required);
	ck_assert_double_eq(of.weight, 0.2);
	of = gate_policy_of_rule(&policy, TEXT("write_failure"));
	ck_assert(of.required);
	ck_assert_double_eq(of.weight, 0.05);
	struct bytes shown cleanup(bytes_done) = {0};
	gate_policy_print(&policy, &shown);
	bytes_put_u8(&shown, 0);
	ck_assert_ptr_nonnull(strstr((const char *)shown.data, "rules_required: true\n"));
	ck_assert_ptr_nonnull(strstr((const char *)shown.data,
				     "\nrules:\n  refund_failure: {required: false, weight: 0.2}"));
	/* What is printed is read back as it was, but for its name. */
	for (size_t i = 0; i < 3; i++) {
		struct gate_shipped shipped;
		struct bytes yaml cleanup(bytes_done) = {0};
		(void)gate_policy_shipped(i, &shipped);
		shipped.policy.name = TEXT("copy");
		gate_policy_print(&shipped.policy, &yaml);
		bytes_put_u8(&yaml, 0);
		ck_assert_int_eq(read((const char *)yaml.data, &policy, NULL), OK);
		ck_assert_double_eq(policy.beta, shipped.policy.beta);
		ck_assert_int_eq(policy.deadline_us, shipped.policy.deadline_us);
		for (int k = 0; k < OUTCOME_COUNT; k++) {
			ck_assert_double_eq_tol(policy.outcomes[k].weight,
						shipped.policy.outcomes[k].weight, 1e-11);
			ck_assert_double_eq(policy.outcomes[k].psi0,
					    shipped.policy.outcomes[k].psi0);
			ck_assert_int_eq(policy.outcomes[k].required,
					 shipped.policy.outcomes[k].required);
		}
	}
}
END_TEST

START_TEST(mistakes_are_told_where_they_stand)
{
	static const struct {
		const char *yaml, *text;
		unsigned line, column;
	} CASES[] = {
		{"- a\n", "a policy is a map", 1, 1},
		{"alpha: 0.01\n", "the policy has no name", 1, 1},
		{"name: x\nalhpa: 0.01\n", "did you mean \"alpha\"?", 2, 1},
		{"name: x\nalpha: 1\n", "alpha is from 1e-06 to 0.2", 2, 8},
		{"name: x\nalpha: .nan\n", "alpha is", 2, 8},
		{"name: x\nalpha: often\n", "alpha is a number", 2, 8},
		{"name: x\nbake: soon\n", "fix: write 30s", 2, 7},
		{"name: x\nbake: [5m]\n", "bake is a duration", 2, 7},
		{"name: x\nprincipals_min: 1.5\n", "whole number", 2, 17},
		{"name: x\nprincipals_min: 0\n", "from 1 to 1000", 2, 17},
		{"name: X Y\n", "name has up to 64", 1, 7},
		{"name: strict\n", "is a shipped policy", 1, 7},
		{"name: x\noutcomes: [a]\n", "outcomes is a map", 2, 11},
		{"name: x\noutcomes:\n  http_5x: {}\n", "did you mean \"http_5xx\"?", 3, 3},
		{"name: x\noutcomes:\n  http_5xx: 5\n", "http_5xx is a map", 3, 13},
		{"name: x\noutcomes:\n  http_5xx: {psi: 2}\n", "has no \"psi\"", 3, 14},
		{"name: x\noutcomes:\n  http_5xx: {required: 1}\n", "true or false", 3, 24},
		{"name: x\noutcomes:\n  http_5xx: {psi0: 3}\n", "is not above psi0", 3, 13},
		{"name: x\nrules: [a]\n", "rules is a map", 2, 8},
		{"name: x\nrules:\n  a: {psi0: 2}\n", "has no \"psi0\"", 3, 7},
		{"name: x\nrules:\n  a: {weight: 2}\n", "weight is from 0 to 1", 3, 15},
		{"name: x\nrules_required: maybe\n", "true or false", 2, 17},
	};
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		struct gate_policy policy;
		struct error err = {0};
		ck_assert_int_eq(read(CASES[i].yaml, &policy, &err), EINVALID);
		ck_assert_msg(strstr(err.text, CASES[i].text) != NULL, "%zu: %s", i, err.text);
		ck_assert_msg(err.line == CASES[i].line && err.column == CASES[i].column,
			      "%zu: %u:%u", i, err.line, err.column);
		ck_assert_str_eq(err.file, "p.yml");
	}
	struct gate_policy policy;
	struct error err = {0};
	struct bytes none cleanup(bytes_done) = {0};
	bytes_put(&none, "name: x\noutcomes:\n", 18);
	for (int k = 0; k < OUTCOME_COUNT; k++) {
		char line[64];
		(void)snprintf(line, sizeof line, "  %s: {weight: 0}\n",
			       outcome_name((enum outcome)k));
		bytes_put(&none, line, strlen(line));
	}
	bytes_put_u8(&none, 0);
	ck_assert_int_eq(read((const char *)none.data, &policy, &err), EINVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "every weight is 0"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/gate_policy");
	TCase *tests = tcase_create("tests");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, shipped_policies_are_sound);
	tcase_add_test(tests, a_file_says_what_differs);
	tcase_add_test(tests, mistakes_are_told_where_they_stand);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
