/* Damage at random places of a store's files: whatever is flipped, cut or deleted, the store either
 * does not open and says why, or gives the right answer, or says that it is incomplete. */
#include "storage/verify.h"

#include <dirent.h>
#include <sys/stat.h>

#include "storage/merge.h"
#include "storage/search.h"
#include "tests/storage/put_block.h"

enum { ARENA_BYTES = 1 << 28, EVENTS = 3000, ROUNDS = 70, ROUNDS_LONG = 700, FILES_MAX = 64 };

static char *folder;
static const struct verify_options plain = {0};

struct file {
	char name[256];
	struct bytes content;
};
static struct file files[FILES_MAX];
static size_t file_count;

static struct store *open_store(bool read_only, struct error *err)
{
	struct store *store = NULL;
	struct store_options options = {.path = folder,
					.create = !read_only,
					.read_only = read_only,
					.memory_bytes = 4 << 20};
	return store_open(&options, &store, err) == OK ? store : NULL;
}

static void put_events(struct store *store, size_t first, size_t count)
{
	struct error err = {0};
	uint64_t seed = first;
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	for (size_t i = first; i < first + count; i++) {
		struct event event = {.time_us = 1800000000000000 + (int64_t)i * 1000,
				      .origin = {TEXT("logs"), 0, 0, (int64_t)i},
				      .owner = i % 3 == 0 ? TEXT("t1") : TEXT("t2")};
		struct text id =
			arena_print(arena, "%016llx%016llx", (unsigned long long)random_next(&seed),
				    (unsigned long long)random_next(&seed));
		ck_assert_int_eq(event_add(&event, arena, TEXT("trace.id"),
					   (struct value){.type = VALUE_STRING, .text = id}),
				 OK);
		ck_assert_int_eq(block_add(builder, &event), OK);
		if ((i + 1) % 100 != 0)
			continue;
		struct bytes row cleanup(bytes_done) = {0};
		struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
		put_block(builder, batch, TEXT("logs"), 0);
		/* How far the store is, as the epoch row says in a daemon. */
		bytes_put_varint(&row, i + 1);
		store_batch_put(batch, FAMILY_REGISTRY, TEXT("reached"), bytes_text(&row));
		ck_ok(store_batch_commit(batch, false, &err), err);
	}
}

static void files_keep(void)
{
	DIR *entries = opendir(folder);
	ck_assert_ptr_nonnull(entries);
	file_count = 0;
	for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
		char path[1024];
		char buffer[4096];
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "picket.lock") == 0 ||
		    strncmp(entry->d_name, "LOG", 3) == 0 || strcmp(entry->d_name, "LOCK") == 0)
			continue;
		ck_assert_uint_lt(file_count, FILES_MAX);
		struct file *file = &files[file_count++];
		bytes_clear(&file->content);
		(void)snprintf(file->name, sizeof file->name, "%s", entry->d_name);
		(void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		FILE *from = fopen(path, "r");
		ck_assert_ptr_nonnull(from);
		for (size_t size; (size = fread(buffer, 1, sizeof buffer, from)) > 0;)
			bytes_put(&file->content, buffer, size);
		(void)fclose(from);
	}
	(void)closedir(entries);
}

static void file_write(const struct file *file, struct text content)
{
	char path[1024];
	(void)snprintf(path, sizeof path, "%s/%s", folder, file->name);
	FILE *to = fopen(path, "w");
	ck_assert_ptr_nonnull(to);
	if (content.size > 0) /* the WAL of a store that was just opened */
		ck_assert_uint_eq(fwrite(content.data, 1, content.size, to), content.size);
	(void)fclose(to);
}

/* The folder as it was: what a writer has made goes too. */
static void files_restore(void)
{
	char *path = strdup(folder);
	folder_remove(&path);
	ck_assert_int_eq(mkdir(folder, 0700), 0);
	for (size_t i = 0; i < file_count; i++)
		file_write(&files[i], bytes_text(&files[i].content));
}

