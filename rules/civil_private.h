/* civil - the calendar parts of a moment, in UTC, for Sigma's time modifiers.
 *
 * Invariant: pure. Thread: any. Units: microseconds since 1970. Limits: years 1 to 9999. */
#ifndef PICKET_RULES_CIVIL_PRIVATE_H
#define PICKET_RULES_CIVIL_PRIVATE_H

#include "rules/ast_private.h"

/* minute 0-59, hour 0-23, day 1-31, ISO 8601 week 1-53, month 1-12, year. */
int64_t civil_part(int64_t time_us, enum time_part part);

/* A number as loggers write moments: seconds, milliseconds, microseconds or nanoseconds since 1970,
 * told apart by size (from 1973 to 5138 they do not overlap). False when it is out of range. */
bool civil_from_epoch(double number, int64_t *ret_time_us);

#endif
