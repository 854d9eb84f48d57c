#include <check.h>
#include <stdlib.h>

#include "ingest/spill_rows.h"

static struct cell_key key_of(unsigned char number)
{
	return (struct cell_key){{number}};
}

static size_t rows_of(struct store *store)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	size_t count = 0;
	ck_assert_int_eq(store_scan_new(store, FAMILY_CELL, TEXT("s"), TEXT("s"), &scan, NULL), OK);
	while (store_scan_next(scan, &key, &value))
		count++;
	return count;
}

static enum status put(const struct spill *spill, unsigned char number, const char *bytes)
{
	struct spilled cell = {key_of(number), text_of(bytes)};
	return spill->store(spill->context, &cell, 1, NULL);
}

static void check_fetch(const struct spill *spill, unsigned char number, const char *expected)
{
	struct bytes got cleanup(bytes_done) = {0};
	struct error err = {0};
	struct cell_key key = key_of(number);
	enum status status = spill->fetch(spill->context, &key, &got, &err);
	ck_assert_int_eq(status, expected == NULL ? ECORRUPT : OK);
	if (expected != NULL)
		ck_assert(text_equal(bytes_text(&got), text_of(expected)));
	else
		ck_assert_str_eq(err.text, "a spilled cell is not in the store");
}

START_TEST(cells_come_back)
{
	struct store *store cleanup(store_free) = NULL;
	struct spill_rows *rows cleanup(spill_rows_free) = NULL;
	struct spill_rows *next = NULL;
	ck_assert_int_eq(store_open_memory(&store, NULL), OK);
	ck_assert_int_eq(spill_rows_new(store, 3, 0, &rows), OK);
	ck_assert_int_eq(spill_rows_new(store, 3, 1, &next), OK);
	const struct spill *spill = spill_rows_spill(rows);
	ck_assert_int_eq(put(spill, 1, "one"), OK);
	ck_assert_int_eq(put(spill, 2, "two"), OK);
	ck_assert_int_eq(put(spill_rows_spill(next), 1, "of the next actor"), OK);
	check_fetch(spill, 1, "one");
	check_fetch(spill, 2, "two");
	check_fetch(spill, 3, NULL);
	/* Dropped and spilled again: the drop must not take the new bytes away. */
	struct cell_key key = key_of(1);
	spill->drop(spill->context, &key);
	ck_assert_int_eq(put(spill, 1, "once more"), OK);
	check_fetch(spill, 1, "once more");
	ck_assert_uint_eq(rows_of(store), 3);
	spill_rows_free(&next);
	ck_assert_uint_eq(rows_of(store), 2);
	check_fetch(spill, 1, "once more");
	/* A start removes what a killed run left, and nothing else. */
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	static const char kinds[] = "cgnewx"; /* cell_row_key() */
	for (const char *kind = kinds; *kind != '\0'; kind++)
		store_batch_put(batch, FAMILY_CELL, (struct text){(const char[]){*kind, 1}, 2},
				TEXT("a checkpoint"));
	ck_assert_int_eq(store_batch_commit(batch, false, NULL), OK);
	ck_assert_int_eq(spill_rows_clear(store, NULL), OK);
	ck_assert_uint_eq(rows_of(store), 0);
	struct bytes kept cleanup(bytes_done) = {0};
	for (const char *kind = kinds; *kind != '\0'; kind++)
		ck_assert_int_eq(store_get(store, FAMILY_CELL,
					   (struct text){(const char[]){*kind, 1}, 2}, &kept, NULL),
				 OK);
}
END_TEST

/* Every write of the store failing once: all of the cells are there or none, and what was there
 * stays. */
START_TEST(a_failed_write_changes_nothing)
{
	for (unsigned nth = 1; nth <= 3; nth++) {
		struct store *store cleanup(store_free) = NULL;
		struct spill_rows *rows cleanup(spill_rows_free) = NULL;
		ck_assert_int_eq(store_open_memory(&store, NULL), OK);
		ck_assert_int_eq(spill_rows_new(store, 0, 0, &rows), OK);
		const struct spill *spill = spill_rows_spill(rows);
		ck_assert_int_eq(put(spill, 1, "one"), OK);
		ck_assert_int_eq(put(spill, 2, "two"), OK);
		struct cell_key key = key_of(1);
		spill->drop(spill->context, &key);
		store_memory_fail_at(store, nth, ENOSPACE);
		enum status status = put(spill, 1, "new");
		ck_assert_int_eq(status, nth <= 2 ? ENOSPACE : OK);
		store_memory_fail_at(store, 0, OK);
		check_fetch(spill, 2, "two");
		if (status != OK)
			ck_assert_int_eq(put(spill, 1, "new"), OK);
		check_fetch(spill, 1, "new");
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("spill_rows");
	tcase_add_test(tests, cells_come_back);
	tcase_add_test(tests, a_failed_write_changes_nothing);
	Suite *suite = suite_create("spill_rows");
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
