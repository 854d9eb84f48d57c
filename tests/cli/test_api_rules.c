/* GET /v1/rules: what state a rule is in, and those that are warmed before they go live. */
#include "tests/cli/api_fixture.h"

#include "ingest/warm.h"

#define RULES(window)                                                                              \
	"title: failed\nname: failed\nlogsource: {product: microservice}\n"                        \
	"detection: {s: {event.outcome: failure}, condition: s}\nlevel: informational\n"           \
	"---\n"                                                                                    \
	"title: known\nname: known\ncorrelation: {type: event_count, rules: [failed],\n"           \
	"    group-by: [user.id], timespan: 1m, condition: {gte: 2}}\nlevel: low\n"                \
	"---\n"                                                                                    \
	"title: edited\nname: edited\npicket: {stage: shadow}\ncorrelation: {type: event_count,\n" \
	"    rules: [failed], group-by: [user.id], timespan: " window ", condition: {gte: 2}}\n"   \
	"level: high\n"

static struct generation *now, *next;

static struct generation *rules_now(void *context)
{
	(void)context;
	return generation_hold(now);
}

static struct generation *rules_warming(void *context, int *ret_percent)
{
	(void)context;
	if (next == NULL)
		return NULL;
	*ret_percent = 50;
	return generation_hold(next);
}

static struct generation *rules_of(const char *yaml)
{
	static const struct hash_key key;
	struct ruleset_options options = {0};
	struct ruleset *ruleset = NULL;
	struct generation *rules = NULL;
	struct error err = {0};
	ck_assert_msg(ruleset_parse(&options, text_of(yaml), "test", &ruleset, &err) == OK, "%s",
		      err.text);
	const struct generation_parts parts = {.ruleset = ruleset};
	ck_assert_int_eq(generation_new(&parts, true, &key, &rules, &err), OK);
	return rules;
}

/* "title state percent" of the rules in the order of the answer, one a line. */
static const char *states(const char *question)
{
	static char lines[512];
	struct json_object *answer = ask(question, NULL, 200);
	struct json_object *rules = json_path(answer, "rules");
	size_t size = 0;
	lines[0] = '\0';
	for (size_t i = 0; i < json_object_array_length(rules); i++) {
		struct json_object *rule = json_object_array_get_idx(rules, i);
		size += (size_t)snprintf(lines + size, sizeof lines - size, "%s %s %s\n",
					 json_path_text(rule, "title"),
					 json_path_text(rule, "state"),
					 json_path_text(rule, "warmed_percent"));
	}
	json_object_put(answer);
	return lines;
}

static bool metrics_say(const char *line)
{
	struct api_request request = {.method = TEXT("GET"), .path = TEXT("/metrics")};
	struct api_response response;
	api_answer(&api, &request, &response);
	bytes_put_u8(&response.body, 0);
	bool says = strstr((const char *)response.body.data, line) != NULL;
	bytes_done(&response.body);
	return says;
}

START_TEST(rules_say_whether_they_are_live)
{
	now = rules_of(RULES("5m"));
	ck_assert_str_eq(states("GET /v1/rules"), "failed live \nknown live \nedited shadow \n");
	ck_assert(metrics_say("\npicket_rules_warming 0\n"));
	ck_assert(metrics_say("\npicket_rules_warmed_ratio 1\n"));
	api.rules = NULL;
	api.ruleset = now->parts.ruleset; /* nobody runs them */
	ck_assert_str_eq(states("GET /v1/rules"), "failed  \nknown  \nedited  \n");
	generation_drop(&now);
}
END_TEST

START_TEST(those_that_are_warmed_stand_behind_them)
{
	now = rules_of(RULES("5m"));
	next = rules_of(RULES("10m") "---\ntitle: new\nlogsource: {product: microservice}\n"
				     "detection: {s: {event.outcome: success}, condition: s}\n"
				     "level: high\n");
	size_t count = 0;
	uint64_t *ids = state_ids(now->plan, &count);
	const struct unit_filter known = {.ids = ids, .count = count};
	next->cold = state_ids_new(next->plan, &known, &next->cold_count);
	free(ids);
	ck_assert_uint_eq(next->cold_count, 2); /* a detection has nothing to warm */
	ck_assert_str_eq(states("GET /v1/rules"),
			 "failed live \nknown live \nedited shadow \nedited warming 50\n");
	ck_assert_str_eq(states("GET /v1/rules?level=low"), "known live \n");
	ck_assert(metrics_say("\npicket_rules_warming 1\n"));
	ck_assert(metrics_say("\npicket_rules_warmed_ratio 0.5\n"));
	generation_drop(&now);
	generation_drop(&next);
}
END_TEST

static void begin(void)
{
	setup();
	api.rules = rules_now;
	api.warming = rules_warming;
}

int main(void)
{
	Suite *suite = suite_create("api_rules");
	TCase *tests = tcase_create("tests");
	tcase_add_checked_fixture(tests, begin, teardown);
	tcase_add_test(tests, rules_say_whether_they_are_live);
	tcase_add_test(tests, those_that_are_warmed_stand_behind_them);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
