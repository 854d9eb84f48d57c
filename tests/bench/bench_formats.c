/* bench_formats [ROUNDS [FORMAT]]: what becomes of a record before any rule sees it, and what each
 * part costs, in nanoseconds of CPU time per event.
 *
 *   mapping      recognised and mapped, less the same record left as it is (raw; of the
 *                OpenTelemetry protocol: taken apart, but not normalised)
 *   privacy      the search for secrets, and a keyed hash of source.ip
 *   enrichment   city and network of source.ip from MaxMind's test databases (shared data), and a
 *                threat list of 100,000 addresses and domains, none of which is met
 *
 * Privacy and enrichment are measured alone, each as the record with it less the record without. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../ingest/otlp_message.h"
#include "ingest/decoder_private.h"
#include "ingest/enrich.h"

static const char ecs[] =
	"{\"@timestamp\":\"2026-11-22T00:00:01.250Z\",\"log.level\":\"info\",\"ecs.version\":"
	"\"8.11.0\",\"message\":\"request completed\",\"service\":{\"name\":\"cart\",\"version\":"
	"\"1.4.2\",\"environment\":\"production\",\"node\":{\"name\":\"cart-7\"}},\"event\":{"
	"\"category\":[\"api\"],\"action\":\"order.read\",\"outcome\":\"success\",\"duration\":"
	"1200000},\"user\":{\"id\":\"u-4711\",\"name\":\"ann\",\"roles\":[\"customer\"]},"
	"\"source\":{\"ip\":\"89.160.20.112\",\"port\":51123},\"http\":{\"request\":{\"method\":"
	"\"GET\"},\"response\":{\"status_code\":200}},\"url\":{\"path\":\"/api/orders/123\"},"
	"\"tenant\":{\"id\":\"acme\"},\"trace\":{\"id\":\"8a11d445b818c83a5f19f95e78495c4a\"}}";
static const char pino[] =
	"{\"level\":30,\"time\":1795305601250,\"pid\":7,\"hostname\":\"cart-7\",\"reqId\":\"r-1\","
	"\"userId\":\"u-4711\",\"tenantId\":\"acme\",\"req\":{\"method\":\"GET\",\"url\":"
	"\"/api/orders/123\",\"remoteAddress\":\"89.160.20.112\",\"remotePort\":51123,\"headers\":{"
	"\"user-agent\":\"Mozilla/5.0\",\"host\":\"shop.example\"}},\"res\":{\"statusCode\":200},"
	"\"responseTime\":12,\"msg\":\"request completed\"}";
static const char envoy[] =
	"{\"start_time\":\"2026-11-22T00:00:01.250Z\",\"method\":\"GET\",\"path\":"
	"\"/api/orders/123\",\"protocol\":\"HTTP/2\",\"authority\":\"cart.example\","
	"\"response_code\":200,\"response_flags\":\"-\",\"response_code_details\":\"via_upstream\","
	"\"connection_termination_details\":null,\"bytes_received\":0,\"bytes_sent\":917,"
	"\"duration\":12,\"upstream_service_time\":\"11\",\"x_forwarded_for\":\"89.160.20.112\","
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
	"\"GetPasswordData\",\"awsRegion\":\"us-east-1\",\"sourceIPAddress\":\"89.160.20.112\","
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
	"\"89.160.20.112\"}},{\"key\":\"http.request.method\",\"value\":{\"stringValue\":\"GET\"}},"
	"{\"key\":\"http.response.status_code\",\"value\":{\"intValue\":\"200\"}},{\"key\":"
	"\"url.path\",\"value\":{\"stringValue\":\"/api/orders/123\"}},{\"key\":\"tenant.id\","
	"\"value\":{\"stringValue\":\"acme\"}}]}]}]}]}";

/* The record of `otlp` in the protocol's other encoding. */
static void otlp_as_protobuf(struct bytes *to)
{
	static const struct text trace = {
		"\x8a\x11\xd4\x45\xb8\x18\xc8\x3a\x5f\x19\xf9\x5e\x78\x49\x5c\x4a", 16};
	static const char *const attributes[][2] = {{"user.id", "u-4711"},
						    {"client.address", "89.160.20.112"},
						    {"http.request.method", "GET"},
						    {"url.path", "/api/orders/123"},
						    {"tenant.id", "acme"}};
	static const char *const about[][2] = {
		{"service.name", "cart"}, {"service.version", "1.4.2"}, {"k8s.pod.name", "cart-7"}};
	struct bytes part cleanup(bytes_done) = {0};
	struct bytes record cleanup(bytes_done) = {0};
	struct bytes scope cleanup(bytes_done) = {0};
	struct bytes logs cleanup(bytes_done) = {0};
	proto_fixed64(&record, 1, 1795305601250000000);
	proto_varint(&record, 2, 9);
	proto_text(&record, 3, TEXT("INFO"));
	proto_text(&part, 1, TEXT("request completed"));
	proto_message(&record, 5, &part);
	for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
		proto_attribute(&record, 6, text_of(attributes[i][0]), text_of(attributes[i][1]));
	proto_attribute_integer(&record, 6, TEXT("http.response.status_code"), 200);
	proto_text(&record, 9, trace);
	proto_text(&record, 10, text_cut(trace, 8));
	proto_text(&part, 1, TEXT("shop"));
	proto_message(&scope, 1, &part);
	proto_message(&scope, 2, &record);
	for (size_t i = 0; i < sizeof about / sizeof *about; i++)
		proto_attribute(&part, 1, text_of(about[i][0]), text_of(about[i][1]));
	proto_message(&logs, 1, &part);
	proto_message(&logs, 2, &scope);
	proto_message(to, 1, &logs);
	assert(!to->failed);
}

