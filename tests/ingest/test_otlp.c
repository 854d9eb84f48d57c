/* The OpenTelemetry protocol: the same records as ECS JSON, OTLP JSON and OTLP protobuf, bare and
 * in the envelopes of agents, are the same events; and what an attacker may put into a message
 * (reliability A12) costs at most the record it stands in. */
#include <inttypes.h>
#include <stdarg.h>

#include "decoding.h"
#include "otlp_message.h"

static struct decoding decoding;

static void setup(void)
{
	decoding_begin(&decoding, (struct decoder_options){.time_trusted = true});
}

static void teardown(void)
{
	decoding_done(&decoding);
}

/* A record of a service, made from a number: the same one in every encoding. */
struct sample {
	char user[32], ip[32], path[64], trace[33], message[96];
	int status;
	int64_t time_ms;
};

static struct sample sample_of(uint64_t number)
{
	struct sample sample;
	uint64_t random = number * 6364136223846793005u + 1442695040888963407u;
	sample.time_ms = 1795305600000 + (int64_t)number;
	sample.status = (int)(200 + random % 4 * 100);
	(void)snprintf(sample.user, sizeof sample.user, "user-%u", (unsigned)(random >> 40 & 1023));
	(void)snprintf(sample.ip, sizeof sample.ip, "203.0.113.%u", (unsigned)(random >> 50 & 255));
	(void)snprintf(sample.path, sizeof sample.path, "/api/%u", (unsigned)(random >> 20 & 4095));
	(void)snprintf(sample.trace, sizeof sample.trace, "%016" PRIx64 "%016" PRIx64, random,
		       random ^ number);
	(void)snprintf(sample.message, sizeof sample.message, "said \"%u\" \\ \u00e9",
		       (unsigned)(random >> 30 & 255));
	return sample;
}

__attribute__((format(printf, 2, 3))) static void put_format(struct bytes *to, const char *format,
							     ...)
{
	char text[2048];
	va_list args;
	va_start(args, format);
	int size = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	ck_assert(size >= 0 && (size_t)size < sizeof text);
	bytes_put(to, text, (size_t)size);
}

static void put_ecs(struct bytes *to, const struct sample *sample)
{
	char time[32];
	(void)time_print(sample->time_ms * 1000, time);
	put_format(to, "{\"@timestamp\":\"%s\",\"log.level\":\"info\",\"message\":", time);
	json_put_string(to, text_of(sample->message));
	put_format(to,
		   ",\"trace.id\":\"%s\",\"ecs.version\":\"8.11.0\",\"service.name\":\"cart\","
		   "\"user\":{\"id\":\"%s\",\"roles\":[\"a\",\"b\"]},\"source.ip\":\"%s\","
		   "\"url.path\":\"%s\",\"http.response.status_code\":%d,\"empty\":{},"
		   "\"ok\":true,\"none\":null}",
		   sample->trace, sample->user, sample->ip, sample->path, sample->status);
}

static void put_otlp_json(struct bytes *to, const struct sample *sample)
{
	put_format(to,
		   "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\","
		   "\"value\":{\"stringValue\":\"cart\"}}]},\"scopeLogs\":[{\"scope\":{},"
		   "\"logRecords\":[{\"timeUnixNano\":\"%lld000000\",\"severityText\":\"info\","
		   "\"traceId\":\"%s\",\"body\":{\"stringValue\":",
		   (long long)sample->time_ms, sample->trace);
	json_put_string(to, text_of(sample->message));
	put_format(
		to,
		"},\"attributes\":[{\"key\":\"ecs.version\",\"value\":{\"stringValue\":"
		"\"8.11.0\"}},{\"key\":\"user\",\"value\":{\"kvlistValue\":{\"values\":["
		"{\"key\":\"id\",\"value\":{\"stringValue\":\"%s\"}},{\"key\":\"roles\",\"value\":"
		"{\"arrayValue\":{\"values\":[{\"stringValue\":\"a\"},{\"stringValue\":\"b\"}]}}}"
		"]}}},{\"key\":\"source.ip\",\"value\":{\"stringValue\":\"%s\"}},"
		"{\"key\":\"url.path\",\"value\":{\"stringValue\":\"%s\"}},"
		"{\"key\":\"http.response.status_code\",\"value\":{\"intValue\":\"%d\"}},"
		"{\"key\":\"empty\",\"value\":{\"kvlistValue\":{\"values\":[]}}},"
		"{\"key\":\"ok\",\"value\":{\"boolValue\":true}},{\"key\":\"none\",\"value\":{}}"
		"]}]}]}]}",
		sample->user, sample->ip, sample->path, sample->status);
}

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void put_user(struct bytes *to, const struct sample *sample)
{
	struct bytes any = {0}, pair = {0}, list = {0}, roles = {0};
	for (int i = 0; i < 2; i++) {
		proto_text(&any, 1, i == 0 ? TEXT("a") : TEXT("b"));
		proto_message(&roles, 1, &any);
	}
	proto_attribute(&list, 1, TEXT("id"), text_of(sample->user));
	proto_text(&any, 5, bytes_text(&roles));
	proto_text(&pair, 1, TEXT("roles"));
	proto_message(&pair, 2, &any);
	proto_message(&list, 1, &pair);
	proto_text(&any, 6, bytes_text(&list));
	proto_text(&pair, 1, TEXT("user"));
	proto_message(&pair, 2, &any);
	proto_message(to, 6, &pair);
	bytes_done(&any);
	bytes_done(&pair);
	bytes_done(&list);
	bytes_done(&roles);
}

