/* Delivery against a receiver and a clock that are made up: order, repeats, refusals, silence,
 * restarts, reminders. */
#include "cli/receiver.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/action.h"
#include "storage/rows.h"

static const int64_t T0 = 1767225600000000; /* 2026-01-01T00:00:00Z */
static const int64_t SECOND = 1000000;

static struct store *store;
static int64_t now_us;
static uint64_t outbox_end;

/* What the receiver answers, and what it has got. */
static struct {
	unsigned http_status; /* of everything but what contains `poison` */
	unsigned poison_status;
	const char *poison;
	int64_t retry_after_us;
	unsigned posts;
	char last[20000];
	char headers[1000];
	char order[2000]; /* first digits of the ids taken, in order */
	unsigned commits, commits_at_post;
} world;

static void take(const char *body)
{
	for (const char *at = strstr(body, "\"alert_id\":\""); at != NULL;
	     at = strstr(at + 1, "\"alert_id\":\"")) {
		strncat(world.order, at + 12, 2);
		strcat(world.order, " ");
	}
}

static void fake_post(void *context, const struct post *post, struct post_answer *ret_answer)
{
	(void)context;
	world.posts++;
	world.commits_at_post = world.commits;
	snprintf(world.last, sizeof world.last, "%.*s", TEXT_ARG(post->body));
	world.headers[0] = '\0';
	for (size_t i = 0; i < post->header_count; i++) {
		strcat(world.headers, post->headers[i]);
		strcat(world.headers, "\n");
	}
	bool poisoned = world.poison != NULL && strstr(world.last, world.poison) != NULL;
	ret_answer->http_status = poisoned ? world.poison_status : world.http_status;
	ret_answer->retry_after_us = world.retry_after_us;
	if (ret_answer->http_status / 100 == 2)
		take(world.last);
	else
		snprintf(ret_answer->problem, sizeof ret_answer->problem, "no \"thanks\"");
}

static enum status fake_commit(void *context, struct store_batch *batch, struct error *err)
{
	(void)context;
	world.commits++;
	return store_batch_commit(batch, true, err);
}

static uint32_t fake_random(void *context)
{
	(void)context;
	return 0;
}

static int64_t fake_now(void *context)
{
	(void)context;
	return now_us;
}

static const struct delivery_world fake_world = {
	fake_post, fake_commit, fake_random, {fake_now, NULL}, NULL};

static const struct receiver webhook = {.kind = RECEIVER_WEBHOOK,
					.url = "http://127.0.0.1:1/",
					.level_min = LEVEL_MEDIUM,
					.secret = {"secret", 6}};
static const struct receiver alertmanager = {.kind = RECEIVER_ALERTMANAGER,
					     .url = "http://127.0.0.1:1/api/v2/alerts",
					     .level_min = LEVEL_LOW,
					     .token = {"token", 5}};

static void put_row(enum store_family family, const struct bytes *key, const struct bytes *value)
{
	struct store_batch *batch = store_batch_new(store);
	store_batch_put(batch, family, bytes_text(key), bytes_text(value));
	ck_assert_int_eq(store_batch_commit(batch, false, NULL), OK);
	store_batch_free(&batch);
}

static void setup(void)
{
	ck_assert_int_eq(store_open_memory(&store, NULL), OK);
	memset(&world, 0, sizeof world);
	world.http_status = 200;
	now_us = T0;
	outbox_end = 0;
}

static void teardown(void)
{
	store_free(&store);
}

static struct alert sample(const char *digits, uint32_t revision, enum alert_state state)
{
	struct alert alert = {.revision = revision,
			      .state = state,
			      .rule_id = TEXT("id-1"),
			      .rule_name = TEXT("many_failures"),
			      .rule_key = TEXT("id-1"),
			      .rule_title = TEXT("Many failures"),
			      .level = LEVEL_HIGH,
			      .tenant = TEXT("acme"),
			      .count = 3,
			      .threshold = 1,
			      .timespan_us = 1000000,
			      .first_us = T0 - 60 * SECOND,
			      .last_us = T0 - 30 * SECOND,
			      .reason = TEXT("3 failures")};
	memset(alert.id, '0', ALERT_ID_SIZE);
	memcpy(alert.id, digits, 2);
	if (state == ALERT_MERGED)
		memset(alert.merged_into, 'a', ALERT_ID_SIZE);
	return alert;
}

