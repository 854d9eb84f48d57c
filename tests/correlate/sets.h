/* sets - how an oracle's cases are numbered, sized and found again.
 *
 * Why: every type is tried with random rules over random events, some hundred times in each run and
 * a million times before a release; whatever fails must be found again by the number it prints.
 *
 * Invariant: a set follows from its seed alone. Owner: each test that includes it. */
#ifndef PICKET_TESTS_CORRELATE_SETS_H
#define PICKET_TESTS_CORRELATE_SETS_H

#include "tests/correlate/fixture.h"

enum { CHECK_ARRIVALS = 20, CASES_A_SET = 25, CASES_USUAL = 400 };

/* The walk over sets of random rules, each with CASES_A_SET random streams. The n-th set is made
 * from the first seed + n alone: PICKET_SEED=that PICKET_TEST_CASES=1 is the set again. */
struct sets {
	uint64_t seed;   /* of this set */
	uint64_t random; /* what was made of it so far */
	long cases;      /* begun so far, in all sets */
	long wanted;
};

static inline struct sets sets_begin(long usual)
{
	const char *given = getenv("PICKET_TEST_CASES");
	return (struct sets){.seed = seed_given() - 1,
			     .wanted = given != NULL ? strtol(given, NULL, 10) : usual};
}

/* Begins the next set; false: that is all of them. A long run tells how far it is, a short one how
 * much it was. */
static inline bool sets_next(struct sets *sets, size_t answers)
{
	bool last = sets->cases >= sets->wanted && sets->cases > 0;
	if (last || (sets->cases > 0 && sets->cases % 50000 == 0))
		printf("%ld cases, %zu answers expected\n", sets->cases, answers);
	(void)fflush(stdout);
	ck_assert(!last || sets->cases < 10 * CASES_A_SET || answers > (size_t)sets->cases / 10);
	sets->seed++;
	sets->random = scrambled(sets->seed);
	return !last;
}

#endif
