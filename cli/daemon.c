#include "cli/daemon.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/crash.h"
#include "cli/gate_policies.h"
#include "cli/housekeeper.h"
#include "cli/http.h"
#include "cli/reloader.h"
#include "cli/rule_shadow.h"
#include "cli/sender.h"
#include "cli/wall.h"
#include "cli/wiring.h"
#include "storage/rows.h"

enum {
	DAEMON_ARENA_BYTES = 16 * 1024 * 1024,
	WORKERS_DEFAULT_MAX = 8,
	PEM_MAX = CONFIG_SECRET_MAX,
	PATH_BYTES = 4096,
};

struct daemon {
	const struct config *config;
	struct log *log;
	struct arena *arena;
	struct wiring wiring;
	struct generation_parts parts; /* until the runtime takes them */
	struct store *store;
	struct runtime *runtime;
	struct sender *sender;
	struct gate_policies policies;
	struct api api;
	struct reloader reloader;
	bool api_is_up;
	struct housekeeper *housekeeper;
	struct retention_rules retention;
	struct row_rules rows;
	struct http *http;
	/* What the last tick saw, so that only changes are logged. */
	enum runtime_state state;
	bool disk_full, rewound, careful;
	int64_t problem_us, reload_us; /* the latter: when lists were looked at last */
	size_t stalled, partition_count, crashed;
};

static void say(struct daemon *daemon, enum log_level level, const char *message,
		const char *detail)
{
	const struct log_field field = {"detail", text_of(detail)};
	log_line(daemon->log, level, message, &field, detail == NULL ? 0 : 1);
}

/* A message that may kill picket, before it can do so again; and one that will not any more. */
static void say_crashed(struct daemon *daemon, const struct runtime_status *status)
{
	bool careful = status->suspects > 0 || status->epoch_messages > 0;
	if (careful && !daemon->careful)
		say(daemon, LOG_LEVEL_WARNING, "picket died at work, and reads carefully",
		    status->suspects > 0 ? status->suspect : "what it worked on was an epoch");
	if (status->crashed > daemon->crashed)
		say(daemon, LOG_LEVEL_ERROR, "a message that crashes was quarantined unread",
		    "picket quarantine list; the alert picket.crashed names it");
	daemon->careful = careful;
	daemon->crashed = status->crashed;
}

/* mkdir -p with mode 0700. */
static enum status make_folder(const char *path, struct error *err)
{
	char part[PATH_BYTES];
	size_t size = strlen(path);
	if (size >= sizeof part)
		return error_set(err, EINVALID, "data_dir is too long");
	for (size_t i = 1; i <= size; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0700) != 0 && errno != EEXIST)
			return error_set(
				err, ESYSTEM,
				"data_dir %s cannot be made: %s: %s; make it for the user that "
				"runs picket, or set data_dir",
				path, part, strerror(errno));
	}
	if (access(path, W_OK | X_OK) != 0)
		return error_set(err, ESYSTEM,
				 "data_dir %s is not writable: %s; chown it to the user "
				 "that runs picket, or set data_dir",
				 path, strerror(errno));
	return OK;
}

/* The identity row of the store: made once, with random keys; *ret_row in any case. */
static enum status ensure_identity(struct store *store, struct identity_row *ret_row,
				   struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	identity_key(&key);
	enum status status = store_get(store, FAMILY_POSITION, bytes_text(&key), &value, err);
	if (status == OK)
		return identity_decode(bytes_text(&value), ret_row, err);
	if (status != ENOTFOUND)
		return status;
	struct identity_row row = {.created_us = wall_now_us()};
	randombytes_buf(row.store_id, sizeof row.store_id);
	randombytes_buf(row.hash_key, sizeof row.hash_key);
	bytes_clear(&value);
	identity_encode(&row, &value);
	struct store_batch *batch = store_batch_new(store);
	if (batch == NULL)
		return error_set(err, ENOMEMORY, "no memory for the store's identity");
	store_batch_put(batch, FAMILY_POSITION, bytes_text(&key), bytes_text(&value));
	status = store_batch_commit(batch, true, err);
	store_batch_free(&batch);
	if (status == OK)
		*ret_row = row;
	return status;
}

static enum status open_rules(struct daemon *daemon, struct error *err)
{
	struct ruleset *ruleset = NULL;
	enum status status = wiring_load_rules(&daemon->wiring, &ruleset, err);
	daemon->parts.ruleset = ruleset;
	if (status == OK)
		(void)log_skipped_rules(daemon->log, ruleset);
	return status;
}

