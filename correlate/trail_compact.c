/* What a trail may forget, and why nothing is lost.
 *
 * Promise: for every stretch I of length W, the entries that are left in I say the same about the
 * condition as all events in I did, either because they have the same values or because they hold
 * by themselves. Conditions are monotone, so this stays true whatever is added later, and what was
 * forgotten one after the other never adds up to a mistake. Only entries that contribute and have
 * fired are forgotten: they have said all that they had to say.
 *
 * 1. Repeats (different values, not steps in order): a < b < c carry one value and c - a <= W. A
 *    stretch of length W that holds b holds a or c too: one that held neither would begin behind a
 *    and end before c. So b goes.
 * 2. Between blocks: a block is a stretch of entries that satisfies the condition by itself. Let
 *    block A end before block C begins, and C end at most W behind A's beginning. A stretch of
 *    length W that holds an entry between the two holds all of A or all of C: if it began behind
 *    A's beginning and ended before C's end, it would be shorter than W. So what lies between goes;
 *    it all contributes and fires, because A lies within W before it.
 *
 * Memory: where the condition keeps holding, two or three blocks per W stay, whatever the rate and
 * whatever the number of values; where it does not hold, different values are fewer than K per W.
 * What is left are repeats that wait for their window to hold. Beyond trail_entries_max() those go
 * uncounted (decisions stay exact, counts become lower bounds), and if even that is not enough, the
 * oldest entries; both set `cut`.
 *
 * The first rule is tried when the second has not halved the trail: either is enough where the
 * condition keeps holding. The next look is when the trail is twice as long and some: constant work
 * per event. */
#include <assert.h>

#include "correlate/trail.h"

size_t trail_entries_max(const struct trail_shape *shape)
{
	size_t wanted = 8 * (shape->rule.at_least < TRAIL_AT_LEAST_MAX ? shape->rule.at_least
								       : TRAIL_AT_LEAST_MAX);
	bool sums = shape->rule.type == CORRELATION_VALUE_SUM;
	return !sums && wanted > TRAIL_ENTRIES_MAX ? wanted : TRAIL_ENTRIES_MAX;
}

static bool has_said_all(const struct trail_entry *entry, const struct trail_shape *shape)
{
	return entry->secondary || (entry->contributes && (entry->fired || !shape->keeps_proofs));
}

/* A stretch of entries, first..last. */
struct block {
	size_t first, last;
};

/* The last block that begins at `from` or later and ends at most at entries[end - 1], or, with
 * `shortest`, the first; as short as it can be from the front. */
static enum status block_find(struct trail *trail, const struct trail_shape *shape,
			      struct block within, bool shortest, struct block *ret_block)
{
	const struct judge_rule *rule = &shape->rule;
	struct block found = {.first = within.first, .last = SIZE_MAX};
	struct judge *judge = trail_judge(trail, shape);
	judge_clear(judge, rule);
	for (size_t i = within.first; i <= within.last && i < trail->count; i++) {
		const struct trail_entry *entries = trail->entries;
		enum status status = judge_push(judge, rule, entries[i].time_us, entries[i].value);
		if (status != OK)
			return status;
		while (!time_within(entries[found.first].time_us, entries[i].time_us,
				    rule->timespan_us))
			judge_pop(judge, rule, entries[found.first++].value);
		if (!judge_holds(judge, rule))
			continue;
		while (found.first < i && judge_can_spare(judge, rule, entries[found.first].time_us,
							  entries[found.first].value))
			judge_pop(judge, rule, entries[found.first++].value);
		found.last = i;
		if (shortest)
			break;
	}
	*ret_block = found;
	return OK;
}

static enum status doom_between_blocks(struct trail *trail, const struct trail_shape *shape)
{
	struct block a = {0};
	struct block c = {0};
	enum status status = block_find(trail, shape, (struct block){0, SIZE_MAX}, true, &a);
	while (status == OK && a.last != SIZE_MAX) {
		size_t reach = a.last;
		while (reach + 1 < trail->count &&
		       time_within(trail->entries[a.first].time_us,
				   trail->entries[reach + 1].time_us, shape->rule.timespan_us))
			reach++;
		status = block_find(trail, shape, (struct block){a.last + 1, reach}, false, &c);
		if (status != OK)
			return status;
		if (c.last == SIZE_MAX) {
			status = block_find(trail, shape, (struct block){a.last + 1, SIZE_MAX},
					    true, &a);
			continue;
		}
		for (size_t i = a.last + 1; i < c.first; i++)
			trail->entries[i].doomed = has_said_all(&trail->entries[i], shape);
		a = c;
	}
	return status;
}

/* Rule 1. The candidate is the last entry of its value so far; it goes when the next one and the
 * one kept before it stand for it. `all`: also those that still might have contributed. */
static enum status doom_repeats(struct trail *trail, const struct trail_shape *shape, bool all)
{
	struct judge *judge = trail_judge(trail, shape);
	judge_clear(judge, &shape->rule);
	for (size_t i = 0; i < trail->count; i++) {
		struct trail_entry *entry = &trail->entries[i];
		struct judge_slot *slot = NULL;
		bool made = false;
		if (entry->doomed)
			continue;
		enum status status = judge_slot_get(judge, entry->value, &slot, &made);
		if (status != OK)
			return status;
		entry->kept = (uint32_t)i;
		struct trail_entry *candidate = &trail->entries[slot->candidate];
		bool first = made || candidate->kept == slot->candidate;
		if (!made) {
			int64_t kept_us = trail->entries[candidate->kept].time_us;
			bool goes = !first && (all || has_said_all(candidate, shape)) &&
				    time_within(kept_us, entry->time_us, shape->rule.timespan_us);
			candidate->doomed = goes;
			trail->cut = trail->cut || (goes && !has_said_all(candidate, shape));
			entry->kept = goes ? candidate->kept : slot->candidate;
		}
		slot->candidate = (uint32_t)i;
	}
	return OK;
}

static void bury_doomed(struct trail *trail)
{
	uint32_t kept = 0;
	for (size_t i = 0; i < trail->count; i++) {
		if (trail->entries[i].doomed)
			trail_release(trail, &trail->entries[i]);
		else
			trail->entries[kept++] = trail->entries[i];
	}
	trail->count = kept;
}

enum status trail_compact(struct trail *trail, const struct trail_shape *shape)
{
	bool repeats = shape->rule.type == CORRELATION_VALUE_COUNT ||
		       shape->rule.type == CORRELATION_TEMPORAL;
	size_t max = trail_entries_max(shape);
	size_t count_before = trail->count;
	trail->judged = false;
	enum status status = doom_between_blocks(trail, shape);
	bury_doomed(trail);
	if (status == OK && repeats && trail->count > count_before / 2) {
		status = doom_repeats(trail, shape, false);
		bury_doomed(trail);
	}
	if (status == OK && repeats && trail->count > max / 4 * 3) {
		status = doom_repeats(trail, shape, true);
		bury_doomed(trail);
	}
	if (status == OK && trail->count > max / 4 * 3) {
		for (size_t i = 0; i < trail->count - max / 2; i++)
			trail->entries[i].doomed = true;
		bury_doomed(trail);
		trail->cut = true;
	}
	size_t next = 2 * (size_t)trail->count + TRAIL_COMPACT_SLACK;
	trail->compact_at = (uint32_t)(next < max ? next : max);
	assert(status != OK || trail->count < trail->compact_at);
	return status;
}
