/* Many literals in one pass: everything that is there is found, nothing else, wherever it stands.
 */
#include "rules/fold.h"
#include "rules/scanner.h"
#include "tests/rules/predicates.h"

enum { IDS = 3000 };

struct found {
	unsigned hits[IDS];
	size_t last_place;
};

static void note(void *context, uint32_t id, size_t place)
{
	struct found *found = context;
	ck_assert_uint_lt(id, IDS);
	found->hits[id]++;
	found->last_place = place;
}

/* `~` in a pattern is a windash. */
static struct scan_pattern pattern_of(struct bench *b, uint32_t id, const char *pattern)
{
	struct predicate predicate = glob_predicate(b, "f", text_of(pattern));
	return (struct scan_pattern){id, predicate.glob.tokens, predicate.glob.token_count};
}

static const struct scanner *scanner_of(struct bench *b, const char *const *patterns, size_t count)
{
	struct scan_pattern *all = bench_alloc(b, count * sizeof *all);
	for (uint32_t i = 0; i < count; i++) {
		all[i] = pattern_of(b, i, patterns[i]);
		ck_assert(scanner_takes(all[i].tokens, all[i].token_count));
	}
	const struct scanner *scanner = NULL;
	ck_assert_int_eq(scanner_new(all, count, b->arena, &scanner), OK);
	return scanner;
}

static struct found scan(struct bench *b, const struct scanner *scanner, struct text text)
{
	struct found found = {0};
	scanner_scan(scanner, scanner_text(fold_copy(text, b->arena), b->arena), note, &found);
	return found;
}

START_TEST(every_place_and_every_size)
{
	static const char *const patterns[] = {
		"ab", "abc", "abcd", "abcde", "abcdefg", "abcdefgh", "abcdefghijklmnop",
		"zz", "hij"};
	struct bench *b cleanup(bench_done) = bench_new();
	const struct scanner *scanner = scanner_of(b, patterns, 9);
	for (size_t before = 0; before < 20; before++) {
		char text[64];
		memset(text, '.', sizeof text);
		memcpy(text + before, "ABCDEFGHIJKLMNOP", 16);
		struct found found = scan(b, scanner, (struct text){text, before + 16});
		for (size_t i = 0; i < 9; i++)
			ck_assert_uint_eq(found.hits[i], i != 7);
		/* One byte short: the longest is not there. */
		found = scan(b, scanner, (struct text){text, before + 15});
		ck_assert_uint_eq(found.hits[6], 0);
		ck_assert_uint_eq(found.hits[5], 1);
		/* The first byte cut off. */
		found = scan(b, scanner, (struct text){text + before + 1, 15});
		ck_assert_uint_eq(found.hits[0] + found.hits[3] + found.hits[6], 0);
		ck_assert_uint_eq(found.hits[8], 1);
	}
	ck_assert_uint_eq(scan(b, scanner, TEXT("")).hits[0], 0);
	ck_assert_uint_eq(scan(b, scanner, TEXT("a")).hits[0], 0);
	ck_assert_uint_eq(scan(b, scanner, TEXT("zzzz")).hits[7], 3);
}
END_TEST

START_TEST(dashes_and_other_letters)
{
	static const char *const patterns[] = {"~e", "x~y~z", "a-b", "\xc3\xa9\xc3\xa8", "kiss"};
	static const char *const dashes[] = {"-", "/", "\xe2\x80\x93", "\xe2\x80\x94",
					     "\xe2\x80\x95"};
	struct bench *b cleanup(bench_done) = bench_new();
	const struct scanner *scanner = scanner_of(b, patterns, 5);
	for (size_t i = 0; i < 25; i++) {
		struct text text = arena_print(b->arena, " %sE x%sY%sZ", dashes[i % 5],
					       dashes[i / 5], dashes[i % 5]);
		struct found found = scan(b, scanner, text);
		ck_assert_uint_eq(found.hits[0], 1);
		ck_assert_uint_eq(found.hits[1], 1);
		ck_assert_uint_eq(found.hits[2], 0);
	}
	ck_assert_uint_eq(scan(b, scanner,
			       TEXT("\xe2\x80\x96"
				    "e"))
				  .hits[0],
			  0);
	ck_assert_uint_eq(scan(b, scanner, TEXT("\xc3\x89\xc3\x88")).hits[3], 1);
	ck_assert_uint_eq(scan(b, scanner, TEXT("\xe2\x84\xaaI\xc5\xbfS")).hits[4], 1);
	/* A hit of a literal with a dash is necessary, not sufficient. */
	ck_assert_uint_eq(scan(b, scanner, TEXT("a/b")).hits[2], 1);
	struct scan_pattern dash = pattern_of(b, 0, "a-b");
	struct scan_pattern windash = pattern_of(b, 0, "a~b");
	ck_assert(!scanner_proves(dash.tokens, dash.token_count));
	ck_assert(scanner_proves(windash.tokens, windash.token_count));
}
END_TEST

START_TEST(what_cannot_be_scanned_is_not_taken)
{
	struct bench *b cleanup(bench_done) = bench_new();
	static const char *const refused[] = {"a",      "-",       "~",           "\xe2\x80\x93",
					      "ab\xff", "\xa9xyz", "abc\xe2\x80", "\xe2\x84\xaa"};
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct scan_pattern pattern = pattern_of(b, 0, refused[i]);
		ck_assert_msg(!scanner_takes(pattern.tokens, pattern.token_count), "%zu", i);
	}
	static const char *const taken[] = {"ab", "~a", "~~", "\xc3\xa9",
					    "\xe2\x84\xaa\xe2\x84\xaa"};
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
		struct scan_pattern pattern = pattern_of(b, 0, taken[i]);
		ck_assert_msg(scanner_takes(pattern.tokens, pattern.token_count), "%zu", i);
	}
	ck_assert(!scanner_takes(NULL, 0));
}
END_TEST

START_TEST(thousands_that_share_everything)
{
	struct bench *b cleanup(bench_done) = bench_new();
	const char **patterns = bench_alloc(b, IDS * sizeof *patterns);
	for (unsigned i = 0; i < IDS; i++)
		patterns[i] = arena_print(b->arena, "common beginning %04u common end", i).data;
	const struct scanner *scanner = scanner_of(b, patterns, IDS);
	for (unsigned i = 0; i < IDS; i += 7) {
		struct text text = arena_print(b->arena, "xx %s yy", patterns[i]);
		struct found found = scan(b, scanner, text);
		unsigned hits = 0;
		for (unsigned k = 0; k < IDS; k++)
			hits += found.hits[k];
		ck_assert_uint_eq(hits, 1);
		ck_assert_uint_eq(found.hits[i], 1);
		ck_assert_uint_eq(found.last_place, 3);
	}
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, every_place_and_every_size);
	tcase_add_test(tcase, dashes_and_other_letters);
	tcase_add_test(tcase, what_cannot_be_scanned_is_not_taken);
	tcase_add_test(tcase, thousands_that_share_everything);
}

int main(void)
{
	return run_suite("scanner", fill);
}
