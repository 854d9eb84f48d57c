/* decoding - what the tests of the decoder share: a message in, its records out. */
#ifndef PICKET_TESTS_INGEST_DECODING_H
#define PICKET_TESTS_INGEST_DECODING_H

#include <assert.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/decode.h"

enum { DECODING_RECORDS_MAX = 64 };

/* The record time of every message here: 2026-11-22T00:00:00Z. */
#define RECORD_TIME_US ((int64_t)1795305600 * 1000000)

struct decoding {
	struct arena *arena;
	struct decoder *decoder;
	struct decoded records[DECODING_RECORDS_MAX];
	size_t count; /* all of them, also beyond DECODING_RECORDS_MAX */
	size_t accepted;
};

static inline void decoding_begin(struct decoding *decoding, struct decoder_options options)
{
	*decoding = (struct decoding){.arena = arena_new(256 * 1024 * 1024)};
	struct error err = {0};
	ck_assert_int_eq(decoder_new(&options, &decoding->decoder, &err), OK);
}

static inline void decoding_done(struct decoding *decoding)
{
	decoder_free(&decoding->decoder);
	arena_free(&decoding->arena);
}

static inline void decoding_feed_of(struct decoding *decoding, const char *topic,
				    struct text payload)
{
	const struct origin origin = {.topic = text_of(topic), .partition = 3, .offset = 41};
	const struct message message = {
		.offset = 41, .record_time_us = RECORD_TIME_US, .payload = payload};
	arena_reset(decoding->arena);
	decoding->count = decoding->accepted = 0;
	ck_assert_int_eq(decoder_begin(decoding->decoder, &message, &origin, decoding->arena), OK);
	for (;;) {
		struct decoded record = {0};
		bool more = false;
		ck_assert_int_eq(decoder_next(decoding->decoder, &record, &more), OK);
		if (!more)
			break;
		ck_assert_uint_eq(record.index, decoding->count);
		decoding->accepted += record.why == ACCEPTED;
		if (decoding->count < DECODING_RECORDS_MAX)
			decoding->records[decoding->count] = record;
		decoding->count++;
	}
	ck_assert_uint_gt(decoding->count, 0); /* no message is silent */
}

static inline void decoding_feed(struct decoding *decoding, struct text payload)
{
	decoding_feed_of(decoding, "logs", payload);
}

/* The one event of a message that must give exactly one. */
static inline const struct event *decoding_one_of(struct decoding *decoding, const char *topic,
						  const char *payload)
{
	decoding_feed_of(decoding, topic, text_of(payload));
	ck_assert_uint_eq(decoding->count, 1);
	ck_assert_msg(decoding->records[0].why == ACCEPTED, "%s: %.*s",
		      reject_name(decoding->records[0].why), TEXT_ARG(decoding->records[0].detail));
	return &decoding->records[0].event;
}

static inline const struct event *decoding_one(struct decoding *decoding, const char *payload)
{
	return decoding_one_of(decoding, "logs", payload);
}

/* Every value of a name, as text, joined with |; "-" when there is none. */
static inline const char *values_of(const struct event *event, const char *name)
{
	static char joined[4096];
	size_t size = 0;
	bool any = false;
	for (size_t i = 0; i < event->field_count; i++) {
		const struct field *field = &event->fields[i];
		if (!text_equal(field->name, text_of(name)))
			continue;
		struct text t = field->value.text;
		if (field->value.type == VALUE_NULL)
			t = TEXT("null");
		else if (field->value.type == VALUE_EMPTY)
			t = TEXT("empty");
		size_t left = sizeof joined - size;
		size += (size_t)snprintf(joined + size, left, "%s%.*s", any ? "|" : "",
					 (int)(t.size < 1000 ? t.size : 1000), t.data);
		assert(size < sizeof joined);
		any = true;
	}
	return any ? joined : "-";
}

#define CHECK_FIELD(event, name, expected) ck_assert_str_eq(values_of((event), (name)), (expected))

static inline const char *time_of(int64_t time_us)
{
	static char buffer[32];
	(void)time_print(time_us, buffer);
	return buffer;
}

static inline int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
