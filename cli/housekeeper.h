/* housekeeper - the thread that keeps the store in order: it merges blocks and drops what is old,
 * beside everything else.
 *
 * Why: merging takes seconds and must hold up neither the intake nor a stop. Invariant: merging
 * changes how events are stored, never which (storage/merge.h); what is dropped is what retention
 * says. What goes wrong is logged once, not at every turn. Owner: housekeeper_free(), before the
 * store goes; it returns within a step of merging. Thread: its own. Limits: one step is
 * MERGE_EVENTS_MAX events. */
#ifndef PICKET_CLI_HOUSEKEEPER_H
#define PICKET_CLI_HOUSEKEEPER_H

#include "cli/log.h"
#include "cli/row_retention.h"
#include "storage/retention.h"

struct housekeeper;

struct housekeeper_options {
	struct store *store; /* lent */
	struct log *log;     /* lent */
	int64_t merge_us;    /* a turn that often */
	struct retention_rules retention;
	struct row_rules rows;
	struct wall_clock clock;
};

enum status housekeeper_new(const struct housekeeper_options *options,
			    struct housekeeper **ret_housekeeper, struct error *err);
void housekeeper_free(struct housekeeper **housekeeper);

#endif
