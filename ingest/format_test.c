/* The tests inside mapping files: what a record becomes, said beside the mapping that does it.
 *
 *   tests:
 *       - name: a failed login
 *         input: {level: 50, msg: no}          a record; a text is taken as the message's bytes
 *         time: 2026-11-22T00:00:01Z           the event's time
 *         format: ecs                          what it is recognised as, when not as this format
 *         expect: {log.level: error, gone: null, list: [a, b]}
 *
 * Values are compared as they are printed; null means that the field must not be there. Records are
 * read as they are live: recognised among all formats. */
#include <assert.h>

#include "ingest/decode.h"
#include "ingest/format_private.h"

enum { ARENA_BYTES_MAX = 64 * 1024 * 1024 };

struct run {
	const struct formats *formats;
	const struct format *format;
	struct decoder *decoder;
	struct arena *arena;
	const struct format_test_sink *sink;
	size_t failed;
	bool this_failed;
};

static void fail(struct run *run, struct position at, struct text what)
{
	run->this_failed = true;
	if (run->sink != NULL && run->sink->on_failure != NULL)
		run->sink->on_failure(run->sink->context, at, what);
}

static void put_json(struct bytes *to, const struct yaml_node *node)
{
	bool mapping = node->kind == YAML_MAPPING;
	switch (node->kind) {
	case YAML_NULL:
		bytes_write_string(to, "null");
		return;
	case YAML_BOOLEAN:
		bytes_put(to, node->boolean ? "true" : "false", node->boolean ? 4 : 5);
		return;
	case YAML_INTEGER:
	case YAML_REAL:
		bytes_write(to, node->text);
		return;
	case YAML_STRING:
		json_put_string(to, node->text);
		return;
	case YAML_SEQUENCE:
	case YAML_MAPPING:
		break;
	}
	bytes_put_u8(to, mapping ? '{' : '[');
	for (size_t i = 0; i < node->count; i++) {
		if (i > 0)
			bytes_put_u8(to, ',');
		if (mapping) {
			json_put_string(to, node->keys[i]->text);
			bytes_put_u8(to, ':');
		}
		put_json(to, mapping ? node->values[i] : node->items[i]);
	}
	bytes_put_u8(to, mapping ? '}' : ']');
}

/* Every value of a name as it is printed, joined with " | "; absent: data == NULL. */
static struct text values_of(struct run *run, const struct event *event, struct text name)
{
	const struct {
		struct text name, value;
	} stamps[] = {{TEXT("logsource.category"), event->logsource.category},
		      {TEXT("logsource.product"), event->logsource.product},
		      {TEXT("logsource.service"), event->logsource.service}};
	for (size_t i = 0; i < sizeof stamps / sizeof *stamps; i++)
		if (text_equal(stamps[i].name, name))
			return stamps[i].value.size == 0 ? (struct text){0} : stamps[i].value;
	struct text joined = {0};
	for (size_t i = 0; i < event->field_count; i++)
		if (text_equal(event->fields[i].name, name))
			joined = joined.data == NULL
					 ? arena_print(run->arena, "%.*s",
						       TEXT_ARG(event->fields[i].value.text))
					 : arena_print(run->arena, "%.*s | %.*s", TEXT_ARG(joined),
						       TEXT_ARG(event->fields[i].value.text));
	return joined;
}

static struct text expected_of(struct run *run, const struct yaml_node *node)
{
	struct text joined = {0};
	if (node->kind == YAML_NULL)
		return joined;
	if (node->kind != YAML_SEQUENCE)
		return node->text;
	for (size_t i = 0; i < node->count; i++)
		joined = arena_print(run->arena, "%.*s%s%.*s", TEXT_ARG(joined),
				     i == 0 ? "" : " | ", TEXT_ARG(node->items[i]->text));
	return joined;
}

static void check_fields(struct run *run, const struct yaml_node *expect, const struct event *event)
{
	for (size_t i = 0; expect != NULL && i < expect->count; i++) {
		struct text name = schema_canonical(expect->keys[i]->text);
		struct text found = values_of(run, event, name);
		struct text wanted = expected_of(run, expect->values[i]);
		if ((found.data == NULL) == (wanted.data == NULL) && text_equal(found, wanted))
			continue;
		fail(run, expect->keys[i]->at,
		     arena_print(run->arena, "`%.*s` is %s%.*s%s, expected %s%.*s%s",
				 TEXT_ARG(name), found.data == NULL ? "absent" : "`",
				 TEXT_ARG(found), found.data == NULL ? "" : "`",
				 wanted.data == NULL ? "it absent" : "`", TEXT_ARG(wanted),
				 wanted.data == NULL ? "" : "`"));
	}
}

