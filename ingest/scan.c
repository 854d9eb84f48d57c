#include "ingest/scan.h"

#include <assert.h>
#include <stdlib.h>

#include "ingest/detect.h"
#include "ingest/undecided.h"

enum {
	POLL_MESSAGES_MAX = 1024,
	LIVE_EPOCH_MESSAGES = 1024,     /* with a lateness bound: one epoch per so many messages */
	CHUNK_BYTES = 16 * 1024 * 1024, /* of match records before a new chunk is begun */
};

/* Sorted input is folded in slices of one second of event time, so that the revisions an analyst
 * would have seen live appear here too. */
static const int64_t slice_us = 1000000;

/* Cells need a hash key; here it protects nobody, and a fixed one keeps the output the same. */
static const struct hash_key scan_hash_key = {"picket scan key"};

/* A match record still encoded, and where it belongs. */
struct entry {
	int64_t time_us;
	uint64_t sequence; /* order of arrival: keeps the sort stable */
	struct text encoded;
};

struct scan {
	struct scan_options options;
	struct plan *plan;
	struct detect *detect;
	struct detected detected;
	struct actor *actor;
	struct detect_sink detect_sink;
	struct stream **streams;
	size_t stream_count;
	struct bytes *chunks; /* match records of the whole input, when it is sorted */
	size_t chunk_count;
	uint64_t epoch;
	uint64_t stopped_epoch; /* scan_stop(): the last one that is told of; 0: all are */
	int64_t watermark_us;
	uint64_t live_messages; /* in the open epoch */
	struct bytes finals;    /* texts: encoded alerts that have ended */
	struct undecided *undecided;
	struct scan_totals totals;
};

static void scan_on_event(void *context, const struct event *event, const struct matches *matches)
{
	struct scan *scan = context;
	const struct scan_sink *sink = &scan->options.sink;
	scan->totals.events++;
	scan->totals.time_missing += (event->quality & QUALITY_TIME_MISSING) != 0;
	scan->totals.matches += matches->count;
	scan->totals.undecided += matches->undecided_count;
	if (sink->on_event != NULL)
		sink->on_event(sink->context, event, matches);
	struct scan_match match = {.origin = event->origin, .time_us = event->time_us};
	for (size_t i = 0; sink->on_match != NULL && i < matches->count; i++) {
		match.rule = ruleset_rule(scan->options.ruleset, matches->rules[i]);
		sink->on_match(sink->context, &match);
	}
	for (size_t i = 0; i < matches->undecided_count; i++) {
		undecided_note(scan->undecided, matches->undecided[i], event);
		match.rule = ruleset_rule(scan->options.ruleset, matches->undecided[i]);
		if (sink->on_undecided != NULL)
			sink->on_undecided(sink->context, &match);
	}
}

static void scan_on_reject(void *context, const struct origin *origin, const struct decoded *record)
{
	struct scan *scan = context;
	scan->totals.quarantined++;
	struct scan_reject reject = {*origin, record->why, record->detail, record->raw};
	if (scan->options.sink.on_reject != NULL)
		scan->options.sink.on_reject(scan->options.sink.context, &reject);
}

enum status scan_new(const struct scan_options *options, struct scan **ret_scan, struct error *err)
{
	assert(options->ruleset != NULL);
	struct scan *scan cleanup(scan_free) = calloc(1, sizeof *scan);
	if (scan == NULL)
		return ENOMEMORY;
	scan->options = *options;
	scan->undecided = undecided_new(options->ruleset);
	if (scan->undecided == NULL)
		return ENOMEMORY;
	scan->detect_sink = (struct detect_sink){scan_on_event, scan_on_reject, scan};
	enum status status = plan_new(options->ruleset, &scan_hash_key, &scan->plan, err);
	if (status != OK)
		return status;
	struct detect_options detect = {
		.ruleset = options->ruleset,
		.plan = scan->plan,
		.decoder = options->decoder,
		.enrich = options->enrich,
		.actor_count = 1,
		.only_match = options->sink.on_alert == NULL,
		/* Sorted input is never late, whatever the order of its lines. */
		.lateness_us = options->lateness_us < 0 ? INT64_MAX : options->lateness_us,
	};
	struct actor_options actor = {.plan = scan->plan, .actor_count = 1};
	status = detect_new(&detect, &scan->detect, err);
	if (status == OK)
		status = detected_init(&scan->detected, 1);
	if (status == OK)
		status = actor_new(&actor, &scan->actor, err);
	if (status == OK)
		*ret_scan = TAKE(scan);
	return status;
}

