/* Syslog lines (RFC 5424, RFC 3164): the grammars, its edges, and what an attacker may write into a
 * line. */
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

static const char full[] =
	"<165>1 2003-10-11T22:14:15.003Z host app 8710 ID47 "
	"[a@1 iut=\"3\" text=\"q\\\" b\\\\ c\\] d\\n\"][empty@1] \xef\xbb\xbfsaid {\"x\":1}";

START_TEST(a_whole_line)
{
	const struct event *event = decoding_one(&decoding, full);
	ck_assert_str_eq(decoding.records[0].format, "syslog");
	CHECK_FIELD(event, "log.syslog.structured_data.a@1.iut", "3");
	CHECK_FIELD(event, "log.syslog.structured_data.a@1.text", "q\" b\\ c] d\\n");
	CHECK_FIELD(event, "message", "said {\"x\":1}");
	CHECK_FIELD(event, "log.syslog.facility.code", "20");
	CHECK_FIELD(event, "log.level", "notice");
	CHECK_FIELD(event, "x", "-");
	ck_assert_str_eq(time_of(event->time_us), "2003-10-11T22:14:15.003Z");
}
END_TEST

/* Every beginning of the line is read as what it is, or not as syslog at all. */
START_TEST(every_truncation)
{
	for (size_t size = 1; size < sizeof full - 1; size++) {
		decoding_feed(&decoding, (struct text){full, size});
		ck_assert_uint_eq(decoding.count, 1);
		const struct decoded *record = &decoding.records[0];
		bool whole = size >= strlen("<165>1 2003-10-11T22:14:15.003Z host app 8710 ID47 "
					    "[a@1 iut=\"3\" text=\"q\\\" b\\\\ c\\] d\\n\"]");
		if (record->why == ACCEPTED)
			ck_assert_msg(whole, "%.*s", (int)size, full);
	}
}
END_TEST

START_TEST(what_is_no_syslog)
{
	static const char *const lines[] = {"<192>1 - - - - - -",
					    "<>1 - - - - - -",
					    "<1>2 - - - - - -",
					    "<0001>1 - - - - - -",
					    "<1>1  - - - - -",
					    "<1>1 - - - - -",
					    "<1>1 - - - - - [a@1 b=\"c\"",
					    "<1>1 - - - - - [] x",
					    "<1>1 - - - - - [a@1 b=c]",
					    "<1>1 - - - - - x",
					    "<34>Oct 11 host app:",
					    "<script>alert(1)</script>"};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		decoding_feed(&decoding, text_of(lines[i]));
		ck_assert_msg(decoding.accepted == 0, "%s", lines[i]);
		ck_assert_int_eq(decoding.records[0].why, REJECT_NOT_JSON);
	}
	decoding_feed(&decoding, TEXT("<1>1 - - - - - - \xff"));
	ck_assert_int_eq(decoding.records[0].why, REJECT_NOT_UTF8);
}
END_TEST

/* Of one record time, 2026-11-22T00:00:00Z. */
static const struct {
	const char *line, *time, *host, *app, *process, *message;
} older[] = {
	{"<34>Nov 21 22:14:15 web su: hello", "2026-11-21T22:14:15Z", "web", "su", "-", "hello"},
	{"<34>Nov  1 22:14:15 web su[7]: hello", "2026-11-01T22:14:15Z", "web", "su", "7", "hello"},
	{"<34>Jan  2 00:00:00 web su[7]:", "2027-01-02T00:00:00Z", "web", "su", "7", ""},
	{"<34>May 30 00:00:00 web a: x", "2026-05-30T00:00:00Z", "web", "a", "-", "x"},
	{"<34>May 20 00:00:00 web a: x", "2027-05-20T00:00:00Z", "web", "a", "-", "x"},
	{"<34>2026-11-21T23:00:00.5+01:00 web a: x", "2026-11-21T22:00:00.5Z", "web", "a", "-",
	 "x"},
	{"Nov 21 22:14:15 web sshd(pam_unix)[9]: x: y", "2026-11-21T22:14:15Z", "web",
	 "sshd(pam_unix)", "9", "x: y"},
	{"Nov 21 22:14:15 web last message repeated 2 times", "2026-11-21T22:14:15Z", "web", "-",
	 "-", "last message repeated 2 times"},
	{"Nov 21 22:14:15 web syslogd 1.4.1: restart.", "2026-11-21T22:14:15Z", "web", "-", "-",
	 "syslogd 1.4.1: restart."},
	{"Nov 21 22:14:15 web a[1 2]: x", "2026-11-21T22:14:15Z", "web", "-", "-", "a[1 2]: x"},
	{"Nov 21 22:14:15 web a[1: x", "2026-11-21T22:14:15Z", "web", "-", "-", "a[1: x"},
	{"Nov 21 22:14:15 web a: <0>1 - forged b - - - x", "2026-11-21T22:14:15Z", "web", "a", "-",
	 "<0>1 - forged b - - - x"},
};

