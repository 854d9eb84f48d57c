/* MozDef's public alert tests (shared data) as rules of ours: tests/ingest/mozdef/rules has a file
 * for each alert, mozdef/formats the shape of its events; the travel cases are those of
 * tests/correlate/test_travel.c.
 *
 * MozDef asks its store, at some moment, whether the time before holds what an alert looks for; a
 * case is what the store has then, and whether there is an alert. picket is not asked: it watches.
 * An alert that is *open* at the moment is the same thing, where the rule's timespan, or the time
 * over which its alerts are joined, is MozDef's search window. What is older has been an alert, and
 * is over.
 *
 * Each case is a tenant of one installation, so that all of them are played together, through the
 * whole engine, and none may be seen in another. A rule over all tenants (the dead man's: its
 * members are a list) has each of its cases alone. The engine listens from as long before the
 * moment as the longest silence that is asked for, as a store without older events means.
 *
 * Every case is played in several orders, over several partitions and threads, and with a restart
 * in the middle: what is there at the end may not change. */
#include <json-c/json.h>

#include "ingest/format.h"
#include "tests/ingest/memory_source.h"
#include "tests/ingest/told_log.h"

enum { CASES_MAX = 512, MESSAGES_MAX = 8192, LINES_MAX = 1024, LINE_SIZE = 512, VARIANTS = 5 };

#define SECOND_US     INT64_C(1000000)
#define NOW_US        (INT64_C(1795348800) * SECOND_US) /* 2026-11-22T12:00:00Z */
#define LATENESS_US   (10 * SECOND_US)
#define PAST_MAX_US   (24 * 3600 * SECOND_US)

#define MOZDEF_FOLDER PICKET_SOURCE_DIR "/tests/ingest/mozdef/"

/* How the same cases are played. */
static const struct variant {
	unsigned partitions, workers, actors;
	uint64_t shuffled; /* seed of the order of what came at one time; 0: as the file has it */
	bool restarts;
} variants[VARIANTS] = {
	{1, 1, 1, 0, false}, {1, 1, 2, 11, true}, {3, 2, 1, 12, false},
	{4, 2, 3, 13, true}, {2, 2, 2, 14, true},
};

struct stream_case {
	struct json_object *json;
	char name[96];  /* and tenant */
	char alert[64]; /* the file of its rules */
	bool wanted;
	int64_t begin_us; /* its first event came */
	unsigned open;    /* alerts of the current run */
	enum rule_level level;
	bool group_stated; /* the expected summary names who and where */
};

struct piece {
	struct message message;
	uint64_t order;
};

static struct stream_case cases[CASES_MAX];
static size_t case_count;
static struct piece pieces[MESSAGES_MAX]; /* of the current run, by when they came */
static size_t piece_count;
static char lines[LINES_MAX][LINE_SIZE]; /* what the current variant said */
static size_t line_count;
static char first_lines[LINES_MAX][LINE_SIZE];
static size_t first_line_count;
static struct ruleset *ruleset;
static struct formats *formats;

static struct json_object *member_of(struct json_object *json, const char *key)
{
	return json_object_object_get(json, key);
}

static const char *string_of(struct json_object *json, const char *key)
{
	const char *found = json_object_get_string(member_of(json, key));
	return found == NULL ? "" : found;
}

/* --- the cases */

/* Seconds before or after the moment, or a time of its day. */
static bool moment_of(struct json_object *json, int64_t *ret_time_us)
{
	int64_t day_us = 24 * 3600 * SECOND_US;
	struct json_object *offset = NULL;
	if (json_object_is_type(json, json_type_object) &&
	    json_object_object_get_ex(json, "$offset_seconds", &offset)) {
		*ret_time_us = NOW_US + (int64_t)(json_object_get_double(offset) * 1e6);
		return true;
	}
	if (!json_object_is_type(json, json_type_array) || json_object_array_length(json) != 4)
		return false;
	const char *word = json_object_get_string(json_object_array_get_idx(json, 0));
	if (word == NULL || strcmp(word, "TODAY") != 0)
		return false;
	int64_t seconds = 0;
	for (size_t i = 1; i < 4; i++)
		seconds = seconds * 60 + json_object_get_int(json_object_array_get_idx(json, i));
	*ret_time_us = NOW_US / day_us * day_us + seconds * SECOND_US;
	return true;
}

