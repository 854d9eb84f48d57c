#include "rules/bytes.h"

#include <math.h>

#include "tests/rules/suite.h"

START_TEST(everything_goes_round)
{
	static const uint64_t numbers[] = {0,          1,          0x7f,       0x80,
					   0x3fff,     0x4000,     UINT32_MAX, 1ull << 56,
					   1ull << 63, UINT64_MAX, INT64_MAX,  (uint64_t)INT64_MIN};
	struct bytes bytes cleanup(bytes_done) = {0};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		bytes_put_varint(&bytes, numbers[i]);
		bytes_put_signed(&bytes, (int64_t)numbers[i]);
		bytes_put_u8(&bytes, (uint8_t)numbers[i]);
		bytes_put_u32le(&bytes, (uint32_t)numbers[i]);
		bytes_put_u64le(&bytes, numbers[i]);
		bytes_put_be32(&bytes, (uint32_t)numbers[i]);
		bytes_put_be64(&bytes, numbers[i]);
	}
	bytes_put_text(&bytes, TEXT("a\0b"));
	bytes_put_text(&bytes, (struct text){0});
	bytes_put_double(&bytes, -0.0);
	ck_assert_int_eq(bytes_status(&bytes), OK);
	struct cursor cursor = cursor_of(bytes_text(&bytes));
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		ck_assert(cursor_varint(&cursor) == numbers[i]);
		ck_assert(cursor_signed(&cursor) == (int64_t)numbers[i]);
		ck_assert(cursor_u8(&cursor) == (uint8_t)numbers[i]);
		ck_assert(cursor_u32le(&cursor) == (uint32_t)numbers[i]);
		ck_assert(cursor_u64le(&cursor) == numbers[i]);
		ck_assert(cursor_be32(&cursor) == (uint32_t)numbers[i]);
		ck_assert(cursor_be64(&cursor) == numbers[i]);
	}
	ck_assert(text_equal(cursor_text(&cursor), TEXT("a\0b")));
	ck_assert_uint_eq(cursor_text(&cursor).size, 0);
	ck_assert(signbit(cursor_double(&cursor)));
	ck_assert_uint_eq(cursor_left(&cursor), 0);
	ck_assert(!cursor.failed);
}
END_TEST

START_TEST(bytes_are_what_the_header_says)
{
	struct bytes bytes cleanup(bytes_done) = {0};
	bytes_put_varint(&bytes, 300);
	bytes_put_signed(&bytes, -1);
	bytes_put_u32le(&bytes, 0x01020304);
	bytes_put_be32(&bytes, 0x01020304);
	ck_assert(text_equal(bytes_text(&bytes), TEXT("\xac\x02\x01\4\3\2\1\1\2\3\4")));
}
END_TEST

START_TEST(keys_sort_like_numbers)
{
	static const uint64_t ascending[] = {0, 1, 255, 256, 65535, 1ull << 40, UINT64_MAX};
	struct bytes before cleanup(bytes_done) = {0};
	bytes_put_be64(&before, 0);
	for (size_t i = 1; i < sizeof ascending / sizeof *ascending; i++) {
		struct bytes next = {0};
		bytes_put_be64(&next, ascending[i]);
		ck_assert_int_lt(text_compare(bytes_text(&before), bytes_text(&next)), 0);
		bytes_done(&before);
		before = next;
	}
}
END_TEST

START_TEST(reading_never_leaves_its_bytes)
{
	struct cursor cursor = cursor_of(TEXT("\x05"
					      "ab")); /* a text of 5 with 2 there */
	ck_assert_uint_eq(cursor_text(&cursor).size, 0);
	ck_assert(cursor.failed);
	ck_assert_uint_eq(cursor_u8(&cursor), 0); /* failure is sticky */
	ck_assert_uint_eq(cursor_varint(&cursor), 0);
	cursor = cursor_of(TEXT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01zz")); /* size 2^64 - 1 */
	ck_assert_uint_eq(cursor_text(&cursor).size, 0);
	ck_assert(cursor.failed);
	cursor = cursor_of(TEXT("\1\2\3"));
	ck_assert_uint_eq(cursor_u32le(&cursor), 0);
	ck_assert(cursor.failed);
	cursor = cursor_of((struct text){0});
	ck_assert_uint_eq(cursor_left(&cursor), 0);
	ck_assert_uint_eq(cursor_u8(&cursor), 0);
	ck_assert(cursor.failed);
}
END_TEST

START_TEST(bad_varints_fail)
{
	static const struct text bad[] = {
		{"\x80", 1},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10}, /* a 65th bit */
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x80\x01", 11},
		{"", 0},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct cursor cursor = cursor_of(bad[i]);
		ck_assert(cursor_varint(&cursor) == 0);
		ck_assert(cursor.failed);
	}
}
END_TEST

