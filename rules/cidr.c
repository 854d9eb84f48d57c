#include "rules/cidr.h"

#include <arpa/inet.h>
#include <assert.h>

/* IPv4 addresses live in ::ffff:0:0/96. */
enum { MAPPED_BITS = 96, MAPPED_BYTES = 12 };

static const unsigned char mapped_prefix[MAPPED_BYTES] = {[10] = 0xff, [11] = 0xff};

/* An address of either family; true in *ret_dotted when it was written as IPv4. inet_pton() is
 * strict (no octal, no short forms), locale-free, and the same in every C library. */
static bool address_parse(struct text t, unsigned char address[CIDR_ADDRESS_BYTES],
			  bool *ret_dotted)
{
	char buffer[CIDR_TEXT_MAX];
	if (t.size == 0 || t.size >= sizeof buffer || memchr(t.data, '\0', t.size) != NULL)
		return false;
	memcpy(buffer, t.data, t.size);
	buffer[t.size] = '\0';
	if (inet_pton(AF_INET, buffer, address + MAPPED_BYTES) == 1) {
		memcpy(address, mapped_prefix, MAPPED_BYTES);
		*ret_dotted = true;
		return true;
	}
	char *zone = strchr(buffer, '%');
	if (zone != NULL)
		*zone = '\0';
	*ret_dotted = false;
	return inet_pton(AF_INET6, buffer, address) == 1;
}

/* A decimal number without sign or leading zero, at most `limit`. */
static bool prefix_parse(struct text t, unsigned limit, unsigned *ret_bits)
{
	if (t.size == 0 || t.size > 3 || (t.size > 1 && t.data[0] == '0'))
		return false;
	unsigned bits = 0;
	for (size_t i = 0; i < t.size; i++) {
		if (t.data[i] < '0' || t.data[i] > '9')
			return false;
		bits = bits * 10 + (unsigned)(t.data[i] - '0');
	}
	if (bits > limit)
		return false;
	*ret_bits = bits;
	return true;
}

bool cidr_parse(struct text t, struct cidr *ret_cidr)
{
	struct cidr cidr = {.prefix_bits = CIDR_BITS_MAX};
	const char *slash = t.size == 0 ? NULL : memchr(t.data, '/', t.size);
	struct text address = t;
	bool dotted = false;
	if (slash != NULL)
		address.size = (size_t)(slash - t.data);
	if (!address_parse(address, cidr.address, &dotted))
		return false;
	if (slash != NULL) {
		unsigned base = dotted ? MAPPED_BITS : 0;
		unsigned bits = 0;
		if (!prefix_parse(text_cut(t, address.size + 1), CIDR_BITS_MAX - base, &bits))
			return false;
		cidr.prefix_bits = base + bits;
	}
	assert(cidr.prefix_bits <= CIDR_BITS_MAX);
	*ret_cidr = cidr;
	return true;
}

/* The first `bits` bits of both are equal. */
static bool bits_equal(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	assert(bits <= CIDR_BITS_MAX);
	size_t whole = bits / 8;
	if (memcmp(a, b, whole) != 0)
		return false;
	unsigned rest = bits % 8;
	return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool cidr_is_strict(const struct cidr *cidr)
{
	for (unsigned bit = cidr->prefix_bits; bit < CIDR_BITS_MAX; bit++)
		if ((cidr->address[bit / 8] >> (7 - bit % 8) & 1) != 0)
			return false;
	return true;
}

bool cidr_contains(const struct cidr *outer, const struct cidr *inner)
{
	bool mapped = memcmp(inner->address, mapped_prefix, MAPPED_BYTES) == 0 &&
		      inner->prefix_bits >= MAPPED_BITS;
	if (mapped && outer->prefix_bits < MAPPED_BITS)
		return false;
	return inner->prefix_bits >= outer->prefix_bits &&
	       bits_equal(outer->address, inner->address, outer->prefix_bits);
}
