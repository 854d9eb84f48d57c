/* The journal of messages in hand: what is a suspect after real deaths of a process, what is
 * refused, and that one message at a time is in hand meanwhile. */
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "dying.h"
#include "tests/rules/suite.h"

START_TEST(a_message_in_hand_at_two_crashes_is_refused)
{
	ck_assert_uint_eq(deaths("logs", 5), 0);
	die("logs", 5, 1, SIGABRT);
	ck_assert_uint_eq(deaths("logs", 5), 1);
	ck_assert_uint_eq(deaths("logs", 5), 1); /* it ended in order: that counts for nothing */
	ck_assert_uint_eq(step("logs", 5), JOURNAL_READ);
	die("logs", 5, 1, SIGABRT);
	ck_assert_uint_eq(deaths("logs", 5), JOURNAL_CRASHES_MAX);
	ck_assert_uint_eq(step("logs", 5), JOURNAL_REFUSE);
	ck_assert_uint_eq(step("logs", 4), JOURNAL_READ);
	ck_assert_uint_eq(step("logs", 6), JOURNAL_READ);
	ck_assert_uint_eq(step("logs~2", 5), JOURNAL_READ); /* the log that began anew */
	die("logs", 5, 1, SIGABRT);
	ck_assert_uint_eq(step("logs", 5), JOURNAL_REFUSE);
	for (int i = 0; i < 5; i++) {
		die("logs", 5, 1, SIGABRT);
		ck_assert_uint_eq(step("logs", 5), JOURNAL_REFUSE_BARE);
	}
	ck_assert_uint_eq(deaths("logs", 5), 8);
}
END_TEST

/* No memory, a probe, a hand: the message may be innocent. */
START_TEST(other_deaths_take_longer_to_be_believed)
{
	for (unsigned i = 1; i <= 2 * JOURNAL_DEATHS_MAX; i++) {
		die("logs", 5, 1, SIGKILL);
		ck_assert_uint_eq(deaths("logs", 5), i);
		ck_assert_uint_eq(step("logs", 5), i / JOURNAL_DEATHS_MAX);
	}
	die("orders", 5, 1, SIGKILL);
	die("orders", 5, 1, SIGABRT);
	ck_assert_uint_eq(step("orders", 5), JOURNAL_READ);
	die("orders", 5, 1, SIGABRT);
	ck_assert_uint_eq(step("orders", 5), JOURNAL_REFUSE);
}
END_TEST

START_TEST(a_death_with_empty_hands_has_no_suspect)
{
	char first[64];
	die("logs", 5, 0, SIGKILL);
	die("logs", 5, 0, SIGKILL);
	ck_assert_uint_eq(suspects(first, sizeof first), 0);
	ck_assert_str_eq(first, "");
	die("logs", 5, 1, SIGKILL);
	ck_assert_uint_eq(suspects(first, sizeof first), 1);
	ck_assert_str_eq(first, "logs/0/5");
}
END_TEST

/* Two bad messages on two workers: whichever comes first, both are found. */
START_TEST(two_bad_messages_take_turns)
{
	die("logs", 5, 1, SIGKILL);
	die("orders", 8, 1, SIGKILL);
	ck_assert_uint_eq(deaths("logs", 5), 1);
	die("logs", 5, 1, SIGKILL);
	die("orders", 8, 1, SIGKILL);
	ck_assert_uint_eq(deaths("logs", 5), 2);
	ck_assert_uint_eq(deaths("orders", 8), 2);
}
END_TEST

START_TEST(what_the_store_has_is_forgotten)
{
	struct position_row at = {.topic = TEXT("logs"), .next_offset = 5};
	char first[64];
	die("logs", 5, 1, SIGKILL);
	die("logs", 5, 1, SIGKILL);
	struct journal *journal = open_at(&at, 1);
	ck_assert_uint_eq(journal_suspects(journal, first, sizeof first), 1);
	journal_free(&journal);
	at.next_offset = 6;
	at.incarnation = 1; /* of another log */
	journal = open_at(&at, 1);
	ck_assert_uint_eq(journal_suspects(journal, first, sizeof first), 1);
	journal_free(&journal);
	at.incarnation = 0;
	journal = open_at(&at, 1);
	ck_assert_uint_eq(journal_suspects(journal, first, sizeof first), 0);
	journal_free(&journal);
	ck_assert_uint_eq(deaths("logs", 5), 0);
}
END_TEST

