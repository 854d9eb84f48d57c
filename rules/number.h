/* number - numbers as rules compare them: 4688 = "4688" = 4688.0.
 *
 * Why: the same code is logged as a number by one service and as a string by another; a rule must
 * not miss either. Integers stay exact to 64 bits (a double would merge 2^53 and 2^53 + 1).
 *
 * Invariant: only JSON's number grammar counts (an optional leading + aside): no spaces, hex,
 * inf, nan. Owner: plain data. Thread: any. Limits: NUMBER_TEXT_MAX bytes of text. */
#ifndef PICKET_RULES_NUMBER_H
#define PICKET_RULES_NUMBER_H

#include "rules/event.h"
#include "rules/ruleset.h"

enum { NUMBER_TEXT_MAX = 512, NUMBER_PRINT_MAX = 32 };

struct number {
	double real;
	int64_t integer; /* exact, when is_integer */
	bool is_integer;
};

bool number_parse(struct text t, struct number *ret_number);

/* The number of a JSON number or numeric string. */
bool number_of_value(const struct value *value, struct number *ret_number);

/* -1, 0, 1; exact also between an integer and a real. */
int number_compare(const struct number *a, const struct number *b);
bool number_holds(const struct number *a, enum comparison how, const struct number *b);

/* Equal numbers have equal hashes. */
uint64_t number_hash(const struct number *number);

/* The canonical text of a real: digits only when it is whole (4688 for 4688.0 and 1000 for 1e3),
 * else the shortest that reads back the same. */
struct text number_print(double real, char buffer[static NUMBER_PRINT_MAX]);
/* Its digits, somewhere in the buffer. printf would cost more than mapping a field does. */
struct text number_print_integer(int64_t integer, char buffer[static NUMBER_PRINT_MAX]);

#endif
