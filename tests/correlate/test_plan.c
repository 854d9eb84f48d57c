#include "tests/correlate/fixture.h"

static const char base[] =
	"title: Failed login\nname: failed\nlogsource: {product: x}\nlevel: low\n"
	"detection: {s: {event.action: login}, condition: s}\n---\n"
	"title: Other\nname: other\nlogsource: {product: x}\nlevel: low\n"
	"detection: {s: {event.action: other}, condition: s}\n";

/* base and one more document. */
static char *with(const char *document)
{
	char *yaml = NULL;
	ck_assert_int_gt(asprintf(&yaml, "%s---\n%s", base, document), 0);
	return yaml;
}

static struct setup setup_with(const char *document)
{
	char *yaml = with(document);
	struct setup setup = setup_of(yaml);
	free(yaml);
	return setup;
}

/* The plan refuses the document with its place and these words. */
static void expect_refused(const char *document, const char *words)
{
	char *yaml = with(document);
	struct ruleset *ruleset = ruleset_of(yaml);
	struct plan *plan = NULL;
	struct error err = {0};
	ck_assert_msg(plan_new(ruleset, &test_key, &plan, &err) == EINVALID, "taken: %s", document);
	ck_assert_ptr_null(plan);
	ck_assert_msg(strstr(err.text, words) != NULL, "\"%s\" not in \"%s\"", words, err.text);
	ck_assert_str_eq(err.file, "rules.yml");
	ck_assert_uint_gt(err.line, 10);
	ck_assert_uint_gt(err.column, 0);
	ruleset_free(&ruleset);
	free(yaml);
}

#define CORRELATION(rest)                  \
	"title: C\nname: c\nlevel: high\n" \
	"correlation: {rules: [failed], group-by: [user.id], timespan: 1m, " rest "}\n"

START_TEST(what_this_build_cannot_do_is_refused)
{
	expect_refused(CORRELATION("type: value_count, condition: {gt: 2e9, field: source.ip}"),
		       "between 1 and 1000000000");
	expect_refused(
		CORRELATION(
			"type: value_count, generate: true, condition: {gt: 100000, "
			"field: source.ip}") "---\ntitle: D\nname: d\nlevel: high\n"
					     "correlation: {rules: [c], group-by: [user.id], timespan: 1m, type: "
					     "event_count, condition: {gte: 2}}\n",
		"counts by estimate");
	expect_refused(
		CORRELATION(
			"type: event_count, condition: {gte: 5}") "picket: {accuracy: {exact-until: 3}}\n",
		"picket.accuracy is of a value_count");
	expect_refused(
		CORRELATION(
			"type: value_count, condition: {lt: 5, field: source.ip}") "picket: {accuracy: {error: 0.02}}\n",
		"picket.accuracy is of a value_count");
	expect_refused(CORRELATION("type: temporal, condition: {gte: 2}"), "between 1 and 1");
	expect_refused(CORRELATION("type: temporal_ordered, condition: {lte: 1}"),
		       "temporal_ordered takes gt or gte");
	expect_refused(CORRELATION("type: event_count, condition: {gte: 2000000}"), "threshold");
	expect_refused(CORRELATION("type: event_count, condition: {gte: 0}"), "every event");
	expect_refused(CORRELATION("type: event_count, condition: {lt: 65537}"), "at most 65536");
	expect_refused(CORRELATION("type: event_count, condition: {gte: 5, lte: 70000}"), "ranges");
	expect_refused(CORRELATION("type: value_count, condition: {neq: 1e9, field: source.ip}"),
		       "only so many events");
	struct setup largest = setup_with(CORRELATION("type: event_count, condition: {lt: 65536}"));
	setup_done(&largest);
}
END_TEST

