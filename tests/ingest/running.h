/* running - the whole daemon engine over files and the in-memory store, for tests: files at random,
 * a run of them, and everything a user could see afterwards.
 *
 * Why: what must not depend on threads, crashes or reloads is compared as sorted lines.
 * Invariant: the files are the same in every run. Owner: the test program. Thread: one. */
#ifndef PICKET_TESTS_INGEST_RUNNING_H
#define PICKET_TESTS_INGEST_RUNNING_H

#include <check.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ingest/runtime.h"
#include "storage/block.h"

enum {
	FILES = 5,
	LINES_PER_FILE = 3000,
	WAIT_MS = 120000,
	AHEAD = 400, /* messages a source hands out beyond those of before the last commit */
};

static const char rules_text[] =
	"title: failed\nname: failed\nlogsource: {product: microservice}\n"
	"detection: {s: {event.outcome: failure}, condition: s}\nlevel: informational\n"
	"---\n"
	"title: many failed\nid: 11111111-1111-4111-8111-111111111111\n"
	"correlation: {type: event_count, rules: [failed], group-by: [user.id], timespan: 30s,\n"
	"              condition: {gte: 4}}\nlevel: high\n"
	"---\n"
	"title: chained\nid: 22222222-2222-4222-8222-222222222222\nname: chained\n"
	"correlation: {type: event_count, rules: [11111111-1111-4111-8111-111111111111],\n"
	"              group-by: [user.id], timespan: 2m, condition: {gte: 6}, generate: true}\nlevel: critical\n"
	"---\n"
	"title: server error\nid: 33333333-3333-4333-8333-333333333333\n"
	"logsource: {product: microservice}\n"
	"detection: {s: {http.response.status_code|gte: 500}, condition: s}\nlevel: low\n"
	"---\n"
	"title: fell silent\nid: aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa\n"
	"correlation: {type: absence, rules: [failed], group-by: [user.id], timespan: 3s}\n"
	"level: high\n"
	"---\n"
	"title: gives up\nid: 44444444-4444-4444-8444-444444444444\n"
	"logsource: {product: microservice}\n"
	"detection: {s: {note|re: '^(a+)+(?=b)'}, condition: s}\nlevel: low\n";

static char folder[] = "/tmp/picket-runtime-XXXXXX";
static char paths[FILES][64];
static const char *path_list[FILES];
static struct ruleset *ruleset;
static struct enrich_options enrichment; /* of every run; nothing unless a test sets it */
static bool rebuilds;                    /* damaged state is made anew; in every run */

static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline void write_line(FILE *file, uint64_t *seed, int64_t second)
{
	uint64_t dice = next_random(seed);
	if (dice % 97 == 0) {
		(void)fputs("{\"broken\": \n", file);
		return;
	}
	int64_t shift = (int64_t)(dice / 97 % 7); /* disorder well within the lateness */
	char time[32];
	(void)time_print((1700000000 + second - shift) * 1000000, time);
	const char *note = dice % 997 < 3 ? "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!" : "";
	unsigned user = (unsigned)(dice >> 20) % 9;
	bool failure = (dice >> 32) % 4 == 0;
	unsigned status = (dice >> 40) % 50 == 0 ? 503 : 200;
	(void)fprintf(
		file,
		"{\"@timestamp\":\"%s\",\"service\":{\"name\":\"svc%u\",\"version\":\"%u\"},"
		"\"user.id\":\"u%u\",\"tenant.id\":\"t%u\",\"event.outcome\":\"%s\","
		"\"http.response.status_code\":%u,\"source.ip\":\"10.0.0.%u\",\"note\":\"%s\"}\n",
		time, (unsigned)(dice >> 44) % 2, (unsigned)(dice >> 46) % 2, user, user % 3,
		failure ? "failure" : "success", status, user, note);
}

