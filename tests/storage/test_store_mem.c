/* What only the store in memory has: failure on demand; and threads, under the sanitizers (RocksDB
 * is not instrumented, so the same test over it would prove nothing). */
#include <pthread.h>

#include "storage/store.h"

#include "tests/storage/fixture.h"

static void put_text(struct store_batch *batch, const char *key, const char *value)
{
	store_batch_put(batch, FAMILY_CELL, text_of(key), text_of(value));
}

static bool has(struct store *store, const char *key)
{
	struct error err = {0};
	struct bytes value cleanup(bytes_done) = {0};
	return store_get(store, FAMILY_CELL, text_of(key), &value, &err) == OK;
}

START_TEST(test_fail_at)
{
	struct error err = {0};
	struct store *store cleanup(store_free) = NULL;
	ck_ok(store_open_memory(&store, &err), err);
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	store_memory_fail_at(store, 2, ENOSPACE);
	put_text(batch, "first", "1");
	ck_ok(store_batch_commit(batch, true, &err), err);
	put_text(batch, "second", "2");
	put_text(batch, "third", "3");
	ck_assert_int_eq(store_batch_commit(batch, true, &err), ENOSPACE);
	ck_assert_int_eq(err.status, ENOSPACE);
	ck_assert(has(store, "first") && !has(store, "second") && !has(store, "third"));
	ck_ok(store_batch_commit(batch, true, &err), err); /* the same batch, later */
	ck_assert(has(store, "second") && has(store, "third"));

	store_memory_fail_at(store, 1, ESYSTEM);
	store_memory_fail_at(store, 0, OK); /* never */
	put_text(batch, "fourth", "4");
	ck_ok(store_batch_commit(batch, false, &err), err);
}
END_TEST

START_TEST(test_bytes)
{
	struct error err = {0};
	struct store *store cleanup(store_free) = NULL;
	ck_ok(store_open_memory(&store, &err), err);
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	ck_assert_uint_eq(store_bytes(store), 0);
	put_text(batch, "key", "12345");
	put_text(batch, "key", "1"); /* the later put of a batch wins */
	ck_ok(store_batch_commit(batch, false, &err), err);
	ck_assert_uint_eq(store_bytes(store), 4);
	store_batch_delete(batch, FAMILY_CELL, TEXT("key"));
	store_batch_delete(batch, FAMILY_CELL, TEXT("never there"));
	ck_ok(store_batch_commit(batch, false, &err), err);
	ck_assert_uint_eq(store_bytes(store), 0);
}
END_TEST

enum { ROUNDS = 3000, NAMES = 200 };

struct reader {
	struct store *store;
	pthread_t thread;
	bool torn; /* checks of a thread that Check does not know */
};

/* Every batch writes one number to all keys: a scan that sees two numbers saw half a batch. */
static void *read_for_long(void *context)
{
	struct reader *reader = context;
	struct text none = {0};
	for (int i = 0; i < ROUNDS / 10 && !reader->torn; i++) {
		struct error err = {0};
		struct store_scan *scan cleanup(store_scan_free) = NULL;
		if (store_scan_new(reader->store, FAMILY_SEEN, none, none, &scan, &err) != OK)
			reader->torn = true;
		struct text key;
		struct text value;
		char first = '\0';
		size_t count = 0;
		while (!reader->torn && store_scan_next(scan, &key, &value)) {
			first = count++ == 0 ? value.data[0] : first;
			reader->torn = value.size != 1 || value.data[0] != first;
		}
		if (count != 0 && count != NAMES)
			reader->torn = true;
	}
	return NULL;
}

START_TEST(test_readers_beside_a_writer)
{
	struct error err = {0};
	struct store *store cleanup(store_free) = NULL;
	ck_ok(store_open_memory(&store, &err), err);
	struct reader readers[3];
	for (size_t i = 0; i < 3; i++) {
		readers[i] = (struct reader){.store = store};
		ck_assert_int_eq(
			pthread_create(&readers[i].thread, NULL, read_for_long, &readers[i]), 0);
	}
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	for (int round = 0; round < ROUNDS / 10; round++) {
		for (int i = 0; i < NAMES; i++) {
			char key[16];
			char value = (char)('a' + round % 20);
			int size = snprintf(key, sizeof key, "%d", i * 7919 % 1000);
			store_batch_put(batch, FAMILY_SEEN, (struct text){key, (size_t)size},
					(struct text){&value, 1});
		}
		ck_ok(store_batch_commit(batch, false, &err), err);
	}
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(pthread_join(readers[i].thread, NULL), 0);
		ck_assert(!readers[i].torn);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store_mem");
	TCase *tests = tcase_create("store_mem");
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, test_fail_at);
	tcase_add_test(tests, test_bytes);
	tcase_add_test(tests, test_readers_beside_a_writer);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
