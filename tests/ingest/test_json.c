/* json.cc, json_check.c and json_text.c: verdicts, values, limits; and json-c as a second opinion.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/json.h"
#include "rules/arena.h"
#include "rules/bytes.h"

static struct json_reader *reader;
static struct arena *arena;
static struct json_items items;
static struct json_problem problem;

static bool keep_user(const void *context, struct text name)
{
	(void)context;
	return text_equal(name, TEXT("user.id"));
}

static void setup(void)
{
	reader = json_reader_new(&(struct json_options){.keep = keep_user});
	arena = arena_new(256 * 1024 * 1024);
	ck_assert(reader != NULL && arena != NULL);
}

static void teardown(void)
{
	json_reader_free(&reader);
	arena_free(&arena);
	json_items_done(&items);
}

/* The walk's verdict; json_check() must agree with it whenever the bytes are UTF-8. */
static enum json_result walk(struct text record)
{
	arena_reset(arena);
	char *padded = arena_alloc(arena, record.size + JSON_PADDING);
	memcpy(padded, record.data, record.size);
	struct text text = {padded, record.size};
	enum json_result result = json_walk(reader, text, arena, &items, &problem);
	struct json_problem other = {0};
	size_t end = 0;
	size_t offset = 0;
	bool good = json_check(text, &end, &other) == JSON_OK;
	while (good && end < text.size && json_blank(text.data[end]))
		end++;
	good = good && end == text.size && text.size > 0 && text.data[0] == '{';
	if (json_utf8(text, &offset))
		ck_assert_msg(good == (result == JSON_OK),
			      "%.*s: walk %d (%s), check %d (%s at %zu)", TEXT_ARG(text), result,
			      result == JSON_OK ? "" : problem.detail, good,
			      good                   ? ""
			      : other.detail == NULL ? "tail"
						     : other.detail,
			      other.offset);
	else
		ck_assert_int_ne(result, JSON_OK);
	return result;
}

static const struct json_item *item_of(const char *name)
{
	for (size_t i = items.count; i-- > 0;)
		if (text_equal(items.items[i].name, text_of(name)))
			return &items.items[i];
	ck_abort_msg("no item called %s", name);
	return NULL;
}

static void check_text(const char *name, enum value_type type, const char *text)
{
	const struct json_item *item = item_of(name);
	ck_assert_int_eq(item->value.type, type);
	ck_assert_msg(text_equal(item->value.text, text_of(text)), "%s is %.*s", name,
		      TEXT_ARG(item->value.text));
}

START_TEST(flattens)
{
	ck_assert_int_eq(
		walk(TEXT("{\"a\":1,\"b\":{\"c\":\"x\",\"d\":{\"e\":true}},\"f\":[1,[2,{\"g\":3}]],"
			  "\"h\":{},\"i\":[],\"j\":null,\"k.l\":-0.5e1}")),
		JSON_OK);
	ck_assert_uint_eq(items.count, 10);
	check_text("a", VALUE_INTEGER, "1");
	check_text("b.c", VALUE_STRING, "x");
	check_text("b.d.e", VALUE_BOOLEAN, "true");
	check_text("f.g", VALUE_INTEGER, "3");
	check_text("h", VALUE_EMPTY, "");
	check_text("i", VALUE_EMPTY, "");
	check_text("j", VALUE_NULL, "");
	check_text("k.l", VALUE_REAL, "-0.5e1");
	ck_assert_double_eq(item_of("k.l")->value.real, -5.0);
	ck_assert_uint_eq(item_of("f")->array, item_of("f.g")->array); /* one outermost array */
	ck_assert_uint_ne(item_of("f")->array, 0);
	ck_assert_uint_ne(item_of("f")->array, item_of("i")->array);
	ck_assert_uint_eq(item_of("a")->array, 0);
	ck_assert_uint_eq(items.flags, 0);
	ck_assert_int_eq(walk(TEXT("{}")), JSON_OK);
	ck_assert_uint_eq(items.count, 0);
	ck_assert_int_eq(walk(TEXT("{\"x\":{\"\":1}}")), JSON_OK);
	check_text("x.", VALUE_INTEGER, "1");
}
END_TEST

