/* What the gate makes of signals: each finding, what keeps it from being one, and what is not
 * known. */
#include "tests/correlate/gate_scene.h"

#include <stdio.h>
#include <stdlib.h>

#include "correlate/gate_policy.h"

static const int64_t DAY_US = INT64_C(86400) * 1000000;

enum { TRAITS_MAX = 64 };
static struct trait traits[TRAITS_MAX];
static struct gate_manifest manifest;

/* v1 has run for two days; v2 for ten minutes. */
static void set_up_signals(void)
{
	set_up();
	scene.instances[0].first_us = BASE_US - 2 * DAY_US;
	scene.instances[0].events = 60000;
	scene.instances[1].events = scene.instances[2].events = 3000;
	scene.facts.traits = traits;
	scene.facts.trait_count = 0;
}

/* A trait of a version: how often it was shown, kept from and refused since then. */
static struct trait *does(const char *version, enum signal signal, const char *key, uint64_t shown,
			  uint64_t kept, uint64_t refused)
{
	ck_assert_uint_lt(scene.facts.trait_count, TRAITS_MAX);
	struct trait *trait = &traits[scene.facts.trait_count++];
	bool old = strcmp(version, "v1") == 0;
	int64_t first_us = old ? BASE_US - 2 * DAY_US : BASE_US + 60 * SECOND_US;
	*trait = (struct trait){.signal = signal,
				.kept = kept,
				.refused = refused,
				.met_first_us = first_us,
				.met_last_us = end_us()};
	trait->shown =
		(struct finding){.service = TEXT("orders"),
				 .arm = arm_of(version, ""),
				 .rule_key = text_of(key),
				 .rule_title = TEXT(""),
				 .count = shown,
				 .first_us = shown > 0 ? first_us : INT64_MAX,
				 .last_us = shown > 0 ? first_us + 100 * SECOND_US : INT64_MIN};
	return trait;
}

static void principals(struct trait *trait, uint64_t count)
{
	for (uint64_t i = 1; i <= count; i++)
		trait_add_principal(trait, i);
}

static enum signal_standing standing(void)
{
	ck_assert_uint_gt(scene.result.novel_count, 0);
	return scene.result.novel[0].standing;
}

static enum signal_state state_of(enum signal signal)
{
	return scene.result.signals[signal].state;
}

START_TEST(allowed_where_denied_fails)
{
	does("v1", SIGNAL_AUTHZ_ALLOW, "viewer POST /refunds", 0, 0, 20);
	does("v2", SIGNAL_AUTHZ_ALLOW, "viewer POST /refunds", 1, 0, 0);
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	ck_assert(first_reason("HARD_FINDING"));
	ck_assert_int_eq(state_of(SIGNAL_AUTHZ_ALLOW), SIGNAL_IS_ON);
	ck_assert_int_eq(state_of(SIGNAL_PLAINTEXT), SIGNAL_IS_ABSENT);
}
END_TEST

/* Nineteen denials are no rule: nobody knows, and nobody says PASS. */
START_TEST(too_few_denials_are_not_known)
{
	does("v1", SIGNAL_AUTHZ_ALLOW, "viewer POST /refunds", 0, 0, 19);
	does("v2", SIGNAL_AUTHZ_ALLOW, "viewer POST /refunds", 1, 0, 0);
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert(first_reason("LEARNING"));
	ck_assert_int_eq(standing(), STANDING_UNPROVEN);
	ck_assert_int_eq(state_of(SIGNAL_AUTHZ_ALLOW), SIGNAL_IS_LEARNING);
}
END_TEST

START_TEST(what_the_baseline_allows_too_is_no_finding)
{
	does("v1", SIGNAL_AUTHZ_ALLOW, "viewer POST /refunds", 1, 0, 500);
	does("v2", SIGNAL_AUTHZ_ALLOW, "viewer POST /refunds", 7, 0, 3);
	does("v2", SIGNAL_AUTHZ_ALLOW, "viewer POST /new", 7, 0, 3); /* nobody ever decided that */
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert_uint_eq(scene.result.novel_count, 0);
}
END_TEST

