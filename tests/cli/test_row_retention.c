/* Rows of every kind, too old and not, needed and not: what goes and what stays, and that the plan
 * says before what enforcing then does. */
#include "cli/row_retention.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/action.h"
#include "cli/audit.h"
#include "cli/gate_rows.h"
#include "storage/rows.h"

#define ck_ok(call, err)                                                     \
	do {                                                                 \
		enum status ck_status = (call);                              \
		ck_assert_msg(ck_status == OK, "%s: %s", #call, (err).text); \
	} while (0)

static const int64_t day_us = 86400 * INT64_C(1000000);
static const int64_t now_us = 20000 * 86400 * INT64_C(1000000);

static struct store *store;
static struct row_rules rules;
static struct row_drop drops[ROW_KIND_COUNT];

static void setup(void)
{
	ck_assert_int_eq(store_open_memory(&store, NULL), OK);
	rules = (struct row_rules){0};
	for (unsigned i = 0; i < ROW_KIND_COUNT; i++)
		rules.keep_us[i] = 30 * day_us;
}

static void teardown(void)
{
	store_free(&store);
}

static int64_t ago(int64_t days)
{
	return now_us - days * day_us;
}

static void put(enum store_family family, const struct bytes *key, struct text value)
{
	struct error err = {0};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	store_batch_put(batch, family, bytes_text(key), value);
	ck_ok(store_batch_commit(batch, false, &err), err);
}

static bool is_there(enum store_family family, const struct bytes *key)
{
	struct bytes value cleanup(bytes_done) = {0};
	return store_get(store, family, bytes_text(key), &value, NULL) == OK;
}

static void plan_and_enforce(void)
{
	struct error err = {0};
	struct row_drop planned[ROW_KIND_COUNT];
	ck_ok(row_retention_plan(store, &rules, now_us, planned, &err), err);
	ck_ok(row_retention_enforce(store, &rules, now_us, drops, &err), err);
	ck_assert_int_eq(memcmp(planned, drops, sizeof drops), 0);
	ck_ok(row_retention_plan(store, &rules, now_us, planned, &err), err);
	for (unsigned i = 0; i < ROW_KIND_COUNT; i++) {
		ck_assert_uint_eq(planned[i].rows, 0);
		ck_assert_uint_eq(planned[i].held, drops[i].held);
	}
}

static void expect(enum row_kind kind, uint64_t rows, uint64_t held)
{
	ck_assert_msg(drops[kind].rows == rows && drops[kind].held == held,
		      "%s: %llu dropped, %llu held", row_kind_name(kind),
		      (unsigned long long)drops[kind].rows, (unsigned long long)drops[kind].held);
}

/* --- alerts --- */

static void alert_id(unsigned number, char id[static ALERT_ID_SIZE + 1])
{
	(void)snprintf(id, ALERT_ID_SIZE + 1, "%032x", number);
}

static void put_alert(unsigned number, enum alert_state state, int64_t last_us)
{
	struct alert alert = {.revision = 1,
			      .state = state,
			      .rule_id = TEXT("r"),
			      .count = 1,
			      .first_us = last_us,
			      .last_us = last_us};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	alert_id(number, alert.id);
	if (state == ALERT_MERGED)
		alert_id(number + 1, alert.merged_into);
	alert_key('a', text_of(alert.id), &key);
	alert_encode(&alert, &value);
	put(FAMILY_ALERT, &key, bytes_text(&value));
}

static void put_actions(unsigned number, const enum action_kind *kinds, size_t count,
			int64_t time_us)
{
	struct actions actions = {.count = count};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	char id[ALERT_ID_SIZE + 1];
	for (size_t i = 0; i < count; i++)
		actions.items[i] = (struct action){
			.kind = kinds[i], .time_us = time_us, .who = TEXT("ann"), .as = TEXT("x")};
	alert_id(number, id);
	alert_key('u', text_of(id), &key);
	actions_encode(&actions, &value);
	put(FAMILY_ALERT, &key, bytes_text(&value));
}

static void put_outbox(uint64_t sequence, unsigned number)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	char id[ALERT_ID_SIZE + 1];
	alert_id(number, id);
	outbox_key(sequence, &key);
	bytes_put_varint(&value, 1);
	bytes_put_text(&value, text_of(id));
	put(FAMILY_OUTBOX, &key, bytes_text(&value));
}

