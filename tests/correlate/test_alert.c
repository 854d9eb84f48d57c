#include "tests/correlate/fixture.h"

#include <json-c/json.h>

static struct alert sample(void)
{
	struct alert alert = {
		.id = "00112233445566778899aabbccddeeff",
		.revision = 3,
		.state = ALERT_OPEN,
		.flags = ALERT_LATE | ALERT_SHADOW,
		.opened_epoch = 9,
		.state_id = 77,
		.rule_id = TEXT("id"),
		.rule_name = TEXT("name"),
		.rule_title = TEXT("Failed \"login\"\n\x1b[31m"),
		.rule_key = TEXT("id"),
		.level = LEVEL_HIGH,
		.tenant = TEXT("acme"),
		.group = TEXT("\x07"
			      "user.id"
			      "\x05"
			      "alice"),
		.count = 12,
		.threshold = 5,
		.timespan_us = 60000000,
		.first_us = -1000000,
		.last_us = 2500000,
		.evidence_count = 2,
		.reason = TEXT("because"),
	};
	alert.evidence[0] = (struct evidence){{TEXT("logs"), 1, 2, 3}, -1000000, TEXT("")};
	alert.evidence[1] = (struct evidence){{TEXT("logs"), 1, 0, 4},
					      2500000,
					      TEXT("\x01"
						   "k"
						   "\x01"
						   "v")};
	return alert;
}

static void encode(const struct alert *alert, struct bytes *to)
{
	bytes_clear(to);
	alert_encode(alert, to);
	ck_assert_int_eq(bytes_status(to), OK);
}

START_TEST(an_alert_comes_back)
{
	struct alert alert = sample();
	struct alert back;
	struct bytes first cleanup(bytes_done) = {0};
	struct bytes second cleanup(bytes_done) = {0};
	encode(&alert, &first);
	ck_assert_int_eq(alert_decode(bytes_text(&first), &back, NULL), OK);
	ck_assert_str_eq(back.id, alert.id);
	ck_assert_uint_eq(back.count, 12);
	ck_assert_int_eq(back.first_us, -1000000);
	ck_assert_int_eq(back.last_us, 2500000);
	ck_assert(text_equal(back.evidence[1].context, alert.evidence[1].context));
	encode(&back, &second);
	ck_assert(text_equal(bytes_text(&first), bytes_text(&second)));

	alert.standard_error = 0.008125;
	encode(&alert, &first);
	ck_assert_int_eq(alert_decode(bytes_text(&first), &back, NULL), OK);
	ck_assert(back.standard_error == alert.standard_error);
	alert.standard_error = 0;

	alert.state = ALERT_MERGED;
	memcpy(alert.merged_into, "ffeeddccbbaa99887766554433221100", ALERT_ID_SIZE + 1);
	encode(&alert, &first);
	ck_assert_int_eq(alert_decode(bytes_text(&first), &back, NULL), OK);
	ck_assert_str_eq(back.merged_into, alert.merged_into);
}
END_TEST

