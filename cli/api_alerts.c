/* /v1/alerts: the list, one alert by an abbreviated id, and what people do with it.
 *
 * Alerts lie in the order of their ids, which is no order at all for a person; a list therefore
 * looks at every alert, keeps those that fit, newest last event first, and reads the chosen ones
 * again. With a filter on the tenant no other tenant's alert can be seen, not even by its id. */
#include <assert.h>
#include <stdlib.h>

#include "cli/action.h"
#include "cli/api_private.h"
#include "correlate/alert.h"

enum { ID_PREFIX_MIN = 4, NAMED_MAX = 5 };

enum state_filter {
	STATE_ACTIVE,
	STATE_ALL,
	STATE_OPEN,
	STATE_ENDED,
	STATE_MERGED,
	STATE_NEW,
	STATE_ACKED,
	STATE_CLOSED
};

static const char *const state_words[] = {"active", "all", "open",  "ended",
					  "merged", "new", "acked", "closed"};

struct alert_filter {
	enum state_filter state;
	int level_min; /* enum rule_level, or -1 */
	struct text rule, tenant;
	int64_t since_us, until_us;
	size_t limit;
};

struct found {
	int64_t last_us;
	char id[ALERT_ID_SIZE + 1];
};

struct found_list {
	struct found *items;
	size_t count, capacity;
};

static void found_list_done(struct found_list *list)
{
	free(list->items);
}

static int word_index(const char *const *words, size_t count, struct text word)
{
	for (size_t i = 0; i < count; i++) {
		if (text_equal(text_of(words[i]), word))
			return (int)i;
	}
	return -1;
}

static enum status read_filter(const struct api_call *call, struct alert_filter *ret_filter,
			       struct error *err)
{
	struct alert_filter filter = {.level_min = -1};
	struct text state = api_parameter(call, "state");
	struct text level = api_parameter(call, "level");
	if (state.size > 0) {
		int index =
			word_index(state_words, sizeof state_words / sizeof *state_words, state);
		if (index < 0)
			return error_set(err, EINVALID,
					 "state=%.*s is none of active, all, open, ended, merged, "
					 "new, acked, closed",
					 TEXT_ARG(state));
		filter.state = (enum state_filter)index;
	}
	for (int i = LEVEL_INFORMATIONAL; level.size > 0 && i <= LEVEL_CRITICAL; i++) {
		if (text_equal(level, text_of(level_name((enum rule_level)i))))
			filter.level_min = i;
	}
	if (level.size > 0 && filter.level_min < 0)
		return error_set(err, EINVALID,
				 "level=%.*s is none of informational, low, medium, high, critical",
				 TEXT_ARG(level));
	filter.rule = api_parameter(call, "rule");
	filter.tenant = api_parameter(call, "tenant");
	enum status status = api_parameter_time(call, "since", INT64_MIN, &filter.since_us, err);
	if (status == OK)
		status = api_parameter_time(call, "until", INT64_MAX, &filter.until_us, err);
	if (status == OK)
		status = api_parameter_limit(call, &filter.limit, err);
	if (status == OK)
		*ret_filter = filter;
	return status;
}

static bool state_fits(enum state_filter wanted, const struct alert *alert, enum handling handling)
{
	switch (wanted) {
	case STATE_ALL:
		return true;
	case STATE_ACTIVE:
		return alert->state != ALERT_MERGED && handling != HANDLING_CLOSED;
	case STATE_OPEN:
		return alert->state == ALERT_OPEN;
	case STATE_ENDED:
		return alert->state == ALERT_ENDED;
	case STATE_MERGED:
		return alert->state == ALERT_MERGED;
	case STATE_NEW:
		return alert->state != ALERT_MERGED && handling == HANDLING_NEW;
	case STATE_ACKED:
		return handling == HANDLING_ACKED;
	case STATE_CLOSED:
		return handling == HANDLING_CLOSED;
	}
	assert(false); /* a state of no kind */
}