static void put_record(struct bytes *to, const struct sample *sample)
{
	struct bytes any = {0}, pair = {0};
	char trace[16];
	for (size_t i = 0; i < sizeof trace; i++)
		trace[i] = (char)(hex_digit(sample->trace[2 * i]) << 4 |
				  hex_digit(sample->trace[2 * i + 1]));
	proto_fixed64(to, 1, (uint64_t)sample->time_ms * 1000000);
	proto_text(to, 3, TEXT("info"));
	proto_text(&any, 1, text_of(sample->message));
	proto_message(to, 5, &any);
	proto_attribute(to, 6, TEXT("ecs.version"), TEXT("8.11.0"));
	put_user(to, sample);
	proto_attribute(to, 6, TEXT("source.ip"), text_of(sample->ip));
	proto_attribute(to, 6, TEXT("url.path"), text_of(sample->path));
	proto_attribute_integer(to, 6, TEXT("http.response.status_code"), sample->status);
	proto_text(&any, 6, (struct text){0});
	proto_text(&pair, 1, TEXT("empty"));
	proto_message(&pair, 2, &any);
	proto_message(to, 6, &pair);
	proto_varint(&any, 2, 1);
	proto_text(&pair, 1, TEXT("ok"));
	proto_message(&pair, 2, &any);
	proto_message(to, 6, &pair);
	proto_text(&pair, 1, TEXT("none"));
	proto_message(to, 6, &pair);
	proto_text(to, 9, (struct text){trace, sizeof trace});
	bytes_done(&any);
	bytes_done(&pair);
}

static void put_otlp_proto(struct bytes *to, const struct sample *sample)
{
	struct bytes record = {0}, resource = {0};
	proto_attribute(&resource, 1, TEXT("service.name"), TEXT("cart"));
	put_record(&record, sample);
	proto_wrap(to, bytes_text(&record), bytes_text(&resource));
	bytes_done(&record);
	bytes_done(&resource);
}

