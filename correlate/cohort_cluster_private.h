/* cohort_cluster_private - one cause of bad outcomes: who, and what.
 *
 * Why: a retry loop is one cause, not fifty (cohort.h). What makes two events one cause is decided
 * here and nowhere else.
 *
 * Invariant: hashes are keyed, and depend on what the payload said, never on where or when it was
 * read; but for an event without a principal, which is a cause of its own. Owner: none; scratch is
 * the caller's, overwritten, and says when memory ran out. Thread: any. Limits: none. */
#ifndef PICKET_CORRELATE_COHORT_CLUSTER_PRIVATE_H
#define PICKET_CORRELATE_COHORT_CLUSTER_PRIVATE_H

#include "correlate/tally_private.h"

/* One event and what was read of it. */
struct sighted {
	const struct event *event;
	const struct outcome_reading *reading;
	uint64_t arm, route;
	uint8_t half;
	struct text rule; /* the first that matched */
};

/* A scratch begins anew. One that ran out of memory stays failed, so that one look at the end tells
 * whether anything that was made of it is wrong. */
static inline void scratch_begin(struct bytes *scratch)
{
	scratch->size = 0;
}

uint64_t cohort_hash(const struct hash_key *key, const struct bytes *of);
/* Whom an event names, by keyed hash; 0 when it does not say. */
struct principals {
	uint64_t user, network; /* user.id; of source.ip */
};
struct principals cohort_principals(const struct hash_key *key, const struct event *event,
				    struct bytes *scratch);
/* known.c: whom the event names succeeded, into the bucket. */
enum status known_tell(struct known_told *told, const struct hash_key *key,
		       const struct event *event, struct bytes *scratch, struct tally_node *bucket);
/* Of who did something in the sight of outsiders: the network, else the user, else the trace. */
uint64_t cohort_principal(const struct hash_key *key, const struct event *event,
			  struct bytes *scratch);
enum status cohort_cluster(const struct hash_key *key, const struct sighted *seen,
			   enum outcome outcome, struct bytes *scratch,
			   struct tally_cluster *ret_cluster);

#endif
