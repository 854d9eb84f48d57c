#include "correlate/proof.h"

#include <assert.h>
#include <stdlib.h>

static struct text append(char **at, struct text t)
{
	struct text copy = {*at, t.size};
	if (t.size > 0)
		memcpy(*at, t.data, t.size);
	*at += t.size;
	return copy;
}

struct proof *proof_new(const struct evidence *evidence)
{
	size_t size = sizeof(struct proof) + evidence->origin.topic.size + evidence->context.size;
	struct proof *proof = size > UINT32_MAX ? NULL : malloc(size);
	if (proof == NULL)
		return NULL;
	*proof = (struct proof){.references = 1, .size = (uint32_t)size, .evidence = *evidence};
	char *at = (char *)(proof + 1);
	proof->evidence.origin.topic = append(&at, evidence->origin.topic);
	proof->evidence.context = append(&at, evidence->context);
	return proof;
}

struct proof *proof_hold(struct proof *proof)
{
	if (proof != NULL)
		proof->references++;
	return proof;
}

void proof_release(struct proof **proof)
{
	struct proof *released = TAKE(*proof);
	if (released == NULL)
		return;
	assert(released->references > 0);
	if (--released->references == 0)
		free(released);
}

int proof_compare(const struct proof *a, const struct proof *b)
{
	if (a->evidence.time_us != b->evidence.time_us)
		return a->evidence.time_us < b->evidence.time_us ? -1 : 1;
	return origin_compare(&a->evidence.origin, &b->evidence.origin);
}

void proof_encode(const struct proof *proof, struct bytes *to)
{
	const struct evidence *evidence = &proof->evidence;
	assert(evidence->origin.partition >= 0 && evidence->origin.offset >= 0);
	bytes_put_signed(to, evidence->time_us);
	bytes_put_text(to, evidence->origin.topic);
	bytes_put_varint(to, (uint64_t)evidence->origin.partition);
	bytes_put_varint(to, (uint64_t)evidence->origin.offset);
	bytes_put_varint(to, evidence->origin.index);
	bytes_put_text(to, evidence->context);
}

enum status proof_decode(struct cursor *from, struct proof **ret_proof)
{
	struct evidence evidence = {0};
	evidence.time_us = cursor_signed(from);
	evidence.origin.topic = cursor_text(from);
	uint64_t partition = cursor_varint(from);
	uint64_t offset = cursor_varint(from);
	uint64_t index = cursor_varint(from);
	evidence.context = cursor_text(from);
	if (from->failed || partition > INT32_MAX || offset > INT64_MAX || index > UINT32_MAX)
		return ECORRUPT;
	evidence.origin.partition = (int32_t)partition;
	evidence.origin.offset = (int64_t)offset;
	evidence.origin.index = (uint32_t)index;
	struct proof *proof = proof_new(&evidence);
	if (proof == NULL)
		return ENOMEMORY;
	*ret_proof = proof;
	return OK;
}

enum status proof_decode_at(struct cursor *from, int64_t time_us, struct proof **ret_proof)
{
	struct proof *proof cleanup(proof_release) = NULL;
	enum status status = proof_decode(from, &proof);
	if (status == OK && proof->evidence.time_us != time_us)
		status = ECORRUPT;
	if (status == OK)
		*ret_proof = TAKE(proof);
	return status;
}
