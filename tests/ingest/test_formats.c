/* Formats as services and node agents really write them. Samples are hand-made after the sources
 * named in research (ecs-logging, pino, bunyan, zap, logstash-logback-encoder, Fluent Bit, Vector,
 * Filebeat, CloudTrail); test_real_logs.c reads real ones. */
#include "decoding.h"

static struct decoding decoding;

static void setup(void)
{
	decoding_begin(&decoding, (struct decoder_options){.time_trusted = true});
}

static void teardown(void)
{
	decoding_done(&decoding);
}

static void check_format(const char *expected)
{
	ck_assert_str_eq(decoding.records[0].format, expected);
}

START_TEST(ecs_merges_dotted_and_nested)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"@timestamp\":\"2026-11-22T00:00:01.5Z\",\"log.level\":\"info\","
		"\"ecs.version\":\"8.11.0\",\"message\":\"m\",\"service.name\":\"cart\","
		"\"service\":{\"version\":\"1.2\",\"node\":{\"name\":\"n1\"}},"
		"\"labels\":{\"team\":\"blue\"},\"http\":{\"response\":{\"status_code\":503}}}");
	check_format("ecs");
	CHECK_FIELD(event, "service.name", "cart");
	CHECK_FIELD(event, "service.version", "1.2");
	CHECK_FIELD(event, "service.node.name", "n1");
	CHECK_FIELD(event, "labels.team", "blue");
	CHECK_FIELD(event, "http.response.status_code", "503");
	ck_assert_int_eq(event_get(event, FIELD_HTTP_STATUS)->type, VALUE_INTEGER);
	ck_assert_str_eq(time_of(event->time_us), "2026-11-22T00:00:01.5Z");
	ck_assert_uint_eq(event->quality, 0);
	ck_assert(text_equal(event->logsource.category, TEXT("api_access")));
	ck_assert(text_equal(event->logsource.product, TEXT("microservice")));
}
END_TEST

START_TEST(open_telemetry_names_are_aliases)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"deployment.environment.name\":\"prod\",\"trace_id\":\"t\","
		"\"client.address\":\"1.2.3.4\",\"service\":{\"instance\":{\"id\":\"i\"}}}");
	CHECK_FIELD(event, "service.environment", "prod");
	CHECK_FIELD(event, "trace.id", "t");
	CHECK_FIELD(event, "source.ip", "1.2.3.4");
	CHECK_FIELD(event, "service.node.name", "i");
}
END_TEST

START_TEST(pino)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"level\":50,\"time\":1795305601250,\"pid\":7,\"hostname\":\"pod-1\","
		"\"msg\":\"request failed\",\"req\":{\"method\":\"POST\",\"url\":\"/pay\","
		"\"remoteAddress\":\"::1\",\"remotePort\":4711,\"headers\":{\"user-agent\":\"curl\"}},"
		"\"res\":{\"statusCode\":500},\"err\":{\"type\":\"Error\",\"message\":\"boom\","
		"\"stack\":\"Error: boom\\n    at pay\"}}");
	check_format("pino");
	CHECK_FIELD(event, "log.level", "error");
	CHECK_FIELD(event, "level", "50");
	CHECK_FIELD(event, "message", "request failed");
	CHECK_FIELD(event, "process.pid", "7");
	CHECK_FIELD(event, "host.name", "pod-1");
	CHECK_FIELD(event, "http.request.method", "POST");
	CHECK_FIELD(event, "url.path", "/pay");
	CHECK_FIELD(event, "http.response.status_code", "500");
	CHECK_FIELD(event, "source.ip", "::1");
	CHECK_FIELD(event, "source.port", "4711");
	CHECK_FIELD(event, "user_agent.original", "curl");
	CHECK_FIELD(event, "error.type", "Error");
	CHECK_FIELD(event, "error.stack_trace", "Error: boom\n    at pay");
	CHECK_FIELD(event, "@timestamp", "1795305601250");
	CHECK_FIELD(event, "time", "-");
	ck_assert_str_eq(time_of(event->time_us), "2026-11-22T00:00:01.25Z");
}
END_TEST

