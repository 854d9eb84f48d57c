/* wiring - a configuration as the options of the inner parts.
 *
 * Why: `run` and `check` must build the same sources from the same file, and only cli/ may know all
 * parts. Invariant: what a wiring points to lives as long as its config and arena.
 * Owner: the caller's struct. Thread: one to make it; the factory is called by the runtime's.
 * Limits: none of its own. */
#ifndef PICKET_CLI_WIRING_H
#define PICKET_CLI_WIRING_H

#include "cli/api.h"
#include "cli/config.h"
#include "cli/row_retention.h"
#include "cli/sender.h"
#include "ingest/format.h"
#include "ingest/runtime.h"
#include "rules/ruleset.h"
#include "storage/retention.h"

struct wiring {
	bool is_kafka;
	struct kafka_options kafka;
	struct file_options files;
	struct decoder_options decoder; /* of the formats below */
	struct formats *formats;
	const struct config *config;
	struct text store_key; /* keys the hashes when the configuration names no key; lent */
	struct knowledge_options knowledge;
	struct knowledge_desk *desk; /* NULL: nothing to look up */
	uint64_t fingerprint;        /* of the files that were read last */
	struct ruleset_options rules;
	const struct text *raw_topics; /* store.raw; in the arena */
	size_t raw_topic_count;
};

/* Fills in what the configuration says and loads the formats; wiring_done() is due in any case. */
enum status wiring_init(struct wiring *wiring, const struct config *config, struct arena *arena,
			struct error *err);

/* Frees what was loaded; wiring may be all zero. */
void wiring_done(struct wiring *wiring);

/* Loads the lists and databases that events are held against. */
enum status wiring_load_knowledge(struct wiring *wiring, struct error *err);

/* Loads the bindings and the key and policies of privacy, as their files are now, into the parts;
 * the rest of them stays as it is. Needs the store's key. Any thread. */
enum status wiring_load_custody(const struct wiring *wiring, struct generation_parts *parts,
				struct error *err);

/* What is known about events with these parts; all of it is lent. */
struct enrich_options wiring_enrich(const struct wiring *wiring,
				    const struct generation_parts *parts);

/* Reads lists and databases again when one has changed: true in *ret_changed. After an error the
 * old ones stay, and the next change is tried again. */
enum status wiring_reload(struct wiring *wiring, bool *ret_changed, struct error *err);

/* Makes Kafka or file sources; context is the wiring. */
struct source_factory wiring_source_factory(struct wiring *wiring);

/* The receivers of the configuration; their secrets are read into the arena. */
enum status wiring_receivers(const struct config *config, struct arena *arena,
			     struct sender_options *options, struct error *err);

/* How long events are kept; EINVALID names the key of a tenant that is not TENANT/CLASS. */
enum status wiring_retention(const struct config *config, struct arena *arena,
			     struct retention_rules *ret_rules, struct error *err);
/* The same for rows that are no events. */
struct row_rules wiring_row_rules(const struct config *config);

/* Loads the rules: the refused ones are notes when they are skipped. */
enum status wiring_load_rules(const struct wiring *wiring, struct ruleset **ret_ruleset,
			      struct error *err);

/* The API asks this engine, which outlives it. */
void wiring_engine(struct runtime *runtime, struct api *api);

#endif
