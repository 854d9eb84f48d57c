/* picket tenants */
#include "cli/command.h"

static const struct column columns[] = {
	{"TENANT", "tenant", CELL_TEXT, COLUMN_WHOLE},
	{"EVENTS", "events", CELL_COUNT, false},
	{"BYTES", "bytes", CELL_BYTES, false},
	{"FIRST", "first", CELL_TIME, false},
	{"LAST", "last", CELL_TIME, false},
};

static const struct option options[] = {
	{"limit", 0, "N", "the N largest (100)"},
	{0},
};

static int run_tenants(struct session *session)
{
	struct question question;
	question_init(&question, "GET", TEXT("/v1/tenants"));
	question_add(&question, "limit", arguments_get(&session->arguments, "limit"));
	return session_list(session, &(struct listing){&question, "tenants", columns,
						       sizeof columns / sizeof *columns,
						       "the store holds no events yet"});
}

const struct command command_tenants = {
	.noun = "tenants",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_WATCH,
	.options = options,
	.summary = "whose events the store holds, and what they take",
	.details =
		"Read from the summaries of blocks, not from the events. BYTES are those of merged\n"
		"blocks: what came in the last half minute has none yet.\n",
	.examples = "  picket tenants\n  picket tenants --limit 10 -o ndjson\n",
	.run = run_tenants,
};
