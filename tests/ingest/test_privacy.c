/* Events and raw bytes without their secrets and personal data. */
#include <glob.h>

#include "decoding.h"
#include "ingest/privacy_private.h"

#define JWT "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N"

enum { LINES_MAX = 1500 }; /* of a public file */

static const struct text key = {"a key of sixteen bytes or more", 30};

static struct decoding decoding;
static struct privacy *privacy;
static struct privacy_scratch *scratch;
static struct event event;
static struct privacy_counts counts;

static void begin(struct privacy_options options)
{
	struct error err = {0};
	enum status status = privacy_new(&options, &privacy, &err);
	ck_assert_msg(status == OK, "%s", err.text);
	ck_assert_int_eq(privacy_scratch_new(privacy, &scratch, &err), OK);
}

static void setup(void)
{
	decoding_begin(&decoding, (struct decoder_options){0});
}

static void teardown(void)
{
	privacy_scratch_free(&scratch);
	privacy_free(&privacy);
	decoding_done(&decoding);
}

static void feed(const char *payload)
{
	event = *decoding_one(&decoding, payload);
	ck_assert_int_eq(privacy_event(privacy, scratch, decoding.arena, &event, &counts), OK);
}

/* No name, no value, and nothing that the event prints. */
static bool holds(const char *secret)
{
	struct bytes json cleanup(bytes_done) = {0};
	event_json(&event, &json);
	return memmem(json.data, json.size, secret, strlen(secret)) != NULL;
}

START_TEST(a_secret_becomes_its_keyed_hash)
{
	begin((struct privacy_options){.key = key});
	feed("{\"message\":\"token " JWT " refused\",\"other\":\"" JWT "\"}");
	ck_assert(!holds(JWT));
	ck_assert_uint_eq(counts.secrets, 2);
	const char *message = values_of(&event, "message");
	ck_assert_int_eq(strncmp(message, "token [jwt:", 11), 0);
	ck_assert_ptr_nonnull(strstr(message, "] refused"));
	CHECK_FIELD(&event, "picket.secret.kind", "jwt|jwt");
	CHECK_FIELD(&event, "picket.secret.field", "message|other");
	/* The same secret has the same hash: it can be followed. */
	char other[4096];
	(void)snprintf(other, sizeof other, "%s", values_of(&event, "other"));
	ck_assert_ptr_nonnull(strstr(values_of(&event, "message"), other));
}
END_TEST

/* What docs/PRIVACY.md tells people to compute must be what stands in the event. */
START_TEST(the_hash_can_be_computed_by_others)
{
	unsigned char derived[crypto_hash_sha256_BYTES];
	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	unsigned char id[crypto_hash_sha256_BYTES];
	char expected[256];
	char hex[3][64];
	begin((struct privacy_options){.key = key});
	feed("{\"x\":\"" JWT "\"}");
	(void)crypto_hash_sha256(derived, (const unsigned char *)key.data, key.size);
	(void)crypto_hash_sha256(id, derived, sizeof derived);
	(void)crypto_auth_hmacsha256(mac, (const unsigned char *)JWT, strlen(JWT), derived);
	(void)sodium_bin2hex(hex[0], sizeof hex[0], id, 4);
	(void)sodium_bin2hex(hex[1], sizeof hex[1], mac, 12);
	(void)snprintf(expected, sizeof expected, "[jwt:%s:%s]", hex[0], hex[1]);
	CHECK_FIELD(&event, "x", expected);
}
END_TEST

START_TEST(another_key_gives_another_hash_and_id)
{
	char first[4096];
	begin((struct privacy_options){.key = key});
	feed("{\"x\":\"" JWT "\"}");
	(void)snprintf(first, sizeof first, "%s", values_of(&event, "x"));
	privacy_scratch_free(&scratch);
	privacy_free(&privacy);
	begin((struct privacy_options){.key = TEXT("another key of sixteen bytes")});
	feed("{\"x\":\"" JWT "\"}");
	ck_assert_str_ne(values_of(&event, "x"), first);
	ck_assert(strncmp(values_of(&event, "x") + 5, first + 5, 8) != 0);
}
END_TEST

