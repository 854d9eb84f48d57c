/* Mapping files: the tests inside the built-in ones, what is refused and where, and files of an
 * operator beside or instead of the built-in ones. */
#include <sys/stat.h>
#include <unistd.h>

#include "decoding.h"
#include "ingest/format.h"

static char folder[64];

static void setup(void)
{
	(void)snprintf(folder, sizeof folder, "/tmp/picket-format.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
	char command[128];
	(void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
	ck_assert_int_eq(system(command), 0);
}

static const char *file_write(const char *name, const char *yaml)
{
	static char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	(void)fputs(yaml, file);
	(void)fclose(file);
	return path;
}

static void print_failure(void *context, struct position at, struct text what)
{
	(void)context;
	printf("%s:%u:%u: %.*s\n", at.file, at.line, at.column, TEXT_ARG(what));
}

START_TEST(the_tests_inside_the_built_in_files_hold)
{
	struct formats *formats = NULL;
	struct error err = {0};
	enum status status = formats_new(NULL, 0, &formats, &err);
	ck_assert_msg(status == OK, "%s:%u:%u: %s", err.file, err.line, err.column, err.text);
	const struct format_test_sink sink = {.on_failure = print_failure};
	size_t run = 0;
	size_t failed = 1;
	status = formats_test(formats, &sink, &run, &failed, &err);
	ck_assert_msg(status == OK, "%s:%u:%u: %s", err.file, err.line, err.column, err.text);
	ck_assert_uint_eq(failed, 0);
	for (size_t i = 0; i < formats_count(formats); i++)
		ck_assert_msg(formats_info(formats, i).test_count > 0, "%s has no tests",
			      formats_info(formats, i).name);
	printf("%zu formats, %zu tests inside them\n", formats_count(formats), run);
	formats_free(&formats);
}
END_TEST

/* Each file is refused at that place with these words. */
static const struct {
	const char *yaml;
	unsigned line, column;
	const char *words;
} refused[] = {
	{"title: x\n", 1, 1, "`name` is missing"},
	{"name: A b\ntitle: x\n", 1, 7, "a-z, 0-9 and _"},
	{"name: auto\ntitle: x\n", 1, 7, "--input"},
	{"name: x\n", 1, 1, "`title` is missing"},
	{"name: x\ntitle: x\nmpa: {}\n", 3, 1, "did you mean `map`"},
	{"name: x\ntitle: x\nrank: 100\n", 3, 7, "1 to 99"},
	{"name: x\ntitle: x\n", 1, 1, "`recognise` is missing"},
	{"name: x\ntitle: x\nrecognise: {a: absent}\n", 3, 16, "not recognised by what is absent"},
	{"name: x\ntitle: x\nrecognise: []\n", 3, 12, "empty list"},
	{"name: x\ntitle: x\nrecognise: {a: {prefx: b}}\n", 3, 17, "did you mean `prefix`"},
	{"name: x\ntitle: x\nrecognise: {a: b}\nuse: [nobody]\n", 4, 7, "no part `nobody`"},
	{"name: x\ntitle: x\nrecognise: {a: b}\nmap: [a]\n", 4, 6, "TARGET: SOURCE"},
	{"name: x\ntitle: x\nrecognise: {a: b}\nmap: {trace_id: a}\n", 4, 7, "write `trace.id`"},
	{"name: x\ntitle: x\nrecognise: {a: b}\nmap: {picket.bound.tenant: a}\n", 4, 7,
	 "set by picket alone"},
	{"name: x\ntitle: x\nrecognise: {a: b}\nmap: {a: {from: b, as: levle}}\n", 4, 24,
	 "did you mean `level`"},
	{"name: x\ntitle: x\nrecognise: {a: b}\nmap: {a: {}}\n", 4, 10, "either `from`"},
	{"name: x\ntitle: x\nrecognise: {a: b}\nmap: {a: {from: b, set: c}}\n", 4, 10,
	 "either `from`"},
	{"name: x\ntitle: x\nrecognise: {a: b}\nmap: {a: {from: b, else: c}}\n", 4, 26,
	 "`else` belongs to `words`"},
	{"name: x\ntitle: x\nrecognise: {a: b}\nmap: {a: {from: b, move: 1}}\n", 4, 26,
	 "true or false"},
	{"name: x\ntitle: x\nrecognise: {a: b}\nmap: {a: {from: b, words: {}}}\n", 4, 27,
	 "is a mapping"},
	{"name: x\ntitle: x\nrecognise: {a: b}\nmap: {a: {set: b, when: {}}}\n", 4, 25,
	 "a condition is"},
	{"name: x\ntitle: x\nrecognise: {a: b}\nmap: {\"@timestamp\": {from: a, as: text}}\n", 4,
	 21, "takes times only"},
	{"name: x\ntitle: x\nrecognise: {a: b}\nmap: {a: null}\n", 4, 10, "name of a field"},
	{"name: x\ntitle: x\nrecognise: {a: b}\nlogsource: {produkt: y}\n", 4, 13,
	 "did you mean `product`"},
	{"name: x\ntitle: x\nrecognise: {a: b}\ntests: 7\n", 4, 8, "`tests` is a list"},
	{"name: x\ntitle: x\nname: y\n", 3, 1, "name"},
};

START_TEST(what_is_wrong_is_said_where_it_stands)
{
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		const char *path = file_write("x.yml", refused[i].yaml);
		struct formats *formats = NULL;
		struct error err = {0};
		ck_assert_msg(formats_new(&path, 1, &formats, &err) != OK, "taken: %s",
			      refused[i].yaml);
		ck_assert_ptr_null(formats);
		ck_assert_str_eq(err.file, path);
		ck_assert_msg(err.line == refused[i].line && err.column == refused[i].column &&
				      strstr(err.text, refused[i].words) != NULL,
			      "%s%u:%u: %s", refused[i].yaml, err.line, err.column, err.text);
	}
}
END_TEST

/* A mapping file is data: nothing in it can be executed, multiplied or read twice. */
START_TEST(a13_hostile_yaml_is_refused_with_its_place)
{
	static const char *const files[] = {
		("a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
		 "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
		 "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
		 "g: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\nname: x\n"),
		"name: x\ntitle: &t [*t]\n",
		"base: &b {title: y}\nname: x\n<<: *b\n",
		"name: !!python/object/apply:os.system [id]\ntitle: x\n",
		"name: x\ntitle: x\nrecognise: {a: 1}\nmap: {t: a}\nmap: {t: b}\n",
		"name: x\ntitle: \"\x01\x02\"\n",
		"name: x\ntitle: \xff\xfe\n",
		"name: x\ntitle: x\nuse: [../../etc/passwd]\nrecognise: {a: 1}\n",
		"\tname: x\n",
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
		("name: loop\ntitle: x\npart: true\nuse: [loop]\n---\nname: y\ntitle: y\n"
		 "recognise: {a: 1}\nuse: [loop]\n"),
	};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		const char *path = file_write("x.yml", files[i]);
		struct formats *formats = NULL;
		struct error err = {0};
		ck_assert_msg(formats_new(&path, 1, &formats, &err) != OK, "taken: %s", files[i]);
		ck_assert_msg(err.line > 0 && strcmp(err.file, path) == 0, "%s: %s", files[i],
			      err.text);
	}
}
END_TEST

