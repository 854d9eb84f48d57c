/* Lists and databases in events, and their exchange while events flow. */
#include "ingest/knowledge.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "decoding.h"
#include "ingest/enrich.h"
#include "mmdb_writer.h"

enum { DAY_S = 86400 };

static char folder[] = "/tmp/picket-knowledge-XXXXXX";
static char geo_path[128], asn_path[128], threat_path[128], office_path[128];
static const char *geo_paths[2] = {geo_path, asn_path};
static const char *threat_paths[1] = {threat_path};
static const char *office_paths[1] = {office_path};
static struct knowledge_options options = {.geo = {geo_paths, 2},
					   .threats = {threat_paths, 1},
					   .networks = {office_paths, 1},
					   .ttl_us = (int64_t)DAY_S * 1000000};
static struct decoding decoding;
static struct knowledge_desk *desk;
static struct enricher *enricher;
static struct event event;

static void write_text(const char *path, const char *content)
{
	char fresh[160];
	(void)snprintf(fresh, sizeof fresh, "%s.new", path);
	FILE *file = fopen(fresh, "wb");
	ck_assert_ptr_nonnull(file);
	(void)fputs(content, file);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(rename(fresh, path), 0);
}

static void write_city(const char *city)
{
	struct bytes data cleanup(bytes_done) = {0};
	mmdb_map(&data, 5);
	mmdb_text(&data, "country_code");
	mmdb_text(&data, "GB");
	mmdb_text(&data, "city");
	mmdb_text(&data, city);
	mmdb_text(&data, "state1");
	mmdb_text(&data, "England");
	mmdb_text(&data, "latitude");
	mmdb_float(&data, 51.5F);
	mmdb_text(&data, "longitude");
	mmdb_float(&data, -0.25F);
	mmdb_write(geo_path, 4, "203.0.113.0/24", &data);
}

static void put_current(void)
{
	struct knowledge *knowledge = NULL;
	struct error err = {0};
	enum status status = knowledge_load(&options, &knowledge, &err);
	ck_assert_msg(status == OK, "%s: %s", err.file, err.text);
	knowledge_desk_put(desk, &knowledge);
}

static void setup(void)
{
	struct error err = {0};
	struct bytes asn cleanup(bytes_done) = {0};
	mmdb_map(&asn, 2);
	mmdb_text(&asn, "autonomous_system_number");
	mmdb_number(&asn, 64500);
	bytes_put_u8(&asn, 2 << 5 | 29); /* a text of 29 bytes and more has a byte for its size */
	bytes_put_u8(&asn, 1);
	bytes_put(&asn, "autonomous_system_organization", 30);
	mmdb_text(&asn, "Example Net");
	mmdb_write(asn_path, 4, "203.0.113.0/24", &asn);
	write_city("London");
	write_text(threat_path, "indicator,first_seen\n203.0.113.9,2026-11-21T12:00:00Z\n"
				"evil.example,2026-11-21T12:00:00Z\n");
	write_text(office_path, "203.0.113.0/28\n");
	decoding_begin(&decoding, (struct decoder_options){0});
	ck_assert_int_eq(knowledge_desk_new(&desk, &err), OK);
	put_current();
	const struct enrich_options enrich = {.desk = desk};
	ck_assert_int_eq(enricher_new(&enrich, &enricher, &err), OK);
}

static void teardown(void)
{
	enricher_free(&enricher);
	knowledge_desk_free(&desk);
	decoding_done(&decoding);
}

static void feed(const char *payload)
{
	const struct message message = {.payload = text_of(payload)};
	event = *decoding_one(&decoding, payload);
	enricher_message(enricher, TEXT("logs"), &message);
	ck_assert_int_eq(enricher_event(enricher, decoding.arena, &event), OK);
}

