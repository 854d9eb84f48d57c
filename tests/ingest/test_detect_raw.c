/* The bytes of records, kept beside their events (store.raw): what comes out of a store on disk,
 * merged and opened again, is what went in, byte for byte; and nothing that privacy took out of an
 * event comes back through them. */
#include <json-c/json.h>
#include <sodium.h>

#include "decoding.h"
#include "ingest/detect.h"
#include "otlp_message.h"
#include "storage/event_cursor.h"
#include "storage/merge.h"
#include "storage/query.h"
#include "storage/search.h"
#include "tests/storage/fixture.h"

#define JWT "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N"

enum { RECORDS = 400, MEMORY = 32 << 20 };

static const char rules_text[] = "title: pear\nid: 11111111-1111-4111-8111-111111111111\n"
				 "logsource: {product: microservice}\n"
				 "detection: {s: [pear], condition: s}\nlevel: low\n";
static const struct hash_key hash_key = {"sixteen bytes ok"};
static const struct text raw_topics[] = {{"other", 5}, {"log*", 4}};

static char *folder;
static struct store *store;
static struct ruleset *ruleset;
static struct plan *plan;
static struct detect *detect;
static struct detected detected;
static struct stream stream;
static struct privacy *privacy;
static struct arena *arena;
static struct error err;
static size_t matched;

static void open_store(void)
{
	struct store_options options = {.path = folder, .create = true, .memory_bytes = MEMORY};
	ck_ok(store_open(&options, &store, &err), err);
}

static void begin(const struct privacy_options *guard)
{
	struct ruleset_options rules = {0};
	folder = folder_new();
	open_store();
	arena = arena_new(256 << 20);
	if (guard != NULL)
		ck_ok(privacy_new(guard, &privacy, &err), err);
	ck_ok(ruleset_parse(&rules, text_of(rules_text), "t", &ruleset, &err), err);
	ck_ok(plan_new(ruleset, &hash_key, &plan, &err), err);
	struct detect_options options = {
		.ruleset = ruleset,
		.plan = plan,
		.enrich = {.privacy = privacy, .raw_topics = raw_topics, .raw_topic_count = 2},
		.actor_count = 1,
		.keep_events = true};
	ck_ok(detect_new(&options, &detect, &err), err);
	ck_assert_int_eq(detected_init(&detected, 1), OK);
	stream = (struct stream){.at = {.topic = TEXT("logs"), .watermark_us = INT64_MIN}};
	ck_assert_int_eq(detect_name_stream(&stream), OK);
	matched = 0;
}

static void teardown(void)
{
	block_builder_free(&stream.block);
	bytes_done(&stream.name);
	detected_done(&detected);
	detect_free(&detect);
	plan_free(&plan);
	ruleset_free(&ruleset);
	privacy_free(&privacy);
	arena_free(&arena);
	store_free(&store);
	folder_remove(&folder);
}

/* No rule sees the bytes. */
static void on_event(void *context, const struct event *event, const struct matches *matches)
{
	(void)context;
	matched += matches->count;
	ck_assert_ptr_null(event_get(event, FIELD_SRC_RAW));
}

static void feed(struct text payload)
{
	static const struct detect_sink sink = {.on_event = on_event};
	struct message message = {.offset = stream.at.next_offset,
				  .record_time_us = RECORD_TIME_US,
				  .payload = payload};
	ck_ok(detect_message(detect, &stream, &message, &sink, &detected, &err), err);
}

/* The epoch ends: its rows go to the disk, are merged, and the store is opened again. */
static void keep_all(bool merged)
{
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	struct merge_report report = {0};
	enum store_family family = FAMILY_EPOCH;
	struct text key = {0};
	struct text value = {0};
	ck_ok(detect_flush_stream(&stream, &detected, &err), err);
	struct cursor rows = cursor_of(bytes_text(&detected.rows));
	while (rows_next(&rows, &family, &key, &value))
		store_batch_put(batch, family, key, value);
	ck_ok(store_batch_commit(batch, true, &err), err);
	if (merged)
		ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
	ck_assert(!merged || report.events > 0);
	store_batch_free(&batch);
	store_free(&store);
	open_store();
}

