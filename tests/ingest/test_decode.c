/* decode.c and split.c: which records a message holds, and what becomes of each. */
#include <stdio.h>

#include "decoding.h"

static struct decoding decoding;

static void setup(void)
{
	decoding_begin(&decoding, (struct decoder_options){0});
}

static void teardown(void)
{
	decoding_done(&decoding);
}

static void check_reject(size_t at, enum reject why, const char *raw)
{
	const struct decoded *record = &decoding.records[at];
	ck_assert_msg(record->why == why, "%s instead of %s", reject_name(record->why),
		      reject_name(why));
	ck_assert_msg(text_equal(record->raw, text_of(raw)), "raw is %.*s", TEXT_ARG(record->raw));
	ck_assert_uint_gt(record->detail.size, 0);
}

static void check_whole_reject(struct text payload, enum reject why)
{
	decoding_feed(&decoding, payload);
	ck_assert_uint_eq(decoding.count, 1);
	ck_assert_msg(decoding.records[0].why == why, "%.*s: %s instead of %s", TEXT_ARG(payload),
		      reject_name(decoding.records[0].why), reject_name(why));
	ck_assert(text_equal(decoding.records[0].raw, payload));
	ck_assert_uint_gt(decoding.records[0].detail.size, 0);
}

START_TEST(one_object)
{
	decoding_feed(&decoding, TEXT(" {\"a\":1}\n"));
	ck_assert_uint_eq(decoding.count, 1);
	const struct event *event = &decoding.records[0].event;
	CHECK_FIELD(event, "a", "1");
	ck_assert(text_equal(event->origin.topic, TEXT("logs")));
	ck_assert_int_eq(event->origin.partition, 3);
	ck_assert_int_eq(event->origin.offset, 41);
	ck_assert_uint_eq(event->origin.index, 0);
	ck_assert_int_eq(event->record_time_us, RECORD_TIME_US);
	ck_assert(text_equal(decoding.records[0].raw, TEXT(" {\"a\":1}\n")));
}
END_TEST

START_TEST(printed_over_many_lines)
{
	CHECK_FIELD(decoding_one(&decoding, "{\n  \"a\": 1,\n  \"b\": {\n\"c\": 2\n}\n}\n"), "b.c",
		    "2");
}
END_TEST

START_TEST(array_of_objects)
{
	decoding_feed(&decoding, TEXT("[{\"a\":1}, 7 ,{\"a\":2},[{}],\"x\",null]"));
	ck_assert_uint_eq(decoding.count, 6);
	ck_assert_uint_eq(decoding.accepted, 2);
	CHECK_FIELD(&decoding.records[2].event, "a", "2");
	ck_assert_uint_eq(decoding.records[2].event.origin.index, 2);
	check_reject(1, REJECT_NOT_OBJECT, "7");
	check_reject(3, REJECT_NOT_OBJECT, "[{}]");
	check_reject(4, REJECT_NOT_OBJECT, "\"x\"");
	check_reject(5, REJECT_NOT_OBJECT, "null");
}
END_TEST

START_TEST(a_broken_array_gives_nothing)
{
	check_whole_reject(TEXT("[{\"a\":1},{\"a\":2},{\"a\":"), REJECT_NOT_JSON);
	check_whole_reject(TEXT("[{\"a\":1},{\"a\":2}"), REJECT_NOT_JSON);
	check_whole_reject(TEXT("[{\"a\":1},{\"a\":2}] x"), REJECT_NOT_JSON);
	check_whole_reject(TEXT("[{\"a\":1},{\"a\":\"\xff\"}]"), REJECT_NOT_UTF8);
	check_whole_reject(TEXT("[]"), REJECT_EMPTY);
	check_whole_reject(TEXT("[ \n ]"), REJECT_EMPTY);
	check_whole_reject(TEXT("[,]"), REJECT_NOT_JSON);
}
END_TEST

