/* In a checkpoint: varint count { u64le mark }, ascending. */
#include "correlate/breaks.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static bool breaks_on(const struct rule *rule, struct text field)
{
	for (size_t i = 0; i < rule->break_on_count; i++)
		if (text_equal(rule->break_on[i], field))
			return true;
	return false;
}

size_t breaks_of(const struct rule *rule, const struct hash_key *key, struct text context,
		 uint64_t ret_marks[static BREAKS_OF_EVENT_MAX])
{
	size_t count = 0;
	struct cursor from = cursor_of(context);
	while (rule->break_on_count > 0 && cursor_left(&from) > 0 && count < BREAKS_OF_EVENT_MAX) {
		unsigned char out[crypto_shorthash_BYTES];
		const unsigned char *pair = from.at;
		struct text field = cursor_text(&from);
		(void)cursor_text(&from);
		if (from.failed)
			break;
		if (!breaks_on(rule, field))
			continue;
		(void)crypto_shorthash(out, pair, (size_t)(from.at - pair), key->bytes);
		static_assert(sizeof *ret_marks == sizeof out);
		memcpy(&ret_marks[count++], out, sizeof out);
	}
	return count;
}

enum status breaks_add(struct breaks *breaks, uint64_t mark, bool *ret_new)
{
	size_t at = breaks->count;
	while (at > 0 && breaks->marks[at - 1] >= mark)
		at--;
	if (breaks->count == BREAKS_MAX || (at < breaks->count && breaks->marks[at] == mark))
		return OK;
	if ((breaks->count & (breaks->count - 1)) == 0) { /* full: room for twice as many */
		size_t capacity = breaks->count == 0 ? 1 : breaks->count * 2;
		uint64_t *grown = realloc(breaks->marks, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		breaks->marks = grown;
	}
	memmove(&breaks->marks[at + 1], &breaks->marks[at],
		(breaks->count - at) * sizeof *breaks->marks);
	breaks->marks[at] = mark;
	breaks->count++;
	*ret_new = true;
	return OK;
}

enum status breaks_join(struct breaks *to, const struct breaks *from)
{
	bool ignored = false;
	enum status status = OK;
	for (size_t i = 0; i < from->count && status == OK; i++)
		status = breaks_add(to, from->marks[i], &ignored);
	return status;
}

void breaks_done(struct breaks *breaks)
{
	free(breaks->marks);
	*breaks = (struct breaks){0};
}

void breaks_encode(const struct breaks *breaks, struct bytes *to)
{
	bytes_put_varint(to, breaks->count);
	for (size_t i = 0; i < breaks->count; i++)
		bytes_put_u64le(to, breaks->marks[i]);
}

enum status breaks_decode(struct cursor *from, struct breaks *ret_breaks)
{
	struct breaks breaks cleanup(breaks_done) = {0};
	uint64_t count = cursor_varint(from);
	enum status status = from->failed || count > BREAKS_MAX ? ECORRUPT : OK;
	for (uint64_t i = 0; i < count && status == OK; i++) {
		uint64_t mark = cursor_u64le(from);
		bool rises = breaks.count == 0 || breaks.marks[breaks.count - 1] < mark;
		bool ignored = false;
		status = from->failed || !rises ? ECORRUPT : breaks_add(&breaks, mark, &ignored);
	}
	if (status != OK)
		return status;
	*ret_breaks = breaks;
	breaks = (struct breaks){0};
	return OK;
}
