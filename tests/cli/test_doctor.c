/* What the doctor counts and says, service by service. */
#include "cli/doctor.h"

#include <check.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/output.h"
#include "ingest/decode.h"
#include "ingest/format.h"

#define SECOND_US ((int64_t)1000000)
#define START_US  ((int64_t)1795305600 * SECOND_US)

static struct doctor *doctor;
static struct ruleset *ruleset;
static struct decoder *decoder;
static struct formats *formats;
static struct arena *arena;
static struct json_object *answer;

static const char rules_text[] = "title: failed\nid: 11111111-1111-4111-8111-111111111111\n"
				 "logsource: {product: microservice}\n"
				 "detection: {s: {event.outcome: failure}, condition: s}\n"
				 "---\n"
				 "title: other\nid: 21111111-1111-4111-8111-111111111111\n"
				 "logsource: {product: microservice}\n"
				 "detection: {s: {no.such.field: 1}, condition: s}\n";

static void setup(void)
{
	struct error err = {0};
	struct ruleset_options rules = {0};
	ck_assert_int_eq(ruleset_parse(&rules, text_of(rules_text), "t", &ruleset, &err), OK);
	const struct doctor_options options = {.ruleset = ruleset, .record_times = true};
	ck_assert_int_eq(doctor_new(&options, &doctor, &err), OK);
	ck_assert_int_eq(formats_new(NULL, 0, &formats, &err), OK);
	const struct decoder_options decoding = {.formats = formats};
	ck_assert_int_eq(decoder_new(&decoding, &decoder, &err), OK);
	arena = arena_new(1 << 24);
}

static void teardown(void)
{
	(void)json_object_put(answer);
	answer = NULL;
	doctor_free(&doctor);
	decoder_free(&decoder);
	formats_free(&formats);
	ruleset_free(&ruleset);
	arena_free(&arena);
}

__attribute__((format(printf, 2, 3))) static void see(int64_t second, const char *format, ...)
{
	char members[1024];
	char payload[1200];
	char time[32];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(members, sizeof members, format, args);
	va_end(args);
	(void)time_print(START_US + second * SECOND_US, time);
	(void)snprintf(payload, sizeof payload, "{\"@timestamp\":\"%s\",%s}", time, members);
	const struct message message = {.record_time_us = START_US + second * SECOND_US,
					.payload = text_of(payload)};
	const struct origin origin = {.topic = TEXT("t")};
	struct decoded record;
	bool more = false;
	arena_reset(arena);
	ck_assert_int_eq(decoder_begin(decoder, &message, &origin, arena), OK);
	ck_assert_int_eq(decoder_next(decoder, &record, &more), OK);
	ck_assert(more && record.why == ACCEPTED);
	const struct specimen specimen = {
		.event = &record.event, .format = record.format, .bytes = strlen(payload)};
	ck_assert_int_eq(doctor_see(doctor, &specimen), OK);
}

static struct json_object *report(size_t index)
{
	struct bytes text cleanup(bytes_done) = {0};
	ck_assert_int_eq(doctor_report(doctor, &text), OK);
	bytes_put_u8(&text, 0);
	answer = json_tokener_parse((const char *)text.data);
	ck_assert_ptr_nonnull(answer);
	return json_object_array_get_idx(json_path(answer, "services"), index);
}

static int64_t number(struct json_object *object, const char *path)
{
	struct json_object *value = json_path(object, path);
	ck_assert_ptr_nonnull(value);
	return json_object_get_int64(value);
}

static bool advises(struct json_object *service, const char *words)
{
	struct json_object *advice = json_path(service, "advice");
	for (size_t i = 0; i < json_object_array_length(advice); i++)
		if (strstr(json_object_get_string(json_object_array_get_idx(advice, i)), words) !=
		    NULL)
			return true;
	return false;
}

#define ALL                                                                                         \
	"\"service.name\":\"pay\",\"service.version\":\"1\",\"event.category\":\"authentication\"," \
	"\"event.action\":\"login\",\"event.outcome\":\"success\",\"user.id\":\"u\","               \
	"\"source.ip\":\"10.0.0.1\",\"tenant.id\":\"t\",\"target.tenant.id\":\"t\","                \
	"\"trace.id\":\"x%d\",\"http.response.status_code\":200,\"event.sequence\":%d"

