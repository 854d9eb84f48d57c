#include "cli/wiring.h"

#include <assert.h>

static enum status wire_kafka(struct wiring *wiring, const struct config *config,
			      struct arena *arena)
{
	size_t count = config->kafka_topics.count;
	struct text *topics = arena_alloc(arena, (count + 1) * sizeof *topics);
	struct kafka_property *properties =
		arena_alloc(arena, (config->kafka_properties.count + 1) * sizeof *properties);
	int64_t ago_us = 0;
	if (topics == NULL || properties == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < count; i++)
		topics[i] = text_of(config->kafka_topics.items[i]);
	for (size_t i = 0; i < config->kafka_properties.count; i++) {
		const struct config_pair *pair = &config->kafka_properties.items[i];
		properties[i] = (struct kafka_property){pair->name, pair->value};
	}
	bool parsed = start_parse(text_of(config->kafka_start), &ago_us);
	assert(parsed); /* config_load() took it */
	(void)parsed;
	wiring->kafka = (struct kafka_options){
		.bootstrap_servers = config->kafka_servers,
		.group_id = config->kafka_group[0] == '\0' ? NULL : config->kafka_group,
		.topics = topics,
		.topic_count = count,
		.start = ago_us == 0  ? KAFKA_START_LATEST
			 : ago_us < 0 ? KAFKA_START_EARLIEST
				      : KAFKA_START_AGO,
		.start_ago_us = ago_us > 0 ? ago_us : 0,
		.properties = properties,
		.property_count = config->kafka_properties.count,
		.stalled_after_us = config->kafka_stalled_us,
	};
	return OK;
}

/* The mapping files, and which topics are fixed to one format. */
static enum status wire_formats(struct wiring *wiring, const struct config *config,
				struct arena *arena, struct error *err)
{
	size_t count = config->format_topics.count;
	struct topic_format *topics = arena_alloc(arena, (count + 1) * sizeof *topics);
	if (topics == NULL)
		return error_set(err, ENOMEMORY, "no memory for the configuration");
	enum status status = formats_new(config->format_paths.items, config->format_paths.count,
					 &wiring->formats, err);
	for (size_t i = 0; i < count && status == OK; i++) {
		const struct config_pair *pair = &config->format_topics.items[i];
		topics[i] = (struct topic_format){pair->name, pair->value};
		bool word = text_equal(pair->value, TEXT("auto")) ||
			    text_equal(pair->value, TEXT("raw"));
		if (!word &&
		    formats_find(wiring->formats, pair->value) == formats_count(wiring->formats))
			return error_set(err, EINVALID,
					 "formats.topics: %.*s: there is no format `%.*s`; write "
					 "auto, raw, or one that picket formats list shows",
					 TEXT_ARG(pair->name), TEXT_ARG(pair->value));
	}
	wiring->decoder.formats = wiring->formats;
	wiring->decoder.topics = topics;
	wiring->decoder.topic_count = count;
	return status;
}

/* The topics of store.raw. */
static enum status wire_raw(struct wiring *wiring, const struct config *config, struct arena *arena,
			    struct error *err)
{
	size_t count = config->raw_topics.count;
	struct text *topics = arena_alloc(arena, (count + 1) * sizeof *topics);
	if (topics == NULL)
		return error_set(err, ENOMEMORY, "no memory for the configuration");
	for (size_t i = 0; i < count; i++) {
		const char *topic = config->raw_topics.items[i];
		const char *star = strchr(topic, '*');
		if (topic[0] == '\0' || topic[0] == '^' || (star != NULL && star[1] != '\0'))
			return error_set(err, EINVALID,
					 "store.raw: \"%s\" is no topic; write its name, or how "
					 "several begin with a `*` at the end",
					 topic);
		topics[i] = text_of(topic);
	}
	wiring->raw_topics = topics;
	wiring->raw_topic_count = count;
	return OK;
}

static enum status check_zone(const char *zone, struct error *err)
{
	char time[40];
	int64_t time_us = 0;
	size_t size = (size_t)snprintf(time, sizeof time, "2026-01-01T00:00:00%s", zone);
	if (size < sizeof time && time_parse((struct text){time, size}, &time_us))
		return OK;
	return error_set(err, EINVALID, "time.syslog_zone: \"%s\" is no zone; write Z or +01:00",
			 zone);
}

