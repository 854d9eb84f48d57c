/* picket doctor: files, or what a topic holds, read to their end and judged service by service. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/doctor.h"
#include "cli/doctor_advice.h"
#include "cli/rule_loading.h"
#include "cli/wall.h"
#include "cli/wiring.h"
#include "ingest/enrich.h"

#define INSTALLED_RULES "/usr/share/picket/rules"

enum {
	POLL_MS = 200,
	POLL_MESSAGES = 1024,
	ARENA_BYTES = 1 << 29,
	STREAMS_MAX = 4096,
	MESSAGES_DEFAULT = 100000,
	PATIENCE_S = 30, /* without a message and without the end of the topic */
};

static const struct option doctor_command_options[] = {
	{"topic", 0, "TOPIC", "look at a topic of the configured Kafka instead of files"},
	{"messages", 0, "N", "of a topic, at most so many messages (default: 100000)"},
	{"config", 'c', "FILE", "configuration: where Kafka is, and the bindings"},
	{"rules", 0, "PATH", "rules to hold the fields against (default: " INSTALLED_RULES ")"},
	{"bindings", 0, "FILE", "who may write where (default: provenance.bindings)"},
	{"min", 0, "SCORE", "exit with 1 when a service is below this score"},
	OPTIONS_OF_LOADING,
	OPTION_INPUT,
	OPTION_FORMATS,
	OPTION_LOGSOURCE,
	{0},
};

static const struct column doctor_columns[] = {
	{"SERVICE", "service", CELL_TEXT, true},
	{"SCORE", "score", CELL_COUNT, false},
	{"EVENTS", "events", CELL_COUNT, false},
	{"PER SECOND", "bytes_per_second", CELL_BYTES, false},
	{"RULES", "rules.can_fire", CELL_COUNT, false},
	{"OF", "rules.of", CELL_COUNT, false},
	{"GATE", "gate.ready", CELL_TEXT, false},
	{"SIGNALS", "signals.can_feed", CELL_COUNT, false},
	{"FORMATS", "formats", CELL_LIST, COLUMN_MINOR},
};

struct visit {
	struct session *session;
	struct doctor *doctor;
	struct decoder *decoder;
	struct enricher *enricher;
	struct privacy *privacy;
	struct bindings *bindings;
	struct ruleset *ruleset;
	struct source *source;
	struct arena *arena, *config_arena;
	struct wiring wiring;
	char *topics[STREAMS_MAX]; /* of streams, by index */
	bool over[STREAMS_MAX];    /* the stream was read to its end */
	size_t stream_count, over_count;
	uint64_t messages, messages_max, rejects;
	char reason[256];
	bool stopped; /* before its end */
};

static void visit_done(struct visit *visit)
{
	source_free(&visit->source);
	doctor_free(&visit->doctor);
	if (visit->decoder != NULL)
		decoder_free(&visit->decoder);
	enricher_free(&visit->enricher);
	privacy_free(&visit->privacy);
	bindings_free(&visit->bindings);
	if (visit->ruleset != NULL)
		ruleset_free(&visit->ruleset);
	for (size_t i = 0; i < visit->stream_count; i++)
		free(visit->topics[i]);
	wiring_done(&visit->wiring);
	arena_free(&visit->arena);
	arena_free(&visit->config_arena);
}

static void note_reject(struct visit *visit, const struct origin *origin,
			const struct decoded *record)
{
	struct text words =
		record->detail.size > 0 ? record->detail : text_of(reject_text(record->why));
	if (visit->rejects++ == 0)
		(void)snprintf(visit->reason, sizeof visit->reason, "%.*s:%" PRId64 ": %s: %.*s",
			       TEXT_ARG(origin->topic), origin->offset, reject_name(record->why),
			       TEXT_ARG(words));
}

