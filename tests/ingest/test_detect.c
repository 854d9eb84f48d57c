/* The DETECT stage for one message at a time: time, flags, counts, and the rows of an epoch. */
#include "correlate/record.h"
#include "decoding.h"
#include "ingest/detect.h"

enum { SECOND_US = 1000000, LATENESS_US = 10 * SECOND_US, ACTORS = 3 };

static const char rules_text[] = "title: failed\nid: 11111111-1111-4111-8111-111111111111\n"
				 "logsource: {product: microservice}\n"
				 "detection: {s: {event.outcome: failure}, condition: s}\n"
				 "level: low\n---\n"
				 "title: two users\nid: 22222222-2222-4222-8222-222222222222\n"
				 "logsource: {product: microservice}\n"
				 "detection: {s: {picket.quality: duplicate_key}, condition: s}\n"
				 "level: low\n---\n"
				 "title: keywords\nid: 33333333-3333-4333-8333-333333333333\n"
				 "logsource: {product: microservice}\n"
				 "detection: {s: [duplicate_key, '*uplicate*'], condition: s}\n"
				 "level: low\n";

static const struct hash_key hash_key = {"sixteen bytes ok"};

static struct ruleset *ruleset;
static struct plan *plan;
static struct detect *detect;
static struct detected detected;
static struct stream stream;
static int64_t sent; /* offset of the next message */
static struct bytes stored_key, stored_block;

static void begin(bool keep_events)
{
	struct error err = {0};
	struct ruleset_options rules = {0};
	ck_assert_int_eq(ruleset_parse(&rules, text_of(rules_text), "t", &ruleset, &err), OK);
	ck_assert_int_eq(plan_new(ruleset, &hash_key, &plan, &err), OK);
	struct detect_options options = {.ruleset = ruleset,
					 .plan = plan,
					 .actor_count = ACTORS,
					 .lateness_us = LATENESS_US,
					 .keep_events = keep_events};
	ck_assert_int_eq(detect_new(&options, &detect, &err), OK);
	ck_assert_int_eq(detected_init(&detected, ACTORS), OK);
	stream = (struct stream){.at = {.topic = TEXT("logs"),
					.partition = 3,
					.watermark_us = INT64_MIN,
					.tick_us = INT64_MIN}};
	ck_assert_int_eq(detect_name_stream(&stream), OK);
	sent = 0;
}

static void setup(void)
{
	begin(true);
}

static void teardown(void)
{
	bytes_done(&stored_key);
	bytes_done(&stored_block);
	block_builder_free(&stream.block);
	bytes_done(&stream.name);
	detected_done(&detected);
	detect_free(&detect);
	plan_free(&plan);
	ruleset_free(&ruleset);
}

static void feed(const char *payload, int64_t record_time_us)
{
	struct message message = {
		.offset = sent++, .record_time_us = record_time_us, .payload = text_of(payload)};
	struct error err = {0};
	enum status status = detect_message(detect, &stream, &message, NULL, &detected, &err);
	ck_assert_msg(status == OK, "%s", err.text);
}

/* A failed request `second` seconds after the record time that all messages here have. */
static void feed_at(int second)
{
	char payload[256];
	(void)snprintf(payload, sizeof payload,
		       "{\"@timestamp\":\"%s\",\"event.outcome\":\"failure\",\"user.id\":\"u\"}",
		       time_of(RECORD_TIME_US + (int64_t)second * SECOND_US));
	feed(payload, RECORD_TIME_US);
}

static int64_t watermark_second(void)
{
	return (stream.at.watermark_us - RECORD_TIME_US) / SECOND_US;
}

/* Flags of the only match record since the last call. */
static uint8_t flags_of_record(void)
{
	struct match_record record = {0};
	struct error err = {0};
	unsigned count = 0;
	for (unsigned i = 0; i < ACTORS; i++) {
		struct cursor from = cursor_of(bytes_text(&detected.records[i]));
		for (; cursor_left(&from) > 0; count++) {
			ck_assert_int_eq(record_decode(&from, &record, &err), OK);
			ck_assert_uint_eq(record.virtual_partition % ACTORS, i);
		}
		bytes_clear(&detected.records[i]);
	}
	ck_assert_uint_eq(count, 1);
	return record.flags;
}

