/* bench_rules: time for one event in the matcher alone, for growing rule sets.
 *
 *     bench_rules FOLDER [CATEGORY/PRODUCT/SERVICE FILE]...
 *
 * FOLDER holds Sigma rules, e.g. a checkout of SigmaHQ's repository; each FILE is NDJSON of events
 * of one log source (tests/bench/lanes.py), of which the first are used. A lane of a few made-up
 * events of six log sources is always measured.
 *
 * All rules are loaded first (how long does a reload take, how much memory does it need?). Then
 * each lane meets 10 to 10,000 of them, taken evenly from the whole, so that the mix of log sources
 * stays the same. When there are not so many, copies follow: renamed ones, which compare what their
 * originals do, and, in a row of its own, copies that each exclude one more thing, so that none is
 * like any other. With routing the rules' log sources are looked at; without, every rule is a
 * candidate for every event. CPU time of the process; the fastest of some rounds. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "ingest/decode.h"
#include "rules/program_private.h"

enum { EVENTS = 6, PAIRS_MAX = 12, LANE_EVENTS_MAX = 4000, ARENA_BYTES = 1 << 30 };

struct pair {
	const char *name;
	const char *value;
};

struct sample {
	const char *name;
	const char *category, *product, *service;
	struct pair pairs[PAIRS_MAX];
};

static const struct sample samples[EVENTS] = {
	{"process_creation",
	 "process_creation",
	 "windows",
	 "",
	 {{"Image", "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"},
	  {"CommandLine", "powershell.exe -NoProfile -ExecutionPolicy Bypass -File "
			  "C:\\ProgramData\\scripts\\inventory.ps1 -Site 42"},
	  {"ParentImage", "C:\\Windows\\System32\\svchost.exe"},
	  {"ParentCommandLine", "C:\\Windows\\system32\\svchost.exe -k netsvcs -p -s Schedule"},
	  {"OriginalFileName", "PowerShell.EXE"},
	  {"Hashes", "SHA1=F43D9BB316E30AE1A3494AC5B0624F6BEA1BF054,"
		     "MD5=04029E121A0CFA5991749937DD22A1D9,"
		     "SHA256=9F914D42706FE215501044ACD85A32D58AAEF1419D404FDDFA5D3B48F66CCD9F,"
		     "IMPHASH=7C955A0ABC747F57CCC4324480737EF7"},
	  {"IntegrityLevel", "System"},
	  {"CurrentDirectory", "C:\\Windows\\system32\\"},
	  {"User", "CORP\\alice"},
	  {"Product", "Microsoft Windows Operating System"},
	  {"Description", "Windows PowerShell"},
	  {"Company", "Microsoft Corporation"}}},
	{"registry_set",
	 "registry_set",
	 "windows",
	 "",
	 {{"TargetObject", "HKLM\\System\\CurrentControlSet\\Services\\bam\\State\\S-1-5-21\\x"},
	  {"Details", "Binary Data"},
	  {"Image", "C:\\Windows\\system32\\svchost.exe"},
	  {"EventType", "SetValue"}}},
	{"network_connection",
	 "network_connection",
	 "windows",
	 "",
	 {{"Image", "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe"},
	  {"DestinationIp", "192.0.2.46"},
	  {"DestinationPort", "443"},
	  {"DestinationHostname", "edge7.example.net"},
	  {"Initiated", "true"},
	  {"Protocol", "tcp"},
	  {"SourceIp", "10.1.2.3"}}},
	{"file_event",
	 "file_event",
	 "windows",
	 "",
	 {{"TargetFilename", "C:\\Users\\alice\\AppData\\Local\\Temp\\tmp1234.tmp"},
	  {"Image", "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE"},
	  {"User", "CORP\\alice"}}},
	{"cloudtrail",
	 "",
	 "aws",
	 "cloudtrail",
	 {{"eventSource", "s3.amazonaws.com"},
	  {"eventName", "GetObject"},
	  {"userIdentity.type", "AssumedRole"},
	  {"userIdentity.arn", "arn:aws:sts::123456789012:assumed-role/app/i-0abc"},
	  {"sourceIPAddress", "10.0.0.12"},
	  {"userAgent", "aws-sdk-go/1.44 (go1.20; linux; amd64)"},
	  {"requestParameters.bucketName", "prod-data"}}},
	{"service",
	 "",
	 "",
	 "",
	 {{"message", "GET /api/v1/orders/42 200 in 12 ms"},
	  {"service.name", "orders"},
	  {"service.version", "1.4.2"},
	  {"user.id", "u-1234"},
	  {"tenant.id", "t-77"},
	  {"source.ip", "203.0.113.7"},
	  {"url.path", "/api/v1/orders/42"},
	  {"http.request.method", "GET"},
	  {"trace.id", "4bf92f3577b34da6a3ce929d0e0e4736"},
	  {"event.outcome", "success"}}},
};

static double now(clockid_t clock)
{
	struct timespec time;
	(void)clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

struct lane {
	const char *name;
	struct event *events;
	size_t count;
	size_t rounds;
};

static void *take_memory(struct arena *arena, size_t size)
{
	void *memory = arena_alloc(arena, size);
	assert(memory != NULL);
	return memory;
}

static void add(struct event *event, struct arena *arena, struct text name, struct value value)
{
	enum status status = event_add(event, arena, name, value);
	assert(status == OK);
}

static struct lane made_up_lane(struct arena *arena)
{
	struct lane lane = {"six made-up events", take_memory(arena, EVENTS * sizeof *lane.events),
			    EVENTS, 3000};
	for (size_t i = 0; i < EVENTS; i++) {
		const struct sample *sample = &samples[i];
		lane.events[i].logsource =
			(struct logsource){text_of(sample->category), text_of(sample->product),
					   text_of(sample->service)};
		for (size_t k = 0; k < PAIRS_MAX && sample->pairs[k].name != NULL; k++)
			add(&lane.events[i], arena, text_of(sample->pairs[k].name),
			    (struct value){.type = VALUE_STRING,
					   .text = text_of(sample->pairs[k].value)});
	}
	return lane;
}

/* "CATEGORY/PRODUCT/SERVICE" */
static struct logsource logsource_of(const char *words)
{
	struct logsource source = {0};
	struct text *parts[] = {&source.category, &source.product, &source.service};
	for (size_t i = 0; i < 3; i++) {
		size_t size = strcspn(words, "/");
		*parts[i] = (struct text){words, size};
		words += size + (words[size] == '/');
	}
	return source;
}

