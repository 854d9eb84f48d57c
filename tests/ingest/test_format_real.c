/* Mappings over real events of others (shared data, not in the repository): every event is
 * recognised as what it is, and who, from where, what, how it ended, when and on what are filled in
 * wherever the event says so.
 *
 * Whether it says so is judged without the mappings: some key of the event, wherever it stands, has
 * one of the names by which anybody calls the thing, and a value of the right shape. */
#include <arpa/inet.h>
#include <ctype.h>
#include <glob.h>
#include <json-c/json.h>

#include "decoding.h"

static struct decoding decoding;

static void setup(void)
{
	decoding_begin(&decoding, (struct decoder_options){.time_trusted = true});
}

static void teardown(void)
{
	decoding_done(&decoding);
}

static const char *data_path(const char *name)
{
	static char path[512];
	const char *data = getenv("PICKET_DATA");
	(void)snprintf(path, sizeof path, "%s/%s",
		       data == NULL ? PICKET_SOURCE_DIR "/../shared/data" : data, name);
	return path;
}

/* What is looked for in every event. */
enum wanted { USER, IP, ACTION, TIME, RESOURCE, OUTCOME, WANTED_COUNT };

static const struct {
	const char *title;
	const char *fields[3]; /* any of them fills it */
	const char *names[14]; /* last parts of keys, in lower case, that say it */
} wanted[WANTED_COUNT] = {
	[USER] = {"user",
		  {"user.id", "user.name", "user.email"},
		  {"principalemail", "userprincipalname", "arn", "user_id", "alternateid",
		   "principalid", "username", "userid"}},
	[IP] = {"source ip",
		{"source.ip"},
		{"sourceipaddress", "calleripaddress", "callerip", "sourceips", "actor_ip",
		 "clientip", "remoteip", "ipaddress", "ip"}},
	[ACTION] = {"action",
		    {"event.action"},
		    {"eventname", "eventtype", "operationname", "methodname", "verb", "operation",
		     "action", "requestmethod"}},
	[TIME] = {"time",
		  {"@timestamp"},
		  {"eventtime", "published", "requestreceivedtimestamp", "creationtime",
		   "created_at", "stagetimestamp", "timestamp"}},
	[RESOURCE] = {"resource",
		      {"picket.resource.id"},
		      {"resourcename", "repo", "resourceid", "bucketname", "doc_id", "objectid"}},
	[OUTCOME] = {"outcome",
		     {"event.outcome"},
		     {"errorcode", "resulttype", "resultstatus", "statuscode"}},
};

static bool says(enum wanted what, const char *key, struct json_object *value)
{
	char last[64] = "";
	for (size_t i = 0; key[i] != '\0' && i < sizeof last - 1; i++) {
		last[i] = (char)tolower((unsigned char)key[i]);
		last[i + 1] = '\0';
	}
	bool named = false;
	for (size_t i = 0; i < 14 && wanted[what].names[i] != NULL; i++)
		named = named || strcmp(last, wanted[what].names[i]) == 0;
	enum json_type type = json_object_get_type(value);
	const char *text = json_object_get_string(value);
	unsigned char address[16];
	int64_t time_us = 0;
	if (!named || (type != json_type_string && type != json_type_int) || text[0] == '\0')
		return false;
	if (what == IP)
		return inet_pton(AF_INET, text, address) == 1 ||
		       inet_pton(AF_INET6, text, address) == 1;
	return what != TIME || time_parse(text_of(text), &time_us);
}

/* At which depth does it say so? Deep parts are about other things: the top two levels count. */
static bool event_says(enum wanted what, struct json_object *event, int depth)
{
	if (json_object_is_type(event, json_type_array)) {
		return false;
	}
	json_object_object_foreach(event, key, value)
	{
		if (strncmp(key, "p_", 2) == 0)
			continue; /* added by those who collected it */
		if (says(what, key, value))
			return true;
		if (depth < 2 && json_object_is_type(value, json_type_object) &&
		    event_says(what, value, depth + 1))
			return true;
	}
	return false;
}

struct tally {
	char format[64];
	unsigned events;
	unsigned has[WANTED_COUNT], filled[WANTED_COUNT], missed[WANTED_COUNT];
};

enum { TALLIES_MAX = 64 };
static struct tally tallies[TALLIES_MAX];
static size_t tally_count;

