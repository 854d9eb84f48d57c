/* Real logs of others (shared data, not in the repository): CloudTrail recorded during attacks, and
 * the container logs of the Nezha TrainTicket day in the envelope of a node agent. */
#include <glob.h>
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

int main(void)
{
	Suite *suite = suite_create("real_logs");
	TCase *tests = tcase_create("real_logs");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, cloudtrail);
	tcase_add_test(tests, train_ticket);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
