/* The file source: shapes of files, limits, damage, positions, shares. */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "ingest/decode.h"

enum { BATCH = 7 }; /* small, so that batches end in the middle of everything */

static const char work[] = "/tmp/picket-test-source-file.tmp";

static int64_t now_us(void *context)
{
	return *(int64_t *)context;
}

static int64_t test_clock = 1234567;

static void write_file(const char *path, const char *bytes, size_t size)
{
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
	ck_assert_int_eq(fclose(file), 0);
}

static void write_gzip(const char *path, const char *bytes, size_t size)
{
	gzFile file = gzopen(path, "wb");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(gzwrite(file, bytes, (unsigned)size), (int)size);
	ck_assert_int_eq(gzclose(file), Z_OK);
}

/* Everything a source says, as text: "1:{..}|2:{..}|" and the notices in capitals. */
struct heard {
	struct bytes messages;
	char notices[4096];
	size_t message_count, largest;
	int64_t last_offset[16];
	int64_t record_time_us;
	char problem[1024];
};

static void hear_notice(struct heard *heard, const struct source_notice *notice)
{
	static const char *const names[] = {"ADDED", "READY",   "TICK",     "STALLED", "RESUMED",
					    "GAP",   "REWOUND", "FINISHED", "PROBLEM"};
	size_t used = strlen(heard->notices);
	(void)snprintf(heard->notices + used, sizeof heard->notices - used, "%s ",
		       names[notice->kind]);
	if (notice->kind == SOURCE_PROBLEM)
		(void)snprintf(heard->problem, sizeof heard->problem, "%.*s",
			       TEXT_ARG(notice->text));
}

static bool hear_batch(struct heard *heard, const struct source_batch *batch)
{
	size_t told = 0;
	bool finished = false;
	for (size_t i = 0; i <= batch->message_count; i++) {
		for (; told < batch->notice_count && batch->notice_after[told] <= i; told++) {
			hear_notice(heard, &batch->notices[told]);
			finished = finished || batch->notices[told].kind == SOURCE_FINISHED;
		}
		if (i == batch->message_count)
			break;
		const struct message *message = &batch->messages[i];
		char number[32];
		ck_assert_int_gt(message->offset, heard->last_offset[message->stream]);
		heard->last_offset[message->stream] = message->offset;
		(void)snprintf(number, sizeof number, "%lld:", (long long)message->offset);
		bytes_put(&heard->messages, number, strlen(number));
		bytes_put(&heard->messages, message->payload.data, message->payload.size);
		bytes_put(&heard->messages, "|", 1);
		heard->record_time_us = message->record_time_us;
		heard->message_count++;
		if (message->payload.size > heard->largest)
			heard->largest = message->payload.size;
	}
	ck_assert_uint_eq(told, batch->notice_count);
	return finished;
}

static struct heard hear_paths(const char *const *paths, size_t count,
			       const struct source_start *start)
{
	struct file_options options = {paths, count};
	struct source *source cleanup(source_free) = NULL;
	struct error err = {0};
	struct heard heard = {0};
	ck_assert_msg(source_file_new(&options, start, &source, &err) == OK, "%s", err.text);
	size_t finished = 0;
	for (int i = 0; i < 100000 && finished < count; i++) {
		struct source_batch batch = {0};
		ck_assert_int_eq(source->ops->poll(source, 0, BATCH, &batch, &err), OK);
		finished += hear_batch(&heard, &batch);
	}
	ck_assert_uint_eq(finished, count);
	struct source_batch batch = {0};
	ck_assert_int_eq(source->ops->poll(source, 0, BATCH, &batch, &err), OK);
	ck_assert_uint_eq(batch.message_count + batch.notice_count, 0);
	bytes_put_u8(&heard.messages, 0);
	return heard;
}

static struct heard hear(const char *path)
{
	struct source_start start = {.share_count = 1, .clock = {now_us, &test_clock}};
	return hear_paths(&path, 1, &start);
}