static struct tally *tally_of(const char *format)
{
	for (size_t i = 0; i < tally_count; i++)
		if (strcmp(tallies[i].format, format) == 0)
			return &tallies[i];
	ck_assert_uint_lt(tally_count, TALLIES_MAX);
	struct tally *tally = &tallies[tally_count++];
	*tally = (struct tally){0};
	(void)snprintf(tally->format, sizeof tally->format, "%s", format);
	return tally;
}

static bool filled(const struct event *event, enum wanted what)
{
	for (size_t i = 0; i < 3 && wanted[what].fields[i] != NULL; i++)
		if (strcmp(values_of(event, wanted[what].fields[i]), "-") != 0)
			return true;
	return false;
}

static void tally_add(const char *format, const struct event *event, struct json_object *json)
{
	struct tally *tally = tally_of(format);
	tally->events++;
	for (enum wanted what = 0; what < WANTED_COUNT; what++) {
		bool has = event_says(what, json, 0);
		bool is = filled(event, what);
		tally->has[what] += has;
		tally->filled[what] += is;
		if (has && !is && tally->missed[what]++ < 2 && getenv("PICKET_VERBOSE") != NULL)
			printf("%s: no %s: %.900s\n", format, wanted[what].title,
			       json_object_to_json_string(json));
	}
}

/* said/filled per field; what is filled may be more than what was said plainly. */
static void print_tallies(const char *title)
{
	printf("%s\n%-20s %7s", title, "format", "events");
	for (enum wanted what = 0; what < WANTED_COUNT; what++)
		printf(" %16s", wanted[what].title);
	printf("   (said, filled, said but not filled)\n");
	for (size_t i = 0; i < tally_count; i++) {
		printf("%-20s %7u", tallies[i].format, tallies[i].events);
		for (enum wanted what = 0; what < WANTED_COUNT; what++)
			printf("  %5u/%5u/%3u", tallies[i].has[what], tallies[i].filled[what],
			       tallies[i].missed[what]);
		printf("\n");
	}
}

static const struct {
	const char *log_type, *format, *other;
} log_types[] = {
	{"AWS.CloudTrail", "cloudtrail", NULL},
	{"Amazon.EKS.Audit", "kubernetes_audit", NULL},
	{"Okta.SystemLog", "okta", NULL},
	{"GitHub.Audit", "github_audit", NULL},
	{"GCP.AuditLog", "gcp_audit", NULL},
	{"GCP.HTTPLoadBalancer", "gcp_log", NULL},
	{"GSuite.ActivityEvent", "google_workspace", NULL},
	{"Auth0.Events", "auth0", NULL},
	{"Azure.Audit", "azure_signin", "azure_activity"},
	{"Azure.MonitorActivity", "azure_activity", NULL},
	{"Microsoft365.Audit.Exchange", "m365", NULL},
	{"Microsoft365.Audit.SharePoint", "m365", NULL},
	{"Microsoft365.Audit.AzureActiveDirectory", "m365", NULL},
};

/* The format of a rule's test event; NULL when the rule is for several kinds of log. */
static const char *format_of_test(struct json_object *test, const char **ret_other)
{
	struct json_object *types = json_object_object_get(test, "log_types");
	if (!json_object_is_type(types, json_type_array) || json_object_array_length(types) != 1)
		return NULL;
	const char *type = json_object_get_string(json_object_array_get_idx(types, 0));
	for (size_t i = 0; i < sizeof log_types / sizeof *log_types; i++)
		if (strcmp(type, log_types[i].log_type) == 0) {
			*ret_other = log_types[i].other;
			return log_types[i].format;
		}
	return NULL;
}

/* Fragments that the rules' own tests use as events: nothing in them says what they are. */
static bool is_fragment(struct json_object *event)
{
	return json_object_object_length(event) <= 2 &&
	       (json_object_object_get(event, "methodName") != NULL ||
		json_object_object_get(event, "operation") != NULL ||
		json_object_object_get(event, "action") != NULL);
}

/* Nothing that the events say plainly may be missing. */
static void check_tallies(void)
{
	for (size_t i = 0; i < tally_count; i++)
		for (enum wanted what = 0; what < WANTED_COUNT; what++)
			ck_assert_msg(tallies[i].missed[what] == 0, "%s: %u events without %s",
				      tallies[i].format, tallies[i].missed[what],
				      wanted[what].title);
}

