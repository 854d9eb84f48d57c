/* Signals of security: what an event is read as, what is counted of it in any order and split, and
 * what is stored. */
#include "correlate/signal.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t SECOND_US = 1000000;
static const int64_t BASE_US = 1700000000LL * 1000000;
static const struct hash_key KEY = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static void add(struct event *event, struct arena *arena, const char *name, const char *value)
{
	struct value string = {.type = VALUE_STRING, .text = text_of(value)};
	ck_assert_int_eq(event_add(event, arena, text_of(name), string), OK);
}

/* "name=value|name=value"; http.response.status_code and others are texts, as raw JSON may have. */
static struct event event_of(const char *line, struct arena *arena)
{
	struct event event = {.time_us = BASE_US, .record_time_us = BASE_US};
	char *copy = (char *)arena_copy(arena, (struct text){line, strlen(line) + 1}).data;
	event.origin = (struct origin){TEXT("logs"), 0, 0, 7};
	for (char *pair = strsep(&copy, "|"); pair != NULL; pair = strsep(&copy, "|")) {
		char *value = pair;
		char *name = strsep(&value, "=");
		add(&event, arena, name, value);
	}
	return event;
}

/* All readings as "name face key; ...". */
static void is_read_as(const char *line, const char *wanted)
{
	static const char *const FACES[] = {"shown", "kept", "refused", "met"};
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct event event = event_of(line, arena);
	struct bytes keys cleanup(bytes_done) = {0};
	struct signal_readings readings;
	char got[2048] = "";
	ck_assert_int_eq(signals_read(&event, &keys, &readings), OK);
	for (size_t i = 0; i < readings.count; i++) {
		const struct signal_reading *one = &readings.items[i];
		size_t at = strlen(got);
		(void)snprintf(got + at, sizeof got - at, "%s%s %s %.*s", i == 0 ? "" : "; ",
			       signal_info(one->signal)->name, FACES[one->face],
			       TEXT_ARG(one->key));
	}
	ck_assert_msg(strcmp(got, wanted) == 0, "%s\n  is read as %s\n  instead of %s", line, got,
		      wanted);
}

#define REQUEST(status) \
	"http.request.method=POST|http.route=/refunds|http.response.status_code=" status

START_TEST(decisions_are_read)
{
	is_read_as(REQUEST("200") "|user.roles=viewer|user.roles=admin|user.roles=viewer|user.id=u",
		   "authz_allow shown admin,viewer POST /refunds; route shown POST /refunds; "
		   "unauthenticated kept POST /refunds");
	is_read_as(REQUEST("403") "|user.roles=viewer|user.id=u",
		   "authz_allow refused viewer POST /refunds; route shown POST /refunds");
	/* A denial in the event stands above its status; other failures decide nothing. */
	is_read_as(REQUEST("200") "|user.roles=viewer|event.type=denied|user.id=u",
		   "authz_allow refused viewer POST /refunds; route shown POST /refunds; "
		   "unauthenticated kept POST /refunds");
	is_read_as(REQUEST("500") "|user.roles=viewer|user.id=u", "route shown POST /refunds");
	is_read_as("event.type=allowed|event.action=delete|picket.resource.type=key|user.roles=ops",
		   "authz_allow shown ops delete key");
	is_read_as("event.type=allowed|user.roles=ops", "");
	is_read_as(REQUEST("404") "|user.id=u", "");
	/* Another tenant's data is a case of its own. */
	is_read_as(REQUEST("200") "|user.roles=viewer|tenant.id=a|target.tenant.id=b|user.id=u",
		   "authz_allow shown viewer POST /refunds (another tenant's); "
		   "tenant_breach shown viewer POST /refunds; route shown POST /refunds; "
		   "unauthenticated kept POST /refunds");
	is_read_as("event.action=read|event.outcome=success|tenant.id=a|target.tenant.id=a",
		   "tenant_breach kept read");
	is_read_as("event.action=read|event.outcome=failure|tenant.id=a|target.tenant.id=b", "");
}
END_TEST

