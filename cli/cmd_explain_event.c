/* picket explain-event: raw record -> event, and what set each field. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/json_writer.h"
#include "cli/rule_events.h"

enum { RECORDS_DEFAULT = 10 };

static const struct option explain_options[] = {
	OPTION_INPUT,
	OPTION_FORMATS,
	{"limit", 0, "N", "stop after N records of each file (default 10, 0 = all)"},
	{0},
};

static const struct column field_columns[] = {
	{"FIELD", "field", CELL_TEXT, COLUMN_WHOLE},
	{"VALUE", "value", CELL_TEXT, COLUMN_CUT},
	{"FROM", "from", CELL_TEXT, COLUMN_WHOLE},
	{"SET BY", "set_by", CELL_TEXT, COLUMN_WHOLE},
};

struct explaining {
	struct session *session;
	const char *path;
	unsigned long limit, shown;
	struct error err;
	enum status status;
};

static struct json_object *text_object(struct text text)
{
	return json_object_new_string_len(text.size == 0 ? "" : text.data, (int)text.size);
}

/* "the record", "the envelope", a mapping's file:line, or "picket" (read off a line or a pod). */
static struct json_object *set_by(const struct field_source *source)
{
	char place[ERROR_FILE_MAX + 16];
	if (source->file == NULL)
		return json_object_new_string(source->envelope        ? "the envelope"
					      : source->name.size > 0 ? "the record"
								      : "picket");
	(void)snprintf(place, sizeof place, "%s:%u", source->file, source->line);
	return json_object_new_string(place);
}

static struct json_object *fields_of(const struct decoded *record)
{
	struct json_object *fields = json_object_new_array();
	for (size_t i = 0; fields != NULL && i < record->event.field_count; i++) {
		const struct field *field = &record->event.fields[i];
		struct text value = field->value.text;
		if (field->value.type == VALUE_NULL)
			value = TEXT("null");
		else if (field->value.type == VALUE_EMPTY)
			value = TEXT("(empty)");
		struct json_object *row = json_object_new_object();
		if (row == NULL)
			return fields;
		(void)json_object_object_add(row, "field", text_object(field->name));
		(void)json_object_object_add(row, "value", text_object(value));
		(void)json_object_object_add(row, "from", text_object(record->sources[i].name));
		(void)json_object_object_add(row, "set_by", set_by(&record->sources[i]));
		(void)json_object_array_add(fields, row);
	}
	return fields;
}

static struct json_object *flags_of(const struct event *event)
{
	struct json_object *flags = json_object_new_array();
	for (unsigned bit = 0; flags != NULL && bit < QUALITY_COUNT; bit++)
		if ((event->quality >> bit & 1) != 0)
			(void)json_object_array_add(flags, json_object_new_string(quality_name(
								   (enum quality)(1u << bit))));
	return flags;
}

static struct json_object *logsource_of(const struct logsource *logsource)
{
	struct json_object *object = json_object_new_object();
	if (logsource->category.size > 0)
		(void)json_object_object_add(object, "category", text_object(logsource->category));
	if (logsource->product.size > 0)
		(void)json_object_object_add(object, "product", text_object(logsource->product));
	if (logsource->service.size > 0)
		(void)json_object_object_add(object, "service", text_object(logsource->service));
	return object;
}

static struct json_object *record_object(const struct explaining *work, int64_t number,
					 const struct decoded *record)
{
	char time[32];
	struct json_object *object = json_object_new_object();
	if (object == NULL)
		return NULL;
	(void)json_object_object_add(object, "schema",
				     json_object_new_string("picket.explanation/1"));
	(void)json_object_object_add(object, "file", json_object_new_string(work->path));
	(void)json_object_object_add(object, "line", json_object_new_int64(number));
	(void)json_object_object_add(object, "index", json_object_new_int64(record->index));
	if (record->why != ACCEPTED) {
		(void)json_object_object_add(object, "rejected",
					     json_object_new_string(reject_name(record->why)));
		(void)json_object_object_add(object, "detail", text_object(record->detail));
		return object;
	}
	const struct event *event = &record->event;
	(void)json_object_object_add(object, "format", json_object_new_string(record->format));
	(void)json_object_object_add(object, "time", text_object(time_print(event->time_us, time)));
	(void)json_object_object_add(object, "owner", text_object(event->owner));
	(void)json_object_object_add(object, "logsource", logsource_of(&event->logsource));
	(void)json_object_object_add(object, "quality", flags_of(event));
	(void)json_object_object_add(object, "fields", fields_of(record));
	return object;
}