/* Attempts alone are nothing, however many. */
START_TEST(denied_attempts_are_no_finding)
{
	does("v1", SIGNAL_AUTHZ_ALLOW, "viewer POST /refunds", 0, 0, 500);
	does("v2", SIGNAL_AUTHZ_ALLOW, "viewer POST /refunds", 0, 0, 90000);
	does("v1", SIGNAL_UNAUTHENTICATED, "GET /me", 0, 500, 500);
	does("v2", SIGNAL_UNAUTHENTICATED, "GET /me", 0, 50, 90000);
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert_uint_eq(scene.result.novel_count, 0);
}
END_TEST

START_TEST(strangers_that_are_answered_fail)
{
	does("v1", SIGNAL_UNAUTHENTICATED, "GET /me", 0, 200, 1);
	does("v2", SIGNAL_UNAUTHENTICATED, "GET /me", 1, 30, 0);
	ck_assert_int_eq(judge(), VERDICT_FAIL);
}
END_TEST

/* A page that nobody was ever refused may be open to all: an outsider must not decide. */
START_TEST(an_open_page_is_no_finding)
{
	does("v1", SIGNAL_UNAUTHENTICATED, "GET /shop", 0, 90000, 0);
	does("v2", SIGNAL_UNAUTHENTICATED, "GET /shop", 1000, 30, 0);
	ck_assert_int_eq(judge(), VERDICT_PASS);
}
END_TEST

START_TEST(a_tenant_that_is_given_away_fails)
{
	does("v1", SIGNAL_TENANT_BREACH, "viewer GET /orders/{id}", 0, 150, 0);
	does("v2", SIGNAL_TENANT_BREACH, "viewer GET /orders/{id}", 1, 10, 0);
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE); /* 150 of 200 */
	does("v1", SIGNAL_TENANT_BREACH, "viewer GET /users/{id}", 0, 50, 0);
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	/* What support does on every version is its work. */
	traits[0].shown.count = 3;
	traits[0].shown.first_us = traits[0].shown.last_us = BASE_US - DAY_US;
	ck_assert_int_eq(judge(), VERDICT_PASS);
}
END_TEST

/* What the same roles do elsewhere may be missing here by chance, unless they were here often. */
START_TEST(a_tenant_given_away_where_its_roles_seldom_are_is_no_proof)
{
	does("v1", SIGNAL_TENANT_BREACH, "support GET /orders", 100, 300, 0);
	does("v1", SIGNAL_TENANT_BREACH, "support GET /shop", 0, 15, 0);
	does("v2", SIGNAL_TENANT_BREACH, "support GET /shop", 1, 1, 0);
	ck_assert_int_eq(judge(), VERDICT_PASS); /* .76^15 is .02 */
	ck_assert_int_eq(standing(), STANDING_UNCONFIRMED);
	traits[1].kept = 90; /* now 100 of 490: .80^90 is 2e-9 */
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	traits[1].kept = 15;
	traits[0].shown.rule_key = TEXT("admin GET /orders"); /* of support nobody knows it */
	ck_assert_int_eq(judge(), VERDICT_FAIL);
}
END_TEST

START_TEST(a_call_in_the_clear_fails)
{
	does("v1", SIGNAL_PLAINTEXT, "payments", 0, 20, 0);
	does("v2", SIGNAL_PLAINTEXT, "payments", 1, 0, 0);
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	traits[0].kept = 19;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	traits[0].shown.count = 1; /* the baseline does it too */
	ck_assert_int_eq(judge(), VERDICT_PASS);
}
END_TEST

static void known_destinations(void)
{
	does("v1", SIGNAL_DESTINATION, "api.stripe.com:443", 150, 0, 0);
	does("v2", SIGNAL_DESTINATION, "api.stripe.com:443", 15, 0, 0);
	does("v1", SIGNAL_DESTINATION, "mail.example.org:25", 50, 0, 0);
}

START_TEST(a_new_destination_fails)
{
	known_destinations();
	ck_assert_int_eq(judge(), VERDICT_PASS);
	does("v2", SIGNAL_DESTINATION, "evil.example:443", 1, 0, 0);
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	ck_assert(first_reason("HARD_FINDING"));
}
END_TEST

