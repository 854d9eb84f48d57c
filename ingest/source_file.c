#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/file_reader.h"
#include "ingest/source.h"

/* What one poll may tell besides STREAM_ADDED per file: ready, problem, rewound, finished. */
enum { FILE_NOTICES_SPARE = 4 };

struct file_stream {
	struct text path;
	int64_t start; /* the first number that is handed out */
	int64_t next;
	bool finished;
};

struct source_file {
	struct source base;
	struct wall_clock clock;
	struct file_stream *streams;
	size_t stream_count;
	bool announced; /* STREAM_ADDED of every file is out */
	size_t current; /* streams before it are finished */
	struct file_reader *reader;
	size_t reader_of; /* the stream it reads */
	struct message *messages;
	size_t message_capacity;
	struct source_notice *notices;
	size_t *notice_after;
	size_t notice_count;
	char problem[1024];
};

/* What one poll collects. */
struct filling {
	struct source_file *source;
	size_t message_max, count;
	int64_t now_us;
};

static void put_notice(struct filling *filling, struct source_notice notice)
{
	struct source_file *source = filling->source;
	assert(source->notice_count < source->stream_count + FILE_NOTICES_SPARE);
	source->notices[source->notice_count] = notice;
	source->notice_after[source->notice_count++] = filling->count;
}

static void announce(struct filling *filling)
{
	struct source_file *source = filling->source;
	for (size_t i = 0; i < source->stream_count; i++)
		put_notice(filling, (struct source_notice){.kind = SOURCE_STREAM_ADDED,
							   .stream = (uint32_t)i,
							   .topic = source->streams[i].path,
							   .offset = source->streams[i].start,
							   .end_offset = -1,
							   .time_us = filling->now_us});
	put_notice(filling,
		   (struct source_notice){.kind = SOURCE_READY, .time_us = filling->now_us});
	source->announced = true;
}

static void put_problem(struct filling *filling, const char *why)
{
	struct source_file *source = filling->source;
	(void)snprintf(source->problem, sizeof source->problem, "%.*s: %s",
		       TEXT_ARG(source->streams[source->current].path), why);
	put_notice(filling, (struct source_notice){.kind = SOURCE_PROBLEM,
						   .stream = (uint32_t)source->current,
						   .time_us = filling->now_us,
						   .text = text_of(source->problem)});
}

/* The current file is over: says why if it is for a reason, and that it is. */
static void finish_stream(struct filling *filling, const char *problem)
{
	struct source_file *source = filling->source;
	struct file_stream *stream = &source->streams[source->current];
	if (problem[0] != '\0')
		put_problem(filling, problem);
	bool shorter = problem[0] == '\0' && source->reader != NULL &&
		       file_reader_number(source->reader) + 1 < stream->start;
	if (shorter)
		put_notice(filling,
			   (struct source_notice){.kind = SOURCE_REWOUND,
						  .stream = (uint32_t)source->current,
						  .offset = file_reader_number(source->reader) + 1,
						  .time_us = filling->now_us});
	put_notice(filling, (struct source_notice){.kind = SOURCE_FINISHED,
						   .stream = (uint32_t)source->current,
						   .offset = stream->next,
						   .time_us = filling->now_us});
	stream->finished = true;
	source->current++;
}

/* Cuts messages of the current file until the batch or the reader's window is full, or it ends. */
static enum status fill(struct filling *filling, struct error *err)
{
	struct source_file *source = filling->source;
	struct file_stream *stream = &source->streams[source->current];
	while (filling->count < filling->message_max) {
		struct text payload;
		int64_t number = 0;
		enum file_cut cut = file_reader_next(source->reader, &payload, &number);
		if (cut == FILE_CUT_FULL && filling->count > 0)
			return OK;
		if (cut == FILE_CUT_MEMORY)
			return error_set(err, ENOMEMORY, "no memory to read %.*s",
					 TEXT_ARG(stream->path));
		if (cut == FILE_CUT_END) {
			finish_stream(filling, file_reader_problem(source->reader));
			return OK;
		}
		if (cut == FILE_CUT_FULL || number < stream->start) {
			file_reader_release(source->reader); /* only skipped ones were handed out */
			continue;
		}
		source->messages[filling->count++] =
			(struct message){.stream = (uint32_t)source->current,
					 .offset = number,
					 .record_time_us = filling->now_us,
					 .payload = payload};
		stream->next = number + 1;
	}
	return OK;
}

/* Opens the current file. A file that went away since the start is a problem, not the end of all.
 */
static enum status open_current(struct filling *filling, struct error *err)
{
	struct source_file *source = filling->source;
	if (source->reader != NULL)
		return OK;
	struct error why;
	enum status status =
		file_reader_open(source->streams[source->current].path.data, &source->reader, &why);
	if (status == ENOMEMORY)
		return error_set(err, status, "%s", why.text);
	source->reader_of = source->current;
	if (status != OK)
		finish_stream(filling, why.text);
	return OK;
}

