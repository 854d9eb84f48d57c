/* Thousands of simulated releases: what is benign and declared never FAILs by a signal; what only
 * attackers do never does, and by rates no more than chance lets, also when they reach the canary
 * alone; a canary that refuses the users it knows FAILs in the midst of them, and one that refuses
 * under cover of an attack on the baseline is not accepted; and one event of each hard signal
 * FAILs.
 *
 * CK_RUN_CASE=benign, attackers, pinned, lockout or needle plays one. PICKET_TEST_DEPLOYS says how
 * many releases of each are played (default 6); tests/bench/RESULTS.md has the figures of 10,000.
 */
#include <string.h>

#include "tests/correlate/signal_world.h"

enum { PAST = 1000, EVENTS = 1000, ATTEMPTS = 2, NEEDLE_RUNS = 3 };

static unsigned deploys(void)
{
	const char *wanted = getenv("PICKET_TEST_DEPLOYS");
	return wanted == NULL ? 6 : (unsigned)strtoul(wanted, NULL, 10);
}

/* Two days of the baseline, then ten minutes of both, the canary with a share of one in ten. */
static int64_t time_of(struct world *world, unsigned i)
{
	if (i < PAST)
		return WORLD_BEGIN_US - (int64_t)(PAST - i) * 173 * WORLD_SECOND_US;
	return WORLD_BEGIN_US + (int64_t)(i - PAST) * 600 * WORLD_SECOND_US / EVENTS +
	       world_dice(world, 1000);
}

typedef void extra(struct world *world, int64_t time_us, const char *version, unsigned i);

static void play(struct world *world, uint64_t seed, extra *more)
{
	world_init(world, seed);
	for (unsigned i = 0; i < PAST + EVENTS; i++) {
		int64_t at_us = time_of(world, i);
		const char *version = i >= PAST && world_dice(world, 10) == 0 ? "v2" : "v1";
		log_usual(world, at_us, version);
		if (i >= PAST && more != NULL)
			more(world, at_us, version, i - PAST);
		if (i % 200 == 0)
			world_flush(world);
	}
	world_close(world);
}

/* --- benign releases ------------------------------------------------------------------------- */

/* What the release of this round does for the first time; a set of bits. */
static unsigned novelty;

static void do_new_things(struct world *world, int64_t time_us, const char *version, unsigned i)
{
	unsigned what = world_dice(world, 6);
	if (strcmp(version, "v2") != 0 || i % 3 != 0 || (novelty >> what & 1) == 0)
		return;
	struct line line = line_begin(world, time_us, version);
	if (what == 0) {
		say(&line, "service.target.name", "loyalty");
	} else if (what == 1) {
		say(&line, "network.direction", "outbound");
		say(&line, "destination.domain", "api.loyalty.example");
		say(&line, "destination.port", "443");
	} else if (what == 2) {
		user(&line, "viewer");
		request(&line, "/points", 200);
	} else if (what == 3) {
		user(&line, "viewer"); /* from now on they may */
		request(&line, "/refunds", 200);
	} else if (what == 4) {
		say(&line, "log.level", "error");
		say(&line, "message", "points of order %u are lost", world_dice(world, 9999));
		user(&line, "viewer");
	} else {
		say(&line, "event.category", "configuration");
		say(&line, "event.action", "EnablePoints");
	}
	line_end(&line);
}

static const char MANIFEST[] = "service: orders\n"
			       "expect:\n"
			       "- edge: loyalty\n"
			       "- destination: api.loyalty.example:443\n"
			       "- route: POST /points\n"
			       "- permission: viewer POST /refunds\n"
			       "- error_signature: points of order 17 are lost\n"
			       "- privileged_call: EnablePoints\n";

static bool is_hard(const struct gate_result *result)
{
	for (size_t i = 0; i < result->reason_count; i++)
		if (text_equal(result->reasons[i].code, TEXT("HARD_FINDING")))
			return true;
	return false;
}

struct tally_of_runs {
	unsigned rejected; /* authz_denied, by its rate */
	unsigned runs, fail, hard, learning, soft, declared, hard_novelty, hard_found;
};

/* A false alarm that nobody can look into is worth little. */
static void tell(unsigned round, const struct gate_result *result, struct text code)
{
	for (size_t i = 0; i < result->reason_count; i++)
		if (text_equal(result->reasons[i].code, code))
			printf("release %u: %.*s\n", round, TEXT_ARG(result->reasons[i].text));
}

