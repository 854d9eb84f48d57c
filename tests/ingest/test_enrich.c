/* Stop 4 for one event at a time: bound and claimed identity. */
#include "ingest/enrich.h"

#include "decoding.h"

static struct decoding decoding;
static struct bindings *bindings;
static struct enricher *enricher;
static struct event event;

static void setup(void)
{
	decoding_begin(&decoding, (struct decoder_options){0});
}

static void teardown(void)
{
	enricher_free(&enricher);
	bindings_free(&bindings);
	decoding_done(&decoding);
}

static void bind(const char *yaml)
{
	struct error err = {0};
	ck_assert_int_eq(bindings_parse(text_of(yaml), "b.yaml", &bindings, &err), OK);
	const struct enrich_options options = {.bindings = bindings};
	ck_assert_int_eq(enricher_new(&options, &enricher, &err), OK);
}

static void feed(const char *payload)
{
	const struct message message = {.key = TEXT("key"), .payload = text_of(payload)};
	event = *decoding_one(&decoding, payload);
	enricher_message(enricher, TEXT("logs"), &message);
	ck_assert_int_eq(enricher_event(enricher, decoding.arena, &event), OK);
}

static uint64_t spoofed(void)
{
	return enricher_counters(enricher).spoofed;
}

START_TEST(an_allowed_claim_is_bound)
{
	bind("- {topic: logs, services: [pay], tenants: [acme]}\n");
	feed("{\"service.name\":\"pay\",\"tenant.id\":\"acme\"}");
	CHECK_FIELD(&event, "service.name", "pay");
	CHECK_FIELD(&event, "picket.bound.service", "pay");
	CHECK_FIELD(&event, "picket.bound.tenant", "acme");
	CHECK_FIELD(&event, "picket.claimed.service", "-");
	ck_assert(text_equal(event.owner, TEXT("acme")));
	ck_assert_uint_eq(event.quality & QUALITY_SPOOFED, 0);
	ck_assert_uint_eq(spoofed(), 0);
}
END_TEST

START_TEST(a_silent_log_gets_its_bound_name)
{
	bind("- {topic: logs, services: [pay], tenants: [acme]}\n");
	feed("{\"x\":1}");
	CHECK_FIELD(&event, "service.name", "pay");
	CHECK_FIELD(&event, "tenant.id", "acme");
	ck_assert(text_equal(event.owner, TEXT("acme")));
	ck_assert_uint_eq(spoofed(), 0);
}
END_TEST

START_TEST(a40_the_bound_identity_takes_the_place_of_a_false_claim)
{
	bind("- {topic: logs, services: [pay], tenants: [acme]}\n");
	feed("{\"service.name\":\"auth\",\"tenant.id\":\"rival\"}");
	CHECK_FIELD(&event, "service.name", "pay");
	CHECK_FIELD(&event, "tenant.id", "acme");
	CHECK_FIELD(&event, "picket.claimed.service", "auth");
	CHECK_FIELD(&event, "picket.claimed.tenant", "rival");
	ck_assert(text_equal(event.owner, TEXT("acme")));
	ck_assert_uint_ne(event.quality & QUALITY_SPOOFED, 0);
	ck_assert_uint_eq(spoofed(), 1);
}
END_TEST

START_TEST(a40_one_false_value_among_true_ones_is_seen)
{
	bind("- {topic: logs, services: [pay]}\n");
	feed("{\"service.name\":\"pay\",\"service\":{\"name\":\"auth\"}}");
	CHECK_FIELD(&event, "service.name", "pay");
	CHECK_FIELD(&event, "picket.claimed.service", "pay|auth");
	ck_assert_uint_eq(spoofed(), 1);
}
END_TEST

