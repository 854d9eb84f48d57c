/* risk against a plain reading: for every entity, list what each rule adds and when, and at each
 * addition sum up, from nothing, what is left of those of the last timespan. And what the alert
 * says, what an edit of the scores does, and what is refused. */
#include "tests/correlate/risk_oracle.h"

static bool holds_at(const struct danger *danger, const struct gain *gains, size_t count,
		     int64_t time_us)
{
	bool seen[3] = {false}; /* a and the count are of one tactic, c is of none */
	double sum = 0;
	for (size_t i = 0; i < count; i++) {
		int64_t age_us = time_us - gains[i].time_us;
		if (age_us < 0 || age_us > (int64_t)danger->span * SECOND)
			continue;
		double half_lives = danger->half_life == 0
					    ? 0
					    : (double)age_us / ((double)danger->half_life * SECOND);
		sum += round(gains[i].score * 1e6 * exp2(-half_lives));
		seen[gains[i].source == 3 ? 0 : gains[i].source] = true;
	}
	bool enough = danger->strict ? sum > danger->bound * 1e6 : sum >= danger->bound * 1e6;
	return enough && (unsigned)seen[0] + seen[1] >= danger->tactics;
}

static void answer_entity(const struct danger *danger, const struct stream *stream,
			  const char *tenant, const char *value, struct lines *lines)
{
	struct gain gains[ADDITIONS_MAX];
	bool user = value[0] == 'u';
	size_t gained = gains_of_entity(danger, stream, tenant, value, gains);
	for (size_t i = 0; i < gained; i++) {
		if (!holds_at(danger, gains, gained, gains[i].time_us))
			continue;
		for (size_t k = 0; k < gained; k++)
			gains[k].contributes =
				gains[k].contributes || (gains[k].time_us <= gains[i].time_us &&
							 gains[i].time_us - gains[k].time_us <=
								 (int64_t)danger->span * SECOND);
	}
	char group[32];
	size_t told = 0;
	int64_t first_us = 0;
	int64_t last_us = 0;
	(void)snprintf(group, sizeof group, "%s=%s", user ? "user.id" : "source.ip", value);
	for (size_t i = 0; i <= gained; i++) {
		bool ends = i == gained ||
			    (gains[i].contributes &&
			     gains[i].time_us - last_us > (int64_t)danger->span * SECOND);
		if (ends && told > 0) {
			line_add(lines, "s", tenant, group, first_us, last_us, told, "high");
			told = 0;
		}
		if (i == gained || !gains[i].contributes)
			continue;
		first_us = told == 0 ? gains[i].time_us : first_us;
		last_us = gains[i].time_us;
		told++;
	}
}

static size_t alerts_expected;

static void check_danger(const struct setup *setup, const struct danger *danger, struct sets *sets)
{
	static struct lines expected;
	struct stream stream = {0};
	danger_stream(&stream, &sets->random);
	expected.count = 0;
	for (size_t t = 0; t < 2; t++)
		for (size_t v = 0; v < sizeof entities / sizeof *entities; v++)
			answer_entity(danger, &stream, tenants[t], entities[v], &expected);
	alerts_expected += expected.count;
	check_stream(setup, &stream, &expected, sets);
}

START_TEST(risks_are_those_of_a_plain_reading)
{
	struct sets sets = sets_begin(CASES_USUAL);
	while (sets_next(&sets, alerts_expected)) {
		struct danger danger = danger_make(&sets.random);
		char *yaml = danger_text(&danger);
		struct setup setup = setup_of(yaml);
		free(yaml);
		ck_assert_uint_eq(plan_rounds(setup.plan), 1);
		for (int i = 0; i < CASES_A_SET; i++)
			check_danger(&setup, &danger, &sets);
		setup_done(&setup);
	}
}
END_TEST

static const char *const two_rules =
	"title: Brute force\nname: a\nlogsource: {product: x}\nlevel: low\n"
	"tags: [attack.credential-access]\n"
	"detection: {s: {event.action: a}, condition: s}\n"
	"picket: {risk: {score: %s, on: [user.id]}}\n---\n"
	"title: New country\nname: b\nlogsource: {product: x}\nlevel: low\n"
	"tags: [attack.initial-access]\n"
	"detection: {s: {event.action: b}, condition: s}\n"
	"picket: {risk: {score: 42.5, on: [user.id]}}\n---\n"
	"title: Too much\nname: s\nlevel: high\n"
	"correlation: {type: risk, group-by: [entity], timespan: 1d, half-life: 6h, "
	"condition: {gte: 100, tactics: {gte: 2}}}\n";

static struct setup two_with(const char *score)
{
	char *yaml = NULL;
	ck_assert_int_gt(asprintf(&yaml, two_rules, score), 0);
	struct setup setup = setup_of(yaml);
	free(yaml);
	return setup;
}

static struct stream stream_of_two(void)
{
	struct stream stream = {.count = 2};
	stream.things[0] = (struct thing){.tenant = "t0", .user = "u0", .a = true};
	stream.things[1] = (struct thing){.time_us = 60 * (int64_t)SECOND,
					  .tenant = "t0",
					  .user = "u0",
					  .b = true,
					  .offset = 1};
	stream.arrival[1] = 1;
	stream.safe[1] = stream.safe[2] = 60 * (int64_t)SECOND;
	return stream;
}

