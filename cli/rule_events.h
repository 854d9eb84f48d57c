/* rule_events - the events of a file, one by one, as rules see them; no alert, no correlation.
 *
 * Why: `rules explain` and `rules coverage` ask about events themselves, and must read and
 * normalise them exactly as `scan` and the daemon do.
 *
 * Invariant: records come in file order; what cannot be read is counted and its first reason told.
 * Owner: nothing is kept; an event is valid during the call. Thread: one.
 * Limits: those of file_reader.h and decode.h. */
#ifndef PICKET_CLI_RULE_EVENTS_H
#define PICKET_CLI_RULE_EVENTS_H

#include "cli/command.h"
#include "ingest/decode.h"

/* False: enough. */
typedef bool rule_event_visit(void *context, const struct event *event);

/* As above, for accepted and rejected records alike. */
typedef bool rule_record_visit(void *context, int64_t number, const struct decoded *record);

struct rule_event_totals {
	uint64_t events, rejects;
	char reason[256]; /* of the first reject: "file:line: words", else "" */
};

/* path "-" is standard input. The totals are added to. */
enum status rule_events_read(const char *path, const struct decoder_options *options,
			     rule_event_visit *visit, void *context,
			     struct rule_event_totals *totals, struct error *err);

enum status rule_records_read(const char *path, const struct decoder_options *options,
			      rule_record_visit *visit, void *context,
			      struct rule_event_totals *totals, struct error *err);

/* --input as decoder options; EXIT_OK, or the message is printed. */
int rule_events_options(struct session *session, struct decoder_options *ret_options);

#endif
