/* actor_private - the actor's state, shared by actor.c (feeding and folding), changes.c (closing an
 * epoch) and checkpoint.c (saving and restoring).
 *
 * Why: these three read and write the same cells at different moments of an epoch.
 *
 * Invariant: between close and the next feed no cell is touched, every cell is settled at the
 * actor's watermark, no episode is `changed`, and a cell's timer is due no later than the first
 * moment at which something of it ends. Owner: the actor's thread. Limits: see actor.h. */
#ifndef PICKET_CORRELATE_ACTOR_PRIVATE_H
#define PICKET_CORRELATE_ACTOR_PRIVATE_H

#include "correlate/actor.h"
#include "correlate/cells.h"
#include "correlate/episode.h"
#include "correlate/gated.h"
#include "correlate/plan_private.h"
#include "correlate/timer.h"
#include "correlate/trail.h"
#include "correlate/window.h"

/* Cells of one unit and tenant in one virtual partition. */
struct quota {
	struct cell_key key;
	uint64_t state_id;
	uint64_t cells;
	bool refused; /* a group was refused since the last alert that said so */
	struct text tenant;
};

struct cell {
	struct timer timer; /* first: a timer is its cell */
	struct cell_key key;
	const struct unit *unit;
	struct quota *quota;
	struct window window; /* of a unit that counts events */
	struct trail *trail;  /* of a unit with a condition over values; else NULL */
	struct gated *gated;  /* of a gated unit; else NULL */
	struct episodes episodes;
	struct text tenant, group; /* behind the struct */
	size_t bytes;              /* as counted in cell_bytes */
	struct cell *next_grave;
	int64_t kept_us; /* gated: until when something of it may matter; INT64_MIN: nothing does */
	uint8_t virtual_partition;
	bool touched; /* stands in actor->touched */
};

struct partition {
	struct cells cells;
	struct cells quotas;
};

/* One record fed and not yet folded. */
struct fed {
	struct match_record record;
	struct text raw; /* its bytes: the last tie-break */
};

/* A copy of what one actor_feed() brought. */
struct chunk {
	struct chunk *next;
	size_t size;
	char data[];
};

struct actor {
	const struct plan *plan;
	unsigned index;
	unsigned actor_count;
	uint64_t share; /* cells per unit, tenant and virtual partition */
	int64_t watermark_us;
	bool has_closed;
	struct partition partitions[VIRTUAL_PARTITIONS];
	struct timers timers;
	struct timers gates[RULES_CHAIN_DEPTH_MAX + 1]; /* of gated cells, by depth */
	unsigned rounds;                                /* of this epoch, so far */
	bool members_watched; /* every member of a list has a cell (gates.c) */
	struct chunk *chunks;
	struct fed *fed;
	size_t fed_count;
	size_t fed_capacity;
	struct cell **touched;
	size_t touched_count;
	size_t touched_capacity;
	struct window_news news;
	struct alert_change *changes;
	size_t change_count;
	size_t change_capacity;
	struct arena *arena;      /* what the changes point to */
	struct cell *cell_graves; /* ended, but the changes still point to them */
	struct episode *episode_graves;
	struct actor_counters counters;
};

struct window_shape unit_shape(const struct unit *unit);
struct trail_shape unit_trail_shape(const struct unit *unit);

/* One more event of the cell's group. ECORRUPT: the record does not carry what the unit judges. */
enum status cell_remember(struct actor *actor, struct cell *cell, const struct match_record *record,
			  struct proof *proof);
void cell_forget(struct cell *cell, int64_t watermark_us);
bool cell_remembers(const struct cell *cell); /* has events in its window or trail */
/* Puts a gated cell's gate to when it has something to decide. */
enum status cell_gate(struct actor *actor, struct cell *cell);

/* gates.c: decides the gated cells of one depth as far as the watermark. */
enum status gates_open(struct actor *actor, unsigned depth, uint64_t epoch, int64_t watermark_us,
		       const struct record_sink *exchange);

/* actor.c: what the news says goes into the cell's episodes and to the unit's parents. `like` has
 * what an item has not: state, tenant, group, flags, and origin and context without a proof. */
enum status fold_news(struct actor *actor, struct cell *cell, const struct match_record *like,
		      uint64_t epoch, const struct record_sink *exchange);
enum status cell_touch(struct actor *actor, struct cell *cell);

/* A cell for a group that has none, counted in the quota but not checked against the share. */
enum status cell_new(struct actor *actor, const struct unit *unit, struct quota *quota,
		     const struct match_record *record, struct cell **ret_cell);
void cell_free(struct cell **cell);
size_t cell_size(const struct cell *cell); /* memory, about */

/* The quota a cell belongs to, made when there is none. */
enum status quota_of(struct actor *actor, uint64_t state_id, uint8_t virtual_partition,
		     struct text tenant, struct quota **ret_quota);

/* The episode is over when the watermark has passed this. */
int64_t cell_episode_end(const struct cell *cell, const struct episode *episode);

/* When the cell has something to do next; INT64_MAX also when time would overflow. */
int64_t cell_deadline(const struct cell *cell);

/* Frees what the last changes pointed to. */
void changes_clear(struct actor *actor);

#endif
