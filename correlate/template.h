/* template - the constant part of a log line: "user # not found" of "user 4711 not found".
 *
 * Why: "this version logs an error that no version before it ever logged" is a question about kinds
 * of lines, and two lines of one kind differ in numbers, ids and names. What is left when these are
 * masked is the line's template; its hash names the kind.
 *
 * Invariant: pure and stateless: the template of a line does not depend on other lines, so neither
 * on order nor on threads.
 * Owner: the caller's buffer. Thread: any. Limits: TEMPLATE_INPUT_MAX bytes of the first line are
 * looked at, TEMPLATE_MAX bytes are kept: what is behind them tells no templates apart. */
#ifndef PICKET_CORRELATE_TEMPLATE_H
#define PICKET_CORRELATE_TEMPLATE_H

#include "rules/bytes.h"

enum { TEMPLATE_INPUT_MAX = 1024, TEMPLATE_MAX = 160 };

/* Appends the template of a line. */
void template_write(struct text line, struct bytes *to);

#endif
