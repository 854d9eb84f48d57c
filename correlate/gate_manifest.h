/* gate_manifest - what a release says beforehand that it will do for the first time.
 *
 * Why: a release that calls a new service is not an attack, and picket cannot know. Who writes the
 * change does: the manifest lies in the repository beside it, is reviewed with it, and turns what
 * it names into INFO. It can declare novelty only; that a route answers strangers, that a tenant's
 * data is given away or that a call is no longer encrypted is nobody's intent.
 *
 *     service: orders                       # optional: refused when it is another one
 *     expect:
 *         - edge: payments                  # or orders->payments
 *           why: refunds go through payments from 2.1 on
 *         - destination: api.stripe.com:443 # without a port: any
 *         - route: POST /refunds
 *         - permission: support POST /refunds
 *         - error_signature: "refund * was refused: *"
 *         - privileged_call: CreateKey
 *
 * `*` stands for anything. What varies in an error may also be written as it is logged.
 *
 * Invariant: an item matches findings of its kind only; the verdict says which items were used.
 * Owner: texts are the arena's. Thread: any. Limits: GATE_MANIFEST_*. */
#ifndef PICKET_CORRELATE_GATE_MANIFEST_H
#define PICKET_CORRELATE_GATE_MANIFEST_H

#include "correlate/signal.h"

enum {
	GATE_MANIFEST_ITEMS_MAX = 256,
	GATE_MANIFEST_BYTES_MAX = 64 * 1024,
	GATE_MANIFEST_TEXT_MAX = 512, /* of one value */
};

struct expectation {
	const char *kind;    /* its word in the file */
	struct text value;   /* as written */
	struct text pattern; /* what keys are compared with */
	struct text why;     /* "" when it is not said */
	unsigned line;
};

struct gate_manifest {
	const struct expectation *items;
	size_t count;
};

/* name: of the file, for errors. EINVALID with file:line:column and what to write instead. */
enum status gate_manifest_read(struct text yaml, const char *name, struct text service,
			       struct arena *arena, struct gate_manifest *ret_manifest,
			       struct error *err);
/* The index of the first item that declares it; count when none does. */
size_t gate_manifest_find(const struct gate_manifest *manifest, enum signal signal,
			  struct text key);

#endif
