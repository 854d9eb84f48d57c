/* decode - stops 2 and 3 of the journey: the bytes of a message become normalised events.
 *
 * Why: services will not change their loggers for us. A message may be one JSON object, an array,
 * NDJSON, or a node agent's envelope around any of these; the fields may have the names of
 * any format in ingest/formats/. What comes out is one shape: struct event.
 *
 * Invariant: every record of a message comes out exactly once, as an event or as a reject with its
 * raw bytes; a message without a record is one reject, and so is a broken array as a whole (nothing
 * of it comes out), while lines live and die alone. Record i of a message always has index i.
 * The decoder never fails on input: a status other than OK means memory or a bug of ours.
 * Owner: one worker. Thread: one. Time: none is read; the message carries its record time.
 * Limits: those of event.h, DECODE_MESSAGE_MAX, DECODE_RECORDS_MAX. */
#ifndef PICKET_INGEST_DECODE_H
#define PICKET_INGEST_DECODE_H

#include "ingest/source.h"

enum {
	DECODE_MESSAGE_MAX = 16 * 1024 * 1024,
	DECODE_RECORDS_MAX = 65536, /* records of one message; the rest is one reject */
};

#define DECODE_FUTURE_US ((int64_t)5 * 60 * 1000000)        /* 5 min */
#define DECODE_PAST_US   ((int64_t)7 * 24 * 3600 * 1000000) /* 7 days */

/* Why a record is in the quarantine: REJECT(id, "word", "for a person, with the next step"). */
enum reject {
	ACCEPTED = 0,
#define REJECT(id, word, text) REJECT_##id,
#include "ingest/reject.def"
#undef REJECT
	REJECT_COUNT,
};
const char *reject_name(enum reject why);
const char *reject_text(enum reject why);

/* How a record is read: recognised, as the format that `format_name` names, or left alone. */
enum input_format { INPUT_AUTO, INPUT_NAMED, INPUT_RAW };

struct formats;

/* A topic that holds one format; it may end with `*`. "auto" = recognised record by record, "raw" =
 * left alone. */
struct topic_format {
	struct text topic, format;
};

struct decoder_options {
	enum input_format format;
	struct text format_name;           /* of INPUT_NAMED: "ecs", "okta", ... */
	const struct topic_format *topics; /* lent: topics that are fixed to a format */
	size_t topic_count;
	const struct formats *formats; /* lent; NULL: the decoder makes the built-in ones */
	struct text time_field;        /* --time-field, or "" */
	bool time_trusted;     /* historical source: @timestamp is not held against record time */
	bool time_line_number; /* no time at all: the offset in seconds (scan), else record time */
	int64_t future_max_us; /* default 5 min */
	int64_t past_max_us;   /* default 7 days */
	struct text
		syslog_zone; /* of times without one (RFC 3164), lent: "Z", "+01:00"; "" = UTC */
	struct logsource logsource; /* stamped instead of what the format says, when not empty */
	bool explain;               /* tell of every field where it comes from (costs memory) */
};

/* What `--input WORD` and the configuration say: auto, raw, or the name of a format ("" = auto). */
void decoder_options_input(struct decoder_options *options, struct text word);

struct decoder;

/* EINVALID: there is no format of that name. */
enum status decoder_new(const struct decoder_options *options, struct decoder **ret_decoder,
			struct error *err);
void decoder_free(struct decoder **decoder);

/* Where a field of an event comes from. */
struct field_source {
	struct text name; /* as the record has it; "" = of no one field */
	const char *file; /* the mapping that set it, or NULL: the record has the name itself */
	unsigned line;
	bool envelope; /* from what an agent, a resource or an envelope says */
};

struct decoded {
	enum reject why;    /* ACCEPTED: event is valid */
	struct event event; /* origin.index set; topic, partition, offset from decoder_begin() */
	uint32_t index;
	struct text raw; /* the record's own bytes */
	bool whole; /* all that the record says is in the event: whoever looked through the event
		       has seen all of raw */
	struct text detail;                 /* of a reject: what and where */
	const char *format;                 /* "ecs", "pino", ...: picket.src.format */
	const struct field_source *sources; /* with options.explain: one per field of the event */
};

enum { STREAM_FORMATS_MAX = 8, STREAM_FORMAT_NAME_MAX = 33 };

/* What the records of a stream were recognised as, since the start; formats that come when the
 * table is full are counted as `beyond`. */
struct stream_formats {
	struct {
		char name[STREAM_FORMAT_NAME_MAX];
		uint64_t records;
	} formats[STREAM_FORMATS_MAX];
	uint64_t beyond;
};
void stream_formats_count(struct stream_formats *formats, const char *name);

/* Starts on a message; origin is its topic, partition and offset. The message's bytes and the
 * arena must stay as they are until decoder_next() has said there is no more. */
enum status decoder_begin(struct decoder *decoder, const struct message *message,
			  const struct origin *origin, struct arena *arena);
/* The next record; *ret_more is false when there is none (then *ret_record is not written). */
enum status decoder_next(struct decoder *decoder, struct decoded *ret_record, bool *ret_more);

#endif