START_TEST(lines)
{
	decoding_feed(
		&decoding,
		TEXT("{\"a\":1}\r\n\n{\"a\":2\n {\"a\":3} \n{\"a\":4}{}\n7\ntext\n{\"a\":5}"));
	ck_assert_uint_eq(decoding.count, 7);
	ck_assert_uint_eq(decoding.accepted, 3);
	check_reject(1, REJECT_NOT_JSON, "{\"a\":2");
	CHECK_FIELD(&decoding.records[2].event, "a", "3");
	ck_assert_uint_eq(decoding.records[2].event.origin.index, 2);
	check_reject(3, REJECT_NOT_JSON, "{\"a\":4}{}");
	check_reject(4, REJECT_NOT_OBJECT, "7");
	check_reject(5, REJECT_NOT_JSON, "text");
	CHECK_FIELD(&decoding.records[6].event, "a", "5");
}
END_TEST

START_TEST(lines_of_which_the_first_is_broken)
{
	decoding_feed(&decoding, TEXT("{\"a\":\n{\"a\":1}\n"));
	ck_assert_uint_eq(decoding.count, 2);
	check_reject(0, REJECT_NOT_JSON, "{\"a\":");
	decoding_feed(&decoding, TEXT("started\n{\"a\":1}\n"));
	ck_assert_uint_eq(decoding.count, 2);
	check_reject(0, REJECT_NOT_JSON, "started");
	ck_assert_uint_eq(decoding.accepted, 1);
	decoding_feed(&decoding, TEXT("[1\n{\"a\":1}\n"));
	ck_assert_uint_eq(decoding.count, 2);
	ck_assert_uint_eq(decoding.accepted, 1);
	/* One broken object over many lines is one reject, not one per line. */
	check_whole_reject(TEXT("{\n  \"a\": {\"b\":1},\n  \"c\": [\n    {\"d\":1}\n"),
			   REJECT_NOT_JSON);
}
END_TEST

START_TEST(bad_utf8_on_one_line_leaves_the_others)
{
	decoding_feed(&decoding, TEXT("{\"a\":1}\n{\"a\":\"\xff\"}\n{\"a\":3}\n"));
	ck_assert_uint_eq(decoding.count, 3);
	ck_assert_uint_eq(decoding.accepted, 2);
	check_reject(1, REJECT_NOT_UTF8, "{\"a\":\"\xff\"}");
}
END_TEST

START_TEST(messages_without_a_record)
{
	check_whole_reject(TEXT(" \n\t "), REJECT_EMPTY);
	check_whole_reject(TEXT("hello world"), REJECT_NOT_JSON);
	check_whole_reject(TEXT("42"), REJECT_NOT_OBJECT);
	check_whole_reject(TEXT("\"text\""), REJECT_NOT_OBJECT);
	check_whole_reject(TEXT("\x00\x01\x02\x03"), REJECT_BINARY);
	check_whole_reject(TEXT("\x0a\x1f\x8b\x08\x00"), REJECT_BINARY);
	check_whole_reject(TEXT("\xff\xfe{\x00}\x00"), REJECT_BINARY);
	check_whole_reject(TEXT("{\"a\":1"), REJECT_NOT_JSON);
	check_whole_reject(TEXT("{\"a\":NaN}"), REJECT_NOT_JSON);
	decoding_feed(&decoding, (struct text){"", 0});
	ck_assert_int_eq(decoding.records[0].why, REJECT_EMPTY);
	decoding_feed(&decoding, (struct text){NULL, 0});
	ck_assert_int_eq(decoding.records[0].why, REJECT_TOMBSTONE);
	ck_assert_uint_eq(decoding.count, 1);
}
END_TEST

START_TEST(a_byte_order_mark_is_skipped)
{
	CHECK_FIELD(decoding_one(&decoding, "\xef\xbb\xbf{\"a\":1}"), "a", "1");
}
END_TEST