START_TEST(an_old_suspicion_is_forgotten_and_a_refusal_is_not)
{
	die("refused", 1, 1, SIGABRT);
	die("refused", 1, 1, SIGABRT);
	die("logs", 1, 1, SIGKILL);
	for (int i = 0; i < JOURNAL_FORGET_AFTER; i++)
		die("other", i, 1, SIGKILL);
	ck_assert_uint_eq(deaths("logs", 1), 1);
	die("other", 100, 1, SIGKILL);
	ck_assert_uint_eq(deaths("logs", 1), 0);
	ck_assert_uint_eq(deaths("refused", 1), 2);
}
END_TEST

/* Passes all suspects, so that the care ends, and dies with every hand full. */
static void die_with_full_hands(const char *topic)
{
	char ahead[64];
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct journal *journal = open_at(NULL, 0);
		while (journal_suspects(journal, ahead, sizeof ahead) > 0) {
			*strchr(ahead, '/') = '\0';
			struct journal_place behind = place_of(ahead, INT64_MAX);
			(void)journal_take(journal, 0, &behind);
			journal_leave(journal, 0);
		}
		for (unsigned i = 0; i < JOURNAL_WORKERS_MAX; i++) {
			struct journal_place place = place_of(topic, i);
			(void)journal_take(journal, i, &place);
		}
		(void)kill(getpid(), SIGKILL);
	}
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
}

START_TEST(a_full_table_forgets_the_oldest_suspicion)
{
	char first[64];
	die("refused", 1, 1, SIGABRT);
	die("refused", 1, 1, SIGABRT);
	die_with_full_hands("old");
	die_with_full_hands("newer");
	ck_assert_uint_eq(suspects(first, sizeof first), JOURNAL_SUSPECTS_MAX);
	ck_assert_uint_eq(deaths("refused", 1), 2);
	ck_assert_uint_eq(deaths("old", 0), 0);
	ck_assert_uint_eq(deaths("old", 1), 1);
	ck_assert_uint_eq(deaths("newer", 63), 1);
	die_with_full_hands("newest");
	ck_assert_uint_eq(deaths("refused", 1), 2);
	ck_assert_uint_eq(deaths("old", 63), 0);
	ck_assert_uint_eq(deaths("newer", 63), 1);
}
END_TEST

enum { THREADS = 4, TAKES = 5000 };

struct crowd {
	struct journal *journal;
	unsigned worker;
	atomic_int *inside, *most;
};

static void *crowd_main(void *argument)
{
	struct crowd *one = argument;
	for (int i = 0; i < TAKES; i++) {
		struct journal_place place = place_of("busy", i);
		(void)journal_take(one->journal, one->worker, &place);
		int inside = atomic_fetch_add(one->inside, 1) + 1;
		if (inside > atomic_load(one->most))
			atomic_store(one->most, inside);
		atomic_fetch_sub(one->inside, 1);
		journal_leave(one->journal, one->worker);
	}
	return NULL;
}

