#include "correlate/deadlines.h"
#include "tests/correlate/fixture.h"

enum { ITEMS = 400, ROUNDS = 400 };

struct item {
	int64_t at_us;
	bool waits;
};

/* What comes out is what the watermark has passed, in order; what is left has not been passed.
 * Inner loops use assert(): each of check's own assertions writes to a pipe. */
static void take_all(struct deadlines *deadlines, struct item *items, int64_t watermark_us)
{
	int64_t before_us = INT64_MIN;
	for (void *taken = NULL;; taken = NULL) {
		enum status status = deadlines_take(deadlines, watermark_us, &taken);
		assert(status == OK);
		if (taken == NULL)
			break;
		struct item *item = taken;
		assert(item->waits);
		assert(item->at_us < watermark_us || watermark_us == INT64_MAX);
		assert(item->at_us >= before_us);
		before_us = item->at_us;
		item->waits = false;
	}
	for (size_t i = 0; i < ITEMS; i++)
		assert(!items[i].waits || items[i].at_us >= watermark_us);
}

START_TEST(come_out_in_order_and_in_time)
{
	uint64_t random = first_seed();
	for (int round = 0; round < ROUNDS; round++) {
		struct item items[ITEMS] = {0};
		struct deadlines deadlines;
		deadlines_init(&deadlines);
		unsigned wide = (unsigned)below(&random, 61); /* how far times lie apart */
		int64_t watermark_us = below(&random, 2) == 0 ? -(INT64_C(1) << wide) : 0;
		for (size_t i = 0; i < ITEMS; i++) {
			int64_t ahead_us =
				(int64_t)(next_random(&random) & ((UINT64_C(1) << wide) - 1));
			bool never = below(&random, 50) == 0;
			items[i].at_us = never ? INT64_MAX : watermark_us + ahead_us;
			items[i].waits = true;
			enum status status = deadlines_add(&deadlines, items[i].at_us, &items[i]);
			ck_assert_int_eq(status, OK);
			if (below(&random, 8) != 0)
				continue;
			watermark_us += ahead_us / 2;
			take_all(&deadlines, items, watermark_us);
		}
		take_all(&deadlines, items, INT64_MAX);
		ck_assert_ptr_null(deadlines_take_any(&deadlines));
		deadlines_done(&deadlines);
	}
}
END_TEST

/* A time that has come already comes out next, and nothing is lost that was never taken. */
START_TEST(times_gone_by_come_next)
{
	int items[4];
	void *taken = NULL;
	struct deadlines deadlines;
	deadlines_init(&deadlines);
	ck_assert_int_eq(deadlines_take(&deadlines, INT64_MAX, &taken), OK);
	ck_assert_ptr_null(taken);
	ck_assert_int_eq(deadlines_add(&deadlines, 100, &items[0]), OK);
	ck_assert_int_eq(deadlines_add(&deadlines, 200, &items[1]), OK);
	ck_assert_int_eq(deadlines_take(&deadlines, 100, &taken), OK);
	ck_assert_ptr_null(taken); /* passed means by more than nothing */
	ck_assert_int_eq(deadlines_take(&deadlines, 101, &taken), OK);
	ck_assert_ptr_eq(taken, &items[0]);
	ck_assert_int_eq(deadlines_add(&deadlines, 50, &items[2]), OK);
	ck_assert_int_eq(deadlines_take(&deadlines, 101, &taken), OK);
	ck_assert_ptr_eq(taken, &items[2]);
	ck_assert(deadlines_bytes(&deadlines) > 0);
	ck_assert_ptr_eq(deadlines_take_any(&deadlines), &items[1]);
	ck_assert_ptr_null(deadlines_take_any(&deadlines));
	deadlines_done(&deadlines);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("deadlines");
	tcase_add_test(tests, come_out_in_order_and_in_time);
	tcase_add_test(tests, times_gone_by_come_next);
	return run_tests("deadlines", tests);
}