static void note(struct tally_of_runs *runs, enum verdict verdict, const struct gate_result *result)
{
	runs->runs++;
	runs->fail += verdict == VERDICT_FAIL;
	runs->hard += is_hard(result);
	for (size_t i = 0; i < result->reason_count; i++) {
		runs->learning += text_equal(result->reasons[i].code, TEXT("LEARNING"));
		runs->soft += text_equal(result->reasons[i].code, TEXT("SOFT_FINDING"));
	}
	for (size_t i = 0; i < result->novel_count; i++)
		runs->declared += result->novel[i].standing == STANDING_DECLARED;
}

START_TEST(benign_releases_that_declare_never_fail_by_a_signal)
{
	struct tally_of_runs with = {0};
	struct tally_of_runs without = {0};
	unsigned count = deploys();
	for (unsigned round = 0; round < count; round++) {
		struct world world;
		struct gate_result result = {0};
		struct gate_manifest manifest;
		novelty = (15 + round * 11) % 64;
		play(&world, round + 1, do_new_things);
		ck_assert_int_eq(gate_manifest_read(text_of(MANIFEST), "m", TEXT("orders"),
						    world.arena, &manifest, NULL),
				 OK);
		note(&with, world_judge(&world, &manifest, &result), &result);
		tell(round, &result, TEXT("HARD_FINDING"));
		note(&without, world_judge(&world, NULL, &result), &result);
		without.hard_novelty += (novelty & 8) != 0;
		without.hard_found += (novelty & 8) != 0 && is_hard(&result);
		world_done(&world);
	}
	printf("benign releases: %u; FAIL %u, of them by a signal %u, reasons LEARNING %u, "
	       "SOFT_FINDING %u, findings declared %u\n",
	       with.runs, with.fail, with.hard, with.learning, with.soft, with.declared);
	printf("the same without a manifest: FAIL by a signal %u; %u of the %u with a permission "
	       "that nobody declared\n",
	       without.hard, without.hard_found, without.hard_novelty);
	ck_assert_uint_eq(with.hard, 0);
	ck_assert_uint_gt(with.declared, 0);
	ck_assert_uint_gt(without.hard_found, 0);
}
END_TEST

/* --- attackers only --------------------------------------------------------------------------- */

static enum { REACH_BOTH, REACH_CANARY, REACH_BASELINE } reach; /* what every attacker reaches */

/* More attempts than usual events: logins, forbidden and foreign things, scans, bad input. */
static void attack(struct world *world, int64_t time_us, const char *version, unsigned i)
{
	unsigned who = world_dice(world, 400);
	(void)i;
	(void)version;
	for (int k = 0; k < ATTEMPTS; k++) {
		bool canary = (who + (unsigned)k) % 10 == 0; /* sticky by client */
		if (reach != REACH_BOTH)
			canary = reach == REACH_CANARY;
		struct line line = line_begin(world, time_us, canary ? "v2" : "v1");
		say(&line, "source.ip", "192.0.%u.%u", who % 200, k);
		switch (world_dice(world, 6)) {
		case 0:
			request(&line, "/me", 401);
			break;
		case 1:
			say(&line, "user.roles", "viewer"); /* an account of one's own */
			say(&line, "user.id", "evil%u", who);
			request(&line, "/refunds", 403);
			break;
		case 2:
			say(&line, "user.roles", "viewer");
			say(&line, "user.id", "evil%u", who);
			say(&line, "tenant.id", "t1");
			say(&line, "target.tenant.id", "t2");
			request(&line, "/orders", 403);
			break;
		case 3:
			say(&line, "url.path", "/wp-admin%u.php", who);
			say(&line, "destination.domain", "evil%u.example", who); /* Host: */
			say(&line, "http.response.status_code", "404");
			break;
		case 4:
			request(&line, "/shop", 200); /* nobody, on a page for everybody */
			break;
		default:
			say(&line, "log.level", "error");
			say(&line, "message", "cannot parse ${jndi:%c%c", 'a' + (int)who % 26,
			    'a' + (int)who / 26);
			break;
		}
		line_end(&line);
	}
}