START_TEST(without_a_key_nothing_can_be_followed)
{
	begin((struct privacy_options){0});
	feed("{\"message\":\"" JWT "\"}");
	CHECK_FIELD(&event, "message", "[jwt]");
}
END_TEST

static const struct {
	const char *payload, *secret;
} hidden[] = {
	{"{\"message\":\"" JWT "\"}", "dozjgNry"},
	{"{\"a\":{\"b\":[\"x\",\"" JWT "\"]}}", "dozjgNry"},
	{"{\"user\":{\"password\":\"hunter2\"}}", "hunter2"},
	{"{\"message\":\"{\\\"password\\\":\\\"hunter2\\\"}\"}", "hunter2"},
	{"{\"message\":\"a\\u0065yJ\",\"x\":\"\\u0065yJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozj\"}",
	 "dozj"},
	{"{\"" JWT "\":1}", "dozjgNry"},
	{"{\"card\":4111111111111111}", "4111111111111111"},
	{"{\"url.full\":\"https://x/?access_token=abcdef123\"}", "abcdef123"},
	{"{\"log\":\"password=hunter2\",\"stream\":\"stdout\",\"kubernetes\":{\"pod_name\":\"p\"}}",
	 "hunter2"},
	{"{\"service.name\":\"" JWT "\",\"tenant.id\":\"" JWT "\"}", "dozjgNry"},
	{"{\"error\":{\"stack_trace\":\"-----BEGIN RSA PRIVATE KEY-----\\nMIIEowIBAAKCAQ\\n-----END RSA "
	 "PRIVATE KEY-----\"}}",
	 "MIIEow"},
};

START_TEST(no_secret_survives)
{
	begin((struct privacy_options){.key = key});
	feed(hidden[_i].payload);
	ck_assert_msg(!holds(hidden[_i].secret), "%s", hidden[_i].payload);
	ck_assert_uint_gt(counts.secrets, 0);
}
END_TEST

START_TEST(forms_leaves_names_alone)
{
	begin((struct privacy_options){.detect = PRIVACY_DETECT_FORMS, .key = key});
	feed("{\"user.password\":\"hunter2\",\"m\":\"access_token=" JWT "\"}");
	ck_assert(holds("hunter2"));
	ck_assert(!holds(JWT));
}
END_TEST

START_TEST(off_is_off)
{
	begin((struct privacy_options){.detect = PRIVACY_DETECT_OFF, .key = key});
	feed("{\"m\":\"" JWT "\"}");
	CHECK_FIELD(&event, "m", JWT);
}
END_TEST

START_TEST(a_quiet_event_is_left_as_it_is)
{
	begin((struct privacy_options){.key = key});
	feed("{\"message\":\"GET /passport/key/tokens 200\",\"n\":1795305600000,\"id\":\"4111111111111112\"}");
	CHECK_FIELD(&event, "message", "GET /passport/key/tokens 200");
	ck_assert_uint_eq(counts.secrets, 0);
	CHECK_FIELD(&event, "picket.secret.kind", "-");
}
END_TEST