static inline void write_files(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	uint64_t seed = 0x9e3779b97f4a7c15;
	for (int i = 0; i < FILES; i++) {
		(void)snprintf(paths[i], sizeof paths[i], "%s/%d.ndjson", folder, i);
		path_list[i] = paths[i];
		FILE *file = fopen(paths[i], "w");
		ck_assert_ptr_nonnull(file);
		for (int line = 0; line < LINES_PER_FILE; line++)
			write_line(file, &seed, line);
		(void)fclose(file);
	}
}

static inline void remove_files(void)
{
	for (int i = 0; i < FILES; i++)
		(void)unlink(paths[i]);
	(void)rmdir(folder);
}

static inline int64_t now_us(void *context)
{
	(void)context;
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The files, but never far ahead of what is committed, and no further than `held_at` while `held`:
 * however slow the machine, a run has many epochs, and what is to happen in the middle of it does.
 */
struct paced_source {
	struct source source;
	struct source *files;
	atomic_size_t handed, allowed; /* messages */
};

static atomic_bool held;
static atomic_size_t held_at, handed_by_all;

static inline enum status paced_poll(struct source *base, int timeout_ms, size_t message_max,
				     struct source_batch *ret_batch, struct error *err)
{
	struct paced_source *paced = (struct paced_source *)base;
	size_t handed = atomic_load(&paced->handed);
	size_t allowed = atomic_load(&paced->allowed);
	if (handed >= allowed || (atomic_load(&held) && handed_by_all >= held_at)) {
		(void)poll(NULL, 0, 1);
		*ret_batch = (struct source_batch){0};
		return OK;
	}
	size_t most = allowed - handed < message_max ? allowed - handed : message_max;
	enum status status = paced->files->ops->poll(paced->files, timeout_ms,
						     most < 100 ? most : 100, ret_batch, err);
	if (status == OK) {
		atomic_fetch_add(&paced->handed, ret_batch->message_count);
		atomic_fetch_add(&handed_by_all, ret_batch->message_count);
	}
	return status;
}

static inline void paced_committed(struct source *base, uint32_t stream, int64_t next_offset)
{
	struct paced_source *paced = (struct paced_source *)base;
	paced->files->ops->committed(paced->files, stream, next_offset);
	atomic_store(&paced->allowed, atomic_load(&paced->handed) + AHEAD);
}

static inline struct source_lag paced_lag(struct source *base, uint32_t stream)
{
	struct paced_source *paced = (struct paced_source *)base;
	return paced->files->ops->lag(paced->files, stream);
}

static inline void paced_free(struct source *base)
{
	struct paced_source *paced = (struct paced_source *)base;
	source_free(&paced->files);
	free(paced);
}

static inline enum status make_source(void *context, const struct source_start *start,
				      struct source **ret_source, struct error *err)
{
	static const struct source_ops ops = {paced_poll, paced_committed, paced_lag, paced_free,
					      false};
	(void)context;
	struct file_options files = {path_list, FILES};
	struct paced_source *paced = calloc(1, sizeof *paced);
	ck_assert_ptr_nonnull(paced);
	paced->source.ops = &ops;
	atomic_store(&paced->allowed, AHEAD);
	*ret_source = &paced->source;
	enum status status = source_file_new(&files, start, &paced->files, err);
	if (status != OK)
		source_free(ret_source);
	return status;
}

static inline struct store *new_store(void)
{
	struct store *store = NULL;
	struct error err = {0};
	ck_assert_int_eq(store_open_memory(&store, &err), OK);
	struct identity_row identity = {.hash_key = "sixteen bytes ok"};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	identity_key(&key);
	identity_encode(&identity, &value);
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	store_batch_put(batch, FAMILY_POSITION, bytes_text(&key), bytes_text(&value));
	ck_assert_int_eq(store_batch_commit(batch, false, &err), OK);
	return store;
}

/* What run_with() fills in when the run is over; NULL: nothing. */
static struct run_end {
	struct rule_tallies tallies;
	uint64_t alerts_opened;
} * run_end;

/* Groups are those of the last checkpoint: that of the end comes a few milliseconds behind it. */
static inline bool run_end_take(struct runtime *runtime, const struct runtime_status *now)
{
	uint64_t groups = 0;
	if (run_end == NULL)
		return true;
	rule_tallies_done(&run_end->tallies);
	run_end->alerts_opened = now->alerts_opened;
	ck_assert_int_eq(runtime_rule_tallies(runtime, &run_end->tallies), OK);
	for (size_t i = 0; i < run_end->tallies.count; i++)
		groups += run_end->tallies.items[i].groups;
	return groups == 0 || now->state == RUNTIME_FAILED;
}

static inline enum status run_begin(struct store *store, unsigned workers, unsigned actors,
				    struct runtime **ret_runtime, struct error *err)
{
	const struct runtime_options options = {
		.store = store,
		.ruleset = ruleset,
		.source = {make_source, NULL},
		.decoder = {.time_trusted = true},
		.enrich = enrichment,
		.clock = {now_us, NULL},
		.worker_count = workers,
		.actor_count = actors,
		.epoch_ms = 1,
		.checkpoint_ms = 7,
		.rebuild_damaged = rebuilds,
	};
	return runtime_new(&options, ret_runtime, err);
}

/* Runs until the files are read or a commit fails; returns how it ended. meanwhile is called about
 * every millisecond, unless it is NULL. */
static inline enum runtime_state run_with(struct store *store, unsigned workers, unsigned actors,
					  void (*meanwhile)(struct runtime *runtime))
{
	struct runtime *runtime cleanup(runtime_free) = NULL;
	struct error err = {0};
	enum status status = run_begin(store, workers, actors, &runtime, &err);
	ck_assert_msg(status == OK, "%s", err.text);
	for (int waited = 0; waited < WAIT_MS; waited++) {
		struct runtime_status now cleanup(runtime_status_done) = {0};
		ck_assert_int_eq(runtime_status(runtime, &now), OK);
		if (now.state != RUNTIME_RUNNING && run_end_take(runtime, &now))
			return now.state;
		if (meanwhile != NULL)
			meanwhile(runtime);
		(void)poll(NULL, 0, 1);
	}
	ck_abort_msg("the files were not read in time");
	return RUNTIME_FAILED;
}

static inline enum runtime_state run(struct store *store, unsigned workers, unsigned actors)
{
	return run_with(store, workers, actors, NULL);
}

struct lines {
	char **items;
	size_t count;
};

static inline void lines_add(struct lines *lines, const struct bytes *line)
{
	lines->items = realloc(lines->items, (lines->count + 1) * sizeof *lines->items);
	ck_assert_ptr_nonnull(lines->items);
	lines->items[lines->count++] = strndup((const char *)line->data, line->size);
}

static inline int line_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline void lines_free(struct lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		free(lines->items[i]);
	free(lines->items);
}

__attribute__((format(printf, 2, 3))) static inline void put_format(struct bytes *to,
								    const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	int size = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	bytes_put(to, text, (size_t)size);
}

static inline void collect_block(struct lines *lines, struct text key, struct text value)
{
	struct block_reader *reader cleanup(block_reader_free) = NULL;
	struct arena *arena cleanup(arena_free) = arena_new(1 << 24);
	struct error err = {0};
	ck_assert_int_eq(block_open(key, value, &reader, &err), OK);
	for (bool more = true; more;) {
		struct event event = {0};
		struct bytes line cleanup(bytes_done) = {0};
		ck_assert_int_eq(block_next(reader, arena, &event, &more, &err), OK);
		if (!more)
			break;
		put_format(&line, "event %.*s %lld %u ", TEXT_ARG(event.origin.topic),
			   (long long)event.origin.offset, event.origin.index);
		event_json(&event, &line);
		lines_add(lines, &line);
	}
}

static inline void collect_alert(struct lines *lines, struct text value)
{
	struct alert alert = {0};
	struct error err = {0};
	struct bytes line cleanup(bytes_done) = {0};
	ck_assert_int_eq(alert_decode(value, &alert, &err), OK);
	if (alert.state == ALERT_MERGED)
		return;
	ck_assert_int_eq(alert.state, ALERT_ENDED);
	put_format(&line, "alert %.*s tenant %.*s ", TEXT_ARG(alert.rule_key),
		   TEXT_ARG(alert.tenant));
	json_put_string(&line, alert.group);
	put_format(&line, " %lld..%lld count %llu level %d", (long long)alert.first_us,
		   (long long)alert.last_us, (unsigned long long)alert.count, alert.level);
	lines_add(lines, &line);
}

static inline void collect_family(struct lines *lines, struct store *store,
				  enum store_family family)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct error err = {0};
	struct text prefix = family == FAMILY_REGISTRY ? TEXT("b") : TEXT("");
	ck_assert_int_eq(store_scan_new(store, family, prefix, prefix, &scan, &err), OK);
	struct text key = {0};
	struct text value = {0};
	while (store_scan_next(scan, &key, &value)) {
		struct bytes line cleanup(bytes_done) = {0};
		if (family == FAMILY_EPOCH) {
			collect_block(lines, key, value);
		} else if (family == FAMILY_ALERT) {
			collect_alert(lines, value);
		} else {
			put_format(&line, "%s ", family == FAMILY_REGISTRY ? "bucket" : "reject");
			json_put_string(&line, key);
			if (family == FAMILY_REGISTRY)
				json_put_string(&line, value);
			lines_add(lines, &line);
		}
	}
	ck_assert_int_eq(store_scan_status(scan, &err), OK);
}