static bool has_alert(char kind, unsigned number)
{
	struct bytes key cleanup(bytes_done) = {0};
	char id[ALERT_ID_SIZE + 1];
	alert_id(number, id);
	alert_key(kind, text_of(id), &key);
	return is_there(FAMILY_ALERT, &key);
}

START_TEST(test_alerts)
{
	static const enum action_kind ack[] = {ACTION_ACK};
	static const enum action_kind close[] = {ACTION_ACK, ACTION_CLOSE};
	static const enum action_kind reopen[] = {ACTION_CLOSE, ACTION_REOPEN};
	put_alert(1, ALERT_ENDED, ago(29)); /* young */
	put_alert(2, ALERT_ENDED, ago(31)); /* goes */
	put_alert(3, ALERT_OPEN, ago(99));
	put_alert(4, ALERT_ENDED, ago(99));
	put_actions(4, ack, 1, ago(90)); /* somebody works on it */
	put_alert(5, ALERT_ENDED, ago(99));
	put_actions(5, close, 2, ago(90)); /* goes, with the actions */
	put_alert(6, ALERT_ENDED, ago(99));
	put_actions(6, close, 2, ago(3)); /* closed lately */
	put_alert(7, ALERT_MERGED, ago(99));
	put_alert(8, ALERT_ENDED, ago(99));
	put_actions(8, reopen, 2, ago(90));
	put_actions(9, close, 2, ago(90)); /* its alert is gone */
	put_actions(10, close, 2, ago(3));
	plan_and_enforce();
	expect(ROW_KIND_ALERTS, 4, 3);
	static const bool stays[] = {0, 1, 0, 1, 1, 0, 1, 0, 1};
	for (unsigned i = 1; i < sizeof stays; i++)
		ck_assert_msg(has_alert('a', i) == stays[i], "alert %u", i);
	ck_assert(has_alert('u', 4) && has_alert('u', 6) && has_alert('u', 10));
	ck_assert(!has_alert('u', 5) && !has_alert('u', 9));
}
END_TEST

/* Whoever is configured and has not heard of an alert holds it; nobody else does. */
START_TEST(test_undelivered_revisions)
{
	struct receiver_progress progress = {.next = 2, .sent_us = INT64_MIN};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	for (unsigned i = 1; i <= 3; i++) {
		put_alert(i, ALERT_ENDED, ago(99));
		put_outbox(i, i);
	}
	receiver_progress_key(RECEIVER_WEBHOOK, &key);
	receiver_progress_encode(&progress, &value);
	put(FAMILY_REGISTRY, &key, bytes_text(&value));
	rules.receivers[RECEIVER_WEBHOOK] = true;
	plan_and_enforce();
	expect(ROW_KIND_ALERTS, 1, 2);
	rules.receivers[RECEIVER_WEBHOOK] = false;
	plan_and_enforce();
	expect(ROW_KIND_ALERTS, 2, 0);
}
END_TEST

/* --- rows that are judged by their time alone --- */

static void put_quarantined(struct text topic, int64_t offset, int64_t time_us)
{
	struct quarantine_row row = {.origin = {topic, 0, 0, offset},
				     .record_time_us = time_us,
				     .reason = TEXT("not_json"),
				     .raw = TEXT("{")};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	quarantine_key(&row.origin, &key);
	quarantine_encode(&row, &value);
	put(FAMILY_QUARANTINE, &key, bytes_text(&value));
}

