/* HyperLogLog (Flajolet, Fusy, Gandouet, Meunier: "HyperLogLog: the analysis of a near-optimal
 * cardinality estimation algorithm", AofA 2007) with the estimator of Ertl ("New cardinality
 * estimation algorithms for HyperLogLog sketches", 2017, arXiv 1702.01284, algorithm 6).
 *
 * A value is a hash of 64 bits. Its first p bits choose one of m = 2^p registers; its rank is one
 * more than the number of zeros that the other q = 64 - p bits begin with, q + 1 when all are zero.
 * A register keeps the largest rank it was shown. A rank of k comes up once in 2^k values, so the
 * registers together tell how many values there were.
 *
 * The estimate. Let C[k] be how many registers have rank k. The first paper's harmonic mean is
 * biased for small and for very large sets, and was patched with other estimators in between; Ertl
 * derives one that is right throughout, by giving the registers at both ends the mean of what they
 * may stand for:
 *
 *     n = m^2 / (2 ln 2) / (m s(C[0] / m) + sum of C[k] 2^-k, k = 1..q, + m t(1 - C[q+1] / m) 2^-q)
 *     s(x) = x + sum of x^(2^k) 2^(k-1), k >= 1
 *     t(x) = (1 - x - sum of (1 - x^(2^-k))^2 2^-k, k >= 1) / 3
 *
 * No register at all is n = 0 (s(1) is infinite). The relative standard error is 1.04 / sqrt(m).
 *
 * It never falls. Let one register rise. From k to k + 1 within 1..q the sum loses 2^-(k+1). From 0
 * to 1 it gains 1/2, and m s(C[0]/m) loses at least 1, since s' >= 1. From q to q + 1 it loses 2^-q
 * and the last term gains at most a third of that, since t' >= -1/3. So the denominator falls each
 * time. It is summed from the counts, always in the same order: equal registers are equal bits.
 *
 * Few registers are a sorted list of four bytes each, until it would take half of the array.
 *
 *   u8      0: a list, 1: an array; a list when it is the shorter of the two
 *   list:   varint number of registers; then for each, ascending: varint register less the one
 *           before (of the first: the register), u8 rank
 *   array:  2^precision ranks */
#include "correlate/cardinality.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum { FEW_FIRST = 8, FORM_LIST = 0, FORM_ARRAY = 1 };

static const double standard_error = 1.04;

static uint32_t register_count(unsigned precision)
{
	assert(precision >= CARDINALITY_PRECISION_MIN && precision <= CARDINALITY_PRECISION_MAX);
	return UINT32_C(1) << precision;
}

static unsigned rank_max(unsigned precision)
{
	return 64 - precision + 1;
}

struct cardinality_mark cardinality_mark(unsigned precision, uint64_t value)
{
	uint64_t rest = value << precision;
	unsigned rank = rest == 0 ? rank_max(precision) : (unsigned)__builtin_clzll(rest) + 1;
	return (struct cardinality_mark){(uint32_t)(value >> (64 - precision)), (uint8_t)rank};
}