START_TEST(an_older_line)
{
	const struct event *event = decoding_one(&decoding, older[_i].line);
	ck_assert_str_eq(decoding.records[0].format, "syslog");
	ck_assert_str_eq(time_of(event->time_us), older[_i].time);
	CHECK_FIELD(event, "host.name", older[_i].host);
	CHECK_FIELD(event, "process.name", older[_i].app);
	CHECK_FIELD(event, "process.pid", older[_i].process);
	CHECK_FIELD(event, "message", older[_i].message);
	CHECK_FIELD(event, "log.syslog.priority", older[_i].line[0] == '<' ? "34" : "-");
}
END_TEST

START_TEST(an_older_lines_zone_is_given_and_its_json_is_the_record)
{
	struct error err = {0};
	const struct decoder_options options = {.time_trusted = true,
						.syslog_zone = TEXT("+02:00")};
	decoder_free(&decoding.decoder);
	ck_assert_int_eq(decoder_new(&options, &decoding.decoder, &err), OK);
	const struct event *event = decoding_one(&decoding, "<13>Nov 21 01:00:00 web a: x");
	ck_assert_str_eq(time_of(event->time_us), "2026-11-20T23:00:00Z");
	event = decoding_one(&decoding, "<13>Nov 21 01:00:00 web a: {\"user.id\":\"u1\"}");
	CHECK_FIELD(event, "user.id", "u1");
	CHECK_FIELD(event, "host.name", "web");
	ck_assert_str_eq(time_of(event->time_us), "2026-11-20T23:00:00Z");
}
END_TEST

START_TEST(what_is_no_older_line)
{
	static const char *const lines[] = {"Nov 21 22:14:15",
					    "Nov 21 22:14:15 ",
					    "Nov 21 22:14:15 web",
					    "Nov 31 22:14:15 web a: x",
					    "Nov 21 24:14:15 web a: x",
					    "Nov 21 2:14:15 web a: x",
					    "Nov 0 22:14:15 web a: x",
					    "Nox 21 22:14:15 web a: x",
					    "ovD 21 22:14:15 web a: x",
					    "nov 21 22:14:15 web a: x",
					    "Nov 21  22:14:15 web a: x",
					    "<34>Nov 21 22:14:15  a: x",
					    "<34> Nov 21 22:14:15 w a: x",
					    "2026-11-21T22:14:15Z INFO main: x",
					    "<34>yesterday web a: x",
					    "<34>Feb 30 22:14:15 web a: x"};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		decoding_feed(&decoding, text_of(lines[i]));
		ck_assert_msg(decoding.accepted == 0, "%s", lines[i]);
		ck_assert_int_eq(decoding.records[0].why, REJECT_NOT_JSON);
	}
	decoding_feed(&decoding, TEXT("Nov 21 22:14:15 web a: \xff"));
	ck_assert_int_eq(decoding.records[0].why, REJECT_NOT_UTF8);
}
END_TEST

START_TEST(a11_a_header_in_a_message_is_text)
{
	const struct event *event = decoding_one(
		&decoding, "{\"message\":\"<14>1 - forged app - - - x\",\"user.id\":\"u1\"}");
	CHECK_FIELD(event, "host.name", "-");
	CHECK_FIELD(event, "user.id", "u1");
	event = decoding_one(&decoding, "<14>1 - right app - - - a\n<14>1 - forged app - - - b");
	CHECK_FIELD(event, "host.name", "right");
	CHECK_FIELD(event, "message", "a\n<14>1 - forged app - - - b");
}
END_TEST

START_TEST(provenance_cannot_be_claimed_by_structured_data)
{
	const struct event *event = decoding_one(
		&decoding,
		"<14>1 - h a - - - {\"picket.bound.tenant\":\"x\",\"tenant.id\":\"own\"}");
	CHECK_FIELD(event, "picket.bound.tenant", "-");
	CHECK_FIELD(event, "tenant.id", "own");
	ck_assert_uint_ne(event->quality & QUALITY_PROVENANCE, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("syslog");
	TCase *tests = tcase_create("syslog");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a_whole_line);
	tcase_add_test(tests, every_truncation);
	tcase_add_test(tests, what_is_no_syslog);
	tcase_add_loop_test(tests, an_older_line, 0, (int)(sizeof older / sizeof *older));
	tcase_add_test(tests, an_older_lines_zone_is_given_and_its_json_is_the_record);
	tcase_add_test(tests, what_is_no_older_line);
	tcase_add_test(tests, a11_a_header_in_a_message_is_text);
	tcase_add_test(tests, provenance_cannot_be_claimed_by_structured_data);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