/* Times as a shipper writes them. */
static void write_times(struct json_object *json)
{
	char time[32];
	int64_t time_us = 0;
	json_object_object_foreach(json, key, value)
	{
		if (moment_of(value, &time_us)) {
			struct text printed = time_print(time_us, time);
			json_object_object_add(
				json, key,
				json_object_new_string_len(printed.data, (int)printed.size));
		} else if (json_object_is_type(value, json_type_object)) {
			write_times(value);
		}
	}
}

/* When the event came; its tenant is the case. */
static int64_t event_prepare(struct json_object *event, const struct stream_case *owner)
{
	struct json_object *source = member_of(event, "_source");
	int64_t came_us = 0;
	ck_assert_msg(source != NULL, "%s: an event without _source", owner->name);
	write_times(source);
	const char *came = string_of(source, "receivedtimestamp");
	const char *happened = string_of(source, "utctimestamp");
	ck_assert_msg(time_parse(text_of(came[0] != '\0' ? came : happened), &came_us),
		      "%s: no time", owner->name);
	json_object_object_add(source, "tenant.id", json_object_new_string(owner->name));
	return came_us;
}

static void case_read(struct json_object *json)
{
	struct stream_case *item = &cases[case_count++];
	ck_assert_uint_le(case_count, CASES_MAX);
	*item = (struct stream_case){.json = json, .begin_us = NOW_US};
	(void)snprintf(item->alert, sizeof item->alert, "%s", string_of(json, "alert"));
	(void)snprintf(item->name, sizeof item->name, "%s[%s]", string_of(json, "alert"),
		       string_of(json, "case"));
	item->wanted = json_object_get_boolean(member_of(json, "expected_alert"));
	struct json_object *events = member_of(json, "events");
	for (size_t i = 0; i < json_object_array_length(events); i++) {
		int64_t came_us = event_prepare(json_object_array_get_idx(events, i), item);
		item->begin_us = came_us < item->begin_us ? came_us : item->begin_us;
	}
}

/* False: there is no data. */
static bool cases_read(void)
{
	const char *named = getenv("PICKET_DATA");
	char path[4096];
	(void)snprintf(path, sizeof path, "%s/mozdef/public.jsonl",
		       named != NULL ? named : PICKET_SOURCE_DIR "/../shared/data");
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		printf("SKIP no %s\n", path);
		return false;
	}
	char *line = NULL;
	size_t capacity = 0;
	while (getline(&line, &capacity, file) > 0) {
		struct json_object *json = json_tokener_parse(line);
		ck_assert_ptr_nonnull(json);
		if (strcmp(string_of(json, "alert"), "geomodel_location") == 0)
			json_object_put(json);
		else
			case_read(json);
	}
	free(line);
	fclose(file);
	return true;
}

/* --- the rules */

/* The name of the rule's file without folders and ending. */
static struct text file_of(const struct rule *rule)
{
	const char *slash = strrchr(rule->at.file, '/');
	const char *name = slash == NULL ? rule->at.file : slash + 1;
	return (struct text){name, strcspn(name, ".")};
}

static bool is_of(const struct rule *rule, const struct stream_case *item)
{
	return text_equal(file_of(rule), text_of(item->alert));
}