START_TEST(a_young_baseline_knows_no_destination)
{
	known_destinations();
	does("v2", SIGNAL_DESTINATION, "evil.example:443", 1, 0, 0);
	traits[2].shown.count = 49; /* one call too few */
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert_int_eq(state_of(SIGNAL_DESTINATION), SIGNAL_IS_LEARNING);
	traits[2].shown.count = 50;
	traits[0].met_first_us = traits[0].shown.first_us = BASE_US - DAY_US + 1;
	traits[2].met_first_us = traits[2].shown.first_us = BASE_US - DAY_US + 1;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE); /* a second too few of the day */
	ck_assert(first_reason("LEARNING"));
}
END_TEST

/* Where a new one comes every day, one more means nothing by itself. */
START_TEST(an_open_service_calls_where_its_users_say)
{
	known_destinations();
	does("v1", SIGNAL_DESTINATION, "hooks.one.example:443", 1, 0, 0);
	does("v2", SIGNAL_DESTINATION, "hooks.two.example:443", 1, 0, 0);
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert_int_eq(scene.result.novel[0].level, SIGNAL_SOFT);
	ck_assert_int_eq(standing(), STANDING_UNCONFIRMED);
}
END_TEST

/* What was frozen: knowledge from before the canary; what others begin later is shared. */
START_TEST(later_knowledge_does_not_count_as_known)
{
	known_destinations();
	does("v2", SIGNAL_DESTINATION, "new.example:443", 3, 0, 0);
	struct trait *later = does("v1", SIGNAL_DESTINATION, "new.example:443", 2, 0, 0);
	later->shown.first_us = later->met_first_us = BASE_US + 300 * SECOND_US;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert_int_eq(standing(), STANDING_SHARED);
	/* Who names no version teaches nothing after the beginning: it may be the canary. */
	later->shown.arm = arm_of("", "");
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	later->shown.first_us = later->met_first_us = BASE_US - DAY_US;
	ck_assert_int_eq(judge(), VERDICT_PASS);
}
END_TEST

/* A canary that failed yesterday did the same; that makes it no custom. */
START_TEST(a_failed_version_teaches_nothing)
{
	known_destinations();
	does("v2", SIGNAL_DESTINATION, "evil.example:443", 1, 0, 0);
	struct trait *failed = does("v0", SIGNAL_DESTINATION, "evil.example:443", 40, 0, 0);
	failed->shown.first_us = failed->met_first_us = BASE_US - DAY_US;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	struct arm_query v0 = {ARM_ANY, TEXT("v0")};
	scene.facts.failed = &v0;
	scene.facts.failed_count = 1;
	ck_assert_int_eq(judge(), VERDICT_FAIL);
}
END_TEST

START_TEST(what_was_forgotten_is_new)
{
	known_destinations();
	does("v2", SIGNAL_DESTINATION, "old.example:443", 1, 0, 0);
	struct trait *old = does("v1", SIGNAL_DESTINATION, "old.example:443", 40, 0, 0);
	old->met_first_us = old->shown.first_us = BASE_US - 60 * DAY_US;
	old->met_last_us = old->shown.last_us = BASE_US - SIGNAL_MEMORY_US;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	old->met_last_us = old->shown.last_us = BASE_US - SIGNAL_MEMORY_US - 1;
	ck_assert_int_eq(judge(), VERDICT_FAIL);
}
END_TEST

/* Share 1/11: three principals would do for one thing at alpha 0.01 (11^3 > 100). */
START_TEST(soft_findings_need_principals)
{
	struct trait *error = does("v2", SIGNAL_ERROR_SIGNATURE, "NotFound: x #", 9, 0, 0);
	principals(error, 2);
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert_int_eq(standing(), STANDING_UNCONFIRMED);
	principals(error, 3);
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert(first_reason("SOFT_FINDING"));
	error->shown.last_us = error->shown.first_us + COHORT_BUCKET_US - 1; /* one burst */
	ck_assert_int_eq(judge(), VERDICT_PASS);
}
END_TEST

/* Many things are tried at once: each must be less likely. 11^3 = 1331 < 100 * 14. */
START_TEST(soft_findings_share_alpha)
{
	static const char *const KEYS[] = {"a", "b", "c", "d", "e", "f", "g",
					   "h", "i", "j", "k", "l", "m", "n"};
	for (size_t i = 0; i < 14; i++)
		principals(does("v2", SIGNAL_ERROR_SIGNATURE, KEYS[i], 9, 0, 0), 3);
	ck_assert_int_eq(judge(), VERDICT_PASS);
	scene.facts.trait_count = 13;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
}
END_TEST

