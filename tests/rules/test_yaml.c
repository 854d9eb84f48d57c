#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "rules/yaml.h"
#include "tests/rules/loading.h"

struct tree {
	struct arena *arena;
	const struct yaml_node *const *documents;
	size_t count;
	struct error err;
	enum status status;
};

static struct tree parsed(struct text yaml)
{
	struct tree tree = {.arena = arena_new(256 << 20)};
	tree.status =
		yaml_parse(yaml, "t.yml", tree.arena, &tree.documents, &tree.count, &tree.err);
	return tree;
}

static void tree_done(struct tree *tree)
{
	arena_free(&tree->arena);
}

static void typed(const char *scalar, enum yaml_kind kind, double number)
{
	struct tree tree cleanup(tree_done) = parsed(text_of(scalar));
	ck_assert_msg(tree.status == OK, "%s: %s", scalar, tree.err.text);
	ck_assert_uint_eq(tree.count, 1);
	const struct yaml_node *node = tree.documents[0];
	ck_assert_msg(node->kind == kind, "%s is kind %d", scalar, (int)node->kind);
	if (kind == YAML_INTEGER || (kind == YAML_REAL && !isnan(number)))
		ck_assert_msg(node->real == number, "%s is %g", scalar, node->real);
}

START_TEST(scalars_follow_yaml_1_2)
{
	static const struct {
		const char *scalar;
		enum yaml_kind kind;
		double number;
	} cases[] = {
		{"~", YAML_NULL, 0},
		{"null", YAML_NULL, 0},
		{"Null", YAML_NULL, 0},
		{"nuLL", YAML_STRING, 0},
		{"true", YAML_BOOLEAN, 0},
		{"FALSE", YAML_BOOLEAN, 0},
		{"yes", YAML_STRING, 0},
		{"on", YAML_STRING, 0},
		{"010", YAML_INTEGER, 10},
		{"0o17", YAML_INTEGER, 15},
		{"0x1F", YAML_INTEGER, 31},
		{"0x", YAML_STRING, 0},
		{"0o8", YAML_STRING, 0},
		{"-7", YAML_INTEGER, -7},
		{"+7", YAML_INTEGER, 7},
		{"1_000", YAML_STRING, 0},
		{"12:30", YAML_STRING, 0},
		{"1e3", YAML_REAL, 1000},
		{".5", YAML_REAL, 0.5},
		{"5.", YAML_REAL, 5},
		{".", YAML_STRING, 0},
		{"1e", YAML_STRING, 0},
		{"-.inf", YAML_REAL, (double)-INFINITY},
		{".nan", YAML_REAL, (double)NAN},
		{"9223372036854775807", YAML_INTEGER, 9223372036854775807.0},
		{"9223372036854775808", YAML_STRING, 0},
		{"2024-01-01", YAML_STRING, 0},
		{"'5'", YAML_STRING, 0},
		{"!!str 5", YAML_STRING, 0},
		{"-", YAML_SEQUENCE, 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		typed(cases[i].scalar, cases[i].kind, cases[i].number);
}
END_TEST

static void fails(struct text yaml, unsigned line, unsigned column, const char *words)
{
	struct tree tree cleanup(tree_done) = parsed(yaml);
	ck_assert_msg(tree.status != OK, "accepted: %.*s", TEXT_ARG(yaml));
	ck_assert_msg(strstr(tree.err.text, words) != NULL, "'%s' is not in %s", words,
		      tree.err.text);
	ck_assert_msg(tree.err.line == line && tree.err.column == column, "at %u:%u: %s",
		      tree.err.line, tree.err.column, tree.err.text);
}

START_TEST(mistakes_have_a_place)
{
	fails(TEXT("a: 1\nb: 2\na: 3\n"), 3, 1, "first at line 1, column 1");
	fails(TEXT("a: {x: 1, 'x': 2}"), 1, 11, "stands twice");
	fails(TEXT("a: *nobody"), 1, 4, "no finished anchor");
	fails(TEXT("a: &me [*me]"), 1, 9, "no finished anchor");
	fails(TEXT("? [a]\n: b"), 1, 3, "key of a map must be a word");
	fails(TEXT("base: &b {x: 1}\nr:\n  <<: *b\n"), 3, 3, "merge keys");
	fails(TEXT("a: !ruby/object x"), 1, 4, "unknown tag");
	fails(TEXT("a: [1, 2"), 1, 9, "not YAML");
	fails(TEXT("a: b\0c"), 1, 5, "not YAML");
	fails(TEXT("a: \xFF\xFE"), 1, 4, "UTF-8");
	/* columns are bytes: the u-umlaut before the key has two */
	fails(TEXT("{\xC3\xBC: 1, b: 2, b: 3}"), 1, 15, "stands twice");
	fails(TEXT("---\na: 1\n---\nb: *x\n"), 4, 4, "no finished anchor");
	/* an anchor ends with its document */
	fails(TEXT("a: &x 1\n---\nb: *x\n"), 3, 4, "no finished anchor");
}
END_TEST

START_TEST(an_alias_bomb_is_refused)
{
	char yaml[2048] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
	for (int i = 1; i < 10; i++) {
		size_t used = strlen(yaml);
		(void)snprintf(yaml + used, sizeof yaml - used,
			       "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i,
			       i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1,
			       i - 1);
	}
	struct tree tree cleanup(tree_done) = parsed(text_of(yaml));
	ck_assert_int_eq(tree.status, ELIMIT);
	ck_assert_ptr_nonnull(strstr(tree.err.text, "aliases"));
}
END_TEST

START_TEST(depth_is_bounded)
{
	char yaml[256];
	memset(yaml, '[', 100);
	yaml[100] = '\0';
	struct tree deep cleanup(tree_done) = parsed(text_of(yaml));
	ck_assert_int_eq(deep.status, ELIMIT);
	/* also when the depth comes from an alias inside an alias */
	struct tree chain cleanup(tree_done) =
		parsed(TEXT("a: &a [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]\n"
			    "b: &b [[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]\n"
			    "c: &c [[[[[[[[[[[[[[[[[[[[*b]]]]]]]]]]]]]]]]]]]]\n"
			    "d: [[[[[[[[[[[[[[[[[[[[*c]]]]]]]]]]]]]]]]]]]]\n"));
	ck_assert_int_eq(chain.status, ELIMIT);
}
END_TEST

START_TEST(trees_keep_order_and_sharing)
{
	struct tree tree cleanup(tree_done) =
		parsed(TEXT("\xEF\xBB\xBFz: &v [1, two]\r\ny: *v\r\n---\nx\n---\n"));
	ck_assert_int_eq(tree.status, OK);
	ck_assert_uint_eq(tree.count, 3);
	const struct yaml_node *map = tree.documents[0];
	ck_assert_uint_eq(map->count, 2);
	ck_assert(text_equal(map->keys[0]->text, TEXT("z")));
	ck_assert_ptr_eq(map->values[0], map->values[1]);
	ck_assert_uint_eq(map->keys[1]->at.line, 2);
	ck_assert_ptr_eq(yaml_get(map, "y"), map->values[1]);
	ck_assert_ptr_null(yaml_get(map, "w"));
	ck_assert_int_eq(tree.documents[2]->kind, YAML_NULL);
}
END_TEST

START_TEST(files_are_read)
{
	struct arena *arena = arena_new(1 << 20);
	const struct yaml_node *const *documents = NULL;
	size_t count = 0;
	struct error err;
	ck_assert_int_eq(yaml_load("/nowhere/x.yml", arena, &documents, &count, &err), ENOTFOUND);
	ck_assert_str_eq(err.file, "/nowhere/x.yml");
	ck_assert_int_ne(yaml_load("/tmp", arena, &documents, &count, &err), OK);
	arena_free(&arena);
}
END_TEST

START_TEST(names_nearby_are_found)
{
	static const char *const names[] = {"contains", "startswith", "endswith", "re", "id"};
	ck_assert_str_eq(nearest_name(TEXT("contain"), names, 5), "contains");
	ck_assert_str_eq(nearest_name(TEXT("endwsith"), names, 5), "endswith");
	ck_assert_str_eq(nearest_name(TEXT("startwith"), names, 5), "startswith");
	ck_assert_ptr_null(nearest_name(TEXT("xyz"), names, 5));
	ck_assert_ptr_null(nearest_name(TEXT("ab"), names, 5));
	ck_assert_str_eq(nearest_name(TEXT("i"), names, 5), "id");
	ck_assert_ptr_null(nearest_name(TEXT(""), names, 4));
}
END_TEST

START_TEST(durations_have_units)
{
	int64_t us = 0;
	ck_assert(duration_parse(TEXT("500ms"), &us) && us == 500000);
	ck_assert(duration_parse(TEXT("0s"), &us) && us == 0);
	ck_assert(duration_parse(TEXT("1w"), &us) && us == 7 * 86400 * INT64_C(1000000));
	static const char *const wrong[] = {"",
					    "5",
					    "s",
					    "5 s",
					    "-5s",
					    "1.5h",
					    "5M",
					    "5sec",
					    "99999999999999999999s",
					    "9223372036854775807h"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ck_assert_msg(!duration_parse(text_of(wrong[i]), &us), "%s", wrong[i]);
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("yaml");
	tcase_add_test(cases, scalars_follow_yaml_1_2);
	tcase_add_test(cases, mistakes_have_a_place);
	tcase_add_test(cases, an_alias_bomb_is_refused);
	tcase_add_test(cases, depth_is_bounded);
	tcase_add_test(cases, trees_keep_order_and_sharing);
	tcase_add_test(cases, files_are_read);
	tcase_add_test(cases, names_nearby_are_found);
	tcase_add_test(cases, durations_have_units);
	return tests_run(cases);
}