START_TEST(policies_mask_hash_and_drop)
{
	const struct privacy_policy policies[] = {{TEXT("user.email"), PRIVACY_MASK},
						  {TEXT("client.address"), PRIVACY_MASK},
						  {TEXT("user.id"), PRIVACY_HMAC},
						  {TEXT("profile.*"), PRIVACY_DROP}};
	begin((struct privacy_options){.key = key, .policies = policies, .policy_count = 4});
	feed("{\"user.email\":\"ann@example.com\",\"source.ip\":\"203.0.113.9\",\"user.id\":4711,"
	     "\"profile\":{\"name\":\"Ann Lee\",\"born\":1970},\"vendor_mail\":\"ann@example.com\","
	     "\"message\":\"mail to ann@example.com from 203.0.113.9 for Ann Lee (4711)\"}");
	CHECK_FIELD(&event, "user.email", "***@example.com");
	CHECK_FIELD(&event, "source.ip", "203.0.113.0");
	CHECK_FIELD(&event, "profile.name", "-");
	CHECK_FIELD(&event, "vendor_mail", "***@example.com");
	ck_assert_int_eq(strncmp(values_of(&event, "user.id"), "[pii:", 5), 0);
	ck_assert(!holds("ann@") && !holds("203.0.113.9") && !holds("Ann Lee") && !holds("4711"));
	ck_assert_uint_eq(counts.personal, 5);
	feed("{\"source.ip\":\"2001:db8:1:2::3\"}");
	CHECK_FIELD(&event, "source.ip", "2001:db8:1::");
}
END_TEST

static const struct {
	struct privacy_policy policy;
	struct text key;
	const char *words;
} refused[] = {
	{{{"service.name", 12}, PRIVACY_MASK}, {"0123456789abcdef", 16}, "cannot work without"},
	{{{"tenantId", 8}, PRIVACY_DROP}, {"0123456789abcdef", 16}, "tenant.id"},
	{{{"*", 1}, PRIVACY_MASK}, {"0123456789abcdef", 16}, "no field"},
	{{{"picket.*", 8}, PRIVACY_MASK}, {"0123456789abcdef", 16}, "one by one"},
	{{{"a*b", 3}, PRIVACY_MASK}, {"0123456789abcdef", 16}, "no field"},
	{{{"user.id", 7}, PRIVACY_HMAC}, {"", 0}, "privacy.key_file"},
	{{{"user.id", 7}, PRIVACY_MASK}, {"short", 5}, "16 are the least"},
};

START_TEST(a_bad_policy_is_refused)
{
	struct error err = {0};
	const struct privacy_options options = {
		.key = refused[_i].key, .policies = &refused[_i].policy, .policy_count = 1};
	ck_assert_int_eq(privacy_new(&options, &privacy, &err), EINVALID);
	ck_assert_msg(strstr(err.text, refused[_i].words) != NULL, "%s", err.text);
}
END_TEST

START_TEST(actions_have_words)
{
	enum privacy_action action = PRIVACY_MASK;
	ck_assert(privacy_action_parse(TEXT("drop"), &action));
	ck_assert_int_eq(action, PRIVACY_DROP);
	ck_assert(!privacy_action_parse(TEXT("delete"), &action));
}
END_TEST

START_TEST(raw_bytes_are_cleaned_too)
{
	begin((struct privacy_options){.key = key});
	const struct text dirty = TEXT("{\"password\":\"hunter2\", broken " JWT);
	struct text raw = privacy_raw(privacy, scratch, decoding.arena, dirty);
	ck_assert_ptr_null(memmem(raw.data, raw.size, "hunter2", 7));
	ck_assert_ptr_null(memmem(raw.data, raw.size, "dozjgNry", 8));
	const struct text plain = TEXT("{\"x\": broken");
	ck_assert_ptr_eq(privacy_raw(privacy, scratch, decoding.arena, plain).data, plain.data);
}
END_TEST

START_TEST(a_large_value_stays_within_its_limit)
{
	begin((struct privacy_options){.key = key});
	struct bytes payload cleanup(bytes_done) = {0};
	bytes_put(&payload, "{\"m\":\"", 6);
	for (int i = 0; i < 5000; i++)
		bytes_put(&payload, "pwd=ab12 ", 9);
	bytes_put(&payload, "\"}", 3);
	feed((const char *)payload.data);
	ck_assert(!holds("ab12"));
	ck_assert_uint_eq(counts.secrets, 5000);
	for (size_t i = 0; i < event.field_count; i++)
		ck_assert_uint_le(event.fields[i].value.text.size, EVENT_VALUE_MAX);
	ck_assert_uint_ne(event.quality & QUALITY_VALUE, 0);
}
END_TEST

