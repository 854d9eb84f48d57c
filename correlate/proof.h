/* proof - one event that an alert may show: its origin, time and context, shared by reference.
 *
 * Why: an event waits in a window until the condition holds, and may then stand in an alert's
 * evidence and in a firing at the same time. One copy with a count of its users is enough.
 *
 * Invariant: references > 0; the texts point behind the struct. Owner: whoever holds a reference.
 * Thread: one (the count is not atomic). Limits: the size of one match record. */
#ifndef PICKET_CORRELATE_PROOF_H
#define PICKET_CORRELATE_PROOF_H

#include "correlate/alert.h"

struct proof {
	uint32_t references;
	uint32_t size; /* of the whole allocation */
	struct evidence evidence;
};

struct proof *proof_new(const struct evidence *evidence); /* copies; NULL when out of memory */
struct proof *proof_hold(struct proof *proof);            /* NULL-safe; one more reference */
void proof_release(struct proof **proof);                 /* NULL-safe; sets *proof to NULL */

/* By (time, origin). */
int proof_compare(const struct proof *a, const struct proof *b);

void proof_encode(const struct proof *proof, struct bytes *to);
/* ECORRUPT when the bytes are none; the answer holds one reference. */
enum status proof_decode(struct cursor *from, struct proof **ret_proof);
/* The same for an event of that time; ECORRUPT when the proof is of another. */
enum status proof_decode_at(struct cursor *from, int64_t time_us, struct proof **ret_proof);

/* Whether `time_us` lies more than span_us before the watermark. Right for all times: nothing has
 * passed at INT64_MIN, everything at INT64_MAX. */
static inline bool time_passed(int64_t time_us, int64_t span_us, int64_t watermark_us)
{
	if (watermark_us == INT64_MIN || watermark_us == INT64_MAX)
		return watermark_us == INT64_MAX;
	return time_us < watermark_us &&
	       (uint64_t)watermark_us - (uint64_t)time_us > (uint64_t)span_us;
}

/* Whether two times, a not after b, are at most span_us apart. */
static inline bool time_within(int64_t a_us, int64_t b_us, int64_t span_us)
{
	return (uint64_t)b_us - (uint64_t)a_us <= (uint64_t)span_us;
}

#endif
