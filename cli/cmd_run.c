/* picket run */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/daemon.h"
#include "cli/wall.h"

enum { RUN_ARENA_BYTES = 64 * 1024 * 1024, STOP_SECONDS = 30 };

static const struct option run_options[] = {
	{"config", 'c', "FILE", "the configuration (also: PICKET_CONFIG; /etc/picket/picket.yaml)"},
	{"until-done", 0, NULL, "with `files`: end when all of them have been read"},
	{0},
};

/* Signals are taken by sigtimedwait() in the main thread; every other thread inherits the mask. */
static void block_signals(sigset_t *ret_set)
{
	(void)sigemptyset(ret_set);
	(void)sigaddset(ret_set, SIGTERM);
	(void)sigaddset(ret_set, SIGINT);
	(void)sigaddset(ret_set, SIGHUP);
	int failed = pthread_sigmask(SIG_BLOCK, ret_set, NULL);
	assert(failed == 0);
	(void)failed;
	(void)signal(SIGPIPE, SIG_IGN); /* a client that goes away is no reason to die */
}

static int watch(struct daemon *daemon, const sigset_t *signals, bool until_done)
{
	for (;;) {
		struct timespec second = {.tv_sec = 1};
		int got = sigtimedwait(signals, NULL, &second);
		if (got == SIGTERM || got == SIGINT)
			return EXIT_OK;
		if (got == SIGHUP)
			daemon_reload(daemon);
		enum daemon_state state = daemon_tick(daemon);
		if (state == DAEMON_FAILED)
			return EXIT_INTERNAL;
		if (state == DAEMON_FINISHED && until_done)
			return EXIT_OK;
	}
}

static int serve(struct session *session, const struct config *config)
{
	struct log log;
	struct daemon *daemon = NULL;
	struct error err = {0};
	sigset_t signals;
	log_init(&log, session->problems, (enum log_format)config->log_format, wall_clock_real());
	block_signals(&signals);
	enum status status = daemon_new(config, &log, &daemon, &err);
	int code = EXIT_OK;
	if (status != OK) {
		char text[ERROR_TEXT_MAX + ERROR_FILE_MAX];
		(void)error_print(&err, text, sizeof text);
		const struct log_field field = {"detail", text_of(text)};
		log_line(&log, LOG_LEVEL_ERROR, "not started", &field, 1);
		code = exit_of_status(status);
	} else {
		code = watch(daemon, &signals, arguments_has(&session->arguments, "until-done"));
		log_line(&log, LOG_LEVEL_INFO, "stopping", NULL, 0);
		(void)alarm(
			STOP_SECONDS); /* a stop that hangs becomes a crash, which is harmless */
		daemon_free(&daemon);
		(void)alarm(0);
		log_line(&log, LOG_LEVEL_INFO, "stopped", NULL, 0);
	}
	log_done(&log);
	return code;
}

static int run_run(struct session *session)
{
	struct arena *arena cleanup(arena_free) = arena_new(RUN_ARENA_BYTES);
	const char *file = session_config(session);
	struct problems problems;
	struct config config;
	struct error err = {0};
	if (arena == NULL)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	enum status status = problems_init(&problems, arena, &err);
	if (status == OK)
		status = config_load(file, &problems, &config, &err);
	if (status != OK)
		return session_fail_error(session, &err);
	for (size_t i = 0; i < problems.count; i++)
		(void)session_fail_error(session, &problems.items[i]);
	if (problems.count > 0)
		return session_fail(session, EXIT_DATA,
				    "not started; picket check -c %s looks at the "
				    "rest, docs/CONFIG.md lists the keys",
				    file);
	return serve(session, &config);
}

const struct command command_run = {
	.noun = "run",
	.words = "",
	.options = run_options,
	.summary = "the daemon: reads, finds, answers",
	.details =
		"Ends on SIGTERM or SIGINT after it has finished and committed its epoch (a few\n"
		"seconds). A kill at any moment loses nothing: it goes on where the store stands.\n"
		"Log lines go to standard error.\n",
	.examples = "  picket run -c picket.yaml\n  picket check -c picket.yaml && picket run -c "
		    "picket.yaml\n",
	.run = run_run,
};
