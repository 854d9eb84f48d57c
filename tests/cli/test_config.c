#include "cli/config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARENA_BYTES = 32 * 1024 * 1024 };

static struct arena *arena;
static struct problems problems;
static struct config config;

static void setup(void)
{
	arena = arena_new(ARENA_BYTES);
	ck_assert_ptr_nonnull(arena);
	ck_assert_int_eq(problems_init(&problems, arena, NULL), OK);
	config = (struct config){0};
}

static void teardown(void)
{
	arena_free(&arena);
}

static void read_config(const char *yaml)
{
	ck_assert_int_eq(
		config_parse(text_of(yaml), "/etc/p/picket.yaml", &problems, &config, NULL), OK);
}

#define GOOD_SOURCE "kafka: {bootstrap_servers: b:9092, topics: [logs]}\n"
#define GOOD_RULES  "rules: {paths: [r]}\n"
#define GOOD        GOOD_SOURCE GOOD_RULES

START_TEST(test_defaults)
{
	read_config(GOOD);
	ck_assert_uint_eq(problems.count, 0);
	ck_assert_str_eq(config.data_dir, "/var/lib/picket");
	ck_assert_str_eq(config.kafka_start, "latest");
	ck_assert_str_eq(config.api_listen, "127.0.0.1:9470");
	ck_assert_str_eq(config.api_socket, "/var/lib/picket/picket.sock");
	ck_assert_str_eq(config.kafka_group, "");
	ck_assert_int_eq(config.lateness_us, 10000000);
	ck_assert_int_eq(config.epoch_us, 100000);
	ck_assert_int_eq(config.memory_bytes, 256 << 20);
	ck_assert_int_eq(config.rules_on_refused, ON_REFUSED_FAIL);
	ck_assert_int_eq(config.time_trusted, 0);
	ck_assert_str_eq(config.rule_paths.items[0], "/etc/p/r");
}
END_TEST

START_TEST(test_everything_given)
{
	read_config(
		"data_dir: data\nmemory: 64MiB\n"
		"kafka:\n  bootstrap_servers: a:1,b:2\n  group_id: g\n  topics: [\"^logs-.*\", x]\n"
		"  start: -7d\n  stalled_after: 30s\n"
		"  librdkafka: {security.protocol: SASL_SSL, socket.timeout.ms: 5000}\n"
		"rules: {paths: [/abs, rel/x], on_refused: skip}\n"
		"workers: 4\nactors: 2\nepoch: 50ms\ncheckpoint: 5s\nlateness: 1m\n"
		"api: {listen: \"[::1]:1\", socket: s.sock}\n"
		"time: {trusted: true, future_max: 1h, past_max: 30d}\nlog: {format: json}\n");
	ck_assert_msg(problems.count == 0, "%s", problems.items[0].text);
	ck_assert_str_eq(config.data_dir, "/etc/p/data");
	ck_assert_str_eq(config.api_socket, "/etc/p/s.sock");
	ck_assert_uint_eq(config.kafka_topics.count, 2);
	ck_assert_str_eq(config.kafka_topics.items[0], "^logs-.*");
	ck_assert_uint_eq(config.kafka_properties.count, 2);
	ck_assert(text_equal(config.kafka_properties.items[1].value, TEXT("5000")));
	ck_assert_str_eq(config.rule_paths.items[0], "/abs");
	ck_assert_int_eq(config.worker_count, 4);
	ck_assert_int_eq(config.epoch_us, 50000);
	ck_assert_int_eq(config.time_trusted, 1);
	ck_assert_int_eq(config.log_format, LOG_JSON);
	ck_assert_int_eq(config.rules_on_refused, ON_REFUSED_SKIP);
}
END_TEST

