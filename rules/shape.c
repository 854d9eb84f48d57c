#include "rules/parse_private.h"

#include <stdlib.h>
#include <xxhash.h>

/* What a detection finds, as one number: the same for the same selections, however they are named,
 * ordered, spaced or commented. The number goes into the identity of what correlations remember
 * (correlate/state_id.c), so it must be the same in every run and every build: it is made of the
 * predicates' encodings by XXH3, whose values are fixed.
 *
 * Filters are not in it: they take away what is known to be harmless, and what was counted before
 * stays counted. */

static int compare_hashes(const void *a, const void *b)
{
	const uint64_t *left = a;
	const uint64_t *right = b;
	return (*left > *right) - (*left < *right);
}

static enum status expr_hash(const struct predicate *predicates, const struct expr *expr,
			     uint64_t *ret_hash)
{
	struct bytes encoded cleanup(bytes_done) = {0};
	enum status status = OK;
	bytes_put_u8(&encoded, (uint8_t)expr->kind);
	if (expr->kind == EXPR_PREDICATE) {
		predicate_encode(&predicates[expr->predicate], &encoded);
	} else {
		uint64_t *hashes = calloc(expr->child_count + 1, sizeof *hashes);
		if (hashes == NULL)
			return ENOMEMORY;
		for (size_t i = 0; status == OK && i < expr->child_count; i++)
			status = expr_hash(predicates, expr->children[i], &hashes[i]);
		qsort(hashes, expr->child_count, sizeof *hashes, compare_hashes);
		bytes_put_varint(&encoded, expr->at_least);
		for (size_t i = 0; i < expr->child_count; i++)
			bytes_put_u64le(&encoded, hashes[i]);
		free(hashes);
	}
	if (status == OK)
		status = bytes_status(&encoded);
	if (status == OK)
		*ret_hash = XXH3_64bits(encoded.data, encoded.size);
	return status;
}

enum status detection_shape(const struct loader *loader, const struct draft *draft,
			    uint64_t *ret_shape)
{
	size_t count = 0;
	const struct predicate *predicates = intern_predicates(loader->intern, &count);
	const struct expr *expr = draft->bare != NULL ? draft->bare : draft->expr;
	const struct logsource *logsource = &draft->rule.logsource;
	struct bytes encoded cleanup(bytes_done) = {0};
	uint64_t hash = 0;
	enum status status = expr_hash(predicates, expr, &hash);
	bytes_put_text(&encoded, logsource->product);
	bytes_put_text(&encoded, logsource->category);
	bytes_put_text(&encoded, logsource->service);
	bytes_put_u64le(&encoded, hash);
	if (status == OK)
		status = bytes_status(&encoded);
	if (status == OK)
		*ret_shape = XXH3_64bits(encoded.data, encoded.size);
	return status;
}
