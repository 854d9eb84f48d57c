/* picket events list|show, picket quarantine list|show */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "cli/command.h"

/* Adds the options of a table as parameters of the same name. */
static void add_options(struct question *question, const struct session *session,
			const struct option *options)
{
	for (const struct option *option = options; option->name != NULL; option++) {
		if (option->placeholder != NULL)
			question_add(question, option->name,
				     arguments_get(&session->arguments, option->name));
	}
}

static const struct option event_options[] = {
	{"topic", 0, "TOPIC", "of this topic (or file)"},
	{"partition", 0, "N", "of this partition of the topic"},
	{"from", 0, "OFFSET", "from this offset"},
	{"to", 0, "OFFSET", "up to this offset"},
	{0},
};

static const struct column event_columns[] = {
	{"TIME", "time", CELL_TIME, false},
	{"TOPIC", "topic", CELL_TEXT, COLUMN_WHOLE},
	{"PARTITION", "partition", CELL_COUNT, false},
	{"OFFSET", "offset", CELL_COUNT, false},
	{"INDEX", "index", CELL_COUNT, COLUMN_MINOR},
	{"TENANT", "tenant", CELL_TEXT, COLUMN_MINOR},
	{"EVENT", "", CELL_EVENT, true},
};

static int run_events_list(struct session *session)
{
	struct question question;
	question_init(&question, "GET", TEXT("/v1/events"));
	question_add_common(&question, session);
	add_options(&question, session, event_options);
	return session_list(
		session, &(struct listing){&question, "events", event_columns,
					   sizeof event_columns / sizeof *event_columns,
					   "no stored event fits; see also: picket sources list"});
}

const struct command command_events_list = {
	.noun = "events",
	.verb = "list",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_RANGE | TAKES_TENANT,
	.options = event_options,
	.summary = "stored events, by where they came from",
	.details = "",
	.examples = "  picket events list --topic logs-auth --partition 0 --from 1200 --to 1300\n"
		    "  picket events list --since 10m --limit 1000 -o ndjson\n",
	.run = run_events_list,
};

/* TOPIC/PARTITION/OFFSET[/INDEX], read from the right: the fields as texts in *buffer. */
struct place {
	char buffer[1200];
	const char *topic, *partition, *offset, *index; /* index NULL: all records of the message */
};

static bool is_number(const char *word)
{
	return word[0] != '\0' && word[strspn(word, "0123456789")] == '\0';
}

static bool split_place(const char *word, struct place *place)
{
	const char *fields[3] = {NULL};
	size_t count = 0;
	*place = (struct place){0};
	if (strlen(word) >= sizeof place->buffer)
		return false;
	(void)strcpy(place->buffer, word);
	while (count < 3) {
		char *slash = strrchr(place->buffer, '/');
		if (slash == NULL || !is_number(slash + 1))
			break;
		*slash = '\0';
		fields[count++] = slash + 1;
	}
	place->topic = place->buffer;
	if (count < 2 || place->topic[0] == '\0')
		return false;
	place->index = count == 3 ? fields[0] : NULL;
	place->offset = count == 3 ? fields[1] : fields[0];
	place->partition = count == 3 ? fields[2] : fields[1];
	return true;
}

static const struct option raw_options[] = {
	{"raw", 0, NULL, "the record's own bytes and nothing else"},
	{0},
};

/* The bytes of a record: `raw` when they are a text, else `base64`. */
static int print_raw(struct session *session, struct json_object *raw, const char *base64,
		     bool exactly)
{
	FILE *to = session->output.to;
	if (raw != NULL) {
		const char *text = json_object_get_string(raw);
		if (exactly)
			(void)fwrite(text, 1, (size_t)json_object_get_string_len(raw), to);
		else if (text[0] == '\0')
			output_text(to, "(no bytes)");
		else
			output_text(to, text);
		return EXIT_OK;
	}
	size_t size = strlen(base64);
	unsigned char *bytes = malloc(size + 1);
	size_t got = 0;
	if (bytes == NULL || sodium_base642bin(bytes, size + 1, base64, size, NULL, &got, NULL,
					       sodium_base64_VARIANT_ORIGINAL) != 0) {
		free(bytes);
		return session_fail(session, EXIT_INTERNAL, "the raw record cannot be decoded");
	}
	if (exactly)
		(void)fwrite(bytes, 1, got, to);
	else
		(void)fprintf(to, "(%zu bytes that are no text; --raw > FILE gives them)", got);
	free(bytes);
	return EXIT_OK;
}

