#include "cli/dispatch.h"

#include <assert.h>
#include <string.h>

#include "ingest/format.h"
#include "rules/yaml.h"

enum { NAMES_MAX = 64, TABLES_MAX = 9 };

static const struct command *const commands[] = {
#define COMMAND(name) &command_##name,
#include "cli/command.def"
#undef COMMAND
};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

const struct command *const *command_list(size_t *ret_count)
{
	*ret_count = COMMAND_COUNT;
	return commands;
}

static void overview(FILE *to)
{
	(void)fprintf(
		to,
		"picket %s - reads the logs of microservices, finds attacks with Sigma rules,\n"
		"and tells a deployment whether its canary may go on.\n\n"
		"Examples:\n"
		"  picket scan --rules rules/ app.ndjson     what would these rules find here?\n"
		"  picket run -c picket.yaml                 the daemon\n"
		"  picket alerts list -w                     what it found\n"
		"  picket gate --service orders --canary v2  may this version go on?\n\n"
		"Commands (picket COMMAND --help tells more):\n",
		PICKET_VERSION);
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		char name[64];
		(void)snprintf(name, sizeof name, "%s%s%s", commands[i]->noun,
			       commands[i]->verb == NULL ? "" : " ",
			       commands[i]->verb == NULL ? "" : commands[i]->verb);
		(void)fprintf(to, "  %-18s %s\n", name, commands[i]->summary);
	}
	(void)fprintf(to, "\nExit codes (gate has its own, see there):\n%s", exit_help());
}

/* The verbs of a noun, with commas. */
static void verbs_of(const char *noun, char *buffer, size_t size)
{
	buffer[0] = '\0';
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(commands[i]->noun, noun) != 0 || commands[i]->verb == NULL)
			continue;
		size_t used = strlen(buffer);
		(void)snprintf(buffer + used, size - used, "%s%s", used == 0 ? "" : ", ",
			       commands[i]->verb);
	}
}

static const char *nearest(const char *noun, const char *word)
{
	const char *names[NAMES_MAX];
	size_t count = 0;
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		assert(count < NAMES_MAX);
		if (noun == NULL)
			names[count++] = commands[i]->noun;
		else if (strcmp(commands[i]->noun, noun) == 0 && commands[i]->verb != NULL)
			names[count++] = commands[i]->verb;
	}
	return nearest_name(text_of(word), names, count);
}

/* The command that the first words name; *ret_used = how many of them. A command without a verb
 * stands behind those of its noun with one (command.def). */
static const struct command *find(struct session *session, const char *const *words, size_t count,
				  size_t *ret_used)
{
	bool known = false;
	char verbs[128];
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command *command = commands[i];
		if (strcmp(command->noun, words[0]) != 0)
			continue;
		known = true;
		if (command->verb == NULL || (count > 1 && strcmp(command->verb, words[1]) == 0)) {
			*ret_used = command->verb == NULL ? 1 : 2;
			return command;
		}
	}
	const char *better =
		nearest(known ? words[0] : NULL, known && count > 1 ? words[1] : words[0]);
	verbs_of(words[0], verbs, sizeof verbs);
	if (!known)
		(void)session_fail(session, EXIT_USAGE, "no command \"%s\"%s%s%s see picket --help",
				   words[0], better == NULL ? ";" : "; did you mean \"",
				   better == NULL ? "" : better, better == NULL ? "" : "\"?");
	else if (count < 2 || words[1][0] == '-')
		(void)session_fail(session, EXIT_USAGE, "%s what? It has: %s", words[0], verbs);
	else
		(void)session_fail(session, EXIT_USAGE, "%s has no \"%s\"%s%s%s it has: %s",
				   words[0], words[1], better == NULL ? ";" : "; did you mean \"",
				   better == NULL ? "" : better, better == NULL ? "" : "\"?",
				   verbs);
	return NULL;
}