/* The names that an envelope may add to the event. */
static bool of_envelope(struct text name)
{
	static const char *const names[] = {"orchestrator.resource.name",
					    "orchestrator.namespace",
					    "stream",
					    "time",
					    "host",
					    "timestamp",
					    "source_type",
					    "agent.type",
					    "event.id",
					    "event.provider",
					    "event.created",
					    "specversion",
					    "id",
					    "source",
					    "type",
					    "input.type",
					    "event.action",
					    "host.name"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (text_equal(name, text_of(names[i])))
			return true;
	return false;
}

static void put_field(struct bytes *to, const struct field *field)
{
	bytes_put(to, field->name.data, field->name.size);
	put_format(to, " %d %.*s\n", (int)field->value.type, TEXT_ARG(field->value.text));
}

static int by_text(const void *a, const void *b)
{
	return text_compare(*(const struct text *)a, *(const struct text *)b);
}

/* The event as sorted lines of name, type and value, its time, owner, log source and flags; of an
 * envelope's own fields nothing. (Order of fields is that of the payload: not compared.) */
static void print_event(struct bytes *to, const struct event *event)
{
	struct bytes lines = {0};
	struct text sorted[256];
	size_t count = 0;
	for (size_t i = 0; i < event->field_count; i++)
		if (!of_envelope(event->fields[i].name))
			put_field(&lines, &event->fields[i]);
	struct text left = bytes_text(&lines);
	while (left.size > 0) {
		size_t size =
			(size_t)((const char *)memchr(left.data, '\n', left.size) - left.data) + 1;
		ck_assert_uint_lt(count, 256);
		sorted[count++] = (struct text){left.data, size};
		left = text_cut(left, size);
	}
	qsort(sorted, count, sizeof *sorted, by_text);
	bytes_clear(to);
	for (size_t i = 0; i < count; i++)
		bytes_put(to, sorted[i].data, sorted[i].size);
	put_format(to, "%lld %.*s %.*s/%.*s %u", (long long)event->time_us, TEXT_ARG(event->owner),
		   TEXT_ARG(event->logsource.product), TEXT_ARG(event->logsource.category),
		   event->quality);
	bytes_done(&lines);
}

enum wrapping { BARE, FLUENT_BIT, VECTOR, FILEBEAT, CLOUD_EVENTS, OTLP_BODY, WRAPPING_COUNT };

/* Puts a JSON record into an envelope. */
static void wrap(struct bytes *to, enum wrapping wrapping, struct text json)
{
	static const char *const before[WRAPPING_COUNT] = {
		[FLUENT_BIT] = "{\"time\":\"2026-11-22T00:00:09Z\",\"stream\":\"stdout\",\"log\":",
		[VECTOR] = "{\"source_type\":\"kubernetes_logs\",\"timestamp\":"
			   "\"2026-11-22T00:00:09Z\",\"message\":",
		[FILEBEAT] = "{\"@timestamp\":\"2026-11-22T00:00:09Z\",\"agent\":{\"type\":"
			     "\"filebeat\"},\"input\":{\"type\":\"container\"},\"message\":",
		[CLOUD_EVENTS] = "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/c\",\"type\":"
				 "\"log\",\"time\":\"2026-11-22T00:00:09Z\",\"data\":",
		[OTLP_BODY] = "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":"
			      "\"k8s.pod.name\",\"value\":{\"stringValue\":\"p\"}}]},\"scopeLogs\":"
			      "[{\"logRecords\":[{\"observedTimeUnixNano\":\"1795305609000000000\","
			      "\"body\":{\"stringValue\":"};
	static const char *const after[WRAPPING_COUNT] = {
		[FLUENT_BIT] = ",\"kubernetes\":{\"pod_name\":\"p\",\"namespace_name\":\"n\"}}",
		[VECTOR] = ",\"kubernetes\":{\"pod_name\":\"p\",\"pod_namespace\":\"n\"}}",
		[FILEBEAT] = ",\"kubernetes\":{\"pod\":{\"name\":\"p\"},\"namespace\":\"n\"}}",
		[CLOUD_EVENTS] = "}",
		[OTLP_BODY] = "}}]}]}]}"};
	if (wrapping == BARE) {
		bytes_put(to, json.data, json.size);
		return;
	}
	bytes_put(to, before[wrapping], strlen(before[wrapping]));
	if (wrapping == CLOUD_EVENTS)
		bytes_put(to, json.data, json.size);
	else
		json_put_string(to, json);
	bytes_put(to, after[wrapping], strlen(after[wrapping]));
}

static void check_same(struct text payload, const struct bytes *expected, const char *what)
{
	struct bytes found = {0};
	decoding_feed(&decoding, payload);
	ck_assert_uint_eq(decoding.count, 1);
	ck_assert_msg(decoding.accepted == 1, "%s: %.*s", what,
		      TEXT_ARG(decoding.records[0].detail));
	ck_assert_str_eq(decoding.records[0].format, "ecs");
	print_event(&found, &decoding.records[0].event);
	ck_assert_msg(text_equal(bytes_text(&found), bytes_text(expected)),
		      "%s\n%.*s\nexpected\n%.*s", what, TEXT_ARG(bytes_text(&found)),
		      TEXT_ARG(bytes_text(expected)));
	bytes_done(&found);
}

START_TEST(one_record_in_every_encoding_is_one_event)
{
	static const char *const titles[WRAPPING_COUNT] = {"bare",     "Fluent Bit",  "Vector",
							   "Filebeat", "CloudEvents", "OTLP body"};
	const char *wished = getenv("PICKET_TEST_RECORDS"); /* 100000 in the long run */
	unsigned long count = wished == NULL ? 2000 : strtoul(wished, NULL, 10);
	struct bytes json = {0}, message = {0}, expected = {0};
	for (uint64_t number = 0; number < count; number++) {
		struct sample sample = sample_of(number);
		bytes_clear(&json);
		put_ecs(&json, &sample);
		decoding_feed(&decoding, bytes_text(&json));
		ck_assert_uint_eq(decoding.accepted, 1);
		print_event(&expected, &decoding.records[0].event);
		for (enum wrapping wrapping = BARE; wrapping < WRAPPING_COUNT; wrapping++) {
			bytes_clear(&message);
			wrap(&message, wrapping, bytes_text(&json));
			check_same(bytes_text(&message), &expected, titles[wrapping]);
		}
		bytes_clear(&message);
		put_otlp_json(&message, &sample);
		check_same(bytes_text(&message), &expected, "OTLP JSON");
		bytes_clear(&message);
		put_otlp_proto(&message, &sample);
		check_same(bytes_text(&message), &expected, "OTLP protobuf");
	}
	printf("%lu records, %d encodings and envelopes each\n", count, WRAPPING_COUNT + 2);
	bytes_done(&json);
	bytes_done(&message);
	bytes_done(&expected);
}
END_TEST

/* A record with the attribute a = 1, for what is done to the bytes around it. */
static void put_small(struct bytes *to)
{
	proto_attribute(to, 6, TEXT("a"), TEXT("1"));
}

START_TEST(every_record_has_its_identity)
{
	struct bytes record = {0}, scope = {0}, logs = {0}, message = {0};
	put_small(&record);
	for (int i = 0; i < 3; i++)
		proto_text(&scope, 2, bytes_text(&record));
	proto_text(&scope, 2, TEXT("\xff\xff")); /* one that cannot be read */
	proto_text(&logs, 2, bytes_text(&scope));
	proto_text(&logs, 2, TEXT("")); /* a scope without records */
	proto_text(&logs, 2, bytes_text(&scope));
	proto_text(&message, 1, bytes_text(&logs));
	proto_text(&message, 1, bytes_text(&logs));
	decoding_feed(&decoding, bytes_text(&message));
	ck_assert_uint_eq(decoding.count, 16);
	ck_assert_uint_eq(decoding.accepted, 12);
	for (size_t i = 0; i < 16; i++) {
		const struct decoded *one = &decoding.records[i];
		ck_assert_uint_eq(one->index, i);
		ck_assert_int_eq(one->why, i % 4 == 3 ? REJECT_BROKEN_OTLP : ACCEPTED);
		if (one->why == ACCEPTED)
			ck_assert_uint_eq(one->event.origin.index, i);
	}
	bytes_done(&record);
	bytes_done(&scope);
	bytes_done(&logs);
	bytes_done(&message);
}
END_TEST

START_TEST(a12_every_truncation_is_told)
{
	struct bytes record = {0}, message = {0};
	struct sample sample = sample_of(7);
	put_record(&record, &sample);
	proto_wrap(&message, bytes_text(&record), (struct text){0});
	for (size_t size = 1; size < message.size; size++) {
		decoding_feed(&decoding, (struct text){(const char *)message.data, size});
		ck_assert_uint_eq(decoding.accepted, 0);
	}
	/* As the record shrinks with good lengths around it, it alone is refused, or read. */
	for (size_t size = 0; size < record.size; size++) {
		bytes_clear(&message);
		proto_wrap(&message, (struct text){(const char *)record.data, size},
			   (struct text){0});
		decoding_feed(&decoding, bytes_text(&message));
		ck_assert_uint_eq(decoding.count, 1);
	}
	bytes_done(&record);
	bytes_done(&message);
}
END_TEST

START_TEST(a12_every_byte_may_be_wrong)
{
	struct bytes message = {0};
	struct sample sample = sample_of(7);
	put_otlp_proto(&message, &sample);
	for (size_t i = 0; i < message.size; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			message.data[i] ^= (unsigned char)(1u << bit);
			decoding_feed(&decoding, bytes_text(&message));
			message.data[i] ^= (unsigned char)(1u << bit);
		}
	bytes_done(&message);
}
END_TEST

/* kvlist in array in kvlist ...: `levels` of them around a text. */
static void nest(struct bytes *any, int levels)
{
	struct bytes inner = {0}, pair = {0};
	proto_text(any, 1, TEXT("deep"));
	for (int i = 0; i < levels; i++) {
		if (i % 2 == 0) {
			proto_text(&pair, 1, TEXT("k"));
			proto_message(&pair, 2, any);
			proto_message(&inner, 1, &pair);
			proto_message(any, 6, &inner);
		} else {
			proto_message(&inner, 1, any);
			proto_message(any, 5, &inner);
		}
	}
	bytes_done(&inner);
	bytes_done(&pair);
}

START_TEST(a12_nesting_is_bounded)
{
	static const int levels[] = {1, 10, 31, 40, 1000, 5000};
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		struct bytes any = {0}, pair = {0}, record = {0}, message = {0};
		nest(&any, levels[i]);
		proto_text(&pair, 1, TEXT("n"));
		proto_message(&pair, 2, &any);
		proto_message(&record, 6, &pair);
		proto_attribute(&record, 6, TEXT("user.id"), TEXT("eve"));
		proto_wrap(&message, bytes_text(&record), (struct text){0});
		decoding_feed(&decoding, bytes_text(&message));
		ck_assert_uint_eq(decoding.accepted, 1);
		const struct event *event = &decoding.records[0].event;
		CHECK_FIELD(event, "user.id", "eve");
		ck_assert_int_eq((event->quality & QUALITY_DEPTH) != 0, levels[i] > 31);
		bytes_done(&any);
		bytes_done(&pair);
		bytes_done(&record);
		bytes_done(&message);
	}
}
END_TEST