static enum status see_record(struct visit *visit, struct decoded *record, size_t bytes)
{
	uint64_t unbound = enricher_counters(visit->enricher).unbound;
	enum status status = enricher_event(visit->enricher, visit->arena, &record->event);
	if (status != OK)
		return status;
	const struct specimen specimen = {
		.event = &record->event,
		.format = record->format,
		.bytes = bytes,
		.unbound = enricher_counters(visit->enricher).unbound > unbound,
		.false_claim = (record->event.quality & QUALITY_SPOOFED) != 0,
	};
	return doctor_see(visit->doctor, &specimen);
}

static enum status see_message(struct visit *visit, const struct message *message)
{
	assert(message->stream < visit->stream_count);
	const struct origin origin = {.topic = text_of(visit->topics[message->stream]),
				      .offset = message->offset};
	struct decoded record = {0};
	bool more = true;
	size_t bytes = message->payload.size; /* of the message: counted with its first record */
	arena_reset(visit->arena);
	enricher_message(visit->enricher, origin.topic, message);
	enum status status = decoder_begin(visit->decoder, message, &origin, visit->arena);
	visit->messages++;
	while (status == OK && more) {
		status = decoder_next(visit->decoder, &record, &more);
		if (status != OK || !more)
			break;
		if (record.why != ACCEPTED) {
			note_reject(visit, &origin, &record);
			continue;
		}
		status = see_record(visit, &record, bytes);
		bytes = 0;
	}
	return status;
}

static enum status hear(struct visit *visit, const struct source_notice *notice, struct error *err)
{
	switch (notice->kind) {
	case SOURCE_STREAM_ADDED:
		if (visit->stream_count == STREAMS_MAX)
			return error_set(err, ELIMIT, "more than %d files or partitions",
					 STREAMS_MAX);
		visit->topics[visit->stream_count] =
			strndup(notice->topic.data, notice->topic.size);
		if (visit->topics[visit->stream_count] == NULL)
			return ENOMEMORY;
		visit->stream_count++;
		return OK;
	case SOURCE_FINISHED:
	case SOURCE_TICK:
		visit->over_count += !visit->over[notice->stream];
		visit->over[notice->stream] = true;
		return OK;
	case SOURCE_PROBLEM:
		if (visit->rejects++ == 0)
			(void)snprintf(visit->reason, sizeof visit->reason, "%.*s",
				       TEXT_ARG(notice->text));
		return OK;
	default:
		return OK;
	}
}

/* Until every stream has come to its end, enough was read, or nothing comes any more. */
static enum status read_all(struct visit *visit, struct error *err)
{
	int64_t heard_us = wall_now_us();
	bool ready = false;
	enum status status = OK;
	while (status == OK && !(ready && visit->over_count == visit->stream_count)) {
		struct source_batch batch = {0};
		status = visit->source->ops->poll(visit->source, POLL_MS, POLL_MESSAGES, &batch,
						  err);
		size_t told = 0;
		for (size_t i = 0; status == OK && i <= batch.message_count; i++) {
			for (; status == OK && told < batch.notice_count &&
			       batch.notice_after[told] <= i;
			     told++) {
				ready = ready || batch.notices[told].kind == SOURCE_READY;
				status = hear(visit, &batch.notices[told], err);
			}
			if (status == OK && i < batch.message_count &&
			    visit->messages < visit->messages_max)
				status = see_message(visit, &batch.messages[i]);
		}
		int64_t now_us = wall_now_us();
		if (batch.message_count + batch.notice_count > 0)
			heard_us = now_us;
		visit->stopped = visit->messages >= visit->messages_max ||
				 now_us - heard_us > (int64_t)PATIENCE_S * 1000000;
		if (visit->stopped)
			break;
	}
	return status;
}

static int load_doctor_rules(struct session *session, struct visit *visit)
{
	const char **paths = NULL;
	size_t count = 0;
	if (collect_paths(session, "rules", &paths, &count) != OK)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	if (count == 0 && access(INSTALLED_RULES, R_OK) == 0)
		paths[count++] = INSTALLED_RULES;
	int code = EXIT_OK;
	if (count > 0) {
		struct ruleset_options options = {
			.paths = paths, .path_count = count, .skip_refused = true};
		code = load_rules(session, &options, &visit->ruleset);
	}
	free(paths);
	return code;
}