START_TEST(test_quarantine)
{
	/* In each partition the old ones come first; behind many young ones nobody looks. */
	for (int64_t i = 0; i < 40; i++) {
		put_quarantined(TEXT("a"), i, ago(i < 30 ? 40 : 20));
		put_quarantined(TEXT("b"), i, ago(i % 2 == 0 ? 40 : 20));
	}
	for (int64_t i = 0; i < 3000; i++)
		put_quarantined(TEXT("c"), i, ago(i == 2500 ? 40 : 20));
	put_quarantined(TEXT("d"), 0, ago(31));
	plan_and_enforce();
	expect(ROW_KIND_QUARANTINE, 30 + 20 + 1, 0);
}
END_TEST

START_TEST(test_audit_and_undelivered)
{
	for (uint32_t i = 0; i < 50; i++) {
		struct audit_row row = {.time_us = ago(i), .method = TEXT("GET")};
		struct bytes key cleanup(bytes_done) = {0};
		struct bytes value cleanup(bytes_done) = {0};
		audit_key(row.time_us, i, &key);
		audit_encode(&row, &value);
		put(FAMILY_AUDIT, &key, bytes_text(&value));
	}
	for (unsigned i = 0; i < 4; i++) {
		struct undelivered row = {
			.revision = 1, .time_us = ago(i < 2 ? 31 : 1), .again = i % 2 == 0};
		struct bytes key cleanup(bytes_done) = {0};
		struct bytes value cleanup(bytes_done) = {0};
		char id[ALERT_ID_SIZE + 1];
		alert_id(i, id);
		undelivered_key(RECEIVER_WEBHOOK, text_of(id), &key);
		undelivered_encode(&row, &value);
		put(FAMILY_REGISTRY, &key, bytes_text(&value));
	}
	plan_and_enforce();
	expect(ROW_KIND_AUDIT, 19, 0);
	expect(ROW_KIND_UNDELIVERED, 1, 1);
	rules.keep_us[ROW_KIND_AUDIT] = 0;
	plan_and_enforce();
	expect(ROW_KIND_AUDIT, 0, 0);
	ck_assert_int_eq(drops[ROW_KIND_AUDIT].before_us, INT64_MIN);
}
END_TEST

/* --- the gate --- */

static void put_instance(const char *service, const char *version, int64_t first_us,
			 int64_t last_us)
{
	struct instance instance = {.service = text_of(service),
				    .arm = {text_of(version), TEXT("")},
				    .name = TEXT("pod-1"),
				    .first_us = first_us,
				    .last_us = last_us,
				    .events = 1};
	const struct text names[] = {instance.service, instance.arm.version, instance.arm.deploy_id,
				     instance.name};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key('i', names, 4, -1, &key);
	instance_encode(&instance, &value);
	put(FAMILY_REGISTRY, &key, bytes_text(&value));
}

static void put_bucket(const char *service, int64_t start_us)
{
	const struct bucket bucket = {.service = text_of(service),
				      .start_us = start_us - start_us % COHORT_BUCKET_US};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key('b', &bucket.service, 1, bucket.start_us, &key);
	bucket_encode(&bucket, &value);
	put(FAMILY_REGISTRY, &key, bytes_text(&value));
}

static void put_finding(const char *service, const char *version, int64_t time_us)
{
	struct finding finding = {.service = text_of(service),
				  .arm = {text_of(version), TEXT("")},
				  .rule_key = TEXT("k"),
				  .count = 1,
				  .first_us = time_us,
				  .last_us = time_us};
	const struct text names[] = {finding.service, finding.arm.version, finding.arm.deploy_id,
				     finding.rule_key};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key('f', names, 4, -1, &key);
	finding_encode(&finding, &value);
	put(FAMILY_REGISTRY, &key, bytes_text(&value));
}

static void put_note(char mark, const char *service, const char *canary, enum verdict verdict,
		     int64_t time_us)
{
	struct gate_note note = {.time_us = time_us, .verdict = verdict, .text = TEXT("why")};
	const struct text names[] = {text_of(service), text_of(canary)};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key(mark, names, 2, mark == 'v' ? -1 : time_us, &key);
	gate_note_encode(&note, &value);
	put(FAMILY_REGISTRY, &key, bytes_text(&value));
}