static enum status open_store(struct daemon *daemon, struct hash_key *ret_key, struct error *err)
{
	const struct config *config = daemon->config;
	struct identity_row identity;
	struct store_options options = {.path = config->data_dir,
					.create = true,
					.memory_bytes = (size_t)config->memory_bytes};
	enum status status = make_folder(config->data_dir, err);
	if (status == OK)
		status = store_open(&options, &daemon->store, err);
	if (status == EINUSE)
		return error_set(err, EINUSE,
				 "data_dir %s is in use by another picket; ask that one (picket "
				 "status --server unix:%s), stop it, or set another data_dir",
				 config->data_dir, config->api_socket);
	if (status == OK)
		status = ensure_identity(daemon->store, &identity, err);
	if (status == OK)
		memcpy(daemon->wiring.kafka.store_id, identity.store_id,
		       sizeof daemon->wiring.kafka.store_id);
	if (status == OK)
		memcpy(ret_key->bytes, identity.hash_key, sizeof ret_key->bytes);
	return status;
}

/* The daemon cannot go on with what this store remembers: another picket wrote it, or it is
 * damaged. Its events and alerts may still be read, and what Kafka still has can be judged again.
 */
static enum status say_way_out(const struct config *config, enum status status, struct error *err)
{
	if (status != ECORRUPT)
		return status;
	struct error why = *err;
	return error_set(err, ECORRUPT,
			 "%s; start the picket that wrote %s%s, or move that folder away and set "
			 "kafka.start: earliest to read again what Kafka still has (picket store "
			 "verify --data DIR counts what can be read of the old one)",
			 why.text, config->data_dir,
			 config->correlation_on_damaged == ON_DAMAGED_REBUILD
				 ? ""
				 : "; or, when it is what rules remember, set "
				   "correlation.on_damaged: rebuild to make it again from the "
				   "stored events");
}

static enum status open_enrichment(struct daemon *daemon, const struct hash_key *store_key,
				   struct error *err)
{
	struct wiring *wiring = &daemon->wiring;
	wiring->store_key = arena_copy(daemon->arena, (struct text){(const char *)store_key->bytes,
								    sizeof store_key->bytes});
	if (wiring->store_key.data == NULL)
		return error_set(err, ENOMEMORY, "no memory for a key");
	enum status status = wiring_load_knowledge(wiring, err);
	return status == OK ? wiring_load_custody(wiring, &daemon->parts, err) : status;
}

static unsigned default_workers(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	return cores < 1 ? 1 : cores > WORKERS_DEFAULT_MAX ? WORKERS_DEFAULT_MAX : (unsigned)cores;
}

static enum status start_runtime(struct daemon *daemon, struct error *err)
{
	const struct config *config = daemon->config;
	struct text synced = arena_print(daemon->arena, "%s/picket.synced", config->data_dir);
	struct text journal = arena_print(daemon->arena, "%s/picket.journal", config->data_dir);
	if (synced.data == NULL || journal.data == NULL)
		return error_set(err, ENOMEMORY, "no memory for a path");
	struct runtime_options options = {
		.store = daemon->store,
		.ruleset = daemon->parts.ruleset,
		.takes_parts = true,
		.source = wiring_source_factory(&daemon->wiring),
		.decoder = daemon->wiring.decoder,
		.enrich = wiring_enrich(&daemon->wiring, &daemon->parts),
		.track_instances = config->sequences != 0,
		.silent_us = config->silent_us,
		.replay_window_us = config->replay_window_us,
		.clock = wall_clock_real(),
		.worker_count = config->worker_count == 0 ? default_workers()
							  : (unsigned)config->worker_count,
		.actor_count = (unsigned)config->actor_count,
		.epoch_ms = (unsigned)(config->epoch_us / 1000),
		.checkpoint_ms = (unsigned)(config->checkpoint_us / 1000),
		.lateness_us = config->lateness_us,
		.groups_max = (size_t)config->groups_max,
		.correlation_bytes = (size_t)config->correlation_bytes,
		.rebuild_damaged = config->correlation_on_damaged == ON_DAMAGED_REBUILD,
		.synced_path = synced.data,
		.journal_path = journal.data,
	};
	daemon->parts = (struct generation_parts){0}; /* the runtime's now */
	struct runtime_status begun cleanup(runtime_status_done) = {0};
	enum status status = runtime_new(&options, &daemon->runtime, err);
	if (status == OK)
		crash_watch(daemon->runtime);
	if (status == OK && runtime_status(daemon->runtime, &begun) == OK)
		say_crashed(daemon, &begun); /* it may not live to the first tick */
	return status;
}

static enum status start_housekeeper(struct daemon *daemon, struct error *err)
{
	enum status status =
		wiring_retention(daemon->config, daemon->arena, &daemon->retention, err);
	if (status != OK)
		return status;
	daemon->rows = wiring_row_rules(daemon->config);
	const struct housekeeper_options options = {.store = daemon->store,
						    .log = daemon->log,
						    .merge_us = daemon->config->merge_us,
						    .retention = daemon->retention,
						    .rows = daemon->rows,
						    .clock = wall_clock_real()};
	return housekeeper_new(&options, &daemon->housekeeper, err);
}