START_TEST(a13_a_huge_scalar_is_no_problem)
{
	enum { SIZE = 10 * 1024 * 1024 };
	char path[128];
	(void)snprintf(path, sizeof path, "%s/x.yml", folder);
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	(void)fputs("name: x\nrecognise: {a: 1}\ntitle: ", file);
	for (int i = 0; i < SIZE; i++)
		(void)fputc('x', file);
	(void)fclose(file);
	const char *paths[] = {path};
	struct formats *formats = NULL;
	struct error err = {0};
	ck_assert_msg(formats_new(paths, 1, &formats, &err) == OK, "%s", err.text);
	formats_free(&formats);
}
END_TEST

START_TEST(a_file_of_the_operator_replaces_or_adds)
{
	(void)file_write("pino.yml", "name: pino\n"
				     "title: our own pino\n"
				     "recognise: {level: number, time: number}\n"
				     "map: {user.name: who}\n");
	(void)file_write("ours.yaml", "name: ours\n"
				      "title: the billing service\n"
				      "rank: 5\n"
				      "recognise: {bill: present}\n"
				      "logsource: {product: billing}\n"
				      "map: {user.name: payer}\n");
	(void)file_write("README.md", "not: [a mapping file");
	const char *path = folder;
	struct formats *formats = NULL;
	struct error err = {0};
	ck_assert_msg(formats_new(&path, 1, &formats, &err) == OK, "%s", err.text);
	ck_assert_uint_lt(formats_find(formats, TEXT("ours")),
			  formats_find(formats, TEXT("cloudtrail"))); /* by rank */
	size_t pino = formats_find(formats, TEXT("pino"));
	ck_assert_str_eq(formats_info(formats, pino).title, "our own pino");
	ck_assert_uint_eq(formats_find(formats, TEXT("nobody")), formats_count(formats));

	struct decoding decoding;
	decoding_begin(&decoding, (struct decoder_options){.formats = formats});
	const struct event *event =
		decoding_one(&decoding, "{\"level\":30,\"time\":1,\"who\":\"ann\",\"user\":\"x\"}");
	CHECK_FIELD(event, "user.name", "ann");
	event = decoding_one(&decoding, "{\"bill\":1,\"payer\":\"eve\",\"level\":30,\"time\":1}");
	ck_assert_str_eq(decoding.records[0].format, "ours");
	CHECK_FIELD(event, "user.name", "eve");
	ck_assert(text_equal(event->logsource.product, TEXT("billing")));
	decoding_done(&decoding);
	formats_free(&formats);
}
END_TEST