/* What the baseline shows as well, an attack for instance, is not the build's. */
START_TEST(what_hits_both_is_shared)
{
	principals(does("v2", SIGNAL_ERROR_SIGNATURE, "bad input #", 900, 0, 0), 16);
	struct trait *other = does("v1", SIGNAL_ERROR_SIGNATURE, "bad input #", 9, 0, 0);
	other->shown.first_us = other->met_first_us = BASE_US + 70 * SECOND_US;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert_int_eq(standing(), STANDING_SHARED);
}
END_TEST

START_TEST(secrets_and_edges_are_soft)
{
	principals(does("v2", SIGNAL_SECRET, "jwt in message", 900, 0, 0), 16);
	principals(does("v2", SIGNAL_EDGE, "vault", 900, 0, 0), 16);
	does("v2", SIGNAL_ROUTE, "GET /new", 900, 0, 0);
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert_uint_eq(scene.result.novel_count, 3);
	scene.query.policy.signals[SIGNAL_SECRET] = SIGNAL_INFO;
	scene.query.policy.signals[SIGNAL_EDGE] = SIGNAL_OFF;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert_int_eq(state_of(SIGNAL_EDGE), SIGNAL_IS_OFF);
}
END_TEST

/* docs/GATE.md: soft by default, and one event is enough for who must never call another. */
START_TEST(a_policy_makes_an_edge_hard)
{
	does("v1", SIGNAL_EDGE, "payments", 900, 0, 0);
	does("v2", SIGNAL_EDGE, "vault", 1, 0, 0);
	ck_assert_int_ne(judge(), VERDICT_FAIL);
	scene.query.policy.signals[SIGNAL_EDGE] = SIGNAL_HARD;
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	ck_assert(first_reason("HARD_FINDING"));
	traits[0].shown.count = 100; /* too few calls to know whom it calls */
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert(first_reason("LEARNING"));
}
END_TEST

static void declare(const char *yaml)
{
	struct error err = {0};
	enum status status =
		gate_manifest_read(text_of(yaml), "m", TEXT("orders"), arena, &manifest, &err);
	ck_assert_msg(status == OK, "%s", err.text);
	scene.query.expect = &manifest;
}

START_TEST(what_is_declared_is_info)
{
	known_destinations();
	does("v2", SIGNAL_DESTINATION, "new.example:443", 1, 0, 0);
	does("v1", SIGNAL_AUTHZ_ALLOW, "support POST /refunds", 0, 0, 99);
	does("v2", SIGNAL_AUTHZ_ALLOW, "support POST /refunds", 5, 0, 0);
	declare("expect:\n- destination: new.example\n- permission: support POST /*\n"
		"- edge: payments\n");
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert_uint_eq(scene.result.novel_count, 2);
	ck_assert_int_eq(standing(), STANDING_DECLARED);
	struct bytes json cleanup(bytes_done) = {0};
	gate_json(&scene.query, &scene.result, &json);
	bytes_put_u8(&json, 0);
	ck_assert_ptr_nonnull(strstr((char *)json.data,
				     "\"line\":4,\"kind\":\"edge\",\"value\":"
				     "\"payments\",\"why\":\"\",\"used\":false"));
	ck_assert_ptr_nonnull(strstr((char *)json.data, "\"declared_in_line\":2"));
	/* What is not declared stays what it is. */
	does("v2", SIGNAL_DESTINATION, "evil.example:443", 1, 0, 0);
	ck_assert_int_eq(judge(), VERDICT_FAIL);
}
END_TEST

START_TEST(an_override_forgives_what_was_seen)
{
	known_destinations();
	does("v2", SIGNAL_DESTINATION, "new.example:443", 1, 0, 0);
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	scene.query.pardon_us = BASE_US + 60 * SECOND_US;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	scene.query.pardon_us--;
	ck_assert_int_eq(judge(), VERDICT_FAIL);
}
END_TEST

