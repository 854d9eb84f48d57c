/* The tables of the hot path say what the plain lists say: every row is found under what it waits
 * for, and the format that is recognised is the first whose marks are all set. */
#include "decoding.h"
#include "ingest/format_private.h"

static struct formats *formats;

static void setup(void)
{
	ck_assert_int_eq(formats_new(NULL, 0, &formats, NULL), OK);
}

static void teardown(void)
{
	formats_free(&formats);
}

static uint64_t state;

static size_t random_below(size_t limit)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(state >> 33) % limit;
}

/* Counts the rows of a set; `source`: the number + 1 of the one they wait for, 0 = none. */
static void count_rows(const struct format *format, const uint64_t *set, size_t source,
		       unsigned char found[FORMAT_ROWS_MAX])
{
	for (size_t i = 0; i < format->row_words * 64; i++) {
		if ((set[i / 64] >> (i % 64) & 1) == 0)
			continue;
		ck_assert_uint_lt(i, format->row_count);
		ck_assert_uint_eq(format->rows[i].from.source, source);
		found[i]++;
	}
}

START_TEST(every_row_waits_in_one_place)
{
	size_t rows = 0;
	for (size_t f = 0; f < formats->format_count; f++) {
		const struct format *format = &formats->formats[f];
		unsigned char found[FORMAT_ROWS_MAX] = {0};
		count_rows(format, format->always, 0, found);
		for (size_t source = 0; source < formats->source_count; source++)
			count_rows(format, &format->waiting[source * format->row_words], source + 1,
				   found);
		for (size_t i = 0; i < format->time_count; i++)
			found[format->times[i] - format->rows]++;
		for (size_t i = 0; i < format->row_count; i++)
			ck_assert_msg(found[i] == 1, "%s: row %zu stands in %u places",
				      format->name, i, found[i]);
		rows += format->row_count;
	}
	ck_assert_uint_gt(rows, 1000);
}
END_TEST

/* As the mapping files are read: one format after the other, each of its ways. */
static const struct format *recognise_plainly(const struct marks *marks,
					      const struct format *behind)
{
	for (size_t f = 0; f < formats->format_count; f++) {
		const struct format *format = &formats->formats[f];
		for (size_t k = 0; k < format->alternative_count && format > behind; k++) {
			uint64_t missing = 0;
			for (size_t i = 0; i < FORMAT_MARKS_MAX / 64; i++)
				missing |= format->alternatives[k].bits[i] & ~marks->bits[i];
			if (missing == 0)
				return format;
		}
	}
	return &formats->formats[formats->format_count - 1];
}

/* The marks of some alternatives, some of them lost again, and some by chance. */
static void random_marks(struct marks *marks)
{
	*marks = (struct marks){0};
	for (size_t n = random_below(4); n > 0; n--) {
		const struct format *format =
			&formats->formats[random_below(formats->format_count - 1)];
		size_t way = random_below(format->alternative_count);
		for (size_t i = 0; i < FORMAT_MARKS_MAX / 64; i++)
			marks->bits[i] |= format->alternatives[way].bits[i];
	}
	for (size_t n = random_below(3); n > 0; n--) {
		size_t mark = random_below(formats->mark_count);
		marks->bits[mark / 64] ^= (uint64_t)1 << (mark % 64);
	}
}

START_TEST(the_first_format_whose_marks_are_set)
{
	static struct seen seen;
	size_t known = 0;
	for (int round = 0; round < 20000; round++) {
		random_marks(&seen.marks);
		const struct format *behind =
			round % 4 > 0 ? NULL
				      : &formats->formats[random_below(formats->format_count)];
		const struct format *expected = recognise_plainly(&seen.marks, behind);
		const struct format *got = format_recognise(formats, &seen, behind);
		ck_assert_msg(got == expected, "round %d: %s, not %s", round, got->name,
			      expected->name);
		known += got->alternative_count > 0;
	}
	ck_assert_uint_gt(known, 5000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("format_table");
	TCase *tests = tcase_create("format_table");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, every_row_waits_in_one_place);
	tcase_add_test(tests, the_first_format_whose_marks_are_set);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