/* The old way: every name and value of the event through all detectors. What the search for
 * suspects leaves out must be what this leaves as it is. */
static struct text plainly_clean(struct text name, struct text t)
{
	for (int round = 0; round < 8; round++) {
		struct bytes clean cleanup(bytes_done) = {0};
		struct secret_span span = {0};
		size_t at = 0;
		for (size_t from = 0; secret_find(name, t, from, &span); from = span.end) {
			struct text found = {t.data + span.begin, span.end - span.begin};
			struct text other = privacy_replacement(privacy, NULL, decoding.arena,
								secret_name(span.kind), found);
			bytes_put(&clean, t.data + at, span.begin - at);
			bytes_put(&clean, other.data, other.size);
			at = span.end;
		}
		if (at == 0)
			return t;
		bytes_put(&clean, t.data + at, t.size - at);
		t = arena_copy(decoding.arena, bytes_text(&clean));
	}
	return TEXT("[secrets]");
}

static void check_against_all_detectors(const struct event *before)
{
	for (size_t i = 0; i < before->field_count; i++) {
		struct field field = before->fields[i];
		if (field.id == FIELD_OTHER)
			field.name = plainly_clean(TEXT(""), field.name);
		if (privacy_is_textual(&field.value) && privacy_may_change(&field))
			field.value.text = plainly_clean(field.name, field.value.text);
		ck_assert(text_equal(field.name, event.fields[i].name));
		if (field.value.text.size <= EVENT_VALUE_MAX)
			ck_assert_msg(text_equal(field.value.text, event.fields[i].value.text),
				      "%.*s: %.*s", TEXT_ARG(field.name),
				      TEXT_ARG(field.value.text));
	}
}

static size_t check_records(const char *payload, size_t size)
{
	const struct message message = {.payload = {payload, size}};
	const struct origin origin = {.topic = TEXT("real"), .offset = 1};
	size_t found = 0;
	arena_reset(decoding.arena);
	ck_assert_int_eq(decoder_begin(decoding.decoder, &message, &origin, decoding.arena), OK);
	for (bool more = true; more;) {
		struct decoded record;
		ck_assert_int_eq(decoder_next(decoding.decoder, &record, &more), OK);
		if (!more || record.why != ACCEPTED)
			continue;
		event = record.event;
		event.fields =
			arena_alloc(decoding.arena, (event.field_count + 1) * sizeof *event.fields);
		memcpy(event.fields, record.event.fields, event.field_count * sizeof *event.fields);
		event.field_capacity = event.field_count;
		ck_assert_int_eq(privacy_event(privacy, scratch, decoding.arena, &event, &counts),
				 OK);
		check_against_all_detectors(&record.event);
		found += counts.secrets;
	}
	return found;
}

START_TEST(only_suspects_are_looked_at_and_nothing_else_holds_anything)
{
	begin((struct privacy_options){.key = key});
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
		ck_assert_uint_gt(check_records(hidden[i].payload, strlen(hidden[i].payload)), 0);
	for (unsigned id = 1; id < FIELD_COUNT; id++) {
		struct text name = schema_info((enum field_id)id)->name;
		ck_assert_msg(!secret_is_named(name), "%.*s", TEXT_ARG(name));
	}
}
END_TEST

