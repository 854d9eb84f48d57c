/* Many literals in one pass.
 *
 * Why no automaton: Vectorscan took 0.5 s for the literals of the public rules (34,000) and some
 * 30 ns for each short scan to begin with; rules are loaded often, and an event is some twenty
 * short values. What rules look for is long (15 bytes), which makes hashing enough:
 *
 *   gram     four bytes of a pattern (two, when it has no four); its *anchor* is the one of its
 *            grams that the fewest patterns contain. What few patterns contain is rare in text too:
 *            nobody would look for `.exe`, `http` or four spaces.
 *   bitmap   one bit for each hash of an anchor: at most one in sixteen is set, so nearly every
 *            place of a text is done with one multiplication and one bit
 *   bucket   the patterns whose bits are in one word of the bitmap, four or less as a rule: what is
 *            compared first of them, eight bytes around the anchor, stands in one cache line. The
 *            rest of a pattern is only looked at when these bytes agree.
 *
 *   cost     one test for each byte of text, and one comparison for each pattern of a bucket whose
 *            anchor occurs. A text made of anchors costs what the largest bucket is long, which is
 *            why a full bucket counts against a gram when anchors are chosen.
 *
 * Normal form: folded (fold.h), then - / U+2013 U+2014 U+2015 become '-'. Both steps go code point
 * by code point, so a pattern of valid UTF-8 that occurs in a valid text occurs in the normal form.
 */
#include "rules/scanner.h"

#include <assert.h>
#include <stdlib.h>

#include "rules/ast_private.h"
#include "rules/fold.h"
#include "rules/utf8.h"

enum {
	PADDING = 8,        /* bytes around a text, so that eight may be read at any place */
	WINDOW = 8,         /* bytes compared first */
	ANCHOR_PLACES = 64, /* grams of a pattern that may become its anchor */
	TALLY_BITS_MIN = 10,
	TALLY_BITS_MAX = 20,
	BITS_MIN = 9,
	FULL_BUCKET_WEIGHT = 16,
};

/* A pattern while the scanner is made. */
struct draft {
	struct text normal;
	uint32_t id;
	uint32_t anchor; /* offset of the gram */
};

/* What is compared first, and where it stands: the window around the anchor. */
struct needle {
	uint64_t window;
	uint8_t size;   /* bytes of the window that belong to the pattern */
	uint8_t before; /* the window begins so many bytes before the anchor */
	uint8_t anchor; /* offset of the anchor in the pattern */
};

struct pattern {
	struct text normal;
	uint32_t id;
};

/* All patterns that are filed under grams of one size. */
struct level {
	size_t gram_size; /* 4 or 2 */
	size_t count;
	uint32_t bit_mask; /* of a hash, to an index in the bitmap */
	uint64_t *bitmap;
	uint32_t
		*starts; /* by word of the bitmap: its first needle; and one more behind the last */
	struct needle *needles;
	struct pattern *patterns; /* by needle */
};

struct scanner {
	struct level levels[2];
};

/* How many patterns contain a gram, and how many are filed under it: by hash, collisions add up. */
struct tally {
	unsigned shift;
	uint32_t *contained;
	uint32_t *filed;
};

__attribute__((always_inline)) static inline uint32_t gram_at(const char *at, size_t gram_size)
{
	if (gram_size == 4) {
		uint32_t four = 0;
		memcpy(&four, at, sizeof four);
		return four;
	}
	uint16_t two = 0;
	memcpy(&two, at, sizeof two);
	return two;
}

