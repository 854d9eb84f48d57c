/* retention - how long events live, by tenant and data class, and the floors that follow from it.
 *
 * Why: laws and disks ask for it. What is old is dropped as whole ranges of time; between the
 * moment a floor rises and the moment the files are gone, readers enforce the floor, so that a
 * question never sees half of what is being dropped.
 *
 * Invariant: floors only rise; an event below its floor is never given back. Floors are rows of the
 * store (FAMILY_POSITION), so that every reader has the same. Owner: retention_free().
 * Thread: any once loaded (immutable). Limits: RETENTION_RULES_MAX floors. */
#ifndef PICKET_STORAGE_RETENTION_H
#define PICKET_STORAGE_RETENTION_H

#include "storage/columnar.h"

enum { RETENTION_RULES_MAX = 10000 };

struct retention;

/* The floors that the store holds. */
enum status retention_load(struct store_view *view, struct retention **ret_retention,
			   struct error *err);
void retention_free(struct retention **retention);
/* Events of the owner and class before it do not exist; INT64_MIN: none is. retention NULL: none.
 */
int64_t retention_floor(const struct retention *retention, struct text owner,
			enum data_class class);

/* The row of a floor in FAMILY_POSITION; owner NULL: of every owner of the class that has no row
 * of its own. */
void floor_key(enum data_class class, const struct text *owner, struct bytes *to);
void floor_encode(int64_t floor_us, struct bytes *to);

/* What the configuration asks for: events of the class, of one owner or of every owner without a
 * rule of his own, are kept for keep_us after their day has ended. */
struct retention_rule {
	enum data_class class;
	const char *owner; /* NULL: every other owner */
	int64_t keep_us;   /* 0 = for ever */
};

struct retention_rules {
	const struct retention_rule *items;
	size_t count;       /* at most RETENTION_RULES_MAX */
	uint64_t bytes_max; /* of merged blocks; beyond it the oldest days go first; 0 = no limit */
};

/* What a rule would drop, or has dropped. */
struct retention_drop {
	enum data_class class;
	struct text owner; /* size 0: every other owner */
	int64_t keep_us;
	int64_t floor_us; /* INT64_MIN: none */
	bool by_size;     /* bytes_max has raised the floor */
	uint64_t blocks, events, bytes;
};

/* For each rule what is below its floor at that time; ret_drops has room for rules->count.
 * *ret_bytes is what all merged blocks take. */
enum status retention_plan(struct store *store, const struct retention_rules *rules, int64_t now_us,
			   struct retention_drop *ret_drops, uint64_t *ret_bytes,
			   struct error *err);
/* Raises the floors and removes what is below them; ret_drops as above. Events that are not merged
 * yet are hidden at once and left out when they are merged. */
enum status retention_enforce(struct store *store, const struct retention_rules *rules,
			      int64_t now_us, struct retention_drop *ret_drops, struct error *err);

#endif