START_TEST(strangers_are_read)
{
	is_read_as(REQUEST("204"),
		   "route shown POST /refunds; unauthenticated shown POST /refunds");
	is_read_as(REQUEST("401"),
		   "route shown POST /refunds; unauthenticated refused POST /refunds");
	is_read_as(REQUEST("302"), "route shown POST /refunds");
	is_read_as(REQUEST("401") "|user.name=u", "route shown POST /refunds");
	/* Without a route nothing can be compared. */
	is_read_as("http.request.method=GET|url.path=/x|http.response.status_code=200", "");
}
END_TEST

START_TEST(calls_are_read)
{
	is_read_as(
		"network.direction=outbound|destination.domain=API7.Stripe.com.|destination.port="
		"443|url.scheme=https",
		"destination shown api#.stripe.com:443; plaintext kept api#.stripe.com:443");
	is_read_as("span.kind=CLIENT|destination.ip=mail.example.org|destination.port=25",
		   "destination shown mail.example.org:25"); /* OpenTelemetry's server.address */
}
END_TEST

START_TEST(places_are_read)
{
	is_read_as("network.direction=egress|destination.ip=203.0.113.77|destination.port=25",
		   "destination shown 203.0.113.0/24:25");
	is_read_as("network.direction=outbound|destination.ip=2001:db8:7:8::1",
		   "destination shown 2001:db8:7::/48:*");
	is_read_as("network.direction=outbound|destination.ip=10.1.2.3|destination.port=5432",
		   "internal_destination shown 10.1.2.0/24:5432");
	is_read_as("network.direction=outbound|destination.domain=db.orders.svc",
		   "internal_destination shown db.orders.svc:*");
	is_read_as("network.direction=outbound|destination.domain=evil.example|destination.ip="
		   "10.0.0.1",
		   "internal_destination shown evil.example:*");
	is_read_as("service.target.name=payments|tls.established=false",
		   "edge shown payments; plaintext shown payments");
	is_read_as("service.target.name=payments|tls.version=1.0",
		   "edge shown payments; plaintext shown payments");
	is_read_as("service.target.name=payments|tls.version=1.3",
		   "edge shown payments; plaintext kept payments");
	/* The address of an incoming request is what the caller chose. */
	is_read_as("destination.domain=evil.example|destination.port=443", "");
	is_read_as("span.kind=server|destination.domain=evil.example", "");
}
END_TEST

START_TEST(logs_are_read)
{
	is_read_as("log.level=ERROR|message=user 17 not found|error.type=NotFound",
		   "error_signature shown NotFound: user # not found");
	is_read_as("log.level=error|error.message=x=1|message=other", "error_signature shown x=#");
	is_read_as("log.level=info|message=user 17 not found", "");
	is_read_as("event.category=iam|event.action=CreateKey|event.outcome=success",
		   "privileged_call shown CreateKey");
	is_read_as("event.category=iam|event.action=CreateKey|event.outcome=failure", "");
	is_read_as("picket.secret.kind=jwt|picket.secret.kind=card|picket.secret.field=message|"
		   "picket.secret.field=url.full",
		   "secret_in_log shown jwt in message; secret_in_log shown card in url.full");
}
END_TEST

static void destination_is(const char *written, const char *wanted)
{
	struct bytes got cleanup(bytes_done) = {0};
	signal_destination(text_of(written), &got);
	bytes_put_u8(&got, 0);
	ck_assert_str_eq((const char *)got.data, wanted);
}

START_TEST(what_a_person_writes_is_a_key)
{
	destination_is("API7.stripe.com:443", "api#.stripe.com:443");
	destination_is("api.stripe.com", "api.stripe.com:*");
	destination_is("203.0.113.9:25", "203.0.113.0/24:25");
	destination_is("2001:db8::9", "2001:db8::/48:*");
}
END_TEST

START_TEST(the_table_is_sound)
{
	for (int i = 0; i < SIGNAL_COUNT; i++) {
		const struct signal_info *info = signal_info((enum signal)i);
		enum signal found = SIGNAL_COUNT;
		ck_assert(signal_find(text_of(info->name), &found) && found == (enum signal)i);
		ck_assert_int_gt(info->level, SIGNAL_OFF);
		ck_assert_uint_gt(strlen(info->doc), 0);
		ck_assert_uint_gt(strlen(info->needs), 0);
		/* One event of a hard signal is enough, so it must rest on something known. */
		ck_assert(info->level != SIGNAL_HARD || info->kept_min + info->refused_min > 0);
	}
	enum signal found = SIGNAL_COUNT;
	ck_assert(!signal_find(TEXT("authz"), &found));
}
END_TEST