static void put_step(const char *service, const char *canary, int64_t time_us)
{
	const struct text names[] = {text_of(service), text_of(canary), TEXT("10%")};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key('s', names, 3, -1, &key);
	bytes_put_u8(&value, 1);
	bytes_put_signed(&value, time_us);
	put(FAMILY_REGISTRY, &key, bytes_text(&value));
}

/* A service whose canary 2.0 was first heard 50 days ago and last told `verdict` 45 days ago. */
static void put_service(const char *service, enum verdict verdict, int64_t heard_us)
{
	put_instance(service, "1.0", ago(90), ago(0));
	put_instance(service, "2.0", ago(50), heard_us);
	for (int64_t days = 60; days > 0; days -= 10)
		put_bucket(service, ago(days)); /* three of them are older than 30 days */
	put_note('h', service, "2.0", VERDICT_WAIT, ago(49));
	put_note('h', service, "2.0", verdict, ago(45));
	put_note('v', service, "2.0", VERDICT_FAIL, ago(45));
	put_step(service, "2.0", ago(49));
	put_finding(service, "2.0", ago(48));
}

START_TEST(test_gate_pending)
{
	put_service("shop", VERDICT_WAIT, ago(1)); /* no answer yet, and it runs */
	plan_and_enforce();
	expect(ROW_KIND_BUCKETS, 1, 2); /* the bucket before its first event goes */
	expect(ROW_KIND_VERDICTS, 0, 4);
	expect(ROW_KIND_FINDINGS, 0, 1);
	expect(ROW_KIND_INSTANCES, 0, 0);
}
END_TEST

START_TEST(test_gate_answered)
{
	put_service("shop", VERDICT_FAIL, ago(1)); /* answered, and it still runs */
	plan_and_enforce();
	expect(ROW_KIND_BUCKETS, 3, 0);
	expect(ROW_KIND_VERDICTS, 2, 2); /* the FAIL stands, and its step */
	expect(ROW_KIND_FINDINGS, 0, 1);
}
END_TEST

START_TEST(test_gate_gone)
{
	put_service("shop", VERDICT_WAIT, ago(40)); /* nobody has heard of it for long */
	put_service("shop2", VERDICT_WAIT, ago(1));
	plan_and_enforce();
	expect(ROW_KIND_BUCKETS, 3 + 1, 2);
	expect(ROW_KIND_VERDICTS, 4, 4);
	expect(ROW_KIND_FINDINGS, 1, 1);
	expect(ROW_KIND_INSTANCES, 1, 0);
}
END_TEST

/* An override is an answer too; and a name that no version has holds nothing. */
START_TEST(test_gate_override)
{
	put_service("shop", VERDICT_WAIT, ago(1));
	put_note('o', "shop", "2.0", VERDICT_PASS, ago(44));
	put_note('h', "shop", "2.0.1-typo", VERDICT_INCONCLUSIVE, ago(44));
	plan_and_enforce();
	expect(ROW_KIND_BUCKETS, 3, 0);
	expect(ROW_KIND_VERDICTS, 3, 3); /* latch, step and override stay */
}
END_TEST

/* A canary that waits keeps its silent instances: they say when it was first heard. */
START_TEST(test_gate_instances)
{
	put_service("shop", VERDICT_WAIT, ago(1));
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct instance gone = {.service = TEXT("shop"),
				.arm = {TEXT("2.0"), TEXT("")},
				.name = TEXT("pod-0"),
				.first_us = ago(50),
				.last_us = ago(49),
				.events = 1};
	const struct text names[] = {gone.service, gone.arm.version, gone.arm.deploy_id, gone.name};
	registry_key('i', names, 4, -1, &key);
	instance_encode(&gone, &value);
	put(FAMILY_REGISTRY, &key, bytes_text(&value));
	put_instance("shop", "0.9", ago(90), ago(70));
	plan_and_enforce();
	expect(ROW_KIND_INSTANCES, 1, 1);
	ck_assert(is_there(FAMILY_REGISTRY, &key));
}
END_TEST