static struct tally_of_runs attacked(uint64_t seed, unsigned count)
{
	struct tally_of_runs runs = {0};
	for (unsigned round = 0; round < count; round++) {
		struct world world;
		struct gate_result result = {0};
		play(&world, seed + round, attack);
		note(&runs, world_judge(&world, NULL, &result), &result);
		tell(round, &result, TEXT("HARD_FINDING"));
		tell(round, &result, TEXT("REGRESSION"));
		world_done(&world);
	}
	return runs;
}

/* Users are refused as well, by both versions alike: of that alpha may fail one release in 100 by
 * chance, and attackers must not make it more. It is far less. */
static unsigned by_chance(unsigned runs)
{
	return runs / 1000;
}

START_TEST(attackers_of_both_versions_never_fail_the_canary)
{
	reach = REACH_BOTH;
	struct tally_of_runs spread = attacked(1000000, deploys());
	printf("attackers spread over both: %u; FAIL %u, by a signal %u\n", spread.runs,
	       spread.fail, spread.hard);
	ck_assert_uint_le(spread.fail, by_chance(spread.runs));
	ck_assert_uint_eq(spread.hard, 0);
}
END_TEST

START_TEST(attackers_of_the_canary_alone_never_fail_it)
{
	reach = REACH_CANARY;
	struct tally_of_runs stuck = attacked(2000000, deploys());
	printf("attackers stuck to the canary: %u; FAIL %u, by a signal %u\n", stuck.runs,
	       stuck.fail, stuck.hard);
	ck_assert_uint_le(stuck.fail, by_chance(stuck.runs));
	ck_assert_uint_eq(stuck.hard, 0);
}
END_TEST

/* --- a canary that refuses -------------------------------------------------------------------- */

static bool newcomers; /* it refuses only those whom nobody has seen before */
static unsigned refuses_one_in;

/* So much of what the canary is asked by users ends in a 403, under attack. */
static void refuse(struct world *world, int64_t time_us, const char *version, unsigned i)
{
	bool canary = strcmp(version, "v2") == 0;
	struct line line = line_begin(world, time_us, version);
	if (newcomers) {
		say(&line, "user.id", "new%u", i);
		say(&line, "source.ip", "10.%u.%u.9", i / 200, i % 200);
		say(&line, "user.roles", "viewer");
	} else {
		user(&line, "viewer");
	}
	bool refused = canary && world_dice(world, refuses_one_in) == 0;
	request(&line, reach == REACH_BASELINE ? "/refunds" : "/me", refused ? 403 : 200);
	line_end(&line);
	if (!newcomers)
		attack(world, time_us, version, i);
}

/* The reason is given; `known` tells whether in the words about who is known. */
static bool is_unconfirmed(const struct gate_result *result, bool known)
{
	for (size_t i = 0; i < result->reason_count; i++) {
		struct text text = result->reasons[i].text;
		bool about = memmem(text.data, text.size, "known", strlen("known")) != NULL;
		if (text_equal(result->reasons[i].code, TEXT("UNCONFIRMED")) && about == known)
			return true;
	}
	return false;
}

/* By this and by nothing that only outsiders did. */
static void is_failed_by(const struct gate_result *result, struct text outcome)
{
	ck_assert(text_equal(result->reasons[0].code, TEXT("REGRESSION")));
	for (size_t i = 0; i < result->reason_count; i++)
		if (text_equal(result->reasons[i].code, TEXT("REGRESSION")))
			ck_assert(text_starts(result->reasons[i].text, outcome));
}

static struct tally_of_runs refused(uint64_t seed, unsigned count)
{
	struct tally_of_runs runs = {0};
	for (unsigned round = 0; round < count; round++) {
		struct world world;
		struct gate_result result = {0};
		play(&world, seed + round, refuse);
		note(&runs, world_judge(&world, NULL, &result), &result);
		ck_assert_int_ne(result.verdict, VERDICT_PASS);
		enum ni_state state = result.outcomes[OUTCOME_AUTHZ_DENIED].state;
		ck_assert_int_ne(state, NI_ACCEPTED);
		if (result.verdict == VERDICT_FAIL)
			is_failed_by(&result, TEXT("authz_denied"));
		else
			ck_assert_int_eq(is_unconfirmed(&result, true), state == NI_REJECTED);
		runs.rejected += state == NI_REJECTED;
		world_done(&world);
	}
	return runs;
}

