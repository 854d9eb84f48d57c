#include "cli/housekeeper.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "storage/merge.h"

enum { HOUSEKEEPER_PRIORITY = 19 };

/* Rows that are no events are looked through that often, and once at the start. */
static const int64_t rows_period_us = 3600 * INT64_C(1000000);

struct housekeeper {
	struct housekeeper_options options;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	atomic_bool stopping;
	/* Of the turn before: only changes are logged. */
	enum status last, last_drop, last_rows;
	uint64_t damaged, rows_damaged;
	int64_t rows_us; /* when rows were looked through last; INT64_MIN: never */
};

static bool is_stopping(void *context)
{
	struct housekeeper *housekeeper = context;
	return atomic_load(&housekeeper->stopping);
}

static void say(struct housekeeper *housekeeper, enum log_level level, const char *message,
		const char *detail)
{
	const struct log_field field = {"detail", text_of(detail)};
	log_line(housekeeper->options.log, level, message, &field, 1);
}

static void merge(struct housekeeper *housekeeper)
{
	struct error err = {0};
	struct merge_report report = {0};
	char text[160];
	enum status status =
		merge_all(housekeeper->options.store, is_stopping, housekeeper, &report, &err);
	if (status != OK && status != housekeeper->last)
		say(housekeeper, LOG_LEVEL_WARNING, "merging waits", err.text);
	if (status == OK && housekeeper->last != OK)
		say(housekeeper, LOG_LEVEL_INFO, "merging goes on", "");
	if (report.damaged > housekeeper->damaged) {
		(void)snprintf(text, sizeof text,
			       "%" PRIu64
			       " blocks cannot be read and stay as they are: picket store "
			       "verify",
			       report.damaged);
		say(housekeeper, LOG_LEVEL_ERROR, "damaged blocks", text);
	}
	housekeeper->damaged = report.damaged;
	housekeeper->last = status;
}

/* Days that are too old go; what went is logged. */
static void drop_old(struct housekeeper *housekeeper)
{
	const struct retention_rules *rules = &housekeeper->options.retention;
	const struct wall_clock *clock = &housekeeper->options.clock;
	struct error err = {0};
	char text[200];
	struct retention_drop *drops = calloc(rules->count + 1, sizeof *drops);
	if (drops == NULL)
		return; /* asked again at the next turn */
	enum status status = retention_enforce(housekeeper->options.store, rules,
					       clock->now_us(clock->context), drops, &err);
	if (status != OK && status != housekeeper->last_drop)
		say(housekeeper, LOG_LEVEL_WARNING, "retention waits", err.text);
	for (size_t i = 0; status == OK && i < rules->count; i++) {
		if (drops[i].blocks == 0)
			continue;
		(void)snprintf(text, sizeof text,
			       "%" PRIu64 " events of class %s, tenant %.64s, %" PRIu64 " bytes%s",
			       drops[i].events, data_class_name(drops[i].class),
			       rules->items[i].owner == NULL ? "*" : rules->items[i].owner,
			       drops[i].bytes, drops[i].by_size ? ", by size" : "");
		say(housekeeper, LOG_LEVEL_INFO, "dropped", text);
	}
	housekeeper->last_drop = status;
	free(drops);
}

static void say_rows(struct housekeeper *housekeeper, const struct row_drop *drops)
{
	char text[200];
	uint64_t damaged = 0;
	for (unsigned i = 0; i < ROW_KIND_COUNT; i++) {
		damaged += drops[i].damaged;
		if (drops[i].rows == 0)
			continue;
		(void)snprintf(text, sizeof text, "%" PRIu64 " rows of %s, %" PRIu64 " bytes",
			       drops[i].rows, row_kind_name((enum row_kind)i), drops[i].bytes);
		say(housekeeper, LOG_LEVEL_INFO, "dropped", text);
	}
	if (damaged > housekeeper->rows_damaged) {
		(void)snprintf(text, sizeof text,
			       "%" PRIu64 " rows cannot be read and are never dropped: picket "
			       "store verify",
			       damaged);
		say(housekeeper, LOG_LEVEL_ERROR, "damaged rows", text);
	}
	housekeeper->rows_damaged = damaged;
}

