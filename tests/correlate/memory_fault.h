/* memory_fault - a malloc() of our own that counts down, fails once, and else asks the real one.
 *
 * Why: what runs out of memory must end in ENOMEMORY or in the right answer, never in a crash, a
 * leak (the sanitizers look) or half a state that is taken for a whole one. To see that, every
 * allocation of a run is made to fail, one run for each. Owner: the one test program that includes
 * it. Thread: one. Limits: a run must take its memory the same way each time. */
#ifndef PICKET_TESTS_CORRELATE_MEMORY_FAULT_H
#define PICKET_TESTS_CORRELATE_MEMORY_FAULT_H

#include "tests/correlate/fixture.h"

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define REAL(name) __interceptor_##name
#else
#define REAL(name) __libc_##name
#endif

void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t count, size_t size);
void *REAL(realloc)(void *memory, size_t size);

static size_t fail_in; /* the n-th allocation from now fails; 0: none */

static inline bool fails(void)
{
	return fail_in > 0 && --fail_in == 0;
}

void *malloc(size_t size)
{
	return fails() ? NULL : REAL(malloc)(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : REAL(calloc)(count, size);
}

void *realloc(void *memory, size_t size)
{
	return fails() ? NULL : REAL(realloc)(memory, size);
}

/* All that is there at the end of a run goes into ret_end. */
typedef enum status fault_run(void *context, struct bytes *ret_end);

/* Runs once with all memory, then once for each allocation. */
static inline void memory_sweep(fault_run *run, void *context)
{
	struct bytes expected cleanup(bytes_done) = {0};
	size_t failures = 0;
	size_t survived = 0;
	bool reached = true;
	ck_assert_int_eq(run(context, &expected), OK);
	ck_assert_uint_gt(expected.size, 0);
	for (size_t nth = 1; reached; nth++) {
		struct bytes end cleanup(bytes_done) = {0};
		fail_in = nth;
		enum status status = run(context, &end);
		reached = fail_in == 0;
		fail_in = 0;
		ck_assert_msg(status == OK || status == ENOMEMORY, "allocation %zu: %s", nth,
			      status_text(status));
		ck_assert_msg(status != OK || text_equal(bytes_text(&end), bytes_text(&expected)),
			      "allocation %zu failed and changed the state", nth);
		failures += reached && status != OK;
		survived += reached && status == OK;
	}
	printf("%zu allocations failed the run, %zu were done without\n", failures, survived);
	ck_assert_uint_gt(failures, 100);
}

#endif