/* Each is wrong in one place; the first problem must name it. */
static const struct {
	const char *yaml;
	unsigned line, column;
	const char *words;
} broken[] = {
	{"kafak: {topics: [x]}\n", 1, 1, "did you mean \"kafka\"?"},
	{GOOD "kafka2: 1\n", 3, 1, "did you mean \"kafka\"?"},
	{GOOD "zebra: 1\n", 3, 1, "unknown key \"zebra\"; the keys are in docs/CONFIG.md"},
	{"kafka:\n  topic: [x]\n", 2, 3, "did you mean \"kafka.topics\"?"},
	{GOOD "api:\n  listn: off\n", 4, 3, "did you mean \"api.listen\"?"},
	{GOOD "workers: two\n", 3, 10, "\"two\" is not a number"},
	{GOOD "workers: -1\n", 3, 10, "\"-1\" is not a number"},
	{GOOD "workers: 65\n", 3, 10, "65 is outside 0 to 64"},
	{GOOD "workers: 1.5\n", 3, 10, "is not a number"},
	{GOOD "workers: 1KiB\n", 3, 10, "is not a number"},
	{GOOD "workers:\n", 3, 9, "needs one value"},
	{GOOD "workers: [1]\n", 3, 10, "needs one value"},
	{GOOD "actors: 0\n", 3, 9, "0 is outside 1 to 64"},
	{GOOD "lateness: 10\n", 3, 11, "write one with its unit"},
	{GOOD "lateness: 10 s\n", 3, 11, "\"10 s\" is not a duration"},
	{GOOD "epoch: 1ms\n", 3, 8, "1ms is outside 10000 to 10000000 microseconds"},
	{GOOD "memory: 256MB\n", 3, 9, "write 64KiB, 256MiB or 2GiB"},
	{GOOD "memory: 1MiB\n", 3, 9, "1MiB is outside"},
	{GOOD "memory: 99999999999999999999GiB\n", 3, 9, "is not a size"},
	{GOOD "time: {trusted: yes}\n", 3, 17, "\"yes\" is neither true nor false"},
	{GOOD "time: now\n", 3, 7, "holds further keys"},
	{GOOD "log: {format: jsn}\n", 3, 15, "did you mean \"json\"?"},
	{GOOD "log: {format: xml}\n", 3, 15, "none of: logfmt json"},
	{GOOD "api: {listen: localhost}\n", 3, 15, "is not an address"},
	{GOOD "api: {listen: \"example.org:80\"}\n", 3, 15, "numbers, not host names"},
	{GOOD "api: {listen: \"127.0.0.1:70000\"}\n", 3, 15, "is not an address"},
	{GOOD "api: {listen: \"0.0.0.0:9470\"}\n", 3, 15, "set api.token_file"},
	{GOOD "api: {tls_key_file: k}\n", 3, 21, "belong together"},
	{"kafka: {bootstrap_servers: b, topics: logs}\n" GOOD_RULES, 1, 39, "write topics: [logs]"},
	{"kafka: {bootstrap_servers: b, topics: [[x]]}\n" GOOD_RULES, 1, 40, "must be a text"},
	{"kafka: {bootstrap_servers: b, topics: [x], start: 7d}\n" GOOD_RULES, 1, 51,
	 "write latest, earliest or a duration back such as -7d"},
	{"kafka: {bootstrap_servers: b}\n" GOOD_RULES, 1, 28, "kafka.topics is missing"},
	{"kafka: {bootstrap_servers: b, topics: [x], librdkafka: [a]}\n" GOOD_RULES, 1, 56,
	 "map of names and values"},
	{"kafka: {bootstrap_servers: b, topics: [x], librdkafka: {sasl.password: secret}}\n" GOOD_RULES,
	 1, 57, "sasl.password_file: PATH"},
	{"kafka: {bootstrap_servers: b, topics: [x], librdkafka: {sasl.password_file: "
	 "/nowhere}}\n" GOOD_RULES,
	 1, 77, "cannot read the secret in /nowhere"},
	{GOOD "files: [a]\n", 3, 8, "a daemon has one source"},
	{GOOD_RULES, 1, 1, "nothing to read"},
	{GOOD_SOURCE, 1, 1, "rules.paths is missing"},
	{GOOD "workers: 1\nworkers: 2\n", 4, 1, "workers"},
	{"[a]\n", 1, 1, "not a map of keys"},
	{"a: 1\n---\nb: 2\n", 1, 1, "2 YAML documents"},
	{"kafka: {topics: [x\n", 2, 1, ""},
	{"\tkafka: 1\n", 1, 1, ""},
};

START_TEST(test_broken)
{
	read_config(broken[_i].yaml);
	ck_assert_msg(problems.count > 0, "no problem in: %s", broken[_i].yaml);
	const struct error *first = &problems.items[0];
	ck_assert_msg(strstr(first->text, broken[_i].words) != NULL,
		      "%s\n%u:%u: \"%s\" lacks \"%s\"", broken[_i].yaml, first->line, first->column,
		      first->text, broken[_i].words);
	ck_assert_msg(first->line == broken[_i].line && first->column == broken[_i].column,
		      "%s\n%s: at %u:%u instead of %u:%u", broken[_i].yaml, first->text,
		      first->line, first->column, broken[_i].line, broken[_i].column);
	ck_assert_str_eq(first->file, "/etc/p/picket.yaml");
}
END_TEST

START_TEST(test_all_problems_are_told)
{
	read_config("workers: x\nactors: y\nkafak: 1\nlog: {format: q}\n");
	ck_assert_uint_eq(problems.count, 4);
}
END_TEST

