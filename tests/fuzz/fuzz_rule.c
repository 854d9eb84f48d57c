/* Any bytes as a rule file: loaded, or refused with a place and a fix; never a crash, never a leak.
 * What loads is loaded again to the same rules, and its index agrees with plain evaluation on a few
 * events whose fields the corpus uses. */
#include <assert.h>
#include <stdint.h>

#include "rules/ruleset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(struct event *event, struct arena *arena, const char *name, struct value value)
{
	enum status status = event_add(event, arena, text_of(name), value);
	assert(status == OK);
}

static void event_fill(size_t which, struct event *event, struct arena *arena)
{
	static const char *const texts[] = {"cmd.exe -x", "10.1.2.3", "4688", "\xe2\x84\xaa\xff",
					    "2026-11-22T13:00:00Z"};
	struct value text = {.type = VALUE_STRING, .text = text_of(texts[which])};
	struct value number = {.type = VALUE_INTEGER, .integer = 4688, .text = TEXT("4688")};
	add(event, arena, "Image", text);
	add(event, arena, "f", text);
	add(event, arena, "g", number);
	if (which % 2 == 0)
		add(event, arena, "user.id", (struct value){.type = VALUE_NULL});
	add(event, arena, "message", text);
}

static void match_both(const struct ruleset *ruleset)
{
	struct matcher *matcher cleanup(matcher_free) = NULL;
	enum status status = matcher_new(ruleset, &matcher, NULL);
	assert(status == OK);
	for (size_t which = 0; which < 5; which++) {
		struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
		struct event event = {0};
		struct matches matches = {0};
		uint32_t found[64];
		event_fill(which, &event, arena);
		status = matcher_match_plainly(matcher, &event, &matches);
		assert(status == OK);
		size_t count = matches.count, undecided = matches.undecided_count;
		for (size_t i = 0; i < count && i < 64; i++)
			found[i] = matches.rules[i];
		status = matcher_match(matcher, &event, &matches);
		assert(status == OK && matches.count == count);
		assert(matches.undecided_count == undecided);
		for (size_t i = 0; i < count && i < 64; i++)
			assert(found[i] == matches.rules[i]);
	}
}

static uint64_t load(struct text yaml, bool lenient)
{
	struct ruleset_options options = {
		.supply_metadata = lenient, .any_logsource = true, .skip_refused = lenient};
	struct ruleset *ruleset cleanup(ruleset_free) = NULL;
	struct error err = {0};
	enum status status = ruleset_parse(&options, yaml, "fuzz.yml", &ruleset, &err);
	assert((status == OK) == (ruleset != NULL));
	assert(status == OK || err.text[0] != '\0');
	assert(status != EINVALID || (err.line > 0 && strstr(err.text, "fix: ") != NULL));
	assert(status == OK || status == ENOMEMORY || status == ELIMIT || status == EINVALID);
	if (ruleset == NULL)
		return err.line;
	size_t note_count = 0;
	const struct rule_note *notes = ruleset_notes(ruleset, &note_count);
	for (size_t i = 0; i < note_count; i++)
		assert(notes[i].text.size > 0 && notes[i].at.line > 0);
	for (size_t i = 0; i < ruleset_count(ruleset); i++)
		assert(ruleset_rule(ruleset, i)->index == i);
	match_both(ruleset);
	return ruleset_hash(ruleset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text yaml = {(const char *)data, size};
	for (int lenient = 0; lenient < 2; lenient++) {
		uint64_t first = load(yaml, lenient);
		uint64_t again = load(yaml, lenient);
		assert(first == again);
	}
	return 0;
}
