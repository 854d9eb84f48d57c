/* actor_private - the actor's state, shared by actor.c (feeding), fold.c (folding), changes.c
 * (closing an epoch), checkpoint.c (saving and restoring) and saved.c (what changed since).
 *
 * Why: these read and write the same cells at different moments of an epoch.
 *
 * Invariant: between close and the next feed no cell is touched, every cell is settled at the
 * actor's watermark, no episode is `changed`, and one of a cell's deadlines comes no later than the
 * first moment at which something of it ends. Owner: the actor's thread. Limits: see actor.h. */
#ifndef PICKET_CORRELATE_ACTOR_PRIVATE_H
#define PICKET_CORRELATE_ACTOR_PRIVATE_H

#include <assert.h>

#include "correlate/actor.h"
#include "correlate/cells.h"
#include "correlate/deadlines.h"
#include "correlate/episode.h"
#include "correlate/gated.h"
#include "correlate/panes.h"
#include "correlate/plan_private.h"
#include "correlate/timer.h"
#include "correlate/trail.h"
#include "correlate/window.h"

enum { CHECKPOINT_WHOLE = 2, CHECKPOINT_CHANGES = 3 }; /* checkpoint.c */

/* Cells of one unit and tenant in one virtual partition. */
struct quota {
	struct cell_key key;
	uint64_t state_id;
	uint64_t cells;
	uint8_t virtual_partition;
	bool refused;       /* a group was refused since the last alert that said so */
	bool told;          /* stands in actor->refusals, or did while it was full */
	struct text tenant; /* behind the struct */
};

/* Where a cell's memory is (tiers.c). */
enum cell_tier { TIER_LIVE, TIER_PACKED, TIER_SPILLED };

struct packed {
	uint32_t size;
	unsigned char bytes[];
};

/* One group of one unit. A cell is small, because there are millions and each record finds another
 * one: what its group counts lies behind it. */
struct cell {
	struct cell_key key;
	const struct unit *unit;
	struct quota *quota; /* NULL: buried, and only here because deadlines point to it */
	union {
		struct window window;  /* of a unit that counts events */
		struct trail *trail;   /* of a unit with a condition over values: cell_trail() */
		struct panes *panes;   /* of one over too many of them: cell_panes() */
		struct gated *gated;   /* of a gated unit: cell_gated() */
		struct packed *packed; /* TIER_PACKED, episodes included */
	};
	struct episodes episodes;
	int64_t due_us;     /* its earliest deadline, INT64_MAX without one */
	uint32_t deadlines; /* how many point to it */
	uint32_t bytes;     /* as counted in cell_bytes */
	uint32_t group_size;
	uint8_t tier;
	bool used;    /* since the sweep came by */
	bool changed; /* its partition's `changed` has its key */
	bool stored;  /* the store has a version of it (saved.c) */
	bool touched; /* stands in actor->touched */
	char group[]; /* a sequence of texts, cell_group() */
};

/* saved.c: what a partition's rows in the store lack. */
struct saved {
	bool complete; /* its rows and what is noted here say all; else the next has to be whole */
	struct cell_key *changed;
	size_t changed_count;
	size_t changed_capacity;
	struct bytes gone; /* names of cells (checkpoint.c) that are stored and are no more */
	size_t gone_count;
	bool restored;        /* changes were read: older rows only add what they lack */
	int64_t newest_us;    /* the watermark of the newest */
	struct cells dropped; /* while rows are read: cells that newer ones said are gone */
};

struct partition {
	struct cells cells;
	struct cells quotas;
	struct saved saved;
};

/* One record fed and not yet folded. */
struct fed {
	struct match_record record;
	struct text raw;         /* its bytes: the last tie-break */
	const struct unit *unit; /* fold.c: NULL when there is none, or when it is missed */
	struct cell *cell;       /* fold.c: NULL when the group had none yet */
	struct cell_key key;
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
	struct deadlines deadlines;                     /* of all cells */
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
	struct judge judge; /* of all small trails */
	struct window_news news;
	struct alert_change *changes;
	size_t change_count;
	size_t change_capacity;
	struct refusal *refusals;
	size_t refusal_count;
	size_t memory_max;
	size_t relief_at; /* bytes of cells at which the sweep goes on */
	const struct spill *spill;
	unsigned hand_partition; /* where the sweep stands */
	size_t hand_slot;
	struct bytes thawing; /* what was fetched of a spilled cell */
	struct error problem; /* why the last thing failed, when it was not for memory */
	struct arena *arena;  /* what the changes point to */
	struct episode *episode_graves;
	struct actor_counters counters;
};

static inline struct trail *cell_trail(const struct cell *cell)
{
	assert(cell->tier == TIER_LIVE);
	return cell->unit->judged == JUDGED_TRAIL ? cell->trail : NULL;
}

