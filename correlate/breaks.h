/* breaks - the values an alert has shown of the fields in its rule's `picket.suppress.break-on`.
 *
 * Why: while an alert grows, people hear of it once per `suppress.for`. A value that it has not
 * shown yet (one more user, one more address) is news all the same.
 *
 * Invariant: marks ascend, each once; a mark is a keyed hash of (field, value as the evidence has
 * it), so nobody can choose a value that looks like another. Which values there are does not depend
 * on their order. Owner: an episode. Thread: one.
 * Limits: BREAKS_MAX values; a further one is no news. A contributing event that gave up its proof
 * (window.h, gated.h) shows no value. */
#ifndef PICKET_CORRELATE_BREAKS_H
#define PICKET_CORRELATE_BREAKS_H

#include "correlate/record.h"

enum { BREAKS_MAX = 64, BREAKS_OF_EVENT_MAX = RULES_GROUP_BY_MAX };

struct breaks {
	uint64_t *marks;
	size_t count;
};

/* The marks of an event whose evidence has that context; how many. */
size_t breaks_of(const struct rule *rule, const struct hash_key *key, struct text context,
		 uint64_t ret_marks[static BREAKS_OF_EVENT_MAX]);

/* *ret_new is set when the mark was not there before, and left alone otherwise. */
enum status breaks_add(struct breaks *breaks, uint64_t mark, bool *ret_new);
enum status breaks_join(struct breaks *to, const struct breaks *from);
void breaks_done(struct breaks *breaks);

void breaks_encode(const struct breaks *breaks, struct bytes *to);
enum status breaks_decode(struct cursor *from, struct breaks *ret_breaks);

#endif