static void put_alert(const struct alert *alert)
{
	struct bytes key = {0};
	struct bytes value = {0};
	alert_encode(alert, &value);
	alert_key('a', text_of(alert->id), &key);
	put_row(FAMILY_ALERT, &key, &value);
	bytes_done(&key);
	bytes_done(&value);
}

/* The row of the epoch as the committer leaves it. */
static void put_epoch(void)
{
	struct bytes key = {0};
	struct bytes value = {0};
	epoch_key(&key);
	epoch_encode(&(struct epoch_row){.epoch = 1, .outbox_next = outbox_end}, &value);
	put_row(FAMILY_POSITION, &key, &value);
	bytes_done(&key);
	bytes_done(&value);
}

/* An alert and the outbox row that announces it. */
static void announce(const struct alert *alert)
{
	struct bytes key = {0};
	struct bytes value = {0};
	put_alert(alert);
	outbox_key(outbox_end++, &key);
	bytes_put_varint(&value, alert->revision);
	bytes_put_text(&value, text_of(alert->id));
	put_row(FAMILY_OUTBOX, &key, &value);
	put_epoch();
	bytes_done(&key);
	bytes_done(&value);
}

static void announce_new(const char *digits, uint32_t revision, enum alert_state state)
{
	struct alert alert = sample(digits, revision, state);
	announce(&alert);
}

static struct delivery *open_delivery(const struct receiver *receiver)
{
	struct delivery *delivery = NULL;
	ck_assert_int_eq(delivery_new(receiver, store, &fake_world, &delivery, NULL), OK);
	return delivery;
}

static void step(struct delivery *delivery)
{
	int64_t wait_us = 0;
	struct error err = {0};
	enum status status = delivery_step(delivery, &wait_us, &err);
	ck_assert_msg(status == OK, "%s", err.text);
	ck_assert_int_gt(wait_us, 0);
}

static struct receiver_progress progress_of(const struct receiver *receiver)
{
	static struct bytes value; /* the texts are read right after */
	struct receiver_progress progress = {0};
	struct bytes key = {0};
	receiver_progress_key(receiver->kind, &key);
	ck_assert_int_eq(store_get(store, FAMILY_REGISTRY, bytes_text(&key), &value, NULL), OK);
	ck_assert_int_eq(receiver_progress_decode(bytes_text(&value), &progress, NULL), OK);
	bytes_done(&key);
	return progress;
}

static bool is_filed(const struct receiver *receiver, const char *digits,
		     struct undelivered *ret_row)
{
	static struct bytes value;
	struct alert alert = sample(digits, 1, ALERT_OPEN);
	struct bytes key = {0};
	undelivered_key(receiver->kind, text_of(alert.id), &key);
	enum status status = store_get(store, FAMILY_REGISTRY, bytes_text(&key), &value, NULL);
	bytes_done(&key);
	if (status == OK)
		ck_assert_int_eq(undelivered_decode(bytes_text(&value), ret_row, NULL), OK);
	return status == OK;
}

START_TEST(test_in_order_once_and_synced)
{
	struct delivery *delivery = open_delivery(&webhook);
	step(delivery);
	ck_assert_uint_eq(world.posts, 0);
	announce_new("a1", 1, ALERT_OPEN);
	announce_new("b2", 1, ALERT_OPEN);
	announce_new("a1", 2, ALERT_ENDED);
	step(delivery);
	/* a1 is told once, as it is now; the row of its second revision says nothing new */
	ck_assert_str_eq(world.order, "a1 b2 ");
	ck_assert_uint_gt(world.commits_at_post, 0); /* on disk before it is told */
	step(delivery);
	ck_assert_uint_eq(world.posts, 2);
	ck_assert_uint_eq(progress_of(&webhook).sent, 2);
	ck_assert_uint_eq(progress_of(&webhook).next, 3);
	ck_assert_ptr_nonnull(strstr(world.headers, "Idempotency-Key: b2"));
	ck_assert_ptr_nonnull(strstr(world.headers, "0.1\n"));
	ck_assert_ptr_nonnull(strstr(world.headers, "X-Picket-Signature: t=1767225600,v1="));
	announce_new("b2", 5, ALERT_ENDED);
	step(delivery);
	ck_assert_str_eq(world.order, "a1 b2 b2 ");
	delivery_done(&delivery);
}
END_TEST