/* A record's bytes from the JSON of its event, as an export has them; data == NULL: none. */
static struct text exported(const struct event *event)
{
	struct bytes json cleanup(bytes_done) = {0};
	struct json_object *raw = NULL;
	event_json(event, &json);
	bytes_put_u8(&json, 0);
	struct json_object *object = json_tokener_parse((const char *)json.data);
	ck_assert_ptr_nonnull(object);
	struct text bytes = {0};
	if (json_object_object_get_ex(object, "picket.src.raw", &raw)) {
		struct text text = {json_object_get_string(raw),
				    (size_t)json_object_get_string_len(raw)};
		bytes = arena_copy(arena, text);
	} else if (json_object_object_get_ex(object, "picket.src.raw_base64", &raw)) {
		size_t size = (size_t)json_object_get_string_len(raw);
		char *room = arena_alloc(arena, size + 1);
		ck_assert_int_eq(sodium_base642bin((unsigned char *)room, size + 1,
						   json_object_get_string(raw), size, NULL,
						   &bytes.size, NULL,
						   sodium_base64_VARIANT_ORIGINAL),
				 0);
		bytes.data = room;
	}
	json_object_put(object);
	return bytes;
}

static struct event_cursor *cursor_new(void)
{
	const struct event_cursor_options options = {
		.store = store, .since_us = INT64_MIN, .until_us = INT64_MAX};
	struct event_cursor *cursor = NULL;
	ck_ok(event_cursor_new(&options, &cursor, &err), err);
	return cursor;
}

static void expect(const struct text *records, size_t count)
{
	struct event_cursor *cursor cleanup(event_cursor_free) = cursor_new();
	struct event event;
	bool more = true;
	size_t seen = 0;
	for (;; seen++) {
		ck_ok(event_cursor_next(cursor, &event, &more, &err), err);
		if (!more)
			break;
		size_t at = (size_t)event.origin.offset + event.origin.index;
		const struct value *raw = event_get(&event, FIELD_SRC_RAW);
		ck_assert_msg(raw != NULL, "record %zu has lost its bytes", at);
		ck_assert_uint_lt(at, count);
		ck_assert_msg(text_equal(raw->text, records[at]), "record %zu differs", at);
		ck_assert(text_equal(exported(&event), records[at]));
	}
	ck_assert_uint_eq(seen, count);
}

static void put_text(struct bytes *to, const char *text)
{
	bytes_put(to, text, strlen(text));
}

/* One value of a JSON object, spelled as nobody's encoder would. */
static struct text hostile_record(uint64_t *seed)
{
	static const char *const spellings[] = {
		"\\u0000",        "\\/", "\\u00e9", "\xc3\xa9", "\xf0\x9f\x92\xa3",
		"\\ud83d\\udca3", "\t ", "\x7f",    "\\\\\\\"", "a",
	};
	struct bytes record cleanup(bytes_done) = {0};
	size_t blanks = random_below(seed, 4);
	put_text(&record, &"   "[blanks]);
	put_text(&record, "{ \"b\" : 1.50e+01,\r\n\"a\":\"");
	size_t count = random_below(seed, random_below(seed, 20) == 0 ? 60000 : 40);
	for (size_t i = 0; i < count; i++) {
		size_t which = random_below(seed, sizeof spellings / sizeof *spellings);
		if (which != 6) /* a string holds no tab */
			put_text(&record, spellings[which]);
	}
	put_text(&record, random_below(seed, 2) == 0 ? "\",\"b\":2}" : "\",\"b\":2}\n\t ");
	return arena_copy(arena, bytes_text(&record));
}

/* An OpenTelemetry record whose bytes are no text: with a field that no schema names. */
static struct text binary_record(uint64_t *seed, struct bytes *message)
{
	struct bytes record cleanup(bytes_done) = {0};
	struct bytes resource cleanup(bytes_done) = {0};
	proto_fixed64(&record, 1, 1795305600000000000 + random_below(seed, 1000000));
	proto_attribute(&record, 6, TEXT("user.id"), TEXT("ann"));
	proto_text(&record, 99, random_text(seed, arena, 2000));
	struct text copy = arena_copy(arena, bytes_text(&record));
	proto_wrap(message, bytes_text(&record), bytes_text(&resource));
	return copy;
}

