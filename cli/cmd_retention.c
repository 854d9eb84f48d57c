/* picket retention plan */
#include "cli/command.h"

static const struct column columns[] = {
	{"CLASS", "class", CELL_TEXT, COLUMN_WHOLE},
	{"TENANT", "tenant", CELL_TEXT, COLUMN_MINOR},
	{"KEEP", "keep_seconds", CELL_SECONDS, false},
	{"FLOOR", "floor", CELL_TIME, false},
	{"EVENTS", "events", CELL_COUNT, false},
	{"ROWS", "rows", CELL_COUNT, false},
	{"BYTES", "bytes", CELL_BYTES, false},
	{"HELD", "held", CELL_COUNT, false},
};

static int run_plan(struct session *session)
{
	struct question question;
	question_init(&question, "GET", TEXT("/v1/retention"));
	return session_list(session, &(struct listing){&question, "retention", columns,
						       sizeof columns / sizeof *columns,
						       "there are no rules of retention"});
}

const struct command command_retention_plan = {
	.noun = "retention",
	.verb = "plan",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER,
	.summary = "which events, alerts and other rows are old enough to be dropped",
	.details =
		"The rules are retention.* of the configuration. No event before a FLOOR is given back;\n"
		"EVENTS, ROWS and BYTES are what goes at the next turn (rows: once an hour). HELD rows\n"
		"are old, but somebody needs them: an open alert, a canary without an answer.\n",
	.examples = "  picket retention plan\n",
	.run = run_plan,
};