static void check_record(struct run *run, const struct yaml_node *test,
			 const struct decoded *record)
{
	const struct yaml_node *format = yaml_get(test, "format");
	const struct yaml_node *time = yaml_get(test, "time");
	struct text wanted = format == NULL ? text_of(run->format->name) : format->text;
	int64_t time_us = 0;
	if (record->why != ACCEPTED) {
		fail(run, test->at,
		     arena_print(run->arena, "rejected: %s (%.*s)", reject_name(record->why),
				 TEXT_ARG(record->detail)));
		return;
	}
	if (!text_equal(text_of(record->format), wanted))
		fail(run, test->at,
		     arena_print(run->arena, "recognised as `%s`, expected `%.*s`", record->format,
				 TEXT_ARG(wanted)));
	if (time != NULL && !time_parse(time->text, &time_us))
		fail(run, time->at, TEXT("`time` is not RFC 3339"));
	else if (time != NULL && time_us != record->event.time_us) {
		char buffer[32];
		fail(run, time->at,
		     arena_print(run->arena, "the event's time is %.*s",
				 TEXT_ARG(time_print(record->event.time_us, buffer))));
	}
	check_fields(run, yaml_get(test, "expect"), &record->event);
}

static enum status run_input(struct run *run, const struct yaml_node *test,
			     const struct yaml_node *input)
{
	struct bytes json cleanup(bytes_done) = {0};
	if (input->kind == YAML_STRING)
		bytes_write(&json, input->text);
	else
		put_json(&json, input);
	const struct origin origin = {.topic = TEXT("test"), .offset = 1};
	const struct message message = {.payload = bytes_text(&json)};
	struct decoded record = {0};
	bool more = false;
	if (json.failed)
		return ENOMEMORY;
	enum status status = decoder_begin(run->decoder, &message, &origin, run->arena);
	if (status == OK)
		status = decoder_next(run->decoder, &record, &more);
	if (status == OK && more)
		check_record(run, test, &record);
	if (status == OK && !more)
		fail(run, input->at, TEXT("the input holds no record"));
	return status;
}

static enum status run_test(struct run *run, const struct yaml_node *test, struct error *err)
{
	static const char *const keys[] = {"name", "input", "time", "format", "expect"};
	enum status status = keys_check(test, keys, sizeof keys / sizeof *keys, err);
	if (status != OK)
		return status;
	const struct yaml_node *input = yaml_get(test, "input");
	const struct yaml_node *expect = yaml_get(test, "expect");
	if (input == NULL || yaml_get(test, "name") == NULL)
		return error_at(err, EINVALID, test->at, "a test needs `name` and `input`");
	if (expect == NULL || expect->kind != YAML_MAPPING)
		return error_at(err, EINVALID, test->at, "`expect` is a mapping of field: value");
	run->this_failed = false;
	arena_reset(run->arena);
	status = run_input(run, test, input);
	run->failed += run->this_failed;
	return status == OK ? OK : error_set(err, status, "no memory for a mapping's test");
}

enum status formats_test(const struct formats *formats, const struct format_test_sink *sink,
			 size_t *ret_run, size_t *ret_failed, struct error *err)
{
	const struct decoder_options options = {.formats = formats, .time_trusted = true};
	struct decoder *decoder cleanup(decoder_free) = NULL;
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES_MAX);
	enum status status = decoder_new(&options, &decoder, err);
	if (status != OK)
		return status;
	if (arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for the mappings' tests");
	struct run run = {.formats = formats, .decoder = decoder, .arena = arena, .sink = sink};
	size_t count = 0;
	for (size_t i = 0; i < formats->format_count; i++) {
		run.format = &formats->formats[i];
		const struct yaml_node *tests = run.format->tests;
		for (size_t k = 0; tests != NULL && k < tests->count; k++, count++) {
			status = run_test(&run, tests->items[k], err);
			if (status != OK)
				return status;
		}
	}
	*ret_run = count;
	*ret_failed = run.failed;
	return OK;
}
