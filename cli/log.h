/* log - the daemon's own words on standard error, one line each, logfmt or JSON.
 *
 * Why: what happens to the daemon goes to whoever supervises it; what happens in the logs it reads
 * goes into alerts. So there are few lines, they never hold a secret or a record, and a flood is
 * cut: more than LOG_LINES_MAX lines in a second are counted, and the count is the next line.
 *
 * Invariant: every line is whole (one write) and free of control characters. Owner: log_init()'s
 * caller. Thread: any. Limits: LOG_LINE_MAX bytes a line. */
#ifndef PICKET_CLI_LOG_H
#define PICKET_CLI_LOG_H

#include <pthread.h>
#include <stdio.h>

#include "cli/config.h"
#include "ingest/source.h"

enum { LOG_LINES_MAX = 50, LOG_LINE_MAX = 8192 };

enum log_level { LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

struct log {
	FILE *to;
	enum log_format format;
	struct wall_clock clock;
	pthread_mutex_t lock;
	int64_t second; /* that is being counted */
	unsigned lines;
	uint64_t suppressed;
};

struct log_field {
	const char *name;
	struct text value;
};

void log_init(struct log *log, FILE *to, enum log_format format, struct wall_clock clock);
void log_done(struct log *log);
void log_line(struct log *log, enum log_level level, const char *message,
	      const struct log_field *fields, size_t field_count);

#endif