static void print_heading(const struct explaining *work, struct json_object *object)
{
	char line[2048];
	const char *rejected = json_path_text(object, "rejected");
	struct bytes source cleanup(bytes_done) = {0};
	output_cell(json_path(object, "logsource"), CELL_MAP, &source);
	bytes_put_u8(&source, '\0');
	if (rejected[0] != '\0')
		(void)snprintf(line, sizeof line, "%s:%s record %s is rejected: %s (%s)\n",
			       work->path, json_path_text(object, "line"),
			       json_path_text(object, "index"), rejected,
			       json_path_text(object, "detail"));
	else
		(void)snprintf(line, sizeof line,
			       "%s:%s record %s: format %s, time %s, log source %s\n", work->path,
			       json_path_text(object, "line"), json_path_text(object, "index"),
			       json_path_text(object, "format"), json_path_text(object, "time"),
			       source.failed ? "" : (const char *)source.data);
	output_text(work->session->output.to, line);
}

static bool on_record(void *context, int64_t number, const struct decoded *record)
{
	struct explaining *work = context;
	const struct output *output = &work->session->output;
	struct json_object *object cleanup(session_json_done) = record_object(work, number, record);
	if (output->format != OUTPUT_TABLE) {
		output_json(output, object);
	} else {
		if (work->shown > 0)
			output_text(output->to, "\n");
		print_heading(work, object);
		if (record->why == ACCEPTED)
			work->status = output_table(output, field_columns,
						    sizeof field_columns / sizeof *field_columns,
						    json_path(object, "fields"), &work->err);
	}
	work->shown++;
	return work->status == OK && (work->limit == 0 || work->shown < work->limit);
}

static int run_explain_event(struct session *session)
{
	struct decoder_options options;
	struct rule_event_totals totals = {0};
	struct error err = {0};
	const char *limit = arguments_get(&session->arguments, "limit");
	char *end = NULL;
	unsigned long count = limit == NULL ? RECORDS_DEFAULT : strtoul(limit, &end, 10);
	if (limit != NULL && (*end != '\0' || limit[0] < '0' || limit[0] > '9'))
		return session_fail(session, EXIT_USAGE, "--limit %s is not a number", limit);
	int code = rule_events_options(session, &options);
	options.explain = true;
	for (size_t i = 0; code == EXIT_OK && i < session->arguments.word_count; i++) {
		struct explaining work = {
			.session = session, .path = session->arguments.words[i], .limit = count};
		if (rule_records_read(work.path, &options, on_record, &work, &totals, &err) != OK)
			return session_fail_error(session, &err);
		if (work.status != OK)
			return session_fail_error(session, &work.err);
	}
	return code == EXIT_OK && totals.rejects > 0 ? EXIT_INCOMPLETE : code;
}

const struct command command_explain_event = {
	.noun = "explain-event",
	.words = "FILE...",
	.word_min = 1,
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT,
	.options = explain_options,
	.summary = "show what a record becomes, and which line of a mapping set each field",
	.details =
		"FILE is NDJSON, JSON arrays, OTLP or .gz of these; - is standard input. For each record:\n"
		"its format, time and log source, then every field with its value, the name it had in the\n"
		"record, and who set it: the record itself, the envelope around it, or a mapping. Exit\n"
		"code 2 when a record was rejected.\n",
	.examples = "  picket explain-event app.ndjson\n"
		    "  picket explain-event --input okta --limit 1 -o json okta.json\n"
		    "  kcat -C -b kafka:9092 -t otlp_logs -c 1 | picket explain-event -\n",
	.run = run_explain_event,
};
