/* bench_rules: events a second and core through the matcher alone, for growing rule sets.
 *
 *     bench_rules FOLDER...     folders of Sigma rules, e.g. a checkout of SigmaHQ's repository
 *
 * The rules are loaded whole first (how long does a reload take?), then as the first 10, 100,
 * 1,000, 3,000 and 10,000 of them; when there are not so many, copies follow: what is renamed is
 * the title, the id, and every text a rule compares with is kept, so that a copy is as expensive as
 * its original. Each rule set meets the same made-up events twice: with their log source, and with
 * every rule a candidate for every event. CPU time of the process; the fastest of three rounds. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rules/program_private.h"

enum { EVENTS = 6, ROUNDS = 3, PAIRS_MAX = 12, ARENA_BYTES = 1 << 30 };

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

static void make_events(struct event events[static EVENTS], struct arena *arena)
{
	for (size_t i = 0; i < EVENTS; i++) {
		const struct sample *sample = &samples[i];
		events[i] = (struct event){.logsource = {text_of(sample->category),
							 text_of(sample->product),
							 text_of(sample->service)}};
		for (size_t k = 0; k < PAIRS_MAX && sample->pairs[k].name != NULL; k++) {
			struct value value = {.type = VALUE_STRING,
					      .text = text_of(sample->pairs[k].value)};
			enum status status =
				event_add(&events[i], arena,
					  schema_canonical(text_of(sample->pairs[k].name)), value);
			assert(status == OK);
		}
	}
}

/* The first `wanted` detections of a program, with copies when it has not so many. */
static struct program *take(const struct program *from, size_t wanted, bool any_logsource,
			    struct arena *arena)
{
	size_t have = from->input.detection_count;
	struct detection *detections = arena_alloc(arena, wanted * sizeof *detections);
	struct program_input input = from->input;
	struct program *program = NULL;
	struct error err = {0};
	assert(detections != NULL && have > 0);
	for (size_t i = 0; i < wanted; i++) {
		detections[i] = from->input.detections[i % have];
		detections[i].rule_index = (uint32_t)i;
	}
	input.detections = detections;
	input.detection_count = wanted;
	input.any_logsource = any_logsource;
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

/* Seconds for one event, the fastest of some rounds. */
static double run(struct matcher *matcher, const struct event *event, size_t times)
{
	double best = 1e9;
	for (size_t round = 0; round < ROUNDS; round++) {
		double start = now(CLOCK_PROCESS_CPUTIME_ID);
		for (size_t i = 0; i < times; i++) {
			struct matches matches = {0};
			enum status status = matcher_match(matcher, event, &matches);
			assert(status == OK);
		}
		double seconds = (now(CLOCK_PROCESS_CPUTIME_ID) - start) / (double)times;
		best = seconds < best ? seconds : best;
	}
	return best;
}

static void report(const struct program *program, const struct event *events, bool each)
{
	struct matcher *matcher cleanup(matcher_free) = NULL;
	enum status status = matcher_of_program(program, &matcher);
	assert(status == OK);
	size_t rules = program->input.detection_count;
	double sum = 0;
	struct totals before = {0};
	for (size_t i = 0; i < EVENTS; i++) {
		(void)run(matcher, &events[i], 1); /* warm: expressions are compiled */
		struct totals start = count(matcher, rules);
		(void)run(matcher, &events[i], 1);
		struct totals end = count(matcher, rules);
		double seconds = run(matcher, &events[i], 2000);
		sum += seconds;
		before.candidates += (end.candidates - start.candidates) / ROUNDS;
		before.evaluated += (end.evaluated - start.evaluated) / ROUNDS;
		before.matches += (end.matches - start.matches) / ROUNDS;
		if (each)
			printf("    %-20s %8.0f ns/event  evaluated %3.0f  matches %.0f\n",
			       samples[i].name, seconds * 1e9,
			       (double)(end.evaluated - start.evaluated) / ROUNDS,
			       (double)(end.matches - start.matches) / ROUNDS);
	}
	printf("%6zu rules %-17s %9.0f events/s/core  %7.0f ns/event  candidates %7.1f  "
	       "evaluated %6.1f  matches %5.2f\n",
	       rules, program->input.any_logsource ? "without routing" : "with routing",
	       EVENTS / sum, sum / EVENTS * 1e9, (double)before.candidates / EVENTS,
	       (double)before.evaluated / EVENTS, (double)before.matches / EVENTS);
}

static void run_sizes(const struct program *whole, const struct event *events, struct arena *arena)
{
	static const size_t sizes[] = {10, 100, 1000, 3000, 10000};
	for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
		bool any_logsource = i >= sizeof sizes / sizeof *sizes;
		size_t size = sizes[i % (sizeof sizes / sizeof *sizes)];
		struct program *program cleanup(program_free) =
			take(whole, size, any_logsource, arena);
		report(program, events, false);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		(void)fprintf(stderr, "usage: bench_rules FOLDER...\n");
		return EXIT_FAILURE;
	}
	struct ruleset_options options = {.paths = (const char *const *)(argv + 1),
					  .path_count = (size_t)argc - 1,
					  .skip_refused = true};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct ruleset *ruleset cleanup(ruleset_free) = NULL;
	struct error err = {0};
	struct event events[EVENTS];
	assert(arena != NULL);
	double cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	double wall = now(CLOCK_MONOTONIC);
	if (ruleset_load(&options, &ruleset, &err) != OK) {
		(void)fprintf(stderr, "%s\n", err.text);
		return EXIT_FAILURE;
	}
	printf("loaded %zu rules in %.2f s (%.2f s CPU)\n", ruleset_count(ruleset),
	       now(CLOCK_MONOTONIC) - wall, now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	make_events(events, arena);
	report(ruleset_program(ruleset), events, true);
	run_sizes(ruleset_program(ruleset), events, arena);
	return EXIT_SUCCESS;
}
