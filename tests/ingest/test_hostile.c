/* Attacks on the parser and the normaliser, numbered as in our threat notes (A01 to A11). Nothing
 * here may crash, hang, lose a record or hide a protected field. */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "decoding.h"
#include "ingest/format_private.h"

static struct decoding decoding;

static void setup(void)
{
	decoding_begin(&decoding, (struct decoder_options){0});
}

static void teardown(void)
{
	decoding_done(&decoding);
}

/* A record that grows. */
struct builder {
	char *bytes;
	size_t size, capacity;
};

__attribute__((format(printf, 2, 3))) static void put(struct builder *builder, const char *format,
						      ...)
{
	va_list args;
	if (builder->capacity - builder->size < 256) {
		builder->capacity = builder->capacity * 2 + 1024;
		builder->bytes = realloc(builder->bytes, builder->capacity);
	}
	va_start(args, format);
	builder->size += (size_t)vsnprintf(builder->bytes + builder->size,
					   builder->capacity - builder->size, format, args);
	va_end(args);
}

static void put_many(struct builder *builder, const char *what, size_t count)
{
	for (size_t i = 0; i < count; i++)
		put(builder, "%s", what);
}

static const struct event *feed(struct builder *builder)
{
	const struct event *event =
		(decoding_feed(&decoding, (struct text){builder->bytes, builder->size}),
		 &decoding.records[0].event);
	ck_assert_uint_eq(decoding.count, 1);
	ck_assert_msg(decoding.accepted == 1, "%.*s", TEXT_ARG(decoding.records[0].detail));
	free(builder->bytes);
	*builder = (struct builder){0};
	return event;
}

START_TEST(a01_duplicates_at_every_nesting)
{
	static const char *const spellings[] = {
		"\"user.id\":\"eve\",\"user\":{\"id\":\"bob\"}",
		"\"user\":{\"id\":\"eve\"},\"user\":{\"id\":\"bob\"}",
		"\"user\":{\"id\":\"eve\",\"id\":\"bob\"}",
		"\"user.id\":\"eve\",\"enduser.id\":\"bob\"",
		"\"user.id\":\"eve\",\"us\\u0065r.id\":\"bob\"",
		"\"user\":[{\"id\":\"eve\"}],\"user.id\":\"bob\"",
	};
	for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
		struct builder builder = {0};
		put(&builder, "{%s}", spellings[i]);
		const struct event *event = feed(&builder);
		CHECK_FIELD(event, "user.id", "eve|bob");
		ck_assert_uint_ne(event->quality & QUALITY_DUPLICATE, 0);
	}
}
END_TEST

START_TEST(a02_nul_in_keys_and_values)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"ten\\u0000ant\":1,\"tenant.id\":\"a\\u0000b\",\"tenant\\u0000.id\":\"x\"}");
	ck_assert_uint_ne(event->quality & QUALITY_NAME, 0);
	ck_assert(text_equal(event_text(event, FIELD_TENANT_ID), TEXT("a\0b")));
	ck_assert(text_equal(event->owner, TEXT("a\0b")));
	ck_assert_uint_eq(event->fields[0].name.size, 7);
	ck_assert_uint_eq(event->quality & QUALITY_DUPLICATE, 0);
}
END_TEST

