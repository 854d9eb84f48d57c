/* cidr - Internet addresses and networks as 16 bytes and a prefix.
 *
 * Why: `cidr` rules and enrichment compare addresses by value, and an attacker may write the same
 * IPv4 address as ::ffff:10.0.0.1. Every IPv4 address is kept as its mapped IPv6 form, so both
 * spellings are one.
 *
 * Invariant: bits behind the prefix are kept as written (cidr_is_strict() tells). Spellings that
 * programs read differently (octal 010.0.0.1, 10.1, 0x0a000001) are no addresses.
 * Owner: plain data. Thread: any. Limits: CIDR_TEXT_MAX bytes of text. */
#ifndef PICKET_RULES_CIDR_H
#define PICKET_RULES_CIDR_H

#include "rules/text.h"

enum { CIDR_ADDRESS_BYTES = 16, CIDR_BITS_MAX = 128, CIDR_TEXT_MAX = 128 };

struct cidr {
	unsigned char address[CIDR_ADDRESS_BYTES]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned prefix_bits;                      /* of the 128; an address alone: 128 */
};

/* "10.0.0.0/8", "2001:db8::/32", or an address ("fe80::1%eth0": the zone is ignored). False when
 * it is none. */
bool cidr_parse(struct text t, struct cidr *ret_cidr);

/* No bit is set behind the prefix: what Sigma demands of a network in a rule. */
bool cidr_is_strict(const struct cidr *cidr);

/* `inner` (an address or a network) lies wholly inside `outer`. A network wider than all of IPv4
 * (::/0) means IPv6 and holds no IPv4 address. */
bool cidr_contains(const struct cidr *outer, const struct cidr *inner);

#endif
