/* bench_decode: records a second and core through decode and normalise, without anything else.
 *
 *     bench_decode [ROUNDS] [FILE]   FILE: NDJSON (default: three made-up shapes of about 700
 * bytes)
 *
 * Prints one line per shape: bytes a record, records a second, megabytes a second. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ingest/decode.h"

#define POD                                                                                   \
	"\"kubernetes\":{\"pod_name\":\"cart-6d4cf56db6-x7k2p\",\"namespace_name\":\"shop\"," \
	"\"labels\":{\"app.kubernetes.io/name\":\"cart\",\"app.kubernetes.io/version\":\"2.0.1\"}}"

static const char *const ecs =
	"{\"@timestamp\":\"2026-11-22T00:00:01.123Z\",\"log.level\":\"info\",\"ecs.version\":\"8.11.0\","
	"\"message\":\"GET /api/v1/tenants/acme/orders/123 finished\",\"service\":{\"name\":\"orders\","
	"\"version\":\"1.42.0\",\"environment\":\"production\",\"node\":{\"name\":\"orders-7f\"}},"
	"\"event\":{\"category\":\"api\",\"action\":\"order.read\",\"outcome\":\"success\","
	"\"duration\":1234567,\"sequence\":991},\"trace\":{\"id\":\"8a11d445b818c83a5f19f95e78495c4a\"},"
	"\"span\":{\"id\":\"f2160f373dca2dad\"},\"user\":{\"id\":\"u-1881\",\"roles\":[\"a\",\"b\"]},"
	"\"source\":{\"ip\":\"203.0.113.9\",\"port\":51234},\"tenant\":{\"id\":\"acme\"},"
	"\"target\":{\"tenant\":{\"id\":\"acme\"}},\"http\":{\"request\":{\"method\":\"GET\"},"
	"\"response\":{\"status_code\":200}},\"url\":{\"path\":\"/api/v1/tenants/acme/orders/123\"}}";

static const char *const pino =
	"{\"level\":30,\"time\":1795305601123,\"pid\":7,\"hostname\":\"orders-7f\",\"req\":{\"id\":991,"
	"\"method\":\"GET\",\"url\":\"/api/v1/tenants/acme/orders/123\",\"headers\":{\"host\":\"orders\","
	"\"user-agent\":\"Mozilla/5.0 (X11; Linux x86_64)\",\"accept\":\"application/json\"},"
	"\"remoteAddress\":\"203.0.113.9\",\"remotePort\":51234},\"res\":{\"statusCode\":200,"
	"\"headers\":{\"content-type\":\"application/json; charset=utf-8\",\"content-length\":\"812\"}},"
	"\"responseTime\":12,\"tenantId\":\"acme\",\"userId\":\"u-1881\",\"service\":\"orders\","
	"\"version\":\"1.42.0\",\"trace_id\":\"8a11d445b818c83a5f19f95e78495c4a\",\"msg\":\"request completed\"}";

static const char *const envelope =
	"{\"log\":\"{\\\"level\\\":30,\\\"time\\\":1795305601123,\\\"pid\\\":7,\\\"hostname\\\":\\\"o\\\","
	"\\\"tenantId\\\":\\\"acme\\\",\\\"userId\\\":\\\"u-1881\\\",\\\"status\\\":200,"
	"\\\"method\\\":\\\"GET\\\",\\\"path\\\":\\\"/api/v1/tenants/acme/orders/123\\\","
	"\\\"trace_id\\\":\\\"8a11d445b818c83a5f19f95e78495c4a\\\",\\\"msg\\\":\\\"request completed\\\"}\\n\","
	"\"stream\":\"stdout\",\"time\":\"2026-11-22T00:00:01.2Z\"," POD "}";

static double now(void)
{
	struct timespec time;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static size_t decode(struct decoder *decoder, struct arena *arena, struct text payload)
{
	const struct origin origin = {.topic = TEXT("bench"), .offset = 1};
	const struct message message = {.record_time_us = 1795305600000000, .payload = payload};
	size_t events = 0;
	bool more = true;
	arena_reset(arena);
	enum status status = decoder_begin(decoder, &message, &origin, arena);
	while (status == OK && more) {
		struct decoded record;
		status = decoder_next(decoder, &record, &more);
		events += status == OK && more && record.why == ACCEPTED;
	}
	assert(status == OK);
	return events;
}

static void report(const char *name, size_t records, size_t bytes, double seconds)
{
	printf("%-10s %5zu B/record %9.0f records/s %7.1f MB/s\n", name, bytes / records,
	       (double)records / seconds, (double)bytes / seconds / 1e6);
}

static void run(struct decoder *decoder, struct arena *arena, const char *name, struct text payload,
		size_t rounds)
{
	double start = now();
	for (size_t i = 0; i < rounds; i++) {
		size_t events = decode(decoder, arena, payload);
		assert(events == 1);
	}
	report(name, rounds, rounds * payload.size, now() - start);
}

static void run_file(struct decoder *decoder, struct arena *arena, const char *path, size_t rounds)
{
	size_t records = 0;
	size_t bytes = 0;
	double seconds = 0;
	char *line = NULL;
	size_t capacity = 0;
	for (size_t i = 0; i < rounds; i++) {
		FILE *file = fopen(path, "r");
		assert(file != NULL);
		for (ssize_t size; (size = getline(&line, &capacity, file)) > 0;) {
			double start = now();
			records += decode(decoder, arena, (struct text){line, (size_t)size});
			seconds += now() - start;
			bytes += (size_t)size;
		}
		(void)fclose(file);
	}
	free(line);
	report("file", records == 0 ? 1 : records, bytes, seconds);
}

int main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 300000;
	struct arena *arena = arena_new(64 * 1024 * 1024);
	struct decoder *decoder = NULL;
	struct error err = {0};
	enum status status = decoder_new(&(struct decoder_options){0}, &decoder, &err);
	assert(arena != NULL && status == OK);
	if (argc > 2) {
		run_file(decoder, arena, argv[2], rounds);
	} else {
		run(decoder, arena, "ecs", text_of(ecs), rounds);
		run(decoder, arena, "pino", text_of(pino), rounds);
		run(decoder, arena, "fluentbit", text_of(envelope), rounds);
	}
	decoder_free(&decoder);
	arena_free(&arena);
	return EXIT_SUCCESS;
}
