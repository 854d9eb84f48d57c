/* The other routes on the in-memory store: status, sources, records, gate. */
#include "tests/cli/api_fixture.h"

#include "cli/receiver.h"
#include "storage/block.h"

START_TEST(test_status_and_sources)
{
	struct json_object *answer = ask("GET /v1/status", NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "state"), "running");
	ck_assert_str_eq(json_path_text(answer, "records.consumed"), "15");
	ck_assert_str_eq(json_path_text(answer, "records.stored"), "14");
	ck_assert_str_eq(json_path_text(answer, "records.quarantined"), "1");
	ck_assert_ptr_null(json_path(answer, "sources.lag")); /* one is not known: the sum is not */
	json_object_put(answer);
	live.disk_full = true;
	partitions[0].lag.stalled = true;
	answer = ask("GET /v1/status", NULL, 200);
	ck_assert_uint_eq(json_object_array_length(json_path(answer, "problems")), 2);
	json_object_put(answer);
	answer = ask("GET /v1/sources", NULL, 200);
	struct json_object *first = json_object_array_get_idx(json_path(answer, "sources"), 0);
	ck_assert_str_eq(json_path_text(first, "state"), "stalled");
	ck_assert_str_eq(json_path_text(first, "lag"), "4");
	json_object_put(answer);
}
END_TEST

START_TEST(test_health)
{
	struct json_object *answer = ask("GET /livez", NULL, 200);
	json_object_put(answer);
	answer = ask("GET /readyz", NULL, 503); /* no rules here */
	ck_assert_str_eq(json_path_text(answer, "checks.rules"), "false");
	ck_assert_str_eq(json_path_text(answer, "checks.engine"), "true");
	json_object_put(answer);
}
END_TEST

static void put_position(void)
{
	struct bytes key = {0};
	struct bytes value = {0};
	struct position_row row = {.topic = TEXT("logs-a"),
				   .partition = 2,
				   .next_offset = 100,
				   .records = 100,
				   .stored = 100,
				   .watermark_us = T0};
	position_key(row.topic, row.partition, &key);
	position_encode(&row, &value);
	put_row(FAMILY_POSITION, &key, &value);
	bytes_done(&key);
	bytes_done(&value);
}

START_TEST(test_offline_view_and_seek)
{
	put_position();
	json_object_put(ask("POST /v1/sources/seek", "{}", 409)); /* a daemon runs */
	api.runtime_status = NULL;
	struct json_object *answer = ask("GET /v1/status", NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "state"), "offline");
	ck_assert_str_eq(json_path_text(answer, "records.stored"), "100");
	json_object_put(answer);
	static const struct {
		const char *body;
		unsigned status;
	} cases[] = {
		{"", 400},
		{"{\"topic\":\"logs-a\",\"partition\":2}", 400},
		{"{\"topic\":\"logs-a\",\"partition\":-2,\"offset\":1}", 400},
		{"{\"topic\":\"logs-a\",\"partition\":1,\"offset\":1}", 404},
		{"{\"topic\":\"logs-a\",\"partition\":2,\"offset\":99}", 403},
		{"{\"topic\":\"logs-a\",\"partition\":2,\"offset\":150}", 200},
		{"{\"topic\":\"logs-a\",\"partition\":2,\"offset\":99,\"again\":true}", 200},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		json_object_put(ask("POST /v1/sources/seek", cases[i].body, cases[i].status));
	answer = ask("GET /v1/sources", NULL, 200);
	struct json_object *first = json_object_array_get_idx(json_path(answer, "sources"), 0);
	ck_assert_str_eq(json_path_text(first, "next_offset"), "99");
	ck_assert_str_eq(json_path_text(first, "jumped_at"), "2026-01-01T01:00:00Z");
	ck_assert_str_eq(json_path_text(first, "state"), "offline");
	json_object_put(answer);
}
END_TEST

static void put_quarantine(const char *topic, int64_t offset, struct text raw)
{
	struct bytes key = {0};
	struct bytes value = {0};
	struct quarantine_row row = {.origin = {text_of(topic), 0, 1, offset},
				     .record_time_us = T0,
				     .reason = TEXT("not_json"),
				     .detail = TEXT("byte 3"),
				     .raw = raw};
	quarantine_key(&row.origin, &key);
	quarantine_encode(&row, &value);
	put_row(FAMILY_QUARANTINE, &key, &value);
	bytes_done(&key);
	bytes_done(&value);
}

