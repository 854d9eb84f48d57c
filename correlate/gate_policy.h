/* gate_policy - what a verdict must prove, by name: shipped policies, and those of a YAML file.
 *
 * Why: how sure a promotion must be is the operator's choice, so it stands in a file that is
 * reviewed, not in flags of a pipeline. A file says what differs from `default`.
 *
 * Invariant: a policy that was read is sound: 0 < alpha, beta < 1, psi0 >= 1 < psi_tol, weights sum
 * up to 1. Owner: texts are the arena's. Thread: any. Limits: GATE_POLICY_NAME_MAX. */
#ifndef PICKET_CORRELATE_GATE_POLICY_H
#define PICKET_CORRELATE_GATE_POLICY_H

#include "correlate/gate.h"

enum { GATE_POLICY_NAME_MAX = 64 };

/* default, strict, security-only; false behind the last. */
struct gate_shipped {
	struct gate_policy policy;
	const char *claim; /* what a PASS under it says, in words */
};
bool gate_policy_shipped(size_t index, struct gate_shipped *ret_shipped);

/* One document of a policy file. EINVALID with file:line:column and what to write instead. */
struct yaml_node;
enum status gate_policy_read(const struct yaml_node *document, struct arena *arena,
			     struct gate_policy *ret_policy, struct error *err);
/* The whole policy as a document that gate_policy_read() takes. */
void gate_policy_print(const struct gate_policy *policy, struct bytes *to);

#endif