static struct lane file_lane(const char *logsource, const char *path, struct arena *arena)
{
	struct lane lane = {logsource, take_memory(arena, LANE_EVENTS_MAX * sizeof *lane.events), 0,
			    10};
	const struct decoder_options options = {.format = INPUT_RAW, .time_line_number = true};
	const struct origin origin = {.topic = TEXT("bench")};
	struct decoder *decoder = NULL;
	struct error err = {0};
	char *line = NULL;
	size_t capacity = 0;
	ssize_t size = 0;
	FILE *file = fopen(path, "r");
	enum status status = decoder_new(&options, &decoder, &err);
	assert(file != NULL && status == OK);
	while (lane.count < LANE_EVENTS_MAX && (size = getline(&line, &capacity, file)) > 0) {
		struct text payload = arena_copy(arena, (struct text){line, (size_t)size - 1});
		const struct message message = {.payload = payload};
		struct decoded record = {0};
		bool more = false;
		status = decoder_begin(decoder, &message, &origin, arena);
		if (status == OK)
			status = decoder_next(decoder, &record, &more);
		assert(status == OK && more && record.why == ACCEPTED);
		lane.events[lane.count] = record.event;
		lane.events[lane.count++].logsource = logsource_of(logsource);
	}
	free(line);
	(void)fclose(file);
	decoder_free(&decoder);
	assert(lane.count > 0);
	return lane;
}

/* What a rule set is made of when there are not enough rules. */
enum copies { COPIES_RENAMED, COPIES_EXCLUDE };

struct making {
	const struct program *from;
	struct arena *arena;
	enum copies copies;
	bool any_logsource;
	struct predicate *predicates;
	size_t predicate_count;
	uint32_t *numbers;
};

