#include "tests/correlate/fixture.h"

static struct match_record sample(void)
{
	return (struct match_record){
		.virtual_partition = 7,
		.state_id = UINT64_C(0x1122334455667788),
		.flags = RECORD_LATE,
		.time_us = -5,
		.tenant = TEXT("acme"),
		.group = TEXT("\x05"
			      "alice"
			      "\x00"),
		.origin = {TEXT("logs"), INT32_MAX, UINT32_MAX, INT64_MAX},
		.context = TEXT("\x01"
				"a"
				"\x01"
				"b"),
	};
}

START_TEST(a_record_comes_back)
{
	struct match_record record = sample();
	struct bytes encoded cleanup(bytes_done) = {0};
	record_encode(&record, &encoded);
	record_encode(&record, &encoded);
	struct cursor from = cursor_of(bytes_text(&encoded));
	for (int i = 0; i < 2; i++) {
		struct match_record back;
		ck_assert_int_eq(record_decode(&from, &back, NULL), OK);
		ck_assert_uint_eq(back.virtual_partition, 7);
		ck_assert_uint_eq(back.state_id, record.state_id);
		ck_assert_uint_eq(back.flags, RECORD_LATE);
		ck_assert_int_eq(back.time_us, -5);
		ck_assert(text_equal(back.tenant, record.tenant));
		ck_assert(text_equal(back.group, record.group));
		ck_assert(text_equal(back.context, record.context));
		ck_assert_int_eq(origin_compare(&back.origin, &record.origin), 0);
	}
	ck_assert_uint_eq(cursor_left(&from), 0);
}
END_TEST

/* Every cut and every flipped bit is either refused or another whole record; nothing is read
 * beyond the end (AddressSanitizer watches: the copy is exactly as large as the bytes). */
START_TEST(damage_is_noticed_or_harmless)
{
	struct match_record record = sample();
	struct bytes encoded cleanup(bytes_done) = {0};
	record_encode(&record, &encoded);
	for (size_t size = 0; size <= encoded.size; size++) {
		char *copy = malloc(size + (size == 0));
		memcpy(copy, encoded.data, size);
		struct cursor from = cursor_of((struct text){copy, size});
		struct match_record back;
		struct error err;
		enum status status = record_decode(&from, &back, &err);
		ck_assert_int_eq(status, size == encoded.size ? OK : ECORRUPT);
		free(copy);
	}
	for (size_t bit = 0; bit < encoded.size * 8; bit++) {
		encoded.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
		struct cursor from = cursor_of(bytes_text(&encoded));
		struct match_record back;
		struct error err;
		if (record_decode(&from, &back, &err) == OK) {
			struct bytes again cleanup(bytes_done) = {0};
			record_encode(&back, &again);
			ck_assert_uint_gt(again.size, 0);
		}
		encoded.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
}
END_TEST

START_TEST(what_is_no_sequence_is_refused)
{
	struct match_record record = sample();
	struct bytes encoded cleanup(bytes_done) = {0};
	struct match_record back;
	record.group = TEXT("\x09"
			    "short");
	record_encode(&record, &encoded);
	struct cursor from = cursor_of(bytes_text(&encoded));
	ck_assert_int_eq(record_decode(&from, &back, NULL), ECORRUPT);
	bytes_clear(&encoded);
	record = sample();
	record.context = TEXT("\x01"
			      "a"); /* a name without a value */
	record_encode(&record, &encoded);
	from = cursor_of(bytes_text(&encoded));
	ck_assert_int_eq(record_decode(&from, &back, NULL), ECORRUPT);
}
END_TEST

/* The boundary between tenant and group counts, the key counts, and every partition is used. */
START_TEST(hashes_keep_tenants_apart)
{
	struct hash_key other = {"another secret ."};
	struct cell_key ab_c = record_cell_key(&test_key, 1, TEXT("ab"), TEXT("c"));
	struct cell_key a_bc = record_cell_key(&test_key, 1, TEXT("a"), TEXT("bc"));
	struct cell_key state = record_cell_key(&test_key, 2, TEXT("ab"), TEXT("c"));
	struct cell_key keyed = record_cell_key(&other, 1, TEXT("ab"), TEXT("c"));
	struct cell_key again = record_cell_key(&test_key, 1, TEXT("ab"), TEXT("c"));
	ck_assert_mem_ne(&ab_c, &a_bc, sizeof ab_c);
	ck_assert_mem_ne(&ab_c, &state, sizeof ab_c);
	ck_assert_mem_ne(&ab_c, &keyed, sizeof ab_c);
	ck_assert_mem_eq(&ab_c, &again, sizeof ab_c);
	unsigned hits[VIRTUAL_PARTITIONS] = {0};
	for (int i = 0; i < 64 * VIRTUAL_PARTITIONS; i++) {
		char group[16];
		(void)snprintf(group, sizeof group, "%d", i);
		hits[virtual_partition_of(&test_key, TEXT("t"), text_of(group))]++;
	}
	for (int i = 0; i < VIRTUAL_PARTITIONS; i++)
		ck_assert(hits[i] > 16 && hits[i] < 160);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("record");
	tcase_add_test(tests, a_record_comes_back);
	tcase_add_test(tests, damage_is_noticed_or_harmless);
	tcase_add_test(tests, what_is_no_sequence_is_refused);
	tcase_add_test(tests, hashes_keep_tenants_apart);
	return run_tests("record", tests);
}
