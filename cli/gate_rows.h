/* gate_rows - what the gate writes down: verdicts that changed, the latch of a FAIL, overrides.
 *
 * Why: a FAIL must stand although buckets are deleted or a daemon starts again, a person's override
 * must be on record with its reason, and "would it have blocked us last month" needs the past.
 *
 * Rows of FAMILY_REGISTRY (storage/rows.h):
 *   'v' service canary         -> latch: when, summary
 *   'o' service canary + time  -> override: who, why
 *   'h' service canary + time  -> verdict that differs from the one before, summary, dry or not
 * Invariant: latches and overrides are on disk before the answer is given. Owner: texts of what is
 * read are views into *keep. Thread: as api.h. Limits: GATE_NOTE_MAX bytes of a text. */
#ifndef PICKET_CLI_GATE_ROWS_H
#define PICKET_CLI_GATE_ROWS_H

#include "cli/api_private.h"
#include "correlate/gate.h"

enum { GATE_NOTE_MAX = 1024 };

struct gate_note {
	int64_t time_us;
	enum verdict verdict; /* of 'h' */
	bool dry;             /* 'h': only looked at, nobody acted on it */
	struct text who;      /* 'o' */
	struct text text;     /* summary, or the reason of an override */
	struct text policy;   /* 'h' */
};

/* The latch of a canary and its newest override; times are INT64_MIN when there is none. */
struct gate_latch {
	int64_t failed_us, pardon_us;
	struct text failed; /* summary */
};
enum status gate_latch_read(struct api *api, const struct gate_query *query, struct bytes *keep,
			    struct gate_latch *ret_latch, struct error *err);

/* The newest override up to then; INT64_MIN when there is none. */
enum status gate_pardon_read(struct api *api, const struct gate_query *query, int64_t until_us,
			     int64_t *ret_pardon_us, struct error *err);

/* A verdict that was given. */
struct gate_given {
	const struct gate_result *result;
	enum verdict told; /* the one before it */
	bool dry, latched; /* a FAIL stands already */
};
/* Writes what it changes: history when it differs from the one before, the latch when it is a FAIL
 * that stands nowhere yet. */
enum status gate_verdict_write(struct api *api, const struct gate_query *query,
			       const struct gate_given *given, struct error *err);
enum status gate_override_write(struct api *api, const struct gate_query *query,
				const struct gate_note *note, struct error *err);

/* Other services whose FAIL began since then. */
enum status gate_count_failing(struct api *api, struct text but, int64_t since_us,
			       size_t *ret_count, struct error *err);

void gate_note_encode(const struct gate_note *note, struct bytes *to);
enum status gate_note_decode(struct text value, struct gate_note *ret_note, struct error *err);

#endif