static inline struct panes *cell_panes(const struct cell *cell)
{
	assert(cell->tier == TIER_LIVE);
	return cell->unit->judged == JUDGED_SKETCH ? cell->panes : NULL;
}

static inline struct gated *cell_gated(const struct cell *cell)
{
	assert(cell->tier == TIER_LIVE);
	return cell->unit->gated ? cell->gated : NULL;
}

/* Ask for the memory of a cell that will be used soon, then for what it remembers, and then for
 * what that points to: the events, and the ends that a new event is written to. */
static inline void cell_prefetch(const struct cell *cell)
{
	__builtin_prefetch(cell);
	__builtin_prefetch((const char *)cell + 64);
}

void cell_prefetch_memory(const struct cell *cell);
void cell_prefetch_entries(const struct cell *cell);
void cell_prefetch_ends(const struct cell *cell);

static inline struct text cell_group(const struct cell *cell)
{
	return (struct text){cell->group, cell->group_size};
}

struct window_shape unit_shape(const struct unit *unit);
struct trail_shape unit_trail_shape(const struct unit *unit);
struct panes_shape unit_panes_shape(const struct unit *unit);

/* tiers.c: all that a cell remembers is in memory and may be used. */
enum status cell_thaw(struct actor *actor, struct cell *cell);
void cell_pack(struct actor *actor, struct cell *cell);
/* The same with the bytes that cell_memory_encode() would write. */
void cell_pack_as(struct actor *actor, struct cell *cell, struct text memory);
/* Packs and spills cold cells when there are too many bytes of them; between epochs, when no change
 * points to what they remember. */
void tiers_relieve(struct actor *actor);

/* saved.c: the cell is not any more what the store has; it is no more. */
void cell_mark_changed(struct actor *actor, struct cell *cell);
void cell_mark_gone(struct actor *actor, const struct cell *cell);
void saved_done(struct saved *saved);
/* The cell of that name is not to be restored from an older row. */
enum status saved_drop(struct actor *actor, uint8_t virtual_partition, struct text name);

/* checkpoint.c: the head of a checkpoint, and one cell of it. */
enum status checkpoint_put_head(const struct actor *actor, uint8_t version,
				uint8_t virtual_partition, struct bytes *to);
void cell_put_name(const struct cell *cell, struct bytes *to);
enum status cell_encode(const struct actor *actor, const struct cell *cell, struct bytes *to);
/* checkpoint.c: what the cell remembers, in whatever tier. */
enum status cell_memory_encode(const struct actor *actor, const struct cell *cell,
			       struct bytes *to);
/* Into a new cell. ECORRUPT: the cell may only be freed. */
enum status cell_memory_decode(struct cursor *from, struct cell *cell);

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

/* fold.c: what the news says goes into the cell's episodes and to the unit's parents. `like` has
 * what an item has not: state, tenant, group, flags, and origin and context without a proof. */
enum status fold_news(struct actor *actor, struct cell *cell, const struct match_record *like,
		      uint64_t epoch, const struct record_sink *exchange);
enum status cell_touch(struct actor *actor, struct cell *cell);
/* Folds all that was fed, in order of (time, origin, unit, bytes). */
enum status fold_fed(struct actor *actor, uint64_t epoch, const struct record_sink *exchange);

/* A group that has no cell yet. */
struct newcomer {
	const struct unit *unit;
	struct quota *quota;
	struct cell_key key;
	struct text group;
};

/* Its cell, counted in the quota but not checked against the share. */
enum status cell_new(struct actor *actor, const struct newcomer *newcomer, struct cell **ret_cell);
enum status cell_memory_new(struct cell *cell); /* empty, of the kind the unit needs */
void cell_memory_free(struct cell *cell);
void cell_free(struct cell **cell);
/* Counts anew how much memory the cell takes, about. */
void cell_weigh(struct actor *actor, struct cell *cell);

/* The quota a cell belongs to, made when there is none. */
enum status quota_of(struct actor *actor, uint64_t state_id, uint8_t virtual_partition,
		     struct text tenant, struct quota **ret_quota);

/* The episode is over when the watermark has passed this. */
int64_t cell_episode_end(const struct cell *cell, const struct episode *episode);

/* Sees to it that the cell comes out of the deadlines when it has something to do next. */
enum status cell_schedule(struct actor *actor, struct cell *cell);
/* Out of the quota and the tables; freed when no deadline points to it any more. */
void cell_bury(struct actor *actor, struct cell *cell);

/* Says what went wrong: memory that was missing for something, or the problem that was noted. */
enum status actor_failed(const struct actor *actor, enum status status, const char *missing_for,
			 struct error *err);

/* Frees what the last changes pointed to. */
void changes_clear(struct actor *actor);

#endif
