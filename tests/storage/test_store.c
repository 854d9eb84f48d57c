/* Both stores against a model that cannot be wrong: the same random operations, the same answers.
 */
#include "storage/store.h"

#include "tests/storage/fixture.h"

enum { KEYS_MAX = 400, FAMILIES = 3 };

struct model_row {
	struct text key, value;
};

/* One sorted array per family. */
struct model {
	struct model_row rows[FAMILIES][KEYS_MAX];
	size_t counts[FAMILIES];
};

static const enum store_family families[FAMILIES] = {FAMILY_BLOCK, FAMILY_POSITION, FAMILY_CELL};

static size_t model_place(const struct model *model, size_t family, struct text key)
{
	size_t at = 0;
	while (at < model->counts[family] && text_compare(model->rows[family][at].key, key) < 0)
		at++;
	return at;
}

static void model_put(struct model *model, size_t family, struct text key, struct text value)
{
	size_t at = model_place(model, family, key);
	struct model_row *rows = model->rows[family];
	bool there = at < model->counts[family] && text_equal(rows[at].key, key);
	if (!there) {
		ck_assert_uint_lt(model->counts[family], KEYS_MAX);
		memmove(&rows[at + 1], &rows[at], (model->counts[family] - at) * sizeof *rows);
		model->counts[family]++;
	}
	rows[at] = (struct model_row){key, value};
}

static void model_delete(struct model *model, size_t family, struct text key)
{
	size_t at = model_place(model, family, key);
	struct model_row *rows = model->rows[family];
	if (at == model->counts[family] || !text_equal(rows[at].key, key))
		return;
	model->counts[family]--;
	memmove(&rows[at], &rows[at + 1], (model->counts[family] - at) * sizeof *rows);
}

/* Few different bytes and short, so that keys meet and prefixes are prefixes; 0xff on purpose. */
static struct text random_key(uint64_t *seed, struct arena *arena)
{
	static const unsigned char letters[] = {0x00, 'a', 0xfe, 0xff};
	size_t size = random_below(seed, 5);
	char *key = arena_alloc(arena, size + 1);
	for (size_t i = 0; i < size; i++)
		key[i] = (char)letters[random_below(seed, 4)];
	return (struct text){key, size};
}

static void check_scan(struct store_scan *scan, const struct model *model, size_t family,
		       struct text prefix, struct text from)
{
	struct error err = {0};
	struct text key;
	struct text value;
	for (size_t i = 0; i < model->counts[family]; i++) {
		const struct model_row *row = &model->rows[family][i];
		if (!text_starts(row->key, prefix) || text_compare(row->key, from) < 0)
			continue;
		ck_assert(store_scan_next(scan, &key, &value));
		ck_assert(text_equal(key, row->key));
		ck_assert(text_equal(value, row->value));
	}
	ck_assert(!store_scan_next(scan, &key, &value));
	ck_assert(!store_scan_next(scan, &key, &value)); /* the end stays the end */
	ck_ok(store_scan_status(scan, &err), err);
}

static void check_get(struct store *store, const struct model *model, size_t family,
		      struct text key)
{
	struct error err = {0};
	struct bytes value cleanup(bytes_done) = {0};
	bytes_put(&value, "old", 3);
	size_t at = model_place(model, family, key);
	bool there = at < model->counts[family] && text_equal(model->rows[family][at].key, key);
	enum status status = store_get(store, families[family], key, &value, &err);
	ck_assert_int_eq(status, there ? OK : ENOTFOUND);
	if (there)
		ck_assert(text_equal(bytes_text(&value), model->rows[family][at].value));
}

