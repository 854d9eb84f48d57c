#include "storage/dictionary_private.h"

#include "tests/storage/fixture.h"

START_TEST(test_numbers_in_order_of_appearance)
{
	struct dictionary dictionary cleanup(dictionary_done) = {0};
	char name[32];
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 5000; i++) {
			uint32_t number = UINT32_MAX;
			int size = snprintf(name, sizeof name, "name %u of %d", i, round);
			struct text entry = {name, (size_t)size};
			ck_assert(dictionary_number(&dictionary, entry, &number));
			ck_assert_uint_eq(number, i);
			ck_assert(text_equal(dictionary_entry(&dictionary, i), entry));
		}
		ck_assert_uint_eq(dictionary.count, 5000);
		dictionary_clear(&dictionary);
		ck_assert_uint_eq(dictionary.entries.size, 0);
	}
}
END_TEST

/* An old entry keeps its number as long as it is found: at half load a run of 16 is rare, and where
 * it happens the entry comes twice, with the same bytes. */
START_TEST(test_old_entries_are_found)
{
	struct dictionary dictionary cleanup(dictionary_done) = {0};
	uint64_t seed = 1;
	char name[32];
	size_t distinct = 0;
	static bool seen[3000];
	for (int i = 0; i < 30000; i++) {
		size_t which = random_below(&seed, 3000);
		uint32_t number = UINT32_MAX;
		int size = snprintf(name, sizeof name, "%zu", which);
		struct text entry = {name, (size_t)size};
		ck_assert(dictionary_number(&dictionary, entry, &number));
		ck_assert(text_equal(dictionary_entry(&dictionary, number), entry));
		distinct += !seen[which];
		seen[which] = true;
	}
	ck_assert_uint_ge(dictionary.count, distinct);
	ck_assert_uint_le(dictionary.count, distinct + distinct / 10);
}
END_TEST

START_TEST(test_empty_and_nul)
{
	struct dictionary dictionary cleanup(dictionary_done) = {0};
	static const struct text entries[] = {{"", 0}, {"\0", 1}, {"\0\0", 2}, {"a", 1}};
	for (int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < 4; i++) {
			uint32_t number = UINT32_MAX;
			ck_assert(dictionary_number(&dictionary, entries[i], &number));
			ck_assert_uint_eq(number, i);
		}
	ck_assert_uint_eq(dictionary.entries.size, 4);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dictionary");
	TCase *tests = tcase_create("dictionary");
	tcase_add_test(tests, test_numbers_in_order_of_appearance);
	tcase_add_test(tests, test_old_entries_are_found);
	tcase_add_test(tests, test_empty_and_nul);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
