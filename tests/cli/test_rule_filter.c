/* Filters made from alerts: whose events they take away, of which detections, under which names. */
#include "cli/rule_filter.h"
#include "tests/rules/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const char RULES[] =
	"title: Failed\nname: failed\nlogsource: {category: authentication}\nlevel: low\n"
	"detection: {s: {event.outcome: failure}, condition: s}\n---\n"
	"title: Worked\nname: worked\nlogsource: {category: authentication}\nlevel: low\n"
	"detection: {s: {event.outcome: success}, condition: s}\n---\n"
	"title: Second factor\nname: factor\nlogsource: {category: iam}\nlevel: low\n"
	"detection: {s: {event.action: factor}, condition: s}\n---\n"
	"title: Granted\nname: granted\nlogsource: {category: iam}\nlevel: low\n"
	"detection: {s: {event.action: granted}, condition: s}\n---\n"
	"title: Many\nname: many\nlevel: high\ncorrelation: {type: event_count, rules: [failed],\n"
	"    group-by: [user.id], timespan: 1m, condition: {gte: 5}}\n---\n"
	"title: Taken over\nname: taken\nlevel: high\ncorrelation:\n    type: sequence\n"
	"    group-by: [user.id]\n    timespan: 1h\n    steps: [{rule: worked}, {not: factor}, "
	"{rule: granted}]\n    until: failed\n---\n"
	"title: Unproved\nname: unproved\nlevel: high\ncorrelation: {type: temporal,\n"
	"    rules: [worked, factor], group-by: [user.id], timespan: 1m,\n"
	"    condition: worked and not factor}\n---\n"
	"title: Renamed\nname: renamed\nlevel: high\ncorrelation:\n    type: temporal\n"
	"    rules: [failed, granted]\n    group-by: [who]\n    timespan: 1h\n"
	"    aliases: {who: {failed: user.id, granted: user.target.id}}\n---\n"
	"title: Two stages\nname: stages\nlevel: high\ncorrelation:\n    type: temporal\n"
	"    rules: [renamed, worked]\n    group-by: [person]\n    timespan: 1h\n"
	"    aliases: {person: {renamed: who, worked: user.name}}\n---\n"
	"title: Places\nname: places\nlevel: high\ncorrelation: {type: event_count,\n"
	"    rules: [failed], group-by: [picket.identity.source], timespan: 1m,\n"
	"    condition: {gte: 5}}\n---\n"
	"title: People\nname: people\nlevel: high\ncorrelation: {type: event_count,\n"
	"    rules: [failed], group-by: [picket.identity.user], timespan: 1m,\n"
	"    condition: {gte: 5}}\n";

static struct ruleset *load(struct text more)
{
	const struct ruleset_options options = {0};
	struct ruleset *ruleset = NULL;
	struct bytes yaml = {0};
	struct error err = {0};
	bytes_write_string(&yaml, RULES);
	if (more.size > 0)
		bytes_write_string(&yaml, "---\n");
	bytes_write(&yaml, more);
	enum status status = ruleset_parse(&options, bytes_text(&yaml), "t", &ruleset, &err);
	ck_assert_msg(status == OK, "%s\n%.*s", err.text, TEXT_ARG(more));
	bytes_done(&yaml);
	return ruleset;
}

/* The filter for one field, as a string; it must load beside the rules. */
static const char *filter_of(const char *rule, const char *tenant, const char *name,
			     const char *value)
{
	static char text[4096];
	struct ruleset *ruleset = load(TEXT(""));
	const struct filter_field field = {text_of(name), text_of(value)};
	const struct rule_filter_options options = {.ruleset = ruleset,
						    .rule = ruleset_find(ruleset, text_of(rule)),
						    .alert_id = TEXT("3f9c0123456789abcdef"),
						    .tenant = text_of(tenant),
						    .fields = &field,
						    .field_count = 1};
	struct bytes to = {0};
	struct error err = {0};
	ck_assert_ptr_nonnull(options.rule);
	ck_assert_int_eq(rule_filter_write(&options, &to, &err), OK);
	ck_assert_uint_lt(to.size, sizeof text);
	struct ruleset *both = load(bytes_text(&to));
	memcpy(text, to.data, to.size);
	text[to.size] = '\0';
	ruleset_free(&both);
	ruleset_free(&ruleset);
	bytes_done(&to);
	return text;
}

static void assert_says(const char *filter, const char *line)
{
	ck_assert_msg(strstr(filter, line) != NULL, "no \"%s\" in\n%s", line, filter);
}

static void assert_silent(const char *filter, const char *word)
{
	ck_assert_msg(strstr(filter, word) == NULL, "\"%s\" in\n%s", word, filter);
}

START_TEST(test_only_the_alerts_tenant)
{
	const char *filter = filter_of("many", "Acme", "user.id", "ann");
	assert_says(filter, "        tenant.id|cased: 'Acme'\n        user.id|cased: 'ann'\n"
			    "    condition: not known\n");
	assert_says(filter, "made from alert 3f9c01234567; say why\n");
	assert_says(filter_of("many", "-", "user.id", "7"),
		    "        tenant.id: null\n        user.id: '7'\n");
	assert_silent(filter_of("many", "", "user.id", "ann"), "tenant");
	assert_says(filter_of("many", "acme", "tenant.id", "acme"),
		    "    known:\n        tenant.id|cased: 'acme'\n    condition");
}
END_TEST

