/* picket entity KIND:VALUE: what the store knows of a user, an address, a service, a tenant, a
 * token or a trace, on one page.
 *
 * It is made of questions that anybody may ask (/v1/search, /v1/alerts, /v1/risk), so that every
 * part of it is audited as such and can be looked at further with `picket search`. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

enum { ENTITY_QUERY_MAX = 4096, ENTITY_TOP = 5 };

struct kind {
	const char *name;
	const char *fields[6];
	const char *identity; /* the field of ours that rules know it by; NULL: none */
};

static const struct kind kinds[] = {
	{"user", {"user.id", "user.name", "user.email", "user.target.id"}, "picket.identity.user"},
	{"ip", {"source.ip", "destination.ip"}, "picket.identity.source"},
	{"service", {"service.name", "service.target.name"}, NULL},
	{"token", {"session.id", "picket.token.hash"}, NULL},
	{"tenant", {"tenant.id", "target.tenant.id"}, NULL},
	{"trace", {"trace.id"}, NULL},
};

/* What is counted beside: the title and the field. */
static const char *const counted[][2] = {
	{"services", "service.name"},  {"actions", "event.action"},
	{"outcomes", "event.outcome"}, {"users", "user.id"},
	{"addresses", "source.ip"},    {"countries", "source.geo.country_iso_code"},
	{"tenants", "tenant.id"},
};

static const struct kind *kind_of(const char *word, const char **ret_value)
{
	const char *colon = strchr(word, ':');
	for (size_t i = 0; colon != NULL && i < sizeof kinds / sizeof *kinds; i++) {
		size_t size = strlen(kinds[i].name);
		if ((size_t)(colon - word) != size || strncmp(word, kinds[i].name, size) != 0 ||
		    colon[1] == '\0')
			continue;
		*ret_value = colon + 1;
		return &kinds[i];
	}
	return NULL;
}

/* "(a: "X" or b: "X")"; false when it is too long. */
static bool query_write(const struct kind *kind, const char *value, struct bytes *to)
{
	bytes_write_string(to, "(");
	for (size_t i = 0; kind->fields[i] != NULL; i++) {
		if (i > 0)
			bytes_write_string(to, " or ");
		bytes_write_string(to, kind->fields[i]);
		bytes_write_string(to, ": \"");
		for (const char *at = value; *at != '\0'; at++) {
			if (*at == '"' || *at == '\\')
				bytes_put_u8(to, '\\');
			bytes_put_u8(to, (uint8_t)*at);
		}
		bytes_write_string(to, "\"");
	}
	bytes_write_string(to, ")");
	bytes_put_u8(to, '\0');
	return !to->failed && to->size < ENTITY_QUERY_MAX;
}

/* Asks; *incomplete is set when a part of the answer is missing. */
static int ask(struct session *session, struct client *client, const char *query, const char *sort,
	       struct json_object **ret_answer)
{
	struct question question;
	question_init(&question, "GET", TEXT("/v1/search"));
	question_add(&question, "q", query);
	question_add(&question, "sort", sort);
	question_add(&question, "limit", sort == NULL ? NULL : "1");
	question_add(&question, "tenant", arguments_get(&session->arguments, "tenant"));
	question_add(&question, "since", arguments_get(&session->arguments, "since"));
	question_add(&question, "until", arguments_get(&session->arguments, "until"));
	return session_ask(session, client, &question, ret_answer);
}

/* The page in the making: one JSON object, printed at the end. */
struct page {
	struct session *session;
	struct client *client;
	const char *query;
	struct json_object *object;
	bool incomplete;
	char problem[ERROR_TEXT_MAX];
};

static void note_gaps(struct page *page, struct json_object *answer)
{
	struct json_object *complete = json_path(answer, "complete");
	if (complete == NULL || json_object_get_boolean(complete))
		return;
	page->incomplete = true;
	(void)snprintf(page->problem, sizeof page->problem, "%s",
		       json_path_text(answer, "problem"));
}

/* The time of the first or last event; EXIT_NEGATIVE when there is none. */
static int add_seen(struct page *page, const char *sort, const char *member)
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	int code = ask(page->session, page->client, page->query, sort, &answer);
	if (code != EXIT_OK)
		return code;
	note_gaps(page, answer);
	struct json_object *events = json_path(answer, "events");
	if (events == NULL || json_object_array_length(events) == 0)
		return EXIT_NEGATIVE;
	struct json_object *time = json_path(json_object_array_get_idx(events, 0), "time");
	(void)json_object_object_add(page->object, member, json_object_get(time));
	return EXIT_OK;
}

static int add_groups(struct page *page, const char *stage, const char *member)
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	char query[ENTITY_QUERY_MAX + 200];
	(void)snprintf(query, sizeof query, "%s | %s", page->query, stage);
	int code = ask(page->session, page->client, query, NULL, &answer);
	if (code != EXIT_OK)
		return code;
	note_gaps(page, answer);
	struct json_object *groups = json_path(answer, "groups");
	(void)json_object_object_add(page->object, member, json_object_get(groups));
	return EXIT_OK;
}

