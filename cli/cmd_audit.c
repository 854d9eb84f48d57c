/* picket audit list */
#include "cli/command.h"

static const struct option list_options[] = {
	{"who", 0, "NAME", "only of whom; the beginning is enough"},
	{0},
};

static const struct column list_columns[] = {
	{"TIME", "time", CELL_TIME, COLUMN_WHOLE},
	{"WHO", "who", CELL_TEXT, COLUMN_WHOLE},
	{"METHOD", "method", CELL_TEXT, COLUMN_MINOR},
	{"STATUS", "status", CELL_COUNT, COLUMN_WHOLE},
	{"ROWS", "rows", CELL_COUNT, COLUMN_WHOLE},
	{"QUESTION", "question", CELL_TEXT, COLUMN_CUT},
};

static int run_list(struct session *session)
{
	struct question question;
	question_init(&question, "GET", TEXT("/v1/audit"));
	question_add_common(&question, session);
	question_add(&question, "who", arguments_get(&session->arguments, "who"));
	return session_list(session, &(struct listing){&question, "audit", list_columns,
						       sizeof list_columns / sizeof *list_columns,
						       "nobody asked for anything in this time"});
}

const struct command command_audit_list = {
	.noun = "audit",
	.verb = "list",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_RANGE,
	.options = list_options,
	.summary = "who asked for tenants' data and who changed what, newest first",
	.details =
		"The last 24 hours unless --since says more. Rows are only ever added. WHO is what\n"
		"the system says of the caller, not what a request claims.\n",
	.examples = "  picket audit list\n  picket audit list --since 7d --who ann -o ndjson\n",
	.run = run_list,
};