START_TEST(test_what_is_not_sent)
{
	struct delivery *delivery = open_delivery(&webhook);
	struct alert low = sample("a1", 1, ALERT_OPEN);
	struct alert staged = sample("b2", 1, ALERT_OPEN);
	struct alert history = sample("c3", 1, ALERT_OPEN);
	low.level = LEVEL_LOW;
	staged.flags = ALERT_SHADOW;
	history.flags = ALERT_BACKFILL;
	announce(&low);
	announce(&staged);
	announce(&history);
	step(delivery);
	ck_assert_uint_eq(world.posts, 0);
	ck_assert_uint_eq(progress_of(&webhook).next, 3);
	ck_assert_uint_eq(progress_of(&webhook).skipped, 0);
	delivery_done(&delivery);
}
END_TEST

START_TEST(test_a_new_receiver_hears_no_history)
{
	announce_new("a1", 1, ALERT_ENDED);
	struct delivery *delivery = open_delivery(&webhook);
	announce_new("b2", 1, ALERT_OPEN);
	step(delivery);
	ck_assert_str_eq(world.order, "b2 ");
	delivery_done(&delivery);
}
END_TEST

START_TEST(test_silence_is_waited_out)
{
	struct delivery *delivery = open_delivery(&webhook);
	world.http_status = 0;
	announce_new("a1", 1, ALERT_OPEN);
	for (int i = 0; i < 3600; i++, now_us += SECOND)
		step(delivery);
	/* pauses of 0.5 to 256 s and then 150 s each: one does not hammer */
	ck_assert_uint_gt(world.posts, 15);
	ck_assert_uint_lt(world.posts, 40);
	ck_assert_int_eq(progress_of(&webhook).failing_us, T0);
	ck_assert(text_equal(progress_of(&webhook).problem, TEXT("no \"thanks\"")));
	world.http_status = 204;
	now_us += 300 * SECOND;
	step(delivery);
	ck_assert_str_eq(world.order, "a1 ");
	ck_assert_int_eq(progress_of(&webhook).failing_us, INT64_MIN);
	ck_assert_uint_eq(progress_of(&webhook).undelivered, 0);
	delivery_done(&delivery);
}
END_TEST

START_TEST(test_retry_after_is_obeyed)
{
	struct delivery *delivery = open_delivery(&webhook);
	world.http_status = 429;
	world.retry_after_us = 20 * SECOND;
	announce_new("a1", 1, ALERT_OPEN);
	step(delivery);
	now_us += 19 * SECOND;
	step(delivery);
	ck_assert_uint_eq(world.posts, 1);
	now_us += 2 * SECOND;
	step(delivery);
	ck_assert_uint_eq(world.posts, 2);
	delivery_done(&delivery);
}
END_TEST

START_TEST(test_refusals_are_filed_and_tried_again_when_asked)
{
	struct delivery *delivery = open_delivery(&webhook);
	struct undelivered row = {0};
	struct bytes key = {0};
	struct bytes value = {0};
	world.poison = "\"alert_id\":\"a1";
	world.poison_status = 400;
	announce_new("a1", 1, ALERT_OPEN);
	announce_new("b2", 1, ALERT_OPEN);
	step(delivery);
	ck_assert_str_eq(world.order, "b2 "); /* the refused one holds back nobody */
	ck_assert(is_filed(&webhook, "a1", &row));
	ck_assert(text_equal(row.reason, TEXT("HTTP 400: no \"thanks\"")));
	ck_assert_uint_eq(progress_of(&webhook).undelivered, 1);
	world.poison = NULL;
	now_us += 10 * SECOND;
	step(delivery);
	ck_assert(is_filed(&webhook, "a1", &row)); /* nobody has asked */
	row.again = true;
	undelivered_encode(&row, &value);
	undelivered_key(RECEIVER_WEBHOOK, text_of(sample("a1", 1, ALERT_OPEN).id), &key);
	put_row(FAMILY_REGISTRY, &key, &value);
	now_us += 10 * SECOND;
	step(delivery);
	ck_assert_str_eq(world.order, "b2 a1 ");
	ck_assert(!is_filed(&webhook, "a1", &row));
	delivery_done(&delivery);
	bytes_done(&key);
	bytes_done(&value);
}
END_TEST

