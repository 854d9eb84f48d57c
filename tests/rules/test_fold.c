#include "rules/fold.h"
#include "tests/rules/predicates.h"

static bool folds_to(struct text from, const char *to)
{
	char buffer[256];
	ck_assert_uint_le(fold_size_max(from.size), sizeof buffer);
	struct text folded = {buffer, fold_text(from, buffer)};
	return text_equal(folded, text_of(to));
}

START_TEST(ascii)
{
	for (uint32_t c = 0; c < 0x80; c++) {
		uint32_t want = c >= 'A' && c <= 'Z' ? c + 32 : c;
		ck_assert_uint_eq(fold_code_point(c), want);
	}
	ck_assert(folds_to(TEXT("C:\\Windows\\CMD.EXE @[`{"), "c:\\windows\\cmd.exe @[`{"));
	ck_assert(folds_to(TEXT(""), ""));
}
END_TEST

START_TEST(other_alphabets)
{
	static const struct {
		uint32_t from;
		uint32_t to;
	} cases[] = {
		{0xc9, 0xe9},         {0xd7, 0xd7},     {0xdf, 0xdf},       {0x130, 0x130},
		{0x131, 0x131},       {0x17f, 's'},     {0x212a, 'k'},      {0x23a, 0x2c65},
		{0x3a3, 0x3c3},       {0x3c2, 0x3c3},   {0x410, 0x430},     {0x1e9e, 0xdf},
		{0x13a0, 0x13a0},     {0xab70, 0x13a0}, {0x10400, 0x10428}, {0x1e921, 0x1e943},
		{0x10ffff, 0x10ffff}, {0x4e2d, 0x4e2d},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_msg(fold_code_point(cases[i].from) == cases[i].to, "U+%04X",
			      cases[i].from);
	ck_assert(folds_to(TEXT("\xc3\x89\xe2\x84\xaa"), "\xc3\xa9k"));
	ck_assert(folds_to(TEXT("\xc8\xba\xc8\xba"), "\xe2\xb1\xa5\xe2\xb1\xa5")); /* grows */
}
END_TEST

START_TEST(the_table_is_sound)
{
	size_t changed = 0;
	size_t wrong = 0;
	for (uint32_t c = 0x80; c <= 0x10ffff; c++) {
		uint32_t folded = fold_code_point(c);
		changed += folded != c;
		wrong += folded > 0x10ffff || fold_code_point(folded) != folded; /* idempotent */
		char from[UTF8_SIZE_MAX];
		char to[UTF8_SIZE_MAX];
		wrong += utf8_encode(folded, to) > fold_size_max(utf8_encode(c, from));
	}
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_eq(changed, 1428); /* Unicode 14.0.0 above ASCII */
}
END_TEST

START_TEST(bytes_that_are_no_utf8_stay)
{
	ck_assert(folds_to(TEXT("A\xff"
				"B\xc3"),
			   "a\xff"
			   "b\xc3"));
	ck_assert(folds_to(TEXT("\xc1\x81"), "\xc1\x81"));           /* overlong A */
	ck_assert(folds_to(TEXT("\xed\xa0\x80Z"), "\xed\xa0\x80z")); /* surrogate */
}
END_TEST

START_TEST(utf8_validity)
{
	static const struct text valid[] = {{"", 0},
					    {"a\0b", 3},
					    {"\xc2\x80", 2},
					    {"\xef\xbf\xbf", 3},
					    {"\xf4\x8f\xbf\xbf", 4}};
	static const struct text invalid[] = {{"\x80", 1},
					      {"\xc0\x80", 2},
					      {"\xe0\x9f\xbf", 3},
					      {"\xed\xa0\x80", 3},
					      {"\xf0\x8f\xbf\xbf", 4},
					      {"\xf4\x90\x80\x80", 4},
					      {"\xe2\x82", 2},
					      {"\xf5", 1}};
	struct arena *arena cleanup(arena_free) = arena_new(1 << 16);
	for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) {
		ck_assert(utf8_is_valid(valid[i]));
		ck_assert_ptr_eq(utf8_mend(valid[i], arena).data, valid[i].data);
	}
	for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
		ck_assert(!utf8_is_valid(invalid[i]));
		struct text mended = utf8_mend(invalid[i], arena);
		ck_assert(utf8_is_valid(mended));
		ck_assert_uint_eq(mended.size, 3 * invalid[i].size);
	}
	struct text mixed = utf8_mend(TEXT("a\xff\xc3\xa9"), arena);
	ck_assert(text_equal(mixed, TEXT("a\xef\xbf\xbd\xc3\xa9")));
	ck_assert(utf8_is_ascii(TEXT("0123456789abcdef\x7f")));
	ck_assert(!utf8_is_ascii(TEXT("01234567\x80")));
	ck_assert(!utf8_is_ascii(TEXT("\x80"
				      "01234567")));
}
END_TEST

START_TEST(encoding_goes_round)
{
	size_t wrong = 0;
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		char buffer[UTF8_SIZE_MAX];
		size_t size = utf8_encode(c, buffer);
		wrong += utf8_size((struct text){buffer, size}, 0) != size ||
			 utf8_decode(buffer, size) != c;
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, ascii);
	tcase_add_test(tcase, other_alphabets);
	tcase_add_test(tcase, the_table_is_sound);
	tcase_add_test(tcase, bytes_that_are_no_utf8_stay);
	tcase_add_test(tcase, utf8_validity);
	tcase_add_test(tcase, encoding_goes_round);
}

int main(void)
{
	return run_suite("fold", fill);
}
