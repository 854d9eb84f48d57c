/* rule_shadow - since when a rule that wants to block deployments has been watched.
 *
 * Why: a rule that was written this morning and fires on what everybody does every Friday would
 * stop every release. So `gate: block` counts as `warn` until the store has seen the rule run for
 * gate.block_after (seven days): what it would have blocked is seen, and blocked is nobody.
 *
 * A row of FAMILY_REGISTRY, 'q' rule key -> u8 version, u64le state id, signed time: when this
 * store first ran the rule, in shadow or not yet in force, with this state id (correlate/plan.h). A
 * rule whose shape changed is another rule and begins anew; its text, level and tests may be
 * mended.
 *
 * Invariant: the row is never younger than the first event that the rule saw here. Owner: the
 * store. Thread: any. Limits: rules with gate: block only. */
#ifndef PICKET_CLI_RULE_SHADOW_H
#define PICKET_CLI_RULE_SHADOW_H

#include "ingest/generation.h"
#include "storage/store.h"

static const int64_t RULE_SHADOW_DEFAULT_US = INT64_C(7) * 24 * 3600 * 1000000;

/* Writes the rows that are missing; when rules go live. */
enum status rule_shadow_note(struct store *store, const struct generation *rules, int64_t now_us,
			     struct error *err);
/* When the rule may block: INT64_MIN when it always may (after_us is 0), INT64_MAX when it was
 * never noted. rules may be NULL: then any state id will do. */
enum status rule_shadow_ends(struct store *store, const struct generation *rules, struct text key,
			     int64_t after_us, int64_t *ret_ends_us, struct error *err);

#endif
