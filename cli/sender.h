/* sender - the threads that deliver: one for each receiver of the configuration.
 *
 * Why: a webhook that hangs for ten seconds must hold back neither Alertmanager nor the engine.
 * Invariant: a thread ends within SENDER_TIMEOUT_S of sender_free(); what was not delivered then is
 * delivered after the next start. A store that fails is told in the log once and tried again.
 * Owner: sender_new()'s caller; what the options name is lent. Thread: any.
 * Limits: one receiver of each kind. */
#ifndef PICKET_CLI_SENDER_H
#define PICKET_CLI_SENDER_H

#include "cli/log.h"
#include "cli/receiver.h"
#include "ingest/runtime.h"

enum { SENDER_TIMEOUT_S = 10 };

struct sender;

struct sender_options {
	struct receiver receivers[RECEIVER_KIND_COUNT];
	size_t receiver_count;
	struct store *store;
	const char *ca_file; /* PEM certificates to trust for https, "" = the system's */
	struct log *log;
};

/* Reads how far each receiver has heard: before the engine starts, so that a new receiver misses
 * nothing of it. */
enum status sender_new(const struct sender_options *options, struct sender **ret_sender,
		       struct error *err);
/* Starts the threads. Commits go through the runtime. */
enum status sender_start(struct sender *sender, struct runtime *runtime, struct error *err);
void sender_free(struct sender **sender);

bool sender_has(const struct sender *sender, enum receiver_kind kind);

/* One test message to a receiver, now. ENOTFOUND: it is not configured. */
enum status sender_test(struct sender *sender, enum receiver_kind kind,
			struct post_answer *ret_answer, struct error *err);

#endif
