/* Reading the payload of one column; column_encode.c describes it. Nothing here trusts a number
 * that was read: the bytes may be anything. */
#include <assert.h>
#include <stdlib.h>

#include "storage/columnar_private.h"

/* What a column is read into. */
struct target {
	struct arena *arena;
	struct column_content *content; /* its count: of the values that are stored */
	const struct column_picks *picks;
	size_t count;         /* of the values that are wanted */
	const int64_t *times; /* of the values, NULL: they are not one of each row */
	bool memory;          /* false: the arena is full */
};

static void *target_alloc(struct target *target, size_t count, size_t size)
{
	void *data = count > SIZE_MAX / size - 1
			     ? NULL
			     : arena_alloc(target->arena, count == 0 ? 1 : count * size);
	if (data == NULL)
		target->memory = false;
	return data;
}

/* Where the i-th value that is wanted stands among those that are stored. */
static size_t place_of(const struct target *target, size_t i)
{
	return target->picks == NULL ? i : target->picks->places[i];
}

/* Whether the value at the place is wanted; *next counts those that were. For ascending places. */
static bool is_wanted(const struct target *target, size_t place, size_t *next)
{
	if (*next == target->count || place_of(target, *next) != place)
		return false;
	(*next)++;
	return true;
}

/* The wanted ones of the column's integers, in the arena; NULL: no memory, or damaged. */
static int64_t *numbers_take(struct target *target, struct cursor *from)
{
	int64_t *numbers = target_alloc(target, target->count, sizeof *numbers);
	return numbers != NULL &&
			       integers_take(from, target->content->count, target->picks, numbers)
		       ? numbers
		       : NULL;
}

/* All of them. */
static int64_t *numbers_take_all(struct target *target, struct cursor *from)
{
	size_t count = target->content->count;
	int64_t *numbers = target_alloc(target, count, sizeof *numbers);
	return numbers != NULL && integers_take(from, count, NULL, numbers) ? numbers : NULL;
}

/* Texts that a code chooses from, and the codes; all: not only of the values that are wanted. */
static bool entries_take(struct target *target, struct cursor *from, size_t entries_max, bool all)
{
	struct column_content *content = target->content;
	size_t code_count = all ? content->count : target->count;
	uint64_t count = cursor_varint(from);
	if (count == 0 || count > entries_max || count > cursor_left(from))
		return false;
	struct text *entries = target_alloc(target, count, sizeof *entries);
	uint16_t *codes = target_alloc(target, code_count, sizeof *codes);
	if (entries == NULL || codes == NULL)
		return false;
	for (size_t i = 0; i < count; i++)
		entries[i] = cursor_text(from);
	int64_t *numbers = all ? numbers_take_all(target, from) : numbers_take(target, from);
	if (numbers == NULL || from->failed)
		return false;
	for (size_t i = 0; i < code_count; i++) {
		if (numbers[i] < 0 || numbers[i] >= (int64_t)count)
			return false;
		codes[i] = (uint16_t)numbers[i];
	}
	content->entries = entries;
	content->entry_count = count;
	content->codes = codes;
	return true;
}

static bool constant_take(struct target *target, struct cursor *from)
{
	struct column_content *content = target->content;
	content->entries = target_alloc(target, 1, sizeof *content->entries);
	content->codes = target_alloc(target, target->count, sizeof *content->codes);
	if (content->entries == NULL || content->codes == NULL)
		return false;
	content->entries[0] = cursor_text(from);
	content->entry_count = 1;
	return !from->failed;
}

static bool dictionary_take(struct target *target, struct cursor *from)
{
	return entries_take(target, from, DICTIONARY_ENTRIES_MAX, false);
}

/* As many bytes each as the texts are packed in, one behind the other. */
static void packed_take(struct target *target, struct text packed, size_t size)
{
	struct column_content *content = target->content;
	content->packed_bytes = size;
	for (size_t i = 0; i < target->count; i++)
		content->texts[i] = (struct text){packed.data + place_of(target, i) * size, size};
}

static bool hex_take(struct target *target, struct cursor *from)
{
	struct column_content *content = target->content;
	uint64_t size = cursor_varint(from);
	if (size == 0 || size > HEX_TEXT_MAX / 2 || cursor_left(from) / size < content->count)
		return false;
	struct text packed = cursor_take(from, size * content->count);
	if (content->bare && !from->failed) {
		packed_take(target, packed, size);
		return true;
	}
	char *to = target_alloc(target, target->count, 2 * size);
	if (to == NULL || from->failed)
		return false;
	for (size_t i = 0; i < target->count; i++) {
		content->texts[i] = (struct text){to, 2 * size};
		to = hex_unpack((struct text){packed.data + place_of(target, i) * size, size}, to);
	}
	return true;
}