/* Without what must not happen an alert would come, not go. */
START_TEST(test_not_what_must_not_be_there)
{
	const char *filter = filter_of("taken", "acme", "user.id", "ann");
	assert_says(filter, "        - 'worked'\n");
	assert_says(filter, "        - 'granted'\n");
	assert_silent(filter, "'factor'");
	assert_silent(filter, "'failed'");
	filter = filter_of("unproved", "acme", "user.id", "ann");
	assert_says(filter, "        - 'worked'\n");
	assert_silent(filter, "'factor'");
}
END_TEST

START_TEST(test_each_detection_by_its_own_name)
{
	const char *filter = filter_of("renamed", "acme", "who", "ann");
	assert_says(filter, "        - 'failed'\n    known:\n        tenant.id|cased: 'acme'\n"
			    "        user.id|cased: 'ann'\n");
	assert_says(filter, "        - 'granted'\n    known:\n        tenant.id|cased: 'acme'\n"
			    "        user.target.id|cased: 'ann'\n");
	filter = filter_of("stages", "acme", "person", "ann");
	assert_says(filter, "        - 'failed'\n    known:\n        tenant.id|cased: 'acme'\n"
			    "        user.id|cased: 'ann'\n");
	assert_says(filter, "        - 'worked'\n    known:\n        tenant.id|cased: 'acme'\n"
			    "        user.name|cased: 'ann'\n");
}
END_TEST

/* What picket makes from fields is in no event. */
START_TEST(test_identities_as_what_was_logged)
{
	const char *source = "picket.identity.source";
	assert_says(filter_of("places", "acme", source, "192.0.2.7"),
		    "        source.ip: ['192.0.2.7', '::ffff:192.0.2.7']\n");
	assert_says(filter_of("places", "", source, "2001:db8::/64"),
		    "    known:\n        source.ip|cidr: '2001:db8::/64'\n");
	assert_says(filter_of("people", "acme", "picket.identity.user", "ann"),
		    "    known_user:\n        - user.id: 'ann'\n        - user.name: 'ann'\n"
		    "        - user.email: 'ann'\n    condition: not (known and known_user)\n");
	assert_says(filter_of("people", "", "picket.identity.user", "ann"),
		    "    condition: not known_user\n");
}
END_TEST

START_TEST(test_values_stay_what_they_are)
{
	assert_says(filter_of("many", "", "user.id", "a*b?c\\d'e: [x]"),
		    "        user.id|cased: 'a\\*b\\?c\\\\d''e: [x]'\n");
	assert_says(filter_of("many", "", "odd name: #1", "x"),
		    "        'odd name: #1|cased': 'x'\n");
	assert_says(filter_of("many", "", "user.id", "true"), "|cased: 'true'\n");
}
END_TEST

START_TEST(test_it_may_expire)
{
	struct ruleset *ruleset = load(TEXT(""));
	const struct filter_field field = {TEXT("user.id"), TEXT("ann")};
	const struct rule_filter_options options = {.ruleset = ruleset,
						    .rule = ruleset_find(ruleset, TEXT("taken")),
						    .expires = TEXT("2027-01-31"),
						    .fields = &field,
						    .field_count = 1};
	struct bytes to = {0};
	ck_assert_int_eq(rule_filter_write(&options, &to, NULL), OK);
	struct ruleset *both = load(bytes_text(&to));
	ck_assert_uint_eq(ruleset_filter_count(both), 2);
	for (size_t i = 0; i < 2; i++) /* each of its documents */
		ck_assert_int_eq(ruleset_filter(both, i)->expires_us, INT64_C(1801353600000000));
	ruleset_free(&both);
	ruleset_free(&ruleset);
	bytes_done(&to);
}
END_TEST

START_TEST(test_the_same_question_has_the_same_answer)
{
	char first[4096];
	strcpy(first, filter_of("taken", "acme", "user.id", "ann"));
	ck_assert_str_eq(first, filter_of("taken", "acme", "user.id", "ann"));
	ck_assert_str_ne(first, filter_of("taken", "acme", "user.id", "bob"));
}
END_TEST

START_TEST(test_too_many_fields)
{
	struct ruleset *ruleset = load(TEXT(""));
	struct filter_field fields[FILTER_FIELDS_MAX + 1];
	struct bytes to = {0};
	struct error err = {0};
	for (size_t i = 0; i < FILTER_FIELDS_MAX + 1; i++)
		fields[i] = (struct filter_field){TEXT("user.id"), TEXT("ann")};
	const struct rule_filter_options options = {.ruleset = ruleset,
						    .rule = ruleset_find(ruleset, TEXT("many")),
						    .fields = fields,
						    .field_count = FILTER_FIELDS_MAX + 1};
	ck_assert_int_eq(rule_filter_write(&options, &to, &err), ELIMIT);
	ck_assert_uint_eq(to.size, 0);
	ruleset_free(&ruleset);
	bytes_done(&to);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, test_only_the_alerts_tenant);
	tcase_add_test(tcase, test_not_what_must_not_be_there);
	tcase_add_test(tcase, test_each_detection_by_its_own_name);
	tcase_add_test(tcase, test_identities_as_what_was_logged);
	tcase_add_test(tcase, test_values_stay_what_they_are);
	tcase_add_test(tcase, test_it_may_expire);
	tcase_add_test(tcase, test_the_same_question_has_the_same_answer);
	tcase_add_test(tcase, test_too_many_fields);
}

int main(void)
{
	return run_suite("rule_filter", fill);
}