static unsigned count_rows(enum store_family wanted)
{
	unsigned count = 0;
	struct cursor rows = cursor_of(bytes_text(&detected.rows));
	enum store_family family = FAMILY_EPOCH;
	struct text key = {0};
	struct text value = {0};
	while (rows_next(&rows, &family, &key, &value))
		count += family == wanted;
	return count;
}

START_TEST(a_record_below_its_own_watermark_is_late)
{
	feed_at(-100);
	ck_assert_int_eq(watermark_second(), -110);
	ck_assert_uint_eq(flags_of_record(), 0);
	feed_at(-80);
	ck_assert_int_eq(watermark_second(), -90);
	ck_assert_uint_eq(flags_of_record(), 0);
	feed_at(-90); /* on the edge: not late */
	ck_assert_uint_eq(flags_of_record(), 0);
	feed_at(-91);
	ck_assert_uint_eq(flags_of_record(), RECORD_LATE);
	ck_assert_int_eq(watermark_second(), -90); /* it never goes back */
	ck_assert_uint_eq(stream.at.late, 1);
	ck_assert_uint_eq(stream.at.stored, 4); /* late or not */
}
END_TEST

/* One producer with a fast clock must not make everybody else late. */
START_TEST(a_clock_that_is_ahead_does_not_move_the_watermark)
{
	feed_at(240);
	ck_assert_int_eq(watermark_second(), -10);
	feed_at(-5);
	ck_assert_uint_eq(stream.at.late, 0);
}
END_TEST

START_TEST(history_is_marked_up_to_its_offset)
{
	stream.at.backfill_until = 1;
	feed_at(0);
	ck_assert_uint_eq(flags_of_record(), RECORD_BACKFILL);
	feed_at(0);
	ck_assert_uint_eq(flags_of_record(), 0);
}
END_TEST

START_TEST(records_are_stored_or_quarantined)
{
	stream.at.next_offset = 5;
	sent = 8;
	feed("[{\"a\":1},{\"a\":2}]", RECORD_TIME_US);
	ck_assert_uint_eq(stream.at.hole_offsets, 3);
	feed("{\"a\":1}\n{\"a\":\n{\"a\":3}\n", RECORD_TIME_US);
	feed("", RECORD_TIME_US);
	ck_assert_int_eq(stream.at.next_offset, 11);
	ck_assert_uint_eq(stream.at.hole_offsets, 3);
	ck_assert_uint_eq(stream.at.messages, 3);
	ck_assert_uint_eq(stream.at.records, 6);
	ck_assert_uint_eq(stream.at.stored, 4);
	ck_assert_uint_eq(stream.at.quarantined, 2);
	ck_assert_uint_eq(detected.events, 4);
	ck_assert_uint_eq(detected.input_bytes, strlen("[{\"a\":1},{\"a\":2}]") +
							strlen("{\"a\":1}\n{\"a\":\n{\"a\":3}\n"));
	ck_assert_uint_eq(count_rows(FAMILY_QUARANTINE), 2);
}
END_TEST

START_TEST(a_tick_moves_time_and_offset_but_never_back)
{
	feed_at(-100);
	detect_tick(detect, &stream, 4, RECORD_TIME_US);
	ck_assert_int_eq(watermark_second(), -10);
	ck_assert_int_eq(stream.at.next_offset, 4);
	ck_assert_uint_eq(stream.at.hole_offsets, 3); /* a transaction's marks */
	detect_tick(detect, &stream, 2, RECORD_TIME_US - SECOND_US);
	ck_assert_int_eq(watermark_second(), -10);
	ck_assert_int_eq(stream.at.next_offset, 4);
	ck_assert_uint_eq(stream.at.hole_offsets, 3);
	ck_assert_int_eq(stream.at.tick_us, RECORD_TIME_US);
	sent = 4;
	feed_at(-11);
	ck_assert_uint_eq(stream.at.late, 1); /* the tick has closed that */
}
END_TEST

