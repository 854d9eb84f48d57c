/* bench_geo FILE.mmdb...: what GeoIP databases of full size cost. The time to open them (which
 * reads every node and record), the memory they take, a look-up of an address that was never asked
 * for and of one that comes again, and what a worker notices when all of them are exchanged under
 * it. */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ingest/lookup_private.h"

enum { LOOKUPS = 1000000, AGAIN = 512, EXCHANGES = 3 };

static double seconds(clockid_t clock)
{
	struct timespec time;
	(void)clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double resident_mib(void)
{
	long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	assert(file != NULL);
	int got = fscanf(file, "%*d %ld", &pages);
	assert(got == 1);
	(void)fclose(file);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static struct knowledge *load(const struct knowledge_options *options)
{
	struct knowledge *knowledge = NULL;
	struct error err = {0};
	if (knowledge_load(options, &knowledge, &err) != OK) {
		(void)fprintf(stderr, "bench_geo: %s\n", err.text);
		exit(EXIT_FAILURE);
	}
	return knowledge;
}

enum { WRITTEN_BYTES = 16 };

/* Any addresses of IPv4 but those of multicast and above; an LCG, so that every run asks the same.
 */
static char (*write_addresses(void))[WRITTEN_BYTES]
{
	char(*written)[WRITTEN_BYTES] = calloc(LOOKUPS, WRITTEN_BYTES);
	uint64_t state = 1;
	assert(written != NULL);
	for (size_t i = 0; i < LOOKUPS; i++) {
		state = state * 6364136223846793005U + 1442695040888963407U;
		uint32_t address = (uint32_t)(state >> 32) % 0xe0000000U;
		(void)snprintf(written[i], WRITTEN_BYTES, "%u.%u.%u.%u", address >> 24,
			       address >> 16 & 255, address >> 8 & 255, address & 255);
	}
	return written;
}

/* One event with a source address; true when it got a place. */
static bool look_up(struct lookup *lookup, struct arena *arena, const char *written)
{
	struct lookup_counts counts = {0};
	struct event event = {0};
	const struct value value = {.type = VALUE_STRING, .text = text_of(written)};
	arena_reset(arena);
	lookup_refresh(lookup);
	enum status status = event_add_known(&event, arena, FIELD_SOURCE_IP, value);
	if (status == OK)
		status = lookup_event(lookup, arena, &event, &counts);
	assert(status == OK);
	return counts.places > 0;
}

/* Nanoseconds of one event, `distinct` addresses in turn. */
static void measure(struct lookup *lookup, struct arena *arena, char (*written)[WRITTEN_BYTES],
		    const char *what, size_t distinct)
{
	size_t placed = 0;
	double start = seconds(CLOCK_THREAD_CPUTIME_ID);
	for (size_t i = 0; i < LOOKUPS; i++)
		placed += look_up(lookup, arena, written[i % distinct]);
	double spent = seconds(CLOCK_THREAD_CPUTIME_ID) - start;
	printf("%-34s %8.0f ns/event, %.0f %% placed\n", what, spent * 1e9 / LOOKUPS,
	       100.0 * (double)placed / LOOKUPS);
}

struct exchange {
	const struct knowledge_options *options;
	struct knowledge_desk *desk;
	atomic_bool done;
};

static void *exchange(void *context)
{
	struct exchange *all = context;
	for (int i = 0; i < EXCHANGES; i++) {
		struct knowledge *fresh = load(all->options);
		knowledge_desk_put(all->desk, &fresh);
	}
	atomic_store(&all->done, true);
	return NULL;
}

static void measure_exchange(struct lookup *lookup, struct arena *arena,
			     char (*written)[WRITTEN_BYTES], struct exchange *all)
{
	pthread_t thread;
	uint64_t events = 0;
	double worst = 0;
	int failed = pthread_create(&thread, NULL, exchange, all);
	assert(failed == 0);
	for (; !atomic_load(&all->done); events++) {
		double start = seconds(CLOCK_THREAD_CPUTIME_ID);
		(void)look_up(lookup, arena, written[events % LOOKUPS]);
		double spent = seconds(CLOCK_THREAD_CPUTIME_ID) - start;
		worst = spent > worst ? spent : worst;
	}
	failed = pthread_join(thread, NULL);
	assert(failed == 0);
	printf("exchanged %d times while %llu events went by; the longest of them %.2f ms of CPU\n",
	       EXCHANGES, (unsigned long long)events, worst * 1e3);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		printf("SKIP geo: no database (name them: bench_geo FILE.mmdb...)\n");
		return EXIT_SUCCESS;
	}
	const struct knowledge_options options = {
		.geo = {(const char *const *)argv + 1, (size_t)argc - 1}};
	struct error err = {0};
	struct exchange all = {.options = &options};
	struct lookup *lookup = NULL;
	struct arena *arena = arena_new(1 << 20);
	double before = resident_mib();
	double start = seconds(CLOCK_PROCESS_CPUTIME_ID);
	struct knowledge *knowledge = load(&options);
	printf("%d databases opened in %.2f s of CPU, %.0f MiB resident\n", argc - 1,
	       seconds(CLOCK_PROCESS_CPUTIME_ID) - start, resident_mib() - before);
	enum status status = knowledge_desk_new(&all.desk, &err);
	if (status == OK)
		status = lookup_new(all.desk, &lookup, &err);
	assert(status == OK && arena != NULL);
	knowledge_desk_put(all.desk, &knowledge);
	char(*written)[WRITTEN_BYTES] = write_addresses();
	measure(lookup, arena, written, "an address that is new", LOOKUPS);
	measure(lookup, arena, written, "an address that comes again", AGAIN);
	measure_exchange(lookup, arena, written, &all);
	free(written);
	lookup_free(&lookup);
	knowledge_desk_free(&all.desk);
	arena_free(&arena);
	return EXIT_SUCCESS;
}