/* --- counting -------------------------------------------------------------------------------- */

static uint64_t random_state = 0x2545f4914f6cdd1du;

static unsigned dice(unsigned sides)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)((random_state >> 33) % sides);
}

enum { LINES = 400, WORKERS = 3, ROUNDS = 20 };

static struct {
	char text[256];
	int64_t after_us;
} lines[LINES];

static void make_lines(void)
{
	static const char *const STATUSES[] = {"200", "403", "401", "500", "404"};
	for (size_t i = 0; i < LINES; i++) {
		(void)snprintf(lines[i].text, sizeof lines[i].text,
			       "service.name=orders|service.version=v%u|http.route=/r%u|"
			       "http.response.status_code=%s|user.roles=role%u|user.id=u%u|"
			       "source.ip=198.51.%u.7",
			       dice(2) + 1, dice(4), STATUSES[dice(5)], dice(3), dice(40),
			       dice(40));
		lines[i].after_us = dice(200) * SECOND_US / 10;
	}
}

/* All traits that a run gives, the newest row of each, as bytes in the order of their names. */
static void run(bool shuffled, bool restarted, struct bytes *to)
{
	struct cohort_counter *counters[WORKERS] = {0};
	struct cohort *cohort cleanup(cohort_free) = NULL;
	size_t order[LINES];
	for (size_t i = 0; i < LINES; i++)
		order[i] = i;
	for (size_t i = LINES; shuffled && i-- > 1;) {
		size_t other = dice((unsigned)i + 1);
		size_t kept = order[i];
		order[i] = order[other];
		order[other] = kept;
	}
	for (int w = 0; w < WORKERS; w++)
		ck_assert_int_eq(cohort_counter_new(&KEY, &counters[w], NULL), OK);
	ck_assert_int_eq(cohort_new(0, 1, &cohort, NULL), OK);
	for (size_t i = 0; i < LINES; i++) {
		struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
		struct event event = event_of(lines[order[i]].text, arena);
		event.time_us += lines[order[i]].after_us;
		event.origin.offset = (int64_t)order[i];
		unsigned worker = shuffled ? dice(WORKERS) : 0;
		ck_assert_int_eq(cohort_count(counters[worker], &event, NULL, 0), OK);
		if (i % 37 != 0 && i + 1 < LINES)
			continue;
		struct bytes sent cleanup(bytes_done) = {0};
		for (int w = 0; w < WORKERS; w++)
			ck_assert_int_eq(cohort_flush(counters[w], &(struct record_sink){&sent, 1}),
					 OK);
		ck_assert_int_eq(cohort_feed(cohort, bytes_text(&sent), NULL), OK);
		if (restarted) {
			struct cohort *fresh = NULL;
			ck_assert_int_eq(cohort_new(0, 1, &fresh, NULL), OK);
			for (unsigned p = 0; p < VIRTUAL_PARTITIONS; p++) {
				struct bytes saved cleanup(bytes_done) = {0};
				ck_assert_int_eq(cohort_checkpoint(cohort, (uint8_t)p, &saved), OK);
				ck_assert_int_eq(cohort_restore(fresh, bytes_text(&saved), NULL),
						 OK);
			}
			cohort_free(&cohort);
			cohort = fresh;
		}
	}
	ck_assert_int_eq(cohort_close(cohort, INT64_MAX, NULL), OK);
	struct cohort_changes changes = cohort_changes(cohort);
	ck_assert_uint_gt(changes.trait_count, 20);
	for (size_t i = 0; i < changes.trait_count; i++) {
		const struct trait trait = cohort_trait(&changes, i);
		trait_encode(&trait, to);
	}
	for (int w = 0; w < WORKERS; w++)
		cohort_counter_free(&counters[w]);
}

START_TEST(no_order_split_or_restart_shows)
{
	make_lines();
	struct bytes first cleanup(bytes_done) = {0};
	run(false, false, &first);
	for (int round = 0; round < ROUNDS; round++) {
		struct bytes other cleanup(bytes_done) = {0};
		run(true, round % 4 == 0, &other);
		ck_assert(text_equal(bytes_text(&first), bytes_text(&other)));
	}
}
END_TEST

