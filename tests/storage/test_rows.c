#include "storage/rows.h"

#include "tests/storage/fixture.h"

/* Any 64 bits, small ones as often as huge ones. */
static uint64_t random_number(uint64_t *seed)
{
	return random_next(seed) >> random_below(seed, 64);
}

static struct position_row random_position(uint64_t *seed, struct arena *arena)
{
	struct position_row row = {
		.topic = random_text(seed, arena, 300),
		.partition = (int32_t)(random_next(seed) & INT32_MAX),
		.next_offset = (int64_t)(random_number(seed) & INT64_MAX),
		.backfill_until = (int64_t)random_number(seed),
		.watermark_us =
			random_below(seed, 3) == 0 ? INT64_MIN : (int64_t)random_number(seed),
		.tick_us = (int64_t)random_number(seed),
		.messages = random_number(seed),
		.stored = random_number(seed) / 2,
		.quarantined = random_number(seed) / 2,
		.late = random_number(seed),
		.gap_offsets = random_number(seed),
		.hole_offsets = random_number(seed),
		.jump_us = (int64_t)random_number(seed),
	};
	row.records = row.stored + row.quarantined;
	return row;
}

START_TEST(test_position)
{
	uint64_t seed = 21;
	struct error err = {0};
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	for (int i = 0; i < 2000; i++) {
		struct position_row row = random_position(&seed, arena);
		struct position_row again = {0};
		bytes_clear(&key);
		bytes_clear(&value);
		position_key(row.topic, row.partition, &key);
		position_encode(&row, &value);
		ck_ok(position_decode(bytes_text(&key), bytes_text(&value), &again, &err), err);
		ck_assert(text_equal(again.topic, row.topic));
		again.topic = row.topic;
		ck_assert_int_eq(again.partition, row.partition);
		size_t from = offsetof(struct position_row, next_offset);
		ck_assert_int_eq(
			memcmp((char *)&again + from, (char *)&row + from, sizeof row - from), 0);
		arena_reset(arena);
	}
}
END_TEST

/* Each of these is a row that a careless reader would have believed. */
START_TEST(test_position_that_makes_no_sense)
{
	struct error err = {0};
	struct position_row row = {.topic = TEXT("logs"), .next_offset = 5, .jump_us = 7};
	struct position_row again = {.partition = 77};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes good cleanup(bytes_done) = {0};
	position_key(row.topic, 3, &key);
	position_encode(&row, &good);
	for (size_t size = 0; size < good.size - 1; size++)
		ck_assert_int_eq(position_decode(bytes_text(&key),
						 (struct text){(char *)good.data, size}, &again,
						 &err),
				 ECORRUPT);
	for (size_t size = 0; size < key.size; size++)
		ck_assert_int_eq(position_decode((struct text){(char *)key.data, size},
						 bytes_text(&good), &again, &err),
				 ECORRUPT);
	ck_assert_ptr_nonnull(strstr(err.text, "position"));
	ck_assert_ptr_nonnull(strstr(err.text, "logs"));
	enum { VERSION_AT = 0, NEXT_OFFSET_AT = 1, RECORDS_AT = 6 };
	static const size_t places[] = {VERSION_AT, NEXT_OFFSET_AT, RECORDS_AT};
	for (size_t i = 0; i < 3; i++) {
		good.data[places[i]] ^= 3;
		ck_assert_int_eq(position_decode(bytes_text(&key), bytes_text(&good), &again, &err),
				 ECORRUPT);
		good.data[places[i]] ^= 3;
	}
	bytes_put_u8(&good, 0);
	ck_assert_int_eq(position_decode(bytes_text(&key), bytes_text(&good), &again, &err),
			 ECORRUPT);
	ck_assert_int_eq(again.partition, 77); /* never written on failure */
	/* A row of before jumps were known: it ends where the jump would stand. */
	struct text older = {(char *)good.data, good.size - 2};
	ck_ok(position_decode(bytes_text(&key), older, &again, &err), err);
	ck_assert_int_eq(again.jump_us, INT64_MIN);
}
END_TEST

