/* sequence - how the events of a sequence are written into match records.
 *
 * Why: route.c writes what sequence.c reads. A value's tag below SEQUENCE_VALUE_TAG is the
 * reference that matched; from there on it is the index of a field the steps are joined on, and the
 * value is the keyed hash of what the event has there.
 *
 * Invariant: an event has one value per rule it matched, then one per field it has. Owner: none.
 * Thread: any. Limits: SEQUENCE_FIELDS_MAX fields (rules/terms.h), JUDGE_STEPS_MAX references. */
#ifndef PICKET_CORRELATE_SEQUENCE_H
#define PICKET_CORRELATE_SEQUENCE_H

#include "correlate/judge.h"

enum { SEQUENCE_VALUE_TAG = JUDGE_STEPS_MAX };

#endif