START_TEST(test_an_alert_that_breaks_the_receiver_is_filed)
{
	struct delivery *delivery = open_delivery(&webhook);
	struct undelivered row = {0};
	world.poison = "\"alert_id\":\"a1";
	world.poison_status = 500;
	announce_new("a1", 1, ALERT_OPEN);
	announce_new("b2", 1, ALERT_OPEN);
	for (int i = 0; i < 10 * 300; i++, now_us += SECOND)
		step(delivery);
	ck_assert_str_eq(world.order, "b2 ");
	ck_assert(is_filed(&webhook, "a1", &row));
	ck_assert_uint_eq(world.posts, DELIVERY_ANSWERS_MAX + 1);
	delivery_done(&delivery);
}
END_TEST

START_TEST(test_one_bad_alert_of_a_batch)
{
	struct delivery *delivery = open_delivery(&alertmanager);
	struct undelivered row = {0};
	world.poison = "\"alert_id\":\"b2";
	world.poison_status = 400;
	announce_new("a1", 1, ALERT_ENDED);
	announce_new("b2", 1, ALERT_ENDED);
	announce_new("c3", 1, ALERT_ENDED);
	step(delivery);
	ck_assert_str_eq(world.order, "a1 c3 ");
	ck_assert(is_filed(&alertmanager, "b2", &row));
	ck_assert_ptr_nonnull(strstr(world.headers, "Authorization: Bearer token\n"));
	delivery_done(&delivery);
}
END_TEST

START_TEST(test_restart_goes_on)
{
	struct delivery *delivery = open_delivery(&webhook);
	announce_new("a1", 1, ALERT_OPEN);
	step(delivery);
	announce_new("b2", 1, ALERT_OPEN);
	delivery_done(&delivery);
	delivery = open_delivery(&webhook);
	step(delivery);
	ck_assert_str_eq(world.order, "a1 b2 ");
	delivery_done(&delivery);
}
END_TEST

START_TEST(test_a_full_outbox_is_counted)
{
	struct delivery *delivery = open_delivery(&webhook);
	announce_new("a1", 1, ALERT_OPEN);
	step(delivery);
	outbox_end += 7; /* rows that were dropped before the receiver came back */
	announce_new("b2", 1, ALERT_OPEN);
	step(delivery);
	ck_assert_str_eq(world.order, "a1 b2 ");
	ck_assert_uint_eq(progress_of(&webhook).skipped, 7);
	delivery_done(&delivery);
}
END_TEST

static void close_alert(const char *digits)
{
	struct alert alert = sample(digits, 1, ALERT_OPEN);
	struct actions actions = {.count = 1};
	struct bytes key = {0};
	struct bytes value = {0};
	actions.items[0] =
		(struct action){.kind = ACTION_CLOSE, .who = TEXT("ann"), .as = TEXT("benign")};
	actions_encode(&actions, &value);
	alert_key('u', text_of(alert.id), &key);
	put_row(FAMILY_ALERT, &key, &value);
	bytes_done(&key);
	bytes_done(&value);
}

START_TEST(test_alertmanager_is_reminded_of_what_is_open)
{
	struct alert before = sample("a1", 1, ALERT_OPEN); /* open since before the start */
	put_alert(&before);
	struct delivery *delivery = open_delivery(&alertmanager);
	announce_new("b2", 1, ALERT_OPEN);
	announce_new("c3", 1, ALERT_OPEN);
	step(delivery);
	ck_assert_str_eq(world.order, "b2 c3 a1 b2 c3 ");
	announce_new("c3", 2, ALERT_ENDED);
	close_alert("b2");
	world.order[0] = '\0';
	for (int i = 0; i < 59; i++, now_us += SECOND)
		step(delivery);
	ck_assert_str_eq(world.order, "c3 ");
	now_us += 2 * SECOND;
	step(delivery);
	ck_assert_str_eq(world.order, "c3 a1 ");
	ck_assert_ptr_nonnull(strstr(world.last, "\"endsAt\":\"2026-01-01T00:05:01Z\""));
	delivery_done(&delivery);
}
END_TEST

