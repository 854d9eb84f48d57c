#include "rules/parse_private.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

/* Equal predicates are one predicate: 3,800 public rules hold 45,000 values of which a third are
 * repeated, and the matcher evaluates each predicate at most once per event. Two predicates are
 * equal when their encodings are; the table keeps a 128-bit hash of the encoding instead of the
 * encoding itself (an accidental collision among 2^20 predicates has odds of 2^-89). */

struct slot {
	XXH128_hash_t hash;
	uint32_t index_plus_one; /* 0: free */
};

struct intern {
	struct slot *slots;
	size_t slot_count; /* a power of two, at most half used */
	struct predicate *predicates;
	size_t count, capacity;
	struct arena *arena;
	struct bytes scratch;
};

struct intern *intern_new(struct arena *arena)
{
	struct intern *intern = calloc(1, sizeof *intern);
	if (intern == NULL)
		return NULL;
	intern->arena = arena;
	intern->slot_count = 1024;
	intern->slots = calloc(intern->slot_count, sizeof *intern->slots);
	if (intern->slots == NULL)
		intern_free(&intern);
	return intern;
}

void intern_free(struct intern **intern)
{
	if (*intern == NULL)
		return;
	bytes_done(&(*intern)->scratch);
	free((*intern)->slots);
	free(*intern);
	*intern = NULL;
}

const struct predicate *intern_predicates(const struct intern *intern, size_t *ret_count)
{
	*ret_count = intern->count;
	return intern->predicates;
}

static void encode_detail(const struct predicate *predicate, struct bytes *to)
{
	switch (predicate->kind) {
	case PREDICATE_GLOB:
		bytes_put_varint(to, predicate->glob.token_count);
		for (size_t i = 0; i < predicate->glob.token_count; i++) {
			bytes_put_u8(to, (uint8_t)predicate->glob.tokens[i].kind);
			bytes_put_text(to, predicate->glob.tokens[i].literal);
		}
		break;
	case PREDICATE_REGEX:
		bytes_put_text(to, predicate->regex.pattern);
		bytes_put_varint(to, predicate->regex.flags);
		break;
	case PREDICATE_NUMBER:
		bytes_put_u8(to, (uint8_t)predicate->number.how);
		bytes_put_u8(to, predicate->number.is_integer);
		bytes_put_double(to, predicate->number.value);
		bytes_put_signed(to, predicate->number.integer);
		break;
	case PREDICATE_BOOLEAN:
		bytes_put_u8(to, predicate->boolean);
		break;
	case PREDICATE_CIDR:
		bytes_put(to, predicate->cidr.address, sizeof predicate->cidr.address);
		bytes_put_varint(to, predicate->cidr.prefix_bits);
		break;
	case PREDICATE_FIELDREF:
		bytes_put_text(to, predicate->fieldref.other);
		bytes_put_u8(to, (uint8_t)predicate->fieldref.mode);
		break;
	case PREDICATE_TIME_PART:
		bytes_put_u8(to, (uint8_t)predicate->time.part);
		bytes_put_u8(to, (uint8_t)predicate->time.how);
		bytes_put_signed(to, predicate->time.value);
		break;
	case PREDICATE_SINCE:
		bytes_put_signed(to, predicate->since_us);
		break;
	case PREDICATE_NULL:
	case PREDICATE_EXISTS:
		break;
	}
}

void predicate_encode(const struct predicate *predicate, struct bytes *to)
{
	bytes_put_u8(to, (uint8_t)predicate->kind);
	bytes_put_u8(to, predicate->keyword);
	bytes_put_u8(to, predicate->cased);
	bytes_put_text(to, predicate->field);
	encode_detail(predicate, to);
}

static XXH128_hash_t predicate_hash(struct intern *intern, const struct predicate *predicate)
{
	struct bytes *to = &intern->scratch;
	bytes_clear(to);
	predicate_encode(predicate, to);
	return XXH3_128bits(to->data, to->size);
}

