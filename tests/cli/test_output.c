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
	"5Z\",\"group\":{\"user\":\"e\\u001b[31mvil\\u202e\",\"none\":\"\",\"n\":7},\"list\":[\"a\",2],\"size\":"
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

START_TEST(test_figures)
{
	static const struct {
		const char *json;
		enum cell_kind kind;
		const char *text;
	} cases[] = {
		{"11.4398", CELL_SECONDS, "11.4 s"},
		{"0", CELL_SECONDS, "0.0 s"},
		{"1883.14", CELL_SECONDS, "31 min 23 s"},
		{"18183", CELL_SECONDS, "5 h 3 min"},
		{"180000", CELL_SECONDS, "2 d 2 h"},
		{"1e300", CELL_SECONDS, "-"},
		{"5.86728e+06", CELL_FIGURE, "5.87e+06"},
		{"0.497681", CELL_FIGURE, "0.498"},
		{"1", CELL_FIGURE, "1"},
		{"1536", CELL_BYTES, "1.5 KiB"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bytes text = {0};
		struct json_object *value = json_tokener_parse(cases[i].json);
		output_cell(value, cases[i].kind, &text);
		bytes_put_u8(&text, 0);
		ck_assert_str_eq((const char *)text.data, cases[i].text);
		bytes_done(&text);
		json_object_put(value);
	}
}
END_TEST

START_TEST(test_narrow_terminal)
{
	static const struct column some[] = {
		{"FIRST", "id", CELL_TEXT, COLUMN_WHOLE},
		{"SECOND", "when", CELL_TIME, COLUMN_MINOR},
		{"THIRD", "group", CELL_MAP, COLUMN_CUT},
	};
	for (int terminal = 0; terminal < 2; terminal++) {
		char *text = NULL;
		size_t size = 0;
		struct json_object *rows = json_tokener_parse(rows_text);
		struct output output = {.to = open_memstream(&text, &size), .terminal = terminal};
		ck_assert_int_eq(output_table(&output, some, 3, rows, NULL), OK);
		fclose(output.to); /* a stream without a width counts as 80 columns */
		ck_assert_int_eq(strstr(text, "SECOND") == NULL, terminal);
		ck_assert_ptr_nonnull(strstr(text, "FIRST"));
		ck_assert_ptr_nonnull(strstr(text, "THIRD"));
		json_object_put(rows);
		free(text);
	}
}
END_TEST

START_TEST(test_spark)
{
	const double values[] = {-1, 0, 4, 8, 9};
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	output_spark(to, values, 5, 8);
	output_spark(to, values, 0, 8);
	(void)fclose(to);
	ck_assert_str_eq(text, "\u2581\u2581\u2584\u2588\u2588\n");
	free(text);
}
END_TEST

START_TEST(test_empty_text)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	output_text(to, ""); /* an empty record of the quarantine */
	fclose(to);
	ck_assert_str_eq(text, "");
	free(text);
}
END_TEST

/* The time stands once in a row; a time that is another one is never hidden. */
START_TEST(test_event_beside_its_time)
{
	static const struct {
		const char *event, *wanted;
	} CASES[] = {
		{"{\"a\":1,\"@timestamp\":1795347198.966727}", "a=1"},
		{"{\"a\":1,\"@timestamp\":1795347198966.727}", "a=1"},
		{"{\"a\":1,\"@timestamp\":1795347198966727}", "a=1"},
		{"{\"a\":1,\"@timestamp\":1795347198966727000}", "a=1"},
		{"{\"@timestamp\":\"2026-11-22T11:33:18.966727Z\",\"a\":1}", "a=1"},
		{"{\"a\":1,\"@timestamp\":1795347198}", "a=1 @timestamp=1795347198"},
		{"{\"@timestamp\":\"yesterday\",\"a\":1}", "@timestamp=yesterday a=1"},
		{"{\"a\":1}", "a=1"},
	};
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		struct bytes text cleanup(bytes_done) = {0};
		struct json_object *row = json_object_new_object();
		json_object_object_add(row, "time",
				       json_object_new_string("2026-11-22T11:33:18.966727Z"));
		json_object_object_add(row, "event", json_tokener_parse(CASES[i].event));
		output_cell(row, CELL_EVENT, &text);
		bytes_put_u8(&text, 0);
		ck_assert_str_eq((const char *)text.data, CASES[i].wanted);
		json_object_put(row);
	}
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
	tcase_add_test(all, test_event_beside_its_time);
	tcase_add_test(all, test_figures);
	tcase_add_test(all, test_spark);
	tcase_add_test(all, test_empty_text);
	tcase_add_test(all, test_narrow_terminal);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