START_TEST(an_alert_says_who_added_what)
{
	struct setup setup = two_with("60");
	struct stream stream = stream_of_two();
	struct routed routed = {0};
	struct run run;
	const bool cuts[EVENTS_MAX] = {true, true};
	stream_route(&setup, &stream, &routed);
	run_begin(&run, &setup, 1);
	run_stream(&run, &stream, &routed, cuts, 0);
	size_t told = 0;
	for (size_t i = 0; i < run.alert_count; i++) {
		struct alert alert = run_alert(&run, i);
		if (!text_equal(alert.rule_name, TEXT("s")))
			continue;
		char reason[512];
		(void)snprintf(reason, sizeof reason, "%.*s", TEXT_ARG(alert.reason));
		ck_assert_ptr_nonnull(strstr(reason, "score 102.385: Brute force 59.88, "
						     "New country 42.5; 2 tactics"));
		ck_assert_uint_eq(alert.count, 2);
		ck_assert_uint_eq(alert.evidence_count, 2);
		struct cursor from = cursor_of(alert.group);
		ck_assert(text_equal(cursor_text(&from), TEXT("user.id")));
		ck_assert(text_equal(cursor_text(&from), TEXT("u0")));
		told++;
	}
	ck_assert_uint_eq(told, 1);
	ck_assert_uint_eq(run.alert_count, 3); /* the parts go on to alert by themselves */
	bytes_done(&routed.things[0]);
	bytes_done(&routed.things[1]);
	run_end(&run);
	setup_done(&setup);
}
END_TEST

/* Other scores, another bound, one rule more: the same state. */
START_TEST(an_edit_of_the_scores_keeps_the_state)
{
	struct setup before = two_with("60");
	struct setup after = two_with("10");
	ck_assert_uint_eq(unit_of(&before, "s")->state_id, unit_of(&after, "s")->state_id);
	setup_done(&before);
	setup_done(&after);
}
END_TEST

static void refused(const char *yaml, const char *why)
{
	struct ruleset_options options = {.supply_metadata = true};
	struct ruleset *ruleset = NULL;
	struct plan *plan = NULL;
	struct error err = {0};
	enum status status = ruleset_parse(&options, text_of(yaml), "r.yml", &ruleset, &err);
	if (status == OK)
		status = plan_new(ruleset, &test_key, &plan, &err);
	ck_assert_int_eq(status, EINVALID);
	ck_assert_msg(strstr(err.text, why) != NULL, "%s", err.text);
	ck_assert_str_eq(err.file, "r.yml");
	ck_assert_uint_gt(err.line, 0);
	plan_free(&plan);
	ruleset_free(&ruleset);
}

#define RULE_A                                                     \
	"title: A\nname: a\nlogsource: {product: x}\nlevel: low\n" \
	"detection: {s: {event.action: a}, condition: s}\n"
#define RISK  "---\ntitle: S\nname: s\nlevel: high\ncorrelation: {type: risk, timespan: 1d, "
#define GIVES "picket: {risk: {score: 30, on: [user.id]}}\n"

START_TEST(what_cannot_be_meant_is_refused)
{
	static const struct {
		const char *yaml, *why;
	} wrong[] = {
		{RULE_A RISK "group-by: [entity], condition: {gte: 9}}", "no rule adds to a risk"},
		{RULE_A GIVES RISK "condition: {gte: 9}}", "one entity"},
		{RULE_A GIVES RISK "group-by: [a, b], condition: {gte: 9}}", "one entity"},
		{RULE_A GIVES RISK "group-by: [entity]}", "no condition"},
		{RULE_A GIVES RISK "group-by: [entity], condition: {gte: 9, gt: 8}}", "one bound"},
		{RULE_A GIVES RISK "group-by: [entity], condition: {gte: x}}",
		 "the bound of a risk"},
		{RULE_A GIVES RISK "group-by: [entity], condition: {gte: 9, tactics: {gte: 99}}}",
		 "tactics is a number"},
		{RULE_A GIVES RISK "group-by: [entity], half-life: 0s, condition: {gte: 9}}",
		 "half-life"},
		{RULE_A GIVES RISK "group-by: [entity], weight: 3, condition: {gte: 9}}", "weight"},
		{RULE_A GIVES RISK "group-by: [entity], weight: {u: -1}, condition: {gte: 9}}",
		 "a weight must be"},
		{RULE_A GIVES RISK "group-by: [entity], weight: '%None%', condition: {gte: 9}}",
		 "no list of values"},
		{RULE_A RISK "rules: [a], group-by: [entity], condition: {gte: 9}}",
		 "says nothing about a risk"},
		{RULE_A GIVES RISK "group-by: [entity], condition: {gte: 9}}\n" GIVES,
		 "cannot add to a risk"},
		{RULE_A "picket: {risk: {score: 0, on: [user.id]}}\n", "picket.risk.score"},
		{RULE_A "picket: {risk: {score: 5}}\n", "needs a score and the fields"},
		{RULE_A "picket: {risk: {score: 5, on: [user.id], onceper: 1h}}\n", "once-per"},
		{RULE_A
		 "---\ntitle: N\nname: n\nlevel: low\ncorrelation: {type: event_count, "
		 "rules: [a], group-by: [source.ip], timespan: 1m, condition: {gte: 2}}\n" GIVES
			 RISK "group-by: [entity], condition: {gte: 9}}",
		 "does not group by"},
		{RULE_A GIVES RISK
		 "group-by: [entity], condition: {gte: 9}}\n---\ntitle: T\nname: t\n"
		 "level: low\ncorrelation: {type: event_count, rules: [s], "
		 "group-by: [user.id], timespan: 1m, condition: {gte: 2}}\n",
		 "whose entities are of any field"},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		refused(wrong[i].yaml, wrong[i].why);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("risk");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, risks_are_those_of_a_plain_reading);
	tcase_add_test(tests, an_alert_says_who_added_what);
	tcase_add_test(tests, an_edit_of_the_scores_keeps_the_state);
	tcase_add_test(tests, what_cannot_be_meant_is_refused);
	return run_tests("risk", tests);
}