static void hostile_bytes_come_back(bool merged)
{
	struct text records[RECORDS];
	uint64_t seed = 7;
	begin(NULL);
	for (size_t i = 0; i < RECORDS; i++) {
		struct bytes message cleanup(bytes_done) = {0};
		bool binary = i % 5 == 4;
		records[i] = binary ? binary_record(&seed, &message) : hostile_record(&seed);
		feed(binary ? bytes_text(&message) : records[i]);
	}
	ck_assert_uint_eq(stream.at.stored, RECORDS);
	keep_all(merged);
	expect(records, RECORDS);
}

START_TEST(hostile_bytes_come_back_from_a_block)
{
	hostile_bytes_come_back(false);
}
END_TEST

START_TEST(hostile_bytes_come_back_merged)
{
	hostile_bytes_come_back(true);
}
END_TEST

START_TEST(every_record_of_a_message_has_its_own)
{
	static const struct text records[] = {TEXT("{\"a\" :1}"), TEXT("{ \"a\":[1 , 2]}"),
					      TEXT("{\"message\":\"a \\u0070ear\"}")};
	begin(NULL);
	feed(TEXT("[ {\"a\" :1},\n { \"a\":[1 , 2]} ,{\"message\":\"a \\u0070ear\"}]"));
	ck_assert_uint_eq(matched, 1);
	keep_all(true);
	expect(records, 3);
}
END_TEST

/* A message of exactly `size` bytes. */
static struct text sized(size_t size)
{
	char *message = arena_alloc(arena, size);
	memset(message, ' ', size);
	memcpy(message, "{\"a\":1}", 7);
	return (struct text){message, size};
}

static struct text missing_of(int64_t offset)
{
	struct event_cursor *cursor cleanup(event_cursor_free) = cursor_new();
	struct event event;
	bool more = true;
	do {
		ck_ok(event_cursor_next(cursor, &event, &more, &err), err);
		ck_assert(more);
	} while (event.origin.offset != offset);
	ck_assert_ptr_null(event_get(&event, FIELD_SRC_RAW));
	return arena_copy(arena, event_text(&event, FIELD_SRC_RAW_MISSING));
}

START_TEST(the_limit_is_a_mebibyte)
{
	begin(NULL);
	feed(sized(RAW_RECORD_MAX));
	struct text largest = sized(RAW_RECORD_MAX);
	keep_all(true);
	expect(&largest, 1);
	teardown();
	begin(NULL);
	feed(sized(RAW_RECORD_MAX + 1));
	keep_all(true);
	ck_assert(text_equal(missing_of(0), TEXT("large")));
	ck_assert_uint_eq(detect_counters(detect).enrich.raw_large, 1);
}
END_TEST

/* Nothing that stands for the topic: nothing is kept, and nothing said about it. */
START_TEST(other_topics_keep_nothing)
{
	begin(NULL);
	stream.at.topic = TEXT("lo");
	feed(TEXT("{\"a\":1}"));
	keep_all(true);
	ck_assert_uint_eq(missing_of(0).size, 0);
	ck_assert_uint_eq(detect_counters(detect).enrich.raw_kept, 0);
}
END_TEST

