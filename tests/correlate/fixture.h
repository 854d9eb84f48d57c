/* fixture - what the tests of correlate/ share: rules from text, events by hand, random numbers.
 *
 * Why: every test of the actor needs rules, a plan, events and sinks; the tests should show what
 * they test. Owner: each test. Everything here fails the test when it cannot do its work. */
#ifndef PICKET_TESTS_CORRELATE_FIXTURE_H
#define PICKET_TESTS_CORRELATE_FIXTURE_H

#include <assert.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "correlate/actor.h"

static const struct hash_key test_key = {"sixteen bytes .."};

struct setup {
	struct ruleset *ruleset;
	struct plan *plan;
};

static inline struct ruleset *ruleset_of(const char *yaml)
{
	struct ruleset_options options = {.supply_metadata = true};
	struct ruleset *ruleset = NULL;
	struct error err = {0};
	enum status status = ruleset_parse(&options, text_of(yaml), "rules.yml", &ruleset, &err);
	ck_assert_msg(status == OK, "%s:%u:%u: %s", err.file, err.line, err.column, err.text);
	return ruleset;
}

static inline struct setup setup_of(const char *yaml)
{
	struct setup setup = {.ruleset = ruleset_of(yaml)};
	struct error err = {0};
	enum status status = plan_new(setup.ruleset, &test_key, &setup.plan, &err);
	ck_assert_msg(status == OK, "%s", err.text);
	return setup;
}

static inline void setup_done(struct setup *setup)
{
	plan_free(&setup->plan);
	ruleset_free(&setup->ruleset);
}

static inline uint32_t rule_index(const struct setup *setup, const char *name)
{
	const struct rule *rule = ruleset_find(setup->ruleset, text_of(name));
	ck_assert_msg(rule != NULL, "no rule %s", name);
	return rule->index;
}

static inline const struct unit *unit_of(const struct setup *setup, const char *name)
{
	const struct rule *rule = ruleset_rule(setup->ruleset, rule_index(setup, name));
	const struct unit *unit = plan_unit_of(setup->plan, rule);
	ck_assert_msg(unit != NULL, "no unit for %s", name);
	return unit;
}

static inline void event_put(struct event *event, struct arena *arena, const char *name,
			     const char *value)
{
	struct value text = {.type = VALUE_STRING, .text = text_of(value)};
	enum status status = event_add(event, arena, text_of(name), text);
	assert(status == OK); /* not check's: that one writes to a pipe each time */
}

static inline struct event event_at(int64_t time_us, int64_t offset, const char *owner)
{
	return (struct event){.time_us = time_us,
			      .record_time_us = time_us,
			      .origin = {TEXT("logs"), 0, 0, offset},
			      .owner = text_of(owner)};
}

static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * UINT64_C(0x2545F4914F6CDD1D) >> 11;
}

/* A state to begin with: seeds that follow each other give nothing that looks alike. */
static inline uint64_t scrambled(uint64_t seed)
{
	seed *= UINT64_C(0x9E3779B97F4A7C15);
	seed = (seed ^ seed >> 32) * UINT64_C(0xD6E8FEB86659FD93);
	return (seed ^ seed >> 32) | 1;
}

static inline size_t below(uint64_t *state, size_t limit)
{
	return (size_t)(next_random(state) % limit);
}

/* Every run is the same, so that a change is to blame for what fails; PICKET_SEED gives another,
 * and each long run (PICKET_LONG) is a fresh one. */
static inline uint64_t seed_given(void)
{
	const char *given = getenv("PICKET_SEED");
	uint64_t fresh = getenv("PICKET_LONG") != NULL ? (uint64_t)time(NULL) : 20261122;
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : fresh;
	printf("seed %llu (PICKET_SEED)\n", (unsigned long long)seed);
	return seed;
}

static inline uint64_t first_seed(void)
{
	return seed_given() * 2 + 1;
}

static inline int run_tests(const char *name, TCase *tests)
{
	Suite *suite = suite_create(name);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