START_TEST(test_quarantine)
{
	put_quarantine("logs", 5, TEXT("{bro\x1b"));
	put_quarantine("logs", 6, TEXT("\xff\x00\xfe"));
	put_quarantine("logs-2", 7, TEXT("x"));
	struct json_object *answer = ask("GET /v1/quarantine?topic=logs", NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "total"), "2");
	json_object_put(answer);
	answer = ask("GET /v1/quarantine?reason=empty", NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "total"), "0");
	json_object_put(answer);
	answer = ask("GET /v1/quarantine/logs/0/5/1", NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "raw"), "{bro\x1b");
	json_object_put(answer);
	answer = ask("GET /v1/quarantine/logs/0/6/1", NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "raw_base64"), "/wD+");
	json_object_put(answer);
	refused("GET /v1/quarantine/logs/0/6/2", 404, "no record");
	refused("GET /v1/quarantine/logs/0/6", 400, "TOPIC/PARTITION/OFFSET/INDEX");
	refused("GET /v1/quarantine//0/6/1", 400, "TOPIC/PARTITION/OFFSET/INDEX");
	refused("GET /v1/quarantine/l/0/99999999999999999999/1", 400, "TOPIC/");
	refused("GET /v1/quarantine?partition=1", 400, "needs topic=");
}
END_TEST

static void put_block(void)
{
	struct bytes key = {0};
	struct bytes block = {0};
	struct bytes value = {0};
	struct block_meta meta;
	struct arena *arena = arena_new(1024 * 1024);
	struct block_builder *builder = block_builder_new();
	for (int i = 0; i < 4; i++) {
		struct event event = {.time_us = T0 + i * 1000000,
				      .record_time_us = T0,
				      .origin = {TEXT("logs"), 0, 0, 20 + i},
				      .owner = i % 2 == 0 ? TEXT("t1") : TEXT("t2")};
		ck_assert_int_eq(
			event_add(&event, arena, TEXT("user.id"),
				  (struct value){.type = VALUE_STRING, .text = TEXT("ann")}),
			OK);
		ck_assert_int_eq(block_add(builder, &event), OK);
	}
	ck_assert_int_eq(block_finish(builder, &block, &meta, NULL), OK);
	block_key(TEXT("logs"), 0, meta.first_offset, meta.first_index, &key);
	block_meta_encode(&meta, &value);
	put_row(FAMILY_EPOCH, &key, &block);
	put_row(FAMILY_BLOCKMETA, &key, &value);
	block_builder_free(&builder);
	arena_free(&arena);
	bytes_done(&key);
	bytes_done(&block);
	bytes_done(&value);
}

static void expect_events(const char *line, size_t count)
{
	struct json_object *answer = ask(line, NULL, 200);
	ck_assert_msg(json_object_array_length(json_path(answer, "events")) == count, "%s: %s",
		      line, json_object_to_json_string(answer));
	json_object_put(answer);
}

START_TEST(test_events)
{
	put_block();
	expect_events("GET /v1/events", 4);
	expect_events("GET /v1/events?topic=logs&partition=0&from=21&to=21", 1);
	expect_events("GET /v1/events?topic=logs&partition=1", 0);
	expect_events("GET /v1/events?topic=log", 0);
	expect_events("GET /v1/events?tenant=t1", 2);
	expect_events("GET /v1/events?limit=3", 3);
	expect_events("GET /v1/events?since=2026-01-01T00:00:02Z", 2);
	expect_events("GET /v1/events?until=2025-01-01T00:00:00Z", 0);
}
END_TEST

static struct json_object *found(const char *line, const char *member, size_t count)
{
	struct json_object *answer = ask(line, NULL, 200);
	ck_assert_msg(json_object_array_length(json_path(answer, member)) == count, "%s: %s", line,
		      json_object_to_json_string(answer));
	return answer;
}

