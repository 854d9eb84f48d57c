/* cardinality - how many different values a set has, from a sketch of fixed size: HyperLogLog.
 *
 * Why: "more than 200,000 different addresses in an hour" must not remember 200,000 of them for
 * every group. A sketch of 2^precision registers answers within a known standard error.
 *
 * Invariant: the registers are a function of the set of values: no order, repetition or way of
 * holding them (a list while few are set, an array later) can show in anything, bit for bit. The
 * estimate never falls when a register rises, so a condition with gt or gte stays eager.
 * Owner: whoever counts. Thread: one. Units: values are 64-bit keyed hashes (record_value_hash()),
 * so that nobody outside can aim at a register.
 * Limits: precision CARDINALITY_PRECISION_MIN to _MAX: 512 to 65,536 registers of a byte, standard
 * error 4.6 % to 0.41 %. */
#ifndef PICKET_CORRELATE_CARDINALITY_H
#define PICKET_CORRELATE_CARDINALITY_H

#include "rules/bytes.h"

enum {
	CARDINALITY_PRECISION_MIN = 9,
	CARDINALITY_PRECISION_MAX = 16,
	CARDINALITY_RANKS = 64 - CARDINALITY_PRECISION_MIN + 2, /* 0: a register without values */
};

struct cardinality {
	uint8_t precision;
	unsigned char *registers; /* NULL while there are few */
	uint32_t *few;            /* register << 8 | rank, ascending; NULL when there are many */
	uint32_t set_count;       /* registers that are not 0 */
	uint32_t few_capacity;
};

/* How many registers have each rank: all that an estimate needs. */
struct cardinality_ranks {
	uint32_t of[CARDINALITY_RANKS];
};

/* What a value does: it raises one register to a rank. */
struct cardinality_mark {
	uint32_t at;
	uint8_t rank;
};

struct cardinality_mark cardinality_mark(unsigned precision, uint64_t value);
uint8_t cardinality_rank(const struct cardinality *set, uint32_t at);
/* The rank must be above the one the register has. */
enum status cardinality_raise(struct cardinality *set, struct cardinality_mark mark);
/* Raises registers (2^precision of them) to those of the set. */
void cardinality_union(const struct cardinality *set, unsigned char *registers);
void cardinality_done(struct cardinality *set); /* keeps the precision */
size_t cardinality_bytes(const struct cardinality *set);

struct cardinality_ranks cardinality_ranks(unsigned precision, const unsigned char *registers);
double cardinality_estimate(unsigned precision, const struct cardinality_ranks *ranks);

/* The relative standard error, and the smallest precision that stays within it; 0: there is none.
 */
double cardinality_error(unsigned precision);
unsigned cardinality_precision(double error);

void cardinality_encode(const struct cardinality *set, struct bytes *to);
/* Into one that has nothing but its precision. ECORRUPT: no registers of that precision. */
enum status cardinality_decode(struct cursor *from, struct cardinality *set);

#endif
