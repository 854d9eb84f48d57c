#include "rules/event.h"

#include "tests/rules/suite.h"

static struct value string(const char *text)
{
	return (struct value){.type = VALUE_STRING, .text = text_of(text)};
}

static void put(struct event *event, struct arena *arena, const char *name, struct value value)
{
	ck_assert_int_eq(event_add(event, arena, text_of(name), value), OK);
}

START_TEST(fields_are_found)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct event event = {0};
	put(&event, arena, "vendor.field", string("v"));
	put(&event, arena, "user.id", string("alice"));
	put(&event, arena, "user.id", string("bob"));
	put(&event, arena, "source.ip", (struct value){.type = VALUE_NULL});
	ck_assert_int_eq(event.fields[0].id, FIELD_OTHER);
	ck_assert_int_eq(event.fields[1].id, FIELD_USER_ID);
	ck_assert(text_equal(event_text(&event, FIELD_USER_ID), TEXT("alice")));
	ck_assert_uint_eq(event_text(&event, FIELD_SOURCE_IP).size, 0);
	ck_assert_ptr_nonnull(event_get(&event, FIELD_SOURCE_IP));
	ck_assert_ptr_null(event_get(&event, FIELD_TENANT_ID));
	ck_assert_uint_eq(event_text(&event, FIELD_TENANT_ID).size, 0);
}
END_TEST

START_TEST(limits_are_told)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct event event = {0};
	for (size_t i = 0; i < EVENT_FIELDS_MAX; i++)
		put(&event, arena, "x", string("y"));
	ck_assert_int_eq(event_add(&event, arena, TEXT("x"), string("y")), ELIMIT);
	ck_assert_uint_eq(event.field_count, EVENT_FIELDS_MAX);
	struct arena *tiny cleanup(arena_free) = arena_new(64);
	struct event none = {0};
	ck_assert_int_eq(event_add(&none, tiny, TEXT("x"), string("y")), ENOMEMORY);
	ck_assert_uint_eq(none.field_count, 0);
}
END_TEST

START_TEST(printed_as_json)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct bytes to cleanup(bytes_done) = {0};
	struct event event = {0};
	put(&event, arena, "a", string("x"));
	put(&event, arena, "n", (struct value){.type = VALUE_INTEGER, .integer = INT64_MIN});
	put(&event, arena, "a", (struct value){.type = VALUE_BOOLEAN, .boolean = true});
	put(&event, arena, "r",
	    (struct value){.type = VALUE_REAL, .real = 1.5, .text = text_of("1.50")});
	put(&event, arena, "nothing", (struct value){.type = VALUE_NULL});
	put(&event, arena, "empty", (struct value){.type = VALUE_EMPTY});
	event_json(&event, &to);
	ck_assert(text_equal(bytes_text(&to),
			     TEXT("{\"a\":[\"x\",true],\"n\":-9223372036854775808,\"r\":1.50,"
				  "\"nothing\":null,\"empty\":[]}")));
}
END_TEST

START_TEST(what_was_mended_is_said)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 16);
	struct bytes to cleanup(bytes_done) = {0};
	struct event event = {.quality = QUALITY_DUPLICATE | QUALITY_INNER};
	event_json(&event, &to);
	ck_assert(text_equal(bytes_text(&to),
			     TEXT("{\"picket.quality\":[\"duplicate_key\",\"inner_not_json\"]}")));
	put(&event, arena, "a", (struct value){.type = VALUE_NULL});
	event.quality = QUALITY_DEPTH;
	bytes_clear(&to);
	event_json(&event, &to);
	ck_assert(text_equal(bytes_text(&to), TEXT("{\"a\":null,\"picket.quality\":[\"depth\"]}")));
}
END_TEST

