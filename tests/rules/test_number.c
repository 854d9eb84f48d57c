#include "rules/number.h"

#include <math.h>

#include "tests/rules/suite.h"

static struct number number(const char *text)
{
	struct number parsed = {0};
	ck_assert_msg(number_parse(text_of(text), &parsed), "%s", text);
	return parsed;
}

START_TEST(grammar)
{
	static const char *const bad[] = {"",    "-",   "+",     ".5",    "5.",   "1e",
					  "1e+", " 1",  "1 ",    "0x10",  "inf",  "nan",
					  "1,5", "--1", "1.2.3", "1e5.0", "1_000"};
	struct number kept = {.integer = 77};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!number_parse(text_of(bad[i]), &kept), "%s", bad[i]);
	ck_assert(!number_parse(TEXT("1\0"), &kept));
	char digits[NUMBER_TEXT_MAX + 1];
	memset(digits, '1', sizeof digits);
	ck_assert(!number_parse((struct text){digits, sizeof digits}, &kept));
	ck_assert_int_eq(kept.integer, 77);
	ck_assert(number_parse((struct text){digits, NUMBER_TEXT_MAX - 1}, &kept));
	ck_assert(isinf(number("1e999").real));
}
END_TEST

START_TEST(equal_numbers)
{
	static const char *const equal[] = {"4688",  "4688.0", "4.688e3",
					    "+4688", "004688", "46880e-1"};
	struct number first = number(equal[0]);
	for (size_t i = 0; i < sizeof equal / sizeof *equal; i++) {
		struct number other = number(equal[i]);
		ck_assert_int_eq(number_compare(&first, &other), 0);
		ck_assert(number_hash(&first) == number_hash(&other));
	}
	struct number zero = number("0");
	struct number minus = number("-0.0");
	ck_assert_int_eq(number_compare(&zero, &minus), 0);
	ck_assert(number_hash(&zero) == number_hash(&minus));
}
END_TEST

START_TEST(order_is_exact)
{
	static const char *const ascending[] = {
		"-1e999",
		"-9223372036854775809000",
		"-9223372036854775808",
		"-9007199254740993",
		"-9007199254740992",
		"-1.5",
		"-1",
		"-0.5",
		"0",
		"0.1",
		"1",
		"1.5",
		"9007199254740992",
		"9007199254740993",
		"9223372036854775807",
		"9223372036854775808",
		"1e300",
		"1e999",
	};
	size_t count = sizeof ascending / sizeof *ascending;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < count; k++) {
			struct number a = number(ascending[i]);
			struct number b = number(ascending[k]);
			int want = (i > k) - (i < k);
			ck_assert_msg(number_compare(&a, &b) == want, "%s and %s", ascending[i],
				      ascending[k]);
			ck_assert(number_holds(&a, COMPARE_GTE, &b) == (want >= 0));
			ck_assert(number_holds(&a, COMPARE_NEQ, &b) == (want != 0));
		}
}
END_TEST

START_TEST(canonical_text)
{
	static const struct {
		double real;
		const char *text;
	} cases[] = {{4688.0, "4688"},
		     {1e3, "1000"},
		     {-0.0, "0"},
		     {0.1, "0.1"},
		     {1.5, "1.5"},
		     {1e300, "1e+300"},
		     {-9223372036854775808.0, "-9223372036854775808"}};
	char buffer[NUMBER_PRINT_MAX];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct text text = number_print(cases[i].real, buffer);
		ck_assert_msg(text_equal(text, text_of(cases[i].text)), "%s", cases[i].text);
	}
	ck_assert_uint_lt(number_print(-1.2345678901234567e-300, buffer).size, sizeof buffer);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, grammar);
	tcase_add_test(tcase, equal_numbers);
	tcase_add_test(tcase, order_is_exact);
	tcase_add_test(tcase, canonical_text);
}

int main(void)
{
	return run_suite("number", fill);
}
