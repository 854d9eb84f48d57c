/* Lists: every format, one form for what is one thing, expiry by event time, broken files. */
#include "ingest/watch.h"

#include <sys/stat.h>
#include <unistd.h>

#include "decoding.h"

enum { DAY_S = 86400 };

static char folder[] = "/tmp/picket-watch-XXXXXX";
static struct watch *watch;
static char hits[1024];

static const char *put(const char *name, const char *content)
{
	static char path[256];
	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "wb");
	ck_assert_ptr_nonnull(file);
	(void)fputs(content, file);
	ck_assert_int_eq(fclose(file), 0);
	return path;
}

static void add(const char *path, bool threat)
{
	struct error err = {0};
	enum status status = watch_add(watch, path, threat, (int64_t)DAY_S * 1000000, &err);
	ck_assert_msg(status == OK, "%s:%u: %s", err.file, err.line, err.text);
}

static void seal(void)
{
	struct error err = {0};
	ck_assert_int_eq(watch_seal(watch, &err), OK);
}

static void setup(void)
{
	struct error err = {0};
	ck_assert_int_eq(watch_new(&watch, &err), OK);
}

static void teardown(void)
{
	watch_free(&watch);
}

static void on_hit(void *context, const struct watch_list *list, struct text entry)
{
	size_t size = strlen(hits);
	(void)context;
	(void)entry;
	(void)snprintf(hits + size, sizeof hits - size, "%s%.*s", size == 0 ? "" : " ",
		       TEXT_ARG(list->name));
}

static const char *find_at(const char *value, int64_t time_us)
{
	char buffer[INDICATOR_BYTES_MAX];
	struct indicator found = indicator_read(text_of(value), buffer);
	hits[0] = '\0';
	if (found.kind == INDICATOR_NETWORK)
		watch_find_address(watch, &found.network, time_us, on_hit, NULL);
	else if (found.kind == INDICATOR_TEXT)
		watch_find_text(watch, found.text, time_us, on_hit, NULL);
	return hits;
}

static const char *find(const char *value)
{
	return find_at(value, 0);
}

