/* config - picket.yaml: one strict file, every key of it from one table (config.def).
 *
 * Why: a SIEM that silently ignores `kafak:` reads nothing and looks healthy. An unknown key, a
 * wrong type, a value out of range or a number without its unit is an error with
 * file:line:column and the nearest valid name, and all of them are told at once.
 *
 * Invariant: a config that loaded without a problem has every member set (defaults applied), and
 * every path is absolute or relative to the working directory. Secrets are never in the file: they
 * are named by path and read here. Owner: texts live in the arena of the problems. Thread: any.
 * Units: _us microseconds, _bytes bytes. Limits: CONFIG_PROBLEMS_MAX problems are kept. */
#ifndef PICKET_CLI_CONFIG_H
#define PICKET_CLI_CONFIG_H

#include <stdint.h>

#include "cli/row_kind.h"
#include "rules/arena.h"
#include "rules/bytes.h"
#include "rules/yaml.h"

enum { CONFIG_PROBLEMS_MAX = 100, CONFIG_SECRET_MAX = 64 * 1024 };

struct config_list {
	const char *const *items;
	size_t count;
};

struct config_pair {
	struct text name, value;
};

struct config_pairs {
	const struct config_pair *items;
	size_t count;
};

enum rules_on_refused { ON_REFUSED_FAIL, ON_REFUSED_SKIP };
enum correlation_on_damaged { ON_DAMAGED_REFUSE, ON_DAMAGED_REBUILD };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct config {
	const char *file; /* where it came from */
	const char *data_dir;
	int64_t memory_bytes;
	int64_t correlation_bytes, groups_max;
	int64_t correlation_on_damaged;
	const char *kafka_servers, *kafka_group, *kafka_start;
	struct config_list kafka_topics;
	int64_t kafka_stalled_us;
	struct config_pairs kafka_properties;
	struct config_list format_paths;
	struct config_pairs format_topics;
	struct config_list raw_topics;
	struct config_list gate_policies;
	int64_t gate_block_after_us;
	struct config_list files, rule_paths, rule_lists, rule_pipelines;
	int64_t rules_on_refused;
	int64_t worker_count, actor_count;
	int64_t epoch_us, checkpoint_us, lateness_us, merge_us;
	int64_t retention_security_us, retention_access_us, retention_application_us;
	struct config_pairs retention_tenants;
	int64_t retention_bytes;
	int64_t retention_rows_us[ROW_KIND_COUNT];
	const char *api_listen, *api_socket, *api_token_file;
	const char *api_tls_certificate_file, *api_tls_key_file;
	const char *bindings;
	int64_t sequences, silent_us, replay_window_us;
	struct config_list geoip, threat_lists, networks;
	int64_t threat_ttl_us, enrichment_reload_us;
	const char *privacy_key_file;
	int64_t privacy_secrets;
	struct config_pairs privacy_fields;
	int64_t time_trusted, time_future_us, time_past_us;
	const char *syslog_zone;
	int64_t log_format;
	const char *alertmanager_url, *alertmanager_token_file;
	const char *webhook_url, *webhook_token_file, *webhook_secret_file;
	const char *receivers_ca_file;
	int64_t alertmanager_level, webhook_level; /* enum rule_level */
};

/* Everything that is wrong with a file. */
struct problems {
	struct arena *arena; /* holds the problems and the configuration */
	struct error *items;
	size_t count;
	size_t cut; /* problems beyond CONFIG_PROBLEMS_MAX */
};

enum status problems_init(struct problems *problems, struct arena *arena, struct error *err);
void problems_add(struct problems *problems, const struct error *problem);

/* Reads a file. OK also when there are problems: look at problems->count. Another status is
 * trouble of ours (memory). */
enum status config_load(const char *path, struct problems *problems, struct config *ret_config,
			struct error *err);
/* The same from a text; file names it in problems. */
enum status config_parse(struct text yaml, const char *file, struct problems *problems,
			 struct config *ret_config, struct error *err);

/* The content of docs/CONFIG.md. */
void config_document(struct bytes *to);

/* A secret from a file: its bytes without the line breaks at the end. */
enum status secret_read(const char *path, struct arena *arena, struct text *ret_secret,
			struct error *err);

/* `127.0.0.1:9470`, `[::1]:9470`, `off`. */
struct listen_address {
	bool off;
	bool loopback;
	char host[64];
	unsigned short port;
};
bool listen_parse(struct text t, struct listen_address *ret_address);

/* `latest`, `earliest`, `-7d` as microseconds back: 0 latest, -1 earliest, else a duration. */
bool start_parse(struct text t, int64_t *ret_ago_us);

/* "64KiB", "256MiB", "2GiB", or bytes. */
bool size_parse(struct text t, int64_t *ret_bytes);

#endif
