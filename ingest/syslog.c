/* Syslog, one message a record (as rsyslog and syslog-ng send to Kafka, and write to files).
 *
 *   RFC 5424   <PRI>1 TIME HOST APP PROCID MSGID [ID NAME="VALUE" ...][...] TEXT
 *   RFC 3164   <PRI>Mmm dd hh:mm:ss HOST TAG[PID]: TEXT
 *
 * PRI is facility * 8 + severity, 0 to 191. In the newer form a dash stands for what is not known,
 * and in a VALUE the characters " \ ] are written with a backslash before them (section 6.3.3); a
 * byte order mark before TEXT is left out.
 *
 * The older form describes what was seen in the wild. Files leave PRI out; rsyslog may write a time
 * of RFC 3339, which is believed only behind a PRI (otherwise every second log line of a service
 * would be syslog); TAG has no blank and may be missing, PID too. Its time has no zone and no year:
 * the zone is a setting, and of the years around the record's time the one is taken that brings the
 * two closest, so that December's lines read in January are last year's.
 *
 * TEXT that is a JSON object is the record, and syslog its envelope, as with a node agent. Anything
 * else is the message: a syslog header inside it is text (A11). What does not follow the grammar is
 * not read as syslog at all; half a header would be half a truth. */
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/decoder_private.h"

enum {
	PRIORITY_MAX = 191,
	TAG_MAX = 128,
	BSD_TIME_SIZE = 15,
	RFC3339_BYTES = 48,
};

/* The words of the header; of the older form there is no message id. */
enum header_word { WORD_TIME, WORD_HOST, WORD_APP, WORD_PROCESS, WORD_MESSAGE_ID, WORDS };

struct syslog {
	struct text left;
	bool has_priority;
	int64_t priority;
	struct text words[WORDS]; /* "" or "-": not known */
};

static bool take_priority(struct syslog *syslog)
{
	size_t at = 1;
	struct text t = syslog->left;
	for (; at < t.size && at < 4 && t.data[at] >= '0' && t.data[at] <= '9'; at++)
		syslog->priority = syslog->priority * 10 + (t.data[at] - '0');
	if (at == 1 || at == t.size || t.data[at] != '>' || syslog->priority > PRIORITY_MAX)
		return false;
	syslog->has_priority = true;
	syslog->left = text_cut(t, at + 1);
	return true;
}

static bool take_word(struct syslog *syslog, struct text *ret_word)
{
	const char *blank =
		syslog->left.size == 0 ? NULL : memchr(syslog->left.data, ' ', syslog->left.size);
	if (blank == NULL || blank == syslog->left.data)
		return false;
	size_t size = (size_t)(blank - syslog->left.data);
	*ret_word = (struct text){syslog->left.data, size};
	syslog->left = text_cut(syslog->left, size + 1);
	return true;
}

/* A value between quotes, without its escapes. */
static bool take_value(struct syslog *syslog, struct otlp_list *list, struct text *ret_value)
{
	struct text t = syslog->left;
	size_t end = 0;
	size_t size = 0;
	while (end < t.size && t.data[end] != '"')
		end += t.data[end] == '\\' && end + 1 < t.size ? 2 : 1;
	if (end >= t.size)
		return false;
	char *plain = arena_alloc(list->arena, end + 1);
	if (plain == NULL) {
		list->why = REJECT_MEMORY;
		return false;
	}
	for (size_t i = 0; i < end; i++) {
		bool escape = t.data[i] == '\\' && i + 1 < end &&
			      strchr("\"\\]", t.data[i + 1]) != NULL && t.data[i + 1] != '\0';
		plain[size++] = t.data[escape ? ++i : i];
	}
	*ret_value = (struct text){plain, size};
	syslog->left = text_cut(t, end + 1);
	return true;
}

/* [ID NAME="VALUE" ...], the bracket has been seen. */
static bool take_element(struct syslog *syslog, struct otlp_list *list)
{
	const struct otlp_place root = {.name = TEXT("log.syslog.structured_data")};
	struct text t = text_cut(syslog->left, 1);
	size_t size = 0;
	while (size < t.size && t.data[size] != ' ' && t.data[size] != ']')
		size++;
	struct otlp_place element = otlp_member(list, root, (struct text){t.data, size});
	syslog->left = text_cut(t, size);
	while (syslog->left.size > 1 && syslog->left.data[0] == ' ') {
		t = text_cut(syslog->left, 1);
		const char *equals = memmem(t.data, t.size, "=\"", 2);
		struct text value = {0};
		if (equals == NULL)
			return false;
		size_t name = (size_t)(equals - t.data);
		syslog->left = text_cut(t, name + 2);
		if (!take_value(syslog, list, &value))
			return false;
		otlp_put_text(list, otlp_member(list, element, (struct text){t.data, name}), value);
	}
	if (size == 0 || syslog->left.size == 0 || syslog->left.data[0] != ']')
		return false;
	syslog->left = text_cut(syslog->left, 1);
	return true;
}

