#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/json_reader.h"

enum { WATCH_SECONDS = 2, CONFIG_ARENA_BYTES = 64 * 1024 * 1024 };

#define DEFAULT_CONFIG "/etc/picket/picket.yaml"
#define DEFAULT_SERVER "unix:/var/lib/picket/picket.sock"

void session_json_done(struct json_object **object)
{
	(void)json_object_put(*object);
	*object = NULL;
}

void session_client_done(struct client **client)
{
	client_free(client);
}

static void response_done(struct api_response *response)
{
	bytes_done(&response->body);
}

int session_fail(struct session *session, enum exit_code code, const char *format, ...)
{
	char text[ERROR_TEXT_MAX + ERROR_FILE_MAX];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	(void)fflush(session->output.to);
	output_text(session->problems, "picket: ");
	output_text(session->problems, text);
	output_text(session->problems, "\n");
	return code;
}

int session_fail_error(struct session *session, const struct error *err)
{
	char text[ERROR_TEXT_MAX + ERROR_FILE_MAX];
	(void)error_print(err, text, sizeof text);
	return session_fail(session, exit_of_status(err->status), "%s", text);
}

const char *session_config(const struct session *session)
{
	const char *file = arguments_get(&session->arguments, "config");
	if (file == NULL)
		file = session->environment.config;
	return file == NULL ? DEFAULT_CONFIG : file;
}

