/* bench_hostile: what events that were written to hurt cost, beside what an event costs as a rule.
 *
 *     bench_hostile FOLDER FILE SCRATCH
 *
 * The rules of FOLDER and one hostile rule more, written to SCRATCH; the median is that of the
 * events of FILE (NDJSON), each measured by itself. A hostile event is one of these with one more
 * field, which the hostile rules read; it is also held against the same event with a harmless text
 * of that length. CPU time of the process; the fastest of some rounds. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ingest/decode.h"
#include "rules/ruleset.h"

enum { EVENTS_MAX = 500, ROUNDS = 5, ARENA_BYTES = 1 << 30, LIST_LONG = 100000 };

static const struct attack {
	const char *name, *item, *unit, *end;
	size_t size;
} attacks[] = {
	{"nested quantifiers", "h|re: '^(a+)+$'", "a", "!", 4000},
	{"the same, longest value", "h|re: '^(a+)+$'", "a", "!", EVENT_VALUE_MAX},
	{"alternatives that overlap", "h|re: '(a|aa|a?)+b$'", "a", "c", 4000},
	{"polynomial, literal given", "h|re: 'id=.*id=.*role=admin$'", "id=", "role=admin!", 4000},
	{"wildcards", "h|contains: 'a*a*a*a*a*a*a*b'", "a", "c", EVENT_VALUE_MAX},
	{"look-around, literal missing", "h|re: '^(?=a)(a+)+evil$'", "a", "!", 4000},
	{"look-around, short", "h|re: '^(?=a)(a+)+$'", "a", "!", 60},
	{"look-around", "h|re: '^(?=a)(a+)+$'", "a", "!", 4000},
	{"look-behind at the end", "h|re: '^(a+)+(?<!a)$'", "a", "", 4000},
	{"back-reference", "h|re: '(a*)*\\1b'", "a", "c", 4000},
	{"too long for PCRE2", "h|re: '(?!x)a+b'", "ab", "", EVENT_VALUE_MAX},
};

static double now(void)
{
	struct timespec time;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static size_t read_events(const char *path, struct arena *arena, struct event *events)
{
	const struct decoder_options options = {.format = INPUT_RAW, .time_line_number = true};
	const struct origin origin = {.topic = TEXT("bench")};
	struct decoder *decoder = NULL;
	char *line = NULL;
	size_t capacity = 0;
	size_t count = 0;
	FILE *file = fopen(path, "r");
	enum status status = decoder_new(&options, &decoder, NULL);
	assert(file != NULL && status == OK);
	for (ssize_t size; count < EVENTS_MAX && (size = getline(&line, &capacity, file)) > 0;) {
		const struct message message = {
			.payload = arena_copy(arena, (struct text){line, (size_t)size - 1})};
		struct decoded record = {0};
		bool more = false;
		status = decoder_begin(decoder, &message, &origin, arena);
		if (status == OK)
			status = decoder_next(decoder, &record, &more);
		assert(status == OK && more && record.why == ACCEPTED);
		events[count++] = record.event;
	}
	free(line);
	(void)fclose(file);
	decoder_free(&decoder);
	return count;
}

static double match(struct matcher *matcher, const struct event *event, size_t *ret_undecided)
{
	double best = 1e9;
	for (int round = 0; round < ROUNDS; round++) {
		struct matches matches = {0};
		double start = now();
		enum status status = matcher_match(matcher, event, &matches);
		double seconds = now() - start;
		assert(status == OK);
		best = seconds < best ? seconds : best;
		*ret_undecided = matches.undecided_count;
	}
	return best;
}

static int compare(const void *a, const void *b)
{
	const double *left = a, *right = b;
	return (*left > *right) - (*left < *right);
}

static double median(struct matcher *matcher, const struct event *events, size_t count)
{
	static double seconds[EVENTS_MAX];
	size_t undecided = 0;
	for (size_t i = 0; i < count; i++)
		(void)match(matcher, &events[i], &undecided); /* expressions are compiled */
	for (size_t i = 0; i < count; i++)
		seconds[i] = match(matcher, &events[i], &undecided);
	qsort(seconds, count, sizeof *seconds, compare);
	return seconds[count / 2];
}