static enum status open_sender(struct daemon *daemon, struct error *err)
{
	struct sender_options options = {.store = daemon->store, .log = daemon->log};
	enum status status = wiring_receivers(daemon->config, daemon->arena, &options, err);
	return status == OK ? sender_new(&options, &daemon->sender, err) : status;
}

static enum status open_api(struct daemon *daemon, struct error *err)
{
	const struct config *config = daemon->config;
	struct http_options options = {.api = &daemon->api, .socket_path = config->api_socket};
	struct text certificate = {0};
	struct text key = {0};
	enum status status = OK;
	bool parsed = listen_parse(text_of(config->api_listen), &options.listen);
	assert(parsed); /* config_load() took it */
	(void)parsed;
	if (config->api_token_file[0] != '\0')
		status = secret_read(config->api_token_file, daemon->arena, &options.token, err);
	if (status == OK && config->api_tls_certificate_file[0] != '\0') {
		status = secret_read(config->api_tls_certificate_file, daemon->arena, &certificate,
				     err);
		if (status == OK)
			status = secret_read(config->api_tls_key_file, daemon->arena, &key, err);
		options.certificate = certificate.data;
		options.key = key.data;
	}
	if (status != OK)
		return status;
	reloader_init(&daemon->reloader, &daemon->wiring, daemon->runtime, daemon->store,
		      daemon->log);
	daemon->api = (struct api){.store = daemon->store,
				   .reloader = &daemon->reloader,
				   .retention = &daemon->retention,
				   .row_rules = &daemon->rows,
				   .clock = wall_clock_real(),
				   .policies = daemon->policies.items,
				   .block_after_us = config->gate_block_after_us,
				   .policy_count = daemon->policies.count,
				   .sender = daemon->sender,
				   .log = daemon->log};
	wiring_engine(daemon->runtime, &daemon->api);
	struct generation *live cleanup(generation_drop) = runtime_rules(daemon->runtime);
	status = rule_shadow_note(daemon->store, live, wall_now_us(), err);
	if (status != OK)
		return status;
	api_init(&daemon->api);
	daemon->api_is_up = true;
	return http_start(&options, &daemon->http, err);
}

static void say_started(struct daemon *daemon)
{
	char rules[24];
	char port[16];
	struct generation *live cleanup(generation_drop) = runtime_rules(daemon->runtime);
	(void)snprintf(rules, sizeof rules, "%zu", ruleset_count(live->parts.ruleset));
	(void)snprintf(port, sizeof port, "%u", http_port(daemon->http));
	const struct log_field fields[] = {
		{"version", TEXT(PICKET_VERSION)},
		{"data_dir", text_of(daemon->config->data_dir)},
		{"source",
		 daemon->wiring.is_kafka ? text_of(daemon->config->kafka_servers) : TEXT("files")},
		{"rules", text_of(rules)},
		{"socket", text_of(daemon->config->api_socket)},
		{"port", text_of(port)},
	};
	log_line(daemon->log, LOG_LEVEL_INFO, "started", fields, sizeof fields / sizeof *fields);
}

