/* Any bytes as a message, against a fixed set of rules that use every modifier: the index must
 * agree with plain evaluation, and an event printed and read again must match the same rules. The
 * first byte chooses the format; the rules know field names both ways, mapped and verbatim. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/decode.h"
#include "rules/ruleset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The selections of the rules; rule i is selection i alone, then all of them negated. */
static const char *const selections[] = {
	"{a: foo}",
	"{a|contains: [bar, '4', 'k']}",
	"{a|startswith: [ab, '\\*']}",
	"{a|endswith: ['.exe', '?']}",
	"{a|contains|all: [a, b]}",
	"{a|cased: Foo}",
	"{a|neq: [foo, 7]}",
	"{a|windash|contains: [' -x', '/quiet']}",
	"{a|re: '^a+b'}",
	"{a|re|i: 'k(ab|ba)?$'}",
	"{a|re|m|s: '^b.c$'}",
	"{a|re: '(?=x)x(a+)+$'}",
	"{a|base64offset|contains: foo}",
	"{a|base64: foobar}",
	"{a|wide|base64offset|contains: foo}",
	"{a|gt: 6, b|lte: 9007199254740993}",
	"{a|lt: -1.5}",
	"{a|hour: 13}",
	"{a|week|gte: 47}",
	"{a|cidr: [10.0.0.0/8, '2001:db8::/32']}",
	"{a|fieldref: b}",
	"{a|fieldref|startswith: c.d}",
	"{a: null}",
	"{a: ''}",
	"{a|exists: true}",
	"{c.d|exists: false}",
	"{a: true}",
	"{a: 7}",
	"{a: 'f?o*'}",
	"{c.d: '*x*y*'}",
	"[needle, 'nee?le*', 1000]",
	"{'|all': [foo, bar]}",
	"{'|re': '^zz'}",
	"[{a: foo, b: bar}, {user.id: ann}]",
	"{source.ip|cidr: 127.0.0.0/8}",
	"{'@timestamp|year': 2026}",
	"{message|contains: 'ſ'}",
	"{a: 'İ*'}",
};
enum { SELECTIONS = sizeof selections / sizeof *selections };

/* The formats that the first byte chooses; a decoder compiles its tables once. */
enum { CHOICES = 3, CHOICE_RAW = 2 };

struct fixture {
	struct ruleset *ruleset;
	struct matcher *matcher;
	struct decoder *decoder;
};

static void rules_print(struct bytes *to)
{
	char line[512];
	for (size_t i = 0; i < 2 * (size_t)SELECTIONS; i++) {
		int size = snprintf(line, sizeof line,
				    "---\ntitle: rule %zu\nlevel: low\nlogsource: {category: c}\n"
				    "detection:\n  s: %s\n  condition: %ss\n",
				    i, selections[i % SELECTIONS], i < SELECTIONS ? "" : "not ");
		assert(size > 0 && (size_t)size < sizeof line);
		bytes_put(to, line, (size_t)size);
	}
}

static struct decoder *decoder_of(unsigned choice)
{
	static const struct text words[] = {{"auto", 4}, {"ecs", 3}, {"raw", 3}};
	struct decoder_options options = {.time_trusted = true};
	struct decoder *decoder = NULL;
	decoder_options_input(&options, words[choice]);
	enum status status = decoder_new(&options, &decoder, NULL);
	assert(status == OK);
	return decoder;
}

static struct fixture fixture_new(unsigned choice)
{
	struct ruleset_options options = {.any_logsource = true,
					  .verbatim_names = choice == CHOICE_RAW};
	struct bytes yaml cleanup(bytes_done) = {0};
	struct fixture fixture = {0};
	struct error err = {0};
	rules_print(&yaml);
	enum status status =
		ruleset_parse(&options, bytes_text(&yaml), "fixed.yml", &fixture.ruleset, &err);
	if (status != OK)
		(void)fprintf(stderr, "%u:%u: %s\n", err.line, err.column, err.text);
	assert(status == OK);
	status = matcher_new(fixture.ruleset, &fixture.matcher, NULL);
	assert(status == OK);
	fixture.decoder = decoder_of(choice);
	return fixture;
}

/* Bit i of the answer is rule i; undecided rules stand behind the decided ones. */
struct answer {
	uint8_t rules[4 * SELECTIONS];
};

static struct answer answer_of(const struct matches *matches)
{
	struct answer answer = {0};
	for (size_t i = 0; i < matches->count; i++)
		answer.rules[matches->rules[i]] = 1;
	for (size_t i = 0; i < matches->undecided_count; i++)
		answer.rules[2 * SELECTIONS + matches->undecided[i]] = 1;
	return answer;
}

static struct answer match(const struct fixture *fixture, const struct event *event)
{
	struct matches matches = {0};
	enum status status = matcher_match_plainly(fixture->matcher, event, &matches);
	assert(status == OK);
	struct answer plain = answer_of(&matches);
	status = matcher_match(fixture->matcher, event, &matches);
	assert(status == OK);
	struct answer indexed = answer_of(&matches);
	assert(memcmp(&plain, &indexed, sizeof plain) == 0);
	for (size_t i = 0; i < SELECTIONS; i++) {
		bool undecided = indexed.rules[2 * SELECTIONS + i] != 0;
		assert(undecided == (indexed.rules[3 * SELECTIONS + i] != 0));
		assert(undecided || indexed.rules[i] != indexed.rules[SELECTIONS + i]);
	}
	return indexed;
}

/* The first record of the payload; false when there is none that is accepted. */
static bool decode_first(struct decoder *decoder, struct text payload, struct arena *arena,
			 struct decoded *ret_record)
{
	static const struct origin origin = {.topic = {"fuzz", 4}, .offset = 7};
	const struct message message = {.record_time_us = 1795305600000000, .payload = payload};
	bool more = true;
	enum status status = decoder_begin(decoder, &message, &origin, arena);
	assert(status == OK);
	status = decoder_next(decoder, ret_record, &more);
	assert(status == OK);
	return more && ret_record->why == ACCEPTED;
}

/* A raw event is its own record: printed and read again it is the same to every rule. */
static void check_again(const struct fixture *fixture, const struct event *event,
			const struct answer *first)
{
	struct arena *arena cleanup(arena_free) = arena_new(64 << 20);
	struct bytes json cleanup(bytes_done) = {0};
	struct decoded record;
	if (event->quality != 0)
		return;
	event_json(event, &json);
	enum status status = bytes_status(&json);
	assert(status == OK);
	bool accepted = decode_first(fixture->decoder, bytes_text(&json), arena, &record);
	assert(accepted);
	struct answer again = match(fixture, &record.event);
	assert(memcmp(first, &again, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fixture fixtures[CHOICES];
	for (unsigned choice = 0; choice < CHOICES && fixtures[choice].ruleset == NULL; choice++)
		fixtures[choice] = fixture_new(choice);
	if (size == 0)
		return 0;
	struct fixture *fixture = &fixtures[data[0] % CHOICES];
	struct arena *arena cleanup(arena_free) = arena_new(64 << 20);
	char *copy = malloc(size); /* of its own size, for AddressSanitizer */
	assert(copy != NULL && arena != NULL);
	memcpy(copy, data + 1, size - 1);
	struct decoded record;
	if (decode_first(fixture->decoder, (struct text){copy, size - 1}, arena, &record)) {
		struct answer first = match(fixture, &record.event);
		if (data[0] % CHOICES == CHOICE_RAW)
			check_again(fixture, &record.event, &first);
	}
	free(copy);
	return 0;
}