START_TEST(a12_json_nesting_is_bounded)
{
	struct bytes message = {0};
	put_format(&message, "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"attributes\":["
			     "{\"key\":\"user.id\",\"value\":{\"stringValue\":\"eve\"}},{\"key\":"
			     "\"n\",\"value\":");
	for (int i = 0; i < 100; i++)
		put_format(&message, "{\"arrayValue\":{\"values\":[");
	put_format(&message, "{\"stringValue\":\"x\"}");
	for (int i = 0; i < 100; i++)
		put_format(&message, "]}}");
	put_format(&message, "}]}]}]}]}");
	decoding_feed(&decoding, bytes_text(&message));
	ck_assert_uint_eq(decoding.accepted, 1);
	CHECK_FIELD(&decoding.records[0].event, "user.id", "eve");
	ck_assert_uint_ne(decoding.records[0].event.quality & QUALITY_DEPTH, 0);
	bytes_done(&message);
}
END_TEST

START_TEST(a12_wrong_wire_types_and_sizes)
{
	struct bytes record = {0}, message = {0};
	proto_varint(&record, 1, 7); /* a time as varint, not fixed64 */
	proto_wrap(&message, bytes_text(&record), (struct text){0});
	decoding_feed(&decoding, bytes_text(&message));
	ck_assert_int_eq(decoding.records[0].why, REJECT_BROKEN_OTLP);

	bytes_clear(&record);
	bytes_clear(&message);
	put_small(&record);
	proto_text(&record, 9, TEXT("abc")); /* a trace id of 3 bytes is kept as it is */
	proto_varint(&record, 99, 1);        /* a field of a newer protocol */
	proto_wrap(&message, bytes_text(&record), (struct text){0});
	decoding_feed(&decoding, bytes_text(&message));
	ck_assert_uint_eq(decoding.accepted, 1);
	CHECK_FIELD(&decoding.records[0].event, "trace.id", "616263");
	CHECK_FIELD(&decoding.records[0].event, "a", "1");
	bytes_done(&record);
	bytes_done(&message);
}
END_TEST

