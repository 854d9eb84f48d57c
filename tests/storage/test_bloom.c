#include "storage/bloom.h"

#include "tests/storage/fixture.h"

enum { VALUES = 4096, STRANGERS = 100000 };

/* Nothing that was put in is denied; of strangers one in fifty at most is not. */
START_TEST(test_promise)
{
	uint64_t seed = 3;
	static uint64_t hashes[VALUES];
	for (size_t count = 1; count <= VALUES; count *= 4) {
		struct bytes bloom cleanup(bytes_done) = {0};
		size_t admitted = 0;
		for (size_t i = 0; i < count; i++)
			hashes[i] = random_next(&seed);
		bloom_put(&bloom, hashes, count);
		ck_assert(bloom_check(bytes_text(&bloom)));
		ck_assert_uint_le(bloom.size, 9 + 64 + count * 10 / 8);
		for (size_t i = 0; i < count; i++)
			ck_assert(bloom_may_hold(bytes_text(&bloom), hashes[i]));
		for (size_t i = 0; i < STRANGERS; i++)
			admitted += bloom_may_hold(bytes_text(&bloom), random_next(&seed));
		ck_assert_uint_lt(admitted, STRANGERS / 50);
	}
}
END_TEST

START_TEST(test_damage)
{
	struct bytes bloom cleanup(bytes_done) = {0};
	bloom_put(&bloom, NULL, 0);
	ck_assert(bloom_check(bytes_text(&bloom)));
	ck_assert(!bloom_may_hold(bytes_text(&bloom), 1));
	for (size_t size = 0; size < bloom.size; size++)
		ck_assert(!bloom_check((struct text){(const char *)bloom.data, size}));
	for (size_t i = 0; i < bloom.size; i++) {
		bloom.data[i] ^= 4;
		ck_assert(!bloom_check(bytes_text(&bloom)));
		bloom.data[i] ^= 4;
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bloom");
	TCase *tests = tcase_create("bloom");
	tcase_add_test(tests, test_promise);
	tcase_add_test(tests, test_damage);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
