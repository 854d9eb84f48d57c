/* normalise.c, draft.c and event_time.c: names, times, duplicates, owner, log source, raw input. */
#include <stdio.h>

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

static void again_with(struct decoder_options options)
{
	decoding_done(&decoding);
	decoding_begin(&decoding, options);
}

START_TEST(the_last_of_a_plain_duplicate_wins)
{
	const struct event *event = decoding_one(
		&decoding, "{\"a\":1,\"b\":{\"c\":1},\"b.c\":2,\"a\":[2,3],\"d\":[1],\"d\":null}");
	CHECK_FIELD(event, "a", "2|3");
	CHECK_FIELD(event, "b.c", "2");
	CHECK_FIELD(event, "d", "null");
	ck_assert_uint_eq(event->quality & QUALITY_DUPLICATE, 0);
}
END_TEST

/* Row D10 of rules/RULES.md: whichever comes first. */
START_TEST(a_dotted_key_hides_the_nested_path)
{
	static const char *const records[] = {
		"{\"b.c\":\"flat\",\"b\":{\"c\":\"nested\",\"d\":1}}",
		"{\"b\":{\"c\":\"nested\",\"d\":1},\"b.c\":\"flat\"}",
		"{\"b.c\":\"flat\",\"b\":[{\"c\":1,\"d\":1},{\"c\":2}]}",
	};
	for (int raw = 0; raw < 2; raw++) {
		if (raw)
			again_with((struct decoder_options){.format = INPUT_RAW});
		for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
			const struct event *event = decoding_one(&decoding, records[i]);
			CHECK_FIELD(event, "b.c", "flat");
			CHECK_FIELD(event, "b.d", "1");
		}
		CHECK_FIELD(decoding_one(&decoding, "{\"b.c\":1,\"b.c\":2}"), "b.c", "2");
		CHECK_FIELD(decoding_one(&decoding, "{\"b\":{\"c\":1},\"b\":{\"c\":2}}"), "b.c",
			    "2");
	}
}
END_TEST

START_TEST(every_value_of_a_protected_field_stays)
{
	const struct event *event = decoding_one(
		&decoding, "{\"tenant.id\":\"a\",\"tenant\":{\"id\":\"b\"},\"tenantId\":\"a\","
			   "\"user\":{\"id\":\"u\"},\"user.id\":\"u\"}");
	CHECK_FIELD(event, "tenant.id", "b|a");
	CHECK_FIELD(event, "user.id", "u");
	ck_assert_uint_ne(event->quality & QUALITY_DUPLICATE, 0);
	ck_assert(text_equal(event->owner, TEXT("a"))); /* the last */
	event = decoding_one(&decoding, "{\"user.id\":\"u\",\"user\":{\"id\":\"u\"}}");
	CHECK_FIELD(event, "user.id", "u");
	ck_assert_uint_eq(event->quality & QUALITY_DUPLICATE, 0);
	event = decoding_one(&decoding, "{\"user.id\":7,\"user\":{\"id\":\"7\"}}"); /* A09 */
	CHECK_FIELD(event, "user.id", "7|7");
	ck_assert_uint_ne(event->quality & QUALITY_DUPLICATE, 0);
	event = decoding_one(&decoding,
			     "{\"source.ip\":[\"1\",\"2\"]}"); /* an array is no duplicate */
	CHECK_FIELD(event, "source.ip", "1|2");
	ck_assert_uint_eq(event->quality & QUALITY_DUPLICATE, 0);
}
END_TEST

START_TEST(names_and_ids_agree)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"http\":{\"status_code\":200,\"x\":1},\"client.ip\":\"1\",\"own\":{\"n\":1}}");
	for (size_t i = 0; i < event->field_count; i++)
		ck_assert_int_eq(event->fields[i].id, schema_find(event->fields[i].name));
	ck_assert(event_get(event, FIELD_HTTP_STATUS) != NULL);
	ck_assert(event_get(event, FIELD_SOURCE_IP) != NULL);
	CHECK_FIELD(event, "own.n", "1");
}
END_TEST