enum status daemon_new(const struct config *config, struct log *log, struct daemon **ret_daemon,
		       struct error *err)
{
	struct daemon *daemon cleanup(daemon_free) = calloc(1, sizeof *daemon);
	if (daemon == NULL)
		return error_set(err, ENOMEMORY, "no memory for the daemon");
	daemon->config = config;
	daemon->log = log;
	daemon->arena = arena_new(DAEMON_ARENA_BYTES);
	if (daemon->arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for the daemon");
	if (sodium_init() < 0)
		return error_set(err, ESYSTEM, "the system gives no random numbers");
	struct hash_key store_key;
	enum status status = wiring_init(&daemon->wiring, config, daemon->arena, err);
	if (status == OK && daemon->wiring.is_kafka)
		status = kafka_options_check(&daemon->wiring.kafka, err);
	if (status == OK)
		status = open_rules(daemon, err);
	if (status == OK)
		status = gate_policies_load(config->gate_policies.items,
					    config->gate_policies.count, &daemon->policies, err);
	if (status == OK)
		status = open_store(daemon, &store_key, err);
	if (status == OK)
		status = open_enrichment(daemon, &store_key, err);
	if (status == OK)
		status = open_sender(daemon, err);
	if (status == OK)
		status = say_way_out(config, start_runtime(daemon, err), err);
	if (status == OK)
		status = start_housekeeper(daemon, err);
	if (status == OK)
		status = sender_start(daemon->sender, daemon->runtime, err);
	if (status == OK)
		status = open_api(daemon, err);
	if (status != OK)
		return status;
	say_started(daemon);
	*ret_daemon = TAKE(daemon);
	return OK;
}

static void say_partitions(struct daemon *daemon, const struct runtime_status *status)
{
	char text[128];
	size_t stalled = 0;
	for (size_t i = 0; i < status->partition_count; i++)
		stalled += status->partitions[i].lag.stalled;
	if (status->partition_count != daemon->partition_count) {
		(void)snprintf(text, sizeof text, "%zu partitions", status->partition_count);
		say(daemon, LOG_LEVEL_INFO, "reading", text);
	}
	if (stalled != daemon->stalled) {
		(void)snprintf(text, sizeof text, "%zu of %zu partitions", stalled,
			       status->partition_count);
		say(daemon, stalled > 0 ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "stalled", text);
	}
	daemon->stalled = stalled;
	daemon->partition_count = status->partition_count;
}

static void say_changes(struct daemon *daemon, const struct runtime_status *status)
{
	if (status->rewound && !daemon->rewound)
		say(daemon, LOG_LEVEL_WARNING, "rewound",
		    "the store had lost its newest epochs; they are read again");
	if (status->disk_full != daemon->disk_full)
		say(daemon, status->disk_full ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
		    status->disk_full ? "disk full" : "disk has room again",
		    status->disk_full
			    ? "nothing is lost: reading waits until there is room in data_dir"
			    : NULL);
	if (status->problem[0] != '\0' && status->problem_us != daemon->problem_us)
		say(daemon, LOG_LEVEL_WARNING, "source problem", status->problem);
	if (status->state == RUNTIME_FAILED && daemon->state != RUNTIME_FAILED)
		say(daemon, LOG_LEVEL_ERROR, "the engine has stopped", status->failure.text);
	if (status->state == RUNTIME_FINISHED && daemon->state != RUNTIME_FINISHED)
		say(daemon, LOG_LEVEL_INFO, "finished", "every file has been read");
	say_crashed(daemon, status);
	say_partitions(daemon, status);
	daemon->rewound = status->rewound;
	daemon->disk_full = status->disk_full;
	daemon->problem_us = status->problem_us;
	daemon->state = status->state;
}

/* Lists and databases that have changed are read again, here: workers go on meanwhile. */
static void reload_knowledge(struct daemon *daemon)
{
	int64_t now_us = wall_now_us();
	bool changed = false;
	struct error err = {0};
	int64_t passed_us = now_us - daemon->reload_us;
	if (passed_us >= 0 && passed_us < daemon->config->enrichment_reload_us)
		return;
	daemon->reload_us = now_us;
	if (wiring_reload(&daemon->wiring, &changed, &err) != OK) {
		char text[ERROR_TEXT_MAX + ERROR_FILE_MAX];
		(void)error_print(&err, text, sizeof text);
		say(daemon, LOG_LEVEL_WARNING, "lists not reloaded, the old ones stay", text);
	} else if (changed) {
		say(daemon, LOG_LEVEL_INFO, "lists reloaded", NULL);
	}
}

void daemon_reload(struct daemon *daemon)
{
	struct reloaded reloaded;
	(void)!reloader_run(&daemon->reloader, &reloaded, NULL); /* it logs, and status tells */
}

enum daemon_state daemon_tick(struct daemon *daemon)
{
	struct runtime_status status;
	if (runtime_status(daemon->runtime, &status) != OK)
		return DAEMON_RUNNING; /* no memory for a copy: asked again in a second */
	say_changes(daemon, &status);
	reload_knowledge(daemon);
	enum daemon_state state = status.state == RUNTIME_FAILED     ? DAEMON_FAILED
				  : status.state == RUNTIME_FINISHED ? DAEMON_FINISHED
								     : DAEMON_RUNNING;
	runtime_status_done(&status);
	return state;
}

void daemon_free(struct daemon **daemon)
{
	struct daemon *gone = *daemon;
	if (gone == NULL)
		return;
	if (gone->api_is_up)
		atomic_store(&gone->api.stopping, true);
	http_free(&gone->http);
	if (gone->api_is_up) {
		api_done(&gone->api);
		reloader_done(&gone->reloader);
	}
	sender_free(&gone->sender);
	if (gone->runtime != NULL) {
		runtime_stop(gone->runtime);
		crash_watch(NULL);
		runtime_free(&gone->runtime);
	}
	housekeeper_free(&gone->housekeeper);
	wiring_done(&gone->wiring);
	gate_policies_done(&gone->policies);
	if (gone->store != NULL)
		store_free(&gone->store);
	generation_parts_free(&gone->parts);
	if (gone->arena != NULL)
		arena_free(&gone->arena);
	free(gone);
	*daemon = NULL;
}
