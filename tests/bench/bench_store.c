/* What storing and searching costs: bench_store COUNT FOLDER [events|rows|merge|ask|json]...
 *
 * Events are made here (names, shares and ranges of events.py), so that decoding is not in the
 * figures. "events" writes one key per event (JSON, LZ4), "rows" the blocks of epochs, "merge"
 * merges what rows has written, "ask" asks some questions of a store that is there, "json" writes
 * the same events to standard output, for others to store (peers.py). CPU is of the whole process,
 * RocksDB's threads included, without what this thread spends on making events. Bytes are those of
 * the folder after the memtables were flushed by closing it. A question is asked cold first: the
 * store was closed, the kernel has dropped its files from the page cache, and it was opened again;
 * then twice more. */
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "storage/merge.h"
#include "storage/search.h"

enum { EPOCH_EVENTS = 4096, TENANTS = 400, USERS = 20000 };

static uint64_t seed = 7;

static uint64_t random_next(void)
{
	uint64_t z = (seed += 0x9e3779b97f4a7c15ull);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static unsigned below(unsigned limit)
{
	return (unsigned)(random_next() % limit);
}

static double seconds(clockid_t clock)
{
	struct timespec now;
	int failed = clock_gettime(clock, &now);
	assert(failed == 0);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* random.paretovariate(0.8), without the mathematics: u^(-1/0.8) by repeated square roots. */
static unsigned pareto(void)
{
	double u = ((double)below(1u << 30) + 1) / (1u << 30);
	double quarter = 1 / u; /* u^-1 */
	double root = quarter;
	for (int i = 0; i < 20; i++) /* u^-1/4: two square roots of 1/u, by Newton */
		root = (root + quarter / root) / 2;
	double second = root;
	for (int i = 0; i < 20; i++)
		second = (second + root / second) / 2;
	double value = quarter * second;
	return value > 1e9 ? 0 : (unsigned)value % USERS;
}

static void add(struct event *event, struct arena *arena, const char *name, struct text text)
{
	enum status status = event_add(event, arena, text_of(name),
				       (struct value){.type = VALUE_STRING, .text = text});
	assert(status == OK);
}

static void add_number(struct event *event, struct arena *arena, const char *name, int64_t number)
{
	enum status status =
		event_add(event, arena, text_of(name),
			  (struct value){.type = VALUE_INTEGER,
					 .integer = number,
					 .text = arena_print(arena, "%" PRId64, number)});
	assert(status == OK);
}

static int64_t time_of(uint64_t i)
{
	return 1787310000000000 + (int64_t)(i / 3) * 1000;
}

static const char *const services[] = {"payments", "sessions", "catalog", "orders", "users",
				       "search",   "billing",  "gateway", "notify", "tokens"};
static const char *const actions[] = {
	"login",  "token.issue", "token.refresh", "read",          "write",
	"delete", "list",        "policy.check",  "mfa.challenge", "health"};
static const unsigned weights[] = {8, 14, 22, 52, 67, 69, 89, 97, 99, 100};
static const char *const routes[] = {
	"/v1/sessions", "/v1/tokens", "/v1/orders/%u", "/v1/users/%u", "/v1/tenants/%u/invoices",
	"/healthz",     "/v1/search"};
static const char *const agents[] = {
	("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
	 "Chrome/126.0 Safari/537.36"),
	"okhttp/4.12.0", "Go-http-client/2.0", "python-requests/2.32.3"};
static const unsigned statuses[] = {401, 403, 404, 500};
static const unsigned networks[] = {10, 52, 81, 203};

static struct event make(struct arena *arena, uint64_t i)
{
	char time[32];
	unsigned weight = below(100);
	unsigned action = 0;
	while (weights[action] <= weight)
		action++;
	bool good = below(100) >= 6;
	bool login = action < 3 || action == 8;
	unsigned user = pareto();
	unsigned service = below(40);
	struct text tenant = arena_print(arena, "t-%04u", user % TENANTS);
	struct text path = arena_print(arena, routes[below(7)], 1 + below(50000));
	struct event event = {
		.time_us = time_of(i), .origin = {TEXT("logs"), 0, 0, (int64_t)i}, .owner = tenant};
	event.record_time_us = event.time_us;
	add(&event, arena, "@timestamp", arena_copy(arena, time_print(event.time_us, time)));
	add(&event, arena, "ecs.version", TEXT("8.11.0"));
	add(&event, arena, "log.level", good ? TEXT("info") : TEXT("warn"));
	add(&event, arena, "service.name",
	    arena_print(arena, "svc-%02u-%s", service, services[service % 10]));
	add(&event, arena, "service.version",
	    arena_print(arena, "1.%u.%u", 1 + below(4), below(10)));
	add(&event, arena, "service.node.name", arena_print(arena, "pod-%u", below(6)));
	add(&event, arena, "event.action", text_of(actions[action]));
	add(&event, arena, "event.category", login ? TEXT("authentication") : TEXT("web"));
	add(&event, arena, "event.outcome", good ? TEXT("success") : TEXT("failure"));
	add_number(&event, arena, "event.duration", (int64_t)(below(100) * below(400)) * 1000);
	add(&event, arena, "user.id", arena_print(arena, "u-%05u", user));
	add(&event, arena, "tenant.id", tenant);
	add(&event, arena, "target.tenant.id", tenant);
	add(&event, arena, "source.ip",
	    arena_print(arena, "%u.%u.%u.%u", networks[below(4)], below(256), below(256),
			1 + below(254)));
	add_number(&event, arena, "source.port", 1025 + below(63975));
	add(&event, arena, "http.request.method",
	    below(3) == 0   ? TEXT("GET")
	    : below(2) == 0 ? TEXT("POST")
			    : TEXT("PUT"));
	add_number(&event, arena, "http.response.status_code", good ? 200 : statuses[below(4)]);
	add(&event, arena, "url.path", path);
	add(&event, arena, "user_agent.original", text_of(agents[below(4)]));
	add(&event, arena, "trace.id",
	    arena_print(arena, "%016" PRIx64 "%016" PRIx64, random_next(), random_next()));
	add(&event, arena, "span.id", arena_print(arena, "%016" PRIx64, random_next()));
	add(&event, arena, "message",
	    arena_print(arena, "%s %s %.*s in %u us", actions[action], good ? "ok" : "failed",
			TEXT_ARG(path), 100 + below(90000)));
	return event;
}

static struct store *open_store(const char *folder)
{
	struct error err = {0};
	struct store *store = NULL;
	enum status status =
		store_open(&(struct store_options){.path = folder, .create = true}, &store, &err);
	if (status != OK)
		(void)fprintf(stderr, "%s\n", err.text);
	assert(status == OK);
	return store;
}

static void commit(struct store_batch *batch)
{
	struct error err = {0};
	enum status status = store_batch_commit(batch, false, &err);
	if (status != OK)
		(void)fprintf(stderr, "%s\n", err.text);
	assert(status == OK);
}

static void finish_block(struct block_builder *builder, struct store_batch *batch)
{
	struct error err = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes row cleanup(bytes_done) = {0};
	struct block_meta meta;
	enum status status = block_finish(builder, &block, &meta, &err);
	assert(status == OK);
	block_key(TEXT("logs"), 0, meta.first_offset, meta.first_index, &key);
	block_meta_encode(&meta, &row);
	store_batch_put(batch, FAMILY_EPOCH, bytes_text(&key), bytes_text(&block));
	store_batch_put(batch, FAMILY_BLOCKMETA, bytes_text(&key), bytes_text(&row));
	commit(batch);
}

static void put_event(struct store_batch *batch, const struct event *event)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes json cleanup(bytes_done) = {0};
	block_key(TEXT("logs"), 0, event->origin.offset, 0, &key);
	event_json(event, &json);
	store_batch_put(batch, FAMILY_QUARANTINE, bytes_text(&key), bytes_text(&json));
}

/* Returns the CPU seconds that went into making the events. */
static double write_events(struct store *store, uint64_t count, bool one_key_each)
{
	static struct event events[EPOCH_EVENTS];
	struct arena *arena cleanup(arena_free) = arena_new(1 << 30);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	double making = 0;
	for (uint64_t done = 0; done < count;) {
		double begin = seconds(CLOCK_THREAD_CPUTIME_ID);
		size_t size = count - done < EPOCH_EVENTS ? count - done : EPOCH_EVENTS;
		arena_reset(arena);
		for (size_t i = 0; i < size; i++)
			events[i] = make(arena, done + i);
		making += seconds(CLOCK_THREAD_CPUTIME_ID) - begin;
		for (size_t i = 0; i < size; i++) {
			if (one_key_each)
				put_event(batch, &events[i]);
			else if (block_add(builder, &events[i]) != OK)
				assert(false && "an epoch's block is full");
		}
		if (one_key_each)
			commit(batch);
		else
			finish_block(builder, batch);
		done += size;
	}
	return making;
}

static void write_json(uint64_t count)
{
	struct arena *arena = arena_new(1 << 30);
	struct bytes json = {0};
	for (uint64_t i = 0; i < count; i++) {
		struct event event = make(arena, i);
		bytes_clear(&json);
		event_json(&event, &json);
		bytes_put_u8(&json, '\n');
		size_t put = fwrite(json.data, 1, json.size, stdout);
		assert(put == json.size);
		if (i % EPOCH_EVENTS == 0)
			arena_reset(arena);
	}
	bytes_done(&json);
	arena_free(&arena);
}

/* Has the kernel drop what it holds of the folder's files. */
static void forget(const char *path)
{
	DIR *folder = opendir(path);
	assert(folder != NULL);
	for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		int file = openat(dirfd(folder), entry->d_name, O_RDONLY);
		if (file < 0)
			continue;
		(void)fdatasync(file);
		(void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
		(void)close(file);
	}
	(void)closedir(folder);
}

struct question {
	const char *query, *tenant; /* NULL: all tenants */
	int64_t since_us;
	enum search_order order;
	size_t limit;
};

static void answer(struct store *store, const struct question *question,
		   struct search_result *ret_result)
{
	struct error err = {0};
	struct query query;
	struct arena *arena = arena_new(1 << 24);
	enum status status = query_parse(text_of(question->query), arena, &query, &err);
	assert(status == OK);
	struct search_options options = {
		.store = store,
		.query = &query,
		.scoped = question->tenant != NULL,
		.tenant = text_of(question->tenant),
		.since_us = question->since_us,
		.until_us = INT64_MAX,
		.place = {.partition = -1, .last_offset = INT64_MAX, .index = -1},
		.order = question->order,
		.limit = question->limit,
	};
	status = search_run(&options, ret_result, &err);
	assert(status == OK && ret_result->report.complete);
	arena_free(&arena);
}

static void ask(const char *folder, const char *words, const char *tenant)
{
	static const char *const names[] = {"cold", "again", "again"};
	const struct question question = {words, tenant, INT64_MIN, SEARCH_NEWEST, 100};
	forget(folder);
	struct store *store = open_store(folder);
	for (int turn = 0; turn < 3; turn++) {
		struct search_result result;
		double begin = seconds(CLOCK_MONOTONIC);
		double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
		answer(store, &question, &result);
		printf("%-46s %-6s %-5s %8.1f ms %8.1f ms CPU  %" PRIu64 " matched, %" PRIu64
		       " of %" PRIu64 " blocks, %.1f MiB\n",
		       words, tenant == NULL ? "all" : tenant, names[turn],
		       (seconds(CLOCK_MONOTONIC) - begin) * 1e3,
		       (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e3, result.report.matched,
		       result.report.opened, result.report.blocks,
		       (double)result.report.bytes_read / (1 << 20));
		search_result_done(&result);
	}
	store_free(&store);
}

static void merge(struct store *store, uint64_t count)
{
	struct error err = {0};
	struct merge_report report = {0};
	double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	enum status status = merge_all(store, NULL, NULL, &report, &err);
	assert(status == OK);
	printf("merging: %.2f us CPU an event, %" PRIu64 " blocks read, %" PRIu64
	       " written, each event %.2f times\n",
	       (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e6 / (double)count, report.blocks_read,
	       report.blocks_written, (double)report.events / (double)count);
}

static void write_all(struct store *store, uint64_t count, const char *what)
{
	double begin = seconds(CLOCK_PROCESS_CPUTIME_ID);
	double making = write_events(store, count, strcmp(what, "events") == 0);
	double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - begin - making;
	printf("%s: %.2f us CPU an event, beside %.2f us to make it\n", what,
	       cpu * 1e6 / (double)count, making * 1e6 / (double)count);
}

/* The trace id of the first event from the middle of the time on. */
static void trace_in_the_middle(const char *folder, uint64_t count, char to[static 64])
{
	const char *key = "\"trace.id\":\"";
	const struct question question = {"*", NULL, time_of(count / 2), SEARCH_OLDEST, 1};
	struct search_result result;
	struct store *store = open_store(folder);
	answer(store, &question, &result);
	assert(result.hit_count == 1);
	const char *at = strstr(result.hits[0].json.data, key);
	(void)snprintf(to, 64, "trace.id: %.32s", at == NULL ? "" : at + strlen(key));
	search_result_done(&result);
	store_free(&store);
}

static void ask_all(const char *folder, uint64_t count)
{
	char needle[64];
	trace_in_the_middle(folder, count, needle);
	ask(folder, needle, NULL);
	ask(folder, "trace.id: 00112233445566778899aabbccddeeff", NULL);
	ask(folder, "trace.id: 00112233445566778899aabbccddeeff", "t-0001");
	ask(folder, "user.id: u-00401", "t-0001");
	ask(folder, "| count by event.action over 1h", NULL);
	ask(folder, "message: *failed*/v1/orders/1234*", NULL);
	ask(folder, "*failed*/v1/orders/1234*", NULL);
}

static void say_bytes(const char *folder, uint64_t count)
{
	struct store *store = open_store(folder);
	const struct retention_rules none = {0};
	struct retention_drop drop;
	struct error err = {0};
	uint64_t bytes = 0;
	enum status status = retention_plan(store, &none, 0, &drop, &bytes, &err);
	assert(status == OK);
	printf("on disk: %.1f bytes an event; keys and values of merged blocks, blooms included, "
	       "without summaries: %.1f\n",
	       (double)store_bytes(store) / (double)count, (double)bytes / (double)count);
	store_free(&store);
}

static void run(const char *what, uint64_t count, const char *folder)
{
	if (strcmp(what, "json") == 0) {
		write_json(count);
		return;
	}
	if (strcmp(what, "ask") == 0) {
		ask_all(folder, count);
		return;
	}
	struct store *store = open_store(folder);
	if (strcmp(what, "merge") == 0)
		merge(store, count);
	else
		write_all(store, count, what);
	store_free(&store);
	say_bytes(folder, count);
}

int main(int argc, char **argv)
{
	static const char *const known[] = {"events", "rows", "merge", "ask", "json"};
	size_t good = 0;
	for (int i = 3; i < argc; i++)
		for (size_t k = 0; k < sizeof known / sizeof *known; k++)
			good += strcmp(argv[i], known[k]) == 0;
	if (argc < 4 || good != (size_t)argc - 3) {
		(void)fprintf(stderr, "bench_store COUNT FOLDER [events|rows|merge|ask|json]...\n");
		return 64;
	}
	uint64_t count = strtoull(argv[1], NULL, 10);
	for (int i = 3; i < argc; i++)
		run(argv[i], count, argv[2]);
	struct rusage usage;
	(void)getrusage(RUSAGE_SELF, &usage);
	(void)fprintf(stderr, "peak memory: %.0f MiB\n", (double)usage.ru_maxrss / 1024);
	return 0;
}