START_TEST(panther)
{
	FILE *file = fopen(data_path("panther/public.jsonl"), "r");
	char *line = NULL;
	size_t capacity = 0;
	unsigned checked = 0;
	unsigned wrong = 0;
	unsigned fragments = 0;
	if (file == NULL) {
		printf("SKIP panther: no %s\n", data_path("panther/public.jsonl"));
		return;
	}
	tally_count = 0;
	while (getline(&line, &capacity, file) > 0) {
		struct json_object *test = json_tokener_parse(line);
		struct json_object *event = json_object_object_get(test, "event");
		const char *other = NULL;
		const char *expected = format_of_test(test, &other);
		if (expected != NULL && json_object_is_type(event, json_type_object) &&
		    json_object_object_length(event) > 0) {
			const struct event *decoded = decoding_one(
				&decoding, json_object_to_json_string_ext(
						   event, JSON_C_TO_STRING_NOSLASHESCAPE));
			const char *found = decoding.records[0].format;
			checked++;
			if (strcmp(found, expected) != 0 &&
			    (other == NULL || strcmp(found, other) != 0)) {
				bool fragment = is_fragment(event);
				fragments += fragment;
				wrong += !fragment;
				printf("%s is %s: %.900s\n", expected, found,
				       json_object_to_json_string(event));
			}
			if (!is_fragment(event))
				tally_add(found, decoded, event);
		}
		(void)json_object_put(test);
	}
	free(line);
	(void)fclose(file);
	print_tallies("Panther's test events");
	printf("%u events of %zu kinds of log, %u not recognised, and %u fragments\n", checked,
	       sizeof log_types / sizeof *log_types, wrong, fragments);
	ck_assert_uint_eq(wrong, 0);
	check_tallies();
	ck_assert_uint_gt(checked, 0);
}
END_TEST

static const struct {
	const char *pattern;
	const char *format, *other;
	const char *command; /* that prints the file, or NULL */
} folders[] = {
	{"stratus-cloudtrail/*.json", "cloudtrail", NULL, NULL},
	{"gcp-security-analytics/*.json", "gcp_audit", "gcp_log", NULL},
	{"invictus-gws/*.json", "google_workspace", NULL, NULL},
	{"otrf-aws/ec2_proxy*.zip", "cloudtrail", NULL, "unzip -p"},
};

static struct text print_file(const char *command, const char *path)
{
	char line[1024];
	(void)snprintf(line, sizeof line, "%s '%s'", command == NULL ? "cat" : command, path);
	FILE *pipe = popen(line, "r");
	ck_assert_ptr_nonnull(pipe);
	size_t size = 0;
	size_t capacity = 16 * 1024 * 1024;
	char *bytes = malloc(capacity);
	size = fread(bytes, 1, capacity, pipe);
	(void)pclose(pipe);
	return (struct text){bytes, size};
}

static unsigned check_file(size_t folder, const char *path)
{
	struct text text = print_file(folders[folder].command, path);
	decoding_feed(&decoding, text);
	ck_assert_msg(decoding.accepted == decoding.count, "%s: %zu of %zu", path,
		      decoding.accepted, decoding.count);
	for (size_t i = 0; i < decoding.count && i < DECODING_RECORDS_MAX; i++) {
		const struct decoded *record = &decoding.records[i];
		const char *other = folders[folder].other;
		ck_assert_msg(strcmp(record->format, folders[folder].format) == 0 ||
				      (other != NULL && strcmp(record->format, other) == 0),
			      "%s: record %zu is %s: %.*s", path, i, record->format,
			      (int)(record->raw.size > 200 ? 200 : record->raw.size),
			      record->raw.data);
		char *copy = strndup(record->raw.data, record->raw.size);
		struct json_object *json = json_tokener_parse(copy);
		tally_add(record->format, &record->event, json);
		(void)json_object_put(json);
		free(copy);
	}
	unsigned count = (unsigned)decoding.count;
	free((void *)text.data);
	return count;
}

START_TEST(recorded_logs)
{
	tally_count = 0;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		glob_t files = {0};
		unsigned count = 0;
		if (glob(data_path(folders[i].pattern), 0, NULL, &files) != 0) {
			printf("SKIP recorded_logs: no %s\n", data_path(folders[i].pattern));
			continue;
		}
		for (size_t k = 0; k < files.gl_pathc; k++)
			count += check_file(i, files.gl_pathv[k]);
		printf("%s: %zu files, %u events, all recognised\n", folders[i].pattern,
		       files.gl_pathc, count);
		globfree(&files);
	}
	print_tallies("Recorded logs (at most 64 events of a file are looked at)");
	check_tallies();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("format_real");
	TCase *tests = tcase_create("format_real");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, panther);
	tcase_add_test(tests, recorded_logs);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