START_TEST(test_too_many_problems_are_counted)
{
	struct bytes yaml = {0};
	char line[32];
	for (int i = 0; i < CONFIG_PROBLEMS_MAX + 7; i++) {
		int size = snprintf(line, sizeof line, "unknown%d: 1\n", i);
		bytes_put(&yaml, line, (size_t)size);
	}
	bytes_put_u8(&yaml, 0);
	read_config((const char *)yaml.data);
	ck_assert_uint_eq(problems.count, CONFIG_PROBLEMS_MAX);
	ck_assert_uint_eq(problems.cut, 7);
	bytes_done(&yaml);
}
END_TEST

START_TEST(test_secret_comes_from_its_file)
{
	char path[] = "/tmp/picket-test-secret-XXXXXX";
	char yaml[512];
	int file = mkstemp(path);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(write(file, "s3cret\r\n", 8), 8);
	close(file);
	snprintf(yaml, sizeof yaml,
		 "kafka: {bootstrap_servers: b, topics: [x], librdkafka: {sasl.password_file: "
		 "%s}}\n" GOOD_RULES,
		 path);
	read_config(yaml);
	unlink(path);
	ck_assert_msg(problems.count == 0, "%s", problems.items[0].text);
	ck_assert(text_equal(config.kafka_properties.items[0].name, TEXT("sasl.password")));
	ck_assert(text_equal(config.kafka_properties.items[0].value, TEXT("s3cret")));
}
END_TEST

START_TEST(test_socket_path_too_long)
{
	char yaml[512];
	char folder[200];
	memset(folder, 'x', sizeof folder);
	folder[sizeof folder - 1] = '\0';
	snprintf(yaml, sizeof yaml, GOOD "data_dir: /%s\n", folder);
	read_config(yaml);
	ck_assert_uint_eq(problems.count, 1);
	ck_assert_ptr_nonnull(strstr(problems.items[0].text, "set api.socket"));
}
END_TEST

START_TEST(test_missing_file)
{
	ck_assert_int_eq(config_load("/nowhere/picket.yaml", &problems, &config, NULL), OK);
	ck_assert_uint_ge(problems.count, 1);
	ck_assert_ptr_nonnull(strstr(problems.items[0].text, "cannot read the configuration"));
}
END_TEST

START_TEST(test_values)
{
	struct listen_address address;
	int64_t number = 0;
	ck_assert(listen_parse(TEXT("off"), &address) && address.off);
	ck_assert(listen_parse(TEXT("localhost:80"), &address) && address.loopback);
	ck_assert(listen_parse(TEXT("127.9.9.9:80"), &address) && address.loopback);
	ck_assert(listen_parse(TEXT("[::]:80"), &address) && !address.loopback);
	ck_assert(!listen_parse(TEXT("::1:80"), &address));
	ck_assert(!listen_parse(TEXT(""), &address));
	ck_assert(!listen_parse(TEXT(":80"), &address));
	ck_assert(start_parse(TEXT("earliest"), &number) && number == -1);
	ck_assert(start_parse(TEXT("-1h"), &number) && number == 3600000000);
	ck_assert(!start_parse(TEXT("-"), &number));
	ck_assert(!start_parse(TEXT("-0s"), &number));
	ck_assert(size_parse(TEXT("2GiB"), &number) && number == 2147483648);
	ck_assert(!size_parse(TEXT("KiB"), &number));
	ck_assert(!size_parse(TEXT("9223372036854775807KiB"), &number));
}
END_TEST

START_TEST(test_page_is_what_the_table_says)
{
	struct bytes page = {0};
	FILE *file = fopen(PICKET_SOURCE_DIR "/docs/CONFIG.md", "r");
	ck_assert_msg(file != NULL, "docs/CONFIG.md is missing");
	config_document(&page);
	char *text = malloc(page.size + 2);
	ck_assert_ptr_nonnull(text);
	size_t size = fread(text, 1, page.size + 1, file);
	fclose(file);
	ck_assert_msg(size == page.size && memcmp(text, page.data, size) == 0,
		      "write it again: picket check --config-docs > docs/CONFIG.md");
	free(text);
	bytes_done(&page);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *all = tcase_create("all");
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, test_defaults);
	tcase_add_test(all, test_everything_given);
	tcase_add_loop_test(all, test_broken, 0, sizeof broken / sizeof *broken);
	tcase_add_test(all, test_all_problems_are_told);
	tcase_add_test(all, test_too_many_problems_are_counted);
	tcase_add_test(all, test_secret_comes_from_its_file);
	tcase_add_test(all, test_socket_path_too_long);
	tcase_add_test(all, test_missing_file);
	tcase_add_test(all, test_values);
	tcase_add_test(all, test_page_is_what_the_table_says);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