/* Each value stands in an object of its own: taken, or refused with this reason. */
START_TEST(a03_numbers_and_texts_at_the_edge_of_json)
{
	static const struct {
		const char *record;
		enum reject why;
	} records[] = {
		{"{\"a\":NaN}", REJECT_NOT_JSON},
		{"{\"a\":Infinity}", REJECT_NOT_JSON},
		{"{\"a\":-0}", ACCEPTED},
		{"{\"a\":1e999}", ACCEPTED},
		{"{\"a\":18446744073709551617}", ACCEPTED},
		{"{\"a\":-9223372036854775809}", ACCEPTED},
		{"{\"a\":01}", REJECT_NOT_JSON},
		{"{\"a\":0x10}", REJECT_NOT_JSON},
		{"{\"a\":\"\x01\"}", REJECT_NOT_JSON},
		{"{\"a\":\"\\ud800\"}", REJECT_NOT_JSON},
		{"{\"a\":\"\xc0\xaf\"}", REJECT_NOT_UTF8},
		{"{\"a\":\"\xff\"}", REJECT_NOT_UTF8},
		{"\xef\xbb\xbf{\"a\":1}", ACCEPTED},
		{"{\"a\":1}//x", REJECT_NOT_JSON},
		{"{'a':1}", REJECT_NOT_JSON},
		{"{\"a\":1,}", REJECT_NOT_JSON},
		{"{\"a\":1}x", REJECT_NOT_JSON},
	};
	for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
		decoding_feed(&decoding, text_of(records[i].record));
		ck_assert_uint_eq(decoding.count, 1);
		ck_assert_msg(decoding.records[0].why == records[i].why, "%s: %s",
			      records[i].record, reject_name(decoding.records[0].why));
		ck_assert(records[i].why == ACCEPTED || decoding.records[0].detail.size > 0);
	}
	/* Digits are kept when the number does not fit. */
	CHECK_FIELD(decoding_one(&decoding, records[4].record), "a", "18446744073709551617");
}
END_TEST

START_TEST(a04_depth_keeps_the_protected_fields)
{
	struct builder builder = {0};
	put(&builder, "{\"deep\":");
	put_many(&builder, "{\"a\":[", 50000);
	put_many(&builder, "]}", 50000);
	put(&builder, ",\"tenant\":{\"id\":\"t\"},\"source.ip\":\"1.2.3.4\"}");
	const struct event *event = feed(&builder);
	ck_assert_uint_ne(event->quality & QUALITY_DEPTH, 0);
	CHECK_FIELD(event, "tenant.id", "t");
	CHECK_FIELD(event, "source.ip", "1.2.3.4");
}
END_TEST

START_TEST(a05_a_hundred_thousand_keys)
{
	struct builder builder = {0};
	put(&builder, "{\"first\":1");
	for (int i = 0; i < 100000; i++)
		put(&builder, ",\"k%d\":%d", i, i);
	put(&builder, ",\"user_id\":\"eve\",\"tenantId\":\"t\",\"outcome\":\"failure\","
		      "\"remote_addr\":\"9.9.9.9\",\"service\":\"s\",\"time\":1795305601}");
	const struct event *event = feed(&builder);
	ck_assert_uint_ne(event->quality & QUALITY_FIELDS, 0);
	ck_assert_uint_eq(event->field_count, EVENT_LOGGED_MAX);
	CHECK_FIELD(event, "user.id", "eve");
	CHECK_FIELD(event, "tenant.id", "t");
	CHECK_FIELD(event, "event.outcome", "failure");
	CHECK_FIELD(event, "source.ip", "9.9.9.9");
	CHECK_FIELD(event, "service.name", "s");
	CHECK_FIELD(event, "first", "1");
	ck_assert_str_eq(time_of(event->time_us), "2026-11-22T00:00:01Z");
}
END_TEST

START_TEST(a05_more_protected_values_than_fields)
{
	struct builder builder = {0};
	put(&builder, "{\"a\":1");
	for (int i = 0; i < 5000; i++)
		put(&builder, ",\"tenant.id\":\"t%d\"", i);
	put(&builder, "}");
	const struct event *event = feed(&builder);
	ck_assert_uint_ne(event->quality & QUALITY_FIELDS, 0);
	ck_assert_uint_ne(event->quality & QUALITY_DUPLICATE, 0);
	ck_assert_uint_le(event->field_count, EVENT_LOGGED_MAX);
}
END_TEST

START_TEST(a05_one_key_many_times_is_not_slow)
{
	static const char *const keys[] = {",\"k\":1", ",\"a.b\":2", ",\"user.id\":3",
					   ",\"tags\":[1,2,3,4,5,6,7,8]"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		struct builder builder = {0};
		put(&builder, "{\"first\":1");
		put_many(&builder, keys[i], 100000);
		put(&builder, "}");
		clock_t start = clock();
		(void)feed(&builder);
		ck_assert_int_lt((clock() - start) / CLOCKS_PER_SEC, 5);
	}
}
END_TEST