static const struct event *through(const char *map, const char *record)
{
	static struct decoding decoding;
	static struct formats *formats;
	static char yaml[4096];
	if (formats != NULL) {
		decoding_done(&decoding);
		formats_free(&formats);
	}
	if (map == NULL)
		return NULL;
	(void)snprintf(yaml, sizeof yaml,
		       "name: x\ntitle: x\nrank: 1\nrecognise: {x: present}\nmap:\n%s", map);
	const char *path = file_write("x.yml", yaml);
	struct error err = {0};
	ck_assert_msg(formats_new(&path, 1, &formats, &err) == OK, "%u:%u: %s", err.line,
		      err.column, err.text);
	decoding_begin(&decoding, (struct decoder_options){.formats = formats});
	return decoding_one(&decoding, record);
}

START_TEST(conversions)
{
	static const char *const rows[][4] = {
		{"{from: a, as: text}", "7", "t", "7"},
		{"{from: a, as: lower}", "\"ÄbC\"", "t", "Äbc"},
		{"{from: a, as: upper}", "\"aBc\"", "t", "ABC"},
		{"{from: a, as: upper}", "7", "t", "-"},
		{"{from: a, as: integer}", "\"-42\"", "t", "-42"},
		{"{from: a, as: integer}", "\"4x\"", "t", "-"},
		{"{from: a, as: integer}", "\"9223372036854775808\"", "t", "-"},
		{"{from: a, as: integer}", "\"\"", "t", "-"},
		{"{from: a, as: boolean}", "\"yes\"", "t", "true"},
		{"{from: a, as: boolean}", "0", "t", "false"},
		{"{from: a, as: boolean}", "\"maybe\"", "t", "-"},
		{"{from: a, as: seconds}", "0.25", "t", "250000000"},
		{"{from: a, as: seconds}", "\"0.048180s\"", "t", "48180000"},
		{"{from: a, as: milliseconds}", "\"12\"", "t", "12000000"},
		{"{from: a, as: microseconds}", "7", "t", "7000"},
		{"{from: a, as: seconds}", "\"-\"", "t", "-"},
		{"{from: a, as: seconds}", "1e300", "t", "-"},
		{"{from: a, as: status}", "404", "t", "404"},
		{"{from: a, as: status}", "999", "t", "-"},
		{"{from: a, as: status_outcome}", "\"503\"", "t", "failure"},
		{"{from: a, as: status_outcome}", "302", "t", "success"},
		{"{from: a, as: outcome}", "\"DENIED\"", "t", "failure"},
		{"{from: a, as: outcome}", "\"perhaps\"", "t", "-"},
		{"{from: a, as: port}", "\"[::1]:65535\"", "t", "65535"},
		{"{from: a, as: port}", "\"::1\"", "t", "-"},
		{"{from: a, after: '/', before: '/'}", "\"x/y/z\"", "t", "y"},
		{"{from: a, after_last: '/'}", "\"x/y/z\"", "t", "z"},
		{"{from: a, after_last: '/'}", "\"xyz\"", "t", "-"},
		{"{from: a, before: ' '}", "\"xyz\"", "t", "-"},
		{"{from: a, words: {\"3\": error}, else: info}", "3", "t", "error"},
		{"{from: a, words: {\"3\": error}, else: info}", "4", "t", "info"},
		{"{from: a, words: {\"3\": error}}", "4", "t", "-"},
		{"a", "[1,2,3]", "t", "1|2|3"},
		{"{from: a, first: true}", "[1,2,3]", "t", "1"},
		{"{from: a, as: lower}", "[\"A\",7,\"B\"]", "t", "a|b"},
		{"[b, a]", "\"\"", "t", "-"},
		{"[a, {set: otherwise}]", "null", "t", "otherwise"},
		{"{from: a, move: true}", "\"v\"", "a", "-"},
		{"{set: 5, when: {a: [1, 2]}}", "2", "t", "5"},
		{"{set: 5, when: {a: [1, 2]}}", "3", "t", "-"},
		{"{set: 5, when: {a: {prefix: ab}}}", "\"abc\"", "t", "5"},
		{"{set: 5, when: {a: absent}}", "null", "t", "5"},
		{"{set: 5, when: {a: absent}}", "0", "t", "-"},
		{"{set: 5, when: {a: number}}", "[\"x\",1]", "t", "5"},
		{"{set: 5, when: [{b: present}, {a: string}]}", "\"x\"", "t", "5"},
		{"{set: 5, when: {a: present, b: present}}", "1", "t", "-"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char map[512];
		char record[512];
		(void)snprintf(map, sizeof map, "    t: %s\n", rows[i][0]);
		(void)snprintf(record, sizeof record, "{\"x\":1,\"a\":%s}", rows[i][1]);
		const struct event *event = through(map, record);
		ck_assert_msg(strcmp(values_of(event, rows[i][2]), rows[i][3]) == 0,
			      "%s of %s: %s, expected %s", rows[i][0], rows[i][1],
			      values_of(event, rows[i][2]), rows[i][3]);
	}
	(void)through(NULL, NULL);
}
END_TEST

START_TEST(a_mapping_never_overwrites_what_the_record_says)
{
	const struct event *event =
		through("    user.id: a\n    user.name: {set: forged}\n"
			"    t: a\n",
			"{\"x\":1,\"a\":1,\"user\":{\"id\":2,\"name\":\"n\"},\"t\":3}");
	CHECK_FIELD(event, "user.id", "2");
	CHECK_FIELD(event, "user.name", "n");
	CHECK_FIELD(event, "t", "3");
	(void)through(NULL, NULL);
}
END_TEST

START_TEST(a_topic_may_be_fixed_to_a_format)
{
	static const struct topic_format topics[] = {{TEXT("logs~2"), TEXT("okta")},
						     {TEXT("other"), TEXT("okta")},
						     {TEXT("lo*"), TEXT("ecs")}};
	struct decoding decoding;
	decoding_begin(&decoding, (struct decoder_options){.topics = topics, .topic_count = 3});
	/* decoding_feed() reads the topic "logs". A CloudTrail look-alike stays what it is said to
	 * be. */
	const struct event *event = decoding_one(
		&decoding, "{\"eventVersion\":\"1\",\"eventSource\":\"x\",\"eventName\":\"y\"}");
	ck_assert_str_eq(decoding.records[0].format, "ecs");
	ck_assert(text_equal(event->logsource.product, TEXT("microservice")));
	decoding_done(&decoding);
}
END_TEST

/* Message by message: the same decoder recognises what other topics hold. */
START_TEST(a_topic_may_be_left_as_it_is)
{
	static const struct topic_format topics[] = {{TEXT("logs"), TEXT("raw")}};
	static const char otlp[] = "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":["
				   "{\"body\":{\"stringValue\":\"m\"}}]}]}]}";
	static const char pino[] = "{\"level\":30,\"pid\":1,\"hostname\":\"h\","
				   "\"time\":1795305601000,\"msg\":\"m\"}";
	struct decoding decoding;
	decoding_begin(&decoding, (struct decoder_options){.topics = topics, .topic_count = 1});
	for (int turn = 0; turn < 2; turn++) {
		const struct event *event = decoding_one(&decoding, pino);
		ck_assert_str_eq(decoding.records[0].format, "raw");
		CHECK_FIELD(event, "level", "30");
		CHECK_FIELD(event, "log.level", "-");
		ck_assert_uint_eq(event->logsource.product.size, 0);
		event = decoding_one(&decoding, otlp);
		ck_assert_str_eq(decoding.records[0].format, "raw");
		CHECK_FIELD(event, "resourceLogs.scopeLogs.logRecords.body.stringValue", "m");

		event = decoding_one_of(&decoding, "other", pino);
		ck_assert_str_eq(decoding.records[0].format, "pino");
		CHECK_FIELD(event, "log.level", "info");
		event = decoding_one_of(&decoding, "other", otlp);
		ck_assert_str_eq(decoding.records[0].format, "otlp");
		CHECK_FIELD(event, "message", "m");
	}
	decoding_done(&decoding);
}
END_TEST

START_TEST(formats_of_a_stream_are_counted)
{
	struct stream_formats formats = {0};
	char name[16];
	for (int i = 0; i < STREAM_FORMATS_MAX + 3; i++)
		for (int k = 0; k <= i; k++) {
			(void)snprintf(name, sizeof name, "format_%d", i);
			stream_formats_count(&formats, name);
		}
	for (unsigned i = 0; i < STREAM_FORMATS_MAX; i++)
		ck_assert_uint_eq(formats.formats[i].records, i + 1);
	ck_assert_uint_eq(formats.beyond, 9 + 10 + 11);
}
END_TEST

static const struct field_source *source_of(const struct decoded *record, const char *name)
{
	for (size_t i = 0; i < record->event.field_count; i++)
		if (text_equal(record->event.fields[i].name, text_of(name)))
			return &record->sources[i];
	ck_abort_msg("no field %s", name);
	return NULL;
}

START_TEST(every_field_says_where_it_comes_from)
{
	struct decoding decoding;
	decoding_begin(&decoding, (struct decoder_options){.explain = true});
	(void)decoding_one(
		&decoding,
		"{\"log\":\"{\\\"ts\\\":1795305601,\\\"msg\\\":\\\"m\\\",\\\"userId\\\":7}\","
		"\"stream\":\"out\",\"kubernetes\":{\"pod_name\":\"cart-5d8f7c9b4-x2x4z\"}}");
	const struct decoded *record = &decoding.records[0];
	const struct field_source *source = source_of(record, "user.id");
	ck_assert(text_equal(source->name, TEXT("userId")));
	ck_assert_str_eq(source->file, "ingest/formats/services.yml");
	ck_assert_uint_gt(source->line, 1);
	source = source_of(record, "message"); /* an alias: the record's own name is kept */
	ck_assert(text_equal(source->name, TEXT("msg")) && source->file == NULL);
	source = source_of(record, "stream");
	ck_assert(source->envelope && source->file == NULL);
	source = source_of(record, "service.name"); /* read off the pod's name */
	ck_assert(source->name.size == 0 && source->file == NULL);
	decoding_done(&decoding);
}
END_TEST

START_TEST(the_page_lists_formats_and_conversions)
{
	static const char *const all[][2] = {
#define CONVERSION(id, word, doc) {word, doc},
#include "ingest/conversion.def"
#undef CONVERSION
	};
	static char page[64 * 1024];
	char row[512];
	FILE *file = fopen(PICKET_SOURCE_DIR "/docs/FORMATS.md", "rb");
	ck_assert_msg(file != NULL, "docs/FORMATS.md is gone");
	page[fread(page, 1, sizeof page - 1, file)] = '\0';
	(void)fclose(file);
	struct formats *formats = NULL;
	ck_assert_int_eq(formats_new(NULL, 0, &formats, NULL), OK);
	for (size_t i = 0; i < formats_count(formats); i++) {
		(void)snprintf(row, sizeof row, "\n| `%s` | %s |\n", formats_info(formats, i).name,
			       formats_info(formats, i).title);
		ck_assert_msg(strstr(page, row) != NULL, "docs/FORMATS.md lacks %s", row);
	}
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		(void)snprintf(row, sizeof row, "\n| `%s` | %s |\n", all[i][0], all[i][1]);
		ck_assert_msg(strstr(page, row) != NULL, "docs/FORMATS.md lacks %s", row);
	}
	formats_free(&formats);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("format");
	TCase *tests = tcase_create("format");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, the_tests_inside_the_built_in_files_hold);
	tcase_add_test(tests, what_is_wrong_is_said_where_it_stands);
	tcase_add_test(tests, a13_hostile_yaml_is_refused_with_its_place);
	tcase_add_test(tests, a13_a_huge_scalar_is_no_problem);
	tcase_add_test(tests, a_file_of_the_operator_replaces_or_adds);
	tcase_add_test(tests, conversions);
	tcase_add_test(tests, a_mapping_never_overwrites_what_the_record_says);
	tcase_add_test(tests, a_topic_may_be_fixed_to_a_format);
	tcase_add_test(tests, a_topic_may_be_left_as_it_is);
	tcase_add_test(tests, formats_of_a_stream_are_counted);
	tcase_add_test(tests, every_field_says_where_it_comes_from);
	tcase_add_test(tests, the_page_lists_formats_and_conversions);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
