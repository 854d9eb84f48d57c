#include "storage/columnar.h"

#include "storage/bloom.h"
#include "storage/summary.h"
#include "storage/term.h"
#include "tests/storage/same_event.h"

enum { ARENA_BYTES = 1 << 30, ROUNDS = 30 };

static struct store *store;

static void setup(void)
{
	struct error err = {0};
	ck_ok(store_open_memory(&store, &err), err);
}

static void teardown(void)
{
	store_free(&store);
}

/* What the format has a form for, and what only looks like it. */
static struct text shaped_text(uint64_t *seed, struct arena *arena, size_t shape)
{
	unsigned a = (unsigned)random_next(seed);
	unsigned b = (unsigned)random_next(seed);
	bool broken = random_below(seed, 400) == 0;
	switch (shape) {
	case 0:
		return arena_print(arena, "%08x%08x%08x%08x", a, b, a ^ 77, b ^ 99);
	case 1:
		return arena_print(arena, "%u.%u.%u.%u%s", a & 255, a >> 8 & 255, b & 255,
				   b >> 8 & 255, broken ? ".1" : "");
	case 2:
		return arena_print(arena, "%08x-%04x-%04x-%04x-%08x%04x%s", a, b & 0xffff, b >> 16,
				   a & 0xffff, b, a >> 16, broken ? "A" : "");
	case 3:
		return arena_print(arena, "2026-0%u-1%uT0%u:5%u:2%u.%03uZ", a % 9 + 1, a % 8, b % 9,
				   b % 10, b % 10, broken ? 1000 : a % 1000);
	case 4:
		return arena_print(arena, "GET /v1/users/%u/items/%03u in %u%019u us", a % 50000,
				   b % 1000, a % 10, b);
	case 5:
		return arena_print(arena, "%s", a % 2 == 0 ? "success" : "failure");
	case 6:
		return arena_print(arena, "user-%u", a % 3000);
	default:
		return arena_print(arena, "000%u0", a % 7);
	}
}

static struct event shaped_event(uint64_t *seed, struct arena *arena)
{
	static const char *const names[] = {"trace.id", "source.ip",     "event.id", "@timestamp",
					    "message",  "event.outcome", "user.id",  "x.y"};
	struct event event = {.time_us = (int64_t)(1800000000000000 + random_below(seed, 1000000)),
			      .record_time_us = (int64_t)random_below(seed, 9)};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct value value = {.type = VALUE_STRING, .text = shaped_text(seed, arena, i)};
		if (i == 7 && random_below(seed, 2) == 0)
			continue; /* not every row has it */
		for (size_t k = 0; k <= (random_below(seed, 50) == 0); k++)
			ck_assert_int_eq(event_add(&event, arena, text_of(names[i]), value), OK);
	}
	struct value number = {.type = VALUE_INTEGER,
			       .integer = (int64_t)random_below(seed, 70000)};
	number.text = arena_print(arena, "%lld", (long long)number.integer);
	ck_assert_int_eq(event_add(&event, arena, TEXT("source.port"), number), OK);
	struct value real = {.type = VALUE_REAL, .real = (double)random_below(seed, 1000) / 8};
	real.text = arena_print(arena, "%.3f", real.real);
	ck_assert_int_eq(event_add(&event, arena, TEXT("load"), real), OK);
	return event;
}

static int event_order(const void *a, const void *b)
{
	const struct event *x = a;
	const struct event *y = b;
	if (x->time_us != y->time_us)
		return x->time_us < y->time_us ? -1 : 1;
	return origin_compare(&x->origin, &y->origin);
}

/* Whether the summary's row of a column admits the value. */
static bool column_admits(struct text key, const struct summary_column *column,
			  const struct field *field, struct bytes *scratch)
{
	struct error err = {0};
	if (column->kind == SUMMARY_NUMBERS)
		return field->value.integer >= column->smallest &&
		       field->value.integer <= column->largest;
	if (column->kind == SUMMARY_BLOOM) {
		uint64_t hash = 0;
		struct bytes row cleanup(bytes_done) = {0};
		struct bytes bloom cleanup(bytes_done) = {0};
		bloom_key(column->name, key, &row);
		ck_ok(store_get(store, FAMILY_BLOCKMETA, bytes_text(&row), &bloom, &err), err);
		ck_assert(bloom_check(bytes_text(&bloom)));
		ck_assert(term_hash(field->id, field->value.text, scratch, &hash));
		return bloom_may_hold(bytes_text(&bloom), hash);
	}
	struct cursor entries = column->entries;
	bool found = column->kind == SUMMARY_PRESENT;
	for (size_t n = 0; n < column->entry_count; n++)
		found |= text_equal(cursor_text(&entries), field->value.text);
	return found;
}