static bool alert_fits(const struct alert_filter *filter, const struct alert *alert,
		       enum handling handling)
{
	if (!state_fits(filter->state, alert, handling))
		return false;
	if ((int)alert->level < filter->level_min)
		return false;
	if (filter->rule.size > 0 && !text_equal(filter->rule, alert->rule_key) &&
	    !text_equal(filter->rule, alert->rule_id) &&
	    !text_equal(filter->rule, alert->rule_name))
		return false;
	if (filter->tenant.size > 0 && !text_equal(filter->tenant, alert->tenant))
		return false;
	return alert->last_us >= filter->since_us && alert->first_us <= filter->until_us;
}

/* The row 'u' of an alert; no row = no actions. The texts are views into *keep. */
static enum status read_actions(struct api *api, struct text id, struct bytes *keep,
				struct actions *ret_actions, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	alert_key('u', id, &key);
	enum status status = store_get(api->store, FAMILY_ALERT, bytes_text(&key), keep, err);
	if (status == ENOTFOUND) {
		*ret_actions = (struct actions){0};
		return OK;
	}
	return status == OK ? actions_decode(bytes_text(keep), ret_actions, err) : status;
}

/* What the rule of an alert says of itself now, for whoever has to judge the alert. */
static void write_about(const struct rule *rule, struct json_writer *json)
{
	json_write_open(json, "about", '{');
	json_write_text(json, "description", rule->description);
	json_write_open(json, "tags", '[');
	for (size_t i = 0; i < rule->tag_count; i++)
		json_write_text(json, NULL, rule->tags[i]);
	json_write_close(json, ']');
	json_write_close(json, '}');
}

/* One alert with its actions, as JSON; rule: of the live ones, or NULL. */
static enum status write_alert(struct api *api, const struct alert *alert, const struct rule *rule,
			       struct json_writer *json, struct error *err)
{
	struct bytes keep cleanup(bytes_done) = {0};
	struct bytes text cleanup(bytes_done) = {0};
	struct actions actions = {0};
	enum status status = read_actions(api, text_of(alert->id), &keep, &actions, err);
	if (status != OK)
		return status;
	alert_json(alert, false, &text);
	if (text.failed)
		return error_set(err, ENOMEMORY, "no memory for an alert");
	assert(text.size > 2 && text.data[text.size - 1] == '}');
	text.size--; /* the object is opened again for one more member */
	struct json_writer inner = {.to = &text, .comma = true};
	actions_json(&actions, &inner);
	if (rule != NULL)
		write_about(rule, &inner);
	bytes_put_u8(&text, '}');
	if (text.failed)
		return error_set(err, ENOMEMORY, "no memory for an alert");
	json_write_raw(json, NULL, bytes_text(&text));
	return OK;
}

static enum status add_found(struct found_list *list, const struct alert *alert, struct error *err)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity == 0 ? 256 : list->capacity * 2;
		struct found *grown = realloc(list->items, capacity * sizeof *grown);
		if (grown == NULL)
			return error_set(err, ENOMEMORY, "too many alerts to sort");
		list->items = grown;
		list->capacity = capacity;
	}
	struct found *one = &list->items[list->count++];
	one->last_us = alert->last_us;
	memcpy(one->id, alert->id, sizeof one->id);
	return OK;
}

static int newest_first(const void *left, const void *right)
{
	const struct found *a = left;
	const struct found *b = right;
	if (a->last_us != b->last_us)
		return a->last_us > b->last_us ? -1 : 1;
	return strcmp(a->id, b->id);
}

static enum status find_alerts(struct api *api, const struct alert_filter *filter,
			       struct found_list *list, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes keep cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	enum status status =
		store_scan_new(api->store, FAMILY_ALERT, TEXT("a"), TEXT("a"), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct alert alert;
		struct actions actions = {0};
		status = alert_decode(value, &alert, err);
		if (status == OK)
			status = read_actions(api, text_of(alert.id), &keep, &actions, err);
		if (status == OK && alert_fits(filter, &alert, actions_handling(&actions)))
			status = add_found(list, &alert, err);
	}
	return status == OK ? store_scan_status(scan, err) : status;
}

