/* bench_formats [ROUNDS]: what recognising and mapping cost on top of decoding, in nanoseconds of
 * CPU time per event. The same record is decoded with its format (auto) and left as it is (raw; of
 * the OpenTelemetry protocol: taken apart, but not normalised); the difference is the mapping. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ingest/decoder_private.h"

static const char ecs[] =
	"{\"@timestamp\":\"2026-11-22T00:00:01.250Z\",\"log.level\":\"info\",\"ecs.version\":"
	"\"8.11.0\",\"message\":\"request completed\",\"service\":{\"name\":\"cart\",\"version\":"
	"\"1.4.2\",\"environment\":\"production\",\"node\":{\"name\":\"cart-7\"}},\"event\":{"
	"\"category\":[\"api\"],\"action\":\"order.read\",\"outcome\":\"success\",\"duration\":"
	"1200000},\"user\":{\"id\":\"u-4711\",\"name\":\"ann\",\"roles\":[\"customer\"]},"
	"\"source\":{\"ip\":\"203.0.113.9\",\"port\":51123},\"http\":{\"request\":{\"method\":"
	"\"GET\"},\"response\":{\"status_code\":200}},\"url\":{\"path\":\"/api/orders/123\"},"
	"\"tenant\":{\"id\":\"acme\"},\"trace\":{\"id\":\"8a11d445b818c83a5f19f95e78495c4a\"}}";
static const char pino[] =
	"{\"level\":30,\"time\":1795305601250,\"pid\":7,\"hostname\":\"cart-7\",\"reqId\":\"r-1\","
	"\"userId\":\"u-4711\",\"tenantId\":\"acme\",\"req\":{\"method\":\"GET\",\"url\":"
	"\"/api/orders/123\",\"remoteAddress\":\"203.0.113.9\",\"remotePort\":51123,\"headers\":{"
	"\"user-agent\":\"Mozilla/5.0\",\"host\":\"shop.example\"}},\"res\":{\"statusCode\":200},"
	"\"responseTime\":12,\"msg\":\"request completed\"}";
static const char envoy[] =
	"{\"start_time\":\"2026-11-22T00:00:01.250Z\",\"method\":\"GET\",\"path\":"
	"\"/api/orders/123\",\"protocol\":\"HTTP/2\",\"authority\":\"cart.example\","
	"\"response_code\":200,\"response_flags\":\"-\",\"response_code_details\":\"via_upstream\","
	"\"connection_termination_details\":null,\"bytes_received\":0,\"bytes_sent\":917,"
	"\"duration\":12,\"upstream_service_time\":\"11\",\"x_forwarded_for\":\"203.0.113.9\","
	"\"user_agent\":\"curl/8\",\"request_id\":\"r1\",\"upstream_host\":\"10.9.9.9:8080\","
	"\"upstream_cluster\":\"outbound|80||cart.shop.svc.cluster.local\","
	"\"downstream_local_address\":\"10.1.1.1:80\",\"downstream_remote_address\":"
	"\"10.1.2.3:4711\",\"requested_server_name\":null,\"route_name\":\"default\"}";
static const char cloudtrail[] =
	"{\"eventVersion\":\"1.08\",\"userIdentity\":{\"type\":\"AssumedRole\",\"principalId\":"
	"\"AROA:ann\",\"arn\":\"arn:aws:sts::123456789012:assumed-role/Admin/ann\",\"accountId\":"
	"\"123456789012\",\"accessKeyId\":\"ASIA\",\"sessionContext\":{\"sessionIssuer\":{\"type\":"
	"\"Role\",\"principalId\":\"AROA\",\"arn\":\"arn:aws:iam::123456789012:role/Admin\","
	"\"accountId\":\"123456789012\",\"userName\":\"Admin\"},\"attributes\":{\"creationDate\":"
	"\"2026-11-22T00:00:00Z\",\"mfaAuthenticated\":\"false\"}}},\"eventTime\":"
	"\"2026-11-22T00:00:03Z\",\"eventSource\":\"ec2.amazonaws.com\",\"eventName\":"
	"\"GetPasswordData\",\"awsRegion\":\"us-east-1\",\"sourceIPAddress\":\"203.0.113.9\","
	"\"userAgent\":\"aws-sdk\",\"errorCode\":\"Client.UnauthorizedOperation\","
	"\"errorMessage\":\"You are not authorized\",\"requestParameters\":{\"instanceId\":"
	"\"i-0123\"},\"responseElements\":null,\"requestID\":\"r\",\"eventID\":\"e\",\"readOnly\":"
	"true,\"eventType\":\"AwsApiCall\",\"managementEvent\":true,\"recipientAccountId\":"
	"\"123456789012\",\"eventCategory\":\"Management\",\"tlsDetails\":{\"tlsVersion\":"
	"\"TLSv1.2\"}}";
static const char otlp[] =
	"{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{"
	"\"stringValue\":\"cart\"}},{\"key\":\"service.version\",\"value\":{\"stringValue\":"
	"\"1.4.2\"}},{\"key\":\"k8s.pod.name\",\"value\":{\"stringValue\":\"cart-7\"}}]},"
	"\"scopeLogs\":[{\"scope\":{\"name\":\"shop\"},\"logRecords\":[{\"timeUnixNano\":"
	"\"1795305601250000000\",\"severityNumber\":9,\"severityText\":\"INFO\",\"body\":{"
	"\"stringValue\":\"request completed\"},\"traceId\":\"8a11d445b818c83a5f19f95e78495c4a\","
	"\"spanId\":\"5f19f95e78495c4a\",\"attributes\":[{\"key\":\"user.id\",\"value\":{"
	"\"stringValue\":\"u-4711\"}},{\"key\":\"client.address\",\"value\":{\"stringValue\":"
	"\"203.0.113.9\"}},{\"key\":\"http.request.method\",\"value\":{\"stringValue\":\"GET\"}},"
	"{\"key\":\"http.response.status_code\",\"value\":{\"intValue\":\"200\"}},{\"key\":"
	"\"url.path\",\"value\":{\"stringValue\":\"/api/orders/123\"}},{\"key\":\"tenant.id\","
	"\"value\":{\"stringValue\":\"acme\"}}]}]}]}]}";

static const struct {
	const char *format, *record;
	double bar_ns; /* of the mapping; the issue's */
} samples[] = {{"ecs", ecs, 500},
	       {"otlp", otlp, 500},
	       {"pino", pino, 500},
	       {"envoy", envoy, 500},
	       {"cloudtrail", cloudtrail, 1500}};

