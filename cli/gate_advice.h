/* gate_advice - what a person runs next after a verdict of the gate.
 *
 * Why: who is woken by a FAIL has the reason already; what is missing is the events behind it and
 * the command that goes on, ready to be copied.
 *
 * Invariant: a value from a log or an answer stands in a command only when it is plain (letters,
 * digits, . _ : / @ + -): nothing that was logged can become a command of the reader's shell.
 * Owner: the caller. Thread: any. Limits: one search, one event. */
#ifndef PICKET_CLI_GATE_ADVICE_H
#define PICKET_CLI_GATE_ADVICE_H

#include <json-c/json.h>
#include <stdbool.h>

#include "rules/bytes.h"

/* Lines for the answer of GET /v1/gate; none for PASS. replayed: it was asked for with --at, so
 * there is nothing to do but to look. */
void gate_advice(struct json_object *answer, bool replayed, struct bytes *to);

#endif