static bool hex_read(struct text digits, unsigned char *to)
{
	for (size_t i = 0; i < digits.size; i++) {
		char c = digits.data[i];
		bool letter = c >= 'a' && c <= 'f';
		if (!letter && (c < '0' || c > '9'))
			return false;
		unsigned value = letter ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');
		to[i / 2] = (unsigned char)(to[i / 2] << 4 | value);
	}
	return true;
}

bool column_may_have(struct text payload, size_t count, struct text text)
{
	struct cursor from = cursor_of(payload);
	unsigned char wanted[HEX_TEXT_MAX / 2] = {0};
	if (cursor_u8(&from) != STRINGS_HEX)
		return true;
	uint64_t size = cursor_varint(&from);
	if (from.failed || size == 0 || size > HEX_TEXT_MAX / 2 ||
	    cursor_left(&from) / size < count)
		return true; /* damaged: whoever makes the texts will say so */
	if (text.size != 2 * size || !hex_read(text, wanted))
		return false;
	struct text packed = cursor_take(&from, size * count);
	for (size_t i = 0; i < count; i++)
		if (memcmp(packed.data + i * size, wanted, size) == 0)
			return true;
	return false;
}

static bool uuid_take(struct target *target, struct cursor *from)
{
	static const unsigned groups[] = {4, 2, 2, 2, 6};
	struct column_content *content = target->content;
	if (cursor_left(from) / UUID_BYTES < content->count)
		return false;
	struct text packed = cursor_take(from, UUID_BYTES * content->count);
	char *to = target_alloc(target, target->count, UUID_TEXT_BYTES);
	if (to == NULL || from->failed)
		return false;
	for (size_t i = 0; i < target->count; i++) {
		const char *at = packed.data + place_of(target, i) * UUID_BYTES;
		content->texts[i] = (struct text){to, UUID_TEXT_BYTES};
		for (size_t k = 0; k < sizeof groups / sizeof *groups; k++) {
			if (k > 0)
				*to++ = '-';
			to = hex_unpack((struct text){at, groups[k]}, to);
			at += groups[k];
		}
	}
	return true;
}

static size_t number_write(char *to, int64_t number, size_t width)
{
	char digits[INTEGER_PRINT_BYTES];
	size_t size = integer_print(number, digits);
	size_t padding = width > size ? width - size : 0;
	memset(to, '0', padding);
	memcpy(to + padding, digits, size);
	return padding + size;
}

static bool ipv4_take(struct target *target, struct cursor *from)
{
	enum { LONGEST = 15 };
	struct column_content *content = target->content;
	int64_t *numbers = numbers_take(target, from);
	char *to = target_alloc(target, target->count, LONGEST);
	if (numbers == NULL || to == NULL)
		return false;
	for (size_t i = 0; i < target->count; i++) {
		char *begin = to;
		if (numbers[i] < 0 || numbers[i] > UINT32_MAX)
			return false;
		for (int shift = 24; shift >= 0; shift -= 8) {
			to += number_write(to, numbers[i] >> shift & 255, 0);
			if (shift > 0)
				*to++ = '.';
		}
		content->texts[i] = (struct text){begin, (size_t)(to - begin)};
	}
	return true;
}

static bool stamp_take(struct target *target, struct cursor *from)
{
	struct column_content *content = target->content;
	unsigned digits = cursor_u8(from);
	uint8_t relative = cursor_u8(from);
	if (digits > STAMP_DIGITS_MAX || relative > 1 || (relative == 1 && target->times == NULL))
		return false;
	int64_t *numbers = numbers_take(target, from);
	char *to = target_alloc(target, target->count, STAMP_TEXT_MAX);
	if (numbers == NULL || to == NULL)
		return false;
	struct stamp_cache cache = {0};
	for (size_t i = 0; i < target->count; i++) {
		uint64_t base = relative == 1 ? (uint64_t)target->times[place_of(target, i)] : 0;
		size_t size =
			stamp_write(&cache, (int64_t)((uint64_t)numbers[i] + base), digits, to);
		if (size == 0)
			return false;
		content->texts[i] = (struct text){to, size};
		to += size;
	}
	return true;
}

