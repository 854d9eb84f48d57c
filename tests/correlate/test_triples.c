/* Correlation cases of other implementations' tests (shared data, sigma-triples, class "spec").
 * Every event is an epoch of its own, with a restart where the case asks for one. Compared: the
 * index of the event at which the first alert of a correlation opens (none at all when the case has
 * no index), and, where the case names groups, that exactly so many groups raise alerts and each of
 * them is named. Not compared: how often an alert is raised again; ours grows (episodes). */
#include <json-c/json.h>
#include <unistd.h>

#include "tests/correlate/fixture.h"

enum { GROUPS_MAX = 64, NEVER = -1 };

static const struct {
	const char *id;
	int first;
	const char *why;
} decisions[] = {
	{"cor-0028", 3, "a chain alerts at its outermost rule only, unless it says generate"},
};

struct trial {
	struct setup setup;
	struct matcher *matcher;
	struct actor *actor;
	struct bytes groups[GROUPS_MAX]; /* that raised alerts */
	size_t group_count;
	int first; /* event index, NEVER */
};

static const char *member(struct json_object *json, const char *key)
{
	return json_object_get_string(json_object_object_get(json, key));
}

static void flatten(struct json_object *json, struct text name, struct event *event,
		    struct arena *arena)
{
	enum json_type type = json_object_get_type(json);
	if (type == json_type_object) {
		json_object_object_foreach(json, key, child)
		{
			struct text path = arena_print(arena, "%.*s%s%s", TEXT_ARG(name),
						       name.size > 0 ? "." : "", key);
			flatten(child, path, event, arena);
		}
		return;
	}
	for (size_t i = 0; type == json_type_array && i < json_object_array_length(json); i++)
		flatten(json_object_array_get_idx(json, i), name, event, arena);
	if (type == json_type_array || type == json_type_null)
		return;
	struct value value = {.type = VALUE_STRING,
			      .text = arena_copy(arena, text_of(json_object_get_string(json)))};
	if (type == json_type_int) {
		value.type = VALUE_INTEGER;
		value.integer = json_object_get_int64(json);
	} else if (type == json_type_double) {
		value.type = VALUE_REAL;
		value.real = json_object_get_double(json);
	} else if (type == json_type_boolean) {
		value.type = VALUE_BOOLEAN;
		value.boolean = json_object_get_boolean(json);
	}
	enum status status = event_add(event, arena, name, value);
	ck_assert_int_eq(status, OK);
}

static int64_t time_of(struct json_object *events, size_t index)
{
	struct json_object *event = json_object_array_get_idx(events, index);
	return (int64_t)(json_object_get_double(json_object_object_get(event, "ts")) * 1e6);
}

static void keep_groups(struct trial *trial, int index)
{
	size_t count = 0;
	const struct alert_change *changes = actor_changes(trial->actor, &count);
	for (size_t i = 0; i < count; i++) {
		const struct alert *alert = changes[i].alert;
		const struct unit *unit = plan_find(trial->setup.plan, alert->state_id);
		if (unit->rule->kind != RULE_CORRELATION)
			continue;
		trial->first = trial->first == NEVER ? index : trial->first;
		size_t at = 0;
		while (at < trial->group_count &&
		       !text_equal(bytes_text(&trial->groups[at]), alert->group))
			at++;
		ck_assert_uint_lt(at, GROUPS_MAX);
		if (at == trial->group_count)
			bytes_put(&trial->groups[trial->group_count++], alert->group.data,
				  alert->group.size);
	}
}

static void trial_restart(struct trial *trial)
{
	struct actor_options options = {.plan = trial->setup.plan, .actor_count = 1};
	struct actor *again = NULL;
	ck_assert_int_eq(actor_new(&options, &again, NULL), OK);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		struct bytes saved cleanup(bytes_done) = {0};
		ck_assert_int_eq(actor_checkpoint(trial->actor, (uint8_t)i, &saved), OK);
		ck_assert_int_eq(actor_restore(again, bytes_text(&saved), NULL), OK);
	}
	actor_free(&trial->actor);
	trial->actor = again;
}

/* One event, one epoch; nothing earlier than watermark_us comes any more. */
static void trial_step(struct trial *trial, struct json_object *events, size_t index,
		       int64_t watermark_us)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct bytes fed cleanup(bytes_done) = {0};
	struct route_counters counters = {0};
	struct matches matches = {0};
	struct event event = event_at(time_of(events, index), (int64_t)index, "-");
	flatten(json_object_object_get(json_object_array_get_idx(events, index), "event"), TEXT(""),
		&event, arena);
	ck_assert_int_eq(matcher_match(trial->matcher, &event, &matches), OK);
	struct record_sink sink = {&fed, 1};
	ck_assert_int_eq(plan_route(trial->setup.plan, &event, matches.rules, matches.count, 0,
				    &sink, &counters),
			 OK);
	for (unsigned round = 0; round <= plan_rounds(trial->setup.plan); round++) {
		struct bytes out = {0};
		struct record_sink exchange = {&out, 1};
		ck_assert_int_eq(actor_feed(trial->actor, bytes_text(&fed), NULL), OK);
		ck_assert_int_eq(
			actor_round(trial->actor, index + 1, watermark_us, &exchange, NULL), OK);
		bytes_done(&fed);
		fed = out;
	}
	ck_assert_int_eq(actor_close(trial->actor, index + 1, watermark_us, NULL), OK);
	keep_groups(trial, (int)index);
}