/* Fibonacci hashing: every bit of the upper half depends on every byte of the gram. */
static inline uint32_t gram_hash(uint32_t gram)
{
	return (uint32_t)(gram * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static size_t gram_size_of(struct text normal)
{
	return normal.size >= 4 ? 4 : 2;
}

/* '/' becomes '-', eight bytes at a time: they differ in bit 1 only. */
static void put_dashes(struct text folded, char *to)
{
	const uint64_t ones = 0x0101010101010101u;
	size_t i = 0;
	for (; i + 8 <= folded.size; i += 8) {
		uint64_t eight = 0;
		memcpy(&eight, folded.data + i, sizeof eight);
		uint64_t other = eight ^ ones * '/'; /* zero where there is one */
		uint64_t marks = ~(((other & ones * 0x7f) + ones * 0x7f) | other) & ones * 0x80;
		eight ^= marks >> 6;
		memcpy(to + i, &eight, sizeof eight);
	}
	for (; i < folded.size; i++)
		to[i] = folded.data[i] == '/' ? '-' : folded.data[i];
}

/* Five dashes become one byte; returns the size. */
static size_t put_normal(struct text folded, char *to)
{
	bool has_long = folded.size > 0 && memchr(folded.data, '\xe2', folded.size) != NULL;
	if (!has_long) {
		put_dashes(folded, to);
		return folded.size;
	}
	size_t used = 0;
	for (size_t i = 0; i < folded.size; i++) {
		const char *at = folded.data + i;
		bool dash = folded.size - i >= 3 && memcmp(at, "\xe2\x80", 2) == 0 &&
			    at[2] >= '\x93' && at[2] <= '\x95';
		to[used++] = dash || *at == '/' ? '-' : *at;
		i += dash ? 2 : 0;
	}
	return used;
}

static bool has_dash(struct text literal)
{
	for (size_t i = 0; i < literal.size; i++)
		if (literal.data[i] == '-' || literal.data[i] == '/')
			return true;
	return literal.size > 0 && memmem(literal.data, literal.size, "\xe2\x80", 2) != NULL;
}

/* The size of a valid literal in normal form, exact where it matters: up to three bytes. */
static size_t normal_size(struct text literal)
{
	char folded[8];
	char normal[8];
	if (literal.size > 3) /* folding and dashes leave at least a third of it */
		return (literal.size + 2) / 3;
	size_t size = fold_text(literal, folded);
	assert(size <= sizeof folded);
	return put_normal((struct text){folded, size}, normal);
}

bool scanner_takes(const struct token *tokens, size_t token_count)
{
	size_t size = 0;
	for (size_t i = 0; i < token_count; i++) {
		bool dash = tokens[i].kind == TOKEN_DASH;
		if (!dash && (tokens[i].kind != TOKEN_LITERAL || !utf8_is_valid(tokens[i].literal)))
			return false;
		size += dash ? 1 : normal_size(tokens[i].literal);
	}
	return size >= SCANNER_SIZE_MIN;
}

bool scanner_proves(const struct token *tokens, size_t token_count)
{
	for (size_t i = 0; i < token_count; i++)
		if (tokens[i].kind == TOKEN_LITERAL && has_dash(tokens[i].literal))
			return false;
	return true;
}

struct text scanner_text(struct text folded, struct arena *arena)
{
	char *memory = arena_alloc(arena, folded.size + 2 * PADDING);
	if (memory == NULL)
		return (struct text){NULL, folded.size};
	return (struct text){memory + PADDING, put_normal(folded, memory + PADDING)};
}

static struct text pattern_text(const struct scan_pattern *pattern, struct arena *arena)
{
	size_t size = 0;
	for (size_t i = 0; i < pattern->token_count; i++)
		size += 1 + fold_size_max(pattern->tokens[i].literal.size);
	char *folded = arena_alloc(arena, size + 1);
	size_t used = 0;
	for (size_t i = 0; folded != NULL && i < pattern->token_count; i++) {
		const struct token *token = &pattern->tokens[i];
		if (token->kind == TOKEN_DASH)
			folded[used++] = '-';
		else
			used += fold_text(token->literal, folded + used);
	}
	if (folded == NULL)
		return (struct text){NULL, 0};
	assert(used <= size);
	return scanner_text((struct text){folded, used}, arena);
}

static size_t places_of(struct text normal)
{
	size_t places = normal.size - gram_size_of(normal) + 1;
	return places < ANCHOR_PLACES ? places : ANCHOR_PLACES;
}

static void tally_done(struct tally *tally)
{
	free(tally->contained);
	free(tally->filed);
}

static enum status tally_fill(struct tally *tally, const struct draft *drafts, size_t count)
{
	size_t total = 0;
	for (size_t i = 0; i < count; i++)
		total += places_of(drafts[i].normal);
	unsigned bits = TALLY_BITS_MIN;
	while (bits < TALLY_BITS_MAX && (size_t)1 << bits < 2 * total)
		bits++;
	tally->shift = 32 - bits;
	tally->contained = calloc((size_t)1 << bits, sizeof *tally->contained);
	tally->filed = calloc((size_t)1 << bits, sizeof *tally->filed);
	if (tally->contained == NULL || tally->filed == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < count; i++) {
		struct text normal = drafts[i].normal;
		for (size_t k = 0; k < places_of(normal); k++) {
			uint32_t gram = gram_at(normal.data + k, gram_size_of(normal));
			tally->contained[gram_hash(gram) >> tally->shift]++;
		}
	}
	return OK;
}

static void choose_anchor(const struct tally *tally, struct draft *draft)
{
	struct text normal = draft->normal;
	size_t gram_size = gram_size_of(normal);
	uint64_t best = UINT64_MAX;
	uint32_t best_at = 0;
	for (size_t k = 0; k < places_of(normal); k++) {
		uint32_t at = gram_hash(gram_at(normal.data + k, gram_size)) >> tally->shift;
		uint64_t cost =
			tally->contained[at] + (uint64_t)FULL_BUCKET_WEIGHT * tally->filed[at];
		if (cost >= best)
			continue;
		best = cost;
		best_at = at;
		draft->anchor = (uint32_t)k;
	}
	tally->filed[best_at]++;
}

static struct needle needle_of(const struct draft *draft)
{
	struct text normal = draft->normal;
	size_t start = draft->anchor;
	if (start + WINDOW > normal.size)
		start = normal.size < WINDOW ? 0 : normal.size - WINDOW;
	size_t size = normal.size - start < WINDOW ? normal.size - start : WINDOW;
	assert(draft->anchor < ANCHOR_PLACES && draft->anchor - start < PADDING);
	struct needle needle = {.size = (uint8_t)size,
				.before = (uint8_t)(draft->anchor - start),
				.anchor = (uint8_t)draft->anchor};
	memcpy(&needle.window, normal.data + start, size);
	return needle;
}

static uint32_t bit_of(const struct level *level, const struct draft *draft)
{
	const char *anchor = draft->normal.data + draft->anchor;
	return gram_hash(gram_at(anchor, level->gram_size)) & level->bit_mask;
}

static enum status level_allocate(struct level *level, struct arena *arena)
{
	unsigned bits = BITS_MIN;
	while (bits < 30 && (size_t)1 << bits < 16 * level->count)
		bits++;
	size_t words = ((size_t)1 << bits) / 64;
	level->bit_mask = (uint32_t)(((size_t)1 << bits) - 1);
	level->bitmap = arena_alloc(arena, words * sizeof *level->bitmap);
	level->starts = arena_alloc(arena, (words + 1) * sizeof *level->starts);
	level->needles = arena_alloc(arena, level->count * sizeof *level->needles);
	level->patterns = arena_alloc(arena, level->count * sizeof *level->patterns);
	bool complete = level->bitmap != NULL && level->starts != NULL && level->needles != NULL &&
			level->patterns != NULL;
	return complete ? OK : ENOMEMORY;
}

/* Files the drafts of the level's gram size, those of one bucket in their order. */
static enum status level_build(struct level *level, const struct draft *drafts, size_t count,
			       struct arena *arena)
{
	for (size_t i = 0; i < count; i++)
		level->count += gram_size_of(drafts[i].normal) == level->gram_size;
	if (level->count == 0)
		return OK;
	if (level_allocate(level, arena) != OK)
		return ENOMEMORY;
	size_t words = (size_t)level->bit_mask / 64 + 1;
	for (size_t i = 0; i < count; i++) {
		if (gram_size_of(drafts[i].normal) != level->gram_size)
			continue;
		uint32_t bit = bit_of(level, &drafts[i]);
		level->bitmap[bit / 64] |= (uint64_t)1 << bit % 64;
		level->starts[bit / 64 + 1]++;
	}
	for (size_t word = 0; word < words; word++)
		level->starts[word + 1] += level->starts[word];
	assert(level->starts[words] == level->count);
	for (size_t i = count; i-- > 0;) { /* from the ends: each start ends where it belongs */
		if (gram_size_of(drafts[i].normal) != level->gram_size)
			continue;
		uint32_t at = --level->starts[bit_of(level, &drafts[i]) / 64 + 1];
		level->needles[at] = needle_of(&drafts[i]);
		level->patterns[at] = (struct pattern){drafts[i].normal, drafts[i].id};
	}
	memmove(level->starts, level->starts + 1, words * sizeof *level->starts);
	level->starts[words] = (uint32_t)level->count;
	return OK;
}

static void drafts_free(struct draft **drafts)
{
	free(*drafts);
}

enum status scanner_new(const struct scan_pattern *patterns, size_t count, struct arena *arena,
			const struct scanner **ret_scanner)
{
	assert(count > 0);
	struct scanner *scanner = arena_alloc(arena, sizeof *scanner);
	struct draft *drafts cleanup(drafts_free) = calloc(count, sizeof *drafts);
	struct tally tally cleanup(tally_done) = {0};
	if (scanner == NULL || drafts == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < count; i++) {
		drafts[i].id = patterns[i].id;
		drafts[i].normal = pattern_text(&patterns[i], arena);
		if (drafts[i].normal.data == NULL)
			return ENOMEMORY;
		assert(drafts[i].normal.size >= SCANNER_SIZE_MIN);
	}
	if (tally_fill(&tally, drafts, count) != OK)
		return ENOMEMORY;
	for (size_t i = 0; i < count; i++)
		choose_anchor(&tally, &drafts[i]);
	for (size_t i = 0; i < 2; i++) {
		scanner->levels[i].gram_size = i == 0 ? 4 : 2;
		if (level_build(&scanner->levels[i], drafts, count, arena) != OK)
			return ENOMEMORY;
	}
	*ret_scanner = scanner;
	return OK;
}

struct hit {
	scanner_hit *on_hit;
	void *context;
};

static inline uint64_t eight_at(const char *at)
{
	uint64_t eight = 0;
	memcpy(&eight, at, sizeof eight);
	return eight;
}

/* The first `size` bytes of eight, the others zero. */
static inline uint64_t first_bytes(uint64_t eight, size_t size)
{
	static const unsigned char ones[2 * WINDOW] = {0xff, 0xff, 0xff, 0xff,
						       0xff, 0xff, 0xff, 0xff};
	return eight & eight_at((const char *)ones + WINDOW - size);
}

/* memcmp() for what is longer than a window, without the call: most texts are two windows long. */
static inline bool equal_beyond_window(const char *a, const char *b, size_t size)
{
	for (size_t i = 0; i + WINDOW < size; i += WINDOW)
		if (eight_at(a + i) != eight_at(b + i))
			return false;
	return eight_at(a + size - WINDOW) == eight_at(b + size - WINDOW);
}

/* The bucket of a word of the bitmap, whose anchor may stand at t.data[at]. */
__attribute__((noinline)) static void probe(const struct level *level, struct text t, size_t at,
					    uint32_t word, const struct hit *hit)
{
	for (uint32_t i = level->starts[word]; i < level->starts[word + 1]; i++) {
		const struct needle *needle = &level->needles[i];
		uint64_t window = eight_at(t.data + at - needle->before);
		if (first_bytes(window, needle->size) != needle->window || needle->anchor > at)
			continue;
		const struct pattern *pattern = &level->patterns[i];
		size_t place = at - needle->anchor;
		size_t size = pattern->normal.size;
		if (size <= t.size - place &&
		    (size <= WINDOW ||
		     equal_beyond_window(t.data + place, pattern->normal.data, size)))
			hit->on_hit(hit->context, pattern->id, place);
	}
}

/* The compiler makes one loop for each size of grams. */
__attribute__((always_inline)) static inline void level_scan(const struct level *level,
							     size_t gram_size, struct text t,
							     const struct hit *hit)
{
	assert(level->count == 0 || level->gram_size == gram_size);
	if (level->count == 0 || t.size < gram_size)
		return;
	const uint64_t *bitmap = level->bitmap;
	uint32_t mask = level->bit_mask;
	const char *last = t.data + t.size - gram_size;
	for (const char *at = t.data; at <= last; at++) {
		uint32_t bit = gram_hash(gram_at(at, gram_size)) & mask;
		if ((bitmap[bit / 64] >> bit % 64 & 1) != 0)
			probe(level, t, (size_t)(at - t.data), bit / 64, hit);
	}
}

void scanner_scan(const struct scanner *scanner, struct text normal, scanner_hit *on_hit,
		  void *context)
{
	struct hit hit = {on_hit, context};
	level_scan(&scanner->levels[0], 4, normal, &hit);
	level_scan(&scanner->levels[1], 2, normal, &hit);
}
