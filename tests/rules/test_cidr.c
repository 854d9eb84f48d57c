#include "rules/cidr.h"
#include "tests/rules/predicates.h"

static bool contains(const char *outer, const char *inner)
{
	struct cidr a = {0};
	struct cidr b = {0};
	ck_assert_msg(cidr_parse(text_of(outer), &a), "%s", outer);
	return cidr_parse(text_of(inner), &b) && cidr_contains(&a, &b);
}

START_TEST(addresses_inside)
{
	ck_assert(contains("10.0.0.0/8", "10.255.0.1"));
	ck_assert(!contains("10.0.0.0/8", "11.0.0.1"));
	ck_assert(contains("0.0.0.0/0", "255.255.255.255"));
	ck_assert(contains("192.168.1.1", "192.168.1.1"));
	ck_assert(!contains("192.168.1.0/31", "192.168.1.2"));
	ck_assert(contains("172.16.0.0/12", "172.31.255.255"));
	ck_assert(!contains("172.16.0.0/12", "172.32.0.0"));
	ck_assert(contains("2001:db8::/32", "2001:DB8:ffff::1"));
	ck_assert(!contains("2001:db8::/32", "2001:db9::"));
	ck_assert(contains("fe80::/10", "fe80::1%eth0"));
	ck_assert(contains("::/0", "2001:db8::1"));
}
END_TEST

START_TEST(the_two_spellings_of_ipv4)
{
	ck_assert(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
	ck_assert(contains("10.0.0.0/8", "::ffff:0a01:0203"));
	ck_assert(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
	ck_assert(!contains("::/0", "10.1.2.3"));
	ck_assert(!contains("0.0.0.0/0", "::1"));
}
END_TEST

START_TEST(networks_inside)
{
	ck_assert(contains("10.0.0.0/8", "10.1.0.0/16"));
	ck_assert(contains("10.0.0.0/8", "10.0.0.0/8"));
	ck_assert(!contains("10.1.0.0/16", "10.0.0.0/8"));
	ck_assert(contains("2001:db8::/32", "2001:db8:1::/48"));
}
END_TEST

START_TEST(what_is_no_address)
{
	static const char *const bad[] = {
		"",
		"10",
		"10.1",
		"10.0.0.256",
		"010.0.0.1",
		"0x0a.0.0.1",
		"10.0.0.1 ",
		" 10.0.0.1",
		"10.0.0.1/",
		"10.0.0.1/33",
		"10.0.0.1/-1",
		"10.0.0.1/08",
		"10.0.0.1/8/8",
		"::1/129",
		"1::2::3",
		"10.0.0.1:80",
		"[::1]",
		"localhost",
		"167772161",
		"10.0.0.1/8x",
		"::ffff:1.2.3",
		"/8",
		"fe80::1%",
		"12345::",
	};
	struct cidr cidr = {.prefix_bits = 77};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		bool zone = strcmp(bad[i], "fe80::1%") == 0; /* an empty zone names no interface */
		ck_assert_msg(cidr_parse(text_of(bad[i]), &cidr) == zone, "%s", bad[i]);
		cidr.prefix_bits = zone ? 77 : cidr.prefix_bits;
		ck_assert_uint_eq(cidr.prefix_bits, 77); /* written on success only */
	}
	ck_assert(!cidr_parse(TEXT("10.0.0.1\0"), &cidr));
	char longest[300];
	memset(longest, '1', sizeof longest);
	ck_assert(!cidr_parse((struct text){longest, sizeof longest}, &cidr));
}
END_TEST

START_TEST(strictness)
{
	static const struct {
		const char *text;
		bool strict;
	} cases[] = {{"10.0.0.0/8", true},         {"10.0.0.1/8", false},
		     {"10.0.0.1/32", true},        {"::/0", true},
		     {"8000::/0", false},          {"2001:db8::/33", true},
		     {"2001:db8:8000::/33", true}, {"2001:db8:4000::/33", false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct cidr cidr = {0};
		ck_assert(cidr_parse(text_of(cases[i].text), &cidr));
		ck_assert_msg(cidr_is_strict(&cidr) == cases[i].strict, "%s", cases[i].text);
	}
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, addresses_inside);
	tcase_add_test(tcase, the_two_spellings_of_ipv4);
	tcase_add_test(tcase, networks_inside);
	tcase_add_test(tcase, what_is_no_address);
	tcase_add_test(tcase, strictness);
}

int main(void)
{
	return run_suite("cidr", fill);
}