START_TEST(both_values_of_a_duplicate_key_are_seen)
{
	ck_assert_int_eq(walk(TEXT("{\"u\":1,\"u\":2,\"u\":[3]}")), JSON_OK);
	ck_assert_uint_eq(items.count, 3);
	ck_assert_int_eq(items.items[0].value.integer, 1);
	ck_assert_int_eq(items.items[1].value.integer, 2);
	ck_assert_uint_ne(items.items[2].array, 0);
}
END_TEST

START_TEST(numbers)
{
	ck_assert_int_eq(walk(TEXT("{\"a\":9223372036854775807,\"b\":-9223372036854775808,"
				   "\"c\":9223372036854775808,\"d\":18446744073709551617,"
				   "\"e\":-9223372036854775809,\"f\":1e999,\"g\":-1e999,"
				   "\"h\":1e-999,\"i\":-0,\"j\":0.1,\"k\":1675078743.269714}")),
			 JSON_OK);
	ck_assert_int_eq(item_of("a")->value.integer, INT64_MAX);
	ck_assert_int_eq(item_of("b")->value.integer, INT64_MIN);
	check_text("c", VALUE_REAL, "9223372036854775808");
	check_text("d", VALUE_REAL, "18446744073709551617");
	ck_assert_double_eq(item_of("d")->value.real, 18446744073709551616.0);
	check_text("e", VALUE_REAL, "-9223372036854775809");
	ck_assert(isfinite(item_of("f")->value.real) && item_of("f")->value.real > 1e308);
	ck_assert(isfinite(item_of("g")->value.real) && item_of("g")->value.real < -1e308);
	ck_assert_double_eq(item_of("h")->value.real, 0);
	check_text("i", VALUE_INTEGER, "-0");
	ck_assert_double_eq(item_of("j")->value.real, 0.1);
	ck_assert_double_eq(item_of("k")->value.real, 1675078743.269714);
}
END_TEST

START_TEST(strings)
{
	ck_assert_int_eq(
		walk(TEXT(
			"{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"b\":\"\\u00e9\\u20ac\\ud83d\\ude00\","
			"\"c\":\"a\\u0000b\",\"d\":\"\",\"\\u0065\":\"key\",\"f\":\"\\\\\"}")),
		JSON_OK);
	check_text("a", VALUE_STRING, "\"\\/\b\f\n\r\t");
	check_text("b", VALUE_STRING, "\u00e9\u20ac\U0001f600");
	ck_assert(text_equal(item_of("c")->value.text, TEXT("a\0b")));
	check_text("d", VALUE_STRING, "");
	check_text("e", VALUE_STRING, "key");
	check_text("f", VALUE_STRING, "\\");
}
END_TEST

START_TEST(a_tape_says_where_all_lies)
{
	static const char json[] =
		" {\"a\\\"b\" : [1, {}, [\"x\"]],\n\"c\":{\"d\":null}, \"e\":-1.5} ";
	static const struct {
		const char *text;
		uint32_t next;
	} nodes[] = {{"{\"a\\\"b\" : [1, {}, [\"x\"]],\n\"c\":{\"d\":null}, \"e\":-1.5}", 14},
		     {"\"a\\\"b\"", 3},
		     {"[1, {}, [\"x\"]]", 8},
		     {"1", 5},
		     {"{}", 6},
		     {"[\"x\"]", 8},
		     {"\"x\"", 8},
		     {"\"c\"", 9},
		     {"{\"d\":null}", 12},
		     {"\"d\"", 11},
		     {"null", 12},
		     {"\"e\"", 13},
		     {"-1.5", 14}};
	struct json_tape tape = {0};
	size_t end = 0;
	ck_assert_int_eq(json_index(text_of(json), &tape, &end, &problem), JSON_OK);
	ck_assert_uint_eq(end, sizeof json - 2);
	ck_assert_uint_eq(tape.count, sizeof nodes / sizeof *nodes + 1);
	for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
		const struct json_node *node = &tape.nodes[i + 1];
		ck_assert(text_equal((struct text){json + node->begin, node->size},
				     text_of(nodes[i].text)));
		ck_assert_uint_eq(node->next, nodes[i].next);
	}
	ck_assert_int_eq(json_index(TEXT("[1,{\"a\":]"), &tape, &end, &problem), JSON_BROKEN);
	json_tape_done(&tape);
}
END_TEST