START_TEST(an_address_gets_its_place_and_its_lists)
{
	feed("{\"source.ip\":\"::ffff:203.0.113.9\"}");
	CHECK_FIELD(&event, "source.geo.country_iso_code", "GB");
	CHECK_FIELD(&event, "source.geo.region_name", "England");
	CHECK_FIELD(&event, "source.geo.city_name", "London");
	CHECK_FIELD(&event, "source.geo.location.lat", "51.5");
	CHECK_FIELD(&event, "source.geo.location.lon", "-0.25");
	CHECK_FIELD(&event, "source.as.number", "64500");
	CHECK_FIELD(&event, "source.as.organization.name", "Example Net");
	CHECK_FIELD(&event, "picket.network", "office");
	CHECK_FIELD(&event, "picket.threat.list", "threat");
	CHECK_FIELD(&event, "picket.threat.indicator", "203.0.113.9");
	CHECK_FIELD(&event, "picket.threat.field", "source.ip");
	const char *lists = values_of(&event, "picket.lists");
	ck_assert_ptr_nonnull(strstr(lists, "threat@"));
	ck_assert_ptr_nonnull(strstr(lists, "office@"));
	ck_assert_ptr_nonnull(strstr(lists, "Flat@1700000000"));
	ck_assert_uint_eq(enricher_counters(enricher).places, 1);
	ck_assert_uint_eq(enricher_counters(enricher).threats, 1);
}
END_TEST

START_TEST(an_entry_expires_by_the_events_time)
{
	feed("{\"@timestamp\":\"2026-11-22T00:00:00Z\",\"url.full\":\"https://evil.example/x\"}");
	CHECK_FIELD(&event, "picket.threat.list", "threat");
	CHECK_FIELD(&event, "picket.threat.field", "url.full");
	write_text(threat_path, "indicator,first_seen\nevil.example,2026-11-20T00:00:00Z\n");
	put_current();
	feed("{\"@timestamp\":\"2026-11-22T00:00:00Z\",\"url.full\":\"https://evil.example/x\"}");
	CHECK_FIELD(&event, "picket.threat.list", "-");
	feed("{\"@timestamp\":\"2026-11-20T23:59:59Z\",\"url.full\":\"https://evil.example/x\"}");
	CHECK_FIELD(&event, "picket.threat.list", "threat");
}
END_TEST

START_TEST(what_the_log_says_of_a_place_gives_way)
{
	feed("{\"source.ip\":\"203.0.113.9\",\"source.geo.city_name\":\"Paris\","
	     "\"picket.network\":\"office\",\"picket.threat.list\":\"none\"}");
	CHECK_FIELD(&event, "source.geo.city_name", "London");
	CHECK_FIELD(&event, "picket.network", "office");
	CHECK_FIELD(&event, "picket.threat.list", "threat");
	feed("{\"source.ip\":\"198.51.100.1\",\"source.geo.city_name\":\"Paris\"}");
	CHECK_FIELD(&event, "source.geo.city_name", "Paris"); /* nobody knows better */
	CHECK_FIELD(&event, "picket.network", "-");
	CHECK_FIELD(&event, "picket.lists", "-");
}
END_TEST

START_TEST(what_is_no_address_is_left_alone)
{
	feed("{\"source.ip\":\"unknown\"}");
	CHECK_FIELD(&event, "source.geo.country_iso_code", "-");
	feed("{\"source.ip\":\"203.0.113.0/24\"}");
	CHECK_FIELD(&event, "source.geo.country_iso_code", "-");
	feed("{\"x\":1}");
	CHECK_FIELD(&event, "picket.lists", "-");
}
END_TEST

START_TEST(a_new_database_counts_from_the_next_message)
{
	feed("{\"source.ip\":\"203.0.113.9\"}");
	CHECK_FIELD(&event, "source.geo.city_name", "London");
	uint64_t before = knowledge_fingerprint(&options);
	write_city("Leeds");
	ck_assert(knowledge_fingerprint(&options) != before);
	put_current();
	CHECK_FIELD(&event, "source.geo.city_name", "London"); /* the old event still reads */
	feed("{\"source.ip\":\"203.0.113.9\"}");
	CHECK_FIELD(&event, "source.geo.city_name", "Leeds");
}
END_TEST

static void enrich_with(struct enricher *with, const char *payload, struct bytes *to)
{
	const struct message message = {.payload = text_of(payload)};
	struct event one = *decoding_one(&decoding, payload);
	enricher_message(with, TEXT("logs"), &message);
	ck_assert_int_eq(enricher_event(with, decoding.arena, &one), OK);
	bytes_clear(to);
	event_json(&one, to);
}

/* What the worker remembers of a value must not show: an enricher that has seen thousands of events
 * says the same as one that has seen none. Values come back under other fields and times, and there
 * are more of them than the table has slots. */
