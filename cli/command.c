/* The options that several commands share, and the help page of one command. */
#include "cli/command.h"

#include <assert.h>
#include <stdio.h>

static const struct option every_command[] = {
	{"help", 'h', NULL, "this page"},
	{"quiet", 'q', NULL, "no messages that are not asked for"},
	{0},
};

static const struct option output_options[] = {
	{"output", 'o', "FORMAT", "table, json or ndjson"},
	{"color", 0, "WHEN", "auto, always or never (also: NO_COLOR)"},
	{0},
};

static const struct option server_options[] = {
	{"server", 0, "URL", "unix:PATH, http://HOST:PORT, https://... (also: PICKET_SERVER)"},
	{"data", 0, "DIR", "read a store that no daemon has open"},
	{"config", 'c', "FILE", "take the socket from this configuration"},
	{"token-file", 0, "FILE", "bearer token for TCP (also: PICKET_TOKEN_FILE)"},
	{"ca-file", 0, "FILE", "certificates to trust for https (also: PICKET_CA_FILE)"},
	{0},
};

static const struct option watch_options[] = {
	{"watch", 'w', NULL, "look again every two seconds, until Ctrl-C"},
	{0},
};

static const struct option range_options[] = {
	{"since", 0, "TIME", "from: 2026-11-21T22:31:40Z, or a duration back such as 1h"},
	{"until", 0, "TIME", "up to; the same forms"},
	{"limit", 0, "N", "at most N rows (default 100)"},
	{0},
};

static const struct option tenant_options[] = {
	{"tenant", 0, "NAME", "only of this tenant"},
	{0},
};

void command_tables(const struct command *command, const struct option *ret_tables[static 9])
{
	static const struct {
		unsigned bit;
		const struct option *options;
	} shared[] = {
		{TAKES_RANGE, range_options},   {TAKES_TENANT, tenant_options},
		{TAKES_OUTPUT, output_options}, {TAKES_WATCH, watch_options},
		{TAKES_SERVER, server_options},
	};
	size_t count = 0;
	if (command->options != NULL)
		ret_tables[count++] = command->options;
	for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
		if ((command->takes & shared[i].bit) != 0)
			ret_tables[count++] = shared[i].options;
	}
	ret_tables[count++] = every_command;
	assert(count < 9);
	ret_tables[count] = NULL;
}

void command_help(const struct command *command, FILE *to)
{
	const struct option *tables[9];
	struct bytes options = {0};
	command_tables(command, tables);
	arguments_help((struct option_tables){tables}, &options);
	(void)fprintf(to, "picket %s%s%s - %s\n\nUsage: picket %s%s%s [options]%s%s\n",
		      command->noun, command->verb == NULL ? "" : " ",
		      command->verb == NULL ? "" : command->verb, command->summary, command->noun,
		      command->verb == NULL ? "" : " ", command->verb == NULL ? "" : command->verb,
		      command->words[0] == '\0' ? "" : " ", command->words);
	(void)fprintf(to, "\nExamples:\n%s", command->examples);
	if (command->details[0] != '\0')
		(void)fprintf(to, "\n%s", command->details);
	(void)fprintf(to, "\nOptions:\n%.*s", TEXT_ARG(bytes_text(&options)));
	bytes_done(&options);
}