static double now_ns(void)
{
	struct timespec time;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static const struct origin origin = {.topic = {"bench", 5}, .offset = 1};

static void begin(struct decoder *decoder, struct arena *arena, struct text payload)
{
	const struct message message = {.record_time_us = 1795305600000000, .payload = payload};
	arena_reset(arena);
	enum status status = decoder_begin(decoder, &message, &origin, arena);
	assert(status == OK);
}

static void decode(struct decoder *decoder, struct arena *arena, struct text payload,
		   const char *format)
{
	struct decoded record;
	bool more = false;
	begin(decoder, arena, payload);
	enum status status = decoder_next(decoder, &record, &more);
	assert(status == OK && more && record.why == ACCEPTED);
	assert(format == NULL || strcmp(record.format, format) == 0);
}

/* A message of the OpenTelemetry protocol taken apart and left as it is. */
static void left_as_it_is(struct decoder *decoder, struct arena *arena, struct text payload)
{
	struct unpacked unpacked;
	struct text raw = {0};
	enum reject why = ACCEPTED;
	begin(decoder, arena, payload);
	bool more = otlp_next(decoder, &unpacked, &raw, &why);
	assert(more && why == ACCEPTED);
	struct decoded record;
	decoder->raw = true;
	why = normalise(decoder, &unpacked, &record);
	decoder->raw = false;
	assert(why == ACCEPTED);
}

/* Nanoseconds per event, the best of several turns: others use the machine too. */
static double measure(struct decoder *decoder, struct arena *arena, size_t index, bool raw,
		      size_t rounds)
{
	enum { TURNS = 7 };
	struct text payload = text_of(samples[index].record);
	bool is_otlp = samples[index].record == otlp;
	double best = 1e18;
	for (int turn = 0; turn < TURNS; turn++) {
		double start = now_ns();
		for (size_t i = 0; i < rounds / TURNS; i++) {
			if (raw && is_otlp)
				left_as_it_is(decoder, arena, payload);
			else
				decode(decoder, arena, payload, raw ? NULL : samples[index].format);
		}
		double spent = (now_ns() - start) / (double)(rounds / TURNS);
		best = spent < best ? spent : best;
	}
	return best;
}

int main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 700000;
	struct arena *arena = arena_new(64 * 1024 * 1024);
	struct formats *formats = NULL;
	struct decoder *mapping = NULL;
	struct decoder *raw = NULL;
	enum status status = formats_new(NULL, 0, &formats, NULL);
	assert(arena != NULL && status == OK);
	status = decoder_new(&(struct decoder_options){.formats = formats}, &mapping, NULL);
	assert(status == OK);
	status = decoder_new(&(struct decoder_options){.formats = formats, .format = INPUT_RAW},
			     &raw, NULL);
	assert(status == OK);
	printf("%-11s %8s %10s %10s %10s %8s\n", "format", "bytes", "all ns", "without ns",
	       "mapping ns", "bar ns");
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
		if (argc > 2 && strcmp(argv[2], samples[i].format) != 0)
			continue;
		bool is_otlp = samples[i].record == otlp;
		double all = measure(mapping, arena, i, false, rounds);
		double without = measure(is_otlp ? mapping : raw, arena, i, true, rounds);
		printf("%-11s %8zu %10.0f %10.0f %10.0f %8.0f\n", samples[i].format,
		       strlen(samples[i].record), all, without, all - without, samples[i].bar_ns);
	}
	decoder_free(&mapping);
	decoder_free(&raw);
	formats_free(&formats);
	arena_free(&arena);
	return EXIT_SUCCESS;
}