/* Alerts that name the value in their group. */
static int add_alerts(struct page *page, const char *value)
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct question question;
	question_init(&question, "GET", TEXT("/v1/alerts"));
	question_add(&question, "state", "all");
	question_add(&question, "limit", "10000");
	question_add(&question, "tenant", arguments_get(&page->session->arguments, "tenant"));
	question_add(&question, "since", arguments_get(&page->session->arguments, "since"));
	question_add(&question, "until", arguments_get(&page->session->arguments, "until"));
	int code = session_ask(page->session, page->client, &question, &answer);
	if (code != EXIT_OK)
		return code;
	note_gaps(page, answer);
	struct json_object *alerts = json_path(answer, "alerts");
	struct json_object *named = json_object_new_array();
	for (size_t i = 0; alerts != NULL && i < json_object_array_length(alerts); i++) {
		struct json_object *alert = json_object_array_get_idx(alerts, i);
		struct json_object *group = json_path(alert, "group");
		if (!json_object_is_type(group, json_type_object))
			continue;
		json_object_object_foreach(group, name, one)
		{
			(void)name;
			if (strcasecmp(json_object_get_string(one), value) != 0)
				continue;
			(void)json_object_array_add(named, json_object_get(alert));
			break;
		}
	}
	(void)json_object_object_add(page->object, "alerts", named);
	return EXIT_OK;
}

/* "user.id,user.name,picket.identity.user" */
static void add_fields(struct question *question, const struct kind *kind, char *to, size_t size)
{
	size_t used = 0;
	for (size_t i = 0; kind->fields[i] != NULL; i++)
		used += (size_t)snprintf(to + used, size - used, "%s%s", i == 0 ? "" : ",",
					 kind->fields[i]);
	if (kind->identity != NULL)
		used += (size_t)snprintf(to + used, size - used, ",%s", kind->identity);
	assert(used < size);
	question_add(question, "fields", to);
}

/* The risk on it now, whatever time the page is of. */
static int add_risk(struct page *page, const struct kind *kind, const char *value)
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct question question;
	char fields[256];
	question_init(&question, "GET", TEXT("/v1/risk"));
	question_add(&question, "value", value);
	add_fields(&question, kind, fields, sizeof fields);
	question_add(&question, "tenant", arguments_get(&page->session->arguments, "tenant"));
	int code = session_ask(page->session, page->client, &question, &answer);
	if (code == EXIT_OK)
		(void)json_object_object_add(page->object, "risk", json_object_get(answer));
	return code;
}

static int page_fill(struct page *page, const struct kind *kind, const char *value)
{
	int code = add_seen(page, "oldest", "first_seen");
	if (code == EXIT_OK)
		code = add_seen(page, "newest", "last_seen");
	for (size_t i = 0; code == EXIT_OK && i < sizeof counted / sizeof *counted; i++) {
		char stage[128];
		(void)snprintf(stage, sizeof stage, "top %s %d", counted[i][1], ENTITY_TOP);
		code = add_groups(page, stage, counted[i][0]);
	}
	if (code == EXIT_OK)
		code = add_groups(page, "histogram 1d", "days");
	if (code == EXIT_OK)
		code = add_risk(page, kind, value);
	return code == EXIT_OK ? add_alerts(page, value) : code;
}

static void print_counts(FILE *to, const char *title, struct json_object *groups)
{
	size_t printed = 0;
	for (size_t i = 0; groups != NULL && i < json_object_array_length(groups); i++) {
		struct json_object *group = json_object_array_get_idx(groups, i);
		struct json_object *values = json_path(group, "values");
		if (values == NULL)
			continue;
		json_object_object_foreach(values, name, one)
		{
			(void)name;
			if (one == NULL) /* the events without the field */
				continue;
			(void)fprintf(to, "%-12s", printed++ == 0 ? title : "");
			output_text(to, json_object_get_string(one));
			(void)fprintf(to, "  %s\n", json_path_text(group, "count"));
		}
	}
}

/* One risk, and under it what each rule has put there. */
static void print_entity_risk(FILE *to, const char *title, struct json_object *entity)
{
	struct json_object *parts = json_path(entity, "parts");
	bool complete = json_object_get_boolean(json_path(entity, "complete"));
	(void)fprintf(to, "%-12s%s%.4g of %.4g  ", title, complete ? "" : "at least ",
		      json_object_get_double(json_path(entity, "score")),
		      json_object_get_double(json_path(entity, "threshold")));
	output_text(to, json_path_text(entity, "title"));
	(void)fprintf(to, "  (%s of ", json_path_text(entity, "field"));
	output_text(to, json_path_text(entity, "tenant"));
	(void)fprintf(to, ", at %s)\n", json_path_text(entity, "at"));
	for (size_t i = 0; i < json_object_array_length(parts); i++) {
		struct json_object *part = json_object_array_get_idx(parts, i);
		(void)fprintf(to, "%-12s  %.4g  ", "",
			      json_object_get_double(json_path(part, "score")));
		output_text(to, json_path_text(part, "title"));
		(void)fprintf(to, "  %s times, last %s\n", json_path_text(part, "additions"),
			      json_path_text(part, "last"));
	}
}

