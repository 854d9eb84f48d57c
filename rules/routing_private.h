/* routing - which rules an event's log source lets in.
 *
 * Why: a rule for Windows process creation must not run on web logs: it would be wrong by name and
 * slow. A route is one log source as rules write it; it fits when every attribute that the rule
 * sets equals the event's, without case. Events have few combinations, so the answers are kept.
 *
 * Invariant: a routing depends on the three texts alone; counts of events survive its eviction.
 * Owner: the matcher. Thread: one. Limits: ROUTINGS_MAX combinations are kept, those of up to
 * ROUTING_KEY_MAX bytes; others are computed each time. */
#ifndef PICKET_RULES_ROUTING_PRIVATE_H
#define PICKET_RULES_ROUTING_PRIVATE_H

#include "rules/program_private.h"

enum { ROUTINGS_MAX = 64, ROUTING_KEY_MAX = 192 };

struct routing {
	bool used;
	bool any;        /* some route fits */
	uint64_t events; /* counted here, not yet in the router */
	size_t sizes[3]; /* of category, product, service, which stand one behind the other: */
	char key[ROUTING_KEY_MAX];
	unsigned char *fits; /* by route */
	uint64_t *reads; /* a bit for each slot that the rules of some fitting route look into */
};

/* Some rule that the routing lets in looks into the slot: other slots need not be looked up. */
static inline bool routing_reads(const struct routing *routing, uint32_t slot)
{
	return (routing->reads[slot / 64] >> slot % 64 & 1) != 0;
}

struct router;

struct router *router_new(const struct program *program); /* NULL when out of memory */
void router_free(struct router **router);

/* Valid until the next call. NULL when out of memory. */
const struct routing *router_find(struct router *router, const struct logsource *source,
				  bool count);

/* Events that were counted and fit the route. */
uint64_t router_events(const struct router *router, uint32_t route);

#endif