START_TEST(test_search)
{
	put_block();
	json_object_put(found("GET /v1/search", "events", 4));
	json_object_put(found("GET /v1/search?q=user.id: ANN&tenant=t1", "events", 2));
	json_object_put(found("GET /v1/search?q=user.id: bob", "events", 0));
	json_object_put(found("GET /v1/search?q=not user.id: bob&tenant=t", "events", 0));
	struct json_object *answer = found("GET /v1/search?q=user.id: ann&limit=3", "events", 3);
	ck_assert_str_eq(json_path_text(answer, "next"), "1767225601000000/logs/0/21/0");
	json_object_put(answer);
	answer = found("GET /v1/search?limit=3&after=1767225601000000/logs/0/21/0", "events", 1);
	struct json_object *last = json_object_array_get_idx(json_path(answer, "events"), 0);
	ck_assert_str_eq(json_path_text(last, "offset"), "20");
	json_object_put(answer);
	answer = found("GET /v1/search?q=| count by user.id", "groups", 1);
	json_object_put(answer);
	refused("GET /v1/search?q=user.id: (ann", 400, "query:14: the ) of the list is missing");
	refused("GET /v1/search?q=ann bob", 400, "two words stand side by side");
	refused("GET /v1/search?sort=random", 400, "newest, oldest, origin, or a field");
	refused("GET /v1/search?sort=user.id:desc&after=0/a/0/0/0", 400, "one page");
	json_object_put(ask("GET /v1/search?sort=user.id:desc&limit=5", NULL, 200));
	json_object_put(ask("GET /v1/search?sort=@timestamp:asc&after=0/a/0/0/0", NULL, 200));
	refused("GET /v1/search?after=12/a", 400, "not what `next` said");
	refused("GET /v1/search?tenant=", 400, "has no value");
}
END_TEST

START_TEST(test_wrong_methods)
{
	refused("DELETE /v1/gate", 405, "it has: GET, HEAD, POST");
	refused("DELETE /v1/alerts/ffff", 405, "it has: GET, HEAD, POST");
	refused("GET /v1/sources/seek", 405, "it has: POST");
	refused("GET /v1/nothing", 404, "there is no /v1/nothing");
}
END_TEST

/* docs/API.md and the table of routes must not drift apart. */
START_TEST(test_receivers)
{
	struct receiver_progress progress = {.next = 3,
					     .sent = 2,
					     .undelivered = 1,
					     .sent_us = T0,
					     .failing_us = T0,
					     .problem = TEXT("HTTP 503: no")};
	struct undelivered row = {.revision = 4, .time_us = T0, .reason = TEXT("HTTP 400: no")};
	struct bytes key = {0};
	struct bytes value = {0};
	struct json_object *answer = ask("GET /v1/receivers", NULL, 200);
	ck_assert_uint_eq(json_object_array_length(json_path(answer, "receivers")), 0);
	json_object_put(answer);
	receiver_progress_key(RECEIVER_WEBHOOK, &key);
	receiver_progress_encode(&progress, &value);
	put_row(FAMILY_REGISTRY, &key, &value);
	bytes_clear(&key);
	bytes_clear(&value);
	undelivered_key(RECEIVER_WEBHOOK, TEXT("00000000000000000000000000000001"), &key);
	undelivered_encode(&row, &value);
	put_row(FAMILY_REGISTRY, &key, &value);
	answer = ask("GET /v1/receivers", NULL, 200);
	struct json_object *one = json_object_array_get_idx(json_path(answer, "receivers"), 0);
	ck_assert_str_eq(json_path_text(one, "name"), "webhook");
	ck_assert_str_eq(json_path_text(one, "state"), "failing");
	ck_assert_str_eq(json_path_text(one, "problem"), "HTTP 503: no");
	one = json_object_array_get_idx(json_path(answer, "undelivered"), 0);
	ck_assert_str_eq(json_path_text(one, "reason"), "HTTP 400: no");
	json_object_put(answer);
	refused("POST /v1/receivers/pager/test", 404, "no receiver \"pager\"");
	refused("POST /v1/receivers/webhook/test", 403, "served by the daemon");
	bytes_done(&key);
	bytes_done(&value);
}
END_TEST