START_TEST(bunyan)
{
	const struct event *event = decoding_one(
		&decoding, "{\"name\":\"billing\",\"hostname\":\"h\",\"pid\":1,\"level\":40,"
			   "\"msg\":\"slow\",\"time\":\"2026-11-22T00:00:02Z\",\"v\":0}");
	check_format("bunyan");
	CHECK_FIELD(event, "service.name", "billing");
	CHECK_FIELD(event, "name", "billing");
	CHECK_FIELD(event, "log.level", "warn");
	ck_assert_str_eq(time_of(event->time_us), "2026-11-22T00:00:02Z");
}
END_TEST

START_TEST(zap)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"level\":\"info\",\"ts\":1795305601.123457,\"logger\":\"auth\","
		"\"caller\":\"a/b.go:1\",\"msg\":\"login\",\"stacktrace\":\"main.main\"}");
	check_format("zap");
	CHECK_FIELD(event, "log.logger", "auth");
	CHECK_FIELD(event, "log.level", "info");
	CHECK_FIELD(event, "error.stack_trace", "main.main");
	CHECK_FIELD(event, "caller", "a/b.go:1");
	ck_assert_str_eq(time_of(event->time_us), "2026-11-22T00:00:01.123457Z");
}
END_TEST

START_TEST(logback)
{
	const struct event *event = decoding_one(
		&decoding, "{\"@timestamp\":\"2026-11-22T01:00:00.001+01:00\",\"@version\":\"1\","
			   "\"message\":\"m\",\"logger_name\":\"c.e.A\",\"thread_name\":\"main\","
			   "\"level\":\"ERROR\",\"level_value\":40000,\"stack_trace\":\"x\","
			   "\"userId\":7}");
	check_format("logback");
	CHECK_FIELD(event, "log.logger", "c.e.A");
	CHECK_FIELD(event, "process.thread.name", "main");
	CHECK_FIELD(event, "log.level", "ERROR");
	CHECK_FIELD(event, "error.stack_trace", "x");
	CHECK_FIELD(event, "user.id", "7");
	CHECK_FIELD(event, "userId", "7");
	ck_assert_str_eq(time_of(event->time_us), "2026-11-22T00:00:00.001Z");
}
END_TEST

START_TEST(plain_json_with_the_usual_names)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"timestamp\":\"1795305601\",\"severity\":\"WARN\",\"message\":\"denied\","
		"\"service\":\"cart\",\"version\":\"v2\",\"user\":\"alice\",\"user_id\":\"u1\","
		"\"remote_addr\":\"10.0.0.9:55\",\"method\":\"GET\",\"path\":\"/a\",\"status\":403,"
		"\"outcome\":\"denied\",\"tenantId\":\"t1\",\"roles\":[\"a\",\"b\"],\"action\":\"read\"}");
	check_format("json");
	CHECK_FIELD(event, "service.name", "cart");
	CHECK_FIELD(event, "service.version", "v2");
	CHECK_FIELD(event, "user.name", "alice");
	CHECK_FIELD(event, "user.id", "u1");
	CHECK_FIELD(event, "source.ip", "10.0.0.9");
	CHECK_FIELD(event, "source.port", "55");
	CHECK_FIELD(event, "http.response.status_code", "403");
	CHECK_FIELD(event, "event.outcome", "failure");
	CHECK_FIELD(event, "tenant.id", "t1");
	CHECK_FIELD(event, "user.roles", "a|b");
	CHECK_FIELD(event, "event.action", "read");
	ck_assert(text_equal(event->owner, TEXT("t1")));
	ck_assert_str_eq(time_of(event->time_us), "2026-11-22T00:00:01Z");
}
END_TEST

START_TEST(what_the_record_says_itself_is_not_overwritten)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"source\":{\"ip\":\"1.1.1.1\"},\"remote_addr\":\"2.2.2.2\","
		"\"status\":\"shipped\",\"event\":{\"action\":\"a\"},\"outcome\":\"maybe\"}");
	CHECK_FIELD(event, "source.ip", "1.1.1.1");
	CHECK_FIELD(event, "http.response.status_code", "-");
	CHECK_FIELD(event, "event.action", "a");
	CHECK_FIELD(event, "event.outcome", "-");
	ck_assert_uint_eq(event->quality & QUALITY_DUPLICATE, 0);
}
END_TEST