static struct trait sample(void)
{
	struct trait trait = {.signal = SIGNAL_AUTHZ_ALLOW, .kept = 3, .refused = 4};
	trait.shown = (struct finding){.service = TEXT("orders"),
				       .arm = {TEXT("v2"), TEXT("d2")},
				       .rule_key = TEXT("viewer POST /refunds"),
				       .count = 2,
				       .first_us = BASE_US,
				       .last_us = BASE_US + 5,
				       .evidence_count = 1,
				       .evidence_us = {BASE_US},
				       .evidence = {{TEXT("logs"), 1, 0, 9}}};
	trait.met_first_us = BASE_US - 1;
	trait.met_last_us = BASE_US + 5;
	trait_add_principal(&trait, 30);
	trait_add_principal(&trait, 10);
	trait_add_principal(&trait, 10);
	trait_add_principal(&trait, 0);
	return trait;
}

START_TEST(rows_come_back)
{
	struct trait trait = sample();
	struct trait back;
	struct bytes row cleanup(bytes_done) = {0};
	struct bytes again cleanup(bytes_done) = {0};
	struct error err = {0};
	ck_assert_uint_eq(trait.principal_count, 2);
	trait_encode(&trait, &row);
	ck_assert_int_eq(trait_decode(bytes_text(&row), &back, &err), OK);
	trait_encode(&back, &again);
	ck_assert(text_equal(bytes_text(&row), bytes_text(&again)));
	for (size_t size = 0; size < row.size; size++) /* any row that is cut is refused */
		ck_assert_int_eq(trait_decode((struct text){(char *)row.data, size}, &back, &err),
				 ECORRUPT);
	for (size_t i = 0; i < row.size; i++) { /* any other byte is refused or sound */
		row.data[i] ^= 0xff;
		enum status status = trait_decode(bytes_text(&row), &back, &err);
		ck_assert(status == OK || status == ECORRUPT || status == ENOTFOUND);
		row.data[i] ^= 0xff;
	}
	trait.shown.count = 0;
	bytes_clear(&row);
	trait_encode(&trait, &row);
	ck_assert_int_eq(trait_decode(bytes_text(&row), &back, &err), OK);
	ck_assert_int_eq(back.shown.first_us, INT64_MAX);
}
END_TEST

START_TEST(the_smallest_principals_stay)
{
	struct trait up = {0};
	struct trait down = {0};
	for (uint64_t i = 1; i <= 100; i++) {
		trait_add_principal(&up, i * 7);
		trait_add_principal(&down, (101 - i) * 7);
	}
	ck_assert_uint_eq(up.principal_count, SIGNAL_PRINCIPALS_MAX);
	ck_assert_mem_eq(up.principals, down.principals, sizeof up.principals);
	ck_assert_uint_eq(up.principals[SIGNAL_PRINCIPALS_MAX - 1], 7 * SIGNAL_PRINCIPALS_MAX);
}
END_TEST

/* More than SIGNAL_KEYS_MAX kinds of errors of one version: the others are one row without a key.
 */
START_TEST(too_many_keys_are_told)
{
	struct cohort_counter *counter cleanup(cohort_counter_free) = NULL;
	struct cohort *cohort cleanup(cohort_free) = NULL;
	struct bytes sent cleanup(bytes_done) = {0};
	ck_assert_int_eq(cohort_counter_new(&KEY, &counter, NULL), OK);
	ck_assert_int_eq(cohort_new(0, 1, &cohort, NULL), OK);
	for (unsigned i = 0; i < SIGNAL_KEYS_MAX + 50; i++) {
		struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
		char line[128];
		(void)snprintf(line, sizeof line, "service.name=s|log.level=error|message=x%c%c%c",
			       'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676);
		struct event event = event_of(line, arena);
		ck_assert_int_eq(cohort_count(counter, &event, NULL, 0), OK);
	}
	ck_assert_int_eq(cohort_flush(counter, &(struct record_sink){&sent, 1}), OK);
	ck_assert_int_eq(cohort_feed(cohort, bytes_text(&sent), NULL), OK);
	ck_assert_int_eq(cohort_close(cohort, INT64_MAX, NULL), OK);
	struct cohort_changes changes = cohort_changes(cohort);
	ck_assert_uint_eq(changes.trait_count, SIGNAL_KEYS_MAX + 1);
	uint64_t beyond = 0;
	for (size_t i = 0; i < changes.trait_count; i++) {
		const struct trait trait = cohort_trait(&changes, i);
		if (trait.shown.rule_key.size == 0)
			beyond = trait.shown.count;
	}
	ck_assert_uint_eq(beyond, 50);
}
END_TEST

/* How many rows of traits the epoch gives out when an event comes at after_us. */
static size_t told_at(struct cohort_counter *counter, struct cohort *cohort, const char *line,
		      int64_t after_us)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct bytes sent cleanup(bytes_done) = {0};
	struct event event = event_of(line, arena);
	event.time_us += after_us;
	ck_assert_int_eq(cohort_count(counter, &event, NULL, 0), OK);
	ck_assert_int_eq(cohort_flush(counter, &(struct record_sink){&sent, 1}), OK);
	ck_assert_int_eq(cohort_feed(cohort, bytes_text(&sent), NULL), OK);
	ck_assert_int_eq(cohort_close(cohort, BASE_US, NULL), OK);
	return cohort_changes(cohort).trait_count;
}

