/* A40 to A44 of the attack list through the whole engine: messages in, alerts in the store. */
#include <stdarg.h>

#include "decoding.h"
#include "memory_source.h"

enum { MESSAGES_MAX = 4096 };

static const char rules_text[] = "title: failed\nid: 11111111-1111-4111-8111-111111111111\n"
				 "logsource: {product: microservice}\n"
				 "detection: {s: {event.outcome: failure}, condition: s}\n"
				 "level: low\n";

static struct message messages[MESSAGES_MAX];
static char payloads[MESSAGES_MAX][256];
static size_t message_count;
static struct store *store;
static struct ruleset *ruleset;
static struct bindings *bindings;
static char reason[1024];

static void setup(void)
{
	struct error err = {0};
	struct ruleset_options rules = {0};
	message_count = 0;
	store = memory_store();
	ck_assert_int_eq(ruleset_parse(&rules, text_of(rules_text), "t", &ruleset, &err), OK);
}

static void teardown(void)
{
	bindings_free(&bindings);
	ruleset_free(&ruleset);
	store_free(&store);
}

__attribute__((format(printf, 2, 3))) static void put(int64_t second, const char *format, ...)
{
	assert(message_count < MESSAGES_MAX);
	char *payload = payloads[message_count];
	int size = snprintf(payload, sizeof payloads[0], "{\"@timestamp\":\"%s\",",
			    time_of(RECORD_TIME_US + second * 1000000));
	va_list args;
	va_start(args, format);
	(void)vsnprintf(payload + size, sizeof payloads[0] - (size_t)size, format, args);
	va_end(args);
	messages[message_count++] = (struct message){
		.record_time_us = RECORD_TIME_US + second * 1000000, .payload = text_of(payload)};
}

static struct runtime_status run(struct runtime_options options)
{
	const struct memory_stream stream = {"logs", messages, message_count};
	const struct memory_input input = {&stream, 1, 0};
	struct runtime_status status = {0};
	options.store = store;
	options.ruleset = ruleset;
	memory_run(options, &input, &status);
	runtime_status_done(&status);
	return status;
}

static void bind(const char *yaml)
{
	struct error err = {0};
	ck_assert_int_eq(bindings_parse(text_of(yaml), "b.yaml", &bindings, &err), OK);
}

START_TEST(a40_a_false_identity_is_an_alert)
{
	bind("- {topic: logs, services: [pay], tenants: [acme]}\n");
	put(0, "\"service.name\":\"pay\",\"tenant.id\":\"acme\"}");
	put(1, "\"service.name\":\"auth\",\"tenant.id\":\"acme\"}");
	struct runtime_status status =
		run((struct runtime_options){.enrich = {.bindings = bindings}});
	ck_assert_uint_eq(status.enrich.spoofed, 1);
	ck_assert_uint_eq(memory_alerts(store, "log.spoof", reason, sizeof reason), 1);
	ck_assert_ptr_nonnull(strstr(reason, "logs/0/1 claims service auth"));
	ck_assert_ptr_nonnull(strstr(reason, "bound: service \"pay\""));
}
END_TEST

START_TEST(a40_a_thousand_names_are_one_alert)
{
	bind("- {topic: logs, services: [pay]}\n");
	for (int i = 0; i < 1000; i++)
		put(i, "\"service.name\":\"n%d\"}", i);
	struct runtime_status status =
		run((struct runtime_options){.enrich = {.bindings = bindings}});
	ck_assert_uint_eq(status.enrich.spoofed, 1000);
	ck_assert_uint_eq(memory_alerts(store, "log.spoof", reason, sizeof reason), 1);
}
END_TEST

START_TEST(a40_nothing_bound_is_no_alert)
{
	put(0, "\"service.name\":\"pay\"}");
	struct runtime_status status = run((struct runtime_options){0});
	ck_assert_uint_eq(status.enrich.spoofed + status.enrich.unbound, 0);
	ck_assert_uint_eq(memory_alerts(store, "log.spoof", reason, sizeof reason), 0);
}
END_TEST

/* The alert that a rule raises belongs to the bound tenant, not to the claimed one. */
START_TEST(a40_a_rule_sees_the_bound_tenant)
{
	bind("- {topic: logs, tenants: [acme]}\n");
	put(0, "\"event.outcome\":\"failure\",\"tenant.id\":\"rival\",\"user.id\":\"u\"}");
	(void)run((struct runtime_options){.enrich = {.bindings = bindings}});
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct error err = {0};
	struct text key = {0};
	struct text value = {0};
	unsigned found = 0;
	ck_assert_int_eq(store_scan_new(store, FAMILY_ALERT, TEXT("a"), TEXT("a"), &scan, &err),
			 OK);
	while (store_scan_next(scan, &key, &value)) {
		struct alert alert = {0};
		ck_assert_int_eq(alert_decode(value, &alert, &err), OK);
		if (!text_equal(alert.rule_title, TEXT("failed")))
			continue;
		ck_assert(text_equal(alert.tenant, TEXT("acme")));
		found++;
	}
	ck_assert_uint_eq(found, 1);
}
END_TEST

START_TEST(a_secret_is_an_alert_and_is_not_stored)
{
	struct privacy *privacy = NULL;
	struct error err = {0};
	const struct privacy_options options = {.key = TEXT("sixteen bytes ok")};
	ck_assert_int_eq(privacy_new(&options, &privacy, &err), OK);
	for (int i = 0; i < 100; i++)
		put(i, "\"service.name\":\"pay\",\"user.password\":\"hunter2-%d\"}", i);
	put(200, "\"password\":\"hunter2-broken\"");
	struct runtime_status status =
		run((struct runtime_options){.enrich = {.privacy = privacy}});
	privacy_free(&privacy);
	ck_assert_uint_eq(status.enrich.secrets, 100);
	ck_assert_uint_eq(memory_alerts(store, "log.secret", reason, sizeof reason), 1);
	ck_assert_ptr_nonnull(strstr(reason, "(credential) in user.password"));
	unsigned hashes = 0;
	for (int family = 0; family < FAMILY_COUNT; family++) {
		struct store_scan *scan cleanup(store_scan_free) = NULL;
		struct text key = {0};
		struct text value = {0};
		ck_assert_int_eq(store_scan_new(store, (enum store_family)family, TEXT(""),
						TEXT(""), &scan, &err),
				 OK);
		while (store_scan_next(scan, &key, &value)) {
			ck_assert_ptr_null(memmem(value.data, value.size, "hunter2", 7));
			hashes += memmem(value.data, value.size, "[credential:", 12) != NULL;
		}
	}
	ck_assert_uint_ge(hashes, 2); /* alert and quarantine: rows are readable as they are */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("provenance");
	TCase *tests = tcase_create("provenance");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, a40_a_false_identity_is_an_alert);
	tcase_add_test(tests, a40_a_thousand_names_are_one_alert);
	tcase_add_test(tests, a40_nothing_bound_is_no_alert);
	tcase_add_test(tests, a40_a_rule_sees_the_bound_tenant);
	tcase_add_test(tests, a_secret_is_an_alert_and_is_not_stored);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