/* Whether the case needs an installation of its own, and how long a silence is asked for. */
static bool is_alone(const struct stream_case *item, int64_t *ret_silence_us)
{
	bool alone = false;
	bool known = false;
	*ret_silence_us = 0;
	for (size_t i = 0; i < ruleset_count(ruleset); i++) {
		const struct rule *rule = ruleset_rule(ruleset, i);
		if (!is_of(rule, item))
			continue;
		known = true;
		alone = alone || rule->cross_tenant;
		if (rule->kind == RULE_CORRELATION &&
		    rule->correlation->type == CORRELATION_ABSENCE &&
		    rule->correlation->timespan_us > *ret_silence_us)
			*ret_silence_us = rule->correlation->timespan_us;
	}
	ck_assert_msg(known, "%s: no rules in mozdef/rules/%s.yml", item->name, item->alert);
	return alone;
}

static void setup(void)
{
	static const char *const format_paths[] = {MOZDEF_FOLDER "formats"};
	static const char *const rule_paths[] = {MOZDEF_FOLDER "rules"};
	struct ruleset_options options = {.paths = rule_paths, .path_count = 1};
	struct error err = {0};
	ck_assert_msg(formats_new(format_paths, 1, &formats, &err) == OK, "%s:%u: %s", err.file,
		      err.line, err.text);
	ck_assert_msg(ruleset_load(&options, &ruleset, &err) == OK, "%s:%u: %s", err.file, err.line,
		      err.text);
}

static void teardown(void)
{
	for (size_t i = 0; i < case_count; i++)
		json_object_put(cases[i].json);
	case_count = 0;
	ruleset_free(&ruleset);
	formats_free(&formats);
}

/* --- one run */

static int piece_compare(const void *a, const void *b)
{
	const struct piece *left = a;
	const struct piece *right = b;
	int64_t gap_us = left->message.record_time_us - right->message.record_time_us;
	if (gap_us != 0)
		return gap_us < 0 ? -1 : 1;
	return (left->order > right->order) - (left->order < right->order);
}

static void pieces_add(const struct stream_case *item, uint64_t shuffled)
{
	struct json_object *events = member_of(item->json, "events");
	for (size_t i = 0; i < json_object_array_length(events); i++) {
		struct json_object *event = json_object_array_get_idx(events, i);
		struct json_object *source = member_of(event, "_source");
		const char *came = string_of(source, "receivedtimestamp");
		int64_t came_us = 0;
		ck_assert_uint_lt(piece_count, MESSAGES_MAX);
		ck_assert(time_parse(
			text_of(came[0] != '\0' ? came : string_of(source, "utctimestamp")),
			&came_us));
		uint64_t order = piece_count;
		if (shuffled != 0)
			order = (order + 1) * shuffled * UINT64_C(0x9E3779B97F4A7C15) % 1000003;
		pieces[piece_count++] = (struct piece){
			.message = {.record_time_us = came_us,
				    .payload = text_of(json_object_to_json_string(event))},
			.order = order};
	}
}

/* Deals the pieces out; each partition has them in the order in which they came. */
static void log_fill(struct told_log *log, struct message *messages, const struct variant *variant)
{
	qsort(pieces, piece_count, sizeof *pieces, piece_compare);
	*log = (struct told_log){.topic = TEXT("mozdef"), .partition_count = variant->partitions};
	for (size_t p = 0; p < variant->partitions; p++) {
		struct told_partition *partition = &log->partitions[p];
		partition->messages = messages;
		for (size_t i = p; i < piece_count; i += variant->partitions)
			messages[partition->count++] = pieces[i].message;
		messages += partition->count;
	}
	atomic_store(&log->tick_us, INT64_MIN);
}

static struct runtime *runtime_of(struct store *store, struct told_log *log,
				  const struct variant *variant)
{
	struct runtime_options options = {
		.store = store,
		.ruleset = ruleset,
		.source = {told_make, log},
		.decoder = {.formats = formats, .past_max_us = PAST_MAX_US},
		.clock = {memory_now, NULL},
		.worker_count = variant->workers,
		.actor_count = variant->actors,
		.epoch_ms = 1,
		.checkpoint_ms = 7,
		.lateness_us = LATENESS_US,
	};
	struct runtime *runtime = NULL;
	struct error err = {0};
	ck_assert_msg(runtime_new(&options, &runtime, &err) == OK, "%s", err.text);
	return runtime;
}

