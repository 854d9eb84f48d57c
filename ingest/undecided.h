/* undecided - the rules whose patterns gave up during a scan, and the alert about each.
 *
 * Why: "gave up" must never look like "no match". The daemon raises `rule.undecided` once per rule
 * and hour; a scan has an end, so it raises one per rule, with how often, and where first.
 *
 * Invariant: neither the order of files nor of lines shows in the alerts. Owner: the scan. Thread:
 * one. Limits: one small entry for each rule that gave up. */
#ifndef PICKET_INGEST_UNDECIDED_H
#define PICKET_INGEST_UNDECIDED_H

#include "correlate/alert.h"
#include "rules/ruleset.h"

struct undecided;

struct undecided *undecided_new(const struct ruleset *ruleset); /* lent; NULL: out of memory */
void undecided_free(struct undecided **undecided);

/* Out of memory is remembered, and told by undecided_tell(). */
void undecided_note(struct undecided *undecided, uint32_t rule, const struct event *event);

/* One final alert per rule, by rule index; on_alert may be NULL. ENOMEMORY. */
enum status undecided_tell(const struct undecided *undecided,
			   void (*on_alert)(void *context, const struct alert *alert),
			   void *context, size_t *ret_count);

#endif
