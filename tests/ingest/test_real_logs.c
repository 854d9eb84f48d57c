/* Real logs of others (shared data, not in the repository): CloudTrail recorded during attacks, the
 * container logs of the Nezha TrainTicket day in the envelope of a node agent, and loghub's samples
 * of text logs as agents and syslog carry them. */
#include <glob.h>
#include <json-c/json.h>
#include <stdio.h>

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

static const char *data_path(char *buffer, size_t size, const char *name)
{
	const char *data = getenv("PICKET_DATA");
	(void)snprintf(buffer, size, "%s/%s",
		       data == NULL ? PICKET_SOURCE_DIR "/../shared/data" : data, name);
	return buffer;
}

static struct text file_read(const char *path)
{
	FILE *file = fopen(path, "rb");
	ck_assert(file != NULL);
	(void)fseek(file, 0, SEEK_END);
	size_t size = (size_t)ftell(file);
	rewind(file);
	char *bytes = malloc(size + 1);
	ck_assert_uint_eq(fread(bytes, 1, size, file), size);
	(void)fclose(file);
	return (struct text){bytes, size};
}

START_TEST(cloudtrail)
{
	char pattern[512];
	glob_t files = {0};
	(void)data_path(pattern, sizeof pattern, "stratus-cloudtrail/*.json");
	if (glob(pattern, 0, NULL, &files) != 0) {
		printf("SKIP cloudtrail: no %s\n", pattern);
		return;
	}
	for (size_t i = 0; i < files.gl_pathc; i++) {
		struct text text = file_read(files.gl_pathv[i]);
		decoding_feed(&decoding, text);
		ck_assert_uint_eq(decoding.accepted, decoding.count);
		for (size_t k = 0; k < decoding.count && k < DECODING_RECORDS_MAX; k++) {
			const struct event *event = &decoding.records[k].event;
			ck_assert_str_eq(decoding.records[k].format, "cloudtrail");
			ck_assert_uint_eq(event->quality, 0);
			ck_assert(event_get(event, FIELD_EVENT_ACTION) != NULL);
			ck_assert_str_ne(values_of(event, "event.outcome"), "-");
			ck_assert_int_ne(event->time_us, RECORD_TIME_US);
		}
		free((void *)text.data);
	}
	globfree(&files);
}
END_TEST

/* Timestamp,TimeUnixNano,Node,PodName,Container,TraceID,SpanID,"{""log"":...}" */
struct row {
	char columns[7][128];
	char log[16384];
};

static bool row_read(const char *line, struct row *ret_row)
{
	for (int i = 0; i < 7; i++) {
		size_t size = strcspn(line, ",");
		ck_assert_uint_lt(size, sizeof ret_row->columns[i]);
		memcpy(ret_row->columns[i], line, size);
		ret_row->columns[i][size] = '\0';
		line += size + (line[size] == ',');
	}
	size_t size = 0;
	if (*line++ != '"')
		return false;
	for (; *line != '\0' && size < sizeof ret_row->log - 1; line++) {
		if (*line == '"' && *++line != '"')
			break;
		ret_row->log[size++] = *line;
	}
	ret_row->log[size] = '\0';
	return size > 2 && ret_row->log[size - 1] == '}';
}

static void check_row(const struct row *row)
{
	char payload[20000];
	(void)snprintf(payload, sizeof payload, "%.*s,\"kubernetes\":{\"pod_name\":\"%s\"}}",
		       (int)strlen(row->log) - 1, row->log, row->columns[3]);
	const struct event *event = decoding_one(&decoding, payload);
	CHECK_FIELD(event, "orchestrator.resource.name", row->columns[3]);
	if (strstr(row->log, "TraceID: ") != NULL && strlen(row->columns[5]) == 32)
		CHECK_FIELD(event, "trace.id", row->columns[5]);
	ck_assert_str_ne(values_of(event, "message"), "-");
	ck_assert_uint_eq(event->quality, 0);
	char second[32];
	(void)snprintf(second, sizeof second, "%s", time_of(event->time_us));
	ck_assert_int_eq(strncmp(second, row->columns[0], 19), 0);
}

START_TEST(train_ticket)
{
	char path[512];
	char command[1024];
	(void)data_path(path, sizeof path,
			"nezha-trainticket/2023-01-30/nezha-trainticket-2023-01-30.tar.xz");
	(void)snprintf(command, sizeof command,
		       "tar -xJOf '%s' --wildcards '*construct_data/*_log.csv' 2>/dev/null", path);
	FILE *rows = popen(command, "r");
	static struct row row;
	char *line = NULL;
	size_t capacity = 0;
	unsigned read = 0;
	unsigned services = 0;
	while (rows != NULL && getline(&line, &capacity, rows) > 0) {
		if (strncmp(line, "Timestamp,", 10) == 0 || !row_read(line, &row))
			continue;
		check_row(&row);
		services += event_get(&decoding.records[0].event, FIELD_SERVICE_NAME) != NULL;
		read++;
	}
	free(line);
	(void)pclose(rows);
	if (read == 0) {
		printf("SKIP train_ticket: no %s\n", path);
		return;
	}
	printf("train_ticket: %u lines, %u with a service\n", read, services);
	ck_assert_uint_gt(services, read / 2);
}
END_TEST