static bool take_structured(struct syslog *syslog, struct otlp_list *list)
{
	if (syslog->left.size > 0 && syslog->left.data[0] == '-') {
		syslog->left = text_cut(syslog->left, 1);
		return true;
	}
	bool any = false;
	for (; syslog->left.size > 0 && syslog->left.data[0] == '['; any = true)
		if (!take_element(syslog, list))
			return false;
	return any;
}

static void put_header(const struct syslog *syslog, struct otlp_list *list)
{
	static const struct text names[WORDS] = {{"@timestamp", 10},
						 {"log.syslog.hostname", 19},
						 {"log.syslog.appname", 18},
						 {"log.syslog.procid", 17},
						 {"log.syslog.msgid", 16}};
	const struct {
		struct text name;
		int64_t number;
	} numbers[] = {{{"log.syslog.priority", 19}, syslog->priority},
		       {{"log.syslog.facility.code", 24}, syslog->priority / 8},
		       {{"log.syslog.severity.code", 24}, syslog->priority % 8}};
	for (size_t i = 0; syslog->has_priority && i < sizeof numbers / sizeof *numbers; i++)
		otlp_put_integer(list, (struct otlp_place){.name = numbers[i].name},
				 numbers[i].number);
	for (size_t i = 0; i < WORDS; i++)
		if (syslog->words[i].size > 0 && !text_equal(syslog->words[i], TEXT("-")))
			otlp_put_text(list, (struct otlp_place){.name = names[i]},
				      syslog->words[i]);
}

/* A text that is JSON is the record; what is around it stays its envelope. */
static enum reject open_text(struct decoder *decoder, struct text text, struct unpacked *unpacked)
{
	const struct json_items *outer = &decoder->outer;
	bool kept = outer->count > 0 &&
		    text_equal(outer->items[outer->count - 1].name, TEXT("message"));
	if (!kept || text.size == 0 || text.data[0] != '{' || decoder->raw)
		return ACCEPTED;
	bool broken = false;
	enum reject why = line_open(decoder, text, &broken);
	unpacked->broken = broken;
	if (why == ACCEPTED && !broken) {
		unpacked->record = &decoder->inner;
		unpacked->envelope = outer;
		unpacked->inner = &outer->items[outer->count - 1]; /* the message */
	}
	return why;
}

/* The whole line as RFC 5424 has it, but for PRI; its text is left. */
static bool take_new_form(struct syslog *syslog, struct otlp_list *list)
{
	static const struct text version = {"1 ", 2};
	if (!syslog->has_priority || !text_starts(syslog->left, version))
		return false;
	syslog->left = text_cut(syslog->left, version.size);
	for (size_t i = 0; i < WORDS; i++)
		if (!take_word(syslog, &syslog->words[i]))
			return false;
	put_header(syslog, list);
	if (!take_structured(syslog, list) ||
	    (syslog->left.size > 0 && syslog->left.data[0] != ' '))
		return false;
	if (syslog->left.size > 0)
		syslog->left = text_cut(syslog->left, 1);
	if (text_starts(syslog->left, TEXT("\xef\xbb\xbf")))
		syslog->left = text_cut(syslog->left, 3);
	return true;
}

