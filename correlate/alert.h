/* alert - what picket tells people: one per episode of (rule, tenant, group), growing until it
 * ends.
 *
 * Why: an analyst at night wants one line per thing that happens, with a count that grows and the
 * events that prove it; a robot wants a stable id. See docs/CORRELATION.md.
 *
 * Invariant: `id` is given at opening and never changes; `revision` starts at 1 and grows at every
 * stored change that somebody outside should hear of (open, rise of level, merge, end, growth as
 * in changes.c). It ends when no later event can reach it: the watermark has passed its last event
 * by the timespan, and so it has every event behind that, within the timespan, which still waits.
 * first_us <= last_us; count >= number of evidence entries. Two final alerts are the same when
 * rule, tenant, group, first_us, last_us, count and level are: ids and evidence may differ with the
 * order of arrival. Owner: the actor that made it, or an arena (decoded). Thread: one.
 * Limits: ALERT_EVIDENCE_EDGE first and as many last events. */
#ifndef PICKET_CORRELATE_ALERT_H
#define PICKET_CORRELATE_ALERT_H

#include "correlate/plan.h"

enum {
	ALERT_ID_SIZE = 32, /* lower-case hex digits */
	ALERT_EVIDENCE_EDGE = 8,
};

enum { ALERT_REASON_BYTES_MAX = 2048 };

enum alert_state { ALERT_OPEN, ALERT_ENDED, ALERT_MERGED };
const char *alert_state_name(enum alert_state state);

enum alert_flags {
	ALERT_BACKFILL = 1 << 0,    /* opened while catching up on history: not sent anywhere */
	ALERT_LATE = 1 << 1,        /* a late record contributed: the count may be too small */
	ALERT_DEGRADED = 1 << 2,    /* a limit was hit: the count is a lower bound */
	ALERT_SHADOW = 1 << 3,      /* the rule is staged: stored, never sent */
	ALERT_APPROXIMATE = 1 << 4, /* a sketch stood in; the reason says its error */
};

struct evidence {
	struct origin origin;
	int64_t time_us;
	struct text context; /* sequence of texts: name, value, ... */
};

struct alert {
	char id[ALERT_ID_SIZE + 1];
	char merged_into[ALERT_ID_SIZE + 1]; /* "" unless ALERT_MERGED */
	uint32_t revision;
	enum alert_state state;
	uint32_t flags;
	uint64_t opened_epoch;
	uint64_t state_id;
	struct text rule_id, rule_name, rule_title, rule_key;
	enum rule_level level;
	struct text tenant; /* "" for a cross-tenant rule */
	struct text group;  /* sequence of texts: name, value, name, value, ... */
	uint64_t count;
	uint64_t threshold;
	double standard_error; /* of what was counted by estimate, relative; 0: exact */
	int64_t timespan_us;
	int64_t first_us, last_us;
	struct evidence
		evidence[2 * ALERT_EVIDENCE_EDGE]; /* by (time, origin), the first and last */
	size_t evidence_count;
	struct text reason;
};

void alert_encode(const struct alert *alert, struct bytes *to);
enum status alert_decode(struct text encoded, struct alert *ret_alert, struct error *err);

/* Why the alert was raised, in words: the rule's own template (picket.explain) or a built-in
 * sentence. Appends to `to`; reads the alert's count, group, threshold and timespan. detail: what
 * was measured last, "" = nothing. */
void alert_reason(const struct alert *alert, const struct unit *unit, struct text detail,
		  struct bytes *to);

/* One JSON object, schema picket.alert/1 (docs/API.md), no newline. file_origins: events are
 * {"file","line","index"} (scan) instead of {"topic","partition","offset","index"}. */
void alert_json(const struct alert *alert, bool file_origins, struct bytes *to);

#endif