static void random_batch(struct store *stores[2], struct model *model, uint64_t *seed,
			 struct arena *arena)
{
	struct error err = {0};
	struct store_batch *batches[2] = {store_batch_new(stores[0]), store_batch_new(stores[1])};
	for (size_t n = random_below(seed, 20); n > 0; n--) {
		size_t family = random_below(seed, FAMILIES);
		struct text key = random_key(seed, arena);
		bool is_put = random_below(seed, 3) > 0;
		struct text value = random_text(seed, arena, 100);
		for (size_t i = 0; i < 2; i++)
			if (is_put)
				store_batch_put(batches[i], families[family], key, value);
			else
				store_batch_delete(batches[i], families[family], key);
		if (is_put)
			model_put(model, family, key, value);
		else
			model_delete(model, family, key);
	}
	ck_assert_uint_eq(store_batch_bytes(batches[0]), store_batch_bytes(batches[1]));
	for (size_t i = 0; i < 2; i++) {
		ck_ok(store_batch_commit(batches[i], random_below(seed, 50) == 0, &err), err);
		ck_assert_uint_eq(store_batch_bytes(batches[i]), 0);
		ck_ok(store_batch_commit(batches[i], false, &err), err); /* empty: nothing */
		store_batch_free(&batches[i]);
	}
}

/* A scan begun before a batch must not see it. */
static void check_old_scan(struct store *stores[2], struct model *model, uint64_t *seed,
			   struct arena *arena)
{
	struct error err = {0};
	static struct model before;
	before = *model;
	size_t family = random_below(seed, FAMILIES);
	struct text prefix = random_key(seed, arena);
	struct text from = random_key(seed, arena);
	if (prefix.size > 2)
		prefix.size = random_below(seed, 3);
	struct store_scan *scans[2] = {NULL, NULL};
	for (size_t i = 0; i < 2; i++)
		ck_ok(store_scan_new(stores[i], families[family], prefix, from, &scans[i], &err),
		      err);
	random_batch(stores, model, seed, arena);
	for (size_t i = 0; i < 2; i++) {
		check_scan(scans[i], &before, family, prefix, from);
		store_scan_free(&scans[i]);
	}
}

START_TEST(test_against_the_model)
{
	uint64_t seed = 42;
	struct error err = {0};
	char *path cleanup(folder_remove) = folder_new();
	struct arena *arena cleanup(arena_free) = arena_new(1 << 28);
	struct store *rocks cleanup(store_free) = NULL;
	struct store *memory cleanup(store_free) = NULL;
	struct store_options options = {.path = path, .create = true, .memory_bytes = 8 << 20};
	ck_ok(store_open(&options, &rocks, &err), err);
	ck_ok(store_open_memory(&memory, &err), err);
	static struct model model;
	memset(&model, 0, sizeof model);
	for (int round = 0; round < 1500; round++) {
		struct store *stores[2] = {rocks, memory};
		check_old_scan(stores, &model, &seed, arena);
		struct text key = random_key(&seed, arena);
		size_t family = random_below(&seed, FAMILIES);
		check_get(rocks, &model, family, key);
		check_get(memory, &model, family, key);
		if (round % 300 == 299) { /* what was committed is there after closing */
			store_free(&rocks);
			ck_ok(store_open(&options, &rocks, &err), err);
		}
	}
	uint64_t bytes = 0;
	for (size_t family = 0; family < FAMILIES; family++)
		for (size_t i = 0; i < model.counts[family]; i++)
			bytes += model.rows[family][i].key.size + model.rows[family][i].value.size;
	ck_assert_uint_eq(store_bytes(memory), bytes);
	ck_assert_uint_gt(store_bytes(rocks), 0);
}
END_TEST

