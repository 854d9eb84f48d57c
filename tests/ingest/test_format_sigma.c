/* SigmaHQ's cloud rules match the same public events whether the vendor's fields are read as they
 * are or through the mappings: a mapping adds names, it takes none away. (Shared data, not in the
 * repository.) */
#include <json-c/json.h>
#include <sys/stat.h>

#include "decoding.h"
#include "rules/ruleset.h"

/* A rule set and the decoder that goes with it. */
struct side {
	struct decoding decoding;
	struct ruleset *ruleset;
	struct matcher *matcher;
	uint32_t matched[256];
	size_t matched_count;
};

static char folder[] = "/tmp/picket-sigma.XXXXXX";

static const char *data_path(const char *name)
{
	static char path[512];
	const char *data = getenv("PICKET_DATA");
	(void)snprintf(path, sizeof path, "%s/%s",
		       data == NULL ? PICKET_SOURCE_DIR "/../shared/data" : data, name);
	return path;
}

/* Unpacks the rules about clouds and identities; false when they are not there. */
static bool unpack(void)
{
	char command[1024];
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(command, sizeof command,
		       "tar -xJf '%s' -C '%s' --wildcards '*/cloud/*' '*/identity/*' "
		       "'*/application/*' 2>/dev/null",
		       data_path("sigmahq-rules/sigma-rules.tar.xz"), folder);
	return system(command) == 0;
}

static void side_begin(struct side *side, bool raw)
{
	static const char *const paths[] = {folder};
	const struct ruleset_options options = {.paths = paths,
						.path_count = 1,
						.skip_refused = true,
						.any_logsource = true,
						.verbatim_names = raw};
	struct error err = {0};
	decoding_begin(&side->decoding,
		       (struct decoder_options){.time_trusted = true,
						.format = raw ? INPUT_RAW : INPUT_AUTO});
	ck_assert_msg(ruleset_load(&options, &side->ruleset, &err) == OK, "%s:%u: %s", err.file,
		      err.line, err.text);
	ck_assert_int_eq(matcher_new(side->ruleset, &side->matcher, &err), OK);
}

static void side_done(struct side *side)
{
	matcher_free(&side->matcher);
	ruleset_free(&side->ruleset);
	decoding_done(&side->decoding);
}

static bool is_cloud(const struct rule *rule)
{
	static const char *const products[] = {"aws",    "gcp",        "azure", "okta",
					       "github", "kubernetes", "m365"};
	for (size_t i = 0; i < sizeof products / sizeof *products; i++)
		if (text_equal(rule->logsource.product, text_of(products[i])))
			return true;
	return false;
}

static void side_match(struct side *side, const char *json)
{
	struct matches matches = {0};
	const struct event *event = decoding_one(&side->decoding, json);
	ck_assert_int_eq(matcher_match(side->matcher, event, &matches), OK);
	ck_assert_uint_eq(matches.undecided_count, 0);
	side->matched_count = 0;
	for (size_t i = 0; i < matches.count; i++)
		if (is_cloud(ruleset_rule(side->ruleset, matches.rules[i])) &&
		    side->matched_count < 256)
			side->matched[side->matched_count++] = matches.rules[i];
}

static bool among(const struct side *side, uint32_t rule)
{
	for (size_t i = 0; i < side->matched_count; i++)
		if (side->matched[i] == rule)
			return true;
	return false;
}

/* The rules that match on one side only. */
static unsigned differences(const struct side *one, const struct side *other, const char *title,
			    const char *json)
{
	unsigned count = 0;
	for (size_t i = 0; i < one->matched_count; i++) {
		if (among(other, one->matched[i]))
			continue;
		const struct rule *rule = ruleset_rule(one->ruleset, one->matched[i]);
		count++;
		printf("%s: %.*s on %.300s\n", title, TEXT_ARG(rule->title), json);
	}
	return count;
}

START_TEST(cloud_rules_match_the_same)
{
	struct side raw = {0}, mapped = {0};
	unsigned events = 0, matches = 0, only_raw = 0, only_mapped = 0;
	char *line = NULL;
	size_t capacity = 0;
	FILE *file = fopen(data_path("panther/public.jsonl"), "r");
	if (file == NULL || !unpack()) {
		printf("SKIP cloud_rules_match_the_same: no panther or sigmahq-rules\n");
		return;
	}
	side_begin(&raw, true);
	side_begin(&mapped, false);
	ck_assert_uint_eq(ruleset_count(raw.ruleset), ruleset_count(mapped.ruleset));
	while (getline(&line, &capacity, file) > 0) {
		struct json_object *test = json_tokener_parse(line);
		struct json_object *event = json_object_object_get(test, "event");
		if (json_object_is_type(event, json_type_object) &&
		    json_object_object_length(event) > 0) {
			const char *json = json_object_to_json_string_ext(
				event, JSON_C_TO_STRING_NOSLASHESCAPE);
			side_match(&raw, json);
			side_match(&mapped, json);
			events++;
			matches += (unsigned)raw.matched_count;
			only_raw += differences(&raw, &mapped, "only raw", json);
			only_mapped += differences(&mapped, &raw, "only mapped", json);
		}
		(void)json_object_put(test);
	}
	printf("%zu rules, %u events, %u matches on raw fields; %u only raw, %u only mapped\n",
	       ruleset_count(raw.ruleset), events, matches, only_raw, only_mapped);
	ck_assert_uint_gt(matches, 0);
	ck_assert_uint_eq(only_raw, 0);
	ck_assert_uint_eq(only_mapped, 0);
	free(line);
	(void)fclose(file);
	side_done(&raw);
	side_done(&mapped);
	char command[128];
	(void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("format_sigma");
	TCase *tests = tcase_create("format_sigma");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, cloud_rules_match_the_same);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