/* What is new at once; who else did it, and twice as many, after ten seconds; the rest after a
 * minute, and at the end. */
START_TEST(counts_are_told_in_steps)
{
	struct cohort_counter *counter cleanup(cohort_counter_free) = NULL;
	struct cohort *cohort cleanup(cohort_free) = NULL;
	static const char *const KEPT = "service.name=s|event.action=read|event.outcome=success|"
					"tenant.id=a|target.tenant.id=a";
	static const char *const SHOWN = "service.name=s|event.action=read|event.outcome=success|"
					 "tenant.id=a|target.tenant.id=b|source.ip=198.51.100.1";
	static const char *const OTHER = "service.name=s|event.action=read|event.outcome=success|"
					 "tenant.id=a|target.tenant.id=b|source.ip=198.51.101.1";
	ck_assert_int_eq(cohort_counter_new(&KEY, &counter, NULL), OK);
	ck_assert_int_eq(cohort_new(0, 1, &cohort, NULL), OK);
	ck_assert_uint_eq(told_at(counter, cohort, KEPT, 0), 1);
	ck_assert_uint_eq(told_at(counter, cohort, KEPT, 1), 0);
	ck_assert_uint_eq(told_at(counter, cohort, SHOWN, 2), 1);
	ck_assert_uint_eq(told_at(counter, cohort, OTHER, 3), 0);
	ck_assert_uint_eq(told_at(counter, cohort, SHOWN, 2 + 10 * SECOND_US), 1);
	for (int i = 0; i < 4; i++) /* five were told */
		ck_assert_uint_eq(told_at(counter, cohort, SHOWN, 2 + 20 * SECOND_US), 0);
	ck_assert_uint_eq(told_at(counter, cohort, KEPT, 2 + 20 * SECOND_US), 1);
	ck_assert_uint_eq(told_at(counter, cohort, KEPT, 80 * SECOND_US), 0);
	ck_assert_uint_eq(told_at(counter, cohort, KEPT, 2 + 80 * SECOND_US), 1);
	ck_assert_uint_eq(told_at(counter, cohort, KEPT, 2 + 80 * SECOND_US), 0);
	ck_assert_int_eq(cohort_close(cohort, INT64_MAX, NULL), OK);
	struct cohort_changes changes = cohort_changes(cohort);
	ck_assert_uint_eq(changes.trait_count, 1);
	ck_assert_uint_eq(cohort_trait(&changes, 0).kept, 6);
	ck_assert_uint_eq(cohort_trait(&changes, 0).shown.count, 7);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/signal");
	TCase *tests = tcase_create("tests");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, decisions_are_read);
	tcase_add_test(tests, strangers_are_read);
	tcase_add_test(tests, calls_are_read);
	tcase_add_test(tests, places_are_read);
	tcase_add_test(tests, logs_are_read);
	tcase_add_test(tests, what_a_person_writes_is_a_key);
	tcase_add_test(tests, the_table_is_sound);
	tcase_add_test(tests, no_order_split_or_restart_shows);
	tcase_add_test(tests, rows_come_back);
	tcase_add_test(tests, the_smallest_principals_stay);
	tcase_add_test(tests, too_many_keys_are_told);
	tcase_add_test(tests, counts_are_told_in_steps);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
