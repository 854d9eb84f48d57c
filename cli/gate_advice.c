#include "cli/gate_advice.h"

#include <string.h>

#include "cli/output.h"

/* Which events an outcome calls bad, in the language of picket search (outcome_reading.c). What is
 * not named here is no property of single events, or needs the baseline's: latencies, volumes. */
static const struct {
	const char *outcome, *query;
} BAD_EVENTS[] = {
	{"http_5xx", "http.response.status_code >= 500"},
	{"authn_failure", "(http.response.status_code: 401 or event.category: authentication and "
			  "event.outcome: failure)"},
	{"authz_denied", "(http.response.status_code: 403 or event.type: denied)"},
	{"tenant_denied", "target.tenant.id: * and (http.response.status_code: 403 or "
			  "event.type: denied)"},
	{"error_log", "log.level: (error or severe or critical or alert or emergency or fatal or "
		      "panic)"},
	{"rule_match", "picket.rule.id: *"},
};

static bool is_plain(const char *value)
{
	static const char PLAIN[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._:/@+-";
	return value[0] != '\0' && value[0] != '-' && value[strspn(value, PLAIN)] == '\0';
}

/* The canary as it was named: a field and its value, or a value that may be of either field. */
static bool put_canary(const char *canary, struct bytes *to)
{
	static const char *const FIELDS[] = {"service.version", "picket.deploy.id"};
	for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
		size_t size = strlen(FIELDS[i]);
		if (strncmp(canary, FIELDS[i], size) != 0 || canary[size] != '=')
			continue;
		bytes_write_string(to, FIELDS[i]);
		bytes_write_string(to, ": \"");
		bytes_write_string(to, canary + size + 1);
		bytes_write_string(to, "\"");
		return is_plain(canary + size + 1);
	}
	bytes_write_string(to, "(service.version: \"");
	bytes_write_string(to, canary);
	bytes_write_string(to, "\" or picket.deploy.id: \"");
	bytes_write_string(to, canary);
	bytes_write_string(to, "\")");
	return is_plain(canary);
}

/* The query of the first outcome in which the canary was worse; NULL when there is none. */
static const char *query_of_regression(struct json_object *outcomes)
{
	for (size_t i = 0; outcomes != NULL && i < json_object_array_length(outcomes); i++) {
		struct json_object *one = json_object_array_get_idx(outcomes, i);
		double worse = json_object_get_double(json_path(one, "e_fail"));
		double fewer = json_object_get_double(json_path(one, "fewer.e_fail"));
		if (strcmp(json_path_text(one, "state"), "rejected") != 0 || fewer > worse)
			continue;
		for (size_t k = 0; k < sizeof BAD_EVENTS / sizeof *BAD_EVENTS; k++)
			if (strcmp(BAD_EVENTS[k].outcome, json_path_text(one, "name")) == 0)
				return BAD_EVENTS[k].query;
	}
	return NULL;
}

static void put_search(struct json_object *answer, struct bytes *to)
{
	struct bytes canary cleanup(bytes_done) = {0};
	const char *service = json_path_text(answer, "service");
	const char *query = query_of_regression(json_path(answer, "outcomes"));
	const char *start = json_path_text(answer, "window.start");
	const char *end = json_path_text(answer, "window.end");
	if (query == NULL || !is_plain(service) || !is_plain(start) || !is_plain(end) ||
	    !put_canary(json_path_text(answer, "canary"), &canary))
		return;
	bytes_write_string(to, "  picket search 'service.name: \"");
	bytes_write_string(to, service);
	bytes_write_string(to, "\" and ");
	bytes_write(to, bytes_text(&canary));
	bytes_write_string(to, " and ");
	bytes_write_string(to, query);
	bytes_write_string(to, "' --since ");
	bytes_write_string(to, start);
	bytes_write_string(to, " --until ");
	bytes_write_string(to, end);
	bytes_write_string(to, "\n");
}

/* The first event of the gravest finding. */
static void put_event(struct json_object *answer, struct bytes *to)
{
	static const char *const CLASSES[] = {"HARD", "SOFT", "WARN"};
	struct json_object *findings = json_path(answer, "findings");
	size_t count = findings == NULL ? 0 : json_object_array_length(findings);
	for (size_t i = 0; i < 3 * count; i++) {
		struct json_object *one = json_object_array_get_idx(findings, i % count);
		struct json_object *evidence = json_path(one, "evidence");
		if (strcmp(json_path_text(one, "class"), CLASSES[i / count]) != 0 ||
		    evidence == NULL || json_object_array_length(evidence) == 0)
			continue;
		struct json_object *event = json_object_array_get_idx(evidence, 0);
		if (!is_plain(json_path_text(event, "topic")))
			continue;
		bytes_write_string(to, "  picket events show ");
		bytes_write_string(to, json_path_text(event, "topic"));
		bytes_write_string(to, "/");
		bytes_write_string(to, json_path_text(event, "partition"));
		bytes_write_string(to, "/");
		bytes_write_string(to, json_path_text(event, "offset"));
		bytes_write_string(to, "\n");
		return;
	}
}

static void put_override(struct json_object *answer, struct bytes *to)
{
	const char *service = json_path_text(answer, "service");
	const char *canary = json_path_text(answer, "canary");
	const char *value = strchr(canary, '=') == NULL ? canary : strchr(canary, '=') + 1;
	bool plain = is_plain(service) && is_plain(value);
	bytes_write_string(to, "  picket gate override --service ");
	bytes_write_string(to, plain ? service : "NAME");
	bytes_write_string(to, " --canary ");
	bytes_write_string(to, plain ? canary : "VERSION");
	bytes_write_string(to, " --reason WHY    (if you know better)\n");
}

void gate_advice(struct json_object *answer, bool replayed, struct bytes *to)
{
	static const struct {
		const char *verdict, *next;
	} STEPS[] = {
		{"FAIL", "roll back; then:"},
		{"INCONCLUSIVE", "a person decides; picket services; picket alerts list"},
		{"WAIT", "ask again, or let this command wait: --wait 30m"},
		{"STALE", "picket status; picket sources list; picket services"},
	};
	const char *verdict = json_path_text(answer, "verdict");
	struct bytes look cleanup(bytes_done) = {0};
	bool fails = strcmp(verdict, "FAIL") == 0;
	if (fails || strcmp(verdict, "INCONCLUSIVE") == 0) {
		put_search(answer, &look);
		put_event(answer, &look);
	}
	if (fails && !replayed)
		put_override(answer, &look);
	for (size_t i = 0; !replayed && i < sizeof STEPS / sizeof *STEPS; i++) {
		if (strcmp(STEPS[i].verdict, verdict) != 0)
			continue;
		bytes_write_string(to, "next: ");
		bytes_write_string(to, STEPS[i].next);
		bytes_write_string(to, "\n");
	}
	if (replayed && look.size > 0)
		bytes_write_string(to, "the events it is about:\n");
	bytes_write(to, bytes_text(&look));
	to->failed |= look.failed;
}