/* One name and type may have several rows (integers that are written oddly): one must admit it. */
static void check_summary(struct text key, struct text value, const struct event *events,
			  size_t count)
{
	struct error err = {0};
	struct summary summary;
	struct bytes scratch cleanup(bytes_done) = {0};
	ck_ok(summary_open(value, &summary, &err), err);
	ck_assert_uint_eq(summary.event_count, count);
	ck_assert_int_eq(summary.first_time_us, events[0].time_us);
	ck_assert_int_eq(summary.last_time_us, events[count - 1].time_us);
	for (size_t i = 0; i < count; i += 1 + count / 20) {
		for (size_t k = 0; k < events[i].field_count; k++) {
			const struct field *field = &events[i].fields[k];
			struct cursor columns = summary.columns;
			struct summary_column column;
			bool admitted = false;
			while (!admitted && summary_column_next(&columns, &column))
				admitted = text_equal(field->name, column.name) &&
					   field->value.type == column.type &&
					   column_admits(key, &column, field, &scratch);
			ck_assert(admitted);
		}
	}
}

/* No column denies a text that is in it. */
static void check_may_have(struct columnar_reader *reader, const struct event *event)
{
	struct error err = {0};
	struct bytes scratch cleanup(bytes_done) = {0};
	for (size_t i = 0; i < event->field_count; i++) {
		const struct field *field = &event->fields[i];
		struct text folded;
		bool admitted = field->value.type != VALUE_STRING;
		ck_assert(term_fold(field->value.text, &scratch, &folded));
		for (size_t k = 0; k < columnar_column_count(reader) && !admitted; k++) {
			struct column_info info = columnar_column(reader, k);
			if (info.type != VALUE_STRING || !text_equal(info.name, field->name))
				continue;
			ck_ok(columnar_may_have(reader, k, folded, &admitted, &err), err);
		}
		ck_assert(admitted);
	}
}

/* Every seventh row alone, one column of it read for all rows before; then every fifth. */
static void check_selected(struct store_view *view, struct text key, const struct event *events)
{
	struct error err = {0};
	struct event event;
	struct column_values values;
	uint16_t rows[BLOCK_EVENTS_MAX];
	struct columnar_reader *reader cleanup(columnar_reader_free) = NULL;
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	ck_ok(columnar_open(view, key, &reader, &err), err);
	if (columnar_column_count(reader) > 0)
		ck_ok(columnar_values(reader, columnar_column_count(reader) / 2, &values, &err),
		      err);
	for (size_t step = 7; step >= 5; step -= 2) {
		size_t count = 0;
		for (size_t row = step / 2; row < columnar_count(reader); row += step)
			rows[count++] = (uint16_t)row;
		ck_ok(columnar_select(reader, rows, count, &err), err);
		for (size_t i = 0; i < count; i++) {
			ck_ok(columnar_event(reader, rows[i], arena, &event, &err), err);
			check_event(&event, &events[rows[i]]);
			check_may_have(reader, &event);
		}
	}
}

/* Reads a block whole, in order and from the middle, and returns how many events it has. */
static size_t check_block(struct store_view *view, struct text key, struct text value,
			  const struct event *events)
{
	struct error err = {0};
	struct event event;
	struct columnar_reader *reader cleanup(columnar_reader_free) = NULL;
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	ck_ok(columnar_open(view, key, &reader, &err), err);
	size_t count = columnar_count(reader);
	check_summary(key, value, events, count);
	ck_ok(columnar_event(reader, count / 2, arena, &event, &err), err);
	check_event(&event, &events[count / 2]);
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(columnar_time(reader, i), events[i].time_us);
		ck_ok(columnar_event(reader, i, arena, &event, &err), err);
		check_event(&event, &events[i]);
	}
	ck_ok(columnar_check(reader, &err), err);
	check_selected(view, key, events);
	return count;
}

/* All blocks, whose events follow each other; how many blocks there are. */
static size_t check_blocks(const struct event *events, size_t count)
{
	struct error err = {0};
	struct text key = {0};
	struct text value = {0};
	struct store_view *view cleanup(store_view_free) = NULL;
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	size_t blocks = 0;
	size_t taken = 0;
	ck_ok(store_view_new(store, &view, &err), err);
	ck_ok(store_view_scan(view, FAMILY_BLOCKMETA, TEXT("M"), TEXT(""), &scan, &err), err);
	for (; store_scan_next(scan, &key, &value); blocks++)
		taken += check_block(view, key, value, events + taken);
	ck_assert_uint_eq(taken, count);
	return blocks;
}

