#include "cli/api_private.h"
#include "cli/gate_session.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct route {
	const char *method;
	const char *path; /* ends with '/': everything below it */
	const char *parameters;
	enum api_access access;
	api_handler *handle;
};

/* The first that fits is taken. */
static const struct route routes[] = {
	{"GET", "/livez", "", API_OPEN, api_livez},
	{"GET", "/readyz", "", API_OPEN, api_readyz},
	{"GET", "/metrics", "", API_OPEN, api_metrics},
	{"GET", "/v1/gate",
	 "service canary baseline step after wait pending deadline share policy at dry brief expect",
	 API_GATE_READ, api_gate},
	{"POST", "/v1/gate",
	 "service canary baseline step after wait pending deadline share policy at dry brief",
	 API_GATE_READ, api_gate},
	{"GET", "/v1/gate/policies", "", API_GATE_READ, api_gate_policies},
	{"GET", "/v1/gate/history", "service canary since until limit", API_GATE_READ,
	 api_gate_history},
	{"GET", "/v1/gate/plan", "service share deadline policy", API_GATE_READ, api_gate_plan},
	{"POST", "/v1/gate/override", "", API_SOCKET_ONLY, api_gate_override},
	{"POST", "/v1/flagger/confirm", "", API_GATE_READ, api_flagger_confirm},
	{"POST", "/v1/flagger/rollback", "", API_GATE_READ, api_flagger_rollback},
	{"GET", "/v1/status", "", API_GATE_READ, api_status},
	{"GET", "/v1/sources", "", API_GATE_READ, api_sources},
	{"GET", "/v1/services", "service", API_GATE_READ, api_services},
	{"GET", "/v1/tenants", "limit", API_SOCKET_ONLY, api_tenants},
	{"GET", "/v1/rules", "level", API_GATE_READ, api_rules},
	{"GET", "/v1/alerts", "state level rule tenant since until limit", API_SOCKET_ONLY,
	 api_alerts_list},
	{"GET", "/v1/alerts/", "tenant", API_SOCKET_ONLY, api_alert_one},
	{"POST", "/v1/alerts/", "tenant", API_SOCKET_ONLY, api_alert_act},
	{"GET", "/v1/rules/coverage", "since until tenant limit unable", API_SOCKET_ONLY,
	 api_coverage},
	{"POST", "/v1/rules/backtest", "since until tenant limit", API_SOCKET_ONLY, api_backtest_start},
	{"GET", "/v1/rules/backtest", "job", API_SOCKET_POLL, api_backtest_tell},
	{"POST", "/v1/rules/backtest/cancel", "job", API_SOCKET_ONLY, api_backtest_cancel},
	{"GET", "/v1/audit", "who since until limit", API_SOCKET_ONLY, api_audit_list},
	{"GET", "/v1/receivers", "limit", API_SOCKET_ONLY, api_receivers},
	{"POST", "/v1/receivers/", "", API_SOCKET_ONLY, api_receiver_act},
	{"GET", "/v1/quarantine", "topic partition reason since until limit", API_SOCKET_ONLY,
	 api_quarantine_list},
	{"GET", "/v1/quarantine/", "", API_SOCKET_ONLY, api_quarantine_one},
	{"GET", "/v1/events", "topic partition from to tenant since until limit", API_SOCKET_ONLY,
	 api_events},
	{"GET", "/v1/search",
	 "q tenant since until topic partition from to sort fields limit after", API_SOCKET_ONLY,
	 api_search},
	{"GET", "/v1/store/verify", "after", API_SOCKET_ONLY, api_store_verify},
	{"POST", "/v1/store/backup", "path", API_SOCKET_ONLY, api_store_backup},
	{"GET", "/v1/state", "rule tenant group limit", API_SOCKET_ONLY, api_state},
	{"GET", "/v1/risk", "value fields tenant limit", API_SOCKET_ONLY, api_risk},
	{"GET", "/v1/retention", "", API_SOCKET_ONLY, api_retention},
	{"POST", "/v1/sources/seek", "", API_SOCKET_ONLY, api_seek},
	{"POST", "/v1/rules/reload", "", API_SOCKET_ONLY, api_rules_reload},
};

enum { ROUTE_COUNT = sizeof routes / sizeof *routes };

static bool route_fits(const struct route *route, struct text path)
{
	struct text known = text_of(route->path);
	if (known.data[known.size - 1] != '/')
		return text_equal(path, known);
	return path.size > known.size && text_starts(path, known);
}

static const struct route *find_route(struct text method, struct text path)
{
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		if (route_fits(&routes[i], path) && text_equal(method, text_of(routes[i].method)))
			return &routes[i];
	}
	return NULL;
}

/* The methods of a path, NULL when there is no such path. */
static const char *methods_of(struct text path)
{
	bool get = find_route(TEXT("GET"), path) != NULL;
	bool post = find_route(TEXT("POST"), path) != NULL;
	return get && post ? "GET, HEAD, POST" : get ? "GET, HEAD" : post ? "POST" : NULL;
}

enum api_access api_access_of(struct text method, struct text path)
{
	const struct route *route = find_route(method, path);
	if (route == NULL) /* it will be told that the method is wrong, nothing else */
		route = find_route(TEXT("GET"), path);
	return route == NULL ? API_SOCKET_ONLY : route->access;
}

bool api_route_at(size_t index, struct api_route_name *ret_route)
{
	if (index >= ROUTE_COUNT)
		return false;
	const struct route *route = &routes[index];
	*ret_route = (struct api_route_name){route->method, route->path, route->parameters};
	return true;
}

