/* Processes that die with messages in hand, for the tests of the journal: real ones, so that what
 * outlives them is what would outlive the daemon. */
#ifndef PICKET_TESTS_INGEST_DYING_H
#define PICKET_TESTS_INGEST_DYING_H

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ingest/journal.h"

static char folder[] = "/tmp/picket-journal-XXXXXX";
static char path[64];

static inline struct journal_place place_of(const char *topic, int64_t offset)
{
	return (struct journal_place){journal_log(text_of(topic), 0), text_of(topic), 0, offset};
}

static inline struct journal *open_at(const struct position_row *positions, size_t count)
{
	struct journal *journal = NULL;
	struct error err = {0};
	ck_assert_msg(journal_open(path, positions, count, &journal, &err) == OK, "%s", err.text);
	return journal;
}

/* Opens, takes and leaves as a worker that has nothing bad in hand. */
static inline struct journal_past past(const char *topic, int64_t offset)
{
	struct journal *journal cleanup(journal_free) = open_at(NULL, 0);
	struct journal_place place = place_of(topic, offset);
	struct journal_past known = journal_take(journal, 0, &place);
	journal_leave(journal, 0);
	return known;
}

static inline unsigned deaths(const char *topic, int64_t offset)
{
	return past(topic, offset).deaths;
}

static inline enum journal_step step(const char *topic, int64_t offset)
{
	return past(topic, offset).step;
}

static inline size_t suspects(char *first, size_t size)
{
	struct journal *journal cleanup(journal_free) = open_at(NULL, 0);
	return journal_suspects(journal, first, size);
}

/* A process that crashes, or dies of SIGKILL from outside, with messages of a topic in its workers'
 * hands. A later run has one at a time: then count is 1. */
static inline void die(const char *topic, int64_t offset, unsigned count, int signal)
{
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct journal *journal = open_at(NULL, 0);
		for (unsigned i = 0; i < count; i++) {
			struct journal_place place = place_of(topic, offset + i);
			(void)journal_take(journal, i, &place);
		}
		if (signal != SIGKILL)
			journal_crashed(journal);
		(void)kill(getpid(), signal);
		_exit(0);
	}
	int how = 0;
	ck_assert_int_eq(waitpid(child, &how, 0), child);
	ck_assert(WIFSIGNALED(how));
	ck_assert_int_eq(WTERMSIG(how), signal);
}

static inline void read_messages(struct journal *journal, unsigned count)
{
	struct journal_place place = place_of("logs", 0);
	for (unsigned i = 0; i < count; i++) {
		(void)journal_take(journal, 0, &place);
		journal_leave(journal, 0);
	}
}

/* Dies while a thread works on an epoch: behind so many messages, with another in hand or (offset
 * -1) none; of a crash, or killed from outside. */
static inline void die_at_work(unsigned messages, int64_t offset, bool crashed)
{
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct journal *journal = open_at(NULL, 0);
		struct journal_place place = place_of("logs", offset);
		read_messages(journal, messages);
		journal_enter(journal);
		journal_enter(journal);
		journal_exit(journal);
		if (offset >= 0)
			(void)journal_take(journal, 0, &place);
		if (crashed)
			journal_crashed(journal);
		(void)kill(getpid(), SIGKILL);
	}
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
}

static inline unsigned epoch_messages(void)
{
	struct journal *journal cleanup(journal_free) = open_at(NULL, 0);
	return journal_epoch_messages(journal);
}

/* Each test begins without a journal. */
static inline void dying_setup(void)
{
	(void)unlink(path);
}

static inline void dying_begin(void)
{
	if (mkdtemp(folder) == NULL)
		abort();
	(void)snprintf(path, sizeof path, "%s/journal", folder);
}

static inline void dying_end(void)
{
	(void)unlink(path);
	(void)rmdir(folder);
}

#endif