static void expect(const char *bytes, size_t size, const char *messages)
{
	for (int zipped = 0; zipped < 2; zipped++) {
		(zipped ? write_gzip : write_file)(work, bytes, size);
		struct heard heard = hear(work);
		ck_assert_str_eq((char *)heard.messages.data, messages);
		ck_assert_str_eq(heard.notices, "ADDED READY FINISHED ");
		bytes_done(&heard.messages);
	}
}

#define EXPECT(bytes, messages) expect(bytes, sizeof(bytes) - 1, messages)

START_TEST(lines)
{
	EXPECT("{\"a\":1}\n{\"a\":2}\n", "1:{\"a\":1}|2:{\"a\":2}|");
	EXPECT("{\"a\":1}\r\n\n  \n{\"a\":2}", "1:{\"a\":1}|4:{\"a\":2}|");
	EXPECT("\xef\xbb\xbf{\"a\":1}\n", "1:{\"a\":1}|");
	EXPECT("plain\ntext\n", "1:plain|2:text|");
	EXPECT("", "");
	EXPECT("\n\n", "");
	EXPECT("x", "1:x|");
	EXPECT("{\"a\":1}\n1\n2\n3\n4\n5\n6\n7\n8\n9\n",
	       "1:{\"a\":1}|2:1|3:2|4:3|5:4|6:5|7:6|8:7|9:8|10:9|");
}
END_TEST

START_TEST(arrays)
{
	EXPECT("[{\"a\":1},{\"a\":[2,\"]\\\"\"]}]", "1:{\"a\":1}|2:{\"a\":[2,\"]\\\"\"]}|");
	EXPECT("  [\n  {\"a\":1}\n ,\n {\"b\":{}} ]\n", "1:{\"a\":1}|2:{\"b\":{}}|");
	EXPECT("[]", "");
	EXPECT("[\n]\n", "");
	EXPECT("[{\"a\":1},\n7,null,\"x\"]", "1:{\"a\":1}|2:7|3:null|4:\"x\"|");
	EXPECT("[{\"a\":1},\n{\"a\":2", "1:{\"a\":1}|2:{\"a\":2|"); /* cut off */
	EXPECT("[{\"a\":1}\n]\ngarbage\n", "1:{\"a\":1}|3:garbage|");
}
END_TEST

START_TEST(arrays_in_lines_stay_lines)
{
	EXPECT("[{\"a\":1},{\"a\":2}]\n[{\"a\":3}]\n", "1:[{\"a\":1},{\"a\":2}]|2:[{\"a\":3}]|");
	EXPECT("[2026-01-01] INFO hello\n[2026-01-02] x\n",
	       "1:[2026-01-01] INFO hello|2:[2026-01-02] x|");
	EXPECT("[INFO hello\nx]\n", "1:[INFO hello|2:x]|");
}
END_TEST

START_TEST(documents)
{
	EXPECT("{\"Records\":\n [{\"a\":1},\n{\"a\":2}]}\n",
	       "1:{\"Records\":\n [{\"a\":1},\n{\"a\":2}]}|");
	EXPECT("{\n\"a\":1\n}\n{\n\"a\":2\n}\n", "1:{\n\"a\":1\n}|2:{\n\"a\":2\n}|");
}
END_TEST

/* A broken first line must not swallow the good ones behind it. */
START_TEST(broken_first_line)
{
	EXPECT("{\"a\":1,\"b\":\n{\"a\":2}\n", "1:{\"a\":1,\"b\":|2:{\"a\":2}|");
	EXPECT("{\"a\":\"cut\n{\"a\":\"2\"}\n{\"a\":\"3\"}\n",
	       "1:{\"a\":\"cut|2:{\"a\":\"2\"}|3:{\"a\":\"3\"}|");
	EXPECT("\"\n{\"a\":2}\n", "1:\"|2:{\"a\":2}|");
	EXPECT("a\0b\nc\n", "1:a"); /* the NUL ends the C string of the test, not the message */
}
END_TEST

