/* restore - puts a backup where a daemon may start on it.
 *
 * Why: copying by hand forgets a file, copies over a store that is in use, or brings back damage
 * that nobody noticed; and it must be safe to be interrupted at any moment.
 *
 * Invariant: the folder is a store only when every file of the backup is in it, on disk, and every
 * event of it could be read. Until then it holds the folder RESTORE_FOLDER; store_open() refuses
 * such a folder, and restoring again begins anew. The backup is not changed.
 * Owner: none. Thread: one. Limits: one restore of a folder at a time. */
#ifndef PICKET_STORAGE_RESTORE_H
#define PICKET_STORAGE_RESTORE_H

#include "storage/verify.h"

#define RESTORE_FOLDER "picket.restoring"

struct restore_report {
	uint64_t files, bytes;
	struct verify_report verified;
};

/* folder: made when it is missing, else empty or left by a restore that was interrupted (EINVALID).
 * EINUSE: the backup is a store that a daemon has open, or another restore runs. ECORRUPT: the copy
 * is damaged (see report->verified) and was taken away again. */
enum status store_restore(const char *backup, const char *folder,
			  const struct verify_options *verify, struct restore_report *ret_report,
			  struct error *err);

#endif
