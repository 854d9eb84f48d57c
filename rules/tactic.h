/* tactic - which ATT&CK tactics a rule's tags name.
 *
 * Why: three findings of one tactic are one habit, three of three tactics are a story: a risk asks
 * for different ones. Sigma writes them as tags, with hyphens now and with underscores before.
 *
 * Invariant: bit i of a mask is tactic_name(i); bits are written to disk, so new ones go to the
 * end. Owner: none. Thread: any. Limits: TACTIC_COUNT tactics; other tags are none. */
#ifndef PICKET_RULES_TACTIC_H
#define PICKET_RULES_TACTIC_H

#include <stdint.h>

#include "rules/text.h"

enum { TACTIC_COUNT = 16 };

const char *tactic_name(unsigned tactic);
uint32_t tactics_of(const struct text *tags, size_t count);

#endif