START_TEST(the_owner_is_the_tenant)
{
	ck_assert(text_equal(decoding_one(&decoding, "{\"x\":1}")->owner, TEXT("-")));
	ck_assert(text_equal(decoding_one(&decoding, "{\"tenant_id\":42}")->owner, TEXT("42")));
	ck_assert(text_equal(decoding_one(&decoding, "{\"tenant.id\":\"\"}")->owner, TEXT("-")));
	ck_assert(text_equal(decoding_one(&decoding, "{\"tenant.id\":null}")->owner, TEXT("-")));
	ck_assert(text_equal(decoding_one(&decoding, "{\"target.tenant.id\":\"b\"}")->owner,
			     TEXT("-")));
}
END_TEST

START_TEST(provenance_cannot_be_claimed)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"picket\":{\"src\":{\"topic\":\"t\",\"new\":1},\"bound\":{\"tenant\":\"x\"},"
		"\"quality\":\"fine\",\"auth\":{\"mfa\":\"passed\"}},\"logsource.product\":\"aws\"}");
	ck_assert_uint_eq(event->field_count, 1);
	CHECK_FIELD(event, "picket.auth.mfa", "passed");
	ck_assert_uint_ne(event->quality & QUALITY_PROVENANCE, 0);
	ck_assert(text_equal(event->owner, TEXT("-")));
	ck_assert(text_equal(event->logsource.product, TEXT("microservice")));
}
END_TEST

static void check_time(const char *payload, const char *expected, uint32_t quality)
{
	const struct event *event = decoding_one(&decoding, payload);
	ck_assert_msg(strcmp(time_of(event->time_us), expected) == 0, "%s: %s", payload,
		      time_of(event->time_us));
	ck_assert_uint_eq(event->quality, quality);
}

START_TEST(times_in_every_form)
{
	static const char *const same[] = {
		"{\"@timestamp\":\"2026-11-22T00:00:01Z\"}",
		"{\"@timestamp\":\"2026-11-22 01:00:01+01:00\"}",
		"{\"@timestamp\":1795305601}",
		"{\"@timestamp\":1795305601000}",
		"{\"@timestamp\":1795305601000000}",
		"{\"@timestamp\":1795305601000000000}",
		"{\"@timestamp\":\"1795305601000000000\"}",
		"{\"@timestamp\":1795305601.0}",
		"{\"@timestamp\":1.795305601e9}",
		"{\"@timestamp\":\"1795305601.000\"}",
		"{\"time\":1795305601}",
		"{\"ts\":1795305601.0}",
		"{\"timestamp\":\"1795305601\"}",
		"{\"time_unix_nano\":\"1795305601000000000\"}",
		"{\"@timestamp\":\"garbage\",\"time\":1795305601}",
		"{\"time\":\"3ms\",\"ts\":1795305601}",
	};
	for (size_t i = 0; i < sizeof same / sizeof *same; i++)
		check_time(same[i], "2026-11-22T00:00:01Z", 0);
	CHECK_FIELD(decoding_one(&decoding, same[14]), "@timestamp", "garbage");
	/* What did not read as a time keeps its name. */
	CHECK_FIELD(decoding_one(&decoding, "{\"time\":\"3ms\",\"ts\":1795305601}"), "time", "3ms");
}
END_TEST

START_TEST(times_that_are_none)
{
	static const char *const none[] = {
		"{\"x\":1}",
		"{\"@timestamp\":\"\"}",
		"{\"@timestamp\":null}",
		"{\"@timestamp\":true}",
		"{\"@timestamp\":{}}",
		"{\"@timestamp\":\"yesterday\"}",
		"{\"@timestamp\":\"2026-13-01T00:00:00Z\"}",
		"{\"@timestamp\":\"12345678901234567890123\"}",
		"{\"@timestamp\":1e300}",
		"{\"@timestamp\":-1e300}",
	};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		check_time(none[i], "2026-11-22T00:00:00Z", QUALITY_TIME_MISSING);
}
END_TEST