static void clear_store(void)
{
	struct error err = {0};
	struct text key = {0};
	struct text value = {0};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	for (int i = 0; i < 2; i++) {
		enum store_family family = i == 0 ? FAMILY_BLOCK : FAMILY_BLOCKMETA;
		struct store_scan *scan cleanup(store_scan_free) = NULL;
		ck_ok(store_scan_new(store, family, TEXT(""), TEXT(""), &scan, &err), err);
		while (store_scan_next(scan, &key, &value))
			store_batch_delete(batch, family, key);
	}
	ck_ok(store_batch_commit(batch, false, &err), err);
}

static void round_trip(struct columnar_table *table, struct event *events, size_t count)
{
	struct error err = {0};
	uint64_t blocks = 0;
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(columnar_add(table, &events[i]), OK);
	ck_assert_uint_eq(columnar_table_count(table), count);
	ck_ok(columnar_cut(table, batch, &blocks, &err), err);
	ck_assert_uint_eq(columnar_table_count(table), 0);
	ck_ok(store_batch_commit(batch, false, &err), err);
	qsort(events, count, sizeof *events, event_order);
	ck_assert_uint_eq(check_blocks(events, count), blocks);
	clear_store();
}

static void run_rounds(bool shaped, size_t rounds, uint64_t seed)
{
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct columnar_table *table cleanup(columnar_table_free) = columnar_table_new();
	for (size_t round = 0; round < rounds; round++) {
		size_t count = 1 + random_below(&seed, round % 10 == 3 ? 700 : 40);
		if (shaped && round == 1)
			count = BLOCK_EVENTS_MAX + 10;
		struct event *events = arena_alloc(arena, count * sizeof *events);
		struct text owner = random_text(&seed, arena, 3);
		int64_t day =
			(int64_t)random_below(&seed, 40000) * 86400000000 - 86400000000 * 20000;
		for (size_t i = 0; i < count; i++) {
			events[i] =
				shaped ? shaped_event(&seed, arena) : random_event(&seed, arena);
			events[i].owner = owner;
			if (!shaped)
				events[i].time_us = day + (int64_t)random_below(&seed, 99);
			events[i].origin = (struct origin){i % 5 == 0 ? TEXT("b") : TEXT("logs"),
							   (int32_t)(i % 3), (uint32_t)(i % 2),
							   (int64_t)(1000 + count - i)};
		}
		round_trip(table, events, count);
		arena_reset(arena);
	}
}

START_TEST(test_hostile_round_trip)
{
	size_t rounds = getenv("PICKET_LONG") != NULL ? 20000 : ROUNDS;
	run_rounds(false, rounds, 20261122);
}
END_TEST

START_TEST(test_shaped_round_trip)
{
	run_rounds(true, ROUNDS, 7);
}
END_TEST

/* Keys sort as what they say, and no owner's keys begin like another's. */
START_TEST(test_key)
{
	struct error err = {0};
	struct bytes before cleanup(bytes_done) = {0};
	struct columnar_key keys[] = {
		{CLASS_SECURITY, -3, TEXT("t10"), -5, {TEXT("a"), 0, 0, 1}, 7},
		{CLASS_SECURITY, 0, TEXT(""), INT64_MIN, {TEXT("a"), 0, 0, 1}, 7},
		{CLASS_SECURITY, 0, TEXT("t1"), -1, {TEXT("a"), 0, 0, 1}, 7},
		{CLASS_SECURITY, 0, TEXT("t1"), 4, {TEXT("a"), 0, 0, 1}, 7},
		{CLASS_SECURITY, 0, TEXT("t1"), 4, {TEXT("a"), 0, 1, 1}, 7},
		{CLASS_SECURITY, 0, TEXT("t10"), 0, {TEXT("a"), 0, 0, 1}, 7},
		{CLASS_APPLICATION, -9, TEXT("-"), 0, {TEXT("a"), 0, 0, 1}, 7},
	};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		struct bytes key cleanup(bytes_done) = {0};
		struct bytes prefix cleanup(bytes_done) = {0};
		struct columnar_key got;
		columnar_key_encode(&keys[i], &key);
		ck_assert_int_lt(text_compare(bytes_text(&before), bytes_text(&key)), 0);
		ck_ok(columnar_key_decode(bytes_text(&key), &got, &err), err);
		ck_assert_int_eq(got.class, keys[i].class);
		ck_assert_int_eq(got.day, keys[i].day);
		ck_assert_int_eq(got.first_time_us, keys[i].first_time_us);
		ck_assert(text_equal(got.owner, keys[i].owner));
		ck_assert_int_eq(origin_compare(&got.first, &keys[i].first), 0);
		ck_assert_uint_eq(got.rows_hash, 7);
		columnar_key_prefix(CLASS_SECURITY, &(int64_t){0}, &TEXT("t1"), &prefix);
		bool own = keys[i].day == 0 && text_equal(keys[i].owner, TEXT("t1"));
		ck_assert_int_eq(text_starts(bytes_text(&key), bytes_text(&prefix)), own);
		bytes_clear(&before);
		bytes_put(&before, key.data, key.size);
		for (size_t cut = 0; cut < key.size; cut++)
			ck_assert_int_ne(columnar_key_decode((struct text){(char *)key.data, cut},
							     &got, &err),
					 OK);
	}
}
END_TEST