/* What must not be kept, said so that the event does not show all of it. */
static const struct {
	const char *record, *word;
} guarded[] = {
	{"{\"message\":\"token " JWT "\"}", "replaced"},
	{"{\"message\":\"token eyJ\\u0068" JWT "\",\"message\":\"none\"}", "unchecked"},
	{"{\"x\":\"" JWT "\",\"x\":\"\"}", "unchecked"},
	{"{\"db\":{\"password\":\"hunter2secret\"}}", "replaced"},
	{"{\"user.email\":\"ann@example.com\"}", "replaced"},
	{"{\"user.email\":\"ann@example.com\",\"user.email\":null}", "replaced"},
	{"{\"note\":\"ann@example.com\",\"user.email\":\"ann@example.com\"}", "replaced"},
	{"{\"picket.bound.tenant\":\"ann@example.com\"}", "unchecked"},
	{"{\"log\":\"{\\\"a\\\":1}\",\"stream\":\"stdout\",\"log_processed\":{\"user.email\":"
	 "\"ann@example.com\"}}",
	 "unchecked"},
	{"{\"profile.mail\":\"ann@example.com\",\"profile\":{\"mail\":null}}", "replaced"},
	{"{\"profile.mail\":null,\"profile\":{\"mail\":\"ann@example.com\"}}", "unchecked"},
};
static const char *const secrets[] = {JWT, "hunter2secret", "ann@example.com"};

static void begin_guarded(void)
{
	static const struct privacy_policy policies[] = {{TEXT("user.email"), PRIVACY_MASK},
							 {TEXT("profile.*"), PRIVACY_DROP}};
	const struct privacy_options guard = {.key = TEXT("a key of sixteen bytes or more"),
					      .policies = policies,
					      .policy_count = 2};
	begin(&guard);
}

/* The same once by its fields, once in everything that is printed of all events. */
static void expect_no_secret(void)
{
	struct event_cursor *cursor cleanup(event_cursor_free) = cursor_new();
	struct event event;
	bool more = true;
	while (more) {
		struct bytes json cleanup(bytes_done) = {0};
		ck_ok(event_cursor_next(cursor, &event, &more, &err), err);
		if (!more)
			break;
		event_json(&event, &json);
		for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
			ck_assert_msg(memmem(json.data, json.size, secrets[i],
					     strlen(secrets[i])) == NULL,
				      "offset %d gives %s away", (int)event.origin.offset,
				      secrets[i]);
	}
}

START_TEST(no_secret_comes_back_through_the_bytes)
{
	size_t count = sizeof guarded / sizeof *guarded;
	begin_guarded();
	for (size_t i = 0; i < count; i++)
		feed(text_of(guarded[i].record));
	ck_assert_uint_eq(stream.at.stored, count);
	for (int merged = 0; merged < 2; merged++) {
		keep_all(merged == 1);
		expect_no_secret();
		for (size_t i = 0; i < count; i++) {
			struct text why = missing_of((int64_t)i);
			ck_assert_msg(text_equal(why, text_of(guarded[i].word)), "%s: %.*s",
				      guarded[i].record, TEXT_ARG(why));
		}
	}
	struct enrich_counters counters = detect_counters(detect).enrich;
	ck_assert_uint_eq(counters.raw_kept, 0);
	ck_assert_uint_eq(counters.raw_replaced + counters.raw_unchecked, count);
}
END_TEST

/* A value that is cut, and fields beyond the limit, are in the bytes only. */
START_TEST(what_the_limits_cut_is_not_kept)
{
	struct bytes record cleanup(bytes_done) = {0};
	begin_guarded();
	put_text(&record, "{\"message\":\"");
	for (int i = 0; i < EVENT_VALUE_MAX; i++)
		bytes_put_u8(&record, 'x');
	put_text(&record, " me \\u0061nn@example.com\"}");
	feed(bytes_text(&record));
	bytes_clear(&record);
	bytes_put_u8(&record, '{');
	for (int i = 0; i < EVENT_LOGGED_MAX; i++) {
		struct text field = arena_print(arena, "\"f%d\":%d,", i, i);
		bytes_put(&record, field.data, field.size);
	}
	put_text(&record, "\"zz\":\"ann@example.com\"}");
	feed(bytes_text(&record));
	keep_all(true);
	expect_no_secret();
	ck_assert(text_equal(missing_of(0), TEXT("unchecked")));
	ck_assert(text_equal(missing_of(1), TEXT("unchecked")));
}
END_TEST