static enum status write_found(struct api *api, const struct found *found, struct json_writer *json,
			       struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct alert alert;
	alert_key('a', text_of(found->id), &key);
	enum status status = store_get(api->store, FAMILY_ALERT, bytes_text(&key), &value, err);
	if (status == ENOTFOUND)
		return OK; /* gone since it was found: retention */
	if (status == OK)
		status = alert_decode(bytes_text(&value), &alert, err);
	return status == OK ? write_alert(api, &alert, NULL, json, err) : status;
}

enum status api_alerts_list(const struct api_call *call, struct api_response *response,
			    struct error *err)
{
	struct found_list list cleanup(found_list_done) = {0};
	struct alert_filter filter;
	enum status status = read_filter(call, &filter, err);
	if (status != OK)
		return status;
	status = find_alerts(call->api, &filter, &list, err);
	bool damaged = status == ECORRUPT || status == EINCOMPLETE;
	if (status != OK && !damaged)
		return status;
	if (list.count > 0)
		qsort(list.items, list.count, sizeof *list.items, newest_first);
	struct json_writer json = {.to = &response->body};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.alerts/1");
	json_write_boolean(&json, "complete", !damaged);
	if (damaged && err != NULL)
		json_write_string(&json, "problem", err->text);
	json_write_count(&json, "total", list.count);
	json_write_open(&json, "alerts", '[');
	response->rows = list.count < filter.limit ? list.count : filter.limit;
	status = OK;
	for (size_t i = 0; status == OK && i < list.count && i < filter.limit; i++)
		status = write_found(call->api, &list.items[i], &json, err);
	json_write_close(&json, ']');
	json_write_close(&json, '}');
	return status;
}

enum status api_alert_count(struct api *api, struct api_alert_counts *ret_counts, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct api_alert_counts counts = {0};
	size_t seen = 0;
	struct text key = {0};
	struct text value = {0};
	enum status status =
		store_scan_new(api->store, FAMILY_ALERT, TEXT("a"), TEXT("a"), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct alert alert;
		if (seen++ == ALERTS_COUNTED_MAX) {
			counts.more = true;
			break;
		}
		status = alert_decode(value, &alert, err);
		counts.total += status == OK && alert.state != ALERT_MERGED;
		counts.open += status == OK && alert.state == ALERT_OPEN;
	}
	if (status == OK)
		status = store_scan_status(scan, err);
	if (status == OK)
		*ret_counts = counts;
	return status;
}

static bool is_hex(struct text t)
{
	for (size_t i = 0; i < t.size; i++) {
		if (memchr("0123456789abcdef", t.data[i], 16) == NULL)
			return false;
	}
	return t.size > 0 && t.size <= ALERT_ID_SIZE;
}

/* The value of the one alert whose id begins with `prefix` (and that `tenant` may see). */
static enum status find_one(struct api *api, struct text prefix, struct text tenant,
			    struct bytes *ret_value, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes from cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	char named[NAMED_MAX * (ALERT_ID_SIZE + 1) + 8] = "";
	size_t count = 0;
	if (!is_hex(prefix) || prefix.size < ID_PREFIX_MIN)
		return error_set(
			err, EINVALID,
			"\"%.*s\" is not an alert id: at least %d of its hexadecimal digits",
			TEXT_ARG(prefix), ID_PREFIX_MIN);
	alert_key('a', prefix, &from);
	enum status status = store_scan_new(api->store, FAMILY_ALERT, bytes_text(&from),
					    bytes_text(&from), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct alert alert;
		status = alert_decode(value, &alert, err);
		if (status != OK)
			break;
		if (tenant.size > 0 && !text_equal(tenant, alert.tenant))
			continue;
		if (count++ == 0) {
			bytes_clear(ret_value);
			bytes_write(ret_value, value);
		}
		if (count <= NAMED_MAX) {
			strcat(named, count == 1 ? "" : " ");
			strcat(named, alert.id);
		}
	}
	if (status == OK)
		status = store_scan_status(scan, err);
	if (status != OK)
		return status;
	if (count == 0)
		return error_set(err, ENOTFOUND, "no alert with the id %.*s", TEXT_ARG(prefix));
	if (count > 1)
		return error_set(err, ELIMIT, "%zu alerts begin with %.*s: %s%s; give more digits",
				 count, TEXT_ARG(prefix), named, count > NAMED_MAX ? " ..." : "");
	return bytes_status(ret_value);
}

