/* Bindings: what a message is bound to, and what a file may not say. */
#include "ingest/binding.h"

#include "decoding.h"

static struct bindings *load(const char *yaml)
{
	struct bindings *bindings = NULL;
	struct error err = {0};
	enum status status = bindings_parse(text_of(yaml), "b.yaml", &bindings, &err);
	ck_assert_msg(status == OK, "%s", err.text);
	return bindings;
}

static struct bound find(const struct bindings *bindings, const char *topic, const char *key,
			 const struct header *headers, size_t header_count)
{
	const struct message message = {
		.key = text_of(key), .headers = headers, .header_count = header_count};
	return bindings_find(bindings, text_of(topic), &message);
}

static bool is(struct text t, const char *expected)
{
	return text_equal(t, text_of(expected));
}

START_TEST(the_first_entry_that_fits_counts)
{
	struct bindings *bindings = load("- {topic: a, services: [one]}\n"
					 "- {topic: a*, services: [two]}\n"
					 "- {topic: \"*\", services: [rest]}\n");
	ck_assert(is(find(bindings, "a", NULL, NULL, 0).service, "one"));
	ck_assert(is(find(bindings, "ab", NULL, NULL, 0).service, "two"));
	ck_assert(is(find(bindings, "", NULL, NULL, 0).service, "rest"));
	ck_assert_uint_eq(find(bindings, "ab", NULL, NULL, 0).entry.line, 2);
	bindings_free(&bindings);
}
END_TEST

START_TEST(nothing_fits)
{
	struct bindings *bindings = load("- {topic: a, key: k, services: [one]}\n");
	ck_assert(!find(bindings, "b", "k", NULL, 0).found);
	ck_assert(!find(bindings, "a", "x", NULL, 0).found);
	ck_assert(!find(bindings, "a", NULL, NULL, 0).found);
	ck_assert(find(bindings, "a", "k", NULL, 0).found);
	bindings_free(&bindings);
	ck_assert(!find(NULL, "a", "k", NULL, 0).found);
}
END_TEST

START_TEST(names_come_from_topic_key_and_header)
{
	struct bindings *bindings =
		load("- {topic: t-*-x, key: k-*, service_from: key, tenant_from: topic}\n"
		     "- {topic: h, headers: {gate: \"g*\"}, service_from: header who}\n");
	struct bound bound = find(bindings, "t-acme-x", "k-pay", NULL, 0);
	ck_assert_int_eq(bound.service_state, BOUND_NAME);
	ck_assert(is(bound.service, "pay"));
	ck_assert(is(bound.tenant, "acme"));
	ck_assert_int_eq(find(bindings, "t--x", "k-pay", NULL, 0).tenant_state, BOUND_UNKNOWN);
	const struct header headers[] = {{TEXT("gate"), TEXT("g1")},
					 {TEXT("who"), TEXT("client")},
					 {TEXT("who"), TEXT("gateway")}};
	bound = find(bindings, "h", NULL, headers, 3);
	ck_assert(is(bound.service, "gateway")); /* the last one counts */
	ck_assert_int_eq(bound.tenant_state, BOUND_NOTHING);
	ck_assert_int_eq(find(bindings, "h", NULL, headers, 1).service_state, BOUND_UNKNOWN);
	ck_assert(!find(bindings, "h", NULL, headers + 1, 2).found);
	bindings_free(&bindings);
}
END_TEST

START_TEST(several_names_are_a_choice)
{
	struct bindings *bindings = load("- {topic: a, services: [one, two-*], tenants: [t-*]}\n");
	struct bound bound = find(bindings, "a", NULL, NULL, 0);
	ck_assert_int_eq(bound.service_state, BOUND_CHOICE);
	ck_assert(bound_allows_service(&bound, TEXT("one")));
	ck_assert(bound_allows_service(&bound, TEXT("two-x")));
	ck_assert(!bound_allows_service(&bound, TEXT("two")));
	ck_assert(!bound_allows_service(&bound, TEXT("one ")));
	ck_assert(!bound_allows_service(&bound, TEXT("")));
	ck_assert(bound_allows_tenant(&bound, TEXT("t-")));
	ck_assert(!bound_allows_tenant(&bound, TEXT("T-1"))); /* names have case */
	bindings_free(&bindings);
}
END_TEST