START_TEST(test_audit)
{
	json_object_put(ask("GET /v1/status", NULL, 200)); /* no tenant's data: no row */
	json_object_put(ask("GET /v1/alerts?limit=3", NULL, 200));
	now_us += 1000000;
	json_object_put(ask("POST /v1/alerts/abcd/ack", "{\"who\":\"mallory\"}", 404));
	json_object_put(ask("GET /v1/nothing?tenant=t1", NULL, 404));
	struct json_object *answer = ask("GET /v1/audit", NULL, 200);
	struct json_object *rows = json_path(answer, "audit");
	ck_assert_uint_eq(json_object_array_length(rows), 3);
	struct json_object *row = json_object_array_get_idx(rows, 1);
	ck_assert_str_eq(json_path_text(row, "question"),
			 "/v1/alerts/abcd/ack {\"who\":\"mallory\"}");
	ck_assert_str_eq(json_path_text(row, "who"), ""); /* a claim in the body is no name */
	ck_assert_str_eq(json_path_text(row, "status"), "404");
	ck_assert_str_eq(json_path_text(json_object_array_get_idx(rows, 2), "question"),
			 "/v1/alerts?limit=3");
	json_object_put(answer);
	answer = ask("GET /v1/audit?limit=1", NULL, 200); /* the list before is the newest row */
	row = json_object_array_get_idx(json_path(answer, "audit"), 0);
	ck_assert_str_eq(json_path_text(row, "question"), "/v1/audit");
	ck_assert_str_eq(json_path_text(row, "rows"), "3");
	json_object_put(answer);
	api.read_only = true;
	json_object_put(ask("GET /v1/alerts", NULL, 200)); /* a reader writes nothing */
	store_memory_fail_at(store, 1, ENOSPACE);
	api.read_only = false;
	json_object_put(ask("GET /v1/alerts", NULL, 200)); /* a full disk hides no alert */
}
END_TEST

START_TEST(test_every_route_is_in_the_document)
{
	char heading[128];
	char page[64 * 1024];
	FILE *file = fopen(PICKET_SOURCE_DIR "/docs/API.md", "r");
	ck_assert_msg(file != NULL, "docs/API.md is missing");
	size_t size = fread(page, 1, sizeof page - 1, file);
	page[size] = '\0';
	fclose(file);
	struct api_route_name route;
	for (size_t i = 0; api_route_at(i, &route); i++) {
		char words[256];
		char *rest = words;
		snprintf(heading, sizeof heading, "### %s %s", route.method, route.path);
		char *at = strstr(page, heading);
		ck_assert_msg(at != NULL, "docs/API.md has no \"%s\"", heading);
		char *end = strstr(at + 4, "\n###");
		size_t length = end == NULL ? strlen(at) : (size_t)(end - at);
		snprintf(words, sizeof words, "%s", route.parameters);
		for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
			char quoted[64];
			snprintf(quoted, sizeof quoted, "`%s`", word);
			ck_assert_msg(word[0] == '\0' ||
					      memmem(at, length, quoted, strlen(quoted)) != NULL,
				      "docs/API.md: %s lacks %s", heading, quoted);
		}
	}
}
END_TEST

START_TEST(test_status_counts_alerts_and_tells_what_is_wrong)
{
	struct json_object *answer = ask("GET /v1/status", NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "alerts.total"), "0");
	ck_assert_str_eq(json_path_text(answer, "alerts.more"), "false");
	ck_assert_uint_eq(json_object_array_length(json_path(answer, "problems")), 0);
	json_object_put(answer);
	live.committed_us = now_us - 60 * INT64_C(1000000);
	live.partition_count = 0;
	live.undecided = 3;
	partitions[0].row.late = 2;
	answer = ask("GET /v1/status", NULL, 200);
	const char *problems = json_path_text(answer, "problems");
	ck_assert_ptr_nonnull(strstr(problems, "nothing was committed for 60 s"));
	ck_assert_ptr_nonnull(strstr(problems, "no partition is read yet"));
	ck_assert_ptr_null(strstr(problems, "lateness")); /* no partition, no late event */
	ck_assert_ptr_nonnull(strstr(problems, "3 times a rule could not be decided"));
	json_object_put(answer);
}
END_TEST

START_TEST(test_status_tells_of_late_events)
{
	partitions[0].row.late = 2;
	struct json_object *answer = ask("GET /v1/status", NULL, 200);
	const char *problems = json_path_text(answer, "problems");
	ck_assert_msg(strstr(problems, "2 of 14 events came later") != NULL, "%s", problems);
	json_object_put(answer);
}
END_TEST

