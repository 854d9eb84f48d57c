/* risk - what a match adds to an entity, as the values of a match record.
 *
 * Why: what a rule adds is decided when it matches, by the rule as it was then: a score that is
 * edited later holds for what comes later, and a replay says what was said.
 *
 * Invariant: a record for a risk carries each of enum risk_tag exactly once. The group of a risk
 * over any entity is two texts, a field and its value. Owner: none. Thread: any.
 * Limits: RISK_ADDITIONS_MAX per entity (risk.c). */
#ifndef PICKET_CORRELATE_RISK_H
#define PICKET_CORRELATE_RISK_H

#include "correlate/gated.h"

enum risk_tag {
	RISK_SOURCE,  /* risk_source.hash */
	RISK_SCORE,   /* millionths, weight included */
	RISK_TACTICS, /* tactics_of() */
	RISK_PAUSE,   /* microseconds for which the source adds nothing more */
	RISK_TAGS
};

enum { RISK_ADDITIONS_MAX = 4096 };
/* 1e6 points of weight 1e3, in millionths: RISK_ADDITIONS_MAX of them fit 63 bits. */
static const uint64_t RISK_SCORE_MAX = UINT64_C(1000000000000000);

/* What a match of the source adds to the entity; nothing when the entity weighs nothing. */
void risk_put(const struct unit *unit, const struct risk_source *source, struct text entity,
	      struct bytes *to);

/* By hash, as unit.sources are. */
void risk_sources_sort(struct risk_source *sources, size_t count);

/* --- the memory of a cell: risk.c, risk_codec.c and risk_standing.c */

struct addition {
	int64_t time_us;
	uint64_t source;
	uint64_t score;
	uint32_t tactics;
	uint8_t flags; /* record_flags */
	bool contributes;
	struct proof *proof; /* may be NULL */
};

struct pause {
	uint64_t source;
	int64_t until_us;
};

struct risk {
	int64_t cut_us; /* INT64_MIN: nothing was cut */
	struct addition *additions;
	size_t count, capacity;
	struct pause *pauses; /* ascending by source */
	size_t pause_count, pause_capacity;
};

/* Takes the reference of the addition's proof, in any case. */
enum status risk_push(struct risk *risk, struct addition *addition);
void risk_drop(struct risk *risk, size_t count); /* the oldest */
size_t risk_pause_place(const struct risk *risk, uint64_t source);
enum status risk_pause(struct risk *risk, uint64_t source, int64_t until_us);

void risk_encode(const struct gated *gated, struct bytes *to);
enum status risk_decode(struct cursor *from, const struct unit *unit, struct gated *gated);

#endif