START_TEST(a_canary_that_refuses_known_users_fails_under_attack)
{
	reach = REACH_CANARY;
	refuses_one_in = 2;
	newcomers = false;
	struct tally_of_runs known = refused(4000000, deploys());
	newcomers = true;
	struct tally_of_runs fresh = refused(5000000, deploys());
	printf("refuses known users under attack: %u; FAIL %u\n", known.runs, known.fail);
	printf("refuses newcomers: %u; FAIL %u, PASS 0\n", fresh.runs, fresh.fail);
	ck_assert_uint_eq(fresh.rejected, fresh.runs);
	ck_assert_uint_eq(known.fail, known.runs);
	ck_assert_uint_eq(fresh.fail, 0);
}
END_TEST

/* Who wants a bad version to go through attacks the good one. */
START_TEST(attackers_of_the_baseline_hide_nothing)
{
	reach = REACH_BASELINE;
	refuses_one_in = 2;
	newcomers = false;
	struct tally_of_runs masked = refused(6000000, deploys());
	printf("refuses known users, attackers stuck to the baseline: %u; FAIL %u, rejected %u, "
	       "PASS 0\n",
	       masked.runs, masked.fail, masked.rejected);
	ck_assert_uint_gt(masked.rejected, masked.runs / 2);
}
END_TEST

/* --- one event -------------------------------------------------------------------------------- */

static unsigned needle;

static void one_event(struct world *world, int64_t time_us, const char *version, unsigned i)
{
	(void)version;
	if (i != EVENTS / 2)
		return;
	struct line line = line_begin(world, time_us, "v2");
	if (needle == 0) {
		user(&line, "viewer");
		request(&line, "/refunds", 200);
	} else if (needle == 1) {
		say(&line, "tenant.id", "t1");
		say(&line, "target.tenant.id", "t2");
		say(&line, "user.roles", "viewer");
		say(&line, "user.id", "u1");
		request(&line, "/orders", 200);
	} else if (needle == 2) {
		request(&line, "/me", 200);
	} else {
		say(&line, "service.target.name", "payments");
		say(&line, "tls.established", "false");
	}
	line_end(&line);
}

START_TEST(one_event_of_a_hard_signal_is_found)
{
	static const char *const NAMES[] = {"authz_allow", "tenant_breach", "unauthenticated",
					    "plaintext"};
	for (needle = 0; needle < 4; needle++) {
		unsigned found = 0;
		for (unsigned round = 0; round < NEEDLE_RUNS; round++) {
			struct world world;
			struct gate_result result = {0};
			play(&world, 3000000 + round, one_event);
			bool fails = world_judge(&world, NULL, &result) == VERDICT_FAIL;
			found += fails && strncmp(result.reasons[0].text.data, NAMES[needle],
						  strlen(NAMES[needle])) == 0;
			world_done(&world);
		}
		ck_assert_msg(found == NEEDLE_RUNS, "%s: %u", NAMES[needle], found);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/signal_sim");
	TCase *benign = tcase_create("benign");
	TCase *attackers = tcase_create("attackers");
	TCase *stuck = tcase_create("pinned");
	TCase *lockout = tcase_create("lockout");
	TCase *one = tcase_create("needle");
	tcase_set_timeout(benign, 0);
	tcase_set_timeout(attackers, 0);
	tcase_set_timeout(stuck, 0);
	tcase_set_timeout(lockout, 0);
	tcase_set_timeout(one, 0);
	tcase_add_test(benign, benign_releases_that_declare_never_fail_by_a_signal);
	tcase_add_test(attackers, attackers_of_both_versions_never_fail_the_canary);
	tcase_add_test(stuck, attackers_of_the_canary_alone_never_fail_it);
	tcase_add_test(lockout, a_canary_that_refuses_known_users_fails_under_attack);
	tcase_add_test(lockout, attackers_of_the_baseline_hide_nothing);
	tcase_add_test(one, one_event_of_a_hard_signal_is_found);
	suite_add_tcase(suite, benign);
	suite_add_tcase(suite, attackers);
	suite_add_tcase(suite, stuck);
	suite_add_tcase(suite, lockout);
	suite_add_tcase(suite, one);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
