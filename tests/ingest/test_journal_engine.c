/* The engine with a journal: it refuses what kills, reads one message an epoch where it must, and
 * goes on without one. */
#include "dying.h"
#include "memory_source.h"
#include "tests/rules/suite.h"

static struct ruleset *ruleset;

static struct quarantine_row only_reject(struct store *store, struct bytes *keep)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct error err = {0};
	struct text key = {0};
	struct text value = {0};
	struct quarantine_row row = {0};
	unsigned count = 0;
	ck_assert_int_eq(store_scan_new(store, FAMILY_QUARANTINE, TEXT(""), TEXT(""), &scan, &err),
			 OK);
	for (; store_scan_next(scan, &key, &value); count++) {
		bytes_clear(keep);
		bytes_put(keep, key.data, key.size);
		bytes_put(keep, value.data, value.size);
		struct text whole = bytes_text(keep);
		ck_assert_int_eq(quarantine_decode((struct text){whole.data, key.size},
						   (struct text){whole.data + key.size, value.size},
						   &row, &err),
				 OK);
	}
	ck_assert_uint_eq(count, 1);
	return row;
}

static bool has_alert(struct store *store, const char *rule)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct error err = {0};
	struct text key = {0};
	struct text value = {0};
	bool found = false;
	ck_assert_int_eq(store_scan_new(store, FAMILY_ALERT, TEXT("a"), TEXT("a"), &scan, &err),
			 OK);
	while (store_scan_next(scan, &key, &value)) {
		struct alert alert = {0};
		ck_assert_int_eq(alert_decode(value, &alert, &err), OK);
		found = found || text_equal(alert.rule_key, text_of(rule));
	}
	return found;
}

static struct message message_of(const char *words)
{
	return (struct message){.record_time_us = 1700000000000000, .payload = text_of(words)};
}

/* The message at offset 1 of "logs" was in hand at so many crashes. */
static struct runtime_status run_after(unsigned count, struct store *store)
{
	const struct message messages[] = {message_of("{\"message\": \"a\"}"),
					   message_of("{\"message\": \"b\"}"),
					   message_of("{\"message\": \"c\"}")};
	const struct memory_stream streams[] = {{"logs", messages, 3}, {"more", messages, 3}};
	const struct memory_input input = {streams, 2, 0};
	struct runtime_status status = {0};
	for (unsigned i = 0; i < count; i++)
		die("logs", 1, 1, SIGABRT);
	memory_run((struct runtime_options){.store = store,
					    .ruleset = ruleset,
					    .worker_count = 2,
					    .journal_path = path},
		   &input, &status);
	uint64_t records = 0;
	for (size_t i = 0; i < status.partition_count; i++) {
		const struct position_row *row = &status.partitions[i].row;
		ck_assert_uint_eq(row->records, row->stored + row->quarantined);
		records += row->records;
	}
	ck_assert_uint_eq(records, 6);
	return status;
}

START_TEST(the_engine_refuses_it_and_goes_on)
{
	for (unsigned count = 1; count <= 4; count++) {
		struct store *store cleanup(store_free) = memory_store();
		struct bytes keep cleanup(bytes_done) = {0};
		(void)unlink(path);
		struct runtime_status status cleanup(runtime_status_done) = run_after(count, store);
		ck_assert_uint_eq(status.crashed, count >= JOURNAL_CRASHES_MAX);
		ck_assert_uint_eq(status.suspects, 0);
		ck_assert(has_alert(store, "picket.crashed") == (count >= JOURNAL_CRASHES_MAX));
		if (count < JOURNAL_CRASHES_MAX)
			continue;
		struct quarantine_row row = only_reject(store, &keep);
		ck_assert(text_equal(row.reason, TEXT("crashed")));
		ck_assert(text_equal(row.origin.topic, TEXT("logs")));
		ck_assert_int_eq(row.origin.offset, 1);
		/* Once more: what is done to the bytes may be what kills. */
		ck_assert(text_equal(row.raw, count < 4 ? TEXT("{\"message\": \"b\"}") : TEXT("")));
	}
}
END_TEST

START_TEST(the_engine_reads_one_message_an_epoch)
{
	struct store *store cleanup(store_free) = memory_store();
	char first[64];
	die_at_work(0, -1, true);
	die_at_work(0, -1, true);
	struct runtime_status status cleanup(runtime_status_done) = run_after(0, store);
	ck_assert_uint_eq(status.epoch_messages, 1);
	ck_assert_uint_ge(status.epoch, 6);
	ck_assert_uint_eq(status.crashed, 0);
	ck_assert_uint_eq(suspects(first, sizeof first), 0); /* all was committed */
}
END_TEST

START_TEST(without_a_journal_it_reads_and_says_so)
{
	struct store *store cleanup(store_free) = memory_store();
	char keep[sizeof path];
	memcpy(keep, path, sizeof path);
	(void)snprintf(path, sizeof path, "%s/no/such", folder);
	struct runtime_status status cleanup(runtime_status_done) = run_after(0, store);
	memcpy(path, keep, sizeof path);
	ck_assert_ptr_nonnull(strstr(status.problem, "cannot keep the journal"));
}
END_TEST

static void fill(TCase *tests)
{
	tcase_add_checked_fixture(tests, dying_setup, NULL);
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, the_engine_refuses_it_and_goes_on);
	tcase_add_test(tests, the_engine_reads_one_message_an_epoch);
	tcase_add_test(tests, without_a_journal_it_reads_and_says_so);
}

int main(void)
{
	struct error err = {0};
	struct ruleset_options options = {0};
	if (ruleset_parse(&options,
			  TEXT("title: a\nlogsource: {product: microservice}\n"
			       "detection: {s: {message: a}, condition: s}\nlevel: low\n"),
			  "test", &ruleset, &err) != OK)
		return EXIT_FAILURE;
	dying_begin();
	int code = run_suite("journal_engine", fill);
	ruleset_free(&ruleset);
	dying_end();
	return code;
}
