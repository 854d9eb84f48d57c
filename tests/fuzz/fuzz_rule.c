/* Any bytes as a rule file: loaded, or refused with a place and a fix; never a crash, never a leak.
 * What loads is loaded again to the same rules, and its index agrees with plain evaluation on a few
 * events whose fields the corpus uses. */
#include <assert.h>
#include <stdint.h>

#include "tests/fuzz/match_both.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	match_both_all(ruleset);
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
