#include "rules/utf8.h"

#include <assert.h>

bool utf8_is_ascii(struct text t)
{
	size_t i = 0;
	for (; i + 8 <= t.size; i += 8) {
		uint64_t word = 0;
		memcpy(&word, t.data + i, sizeof word);
		if ((word & 0x8080808080808080u) != 0)
			return false;
	}
	for (; i < t.size; i++)
		if ((t.data[i] & 0x80) != 0)
			return false;
	return true;
}

size_t utf8_size(struct text t, size_t at)
{
	assert(at < t.size);
	const unsigned char *s = (const unsigned char *)t.data + at;
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	size_t size = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (t.size - at < size)
		return 0;
	/* The second byte is where overlong forms, surrogates and U+110000 are told apart. */
	unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
	unsigned char high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < size; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return size;
}

bool utf8_is_valid(struct text t)
{
	for (size_t i = 0; i < t.size;) {
		size_t size = utf8_size(t, i);
		if (size == 0)
			return false;
		i += size;
	}
	return true;
}

uint32_t utf8_decode(const char *from, size_t size)
{
	static const unsigned char lead_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	assert(size >= 1 && size <= UTF8_SIZE_MAX);
	uint32_t code_point = (unsigned char)from[0] & lead_mask[size];
	for (size_t i = 1; i < size; i++)
		code_point = code_point << 6 | ((unsigned char)from[i] & 0x3f);
	return code_point;
}

size_t utf8_encode(uint32_t code_point, char to[static UTF8_SIZE_MAX])
{
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	assert(code_point <= 0x10ffff);
	size_t size = code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
	for (size_t i = size; i-- > 1; code_point >>= 6)
		to[i] = (char)(0x80 | (code_point & 0x3f));
	to[0] = (char)(lead[size] | code_point);
	return size;
}

struct text utf8_mend(struct text t, struct arena *arena)
{
	if (utf8_is_valid(t))
		return t;
	char *mended = arena_alloc(arena, t.size * 3); /* U+FFFD is three bytes */
	if (mended == NULL)
		return (struct text){NULL, t.size};
	size_t used = 0;
	for (size_t i = 0; i < t.size;) {
		size_t size = utf8_size(t, i);
		memcpy(mended + used, size == 0 ? "\xef\xbf\xbd" : t.data + i,
		       size == 0 ? 3 : size);
		used += size == 0 ? 3 : size;
		i += size == 0 ? 1 : size;
	}
	return (struct text){mended, used};
}