START_TEST(too_much_fails_and_sticks)
{
	struct bytes bytes cleanup(bytes_done) = {0};
	bytes_put(&bytes, "abc", 3);
	ck_assert(!bytes_reserve(&bytes, (size_t)BYTES_MAX + 1));
	ck_assert(!bytes_reserve(&bytes, SIZE_MAX));
	ck_assert_int_eq(bytes_status(&bytes), ENOMEMORY);
	bytes_put_u8(&bytes, 1);
	ck_assert_uint_eq(bytes.size, 3); /* nothing more is written */
	bytes_clear(&bytes);
	ck_assert_int_eq(bytes_status(&bytes), OK);
	for (unsigned i = 0; i < 100000; i++)
		bytes_put_u8(&bytes, (uint8_t)i);
	ck_assert_uint_eq(bytes.size, 100000);
	for (unsigned i = 0; i < 100000; i++)
		if (bytes.data[i] != (uint8_t)i)
			ck_abort_msg("byte %u", i);
}
END_TEST

/* The vectors of RFC 4648, and bytes that are no text. */
START_TEST(base64_is_what_the_standard_says)
{
	static const struct {
		struct text value;
		const char *coded;
	} cases[] = {{TEXT(""), ""},
		     {TEXT("f"), "Zg=="},
		     {TEXT("fo"), "Zm8="},
		     {TEXT("foo"), "Zm9v"},
		     {TEXT("foob"), "Zm9vYg=="},
		     {TEXT("fooba"), "Zm9vYmE="},
		     {TEXT("foobar"), "Zm9vYmFy"},
		     {{"\0\xff\xfb", 3}, "AP/7"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bytes bytes cleanup(bytes_done) = {0};
		bytes_put_base64(&bytes, cases[i].value);
		ck_assert(text_equal(bytes_text(&bytes), text_of(cases[i].coded)));
	}
}
END_TEST

/* Printing fills what room there is to the last byte, grows beyond it, and keeps no zero byte. */
START_TEST(printing_is_cut_nowhere)
{
	struct bytes bytes cleanup(bytes_done) = {0};
	struct bytes expected cleanup(bytes_done) = {0};
	for (int i = 0; i < 600; i++) {
		bytes_print(&bytes, "%d%s", i, i % 3 == 0 ? "," : "");
		if (i >= 100)
			bytes_put_u8(&expected, (uint8_t)('0' + i / 100));
		if (i >= 10)
			bytes_put_u8(&expected, (uint8_t)('0' + i / 10 % 10));
		bytes_put_u8(&expected, (uint8_t)('0' + i % 10));
		if (i % 3 == 0)
			bytes_write(&expected, TEXT(","));
		ck_assert(text_equal(bytes_text(&bytes), bytes_text(&expected)));
	}
	bytes.failed = true;
	bytes_print(&bytes, "%s", "nothing more");
	ck_assert(text_equal(bytes_text(&bytes), bytes_text(&expected)));
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, printing_is_cut_nowhere);
	tcase_add_test(tcase, base64_is_what_the_standard_says);
	tcase_add_test(tcase, everything_goes_round);
	tcase_add_test(tcase, bytes_are_what_the_header_says);
	tcase_add_test(tcase, keys_sort_like_numbers);
	tcase_add_test(tcase, reading_never_leaves_its_bytes);
	tcase_add_test(tcase, bad_varints_fail);
	tcase_add_test(tcase, too_much_fails_and_sticks);
}

int main(void)
{
	return run_suite("bytes", fill);
}
