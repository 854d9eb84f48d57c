/* Which code points may reach a terminal. Refused are
 *
 *   C0, DEL, C1 (U+0000-1F, 7F, 80-9F)        terminal control: CSI, OSC, DCS and their 8-bit forms
 *   U+061C, 200E-200F, 202A-202E, 2066-2069   bidirectional control (Unicode UAX #9)
 *   U+00AD, 034F, 115F, 1160, 17B4-17B5, 180B-180F, 200B-200D, 2060-2065, 206A-206F, 3164,
 *   FE00-FE0F, FEFF, FFA0, FFF0-FFFB, 1BCA0-1BCA3, 1D173-1D17A, E0000-E0FFF
 *                                             nothing to see: Default_Ignorable_Code_Point and the
 *                                             interlinear marks
 *   U+2028, 2029                              line and paragraph separator
 *   anything that is not valid UTF-8          shown byte by byte
 *
 * The backslash itself is kept as it is: a person reads the output, a program reads JSON. */
#include "cli/escape.h"

#include <assert.h>

struct code_range {
	uint32_t first, last;
};

/* Ascending. */
static const struct code_range refused[] = {
	{0x0000, 0x001f},   {0x007f, 0x009f},   {0x00ad, 0x00ad},   {0x034f, 0x034f},
	{0x061c, 0x061c},   {0x115f, 0x1160},   {0x17b4, 0x17b5},   {0x180b, 0x180f},
	{0x200b, 0x200f},   {0x2028, 0x202e},   {0x2060, 0x206f},   {0x3164, 0x3164},
	{0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},
	{0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

static bool code_refused(uint32_t code)
{
	for (size_t i = 0; i < sizeof refused / sizeof *refused && refused[i].first <= code; i++) {
		if (code <= refused[i].last)
			return true;
	}
	return false;
}

size_t utf8_next(struct text text, size_t at, uint32_t *ret_code)
{
	assert(at < text.size);
	const unsigned char *bytes = (const unsigned char *)text.data + at;
	unsigned char lead = bytes[0];
	if (lead < 0x80) {
		*ret_code = lead;
		return 1;
	}
	size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	if (lead < 0xc2 || lead > 0xf4 || size > text.size - at)
		return 0;
	uint32_t code = lead & (0xffu >> (size + 1));
	for (size_t i = 1; i < size; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (bytes[i] & 0x3fu);
	}
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	if (code < smallest[size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return size;
}

static void put_escaped(uint32_t code, bool is_byte, struct bytes *to)
{
	const char *format = is_byte || code < 0x80 ? "\\x%02x" : "\\u{%04x}";
	if (code == '\n' || code == '\t' || code == '\r')
		format = code == '\n' ? "\\n" : code == '\t' ? "\\t" : "\\r";
	bytes_print(to, format, (unsigned)code);
}

static void escape(struct text text, bool keep_lines, struct bytes *to)
{
	size_t start = 0; /* of the run that needs no change */
	size_t i = 0;
	while (i < text.size) {
		uint32_t code = 0;
		size_t size = utf8_next(text, i, &code);
		if (size > 0 && (!code_refused(code) || (keep_lines && code == '\n'))) {
			i += size;
			continue;
		}
		bytes_put(to, text.data + start, i - start);
		put_escaped(size == 0 ? (unsigned char)text.data[i] : code, size == 0, to);
		i += size == 0 ? 1 : size;
		start = i;
	}
	if (i > start)
		bytes_put(to, text.data + start, i - start);
}

void escape_text(struct text text, struct bytes *to)
{
	escape(text, false, to);
}

void escape_lines(struct text text, struct bytes *to)
{
	escape(text, true, to);
}

static void put_json_escape(uint32_t code, struct bytes *to)
{
	if (code >= 0x10000) {
		uint32_t rest = code - 0x10000;
		bytes_print(to, "\\u%04x\\u%04x", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
	} else {
		bytes_print(to, "\\u%04x", code);
	}
}

void escape_json(struct text text, struct bytes *to)
{
	for (size_t i = 0; i < text.size;) {
		uint32_t code = 0;
		size_t size = utf8_next(text, i, &code);
		if (size == 0)
			bytes_write_string(to, "\xef\xbf\xbd");
		else if (code != '\n' && code_refused(code))
			put_json_escape(code, to);
		else
			bytes_put(to, text.data + i, size);
		i += size == 0 ? 1 : size;
	}
}

void xml_put(struct bytes *to, struct text text)
{
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];
		const char *entity = c == '<'   ? "&lt;"
				     : c == '&' ? "&amp;"
				     : c == '"' ? "&quot;"
				     : c == '>' ? "&gt;"
						: NULL;
		if (entity != NULL)
			bytes_write_string(to, entity);
		else
			bytes_put_u8(to, c < 0x20 || c == 0x7f ? '?' : c);
	}
}