void scan_free(struct scan **scan)
{
	struct scan *old = *scan;
	if (old == NULL)
		return;
	for (size_t i = 0; i < old->stream_count; i++) {
		free((char *)old->streams[i]->at.topic.data);
		bytes_done(&old->streams[i]->name);
		free(old->streams[i]);
	}
	for (size_t i = 0; i < old->chunk_count; i++)
		bytes_done(&old->chunks[i]);
	free(old->streams);
	free(old->chunks);
	bytes_done(&old->finals);
	undecided_free(&old->undecided);
	actor_free(&old->actor);
	detected_done(&old->detected);
	detect_free(&old->detect);
	plan_free(&old->plan);
	free(TAKE(*scan));
}

static enum status stream_of(struct scan *scan, const struct origin *origin,
			     struct stream **ret_stream)
{
	/* Newest first: files come one after the other. */
	for (size_t i = scan->stream_count; i-- > 0;) {
		struct stream *known = scan->streams[i];
		if (known->at.partition == origin->partition &&
		    text_equal(known->at.topic, origin->topic)) {
			*ret_stream = known;
			return OK;
		}
	}
	struct stream **grown =
		realloc(scan->streams, (scan->stream_count + 1) * sizeof *scan->streams);
	if (grown == NULL)
		return ENOMEMORY;
	scan->streams = grown;
	struct stream *stream = calloc(1, sizeof *stream);
	char *topic = strndup(origin->topic.data, origin->topic.size);
	if (stream == NULL || topic == NULL) {
		free(stream);
		free(topic);
		return ENOMEMORY;
	}
	stream->at = (struct position_row){.topic = {topic, origin->topic.size},
					   .partition = origin->partition,
					   .watermark_us = INT64_MIN};
	*ret_stream = scan->streams[scan->stream_count++] = stream;
	return detect_name_stream(stream);
}

/* Hears the alerts of the epoch just closed. */
static void scan_hear(struct scan *scan)
{
	size_t count = 0;
	const struct alert_change *changes = actor_changes(scan->actor, &count);
	for (size_t i = 0; i < count; i++) {
		const struct alert *alert = changes[i].alert;
		if (scan->stopped_epoch > 0 && alert->opened_epoch > scan->stopped_epoch)
			continue;
		scan->totals.alerts += changes[i].announce && alert->revision == 1;
		if (scan->options.final_only && alert->state == ALERT_ENDED) {
			struct bytes encoded cleanup(bytes_done) = {0};
			alert_encode(alert, &encoded);
			bytes_put_text(&scan->finals, bytes_text(&encoded));
			scan->finals.failed = scan->finals.failed || encoded.failed;
		}
		if (!scan->options.final_only && changes[i].announce &&
		    scan->options.sink.on_alert != NULL)
			scan->options.sink.on_alert(scan->options.sink.context, alert);
	}
}

/* Folds what was fed; time is watermark_us afterwards. */
static enum status scan_fold(struct scan *scan, int64_t watermark_us, struct error *err)
{
	struct bytes chained cleanup(bytes_done) = {0};
	struct record_sink exchange = {&chained, 1};
	uint64_t epoch = ++scan->epoch;
	scan->watermark_us = watermark_us;
	enum status status = actor_round(scan->actor, epoch, watermark_us, &exchange, err);
	for (unsigned i = 0; status == OK && i < plan_rounds(scan->plan); i++) {
		status = actor_feed(scan->actor, bytes_text(&chained), err);
		bytes_clear(&chained);
		if (status == OK)
			status = actor_round(scan->actor, epoch, watermark_us, &exchange, err);
	}
	if (status == OK)
		status = actor_close(scan->actor, epoch, watermark_us, err);
	if (status == OK)
		scan_hear(scan);
	return status;
}

static enum status live_epoch(struct scan *scan, struct error *err)
{
	int64_t watermark_us = INT64_MAX;
	for (size_t i = 0; i < scan->stream_count; i++)
		if (scan->streams[i]->at.watermark_us < watermark_us)
			watermark_us = scan->streams[i]->at.watermark_us;
	scan->live_messages = 0;
	enum status status = actor_feed(scan->actor, bytes_text(&scan->detected.records[0]), err);
	bytes_clear(&scan->detected.records[0]);
	if (status == OK)
		status = scan_fold(scan, watermark_us, err);
	return status == OK ? detect_flush(scan->detect, &scan->detected, err) : status;
}

/* The records so far become a chunk of their own: one buffer need not hold them all. */
static enum status keep_chunk(struct scan *scan, struct error *err)
{
	struct bytes *grown = realloc(scan->chunks, (scan->chunk_count + 1) * sizeof *grown);
	if (grown == NULL)
		return ENOMEMORY;
	scan->chunks = grown;
	scan->chunks[scan->chunk_count++] = scan->detected.records[0];
	scan->detected.records[0] = (struct bytes){0};
	return scan->chunks[scan->chunk_count - 1].failed
		       ? error_set(err, ENOMEMORY, "the match records of a scan: out of memory")
		       : OK;
}

