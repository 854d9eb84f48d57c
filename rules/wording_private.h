/* wording (private) - a predicate as a sentence for people: "Image ends with '\whoami.exe'".
 *
 * Why: an explanation must say what was asked of a value after every modifier has been worked out,
 * not repeat the spelling that puzzled the reader.
 *
 * Invariant: one line, without colour; bytes of the rule as they are (whoever prints it escapes).
 * Owner: the caller's buffer. Thread: any. Limits: none of its own. */
#ifndef PICKET_RULES_WORDING_PRIVATE_H
#define PICKET_RULES_WORDING_PRIVATE_H

#include "rules/ast_private.h"

void wording_put(const struct predicate *predicate, struct bytes *to);

#endif
