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

enum status wiring_init(struct wiring *wiring, const struct config *config, struct arena *arena,
			struct error *err)
{
	*wiring = (struct wiring){
		.is_kafka = config->kafka_servers[0] != '\0',
		.files = {config->files.items, config->files.count},
		.decoder = {.format = INPUT_AUTO,
			    .time_trusted = config->time_trusted != 0,
			    .future_max_us = config->time_future_us,
			    .past_max_us = config->time_past_us},
		.rules = {.paths = config->rule_paths.items,
			  .path_count = config->rule_paths.count,
			  .lists = config->rule_lists.items,
			  .list_count = config->rule_lists.count,
			  .skip_refused = config->rules_on_refused == ON_REFUSED_SKIP},
	};
	enum status status = wiring->is_kafka ? wire_kafka(wiring, config, arena) : OK;
	return status == OK ? OK : error_set(err, status, "no memory for the configuration");
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

enum status wiring_load_enrichment(struct wiring *wiring, const struct config *config,
				   struct error *err)
{
	enum status status = OK;
	if (config->bindings[0] != '\0')
		status = bindings_load(config->bindings, &wiring->bindings, err);
	wiring->enrich = (struct enrich_options){.bindings = wiring->bindings};
	return status;
}

void wiring_done(struct wiring *wiring)
{
	bindings_free(&wiring->bindings);
}