/* The public logs, one line a message. */
START_TEST(all_detectors_agree_on_real_logs)
{
	glob_t files;
	char pattern[512];
	const char *data = getenv("PICKET_DATA");
	size_t lines = 0;
	size_t found = 0;
	(void)snprintf(pattern, sizeof pattern,
		       "%s/{panther,stratus-cloudtrail,loghub/*}/*.{jsonl,"
		       "json,ndjson,log}",
		       data == NULL ? PICKET_SOURCE_DIR "/../shared/data" : data);
	if (glob(pattern, GLOB_BRACE, NULL, &files) != 0) {
		printf("SKIP %s\n", pattern);
		return;
	}
	begin((struct privacy_options){.key = key});
	for (size_t i = 0; i < files.gl_pathc; i++) {
		char *line = NULL;
		size_t room = 0;
		ssize_t size = 0;
		FILE *file = fopen(files.gl_pathv[i], "r");
		ck_assert_ptr_nonnull(file);
		for (size_t left = LINES_MAX; left > 0 && (size = getline(&line, &room, file)) > 0;
		     left--, lines++)
			found += check_records(line, (size_t)size);
		free(line);
		ck_assert_int_eq(fclose(file), 0);
	}
	printf("%zu lines of %zu public files: %zu secrets\n", lines, files.gl_pathc, found);
	globfree(&files);
	ck_assert_uint_gt(lines, 1000);
}
END_TEST

/* A personal value wherever it stands: beside a secret, over a line's end, short, and twice. */
static const struct {
	const char *payload, *hides;
} elsewhere[] = {
	{"{\"user.id\":\"ann\",\"x\":\"ann\",\"y\":\"planned\"}", "\"ann\""},
	{"{\"user.id\":\"ann lee\",\"x\":\"password=hunter2 by ann lee\"}", "ann lee"},
	{"{\"user.id\":\"b\\nabc\",\"w\":\"zb\",\"x\":\"abc\\nabc\",\"y\":\"ab\\nabc\"}",
	 "b\\nabc"},
	{"{\"user.id\":4711,\"x\":4711,\"y\":[\"4711\",\"no 4711.\"]}", "4711"},
	{"{\"user.id\":[\"alpha\",\"beta1\"],\"x\":\"beta1 alpha\",\"beta1\":\"alpha\"}", "alpha"},
	{"{\"user.id\":\"ann lee\",\"gone\":\"ann lee\",\"x\":\"the gone ann lee\"}", "ann lee"},
};

START_TEST(a_personal_value_stands_nowhere_else)
{
	const struct privacy_policy policies[] = {{TEXT("user.id"), PRIVACY_HMAC},
						  {TEXT("gone"), PRIVACY_DROP}};
	begin((struct privacy_options){.key = key, .policies = policies, .policy_count = 2});
	for (int again = 0; again < 2; again++) { /* the second time its hash is remembered */
		feed(elsewhere[_i].payload);
		ck_assert_msg(!holds(elsewhere[_i].hides), "%s", elsewhere[_i].payload);
		ck_assert_uint_gt(counts.personal, 0);
		CHECK_FIELD(&event, "gone", "-");
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("privacy");
	TCase *tests = tcase_create("privacy");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a_secret_becomes_its_keyed_hash);
	tcase_add_test(tests, the_hash_can_be_computed_by_others);
	tcase_add_test(tests, another_key_gives_another_hash_and_id);
	tcase_add_test(tests, without_a_key_nothing_can_be_followed);
	tcase_add_loop_test(tests, no_secret_survives, 0, (int)(sizeof hidden / sizeof *hidden));
	tcase_add_test(tests, only_suspects_are_looked_at_and_nothing_else_holds_anything);
	tcase_add_test(tests, all_detectors_agree_on_real_logs);
	tcase_add_loop_test(tests, a_personal_value_stands_nowhere_else, 0,
			    (int)(sizeof elsewhere / sizeof *elsewhere));
	tcase_add_test(tests, forms_leaves_names_alone);
	tcase_add_test(tests, off_is_off);
	tcase_add_test(tests, a_quiet_event_is_left_as_it_is);
	tcase_add_test(tests, policies_mask_hash_and_drop);
	tcase_add_loop_test(tests, a_bad_policy_is_refused, 0,
			    (int)(sizeof refused / sizeof *refused));
	tcase_add_test(tests, actions_have_words);
	tcase_add_test(tests, raw_bytes_are_cleaned_too);
	tcase_add_test(tests, a_large_value_stays_within_its_limit);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
