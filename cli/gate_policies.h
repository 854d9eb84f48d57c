/* gate_policies - policy files of the gate, read whole or not at all.
 *
 * Why: a policy that is misread would promote what it should not: every mistake stops the start,
 * with file:line:column.
 * Invariant: names are unique, and none is a shipped one. Owner: gate_policies_done(). Thread: any.
 * Limits: GATE_POLICIES_MAX. */
#ifndef PICKET_CLI_GATE_POLICIES_H
#define PICKET_CLI_GATE_POLICIES_H

#include "correlate/gate_policy.h"

enum { GATE_POLICIES_MAX = 64 };

struct gate_policies {
	struct arena *arena;
	struct gate_policy items[GATE_POLICIES_MAX];
	size_t count;
};
enum status gate_policies_load(const char *const *paths, size_t path_count,
			       struct gate_policies *ret_policies, struct error *err);
void gate_policies_done(struct gate_policies *policies);

#endif