START_TEST(the_detail_says_where)
{
	decoding_feed(&decoding, TEXT("{\"abc\":nope}"));
	ck_assert(text_equal(decoding.records[0].detail, TEXT("not a JSON value at byte 7")));
}
END_TEST

static char *repeat(const char *what, size_t count, size_t *ret_size)
{
	size_t size = strlen(what);
	char *bytes = malloc(count * size + 16);
	for (size_t i = 0; i < count; i++)
		memcpy(bytes + i * size, what, size);
	*ret_size = count * size;
	return bytes;
}

START_TEST(too_many_records)
{
	size_t size = 0;
	char *bytes = repeat("{\"a\":1}\n", DECODE_RECORDS_MAX, &size);
	decoding_feed(&decoding, (struct text){bytes, size});
	ck_assert_uint_eq(decoding.count, DECODE_RECORDS_MAX);
	ck_assert_uint_eq(decoding.accepted, DECODE_RECORDS_MAX);
	free(bytes);
	bytes = repeat("{\"a\":1}\n", DECODE_RECORDS_MAX + 3, &size);
	decoding_feed(&decoding, (struct text){bytes, size});
	ck_assert_uint_eq(decoding.count, DECODE_RECORDS_MAX + 1);
	ck_assert_uint_eq(decoding.accepted, DECODE_RECORDS_MAX);
	free(bytes);
}
END_TEST

START_TEST(too_large)
{
	size_t size = 0;
	char *bytes = repeat(" ", DECODE_MESSAGE_MAX + 1, &size);
	check_whole_reject((struct text){bytes, size}, REJECT_TOO_LARGE);
	bytes[0] = '{';
	bytes[DECODE_MESSAGE_MAX - 1] = '}';
	decoding_feed(&decoding, (struct text){bytes, DECODE_MESSAGE_MAX});
	ck_assert_uint_eq(decoding.accepted, 1);
	free(bytes);
}
END_TEST

START_TEST(no_memory_for_a_record_is_its_reject)
{
	struct arena *roomy = decoding.arena;
	decoding.arena = arena_new(4096);
	size_t size = 0;
	char *bytes = repeat("x", 8000, &size);
	bytes[0] = '{';
	check_whole_reject((struct text){bytes, size}, REJECT_MEMORY);
	/* The message fits, the fields of its first record do not; the next message is fine. */
	char record[3500] = "{";
	for (int i = 0; i < 300; i++)
		(void)sprintf(record + strlen(record), "%s\"k%d\":1", i == 0 ? "" : ",", i);
	(void)strcat(record, "}");
	check_whole_reject(text_of(record), REJECT_MEMORY);
	CHECK_FIELD(decoding_one(&decoding, "{\"a\":1}"), "a", "1");
	arena_free(&decoding.arena);
	decoding.arena = roomy;
	free(bytes);
}
END_TEST

START_TEST(every_reject_has_words)
{
	for (unsigned why = 0; why < REJECT_COUNT; why++) {
		ck_assert_uint_gt(strlen(reject_name((enum reject)why)), 0);
		ck_assert_uint_gt(strlen(reject_text((enum reject)why)), 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("decode");
	TCase *tests = tcase_create("decode");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, one_object);
	tcase_add_test(tests, printed_over_many_lines);
	tcase_add_test(tests, array_of_objects);
	tcase_add_test(tests, a_broken_array_gives_nothing);
	tcase_add_test(tests, lines);
	tcase_add_test(tests, lines_of_which_the_first_is_broken);
	tcase_add_test(tests, bad_utf8_on_one_line_leaves_the_others);
	tcase_add_test(tests, messages_without_a_record);
	tcase_add_test(tests, a_byte_order_mark_is_skipped);
	tcase_add_test(tests, the_detail_says_where);
	tcase_add_test(tests, too_many_records);
	tcase_add_test(tests, too_large);
	tcase_add_test(tests, no_memory_for_a_record_is_its_reject);
	tcase_add_test(tests, every_reject_has_words);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