/* "Jun  4 15:16:01" -> "2026-06-04T15:16:01+01:00", the year nearest to the record's time. */
static bool bsd_time(const struct decoder *decoder, struct text t,
		     char ret_time[static RFC3339_BYTES])
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char now[32];
	int64_t time_us = 0;
	uint64_t best = UINT64_MAX;
	const char *month = memmem(months, sizeof months - 1, t.data, 3);
	bool digits = isdigit((unsigned char)t.data[5]) != 0 &&
		      (t.data[4] == ' ' || isdigit((unsigned char)t.data[4]) != 0);
	if (month == NULL || (month - months) % 3 != 0 || t.data[3] != ' ' || t.data[6] != ' ' ||
	    !digits)
		return false;
	(void)time_print(decoder->record_time_us, now);
	long year = strtol(now, NULL, 10);
	struct text zone = decoder->options.syslog_zone;
	for (long guess = year - 1; guess <= year + 1; guess++) {
		char made[RFC3339_BYTES];
		int size = snprintf(made, sizeof made, "%04ld-%02u-%c%cT%.8s%.*s", guess,
				    (unsigned)(month - months) / 3 + 1,
				    t.data[4] == ' ' ? '0' : t.data[4], t.data[5], t.data + 7,
				    TEXT_ARG(zone));
		assert((size_t)size < sizeof made); /* the zone has been checked */
		if (!time_parse((struct text){made, (size_t)size}, &time_us))
			continue; /* the 29th of February of another year */
		int64_t record_us = decoder->record_time_us;
		uint64_t distance = time_us > record_us ? (uint64_t)time_us - (uint64_t)record_us
							: (uint64_t)record_us - (uint64_t)time_us;
		if (distance < best)
			memcpy(ret_time, made, sizeof made);
		best = distance < best ? distance : best;
	}
	return best != UINT64_MAX;
}

/* Its time as RFC 3339. */
static bool take_old_time(const struct decoder *decoder, struct syslog *syslog)
{
	char made[RFC3339_BYTES];
	int64_t time_us = 0;
	struct text t = syslog->left;
	bool bsd = t.size > BSD_TIME_SIZE && t.data[BSD_TIME_SIZE] == ' ' &&
		   bsd_time(decoder, (struct text){t.data, BSD_TIME_SIZE}, made);
	if (!bsd)
		return syslog->has_priority && take_word(syslog, &syslog->words[WORD_TIME]) &&
		       time_parse(syslog->words[WORD_TIME], &time_us);
	syslog->left = text_cut(t, BSD_TIME_SIZE + 1);
	syslog->words[WORD_TIME] = arena_copy(decoder->arena, text_of(made));
	return syslog->words[WORD_TIME].data != NULL;
}

/* "TAG[PID]: ", if there is one. */
static void take_tag(struct syslog *syslog)
{
	struct text t = syslog->left;
	size_t size = 0;
	while (size < t.size && size <= TAG_MAX && strchr(" [:", t.data[size]) == NULL)
		size++;
	struct text process = {0};
	size_t at = size;
	if (at < t.size && t.data[at] == '[') {
		const char *end = memchr(t.data + at, ']', t.size - at);
		if (end == NULL)
			return;
		process = (struct text){t.data + at + 1, (size_t)(end - t.data) - at - 1};
		at += process.size + 2;
	}
	bool tag = size > 0 && size <= TAG_MAX && process.size <= TAG_MAX && at < t.size &&
		   t.data[at] == ':' && (at + 1 == t.size || t.data[at + 1] == ' ');
	if (!tag || memchr(process.data == NULL ? "" : process.data, ' ', process.size) != NULL)
		return;
	syslog->words[WORD_APP] = (struct text){t.data, size};
	syslog->words[WORD_PROCESS] = process;
	syslog->left = text_cut(t, at + 1 == t.size ? at + 1 : at + 2);
}

/* The same as RFC 3164 has it. */
static bool take_old_form(const struct decoder *decoder, struct syslog *syslog,
			  struct otlp_list *list)
{
	if (!take_old_time(decoder, syslog) || !take_word(syslog, &syslog->words[WORD_HOST]))
		return false;
	take_tag(syslog);
	put_header(syslog, list);
	return true;
}

bool syslog_read(struct decoder *decoder, struct text record, struct unpacked *ret_unpacked,
		 enum reject *ret_why)
{
	struct syslog syslog = {.left = record};
	struct otlp_list list = {.arena = decoder->arena, .options = &decoder->keep};
	struct unpacked unpacked = {.record = &decoder->outer};
	bool letter = record.size > BSD_TIME_SIZE && record.data[0] >= 'A' &&
		      record.data[0] <= 'S' && record.data[3] == ' ';
	if (record.size == 0 || (record.data[0] != '<' && !letter) ||
	    (!letter && !take_priority(&syslog)))
		return false;
	otlp_list_begin(&list, &decoder->outer, 0);
	if (!take_new_form(&syslog, &list) && !take_old_form(decoder, &syslog, &list))
		return false;
	otlp_put_text(&list, (struct otlp_place){.name = TEXT("message")}, syslog.left);
	*ret_why = list.why;
	if (list.why == ACCEPTED)
		*ret_why = open_text(decoder, syslog.left, &unpacked);
	*ret_unpacked = unpacked;
	return true;
}
