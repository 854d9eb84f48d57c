/* crash - tells the journal that picket died of itself.
 *
 * Why: after a death at work on an epoch the next run looks for the message that kills
 * (ingest/journal.h), which is slow. Who kills picket from outside (a probe, a lack of memory) must
 * not make it look for a bug that is not there: only a signal that the process caused counts.
 *
 * Invariant: the process ends as it would have ended, of the same signal. Owner: the daemon.
 * Thread: one. Limits: one runtime of the process is watched; a stack that overflows is not told.
 */
#ifndef PICKET_CLI_CRASH_H
#define PICKET_CLI_CRASH_H

#include "ingest/runtime.h"

/* NULL: nothing is watched any more; before the runtime is freed. */
void crash_watch(struct runtime *runtime);

#endif
