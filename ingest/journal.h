/* journal - which message each worker has in hand, in a small file that outlives a crash.
 *
 * Why: a message that kills the daemon (a bug in a decoder or in a library) would be read again at
 * every start and stop the intake for ever. The message a worker had in hand when the last run died
 * is a suspect; one that is in hand at JOURNAL_CRASHES_MAX deaths is refused from then on: it goes
 * to the quarantine unread, and the run goes on.
 *
 * Invariant: only what was in hand at that many deaths is refused. While a suspect is ahead, one
 * message at a time is in hand, over all workers: the next death has one suspect, not one for each
 * worker. A suspect that the store has passed is forgotten. A run that ends in order has nothing in
 * hand, and so has a daemon that dies while it waits.
 * Owner: the runtime. Thread: journal_take() and journal_leave() by each worker with its own index,
 * the rest from any. Time: none.
 * Limits: a SIGKILL from outside (out of memory, a probe that gave up) looks like a crash, because
 * a record may be its cause too: a record that is innocent and in hand at two of them is refused.
 * What kills another thread (a shard, the committer, librdkafka's) or the end of an epoch has no
 * suspect. JOURNAL_SUSPECTS_MAX records are suspected at a time, and the oldest is forgotten. */
#ifndef PICKET_INGEST_JOURNAL_H
#define PICKET_INGEST_JOURNAL_H

#include "storage/rows.h"

enum {
	JOURNAL_WORKERS_MAX = 64,
	JOURNAL_CRASHES_MAX = 2, /* deaths with the same message in hand, then it is refused */
	JOURNAL_SUSPECTS_MAX = 128,
	JOURNAL_FORGET_AFTER = 8, /* other deaths; a suspect that is not refused yet is dropped */
	JOURNAL_CAREFUL_MAX = 1 << 20, /* messages, then a suspect that did not come is let be */
	JOURNAL_NAME_BYTES = 256,      /* of a topic, to be told; a longer path is cut */
};

struct journal;

/* A message. log: journal_log() of its log's name (storage/rows.h: log_name()) and partition. */
struct journal_place {
	uint64_t log;
	struct text topic;
	int32_t partition;
	int64_t offset;
};
uint64_t journal_log(struct text name, int32_t partition);

/* Draws the conclusion from what the last run left at path, and begins anew there. positions: how
 * far the store is. A file that is missing or damaged is an empty one. */
enum status journal_open(const char *path, const struct position_row *positions,
			 size_t position_count, struct journal **ret_journal, struct error *err);
void journal_free(struct journal **journal);

/* The worker begins with a message: at how many deaths it was in hand. Waits while another worker
 * has a message in hand and a suspect is ahead. */
unsigned journal_take(struct journal *journal, unsigned worker, const struct journal_place *place);
/* ... and is done with it. */
void journal_leave(struct journal *journal, unsigned worker);

/* How many suspects are still ahead; the first of them as TOPIC/PARTITION/OFFSET, "" = none. */
size_t journal_suspects(struct journal *journal, char *first, size_t size);

#endif
