/* Change manifests: what they declare, and every mistake with its place. */
#include "correlate/gate_manifest.h"

#include <check.h>
#include <stdlib.h>

static struct arena *arena;
static struct gate_manifest manifest;

static void set_up(void)
{
	arena = arena_new((size_t)1 << 24);
}

static void tear_down(void)
{
	arena_free(&arena);
}

static enum status read(const char *yaml, struct error *err)
{
	return gate_manifest_read(text_of(yaml), "release.yaml", TEXT("orders"), arena, &manifest,
				  err);
}

static bool declares(enum signal signal, const char *key)
{
	return gate_manifest_find(&manifest, signal, text_of(key)) < manifest.count;
}

START_TEST(what_is_written_is_declared)
{
	struct error err = {0};
	enum status status = read("service: orders\n"
				  "expect:\n"
				  "  - edge: orders->payments\n"
				  "    why: refunds\n"
				  "  - edge: vault\n"
				  "  - destination: API7.Stripe.com:443\n"
				  "  - destination: mail.example.org\n"
				  "  - route: POST /refunds\n"
				  "  - permission: support * /refunds\n"
				  "  - error_signature: \"refund 17 of 'ann' was refused: *\"\n"
				  "  - privileged_call: CreateKey\n",
				  &err);
	ck_assert_msg(status == OK, "%u:%u %s", err.line, err.column, err.text);
	ck_assert_uint_eq(manifest.count, 8);
	ck_assert_uint_eq(manifest.items[0].line, 3);
	ck_assert(text_equal(manifest.items[0].why, TEXT("refunds")));
	ck_assert(declares(SIGNAL_EDGE, "payments"));
	ck_assert(declares(SIGNAL_EDGE, "vault"));
	ck_assert(!declares(SIGNAL_EDGE, "vaults"));
	ck_assert(declares(SIGNAL_DESTINATION, "api#.stripe.com:443"));
	ck_assert(!declares(SIGNAL_DESTINATION, "api#.stripe.com:80"));
	ck_assert(declares(SIGNAL_INTERNAL_DESTINATION, "mail.example.org:25"));
	ck_assert(declares(SIGNAL_ROUTE, "POST /refunds"));
	ck_assert(declares(SIGNAL_AUTHZ_ALLOW, "support POST /refunds"));
	ck_assert(!declares(SIGNAL_AUTHZ_ALLOW, "support POST /refunds (another tenant's)"));
	ck_assert(declares(SIGNAL_ERROR_SIGNATURE, "refund # of # was refused: no money"));
	ck_assert(declares(SIGNAL_ERROR_SIGNATURE, "a.B: refund # of # was refused: no money"));
	ck_assert(!declares(SIGNAL_ERROR_SIGNATURE, "refund # of # was given"));
	ck_assert(declares(SIGNAL_PRIVILEGED_CALL, "CreateKey"));
	ck_assert(!declares(SIGNAL_PLAINTEXT, "payments"));
}
END_TEST

static void is_refused(const char *yaml, unsigned line, unsigned column, const char *words)
{
	struct error err = {0};
	ck_assert_msg(read(yaml, &err) != OK, "accepted: %s", yaml);
	ck_assert_msg(err.line == line && err.column == column, "%s\n%s:%u:%u: %s", yaml, err.file,
		      err.line, err.column, err.text);
	ck_assert_str_eq(err.file, "release.yaml");
	ck_assert_msg(strstr(err.text, words) != NULL, "\"%s\" lacks \"%s\"", err.text, words);
}

START_TEST(mistakes_are_told_where_they_stand)
{
	is_refused("- edge: a\n", 1, 1, "a manifest is a map");
	is_refused("service: orders\n", 1, 1, "expects nothing");
	is_refused("service: shop\nexpect: []\n", 1, 10, "is of shop");
	is_refused("expects: []\nexpect: []\n", 1, 1, "has no \"expects\"");
	is_refused("expect: payments\n", 1, 9, "is a list");
	is_refused("expect:\n- payments\n", 2, 3, "is a map");
	is_refused("expect:\n- why: nothing\n", 2, 3, "declares nothing");
	is_refused("expect:\n- edge: a\n  route: b\n", 3, 3, "begin another item");
	is_refused("expect:\n- egde: a\n", 2, 3, "did you mean \"edge\"?");
	is_refused("expect:\n- tenant_breach: a\n", 2, 3, "cannot be declared");
	is_refused("expect:\n- edge: [a]\n", 2, 9, "is a text");
	is_refused("expect:\n- edge: \"\"\n", 2, 9, "is a text");
	is_refused("expect:\n- edge: \"**\"\n", 2, 9, "would declare everything");
	is_refused("expect:\n- destination: \"*\"\n", 2, 16, "would declare everything");
	is_refused("expect:\n- edge: shop->payments\n", 2, 9, "begins at shop");
	is_refused("expect: []\n---\nexpect: []\n", 1, 1, "one document");
}
END_TEST

START_TEST(limits_are_told)
{
	struct bytes yaml cleanup(bytes_done) = {0};
	struct error err = {0};
	bytes_put(&yaml, "expect:\n", 8);
	for (int i = 0; i <= GATE_MANIFEST_ITEMS_MAX; i++)
		bytes_put(&yaml, "- edge: a\n", 10);
	ck_assert_int_eq(
		gate_manifest_read(bytes_text(&yaml), "m", TEXT("orders"), arena, &manifest, &err),
		ELIMIT);
	ck_assert_uint_eq(err.line, GATE_MANIFEST_ITEMS_MAX + 2);
	while (yaml.size <= GATE_MANIFEST_BYTES_MAX)
		bytes_put(&yaml, "# a comment\n", 12);
	ck_assert_int_eq(
		gate_manifest_read(bytes_text(&yaml), "m", TEXT("orders"), arena, &manifest, &err),
		ELIMIT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/gate_manifest");
	TCase *tests = tcase_create("tests");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, what_is_written_is_declared);
	tcase_add_test(tests, mistakes_are_told_where_they_stand);
	tcase_add_test(tests, limits_are_told);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