START_TEST(rules_read_what_was_mended)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 16);
	struct event event = {.quality = QUALITY_DUPLICATE | QUALITY_TIME_PAST};
	struct event read = {0};
	put(&event, arena, "a", (struct value){.type = VALUE_NULL});
	put(&event, arena, "b", (struct value){.type = VALUE_NULL});
	event.field_count--; /* what stands behind is somebody's */
	ck_assert_int_eq(event_as_read(&event, arena, &read), OK);
	ck_assert_uint_eq(read.field_count, 3);
	ck_assert(text_equal(read.fields[1].value.text, TEXT("duplicate_key")));
	ck_assert(text_equal(read.fields[2].value.text, TEXT("time_past")));
	ck_assert_int_eq(read.fields[2].id, FIELD_QUALITY);
	ck_assert_uint_eq(event.field_count, 1);
	ck_assert(text_equal(event.fields[1].name, TEXT("b")));
	event.quality = 0;
	ck_assert_int_eq(event_as_read(&event, arena, &read), OK);
	ck_assert_ptr_eq(read.fields, event.fields);
	ck_assert_uint_eq(read.field_count, 1);
	event.quality = QUALITY_DEPTH;
	struct arena *full cleanup(arena_free) = arena_new(16);
	ck_assert_int_eq(event_as_read(&event, full, &read), ENOMEMORY);
}
END_TEST

START_TEST(strings_are_escaped)
{
	static const struct {
		struct text from;
		const char *to;
	} cases[] = {
		{{"", 0}, "\"\""},
		{{"a\"b\\c", 5}, "\"a\\\"b\\\\c\""},
		{{"\n\t\r\b\f", 5}, "\"\\n\\t\\r\\b\\f\""},
		{{"\0\x1f\x7f", 3}, "\"\\u0000\\u001f\\u007f\""},
		{{"\xc3\xa9\xf0\x9f\x98\x80", 6}, "\"\xc3\xa9\xf0\x9f\x98\x80\""},
		{{"a\xff"
		  "b",
		  3},
		 "\"a\xef\xbf\xbd"
		 "b\""},
		{{"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
		{{"\xe2\x82", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bytes to cleanup(bytes_done) = {0};
		json_put_string(&to, cases[i].from);
		ck_assert_msg(text_equal(bytes_text(&to), text_of(cases[i].to)), "case %zu: %.*s",
			      i, TEXT_ARG(bytes_text(&to)));
	}
}
END_TEST

START_TEST(origins_have_one_order)
{
	static const struct origin ascending[] = {
		{.topic = {"", 0}},
		{.topic = {"a", 1}, .partition = 9, .offset = 9, .index = 9},
		{.topic = {"b", 1}},
		{.topic = {"b", 1}, .index = 1},
		{.topic = {"b", 1}, .offset = 1},
		{.topic = {"b", 1}, .offset = INT64_MAX},
		{.topic = {"b", 1}, .partition = 1},
		{.topic = {"ba", 2}},
	};
	size_t count = sizeof ascending / sizeof *ascending;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < count; k++) {
			int order = origin_compare(&ascending[i], &ascending[k]);
			ck_assert_int_eq((order > 0) - (order < 0), (i > k) - (i < k));
		}
}
END_TEST

START_TEST(qualities_have_names)
{
	for (unsigned i = 0; i < QUALITY_COUNT; i++) {
		ck_assert_ptr_nonnull(quality_name((enum quality)(1u << i)));
		for (unsigned k = 0; k < i; k++)
			ck_assert_str_ne(quality_name((enum quality)(1u << i)),
					 quality_name((enum quality)(1u << k)));
	}
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, fields_are_found);
	tcase_add_test(tcase, limits_are_told);
	tcase_add_test(tcase, printed_as_json);
	tcase_add_test(tcase, what_was_mended_is_said);
	tcase_add_test(tcase, rules_read_what_was_mended);
	tcase_add_test(tcase, strings_are_escaped);
	tcase_add_test(tcase, origins_have_one_order);
	tcase_add_test(tcase, qualities_have_names);
}

int main(void)
{
	return run_suite("event", fill);
}