START_TEST(a12_names_and_texts_are_checked)
{
	struct bytes record = {0}, message = {0};
	proto_attribute(&record, 6, TEXT("bad"), TEXT("\xff\xfe"));
	proto_wrap(&message, bytes_text(&record), (struct text){0});
	decoding_feed(&decoding, bytes_text(&message));
	ck_assert_int_eq(decoding.records[0].why, REJECT_NOT_UTF8);

	bytes_clear(&record);
	bytes_clear(&message);
	proto_attribute(&record, 6, TEXT("ten\0ant"), TEXT("a\0b"));
	proto_wrap(&message, bytes_text(&record), (struct text){0});
	decoding_feed(&decoding, bytes_text(&message));
	ck_assert_uint_eq(decoding.accepted, 1);
	const struct event *event = &decoding.records[0].event;
	ck_assert_uint_eq(event->fields[0].name.size, 7); /* not cut at the NUL */
	ck_assert_uint_eq(event->fields[0].value.text.size, 3);
	ck_assert_uint_ne(event->quality & QUALITY_NAME, 0);
	bytes_done(&record);
	bytes_done(&message);
}
END_TEST

START_TEST(a12_a_million_empty_records)
{
	struct bytes scope = {0}, logs = {0}, message = {0};
	for (int i = 0; i < 1000000; i++)
		proto_text(&scope, 2, (struct text){0});
	proto_message(&logs, 2, &scope);
	proto_message(&message, 1, &logs);
	decoding_feed(&decoding, bytes_text(&message));
	ck_assert_uint_eq(decoding.count, (size_t)DECODE_RECORDS_MAX + 1);
	ck_assert_uint_eq(decoding.accepted, DECODE_RECORDS_MAX);
	bytes_done(&scope);
	bytes_done(&logs);
	bytes_done(&message);
}
END_TEST