static struct event hostile(const struct event *base, const struct attack *attack,
			    struct arena *arena)
{
	struct event event = {0};
	size_t unit = strlen(attack->unit), end = strlen(attack->end), used = 0;
	char *text = arena_alloc(arena, attack->size);
	enum status status = text == NULL ? ENOMEMORY : OK;
	for (; status == OK && used + unit + end <= attack->size; used += unit)
		memcpy(text + used, attack->unit, unit);
	memcpy(text + used, attack->end, end);
	for (size_t i = 0; i < base->field_count && status == OK; i++)
		status = event_add(&event, arena, base->fields[i].name, base->fields[i].value);
	if (status == OK)
		status =
			event_add(&event, arena, TEXT("h"),
				  (struct value){.type = VALUE_STRING, .text = {text, used + end}});
	assert(status == OK);
	return event;
}

/* One hostile rule, and a rule with a list of 100,000 values for the same field. */
static void write_rules(const char *path, const struct attack *attack)
{
	FILE *file = fopen(path, "w");
	assert(file != NULL);
	(void)fprintf(file,
		      "title: attack\nlogsource: {product: p}\nlevel: low\ndetection:\n"
		      "    s:\n        %s\n    condition: s\n---\n"
		      "title: list\nlogsource: {product: p}\nlevel: low\ndetection:\n    s:\n"
		      "        h|contains:\n",
		      attack->item);
	for (unsigned i = 0; i < LIST_LONG; i++)
		(void)fprintf(file, "            - '%08x/drop%u'\n", i * 2654435761u, i);
	(void)fputs("    condition: s\n", file);
	(void)fclose(file);
}

static void report(const struct attack *attack, char **argv, const struct event *events,
		   size_t count)
{
	const char *const paths[] = {argv[1], argv[3]};
	struct ruleset_options options = {.paths = paths,
					  .path_count = 2,
					  .skip_refused = true,
					  .any_logsource = true,
					  .verbatim_names = true};
	const struct attack harmless = {
		.unit = "GET /v1/orders 200 ", .end = "", .size = attack->size};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct ruleset *ruleset cleanup(ruleset_free) = NULL;
	struct matcher *matcher cleanup(matcher_free) = NULL;
	write_rules(argv[3], attack);
	double start = now();
	enum status status = ruleset_load(&options, &ruleset, NULL);
	double loading = now() - start;
	if (status == OK)
		status = matcher_new(ruleset, &matcher, NULL);
	assert(arena != NULL && status == OK);
	double usual = median(matcher, events, count);
	if (attack == attacks)
		printf("%zu rules, one of 100,000 values, loaded in %.2f s CPU\n",
		       ruleset_count(ruleset), loading);
	struct event plain = hostile(&events[0], &harmless, arena);
	struct event event = hostile(&events[0], attack, arena);
	size_t undecided = 0;
	double same = match(matcher, &plain, &undecided);
	double seconds = match(matcher, &event, &undecided);
	printf("  %-30s %6zu bytes %8.1f us  %6.1f times the median  %5.1f times harmless text  "
	       "%s\n",
	       attack->name, attack->size, seconds * 1e6, seconds / usual, seconds / same,
	       undecided > 0 ? "undecided" : "decided");
}

int main(int argc, char **argv)
{
	static struct event events[EVENTS_MAX];
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	if (argc != 4) {
		(void)fprintf(stderr, "usage: bench_hostile FOLDER FILE SCRATCH\n");
		return EXIT_FAILURE;
	}
	assert(arena != NULL);
	size_t count = read_events(argv[2], arena, events);
	for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++)
		report(&attacks[i], argv, events, count);
	return EXIT_SUCCESS;
}
