/* The memory of a risk, and its form in a checkpoint:
 *
 *   signed cut_us
 *   varint number of additions, ascending by time, then for each:
 *     signed time   u64le source   varint score   varint tactics   u8 record flags
 *     u8 ADDITION_*   proof with ADDITION_PROOF
 *   varint number of pauses, ascending by source, then for each: u64le source, signed until_us */
#include <stdlib.h>

#include "correlate/risk.h"

enum { ADDITION_CONTRIBUTES = 1, ADDITION_PROOF = 2 };

size_t risk_pause_place(const struct risk *risk, uint64_t source)
{
	size_t low = 0;
	size_t high = risk->pause_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (risk->pauses[middle].source < source)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

enum status risk_pause(struct risk *risk, uint64_t source, int64_t until_us)
{
	size_t at = risk_pause_place(risk, source);
	if (at < risk->pause_count && risk->pauses[at].source == source) {
		risk->pauses[at].until_us = until_us;
		return OK;
	}
	if (risk->pause_count == risk->pause_capacity) {
		size_t capacity = risk->pause_capacity == 0 ? 4 : 2 * risk->pause_capacity;
		struct pause *grown = realloc(risk->pauses, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		risk->pauses = grown;
		risk->pause_capacity = capacity;
	}
	memmove(&risk->pauses[at + 1], &risk->pauses[at],
		(risk->pause_count - at) * sizeof *risk->pauses);
	risk->pauses[at] = (struct pause){source, until_us};
	risk->pause_count++;
	return OK;
}

void risk_drop(struct risk *risk, size_t count)
{
	for (size_t i = 0; i < count; i++)
		proof_release(&risk->additions[i].proof);
	risk->count -= count;
	if (count > 0)
		memmove(risk->additions, risk->additions + count,
			risk->count * sizeof *risk->additions);
}

enum status risk_push(struct risk *risk, struct addition *addition)
{
	if (risk->count == RISK_ADDITIONS_MAX) {
		risk->cut_us = risk->additions[0].time_us;
		risk_drop(risk, 1);
	}
	if (risk->count == risk->capacity) {
		size_t capacity = risk->capacity == 0 ? 4 : 2 * risk->capacity;
		struct addition *grown = realloc(risk->additions, capacity * sizeof *grown);
		if (grown == NULL) {
			proof_release(&addition->proof);
			return ENOMEMORY;
		}
		risk->additions = grown;
		risk->capacity = capacity;
	}
	risk->additions[risk->count++] = *addition;
	return OK;
}

void risk_encode(const struct gated *gated, struct bytes *to)
{
	const struct risk *risk = gated->memory;
	bytes_put_signed(to, risk->cut_us);
	bytes_put_varint(to, risk->count);
	for (size_t i = 0; i < risk->count; i++) {
		const struct addition *addition = &risk->additions[i];
		bytes_put_signed(to, addition->time_us);
		bytes_put_u64le(to, addition->source);
		bytes_put_varint(to, addition->score);
		bytes_put_varint(to, addition->tactics);
		bytes_put_u8(to, addition->flags);
		bytes_put_u8(to, (uint8_t)((addition->contributes ? ADDITION_CONTRIBUTES : 0) |
					   (addition->proof != NULL ? ADDITION_PROOF : 0)));
		if (addition->proof != NULL)
			proof_encode(addition->proof, to);
	}
	bytes_put_varint(to, risk->pause_count);
	for (size_t i = 0; i < risk->pause_count; i++) {
		bytes_put_u64le(to, risk->pauses[i].source);
		bytes_put_signed(to, risk->pauses[i].until_us);
	}
}

static enum status addition_decode(struct cursor *from, struct risk *risk)
{
	struct addition addition = {.time_us = cursor_signed(from)};
	addition.source = cursor_u64le(from);
	addition.score = cursor_varint(from);
	uint64_t tactics = cursor_varint(from);
	addition.flags = cursor_u8(from);
	uint8_t flags = cursor_u8(from);
	bool later =
		risk->count == 0 || risk->additions[risk->count - 1].time_us <= addition.time_us;
	if (from->failed || flags > (ADDITION_CONTRIBUTES | ADDITION_PROOF) ||
	    tactics > UINT32_MAX || addition.score > RISK_SCORE_MAX || !later)
		return ECORRUPT;
	addition.tactics = (uint32_t)tactics;
	addition.contributes = (flags & ADDITION_CONTRIBUTES) != 0;
	enum status status =
		(flags & ADDITION_PROOF) != 0 ? proof_decode(from, &addition.proof) : OK;
	return status == OK ? risk_push(risk, &addition) : status;
}

enum status risk_decode(struct cursor *from, const struct unit *unit, struct gated *gated)
{
	struct risk *risk = gated->memory = calloc(1, sizeof *risk);
	(void)unit;
	if (risk == NULL)
		return ENOMEMORY;
	risk->cut_us = cursor_signed(from);
	uint64_t count = cursor_varint(from);
	enum status status = from->failed || count > RISK_ADDITIONS_MAX ? ECORRUPT : OK;
	for (uint64_t i = 0; status == OK && i < count; i++)
		status = addition_decode(from, risk);
	count = status == OK ? cursor_varint(from) : 0;
	uint64_t before = 0;
	for (uint64_t i = 0; status == OK && i < count; i++) {
		uint64_t source = cursor_u64le(from);
		int64_t until_us = cursor_signed(from);
		if (from->failed || (i > 0 && source <= before))
			return ECORRUPT;
		status = risk_pause(risk, source, until_us);
		before = source;
	}
	return status;
}