START_TEST(an_epoch_leaves_its_rows_once)
{
	struct error err = {0};
	feed_at(0);
	ck_assert_uint_eq(count_rows(FAMILY_POSITION), 0);
	for (int twice = 0; twice < 2; twice++) {
		ck_assert_int_eq(detect_flush_stream(&stream, &detected, &err), OK);
		ck_assert_int_eq(detect_flush(detect, &detected, &err), OK);
		ck_assert_uint_eq(count_rows(FAMILY_EPOCH), 1);
		ck_assert_uint_eq(count_rows(FAMILY_BLOCKMETA), 1);
		ck_assert_uint_eq(count_rows(FAMILY_POSITION), 1);
	}
	detect_tick(detect, &stream, 1, RECORD_TIME_US); /* no event, but time: a position */
	ck_assert_int_eq(detect_flush_stream(&stream, &detected, &err), OK);
	ck_assert_uint_eq(count_rows(FAMILY_EPOCH), 1);
	ck_assert_uint_eq(count_rows(FAMILY_POSITION), 2);
}
END_TEST

START_TEST(a_full_block_makes_room_for_the_next)
{
	struct error err = {0};
	for (int i = 0; i <= BLOCK_EVENTS_MAX; i++)
		feed_at(0);
	ck_assert_uint_eq(count_rows(FAMILY_EPOCH), 1);
	ck_assert_int_eq(detect_flush_stream(&stream, &detected, &err), OK);
	ck_assert_uint_eq(count_rows(FAMILY_EPOCH), 2);
	ck_assert_uint_eq(stream.at.stored, BLOCK_EVENTS_MAX + 1);
}
END_TEST

START_TEST(a_scan_keeps_nothing)
{
	teardown();
	begin(false);
	struct error err = {0};
	feed_at(0);
	feed("{", RECORD_TIME_US);
	ck_assert_int_eq(detect_flush_stream(&stream, &detected, &err), OK);
	ck_assert_uint_eq(count_rows(FAMILY_EPOCH) + count_rows(FAMILY_QUARANTINE), 0);
	ck_assert_uint_eq(stream.at.stored + stream.at.quarantined, 2);
	ck_assert_uint_eq(flags_of_record(), 0); /* but it correlates */
}
END_TEST

/* A topic was deleted and made again: its offsets come a second time, its old events stay. */
START_TEST(a_log_that_begins_anew_replaces_nothing)
{
	struct error err = {0};
	struct store *store cleanup(store_free) = NULL;
	ck_assert_int_eq(store_open_memory(&store, &err), OK);
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	feed_at(-3);
	feed("{broken", RECORD_TIME_US);
	ck_assert_int_eq(detect_begin_anew(&stream, 0, &detected, &err), OK);
	sent = 0;
	feed_at(-2);
	feed("{broken", RECORD_TIME_US);
	ck_assert_int_eq(detect_flush_stream(&stream, &detected, &err), OK);
	struct cursor rows = cursor_of(bytes_text(&detected.rows));
	enum store_family family = FAMILY_EPOCH;
	struct text key = {0};
	struct text value = {0};
	while (rows_next(&rows, &family, &key, &value))
		store_batch_put(batch, family, key, value);
	ck_assert_int_eq(store_batch_commit(batch, false, &err), OK);
	unsigned blocks = 0;
	unsigned quarantined = 0;
	for (enum store_family of = FAMILY_EPOCH; of < FAMILY_COUNT; of++) {
		struct store_scan *scan cleanup(store_scan_free) = NULL;
		ck_assert_int_eq(store_scan_new(store, of, TEXT(""), TEXT(""), &scan, &err), OK);
		while (store_scan_next(scan, &key, &value)) {
			blocks += of == FAMILY_EPOCH;
			quarantined += of == FAMILY_QUARANTINE;
		}
	}
	ck_assert_uint_eq(blocks, 2);
	ck_assert_uint_eq(quarantined, 2);
	ck_assert_uint_eq(stream.at.incarnation, 1);
	ck_assert_int_eq(stream.at.next_offset, 2);
}
END_TEST

