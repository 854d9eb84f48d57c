/* The payload of one column: values of one kind, written in the way that suits them.
 *
 *   NULL, EMPTY   nothing
 *   BOOLEAN       integers
 *   INTEGER       integers
 *   INTEGER_AS    integers, strings
 *   REAL          u8 1 = the bits are what strtod() makes of the text, else 0 and integers; strings
 *   STRING        strings
 *
 * Integers: u8 mode, then
 *   constant      zigzag value
 *   offset        zigzag smallest, u8 width, planes of (value - smallest)
 *   delta         zigzag first, zigzag smallest difference, u8 width, planes of the other
 *                 differences - smallest
 * whichever width is smaller; differences are taken modulo 2^64, so any values come back. A plane
 * is one byte of every value, lowest first: the high bytes of ports, sizes and durations are alike
 * and cost nothing, which zstd cannot see while the low ones stand between them.
 *
 * Strings: u8 codec, then its own form (columnar_private.h). What is tried, in this order:
 *   times; all the same; a dictionary, when a value comes four times on average or there are hardly
 *   any; ids in hexadecimal or with dashes, IPv4 addresses - each only if every value would come
 *   back byte for byte; templates: the text with its runs of digits taken out ("GET /v1/users/0 in
 *   0 us" and two columns of integers - the idea of CLP, Rodrigues et al., OSDI 2021, without its
 *   schema); a dictionary whose values come twice; and plain.
 *
 * In a template a digit is a hole, because no other digits are left in it: '0' a number without
 * leading zeros, '1' and a letter (a = no digit, b = 1 digit, ...) a number of just so many. A run
 * of more than RUN_DIGITS_MAX digits is several such numbers. */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "storage/columnar_private.h"
#include "storage/summary.h"

enum {
	DISTINCT_FREE = 64, /* before a dictionary may be given up */
	REPEATS_MIN = 4,    /* of each entry of a dictionary that is not a last resort */
	FREE_SLOT = 0,
	SLOTS_MIN = 64,
	PROBES_MAX = 64,
};

struct column_encoder {
	uint32_t *slots; /* hash table of entry + 1 */
	size_t slot_count;
	uint16_t *codes;
	struct text *entries;
	int64_t *numbers; /* integers in the making; slots of templates */
	size_t capacity;  /* of codes and entries */
	size_t number_capacity;
	struct bytes form; /* templates */
	struct bytes *holes;
	struct dictionary templates;
};

struct column_encoder *column_encoder_new(void)
{
	struct column_encoder *encoder = calloc(1, sizeof *encoder);
	if (encoder == NULL)
		return NULL;
	encoder->holes = calloc(TEMPLATE_SLOTS_MAX, sizeof *encoder->holes);
	if (encoder->holes == NULL)
		column_encoder_free(&encoder);
	return encoder;
}

void column_encoder_free(struct column_encoder **encoder)
{
	struct column_encoder *gone = *encoder;
	if (gone == NULL)
		return;
	for (size_t i = 0; gone->holes != NULL && i < TEMPLATE_SLOTS_MAX; i++)
		bytes_done(&gone->holes[i]);
	free(gone->holes);
	free(gone->slots);
	free(gone->codes);
	free(gone->entries);
	free(gone->numbers);
	bytes_done(&gone->form);
	dictionary_done(&gone->templates);
	free(gone);
	*encoder = NULL;
}

static bool scratch_reserve(struct column_encoder *encoder, size_t count)
{
	if (count > encoder->number_capacity) {
		int64_t *numbers = realloc(encoder->numbers, count * sizeof *numbers);
		if (numbers == NULL)
			return false;
		encoder->numbers = numbers;
		encoder->number_capacity = count;
	}
	if (count <= encoder->capacity)
		return true;
	uint16_t *codes = realloc(encoder->codes, count * sizeof *codes);
	if (codes != NULL)
		encoder->codes = codes;
	struct text *entries = realloc(encoder->entries, count * sizeof *entries);
	if (entries != NULL)
		encoder->entries = entries;
	size_t slot_count = SLOTS_MIN;
	while (slot_count < 2 * count && slot_count < 4 * (size_t)DICTIONARY_ENTRIES_MAX)
		slot_count *= 2;
	uint32_t *slots = realloc(encoder->slots, slot_count * sizeof *slots);
	if (slots != NULL)
		encoder->slots = slots;
	if (codes == NULL || entries == NULL || slots == NULL)
		return false;
	encoder->slot_count = slot_count;
	encoder->capacity = count;
	return true;
}