/* The bytes that the event was read from, or why they are not there. */
static int print_event_raw(struct session *session, struct json_object *row, const char *place)
{
	struct json_object *event = NULL;
	struct json_object *raw = NULL;
	struct json_object *base64 = NULL;
	struct json_object *missing = NULL;
	(void)json_object_object_get_ex(row, "event", &event);
	(void)json_object_object_get_ex(event, "picket.src.raw", &raw);
	(void)json_object_object_get_ex(event, "picket.src.raw_base64", &base64);
	(void)json_object_object_get_ex(event, "picket.src.raw_missing", &missing);
	if (raw != NULL || base64 != NULL)
		return print_raw(session, raw, json_object_get_string(base64), true);
	if (missing == NULL)
		return session_fail(session, EXIT_NEGATIVE,
				    "%s: its bytes were not asked for; to keep those of its topic "
				    "from now on set store.raw",
				    place);
	return session_fail(session, EXIT_NEGATIVE,
			    "%s: its bytes were not kept (%s; see docs/RAW.md); without --raw its "
			    "fields are shown",
			    place, json_object_get_string(missing));
}

/* The events of the answer, all or those of one index. */
static int print_events(struct session *session, struct json_object *answer,
			const struct place *place, const char *word)
{
	struct json_object *events = json_path(answer, "events");
	struct json_object *shown = NULL;
	bool raw = arguments_has(&session->arguments, "raw");
	size_t count = 0;
	for (size_t i = 0; events != NULL && i < json_object_array_length(events); i++) {
		struct json_object *event = json_object_array_get_idx(events, i);
		const char *index = json_path_text(event, "index");
		if (place->index != NULL && strcmp(index, place->index) != 0)
			continue;
		if (!raw)
			output_json(&session->output, event);
		shown = event;
		count++;
	}
	if (count == 0)
		return session_fail(session, EXIT_NEGATIVE,
				    "no stored event %s; perhaps it is in the quarantine", word);
	if (raw && count > 1)
		return session_fail(session, EXIT_USAGE,
				    "%s holds %zu records; with --raw name one: %s/INDEX", word,
				    count, word);
	return raw ? print_event_raw(session, shown, word) : EXIT_OK;
}

static int show_events(struct session *session, struct client *client, const char *word)
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct question question;
	struct place place;
	if (!split_place(word, &place))
		return session_fail(session, EXIT_USAGE,
				    "\"%s\" is not TOPIC/PARTITION/OFFSET or "
				    "TOPIC/PARTITION/OFFSET/INDEX",
				    word);
	question_init(&question, "GET", TEXT("/v1/events"));
	question_add(&question, "topic", place.topic);
	question_add(&question, "partition", place.partition);
	question_add(&question, "from", place.offset);
	question_add(&question, "to", place.offset);
	question_add(&question, "limit", "10000");
	question_add_common(&question, session);
	int code = session_ask(session, client, &question, &answer);
	return code == EXIT_OK ? print_events(session, answer, &place, word) : code;
}

static int run_events_show(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct error err = {0};
	int code = EXIT_OK;
	const struct arguments *arguments = &session->arguments;
	if (arguments_has(arguments, "raw") && arguments->word_count > 1)
		return session_fail(session, EXIT_USAGE,
				    "--raw gives the bytes of one record: name one");
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	for (size_t i = 0; code == EXIT_OK && i < arguments->word_count; i++)
		code = show_events(session, client, arguments->words[i]);
	return code;
}

const struct command command_events_show = {
	.noun = "events",
	.verb = "show",
	.words = "TOPIC/PARTITION/OFFSET[/INDEX]...",
	.word_min = 1,
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_TENANT,
	.options = raw_options,
	.summary = "one stored event with all its fields",
	.details = "",
	.examples = "  picket events show logs-auth/0/91827\n"
		    "  picket events show logs-auth/0/91827/0 --raw > record.json\n",
	.run = run_events_show,
};

