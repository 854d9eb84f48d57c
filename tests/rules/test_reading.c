/* Values by slot, and their texts: canonical, folded, normal. */
#include "tests/rules/predicates.h"

static struct reading reading_of(struct bench *b)
{
	struct reading reading = {0};
	ck_assert_int_eq(reading_new(b->program, &reading), OK);
	reading_open(&reading, &b->event);
	return reading;
}

static struct bench *bench_with_rules(void)
{
	struct bench *b = bench_new();
	add_rule(b, glob_of(b, "f", "x"));
	add_rule(b, glob_of(b, "g", "x"));
	compile(b);
	event_begin(b);
	return b;
}

START_TEST(members_of_one_field_are_chained_in_order)
{
	struct bench *b cleanup(bench_done) = bench_with_rules();
	put_string(b, "f", "one");
	put_string(b, "nobody", "asks");
	put_string(b, "g", "else");
	put_string(b, "f", "two");
	struct reading reading cleanup(reading_done) = reading_of(b);
	ck_assert_uint_eq(reading.slot_count, 2);
	uint32_t first = reading.first[b->program->checks[0].slot];
	ck_assert_uint_eq(first, 0);
	ck_assert_uint_eq(reading.views[0].next, 3);
	ck_assert_uint_eq(reading.views[3].next, VIEW_NONE);
	ck_assert_uint_eq(reading.views[1].slot, SLOT_NONE);
	struct event nothing = {0};
	reading_open(&reading, &nothing); /* the next event starts clean */
	ck_assert_uint_eq(reading.slot_count, 0);
	ck_assert_uint_eq(reading.first[b->program->checks[0].slot], VIEW_NONE);
}
END_TEST

START_TEST(texts_of_values)
{
	struct bench *b cleanup(bench_done) = bench_with_rules();
	put_string(b, "f", "A/B\xe2\x80\x94\xc3\x89");
	put_boolean(b, "f", true);
	put_real(b, "f", "1e3");
	put_real(b, "f", "18446744073709551617");
	put_string(b, "f", "a\xff");
	put_nothing(b, "f", VALUE_NULL);
	put_nothing(b, "f", VALUE_EMPTY);
	struct reading reading cleanup(reading_done) = reading_of(b);
	static const char *const texts[] = {"A/B\xe2\x80\x94\xc3\x89", "true", "1000",
					    "18446744073709551617", "a\xef\xbf\xbd"};
	for (size_t i = 0; i < 5; i++)
		ck_assert_msg(text_equal(view_text(&reading, &reading.views[i]), text_of(texts[i])),
			      "%zu", i);
	struct view *view = &reading.views[0];
	ck_assert(text_equal(view_folded(&reading, view), TEXT("a/b\xe2\x80\x94\xc3\xa9")));
	ck_assert(text_equal(view_normal(&reading, view), TEXT("a-b-\xc3\xa9")));
	ck_assert_ptr_eq(view_normal(&reading, view).data, view->normal.data); /* once */
	ck_assert(!view->is_ascii);
	ck_assert(view_is_member(view));
	ck_assert(!view_is_member(&reading.views[5]));
	ck_assert(!view_is_member(&reading.views[6]));
	ck_assert_int_eq(reading.status, OK);
}
END_TEST

START_TEST(nothing_to_free_twice)
{
	struct reading reading = {0};
	reading_done(&reading);
	struct bench *b cleanup(bench_done) = bench_with_rules();
	reading = reading_of(b);
	reading_done(&reading);
	ck_assert_ptr_null(reading.views);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, members_of_one_field_are_chained_in_order);
	tcase_add_test(tcase, texts_of_values);
	tcase_add_test(tcase, nothing_to_free_twice);
}

int main(void)
{
	return run_suite("reading", fill);
}
