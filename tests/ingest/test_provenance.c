/* A40 to A43 of the attack list through the whole engine: messages in, alerts in the store. (A44,
 * alerts that come back as logs, needs a receiver: tests/e2e/mock_provenance.sh.) */
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

static const struct runtime_options tracking = {.track_instances = true,
						.silent_us = (int64_t)30 * 1000000};

static void put_numbers(int64_t from_second, int64_t low, int64_t high)
{
	for (int64_t i = low; i <= high; i++)
		put(from_second + i - low,
		    "\"service.name\":\"pay\",\"host.name\":\"h1\",\"event.sequence\":%lld}",
		    (long long)i);
}

/* The records of the table dealt out to several topics, as an unkeyed producer does. */
static struct runtime_status run_dealt(struct runtime_options options, size_t topics, size_t up_to)
{
	static struct message dealt[4][MESSAGES_MAX];
	static const char *const names[] = {"a", "b", "c", "d"};
	struct memory_stream streams[4];
	struct runtime_status status = {0};
	for (size_t i = 0; i < topics; i++) {
		streams[i] = (struct memory_stream){names[i], dealt[i], 0};
		for (size_t k = i; k < up_to; k += topics)
			dealt[i][streams[i].count++] = messages[k];
	}
	const struct memory_input input = {streams, topics, 0};
	options.store = store;
	options.ruleset = ruleset;
	options.lateness_us = (int64_t)3600 * 1000000;
	memory_run(options, &input, &status);
	runtime_status_done(&status);
	return status;
}

START_TEST(a42_deleted_records_are_an_alert)
{
	put_numbers(0, 1, 50);
	put_numbers(53, 54, 100);
	struct runtime_options options = tracking;
	options.worker_count = 2;
	options.actor_count = 3;
	struct runtime_status status = run_dealt(options, 4, message_count);
	ck_assert_uint_eq(status.instances.missing, 3);
	ck_assert_uint_eq(status.instances.replayed, 0);
	ck_assert_uint_eq(memory_alerts(store, "log.gap", reason, sizeof reason), 1);
	ck_assert_ptr_nonnull(strstr(reason, "51 to 53 of pay"));
}
END_TEST

START_TEST(a43_replayed_records_are_an_alert)
{
	put_numbers(0, 1, 100);
	put_numbers(20, 21, 30);
	struct runtime_status status = run_dealt(tracking, 3, message_count);
	ck_assert_uint_eq(status.instances.replayed, 10);
	ck_assert_uint_eq(status.instances.missing, 0);
	ck_assert_uint_eq(memory_alerts(store, "log.replay", reason, sizeof reason), 1);
}
END_TEST

static void put_ids(int from, int to)
{
	for (int i = from; i < to; i++)
		put(i, "\"service.name\":\"pay\",\"host.name\":\"h1\",\"event.id\":\"id-%d\"}", i);
}

/* Without a counter: ids tell, through a restart, and only where they are asked for. */
START_TEST(a43_replayed_ids_are_an_alert)
{
	struct runtime_options options = tracking;
	put_ids(0, 100);
	put_ids(20, 30);
	struct runtime_status status = run_dealt(options, 3, message_count);
	ck_assert_uint_eq(status.instances.copies, 0);
	ck_assert_uint_eq(memory_alerts(store, "log.replay", reason, sizeof reason), 0);

	store_free(&store);
	store = memory_store();
	options.replay_window_us = (int64_t)600 * 1000000;
	options.worker_count = 2;
	options.actor_count = 3;
	status = run_dealt(options, 3, 100);
	ck_assert_uint_eq(status.instances.copies, 0);
	status = run_dealt(options, 3, message_count);
	ck_assert_uint_eq(status.instances.copies, 10);
	ck_assert_uint_eq(memory_alerts(store, "log.replay", reason, sizeof reason), 1);
	ck_assert_ptr_nonnull(strstr(reason, "an event.id of pay that was seen before"));
}
END_TEST

/* The first half, a restart, all of it: what was read is not read again, and nothing is forgotten.
 */
START_TEST(a42_a_gap_over_a_restart)
{
	put_numbers(0, 1, 200);
	put_numbers(205, 206, 300);
	struct runtime_options options = tracking;
	for (unsigned actors = 1; actors <= 3; actors++) {
		options.actor_count = actors;
		(void)run_dealt(options, 2, actors * 90);
	}
	struct runtime_status status = run_dealt(options, 2, message_count);
	ck_assert_uint_eq(status.instances.replayed, 0);
	ck_assert_uint_eq(memory_alerts(store, "log.gap", reason, sizeof reason), 1);
	ck_assert_ptr_nonnull(strstr(reason, "201 to 205 of pay"));
	ck_assert_uint_eq(memory_alerts(store, "log.replay", reason, sizeof reason), 0);
}
END_TEST

/* Another service goes on and moves the time: the one that stopped is silent. */
START_TEST(a41_silence_is_an_alert)
{
	put_numbers(0, 1, 60);
	for (int64_t i = 0; i < 600; i++)
		put(i, "\"service.name\":\"other\",\"host.name\":\"h2\"}");
	struct runtime_options options = tracking;
	const struct memory_stream stream = {"logs", messages, message_count};
	const struct memory_input input = {&stream, 1, 0};
	struct runtime_status status = {0};
	options.store = store;
	options.ruleset = ruleset;
	memory_run(options, &input, &status);
	runtime_status_done(&status);
	ck_assert_uint_eq(memory_alerts(store, "log.silent", reason, sizeof reason), 1);
	ck_assert_ptr_nonnull(strstr(reason, "the last instance of pay"));
}
END_TEST

START_TEST(nothing_is_tracked_unless_asked_for)
{
	put_numbers(0, 1, 10);
	put_numbers(20, 30, 40);
	struct runtime_status status = run((struct runtime_options){0});
	ck_assert_uint_eq(status.instances.missing, 0);
	ck_assert_uint_eq(memory_alerts(store, "log.gap", reason, sizeof reason), 0);
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
	tcase_add_test(tests, a42_deleted_records_are_an_alert);
	tcase_add_test(tests, a43_replayed_records_are_an_alert);
	tcase_add_test(tests, a43_replayed_ids_are_an_alert);
	tcase_add_test(tests, a42_a_gap_over_a_restart);
	tcase_add_test(tests, a41_silence_is_an_alert);
	tcase_add_test(tests, nothing_is_tracked_unless_asked_for);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