/* Nothing where no rule adds risks up; but where that is not known, that is said. */
static void print_risk(FILE *to, struct json_object *risk)
{
	struct json_object *loaded = json_path(risk, "loaded");
	struct json_object *entities = json_path(risk, "entities");
	size_t count = json_object_array_length(entities);
	if (loaded == NULL)
		(void)fprintf(to, "%-12snot known without the rules: give -c FILE beside --data\n",
			      "risk");
	if (loaded == NULL || json_object_get_int64(loaded) == 0)
		return;
	for (size_t i = 0; i < count; i++)
		print_entity_risk(to, i == 0 ? "risk" : "", json_object_array_get_idx(entities, i));
	if (!json_object_get_boolean(json_path(risk, "complete")))
		(void)fprintf(to, "%-12snot all is known: see picket status --state\n",
			      count == 0 ? "risk" : "");
	else if (count == 0)
		(void)fprintf(to, "%-12snone now\n", "risk");
}

static void print_alerts(FILE *to, struct json_object *alerts)
{
	for (size_t i = 0; i < json_object_array_length(alerts); i++) {
		struct json_object *alert = json_object_array_get_idx(alerts, i);
		(void)fprintf(to, "%-12s%.12s  %s  ", i == 0 ? "alerts" : "",
			      json_path_text(alert, "alert_id"), json_path_text(alert, "last"));
		output_text(to, json_path_text(alert, "rule.title"));
		(void)fputc('\n', to);
	}
	if (json_object_array_length(alerts) == 0)
		(void)fprintf(to, "%-12snone that names it\n", "alerts");
}

static void print_page(const struct page *page)
{
	FILE *to = page->session->output.to;
	struct json_object *days = json_path(page->object, "days");
	int64_t events = 0;
	size_t busy_days = 0; /* the histogram has those between them too */
	for (size_t i = 0; days != NULL && i < json_object_array_length(days); i++) {
		int64_t count = json_object_get_int64(
			json_path(json_object_array_get_idx(days, i), "count"));
		events += count;
		busy_days += count > 0;
	}
	(void)fprintf(to, "%-12s%s\n%-12s%s\n%-12s%lld on %zu %s\n", "first seen",
		      json_path_text(page->object, "first_seen"), "last seen",
		      json_path_text(page->object, "last_seen"), "events", (long long)events,
		      busy_days, busy_days == 1 ? "day" : "days");
	for (size_t i = 0; i < sizeof counted / sizeof *counted; i++)
		print_counts(to, counted[i][0], json_path(page->object, counted[i][0]));
	print_risk(to, json_path(page->object, "risk"));
	print_alerts(to, json_path(page->object, "alerts"));
}

static int run_entity(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct bytes query cleanup(bytes_done) = {0};
	struct json_object *object cleanup(session_json_done) = json_object_new_object();
	struct error err = {0};
	const char *value = NULL;
	const struct kind *kind = kind_of(session->arguments.words[0], &value);
	if (kind == NULL || !query_write(kind, value, &query))
		return session_fail(session, EXIT_USAGE,
				    "\"%s\" is not KIND:VALUE with a kind of user, ip, service, "
				    "token, tenant, trace",
				    session->arguments.words[0]);
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	struct page page = {.session = session,
			    .client = client,
			    .query = (const char *)query.data,
			    .object = object};
	int code = page_fill(&page, kind, value);
	if (code == EXIT_NEGATIVE && !page.incomplete)
		return session_fail(session, code, "no stored event names %s %s in that time",
				    kind->name, value);
	if (code == EXIT_OK && session->output.format == OUTPUT_TABLE)
		print_page(&page);
	else if (code == EXIT_OK)
		output_json(&session->output, object);
	if (page.incomplete)
		return session_fail(session, EXIT_INCOMPLETE, "incomplete: %s", page.problem);
	return code;
}

const struct command command_entity = {
	.noun = "entity",
	.words = "KIND:VALUE",
	.word_min = 1,
	.word_max = 1,
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_RANGE | TAKES_TENANT,
	.summary = "all there is about a user, ip, service, token, tenant or trace",
	.details = "First and last seen, what it did and where, the risk on it now and by\n"
		   "which rules, and the alerts that name it.\n"
		   "Every part is a search of its own: look further with `picket search`.\n",
	.examples = "  picket entity user:alice --since 7d\n  picket entity ip:203.0.113.9\n",
	.run = run_entity,
};