enum status wiring_init(struct wiring *wiring, const struct config *config, struct arena *arena,
			struct error *err)
{
	*wiring = (struct wiring){
		.config = config,
		.is_kafka = config->kafka_servers[0] != '\0',
		.files = {config->files.items, config->files.count},
		.decoder = {.format = INPUT_AUTO,
			    .time_trusted = config->time_trusted != 0,
			    .future_max_us = config->time_future_us,
			    .past_max_us = config->time_past_us,
			    .syslog_zone = text_of(config->syslog_zone)},
		.rules = {.paths = config->rule_paths.items,
			  .path_count = config->rule_paths.count,
			  .lists = config->rule_lists.items,
			  .list_count = config->rule_lists.count,
			  .pipelines = config->rule_pipelines.items,
			  .pipeline_count = config->rule_pipelines.count,
			  .skip_refused = config->rules_on_refused == ON_REFUSED_SKIP},
	};
	enum status status = wiring->is_kafka ? wire_kafka(wiring, config, arena) : OK;
	if (status != OK)
		return error_set(err, status, "no memory for the configuration");
	status = check_zone(config->syslog_zone, err);
	if (status == OK)
		status = wire_raw(wiring, config, arena, err);
	return status != OK ? status : wire_formats(wiring, config, arena, err);
}

static enum status make_source(void *context, const struct source_start *start,
			       struct source **ret_source, struct error *err)
{
	const struct wiring *wiring = context;
	if (wiring->is_kafka)
		return source_kafka_new(&wiring->kafka, start, ret_source, err);
	return source_file_new(&wiring->files, start, ret_source, err);
}

struct source_factory wiring_source_factory(struct wiring *wiring)
{
	assert(wiring->is_kafka || wiring->files.path_count > 0);
	return (struct source_factory){make_source, wiring};
}

enum status wiring_load_rules(const struct wiring *wiring, struct ruleset **ret_ruleset,
			      struct error *err)
{
	enum status status = ruleset_load(&wiring->rules, ret_ruleset, err);
	if (status != OK || ruleset_count(*ret_ruleset) > 0)
		return status;
	ruleset_free(ret_ruleset);
	return error_set(err, EINVALID,
			 "no rule was found in rules.paths (first: %s); without rules "
			 "nothing would ever be found",
			 wiring->rules.paths[0]);
}

/* The policies of privacy.fields. */
static enum status take_policies(const struct config *config, struct privacy_policy *policies,
				 struct error *err)
{
	for (size_t i = 0; i < config->privacy_fields.count; i++) {
		const struct config_pair *pair = &config->privacy_fields.items[i];
		policies[i].field = pair->name;
		if (!privacy_action_parse(pair->value, &policies[i].action))
			return error_set(
				err, EINVALID,
				"privacy.fields: %.*s: \"%.*s\" is none of mask, hmac, drop",
				TEXT_ARG(pair->name), TEXT_ARG(pair->value));
	}
	return OK;
}

