/* /v1/services: which versions of which services have been heard, from how many instances, and
 * what HARD findings they have. Rows 'i' lie in the order (service, version), so that one pass with
 * the sums of the current pair is enough. */
#include <assert.h>

#include "cli/api_private.h"

enum { PAIR_BYTES_MAX = 1024 * 1024 };

struct pair {
	struct arena *arena; /* holds the texts of the pair */
	struct text service;
	struct arm arm;
	size_t instances;
	uint64_t events;
	int64_t first_us, last_us;
};

static void write_pair(const struct pair *pair, struct json_writer *json)
{
	if (pair->instances == 0)
		return;
	assert(pair->first_us <= pair->last_us);
	json_write_open(json, NULL, '{');
	json_write_text(json, "service", pair->service);
	json_write_text(json, "version", pair->arm.version);
	json_write_text(json, "deploy_id", pair->arm.deploy_id);
	json_write_count(json, "instances", pair->instances);
	json_write_count(json, "events", pair->events);
	json_write_time(json, "first", pair->first_us);
	json_write_time(json, "last", pair->last_us);
	json_write_close(json, '}');
}

static bool same_pair(const struct pair *pair, const struct instance *instance)
{
	return pair->instances > 0 && text_equal(pair->service, instance->service) &&
	       text_equal(pair->arm.version, instance->arm.version) &&
	       text_equal(pair->arm.deploy_id, instance->arm.deploy_id);
}

static enum status begin_pair(struct pair *pair, const struct instance *instance)
{
	arena_reset(pair->arena);
	*pair = (struct pair){.arena = pair->arena,
			      .service = arena_copy(pair->arena, instance->service),
			      .arm = {arena_copy(pair->arena, instance->arm.version),
				      arena_copy(pair->arena, instance->arm.deploy_id)},
			      .first_us = instance->first_us,
			      .last_us = instance->last_us};
	bool kept = pair->service.data != NULL && pair->arm.version.data != NULL &&
		    pair->arm.deploy_id.data != NULL;
	return kept ? OK : ENOMEMORY;
}

static enum status add_instance(struct pair *pair, const struct instance *instance,
				struct json_writer *json)
{
	if (!same_pair(pair, instance)) {
		write_pair(pair, json);
		enum status status = begin_pair(pair, instance);
		if (status != OK)
			return status;
	}
	pair->instances++;
	pair->events += instance->events;
	if (instance->first_us < pair->first_us)
		pair->first_us = instance->first_us;
	if (instance->last_us > pair->last_us)
		pair->last_us = instance->last_us;
	return OK;
}

static enum status write_services(const struct api_call *call, struct json_writer *json,
				  struct error *err)
{
	struct arena *arena cleanup(arena_free) = arena_new(PAIR_BYTES_MAX);
	struct arena *kept cleanup(arena_free) = arena_new(PAIR_BYTES_MAX);
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes prefix cleanup(bytes_done) = {0};
	struct text service = api_parameter(call, "service");
	struct text key = {0};
	struct text value = {0};
	struct pair pair = {.arena = kept};
	if (arena == NULL || kept == NULL)
		return error_set(err, ENOMEMORY, "no memory for the services");
	registry_key('i', &service, service.size == 0 ? 0 : 1, -1, &prefix);
	enum status status = store_scan_new(call->api->store, FAMILY_REGISTRY, bytes_text(&prefix),
					    bytes_text(&prefix), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct instance instance;
		arena_reset(arena);
		status = instance_decode(value, arena, &instance, err);
		if (status == OK && add_instance(&pair, &instance, json) != OK)
			status = error_set(err, ENOMEMORY, "a service with too long a name");
	}
	write_pair(&pair, json);
	return status == OK ? store_scan_status(scan, err) : status;
}

static enum status write_findings(const struct api_call *call, struct json_writer *json,
				  struct error *err)
{
	struct arena *arena cleanup(arena_free) = arena_new(PAIR_BYTES_MAX);
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes prefix cleanup(bytes_done) = {0};
	struct text service = api_parameter(call, "service");
	struct text key = {0};
	struct text value = {0};
	if (arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for the findings");
	registry_key('f', &service, service.size == 0 ? 0 : 1, -1, &prefix);
	enum status status = store_scan_new(call->api->store, FAMILY_REGISTRY, bytes_text(&prefix),
					    bytes_text(&prefix), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct finding finding;
		arena_reset(arena);
		status = finding_decode(value, arena, &finding, err);
		if (status != OK)
			break;
		json_write_open(json, NULL, '{');
		json_write_text(json, "service", finding.service);
		json_write_text(json, "version", finding.arm.version);
		json_write_text(json, "deploy_id", finding.arm.deploy_id);
		json_write_text(json, "rule", finding.rule_key);
		json_write_text(json, "title", finding.rule_title);
		json_write_count(json, "count", finding.count);
		json_write_time(json, "first", finding.first_us);
		json_write_time(json, "last", finding.last_us);
		json_write_close(json, '}');
	}
	return status == OK ? store_scan_status(scan, err) : status;
}

enum status api_services(const struct api_call *call, struct api_response *response,
			 struct error *err)
{
	struct json_writer json = {.to = &response->body};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.services/1");
	json_write_boolean(&json, "complete", true);
	json_write_open(&json, "services", '[');
	enum status status = write_services(call, &json, err);
	json_write_close(&json, ']');
	json_write_open(&json, "findings", '[');
	if (status == OK)
		status = write_findings(call, &json, err);
	json_write_close(&json, ']');
	json_write_close(&json, '}');
	return status;
}
