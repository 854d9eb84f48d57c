/* Panther's public correlation tests (shared data) as rules of ours: groups become temporal rules
 * over rule names (with event_count below where a group wants several matches, and `not` where it
 * wants none), sequences become sequences, the field that joins each
 * group becomes an alias of group-by. Every case must alert, or not, as its test says. */
#include <json-c/json.h>
#include <stdarg.h>
#include <unistd.h>

#include "tests/correlate/fixture.h"

enum { PARTS_MAX = 8 };

struct part {
	const char *id, *field;
	int count;
	bool absent;
};

struct translation {
	struct part parts[PARTS_MAX];
	size_t count;
	bool ordered;
	int within_minutes; /* of every transition; 0: none */
	int lookback_minutes;
};

static struct json_object *member_of(struct json_object *json, const char *key)
{
	return json_object_object_get(json, key);
}

static const char *string_of(struct json_object *json, const char *key)
{
	const char *found = json_object_get_string(member_of(json, key));
	return found == NULL ? "" : found;
}

/* A point in time, or (in a few cases) minutes from nowhere. */
static int64_t time_of(const char *written)
{
	int64_t time_us = 0;
	if (!time_parse(text_of(written), &time_us))
		time_us = strtoll(written, NULL, 10) * INT64_C(60000000);
	return time_us;
}

/* The field that joins a group: what the criteria say, else what its events have. */
static const char *field_of(struct json_object *item, struct json_object *detection, const char *id)
{
	struct json_object *criteria = member_of(detection, "MatchCriteria");
	struct json_object *events = member_of(item, "events");
	for (size_t i = 0; i < json_object_array_length(events); i++) {
		struct json_object *event = json_object_array_get_idx(events, i);
		if (strcmp(string_of(event, "step"), id) == 0)
			return string_of(event, "key_field");
	}
	if (criteria != NULL) {
		json_object_object_foreach(criteria, key, list)
		{
			(void)key;
			for (size_t i = 0; i < json_object_array_length(list); i++) {
				struct json_object *one = json_object_array_get_idx(list, i);
				if (strcmp(string_of(one, "GroupID"), id) == 0)
					return string_of(one, "Match");
			}
		}
	}
	return "unnamed";
}

static void translation_read(struct json_object *item, struct translation *translation)
{
	struct json_object *detection = json_object_array_get_idx(member_of(item, "detection"), 0);
	struct json_object *sequence = member_of(detection, "Sequence");
	struct json_object *transitions = member_of(detection, "Transitions");
	struct json_object *list = sequence != NULL ? sequence : member_of(detection, "Group");
	*translation = (struct translation){0};
	translation->ordered = sequence != NULL;
	translation->lookback_minutes =
		json_object_get_int(member_of(detection, "LookbackWindowMinutes"));
	if (transitions != NULL)
		translation->within_minutes = json_object_get_int(member_of(
			json_object_array_get_idx(transitions, 0), "WithinTimeFrameMinutes"));
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *group = json_object_array_get_idx(list, i);
		struct json_object *count = member_of(group, "MinMatchCount");
		ck_assert_uint_lt(translation->count, PARTS_MAX);
		translation->parts[translation->count++] = (struct part){
			.id = string_of(group, "ID"),
			.field = field_of(item, detection, string_of(group, "ID")),
			.count = count == NULL ? 1 : json_object_get_int(count),
			.absent = json_object_get_boolean(member_of(group, "Absence")),
		};
	}
}

static void put(struct bytes *yaml, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct bytes *yaml, const char *format, ...)
{
	char *line = NULL;
	va_list arguments;
	va_start(arguments, format);
	int size = vasprintf(&line, format, arguments);
	va_end(arguments);
	ck_assert_int_ge(size, 0);
	bytes_put(yaml, line, (size_t)size);
	free(line);
}

/* Rule r0, r1 ... per group; e0 ... where a group wants several. */
static void put_parts(const struct translation *translation, struct bytes *yaml)
{
	for (size_t i = 0; i < translation->count; i++) {
		const struct part *part = &translation->parts[i];
		put(yaml,
		    "title: R%zu\nname: r%zu\nlogsource: {product: x}\nlevel: informational\n"
		    "detection: {s: {step: '%s'}, condition: s}\n---\n",
		    i, i, part->id);
		if (part->count > 1 && !translation->ordered)
			put(yaml,
			    "title: E%zu\nname: e%zu\nlevel: informational\ncorrelation: {type: "
			    "event_count, rules: [r%zu], group-by: [%s], timespan: %dm, condition: "
			    "{gte: %d}}\n---\n",
			    i, i, i, part->field, translation->lookback_minutes, part->count);
	}
}

