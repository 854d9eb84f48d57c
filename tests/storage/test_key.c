#include "storage/key_private.h"

#include "storage/rows.h"
#include "tests/storage/fixture.h"

static struct origin random_origin(uint64_t *seed, struct arena *arena)
{
	static const int64_t offsets[] = {0, 1, 255, 256, INT64_MAX};
	struct origin origin = {.topic = random_text(seed, arena, 3)};
	origin.partition = (int32_t)random_below(seed, 3) * 0x3fffffff;
	origin.offset = offsets[random_below(seed, 5)];
	origin.index = (uint32_t)random_below(seed, 3) * 0x7fffffffu;
	return origin;
}

/* Order of keys: topics by size, then bytes; inside of one topic that of origin_compare(). */
START_TEST(test_origins_round_trip_in_order)
{
	uint64_t seed = 11;
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct bytes keys[2] = {0};
	for (int i = 0; i < 3000; i++) {
		struct origin origins[2];
		for (int k = 0; k < 2; k++) {
			origins[k] = random_origin(&seed, arena);
			bytes_clear(&keys[k]);
			key_put_origin(&keys[k], &origins[k]);
			struct cursor from = cursor_of(bytes_text(&keys[k]));
			struct origin again;
			key_take_origin(&from, &again);
			ck_assert(!from.failed && cursor_left(&from) == 0);
			ck_assert_int_eq(origin_compare(&again, &origins[k]), 0);
		}
		int order = text_compare(bytes_text(&keys[0]), bytes_text(&keys[1]));
		if (text_equal(origins[0].topic, origins[1].topic)) {
			int expected = origin_compare(&origins[0], &origins[1]);
			ck_assert_int_eq((order > 0) - (order < 0),
					 (expected > 0) - (expected < 0));
		} else {
			ck_assert_int_ne(order, 0);
		}
		arena_reset(arena);
	}
	bytes_done(&keys[0]);
	bytes_done(&keys[1]);
}
END_TEST

/* Beyond the limit names stay different, have one form, and that form fits. */
START_TEST(test_long_names)
{
	static char long_name[70000];
	struct bytes keys[3] = {0};
	memset(long_name, 'n', sizeof long_name);
	key_put_name(&keys[0], (struct text){long_name, sizeof long_name});
	key_put_name(&keys[1], (struct text){long_name, sizeof long_name - 1});
	key_put_name(&keys[2], (struct text){long_name, sizeof long_name});
	ck_assert(!text_equal(bytes_text(&keys[0]), bytes_text(&keys[1])));
	ck_assert(text_equal(bytes_text(&keys[0]), bytes_text(&keys[2])));
	struct cursor from = cursor_of(bytes_text(&keys[0]));
	struct text name = key_take_name(&from);
	ck_assert(!from.failed && cursor_left(&from) == 0);
	ck_assert_uint_eq(name.size, ROW_NAME_MAX);
	bytes_clear(&keys[1]);
	key_put_name(&keys[1], name); /* a key made from a key is the same key */
	ck_assert(text_equal(bytes_text(&keys[0]), bytes_text(&keys[1])));
	bytes_clear(&keys[1]);
	key_put_name(&keys[1], (struct text){long_name, ROW_NAME_MAX}); /* just fits, unchanged */
	from = cursor_of(bytes_text(&keys[1]));
	name = key_take_name(&from);
	ck_assert(text_equal(name, (struct text){long_name, ROW_NAME_MAX}));
	for (int i = 0; i < 3; i++)
		bytes_done(&keys[i]);
}
END_TEST

START_TEST(test_damaged_keys)
{
	static const unsigned char negative_partition[] = {0, 0, 0x80, 0, 0, 0, 0, 0, 0,
							   0, 0, 0,    0, 0, 0, 0, 0, 0};
	static const unsigned char negative_offset[] = {0, 0, 0, 0, 0, 0, 0xff, 0, 0,
							0, 0, 0, 0, 0, 0, 0,    0, 0};
	static const unsigned char long_name[] = {0xff, 0xff, 'a'};
	struct origin origin;
	struct cursor from = cursor_of(
		(struct text){(const char *)negative_partition, sizeof negative_partition});
	key_take_origin(&from, &origin);
	ck_assert(from.failed);
	from = cursor_of((struct text){(const char *)negative_offset, sizeof negative_offset});
	key_take_origin(&from, &origin);
	ck_assert(from.failed);
	from = cursor_of((struct text){(const char *)long_name, sizeof long_name});
	(void)key_take_name(&from);
	ck_assert(from.failed);
}
END_TEST

START_TEST(test_words)
{
	char words[KEY_WORDS_MAX];
	ck_assert_str_eq(key_words((struct text){"s\0\4logs\xff\\", 9}, words),
			 "s\\x00\\x04logs\\xff\\x5c");
	ck_assert_str_eq(key_words((struct text){0}, words), "");
	for (size_t size = 0; size < 500; size++) {
		static char key[500];
		const char *cut = key_words((struct text){key, size}, words);
		ck_assert_uint_lt(strlen(cut), KEY_WORDS_MAX);
		ck_assert_int_eq(strstr(cut, "...") != NULL, 4 * size > strlen(cut));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("key");
	TCase *tests = tcase_create("key");
	tcase_add_test(tests, test_origins_round_trip_in_order);
	tcase_add_test(tests, test_long_names);
	tcase_add_test(tests, test_damaged_keys);
	tcase_add_test(tests, test_words);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
