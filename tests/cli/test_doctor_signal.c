/* Which signals of the gate the logs of a service can feed, and what is missing for the others. */
#include "cli/doctor_private.h"

#include <check.h>
#include <json-c/json.h>
#include <stdlib.h>

#include "cli/output.h"

static struct signal_feeds feeds;
static struct bytes keys;
static struct json_object *answer;

static void setup(void)
{
	feeds = (struct signal_feeds){0};
	keys = (struct bytes){0};
	answer = NULL;
}

static void teardown(void)
{
	bytes_done(&keys);
	(void)json_object_put(answer);
}

static void start_anew(void)
{
	teardown();
	setup();
}

struct member {
	const char *name, *value;
};

static void see(const struct member *members, size_t count)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 16);
	struct event event = {0};
	for (size_t i = 0; i < count; i++) {
		const struct value value = {.type = VALUE_STRING,
					    .text = text_of(members[i].value)};
		ck_assert_int_eq(event_add(&event, arena, text_of(members[i].name), value), OK);
	}
	ck_assert_int_eq(signal_feeds_see(&feeds, &event, &keys), OK);
}
#define SEE(...)                                  \
	see((const struct member[]){__VA_ARGS__}, \
	    sizeof((const struct member[]){__VA_ARGS__}) / sizeof(struct member))

static void report(void)
{
	struct bytes text cleanup(bytes_done) = {0};
	struct json_writer json = {.to = &text};
	json_write_open(&json, NULL, '{');
	signal_feeds_write(&feeds, &json);
	json_write_close(&json, '}');
	bytes_put_u8(&text, 0);
	(void)json_object_put(answer);
	answer = json_tokener_parse((const char *)text.data);
	ck_assert_ptr_nonnull(answer);
}

static bool holds(struct json_object *names, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(names); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(names, i)), name) == 0)
			return true;
	return false;
}

static bool fed(enum signal signal)
{
	report();
	return holds(json_path(answer, "signals.fed"), signal_info(signal)->name);
}

/* Is the signal said to be blind for want of exactly these fields? */
static bool misses(enum signal signal, const char *fields)
{
	report();
	struct json_object *missing = json_path(answer, "signals.missing");
	for (size_t i = 0; i < json_object_array_length(missing); i++) {
		struct json_object *one = json_object_array_get_idx(missing, i);
		ck_assert_str_ne(json_path_text(one, "fix"), "");
		if (holds(json_path(one, "signals"), signal_info(signal)->name) &&
		    strcmp(json_path_text(one, "fields"), fields) == 0)
			return true;
	}
	return false;
}

/* One event for each signal, with all it needs and nothing else. */
static const struct {
	enum signal signal;
	struct member members[4];
} ENOUGH[] = {
	{SIGNAL_AUTHZ_ALLOW,
	 {{"user.roles", "viewer"}, {"event.action", "refund"}, {"event.type", "denied"}}},
	{SIGNAL_TENANT_BREACH,
	 {{"tenant.id", "a"},
	  {"target.tenant.id", "a"},
	  {"event.action", "read"},
	  {"event.outcome", "success"}}},
	{SIGNAL_UNAUTHENTICATED, {{"http.route", "/me"}, {"http.response.status_code", "401"}}},
	{SIGNAL_PLAINTEXT, {{"service.target.name", "payments"}, {"tls.version", "1.3"}}},
	{SIGNAL_DESTINATION, {{"span.kind", "client"}, {"destination.ip", "10.0.0.7"}}},
	{SIGNAL_INTERNAL_DESTINATION,
	 {{"network.direction", "outbound"}, {"destination.domain", "api.example.com"}}},
	{SIGNAL_EDGE, {{"service.target.name", "payments"}}},
	{SIGNAL_PRIVILEGED_CALL, {{"event.category", "iam"}, {"event.action", "CreateKey"}}},
	{SIGNAL_ERROR_SIGNATURE, {{"log.level", "info"}, {"message", "all is well"}}},
	{SIGNAL_ROUTE, {{"http.route", "/me"}, {"http.response.status_code", "200"}}},
};
enum { ENOUGH_COUNT = sizeof ENOUGH / sizeof *ENOUGH };