START_TEST(a05_what_is_left_out_costs_no_memory)
{
	/* Names of 500 bytes for values of 8: kept, they would take 64 times the message. */
	struct builder builder = {0};
	put(&builder, "{\"");
	put_many(&builder, "n", 450);
	put(&builder, "\":{");
	for (int i = 0; i < 200000; i++)
		put(&builder, "%s\"\\n\":{\"a\":\"\\n\"}", i == 0 ? "" : ",");
	put(&builder, "},\"tenant.id\":\"t\"}");
	size_t size = builder.size;
	CHECK_FIELD(feed(&builder), "tenant.id", "t");
	ck_assert_uint_lt(arena_used(decoding.arena), 4 * size);
}
END_TEST

START_TEST(a06_a_long_value_is_cut_and_said_so)
{
	struct builder builder = {0};
	put(&builder, "{\"message\":\"");
	put_many(&builder, "\u20ac", EVENT_VALUE_MAX / 3 + 10);
	put(&builder, "\",\"n\":1");
	put_many(&builder, "0", EVENT_VALUE_MAX + 10);
	put(&builder, ",\"tenant.id\":\"t\"}");
	const struct event *event = feed(&builder);
	ck_assert_uint_ne(event->quality & QUALITY_VALUE, 0);
	size_t size = event_text(event, FIELD_MESSAGE).size;
	ck_assert_uint_le(size, EVENT_VALUE_MAX);
	ck_assert_uint_gt(size, EVENT_VALUE_MAX - 3);
	ck_assert_uint_eq(size % 3, 0); /* between characters */
	CHECK_FIELD(event, "tenant.id", "t");
}
END_TEST

START_TEST(a06_ten_megabytes)
{
	struct builder builder = {0};
	put(&builder, "{\"a\":[");
	for (int i = 0; i < 1000000; i++)
		put(&builder, "%s\"abcdefg\"", i == 0 ? "" : ",");
	put(&builder, "],\"user.name\":\"eve\"}");
	ck_assert_uint_gt(builder.size, 10 * 1000 * 1000);
	const struct event *event = feed(&builder);
	CHECK_FIELD(event, "user.name", "eve");
	ck_assert_uint_ne(event->quality & QUALITY_FIELDS, 0);
	CHECK_FIELD(decoding_one(&decoding, "{\"a\":1}"), "a", "1"); /* and then life goes on */
}
END_TEST

START_TEST(a09_every_field_with_every_type)
{
	static const char *const values[] = {"\"text\"", "7",         "-0.5", "true",
					     "null",     "[]",        "{}",   "[[]]",
					     "[null,1]", "{\"x\":1}", "\"\""};
	for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
		const struct field_info *info = schema_info((enum field_id)id);
		for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
			struct builder builder = {0};
			put(&builder, "{\"%.*s\":%s}", TEXT_ARG(info->name), values[i]);
			const struct event *event = feed(&builder);
			bool provenance = info->protection == FIELD_PROVENANCE;
			ck_assert(!provenance || event_get(event, (enum field_id)id) == NULL);
			ck_assert_uint_gt(event->owner.size, 0);
		}
	}
}
END_TEST

START_TEST(a09_every_mapped_name_with_every_type)
{
	static const char *const values[] = {"\"\"",       "\":\"", "\"[\"", "\"1.2.3.4:99999999\"",
					     "\"[::1]:\"", "7",     "1e999", "true",
					     "null",       "[]",    "{}",    "[\"a\",[\"b\"]]",
					     "-7"};
	struct formats *formats = NULL;
	ck_assert_int_eq(formats_new(NULL, 0, &formats, NULL), OK);
	for (size_t f = 0; f < formats->format_count; f++) {
		const struct format *format = &formats->formats[f];
		for (size_t n = 0; n < format->row_count; n++) {
			struct text name = format->rows[n].source_name;
			for (size_t i = 0; name.size > 0 && i < sizeof values / sizeof *values;
			     i++) {
				struct builder builder = {0};
				put(&builder, "{\"%.*s\":%s}", TEXT_ARG(name), values[i]);
				(void)feed(&builder);
			}
		}
	}
	formats_free(&formats);
}
END_TEST