/* The verbs of a noun with what they do; false: it has none. */
static bool noun_help(const char *noun, FILE *to)
{
	size_t count = 0;
	for (size_t i = 0; i < COMMAND_COUNT; i++) /* a command by itself has its own page */
		if (strcmp(commands[i]->noun, noun) == 0 && commands[i]->verb == NULL)
			return false;
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(commands[i]->noun, noun) != 0 || commands[i]->verb == NULL)
			continue;
		if (count++ == 0)
			(void)fprintf(to,
				      "Usage: picket %s VERB (picket %s VERB --help tells more)\n",
				      noun, noun);
		(void)fprintf(to, "  %-10s %s\n", commands[i]->verb, commands[i]->summary);
	}
	return count > 0;
}

static bool is_help(const char *word)
{
	return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* `picket help`, `picket help alerts`, `picket help alerts list`. */
static int help(struct session *session, const char *const *words, size_t count)
{
	size_t used = 0;
	if (count == 0) {
		overview(session->output.to);
		return EXIT_OK;
	}
	if (count == 1 && noun_help(words[0], session->output.to))
		return EXIT_OK;
	const struct command *command = find(session, words, count, &used);
	if (command == NULL)
		return EXIT_USAGE;
	command_help(command, session->output.to);
	return EXIT_OK;
}

static bool take_format(struct session *session)
{
	static const struct {
		const char *word;
		enum output_format format;
	} formats[] = {{"table", OUTPUT_TABLE},
		       {"json", OUTPUT_JSON},
		       {"ndjson", OUTPUT_NDJSON},
		       {"junit", OUTPUT_JUNIT}};
	const char *word = arguments_get(&session->arguments, "output");
	session->output.format = OUTPUT_TABLE;
	for (size_t i = 0; word != NULL && i < sizeof formats / sizeof *formats; i++) {
		if (strcmp(formats[i].word, word) == 0) {
			session->output.format = formats[i].format;
			return true;
		}
	}
	return word == NULL;
}

static bool take_color(struct session *session)
{
	const char *when = arguments_get(&session->arguments, "color");
	session->output.color = session->output.terminal && !session->environment.no_color;
	if (when == NULL || strcmp(when, "auto") == 0)
		return true;
	session->output.color = strcmp(when, "always") == 0;
	return session->output.color || strcmp(when, "never") == 0;
}

static int run_command(struct session *session)
{
	const struct command *command = session->command;
	session->quiet = arguments_has(&session->arguments, "quiet");
	if (arguments_has(&session->arguments, "help")) {
		command_help(command, session->output.to);
		return EXIT_OK;
	}
	bool junit = command == &command_rules_test || command == &command_rules_backtest;
	if (!take_format(session) || (session->output.format == OUTPUT_JUNIT && !junit))
		return session_fail(session, EXIT_USAGE, "-o %s is none of table, json, ndjson%s",
				    arguments_get(&session->arguments, "output"),
				    junit ? ", junit" : "");
	if (!take_color(session))
		return session_fail(session, EXIT_USAGE, "--color is auto, always or never");
	size_t count = session->arguments.word_count;
	if (count < command->word_min || count > command->word_max)
		return session_fail(session, EXIT_USAGE, "usage: picket %s%s%s %s", command->noun,
				    command->verb == NULL ? "" : " ",
				    command->verb == NULL ? "" : command->verb, command->words);
	return command->run(session);
}

int dispatch(struct session *session, const char *const *words, size_t count)
{
	const struct option *tables[TABLES_MAX];
	struct error err = {0};
	size_t used = 0;
	if (count == 0) {
		overview(session->problems);
		return EXIT_USAGE;
	}
	if (is_help(words[0]))
		return help(session, words + 1, count - 1);
	if (count == 2 && is_help(words[1]) && noun_help(words[0], session->output.to))
		return EXIT_OK;
	static const char *const version[] = {"version"};
	if (strcmp(words[0], "--version") == 0) {
		words = version;
		count = 1;
	}
	session->command = find(session, words, count, &used);
	if (session->command == NULL)
		return EXIT_USAGE;
	command_tables(session->command, tables);
	if (arguments_parse((struct option_tables){tables}, words + used, count - used,
			    &session->arguments, &err) != OK)
		return session_fail(session, EXIT_USAGE, "%s", err.text);
	int code = run_command(session);
	formats_free(&session->formats);
	arguments_done(&session->arguments);
	return code;
}