START_TEST(test_epoch)
{
	struct error err = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct epoch_row row = {UINT64_MAX, 12, INT64_MIN, 1, 0xfedcba9876543210ull, 1234567};
	struct epoch_row again;
	epoch_encode(&row, &value);
	ck_ok(epoch_decode(bytes_text(&value), &again, &err), err);
	ck_assert_int_eq(memcmp(&again, &row, sizeof row), 0);
	for (size_t size = 0; size < value.size; size++)
		ck_assert_int_eq(
			epoch_decode((struct text){(char *)value.data, size}, &again, &err),
			ECORRUPT);
	value.data[1] =
		1; /* a smaller epoch than its checkpoint's: a varint of more bytes follows */
	ck_assert_int_eq(epoch_decode(bytes_text(&value), &again, &err), ECORRUPT);
	bytes_clear(&value);
	bytes_put(&value, "\1\5\6\0\0\0\0\0\0\0\0\0\0\0", 14); /* epoch 5, checkpoint 6 */
	ck_assert_int_eq(epoch_decode(bytes_text(&value), &again, &err), ECORRUPT);
	value.data[2] = 5;
	ck_ok(epoch_decode(bytes_text(&value), &again, &err), err);
}
END_TEST

START_TEST(test_identity)
{
	struct error err = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct identity_row row = {{1, 0, 255}, {9, 8, 7}, -5};
	struct identity_row again;
	identity_encode(&row, &value);
	ck_ok(identity_decode(bytes_text(&value), &again, &err), err);
	ck_assert_int_eq(memcmp(again.store_id, row.store_id, sizeof row.store_id), 0);
	ck_assert_int_eq(memcmp(again.hash_key, row.hash_key, sizeof row.hash_key), 0);
	ck_assert_int_eq(again.created_us, -5);
	for (size_t size = 0; size < value.size; size++)
		ck_assert_int_eq(
			identity_decode((struct text){(char *)value.data, size}, &again, &err),
			ECORRUPT);
}
END_TEST

START_TEST(test_quarantine)
{
	uint64_t seed = 22;
	struct error err = {0};
	struct arena *arena cleanup(arena_free) = arena_new(1 << 24);
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	for (int i = 0; i < 500; i++) {
		struct quarantine_row row = {
			.origin = {random_text(&seed, arena, 20), 5, 6,
				   (int64_t)(random_number(&seed) & INT64_MAX)},
			.record_time_us = (int64_t)random_number(&seed),
			.reason = random_text(&seed, arena, 20),
			.detail = random_text(&seed, arena, 200),
			.key = random_text(&seed, arena, 50),
			.raw = random_text(&seed, arena, 20000),
		};
		struct quarantine_row again;
		bytes_clear(&key);
		bytes_clear(&value);
		quarantine_key(&row.origin, &key);
		quarantine_encode(&row, &value);
		ck_ok(quarantine_decode(bytes_text(&key), bytes_text(&value), &again, &err), err);
		ck_assert_int_eq(origin_compare(&again.origin, &row.origin), 0);
		ck_assert_int_eq(again.record_time_us, row.record_time_us);
		ck_assert(text_equal(again.reason, row.reason));
		ck_assert(text_equal(again.detail, row.detail));
		ck_assert(text_equal(again.key, row.key));
		ck_assert(text_equal(again.raw, row.raw));
		struct text cut = {(char *)value.data, random_below(&seed, value.size)};
		ck_assert_int_eq(quarantine_decode(bytes_text(&key), cut, &again, &err), ECORRUPT);
		struct text cut_key = {(char *)key.data, random_below(&seed, key.size)};
		ck_assert_int_eq(quarantine_decode(cut_key, bytes_text(&value), &again, &err),
				 ECORRUPT);
		arena_reset(arena);
	}
}
END_TEST

START_TEST(test_missing)
{
	struct error err = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct missing_row row = {.missing = 7, .counted = UINT64_MAX, .last_us = INT64_MIN};
	struct missing_row again;
	missing_encode(&row, &value);
	ck_ok(missing_decode(TEXT("m"), bytes_text(&value), &again, &err), err);
	ck_assert_uint_eq(again.missing, row.missing);
	ck_assert_uint_eq(again.counted, row.counted);
	ck_assert_int_eq(again.last_us, row.last_us);
	for (size_t size = 0; size < value.size; size++)
		ck_assert_int_eq(missing_decode(TEXT("m"), (struct text){(char *)value.data, size},
						&again, &err),
				 ECORRUPT);
}
END_TEST

