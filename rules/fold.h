/* fold - Unicode simple case folding: the one meaning of "case-insensitive" in picket.
 *
 * Why: Sigma compares without case, and log text is not only English. Folding both sides once and
 * comparing bytes is exact, locale-free and lets hash tables and byte matchers do the work
 * (Vectorscan's own caseless literals know ASCII only).
 *
 * Invariant: folding is idempotent; it maps code points one to one, so that `?` counts the same
 * before and after; ASCII folds to ASCII; bytes that are not UTF-8 stay as they are.
 * Owner: none (pure functions). Thread: any.
 * Limits: a text may grow (U+023A is 2 bytes, its folding 3): never beyond fold_size_max(). */
#ifndef PICKET_RULES_FOLD_H
#define PICKET_RULES_FOLD_H

#include "rules/utf8.h"

uint32_t fold_code_point(uint32_t code_point);

static inline size_t fold_size_max(size_t size)
{
	return size + size / 2;
}

/* Writes the folding of t to `to`, which has room for fold_size_max(t.size); returns its size. */
size_t fold_text(struct text t, char *to);

/* The folding as a copy in the arena; data == NULL for t.size > 0 means out of memory. */
struct text fold_copy(struct text t, struct arena *arena);

#endif
