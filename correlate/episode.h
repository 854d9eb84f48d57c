/* episode - contributing events of one group, neighbours at most `timespan` apart: one alert.
 *
 * Why: "it happens, it goes on, it is over" is one thing to an analyst. A late event may show that
 * two episodes were one: then the smaller (opened epoch, id) stays and the other names it.
 *
 * Invariant: the episodes of a cell ascend and lie more than `timespan` apart, so that one event
 * touches two of them at most; count >= evidence_count. Owner: a cell. Thread: one.
 * Limits: ALERT_EVIDENCE_EDGE first and last events as evidence. */
#ifndef PICKET_CORRELATE_EPISODE_H
#define PICKET_CORRELATE_EPISODE_H

#include "correlate/breaks.h"
#include "correlate/window.h"

enum { EPISODE_ID_BYTES = ALERT_ID_SIZE / 2, EPISODE_EVIDENCE_MAX = 2 * ALERT_EVIDENCE_EDGE };

struct episode {
	struct episode *next; /* later in time */
	unsigned char id[EPISODE_ID_BYTES];
	unsigned char merged_into[EPISODE_ID_BYTES];
	uint32_t revision; /* 0: nobody has heard of it yet */
	uint32_t flags;    /* alert_flags */
	uint64_t opened_epoch;
	int64_t first_us, last_us;
	uint64_t count;
	uint64_t announced_count; /* at the last revision */
	int64_t announced_us;     /* last_us at the last revision */
	bool changed;             /* since the last close */
	bool took_over;           /* an episode that had been announced was merged into it */
	bool broke;               /* shows a value since the last close that is news */
	struct breaks breaks;
	struct proof *evidence[EPISODE_EVIDENCE_MAX]; /* by (time, origin) */
	size_t evidence_count;
	size_t evidence_bytes;
	char detail[NEWS_DETAIL_BYTES_MAX]; /* what was measured last, in words, or "" */
};

/* What an event brings along, for the episode it may open. */
struct opening {
	uint64_t state_id;
	struct text tenant, group;
	const struct origin *origin;
	int64_t time_us;
	uint64_t epoch;
	uint64_t further;      /* events that it stands for besides itself */
	const uint64_t *marks; /* of the event: breaks_of() */
	size_t mark_count;
	const char *detail;  /* "" = none, shorter than NEWS_DETAIL_BYTES_MAX */
	uint32_t flags;      /* for an episode opened now */
	uint32_t join_flags; /* for any episode the event contributes to */
	bool opened;         /* set when it opened one */
};

struct episodes {
	struct episode *open;   /* ascending time */
	struct episode *merged; /* taken over since the last close, any order */
};

/* A contributing event: joins, opens or bridges. proof may be NULL; references are taken. */
enum status episodes_add(struct episodes *episodes, int64_t time_us, struct proof *proof,
			 int64_t timespan_us, struct opening *opening);

void episode_free(struct episode **episode); /* NULL-safe */
void episodes_done(struct episodes *episodes);
size_t episode_bytes(const struct episode *episode); /* memory, about */

void episode_encode(const struct episode *episode, struct bytes *to);
enum status episode_decode(struct cursor *from, struct episode **ret_episode);

#endif