START_TEST(plain_lists_of_all_kinds)
{
	add(put("drop.txt", "; Spamhaus\n1.10.16.0/20 ; SBL256894\r\n2001:db8::/32\n\n# end\n"),
	    true);
	add(put("hosts", "127.0.0.1 evil.com # ads\n0.0.0.0\tBad.Example.\n9.9.9.9\n"), true);
	add(put("mixed.list", "hxxp://evil[.]com/a/B?x=1\n1.2.3.4:443\n[2001:db9::1]:80\n"
			      "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\n"),
	    true);
	seal();
	ck_assert_str_eq(find("1.10.31.255"), "drop");
	ck_assert_str_eq(find("1.10.32.0"), "");
	ck_assert_str_eq(find("::ffff:1.10.16.1"), "drop");
	ck_assert_str_eq(find("2001:db8:1::9"), "drop");
	ck_assert_str_eq(find("EVIL.com."), "hosts");
	ck_assert_str_eq(find("bad.example"), "hosts");
	ck_assert_str_eq(find("127.0.0.1"), "");
	ck_assert_str_eq(find("9.9.9.9"), "hosts");
	ck_assert_str_eq(find("https://evil.com/a/B?x=1"), "mixed");
	ck_assert_str_eq(find("https://evil.com/a/b?x=1"), ""); /* a path has case */
	ck_assert_str_eq(find("1.2.3.4"), "mixed");
	ck_assert_str_eq(find("2001:db9::1"), "mixed");
	ck_assert_str_eq(find("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
			 "mixed");
}
END_TEST

START_TEST(csv_with_headers_comments_and_quotes)
{
	add(put("feodo.csv", "# Feodo tracker\n# \"first_seen_utc\",\"dst_ip\",\"dst_port\"\n"
			     "\"2026-11-21 10:00:00\",\"198.51.100.7\",\"443\"\n"),
	    true);
	add(put("own.csv", "description,indicator,valid_until\n"
			   "\"a, \"\"quoted\"\"\nname\",203.0.113.0/24,2026-11-23T00:00:00Z\n"
			   "old,192.0.2.1,2026-11-01\n"),
	    true);
	add(put("semi.csv", "evil.org;1\nbad.org;2\n"), true);
	seal();
	const int64_t day_us = (int64_t)DAY_S * 1000000;
	ck_assert_str_eq(find_at("198.51.100.7", RECORD_TIME_US), "feodo");
	ck_assert_str_eq(find_at("198.51.100.7", RECORD_TIME_US + day_us), "");
	ck_assert_str_eq(find_at("203.0.113.99", RECORD_TIME_US + day_us - 1), "own");
	ck_assert_str_eq(find_at("203.0.113.99", RECORD_TIME_US + day_us), "");
	ck_assert_str_eq(find_at("evil.org", RECORD_TIME_US), "semi");
	ck_assert_str_eq(find_at("bad.org", RECORD_TIME_US), "semi");
}
END_TEST

/* Both found by fuzzing. A zero byte separates nothing. */
START_TEST(csv_of_empty_quotes_and_of_a_zero_byte)
{
	static const char bytes[] = "name\0,indicator\nx,evil.org\n";
	add(put("quotes.csv", "\"\"\nevil.net,1\n"), true);
	const char *path = put("zero.csv", "");
	FILE *file = fopen(path, "wb");
	ck_assert_uint_eq(fwrite(bytes, 1, sizeof bytes - 1, file), sizeof bytes - 1);
	ck_assert_int_eq(fclose(file), 0);
	add(path, true);
	seal();
	ck_assert_str_eq(find("evil.net"), "quotes");
	ck_assert_str_eq(find("evil.org"), "zero");
}
END_TEST

static const char uuid[] = "5d1b4a3c-0000-4000-8000-0123456789ab";

static const char *misp(const char *event)
{
	static char path[300];
	char name[300];
	char manifest[200];
	(void)snprintf(path, sizeof path, "%s/feed", folder);
	(void)mkdir(path, 0700);
	(void)snprintf(name, sizeof name, "feed/%s.json", uuid);
	(void)put(name, event);
	(void)snprintf(manifest, sizeof manifest, "{\"%s\":{\"info\":\"x\"}}", uuid);
	(void)put("feed/manifest.json", manifest);
	return path;
}

START_TEST(a_misp_feed)
{
	add(misp("{\"Event\":{\"Attribute\":["
		 "{\"type\":\"ip-dst|port\",\"value\":\"198.51.100.9|8080\",\"to_ids\":true,"
		 "\"timestamp\":\"1795305600\"},"
		 "{\"type\":\"domain\",\"value\":\"Evil.net\",\"to_ids\":true},"
		 "{\"type\":\"domain\",\"value\":\"good.net\",\"to_ids\":false},"
		 "{\"type\":\"domain\",\"value\":\"gone.net\",\"to_ids\":true,\"deleted\":true},"
		 "{\"type\":\"comment\",\"value\":\"text\",\"to_ids\":true}],"
		 "\"Object\":[{\"Attribute\":[{\"type\":\"filename|md5\","
		 "\"value\":\"a.exe|d41d8cd98f00b204e9800998ecf8427e\",\"to_ids\":true}]}]}}"),
	    true);
	seal();
	ck_assert_uint_eq(watch_list(watch, 0)->entries, 3);
	ck_assert_str_eq(find_at("198.51.100.9", RECORD_TIME_US), "feed");
	ck_assert_str_eq(find_at("198.51.100.9", RECORD_TIME_US + (int64_t)DAY_S * 1000000), "");
	ck_assert_str_eq(find("evil.net"), "feed");
	ck_assert_str_eq(find("good.net"), "");
	ck_assert_str_eq(find("gone.net"), "");
	ck_assert_str_eq(find("d41d8cd98f00b204e9800998ecf8427e"), "feed");
}
END_TEST

START_TEST(a_value_on_several_lists)
{
	add(put("one.txt", "192.0.2.0/24\n192.0.2.7\n192.0.2.7\n"), true);
	add(put("two.txt", "192.0.2.7\n"), true);
	add(put("office.txt", "192.0.2.0/25\n"), false);
	seal();
	find("192.0.2.7");
	ck_assert_ptr_nonnull(strstr(hits, "one"));
	ck_assert_ptr_nonnull(strstr(hits, "two"));
	ck_assert_ptr_nonnull(strstr(hits, "office"));
	ck_assert_str_eq(find("192.0.2.200"), "one");
}
END_TEST

START_TEST(networks_of_ones_own_never_expire)
{
	add(put("office.txt", "10.0.0.0/8\n"), false);
	add(put("threat.txt", "10.0.0.1\n"), true);
	seal();
	ck_assert_str_eq(find_at("10.0.0.1", INT64_MAX - 1), "office");
}
END_TEST

START_TEST(the_version_follows_the_content)
{
	add(put("a.txt", "192.0.2.1\n"), false);
	add(put("b.txt", "192.0.2.1\n"), false);
	add(put("c.txt", "192.0.2.2\n"), false);
	const char *versions[3];
	for (size_t i = 0; i < 3; i++) {
		versions[i] = watch_list(watch, i)->version.data;
		ck_assert_int_eq(versions[i][1], '@');
	}
	ck_assert_str_eq(versions[0] + 1, versions[1] + 1);
	ck_assert_str_ne(versions[0] + 1, versions[2] + 1);
}
END_TEST

START_TEST(bad_entries_are_skipped_and_counted)
{
	add(put("net.txt", "10.0.0.0/8\nevil.com\n10.0.0.0/99\n::/0\n"), false);
	ck_assert_uint_eq(watch_list(watch, 0)->entries, 1);
	ck_assert_uint_eq(watch_list(watch, 0)->skipped, 3);
}
END_TEST

START_TEST(a_list_without_a_good_entry_is_refused)
{
	struct error err = {0};
	ck_assert_int_eq(watch_add(watch, put("n.txt", "# x\nnonsense\n"), false, 0, &err),
			 EINVALID);
	ck_assert_uint_eq(err.line, 2);
	ck_assert_ptr_nonnull(strstr(err.file, "/n.txt"));
	ck_assert_int_eq(watch_add(watch, put("e.csv", ""), true, 0, &err), EINVALID);
	ck_assert_int_eq(watch_add(watch, "/nowhere", true, 0, &err), ENOTFOUND);
	ck_assert_int_eq(watch_add(watch, folder, true, 0, &err), ENOTFOUND); /* no manifest */
	ck_assert_int_eq(watch_add(watch, misp("{\"Event\":"), true, 0, &err), EINVALID);
	(void)put("feed/manifest.json", "{\"../../etc/passwd\":{}}");
	char path[300];
	(void)snprintf(path, sizeof path, "%s/feed", folder);
	ck_assert_int_eq(watch_add(watch, path, true, 0, &err), EINVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "no UUID"));
	ck_assert_uint_eq(watch_list_count(watch), 0);
}
END_TEST