START_TEST(a_time_is_held_against_the_record)
{
	check_time("{\"time\":\"2026-11-22T00:05:00Z\"}", "2026-11-22T00:05:00Z", 0);
	check_time("{\"time\":\"2026-11-22T00:05:01Z\"}", "2026-11-22T00:00:00Z",
		   QUALITY_TIME_FUTURE);
	check_time("{\"time\":\"2100-01-01T00:00:00Z\"}", "2026-11-22T00:00:00Z",
		   QUALITY_TIME_FUTURE);
	check_time("{\"time\":\"2026-11-15T00:00:00Z\"}", "2026-11-15T00:00:00Z", 0);
	check_time("{\"time\":\"2026-11-14T23:59:59Z\"}", "2026-11-22T00:00:00Z",
		   QUALITY_TIME_PAST);
	check_time("{\"time\":0}", "2026-11-22T00:00:00Z", QUALITY_TIME_PAST);
	/* Both are kept: the claim stays in the field. */
	CHECK_FIELD(decoding_one(&decoding, "{\"time\":\"2100-01-01T00:00:00Z\"}"), "@timestamp",
		    "2100-01-01T00:00:00Z");
	again_with((struct decoder_options){.future_max_us = 1000000, .past_max_us = 1000000});
	check_time("{\"time\":1795305602}", "2026-11-22T00:00:00Z", QUALITY_TIME_FUTURE);
	check_time("{\"time\":1795305601}", "2026-11-22T00:00:01Z", 0);
	again_with((struct decoder_options){.time_trusted = true});
	check_time("{\"time\":\"2100-01-01T00:00:00Z\"}", "2100-01-01T00:00:00Z", 0);
	check_time("{\"time\":-1}", "1969-12-31T23:59:59Z", 0);
}
END_TEST

START_TEST(a_time_field_can_be_named)
{
	again_with((struct decoder_options){.time_field = TEXT("seen.at"), .time_trusted = true});
	check_time("{\"@timestamp\":1,\"seen\":{\"at\":1795305601000}}", "2026-11-22T00:00:01Z", 0);
	check_time("{\"@timestamp\":1795305602,\"seen\":{\"at\":\"?\"}}", "2026-11-22T00:00:02Z",
		   0);
	again_with((struct decoder_options){.time_line_number = true, .time_trusted = true});
	check_time("{\"x\":1}", "1970-01-01T00:00:41Z", QUALITY_TIME_MISSING);
	check_time("{\"\":1795305602}", "1970-01-01T00:00:41Z", QUALITY_TIME_MISSING);
}
END_TEST

START_TEST(time_magnitudes_at_their_edges)
{
	static const struct {
		int64_t number, time_us;
	} edges[] = {
		{99999999999, 99999999999000000},       {100000000000, 100000000000000},
		{99999999999999, 99999999999999000},    {100000000000000, 100000000000000},
		{99999999999999999, 99999999999999999}, {100000000000000000, 100000000000000},
		{INT64_MAX, 9223372036854775},          {-99999, -99999000000},
	};
	for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
		const struct value value = {.type = VALUE_INTEGER, .integer = edges[i].number};
		int64_t time_us = 0;
		ck_assert(time_of_value(&value, &time_us));
		ck_assert_int_eq(time_us, edges[i].time_us);
	}
	const struct value too_early = {.type = VALUE_INTEGER, .integer = -99999999999};
	int64_t untouched = 5;
	ck_assert(!time_of_value(&too_early, &untouched));
	ck_assert_int_eq(untouched, 5);
}
END_TEST

START_TEST(log_source_from_the_options)
{
	again_with((struct decoder_options){
		.logsource = {.product = TEXT("okta"), .service = TEXT("okta")}});
	const struct event *event = decoding_one(&decoding, "{\"status\":200}");
	ck_assert(text_equal(event->logsource.product, TEXT("okta")));
	ck_assert_uint_eq(event->logsource.category.size, 0);
}
END_TEST

START_TEST(raw_input_is_left_alone)
{
	again_with((struct decoder_options){.format = INPUT_RAW, .time_trusted = true});
	const struct event *event = decoding_one(
		&decoding,
		"{\"timestamp\":1795305601,\"status\":200,\"user\":\"u\",\"level\":30,"
		"\"eventName\":\"x\",\"http.url\":\"a\",\"url.full\":\"b\",\"k\":1,\"k\":2,"
		"\"log\":\"{\\\"a\\\":1}\",\"stream\":\"s\"}");
	ck_assert_str_eq(decoding.records[0].format, "raw");
	ck_assert_str_eq(time_of(event->time_us), "2026-11-22T00:00:01Z");
	CHECK_FIELD(event, "timestamp", "1795305601");
	CHECK_FIELD(event, "@timestamp", "-");
	CHECK_FIELD(event, "http.response.status_code", "-");
	CHECK_FIELD(event, "user.name", "-");
	CHECK_FIELD(event, "log.level", "-");
	CHECK_FIELD(event, "url.full", "a|b"); /* two spellings: neither hides the other */
	CHECK_FIELD(event, "k", "2");
	CHECK_FIELD(event, "log", "{\"a\":1}");
	ck_assert_uint_eq(event->logsource.product.size + event->logsource.category.size, 0);
	/* How records lie in a file is no field of them. */
	decoding_feed(&decoding, TEXT("{\"Records\":[{\"a\":1},{\"a\":2}]}"));
	ck_assert_uint_eq(decoding.count, 2);
	CHECK_FIELD(&decoding.records[1].event, "a", "2");
}
END_TEST