START_TEST(what_is_remembered_does_not_show)
{
	static const char *const fields[] = {"source.ip", "destination.ip", "destination.domain",
					     "url.full", "url.domain"};
	static const char long_one[] =
		"http://a.example/long-long-long-long-long-long-long-long-long-long";
	static const char *const values[] = {
		"203.0.113.9",    "203.0.113.77",   "evil.example",
		"EVIL.example.",  "evil.example/x", "https://evil.example/x",
		"203.0.113.9/32", "203.0.113.0/24", "",
		long_one};
	static const char *const times[] = {"2026-11-21T13:00:00Z", "2026-11-25T13:00:00Z"};
	struct bytes warm cleanup(bytes_done) = {0};
	struct bytes fresh cleanup(bytes_done) = {0};
	const struct enrich_options enrich = {.desk = desk};
	struct error err = {0};
	char payload[400], value[32];
	uint32_t random = 1;
	unsigned listed = 0;
	for (int i = 0; i < 4000; i++) {
		random = random * 1664525 + 1013904223;
		(void)snprintf(value, sizeof value, "203.0.%u.%u", 96 + (random >> 27),
			       random >> 22 & 255);
		const char *known = values[(random >> 10) % (sizeof values / sizeof *values)];
		(void)snprintf(payload, sizeof payload,
			       "{\"@timestamp\":\"%s\",\"source.geo.city_name\":\"Paris\","
			       "\"%s\":\"%s\",\"source.ip\":\"%s\"}",
			       times[random >> 9 & 1],
			       fields[(random >> 16) % (sizeof fields / sizeof *fields)], known,
			       (random >> 20 & 1) != 0 ? value : known);
		enrich_with(enricher, payload, &warm);
		struct enricher *new_one cleanup(enricher_free) = NULL;
		ck_assert_int_eq(enricher_new(&enrich, &new_one, &err), OK);
		enrich_with(new_one, payload, &fresh);
		ck_assert_msg(text_equal(bytes_text(&warm), bytes_text(&fresh)), "%s\n%.*s\n%.*s",
			      payload, (int)warm.size, (const char *)warm.data, (int)fresh.size,
			      (const char *)fresh.data);
		listed += memmem(warm.data, warm.size, "picket.threat.list", 18) != NULL;
	}
	ck_assert_uint_gt(listed, 400);
	ck_assert_uint_lt(listed, 3600);
}
END_TEST

START_TEST(one_bad_file_changes_nothing)
{
	struct knowledge *knowledge = NULL;
	struct error err = {0};
	write_text(geo_path, "half of a databa");
	ck_assert_int_eq(knowledge_load(&options, &knowledge, &err), ECORRUPT);
	ck_assert_ptr_null(knowledge);
	feed("{\"source.ip\":\"203.0.113.9\"}");
	CHECK_FIELD(&event, "source.geo.city_name", "London");
}
END_TEST

static atomic_bool stop;

static void *swap(void *unused)
{
	(void)unused;
	while (!atomic_load(&stop))
		put_current();
	return NULL;
}

/* Workers read while the lists are exchanged under them (ThreadSanitizer, AddressSanitizer). */
START_TEST(exchange_while_events_flow)
{
	pthread_t thread;
	atomic_store(&stop, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, swap, NULL), 0);
	for (int i = 0; i < 3000; i++) {
		feed("{\"source.ip\":\"203.0.113.9\"}");
		CHECK_FIELD(&event, "source.geo.city_name", "London");
	}
	atomic_store(&stop, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("knowledge");
	TCase *tests = tcase_create("knowledge");
	char command[64];
	if (mkdtemp(folder) == NULL)
		return EXIT_FAILURE;
	(void)snprintf(geo_path, sizeof geo_path, "%s/city.mmdb", folder);
	(void)snprintf(asn_path, sizeof asn_path, "%s/asn.mmdb", folder);
	(void)snprintf(threat_path, sizeof threat_path, "%s/threat.csv", folder);
	(void)snprintf(office_path, sizeof office_path, "%s/office.txt", folder);
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, an_address_gets_its_place_and_its_lists);
	tcase_add_test(tests, an_entry_expires_by_the_events_time);
	tcase_add_test(tests, what_the_log_says_of_a_place_gives_way);
	tcase_add_test(tests, what_is_no_address_is_left_alone);
	tcase_add_test(tests, a_new_database_counts_from_the_next_message);
	tcase_add_test(tests, what_is_remembered_does_not_show);
	tcase_add_test(tests, one_bad_file_changes_nothing);
	tcase_add_test(tests, exchange_while_events_flow);
	suite_add_tcase(suite, tests);
	int code = run_suite(suite);
	(void)snprintf(command, sizeof command, "rm -r %s", folder);
	return system(command) == 0 ? code : EXIT_FAILURE;
}
