/* values_private - the values that a field has in one event, as canonical text.
 *
 * Why: grouping and counting different values must agree on what is the same value: 7, 7.0 and "7"
 * are, and so are they in every event, whatever the order of its fields.
 *
 * Invariant: items are distinct; items[i] may point to numbers[i], so the struct is not copied.
 * Owner: the stack of a route. Thread: one. Limits: VALUES_MAX per field, the rest is cut. */
#ifndef PICKET_CORRELATE_VALUES_PRIVATE_H
#define PICKET_CORRELATE_VALUES_PRIVATE_H

#include "correlate/plan.h"
#include "rules/identity.h"

enum { VALUES_MAX = PLAN_GROUPS_MAX, VALUE_NUMBER_BYTES_MAX = 32 };

struct values {
	struct text items[VALUES_MAX];
	char numbers[VALUES_MAX][VALUE_NUMBER_BYTES_MAX]; /* for those not text as they stand */
	char identities[VALUES_MAX][IDENTITY_BYTES_MAX];  /* of picket.identity.* */
	size_t count;
	bool cut; /* there were more */
};

/* Distinct values of a field, in event order. Null and empty containers are no value. Two names are
 * no fields: picket.identity.user and picket.identity.source are made from those of the event. */
void values_collect(const struct event *event, struct text name, struct values *values);

/* One text of RECORD_VALUE_BYTES_MAX at most for a tuple, which is a sequence of texts: itself, or
 * when it is longer its digest. */
void values_put_tuple(struct text tuple, struct bytes *to);

/* The distinct tuples of values that an event has for the fields, as a sequence; nothing when it
 * lacks one of them. *ret_cut_count: how many did not fit RECORD_VALUES_MAX, or a field. */
enum status values_put_tuples(const struct event *event, const struct text *fields, size_t count,
			      struct bytes *to, size_t *ret_cut_count);

/* The sum of the numbers in a field as one text of eight bytes: millionths, u64le. Nothing when one
 * of them is no number or negative, or when there is none. How many did not fit. */
size_t values_put_amount(const struct event *event, struct text field, struct bytes *to);

/* The numbers in a field, each as a tagged value (tag 0): signed millionths. Nothing when one of
 * them is no number. How many did not fit. */
size_t values_put_samples(const struct event *event, struct text field, struct bytes *to);

/* What a gated unit judges (gated.h): nine bytes each. */
void values_put_tagged(uint8_t tag, uint64_t value, struct bytes *to);
bool values_take_tagged(struct text value, uint8_t *ret_tag, uint64_t *ret_value);

#endif