static size_t members_of(size_t index)
{
	size_t count = 0;
	while (count < 4 && ENOUGH[index].members[count].name != NULL)
		count++;
	return count;
}

START_TEST(what_a_signal_needs_feeds_it)
{
	for (size_t i = 0; i < ENOUGH_COUNT; i++) {
		start_anew();
		ck_assert(!fed(ENOUGH[i].signal));
		see(ENOUGH[i].members, members_of(i));
		ck_assert_msg(fed(ENOUGH[i].signal), "%s", signal_info(ENOUGH[i].signal)->name);
	}
	/* Every signal but the one that needs nothing stands in the table. */
	ck_assert_uint_eq(ENOUGH_COUNT + 1, SIGNAL_COUNT);
}
END_TEST

/* Without any one of the fields the signal is blind, and a line names what holds that field. */
START_TEST(each_field_that_is_missing_is_named)
{
	for (size_t i = 0; i < ENOUGH_COUNT; i++)
		for (size_t without = 0; without < members_of(i); without++) {
			struct member members[4];
			size_t count = 0;
			bool named = false;
			start_anew();
			for (size_t k = 0; k < members_of(i); k++)
				if (k != without)
					members[count++] = ENOUGH[i].members[k];
			see(members, count);
			ck_assert(!fed(ENOUGH[i].signal));
			struct json_object *missing = json_path(answer, "signals.missing");
			for (size_t k = 0; k < json_object_array_length(missing); k++) {
				struct json_object *one = json_object_array_get_idx(missing, k);
				named = named || (holds(json_path(one, "signals"),
							signal_info(ENOUGH[i].signal)->name) &&
						  strstr(json_path_text(one, "fields"),
							 ENOUGH[i].members[without].name) != NULL);
			}
			ck_assert_msg(named, "%s without %s", signal_info(ENOUGH[i].signal)->name,
				      ENOUGH[i].members[without].name);
		}
}
END_TEST

START_TEST(only_what_is_missing_is_told)
{
	SEE({"http.route", "/me"}, {"http.response.status_code", "200"}, {"log.level", "info"},
	    {"message", "m"});
	report();
	ck_assert_int_eq(json_object_get_int(json_path(answer, "signals.can_feed")), 4);
	ck_assert_int_eq(json_object_get_int(json_path(answer, "signals.of")), SIGNAL_COUNT);
	ck_assert(fed(SIGNAL_SECRET) && fed(SIGNAL_ERROR_SIGNATURE));
	ck_assert(fed(SIGNAL_ROUTE) && fed(SIGNAL_UNAUTHENTICATED));
	ck_assert(misses(SIGNAL_AUTHZ_ALLOW, "user.roles"));
	ck_assert(!misses(SIGNAL_AUTHZ_ALLOW, "http.route or event.action"));
	ck_assert(misses(SIGNAL_TENANT_BREACH, "tenant.id"));
	ck_assert(misses(SIGNAL_TENANT_BREACH, "target.tenant.id"));
	ck_assert(!misses(SIGNAL_ROUTE, "http.route"));
}
END_TEST

/* Both fields are there, in different events; and an incoming call is no outgoing one. */
START_TEST(fields_that_never_meet_feed_nothing)
{
	SEE({"http.route", "/me"});
	SEE({"http.response.status_code", "200"});
	SEE({"network.direction", "inbound"}, {"destination.domain", "shop.example"});
	ck_assert(!fed(SIGNAL_ROUTE) && !fed(SIGNAL_DESTINATION));
	ck_assert(misses(SIGNAL_ROUTE, signal_info(SIGNAL_ROUTE)->needs));
	ck_assert(misses(SIGNAL_DESTINATION, signal_info(SIGNAL_DESTINATION)->needs));
	SEE({"http.route", "/me"}, {"http.response.status_code", "200"});
	ck_assert(fed(SIGNAL_ROUTE));
	ck_assert(!misses(SIGNAL_ROUTE, signal_info(SIGNAL_ROUTE)->needs));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("doctor_signal");
	TCase *tests = tcase_create("doctor_signal");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, what_a_signal_needs_feeds_it);
	tcase_add_test(tests, each_field_that_is_missing_is_named);
	tcase_add_test(tests, only_what_is_missing_is_told);
	tcase_add_test(tests, fields_that_never_meet_feed_nothing);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