START_TEST(no_text_is_taken_for_the_protocol)
{
	static const char *const texts[] = {"\n{\"a\":1}", "\n\n\n\n", "\n{not json at all",
					    "\n\x02\x12\x03"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		decoding_feed(&decoding, text_of(texts[i]));
		ck_assert_int_ne(decoding.records[0].why, REJECT_BROKEN_OTLP);
	}
	decoding_feed(&decoding, TEXT("{\"resourceLogs\":[]}"));
	ck_assert_int_eq(decoding.records[0].why, REJECT_EMPTY);
	decoding_feed(&decoding,
		      TEXT("{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[7]}]}]}"));
	ck_assert_int_eq(decoding.records[0].why, REJECT_BROKEN_OTLP);
	decoding_feed(&decoding, TEXT("{\"resourceLogs\":[}"));
	ck_assert_int_eq(decoding.records[0].why, REJECT_NOT_JSON);
}
END_TEST

START_TEST(a_resource_fills_gaps_only)
{
	struct bytes record = {0}, resource = {0}, message = {0};
	proto_attribute(&resource, 1, TEXT("service.name"), TEXT("outer"));
	proto_attribute(&resource, 1, TEXT("tenant.id"), TEXT("outer"));
	proto_attribute(&resource, 1, TEXT("k8s.pod.name"), TEXT("right"));
	proto_attribute(&record, 6, TEXT("service.name"), TEXT("inner"));
	proto_attribute(&record, 6, TEXT("k8s.pod.name"), TEXT("claimed"));
	proto_wrap(&message, bytes_text(&record), bytes_text(&resource));
	decoding_feed(&decoding, bytes_text(&message));
	const struct event *event = &decoding.records[0].event;
	CHECK_FIELD(event, "service.name", "inner");
	CHECK_FIELD(event, "tenant.id", "outer");
	CHECK_FIELD(event, "orchestrator.resource.name", "right");
	ck_assert_str_eq(decoding.records[0].format, "otlp");
	bytes_done(&record);
	bytes_done(&resource);
	bytes_done(&message);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("otlp");
	TCase *tests = tcase_create("otlp");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, one_record_in_every_encoding_is_one_event);
	tcase_add_test(tests, every_record_has_its_identity);
	tcase_add_test(tests, a12_every_truncation_is_told);
	tcase_add_test(tests, a12_every_byte_may_be_wrong);
	tcase_add_test(tests, a12_nesting_is_bounded);
	tcase_add_test(tests, a12_json_nesting_is_bounded);
	tcase_add_test(tests, a12_wrong_wire_types_and_sizes);
	tcase_add_test(tests, a12_names_and_texts_are_checked);
	tcase_add_test(tests, a12_a_million_empty_records);
	tcase_add_test(tests, no_text_is_taken_for_the_protocol);
	tcase_add_test(tests, a_resource_fills_gaps_only);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