START_TEST(conditions_are_judged_as_their_kind)
{
	static const struct {
		const char *rest;
		enum unit_judged judged;
	} cases[] = {
		{"type: event_count, condition: {gte: 3}", JUDGED_COUNT},
		{"type: event_count, condition: {gt: 3, lt: 9}", JUDGED_SLIDING},
		{"type: event_count, condition: {lt: 3}", JUDGED_ALIGNED},
		{"type: event_count, condition: {neq: 3}", JUDGED_ALIGNED},
		{"type: value_count, condition: {gte: 3, field: x}", JUDGED_TRAIL},
		{"type: value_count, condition: {eq: 3, field: x}", JUDGED_ALIGNED},
		{"type: value_sum, condition: {gt: 5, field: bytes}", JUDGED_SLIDING},
		{"type: value_sum, condition: {lte: 5, field: bytes}", JUDGED_ALIGNED},
		{"type: value_avg, condition: {lt: 5, field: bytes}", JUDGED_SLIDING},
		{"type: value_percentile, condition: {gt: 5, field: bytes}", JUDGED_SLIDING},
		{"type: value_median, condition: {neq: 5, field: bytes}", JUDGED_SLIDING},
		{"type: temporal, condition: {lte: 1}", JUDGED_ALIGNED},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char yaml[1024];
		(void)snprintf(yaml, sizeof yaml, CORRELATION("%s"), cases[i].rest);
		struct setup setup = setup_with(yaml);
		const struct unit *unit = unit_of(&setup, "c");
		ck_assert_msg(unit->judged == cases[i].judged, "%s: %d", cases[i].rest,
			      unit->judged);
		ck_assert_int_eq(unit->gated, unit->judged >= JUDGED_SLIDING);
		setup_done(&setup);
	}
}
END_TEST

START_TEST(chains_export_their_group_only)
{
	expect_refused(
		CORRELATION(
			"type: event_count, condition: {gte: 3}") "---\n"
								  "title: P\nname: p\nlevel: high\ncorrelation: {type: event_count, rules: "
								  "[c], group-by: [source.ip], timespan: 1h, condition: {gte: 2}}\n",
		"does not group by");
	expect_refused(
		CORRELATION(
			"type: event_count, condition: {gte: 3}") "picket: {tenant: {scope: cross-tenant}}\n---\n"
								  "title: P\nname: p\nlevel: high\ncorrelation: {type: event_count, rules: "
								  "[c], group-by: [user.id], timespan: 1h, condition: {gte: 2}}\n",
		"cross-tenant");
}
END_TEST

START_TEST(thresholds_are_the_smallest_count)
{
	static const struct {
		const char *condition;
		uint64_t at_least;
	} cases[] = {{"gt: 3", 4}, {"gte: 3", 3}, {"gt: 0", 1}, {"gte: 1000000", 1000000}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *document = NULL;
		ck_assert_int_gt(asprintf(&document,
					  CORRELATION("type: event_count, condition: {%s}"),
					  cases[i].condition),
				 0);
		struct setup setup = setup_with(document);
		ck_assert_uint_eq(unit_of(&setup, "c")->at_least, cases[i].at_least);
		setup_done(&setup);
		free(document);
	}
}
END_TEST

#define BASE(detection)                                                           \
	"title: F\nname: failed\nlogsource: {product: x}\nlevel: informational\n" \
	"detection: " detection "\n---\n"
#define ABOVE                                                                                \
	"title: C\nname: c\nlevel: high\ncorrelation: {type: event_count, rules: [failed], " \
	"group-by: [user.id], timespan: 1m, condition: {gte: 3}}\n---\n"                     \
	"title: D\nname: d\nlevel: high\ncorrelation: {type: event_count, rules: [c], "      \
	"group-by: [user.id], timespan: 1h, condition: {gte: 2}}\n"

/* ... and of how a detection below is written, or of its filters; not of what it finds. */
START_TEST(identity_of_state_and_the_detections_below)
{
	static const char was[] = BASE("{s: {a: [1, 2], b: x}, condition: s}") ABOVE;
	static const struct {
		const char *yaml;
		bool same;
	} edits[] = {
		{BASE("{sel: {b: x, a: [2, 1]}, condition: sel}") ABOVE, true},
		{BASE("{s: {a: [1, 2], b: x}, condition: s}") ABOVE
		 "---\ntitle: N\nlogsource: {product: x}\nfilter: {rules: [failed], "
		 "n: {b: z}, condition: not n}\n",
		 true},
		{BASE("{s: {a: [1, 2, 3], b: x}, condition: s}") ABOVE, false},
		{BASE("{s: {a: [1, 2], c: x}, condition: s}") ABOVE, false},
		{BASE("{s: {a: [1, 2], b|cased: x}, condition: s}") ABOVE, false},
		{BASE("{s: {a: [1, 2], b: x}, condition: not s}") ABOVE, false},
	};
	struct setup before = setup_of(was);
	for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
		struct setup after = setup_of(edits[i].yaml);
		for (const char *const *name = (const char *const[]){"c", "d", NULL}; *name != NULL;
		     name++)
			ck_assert_msg((unit_of(&after, *name)->state_id ==
				       unit_of(&before, *name)->state_id) == edits[i].same,
				      "edit %zu, rule %s", i, *name);
		setup_done(&after);
	}
	setup_done(&before);
}
END_TEST