static bool strings_ipv4(struct column_encoder *encoder, const struct text *texts, size_t count,
			 struct bytes *to)
{
	for (size_t i = 0; i < count; i++)
		if (!ipv4_text_read(texts[i], &encoder->numbers[i]))
			return false;
	bytes_put_u8(to, STRINGS_IPV4);
	integers_put(to, encoder->numbers, count);
	return true;
}

static bool strings_stamp(struct column_encoder *encoder, const struct text *texts, size_t count,
			  const int64_t *times, struct bytes *to)
{
	struct stamp_cache cache = {0};
	unsigned digits = 0;
	for (size_t i = 0; i < count; i++) {
		unsigned own = 0;
		if (!stamp_read(&cache, texts[i], &encoder->numbers[i], &own) ||
		    (i > 0 && own != digits))
			return false;
		digits = own;
		if (times != NULL)
			encoder->numbers[i] =
				(int64_t)((uint64_t)encoder->numbers[i] - (uint64_t)times[i]);
	}
	bytes_put_u8(to, STRINGS_STAMP);
	bytes_put_u8(to, (uint8_t)digits);
	bytes_put_u8(to, times != NULL);
	integers_put(to, encoder->numbers, count);
	return true;
}

/* Numbers the different texts, as far as that is worth it. */
static bool dictionary_build(struct column_encoder *encoder, const struct text *texts, size_t count,
			     size_t *ret_entry_count)
{
	size_t slot_count = SLOTS_MIN;
	size_t entry_count = 0;
	while (slot_count < 2 * count && slot_count < encoder->slot_count)
		slot_count *= 2;
	size_t mask = slot_count - 1;
	memset(encoder->slots, FREE_SLOT, slot_count * sizeof *encoder->slots);
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && text_equal(texts[i], texts[i - 1])) {
			encoder->codes[i] = encoder->codes[i - 1];
			continue;
		}
		size_t slot = XXH3_64bits(texts[i].data, texts[i].size) & mask;
		size_t probes = 0;
		while (encoder->slots[slot] != FREE_SLOT &&
		       !text_equal(encoder->entries[encoder->slots[slot] - 1], texts[i])) {
			if (++probes == PROBES_MAX)
				return false; /* values that were chosen to share a hash */
			slot = (slot + 1) & mask;
		}
		if (encoder->slots[slot] == FREE_SLOT) {
			if (entry_count >= DISTINCT_FREE && entry_count * 2 > i)
				return false;
			if (entry_count == DICTIONARY_ENTRIES_MAX)
				return false;
			encoder->entries[entry_count++] = texts[i];
			encoder->slots[slot] = (uint32_t)entry_count;
		}
		encoder->codes[i] = (uint16_t)(encoder->slots[slot] - 1);
	}
	*ret_entry_count = entry_count;
	return true;
}