static void put_main(const struct translation *translation, struct bytes *yaml)
{
	put(yaml,
	    "title: Main\nname: main\nlevel: high\ncorrelation:\n    type: %s\n    group-by: "
	    "[entity]\n    timespan: %dm\n    aliases:\n        entity:\n",
	    translation->ordered ? "sequence" : "temporal", translation->lookback_minutes);
	for (size_t i = 0; i < translation->count; i++) {
		bool several = translation->parts[i].count > 1 && !translation->ordered;
		put(yaml, "            %s%zu: %s\n", several ? "e" : "r", i,
		    translation->parts[i].field);
	}
	if (!translation->ordered)
		put(yaml, "    condition: '");
	else
		put(yaml, "    steps:\n");
	for (size_t i = 0; i < translation->count; i++) {
		const struct part *part = &translation->parts[i];
		if (!translation->ordered) {
			put(yaml, "%s%s%s%zu", i > 0 ? " and " : "", part->absent ? "not " : "",
			    part->count > 1 ? "e" : "r", i);
			continue;
		}
		put(yaml, "        - {%s: r%zu", part->absent ? "not" : "rule", i);
		if (part->count > 1)
			put(yaml, ", count: %d", part->count);
		if (part->absent && i + 1 == translation->count)
			put(yaml, ", within: %dm", translation->lookback_minutes);
		else if (!part->absent && i > 0 && translation->within_minutes > 0)
			put(yaml, ", within: %dm", translation->within_minutes);
		put(yaml, "}\n");
	}
	put(yaml, "%s\n", translation->ordered ? "" : "'");
	bytes_put_u8(yaml, '\0');
}

static size_t alerts_of(struct json_object *item, const char *yaml)
{
	struct ruleset_options options = {
		.supply_metadata = true, .any_logsource = true, .verbatim_names = true};
	struct setup setup = {0};
	struct error err = {0};
	enum status status =
		ruleset_parse(&options, text_of(yaml), "case.yml", &setup.ruleset, &err);
	ck_assert_msg(status == OK, "%s\n%s", err.text, yaml);
	ck_assert_msg(plan_new(setup.ruleset, &test_key, &setup.plan, &err) == OK, "%s", err.text);
	struct actor_options actor_options = {.plan = setup.plan, .actor_count = 1};
	struct matcher *matcher = NULL;
	struct actor *actor = NULL;
	struct bytes fed cleanup(bytes_done) = {0};
	ck_assert_int_eq(matcher_new(setup.ruleset, &matcher, &err), OK);
	ck_assert_int_eq(actor_new(&actor_options, &actor, &err), OK);
	struct json_object *events = member_of(item, "events");
	for (size_t i = 0; i < json_object_array_length(events); i++) {
		struct json_object *json = json_object_array_get_idx(events, i);
		struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
		struct event event = event_at(time_of(string_of(json, "t")), (int64_t)i, "-");
		struct route_counters counters = {0};
		struct matches matches = {0};
		struct record_sink sink = {&fed, 1};
		event_put(&event, arena, "step", string_of(json, "step"));
		event_put(&event, arena, string_of(json, "key_field"),
			  string_of(json, "key_value"));
		ck_assert_int_eq(matcher_match(matcher, &event, &matches), OK);
		ck_assert_int_eq(plan_route(setup.plan, &event, matches.rules, matches.count, 0,
					    &sink, &counters),
				 OK);
	}
	for (unsigned round = 0; round <= plan_rounds(setup.plan); round++) {
		struct bytes out = {0};
		struct record_sink exchange = {&out, 1};
		ck_assert_int_eq(actor_feed(actor, bytes_text(&fed), NULL), OK);
		ck_assert_int_eq(actor_round(actor, 1, INT64_MAX, &exchange, NULL), OK);
		bytes_done(&fed);
		fed = out;
	}
	ck_assert_int_eq(actor_close(actor, 1, INT64_MAX, NULL), OK);
	size_t count = 0;
	(void)actor_changes(actor, &count);
	actor_free(&actor);
	matcher_free(&matcher);
	setup_done(&setup);
	return count;
}

START_TEST(cases_of_panther_hold)
{
	const char *named = getenv("PICKET_DATA");
	char path[4096];
	(void)snprintf(path, sizeof path, "%s/panther/correlation-public.jsonl",
		       named != NULL ? named : PICKET_SOURCE_DIR "/../shared/data");
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		printf("SKIP no %s\n", path);
		return;
	}
	char *line = NULL;
	size_t capacity = 0;
	size_t held = 0;
	size_t failed = 0;
	while (getline(&line, &capacity, file) > 0) {
		struct json_object *item = json_tokener_parse(line);
		struct bytes yaml cleanup(bytes_done) = {0};
		struct translation translation;
		ck_assert_ptr_nonnull(item);
		translation_read(item, &translation);
		put_parts(&translation, &yaml);
		put_main(&translation, &yaml);
		size_t alerts = alerts_of(item, (const char *)yaml.data);
		bool holds =
			(alerts > 0) == (bool)json_object_get_boolean(member_of(item, "expected"));
		if (!holds)
			printf("FAILED %s, %s: %zu alerts\n%s\n", string_of(item, "rule_id"),
			       string_of(item, "test"), alerts, yaml.data);
		held += holds;
		failed += !holds;
		json_object_put(item);
	}
	free(line);
	fclose(file);
	printf("%zu hold, %zu fail\n", held, failed);
	ck_assert_uint_eq(failed, 0);
	ck_assert_uint_gt(held, 0);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("panther");
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, cases_of_panther_hold);
	return run_tests("panther", tests);
}