static void expect_damage_is_noticed(double standard_error)
{
	struct alert alert = sample();
	struct bytes encoded cleanup(bytes_done) = {0};
	alert.standard_error = standard_error;
	encode(&alert, &encoded);
	for (size_t size = 0; size < encoded.size; size++) {
		char *copy = malloc(size + (size == 0));
		memcpy(copy, encoded.data, size);
		struct error err;
		struct alert back;
		ck_assert_int_eq(alert_decode((struct text){copy, size}, &back, &err), ECORRUPT);
		free(copy);
	}
	for (size_t bit = 0; bit < encoded.size * 8; bit++) {
		struct error err;
		struct alert back;
		encoded.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
		if (alert_decode(bytes_text(&encoded), &back, &err) == OK) {
			struct bytes again cleanup(bytes_done) = {0};
			alert_encode(&back, &again);
			alert_json(&back, false, &again);
			ck_assert_int_eq(bytes_status(&again), OK);
		}
		encoded.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
}

START_TEST(damage_is_noticed_or_harmless)
{
	expect_damage_is_noticed(0);
	expect_damage_is_noticed(0.008125);
}
END_TEST

static const char *string_at(struct json_object *object, const char *key)
{
	struct json_object *found = NULL;
	ck_assert_msg(json_object_object_get_ex(object, key, &found), "no key %s", key);
	return json_object_get_string(found);
}

static struct json_object *json_of(const struct alert *alert, bool file_origins)
{
	struct bytes json cleanup(bytes_done) = {0};
	alert_json(alert, file_origins, &json);
	bytes_put_u8(&json, 0);
	struct json_object *object = json_tokener_parse((const char *)json.data);
	ck_assert_msg(object != NULL, "not JSON: %s", (const char *)json.data);
	return object;
}

START_TEST(json_is_what_the_design_says)
{
	struct alert alert = sample();
	struct json_object *object = json_of(&alert, false);
	ck_assert_str_eq(string_at(object, "schema"), "picket.alert/1");
	ck_assert_str_eq(string_at(object, "alert_id"), alert.id);
	ck_assert_str_eq(string_at(object, "state"), "open");
	ck_assert_str_eq(string_at(object, "time"), "1970-01-01T00:00:02.5Z");
	ck_assert_str_eq(string_at(object, "first"), "1969-12-31T23:59:59Z");
	ck_assert_str_eq(string_at(object, "count"), "12");
	struct json_object *rule = json_object_object_get(object, "rule");
	ck_assert_str_eq(string_at(rule, "title"), "Failed \"login\"\n\x1b[31m");
	ck_assert_str_eq(string_at(rule, "level"), "high");
	ck_assert_str_eq(string_at(json_object_object_get(object, "group"), "user.id"), "alice");
	struct json_object *events = json_object_object_get(object, "events");
	ck_assert_uint_eq(json_object_array_length(events), 2);
	struct json_object *event = json_object_array_get_idx(events, 1);
	ck_assert_str_eq(string_at(event, "topic"), "logs");
	ck_assert_str_eq(string_at(event, "offset"), "4");
	ck_assert_str_eq(string_at(json_object_object_get(event, "context"), "k"), "v");
	ck_assert_ptr_null(json_object_object_get(object, "standard_error"));
	json_object_put(object);
	alert.standard_error = 0.008125;
	object = json_of(&alert, false);
	ck_assert_str_eq(string_at(object, "standard_error"), "0.008125");
	json_object_put(object);

	object = json_of(&alert, true);
	event = json_object_array_get_idx(json_object_object_get(object, "events"), 0);
	ck_assert_uint_eq(json_object_object_length(event), 3);
	ck_assert_str_eq(string_at(event, "file"), "logs");
	ck_assert_str_eq(string_at(event, "line"), "3");
	ck_assert_str_eq(string_at(event, "index"), "2");
	json_object_put(object);
}
END_TEST

static void expect_reason(const struct alert *alert, const struct unit *unit, const char *expected)
{
	struct bytes reason cleanup(bytes_done) = {0};
	alert_reason(alert, unit, TEXT(""), &reason);
	ck_assert_msg(text_equal(bytes_text(&reason), text_of(expected)), "got \"%.*s\"",
		      TEXT_ARG(bytes_text(&reason)));
}

START_TEST(reasons_are_sentences)
{
	struct alert alert = sample();
	struct rule rule = {.explain = TEXT("")};
	struct unit unit = {.rule = &rule, .depth = 1, .subject = TEXT("Failed login")};
	expect_reason(&alert, &unit,
		      "12 events of \"Failed login\" within 1m for user.id=alice (threshold 5)");
	struct bytes estimated cleanup(bytes_done) = {0};
	alert_reason(&alert, &unit, TEXT("about 7 different values"), &estimated);
	ck_assert_ptr_nonnull(memmem(estimated.data, estimated.size,
				     "(threshold 5); about 7 different values", 39));
	unit.depth = 0;
	expect_reason(&alert, &unit, "\"Failed login\" matched 12 times for user.id=alice");
	alert.count = 1;
	alert.group = TEXT("");
	expect_reason(&alert, &unit, "\"Failed login\" matched once");
	/* A value is data: it is not a template again. Typing mistakes show. */
	alert.group = TEXT("\x07"
			   "user.id"
			   "\x07"
			   "{count}");
	rule.explain = TEXT("{user.id} tried {count}x in {timespan}, {nonsense} {");
	expect_reason(&alert, &unit, "{count} tried 1x in 1m, {nonsense} {");
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("alert");
	tcase_add_test(tests, an_alert_comes_back);
	tcase_add_test(tests, damage_is_noticed_or_harmless);
	tcase_add_test(tests, json_is_what_the_design_says);
	tcase_add_test(tests, reasons_are_sentences);
	return run_tests("alert", tests);
}
