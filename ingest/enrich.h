/* enrich - stop 4 of the journey: what picket itself knows about an event is added to it.
 *
 * Why: a log says what its service wants said. Who may have written it, what must not be kept, and
 * where an address lies is for picket to say, in fields that a payload cannot set.
 *
 *   1 bind      bound and claimed identity; the bound one takes the place of the claim
 *   2 look up   GeoIP databases, threat lists, lists of networks
 *   3 clean     secrets and personal data are replaced
 *   4 raw       the record's own bytes, where they are asked for: behind the rules, which must not
 *               see them, and only when nothing had to be replaced
 *
 * Invariant: what is added depends on the message and the options alone; fields of schema.def
 * marked PROVENANCE come from here or from normalise.c only. An event is never dropped by
 * enrichment. Owner: one worker (or a scan); the options are lent. Thread: one. Time: none is read.
 * Limits: EVENT_OWN_MAX values added to an event; RAW_RECORD_MAX bytes of a record. */
#ifndef PICKET_INGEST_ENRICH_H
#define PICKET_INGEST_ENRICH_H

#include "ingest/binding.h"
#include "ingest/knowledge.h"
#include "ingest/privacy.h"

enum { RAW_RECORD_MAX = 1024 * 1024 };

struct enricher;

struct enrich_options {
	const struct bindings *bindings; /* NULL: nothing is bound */
	struct knowledge_desk *desk;     /* NULL: no GeoIP, no lists */
	const struct privacy *privacy;   /* NULL: everything is kept */
	const struct text *raw_topics;   /* lent: whose raw records are kept (topic_fits()) */
	size_t raw_topic_count;
};

struct enrich_counters {
#define ENRICH_COUNTER(member, doc) uint64_t member;
#include "ingest/enrich_counter.def"
#undef ENRICH_COUNTER
};

enum status enricher_new(const struct enrich_options *options, struct enricher **ret_enricher,
			 struct error *err);
void enricher_free(struct enricher **enricher);

/* Between two messages: from now on with these, lent (NULL as in the options). */
enum status enricher_switch(struct enricher *enricher, const struct bindings *bindings,
			    const struct privacy *privacy, struct error *err);

/* Begins a message of `topic` (without incarnation); it must stay until its last event. */
void enricher_message(struct enricher *enricher, struct text topic, const struct message *message);
/* Its next event; what is added lives in the arena. ENOMEMORY only. */
enum status enricher_event(struct enricher *enricher, struct arena *arena, struct event *event);

/* The bytes of the event's record, the one that enricher_event() was given last, go with it when
 * they may be kept; else why not. whole: decoded.whole. */
enum status enricher_put_raw(struct enricher *enricher, struct arena *arena, struct text record,
			     bool whole, struct event *event);

/* The bytes of a record that could not be read, as they may be kept. data == NULL for t.size > 0:
 * out of memory. */
struct text enricher_raw(struct enricher *enricher, struct arena *arena, struct text t);

void enrich_counters_add(struct enrich_counters *to, const struct enrich_counters *from);
struct enrich_counters enricher_counters(const struct enricher *enricher);

#endif