/* The configuration is needed for a topic, and gives the bindings when there is one. */
static int load_config(struct session *session, struct visit *visit, struct config *config)
{
	struct problems problems;
	struct error err = {0};
	enum status status = problems_init(&problems, visit->config_arena, &err);
	if (status == OK)
		status = config_load(session_config(session), &problems, config, &err);
	if (status == OK && problems.count > 0)
		return session_fail_error(session, &problems.items[0]);
	if (status == OK)
		status = wiring_init(&visit->wiring, config, visit->config_arena, &err);
	return status == OK ? EXIT_OK : session_fail_error(session, &err);
}

static enum status open_topic(struct visit *visit, const char *topic, struct error *err)
{
	const struct source_start start = {.share_count = 1, .clock = wall_clock_real()};
	struct text *topics = arena_alloc(visit->config_arena, sizeof *topics);
	if (topics == NULL)
		return ENOMEMORY;
	if (!visit->wiring.is_kafka)
		return error_set(err, EINVALID,
				 "--topic needs kafka.bootstrap_servers in the configuration");
	topics[0] = text_of(topic);
	visit->wiring.kafka.topics = topics;
	visit->wiring.kafka.topic_count = 1;
	visit->wiring.kafka.group_id = NULL; /* a look leaves no trace */
	visit->wiring.kafka.start = KAFKA_START_EARLIEST;
	return source_kafka_new(&visit->wiring.kafka, &start, &visit->source, err);
}

static int open_source(struct session *session, struct visit *visit)
{
	const struct arguments *arguments = &session->arguments;
	const char *topic = arguments_get(arguments, "topic");
	const char *bindings = arguments_get(arguments, "bindings");
	struct config config = {.bindings = ""};
	struct error err = {0};
	if ((topic == NULL) == (arguments->word_count == 0))
		return session_fail(session, EXIT_USAGE, "name files, or one --topic");
	if (topic != NULL || arguments_has(arguments, "config")) {
		int code = load_config(session, visit, &config);
		if (code != EXIT_OK)
			return code;
	}
	if (bindings == NULL)
		bindings = config.bindings;
	enum status status = OK;
	if (bindings[0] != '\0')
		status = bindings_load(bindings, &visit->bindings, &err);
	const struct file_options files = {arguments->words, arguments->word_count};
	const struct source_start start = {.share_count = 1, .clock = wall_clock_real()};
	if (status == OK)
		status = topic != NULL ? open_topic(visit, topic, &err)
				       : source_file_new(&files, &start, &visit->source, &err);
	if (status == OK)
		return EXIT_OK;
	(void)session_fail_error(session, &err);
	return status == ENOTFOUND || status == ESYSTEM ? EXIT_DATA : (int)exit_of_status(status);
}

static int prepare(struct session *session, struct visit *visit)
{
	struct decoder_options options = {0};
	struct error err = {0};
	const char *messages = arguments_get(&session->arguments, "messages");
	int64_t most = MESSAGES_DEFAULT;
	bool topic = arguments_has(&session->arguments, "topic");
	if (messages != NULL && (!size_parse(text_of(messages), &most) || most < 1))
		return session_fail(session, EXIT_USAGE, "--messages %s is no number", messages);
	visit->messages_max = topic ? (uint64_t)most : UINT64_MAX;
	int code = session_input(session, &options);
	options.time_trusted = !topic; /* files are history */
	if (code == EXIT_OK)
		code = open_source(session, visit);
	if (code == EXIT_OK)
		code = load_doctor_rules(session, visit);
	if (code != EXIT_OK)
		return code;
	const struct doctor_options doctor = {
		.ruleset = visit->ruleset, .bindings = visit->bindings, .record_times = topic};
	enum status status = decoder_new(&options, &visit->decoder, &err);
	if (status == OK)
		status = privacy_new(&(struct privacy_options){0}, &visit->privacy, &err);
	const struct enrich_options enrich = {.bindings = visit->bindings,
					      .privacy = visit->privacy};
	if (status == OK)
		status = enricher_new(&enrich, &visit->enricher, &err);
	if (status == OK)
		status = doctor_new(&doctor, &visit->doctor, &err);
	return status == OK ? EXIT_OK : session_fail_error(session, &err);
}