START_TEST(log_source_categories)
{
	const struct event *event =
		decoding_one(&decoding, "{\"event\":{\"category\":[\"iam\",\"authentication\"]},"
					"\"status\":401,\"time\":1795305601}");
	ck_assert(text_equal(event->logsource.category, TEXT("authentication")));
	event = decoding_one(&decoding, "{\"msg\":\"x\",\"time\":1795305601}");
	ck_assert(text_equal(event->logsource.category, TEXT("application")));
}
END_TEST

#define RECORD "{\\\"level\\\":30,\\\"time\\\":1795305601000,\\\"msg\\\":\\\"hi\\\"}"

START_TEST(fluent_bit)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"log\":\"" RECORD
		"\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-22T00:00:09Z\","
		"\"kubernetes\":{\"pod_name\":\"cart-6d4cf56db6-x7k2p\",\"namespace_name\":\"shop\","
		"\"container_image\":\"reg/cart:1\",\"docker_id\":\"abc\",\"host\":\"node-1\","
		"\"labels\":{\"app.kubernetes.io/version\":\"2.0\",\"app.kubernetes.io/name\":\"cart\","
		"\"track\":\"canary\",\"rollouts-pod-template-hash\":\"6d4cf56db6\",\"x\":\"y\"}}}");
	check_format("pino");
	CHECK_FIELD(event, "message", "hi");
	CHECK_FIELD(event, "log.level", "info");
	CHECK_FIELD(event, "log", "-");
	CHECK_FIELD(event, "orchestrator.resource.name", "cart-6d4cf56db6-x7k2p");
	CHECK_FIELD(event, "orchestrator.namespace", "shop");
	CHECK_FIELD(event, "container.image.name", "reg/cart:1");
	CHECK_FIELD(event, "k8s.node.name", "node-1");
	CHECK_FIELD(event, "service.version", "2.0");
	CHECK_FIELD(event, "service.name", "cart");
	CHECK_FIELD(event, "picket.deploy.track", "canary");
	CHECK_FIELD(event, "picket.deploy.id", "6d4cf56db6");
	CHECK_FIELD(event, "k8s.pod.label.x", "y");
	CHECK_FIELD(event, "stream", "stdout");
	ck_assert_str_eq(time_of(event->time_us),
			 "2026-11-22T00:00:01Z"); /* the record's, not the agent's */
}
END_TEST

START_TEST(fluent_bit_merged_under_a_key)
{
	const struct event *event = decoding_one(
		&decoding, "{\"log\":\"plain text\",\"stream\":\"stderr\",\"log_processed\":"
			   "{\"level\":\"error\",\"user\":{\"id\":\"u\"}},\"time\":1795305601}");
	CHECK_FIELD(event, "message", "plain text");
	CHECK_FIELD(event, "user.id", "u");
	CHECK_FIELD(event, "log.level", "error");
}
END_TEST

START_TEST(vector)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"file\":\"/var/log/pods/x\",\"kubernetes\":{\"pod_name\":\"p\",\"pod_namespace\":\"n\","
		"\"pod_node_name\":\"w\",\"pod_labels\":{\"app\":\"pay\",\"pod-template-hash\":\"abc\"},"
		"\"container_image\":\"i\",\"container_name\":\"c\"},\"message\":\"" RECORD "\","
		"\"source_type\":\"kubernetes_logs\",\"stream\":\"stdout\","
		"\"timestamp\":\"2026-11-22T00:00:09Z\"}");
	check_format("pino");
	CHECK_FIELD(event, "message", "hi");
	CHECK_FIELD(event, "orchestrator.resource.name", "p");
	CHECK_FIELD(event, "orchestrator.namespace", "n");
	CHECK_FIELD(event, "service.name", "pay");
	CHECK_FIELD(event, "picket.deploy.id", "abc");
	CHECK_FIELD(event, "container.name", "c");
	ck_assert_str_eq(time_of(event->time_us), "2026-11-22T00:00:01Z");
}
END_TEST