START_TEST(test_match_keys)
{
	struct error err = {0};
	struct bytes keys[4] = {0};
	match_key(255, 'w', 70000, 1, &keys[0]); /* epochs in order of number, before anything */
	match_key(256, 'a', 0, 0, &keys[1]);
	match_key(256, 'm', 70000, 1, &keys[2]);
	match_key(256, 'w', 0, 0, &keys[3]); /* the watermark behind all that it closes */
	for (int i = 0; i < 3; i++)
		ck_assert_int_lt(text_compare(bytes_text(&keys[i]), bytes_text(&keys[i + 1])), 0);
	uint64_t epoch = 0;
	char kind = 0;
	ck_ok(match_key_decode(bytes_text(&keys[1]), &epoch, &kind, &err), err);
	ck_assert_uint_eq(epoch, 256);
	ck_assert_int_eq(kind, 'a');
	for (size_t size = 0; size < keys[1].size; size++)
		ck_assert_int_eq(match_key_decode((struct text){(char *)keys[1].data, size}, &epoch,
						  &kind, &err),
				 ECORRUPT);
	keys[1].data[8] = 'x';
	ck_assert_int_eq(match_key_decode(bytes_text(&keys[1]), &epoch, &kind, &err), ECORRUPT);
	for (int i = 0; i < 4; i++)
		bytes_done(&keys[i]);
}
END_TEST

START_TEST(test_registry_keys)
{
	uint64_t seed = 23;
	struct error err = {0};
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct bytes key cleanup(bytes_done) = {0};
	for (int i = 0; i < 2000; i++) {
		size_t count = random_below(&seed, 5);
		struct text names[4] = {0};
		for (size_t k = 0; k < count; k++)
			names[k] = random_text(&seed, arena, 40);
		int64_t time_us = random_below(&seed, 2) == 0
					  ? -1
					  : (int64_t)(random_number(&seed) & INT64_MAX);
		bytes_clear(&key);
		registry_key('b', names, count, time_us, &key);
		char kind = 0;
		struct text again[4];
		int64_t time_again = 0;
		ck_ok(registry_key_decode(bytes_text(&key), &kind, again, count, &time_again, &err),
		      err);
		ck_assert_int_eq(kind, 'b');
		ck_assert_int_eq(time_again, time_us);
		for (size_t k = 0; k < count; k++)
			ck_assert(text_equal(again[k], names[k]));
		bytes_put_u8(&key, 1);
		ck_assert_int_eq(registry_key_decode(bytes_text(&key), &kind, again, count,
						     &time_again, &err),
				 ECORRUPT);
		arena_reset(arena);
	}
}
END_TEST

/* Four names from a payload, each as long as a value can be, still make a key that is accepted. */
START_TEST(test_registry_key_of_the_longest_names)
{
	static char name[EVENT_VALUE_MAX];
	struct text names[4];
	struct bytes key cleanup(bytes_done) = {0};
	for (int i = 0; i < 4; i++)
		names[i] = (struct text){name, sizeof name};
	registry_key('s', names, 4, 5, &key);
	ck_assert_uint_le(key.size, STORE_KEY_MAX);
}
END_TEST

/* Bytes written down once and for all: a store of today must open tomorrow. */
START_TEST(test_keys_byte_by_byte)
{
	struct bytes key cleanup(bytes_done) = {0};
	static const char position[] = "s\0\4logs\0\0\1\2";
	position_key(TEXT("logs"), 258, &key);
	ck_assert(text_equal(bytes_text(&key), (struct text){position, sizeof position - 1}));
	static const char quarantine[] = "\0\1t\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\3";
	bytes_clear(&key);
	quarantine_key(&(struct origin){TEXT("t"), 1, 3, 2}, &key);
	ck_assert(text_equal(bytes_text(&key), (struct text){quarantine, sizeof quarantine - 1}));
	bytes_clear(&key);
	epoch_key(&key);
	identity_key(&key);
	cell_row_key('g', 255, &key);
	alert_key('u', TEXT("0123"), &key);
	outbox_key(258, &key);
	static const char rest[] = "eig\xffu0123\0\0\0\0\0\0\1\2";
	ck_assert(text_equal(bytes_text(&key), (struct text){rest, sizeof rest - 1}));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rows");
	TCase *tests = tcase_create("rows");
	tcase_add_test(tests, test_position);
	tcase_add_test(tests, test_position_that_makes_no_sense);
	tcase_add_test(tests, test_epoch);
	tcase_add_test(tests, test_identity);
	tcase_add_test(tests, test_quarantine);
	tcase_add_test(tests, test_match_keys);
	tcase_add_test(tests, test_missing);
	tcase_add_test(tests, test_registry_keys);
	tcase_add_test(tests, test_registry_key_of_the_longest_names);
	tcase_add_test(tests, test_keys_byte_by_byte);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
