/* picket store restore */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/row_check.h"
#include "storage/restore.h"

static int run_restore(struct session *session)
{
	static const struct verify_options verify = {.row_check = row_check};
	struct restore_report *report = calloc(1, sizeof *report);
	struct error err = {0};
	if (report == NULL)
		return session_fail(session, EXIT_INTERNAL, "no memory to restore");
	const char *folder = session->arguments.words[1];
	enum status status =
		store_restore(session->arguments.words[0], folder, &verify, report, &err);
	int code = EXIT_OK;
	if (status == ECORRUPT)
		code = session_fail(session, EXIT_INCOMPLETE, "%s", err.text);
	else if (status != OK)
		code = session_fail_error(session, &err);
	else if (!session->quiet)
		(void)fprintf(session->output.to,
			      "%s holds %" PRIu64 " events and %" PRIu64
			      " other rows, each of them read; start picket on it\n",
			      folder, report->verified.events, report->verified.rows);
	free(report);
	return code;
}

const struct command command_store_restore = {
	.noun = "store",
	.verb = "restore",
	.words = "BACKUP FOLDER",
	.word_min = 2,
	.word_max = 2,
	.takes = 0,
	.summary = "puts a backup into an empty folder, after reading every row of it",
	.details =
		"FOLDER becomes the data_dir of a picket that is not running; it must be empty or not\n"
		"there. A damaged backup is not restored (2). A restore that was interrupted is begun\n"
		"again by the same command. What came after the backup is read from Kafka again.\n",
	.examples = "  picket store restore /backup/picket-2026-11-22 /var/lib/picket\n",
	.run = run_restore,
};
