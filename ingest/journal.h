/* journal - which message each worker has in hand, in a small file that outlives a crash.
 *
 * Why: a message that kills the daemon (a bug in a decoder or in a library) would be read again at
 * every start and stop the intake for ever. The message a worker had in hand when the last run died
 * is a suspect; one that is in hand at JOURNAL_CRASHES_MAX crashes, or at JOURNAL_DEATHS_MAX deaths
 * of any kind, is refused from then on: it goes to the quarantine unread, and the run goes on. If
 * it kills as often once more, while it is put there, it is put there without its bytes.
 *
 * A crash is a signal that the process caused itself; of any other death (no memory, a probe that
 * gave up on what hangs, a hand that kills) the message may be the cause or not, so it takes more
 * of them to believe it.
 *
 * What crashes where a whole epoch is in work (a shard, the committer, a worker that closes it) has
 * left every hand. Then epochs become smaller: after one such death of JOURNAL_SMALL_EPOCH messages
 * of a worker, after the next, if it comes within JOURNAL_SINGLE_MAX messages of the start, of a
 * single one, which stays in hand until it is committed.
 *
 * Invariant: only what was in hand that often is refused. While a suspect is ahead, one
 * message at a time is in hand, over all workers: the next death has one suspect, not one for each
 * worker. A suspect that the store has passed is forgotten. A run that ends in order has nothing in
 * hand, and so has a daemon that dies while it waits.
 * Owner: the runtime; wherever it is NULL, none is kept. Thread: what has a worker's index, by that
 * worker; the rest from any. Time: none.
 * Limits: a record that is innocent and in hand at that many deaths is refused, too. What kills
 * another thread (the API's, librdkafka's) has no suspect, nor has what hangs or takes all memory
 * where an epoch is in work: that looks as if somebody killed picket; and what time does to a
 * message of long ago accuses the one that moves it. JOURNAL_SUSPECTS_MAX records are suspected at
 * a time, and the oldest is forgotten. */
#ifndef PICKET_INGEST_JOURNAL_H
#define PICKET_INGEST_JOURNAL_H

#include "storage/rows.h"

enum {
	JOURNAL_WORKERS_MAX = 64,
	JOURNAL_CRASHES_MAX = 2, /* with the same message in hand, then it is refused */
	JOURNAL_DEATHS_MAX = 4,  /* of any kind, likewise */
	JOURNAL_SUSPECTS_MAX = 128,
	JOURNAL_FORGET_AFTER = 8, /* other deaths; a suspect that is not refused yet is dropped */
	JOURNAL_CAREFUL_MAX = 1 << 20, /* messages, then a suspect that did not come is let be */
	JOURNAL_NAME_BYTES = 256,      /* of a topic, to be told; a longer path is cut */
	JOURNAL_SMALL_EPOCH = 256,     /* messages; for the next JOURNAL_CAREFUL_MAX */
	JOURNAL_SINGLE_MAX = 16384,    /* messages that are read one an epoch, then any number */
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

/* What is to be done with a message, and at how many deaths it was in hand. */
enum journal_step { JOURNAL_READ, JOURNAL_REFUSE, JOURNAL_REFUSE_BARE };
struct journal_past {
	enum journal_step step;
	unsigned deaths;
};

/* The worker begins with a message, whose past it learns. Waits while another worker has a message
 * in hand and a suspect is ahead. */
struct journal_past journal_take(struct journal *journal, unsigned worker,
				 const struct journal_place *place);
/* ... and is done with it: in epochs of one message, when that is committed. */
void journal_leave(struct journal *journal, unsigned worker);

/* This process ends because it crashed, and nobody killed it: from the handler of the signal. */
void journal_crashed(struct journal *journal);
/* A thread begins with what concerns an epoch, and is done with it. */
void journal_enter(struct journal *journal);
void journal_exit(struct journal *journal);

/* How many messages of a worker an epoch may hold; UINT_MAX: any number. */
unsigned journal_epoch_messages(const struct journal *journal);
/* In epochs of one message: may the worker read the next one? Only one of them may, until it gives
 * the right back. */
bool journal_reserve(struct journal *journal, unsigned worker);
void journal_release(struct journal *journal, unsigned worker);

/* How many suspects are still ahead; the first of them as TOPIC/PARTITION/OFFSET, "" = none. */
size_t journal_suspects(struct journal *journal, char *first, size_t size);

#endif
