/* scan - the whole engine over files, on event time, without Kafka, store or daemon.
 *
 * Why: many people meet picket through `picket scan`, and `picket rules test` and the conformance
 * tests need the same engine with events in and alerts out. It is the DETECT and CORRELATE stages
 * of the daemon, single-threaded, so a rule behaves here as it does live.
 *
 * Without a lateness bound the match records of the whole input are sorted by (time, file, line)
 * before they are correlated, so the order of files and lines does not matter; with one they are
 * taken in file order and a record that is too late is treated as live.
 *
 * Invariant: same files, same rules, same output, byte for byte. Owner: the caller. Thread: one.
 * Limits: without a lateness bound the match records are held in memory (about 150 B each). */
#ifndef PICKET_INGEST_SCAN_H
#define PICKET_INGEST_SCAN_H

#include "correlate/actor.h"
#include "ingest/decode.h"
#include "ingest/enrich.h"

struct scan_match {
	const struct rule *rule;
	struct origin origin;
	int64_t time_us;
};

struct scan_reject {
	struct origin origin;
	enum reject why;
	struct text detail;
	struct text raw;
};

/* What the caller hears; any of them may be NULL. Views are valid during the call. */
struct scan_sink {
	/* Every revision. NULL: rules are matched, and nothing is correlated. */
	void (*on_alert)(void *context, const struct alert *alert);
	void (*on_match)(void *context, const struct scan_match *match);
	/* Every event that was read. */
	void (*on_event)(void *context, const struct event *event, const struct matches *matches);
	void (*on_undecided)(void *context, const struct scan_match *match);
	void (*on_reject)(void *context, const struct scan_reject *reject);
	void *context;
};

struct scan_options {
	const struct ruleset *ruleset; /* lent */
	struct enrich_options enrich;  /* lent */
	struct decoder_options decoder;
	bool final_only; /* on_alert once per alert, in its final state, sorted by first event */
	int64_t lateness_us; /* < 0: sort the whole input */
	struct scan_sink sink;
};

struct scan_totals {
	uint64_t messages;
	uint64_t events;       /* accepted records */
	uint64_t quarantined;  /* rejected records, and files that broke off */
	uint64_t time_missing; /* events whose time had to be made up */
	uint64_t matches;      /* (event, rule) pairs */
	uint64_t undecided;    /* (event, rule) pairs whose pattern gave up */
	uint64_t alerts;       /* also those of rules that gave up (undecided.h) */
	struct route_counters routes;
	struct actor_counters actor;
};

struct scan;

enum status scan_new(const struct scan_options *options, struct scan **ret_scan, struct error *err);
void scan_free(struct scan **scan);

/* Reads files (source.h) to their end. One that breaks off is told to on_reject as `unreadable`. */
enum status scan_files(struct scan *scan, const struct file_options *files, struct error *err);
/* One message from memory; origin is its topic (any name), partition and offset, which must grow
 * from call to call of one (topic, partition). */
enum status scan_message(struct scan *scan, const struct origin *origin, struct text payload,
			 struct error *err);
/* An event out of a store. */
enum status scan_event(struct scan *scan, const struct event *event, struct error *err);
/* Bytes of match records held for sorting. */
uint64_t scan_held_bytes(const struct scan *scan);
/* Correlates and closes everything; the sink hears the alerts. Call once. */
enum status scan_finish(struct scan *scan, struct scan_totals *ret_totals, struct error *err);

/* The same for an input that goes on, unless watermark_us is INT64_MAX: everything is judged up to
 * there, or up to the last record when that is later; alerts that only an end would open are not
 * told. */
enum status scan_stop(struct scan *scan, int64_t watermark_us, struct scan_totals *ret_totals,
		      struct error *err);
/* What its rules remember. */
const struct plan *scan_plan(const struct scan *scan);

/* Matches that a filter took away (ruleset.h). */
uint64_t scan_excluded(const struct scan *scan, const struct rule_filter *filter);
/* Candidates, matches, ... of one rule, summed over the scan. */
const struct rule_counters *scan_rule_counters(const struct scan *scan, size_t rule_index);

#endif