static void setup(void)
{
	struct error err = {0};
	struct merge_report report;
	folder = folder_new();
	struct store *store = open_store(false, &err);
	ck_assert_ptr_nonnull(store);
	put_events(store, 0, EVENTS / 2);
	ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
	store_free(&store);
	store = open_store(false, &err); /* what was in the WAL is in tables now */
	put_events(store, EVENTS / 2, EVENTS / 2);
	files_keep(); /* as a killed process leaves them: half of it in the WAL */
	store_free(&store);
	files_restore();
}

static void teardown(void)
{
	for (size_t i = 0; i < file_count; i++)
		bytes_done(&files[i].content);
	folder_remove(&folder);
}

/* Damages one file; false when that changed nothing. */
static bool damage(uint64_t *seed, const struct file *file)
{
	struct bytes bad cleanup(bytes_done) = {0};
	char path[1024];
	bytes_put(&bad, file->content.data, file->content.size);
	if (bad.size == 0)
		return false;
	switch (random_below(seed, 4)) {
	case 0:
		(void)snprintf(path, sizeof path, "%s/%s", folder, file->name);
		ck_assert_int_eq(unlink(path), 0);
		return true;
	case 1:
		bad.size = random_below(seed, bad.size);
		break;
	default:
		bad.data[random_below(seed, bad.size)] ^=
			(unsigned char)(1 + random_below(seed, 255));
	}
	file_write(file, bytes_text(&bad));
	return true;
}

static uint64_t reached(struct store *store)
{
	struct error err = {0};
	struct bytes row cleanup(bytes_done) = {0};
	if (store_get(store, FAMILY_REGISTRY, TEXT("reached"), &row, &err) != OK)
		return 0;
	struct cursor from = cursor_of(bytes_text(&row));
	return cursor_varint(&from);
}

/* What a search and verify say; true: the answer was whole and right. */
static bool look(struct store *store, const char *what)
{
	struct error err = {0};
	struct search_result result = {0};
	struct verify_report report;
	struct bytes next cleanup(bytes_done) = {0};
	struct search_options options = {
		.store = store,
		.since_us = INT64_MIN,
		.until_us = INT64_MAX,
		.place = {.partition = -1, .last_offset = INT64_MAX, .index = -1},
		.limit = SEARCH_HITS_MAX,
	};
	enum status status = search_run(&options, &result, &err);
	if (status != OK) {
		ck_assert_str_ne(err.text, "");
		return false;
	}
	bool complete = result.report.complete;
	size_t count = result.hit_count;
	search_result_done(&result);
	if (!complete)
		return false;
	/* A WAL that was cut or flipped takes the store back as a whole, and it says how far. */
	ck_assert_msg(count == EVENTS || count == reached(store), "%s: %zu events, reached %llu",
		      what, count, (unsigned long long)reached(store));
	status = store_verify(store, TEXT(""), &plain, &report, &next, &err);
	ck_assert(status != OK || report.damaged > 0 || report.events == count);
	return count == EVENTS;
}

START_TEST(test_damage)
{
	uint64_t seed = 20261122;
	size_t rounds = getenv("PICKET_LONG") != NULL ? ROUNDS_LONG : ROUNDS;
	size_t refused = 0;
	size_t right = 0;
	for (size_t round = 0; round < rounds; round++) {
		struct error err = {0};
		const struct file *file = &files[random_below(&seed, file_count)];
		if (!damage(&seed, file))
			continue;
		/* By turns as an offline reader and as a daemon that starts. */
		struct store *store = open_store(round % 2 == 0, &err);
		if (store == NULL) {
			ck_assert_str_ne(err.text, "");
			refused++;
		} else {
			right += look(store, file->name);
		}
		store_free(&store);
		files_restore();
	}
	ck_assert_uint_gt(refused, 0);
	ck_assert_uint_lt(right, rounds);
}
END_TEST

/* A whole store is whole, in one go or in steps, and so is its copy. */
static bool at_once(void *context)
{
	(void)context;
	return true;
}