static enum status load_privacy(const struct wiring *wiring, struct privacy **ret_privacy,
				struct error *err)
{
	const struct config *config = wiring->config;
	struct privacy_policy policies[PRIVACY_POLICIES_MAX];
	struct arena *arena cleanup(arena_free) = arena_new(2 * CONFIG_SECRET_MAX);
	struct privacy_options options = {.detect = (enum privacy_detect)config->privacy_secrets,
					  .key = wiring->store_key,
					  .policies = policies,
					  .policy_count = config->privacy_fields.count};
	if (arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for privacy");
	if (options.policy_count > PRIVACY_POLICIES_MAX)
		return error_set(err, ELIMIT, "privacy.fields: more than %d fields",
				 PRIVACY_POLICIES_MAX);
	enum status status = take_policies(config, policies, err);
	if (status == OK && config->privacy_key_file[0] != '\0')
		status = secret_read(config->privacy_key_file, arena, &options.key, err);
	return status == OK ? privacy_new(&options, ret_privacy, err) : status;
}

enum status wiring_load_custody(const struct wiring *wiring, struct generation_parts *parts,
				struct error *err)
{
	struct bindings *bindings cleanup(bindings_free) = NULL;
	struct privacy *privacy = NULL;
	enum status status = OK;
	assert(parts->bindings == NULL && parts->privacy == NULL && wiring->store_key.size > 0);
	if (wiring->config->bindings[0] != '\0')
		status = bindings_load(wiring->config->bindings, &bindings, err);
	if (status == OK)
		status = load_privacy(wiring, &privacy, err);
	if (status != OK)
		return status;
	parts->bindings = TAKE(bindings);
	parts->privacy = privacy;
	return OK;
}

struct enrich_options wiring_enrich(const struct wiring *wiring,
				    const struct generation_parts *parts)
{
	return (struct enrich_options){.bindings = parts->bindings,
				       .desk = wiring->desk,
				       .privacy = parts->privacy,
				       .raw_topics = wiring->raw_topics,
				       .raw_topic_count = wiring->raw_topic_count};
}

static struct paths paths_of(const struct config_list *list)
{
	return (struct paths){list->items, list->count};
}

enum status wiring_reload(struct wiring *wiring, bool *ret_changed, struct error *err)
{
	struct knowledge *knowledge = NULL;
	*ret_changed = false;
	uint64_t fingerprint = knowledge_fingerprint(&wiring->knowledge);
	if (wiring->desk == NULL || fingerprint == wiring->fingerprint)
		return OK;
	wiring->fingerprint = fingerprint;
	enum status status = knowledge_load(&wiring->knowledge, &knowledge, err);
	if (status != OK)
		return status;
	knowledge_desk_put(wiring->desk, &knowledge);
	*ret_changed = true;
	return OK;
}

enum status wiring_load_knowledge(struct wiring *wiring, struct error *err)
{
	const struct config *config = wiring->config;
	bool changed = false;
	wiring->knowledge = (struct knowledge_options){.geo = paths_of(&config->geoip),
						       .threats = paths_of(&config->threat_lists),
						       .networks = paths_of(&config->networks),
						       .ttl_us = config->threat_ttl_us};
	if (config->geoip.count + config->threat_lists.count + config->networks.count == 0)
		return OK;
	enum status status = knowledge_desk_new(&wiring->desk, err);
	return status == OK ? wiring_reload(wiring, &changed, err) : status;
}

void wiring_done(struct wiring *wiring)
{
	formats_free(&wiring->formats);
	knowledge_desk_free(&wiring->desk);
}

static enum status read_secret(const char *path, struct arena *arena, struct text *ret_secret,
			       struct error *err)
{
	return path[0] == '\0' ? OK : secret_read(path, arena, ret_secret, err);
}

/* The address without slashes at its end, and with the path of the API. */
static const char *receiver_url(const char *url, const char *path, struct arena *arena)
{
	size_t size = strlen(url);
	while (size > 0 && path[0] != '\0' && url[size - 1] == '/')
		size--;
	return arena_print(arena, "%.*s%s", (int)size, url, path).data;
}

enum status wiring_receivers(const struct config *config, struct arena *arena,
			     struct sender_options *options, struct error *err)
{
	struct receiver *one = options->receivers;
	enum status status = OK;
	options->ca_file = config->receivers_ca_file;
	if (config->alertmanager_url[0] != '\0') {
		*one = (struct receiver){
			.kind = RECEIVER_ALERTMANAGER,
			.url = receiver_url(config->alertmanager_url, "/api/v2/alerts", arena),
			.level_min = (enum rule_level)config->alertmanager_level,
		};
		status = read_secret(config->alertmanager_token_file, arena, &one++->token, err);
	}
	if (status == OK && config->webhook_url[0] != '\0') {
		*one = (struct receiver){
			.kind = RECEIVER_WEBHOOK,
			.url = receiver_url(config->webhook_url, "", arena),
			.level_min = (enum rule_level)config->webhook_level,
		};
		status = read_secret(config->webhook_token_file, arena, &one->token, err);
		if (status == OK)
			status = read_secret(config->webhook_secret_file, arena, &one->secret, err);
		one++;
	}
	options->receiver_count = (size_t)(one - options->receivers);
	for (size_t i = 0; status == OK && i < options->receiver_count; i++) {
		if (options->receivers[i].url == NULL)
			status = error_set(err, ENOMEMORY, "no memory for the receivers");
	}
	return status;
}

/* "TENANT/CLASS: 30d", read from the right: a tenant may hold a slash. */
static enum status tenant_rule(const struct config_pair *pair, struct arena *arena,
			       struct retention_rule *ret_rule, struct error *err)
{
	struct text name = pair->name;
	const char *slash = memrchr(name.data, '/', name.size);
	struct retention_rule rule = {0};
	if (slash == NULL || slash == name.data ||
	    !data_class_find(text_cut(name, (size_t)(slash + 1 - name.data)), &rule.class))
		return error_set(err, EINVALID,
				 "retention.tenants: \"%.*s\" is not TENANT/CLASS with a class of "
				 "security, access, application",
				 TEXT_ARG(name));
	if (!duration_parse(pair->value, &rule.keep_us))
		return error_set(
			err, EINVALID,
			"retention.tenants: \"%.*s: %.*s\" is no duration such as 30d; 0s = for "
			"ever",
			TEXT_ARG(name), TEXT_ARG(pair->value));
	rule.owner = arena_copy(arena, (struct text){name.data, (size_t)(slash - name.data)}).data;
	if (rule.owner == NULL)
		return error_set(err, ENOMEMORY, "no memory for retention.tenants");
	*ret_rule = rule;
	return OK;
}

enum status wiring_retention(const struct config *config, struct arena *arena,
			     struct retention_rules *ret_rules, struct error *err)
{
	size_t tenants = config->retention_tenants.count;
	struct retention_rule *items =
		tenants + CLASS_COUNT > RETENTION_RULES_MAX
			? NULL
			: arena_alloc(arena, (tenants + CLASS_COUNT) * sizeof *items);
	if (items == NULL)
		return error_set(err, ELIMIT, "retention.tenants: at most %d rules",
				 RETENTION_RULES_MAX - CLASS_COUNT);
	items[0] = (struct retention_rule){CLASS_SECURITY, NULL, config->retention_security_us};
	items[1] = (struct retention_rule){CLASS_ACCESS, NULL, config->retention_access_us};
	items[2] =
		(struct retention_rule){CLASS_APPLICATION, NULL, config->retention_application_us};
	enum status status = OK;
	for (size_t i = 0; status == OK && i < tenants; i++)
		status = tenant_rule(&config->retention_tenants.items[i], arena,
				     &items[CLASS_COUNT + i], err);
	if (status == OK)
		*ret_rules = (struct retention_rules){items, CLASS_COUNT + tenants,
						      (uint64_t)config->retention_bytes};
	return status;
}

struct row_rules wiring_row_rules(const struct config *config)
{
	struct row_rules rules = {
		.receivers = {[RECEIVER_ALERTMANAGER] = config->alertmanager_url[0] != '\0',
			      [RECEIVER_WEBHOOK] = config->webhook_url[0] != '\0'}};
	memcpy(rules.keep_us, config->retention_rows_us, sizeof rules.keep_us);
	return rules;
}

/* --- what the API asks the engine */

static enum status commit_through_runtime(void *context, struct store_batch *batch,
					  struct error *err)
{
	return runtime_commit(context, batch, err);
}

static enum status ask_runtime(void *context, struct runtime_status *ret_status)
{
	return runtime_status(context, ret_status);
}

static enum status ask_rule_tallies(void *context, struct rule_tallies *ret_tallies)
{
	return runtime_rule_tallies(context, ret_tallies);
}

static struct generation *ask_rules(void *context)
{
	return runtime_rules(context);
}

static struct generation *ask_warming(void *context, int *ret_percent)
{
	return runtime_warming(context, ret_percent);
}

void wiring_engine(struct runtime *runtime, struct api *api)
{
	api->runtime_context = runtime;
	api->runtime_status = ask_runtime;
	api->rule_tallies = ask_rule_tallies;
	api->rules = ask_rules;
	api->warming = ask_warming;
	api->commit = commit_through_runtime;
}
