#include "storage/query.h"

#include "tests/storage/fixture.h"

static struct arena *arena;

static void setup(void)
{
	arena = arena_new(1 << 26);
}

static void teardown(void)
{
	arena_free(&arena);
}

/* The tree as text: what binds to what. */
static void print(const struct query_node *node, struct bytes *to)
{
	static const char *const words[] = {
		[QUERY_ALL] = "all", [QUERY_AND] = "and", [QUERY_OR] = "or", [QUERY_NOT] = "not"};
	if (node->kind == QUERY_LEAF) {
		static const char *const tests[] = {"?", "=", "~", "<>"};
		const struct query_leaf *leaf = node->leaf;
		bytes_put(to, leaf->name.data, leaf->name.size);
		bytes_put(to, tests[leaf->test], strlen(tests[leaf->test]));
		bytes_put(to, leaf->text.data, leaf->text.size);
		return;
	}
	bytes_put(to, "(", 1);
	bytes_put(to, words[node->kind], strlen(words[node->kind]));
	for (int i = 0; i < 2; i++) {
		const struct query_node *child = i == 0 ? node->left : node->right;
		if (child == NULL)
			continue;
		bytes_put(to, " ", 1);
		print(child, to);
	}
	bytes_put(to, ")", 1);
}

START_TEST(test_trees)
{
	static const struct {
		const char *query, *tree;
	} cases[] = {
		{"", "(all)"},
		{"*", "(all)"},
		{"user.name: Alice", "user.name=alice"},
		{"enduser.id: a", "user.id=a"}, /* by its name in ECS */
		{"a: 1 or b: 2 and not c: 3", "(or a=1 (and b=2 (not c=3)))"},
		{"(a: 1 or b: 2) and c: 3", "(and (or a=1 b=2) c=3)"},
		{"NOT NOT a: 1", "(not (not a=1))"},
		{"a: (1 or 2 and not 3)", "(or a=1 (and a=2 (not a=3)))"},
		{"a: *", "a?*"},
		{"a: x*y", "a~x*y"},
		{"a: \"x*y\"", "a=x*y"},
		{"a: x\\*y", "a=x*y"},
		{"a: \"say \\\"hi\\\"\"", "a=say \"hi\""},
		{"size>=10", "size<>10"},
		{"source.ip: 2001:db8::/32", "source.ip=2001:db8::/32"},
		{"@timestamp < 2026-11-21T22:31:40Z", "@timestamp<>2026-11-21t22:31:40z"},
		{"\"connection refused\"", "=connection refused"},
		{"refused", "=refused"},
		{"a: \\and", "a=and"},
		{"http.*: 500", "http.*=500"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct error err = {0};
		struct query query;
		struct bytes tree cleanup(bytes_done) = {0};
		ck_ok(query_parse(text_of(cases[i].query), arena, &query, &err), err);
		print(query.root, &tree);
		ck_assert_msg(text_equal(bytes_text(&tree), text_of(cases[i].tree)), "%s: %.*s",
			      cases[i].query, TEXT_ARG(bytes_text(&tree)));
	}
}
END_TEST

START_TEST(test_stages)
{
	struct error err = {0};
	struct query query;
	ck_ok(query_parse(TEXT("a: 1 | count by user.name, enduser.id over 90m"), arena, &query,
			  &err),
	      err);
	ck_assert_int_eq(query.output, OUTPUT_COUNT);
	ck_assert_uint_eq(query.field_count, 2);
	ck_assert(text_equal(query.fields[1], TEXT("user.id")));
	ck_assert_int_eq(query.bucket_us, 5400000000);
	ck_ok(query_parse(TEXT("|TOP source.ip"), arena, &query, &err), err);
	ck_assert_uint_eq(query.top, QUERY_TOP_DEFAULT);
	ck_ok(query_parse(TEXT("x | histogram 1d"), arena, &query, &err), err);
	ck_assert_int_eq(query.bucket_us, 86400000000);
}
END_TEST

/* What is wrong, and where. */
START_TEST(test_errors)
{
	static const struct {
		const char *query;
		unsigned column;
		const char *text;
	} cases[] = {
		{"user.name:", 11, "a value is missing"},
		{"a: 1 b: 2", 6, "two words stand side by side"},
		{"message: connection refused", 21, "two words"},
		{"(a: 1", 6, "the ) of this group"},
		{"a: (1 or 2", 11, "the ) of the list"},
		{"a: \"open", 4, "never closed"},
		{"a: 1)", 5, "does not belong"},
		{"a: {b: 1}", 4, "nested queries"},
		{"and a: 1", 1, "a test such as"},
		{"size > ", 8, "the value to compare with"},
		{"size > 1*", 8, "a pattern has no order"},
		{"@timestamp > yesterday", 14, "is compared with times"},
		{"source.ip: 10.0.0.1/8", 12, "no network"},
		{"a: 1 |", 7, "behind the | stands"},
		{"| count by", 11, "the name of a field"},
		{"| count over 5", 14, "a duration such as"},
		{"| top a 0", 9, "how many"},
		{"| count by a,b,c,d,e", 20, "a field too many"},
		{"a: b\\", 5, "nothing behind the \\"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct error err = {0};
		struct query query;
		ck_assert_int_eq(query_parse(text_of(cases[i].query), arena, &query, &err),
				 EINVALID);
		ck_assert_msg(strstr(err.text, cases[i].text) != NULL, "%s: %s", cases[i].query,
			      err.text);
		ck_assert_msg(err.column == cases[i].column, "%s: %s", cases[i].query, err.text);
		ck_assert(strchr(err.text, '^') != NULL);
	}
}
END_TEST

/* Whatever is written, there is an answer, and no query is too deep for the stack. */
START_TEST(test_limits)
{
	struct error err = {0};
	struct query query;
	struct bytes text cleanup(bytes_done) = {0};
	for (int i = 0; i < 1000; i++)
		bytes_put(&text, "(", 1);
	ck_assert_int_eq(query_parse(bytes_text(&text), arena, &query, &err), ELIMIT);
	bytes_clear(&text);
	for (int i = 0; i < 1000; i++)
		bytes_put(&text, "not ", 4);
	ck_assert_int_eq(query_parse(bytes_text(&text), arena, &query, &err), ELIMIT);
	bytes_clear(&text);
	for (int i = 0; i < 600; i++)
		bytes_put(&text, "a or ", 5);
	ck_assert_int_eq(query_parse(bytes_text(&text), arena, &query, &err), ELIMIT);
	bytes_clear(&text);
	for (int i = 0; i < QUERY_BYTES_MAX + 1; i++)
		bytes_put(&text, "a", 1);
	ck_assert_int_eq(query_parse(bytes_text(&text), arena, &query, &err), ELIMIT);
	uint64_t seed = 4;
	static const char signs[] = "a: (\")*\\<>=|,{}not and or 1 \xff";
	for (int round = 0; round < 20000; round++) {
		bytes_clear(&text);
		arena_reset(arena);
		for (size_t i = random_below(&seed, 30); i > 0; i--)
			bytes_put(&text, &signs[random_below(&seed, sizeof signs)], 1);
		enum status status = query_parse(bytes_text(&text), arena, &query, &err);
		ck_assert(status == OK || err.text[0] != '\0');
	}
}
END_TEST

/* Both vocabularies, in conditions and behind `count by`. */
START_TEST(test_opentelemetry)
{
	static const struct {
		const char *ecs, *otel;
	} names[] = {
#define OTEL(ecs_name, otel_name, relation) {ecs_name, otel_name},
#include "rules/otel.def"
#undef OTEL
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct text trees[2];
		for (int k = 0; k < 2; k++) {
			const char *name = k == 0 ? names[i].ecs : names[i].otel;
			char text[256];
			struct query query;
			struct error err = {0};
			struct bytes tree cleanup(bytes_done) = {0};
			(void)snprintf(text, sizeof text, "%s: * and not %s: * | count by %s", name,
				       name, name);
			ck_ok(query_parse(text_of(text), arena, &query, &err), err);
			print(query.root, &tree);
			trees[k] = arena_copy(arena, bytes_text(&tree));
			ck_assert_uint_eq(query.field_count, 1);
			ck_assert(text_equal(query.fields[0], text_of(names[i].ecs)));
		}
		ck_assert(text_equal(trees[0], trees[1]));
		ck_assert(text_starts(trees[0], TEXT("(and ")));
	}
}
END_TEST

/* The caret stands below the character, whatever stands before it. */
START_TEST(test_caret)
{
	static const struct {
		const char *query, *shown;
	} cases[] = {
		{"f\xc3\xbcser: x y", "\n  f\xc3\xbcser: x y\n           ^"},
		{"\x1b\xff\xe2\x80\xae x y", "\n      x y\n      ^"},
		{"a: b c", "\n  a: b c\n       ^"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct query query;
		struct error err = {0};
		ck_assert_int_eq(query_parse(text_of(cases[i].query), arena, &query, &err),
				 EINVALID);
		ck_assert_msg(strstr(err.text, cases[i].shown) != NULL, "%s", err.text);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("query_parse");
	TCase *tests = tcase_create("query_parse");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_caret);
	tcase_add_test(tests, test_trees);
	tcase_add_test(tests, test_stages);
	tcase_add_test(tests, test_opentelemetry);
	tcase_add_test(tests, test_errors);
	tcase_add_test(tests, test_limits);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
