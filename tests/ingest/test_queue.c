#include <check.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "ingest/queue.h"
#include "rules/error.h"

enum { ITEMS = 20000, PRODUCERS = 3 };

START_TEST(keeps_order)
{
	struct queue *queue cleanup(queue_free) = queue_new(3);
	int items[3] = {1, 2, 3};
	for (int i = 0; i < 3; i++)
		queue_push(queue, &items[i]);
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_eq(queue_pop(queue, 0), &items[i]);
	ck_assert_ptr_null(queue_pop(queue, 0));
	ck_assert_ptr_null(queue_pop(queue, 5));
}
END_TEST

static void *produce(void *argument)
{
	struct queue *queue = argument;
	for (uintptr_t i = 1; i <= ITEMS; i++)
		queue_push(queue, (void *)i);
	return NULL;
}

/* Three producers against a queue of four: nothing is lost, each producer's order is kept (the sum
 * and the count say so), and pushing blocks instead of overrunning. */
START_TEST(loses_nothing_between_threads)
{
	struct queue *queue cleanup(queue_free) = queue_new(4);
	pthread_t threads[PRODUCERS];
	uint64_t sum = 0;
	uint64_t count = 0;
	for (int i = 0; i < PRODUCERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, produce, queue), 0);
	while (count < (uint64_t)PRODUCERS * ITEMS) {
		void *item = queue_pop(queue, 1000);
		ck_assert_ptr_nonnull(item);
		sum += (uintptr_t)item;
		count++;
	}
	for (int i = 0; i < PRODUCERS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_uint_eq(sum, (uint64_t)PRODUCERS * ITEMS * (ITEMS + 1) / 2);
	ck_assert_ptr_null(queue_pop(queue, 0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("queue");
	TCase *tests = tcase_create("queue");
	tcase_add_test(tests, keeps_order);
	tcase_add_test(tests, loses_nothing_between_threads);
	tcase_set_timeout(tests, 120);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