static enum status grow_messages(struct source_file *source, size_t message_max, struct error *err)
{
	if (message_max <= source->message_capacity)
		return OK;
	struct message *messages = realloc(source->messages, message_max * sizeof *messages);
	if (messages == NULL)
		return error_set(err, ENOMEMORY, "no memory for a batch of messages");
	source->messages = messages;
	source->message_capacity = message_max;
	return OK;
}

static enum status file_poll(struct source *base, int timeout_ms, size_t message_max,
			     struct source_batch *ret_batch, struct error *err)
{
	struct source_file *source = (struct source_file *)base;
	(void)timeout_ms; /* a file never makes anybody wait */
	assert(message_max > 0);
	enum status status = grow_messages(source, message_max, err);
	if (status != OK)
		return status;
	struct filling filling = {.source = source, .message_max = message_max};
	/* Without a clock the source is historical: only the records themselves tell a time. */
	if (source->clock.now_us != NULL)
		filling.now_us = source->clock.now_us(source->clock.context);
	source->notice_count = 0;
	if (!source->announced)
		announce(&filling);
	/* The caller is done with the last batch: its views may move, a file that ended may go. */
	if (source->reader != NULL && source->reader_of != source->current)
		file_reader_free(&source->reader);
	if (source->reader != NULL)
		file_reader_release(source->reader);
	if (source->current < source->stream_count) {
		status = open_current(&filling, err);
		if (status == OK && source->reader != NULL)
			status = fill(&filling, err);
	}
	if (status != OK)
		return status;
	*ret_batch = (struct source_batch){.messages = source->messages,
					   .message_count = filling.count,
					   .notices = source->notices,
					   .notice_after = source->notice_after,
					   .notice_count = source->notice_count};
	return OK;
}

static void file_committed(struct source *base, uint32_t stream, int64_t next_offset)
{
	(void)base, (void)stream, (void)next_offset; /* nobody else watches a file being read */
}

static struct source_lag file_lag(struct source *base, uint32_t stream)
{
	const struct source_file *source = (const struct source_file *)base;
	assert(stream < source->stream_count);
	const struct file_stream *file = &source->streams[stream];
	return (struct source_lag){file->next, file->finished ? file->next : -1, false};
}

static void file_free(struct source *base)
{
	struct source_file *source = (struct source_file *)base;
	for (size_t i = 0; source->streams != NULL && i < source->stream_count; i++)
		free((char *)source->streams[i].path.data);
	free(source->streams);
	file_reader_free(&source->reader);
	free(source->messages);
	free(source->notices);
	free(source->notice_after);
	free(source);
}

static int64_t start_of(const struct source_start *start, struct text path)
{
	for (size_t i = 0; i < start->position_count; i++)
		if (text_equal(start->positions[i].topic, path) &&
		    start->positions[i].partition == 0)
			return start->positions[i].next_offset;
	return 1;
}

/* Takes one path as a stream when it is in our share. It must be readable now: a typo should be
 * told before anything starts. Path and line are the identity of a record: no path comes twice. */
static enum status add_path(struct source_file *source, const char *path,
			    const struct source_start *start, struct error *err)
{
	struct text name = text_of(path);
	if (source_share_of(name, 0, start->share_count) != start->share)
		return OK;
	for (size_t i = 0; i < source->stream_count; i++)
		if (text_equal(source->streams[i].path, name))
			return error_set(err, EINVALID, "%s is given twice; name each file once",
					 path);
	if (strcmp(path, "-") != 0) {
		struct file_reader *reader cleanup(file_reader_free) = NULL;
		enum status status = file_reader_open(path, &reader, err);
		if (status != OK)
			return status;
	}
	char *copy = strdup(path);
	if (copy == NULL)
		return error_set(err, ENOMEMORY, "no memory for the list of files");
	int64_t from = start_of(start, name);
	source->streams[source->stream_count++] =
		(struct file_stream){.path = text_of(copy), .start = from, .next = from};
	return OK;
}

enum status source_file_new(const struct file_options *options, const struct source_start *start,
			    struct source **ret_source, struct error *err)
{
	static const struct source_ops file_ops = {
		.poll = file_poll, .committed = file_committed, .lag = file_lag, .free = file_free};
	assert(start->share_count > 0 && start->share < start->share_count);
	struct source_file *made = calloc(1, sizeof *made);
	if (made == NULL)
		return error_set(err, ENOMEMORY, "no memory for a file source");
	made->base.ops = &file_ops;
	struct source *source cleanup(source_free) = &made->base;
	size_t notice_max = options->path_count + FILE_NOTICES_SPARE;
	made->clock = start->clock;
	made->streams = calloc(options->path_count + 1, sizeof *made->streams);
	made->notices = calloc(notice_max, sizeof *made->notices);
	made->notice_after = calloc(notice_max, sizeof *made->notice_after);
	if (made->streams == NULL || made->notices == NULL || made->notice_after == NULL)
		return error_set(err, ENOMEMORY, "no memory for %zu files", options->path_count);
	for (size_t i = 0; i < options->path_count; i++) {
		enum status status = add_path(made, options->paths[i], start, err);
		if (status != OK)
			return status;
	}
	*ret_source = TAKE(source);
	return OK;
}
