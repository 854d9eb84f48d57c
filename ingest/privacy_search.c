/* Which fields of an event must be looked at one by one. Most events hold nothing, and must not pay
 * for it; and of one that holds something, only the field that does.
 *
 * All names and texts are laid into one buffer, a line feed behind each, and Vectorscan looks for
 * all literals of secret.def in one pass: no literal holds a line feed, so a hit lies inside one
 * text, and where it ends says whose. What a detector finds in a text has its literal in that same
 * text or in the field's name (test_secret.c). Card numbers have no literal: every thirteenth byte
 * of a value is asked whether it could be inside one. Personal values are looked for in the same
 * buffer, once, instead of in every field. */
#include <assert.h>

#include "ingest/privacy_private.h"

/* Where hits are put down: they come in order, so the next is mostly in the same field. */
struct hits {
	struct privacy_scratch *scratch;
	size_t field_count;
	size_t field; /* of the last one */
};

static void suspect(struct privacy_scratch *scratch, size_t field)
{
	scratch->suspects[field / 64] |= (uint64_t)1 << (field % 64);
}

/* The field whose texts hold the byte before `end`. */
static size_t field_at(const struct hits *hits, size_t end)
{
	const uint32_t *ends = hits->scratch->ends;
	size_t low = 0;
	size_t high = hits->field_count - 1;
	if (end <= ends[hits->field] && (hits->field == 0 || end > ends[hits->field - 1]))
		return hits->field;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (ends[middle] < end)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void put_hit(struct hits *hits, size_t end)
{
	hits->field = field_at(hits, end);
	suspect(hits->scratch, hits->field);
}

static int on_literal(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
		      void *context)
{
	(void)id;
	(void)from;
	(void)flags;
	put_hit(context, to);
	return 0;
}

static int on_any_literal(unsigned id, unsigned long long from, unsigned long long to,
			  unsigned flags, void *context)
{
	(void)id;
	(void)from;
	(void)to;
	(void)flags;
	*(bool *)context = true;
	return 1; /* one is enough */
}

bool privacy_may_hold_literal(const struct privacy *privacy, struct privacy_scratch *scratch,
			      struct text t)
{
	bool found = false;
	if (t.size == 0)
		return false;
	hs_error_t ended = hs_scan(privacy->literals, t.data, (unsigned)t.size, 0, scratch->hs,
				   on_any_literal, &found);
	assert(ended == HS_SUCCESS || ended == HS_SCAN_TERMINATED);
	return found;
}

/* A name of the schema is no secret and names none (test_privacy.c); numbers are laid out for the
 * personal values. */
static bool has_name(const struct field *field)
{
	return field->id == FIELD_OTHER;
}

static bool has_text(const struct field *field)
{
	return privacy_is_textual(&field->value) && privacy_may_change(field);
}

static unsigned char *put_line(unsigned char *to, struct text t)
{
	if (t.size > 0)
		memcpy(to, t.data, t.size);
	to[t.size] = '\n';
	return to + t.size + 1;
}

void privacy_lay_out(struct privacy_scratch *scratch, const struct event *event)
{
	struct bytes *joined = &scratch->joined;
	size_t size = 0;
	assert(event->field_count <= EVENT_FIELDS_MAX);
	for (size_t i = 0; i < event->field_count; i++) {
		const struct field *field = &event->fields[i];
		size += (has_name(field) ? field->name.size + 1 : 0) +
			(has_text(field) ? field->value.text.size + 1 : 0);
	}
	bytes_clear(joined);
	bool room = bytes_reserve(joined, size);
	memset(scratch->suspects, room ? 0 : 0xff, (event->field_count / 64 + 1) * 8);
	if (!room)
		return;
	unsigned char *to = joined->data;
	for (size_t i = 0; i < event->field_count; i++) {
		const struct field *field = &event->fields[i];
		if (has_name(field))
			to = put_line(to, field->name);
		if (has_text(field))
			to = put_line(to, field->value.text);
		scratch->ends[i] = (uint32_t)(to - joined->data);
	}
	joined->size = size;
}

void privacy_suspect_secrets(const struct privacy *privacy, struct privacy_scratch *scratch,
			     const struct event *event)
{
	const struct bytes *joined = &scratch->joined;
	struct hits hits = {.scratch = scratch, .field_count = event->field_count};
	for (size_t i = 0; i < event->field_count; i++)
		if (has_text(&event->fields[i]) && secret_may_be_card(event->fields[i].value.text))
			suspect(scratch, i);
	if (joined->failed || joined->size == 0)
		return;
	hs_error_t ended = hs_scan(privacy->literals, (const char *)joined->data,
				   (unsigned)joined->size, 0, scratch->hs, on_literal, &hits);
	assert(ended == HS_SUCCESS);
	(void)ended;
}

void privacy_suspect_text(struct privacy_scratch *scratch, const struct event *event,
			  struct text personal)
{
	const struct bytes *joined = &scratch->joined;
	struct hits hits = {.scratch = scratch, .field_count = event->field_count};
	if (personal.size > 0 && memchr(personal.data, '\n', personal.size) != NULL) {
		memset(scratch->suspects, 0xff, (event->field_count / 64 + 1) * 8);
		return; /* in the buffer it may also lie across two texts */
	}
	if (personal.size < PRIVACY_TEXT_MIN) { /* only as a whole value */
		for (size_t i = 0; i < event->field_count; i++)
			if (text_equal(event->fields[i].value.text, personal))
				suspect(scratch, i);
		return;
	}
	for (size_t at = 0; joined->size - at >= personal.size;) {
		const unsigned char *found =
			memmem(joined->data + at, joined->size - at, personal.data, personal.size);
		if (found == NULL)
			return;
		at = (size_t)(found - joined->data) + personal.size;
		put_hit(&hits, at);
	}
}
