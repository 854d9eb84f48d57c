/* term - a value of a log as search compares it: folded, numbers by value, addresses by address.
 *
 * Why: a query, a bloom and a dictionary must mean the same by "equal", or a block would be passed
 * over that holds the answer. The meaning is that of the rules (DESIGN 4): without case (fold.h),
 * 443 = "443" = 443.0 (number.h), and in a field of addresses ::ffff:10.0.0.1 = 10.0.0.1 (cidr.h).
 *
 * Invariant: values that are equal have equal hashes. Owner: the caller's scratch. Thread: one for
 * each scratch. Limits: none of its own. */
#ifndef PICKET_STORAGE_TERM_H
#define PICKET_STORAGE_TERM_H

#include "rules/bytes.h"
#include "rules/cidr.h"
#include "rules/event.h"
#include "rules/number.h"

/* Mended (utf8.h) and folded; a view of t itself when that changes nothing, else of scratch. False:
 * out of memory. */
bool term_fold(struct text t, struct bytes *scratch, struct text *ret_folded);

/* An address alone, of a field of addresses. */
bool term_address(enum field_id id, struct text t, struct cidr *ret_address);

/* The number that a text is: as number_parse(), but ids in hexadecimal look like numbers with an
 * exponent, and nobody writes others so: those are no numbers. */
bool term_number(struct text t, struct number *ret_number);

/* Of a text; false: out of memory. */
bool term_hash(enum field_id id, struct text t, struct bytes *scratch, uint64_t *ret_hash);

#endif