/* The socket that the configuration names, as unix:PATH in *to. */
static enum status server_of_config(const char *file, struct bytes *to, struct error *err)
{
	struct arena *arena cleanup(arena_free) = arena_new(CONFIG_ARENA_BYTES);
	struct problems problems;
	struct config config;
	if (arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for the configuration");
	enum status status = problems_init(&problems, arena, err);
	if (status == OK)
		status = config_load(file, &problems, &config, err);
	if (status != OK)
		return status;
	if (problems.count > 0) {
		*err = problems.items[0];
		return err->status;
	}
	bytes_write_string(to, "unix:");
	bytes_put(to, config.api_socket, strlen(config.api_socket) + 1);
	return bytes_status(to);
}

enum status session_client(struct session *session, bool writable, struct client **ret_client,
			   struct error *err)
{
	struct bytes found = {0};
	const struct environment *around = &session->environment;
	const char *config = arguments_get(&session->arguments, "config");
	const char *token = arguments_get(&session->arguments, "token-file");
	const char *ca_file = arguments_get(&session->arguments, "ca-file");
	struct client_options options = {
		.server = arguments_get(&session->arguments, "server"),
		.data_dir = arguments_get(&session->arguments, "data"),
		.writable = writable,
		.token_file = token != NULL ? token : around->token_file,
		.ca_file = ca_file != NULL ? ca_file : around->ca_file,
	};
	enum status status = OK;
	if (options.server != NULL && options.data_dir != NULL)
		return error_set(err, EDENIED, "--server and --data exclude each other");
	if (options.server == NULL && config == NULL)
		options.server = around->server;
	if (options.server == NULL && options.data_dir == NULL) {
		if (config == NULL)
			config = around->config;
		if (config == NULL && access(DEFAULT_CONFIG, R_OK) == 0)
			config = DEFAULT_CONFIG;
		if (config != NULL)
			status = server_of_config(config, &found, err);
		options.server = config == NULL ? DEFAULT_SERVER : (const char *)found.data;
	}
	if (status == OK)
		status = client_new(&options, ret_client, err);
	bytes_done(&found);
	if (status == EINVALID && config == NULL) /* the command line is wrong, not a file */
		status = err->status = EDENIED;
	return status;
}

void question_init(struct question *question, const char *method, struct text path)
{
	*question = (struct question){.request = {.method = text_of(method), .path = path}};
}

void question_add(struct question *question, const char *name, const char *value)
{
	struct api_request *request = &question->request;
	if (value == NULL)
		return;
	assert(request->parameter_count < API_PARAMETERS_MAX);
	question->parameters[request->parameter_count++] =
		(struct api_parameter){text_of(name), text_of(value)};
}

void question_add_common(struct question *question, const struct session *session)
{
	static const struct {
		unsigned bit;
		const char *name;
	} common[] = {{TAKES_RANGE, "since"},
		      {TAKES_RANGE, "until"},
		      {TAKES_RANGE, "limit"},
		      {TAKES_TENANT, "tenant"}};
	for (size_t i = 0; i < sizeof common / sizeof *common; i++) {
		if ((session->command->takes & common[i].bit) != 0)
			question_add(question, common[i].name,
				     arguments_get(&session->arguments, common[i].name));
	}
}

int session_ask(struct session *session, struct client *client, const struct question *question,
		struct json_object **ret_answer)
{
	struct api_response response cleanup(response_done) = {0};
	struct error err = {0};
	struct api_request request = question->request;
	request.parameters = question->parameters;
	enum status status = client_ask(client, &request, &response, &err);
	if (status != OK)
		return session_fail_error(session, &err);
	struct json_object *answer cleanup(session_json_done) =
		json_read(bytes_text(&response.body));
	if (answer == NULL)
		return session_fail(session, EXIT_UNREACHABLE,
				    "the answer is not JSON (HTTP %u); is this a picket daemon?",
				    response.status);
	if (response.status >= 300 && json_path(answer, "error") != NULL)
		return session_fail(session, exit_of_http(response.status), "%s",
				    json_path_text(answer, "error"));
	*ret_answer = TAKE(answer);
	return EXIT_OK;
}

/* EXIT_INCOMPLETE when the answer says that a part is missing. */
static int completeness(struct session *session, struct json_object *answer)
{
	struct json_object *complete = json_path(answer, "complete");
	if (complete == NULL || json_object_get_boolean(complete))
		return EXIT_OK;
	return session_fail(session, EXIT_INCOMPLETE, "incomplete: %s",
			    json_path_text(answer, "problem"));
}

void session_clear(struct session *session)
{
	if (arguments_has(&session->arguments, "watch") && session->output.terminal &&
	    session->output.format == OUTPUT_TABLE)
		(void)fputs("\033[H\033[2J", session->output.to);
}

bool session_again(struct session *session, int code)
{
	assert(session->command != NULL);
	(void)fflush(session->output.to);
	if (!arguments_has(&session->arguments, "watch") || code != EXIT_OK ||
	    ferror(session->output.to))
		return false;
	(void)sleep(WATCH_SECONDS);
	return true;
}

/* Rows that were not printed are told, so that a cut list is not read as a whole one. */
static void print_rest(struct session *session, struct json_object *answer, size_t shown)
{
	int64_t total = json_object_get_int64(json_path(answer, "total"));
	if (session->quiet)
		return;
	if (total > (int64_t)shown)
		(void)fprintf(session->problems, "%zu of %lld; see more with --limit\n", shown,
			      (long long)total);
	else if (json_object_get_boolean(json_path(answer, "limited")))
		(void)fprintf(session->problems,
			      "the first %zu; there may be more: --limit, or a narrower question\n",
			      shown);
}

static int print_listing(struct session *session, const struct listing *listing,
			 struct json_object *answer)
{
	struct error err = {0};
	struct json_object *rows = json_path(answer, listing->member);
	if (!json_object_is_type(rows, json_type_array))
		return session_fail(session, EXIT_UNREACHABLE, "the answer has no %s",
				    listing->member);
	if (session->output.format == OUTPUT_JSON)
		output_json(&session->output, answer);
	else if (session->output.format == OUTPUT_NDJSON)
		output_lines(&session->output, rows);
	else if (json_object_array_length(rows) == 0 && !session->quiet)
		(void)fprintf(session->problems, "%s\n", listing->empty);
	else if (output_table(&session->output, listing->columns, listing->column_count, rows,
			      &err) != OK)
		return session_fail_error(session, &err);
	(void)fflush(session->output.to);
	print_rest(session, answer, json_object_array_length(rows));
	return completeness(session, answer);
}

int session_list(struct session *session, const struct listing *listing)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct error err = {0};
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	for (;;) {
		struct json_object *answer cleanup(session_json_done) = NULL;
		int code = session_ask(session, client, listing->question, &answer);
		if (code != EXIT_OK)
			return code;
		session_clear(session);
		code = print_listing(session, listing, answer);
		if (!session_again(session, code))
			return code;
	}
}