START_TEST(filebeat)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"@timestamp\":\"2026-11-22T00:00:09Z\",\"message\":\"{\\\"msg\\\":\\\"in\\\"}\","
		"\"ecs\":{\"version\":\"8.0.0\"},\"agent\":{\"type\":\"filebeat\"},"
		"\"kubernetes\":{\"pod\":{\"name\":\"p\"},\"namespace\":\"n\",\"node\":{\"name\":\"w\"},"
		"\"labels\":{\"app_kubernetes_io/version\":\"3\",\"app_kubernetes_io/name\":\"s\"}},"
		"\"container\":{\"image\":{\"name\":\"img\"}},\"host\":{\"name\":\"h\"}}");
	check_format("json");
	CHECK_FIELD(event, "message", "in");
	CHECK_FIELD(event, "orchestrator.resource.name", "p");
	CHECK_FIELD(event, "orchestrator.namespace", "n");
	CHECK_FIELD(event, "k8s.node.name", "w");
	CHECK_FIELD(event, "service.version", "3");
	CHECK_FIELD(event, "service.name", "s");
	CHECK_FIELD(event, "container.image.name", "img");
	CHECK_FIELD(event, "host.name", "h");
	ck_assert_str_eq(time_of(event->time_us),
			 "2026-11-22T00:00:09Z"); /* nobody else says one */
}
END_TEST

START_TEST(the_record_keeps_its_version_and_the_agent_knows_the_pod)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"log\":\"{\\\"service.version\\\":\\\"own\\\",\\\"k8s.pod.name\\\":\\\"forged\\\","
		"\\\"orchestrator.namespace\\\":\\\"forged\\\",\\\"picket.bound.tenant\\\":\\\"t\\\"}\","
		"\"kubernetes\":{\"pod_name\":\"real\",\"namespace_name\":\"ns\","
		"\"labels\":{\"app.kubernetes.io/version\":\"label\"}}}");
	CHECK_FIELD(event, "service.version", "own");
	CHECK_FIELD(event, "orchestrator.resource.name", "real");
	CHECK_FIELD(event, "orchestrator.namespace", "ns");
	CHECK_FIELD(event, "picket.bound.tenant", "-");
	ck_assert_uint_ne(event->quality & QUALITY_PROVENANCE, 0);
	ck_assert(text_equal(event->owner, TEXT("-")));
}
END_TEST

START_TEST(a_decoded_line_is_not_opened_again)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"message\":\"{\\\"tenant.id\\\":\\\"victim\\\"}\",\"log.level\":\"info\","
		"\"kubernetes\":{\"pod_name\":\"p\"}}");
	CHECK_FIELD(event, "tenant.id", "-");
	CHECK_FIELD(event, "message", "{\"tenant.id\":\"victim\"}");
	event = decoding_one(&decoding, "{\"message\":\"{\\\"tenant.id\\\":\\\"victim\\\"}\"}");
	CHECK_FIELD(event, "tenant.id", "-");
}
END_TEST

START_TEST(a_broken_line_is_kept_as_text)
{
	const struct event *event =
		decoding_one(&decoding, "{\"log\":\"{\\\"level\\\":30,\",\"stream\":\"stdout\"}");
	CHECK_FIELD(event, "message", "{\"level\":30,");
	ck_assert_uint_ne(event->quality & QUALITY_INNER, 0);
	event = decoding_one(&decoding, "{\"log\":\"{\\\"a\\\":30,\",\"stream\":\"stdout\","
					"\"log_processed\":{\"b\":1}}");
	CHECK_FIELD(event, "b", "1");
	CHECK_FIELD(event, "a", "-");
}
END_TEST

START_TEST(a_plain_line_tells_level_and_trace)
{
	const struct event *event = decoding_one(
		&decoding,
		"{\"log\":\"19:39:03.269 INFO  o.s.OrderServiceImpl#365 TraceID: "
		"8a11d445b818c83a5f19f95e78495c4a SpanID: f2160f373dca2dad [Get Order]\\n\","
		"\"stream\":\"stdout\",\"time\":\"2023-01-30T11:39:03.269714154Z\","
		"\"kubernetes\":{\"pod_name\":\"ts-order-service-5b67c48447-fj8b7\"}}");
	CHECK_FIELD(event, "log.level", "INFO");
	CHECK_FIELD(event, "trace.id", "8a11d445b818c83a5f19f95e78495c4a");
	CHECK_FIELD(event, "span.id", "f2160f373dca2dad");
	CHECK_FIELD(event, "service.name", "ts-order-service");
	CHECK_FIELD(event, "picket.deploy.id", "5b67c48447");
	ck_assert_str_eq(time_of(event->time_us), "2023-01-30T11:39:03.269714Z");
	event = decoding_one(&decoding, "{\"log\":\"x\",\"stream\":\"o\",\"kubernetes\":"
					"{\"pod_name\":\"kafka-broker-0\"}}");
	CHECK_FIELD(event, "service.name", "-");
	CHECK_FIELD(event, "picket.deploy.id", "-");
}
END_TEST