/* Listens from begin_us on, hears everything, and knows at last that it was everything up to the
 * moment: windows that end there are over. */
static void play(struct store *store, int64_t begin_us, const struct variant *variant)
{
	static struct message messages[MESSAGES_MAX];
	struct told_log log;
	log_fill(&log, messages, variant);
	struct runtime *runtime = runtime_of(store, &log, variant);
	atomic_store(&log.tick_us, begin_us + LATENESS_US);
	told_wait(&log, runtime, begin_us);
	atomic_store(&log.let_out, log.partitions[0].count / 2);
	if (variant->restarts) {
		told_wait(&log, runtime, begin_us);
		runtime_free(&runtime);
		runtime = runtime_of(store, &log, variant);
	}
	atomic_store(&log.let_out, MESSAGES_MAX);
	told_wait(&log, runtime, begin_us);
	atomic_store(&log.tick_us, NOW_US + LATENESS_US + 1);
	told_wait(&log, runtime, NOW_US + 1);
	runtime_free(&runtime);
}

/* --- what was said */

/* Who and where must stand in the text that MozDef's own test expects. */
static bool group_is_stated(struct text group, const char *summary, char *printed, size_t size)
{
	static const char *const who[] = {"source.ip", "user.name", "user.email", "host.name",
					  "details.originaluser"};
	struct cursor from = cursor_of(group);
	bool stated = true;
	printed[0] = '\0';
	while (cursor_left(&from) > 0) {
		struct text name = cursor_text(&from);
		struct text value = cursor_text(&from);
		size_t used = strlen(printed);
		(void)snprintf(printed + used, size - used, " %.*s=%.*s", TEXT_ARG(name),
			       TEXT_ARG(value));
		for (size_t i = 0; i < sizeof who / sizeof *who; i++)
			if (text_equal(name, text_of(who[i])))
				stated = stated && memmem(summary, strlen(summary), value.data,
							  value.size) != NULL;
	}
	return stated;
}

static void alert_note(const struct alert *alert, struct stream_case *item)
{
	char group[LINE_SIZE / 2];
	const char *summary = string_of(member_of(item->json, "expected"), "summary");
	bool stated = group_is_stated(alert->group, summary, group, sizeof group);
	ck_assert_uint_lt(line_count, LINES_MAX);
	(void)snprintf(lines[line_count++], LINE_SIZE, "%s %.*s%s %lld..%lld x%llu %s %s",
		       item->name, TEXT_ARG(alert->rule_name), group,
		       (long long)(alert->first_us - NOW_US), (long long)(alert->last_us - NOW_US),
		       (unsigned long long)alert->count, level_name(alert->level),
		       alert_state_name(alert->state));
	if (alert->state != ALERT_OPEN)
		return;
	item->open++;
	item->level = alert->level;
	item->group_stated = stated;
}

/* only: the case that is alone in the store, or NULL. */
static void store_note(struct store *store, struct stream_case *only)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct error err = {0};
	struct text key = {0};
	struct text value = {0};
	ck_assert_int_eq(store_scan_new(store, FAMILY_ALERT, TEXT("a"), TEXT("a"), &scan, &err),
			 OK);
	while (store_scan_next(scan, &key, &value)) {
		struct alert alert = {0};
		ck_assert_int_eq(alert_decode(value, &alert, &err), OK);
		const struct rule *rule = ruleset_find(ruleset, alert.rule_name);
		if (alert.state == ALERT_MERGED || rule == NULL)
			continue;
		for (size_t i = 0; i < case_count; i++) {
			bool mine = only != NULL ? only == &cases[i]
						 : text_equal(alert.tenant, text_of(cases[i].name));
			if (mine && is_of(rule, &cases[i]))
				alert_note(&alert, &cases[i]);
		}
	}
	ck_assert_int_eq(store_scan_status(scan, &err), OK);
}

