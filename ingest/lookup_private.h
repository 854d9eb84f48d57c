/* lookup - what the lists and databases know about one event (a step of enrich.c).
 *
 * Owner: one enricher. Thread: one. Limits: LOOKUP_HITS_MAX hits of threat lists and as many
 * networks and versions are written into an event; more are counted only. What it remembers of
 * values takes 3 MB at most. */
#ifndef PICKET_INGEST_LOOKUP_PRIVATE_H
#define PICKET_INGEST_LOOKUP_PRIVATE_H

#include "ingest/knowledge.h"
#include "rules/event.h"

enum { LOOKUP_HITS_MAX = 8 };

struct lookup;

enum status lookup_new(struct knowledge_desk *desk, struct lookup **ret_lookup, struct error *err);
void lookup_free(struct lookup **lookup);
/* Before a message: from here on the current knowledge counts. */
void lookup_refresh(struct lookup *lookup);

struct lookup_counts {
	size_t places, threats;
};
/* ENOMEMORY only. What is added points into the knowledge: it is valid until lookup_refresh(). */
enum status lookup_event(struct lookup *lookup, struct arena *arena, struct event *event,
			 struct lookup_counts *ret_counts);

#endif