void api_init(struct api *api)
{
	int failed = pthread_mutex_init(&api->writing, NULL);
	assert(failed == 0); /* a default mutex needs no memory */
	(void)failed;
	atomic_init(&api->stopping, false);
	atomic_init(&api->audit_number, 0);
	atomic_init(&api->searches, 0);
	api->gate_sessions = gate_sessions_new();
	api->started_us = api_now(api);
}

void api_done(struct api *api)
{
	api_backtest_stop(api);
	gate_sessions_free(&api->gate_sessions);
	(void)pthread_mutex_destroy(&api->writing);
}

int64_t api_now(const struct api *api)
{
	return api->clock.now_us(api->clock.context);
}

struct generation *api_rules_hold(const struct api *api)
{
	return api->rules == NULL ? NULL : api->rules(api->runtime_context);
}

struct generation *api_warming_hold(const struct api *api, int *ret_percent)
{
	return api->warming == NULL ? NULL : api->warming(api->runtime_context, ret_percent);
}

enum status api_commit(const struct api *api, struct store_batch *batch, struct error *err)
{
	assert(!api->read_only);
	return api->commit == NULL ? store_batch_commit(batch, true, err)
				   : api->commit(api->runtime_context, batch, err);
}

void api_refuse(struct api_response *response, unsigned http_status, const char *text)
{
	bytes_clear(&response->body);
	response->status = http_status;
	response->content_type = "application/json";
	struct json_writer json = {.to = &response->body};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.error/1");
	json_write_count(&json, "status", http_status);
	json_write_string(&json, "error", text);
	json_write_close(&json, '}');
}

static unsigned http_of_status(enum status status)
{
	switch (status) {
	case OK:
		return 200;
	case EINVALID:
		return 400;
	case EDENIED:
		return 403;
	case ENOTFOUND:
		return 404;
	case ELIMIT:
	case EINUSE:
		return 409;
	case EUNAVAILABLE:
	case ECLOSED:
	case ENOSPACE:
		return 503;
	default:
		return 500;
	}
}

/* True when `name` is one of the space-separated words. */
static bool is_word_of(const char *words, struct text name)
{
	for (const char *at = words; *at != '\0';) {
		size_t size = strcspn(at, " ");
		if (text_equal((struct text){at, size}, name))
			return true;
		at += size + (at[size] == ' ');
	}
	return false;
}

static enum status check_parameters(const struct route *route, const struct api_request *request,
				    struct error *err)
{
	for (size_t i = 0; i < request->parameter_count; i++) {
		struct text name = request->parameters[i].name;
		if (!is_word_of(route->parameters, name))
			return error_set(err, EINVALID, "%s has no parameter \"%.*s\"; it has: %s",
					 route->path, TEXT_ARG(name),
					 route->parameters[0] == '\0' ? "none" : route->parameters);
		/* A script's empty variable must not widen a query; "no baseline" is said so. */
		if (request->parameters[i].value.size == 0 && !text_equal(name, TEXT("baseline")))
			return error_set(
				err, EINVALID,
				"parameter \"%.*s\" has no value; give one or leave it out",
				TEXT_ARG(name));
		for (size_t j = 0; j < i; j++) {
			if (text_equal(request->parameters[j].name, name))
				return error_set(err, EINVALID, "parameter \"%.*s\" is given twice",
						 TEXT_ARG(name));
		}
	}
	return OK;
}

static enum status answer(struct api *api, const struct api_request *request,
			  struct api_response *response, struct error *err)
{
	const struct route *route = find_route(request->method, request->path);
	const char *methods = methods_of(request->path);
	if (route == NULL && methods != NULL) {
		char text[ERROR_TEXT_MAX];
		(void)snprintf(text, sizeof text, "%.*s does not take the method %.*s; it has: %s",
			       TEXT_ARG(request->path), TEXT_ARG(request->method), methods);
		api_refuse(response, 405, text);
		response->allow = methods;
		return OK;
	}
	if (route == NULL)
		return error_set(err, ENOTFOUND, "there is no %.*s in this API",
				 TEXT_ARG(request->path));
	enum status status = check_parameters(route, request, err);
	if (status != OK)
		return status;
	size_t size = strlen(route->path);
	struct generation *rules cleanup(generation_drop) = api_rules_hold(api);
	struct api_call call = {
		api, request, {0}, rules == NULL ? api->ruleset : rules->parts.ruleset};
	if (route->path[size - 1] == '/')
		call.rest = text_cut(request->path, size);
	return route->handle(&call, response, err);
}

void api_answer(struct api *api, const struct api_request *request,
		struct api_response *ret_response)
{
	struct error err = {0};
	*ret_response = (struct api_response){.status = 200, .content_type = "application/json"};
	enum status status = answer(api, request, ret_response, &err);
	if (status == OK && ret_response->body.failed)
		status = error_set(&err, ENOMEMORY, "the answer is too large; lower limit=");
	if (status != OK) {
		char text[ERROR_TEXT_MAX + ERROR_FILE_MAX];
		(void)error_print(&err, text, sizeof text);
		api_refuse(ret_response, http_of_status(status), text);
	}
	assert(ret_response->status >= 200 && ret_response->status < 600);
	/* What only the socket gives away is tenants' data or a change. */
	if (api_access_of(request->method, request->path) == API_SOCKET_ONLY)
		api_audit(api, request, ret_response);
}