static struct slot *slot_for(struct slot *slots, size_t count, XXH128_hash_t hash)
{
	size_t at = (size_t)hash.low64 & (count - 1);
	while (slots[at].index_plus_one != 0 && XXH128_isEqual(slots[at].hash, hash) == 0)
		at = (at + 1) & (count - 1);
	return &slots[at];
}

static bool slots_doubled(struct intern *intern)
{
	size_t count = intern->slot_count * 2;
	struct slot *slots = calloc(count, sizeof *slots);
	if (slots == NULL)
		return false;
	for (size_t i = 0; i < intern->slot_count; i++)
		if (intern->slots[i].index_plus_one != 0)
			*slot_for(slots, count, intern->slots[i].hash) = intern->slots[i];
	free(intern->slots);
	intern->slots = slots;
	intern->slot_count = count;
	return true;
}

static bool interned(struct intern *intern, const struct predicate *predicate, uint32_t *ret_index)
{
	XXH128_hash_t hash = predicate_hash(intern, predicate);
	if (intern->scratch.failed)
		return false;
	if (intern->count * 2 >= intern->slot_count && !slots_doubled(intern))
		return false;
	struct slot *slot = slot_for(intern->slots, intern->slot_count, hash);
	if (slot->index_plus_one == 0) {
		struct predicate *predicates =
			arena_grown(intern->arena, intern->predicates, intern->count,
				    &intern->capacity, sizeof *predicates);
		if (predicates == NULL || intern->count >= UINT32_MAX - 1)
			return false;
		intern->predicates = predicates;
		predicates[intern->count] = *predicate;
		*slot = (struct slot){hash, (uint32_t)++intern->count};
	}
	*ret_index = slot->index_plus_one - 1;
	return true;
}

const struct expr *expr_predicate(struct loader *loader, const struct predicate *predicate)
{
	assert(predicate->keyword == (predicate->field.size == 0));
	struct expr *expr = arena_alloc(loader->arena, sizeof *expr);
	if (expr == NULL || !interned(loader->intern, predicate, &expr->predicate))
		return NULL;
	expr->kind = EXPR_PREDICATE;
	return expr;
}

const struct expr *expr_join(struct loader *loader, enum expr_kind kind,
			     const struct expr *const *children, size_t count, size_t at_least)
{
	assert(count > 0 && kind != EXPR_PREDICATE);
	if (count == 1 && kind != EXPR_NOT)
		return children[0];
	struct expr *expr = arena_alloc(loader->arena, sizeof *expr);
	const struct expr **copy = arena_alloc(loader->arena, count * sizeof *copy);
	if (expr == NULL || copy == NULL)
		return NULL;
	memcpy(copy, children, count * sizeof *copy);
	*expr = (struct expr){
		.kind = kind, .children = copy, .child_count = count, .at_least = at_least};
	return expr;
}

const struct expr *expr_not(struct loader *loader, const struct expr *child)
{
	if (child->kind == EXPR_NOT)
		return child->children[0];
	return expr_join(loader, EXPR_NOT, &child, 1, 0);
}

const struct expr *expr_named(struct loader *loader, const struct expr *expr, struct text name,
			      struct position at)
{
	struct expr *named = arena_alloc(loader->arena, sizeof *named);
	struct expr_origin *origin = arena_alloc(loader->arena, sizeof *origin);
	if (expr == NULL || named == NULL || origin == NULL)
		return NULL;
	*origin = (struct expr_origin){loader_keep(loader, name), at, expr->origin};
	*named = *expr;
	named->origin = origin;
	return named;
}

bool expr_true_when_absent(const struct loader *loader, const struct expr *expr)
{
	size_t hits = 0;
	if (expr->kind == EXPR_PREDICATE)
		return loader->intern->predicates[expr->predicate].kind == PREDICATE_NULL;
	for (size_t i = 0; i < expr->child_count; i++)
		hits += expr_true_when_absent(loader, expr->children[i]);
	switch (expr->kind) {
	case EXPR_AND:
		return hits == expr->child_count;
	case EXPR_OR:
		return hits > 0;
	case EXPR_NOT:
		return hits == 0;
	case EXPR_AT_LEAST:
		return hits >= expr->at_least;
	case EXPR_PREDICATE:
		break;
	}
	return false;
}