static int line_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Every case in one way; those that may be together are. */
static void variant_play(const struct variant *variant)
{
	struct store *together cleanup(store_free) = memory_store();
	int64_t begin_us = NOW_US;
	int64_t silence_us = 0;
	line_count = piece_count = 0;
	for (size_t i = 0; i < case_count; i++) {
		cases[i].open = 0;
		if (is_alone(&cases[i], &silence_us))
			continue;
		pieces_add(&cases[i], variant->shuffled);
		begin_us = cases[i].begin_us < begin_us ? cases[i].begin_us : begin_us;
	}
	play(together, begin_us, variant);
	store_note(together, NULL);
	for (size_t i = 0; i < case_count; i++) {
		if (!is_alone(&cases[i], &silence_us))
			continue;
		struct store *alone cleanup(store_free) = memory_store();
		begin_us = NOW_US - silence_us;
		piece_count = 0;
		pieces_add(&cases[i], variant->shuffled);
		play(alone, cases[i].begin_us < begin_us ? cases[i].begin_us : begin_us, variant);
		store_note(alone, &cases[i]);
	}
	qsort(lines, line_count, LINE_SIZE, line_compare);
}

/* --- the tests */

static bool level_is_stated(const struct stream_case *item)
{
	/* Informational is no alert in picket. */
	static const struct {
		const char *severity;
		enum rule_level level;
	} words[] = {{"INFO", LEVEL_LOW},
		     {"NOTICE", LEVEL_LOW},
		     {"WARNING", LEVEL_MEDIUM},
		     {"ERROR", LEVEL_HIGH},
		     {"CRITICAL", LEVEL_CRITICAL}};
	const char *severity = string_of(member_of(item->json, "expected"), "severity");
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(words[i].severity, severity) == 0)
			return item->level == words[i].level;
	return severity[0] == '\0';
}

/* One alert, of the level and about whom MozDef expects, or none. */
static bool case_holds(const struct stream_case *item)
{
	if (!item->wanted)
		return item->open == 0;
	return item->open == 1 && item->group_stated && level_is_stated(item);
}

static size_t cases_judge(void)
{
	size_t held = 0;
	for (size_t i = 0; i < case_count; i++) {
		bool holds = case_holds(&cases[i]);
		held += holds;
		if (holds)
			continue;
		printf("FAILED %s, %s: %u open alerts, wanted %d\n", cases[i].name,
		       string_of(cases[i].json, "description"), cases[i].open, cases[i].wanted);
		for (size_t k = 0; k < line_count; k++)
			if (strncmp(lines[k], cases[i].name, strlen(cases[i].name)) == 0)
				printf("    %s\n", lines[k]);
	}
	return held;
}

static void cases_print(void)
{
	size_t next = 0;
	for (size_t i = 0; i < case_count; i = next) {
		size_t held = 0;
		for (next = i; next < case_count && strcmp(cases[next].alert, cases[i].alert) == 0;
		     next++)
			held += case_holds(&cases[next]);
		printf("%-34s %2zu of %2zu\n", cases[i].alert, held, next - i);
	}
}

START_TEST(streams_of_mozdef_hold)
{
	if (!cases_read())
		return;
	ck_assert_uint_gt(case_count, 0);
	for (size_t v = 0; v < VARIANTS; v++) {
		variant_play(&variants[v]);
		size_t held = cases_judge();
		if (v == 0) {
			cases_print();
			memcpy(first_lines, lines, sizeof lines);
			first_line_count = line_count;
		}
		ck_assert_msg(held == case_count, "%zu of %zu streams hold in run %zu", held,
			      case_count, v);
		ck_assert_uint_eq(line_count, first_line_count);
		for (size_t i = 0; i < line_count; i++)
			ck_assert_str_eq(lines[i], first_lines[i]);
	}
	printf("%zu streams of MozDef hold, in %d runs\n", case_count, VARIANTS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mozdef");
	TCase *tests = tcase_create("mozdef");
	tcase_set_timeout(tests, 300);
	tcase_add_unchecked_fixture(tests, setup, teardown);
	tcase_add_test(tests, streams_of_mozdef_hold);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
