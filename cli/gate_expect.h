/* gate_expect - the file of --expect: read, checked here, and sent along with the question.
 *
 * Why: the daemon reads no files of its clients; and who wrote the manifest wants to know the line
 * that is wrong in his file, not in a request.
 * Invariant: what is sent was understood here. Owner: *ret_text is the caller's. Thread: any.
 * Limits: GATE_MANIFEST_*. */
#ifndef PICKET_CLI_GATE_EXPECT_H
#define PICKET_CLI_GATE_EXPECT_H

#include "correlate/gate_manifest.h"

/* ENOTFOUND, EINVALID with file:line:column. */
enum status gate_expect_read(const char *path, struct text service, struct bytes *ret_text,
			     struct error *err);

#endif