/* The holes of all templates: how many there are of each slot follows from the codes. */
struct holes {
	int64_t *numbers[TEMPLATE_SLOTS_MAX]; /* of the values that are wanted */
	size_t next[TEMPLATE_SLOTS_MAX];
	size_t count[TEMPLATE_SLOTS_MAX];
	struct column_picks picks[TEMPLATE_SLOTS_MAX];
};

/* The holes of a template; false when it is none. ret_size: the longest text it can become. */
static bool template_check(struct text form, size_t *ret_holes, size_t *ret_size)
{
	size_t holes = 0;
	size_t size = form.size;
	if (form.size > 2 * (TEMPLATE_TEXT_MAX + 1))
		return false;
	for (size_t i = 0; i < form.size; i++) {
		char c = form.data[i];
		if (c < '0' || c > '9')
			continue;
		if (c > '1' || holes == TEMPLATE_SLOTS_MAX)
			return false;
		holes++;
		size += INTEGER_PRINT_BYTES;
		if (c == '1' && (++i == form.size || form.data[i] <= 'a' ||
				 form.data[i] > 'a' + RUN_DIGITS_MAX))
			return false;
	}
	*ret_holes = holes;
	*ret_size = size;
	return true;
}

static size_t template_fill(struct text form, struct holes *holes, char *to)
{
	size_t size = 0;
	size_t slot = 0;
	for (size_t i = 0; i < form.size; i++) {
		char c = form.data[i];
		if (c != '0' && c != '1') {
			to[size++] = c;
			continue;
		}
		size_t width = c == '1' ? (size_t)(form.data[++i] - 'a') : 0;
		int64_t number = holes->numbers[slot][holes->next[slot]++];
		size += number_write(to + size, number, width);
		slot++;
	}
	return size;
}

static bool holes_take(struct target *target, struct cursor *from, struct holes *holes)
{
	unsigned slot_count = cursor_u8(from);
	if (slot_count > TEMPLATE_SLOTS_MAX)
		return false;
	for (unsigned i = 0; i < TEMPLATE_SLOTS_MAX; i++) {
		if ((holes->count[i] == 0) != (i >= slot_count))
			return false;
		if (i >= slot_count)
			continue;
		const struct column_picks *picks = target->picks == NULL ? NULL : &holes->picks[i];
		holes->numbers[i] =
			target_alloc(target, picks == NULL ? holes->count[i] : picks->count,
				     sizeof *holes->numbers[i]);
		if (holes->numbers[i] == NULL ||
		    !integers_take(from, holes->count[i], picks, holes->numbers[i]))
			return false;
	}
	return true;
}

/* Counts the holes, and notes those of the values that are wanted. False: no memory. */
static bool holes_count(struct target *target, const size_t *hole_counts, struct holes *holes)
{
	const struct column_content *content = target->content;
	uint32_t *places[TEMPLATE_SLOTS_MAX] = {0};
	for (size_t k = 0; target->picks != NULL && k < TEMPLATE_SLOTS_MAX; k++) {
		places[k] = target_alloc(target, target->count, sizeof *places[k]);
		if (places[k] == NULL)
			return false;
		holes->picks[k].places = places[k];
	}
	for (size_t i = 0, next = 0; i < content->count; i++) {
		size_t count = hole_counts[content->codes[i]];
		bool noted = target->picks != NULL && is_wanted(target, i, &next);
		for (size_t k = 0; k < count; k++) {
			if (noted)
				places[k][holes->picks[k].count++] = (uint32_t)holes->count[k];
			holes->count[k]++;
		}
	}
	return true;
}

static bool template_take(struct target *target, struct cursor *from)
{
	struct column_content *content = target->content;
	size_t hole_counts[TEMPLATES_MAX];
	size_t sizes[TEMPLATES_MAX];
	struct holes holes = {0};
	size_t size = 0;
	if (!entries_take(target, from, TEMPLATES_MAX, true))
		return false;
	for (size_t i = 0; i < content->entry_count; i++)
		if (!template_check(content->entries[i], &hole_counts[i], &sizes[i]))
			return false;
	for (size_t i = 0; i < target->count; i++)
		size += sizes[content->codes[place_of(target, i)]];
	char *to = size > COLUMNAR_RAW_MAX ? NULL : target_alloc(target, size, 1);
	if (to == NULL || !holes_count(target, hole_counts, &holes) ||
	    !holes_take(target, from, &holes))
		return false;
	for (size_t i = 0; i < target->count; i++) {
		uint16_t code = content->codes[place_of(target, i)];
		size_t used = template_fill(content->entries[code], &holes, to);
		content->texts[i] = (struct text){to, used};
		to += used;
	}
	content->entries = NULL;
	content->codes = NULL;
	content->entry_count = 0;
	return true;
}