#define TRAIL                                                                                     \
	"{\"eventVersion\":\"1.08\",\"eventSource\":\"signin.amazonaws.com\","                    \
	"\"eventName\":\"ConsoleLogin\",\"eventTime\":\"2026-11-22T00:00:01Z\","                  \
	"\"sourceIPAddress\":\"1.2.3.4\",\"userIdentity\":{\"arn\":\"a:b\",\"userName\":\"bob\"," \
	"\"principalId\":\"P\"},\"awsRegion\":\"eu-1\",\"requestParameters\":null,"

START_TEST(cloudtrail)
{
	const struct event *event = decoding_one(
		&decoding, TRAIL "\"responseElements\":{\"ConsoleLogin\":\"Failure\"}}");
	check_format("cloudtrail");
	CHECK_FIELD(event, "event.action", "ConsoleLogin");
	CHECK_FIELD(event, "eventName", "ConsoleLogin");
	CHECK_FIELD(event, "eventTime", "2026-11-22T00:00:01Z");
	CHECK_FIELD(event, "@timestamp", "2026-11-22T00:00:01Z");
	CHECK_FIELD(event, "event.provider", "signin.amazonaws.com");
	CHECK_FIELD(event, "source.ip", "1.2.3.4");
	CHECK_FIELD(event, "user.id", "a:b");
	CHECK_FIELD(event, "user.name", "bob");
	CHECK_FIELD(event, "event.outcome", "failure");
	CHECK_FIELD(event, "requestParameters", "null");
	ck_assert(text_equal(event->logsource.product, TEXT("aws")));
	ck_assert(text_equal(event->logsource.service, TEXT("cloudtrail")));
	ck_assert_uint_eq(event->logsource.category.size, 0);
	event = decoding_one(&decoding, TRAIL "\"errorCode\":\"AccessDenied\"}");
	CHECK_FIELD(event, "event.outcome", "failure");
	CHECK_FIELD(event, "error.type", "AccessDenied");
	event = decoding_one(&decoding, TRAIL "\"readOnly\":true}");
	CHECK_FIELD(event, "event.outcome", "success");
}
END_TEST

START_TEST(cloudtrail_file)
{
	decoding_feed(&decoding,
		      TEXT("{ \"Records\" : [" TRAIL "\"n\":1},\n" TRAIL "\"n\":2},3]}\n"));
	ck_assert_uint_eq(decoding.count, 3);
	CHECK_FIELD(&decoding.records[1].event, "n", "2");
	ck_assert_str_eq(decoding.records[1].format, "cloudtrail");
	ck_assert_int_eq(decoding.records[2].why, REJECT_NOT_OBJECT);
	/* Something else beside the records: one event, nothing is dropped. */
	const struct event *event = decoding_one(&decoding, "{\"Records\":[{\"a\":1}],\"b\":2}");
	CHECK_FIELD(event, "Records.a", "1");
	CHECK_FIELD(event, "b", "2");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("formats");
	TCase *tests = tcase_create("formats");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, ecs_merges_dotted_and_nested);
	tcase_add_test(tests, open_telemetry_names_are_aliases);
	tcase_add_test(tests, pino);
	tcase_add_test(tests, bunyan);
	tcase_add_test(tests, zap);
	tcase_add_test(tests, logback);
	tcase_add_test(tests, plain_json_with_the_usual_names);
	tcase_add_test(tests, what_the_record_says_itself_is_not_overwritten);
	tcase_add_test(tests, log_source_categories);
	tcase_add_test(tests, fluent_bit);
	tcase_add_test(tests, fluent_bit_merged_under_a_key);
	tcase_add_test(tests, vector);
	tcase_add_test(tests, filebeat);
	tcase_add_test(tests, the_record_keeps_its_version_and_the_agent_knows_the_pod);
	tcase_add_test(tests, a_decoded_line_is_not_opened_again);
	tcase_add_test(tests, a_broken_line_is_kept_as_text);
	tcase_add_test(tests, a_plain_line_tells_level_and_trace);
	tcase_add_test(tests, cloudtrail);
	tcase_add_test(tests, cloudtrail_file);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