static void trial_run(struct trial *trial, struct json_object *item)
{
	struct json_object *events = json_object_object_get(item, "events");
	struct json_object *restart = json_object_object_get(item, "restart_before_event");
	size_t count = json_object_array_length(events);
	for (size_t i = 0; i < count; i++) {
		int64_t watermark_us = INT64_MAX;
		for (size_t k = i + 1; k < count; k++) {
			int64_t later_us = time_of(events, k);
			watermark_us = later_us < watermark_us ? later_us : watermark_us;
		}
		if (restart != NULL && (size_t)json_object_get_int64(restart) == i)
			trial_restart(trial);
		trial_step(trial, events, i, watermark_us);
	}
}

static bool groups_agree(const struct trial *trial, struct json_object *wanted)
{
	if (wanted == NULL)
		return true;
	size_t count = json_object_array_length(wanted);
	if (count != trial->group_count)
		return false;
	for (size_t i = 0; i < count; i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(wanted, i));
		bool found = false;
		for (size_t g = 0; g < trial->group_count; g++) {
			struct cursor from = cursor_of(bytes_text(&trial->groups[g]));
			bool all = cursor_left(&from) > 0;
			while (cursor_left(&from) > 0) {
				(void)cursor_text(&from);
				struct text value = cursor_text(&from);
				all = all && memmem(name, strlen(name), value.data, value.size);
			}
			found = found || all;
		}
		if (!found)
			return false;
	}
	return true;
}

static int wanted_first(struct json_object *item)
{
	struct json_object *first = json_object_object_get(item, "first_alert_index");
	for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++)
		if (strcmp(decisions[i].id, member(item, "id")) == 0)
			return decisions[i].first;
	return first == NULL ? NEVER : json_object_get_int(first);
}

struct tallied {
	size_t held, refused, failed;
};

static void case_check(struct json_object *item, struct tallied *counts)
{
	struct ruleset_options options = {
		.supply_metadata = true, .any_logsource = true, .verbatim_names = true};
	struct trial trial = {.first = NEVER};
	struct text yaml = text_of(member(item, "rule_yaml"));
	struct error err = {0};
	if (ruleset_parse(&options, yaml, "case.yml", &trial.setup.ruleset, &err) != OK ||
	    plan_new(trial.setup.ruleset, &test_key, &trial.setup.plan, &err) != OK) {
		printf("refused %s: %.90s\n", member(item, "id"), err.text);
		counts->refused++;
		setup_done(&trial.setup);
		return;
	}
	struct actor_options actor = {.plan = trial.setup.plan, .actor_count = 1};
	ck_assert_int_eq(matcher_new(trial.setup.ruleset, &trial.matcher, &err), OK);
	ck_assert_int_eq(actor_new(&actor, &trial.actor, &err), OK);
	trial_run(&trial, item);
	bool holds = trial.first == wanted_first(item) &&
		     groups_agree(&trial, json_object_object_get(item, "expected_groups"));
	if (!holds)
		printf("FAILED %s: first alert at event %d, wanted %d; %zu groups\n",
		       member(item, "id"), trial.first, wanted_first(item), trial.group_count);
	counts->held += holds;
	counts->failed += !holds;
	for (size_t i = 0; i < trial.group_count; i++)
		bytes_done(&trial.groups[i]);
	actor_free(&trial.actor);
	matcher_free(&trial.matcher);
	setup_done(&trial.setup);
}

START_TEST(correlation_cases_of_others_hold)
{
	const char *named = getenv("PICKET_DATA");
	char path[4096];
	(void)snprintf(path, sizeof path, "%s/sigma-triples/public.jsonl",
		       named != NULL ? named : PICKET_SOURCE_DIR "/../shared/data");
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		printf("SKIP no %s\n", path);
		return;
	}
	struct tallied counts = {0};
	char *line = NULL;
	size_t capacity = 0;
	while (getline(&line, &capacity, file) > 0) {
		struct json_object *item = json_tokener_parse(line);
		ck_assert_ptr_nonnull(item);
		if (strcmp(member(item, "kind"), "correlation") == 0 &&
		    strcmp(member(item, "class"), "spec") == 0)
			case_check(item, &counts);
		json_object_put(item);
	}
	free(line);
	fclose(file);
	printf("%zu hold, %zu refused by this build, %zu fail\n", counts.held, counts.refused,
	       counts.failed);
	ck_assert_uint_eq(counts.failed, 0);
	ck_assert_uint_gt(counts.held, 0);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("triples");
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, correlation_cases_of_others_hold);
	return run_tests("triples", tests);
}
