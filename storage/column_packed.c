/* Texts that are written as the few bytes they stand for: ids in hexadecimal digits, with dashes or
 * without, and addresses (column_encode.c). Each only when every value comes back byte for byte. */
#include "storage/columnar_private.h"

/* Values that are packed already. */
void strings_packed_put(const struct column_content *content, struct bytes *to)
{
	bytes_put_u8(to, STRINGS_HEX);
	bytes_put_varint(to, content->packed_bytes);
	if (!bytes_reserve(to, content->count * content->packed_bytes))
		return;
	for (size_t i = 0; i < content->count; i++, to->size += content->packed_bytes)
		memcpy(to->data + to->size, content->texts[i].data, content->packed_bytes);
}

bool strings_hex_put(const struct text *texts, size_t count, struct bytes *to)
{
	size_t size = texts[0].size;
	if (size < HEX_TEXT_MIN || size > HEX_TEXT_MAX || size % 2 != 0)
		return false;
	size_t begin = to->size;
	bytes_put_u8(to, STRINGS_HEX);
	bytes_put_varint(to, size / 2);
	if (!bytes_reserve(to, count * size / 2))
		return true; /* found out by to->failed */
	unsigned char *at = to->data + to->size;
	bool fits = true;
	for (size_t i = 0; i < count && fits; i++, at += size / 2)
		fits = texts[i].size == size && hex_pack(texts[i], at);
	to->size = fits ? to->size + count * size / 2 : begin;
	return fits;
}

static bool uuid_read(struct text text, unsigned char *to)
{
	static const size_t groups[] = {8, 4, 4, 4, 12};
	if (text.size != UUID_TEXT_BYTES)
		return false;
	const char *at = text.data;
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		if ((i > 0 && *at++ != '-') || !hex_pack((struct text){at, groups[i]}, to))
			return false;
		at += groups[i];
		to += groups[i] / 2;
	}
	return true;
}

bool strings_uuid_put(const struct text *texts, size_t count, struct bytes *to)
{
	if (texts[0].size != UUID_TEXT_BYTES || texts[0].data[8] != '-')
		return false;
	size_t begin = to->size;
	bytes_put_u8(to, STRINGS_UUID);
	if (!bytes_reserve(to, count * UUID_BYTES))
		return true;
	for (size_t i = 0; i < count; i++) {
		if (!uuid_read(texts[i], to->data + to->size)) {
			to->size = begin;
			return false;
		}
		to->size += UUID_BYTES;
	}
	return true;
}

/* Four numbers of 0 to 255 without leading zeros. */
bool ipv4_text_read(struct text text, int64_t *ret_address)
{
	int64_t address = 0;
	unsigned parts = 0;
	for (size_t at = 0; at < text.size && parts < 4; parts++) {
		unsigned part = 0;
		size_t digits = 0;
		for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++) {
			part = part * 10 + (unsigned)(text.data[at] - '0');
			if (++digits > 3 || part > 255 || (digits > 1 && part < 10))
				return false;
		}
		address = address << 8 | part;
		if (digits == 0 || (parts == 3) != (at == text.size))
			return false;
		if (at < text.size && text.data[at++] != '.')
			return false;
	}
	*ret_address = address;
	return parts == 4;
}