/* Up to the bound one by one, above by estimate, in sketches as fine as the error asks for. */
START_TEST(many_values_are_counted_by_estimate)
{
#define MANY(at_least, accuracy)                                                                 \
	setup_with(CORRELATION("type: value_count, condition: {field: source.ip, gte: " at_least \
			       "}") "picket: {" accuracy "}\n")
	struct setup exact = MANY("100000", "");
	struct setup many = MANY("100001", "");
	struct setup more = MANY("5000000", "");
	struct setup early = MANY("4097", "accuracy: {exact-until: 4096, error: 0.02}");
	struct setup finer = MANY("4097", "accuracy: {exact-until: 4096, error: 0.005}");
	ck_assert_int_eq(unit_of(&exact, "c")->judged, JUDGED_TRAIL);
	ck_assert_int_eq(unit_of(&many, "c")->judged, JUDGED_SKETCH);
	ck_assert_uint_eq(unit_of(&many, "c")->precision, 14);
	ck_assert_uint_eq(unit_of(&many, "c")->at_least, 100001);
	ck_assert_uint_eq(unit_of(&early, "c")->precision, 12);
	ck_assert_uint_eq(unit_of(&finer, "c")->precision, 16);
	/* A threshold may be edited; what is remembered has another form across the bound. */
	ck_assert_uint_eq(unit_of(&more, "c")->state_id, unit_of(&many, "c")->state_id);
	ck_assert_uint_ne(unit_of(&exact, "c")->state_id, unit_of(&many, "c")->state_id);
	ck_assert_uint_ne(unit_of(&early, "c")->state_id, unit_of(&finer, "c")->state_id);
	setup_done(&exact);
	setup_done(&many);
	setup_done(&more);
	setup_done(&early);
	setup_done(&finer);
#undef MANY
}
END_TEST

/* The identity of state survives an edit of threshold, level and text, and nothing else. */
START_TEST(identity_of_state)
{
	struct setup was = setup_with(CORRELATION("type: event_count, condition: {gte: 3}"));
	struct setup edited = setup_with(
		"title: C2\nname: c\nlevel: low\ndescription: more\ncorrelation: {rules: [failed], "
		"group-by: [user.id], timespan: 1m, type: event_count, condition: {gt: 8}}\n");
	struct setup wider = setup_with(
		"title: C\nname: c\nlevel: high\ncorrelation: {rules: [failed], group-by: "
		"[user.id], timespan: 2m, type: event_count, condition: {gte: 3}}\n");
	struct setup scoped = setup_with(CORRELATION(
		"type: event_count, condition: {gte: 3}") "picket: {tenant: {scope: cross-tenant}}\n");
	uint64_t id = unit_of(&was, "c")->state_id;
	ck_assert_uint_eq(unit_of(&edited, "c")->state_id, id);
	ck_assert_uint_ne(unit_of(&wider, "c")->state_id, id);
	ck_assert_uint_ne(unit_of(&scoped, "c")->state_id, id);
	ck_assert_ptr_eq(plan_find(was.plan, id), unit_of(&was, "c"));
	ck_assert_ptr_null(plan_find(was.plan, id + 1));
	setup_done(&was);
	setup_done(&edited);
	setup_done(&wider);
	setup_done(&scoped);
}
END_TEST

struct routed {
	struct bytes by_actor[4];
	struct match_record records[64];
	size_t count;
	struct route_counters counters;
};

static void route_rules(const struct setup *setup, const struct event *event, const uint32_t *rules,
			size_t rule_count, struct routed *routed)
{
	*routed = (struct routed){0};
	struct record_sink sink = {routed->by_actor, 4};
	ck_assert_int_eq(plan_route(setup->plan, event, rules, rule_count, RECORD_LATE, &sink,
				    &routed->counters),
			 OK);
	for (unsigned i = 0; i < 4; i++) {
		struct cursor from = cursor_of(bytes_text(&routed->by_actor[i]));
		while (cursor_left(&from) > 0) {
			struct match_record *record = &routed->records[routed->count++];
			ck_assert_int_eq(record_decode(&from, record, NULL), OK);
			ck_assert_uint_eq(record->virtual_partition % 4, i);
			ck_assert_uint_eq(record->flags, RECORD_LATE);
			ck_assert_uint_eq(
				record->virtual_partition,
				virtual_partition_of(&test_key, record->tenant, record->group));
		}
	}
	ck_assert_uint_eq(routed->count, routed->counters.records);
}

static void routed_done(struct routed *routed)
{
	for (unsigned i = 0; i < 4; i++)
		bytes_done(&routed->by_actor[i]);
}