static void put_missing(const char *instance, int64_t last_us)
{
	const struct text names[] = {TEXT("shop"), text_of(instance)};
	const struct missing_row row = {.missing = 1, .counted = 9, .last_us = last_us};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key('m', names, 2, -1, &key);
	missing_encode(&row, &value);
	put(FAMILY_REGISTRY, &key, bytes_text(&value));
}

START_TEST(test_gate_missing)
{
	put_missing("pod-1", ago(70));
	put_missing("pod-2", ago(1));
	plan_and_enforce();
	expect(ROW_KIND_INSTANCES, 1, 0);
}
END_TEST

static void put_trait(const char *version, int64_t last_us)
{
	struct trait trait = {
		.signal = SIGNAL_EDGE, .met_first_us = ago(99), .met_last_us = last_us};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct bytes name cleanup(bytes_done) = {0};
	trait.shown.service = TEXT("shop");
	trait.shown.arm.version = text_of(version);
	trait.shown.rule_key = TEXT("payments");
	trait_name(&trait, &name);
	const struct text names[] = {TEXT("shop"), bytes_text(&name), text_of(version), TEXT("")};
	registry_key('t', names, 4, -1, &key);
	trait_encode(&trait, &value);
	put(FAMILY_REGISTRY, &key, bytes_text(&value));
}

START_TEST(test_gate_traits)
{
	put_trait("1.0", ago(70));
	put_trait("2.0", ago(1));
	plan_and_enforce();
	expect(ROW_KIND_INSTANCES, 1, 0);
}
END_TEST

/* Rows that cannot be read stay and are counted; those beside them are judged as always. */
START_TEST(test_damaged)
{
	struct bytes key cleanup(bytes_done) = {0};
	put_service("shop", VERDICT_FAIL, ago(40));
	put_alert(1, ALERT_ENDED, ago(99));
	bytes_put(&key, "abad", 4);
	put(FAMILY_ALERT, &key, TEXT("?"));
	for (size_t i = 0; i < 4; i++) {
		bytes_clear(&key);
		registry_key(
			"ifvx" [i], (const struct text[]) { TEXT("shop"), TEXT("2.0") }, 2, -1,
			&key);
		put(FAMILY_REGISTRY, &key, TEXT("?"));
	}
	plan_and_enforce();
	expect(ROW_KIND_ALERTS, 1, 0);
	expect(ROW_KIND_FINDINGS, 1, 0);
	static const enum row_kind damaged[] = {ROW_KIND_ALERTS, ROW_KIND_UNDELIVERED,
						ROW_KIND_VERDICTS, ROW_KIND_FINDINGS,
						ROW_KIND_INSTANCES};
	for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++)
		ck_assert_uint_eq(drops[damaged[i]].damaged, 1);
}
END_TEST

/* A disk that is full leaves rows where they are, and the next turn takes them. */
START_TEST(test_full_disk)
{
	struct error err = {0};
	for (unsigned i = 1; i <= 250; i++)
		put_alert(i, ALERT_ENDED, ago(99));
	store_memory_fail_at(store, 2, ENOSPACE);
	ck_assert_int_eq(row_retention_enforce(store, &rules, now_us, drops, &err), ENOSPACE);
	ck_ok(row_retention_enforce(store, &rules, now_us, drops, &err), err);
	expect(ROW_KIND_ALERTS, 150, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("row_retention");
	TCase *tests = tcase_create("row_retention");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_alerts);
	tcase_add_test(tests, test_undelivered_revisions);
	tcase_add_test(tests, test_quarantine);
	tcase_add_test(tests, test_audit_and_undelivered);
	tcase_add_test(tests, test_gate_pending);
	tcase_add_test(tests, test_gate_answered);
	tcase_add_test(tests, test_gate_gone);
	tcase_add_test(tests, test_gate_override);
	tcase_add_test(tests, test_gate_instances);
	tcase_add_test(tests, test_gate_missing);
	tcase_add_test(tests, test_gate_traits);
	tcase_add_test(tests, test_damaged);
	tcase_add_test(tests, test_full_disk);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