/* How a line of text comes to Kafka, and when it says it was. */
enum carrier { DOCKER, BARE_AGENT, SYSLOG, CARRIER_COUNT };

struct line_tally {
	unsigned lines, with_level, carried_time, record_time;
};

static void put(struct bytes *to, const char *text)
{
	bytes_put(to, text, strlen(text));
}

/* Puts the line into what carries it. */
static void carry(enum carrier carrier, struct text line, struct bytes *to)
{
	struct json_object *text = json_object_new_string_len(line.data, (int)line.size);
	if (carrier == SYSLOG) {
		put(to, "<14>1 2026-11-21T23:59:00.5Z node app - - - ");
		bytes_put(to, line.data, line.size);
	} else {
		put(to, "{\"log\":");
		put(to, json_object_to_json_string_ext(text, JSON_C_TO_STRING_NOSLASHESCAPE));
		put(to, carrier == DOCKER ? ",\"time\":\"2026-11-21T23:59:00.5Z\"" : "");
		put(to, ",\"stream\":\"stdout\"}");
	}
	(void)json_object_put(text);
	ck_assert(!to->failed);
}

static void check_line(enum carrier carrier, struct text line, struct line_tally *tally)
{
	struct bytes payload cleanup(bytes_done) = {0};
	carry(carrier, line, &payload);
	decoding_feed(&decoding, bytes_text(&payload));
	const struct event *event = &decoding.records[0].event;
	ck_assert_uint_eq(decoding.count, 1);
	ck_assert_msg(decoding.accepted == 1, "%.*s: %s", TEXT_ARG(line),
		      reject_name(decoding.records[0].why));
	tally->lines++;
	tally->with_level += event_get(event, FIELD_LOG_LEVEL) != NULL;
	const struct value *message = event_get(event, FIELD_MESSAGE);
	ck_assert_ptr_nonnull(message);
	while (line.size > 0 && line.data[line.size - 1] == ' ')
		line.size--; /* blanks at the end of a carried line go with its newline */
	ck_assert_msg(text_equal(message->text, line), "%.*s: %.*s", TEXT_ARG(line),
		      TEXT_ARG(message->text));
	int64_t carried = RECORD_TIME_US - 59500000;
	ck_assert_int_eq(event->time_us, carrier == BARE_AGENT ? RECORD_TIME_US : carried);
	*(carrier == BARE_AGENT ? &tally->record_time : &tally->carried_time) += 1;
}

static const struct sample_file {
	const char *name;
	bool has_levels; /* every line has one of the words that are levels */
} sample_files[] = {{"Apache", false},  {"HDFS", true},      {"Linux", false},
		    {"OpenSSH", false}, {"OpenStack", true}, {"Zookeeper", true}};

static void check_sample(const struct sample_file *sample, FILE *file)
{
	static const char *const carriers[] = {"docker", "agent", "syslog"};
	char *line = NULL;
	size_t capacity = 0;
	for (enum carrier carrier = 0; carrier < CARRIER_COUNT; carrier++) {
		struct line_tally tally = {0};
		rewind(file);
		for (ssize_t got = 0; (got = getline(&line, &capacity, file)) > 0;) {
			size_t size = (size_t)got;
			while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
				size--;
			check_line(carrier, (struct text){line, size}, &tally);
		}
		printf("%-10s %-7s %6u %6u %7u %6u\n", sample->name, carriers[carrier], tally.lines,
		       tally.with_level, tally.carried_time, tally.record_time);
		ck_assert_uint_eq(tally.lines, 2000);
		if (sample->has_levels)
			ck_assert_uint_eq(tally.with_level, tally.lines);
	}
	free(line);
}

/* A line of text alone is no record; carried by an agent or by syslog none is lost: nothing is
 * quarantined and the whole line is the message. Its time is the carrier's, else the record's: a
 * time inside free text, which a user may have typed, is not taken for the event's. */
START_TEST(text_lines)
{
	printf("%-10s %-7s %6s %6s %7s %6s\n", "loghub", "carrier", "lines", "level", "carried",
	       "record");
	for (size_t i = 0; i < sizeof sample_files / sizeof *sample_files; i++) {
		char path[512];
		char name[64];
		const char *about = sample_files[i].name;
		(void)snprintf(name, sizeof name, "loghub/%s/%s_2k.log", about, about);
		FILE *file = fopen(data_path(path, sizeof path, name), "r");
		if (file == NULL) {
			printf("SKIP text_lines: no %s\n", path);
			continue;
		}
		check_sample(&sample_files[i], file);
		(void)fclose(file);
	}
}
END_TEST