/* One more message or event is in. */
static enum status scan_taken(struct scan *scan, struct error *err)
{
	scan->totals.messages++;
	scan->live_messages++;
	if (scan->options.lateness_us >= 0)
		return scan->live_messages >= LIVE_EPOCH_MESSAGES ? live_epoch(scan, err) : OK;
	return scan->detected.records[0].size >= CHUNK_BYTES ? keep_chunk(scan, err) : OK;
}

static enum status scan_one(struct scan *scan, const struct origin *origin,
			    const struct message *message, struct error *err)
{
	struct stream *stream = NULL;
	enum status status = stream_of(scan, origin, &stream);
	if (status == OK)
		status = detect_message(scan->detect, stream, message, &scan->detect_sink,
					&scan->detected, err);
	if (status != OK)
		return status;
	return scan_taken(scan, err);
}

enum status scan_event(struct scan *scan, const struct event *event, struct error *err)
{
	struct stream *stream = NULL;
	enum status status = stream_of(scan, &event->origin, &stream);
	if (status == OK)
		status = detect_stored(scan->detect, stream, event, &scan->detect_sink,
				       &scan->detected, err);
	return status == OK ? scan_taken(scan, err) : status;
}

uint64_t scan_held_bytes(const struct scan *scan)
{
	uint64_t held = scan->detected.records[0].size;
	for (size_t i = 0; i < scan->chunk_count; i++)
		held += scan->chunks[i].size;
	return held;
}

enum status scan_message(struct scan *scan, const struct origin *origin, struct text payload,
			 struct error *err)
{
	struct message message = {.offset = origin->offset, .payload = payload};
	return scan_one(scan, origin, &message, err);
}

/* A file that ends early (a cut .gz, a disk error) is told like a record that cannot be read, in
 * the place where the file breaks off: a scan of half the evidence must not look whole. */
static enum status scan_problem(struct scan *scan, const struct source_notice *notice,
				const char *path)
{
	struct origin origin = {.topic = text_of(path)};
	struct stream *stream = NULL;
	enum status status = stream_of(scan, &origin, &stream);
	if (status != OK)
		return status;
	origin.offset = stream->at.next_offset;
	struct decoded broken = {.why = REJECT_UNREADABLE, .detail = notice->text};
	scan_on_reject(scan, &origin, &broken);
	return OK;
}

/* One batch of a file source: stream i is path i. */
static enum status scan_batch(struct scan *scan, const struct source_batch *batch,
			      const struct file_options *files, size_t *open_streams,
			      struct error *err)
{
	enum status status = OK;
	for (size_t i = 0; status == OK && i < batch->message_count; i++) {
		const struct message *message = &batch->messages[i];
		assert(message->stream < files->path_count);
		struct origin origin = {.topic = text_of(files->paths[message->stream]),
					.offset = message->offset};
		status = scan_one(scan, &origin, message, err);
	}
	for (size_t i = 0; status == OK && i < batch->notice_count; i++) {
		const struct source_notice *notice = &batch->notices[i];
		*open_streams -= notice->kind == SOURCE_FINISHED;
		if (notice->kind == SOURCE_PROBLEM)
			status = scan_problem(scan, notice, files->paths[notice->stream]);
	}
	return status;
}

static int64_t no_time(void *context)
{
	(void)context;
	return 0;
}

enum status scan_files(struct scan *scan, const struct file_options *files, struct error *err)
{
	struct source_start start = {.share_count = 1, .clock = {no_time, NULL}};
	struct source *source cleanup(source_free) = NULL;
	size_t open_streams = files->path_count;
	enum status status = source_file_new(files, &start, &source, err);
	while (status == OK && open_streams > 0) {
		struct source_batch batch = {0};
		status = source->ops->poll(source, 0, POLL_MESSAGES_MAX, &batch, err);
		if (status == OK)
			status = scan_batch(scan, &batch, files, &open_streams, err);
	}
	return status;
}