START_TEST(ecs_input_is_not_recognised_as_something_else)
{
	again_with((struct decoder_options){.format = INPUT_NAMED, .format_name = TEXT("ecs")});
	(void)decoding_one(&decoding, "{\"level\":30,\"time\":1795305601000}");
	ck_assert_str_eq(decoding.records[0].format, "ecs");
}
END_TEST

static void check_schema_page_row(const char *page, const struct field_info *info)
{
	static const char *const types[] = {"keyword", "ip", "long", "real", "boolean", "date"};
	static const char *const protections[] = {"", "protected", "provenance"};
	char row[1024];
	(void)snprintf(row, sizeof row, "| `%.*s` | %s | %s | %s | %s |\n", TEXT_ARG(info->name),
		       types[info->type], protections[info->protection], info->aliases, info->doc);
	ck_assert_msg(strstr(page, row) != NULL, "docs/SCHEMA.md lacks this row:\n%s", row);
}

/* How many rows of the page begin with "| `". */
static size_t rows_of(const char *page)
{
	size_t count = 0;
	for (const char *at = page; (at = strstr(at, "\n| `")) != NULL; at++)
		count++;
	return count;
}

START_TEST(the_page_lists_the_schema)
{
	static char page[256 * 1024];
	FILE *file = fopen(PICKET_SOURCE_DIR "/docs/SCHEMA.md", "rb");
	ck_assert_msg(file != NULL, "docs/SCHEMA.md is gone");
	size_t size = fread(page, 1, sizeof page - 1, file);
	(void)fclose(file);
	page[size] = '\0';
	for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT; id++)
		check_schema_page_row(page, schema_info((enum field_id)id));
	char row[1024];
	for (unsigned bit = 0; bit < QUALITY_COUNT; bit++) {
		(void)snprintf(row, sizeof row, "| `%s` |",
			       quality_name((enum quality)(1u << bit)));
		ck_assert_msg(strstr(page, row) != NULL, "docs/SCHEMA.md lacks %s", row);
	}
	for (unsigned why = 1; why < REJECT_COUNT; why++) {
		(void)snprintf(row, sizeof row, "| `%s` | %s |\n", reject_name((enum reject)why),
			       reject_text((enum reject)why));
		ck_assert_msg(strstr(page, row) != NULL, "docs/SCHEMA.md lacks %s", row);
	}
	ck_assert_uint_eq(rows_of(page),
			  (size_t)FIELD_COUNT - 1 + QUALITY_COUNT + REJECT_COUNT - 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("normalise");
	TCase *tests = tcase_create("normalise");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, the_last_of_a_plain_duplicate_wins);
	tcase_add_test(tests, a_dotted_key_hides_the_nested_path);
	tcase_add_test(tests, every_value_of_a_protected_field_stays);
	tcase_add_test(tests, names_and_ids_agree);
	tcase_add_test(tests, the_owner_is_the_tenant);
	tcase_add_test(tests, provenance_cannot_be_claimed);
	tcase_add_test(tests, times_in_every_form);
	tcase_add_test(tests, times_that_are_none);
	tcase_add_test(tests, a_time_is_held_against_the_record);
	tcase_add_test(tests, a_time_field_can_be_named);
	tcase_add_test(tests, time_magnitudes_at_their_edges);
	tcase_add_test(tests, log_source_from_the_options);
	tcase_add_test(tests, raw_input_is_left_alone);
	tcase_add_test(tests, ecs_input_is_not_recognised_as_something_else);
	tcase_add_test(tests, the_page_lists_the_schema);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