START_TEST(too_long_line_is_handed_out_one_byte_over_the_limit)
{
	size_t size = (size_t)DECODE_MESSAGE_MAX + 700000;
	char *bytes = malloc(size);
	ck_assert_ptr_nonnull(bytes);
	memset(bytes, 'x', size);
	bytes[4] = '\n';
	memcpy(bytes + size - 6, "\nlast\n", 6);
	write_file(work, bytes, size);
	struct heard heard = hear(work);
	ck_assert_uint_eq(heard.message_count, 3);
	ck_assert_uint_eq(heard.largest, (size_t)DECODE_MESSAGE_MAX + 1);
	ck_assert_str_eq((char *)heard.messages.data + heard.messages.size - 8, "3:last|");
	bytes_done(&heard.messages);
	/* The same as an element of an array. */
	memcpy(bytes, "[{},\"", 5);
	memcpy(bytes + size - 6, "\",{}]\n", 6);
	write_file(work, bytes, size);
	heard = hear(work);
	ck_assert_uint_eq(heard.message_count, 3);
	ck_assert_uint_eq(heard.largest, (size_t)DECODE_MESSAGE_MAX + 1);
	ck_assert_str_eq((char *)heard.messages.data + heard.messages.size - 6, "3:{}|");
	bytes_done(&heard.messages);
	free(bytes);
}
END_TEST

START_TEST(many_lines_across_windows)
{
	struct bytes bytes = {0};
	char line[64];
	for (int i = 1; i <= 60000; i++) {
		(void)snprintf(line, sizeof line, "{\"n\":%d,\"pad\":\"%0*d\"}\n", i, 1 + i % 37,
			       0);
		bytes_put(&bytes, line, strlen(line));
	}
	write_gzip(work, (char *)bytes.data, bytes.size);
	struct heard heard = hear(work);
	ck_assert_uint_eq(heard.message_count, 60000);
	ck_assert_int_eq(heard.last_offset[0], 60000);
	bytes_done(&heard.messages);
	/* The same lines as one array. */
	for (size_t i = 0; i + 1 < bytes.size; i++)
		if (bytes.data[i] == '\n')
			bytes.data[i] = ',';
	bytes.data[bytes.size - 1] = ']';
	struct bytes array = {0};
	bytes_put_u8(&array, '[');
	bytes_put(&array, bytes.data, bytes.size);
	write_file(work, (char *)array.data, array.size);
	heard = hear(work);
	ck_assert_uint_eq(heard.message_count, 60000);
	bytes_done(&heard.messages);
	bytes_done(&array);
	bytes_done(&bytes);
}
END_TEST

/* A damaged gzip must not look like a short file. */
START_TEST(damaged_gzip_is_told)
{
	char text[20000];
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = i % 50 == 49 ? '\n' : (char)('a' + (i * 7919 >> 3) % 26);
	write_gzip(work, text, sizeof text);
	FILE *file = fopen(work, "r+");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
	long size = ftell(file);
	ck_assert_int_eq(ftruncate(fileno(file), size / 2), 0);
	ck_assert_int_eq(fclose(file), 0);
	struct heard heard = hear(work);
	ck_assert_uint_lt(heard.message_count, 400);
	ck_assert_str_eq(heard.notices, "ADDED READY PROBLEM FINISHED ");
	ck_assert_ptr_nonnull(strstr(heard.problem, work));
	ck_assert_ptr_nonnull(strstr(heard.problem, "cut off"));
	bytes_done(&heard.messages);
}
END_TEST

START_TEST(starts_at_position)
{
	write_file(work, "a\nb\nc\nd\n", 8);
	const char *paths[] = {work};
	struct source_position position = {text_of(work), 0, 3};
	struct source_start start = {.positions = &position,
				     .position_count = 1,
				     .share_count = 1,
				     .clock = {now_us, &test_clock}};
	struct heard heard = hear_paths(paths, 1, &start);
	ck_assert_str_eq((char *)heard.messages.data, "3:c|4:d|");
	ck_assert_int_eq(heard.record_time_us, test_clock);
	bytes_done(&heard.messages);
	position.next_offset = 5; /* just behind the end: nothing to do, nothing wrong */
	heard = hear_paths(paths, 1, &start);
	ck_assert_str_eq(heard.notices, "ADDED READY FINISHED ");
	bytes_done(&heard.messages);
	position.next_offset = 9; /* the file is shorter than what we have read */
	heard = hear_paths(paths, 1, &start);
	ck_assert_str_eq(heard.notices, "ADDED READY REWOUND FINISHED ");
	bytes_done(&heard.messages);
}
END_TEST