START_TEST(a_tape_has_an_end)
{
	struct json_tape tape = {0};
	struct bytes json cleanup(bytes_done) = {0};
	size_t end = 0;
	bytes_put(&json, "[0", 2);
	for (size_t i = 0; i < JSON_NODES_MAX; i++)
		bytes_put(&json, ",0", 2);
	bytes_put(&json, "]", 1);
	ck_assert_int_eq(json_check(bytes_text(&json), &end, &problem), JSON_OK);
	ck_assert_int_eq(json_index(bytes_text(&json), &tape, &end, &problem), JSON_MEMORY);
	json_tape_done(&tape);
}
END_TEST

START_TEST(a_nul_in_a_key_stays_and_is_flagged)
{
	ck_assert_int_eq(walk(TEXT("{\"ten\\u0000ant\":\"x\"}")), JSON_OK);
	ck_assert_uint_eq(items.items[0].name.size, 7);
	ck_assert(text_equal(items.items[0].name, TEXT("ten\0ant")));
	ck_assert_uint_eq(items.flags, JSON_BAD_NAME);
}
END_TEST

static const char *const broken[] = {
#include "broken_json.def"
};

START_TEST(broken_records_are_refused)
{
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		ck_assert_msg(walk(text_of(broken[i])) == JSON_BROKEN, "accepted: %s", broken[i]);
		ck_assert_uint_le(problem.offset, strlen(broken[i]));
		ck_assert(problem.detail != NULL);
	}
	ck_assert_int_eq(walk(TEXT("[1]")), JSON_NOT_OBJECT);
	ck_assert_int_eq(walk(TEXT("7")), JSON_NOT_OBJECT);
	ck_assert_int_eq(walk(TEXT("")), JSON_NOT_OBJECT);
	ck_assert_int_eq(walk(TEXT("{\"a\":1\0}")), JSON_BROKEN);
	ck_assert_int_eq(walk(TEXT("{\"a\":1}\0")), JSON_BROKEN);
}
END_TEST

START_TEST(the_place_of_a_mistake_is_told)
{
	ck_assert_int_eq(walk(TEXT("{\"abc\":1} x")), JSON_BROKEN);
	ck_assert_uint_eq(problem.offset, 10);
	ck_assert_int_eq(walk(TEXT("{\"abc\":nope}")), JSON_BROKEN);
	ck_assert_uint_eq(problem.offset, 7);
	ck_assert_int_eq(walk(TEXT("{\"abc\":\"x\xff\"}")), JSON_NOT_UTF8);
	ck_assert_uint_eq(problem.offset, 9);
}
END_TEST

START_TEST(utf8)
{
	static const char *const bad[] = {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
					  "\x80",     "\xe2\x82",     "\xf0\x9f\x98",
					  "\xff"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char record[600];
		for (size_t pad = 0; pad < 300; pad += 37) {
			int size = snprintf(record, sizeof record, "{\"a\":\"%0*d\u20ac%s\"}",
					    (int)pad + 1, 0, bad[i]);
			ck_assert_int_eq(walk((struct text){record, (size_t)size}), JSON_NOT_UTF8);
			ck_assert_uint_eq(problem.offset, 6 + pad + 1 + 3);
		}
	}
	ck_assert_int_eq(walk(TEXT("{\"\u00fc\":\"\U0001f600\"}")), JSON_OK);
}
END_TEST

/* { "a": { "a": ... 1 ... } } of that many levels, then "z":7. */
static struct text nested(char open, size_t levels, bool close)
{
	const char *start = open == '{' ? "{\"a\":" : "[";
	size_t step = strlen(start);
	char *record = malloc(levels * (step + 1) + 64);
	size_t size = (size_t)sprintf(record, "{\"a\":");
	for (size_t i = 0; i < levels; i++, size += step)
		memcpy(record + size, start, step);
	record[size++] = '1';
	for (size_t i = 0; close && i < levels; i++)
		record[size++] = open == '{' ? '}' : ']';
	if (close)
		size += (size_t)sprintf(record + size, ",\"z\":7}");
	return (struct text){record, size};
}