static const struct option quarantine_options[] = {
	{"topic", 0, "TOPIC", "of this topic (or file)"},
	{"partition", 0, "N", "of this partition of the topic"},
	{"reason", 0, "WORD", "with this reason, such as not_json"},
	{0},
};

static const struct column quarantine_columns[] = {
	{"ID", "id", CELL_TEXT, COLUMN_WHOLE},         {"TIME", "time", CELL_TIME, COLUMN_MINOR},
	{"REASON", "reason", CELL_TEXT, COLUMN_WHOLE}, {"SIZE", "size", CELL_BYTES, COLUMN_WHOLE},
	{"DETAIL", "detail", CELL_TEXT, COLUMN_CUT},   {"BEGINS", "preview", CELL_TEXT, COLUMN_CUT},
};

static int run_quarantine_list(struct session *session)
{
	struct question question;
	question_init(&question, "GET", TEXT("/v1/quarantine"));
	question_add_common(&question, session);
	add_options(&question, session, quarantine_options);
	return session_list(
		session, &(struct listing){&question, "quarantine", quarantine_columns,
					   sizeof quarantine_columns / sizeof *quarantine_columns,
					   "the quarantine holds nothing that fits"});
}

const struct command command_quarantine_list = {
	.noun = "quarantine",
	.verb = "list",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_RANGE | TAKES_WATCH,
	.options = quarantine_options,
	.summary = "records that could not be read, with the reason",
	.details = "",
	.examples = "  picket quarantine list --reason not_json\n",
	.run = run_quarantine_list,
};

static const struct column quarantine_fields[] = {
	{"id", "id", CELL_TEXT, false},         {"time", "time", CELL_TIME, false},
	{"reason", "reason", CELL_TEXT, false}, {"detail", "detail", CELL_TEXT, false},
	{"key", "key", CELL_TEXT, false},       {"size", "size", CELL_BYTES, false},
};

static int print_quarantined(struct session *session, struct json_object *row, bool exactly)
{
	return print_raw(session, json_path(row, "raw"), json_path_text(row, "raw_base64"),
			 exactly);
}

static int show_quarantine(struct session *session, struct client *client, const char *id)
{
	struct json_object *row cleanup(session_json_done) = NULL;
	struct question question;
	struct error err = {0};
	char path[1300];
	int length = snprintf(path, sizeof path, "/v1/quarantine/%s", id);
	if (length < 0 || (size_t)length >= sizeof path)
		return session_fail(session, EXIT_USAGE, "the id is too long");
	question_init(&question, "GET", text_of(path));
	int code = session_ask(session, client, &question, &row);
	if (code != EXIT_OK)
		return code;
	if (arguments_has(&session->arguments, "raw"))
		return print_quarantined(session, row, true);
	if (session->output.format != OUTPUT_TABLE) {
		output_json(&session->output, row);
		return EXIT_OK;
	}
	if (output_fields(&session->output, quarantine_fields,
			  sizeof quarantine_fields / sizeof *quarantine_fields, row, &err) != OK)
		return session_fail_error(session, &err);
	(void)fputs("\n", session->output.to);
	code = print_quarantined(session, row, false);
	(void)fputs("\n", session->output.to);
	return code;
}

static int run_quarantine_show(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct error err = {0};
	int code = EXIT_OK;
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	for (size_t i = 0; code == EXIT_OK && i < session->arguments.word_count; i++)
		code = show_quarantine(session, client, session->arguments.words[i]);
	return code;
}

const struct command command_quarantine_show = {
	.noun = "quarantine",
	.verb = "show",
	.words = "ID...",
	.word_min = 1,
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT | TAKES_SERVER,
	.options = raw_options,
	.summary = "one record with its raw bytes",
	.details = "",
	.examples = "  picket quarantine show logs-auth/0/12/0\n"
		    "  picket quarantine show logs-auth/0/12/0 --raw > record.bin\n",
	.run = run_quarantine_show,
};
