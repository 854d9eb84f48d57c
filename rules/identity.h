/* identity - one spelling for one person and one place.
 *
 * Why: "Alice", "alice" and "ａｌｉｃｅ" are one login to the service behind them, and an attacker
 * with an IPv6 network has 2^64 addresses: whoever counts spellings counts the attacker's choice.
 *
 * User: NFKC, case folding, without characters that show nothing (zero width, soft hyphen) and
 * without blanks around it. Source: an IPv4 address as it is (also when written as IPv6), of an
 * IPv6 address its /64; what is no address as a user.
 *
 * Invariant: pure; the identity of an identity is itself. Owner: the caller's buffer, or t itself.
 * Thread: any. Limits: IDENTITY_BYTES_MAX; what is longer, or no UTF-8, stays as it is. */
#ifndef PICKET_RULES_IDENTITY_H
#define PICKET_RULES_IDENTITY_H

#include "rules/text.h"

enum { IDENTITY_BYTES_MAX = 256 };

struct text identity_user(struct text t, char buffer[static IDENTITY_BYTES_MAX]);
struct text identity_source(struct text t, char buffer[static IDENTITY_BYTES_MAX]);

#endif