struct sample {
	const char *name, *format;
	struct text record;
	double bar_ns; /* of the mapping */
};

/* What is done to a record. */
enum part { LEFT_AS_IT_IS, MAPPED, CLEANED, ENRICHED };

struct bench {
	struct arena *arena;
	struct formats *formats;
	struct decoder *mapping, *raw;
	struct privacy *privacy;
	struct privacy_scratch *scratch;
	struct knowledge_desk *desk;
	struct enricher *enricher; /* NULL: no databases to look into */
	size_t enriched;           /* events; each has got its place */
	size_t rounds;
};

static double now_ns(void)
{
	struct timespec time;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void begin(struct bench *bench, struct decoder *decoder, const struct message *message)
{
	const struct origin origin = {.topic = {"bench", 5}, .offset = 1};
	arena_reset(bench->arena);
	enum status status = decoder_begin(decoder, message, &origin, bench->arena);
	assert(status == OK);
}

/* A message of the OpenTelemetry protocol taken apart and left as it is. */
static void unpack_only(struct decoder *decoder)
{
	struct unpacked unpacked;
	struct decoded record;
	struct text raw = {0};
	enum reject why = ACCEPTED;
	bool more = otlp_next(decoder, &unpacked, &raw, &why);
	assert(more && why == ACCEPTED);
	decoder->raw = true;
	why = normalise(decoder, &unpacked, &record);
	decoder->raw = false;
	assert(why == ACCEPTED);
}

static void enrich(struct bench *bench, const struct message *message, struct event *event)
{
	enricher_message(bench->enricher, TEXT("bench"), message);
	enum status status = enricher_event(bench->enricher, bench->arena, event);
	assert(status == OK);
	assert(enricher_counters(bench->enricher).places == ++bench->enriched);
}

static void step(struct bench *bench, const struct sample *sample, enum part part)
{
	const struct message message = {.record_time_us = 1795305600000000,
					.payload = sample->record};
	struct decoded record;
	struct privacy_counts counts = {0};
	bool more = false;
	bool is_otlp = strcmp(sample->format, "otlp") == 0;
	struct decoder *decoder = part == LEFT_AS_IT_IS && !is_otlp ? bench->raw : bench->mapping;
	begin(bench, decoder, &message);
	if (part == LEFT_AS_IT_IS && is_otlp) {
		unpack_only(decoder);
		return;
	}
	enum status status = decoder_next(decoder, &record, &more);
	assert(status == OK && more && record.why == ACCEPTED);
	assert(part == LEFT_AS_IT_IS || strcmp(record.format, sample->format) == 0);
	if (part == CLEANED) {
		status = privacy_event(bench->privacy, bench->scratch, bench->arena, &record.event,
				       &counts);
		assert(status == OK && counts.personal > 0);
	} else if (part == ENRICHED) {
		enrich(bench, &message, &record.event);
	}
}

/* Nanoseconds per event, the best of several turns: others use the machine too. The parts take
 * turns, so that a busy moment is nobody's alone. */
static void measure(struct bench *bench, const struct sample *sample, double ret_best[static 4])
{
	enum { TURNS = 7 };
	size_t rounds = bench->rounds / TURNS;
	for (int turn = 0; turn < TURNS; turn++)
		for (enum part part = LEFT_AS_IT_IS; part <= ENRICHED; part++) {
			if (part == ENRICHED && bench->enricher == NULL)
				continue;
			double start = now_ns();
			for (size_t i = 0; i < rounds; i++)
				step(bench, sample, part);
			double spent = (now_ns() - start) / (double)rounds;
			bool better = turn == 0 || spent < ret_best[part];
			ret_best[part] = better ? spent : ret_best[part];
		}
}

static void report(struct bench *bench, const struct sample *sample)
{
	double best[ENRICHED + 1] = {0};
	measure(bench, sample, best);
	printf("%-13s %6zu %10.0f %10.0f %10.0f %6.0f %10.0f", sample->name, sample->record.size,
	       best[MAPPED], best[LEFT_AS_IT_IS], best[MAPPED] - best[LEFT_AS_IT_IS],
	       sample->bar_ns, best[CLEANED] - best[MAPPED]);
	if (bench->enricher == NULL)
		printf(" %13s\n", "not measured");
	else
		printf(" %13.0f\n", best[ENRICHED] - best[MAPPED]);
}

/* 50,000 addresses and as many domains. */
static void write_threats(const char *path)
{
	enum { PAIRS = 50000 };
	FILE *file = fopen(path, "w");
	assert(file != NULL);
	for (unsigned i = 0; i < PAIRS; i++)
		(void)fprintf(file, "198.18.%u.%u\nhost-%u.evil.example\n", i >> 8, i & 255, i);
	int failed = fclose(file);
	assert(failed == 0);
}

static void enricher_begin(struct bench *bench)
{
	char city[512], asn[512];
	char threats[] = "/tmp/picket-bench-XXXXXX.txt";
	const char *data = getenv("PICKET_DATA");
	data = data == NULL ? PICKET_SOURCE_DIR "/../shared/data" : data;
	(void)snprintf(city, sizeof city, "%s/maxmind-test-mmdb/test-data/GeoIP2-City-Test.mmdb",
		       data);
	(void)snprintf(asn, sizeof asn, "%s/maxmind-test-mmdb/test-data/GeoLite2-ASN-Test.mmdb",
		       data);
	if (access(city, R_OK) != 0 || access(asn, R_OK) != 0) {
		printf("SKIP enrichment: no %s\n", city);
		return;
	}
	int descriptor = mkstemps(threats, 4);
	assert(descriptor >= 0);
	(void)close(descriptor);
	write_threats(threats);
	const char *geo_paths[] = {city, asn};
	const char *threat_paths[] = {threats};
	const struct knowledge_options options = {.geo = {geo_paths, 2},
						  .threats = {threat_paths, 1},
						  .ttl_us = (int64_t)30 * 86400 * 1000000};
	struct knowledge *knowledge = NULL;
	struct error err = {0};
	enum status status = knowledge_load(&options, &knowledge, &err);
	(void)unlink(threats);
	if (status == OK)
		status = knowledge_desk_new(&bench->desk, &err);
	assert(status == OK);
	knowledge_desk_put(bench->desk, &knowledge);
	status =
		enricher_new(&(struct enrich_options){.desk = bench->desk}, &bench->enricher, &err);
	assert(status == OK);
}

static void bench_begin(struct bench *bench)
{
	static const struct privacy_policy policy = {.field = {"source.ip", 9},
						     .action = PRIVACY_HMAC};
	const struct privacy_options privacy = {
		.key = TEXT("a key that only measures"), .policies = &policy, .policy_count = 1};
	struct error err = {0};
	bench->arena = arena_new(64 * 1024 * 1024);
	assert(bench->arena != NULL);
	enum status status = formats_new(NULL, 0, &bench->formats, &err);
	struct decoder_options options = {.formats = bench->formats};
	if (status == OK)
		status = decoder_new(&options, &bench->mapping, &err);
	options.format = INPUT_RAW;
	if (status == OK)
		status = decoder_new(&options, &bench->raw, &err);
	if (status == OK)
		status = privacy_new(&privacy, &bench->privacy, &err);
	if (status == OK)
		status = privacy_scratch_new(bench->privacy, &bench->scratch, &err);
	assert(status == OK);
	enricher_begin(bench);
}

static void bench_done(struct bench *bench)
{
	enricher_free(&bench->enricher);
	knowledge_desk_free(&bench->desk);
	privacy_scratch_free(&bench->scratch);
	privacy_free(&bench->privacy);
	decoder_free(&bench->mapping);
	decoder_free(&bench->raw);
	formats_free(&bench->formats);
	arena_free(&bench->arena);
}

int main(int argc, char **argv)
{
	struct bench bench = {.rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 700000};
	struct bytes protobuf cleanup(bytes_done) = {0};
	otlp_as_protobuf(&protobuf);
	const struct sample samples[] = {{"ecs", "ecs", text_of(ecs), 500},
					 {"otlp json", "otlp", text_of(otlp), 500},
					 {"otlp protobuf", "otlp", bytes_text(&protobuf), 500},
					 {"pino", "pino", text_of(pino), 500},
					 {"envoy", "envoy", text_of(envoy), 500},
					 {"cloudtrail", "cloudtrail", text_of(cloudtrail), 1500}};
	bench_begin(&bench);
	printf("%-13s %6s %10s %10s %10s %6s %10s %13s\n", "format", "bytes", "all ns",
	       "without ns", "mapping ns", "bar ns", "privacy ns", "enrichment ns");
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
		if (argc <= 2 || strcmp(argv[2], samples[i].format) == 0)
			report(&bench, &samples[i]);
	bench_done(&bench);
	return EXIT_SUCCESS;
}