/* Against a list that is walked: 20,000 networks and addresses, 20,000 questions. */
START_TEST(the_answer_is_that_of_a_plain_search)
{
	enum { NETWORKS = 2000, QUESTIONS = 20000 };
	static struct cidr networks[NETWORKS];
	struct bytes content cleanup(bytes_done) = {0};
	uint64_t state = 88172645463325252;
	char line[64];
	for (int i = 0; i < NETWORKS; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		(void)snprintf(line, sizeof line, "10.%u.%u.%u/%u", (unsigned)(state % 4),
			       (unsigned)(state >> 8) % 256, (unsigned)(state >> 16) % 256,
			       16 + (unsigned)(state >> 24) % 17);
		ck_assert(cidr_parse(text_of(line), &networks[i]));
		bytes_put(&content, line, strlen(line));
		bytes_put_u8(&content, '\n');
	}
	bytes_put_u8(&content, 0);
	add(put("many.txt", (const char *)content.data), true);
	seal();
	unsigned found = 0;
	for (int i = 0; i < QUESTIONS; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		struct cidr asked;
		bool expected = false;
		(void)snprintf(line, sizeof line, "10.%u.%u.%u", (unsigned)(state % 8),
			       (unsigned)(state >> 8) % 256, (unsigned)(state >> 16) % 256);
		ck_assert(cidr_parse(text_of(line), &asked));
		for (int k = 0; k < NETWORKS && !expected; k++)
			expected = cidr_contains(&networks[k], &asked);
		ck_assert_int_eq(find(line)[0] != '\0', expected);
		found += expected;
	}
	ck_assert_uint_gt(found, 100);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("watch");
	TCase *tests = tcase_create("watch");
	char command[64];
	if (mkdtemp(folder) == NULL)
		return EXIT_FAILURE;
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, plain_lists_of_all_kinds);
	tcase_add_test(tests, csv_with_headers_comments_and_quotes);
	tcase_add_test(tests, csv_of_empty_quotes_and_of_a_zero_byte);
	tcase_add_test(tests, a_misp_feed);
	tcase_add_test(tests, a_value_on_several_lists);
	tcase_add_test(tests, networks_of_ones_own_never_expire);
	tcase_add_test(tests, the_version_follows_the_content);
	tcase_add_test(tests, bad_entries_are_skipped_and_counted);
	tcase_add_test(tests, a_list_without_a_good_entry_is_refused);
	tcase_add_test(tests, the_answer_is_that_of_a_plain_search);
	suite_add_tcase(suite, tests);
	int code = run_suite(suite);
	(void)snprintf(command, sizeof command, "rm -r %s", folder);
	return system(command) == 0 ? code : EXIT_FAILURE;
}