START_TEST(a40_a_false_claim_among_many_counts_for_nobody)
{
	bind("- {topic: logs, services: [pay, ship], tenants: [acme, t-*]}\n");
	feed("{\"service.name\":\"auth\",\"tenant.id\":\"rival\"}");
	CHECK_FIELD(&event, "service.name", "-");
	CHECK_FIELD(&event, "picket.bound.service", "-");
	CHECK_FIELD(&event, "picket.claimed.service", "auth");
	ck_assert(text_equal(event.owner, TEXT("-")));
	feed("{\"service.name\":\"ship\",\"tenant.id\":\"t-1\"}");
	CHECK_FIELD(&event, "picket.bound.service", "ship");
	ck_assert(text_equal(event.owner, TEXT("t-1")));
	ck_assert_uint_eq(spoofed(), 1);
}
END_TEST

START_TEST(a40_a_claim_that_cannot_be_proved_is_not_believed)
{
	bind("- {topic: logs, service_from: header who, tenant_from: key}\n");
	feed("{\"service.name\":\"pay\",\"tenant.id\":\"acme\"}");
	CHECK_FIELD(&event, "service.name", "-");
	CHECK_FIELD(&event, "picket.claimed.service", "pay");
	CHECK_FIELD(&event, "tenant.id", "key");
	ck_assert_uint_eq(spoofed(), 1);
}
END_TEST

START_TEST(a40_a_payload_cannot_claim_to_be_bound)
{
	bind("- {topic: logs, services: [pay]}\n");
	feed("{\"picket.bound.service\":\"auth\",\"picket.claimed.tenant\":\"x\","
	     "\"picket\":{\"bound\":{\"tenant\":\"rival\"}}}");
	CHECK_FIELD(&event, "picket.bound.service", "pay");
	CHECK_FIELD(&event, "picket.bound.tenant", "-");
	CHECK_FIELD(&event, "picket.claimed.tenant", "-");
	ck_assert_uint_ne(event.quality & QUALITY_PROVENANCE, 0);
}
END_TEST

START_TEST(a40_no_number_of_fields_crowds_the_binding_out)
{
	bind("- {topic: logs, services: [pay], tenants: [acme]}\n");
	struct bytes payload cleanup(bytes_done) = {0};
	char field[32];
	bytes_put(&payload, "{\"service.name\":\"auth\"", 22);
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(field, sizeof field, ",\"k%d\":%d", i, i);
		bytes_put(&payload, field, strlen(field));
	}
	bytes_put(&payload, "}", 2);
	feed((const char *)payload.data);
	ck_assert_uint_ne(event.quality & QUALITY_FIELDS, 0);
	CHECK_FIELD(&event, "service.name", "pay");
	CHECK_FIELD(&event, "picket.bound.tenant", "acme");
	CHECK_FIELD(&event, "picket.claimed.service", "auth");
	ck_assert_uint_le(event.field_count, EVENT_FIELDS_MAX);
}
END_TEST

START_TEST(what_no_entry_mentions_stays)
{
	bind("- {topic: logs, services: [pay]}\n- {topic: other, services: [x]}\n");
	feed("{\"tenant.id\":\"acme\"}");
	CHECK_FIELD(&event, "picket.bound.tenant", "-");
	ck_assert(text_equal(event.owner, TEXT("acme")));
	enricher_free(&enricher);
	bindings_free(&bindings);
	bind("- {topic: other, services: [x]}\n");
	feed("{\"service.name\":\"pay\"}");
	CHECK_FIELD(&event, "service.name", "pay");
	CHECK_FIELD(&event, "picket.bound.service", "-");
	ck_assert_uint_eq(enricher_counters(enricher).unbound, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("enrich");
	TCase *tests = tcase_create("enrich");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, an_allowed_claim_is_bound);
	tcase_add_test(tests, a_silent_log_gets_its_bound_name);
	tcase_add_test(tests, a40_the_bound_identity_takes_the_place_of_a_false_claim);
	tcase_add_test(tests, a40_one_false_value_among_true_ones_is_seen);
	tcase_add_test(tests, a40_a_false_claim_among_many_counts_for_nobody);
	tcase_add_test(tests, a40_a_claim_that_cannot_be_proved_is_not_believed);
	tcase_add_test(tests, a40_a_payload_cannot_claim_to_be_bound);
	tcase_add_test(tests, a40_no_number_of_fields_crowds_the_binding_out);
	tcase_add_test(tests, what_no_entry_mentions_stays);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