START_TEST(a11_a_message_is_never_read_as_fields)
{
	const struct event *event = decoding_one(
		&decoding, "{\"message\":\"{\\\"tenant.id\\\":\\\"victim\\\"}\\n{\\\"x\\\":1}\","
			   "\"tenant.id\":\"own\",\"level\":\"info\"}");
	CHECK_FIELD(event, "tenant.id", "own");
	CHECK_FIELD(event, "x", "-");
	/* An outer protected field is not overridden by what the agent's line claims. */
	event = decoding_one(&decoding, "{\"log\":\"{\\\"tenant.id\\\":\\\"victim\\\"}\","
					"\"stream\":\"stdout\",\"tenant.id\":\"own\"}");
	CHECK_FIELD(event, "tenant.id", "own");
}
END_TEST

START_TEST(a11_a_text_line_forges_nothing_protected)
{
	const struct event *event = decoding_one(
		&decoding, "{\"log\":\"INFO user.id=admin tenant.id=victim TraceID: zz\","
			   "\"stream\":\"stdout\"}");
	CHECK_FIELD(event, "user.id", "-");
	CHECK_FIELD(event, "tenant.id", "-");
	CHECK_FIELD(event, "trace.id", "-");
}
END_TEST

static const char sample[] =
	"{\"level\":30,\"time\":1795305601250,\"msg\":\"a \\\"b\\\" \\ud83d\\ude00 \u20ac\","
	"\"user\":{\"id\":[1,\"x\",null]},\"kubernetes\":{\"labels\":{\"app\":\"s\"}},\"n\":-1.5e3}";

/* A08, as far as one message goes: nothing of what a poisoned record may be ends the process. */
START_TEST(a08_every_truncation_is_a_reject)
{
	for (size_t size = 1; size < sizeof sample - 1; size++) {
		char *exact = malloc(size); /* AddressSanitizer sees the first byte beyond it */
		memcpy(exact, sample, size);
		decoding_feed(&decoding, (struct text){exact, size});
		ck_assert_msg(decoding.count == 1 && decoding.accepted == 0, "%zu bytes", size);
		free(exact);
	}
}
END_TEST

START_TEST(a08_every_flipped_byte_is_survived)
{
	char bytes[sizeof sample];
	unsigned rejected = 0;
	for (size_t at = 0; at < sizeof sample - 1; at++) {
		for (int flip = 1; flip < 256; flip += 3) {
			memcpy(bytes, sample, sizeof sample);
			bytes[at] = (char)(bytes[at] ^ flip);
			decoding_feed(&decoding, (struct text){bytes, sizeof sample - 1});
			rejected += decoding.accepted == 0;
		}
	}
	ck_assert_uint_gt(rejected, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile");
	TCase *tests = tcase_create("hostile");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a01_duplicates_at_every_nesting);
	tcase_add_test(tests, a02_nul_in_keys_and_values);
	tcase_add_test(tests, a03_numbers_and_texts_at_the_edge_of_json);
	tcase_add_test(tests, a04_depth_keeps_the_protected_fields);
	tcase_add_test(tests, a05_a_hundred_thousand_keys);
	tcase_add_test(tests, a05_more_protected_values_than_fields);
	tcase_add_test(tests, a05_one_key_many_times_is_not_slow);
	tcase_add_test(tests, a05_what_is_left_out_costs_no_memory);
	tcase_add_test(tests, a06_a_long_value_is_cut_and_said_so);
	tcase_add_test(tests, a06_ten_megabytes);
	tcase_add_test(tests, a09_every_field_with_every_type);
	tcase_add_test(tests, a09_every_mapped_name_with_every_type);
	tcase_add_test(tests, a11_a_message_is_never_read_as_fields);
	tcase_add_test(tests, a11_a_text_line_forges_nothing_protected);
	tcase_add_test(tests, a08_every_truncation_is_a_reject);
	tcase_add_test(tests, a08_every_flipped_byte_is_survived);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