START_TEST(a_good_log_has_nothing_to_mend)
{
	for (int i = 0; i < 100; i++)
		see(i, ALL, i, i);
	struct json_object *one = report(0);
	ck_assert_int_eq(number(one, "score"), 100);
	ck_assert_int_eq(number(one, "events"), 100);
	ck_assert(json_object_get_boolean(json_path(one, "gate.ready")));
	ck_assert_int_eq(number(one, "rules.can_fire"), 1);
	ck_assert_int_eq(number(one, "rules.of"), 2);
	ck_assert_uint_eq(json_object_array_length(json_path(one, "advice")), 0);
}
END_TEST

START_TEST(gaps_and_repeats_are_counted)
{
	for (int i = 0; i < 100; i++)
		if (i < 40 || i > 44)
			see(i, ALL, i, i);
	for (int i = 10; i < 13; i++)
		see(i, ALL, i, i);
	struct json_object *one = report(0);
	ck_assert_int_eq(number(one, "missing"), 5);
	ck_assert_int_eq(number(one, "replayed"), 3);
	ck_assert_int_eq(number(one, "duplicates"), 3);
	ck_assert(advises(one, "5 numbered records are missing"));
	ck_assert(advises(one, "3 numbered records came twice"));
}
END_TEST

START_TEST(a42_a_sampling_logger_is_suspected)
{
	for (int second = 0; second < 4; second++)
		for (int i = 0; i < 110; i++)
			see(second, "\"service.name\":\"s\",\"message\":\"m\",\"n\":%d",
			    second * 1000 + i);
	for (int i = 0; i < 500; i++)
		see(i / 250, "\"service.name\":\"busy\",\"message\":\"m\",\"n\":%d", i);
	struct json_object *busy = report(0);
	struct json_object *sampled = json_object_array_get_idx(json_path(answer, "services"), 1);
	ck_assert_str_eq(json_path_text(sampled, "service"), "s");
	ck_assert(json_object_get_boolean(json_path(sampled, "sampled")));
	ck_assert(advises(sampled, "seems to sample"));
	ck_assert(!json_object_get_boolean(json_path(busy, "sampled")));
}
END_TEST

START_TEST(the_worst_comes_first_and_says_what_is_missing)
{
	for (int i = 0; i < 10; i++) {
		see(i, ALL, i, i);
		see(i, "\"level\":30,\"time\":1795305600000,\"msg\":\"x%d\"", i);
	}
	struct json_object *one = report(0);
	ck_assert_str_eq(json_path_text(one, "service"), "(no service.name)");
	ck_assert(!json_object_get_boolean(json_path(one, "gate.ready")));
	ck_assert_int_eq(number(one, "rules.can_fire"), 0);
	ck_assert(advises(one, "pino({"));
	ck_assert(advises(one, "without event.sequence"));
	ck_assert(advises(one, "user.id stands in 0 %"));
}
END_TEST

START_TEST(a_clock_that_is_ahead_is_told)
{
	struct event event = {.time_us = START_US + 60 * SECOND_US, .record_time_us = START_US};
	const struct specimen specimen = {.event = &event, .format = "json"};
	ck_assert_int_eq(doctor_see(doctor, &specimen), OK);
	struct json_object *one = report(0);
	ck_assert_str_eq(json_path_text(one, "service"), "(no service.name)");
	ck_assert_int_eq(number(one, "ahead_ms"), 60000);
	ck_assert(advises(one, "clock is off"));
}
END_TEST

START_TEST(services_beyond_the_limit_are_others)
{
	for (int i = 0; i < DOCTOR_SERVICES_MAX + 20; i++)
		see(0, "\"service.name\":\"s%d\"", i);
	(void)report(0);
	struct json_object *services = json_path(answer, "services");
	ck_assert_uint_eq(json_object_array_length(services), DOCTOR_SERVICES_MAX);
	int64_t events = 0;
	for (size_t i = 0; i < DOCTOR_SERVICES_MAX; i++)
		events += number(json_object_array_get_idx(services, i), "events");
	ck_assert_int_eq(events, DOCTOR_SERVICES_MAX + 20);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("doctor");
	TCase *tests = tcase_create("doctor");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_good_log_has_nothing_to_mend);
	tcase_add_test(tests, gaps_and_repeats_are_counted);
	tcase_add_test(tests, a42_a_sampling_logger_is_suspected);
	tcase_add_test(tests, the_worst_comes_first_and_says_what_is_missing);
	tcase_add_test(tests, a_clock_that_is_ahead_is_told);
	tcase_add_test(tests, services_beyond_the_limit_are_others);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
