/* doctor_advice - what `picket doctor` tells people to change, each thing once.
 *
 * Why: a page per service that says the same as the page before is read by nobody.
 *
 * Invariant: every line of the report's `advice` and `signals.missing` is told, with all services
 * it is meant for (more than eight are counted). Owner: none. Thread: any. */
#ifndef PICKET_CLI_DOCTOR_ADVICE_H
#define PICKET_CLI_DOCTOR_ADVICE_H

#include "cli/output.h"

/* services: of the report (cli/doctor.h). False: out of memory. */
bool doctor_print_advice(FILE *to, struct json_object *services);

#endif