/* How many records have this group, written "value,value". */
static size_t groups_like(const struct routed *routed, const char *expected)
{
	size_t found = 0;
	for (size_t i = 0; i < routed->count; i++) {
		char group[256] = "";
		struct cursor from = cursor_of(routed->records[i].group);
		while (cursor_left(&from) > 0) {
			struct text value = cursor_text(&from);
			size_t used = strlen(group);
			(void)snprintf(group + used, sizeof group - used, "%s%.*s",
				       used > 0 ? "," : "", TEXT_ARG(value));
		}
		found += strcmp(group, expected) == 0;
	}
	return found;
}

START_TEST(groups_of_an_event)
{
	struct setup setup = setup_with(
		"title: C\nname: c\nlevel: high\ncorrelation: {type: event_count, rules: [failed, "
		"other], group-by: [source.ip, http.response.status_code], timespan: 1m, "
		"condition: {gte: 3}}\n");
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct event event = event_at(5, 1, "acme");
	uint32_t rules[] = {rule_index(&setup, "failed"), rule_index(&setup, "other")};
	struct routed routed;

	route_rules(&setup, &event, rules, 2, &routed); /* no group field at all */
	ck_assert_uint_eq(routed.count, 0);
	ck_assert_uint_eq(routed.counters.group_field_missing, 2);
	routed_done(&routed);

	/* Two addresses, one of them twice; 7, 7.0 and "7" are one value; both rules: once each. */
	event_put(&event, arena, "source.ip", "10.0.0.1");
	event_put(&event, arena, "source.ip", "10.0.0.2");
	event_put(&event, arena, "source.ip", "10.0.0.1");
	struct text code = TEXT("http.response.status_code");
	struct value integer = {.type = VALUE_INTEGER, .integer = 7, .text = TEXT("7")};
	struct value real = {.type = VALUE_REAL, .real = 7, .text = TEXT("7.0")};
	ck_assert_int_eq(event_add(&event, arena, code, integer), OK);
	ck_assert_int_eq(event_add(&event, arena, code, real), OK);
	event_put(&event, arena, "http.response.status_code", "7");
	route_rules(&setup, &event, rules, 2, &routed);
	ck_assert_uint_eq(routed.count, 2);
	ck_assert_uint_eq(groups_like(&routed, "10.0.0.1,7"), 1);
	ck_assert_uint_eq(groups_like(&routed, "10.0.0.2,7"), 1);
	ck_assert(text_equal(routed.records[0].tenant, TEXT("acme")));
	routed_done(&routed);

	/* A null is no value; a rule that did not match brings nothing. */
	struct event null = event_at(5, 1, "acme");
	ck_assert_int_eq(event_add(&null, arena, code, integer), OK);
	ck_assert_int_eq(event_add(&null, arena, TEXT("source.ip"), (struct value){0}), OK);
	route_rules(&setup, &null, rules + 1, 1, &routed);
	ck_assert_uint_eq(routed.count, 0);
	ck_assert_uint_eq(routed.counters.group_field_missing, 1);
	routed_done(&routed);
	setup_done(&setup);
}
END_TEST

START_TEST(limits_of_groups)
{
	struct setup setup = setup_with(
		"title: C\nname: c\nlevel: high\ncorrelation: {type: event_count, rules: [failed], "
		"group-by: [a, b], timespan: 1m, condition: {gte: 3}}\n");
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	uint32_t rules[] = {rule_index(&setup, "failed")};
	struct routed routed;
	struct event many = event_at(5, 1, "acme");
	char values[6][2] = {"1", "2", "3", "4", "5", "6"};
	for (int i = 0; i < 6; i++) {
		event_put(&many, arena, "a", values[i]);
		event_put(&many, arena, "b", values[i]);
	}
	route_rules(&setup, &many, rules, 1, &routed);
	ck_assert_uint_eq(routed.count, PLAN_GROUPS_MAX);
	ck_assert_uint_ge(routed.counters.group_values_cut, 1);
	routed_done(&routed);

	/* Long values are cut, but two that differ at their end stay two groups. */
	static char long_a[EVENT_VALUE_MAX + 1];
	static char long_b[EVENT_VALUE_MAX + 1];
	memset(long_a, 'x', EVENT_VALUE_MAX);
	memset(long_b, 'x', EVENT_VALUE_MAX);
	long_b[EVENT_VALUE_MAX - 1] = 'y';
	struct event longs = event_at(5, 1, "acme");
	event_put(&longs, arena, "a", long_a);
	event_put(&longs, arena, "a", long_b);
	event_put(&longs, arena, "b", long_a);
	route_rules(&setup, &longs, rules, 1, &routed);
	ck_assert_uint_eq(routed.count, 2);
	ck_assert_uint_le(routed.records[0].group.size, RECORD_GROUP_BYTES_MAX);
	ck_assert(!text_equal(routed.records[0].group, routed.records[1].group));
	ck_assert_uint_ge(routed.counters.group_values_cut, 2);
	ck_assert_uint_le(routed.records[0].context.size, RECORD_CONTEXT_BYTES_MAX);
	routed_done(&routed);
	setup_done(&setup);
}
END_TEST