/* The first error of a put sticks, comes out at commit, and nothing is written. */
START_TEST(test_sticky_error)
{
	struct error err = {0};
	char *path cleanup(folder_remove) = folder_new();
	static char long_key[STORE_KEY_MAX + 1];
	struct store *stores[2] = {NULL, NULL};
	struct store_options options = {.path = path, .create = true, .memory_bytes = 8 << 20};
	ck_ok(store_open(&options, &stores[0], &err), err);
	ck_ok(store_open_memory(&stores[1], &err), err);
	for (size_t i = 0; i < 2; i++) {
		struct bytes value cleanup(bytes_done) = {0};
		struct store_batch *batch cleanup(store_batch_free) = store_batch_new(stores[i]);
		store_batch_put(batch, FAMILY_ALERT, TEXT("before"), TEXT("x"));
		store_batch_put(batch, FAMILY_ALERT, (struct text){long_key, sizeof long_key},
				TEXT("x"));
		store_batch_put(batch, FAMILY_ALERT, TEXT("behind"), TEXT("x"));
		for (int again = 0; again < 2; again++)
			ck_assert_int_eq(store_batch_commit(batch, false, &err), ELIMIT);
		ck_assert_int_eq(store_get(stores[i], FAMILY_ALERT, TEXT("before"), &value, &err),
				 ENOTFOUND);
		store_batch_free(&batch);
		batch = store_batch_new(stores[i]);
		store_batch_put(batch, FAMILY_ALERT, (struct text){long_key, STORE_KEY_MAX},
				(struct text){0});
		ck_ok(store_batch_commit(batch, false, &err), err);
		ck_ok(store_get(stores[i], FAMILY_ALERT, (struct text){long_key, STORE_KEY_MAX},
				&value, &err),
		      err);
		ck_assert_uint_eq(value.size, 0);
	}
	store_free(&stores[0]);
	store_free(&stores[1]);
	store_free(&stores[1]); /* NULL is fine */
}
END_TEST

/* A row that was written again since it was looked at stays; one that was not goes. */
START_TEST(test_delete_same)
{
	struct error err = {0};
	char *path cleanup(folder_remove) = folder_new();
	struct store *stores[2] = {NULL, NULL};
	struct store_options options = {.path = path, .create = true, .memory_bytes = 8 << 20};
	ck_ok(store_open(&options, &stores[0], &err), err);
	ck_ok(store_open_memory(&stores[1], &err), err);
	for (size_t i = 0; i < 2; i++) {
		struct bytes value cleanup(bytes_done) = {0};
		struct store_batch *batch cleanup(store_batch_free) = store_batch_new(stores[i]);
		struct store_batch *other cleanup(store_batch_free) = store_batch_new(stores[i]);
		store_batch_put(batch, FAMILY_ALERT, TEXT("kept"), TEXT("old"));
		store_batch_put(batch, FAMILY_ALERT, TEXT("gone"), TEXT("old"));
		ck_ok(store_batch_commit(batch, false, &err), err);
		store_batch_delete_same(batch, FAMILY_ALERT, TEXT("kept"), TEXT("old"));
		store_batch_delete_same(batch, FAMILY_ALERT, TEXT("gone"), TEXT("old"));
		store_batch_delete_same(batch, FAMILY_ALERT, TEXT("never"), TEXT("old"));
		store_batch_put(other, FAMILY_ALERT, TEXT("kept"), TEXT("new"));
		ck_ok(store_batch_commit(other, false, &err), err);
		ck_ok(store_batch_commit(batch, true, &err), err);
		ck_assert_int_eq(store_get(stores[i], FAMILY_ALERT, TEXT("gone"), &value, &err),
				 ENOTFOUND);
		ck_ok(store_get(stores[i], FAMILY_ALERT, TEXT("kept"), &value, &err), err);
		ck_assert(text_equal(bytes_text(&value), TEXT("new")));
		ck_ok(store_batch_commit(batch, false, &err), err); /* empty: it asks for nothing */
	}
	/* What was settled once is not taken for granted a second time. */
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(stores[1]);
	store_batch_delete_same(batch, FAMILY_ALERT, TEXT("kept"), TEXT("new"));
	store_memory_fail_at(stores[1], 1, ENOSPACE);
	ck_assert_int_eq(store_batch_commit(batch, false, &err), ENOSPACE);
	ck_assert_int_eq(store_batch_commit(batch, false, &err), ENOSPACE);
	store_batch_free(&batch);
	store_free(&stores[0]);
	store_free(&stores[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store");
	TCase *tests = tcase_create("store");
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, test_against_the_model);
	tcase_add_test(tests, test_sticky_error);
	tcase_add_test(tests, test_delete_same);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