/* The tree with the numbers that its predicates have in the set being made: what no rule of a set
 * uses must not be looked for. numbers: by predicate of the whole, 0 = not yet used. */
static const struct expr *renumbered(struct making *making, const struct expr *expr)
{
	struct expr *copy = take_memory(making->arena, sizeof *copy);
	*copy = *expr;
	if (expr->kind == EXPR_PREDICATE) {
		uint32_t *number = &making->numbers[expr->predicate];
		if (*number == 0) {
			const struct predicate *all = making->from->input.predicates;
			making->predicates[making->predicate_count++] = all[expr->predicate];
			*number = (uint32_t)making->predicate_count;
		}
		copy->predicate = *number - 1;
		return copy;
	}
	const struct expr **children =
		take_memory(making->arena, (expr->child_count + 1) * sizeof *children);
	for (size_t i = 0; i < expr->child_count; i++)
		children[i] = renumbered(making, expr->children[i]);
	copy->children = children;
	return copy;
}

/* A leaf for "User contains copy-N", which no event does. */
static const struct expr *excluded(struct making *making, size_t number)
{
	struct token *tokens = take_memory(making->arena, 3 * sizeof *tokens);
	struct expr *leaf = take_memory(making->arena, sizeof *leaf);
	tokens[0].kind = tokens[2].kind = TOKEN_RUN;
	tokens[1] = (struct token){TOKEN_LITERAL, arena_print(making->arena, "copy-%zu-", number)};
	*leaf = (struct expr){.kind = EXPR_PREDICATE,
			      .predicate = (uint32_t)making->predicate_count};
	making->predicates[making->predicate_count++] = (struct predicate){
		.kind = PREDICATE_GLOB, .field = TEXT("User"), .glob = {tokens, 3}};
	return leaf;
}

/* expr and not leaf */
static const struct expr *without(struct arena *arena, const struct expr *expr,
				  const struct expr *leaf)
{
	struct expr *nodes = take_memory(arena, 2 * sizeof *nodes);
	const struct expr **children = take_memory(arena, 3 * sizeof *children);
	children[0] = expr;
	children[1] = &nodes[1];
	children[2] = leaf;
	nodes[0] = (struct expr){.kind = EXPR_AND, .children = children, .child_count = 2};
	nodes[1] = (struct expr){.kind = EXPR_NOT, .children = children + 2, .child_count = 1};
	return nodes;
}

/* A program of so many detections. */
static struct program *make(struct making *making, size_t wanted)
{
	const struct program_input *all = &making->from->input;
	size_t have = all->detection_count;
	struct detection *detections = take_memory(making->arena, wanted * sizeof *detections);
	struct program_input input = *all;
	struct program *program = NULL;
	struct error err = {0};
	making->numbers =
		take_memory(making->arena, (all->predicate_count + 1) * sizeof *making->numbers);
	making->predicates = take_memory(making->arena, (all->predicate_count + 1 + wanted / have) *
								sizeof *making->predicates);
	const struct expr *leaf = NULL;
	for (size_t i = 0; i < wanted; i++) {
		detections[i] = all->detections[wanted <= have ? i * have / wanted : i % have];
		detections[i].rule_index = (uint32_t)i;
		if (making->copies == COPIES_EXCLUDE && i >= have && i % have == 0)
			leaf = excluded(making, i / have);
		detections[i].expr = renumbered(making, detections[i].expr);
		if (leaf != NULL)
			detections[i].expr = without(making->arena, detections[i].expr, leaf);
	}
	input.detections = detections;
	input.detection_count = wanted;
	input.predicates = making->predicates;
	input.predicate_count = making->predicate_count;
	input.any_logsource = making->any_logsource;
	enum status status = program_new(&input, &program, &err);
	assert(status == OK);
	return program;
}

struct totals {
	uint64_t candidates, evaluated, matches;
};

static struct totals count(const struct matcher *matcher, size_t rules)
{
	struct totals totals = {0};
	for (size_t i = 0; i < rules; i++) {
		const struct rule_counters *one = matcher_counters(matcher, i);
		totals.candidates += one->candidates;
		totals.evaluated += one->evaluated;
		totals.matches += one->matches;
	}
	return totals;
}

