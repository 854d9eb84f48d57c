/* decoder, inside: what the files behind decode.h share.
 *
 * split.c cuts a message into records, json.cc flattens one, envelope.c looks for a record inside a
 * node agent's envelope, normalise.c makes the event. decode.c is the order of these calls.
 *
 * Owner: a decoder. Thread: one. */
#ifndef PICKET_INGEST_DECODER_PRIVATE_H
#define PICKET_INGEST_DECODER_PRIVATE_H

#include "ingest/decode.h"
#include "ingest/format_private.h"
#include "ingest/otlp_private.h"

/* How the records lie in a message. */
enum layout {
	LAYOUT_NONE,   /* nothing (more) to give */
	LAYOUT_SINGLE, /* one record */
	LAYOUT_LINES,  /* one record a line */
	LAYOUT_ARRAY,  /* the elements of an array that has been checked as a whole */
	LAYOUT_OTLP,   /* a message of the OpenTelemetry protocol: see otlp_record.c */
	LAYOUT_REJECT, /* the whole message is one reject */
};

struct split {
	struct text text; /* the message, in memory that is padded for json_walk() */
	enum layout layout;
	size_t at; /* the next record begins here, or behind blanks or a comma */
	uint32_t index;
	enum reject why; /* of LAYOUT_REJECT */
	struct text detail;
};

/* Looks at a message that has at least one byte that is not blank. */
void split_begin(struct split *split, struct text padded, struct arena *arena);
/* The next record's bytes; false when there is none. */
bool split_next(struct split *split, struct text *ret_record);

/* What the walk of one message's record gave: its own fields, and those of the envelope. */
struct unpacked {
	const struct json_items *record;   /* NULL: the envelope holds a plain line */
	const struct json_items *envelope; /* NULL: no envelope */
	const struct json_item *inner; /* the envelope's item that held the record or the line */
	struct text line;              /* the plain line */
	bool broken;                   /* the line looks like JSON, but is none */
	bool otlp;                     /* the record came in the OpenTelemetry protocol */
};

struct decoder {
	struct decoder_options options;
	struct formats *own;           /* made here: the built-in formats */
	const struct formats *formats; /* those of the options, or `own` */
	const struct format *given;    /* of INPUT_NAMED, or NULL */
	const struct format *named;    /* of the message's topic, else `given` */
	bool raw;                      /* the message's fields are left as they are */
	const struct format
		*otlp_format; /* what such a record is when nothing else is recognised */
	struct seen seen;
	struct json_reader *reader;
	struct json_options keep;
	struct json_items outer, inner, attributes;
	struct otlp otlp;
	struct json_tape tape; /* of an OTLP message in JSON */
	struct draft *draft;
	struct arena *arena; /* of the message */
	struct origin origin;
	int64_t record_time_us;
	struct split split;
	struct text payload;
};

/* Where does the record of these fields sit: in them, or in a string of an envelope? REJECT_MEMORY
 * or ACCEPTED. */
enum reject envelope_open(struct decoder *decoder, struct unpacked *ret_unpacked);
/* Does one of these values say that whoever wrote the envelope has decoded the line? */
bool says_decoded(const struct decoder *decoder, const struct json_items *items);
/* Walks a line of JSON into decoder->inner; *ret_broken when it is none. */
enum reject line_open(struct decoder *decoder, struct text line, bool *ret_broken);

/* syslog.c. False when the record is no syslog message; *ret_unpacked only with ACCEPTED. */
bool syslog_read(struct decoder *decoder, struct text record, struct unpacked *ret_unpacked,
		 enum reject *ret_why);

/* otlp_record.c. False when the message is none of the OpenTelemetry protocol. */
bool otlp_begin(struct decoder *decoder, struct text padded);
/* The next record; false when there is none. *ret_unpacked only with *ret_why == ACCEPTED. */
bool otlp_next(struct decoder *decoder, struct unpacked *ret_unpacked, struct text *ret_raw,
	       enum reject *ret_why);

/* The event of a record, its format and sources; REJECT_MEMORY or ACCEPTED. */
enum reject normalise(struct decoder *decoder, const struct unpacked *unpacked,
		      struct decoded *ret_decoded);

#endif
