/* A10: spellings that are one identity, and those that are not. */
#include "rules/identity.h"

#include <check.h>
#include <stdlib.h>

static bool is(struct text t, const char *expected)
{
	return text_equal(t, text_of(expected));
}

static const struct {
	const char *written, *identity;
} users[] = {
	{"alice", "alice"},
	{"Alice", "alice"},
	{" ALICE\t", "alice"},
	{"\xef\xbc\xa1lice", "alice"},      /* full width A */
	{"al\xe2\x80\x8bice", "alice"},     /* zero width space */
	{"al\xc2\xadice", "alice"},         /* soft hyphen */
	{"jos\x65\xcc\x81", "jos\xc3\xa9"}, /* e and an accent */
	{"STRASSE", "strasse"},
	{"stra\xc3\x9f\x65", "strasse"},
	{"\xe2\x84\xab", "\xc3\xa5"},     /* the sign for Angstrom */
	{"\xd0\xb0lice", "\xd0\xb0lice"}, /* a Cyrillic letter looks alike, but is not */
	{"bad\xff", "bad\xff"},           /* no UTF-8: as it is */
	{"", ""},
	{"  ", "  "},
};

START_TEST(users_have_one_spelling)
{
	char buffer[IDENTITY_BYTES_MAX];
	char again[IDENTITY_BYTES_MAX];
	struct text identity = identity_user(text_of(users[_i].written), buffer);
	ck_assert_msg(is(identity, users[_i].identity), "%.*s", TEXT_ARG(identity));
	ck_assert(text_equal(identity_user(identity, again), identity));
}
END_TEST

static const struct {
	const char *written, *identity;
} sources[] = {
	{"203.0.113.9", "203.0.113.9"},
	{"::ffff:203.0.113.9", "203.0.113.9"},
	{"::FFFF:cb00:7109", "203.0.113.9"},
	{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
	{"2001:DB8:1:2::ffff", "2001:db8:1:2::/64"},
	{"2001:db8:1:3::1", "2001:db8:1:3::/64"},
	{"fe80::1%eth0", "fe80::/64"},
	{"2001:db8:1:2::/64", "2001:db8:1:2::/64"},
	{"Proxy.Example", "proxy.example"},
	{"010.0.0.1", "010.0.0.1"}, /* no address: programs read it differently */
};

START_TEST(sources_have_one_spelling)
{
	char buffer[IDENTITY_BYTES_MAX];
	char again[IDENTITY_BYTES_MAX];
	struct text identity = identity_source(text_of(sources[_i].written), buffer);
	ck_assert_msg(is(identity, sources[_i].identity), "%.*s", TEXT_ARG(identity));
	ck_assert(text_equal(identity_source(identity, again), identity));
}
END_TEST

START_TEST(long_names_stay_as_they_are)
{
	char name[IDENTITY_BYTES_MAX + 2];
	char buffer[IDENTITY_BYTES_MAX];
	memset(name, 'A', sizeof name);
	struct text most = {name, IDENTITY_BYTES_MAX};
	ck_assert_int_eq(identity_user(most, buffer).data[0], 'a');
	struct text more = {name, IDENTITY_BYTES_MAX + 1};
	ck_assert_ptr_eq(identity_user(more, buffer).data, name);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("identity");
	TCase *tests = tcase_create("identity");
	tcase_add_loop_test(tests, users_have_one_spelling, 0, (int)(sizeof users / sizeof *users));
	tcase_add_loop_test(tests, sources_have_one_spelling, 0,
			    (int)(sizeof sources / sizeof *sources));
	tcase_add_test(tests, long_names_stay_as_they_are);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