/* The baseline logs who asks, the canary does not: that is no PASS. */
START_TEST(a_canary_that_logs_less_is_blind)
{
	does("v1", SIGNAL_UNAUTHENTICATED, "GET /me", 0, 600, 1);
	ck_assert_int_eq(judge(), VERDICT_WAIT); /* 601 of 60000 events: 60 of 6000 */
	ck_assert(has_reason("BLIND"));
	ck_assert_int_eq(state_of(SIGNAL_UNAUTHENTICATED), SIGNAL_IS_BLIND);
	traits[0].kept = 198; /* 19.9 of 6000 */
	ck_assert_int_eq(judge(), VERDICT_PASS);
}
END_TEST

START_TEST(a_canary_that_was_never_heard_finds_nothing)
{
	known_destinations();
	scene.query.canary = (struct arm_query){ARM_ANY, TEXT("v9")};
	ck_assert_int_eq(judge(), VERDICT_WAIT);
	ck_assert(first_reason("IDENTITY"));
	ck_assert_uint_eq(scene.result.novel_count, 0);
}
END_TEST

START_TEST(too_many_keys_are_a_doubt)
{
	known_destinations();
	does("v1", SIGNAL_DESTINATION, "", 3, 0, 0);
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert(first_reason("DEGRADED"));
	ck_assert_int_eq(state_of(SIGNAL_DESTINATION), SIGNAL_IS_FULL);
}
END_TEST

/* A policy that claims nothing about rates, and logs that switch on no signal: nothing is proven.
 */
START_TEST(a_pass_needs_something_that_was_watched)
{
	struct gate_shipped shipped;
	ck_assert(gate_policy_shipped(2, &shipped));
	scene.query.policy = shipped.policy;
	for (int i = 0; i < BUCKETS; i++) {
		set_arm(i, 0, "v1", "d1", 1);
		set_arm(i, 1, "v2", "d2", 1);
	}
	ck_assert_int_eq(judge(), VERDICT_WAIT);
	ck_assert(has_reason("NO_SIGNAL"));
	does("v1", SIGNAL_AUTHZ_ALLOW, "viewer POST /refunds", 0, 0, 20);
	does("v2", SIGNAL_AUTHZ_ALLOW, "viewer POST /refunds", 0, 0, 1);
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert(first_reason("NO_FINDING"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/gate_signal");
	TCase *tests = tcase_create("tests");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, set_up_signals, tear_down);
	tcase_add_test(tests, allowed_where_denied_fails);
	tcase_add_test(tests, too_few_denials_are_not_known);
	tcase_add_test(tests, what_the_baseline_allows_too_is_no_finding);
	tcase_add_test(tests, denied_attempts_are_no_finding);
	tcase_add_test(tests, strangers_that_are_answered_fail);
	tcase_add_test(tests, an_open_page_is_no_finding);
	tcase_add_test(tests, a_tenant_that_is_given_away_fails);
	tcase_add_test(tests, a_tenant_given_away_where_its_roles_seldom_are_is_no_proof);
	tcase_add_test(tests, a_call_in_the_clear_fails);
	tcase_add_test(tests, a_new_destination_fails);
	tcase_add_test(tests, a_young_baseline_knows_no_destination);
	tcase_add_test(tests, an_open_service_calls_where_its_users_say);
	tcase_add_test(tests, later_knowledge_does_not_count_as_known);
	tcase_add_test(tests, a_failed_version_teaches_nothing);
	tcase_add_test(tests, what_was_forgotten_is_new);
	tcase_add_test(tests, soft_findings_need_principals);
	tcase_add_test(tests, soft_findings_share_alpha);
	tcase_add_test(tests, what_hits_both_is_shared);
	tcase_add_test(tests, secrets_and_edges_are_soft);
	tcase_add_test(tests, a_policy_makes_an_edge_hard);
	tcase_add_test(tests, what_is_declared_is_info);
	tcase_add_test(tests, an_override_forgives_what_was_seen);
	tcase_add_test(tests, a_canary_that_logs_less_is_blind);
	tcase_add_test(tests, a_canary_that_was_never_heard_finds_nothing);
	tcase_add_test(tests, too_many_keys_are_a_doubt);
	tcase_add_test(tests, a_pass_needs_something_that_was_watched);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
