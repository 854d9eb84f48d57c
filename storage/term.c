#include "storage/term.h"

#include <xxhash.h>

#include "rules/fold.h"

/* ASCII without capitals. Eight bytes at once: adding carries into the high bit of a byte when it
 * is at least 'A', and again when it is beyond 'Z'. */
static bool is_folded(struct text t)
{
	const uint64_t ones = 0x0101010101010101;
	uint64_t found = 0;
	size_t i = 0;
	for (uint64_t word; i + sizeof word <= t.size; i += sizeof word) {
		memcpy(&word, t.data + i, sizeof word);
		uint64_t low = word & 0x7f * ones;
		found |= word | ((low + (0x80 - 'A') * ones) & ~(low + (0x80 - 'Z' - 1) * ones));
	}
	unsigned bad = (found & 0x80 * ones) != 0;
	for (; i < t.size; i++) {
		unsigned char c = (unsigned char)t.data[i];
		bad |= (c & 0x80) | (unsigned)(c >= 'A' && c <= 'Z');
	}
	return bad == 0;
}

/* utf8_mend() into bytes: each byte that belongs to no sequence becomes U+FFFD. */
static void mend(struct text t, struct bytes *to)
{
	for (size_t i = 0; i < t.size;) {
		size_t size = utf8_size(t, i);
		if (size == 0)
			bytes_write_string(to, "\xef\xbf\xbd");
		else
			bytes_put(to, t.data + i, size);
		i += size == 0 ? 1 : size;
	}
}

bool term_fold(struct text t, struct bytes *scratch, struct text *ret_folded)
{
	if (is_folded(t)) {
		*ret_folded = t;
		return true;
	}
	bytes_clear(scratch);
	mend(t, scratch);
	size_t mended = scratch->size;
	if (!bytes_reserve(scratch, fold_size_max(mended) + 1))
		return false;
	char *folded = (char *)scratch->data + mended;
	size_t size = fold_text((struct text){(const char *)scratch->data, mended}, folded);
	*ret_folded = (struct text){folded, size};
	return true;
}

bool term_address(enum field_id id, struct text t, struct cidr *ret_address)
{
	return id != FIELD_OTHER && schema_info(id)->type == FIELD_TYPE_ip &&
	       cidr_parse(t, ret_address) && ret_address->prefix_bits == CIDR_BITS_MAX;
}

bool term_number(struct text t, struct number *ret_number)
{
	bool begins = t.size > 0 && (t.data[0] == '-' || t.data[0] == '+' ||
				     (t.data[0] >= '0' && t.data[0] <= '9'));
	return begins && memchr(t.data, 'e', t.size) == NULL &&
	       memchr(t.data, 'E', t.size) == NULL && number_parse(t, ret_number);
}

bool term_hash(enum field_id id, struct text t, struct bytes *scratch, uint64_t *ret_hash)
{
	struct cidr address;
	struct number number;
	if (term_address(id, t, &address)) {
		*ret_hash = XXH3_64bits(address.address, sizeof address.address);
		return true;
	}
	if (term_number(t, &number)) {
		*ret_hash = number_hash(&number);
		return true;
	}
	struct text folded;
	if (!term_fold(t, scratch, &folded))
		return false;
	*ret_hash = XXH3_64bits(folded.data, folded.size);
	return true;
}