/* EXIT_OK, or 1 when a service is below --min. */
static int judge(struct session *session, struct json_object *services)
{
	const char *least = arguments_get(&session->arguments, "min");
	int64_t number = 0;
	if (least == NULL)
		return EXIT_OK;
	if (!size_parse(text_of(least), &number) || number > 100)
		return session_fail(session, EXIT_USAGE, "--min %s is no score from 0 to 100",
				    least);
	for (size_t i = 0; i < json_object_array_length(services); i++) {
		struct json_object *score =
			json_path(json_object_array_get_idx(services, i), "score");
		if (json_object_get_int64(score) < number)
			return EXIT_NEGATIVE;
	}
	return EXIT_OK;
}

static int print(struct session *session, struct visit *visit)
{
	struct bytes text cleanup(bytes_done) = {0};
	struct error err = {0};
	if (doctor_report(visit->doctor, &text) != OK)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	bytes_put_u8(&text, 0);
	struct json_object *answer cleanup(session_json_done) =
		text.failed ? NULL : json_tokener_parse((const char *)text.data);
	struct json_object *services = json_path(answer, "services");
	if (services == NULL)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	if (session->output.format == OUTPUT_JSON) {
		output_json(&session->output, answer);
	} else if (session->output.format == OUTPUT_NDJSON) {
		output_lines(&session->output, services);
	} else if (json_object_array_length(services) > 0) {
		if (output_table(&session->output, doctor_columns,
				 sizeof doctor_columns / sizeof *doctor_columns, services,
				 &err) != OK)
			return session_fail_error(session, &err);
		if (!doctor_print_advice(session->output.to, services))
			return session_fail(session, EXIT_INTERNAL, "out of memory");
	}
	return judge(session, services);
}

static int run_doctor(struct session *session)
{
	struct visit visit cleanup(visit_done) = {.session = session,
						  .arena = arena_new(ARENA_BYTES),
						  .config_arena = arena_new(ARENA_BYTES)};
	struct error err = {0};
	if (visit.arena == NULL || visit.config_arena == NULL)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	int code = prepare(session, &visit);
	if (code != EXIT_OK)
		return code;
	if (read_all(&visit, &err) != OK)
		return session_fail_error(session, &err);
	code = print(session, &visit);
	if (!session->quiet && visit.stopped)
		(void)fprintf(session->problems,
			      "stopped after %" PRIu64 " messages, before the end (--messages)\n",
			      visit.messages);
	if (visit.messages == 0)
		(void)fprintf(session->problems, "no message was read\n");
	if (visit.rejects == 0 && visit.messages > 0)
		return code;
	if (visit.rejects > 0) {
		output_text(session->problems, visit.reason);
		(void)fprintf(session->problems, "\n%" PRIu64 " records could not be read\n",
			      visit.rejects);
	}
	return code == EXIT_OK ? EXIT_INCOMPLETE : code;
}

const struct command command_doctor = {
	.noun = "doctor",
	.words = "[FILE...]",
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT,
	.options = doctor_command_options,
	.summary = "score the logs of each service, with the line that mends them",
	.details =
		"Reads files (NDJSON, JSON arrays, .gz; - is standard input) or a Kafka topic, and says\n"
		"for each service how many of the ten fields of docs/LOGGING.md its events have, which\n"
		"rules and whether the gate can work with them, and what is wrong with the stream:\n"
		"sampling, gaps, duplicates, clocks, unbound writers, secrets. Ends with 1 when a\n"
		"service is below --min, with 2 when records could not be read.\n",
	.examples = "  picket doctor yesterday.ndjson\n"
		    "  picket doctor --topic logs-payments -c picket.yaml\n"
		    "  picket doctor --min 60 -o ndjson build/test-logs.ndjson\n",
	.run = run_doctor,
};
