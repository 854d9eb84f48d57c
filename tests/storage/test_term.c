#include "storage/term.h"

#include "tests/storage/fixture.h"

static uint64_t hash_of(enum field_id id, const char *text)
{
	struct bytes scratch cleanup(bytes_done) = {0};
	uint64_t hash = 0;
	ck_assert(term_hash(id, text_of(text), &scratch, &hash));
	return hash;
}

/* What a rule calls equal has one hash; what it tells apart has two. */
START_TEST(test_equal)
{
	static const struct {
		enum field_id id;
		const char *a, *b;
		bool equal;
	} cases[] = {
		{FIELD_USER_ID, "Alice", "aLICE", true},
		{FIELD_USER_ID, "alice", "alice ", false},
		{FIELD_USER_ID, "STRASSE", "strasse", true},
		{FIELD_USER_ID, "\xc3\x84", "\xc3\xa4", true}, /* A with diaeresis */
		{FIELD_USER_ID, "a\xff", "a\xef\xbf\xbd", true},
		{FIELD_SOURCE_PORT, "443", "443.0", true},
		{FIELD_SOURCE_PORT, "443", "0443", true},
		{FIELD_TRACE_ID, "12e4", "120000", false}, /* an id, not a number */
		{FIELD_TRACE_ID, "12e4999", "13e4999", false},
		{FIELD_SOURCE_PORT, "9007199254740993", "9007199254740992", false},
		{FIELD_SOURCE_IP, "::ffff:10.0.0.1", "10.0.0.1", true},
		{FIELD_SOURCE_IP, "2001:DB8::1", "2001:db8:0::1", true},
		{FIELD_SOURCE_IP, "10.0.0.1", "10.0.0.2", false},
		{FIELD_USER_ID, "::ffff:10.0.0.1", "10.0.0.1", false},
		{FIELD_SOURCE_IP, "Unknown", "unknown", true},
		{FIELD_OTHER, "", "", true},
		{FIELD_OTHER, "-", "+", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_msg((hash_of(cases[i].id, cases[i].a) ==
			       hash_of(cases[i].id, cases[i].b)) == cases[i].equal,
			      "%s %s", cases[i].a, cases[i].b);
}
END_TEST

START_TEST(test_fold)
{
	struct bytes scratch cleanup(bytes_done) = {0};
	struct text folded;
	struct text plain = TEXT("already.plain-42");
	ck_assert(term_fold(plain, &scratch, &folded));
	ck_assert_ptr_eq(folded.data, plain.data); /* no copy */
	ck_assert(term_fold(TEXT("MiXed\xfe"), &scratch, &folded));
	ck_assert(text_equal(folded, TEXT("mixed\xef\xbf\xbd")));
	ck_assert(term_fold(TEXT(""), &scratch, &folded));
	ck_assert_uint_eq(folded.size, 0);
}
END_TEST

/* Every byte at every place of eight and of the rest: what is folded already is not copied. */
START_TEST(test_fold_places)
{
	struct bytes scratch cleanup(bytes_done) = {0};
	struct text folded;
	for (unsigned byte = 0; byte < 256; byte++) {
		for (size_t place = 0; place < 19; place++) {
			char text[] = "0aze[@`{.9zzz a-b~0";
			text[place] = (char)byte;
			bool as_is = byte < 0x80 && (byte < 'A' || byte > 'Z');
			ck_assert(term_fold((struct text){text, 19}, &scratch, &folded));
			ck_assert_int_eq(folded.data == text, as_is);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("term");
	TCase *tests = tcase_create("term");
	tcase_add_test(tests, test_equal);
	tcase_add_test(tests, test_fold);
	tcase_add_test(tests, test_fold_places);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