static void strings_dictionary(struct column_encoder *encoder, const struct column_content *content,
			       struct bytes *to)
{
	bytes_put_u8(to, STRINGS_DICTIONARY);
	bytes_put_varint(to, content->entry_count);
	for (size_t i = 0; i < content->entry_count; i++)
		bytes_put_text(to, content->entries[i]);
	for (size_t i = 0; i < content->count; i++)
		encoder->numbers[i] = content->codes[i];
	integers_put(to, encoder->numbers, content->count);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Takes the numbers out of a text: the rest goes to encoder->form. */
static bool template_take(struct column_encoder *encoder, struct text text, size_t *ret_holes)
{
	size_t holes = 0;
	bytes_clear(&encoder->form);
	if (text.size > TEMPLATE_TEXT_MAX || !bytes_reserve(&encoder->form, 2 * text.size + 2))
		return false;
	unsigned char *to = encoder->form.data;
	for (size_t at = 0; at < text.size;) {
		if (!is_digit(text.data[at])) {
			*to++ = (unsigned char)text.data[at++];
			continue;
		}
		size_t begin = at;
		int64_t number = 0;
		for (; at < text.size && at - begin < RUN_DIGITS_MAX && is_digit(text.data[at]);
		     at++)
			number = number * 10 + (text.data[at] - '0');
		if (holes == TEMPLATE_SLOTS_MAX)
			return false;
		/* Behind a run that was cut a number without its width would run together with it.
		 */
		bool cut = at < text.size && is_digit(text.data[at]);
		bool padded = cut || (text.data[begin] == '0' && at - begin > 1);
		*to++ = padded ? '1' : '0';
		if (padded)
			*to++ = (unsigned char)('a' + (at - begin));
		bytes_put(&encoder->holes[holes++], &number, sizeof number);
	}
	encoder->form.size = (size_t)(to - encoder->form.data);
	*ret_holes = holes;
	return true;
}

static void template_holes_put(const struct column_encoder *encoder, size_t slot_count,
			       struct bytes *to)
{
	bytes_put_u8(to, (uint8_t)slot_count);
	for (size_t i = 0; i < slot_count; i++) {
		const struct bytes *hole = &encoder->holes[i];
		integers_put(to, (const int64_t *)(const void *)hole->data,
			     hole->size / sizeof(int64_t));
		to->failed |= hole->failed;
	}
}

static bool strings_template(struct column_encoder *encoder, const struct text *texts, size_t count,
			     struct bytes *to)
{
	size_t slot_count = 0;
	dictionary_clear(&encoder->templates);
	for (size_t i = 0; i < TEMPLATE_SLOTS_MAX; i++)
		bytes_clear(&encoder->holes[i]);
	for (size_t i = 0; i < count; i++) {
		size_t holes = 0;
		uint32_t number = 0;
		if (!template_take(encoder, texts[i], &holes) ||
		    !dictionary_number(&encoder->templates, bytes_text(&encoder->form), &number) ||
		    number >= TEMPLATES_MAX)
			return false;
		/* Text that is no template shows soon: nearly every value has its own. */
		if (number > 32 && number * 2 > i)
			return false;
		encoder->codes[i] = (uint16_t)number;
		slot_count = holes > slot_count ? holes : slot_count;
	}
	if (slot_count == 0)
		return false;
	bytes_put_u8(to, STRINGS_TEMPLATE);
	bytes_put_varint(to, encoder->templates.count);
	for (uint32_t i = 0; i < encoder->templates.count; i++)
		bytes_put_text(to, dictionary_entry(&encoder->templates, i));
	for (size_t i = 0; i < count; i++)
		encoder->numbers[i] = encoder->codes[i];
	integers_put(to, encoder->numbers, count);
	template_holes_put(encoder, slot_count, to);
	return true;
}

static void strings_plain(struct column_encoder *encoder, const struct text *texts, size_t count,
			  struct bytes *to)
{
	bytes_put_u8(to, STRINGS_PLAIN);
	for (size_t i = 0; i < count; i++)
		encoder->numbers[i] = (int64_t)texts[i].size;
	integers_put(to, encoder->numbers, count);
	for (size_t i = 0; i < count; i++)
		bytes_write(to, texts[i]);
}

/* Whether so few texts are worth a dictionary, before anything else is tried. */
static bool is_few(size_t entry_count, size_t count)
{
	return entry_count <= SUMMARY_ENTRIES_MAX || entry_count * REPEATS_MIN <= count;
}

/* Text by text, from those that are known to be different. */
static void texts_fill(struct column_content *content)
{
	for (size_t i = 0; content->entry_count > 0 && i < content->count; i++)
		content->texts[i] = content->entries[content->codes[i]];
}

/* Finds the different texts, as far as there are few. */
static void entries_find(struct column_encoder *encoder, struct column_content *content)
{
	size_t entry_count = 0;
	if (content->entry_count > 0 ||
	    !dictionary_build(encoder, content->texts, content->count, &entry_count))
		return;
	content->codes = encoder->codes;
	content->entries = encoder->entries;
	content->entry_count = entry_count;
}

static bool strings_stamp_first(struct column_encoder *encoder, struct column_content *content,
				const int64_t *times, struct bytes *to)
{
	struct stamp_cache cache = {0};
	int64_t time_us = 0;
	unsigned digits = 0;
	struct text first = content->entry_count > 0 ? content->entries[0] : content->texts[0];
	if (!stamp_read(&cache, first, &time_us, &digits))
		return false;
	texts_fill(content);
	return strings_stamp(encoder, content->texts, content->count, times, to);
}

/* False: out of memory. */
static bool strings_put(struct column_encoder *encoder, struct column_content *content,
			const int64_t *times, struct bytes *to)
{
	size_t count = content->count;
	if (!scratch_reserve(encoder, count))
		return false;
	if (content->packed_bytes > 0) {
		strings_packed_put(content, to);
		return !to->failed;
	}
	if (strings_stamp_first(encoder, content, times, to))
		return !to->failed;
	if (content->entry_count == 0 && strings_hex_put(content->texts, count, to))
		return !to->failed;
	if (!content->quick)
		entries_find(encoder, content);
	if (content->entry_count == 1) {
		bytes_put_u8(to, STRINGS_CONSTANT);
		bytes_put_text(to, content->entries[0]);
		return !to->failed;
	}
	bool known = content->entry_count > 0;
	if (known && (content->quick || is_few(content->entry_count, count))) {
		strings_dictionary(encoder, content, to);
		return !to->failed;
	}
	if (content->quick) {
		strings_plain(encoder, content->texts, count, to);
		return !to->failed;
	}
	texts_fill(content);
	const struct text *texts = content->texts;
	if (strings_hex_put(texts, count, to) || strings_uuid_put(texts, count, to) ||
	    strings_ipv4(encoder, texts, count, to) || strings_template(encoder, texts, count, to))
		return !to->failed;
	if (known && content->entry_count * 2 <= count)
		strings_dictionary(encoder, content, to);
	else
		strings_plain(encoder, texts, count, to);
	return !to->failed;
}

/* Whether the bits of every real are what its text says. */
static bool reals_follow(const struct column_content *content)
{
	char digits[64];
	for (size_t i = 0; i < content->count; i++) {
		struct text text = content->texts[i];
		if (text.size == 0 || text.size >= sizeof digits)
			return false;
		memcpy(digits, text.data, text.size);
		digits[text.size] = '\0';
		char *end = NULL;
		double real = strtod(digits, &end);
		if (end != digits + text.size ||
		    memcmp(&real, &content->numbers[i], sizeof real) != 0)
			return false;
	}
	return true;
}

bool column_encode(struct column_encoder *encoder, struct column_content *content,
		   const int64_t *times, size_t time_count, struct bytes *to)
{
	assert(content->count > 0);
	const int64_t *rows = content->count == time_count ? times : NULL;
	switch (content->tag) {
	case COLUMN_NULL:
	case COLUMN_EMPTY:
		return true;
	case COLUMN_BOOLEAN:
	case COLUMN_INTEGER:
		integers_put(to, content->numbers, content->count);
		return !to->failed;
	case COLUMN_INTEGER_AS:
		integers_put(to, content->numbers, content->count);
		return strings_put(encoder, content, rows, to);
	case COLUMN_REAL: {
		bool follow = !content->quick && reals_follow(content);
		bytes_put_u8(to, follow);
		if (!follow)
			integers_put(to, content->numbers, content->count);
		return strings_put(encoder, content, rows, to);
	}
	case COLUMN_STRING:
		return strings_put(encoder, content, rows, to);
	case COLUMN_TAG_COUNT:
		break;
	}
	assert(false && "a column of no kind");
}