/* Everything a user could see, one sorted line each. */
static inline struct lines collect(struct store *store)
{
	struct lines lines = {0};
	collect_family(&lines, store, FAMILY_EPOCH);
	collect_family(&lines, store, FAMILY_QUARANTINE);
	collect_family(&lines, store, FAMILY_ALERT);
	collect_family(&lines, store, FAMILY_REGISTRY);
	qsort(lines.items, lines.count, sizeof *lines.items, line_compare);
	return lines;
}

static inline void assert_same(const struct lines *expected, const struct lines *got,
			       const char *what)
{
	for (size_t i = 0; i < expected->count && i < got->count; i++)
		ck_assert_msg(strcmp(expected->items[i], got->items[i]) == 0,
			      "%s: expected\n%s\ngot\n%s", what, expected->items[i], got->items[i]);
	ck_assert_msg(expected->count == got->count, "%s: expected %zu lines, got %zu", what,
		      expected->count, got->count);
}

static inline struct lines run_reference(void)
{
	struct store *store cleanup(store_free) = new_store();
	ck_assert_int_eq(run(store, 1, 1), RUNTIME_FINISHED);
	return collect(store);
}

static inline unsigned count_prefix(const struct lines *lines, const char *prefix)
{
	unsigned count = 0;
	for (size_t i = 0; i < lines->count; i++)
		count += strncmp(lines->items[i], prefix, strlen(prefix)) == 0;
	return count;
}

/* Runs the tests of a case over the files; the rules are rules_text. */
static inline int running_main(TCase *tests)
{
	struct error err = {0};
	struct ruleset_options options = {0};
	if (ruleset_parse(&options, text_of(rules_text), "test", &ruleset, &err) != OK) {
		(void)fprintf(stderr, "%u:%u: %s\n", err.line, err.column, err.text);
		return EXIT_FAILURE;
	}
	Suite *suite = suite_create("runtime");
	tcase_add_unchecked_fixture(tests, write_files, remove_files);
	tcase_set_timeout(tests, 600);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	ruleset_free(&ruleset);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
