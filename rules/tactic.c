#include "rules/tactic.h"

#include <assert.h>

/* Of ATT&CK for enterprises, in the order of an intrusion; the last two are what became of
 * defense-evasion. */
static const char *const names[TACTIC_COUNT] = {
	"reconnaissance",  "resource-development",
	"initial-access",  "execution",
	"persistence",     "privilege-escalation",
	"defense-evasion", "credential-access",
	"discovery",       "lateral-movement",
	"collection",      "command-and-control",
	"exfiltration",    "impact",
	"stealth",         "defense-impairment",
};

const char *tactic_name(unsigned tactic)
{
	assert(tactic < TACTIC_COUNT);
	return names[tactic];
}

static bool is_tag_of(struct text tag, const char *name)
{
	const struct text prefix = TEXT("attack.");
	if (tag.size != prefix.size + strlen(name) || !text_starts(tag, prefix))
		return false;
	for (size_t i = prefix.size; i < tag.size; i++) {
		char c = tag.data[i] == '_' ? '-' : tag.data[i];
		if (c != name[i - prefix.size])
			return false;
	}
	return true;
}

uint32_t tactics_of(const struct text *tags, size_t count)
{
	uint32_t mask = 0;
	for (size_t i = 0; i < count; i++)
		for (unsigned tactic = 0; tactic < TACTIC_COUNT; tactic++)
			if (is_tag_of(tags[i], names[tactic]))
				mask |= UINT32_C(1) << tactic;
	return mask;
}