/* The dedup key of a detection may have gaps; tenant.id is never missing; aliases per rule. */
START_TEST(dedup_tenant_and_aliases)
{
	struct setup setup = setup_with(
		"title: C\nname: c\nlevel: high\ngenerate: true\ncorrelation: {type: event_count, "
		"rules: [failed, other], group-by: [who, tenant.id], timespan: 1m, condition: "
		"{gte: 3}, aliases: {who: {failed: user.id, other: user.target.id}}}\n");
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct event event = event_at(5, 1, "acme");
	event_put(&event, arena, "user.id", "alice");
	event_put(&event, arena, "user.target.id", "bob");
	uint32_t rules[] = {rule_index(&setup, "failed"), rule_index(&setup, "other")};
	struct routed routed;
	route_rules(&setup, &event, rules, 2, &routed);
	ck_assert_uint_eq(groups_like(&routed, "alice,-"), 1);
	ck_assert_uint_eq(groups_like(&routed, "bob,-"), 1);
	/* (user.id, source.ip, service.name) with two gaps, once per detection */
	ck_assert_uint_eq(groups_like(&routed, "alice,,") + groups_like(&routed, "alice"), 2);
	ck_assert_uint_eq(routed.count, 4);
	routed_done(&routed);
	setup_done(&setup);
}
END_TEST

#define RARE(peers)                                                                    \
	"title: A\nname: a\nlogsource: {product: x}\nlevel: informational\n"           \
	"detection: {s: {event.action: a}, condition: s}\n---\n"                       \
	"title: S\nname: s\nlevel: high\ncorrelation: {type: first_seen, rules: [a], " \
	"group-by: [user.id], timespan: 1d, " peers "condition: {field: source.ip}}\n"

/* What a group has shown is its own, whoever its peers are; what peers have shown is another's as
 * soon as they are others, or more of them are needed. */
START_TEST(peers_are_a_state_of_their_own)
{
	static const char *const rules[] = {
		RARE(""),
		RARE("peers: {by: [service.name], rare-below: 2}, "),
		RARE("peers: {by: [service.name], rare-below: 3}, "),
		RARE("peers: {by: [tenant.id], rare-below: 3}, "),
	};
	uint64_t peers[4] = {0};
	uint64_t own = 0;
	for (size_t i = 0; i < 4; i++) {
		struct setup setup = setup_of(rules[i]);
		const struct unit *unit = unit_of(&setup, "s");
		own = i == 0 ? unit->state_id : own;
		ck_assert_uint_eq(unit->state_id, own);
		ck_assert_uint_eq(unit->depth, i == 0 ? 1 : 2);
		ck_assert_uint_eq(plan_unit_count(setup.plan), i == 0 ? 1 : 2);
		for (size_t u = 0; u < plan_unit_count(setup.plan); u++)
			if (plan_unit(setup.plan, u)->judged == JUDGED_PEERS)
				peers[i] = plan_unit(setup.plan, u)->state_id;
		for (size_t k = 0; k < i; k++)
			ck_assert_uint_ne(peers[i], peers[k]);
		setup_done(&setup);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("plan");
	tcase_add_test(tests, what_this_build_cannot_do_is_refused);
	tcase_add_test(tests, conditions_are_judged_as_their_kind);
	tcase_add_test(tests, chains_export_their_group_only);
	tcase_add_test(tests, many_values_are_counted_by_estimate);
	tcase_add_test(tests, thresholds_are_the_smallest_count);
	tcase_add_test(tests, identity_of_state_and_the_detections_below);
	tcase_add_test(tests, identity_of_state);
	tcase_add_test(tests, groups_of_an_event);
	tcase_add_test(tests, limits_of_groups);
	tcase_add_test(tests, dedup_tenant_and_aliases);
	tcase_add_test(tests, peers_are_a_state_of_their_own);
	return run_tests("plan", tests);
}
