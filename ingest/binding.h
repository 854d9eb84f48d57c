/* binding - who may write where: topics, keys and headers bound to services and tenants.
 *
 * Why: a compromised service can put any service.name and tenant.id into its logs, and so frame
 * another service, hide in another tenant or feed the canary gate. What it cannot choose is the
 * topic its credentials let it write to, or the header its gateway sets. The operator says once
 * which identity stands behind such a place; what a log claims beyond that is kept apart and told.
 *
 * The file is a YAML list; the first entry whose topic, key and headers fit a message counts:
 *
 *     - topic: logs-payments-*          # one * at most; required
 *       key: pay-*                      # Kafka key, optional
 *       headers: {x-gateway: edge}      # all of them, optional
 *       services: [payments, payments-worker]
 *       owner: team-payments            # who answers for these services, optional
 *       tenant_from: topic              # what the * of the topic stands for
 *
 * `services` and `tenants` list who may write (one * each at most); `service_from` and
 * `tenant_from` read the one name from `topic`, `key` or `header NAME`. What an entry does not
 * mention stays the log's own word. A message that fits no entry is unbound: counted, not refused.
 *
 * Invariant: the answer depends on the message and the file alone, so a replay gives the same.
 * Owner: bindings_free(). Thread: immutable, any. Limits: BINDINGS_MAX entries, BINDING_NAMES_MAX
 * names and BINDING_HEADERS_MAX headers in each. */
#ifndef PICKET_INGEST_BINDING_H
#define PICKET_INGEST_BINDING_H

#include "ingest/source.h"

enum { BINDINGS_MAX = 4096, BINDING_NAMES_MAX = 256, BINDING_HEADERS_MAX = 8 };

struct bindings;

/* EINVALID with file:line:column and the next step. */
enum status bindings_load(const char *path, struct bindings **ret_bindings, struct error *err);
enum status bindings_parse(struct text yaml, const char *file, struct bindings **ret_bindings,
			   struct error *err);
void bindings_free(struct bindings **bindings);
size_t bindings_count(const struct bindings *bindings);
/* Who answers for the service, by the first entry that lists it and says so; "" = not known. A view
 * into the bindings. */
struct text bindings_owner(const struct bindings *bindings, struct text service);

/* One side of an identity: the service, or the tenant. */
enum bound_state {
	BOUND_NOTHING, /* no entry speaks of it: the log's own word counts */
	BOUND_NAME,    /* the name, whatever the log claims */
	BOUND_CHOICE,  /* one of several: the claim counts if it is one of them */
	BOUND_UNKNOWN, /* the entry asks for a key, header or part of a topic that is not there */
};

struct binding;
struct bound {
	bool found;            /* an entry fits */
	struct position entry; /* where it stands */
	const struct binding *binding;
	enum bound_state service_state, tenant_state;
	struct text service, tenant; /* of BOUND_NAME; views into the message or the bindings */
};

/* Which entry a message of `topic` fits. topic: without the incarnation of the log. */
struct bound bindings_find(const struct bindings *bindings, struct text topic,
			   const struct message *message);
/* BOUND_CHOICE: is the claim one of the entry's names? */
bool bound_allows_service(const struct bound *bound, struct text claim);
bool bound_allows_tenant(const struct bound *bound, struct text claim);

#endif