START_TEST(without_a_clock_it_is_historical)
{
	write_file(work, "a\n", 2);
	const char *paths[] = {work};
	struct source_start start = {.share_count = 1};
	struct heard heard = hear_paths(paths, 1, &start);
	ck_assert_int_eq(heard.record_time_us, 0);
	bytes_done(&heard.messages);
}
END_TEST

START_TEST(missing_file)
{
	const char *paths[] = {"/nowhere/at/all.ndjson"};
	struct file_options options = {paths, 1};
	struct source_start start = {.share_count = 1};
	struct source *source = NULL;
	struct error err = {0};
	ck_assert_int_eq(source_file_new(&options, &start, &source, &err), ENOTFOUND);
	ck_assert_ptr_null(source);
	ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/at/all.ndjson"));
}
END_TEST

START_TEST(shares_are_disjoint_and_complete)
{
	for (unsigned count = 1; count < 9; count++)
		for (int32_t partition = 0; partition < 200; partition++)
			ck_assert_uint_lt(source_share_of(TEXT("logs-a"), partition, count), count);
	unsigned seen[4] = {0};
	for (int32_t partition = 0; partition < 400; partition++)
		seen[source_share_of(TEXT("logs-a"), partition, 4)]++;
	for (int i = 0; i < 4; i++)
		ck_assert_uint_gt(seen[i], 50);
	write_file(work, "a\n", 2);
	const char *paths[] = {work};
	struct file_options options = {paths, 1};
	size_t messages = 0;
	for (unsigned share = 0; share < 3; share++) {
		struct source_start start = {.share = share, .share_count = 3};
		struct source *source cleanup(source_free) = NULL;
		struct source_batch batch = {0};
		ck_assert_int_eq(source_file_new(&options, &start, &source, NULL), OK);
		ck_assert_int_eq(source->ops->poll(source, 0, BATCH, &batch, NULL), OK);
		messages += batch.message_count;
	}
	ck_assert_uint_eq(messages, 1);
}
END_TEST

/* Real files, when they are there: every line of the Stratus CloudTrail set comes out. */
START_TEST(shared_data)
{
	const char *given = getenv("PICKET_DATA");
	char folder[2048];
	(void)snprintf(folder, sizeof folder, "%s/stratus-cloudtrail",
		       given != NULL ? given : PICKET_SOURCE_DIR "/../shared/data");
	DIR *entries = opendir(folder);
	if (entries == NULL) {
		(void)printf("SKIP shared_data: %s is not there\n", folder);
		return;
	}
	size_t files = 0, messages = 0;
	for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
		char path[4096];
		(void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		if (strstr(entry->d_name, "json") == NULL)
			continue;
		struct heard heard = hear(path);
		ck_assert_ptr_null(strstr(heard.notices, "PROBLEM"));
		messages += heard.message_count;
		files++;
		bytes_done(&heard.messages);
	}
	(void)closedir(entries);
	(void)printf("shared_data: %zu messages of %zu files\n", messages, files);
	ck_assert(files == 0 || messages > 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("source_file");
	TCase *cases = tcase_create("all");
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, lines);
	tcase_add_test(cases, arrays);
	tcase_add_test(cases, arrays_in_lines_stay_lines);
	tcase_add_test(cases, documents);
	tcase_add_test(cases, broken_first_line);
	tcase_add_test(cases, too_long_line_is_handed_out_one_byte_over_the_limit);
	tcase_add_test(cases, many_lines_across_windows);
	tcase_add_test(cases, damaged_gzip_is_told);
	tcase_add_test(cases, starts_at_position);
	tcase_add_test(cases, without_a_clock_it_is_historical);
	tcase_add_test(cases, missing_file);
	tcase_add_test(cases, shares_are_disjoint_and_complete);
	tcase_add_test(cases, shared_data);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	(void)unlink(work);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
