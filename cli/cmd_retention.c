/* picket retention plan */
#include "cli/command.h"

static const struct column columns[] = {
	{"CLASS", "class", CELL_TEXT, COLUMN_WHOLE},
	{"TENANT", "tenant", CELL_TEXT, COLUMN_WHOLE},
	{"KEEP", "keep_seconds", CELL_SECONDS, false},
	{"FLOOR", "floor", CELL_TIME, false},
	{"BLOCKS", "blocks", CELL_COUNT, false},
	{"EVENTS", "events", CELL_COUNT, false},
	{"BYTES", "bytes", CELL_BYTES, false},
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
	.summary = "which events are old enough to be dropped, by class and tenant",
	.details =
		"The rules are retention.* of the configuration. Nothing before a FLOOR is given back;\n"
		"EVENTS and BYTES are what goes at the next turn.\n",
	.examples = "  picket retention plan\n",
	.run = run_plan,
};
