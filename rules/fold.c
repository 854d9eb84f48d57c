/* Folding by a table of ranges (fold.def), searched in halves; ASCII never gets that far. Most
 * alphabets fold with one offset for the whole range (Greek, Cyrillic: step 1) or alternate upper
 * and lower case (Latin Extended: step 2), which is why 1,428 mappings fit into some 200 rows. */
#include "rules/fold.h"

#include <assert.h>

struct fold_range {
	uint32_t first;
	uint32_t last;
	uint32_t step;
	int32_t delta;
};

static const struct fold_range ranges[] = {
#define FOLD(first, last, step, delta) {first, last, step, delta},
#include "rules/fold.def"
#undef FOLD
};

static inline char fold_ascii(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

uint32_t fold_code_point(uint32_t code_point)
{
	if (code_point < 0x80)
		return (uint32_t)fold_ascii((char)code_point);
	size_t low = 0;
	size_t high = sizeof ranges / sizeof *ranges;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (ranges[middle].last < code_point)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == sizeof ranges / sizeof *ranges)
		return code_point;
	const struct fold_range *range = &ranges[low];
	bool inside = code_point >= range->first && (code_point - range->first) % range->step == 0;
	return inside ? (uint32_t)((int64_t)code_point + range->delta) : code_point;
}

/* Folds the sequence of `size` bytes at `from`; returns what was written. */
static size_t fold_sequence(const char *from, size_t size, char *to)
{
	uint32_t code_point = utf8_decode(from, size);
	uint32_t folded = fold_code_point(code_point);
	if (folded == code_point) {
		memcpy(to, from, size);
		return size;
	}
	char encoded[UTF8_SIZE_MAX];
	size_t written = utf8_encode(folded, encoded);
	memcpy(to, encoded, written);
	return written;
}

/* Eight bytes at a time, each below 0x80: adding tells in bit 7 whether a byte is at least 'A' and
 * whether it is beyond 'Z'; where these differ, bit 5 is set. */
static void fold_ascii_text(struct text t, char *to)
{
	const uint64_t ones = 0x0101010101010101u;
	size_t i = 0;
	for (; i + 8 <= t.size; i += 8) {
		uint64_t eight = 0;
		memcpy(&eight, t.data + i, sizeof eight);
		uint64_t from_a = eight + ones * (0x80 - 'A');
		uint64_t beyond_z = eight + ones * (0x80 - 'Z' - 1);
		eight |= ((from_a ^ beyond_z) & ones * 0x80) >> 2;
		memcpy(to + i, &eight, sizeof eight);
	}
	for (; i < t.size; i++)
		to[i] = fold_ascii(t.data[i]);
}

size_t fold_text(struct text t, char *to)
{
	if (utf8_is_ascii(t)) {
		fold_ascii_text(t, to);
		return t.size;
	}
	size_t used = 0;
	for (size_t i = 0; i < t.size;) {
		size_t size = (t.data[i] & 0x80) == 0 ? 1 : utf8_size(t, i);
		if (size <= 1) {
			to[used++] =
				fold_ascii(t.data[i++]); /* a bad byte is no letter: it stays */
			continue;
		}
		used += fold_sequence(t.data + i, size, to + used);
		i += size;
	}
	assert(used <= fold_size_max(t.size));
	return used;
}

struct text fold_copy(struct text t, struct arena *arena)
{
	char *folded = arena_alloc(arena, fold_size_max(t.size));
	if (folded == NULL)
		return (struct text){NULL, t.size};
	return (struct text){folded, fold_text(t, folded)};
}