/* The first event of the block that the stream would leave now, into the arena. */
static struct event stored_event(struct arena *arena, struct block_reader **reader)
{
	struct block_meta meta;
	struct event event;
	struct error err = {0};
	bool more = false;
	bytes_clear(&stored_key);
	ck_assert_int_eq(block_finish(stream.block, &stored_block, &meta, &err), OK);
	block_key(bytes_text(&stream.name), stream.at.partition, meta.first_offset,
		  meta.first_index, &stored_key);
	ck_assert_int_eq(
		block_open(bytes_text(&stored_key), bytes_text(&stored_block), reader, &err), OK);
	ck_assert_int_eq(block_next(*reader, arena, &event, &more, &err), OK);
	ck_assert(more);
	return event;
}

/* What is stored names the detections, whatever the payload claims; detecting in what is stored
 * sees the event as it was logged. */
START_TEST(a_stored_event_names_its_detections)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct block_reader *reader cleanup(block_reader_free) = NULL;
	struct error err = {0};
	feed("{\"event.outcome\":\"failure\",\"picket.rule.id\":\"forged\"}", RECORD_TIME_US);
	struct event event = stored_event(arena, &reader);
	const struct value *named = event_get(&event, FIELD_RULE_ID);
	ck_assert_ptr_nonnull(named);
	ck_assert(text_equal(named->text, TEXT("11111111-1111-4111-8111-111111111111")));
	ck_assert_int_eq(event.fields[event.field_count - 1].id, FIELD_RULE_ID);
	ck_assert((event.quality & QUALITY_PROVENANCE) != 0);
	block_reader_free(&reader);
	feed("{\"event.outcome\":\"success\"}", RECORD_TIME_US);
	event = stored_event(arena, &reader);
	ck_assert_ptr_null(event_get(&event, FIELD_RULE_ID));
	struct value value = {.type = VALUE_STRING, .text = TEXT("of another rule")};
	ck_assert_int_eq(event_add(&event, arena, TEXT("picket.rule.id"), value), OK);
	size_t before = event.field_count;
	ck_assert_int_eq(detect_stored(detect, &stream, &event, NULL, &detected, &err), OK);
	ck_assert_uint_eq(event.field_count, before);
}
END_TEST

START_TEST(a_rule_reads_what_was_mended)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct block_reader *reader cleanup(block_reader_free) = NULL;
	struct error err = {0};
	feed("{\"user.id\":\"a\",\"user.id\":\"b\"}", RECORD_TIME_US);
	struct event event = stored_event(arena, &reader);
	struct text named = event_text(&event, FIELD_RULE_ID);
	ck_assert(text_equal(named, TEXT("22222222-2222-4222-8222-222222222222")));
	size_t detections = 0; /* keywords are looked for in what the log says alone */
	for (size_t i = 0; i < event.field_count; i++)
		detections += event.fields[i].id == FIELD_RULE_ID;
	ck_assert_uint_eq(detections, 1);
	ck_assert_ptr_null(event_get(&event, FIELD_QUALITY)); /* stored as what it is */
	ck_assert((event.quality & QUALITY_DUPLICATE) != 0);
	ck_assert_int_eq(detect_stored(detect, &stream, &event, NULL, &detected, &err), OK);
	ck_assert_int_eq(event.fields[event.field_count - 1].id, FIELD_RULE_ID);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("detect");
	TCase *tests = tcase_create("detect");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a_record_below_its_own_watermark_is_late);
	tcase_add_test(tests, a_clock_that_is_ahead_does_not_move_the_watermark);
	tcase_add_test(tests, history_is_marked_up_to_its_offset);
	tcase_add_test(tests, records_are_stored_or_quarantined);
	tcase_add_test(tests, a_tick_moves_time_and_offset_but_never_back);
	tcase_add_test(tests, an_epoch_leaves_its_rows_once);
	tcase_add_test(tests, a_full_block_makes_room_for_the_next);
	tcase_add_test(tests, a_scan_keeps_nothing);
	tcase_add_test(tests, a_log_that_begins_anew_replaces_nothing);
	tcase_add_test(tests, a_stored_event_names_its_detections);
	tcase_add_test(tests, a_rule_reads_what_was_mended);
	tcase_set_timeout(tests, 120);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