static bool plain_take(struct target *target, struct cursor *from)
{
	struct column_content *content = target->content;
	int64_t *sizes = numbers_take_all(target, from);
	if (sizes == NULL)
		return false;
	for (size_t i = 0, next = 0; i < content->count; i++) {
		if (sizes[i] < 0)
			return false;
		struct text text = cursor_take(from, (size_t)sizes[i]);
		if (is_wanted(target, i, &next))
			content->texts[next - 1] = text;
	}
	return !from->failed;
}

static bool strings_take(struct target *target, struct cursor *from)
{
	static bool (*const takers[STRINGS_CODEC_COUNT])(struct target *, struct cursor *) = {
		[STRINGS_CONSTANT] = constant_take, [STRINGS_DICTIONARY] = dictionary_take,
		[STRINGS_HEX] = hex_take,           [STRINGS_UUID] = uuid_take,
		[STRINGS_IPV4] = ipv4_take,         [STRINGS_STAMP] = stamp_take,
		[STRINGS_TEMPLATE] = template_take, [STRINGS_PLAIN] = plain_take,
	};
	struct column_content *content = target->content;
	uint8_t codec = cursor_u8(from);
	if (from->failed || codec >= STRINGS_CODEC_COUNT)
		return false;
	content->texts = target_alloc(target, target->count, sizeof *content->texts);
	if (content->texts == NULL || !takers[codec](target, from))
		return false;
	bool fill = content->entry_count > 0 && !content->bare;
	for (size_t i = 0; fill && i < target->count; i++)
		content->texts[i] = content->entries[content->codes[i]];
	if (target->picks == NULL)
		return true;
	content->entries = NULL; /* a dictionary of thousands is no gain for some values */
	content->codes = NULL;
	content->entry_count = 0;
	return true;
}

static bool reals_take(struct target *target, struct cursor *from)
{
	struct column_content *content = target->content;
	uint8_t follow = cursor_u8(from);
	if (from->failed || follow > 1)
		return false;
	content->numbers = follow == 1 ? target_alloc(target, target->count, sizeof(int64_t))
				       : numbers_take(target, from);
	if (content->numbers == NULL || !strings_take(target, from))
		return false;
	for (size_t i = 0; follow == 1 && i < target->count; i++) {
		char digits[64];
		struct text text = content->texts[i];
		if (text.size >= sizeof digits)
			return false;
		if (text.size > 0)
			memcpy(digits, text.data, text.size);
		digits[text.size] = '\0';
		double real = strtod(digits, NULL);
		memcpy(&content->numbers[i], &real, sizeof real);
	}
	return true;
}

bool column_decode(struct text payload, const struct column_rows *rows, struct arena *arena,
		   struct column_content *content, bool *ret_memory)
{
	struct cursor from = cursor_of(payload);
	struct target target = {
		.arena = arena,
		.content = content,
		.picks = rows->picks,
		.count = rows->picks == NULL ? content->count : rows->picks->count,
		.times = content->count == rows->count ? rows->times : NULL,
		.memory = true,
	};
	bool good = true;
	assert(target.count == 0 || place_of(&target, target.count - 1) < content->count);
	switch (content->tag) {
	case COLUMN_NULL:
	case COLUMN_EMPTY:
		break;
	case COLUMN_BOOLEAN:
	case COLUMN_INTEGER:
		content->numbers = numbers_take(&target, &from);
		good = content->numbers != NULL;
		break;
	case COLUMN_INTEGER_AS:
		content->numbers = numbers_take(&target, &from);
		good = content->numbers != NULL && strings_take(&target, &from);
		break;
	case COLUMN_REAL:
		good = reals_take(&target, &from);
		break;
	case COLUMN_STRING:
		good = strings_take(&target, &from);
		break;
	case COLUMN_TAG_COUNT:
		assert(false && "a column of no kind");
	}
	content->count = target.count;
	*ret_memory = target.memory;
	return good && target.memory && !from.failed && cursor_left(&from) == 0;
}
