#include "rules/arena.h"

#include <stdint.h>

#include "rules/error.h"
#include "tests/rules/suite.h"

START_TEST(memory_is_aligned_zeroed_and_apart)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 24);
	unsigned char *blocks[200];
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 200; i++) {
			blocks[i] = arena_alloc(arena, i * 13);
			ck_assert_ptr_nonnull(blocks[i]);
			ck_assert_uint_eq((uintptr_t)blocks[i] % 16, 0);
			for (size_t k = 0; k < i * 13; k++)
				if (blocks[i][k] != 0)
					ck_abort_msg("byte %zu of block %zu is not zero", k, i);
			memset(blocks[i], (int)i + 1, i * 13);
		}
		for (size_t i = 1; i < 200; i++)
			ck_assert(blocks[i][0] == (unsigned char)(i + 1) &&
				  blocks[i][i * 13 - 1] == (unsigned char)(i + 1));
		arena_reset(arena);
		ck_assert_uint_eq(arena_used(arena), 0);
	}
}
END_TEST

START_TEST(the_limit_holds)
{
	struct arena *arena cleanup(arena_free) = arena_new(1000);
	ck_assert_ptr_nonnull(arena_alloc(arena, 600));
	ck_assert_ptr_null(arena_alloc(arena, 401));
	ck_assert_ptr_null(arena_alloc(arena, SIZE_MAX));
	ck_assert_ptr_nonnull(arena_alloc(arena, 400));
	ck_assert_uint_eq(arena_used(arena), 1000);
	ck_assert_ptr_null(arena_alloc(arena, 1));
	ck_assert_ptr_null(arena_copy(arena, TEXT("x")).data);
	ck_assert_ptr_null(arena_print(arena, "%d", 5).data);
	arena_reset(arena);
	ck_assert_ptr_nonnull(arena_alloc(arena, 1000));
}
END_TEST

START_TEST(large_and_small_mix)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 26);
	for (int round = 0; round < 4; round++) {
		for (size_t size = 1; size < 4 * 1024 * 1024; size *= 3) {
			unsigned char *block = arena_alloc(arena, size);
			ck_assert_ptr_nonnull(block);
			block[0] = 1;
			block[size - 1] = 1;
		}
		arena_reset(arena);
	}
}
END_TEST

START_TEST(copies_and_prints)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 16);
	char source[] = "a\0b";
	struct text copy = arena_copy(arena, (struct text){source, 3});
	source[0] = 'x';
	ck_assert(text_equal(copy, TEXT("a\0b")));
	ck_assert_int_eq(copy.data[3], '\0');
	struct text nothing = arena_copy(arena, (struct text){0});
	ck_assert_ptr_nonnull(nothing.data);
	ck_assert_uint_eq(nothing.size, 0);
	struct text printed = arena_print(arena, "%s-%d", "rule", 7);
	ck_assert(text_equal(printed, TEXT("rule-7")));
}
END_TEST

START_TEST(freeing_nothing)
{
	struct arena *arena = NULL;
	arena_free(&arena);
	arena = arena_new(1);
	arena_free(&arena);
	ck_assert_ptr_null(arena);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, memory_is_aligned_zeroed_and_apart);
	tcase_add_test(tcase, the_limit_holds);
	tcase_add_test(tcase, large_and_small_mix);
	tcase_add_test(tcase, copies_and_prints);
	tcase_add_test(tcase, freeing_nothing);
}

int main(void)
{
	return run_suite("arena", fill);
}