/* Where the register stands in the list, or would. */
static uint32_t few_place(const struct cardinality *set, uint32_t at)
{
	uint32_t low = 0;
	uint32_t high = set->set_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (set->few[middle] >> 8 < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint8_t cardinality_rank(const struct cardinality *set, uint32_t at)
{
	if (set->registers != NULL)
		return set->registers[at];
	uint32_t place = few_place(set, at);
	bool found = place < set->set_count && set->few[place] >> 8 == at;
	return found ? (uint8_t)set->few[place] : 0;
}

static enum status become_array(struct cardinality *set)
{
	unsigned char *registers = calloc(register_count(set->precision), 1);
	if (registers == NULL)
		return ENOMEMORY;
	cardinality_union(set, registers);
	free(set->few);
	set->few = NULL;
	set->few_capacity = 0;
	set->registers = registers;
	return OK;
}

static enum status few_reserve(struct cardinality *set)
{
	if (set->set_count < set->few_capacity)
		return OK;
	uint32_t capacity = set->few_capacity == 0 ? FEW_FIRST : 2 * set->few_capacity;
	uint32_t *grown = realloc(set->few, capacity * sizeof *grown);
	if (grown == NULL)
		return ENOMEMORY;
	set->few = grown;
	set->few_capacity = capacity;
	return OK;
}

enum status cardinality_raise(struct cardinality *set, struct cardinality_mark mark)
{
	uint32_t count = register_count(set->precision);
	assert(mark.at < count && mark.rank <= rank_max(set->precision));
	if (set->registers == NULL && (set->set_count + 1) * sizeof *set->few > count / 2) {
		enum status status = become_array(set);
		if (status != OK)
			return status;
	}
	if (set->registers != NULL) {
		assert(mark.rank > set->registers[mark.at]);
		set->set_count += set->registers[mark.at] == 0;
		set->registers[mark.at] = mark.rank;
		return OK;
	}
	uint32_t place = few_place(set, mark.at);
	if (place == set->set_count || set->few[place] >> 8 != mark.at) {
		enum status status = few_reserve(set);
		if (status != OK)
			return status;
		memmove(&set->few[place + 1], &set->few[place],
			(set->set_count - place) * sizeof *set->few);
		set->set_count++;
	}
	set->few[place] = mark.at << 8 | mark.rank;
	return OK;
}

void cardinality_union(const struct cardinality *set, unsigned char *registers)
{
	uint32_t count = set->registers != NULL ? register_count(set->precision) : 0;
	for (uint32_t i = 0; i < count; i++)
		registers[i] = set->registers[i] > registers[i] ? set->registers[i] : registers[i];
	for (uint32_t i = 0; set->registers == NULL && i < set->set_count; i++) {
		unsigned char *at = &registers[set->few[i] >> 8];
		unsigned char rank = (unsigned char)set->few[i];
		*at = rank > *at ? rank : *at;
	}
}

void cardinality_done(struct cardinality *set)
{
	free(set->registers);
	free(set->few);
	*set = (struct cardinality){.precision = set->precision};
}

size_t cardinality_bytes(const struct cardinality *set)
{
	return set->registers != NULL ? register_count(set->precision)
				      : set->few_capacity * sizeof *set->few;
}

struct cardinality_ranks cardinality_ranks(unsigned precision, const unsigned char *registers)
{
	struct cardinality_ranks ranks = {0};
	for (uint32_t i = 0; i < register_count(precision); i++)
		ranks.of[registers[i]]++;
	return ranks;
}

/* s(x) above, for registers without values. */
static double below_one(double x)
{
	double sum = x;
	double before = -1;
	for (double weight = 1; sum != before; weight *= 2) {
		x *= x;
		before = sum;
		sum += x * weight;
	}
	return sum;
}

/* t(x) above, for registers that cannot rise. */
static double above_all(double x)
{
	if (x == 0 || x == 1)
		return 0;
	double sum = 1 - x;
	double before = -1;
	for (double weight = 0.5; sum != before; weight /= 2) {
		x = sqrt(x);
		before = sum;
		sum -= (1 - x) * (1 - x) * weight;
	}
	return sum / 3;
}

double cardinality_estimate(unsigned precision, const struct cardinality_ranks *ranks)
{
	double count = register_count(precision);
	unsigned last = rank_max(precision);
	if (ranks->of[0] == register_count(precision))
		return 0;
	double sum = count * above_all(1 - ranks->of[last] / count);
	for (unsigned rank = last - 1; rank > 0; rank--)
		sum = (sum + ranks->of[rank]) / 2;
	sum += count * below_one(ranks->of[0] / count);
	return count * count / (2 * M_LN2) / sum;
}

double cardinality_error(unsigned precision)
{
	return standard_error / sqrt(register_count(precision));
}

unsigned cardinality_precision(double error)
{
	for (unsigned p = CARDINALITY_PRECISION_MIN; p <= CARDINALITY_PRECISION_MAX; p++)
		if (cardinality_error(p) <= error)
			return p;
	return 0;
}

static uint32_t first_set(const struct cardinality *set, uint32_t from)
{
	while (set->registers[from] == 0)
		from++;
	return from;
}

void cardinality_encode(const struct cardinality *set, struct bytes *to)
{
	uint32_t count = register_count(set->precision);
	if (set->set_count >= count / 2) { /* so many have become an array */
		bytes_put_u8(to, FORM_ARRAY);
		bytes_put(to, set->registers, count);
		return;
	}
	bytes_put_u8(to, FORM_LIST);
	bytes_put_varint(to, set->set_count);
	uint32_t before = 0;
	for (uint32_t i = 0; i < set->set_count; i++) {
		uint32_t at = set->registers == NULL ? set->few[i] >> 8
						     : first_set(set, i == 0 ? 0 : before + 1);
		bytes_put_varint(to, at - before);
		bytes_put_u8(to, cardinality_rank(set, at));
		before = at;
	}
}

static enum status list_decode(struct cursor *from, struct cardinality *set)
{
	uint32_t count = register_count(set->precision);
	uint64_t set_count = cursor_varint(from);
	uint64_t at = 0;
	if (from->failed || set_count >= count / 2)
		return ECORRUPT;
	for (uint64_t i = 0; i < set_count; i++) {
		uint64_t step = cursor_varint(from);
		uint8_t rank = cursor_u8(from);
		if (from->failed || step >= count || (i > 0 && step == 0) || rank == 0 ||
		    rank > rank_max(set->precision))
			return ECORRUPT;
		at += step;
		if (at >= count)
			return ECORRUPT;
		enum status status =
			cardinality_raise(set, (struct cardinality_mark){(uint32_t)at, rank});
		if (status != OK)
			return status;
	}
	return OK;
}

enum status cardinality_decode(struct cursor *from, struct cardinality *set)
{
	assert(set->set_count == 0);
	uint32_t count = register_count(set->precision);
	uint8_t form = cursor_u8(from);
	if (form == FORM_LIST)
		return list_decode(from, set);
	struct text registers = cursor_take(from, count);
	if (from->failed || form != FORM_ARRAY)
		return ECORRUPT;
	for (uint32_t i = 0; i < count; i++) {
		unsigned char rank = (unsigned char)registers.data[i];
		if (rank > rank_max(set->precision))
			return ECORRUPT;
		set->set_count += rank > 0;
	}
	if (set->set_count < count / 2)
		return ECORRUPT;
	set->registers = malloc(count);
	if (set->registers == NULL)
		return ENOMEMORY;
	memcpy(set->registers, registers.data, count);
	return OK;
}