/* Privacy refuses nothing without a reason. */
START_TEST(what_has_nothing_to_hide_is_kept)
{
	static const struct text records[] = {
		TEXT("{\"message\": \"refused\", \"user.id\":\"ann\", \"user\":{\"id\":\"ann\"}} "),
		TEXT("{\"user_id\":\"ann\",\"level\":\"warn\",\"time\":\"2026-11-22T00:00:00Z\"}"),
		TEXT("{\"log\":\"{\\\"a\\\":1}\\n\",\"stream\":\"stdout\",\"time\":"
		     "\"2026-11-22T00:00:00Z\"}"),
		TEXT("<34>1 2026-11-22T00:00:00Z host su 7 ID47 - refused for lonvick"),
	};
	enum { COUNT = sizeof records / sizeof *records };
	begin_guarded();
	for (size_t i = 0; i < COUNT; i++)
		feed(records[i]);
	keep_all(true);
	expect(records, COUNT);
	ck_assert_uint_eq(detect_counters(detect).enrich.raw_kept, COUNT);
}
END_TEST

static uint64_t found(const char *text)
{
	struct query query = {0};
	struct search_result result = {0};
	ck_ok(query_parse(text_of(text), arena, &query, &err), err);
	const struct search_options options = {
		.store = store,
		.query = &query,
		.since_us = INT64_MIN,
		.until_us = INT64_MAX,
		.place = {.partition = -1, .last_offset = INT64_MAX, .index = -1},
		.limit = 10};
	ck_ok(search_run(&options, &result, &err), err);
	ck_assert(result.report.complete);
	uint64_t matches = result.report.matched;
	search_result_done(&result);
	return matches;
}

/* A word finds what the log says, not how it was spelled; a block and merged columns alike. */
START_TEST(a_word_finds_nothing_in_the_bytes)
{
	begin(NULL);
	feed(TEXT("{ \"message\":\"caf\\u00e9\" }"));
	feed(TEXT("{ \"message\":\"tea\" }"));
	for (int merged = 0; merged < 2; merged++) {
		keep_all(merged == 1);
		ck_assert_uint_eq(found("caf\xc3\xa9"), 1);
		ck_assert_uint_eq(found("u00e9"), 0);
		ck_assert_uint_eq(found("message"), 0);
		ck_assert_uint_eq(found("picket.src.raw: *u00e9*"), 1);
		ck_assert_uint_eq(found("picket.src.raw: *"), 2);
	}
}
END_TEST

/* What was stored is matched as it was when it came, without its bytes. */
START_TEST(rules_of_later_see_no_bytes)
{
	struct event event;
	bool more = false;
	begin(NULL);
	feed(TEXT("{\"a\":1,\"a\":2 , \"pear\":\"x\"}"));
	ck_assert_uint_eq(matched, 0);
	keep_all(true);
	struct event_cursor *cursor cleanup(event_cursor_free) = cursor_new();
	const struct detect_sink sink = {.on_event = on_event};
	ck_ok(event_cursor_next(cursor, &event, &more, &err), err);
	ck_assert(more && event_get(&event, FIELD_SRC_RAW) != NULL);
	ck_ok(detect_stored(detect, &stream, &event, &sink, &detected, &err), err);
	ck_assert_uint_eq(matched, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("detect_raw");
	TCase *tests = tcase_create("detect_raw");
	tcase_add_checked_fixture(tests, NULL, teardown);
	tcase_add_test(tests, hostile_bytes_come_back_from_a_block);
	tcase_add_test(tests, hostile_bytes_come_back_merged);
	tcase_add_test(tests, every_record_of_a_message_has_its_own);
	tcase_add_test(tests, the_limit_is_a_mebibyte);
	tcase_add_test(tests, other_topics_keep_nothing);
	tcase_add_test(tests, no_secret_comes_back_through_the_bytes);
	tcase_add_test(tests, what_the_limits_cut_is_not_kept);
	tcase_add_test(tests, what_has_nothing_to_hide_is_kept);
	tcase_add_test(tests, a_word_finds_nothing_in_the_bytes);
	tcase_add_test(tests, rules_of_later_see_no_bytes);
	tcase_set_timeout(tests, 120);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
