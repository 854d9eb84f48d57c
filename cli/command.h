/* command - one verb of the program: its words, its help, and what it does.
 *
 * Why: a help page, the parser and "did you mean" all come from the same row, so that none of them
 * can promise what another does not know. The list of all commands is command.def.
 *
 * Invariant: run() returns a code of exit.def (gate: a verdict). Messages go to standard error,
 * answers to standard output. Owner: constant data; a session lives as long as main().
 * Thread: the main one. Limits: none. */
#ifndef PICKET_CLI_COMMAND_H
#define PICKET_CLI_COMMAND_H

#include "cli/arguments.h"
#include "cli/client.h"
#include "cli/config.h"
#include "cli/exit.h"
#include "cli/output.h"

/* What main() found around it: inner code reads no environment. */
struct environment {
	const char *server;     /* PICKET_SERVER, or NULL */
	const char *config;     /* PICKET_CONFIG, or NULL */
	const char *token_file; /* PICKET_TOKEN_FILE, or NULL */
	const char *ca_file;    /* PICKET_CA_FILE, or NULL */
	const char *user;       /* the name of who asks */
	bool no_color;          /* NO_COLOR is set, or the terminal is dumb */
};

struct session {
	const struct command *command;
	struct arguments arguments;
	struct environment environment;
	struct output output;
	FILE *problems; /* standard error */
	bool quiet;
	struct formats *formats; /* of session_input(); owned */
};

/* Which common options a command takes. */
enum command_options {
	TAKES_OUTPUT = 1 << 0, /* -o, --color */
	TAKES_SERVER = 1 << 1, /* --server, --data, -c, --token-file */
	TAKES_WATCH = 1 << 2,  /* -w */
	TAKES_RANGE = 1 << 3,  /* --since, --until, --limit */
	TAKES_TENANT = 1 << 4, /* --tenant */
};

struct command {
	const char *noun;
	const char *verb;  /* NULL: the noun is the whole command */
	const char *words; /* for the usage line: "ID..." */
	size_t word_min, word_max;
	unsigned takes; /* set of enum command_options */
	const struct option *options;
	const char *summary;
	const char *details;  /* paragraphs, or "" */
	const char *examples; /* one a line */
	int (*run)(struct session *session);
};

#define COMMAND(name) extern const struct command command_##name;
#include "cli/command.def"
#undef COMMAND

/* Prints "picket: text" and gives the code back, for `return session_fail(...)`. */
__attribute__((format(printf, 3, 4))) int session_fail(struct session *session, enum exit_code code,
						       const char *format, ...);
int session_fail_error(struct session *session, const struct error *err);

/* The configuration to read: --config, PICKET_CONFIG, or the place of an installed picket. */
const char *session_config(const struct session *session);

/* --input, --formats and --logsource as decoder options (the formats live as long as the session);
 * EXIT_OK, or the message is printed. */
struct decoder_options;
int session_input(struct session *session, struct decoder_options *options);

#define OPTION_INPUT                                                                             \
	{                                                                                        \
		"input", 0, "FORMAT",                                                            \
			"auto (default); raw: fields as in the file, any log source; or one of " \
			"picket formats list"                                                    \
	}
#define OPTION_LOGSOURCE                                                                            \
	{                                                                                           \
		"logsource", 0, "KEY=VALUE,...",                                                    \
			"what all events are: category=, product=, service= (else the format says)" \
	}
#define OPTION_FORMATS                                                                     \
	{                                                                                  \
		"formats", 0, "PATH",                                                      \
			"mapping file or folder beside the built-in ones, may be repeated" \
	}

/* A client as the options say. */
enum status session_client(struct session *session, bool writable, struct client **ret_client,
			   struct error *err);

/* A request in the making: at most API_PARAMETERS_MAX parameters. */
struct question {
	struct api_request request;
	struct api_parameter parameters[API_PARAMETERS_MAX];
};
void question_init(struct question *question, const char *method, struct text path);
void question_add(struct question *question, const char *name, const char *value); /* NULL: none */
/* The common options of the session as parameters. */
void question_add_common(struct question *question, const struct session *session);

/* Asks and parses. EXIT_OK: *ret_answer is the caller's (json_object_put). Otherwise the message
 * is printed already. */
int session_ask(struct session *session, struct client *client, const struct question *question,
		struct json_object **ret_answer);

/* One answer with a list in `member`: the common shape of every list command, with -w. */
struct listing {
	const struct question *question;
	const char *member;
	const struct column *columns;
	size_t column_count;
	const char *empty; /* words for no row at all */
};
int session_list(struct session *session, const struct listing *listing);

/* -w: the screen is cleared (on a terminal), and after a pause true: ask and print again. */
void session_clear(struct session *session);
bool session_again(struct session *session, int code);

void session_json_done(struct json_object **object);
void session_client_done(struct client **client);

/* Help. */
void command_help(const struct command *command, FILE *to);
void command_tables(const struct command *command, const struct option *ret_tables[static 9]);

#endif