static int entry_compare(const void *a, const void *b)
{
	const struct entry *left = a;
	const struct entry *right = b;
	if (left->time_us != right->time_us)
		return left->time_us < right->time_us ? -1 : 1;
	return (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

/* All records of all chunks, by time. */
static enum status sort_entries(struct scan *scan, struct entry **ret_entries, size_t *ret_count,
				struct error *err)
{
	struct entry *entries = NULL;
	size_t count = 0;
	size_t capacity = 0;
	for (size_t i = 0; i < scan->chunk_count; i++) {
		struct cursor cursor = cursor_of(bytes_text(&scan->chunks[i]));
		while (cursor_left(&cursor) > 0) {
			const unsigned char *begin = cursor.at;
			struct match_record record = {0};
			enum status status = record_decode(&cursor, &record, err);
			if (status == OK && count == capacity) {
				capacity = capacity == 0 ? 1024 : capacity * 2;
				struct entry *grown = realloc(entries, capacity * sizeof *grown);
				status = grown == NULL ? ENOMEMORY : OK;
				entries = grown == NULL ? entries : grown;
			}
			if (status != OK) {
				free(entries);
				return status;
			}
			size_t size = (size_t)(cursor.at - begin);
			entries[count] =
				(struct entry){record.time_us, count, {(const char *)begin, size}};
			count++;
		}
	}
	if (count > 0)
		qsort(entries, count, sizeof *entries, entry_compare);
	*ret_entries = entries;
	*ret_count = count;
	return OK;
}

static enum status fold_sorted(struct scan *scan, const struct entry *entries, size_t count,
			       struct error *err)
{
	enum status status = OK;
	for (size_t i = 0; status == OK && i < count;) {
		int64_t end_us = entries[i].time_us > INT64_MAX - slice_us
					 ? INT64_MAX
					 : entries[i].time_us + slice_us;
		do
			status = actor_feed(scan->actor, entries[i++].encoded, err);
		while (status == OK && i < count && entries[i].time_us < end_us);
		if (status == OK)
			status = scan_fold(scan, i < count ? entries[i].time_us : end_us, err);
	}
	return status;
}

static int alert_compare(const void *a, const void *b)
{
	const struct alert *left = a;
	const struct alert *right = b;
	if (left->first_us != right->first_us)
		return left->first_us < right->first_us ? -1 : 1;
	int order = text_compare(left->rule_key, right->rule_key);
	if (order == 0)
		order = text_compare(left->tenant, right->tenant);
	return order == 0 ? text_compare(left->group, right->group) : order;
}

static enum status tell_finals(struct scan *scan, struct error *err)
{
	size_t count = 0;
	struct cursor counting = cursor_of(bytes_text(&scan->finals));
	for (; cursor_left(&counting) > 0; count++)
		(void)cursor_text(&counting);
	struct alert *alerts = calloc(count + 1, sizeof *alerts);
	enum status status = alerts == NULL || scan->finals.failed ? ENOMEMORY : OK;
	struct cursor cursor = cursor_of(bytes_text(&scan->finals));
	for (size_t i = 0; status == OK && i < count; i++)
		status = alert_decode(cursor_text(&cursor), &alerts[i], err);
	if (status == OK && count > 0)
		qsort(alerts, count, sizeof *alerts, alert_compare);
	for (size_t i = 0; status == OK && scan->options.sink.on_alert != NULL && i < count; i++)
		scan->options.sink.on_alert(scan->options.sink.context, &alerts[i]);
	free(alerts);
	return status;
}

/* Every window closes, and everything is told. */
static enum status close_all(struct scan *scan, struct scan_totals *ret_totals, struct error *err)
{
	enum status status = scan_fold(scan, INT64_MAX, err);
	if (status == OK && scan->options.final_only)
		status = tell_finals(scan, err);
	const struct scan_sink *sink = &scan->options.sink;
	size_t given_up = 0;
	if (status == OK)
		status = undecided_tell(scan->undecided, sink->on_alert, sink->context, &given_up);
	if (status != OK)
		return status;
	scan->totals.alerts += given_up;
	scan->totals.routes = detect_counters(scan->detect).routes;
	scan->totals.actor = actor_counters(scan->actor);
	*ret_totals = scan->totals;
	return OK;
}

enum status scan_stop(struct scan *scan, int64_t watermark_us, struct scan_totals *ret_totals,
		      struct error *err)
{
	struct entry *entries = NULL;
	size_t count = 0;
	assert(scan->options.lateness_us >= 0 || scan->epoch == 0); /* only once */
	enum status status =
		scan->options.lateness_us >= 0 ? live_epoch(scan, err) : keep_chunk(scan, err);
	if (status == OK)
		status = sort_entries(scan, &entries, &count, err);
	if (status == OK)
		status = fold_sorted(scan, entries, count, err);
	free(entries);
	if (status == OK && watermark_us < INT64_MAX) {
		if (scan->epoch == 0 || watermark_us > scan->watermark_us)
			status = scan_fold(scan, watermark_us, err);
		scan->stopped_epoch = scan->epoch;
	}
	return status == OK ? close_all(scan, ret_totals, err) : status;
}

enum status scan_finish(struct scan *scan, struct scan_totals *ret_totals, struct error *err)
{
	return scan_stop(scan, INT64_MAX, ret_totals, err);
}

const struct plan *scan_plan(const struct scan *scan)
{
	return scan->plan;
}

uint64_t scan_excluded(const struct scan *scan, const struct rule_filter *filter)
{
	return detect_excluded(scan->detect, filter);
}

const struct rule_counters *scan_rule_counters(const struct scan *scan, size_t rule_index)
{
	return detect_rule_counters(scan->detect, rule_index);
}