START_TEST(test_gate)
{
	refused("GET /v1/gate?service=s", 400, "service= and canary= are needed");
	refused("GET /v1/gate?service=s&canary=host.name=x", 400, "");
	refused("GET /v1/gate?service=&canary=v", 400, "has no value");
	refused("GET /v1/alerts?tenant=", 400, "has no value");
	char line[512] = "GET /v1/gate?service=s&step=1&canary=";
	memset(line + strlen(line), 'v', 300);
	refused(line, 400, "at most 256 bytes");
	refused("GET /v1/gate?service=s&canary=v&wait=soon", 400, "wait=soon");
	refused("GET /v1/gate?service=s&canary=v&pending=404", 400, "pending is 200 or 503");
	struct json_object *answer = ask("GET /v1/gate?service=s&canary=v2&step=1", NULL, 200);
	const char *verdict = json_path_text(answer, "verdict");
	ck_assert_msg(strcmp(verdict, "WAIT") == 0 || strcmp(verdict, "STALE") == 0, "%s", verdict);
	ck_assert_str_eq(json_path_text(answer, "schema"), "picket.gate/1");
	json_object_put(answer);
	json_object_put(ask("GET /v1/gate?service=s&canary=v2&pending=503", NULL, 503));
}
END_TEST

START_TEST(test_gate_step_begins_once)
{
	struct text names[3] = {TEXT("s"), TEXT("v2"), TEXT("20")};
	struct bytes key = {0};
	struct bytes first = {0};
	struct bytes second = {0};
	registry_key('s', names, 3, -1, &key);
	json_object_put(ask("GET /v1/gate?service=s&canary=v2&step=20", NULL, 200));
	ck_assert_int_eq(store_get(store, FAMILY_REGISTRY, bytes_text(&key), &first, NULL), OK);
	now_us += 60000000;
	json_object_put(ask("GET /v1/gate?service=s&canary=v2&step=20", NULL, 200));
	ck_assert_int_eq(store_get(store, FAMILY_REGISTRY, bytes_text(&key), &second, NULL), OK);
	ck_assert(text_equal(bytes_text(&first), bytes_text(&second)));
	bytes_done(&key);
	bytes_done(&first);
	bytes_done(&second);
}
END_TEST

START_TEST(test_gate_never_passes_without_a_daemon)
{
	api.runtime_status = NULL;
	struct json_object *answer = ask("GET /v1/gate?service=s&canary=v2", NULL, 200);
	ck_assert_str_ne(json_path_text(answer, "verdict"), "PASS");
	json_object_put(answer);
}
END_TEST

START_TEST(test_access)
{
	ck_assert_int_eq(api_access_of(TEXT("GET"), TEXT("/metrics")), API_OPEN);
	ck_assert_int_eq(api_access_of(TEXT("GET"), TEXT("/v1/gate")), API_GATE_READ);
	ck_assert_int_eq(api_access_of(TEXT("GET"), TEXT("/v1/alerts")), API_SOCKET_ONLY);
	ck_assert_int_eq(api_access_of(TEXT("POST"), TEXT("/v1/gate")), API_GATE_READ); /* 405 */
	ck_assert_int_eq(api_access_of(TEXT("DELETE"), TEXT("/v1/alerts/ffff")), API_SOCKET_ONLY);
	ck_assert_int_eq(api_access_of(TEXT("GET"), TEXT("/v1/sources/seek")), API_SOCKET_ONLY);
	ck_assert_int_eq(api_access_of(TEXT("GET"), TEXT("/v1/gate/")), API_SOCKET_ONLY);
	ck_assert_int_eq(api_access_of(TEXT("GET"), TEXT("/v1//events")), API_SOCKET_ONLY);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api");
	TCase *all = tcase_create("all");
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, test_status_and_sources);
	tcase_add_test(all, test_health);
	tcase_add_test(all, test_offline_view_and_seek);
	tcase_add_test(all, test_quarantine);
	tcase_add_test(all, test_events);
	tcase_add_test(all, test_search);
	tcase_add_test(all, test_audit);
	tcase_add_test(all, test_wrong_methods);
	tcase_add_test(all, test_receivers);
	tcase_add_test(all, test_every_route_is_in_the_document);
	tcase_add_test(all, test_status_counts_alerts_and_tells_what_is_wrong);
	tcase_add_test(all, test_status_tells_of_late_events);
	tcase_add_test(all, test_gate);
	tcase_add_test(all, test_gate_step_begins_once);
	tcase_add_test(all, test_gate_never_passes_without_a_daemon);
	tcase_add_test(all, test_access);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