START_TEST(one_message_at_a_time_while_a_suspect_is_ahead)
{
	atomic_int inside = 0;
	atomic_int most = 0;
	pthread_t threads[THREADS];
	struct crowd crowd[THREADS];
	die("logs", 5, 1, SIGKILL);
	struct journal *journal cleanup(journal_free) = open_at(NULL, 0);
	for (unsigned i = 0; i < THREADS; i++) {
		crowd[i] = (struct crowd){journal, i, &inside, &most};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, crowd_main, &crowd[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(most, 1);
}
END_TEST

/* Two hands at once on one thread: it would wait for itself if the care had not ended. */
static void expect_carefree(struct journal *journal)
{
	char first[64];
	struct journal_place place = place_of("busy", 1);
	(void)journal_take(journal, 0, &place);
	(void)journal_take(journal, 1, &place);
	journal_leave(journal, 0);
	journal_leave(journal, 1);
	ck_assert_uint_eq(journal_suspects(journal, first, sizeof first), 0);
}

START_TEST(the_care_ends_behind_the_suspects)
{
	die("logs", 5, 1, SIGKILL);
	struct journal *journal cleanup(journal_free) = open_at(NULL, 0);
	struct journal_place behind = place_of("logs", 6); /* 5 is a hole now */
	(void)journal_take(journal, 0, &behind);
	journal_leave(journal, 0);
	expect_carefree(journal);
}
END_TEST

START_TEST(a_suspect_that_does_not_come_is_let_be)
{
	die("deleted", 5, 1, SIGKILL);
	struct journal *journal cleanup(journal_free) = open_at(NULL, 0);
	for (int i = 0; i < JOURNAL_CAREFUL_MAX; i++) {
		struct journal_place place = place_of("logs", i);
		ck_assert_uint_eq(journal_take(journal, 0, &place).deaths, 0);
		journal_leave(journal, 0);
	}
	expect_carefree(journal);
	struct journal_place late = place_of("deleted", 5);
	ck_assert_uint_eq(journal_take(journal, 0, &late).deaths, 1); /* and is still known */
	journal_leave(journal, 0);
}
END_TEST

/* Whatever stands in the file, the next run starts. */
START_TEST(a_damaged_file_is_no_obstacle)
{
	static char page[1 << 20];
	char first[512];
	uint64_t random = 0x9e3779b97f4a7c15;
	die("logs", 5, 1, SIGKILL);
	FILE *file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	size_t size = fread(page, 1, sizeof page, file);
	(void)fclose(file);
	for (int i = 0; i < 50; i++) {
		file = fopen(path, "w");
		for (int k = 0; i > 0 && k < 400; k++) {
			random = random * 6364136223846793005 + 1442695040888963407;
			page[8 + (random >> 32) % (size - 8)] = (char)(random >> 24);
		}
		ck_assert_uint_eq(fwrite(page, 1, i % 5 == 4 ? size / 2 : size, file),
				  i % 5 == 4 ? size / 2 : size);
		(void)fclose(file);
		(void)suspects(first, sizeof first);
		(void)deaths("logs", 5);
		page[11] = page[10] = page[9] = 0;
	}
	file = fopen(path, "w");
	(void)fputs("not a journal", file);
	(void)fclose(file);
	ck_assert_uint_eq(suspects(first, sizeof first), 0);
}
END_TEST

/* --- what works on an epoch --- */

START_TEST(a_death_inside_an_epoch_makes_them_smaller)
{
	ck_assert_uint_eq(epoch_messages(), UINT_MAX);
	die("logs", 5, 1, SIGKILL);
	ck_assert_uint_eq(epoch_messages(), UINT_MAX);
	die_at_work(0, -1, true);
	ck_assert_uint_eq(epoch_messages(), JOURNAL_SMALL_EPOCH);
	ck_assert_uint_eq(epoch_messages(), JOURNAL_SMALL_EPOCH); /* the culprit is still ahead */
	die_at_work(0, -1, true);
	ck_assert_uint_eq(epoch_messages(), 1);
	die_at_work(0, 9, true);
	die_at_work(0, 9, true);
	ck_assert_uint_eq(epoch_messages(), 1);
	ck_assert_uint_eq(step("logs", 9), JOURNAL_REFUSE);
}
END_TEST

START_TEST(who_is_killed_from_outside_reads_on_as_before)
{
	for (int i = 0; i < 4; i++)
		die_at_work(0, -1, false);
	ck_assert_uint_eq(epoch_messages(), UINT_MAX);
}
END_TEST

START_TEST(a_late_death_does_not_make_them_single)
{
	die_at_work(0, -1, true);
	die_at_work(JOURNAL_SINGLE_MAX, -1, true);
	ck_assert_uint_eq(epoch_messages(), JOURNAL_SMALL_EPOCH);
	die_at_work(JOURNAL_SINGLE_MAX - 1, -1, true);
	ck_assert_uint_eq(epoch_messages(), 1);
}
END_TEST

START_TEST(what_a_hand_explains_does_not)
{
	die_at_work(0, 9, true);
	ck_assert_uint_eq(epoch_messages(), JOURNAL_SMALL_EPOCH); /* one death explains nothing */
	die_at_work(0, 9, true);
	ck_assert_uint_eq(epoch_messages(), JOURNAL_SMALL_EPOCH);
	ck_assert_uint_eq(step("logs", 9), JOURNAL_REFUSE);
}
END_TEST

START_TEST(epochs_grow_again_when_no_culprit_comes)
{
	const unsigned most[] = {JOURNAL_CAREFUL_MAX, JOURNAL_SINGLE_MAX};
	for (unsigned i = 0; i < 2; i++) {
		(void)unlink(path);
		for (unsigned k = 0; k <= i; k++)
			die_at_work(0, -1, true);
		struct journal *journal = open_at(NULL, 0);
		read_messages(journal, most[i] - 1);
		ck_assert_uint_ne(journal_epoch_messages(journal), UINT_MAX);
		read_messages(journal, 1);
		ck_assert_uint_eq(journal_epoch_messages(journal), UINT_MAX);
		journal_free(&journal);
		ck_assert_uint_eq(epoch_messages(), UINT_MAX); /* and stay so */
	}
}
END_TEST

START_TEST(one_worker_reads_in_epochs_of_one_message)
{
	struct journal *journal cleanup(journal_free) = open_at(NULL, 0);
	ck_assert(journal_reserve(journal, 3));
	ck_assert(!journal_reserve(journal, 3));
	ck_assert(!journal_reserve(journal, 0));
	journal_release(journal, 3);
	ck_assert(journal_reserve(journal, 0));
}
END_TEST

START_TEST(a_run_that_ends_in_order_has_empty_hands)
{
	char first[64];
	struct journal *journal = open_at(NULL, 0);
	struct journal_place place = place_of("logs", 7);
	(void)journal_take(journal, 0, &place);
	journal_enter(journal);
	journal_free(&journal);
	ck_assert_uint_eq(suspects(first, sizeof first), 0);
	ck_assert_uint_eq(epoch_messages(), UINT_MAX);
}
END_TEST

static void fill(TCase *tests)
{
	tcase_add_checked_fixture(tests, dying_setup, NULL);
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, a_message_in_hand_at_two_crashes_is_refused);
	tcase_add_test(tests, other_deaths_take_longer_to_be_believed);
	tcase_add_test(tests, a_death_with_empty_hands_has_no_suspect);
	tcase_add_test(tests, two_bad_messages_take_turns);
	tcase_add_test(tests, what_the_store_has_is_forgotten);
	tcase_add_test(tests, an_old_suspicion_is_forgotten_and_a_refusal_is_not);
	tcase_add_test(tests, a_full_table_forgets_the_oldest_suspicion);
	tcase_add_test(tests, one_message_at_a_time_while_a_suspect_is_ahead);
	tcase_add_test(tests, the_care_ends_behind_the_suspects);
	tcase_add_test(tests, a_suspect_that_does_not_come_is_let_be);
	tcase_add_test(tests, a_damaged_file_is_no_obstacle);
	tcase_add_test(tests, a_death_inside_an_epoch_makes_them_smaller);
	tcase_add_test(tests, who_is_killed_from_outside_reads_on_as_before);
	tcase_add_test(tests, a_late_death_does_not_make_them_single);
	tcase_add_test(tests, what_a_hand_explains_does_not);
	tcase_add_test(tests, epochs_grow_again_when_no_culprit_comes);
	tcase_add_test(tests, one_worker_reads_in_epochs_of_one_message);
	tcase_add_test(tests, a_run_that_ends_in_order_has_empty_hands);
}

int main(void)
{
	dying_begin();
	int code = run_suite("journal", fill);
	dying_end();
	return code;
}