START_TEST(test_alertmanager_labels)
{
	struct delivery *delivery = open_delivery(&alertmanager);
	struct alert alert = sample("a1", 1, ALERT_ENDED);
	struct alert merged = sample("b2", 2, ALERT_MERGED);
	struct bytes group = {0};
	bytes_put_text(&group, TEXT("tenant.id"));
	bytes_put_text(&group, TEXT("acme"));
	bytes_put_text(&group, TEXT("source.ip"));
	bytes_put_text(&group, TEXT("192.0.2.7"));
	bytes_put_text(&group, TEXT("9\"x"));
	bytes_put_text(&group, TEXT("q\"\n"));
	alert.group = bytes_text(&group);
	announce(&alert);
	announce(&merged);
	step(delivery);
	ck_assert_uint_eq(world.posts, 1);
	ck_assert_str_eq(world.last,
			 "[{\"labels\":{\"alertname\":\"many_failures\",\"severity\":\"high\","
			 "\"source\":\"picket\",\"rule_id\":\"id-1\",\"tenant\":\"acme\","
			 "\"source_ip\":\"192.0.2.7\",\"__x\":\"q\\\"\\n\"},"
			 "\"annotations\":{\"summary\":\"Many failures\","
			 "\"description\":\"3 failures\",\"count\":\"3\","
			 "\"first\":\"2025-12-31T23:59:00Z\",\"last\":\"2025-12-31T23:59:30Z\","
			 "\"alert_id\":\"a1000000000000000000000000000000\","
			 "\"next\":\"picket alerts show a10000000000\"},"
			 "\"startsAt\":\"2025-12-31T23:59:00Z\","
			 "\"endsAt\":\"2025-12-31T23:59:30Z\"}]");
	delivery_done(&delivery);
	bytes_done(&group);
}
END_TEST

/* RFC 4231 names no case of this form; the value was computed with Python's hmac. */
START_TEST(test_signature)
{
	struct bytes signature = {0};
	receiver_signature(TEXT("key"), 1767225600 * SECOND + 5, TEXT("{\"a\":1}"), &signature);
	ck_assert(text_equal(
		bytes_text(&signature),
		TEXT("t=1767225600,v1=80f7b75f8618b9b24d72673996a625f1a43f7387a26b6739d667431724fe4d23")));
	bytes_done(&signature);
}
END_TEST

START_TEST(test_rows_that_are_damaged)
{
	struct receiver_progress progress = {.next = 3, .problem = TEXT("why")};
	struct undelivered row = {.revision = 2, .reason = TEXT("why")};
	struct bytes value = {0};
	receiver_progress_encode(&progress, &value);
	for (size_t size = 0; size < value.size; size++)
		ck_assert_int_eq(
			receiver_progress_decode((struct text){(const char *)value.data, size},
						 &progress, NULL),
			ECORRUPT);
	bytes_clear(&value);
	undelivered_encode(&row, &value);
	for (size_t size = 0; size < value.size; size++)
		ck_assert_int_eq(undelivered_decode((struct text){(const char *)value.data, size},
						    &row, NULL),
				 ECORRUPT);
	bytes_done(&value);
}
END_TEST

START_TEST(test_a_store_that_fails_is_an_error)
{
	struct delivery *delivery = open_delivery(&webhook);
	int64_t wait_us = 0;
	announce_new("a1", 1, ALERT_OPEN);
	store_memory_fail_at(store, 1, ENOSPACE);
	ck_assert_int_eq(delivery_step(delivery, &wait_us, NULL), ENOSPACE);
	ck_assert_uint_eq(world.posts, 0); /* nothing is told that is not on disk */
	step(delivery);
	ck_assert_str_eq(world.order, "a1 ");
	delivery_done(&delivery);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("delivery");
	TCase *all = tcase_create("all");
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, test_in_order_once_and_synced);
	tcase_add_test(all, test_what_is_not_sent);
	tcase_add_test(all, test_a_new_receiver_hears_no_history);
	tcase_add_test(all, test_silence_is_waited_out);
	tcase_add_test(all, test_retry_after_is_obeyed);
	tcase_add_test(all, test_refusals_are_filed_and_tried_again_when_asked);
	tcase_add_test(all, test_an_alert_that_breaks_the_receiver_is_filed);
	tcase_add_test(all, test_one_bad_alert_of_a_batch);
	tcase_add_test(all, test_restart_goes_on);
	tcase_add_test(all, test_a_full_outbox_is_counted);
	tcase_add_test(all, test_alertmanager_is_reminded_of_what_is_open);
	tcase_add_test(all, test_alertmanager_labels);
	tcase_add_test(all, test_signature);
	tcase_add_test(all, test_rows_that_are_damaged);
	tcase_add_test(all, test_a_store_that_fails_is_an_error);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