START_TEST(test_classes)
{
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	enum data_class class = CLASS_COUNT;
	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		ck_assert(data_class_find(text_of(data_class_name((enum data_class)i)), &class));
		ck_assert_int_eq(class, i);
	}
	ck_assert(!data_class_find(TEXT("secur"), &class));
	static const struct {
		struct text category;
		enum data_class class;
	} cases[] = {{TEXT("authentication"), CLASS_SECURITY},
		     {TEXT("iam"), CLASS_SECURITY},
		     {TEXT("web"), CLASS_ACCESS},
		     {TEXT("process"), CLASS_APPLICATION}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct event event = {.origin = {TEXT("t"), 0, 0, 1}};
		struct value value = {.type = VALUE_STRING, .text = cases[i].category};
		ck_assert_int_eq(event_add(&event, arena, TEXT("event.category"), value), OK);
		ck_assert_int_eq(data_class_of(&event), cases[i].class);
	}
	struct event cloud = {.logsource.product = TEXT("aws")};
	ck_assert_int_eq(data_class_of(&cloud), CLASS_SECURITY);
	ck_assert_int_eq(day_of_time(-1), -1);
	ck_assert_int_eq(day_of_time(86400000000), 1);
}
END_TEST

/* Any byte that is changed, cut or missing is found, and nothing worse happens. */
START_TEST(test_damage)
{
	uint64_t seed = 99;
	uint64_t blocks = 0;
	struct error err = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct columnar_table *table cleanup(columnar_table_free) = columnar_table_new();
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	for (size_t i = 0; i < 600; i++) {
		struct event event = shaped_event(&seed, arena);
		event.origin = (struct origin){TEXT("logs"), 0, 0, (int64_t)i};
		event.owner = TEXT("t1");
		ck_assert_int_eq(columnar_add(table, &event), OK);
	}
	ck_ok(columnar_cut(table, batch, &blocks, &err), err);
	ck_assert_uint_eq(blocks, 1);
	ck_ok(store_batch_commit(batch, false, &err), err);
	size_t rows = 0;
	struct bytes keys cleanup(bytes_done) = {0};
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	ck_ok(store_scan_new(store, FAMILY_BLOCK, TEXT(""), TEXT(""), &scan, &err), err);
	for (; store_scan_next(scan, &key, &value); rows++)
		bytes_put_text(&keys, key);
	ck_assert_uint_gt(rows, 2);
	for (size_t round = 0; round < 400; round++) {
		struct bytes good cleanup(bytes_done) = {0};
		struct bytes bad cleanup(bytes_done) = {0};
		struct cursor from = cursor_of(bytes_text(&keys));
		for (size_t i = random_below(&seed, rows) + 1; i > 0; i--)
			key = cursor_text(&from);
		ck_ok(store_get(store, FAMILY_BLOCK, key, &good, &err), err);
		bytes_put(&bad, good.data, good.size);
		if (round % 4 == 0)
			bad.size = random_below(&seed, bad.size);
		else
			bad.data[random_below(&seed, bad.size)] ^=
				(unsigned char)(1 + random_below(&seed, 255));
		if (round % 7 == 0)
			store_batch_delete(batch, FAMILY_BLOCK, key);
		else
			store_batch_put(batch, FAMILY_BLOCK, key, bytes_text(&bad));
		ck_ok(store_batch_commit(batch, false, &err), err);
		struct bytes block cleanup(bytes_done) = {0};
		struct store_view *view cleanup(store_view_free) = NULL;
		struct columnar_reader *reader cleanup(columnar_reader_free) = NULL;
		bytes_put(&block, keys.data, keys.size);
		from = cursor_of(bytes_text(&block));
		struct text block_key = cursor_text(&from);
		block_key.size -= 2; /* the number of the part */
		ck_ok(store_view_new(store, &view, &err), err);
		enum status status = columnar_open(view, block_key, &reader, &err);
		struct event event;
		for (size_t i = 0; status == OK && i < 600; i++)
			status = columnar_event(reader, i, arena, &event, &err);
		ck_assert(status == ECORRUPT || status == ENOTFOUND);
		store_batch_put(batch, FAMILY_BLOCK, key, bytes_text(&good));
		ck_ok(store_batch_commit(batch, false, &err), err);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("columnar");
	TCase *tests = tcase_create("columnar");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_hostile_round_trip);
	tcase_add_test(tests, test_shaped_round_trip);
	tcase_add_test(tests, test_key);
	tcase_add_test(tests, test_classes);
	tcase_add_test(tests, test_damage);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
