#include "cli/rule_events.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "cli/wall.h"
#include "ingest/file_reader.h"

enum { MESSAGE_ARENA_MAX = 1 << 29, EVENT_ARENA_MAX = 1 << 20 };

struct reading_file {
	const char *path;
	struct decoder *decoder;
	struct file_reader *reader;
	struct arena *arena;
	rule_record_visit *visit;
	void *context;
	int64_t now_us; /* the record time: a time without a year is near it */
};

static void reading_file_done(struct reading_file *file)
{
	if (file->decoder != NULL)
		decoder_free(&file->decoder);
	if (file->reader != NULL)
		file_reader_free(&file->reader);
	arena_free(&file->arena);
}

static void note_reject(const struct reading_file *file, int64_t number,
			const struct decoded *record, struct rule_event_totals *totals)
{
	if (totals->rejects++ > 0)
		return;
	struct text words =
		record->detail.size > 0 ? record->detail : text_of(reject_text(record->why));
	(void)snprintf(totals->reason, sizeof totals->reason, "%s:%" PRId64 ": %s: %.*s",
		       file->path, number, reject_name(record->why), TEXT_ARG(words));
}

static enum status message_read(const struct reading_file *file, struct text payload,
				int64_t number, struct rule_event_totals *totals, bool *ret_more)
{
	struct message message = {
		.offset = number, .record_time_us = file->now_us, .payload = payload};
	struct origin origin = {.topic = text_of(file->path), .offset = number};
	arena_reset(file->arena);
	enum status status = decoder_begin(file->decoder, &message, &origin, file->arena);
	bool wanted = true;
	while (status == OK && wanted) {
		struct decoded record;
		bool more = false;
		status = decoder_next(file->decoder, &record, &more);
		if (status != OK || !more)
			break;
		if (record.why != ACCEPTED)
			note_reject(file, number, &record, totals);
		else
			totals->events++;
		wanted = file->visit(file->context, number, &record);
	}
	*ret_more = wanted;
	return status;
}

enum status rule_records_read(const char *path, const struct decoder_options *options,
			      rule_record_visit *visit, void *context,
			      struct rule_event_totals *totals, struct error *err)
{
	assert(path != NULL && visit != NULL);
	struct reading_file file cleanup(reading_file_done) = {
		.path = strcmp(path, "-") == 0 ? "standard input" : path,
		.arena = arena_new(MESSAGE_ARENA_MAX),
		.visit = visit,
		.context = context,
		.now_us = wall_now_us(),
	};
	if (file.arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for events");
	enum status status = decoder_new(options, &file.decoder, err);
	if (status == OK)
		status = file_reader_open(path, &file.reader, err);
	enum file_cut cut = FILE_CUT_FULL;
	while (status == OK && cut != FILE_CUT_END) {
		struct text payload = {0};
		int64_t number = 0;
		bool more = true;
		cut = file_reader_next(file.reader, &payload, &number);
		if (cut == FILE_CUT_FULL)
			file_reader_release(file.reader);
		if (cut == FILE_CUT_MEMORY)
			status = ENOMEMORY;
		if (cut == FILE_CUT_MESSAGE)
			status = message_read(&file, payload, number, totals, &more);
		if (status == ENOMEMORY)
			return error_set(err, ENOMEMORY, "no memory for events");
		if (status == OK && !more)
			return OK;
	}
	if (status == OK && file_reader_problem(file.reader)[0] != '\0')
		return error_set(err, EINVALID, "%s: %s", file.path,
				 file_reader_problem(file.reader));
	return status;
}

struct event_visit {
	rule_event_visit *visit;
	void *context;
	struct arena *arena; /* for one event */
	enum status status;
};

static bool visit_event(void *context, int64_t number, const struct decoded *record)
{
	struct event_visit *inner = context;
	struct event read;
	(void)number;
	if (record->why != ACCEPTED)
		return true;
	arena_reset(inner->arena);
	inner->status = event_as_read(&record->event, inner->arena, &read);
	return inner->status == OK && inner->visit(inner->context, &read);
}

enum status rule_events_read(const char *path, const struct decoder_options *options,
			     rule_event_visit *visit, void *context,
			     struct rule_event_totals *totals, struct error *err)
{
	struct arena *arena cleanup(arena_free) = arena_new(EVENT_ARENA_MAX);
	struct event_visit inner = {visit, context, arena, OK};
	if (arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for events");
	enum status status = rule_records_read(path, options, visit_event, &inner, totals, err);
	if (status == OK && inner.status != OK)
		return error_set(err, inner.status, "no memory for events");
	return status;
}

int rule_events_options(struct session *session, struct decoder_options *ret_options)
{
	*ret_options = (struct decoder_options){.time_trusted = true, .time_line_number = true};
	return session_input(session, ret_options);
}
