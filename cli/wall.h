/* wall - the only clock of picket: real time, handed down as struct wall_clock.
 *
 * Why: nothing below cli/ reads a clock. Invariant: microseconds since 1970, UTC.
 * Owner: none. Thread: any. Limits: it may jump, as real time does. */
#ifndef PICKET_CLI_WALL_H
#define PICKET_CLI_WALL_H

#include "ingest/source.h"

struct wall_clock wall_clock_real(void);
int64_t wall_now_us(void);

#endif
