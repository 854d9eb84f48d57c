/* match_both - the index against plain evaluation of the same event, for fuzz targets.
 *
 * Why: every target that ends with a rule set asks the same. Invariant: aborts when they differ.
 * Owner: the caller's matcher. Thread: one. Limits: the first MATCH_BOTH_MAX matches are compared
 * one by one, beyond them only their number. */
#ifndef PICKET_TESTS_FUZZ_MATCH_BOTH_H
#define PICKET_TESTS_FUZZ_MATCH_BOTH_H

#include <assert.h>

#include "rules/ruleset.h"

enum { MATCH_BOTH_MAX = 64, MATCH_BOTH_EVENTS = 5 };

static inline void match_both(struct matcher *matcher, const struct event *event)
{
	struct matches matches = {0};
	uint32_t found[MATCH_BOTH_MAX];
	enum status status = matcher_match_plainly(matcher, event, &matches);
	assert(status == OK);
	size_t count = matches.count, undecided = matches.undecided_count;
	for (size_t i = 0; i < count && i < MATCH_BOTH_MAX; i++)
		found[i] = matches.rules[i];
	status = matcher_match(matcher, event, &matches);
	assert(status == OK && matches.count == count);
	assert(matches.undecided_count == undecided);
	for (size_t i = 0; i < count && i < MATCH_BOTH_MAX; i++)
		assert(found[i] == matches.rules[i]);
}

static inline void match_both_add(struct event *event, struct arena *arena, const char *name,
				  struct value value)
{
	enum status status = event_add(event, arena, text_of(name), value);
	assert(status == OK);
}

/* A few events whose fields the seed corpora use. */
static inline void match_both_all(const struct ruleset *ruleset)
{
	static const char *const texts[MATCH_BOTH_EVENTS] = {
		"cmd.exe -x", "10.1.2.3", "4688", "\xe2\x84\xaa\xff", "2026-11-22T13:00:00Z"};
	static const char *const names[] = {"Image", "f", "message", "mapped", "w.f"};
	struct value number = {.type = VALUE_INTEGER, .integer = 4688, .text = TEXT("4688")};
	struct matcher *matcher cleanup(matcher_free) = NULL;
	enum status status = matcher_new(ruleset, &matcher, NULL);
	assert(status == OK);
	for (size_t which = 0; which < MATCH_BOTH_EVENTS; which++) {
		struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
		struct event event = {0};
		struct value text = {.type = VALUE_STRING, .text = text_of(texts[which])};
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			match_both_add(&event, arena, names[i], text);
		match_both_add(&event, arena, "g", number);
		if (which % 2 == 0)
			match_both_add(&event, arena, "user.id",
				       (struct value){.type = VALUE_NULL});
		match_both(matcher, &event);
	}
}

#endif
