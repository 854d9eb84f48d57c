#include "cli/output.h"

#include <check.h>
#include <stdlib.h>

static const struct column columns[] = {
	{"ID", "id", CELL_ID, false},       {"LEVEL", "rule.level", CELL_LEVEL, false},
	{"WHEN", "when", CELL_TIME, false}, {"GROUP", "group", CELL_MAP, true},
	{"LIST", "list", CELL_LIST, false}, {"SIZE", "size", CELL_BYTES, false},
};

enum { COLUMNS = sizeof columns / sizeof *columns };

static const char rows_text[] =
	"[{\"id\":\"0123456789abcdef\",\"rule\":{\"level\":\"high\"},\"when\":\"2026-01-01T10:11:12."
	"5Z\",\"group\":{\"user\":\"e\\u001b[31mvil\\u202e\",\"n\":7},\"list\":[\"a\",2],\"size\":"
	"2048},{}]";

static char *print(struct output *output)
{
	char *text = NULL;
	size_t size = 0;
	struct error err = {0};
	struct json_object *rows = json_tokener_parse(rows_text);
	output->to = open_memstream(&text, &size);
	ck_assert_int_eq(output_table(output, columns, COLUMNS, rows, &err), OK);
	fclose(output->to);
	json_object_put(rows);
	return text;
}

START_TEST(test_cells)
{
	struct output output = {.format = OUTPUT_TABLE};
	char *text = print(&output);
	ck_assert_ptr_nonnull(strstr(text, "0123456789ab "));
	ck_assert_ptr_null(strstr(text, "0123456789abc"));
	ck_assert_ptr_nonnull(strstr(text, "2026-01-01 10:11:12 "));
	ck_assert_ptr_nonnull(strstr(text, "user=e\\x1b[31mvil\\u{202e} n=7"));
	ck_assert_ptr_nonnull(strstr(text, "a 2"));
	ck_assert_ptr_nonnull(strstr(text, "2.0 KiB"));
	ck_assert_ptr_null(strchr(text, '\x1b'));
	free(text);
}
END_TEST

START_TEST(test_only_our_colours)
{
	struct output output = {.format = OUTPUT_TABLE, .color = true};
	char *text = print(&output);
	ck_assert_ptr_nonnull(strchr(text, '\x1b'));
	ck_assert_ptr_null(strstr(text, "\x1b[31mvil"));
	free(text);
}
END_TEST

START_TEST(test_json_is_escaped_not_filtered)
{
	char *text = NULL;
	size_t size = 0;
	struct json_object *rows = json_tokener_parse(rows_text);
	struct output output = {.format = OUTPUT_NDJSON, .to = open_memstream(&text, &size)};
	output_lines(&output, rows);
	fclose(output.to);
	ck_assert_ptr_nonnull(strstr(text, "e\\u001b[31mvil\\u202e"));
	ck_assert_ptr_nonnull(strchr(text, '\n'));
	char *end_of_first = strchr(text, '\n');
	*end_of_first = '\0';
	struct json_object *again = json_tokener_parse(text);
	ck_assert(json_object_equal(again, json_object_array_get_idx(rows, 0)));
	json_object_put(again);
	json_object_put(rows);
	free(text);
}
END_TEST

START_TEST(test_path)
{
	struct json_object *object = json_tokener_parse("{\"a\":{\"b\":[1]},\"n\":null}");
	ck_assert_str_eq(json_path_text(object, "a.b"), "[ 1 ]");
	ck_assert_str_eq(json_path_text(object, "a.c"), "");
	ck_assert_str_eq(json_path_text(object, "n"), "");
	ck_assert_str_eq(json_path_text(object, "n.x"), "");
	ck_assert_str_eq(json_path_text(object, "a.b.c"), "");
	ck_assert_str_eq(json_path_text(NULL, "a"), "");
	json_object_put(object);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("output");
	TCase *all = tcase_create("all");
	tcase_add_test(all, test_cells);
	tcase_add_test(all, test_only_our_colours);
	tcase_add_test(all, test_json_is_escaped_not_filtered);
	tcase_add_test(all, test_path);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