/* The same for rows that are no events. */
static void drop_old_rows(struct housekeeper *housekeeper)
{
	const struct wall_clock *clock = &housekeeper->options.clock;
	struct row_drop drops[ROW_KIND_COUNT];
	struct error err = {0};
	int64_t now_us = clock->now_us(clock->context);
	bool due = housekeeper->rows_us == INT64_MIN || now_us < housekeeper->rows_us ||
		   now_us - housekeeper->rows_us >= rows_period_us;
	if (!due)
		return;
	housekeeper->rows_us = now_us;
	enum status status = row_retention_enforce(housekeeper->options.store,
						   &housekeeper->options.rows, now_us, drops, &err);
	if (status == OK)
		say_rows(housekeeper, drops);
	else if (status != housekeeper->last_rows)
		say(housekeeper, LOG_LEVEL_WARNING, "retention of rows waits", err.text);
	housekeeper->last_rows = status;
}

/* Until the next turn, or the end. */
static void rest(struct housekeeper *housekeeper)
{
	struct timespec until;
	int failed = clock_gettime(CLOCK_MONOTONIC, &until);
	assert(failed == 0);
	int64_t nanoseconds = until.tv_nsec + housekeeper->options.merge_us % 1000000 * 1000;
	until.tv_sec += housekeeper->options.merge_us / 1000000 + nanoseconds / 1000000000;
	until.tv_nsec = nanoseconds % 1000000000;
	(void)pthread_mutex_lock(&housekeeper->mutex);
	while (failed != ETIMEDOUT && !atomic_load(&housekeeper->stopping))
		failed = pthread_cond_timedwait(&housekeeper->wake, &housekeeper->mutex, &until);
	(void)pthread_mutex_unlock(&housekeeper->mutex);
}

static void *housekeeper_main(void *argument)
{
	struct housekeeper *housekeeper = argument;
	/* Of this thread alone: whatever has to be read now goes first, merging can wait. */
	(void)setpriority(PRIO_PROCESS, 0, HOUSEKEEPER_PRIORITY);
	while (!atomic_load(&housekeeper->stopping)) {
		rest(housekeeper);
		if (!atomic_load(&housekeeper->stopping))
			merge(housekeeper);
		if (!atomic_load(&housekeeper->stopping))
			drop_old(housekeeper);
		if (!atomic_load(&housekeeper->stopping))
			drop_old_rows(housekeeper);
	}
	return NULL;
}

enum status housekeeper_new(const struct housekeeper_options *options,
			    struct housekeeper **ret_housekeeper, struct error *err)
{
	struct housekeeper *housekeeper = calloc(1, sizeof *housekeeper);
	if (housekeeper == NULL)
		return error_set(err, ENOMEMORY, "no memory for the housekeeper");
	pthread_condattr_t attributes;
	housekeeper->options = *options;
	housekeeper->last = OK;
	housekeeper->last_drop = OK;
	housekeeper->last_rows = OK;
	housekeeper->rows_us = INT64_MIN;
	atomic_init(&housekeeper->stopping, false);
	(void)pthread_mutex_init(&housekeeper->mutex, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&housekeeper->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	if (pthread_create(&housekeeper->thread, NULL, housekeeper_main, housekeeper) != 0) {
		free(housekeeper);
		return error_set(err, ESYSTEM, "the thread of the housekeeper does not start");
	}
	*ret_housekeeper = housekeeper;
	return OK;
}

void housekeeper_free(struct housekeeper **housekeeper)
{
	struct housekeeper *gone = *housekeeper;
	if (gone == NULL)
		return;
	(void)pthread_mutex_lock(&gone->mutex);
	atomic_store(&gone->stopping, true);
	(void)pthread_cond_signal(&gone->wake);
	(void)pthread_mutex_unlock(&gone->mutex);
	(void)pthread_join(gone->thread, NULL);
	(void)pthread_cond_destroy(&gone->wake);
	(void)pthread_mutex_destroy(&gone->mutex);
	free(gone);
	*housekeeper = NULL;
}