enum status api_alert_one(const struct api_call *call, struct api_response *response,
			  struct error *err)
{
	struct bytes value cleanup(bytes_done) = {0};
	struct alert alert;
	enum status status =
		find_one(call->api, call->rest, api_parameter(call, "tenant"), &value, err);
	if (status == OK)
		status = alert_decode(bytes_text(&value), &alert, err);
	if (status != OK)
		return status;
	struct json_writer json = {.to = &response->body};
	const struct rule *rule =
		call->ruleset == NULL ? NULL : ruleset_find(call->ruleset, alert.rule_key);
	response->rows = 1;
	return write_alert(call->api, &alert, rule, &json, err);
}

/* Adds an action to what is there. An action that repeats the newest one (same kind, person, note)
 * changes nothing: a retried request is no second deed. */
static enum status store_action(struct api *api, const struct alert *alert,
				const struct action *action, struct error *err)
{
	struct bytes keep cleanup(bytes_done) = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes row cleanup(bytes_done) = {0};
	struct actions actions = {0};
	enum status status = read_actions(api, text_of(alert->id), &keep, &actions, err);
	if (status != OK)
		return status;
	const struct action *last = actions.count == 0 ? NULL : &actions.items[actions.count - 1];
	if (last != NULL && last->kind == action->kind && text_equal(last->who, action->who) &&
	    text_equal(last->note, action->note) && text_equal(last->as, action->as))
		return OK;
	if (actions.count == ACTIONS_MAX)
		return error_set(err, ELIMIT, "the alert has %d actions already", ACTIONS_MAX);
	actions.items[actions.count++] = *action;
	actions_encode(&actions, &row);
	alert_key('u', text_of(alert->id), &key);
	struct store_batch *batch = store_batch_new(api->store);
	if (batch == NULL || row.failed || key.failed) {
		store_batch_free(&batch);
		return error_set(err, ENOMEMORY, "no memory for an action");
	}
	store_batch_put(batch, FAMILY_ALERT, bytes_text(&key), bytes_text(&row));
	status = api_commit(api, batch, err);
	store_batch_free(&batch);
	return status;
}

enum status api_alert_act(const struct api_call *call, struct api_response *response,
			  struct error *err)
{
	struct bytes value cleanup(bytes_done) = {0};
	struct alert alert;
	const char *slash = memchr(call->rest.data, '/', call->rest.size);
	struct text id = {call->rest.data, slash == NULL ? 0 : (size_t)(slash - call->rest.data)};
	struct text verb = slash == NULL ? (struct text){0} : text_cut(call->rest, id.size + 1);
	struct bytes keep cleanup(bytes_done) = {0};
	struct action action = {0};
	if (!action_kind_parse(verb, &action.kind))
		return error_set(err, ENOTFOUND,
				 "POST /v1/alerts/ID/ack, /assign, /close or /reopen");
	if (call->api->read_only)
		return error_set(err, EDENIED,
				 "a store opened with --data is only read; start the "
				 "daemon and ask it");
	enum status status = action_parse(call->request->body, &keep, &action, err);
	if (status == OK)
		status = find_one(call->api, id, api_parameter(call, "tenant"), &value, err);
	if (status == OK)
		status = alert_decode(bytes_text(&value), &alert, err);
	if (status != OK)
		return status;
	action.time_us = api_now(call->api);
	(void)pthread_mutex_lock(&call->api->writing);
	status = store_action(call->api, &alert, &action, err);
	(void)pthread_mutex_unlock(&call->api->writing);
	if (status != OK)
		return status;
	struct json_writer json = {.to = &response->body};
	response->rows = 1;
	return write_alert(call->api, &alert, NULL, &json, err);
}