/* Seconds for one event of the lane. */
static double run_once(struct matcher *matcher, const struct lane *lane)
{
	double start = now(CLOCK_PROCESS_CPUTIME_ID);
	for (size_t i = 0; i < lane->count; i++) {
		struct matches matches = {0};
		enum status status = matcher_match(matcher, &lane->events[i], &matches);
		assert(status == OK);
	}
	return (now(CLOCK_PROCESS_CPUTIME_ID) - start) / (double)lane->count;
}

/* Returns the seconds for one event. */
static double report(const struct program *program, const struct lane *lane, const char *words)
{
	struct matcher *matcher cleanup(matcher_free) = NULL;
	enum status status = matcher_of_program(program, &matcher);
	assert(status == OK);
	size_t rules = program->input.detection_count;
	(void)run_once(matcher, lane); /* warm: expressions are compiled */
	struct totals before = count(matcher, rules);
	double best = run_once(matcher, lane);
	struct totals after = count(matcher, rules);
	for (size_t i = 1; i < lane->rounds; i++) {
		double seconds = run_once(matcher, lane);
		best = seconds < best ? seconds : best;
	}
	double events = (double)lane->count;
	printf("%6zu rules, %-28s %7.0f ns/event %9.0f events/s/core  candidates %7.1f  "
	       "evaluated %5.1f  matches %5.2f\n",
	       rules, words, best * 1e9, 1 / best,
	       (double)(after.candidates - before.candidates) / events,
	       (double)(after.evaluated - before.evaluated) / events,
	       (double)(after.matches - before.matches) / events);
	return best;
}

static void run_lane(const struct program *whole, const struct lane *lane)
{
	static const size_t sizes[] = {10, 100, 1000, 3000, 10000, 10000};
	static const char *const words[] = {"routed", "not routed"};
	enum { LAST = sizeof sizes / sizeof *sizes - 1 };
	printf("%s: %zu events\n", lane->name, lane->count);
	for (size_t any = 0; any < 2; any++) {
		double first = 0;
		double seconds = 0;
		for (size_t i = 0; i <= LAST; i++) {
			struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
			struct making making = {.from = whole,
						.arena = arena,
						.copies =
							i == LAST ? COPIES_EXCLUDE : COPIES_RENAMED,
						.any_logsource = any == 1};
			struct program *program cleanup(program_free) = make(&making, sizes[i]);
			char label[64];
			(void)snprintf(label, sizeof label, "%s%s", words[any],
				       i == LAST ? ", no two alike" : "");
			double one = report(program, lane, label);
			first = i == 0 ? one : first;
			seconds = i < LAST ? one : seconds;
		}
		printf("       growth from 10 to 10,000 rules, %s: %.2f\n", words[any],
		       seconds / first);
	}
}

static long peak_kib(void)
{
	struct rusage usage = {0};
	(void)getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc % 2 != 0) {
		(void)fprintf(stderr,
			      "usage: bench_rules FOLDER [CATEGORY/PRODUCT/SERVICE FILE]...\n");
		return EXIT_FAILURE;
	}
	const char *const folder = argv[1];
	struct ruleset_options options = {
		.paths = &folder, .path_count = 1, .skip_refused = true, .verbatim_names = true};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct ruleset *ruleset cleanup(ruleset_free) = NULL;
	struct error err = {0};
	assert(arena != NULL);
	double cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	double wall = now(CLOCK_MONOTONIC);
	if (ruleset_load(&options, &ruleset, &err) != OK) {
		(void)fprintf(stderr, "%s\n", err.text);
		return EXIT_FAILURE;
	}
	printf("loaded %zu rules in %.2f s (%.2f s CPU), peak %ld MiB\n", ruleset_count(ruleset),
	       now(CLOCK_MONOTONIC) - wall, now(CLOCK_PROCESS_CPUTIME_ID) - cpu, peak_kib() / 1024);
	struct lane lane = made_up_lane(arena);
	run_lane(ruleset_program(ruleset), &lane);
	for (int i = 2; i < argc; i += 2) {
		lane = file_lane(argv[i], argv[i + 1], arena);
		run_lane(ruleset_program(ruleset), &lane);
	}
	return EXIT_SUCCESS;
}
