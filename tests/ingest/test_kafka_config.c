/* Settings of the Kafka source: which are refused and why, secrets from files, broken topics. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/source.h"

static void check_property(const char *name, const char *value, const char *words)
{
	struct text topics[] = {TEXT("logs-a")};
	struct kafka_property property = {text_of(name), text_of(value)};
	struct kafka_options options = {.bootstrap_servers = "127.0.0.1:1",
					.topics = topics,
					.topic_count = 1,
					.properties = &property,
					.property_count = 1};
	struct error err = {0};
	enum status status = kafka_options_check(&options, &err);
	if (words == NULL) {
		ck_assert_msg(status == OK, "%s: %s", name, err.text);
		return;
	}
	ck_assert_msg(status == EINVALID, "%s was accepted", name);
	ck_assert_msg(strstr(err.text, words) != NULL && strstr(err.text, name) != NULL, "%s: %s",
		      name, err.text);
}

START_TEST(settings_our_promises_need_are_refused)
{
	check_property("enable.auto.commit", "true", "nothing lost");
	check_property("auto.offset.reset", "latest", "never skipped silently");
	check_property("check.crcs", "false", "damaged");
	check_property("group.instance.id", "x", "assigned by picket");
	check_property("isolation.level", "read_uncommitted", "aborted");
	check_property("statistics.interval.ms", "0", "silence is never a pass");
	check_property("plugin.library.paths", "evil", "foreign code");
	check_property("bootstrap.servers", "x", "kafka.bootstrap_servers");
	check_property("no.such.thing", "1", "No such");
	check_property("fetch.message.max.bytes", "many", "");
	check_property("sasl.password.file", "/nowhere/secret", "cannot be read");
	check_property("fetch.message.max.bytes", "2000000", NULL);
	check_property("security.protocol", "plaintext", NULL);
	struct text broken[] = {TEXT("^logs-(")};
	struct kafka_options options = {
		.bootstrap_servers = "x:1", .topics = broken, .topic_count = 1};
	struct error err = {0};
	ck_assert_int_eq(kafka_options_check(&options, &err), EINVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "^logs-("));
	options.topic_count = 0;
	ck_assert_int_eq(kafka_options_check(&options, &err), EINVALID);
	options.bootstrap_servers = "";
	ck_assert_int_eq(kafka_options_check(&options, &err), EINVALID);
}
END_TEST

START_TEST(secret_comes_from_a_file)
{
	const char *path = "/tmp/picket-test-kafka-config.tmp";
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	(void)fputs("hunter2\n", file);
	(void)fclose(file);
	check_property("sasl.password.file", path, NULL);
	file = fopen(path, "w");
	(void)fclose(file);
	check_property("sasl.password.file", path, "is empty");
	(void)remove(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kafka_config");
	TCase *cases = tcase_create("all");
	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, settings_our_promises_need_are_refused);
	tcase_add_test(cases, secret_comes_from_a_file);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