static const struct {
	const char *yaml, *words;
	unsigned line, column;
} broken[] = {
	{"topic: a\n", "not a list", 1, 1},
	{"[]\n", "not a list", 1, 1},
	{"- a\n", "is a map", 1, 3},
	{"- {services: [a]}\n", "topic is missing", 1, 3},
	{"- {topic: a}\n", "binds nothing", 1, 3},
	{"- {topic: a, servces: [b]}\n", "did you mean services", 1, 14},
	{"- {topic: a, zzz: [b]}\n", "the keys are", 1, 14},
	{"- {topic: a*b*, services: [b]}\n", "more than one *", 1, 11},
	{"- {topic: a, services: b}\n", "write services: [NAME]", 1, 24},
	{"- {topic: a, services: []}\n", "write services: [NAME]", 1, 24},
	{"- {topic: a, services: [\"\"]}\n", "not empty", 1, 25},
	{"- {topic: a, services: [b], service_from: key}\n", "keep one", 1, 43},
	{"- {topic: a, service_from: key, services: [b]}\n", "keep one", 1, 43},
	{"- {topic: a, tenant_from: header}\n", "none of", 1, 27},
	{"- {topic: a, headers: {}, services: [b]}\n", "headers is a map", 1, 23},
	{"- {topic: a, topic: b, services: [c]}\n", "twice", 1, 14},
	{"- {topic: a, service_from: key, owner: ann}\n", "add services: [NAME]", 1, 40},
	{"- {topic: a, tenants: [b], owner: ann}\n", "add services: [NAME]", 1, 35},
	{"- {topic: a, services: [b], owner: [ann]}\n", "owner must be a text", 1, 36},
	{"- {topic: a, services: [b], owner: \"\"}\n", "not empty", 1, 36},
};

START_TEST(an_owner_answers_for_services)
{
	struct bindings *bindings = load("- {topic: a, services: [pay]}\n"
					 "- {topic: b, services: [pay, cart-*], owner: team-shop}\n"
					 "- {topic: c, services: [\"*\"], owner: platform}\n");
	ck_assert(is(bindings_owner(bindings, TEXT("pay")), "team-shop"));
	ck_assert(is(bindings_owner(bindings, TEXT("cart-eu")), "team-shop"));
	ck_assert(is(bindings_owner(bindings, TEXT("cart")), "platform"));
	bindings_free(&bindings);
	bindings = load("- {topic: a, services: [pay], owner: team-pay}\n");
	ck_assert_uint_eq(bindings_owner(bindings, TEXT("pays")).size, 0);
	bindings_free(&bindings);
	ck_assert_uint_eq(bindings_owner(NULL, TEXT("pay")).size, 0);
}
END_TEST

START_TEST(a_broken_file_says_where)
{
	struct bindings *bindings = NULL;
	struct error err = {0};
	ck_assert_int_eq(bindings_parse(text_of(broken[_i].yaml), "b.yaml", &bindings, &err),
			 EINVALID);
	ck_assert_ptr_null(bindings);
	ck_assert_str_eq(err.file, "b.yaml");
	ck_assert_uint_eq(err.line, broken[_i].line);
	ck_assert_uint_eq(err.column, broken[_i].column);
	if (strstr(broken[_i].words, "twice") == NULL)
		ck_assert_msg(strstr(err.text, broken[_i].words) != NULL, "%s", err.text);
}
END_TEST

START_TEST(a_missing_file_is_named)
{
	struct bindings *bindings = NULL;
	struct error err = {0};
	ck_assert_int_eq(bindings_load("/nowhere/b.yaml", &bindings, &err), ENOTFOUND);
	ck_assert_str_eq(err.file, "/nowhere/b.yaml");
}
END_TEST

START_TEST(limits_hold)
{
	struct bytes yaml cleanup(bytes_done) = {0};
	for (int i = 0; i <= BINDINGS_MAX; i++)
		bytes_put(&yaml, "- {topic: a, services: [b]}\n", 28);
	struct bindings *bindings = NULL;
	struct error err = {0};
	ck_assert_int_eq(bindings_parse(bytes_text(&yaml), "b.yaml", &bindings, &err), ELIMIT);
	yaml.size -= 28;
	ck_assert_int_eq(bindings_parse(bytes_text(&yaml), "b.yaml", &bindings, &err), OK);
	ck_assert_uint_eq(bindings_count(bindings), BINDINGS_MAX);
	bindings_free(&bindings);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("binding");
	TCase *tests = tcase_create("binding");
	tcase_add_test(tests, the_first_entry_that_fits_counts);
	tcase_add_test(tests, nothing_fits);
	tcase_add_test(tests, names_come_from_topic_key_and_header);
	tcase_add_test(tests, several_names_are_a_choice);
	tcase_add_test(tests, an_owner_answers_for_services);
	tcase_add_loop_test(tests, a_broken_file_says_where, 0,
			    (int)(sizeof broken / sizeof *broken));
	tcase_add_test(tests, a_missing_file_is_named);
	tcase_add_test(tests, limits_hold);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