START_TEST(depth)
{
	static const size_t levels[] = {JSON_DEPTH_MAX - 1, JSON_DEPTH_MAX, 1023, 100000};
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		for (int object = 0; object < 2; object++) {
			struct text record = nested(object ? '{' : '[', levels[i], true);
			ck_assert_int_eq(walk(record), JSON_OK);
			check_text("z", VALUE_INTEGER, "7");
			bool cut = levels[i] >= JSON_DEPTH_MAX;
			ck_assert_uint_eq(items.flags & JSON_CUT_DEPTH, cut ? JSON_CUT_DEPTH : 0);
			ck_assert_int_eq(items.items[0].value.type,
					 cut ? VALUE_STRING : VALUE_INTEGER);
			/* One byte wrong in the depth: nothing of the record comes out. */
			char *bytes = (char *)record.data;
			char *middle = memchr(bytes, '1', record.size);
			*middle = 'x';
			ck_assert_int_eq(walk(record), JSON_BROKEN);
			free(bytes);
			record = nested(object ? '{' : '[', levels[i], false);
			ck_assert_int_eq(walk(record), JSON_BROKEN);
			free((char *)record.data);
		}
	}
}
END_TEST

START_TEST(names_are_cut_between_characters)
{
	char record[2000];
	char key[700];
	memset(key, 'k', sizeof key);
	memcpy(key + JSON_NAME_MAX - 1, "\u20ac", 3);
	int size = snprintf(record, sizeof record, "{\"%.*s\":1,\"%.100s\":{\"%.*s\":2}}", 600, key,
			    key, 600, key);
	ck_assert_int_eq(walk((struct text){record, (size_t)size}), JSON_OK);
	ck_assert_uint_eq(items.flags, JSON_BAD_NAME);
	ck_assert_uint_eq(items.items[0].name.size, JSON_NAME_MAX - 1);
	ck_assert_uint_eq(items.items[1].name.size, JSON_NAME_MAX);
}
END_TEST

START_TEST(too_many_values)
{
	enum { KEYS = 100000 };
	char *record = malloc(KEYS * 16 + 64);
	size_t size = (size_t)sprintf(record, "{\"k\":0");
	for (int i = 0; i < KEYS; i++)
		size += (size_t)sprintf(record + size, ",\"k%d\":%d", i, i);
	size += (size_t)sprintf(record + size, ",\"user\":{\"id\":\"last\"}}");
	ck_assert_int_eq(walk((struct text){record, size}), JSON_OK);
	ck_assert_uint_eq(items.count, JSON_ITEMS_MAX + 1);
	ck_assert_uint_eq(items.flags, JSON_CUT_ITEMS);
	check_text("user.id", VALUE_STRING, "last");
	record[size - 1] = ']';
	ck_assert_int_eq(walk((struct text){record, size}), JSON_BROKEN);
	free(record);
}
END_TEST

START_TEST(a_small_arena_is_an_answer_not_a_crash)
{
	struct arena *small = arena_new(200);
	char padded[200] =
		"{\"a\":{\"b\":\"\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\","
		"\"c\":\"\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\"}}";
	enum json_result result = JSON_OK;
	for (int i = 0; i < 10 && result == JSON_OK; i++) /* never reset */
		result = json_walk(reader, text_of(padded), small, &items, &problem);
	ck_assert_int_eq(result, JSON_MEMORY);
	arena_free(&small);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json");
	TCase *tests = tcase_create("json");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, flattens);
	tcase_add_test(tests, both_values_of_a_duplicate_key_are_seen);
	tcase_add_test(tests, numbers);
	tcase_add_test(tests, strings);
	tcase_add_test(tests, a_tape_says_where_all_lies);
	tcase_add_test(tests, a_tape_has_an_end);
	tcase_add_test(tests, a_nul_in_a_key_stays_and_is_flagged);
	tcase_add_test(tests, broken_records_are_refused);
	tcase_add_test(tests, the_place_of_a_mistake_is_told);
	tcase_add_test(tests, utf8);
	tcase_add_test(tests, depth);
	tcase_add_test(tests, names_are_cut_between_characters);
	tcase_add_test(tests, too_many_values);
	tcase_add_test(tests, a_small_arena_is_an_answer_not_a_crash);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
