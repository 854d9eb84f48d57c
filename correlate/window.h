/* window - the event times of one group, and which of them a holding window contains.
 *
 * Why: "at least K events within W" must be answered exactly for every order of arrival, and must
 * not remember every event of a flood. window.c says which times may be forgotten and why.
 *
 * Invariant: entries ascend by time; `contributes` and `fired` never go back to false; an entry
 * that still may contribute or fire is never dropped before the watermark has left it behind.
 * Owner: a cell. Thread: one. Units: microseconds of event time.
 * Limits: about 2 K entries per W of event time, whatever the rate; up to 4 K + WINDOW_SLACK
 * between two settlements. Entries that wait keep their proof only near both ends
 * (WINDOW_PROOFS_EDGE each) unless the shape keeps all: evidence is bounded, counting is not. */
#ifndef PICKET_CORRELATE_WINDOW_H
#define PICKET_CORRELATE_WINDOW_H

#include "correlate/proof.h"

enum { WINDOW_SLACK = 64, WINDOW_PROOFS_EDGE = 16 };

struct window_shape {
	size_t at_least;     /* K */
	int64_t timespan_us; /* W */
	bool keeps_proofs;   /* somebody wants the firings: they need the proof of their event */
};

struct window_entry {
	int64_t time_us;
	struct proof *proof; /* may be NULL */
	bool holds;          /* a holding window begins here */
	bool contributes;    /* a holding window contains it */
	bool fired;          /* the window that ends at its time holds */
	bool gap_before; /* contributing events were forgotten between the entry before and this */
};

struct window {
	struct window_entry *entries;
	uint32_t count;
	uint32_t capacity;
	size_t proof_bytes; /* of the proofs of its entries */
};

/* Events that began to contribute, or to fire, because of one more event. */
struct window_item {
	int64_t time_us;
	struct proof *proof; /* may be NULL; one reference */
	uint8_t flags;       /* record_flags of an event that waited (gated.h) */
	uint64_t further;    /* events of before that it stands for besides (panes.h) */
};

/* What a cell has to say to one cell of its parent (peers.h). */
struct window_answer {
	int64_t time_us;
	struct cell_key cell;
	uint8_t virtual_partition;
};

enum { NEWS_DETAIL_BYTES_MAX = 160 };

struct window_items {
	struct window_item *items;
	size_t count;
	size_t capacity;
};

struct window_answers {
	struct window_answer *items;
	size_t count;
	size_t capacity;
};

struct window_news {
	struct window_items contributed;    /* ascending time */
	struct window_items fired;          /* only when the shape keeps proofs */
	struct window_answers answers;      /* of peers */
	bool degraded;                      /* something that may have mattered was forgotten */
	bool approximate;                   /* a sketch stood in for the exact figure */
	char detail[NEWS_DETAIL_BYTES_MAX]; /* what was measured last, in words, or "" */
};

/* One more, with a reference of its own to the proof. */
enum status window_items_push(struct window_items *items, int64_t time_us, struct proof *proof);
void window_news_clear(struct window_news *news); /* keeps the memory */
void window_news_done(struct window_news *news);

/* Adds an event at proof->evidence.time_us; holds its own references. The news is added to what is
 * in it. After ENOMEMORY the window may only be freed. */
enum status window_add(struct window *window, const struct window_shape *shape, struct proof *proof,
		       struct window_news *news);

/* Forgets what cannot matter at this watermark. */
void window_settle(struct window *window, const struct window_shape *shape, int64_t watermark_us);

/* After the threshold of a rule was edited: keeps what is still true under at_least. */
void window_reshape(struct window *window, size_t old_at_least, size_t at_least);

void window_done(struct window *window);
size_t window_bytes(const struct window *window); /* memory, about */

void window_encode(const struct window *window, struct bytes *to);
/* Into an empty window, under the shape it was encoded with; ECORRUPT when the bytes break the
 * invariant. After a failure the window may only be freed. */
enum status window_decode(struct cursor *from, const struct window_shape *shape,
			  struct window *window);

#endif