static const struct verify_options stepwise = {.cancelled = at_once};

START_TEST(test_whole)
{
	struct error err = {0};
	struct verify_report report;
	struct bytes next cleanup(bytes_done) = {0};
	struct bytes after cleanup(bytes_done) = {0};
	struct store *store = open_store(false, &err);
	ck_assert_ptr_nonnull(store);
	ck_ok(store_verify(store, TEXT(""), &plain, &report, &next, &err), err);
	ck_assert_uint_eq(report.events, EVENTS);
	ck_assert_uint_eq(report.damaged, 0);
	ck_assert_uint_eq(next.size, 0);
	uint64_t events = 0;
	do {
		bytes_clear(&after);
		bytes_put(&after, next.data, next.size);
		ck_ok(store_verify(store, bytes_text(&after), &stepwise, &report, &next, &err),
		      err);
		events += report.events;
	} while (next.size > 0);
	ck_assert_uint_eq(events, EVENTS);
	char *copy = NULL;
	ck_assert_int_gt(asprintf(&copy, "%s-copy", folder), 0);
	ck_ok(store_backup(store, copy, &err), err);
	ck_assert_int_eq(store_backup(store, copy, &err), EINVALID);
	store_free(&store);
	char *original = folder;
	folder = copy;
	store = open_store(true, &err);
	ck_assert_ptr_nonnull(store);
	ck_assert(look(store, "copy"));
	store_free(&store);
	folder_remove(&folder);
	folder = original;
}
END_TEST

static enum status refuse_x(enum store_family family, struct text key, struct text value,
			    struct error *err)
{
	(void)key;
	ck_assert(family > FAMILY_BLOCKMETA);
	return text_equal(value, TEXT("x")) ? error_set(err, ECORRUPT, "an x") : OK;
}

/* Rows of every family are read and judged, and a block that nothing leads to is found; in one go
 * and in steps. */
START_TEST(test_every_family)
{
	static const struct verify_options judged[2] = {
		{.row_check = refuse_x}, {.row_check = refuse_x, .cancelled = at_once}};
	struct error err = {0};
	struct store *store = open_store(false, &err);
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	for (unsigned family = 0; family < FAMILY_COUNT; family++) {
		if (family <= FAMILY_BLOCKMETA)
			continue;
		store_batch_put(batch, family, TEXT("p"), TEXT("x"));
		store_batch_put(batch, family, TEXT("q"), TEXT("y"));
	}
	store_batch_put(batch, FAMILY_EPOCH, TEXT("\0\4logs"), TEXT("?"));
	ck_ok(store_batch_commit(batch, false, &err), err);
	for (size_t i = 0; i < 2; i++) {
		struct bytes next cleanup(bytes_done) = {0};
		struct bytes after cleanup(bytes_done) = {0};
		uint64_t rows = 0;
		uint64_t damaged = 0;
		uint64_t events = 0;
		do {
			struct verify_report report;
			bytes_clear(&after);
			bytes_put(&after, next.data, next.size);
			ck_ok(store_verify(store, bytes_text(&after), &judged[i], &report, &next,
					   &err),
			      err);
			rows += report.rows;
			damaged += report.damaged;
			events += report.events;
		} while (next.size > 0);
		ck_assert_uint_eq(rows, 2 * (FAMILY_COUNT - 3) + 1); /* and "reached" */
		ck_assert_uint_eq(damaged, FAMILY_COUNT - 3 + 1);
		ck_assert_uint_eq(events, EVENTS);
	}
	struct verify_report report;
	struct bytes next cleanup(bytes_done) = {0};
	ck_assert_int_eq(store_verify(store, TEXT("\xff"), &plain, &report, &next, &err), EINVALID);
	store_batch_free(&batch);
	store_free(&store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("verify");
	TCase *tests = tcase_create("verify");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_damage);
	tcase_add_test(tests, test_whole);
	tcase_add_test(tests, test_every_family);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
