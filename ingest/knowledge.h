/* knowledge - GeoIP databases and lists of one moment, and how they are exchanged while running.
 *
 * Why: a list of bad addresses is worth what its age is. Files are read again when they change, in
 * the thread that noticed it; workers go on with what they have, and take the new one at their next
 * message. A file that cannot be read leaves the old knowledge in place.
 *
 * Invariant: a knowledge never changes; it goes when its last holder drops it. An event tells in
 * picket.lists which versions it was held against, so a replay with other lists can be told from
 * the first run. Owner: counted. Thread: knowledge any; a desk is shared, its functions from any.
 * Limits: KNOWLEDGE_GEO_MAX databases, those of watch.h. */
#ifndef PICKET_INGEST_KNOWLEDGE_H
#define PICKET_INGEST_KNOWLEDGE_H

#include "ingest/geo.h"
#include "ingest/watch.h"

enum { KNOWLEDGE_GEO_MAX = 32 };

struct paths {
	const char *const *items;
	size_t count;
};

struct knowledge_options {
	struct paths geo, threats, networks;
	int64_t ttl_us; /* of entries of threat lists */
};

struct knowledge;

enum status knowledge_load(const struct knowledge_options *options,
			   struct knowledge **ret_knowledge, struct error *err);
void knowledge_drop(struct knowledge **knowledge);

size_t knowledge_geo_count(const struct knowledge *knowledge);
const struct geo *knowledge_geo(const struct knowledge *knowledge, size_t index);
const struct watch *knowledge_watch(const struct knowledge *knowledge);

/* Everything about the address from all databases. */
void knowledge_place(const struct knowledge *knowledge,
		     const unsigned char address[static CIDR_ADDRESS_BYTES],
		     struct geo_place *ret_place);

/* Changes when a file was replaced, touched, or came or went. */
uint64_t knowledge_fingerprint(const struct knowledge_options *options);

/* Where the current one lies. */
struct knowledge_desk;
enum status knowledge_desk_new(struct knowledge_desk **ret_desk, struct error *err);
void knowledge_desk_free(struct knowledge_desk **desk);
void knowledge_desk_put(struct knowledge_desk *desk, struct knowledge **knowledge);
/* Exchanges *held (NULL: none yet) for the current one if that is another; true when it was. */
bool knowledge_desk_take(struct knowledge_desk *desk, struct knowledge **held);

#endif