/* The next field of a line of CSV, without its quotes (those inside are doubled). */
static struct text csv_next(struct text *line, char *room)
{
	size_t size = 0;
	size_t at = 0;
	bool quoted = line->size > 0 && line->data[0] == '"';
	for (at += quoted; at < line->size; at++) {
		bool pair = quoted && line->data[at] == '"' && at + 1 < line->size &&
			    line->data[at + 1] == '"';
		at += pair;
		if (!pair && line->data[at] == (quoted ? '"' : ','))
			break;
		room[size++] = line->data[at];
	}
	at += quoted && at < line->size;
	*line = text_cut(*line, at < line->size ? at + 1 : at);
	return (struct text){room, size};
}

/* A file of lines as RFC 3164 has them, and how loghub took each of them apart. */
static const struct older_file {
	const char *name;
	int time, host, component, process, content, columns; /* component 0: sshd, all of them */
} older_files[] = {{"Linux", 3, 4, 5, 6, 7, 8}, {"OpenSSH", 3, 4, 0, 5, 6, 7}};

/* True when the line has a tag; loghub calls all before the first colon a component. */
static bool check_older(const struct older_file *file, struct text line, struct text csv)
{
	enum { COLUMNS_MAX = 8, ROOM = 1024 };
	static char rooms[COLUMNS_MAX][ROOM];
	struct text columns[COLUMNS_MAX];
	for (int i = 0; i < file->columns; i++)
		columns[i] = csv_next(&csv, rooms[i]);
	decoding_feed(&decoding, line);
	ck_assert_uint_eq(decoding.accepted, 1);
	ck_assert_str_eq(decoding.records[0].format, "syslog");
	const struct event *event = &decoding.records[0].event;
	char time[32];
	ck_assert(text_equal((struct text){time_print(event->time_us, time).data + 11, 8},
			     columns[file->time]));
	ck_assert(text_equal(text_of(values_of(event, "host.name")), columns[file->host]));
	struct text component = file->component == 0 ? TEXT("sshd") : columns[file->component];
	struct text message = event_text(event, FIELD_MESSAGE);
	while (message.size > 0 && message.data[message.size - 1] == ' ')
		message.size--;
	while (message.size > 0 && message.data[0] == ' ') /* loghub drops them */
		message = text_cut(message, 1);
	if (strcmp(values_of(event, "process.name"), "-") == 0) {
		ck_assert(text_starts(message, component));
		return false;
	}
	ck_assert(text_equal(text_of(values_of(event, "process.name")), component));
	bool process = columns[file->process].size > 0;
	ck_assert(text_equal(text_of(values_of(event, "process.pid")),
			     process ? columns[file->process] : TEXT("-")));
	ck_assert_msg(text_equal(message, columns[file->content]), "%.*s", TEXT_ARG(line));
	return true;
}

START_TEST(older_syslog_files)
{
	const struct decoder_options options = {.time_trusted = true};
	struct error err = {0};
	decoder_free(&decoding.decoder);
	ck_assert_int_eq(decoder_new(&options, &decoding.decoder, &err), OK);
	for (size_t i = 0; i < sizeof older_files / sizeof *older_files; i++) {
		char path[512], name[96];
		char *line = NULL, *csv = NULL;
		size_t line_room = 0, csv_room = 0;
		unsigned lines = 0, tags = 0;
		const char *about = older_files[i].name;
		(void)snprintf(name, sizeof name, "loghub/%s/%s_2k.log", about, about);
		FILE *logs = fopen(data_path(path, sizeof path, name), "r");
		if (logs == NULL) {
			printf("SKIP older_syslog_files: no %s\n", path);
			continue;
		}
		(void)snprintf(name, sizeof name, "loghub/%s/%s_2k.log_structured.csv", about,
			       about);
		FILE *parts = fopen(data_path(path, sizeof path, name), "r");
		ck_assert_ptr_nonnull(parts);
		ck_assert_int_gt(getline(&csv, &csv_room, parts), 0);
		while (getline(&line, &line_room, logs) > 0 &&
		       getline(&csv, &csv_room, parts) > 0) {
			csv[strcspn(csv, "\r\n")] = '\0';
			line[strcspn(line, "\r\n")] = '\0';
			tags += check_older(&older_files[i], text_of(line), text_of(csv));
			lines++;
		}
		printf("%-10s bare    %6u lines, %u with a tag\n", about, lines, tags);
		ck_assert_uint_eq(lines, 2000);
		ck_assert_uint_gt(tags, 1900);
		free(line);
		free(csv);
		(void)fclose(logs);
		(void)fclose(parts);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("real_logs");
	TCase *tests = tcase_create("real_logs");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, cloudtrail);
	tcase_add_test(tests, train_ticket);
	tcase_add_test(tests, text_lines);
	tcase_add_test(tests, older_syslog_files);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
