/* Different values: a table of how often each stands in the window; an event comes and goes in
 * O(1), whatever the number of values. Sums: whole numbers of 128 bits, because sums of reals would
 * depend on the order. Steps in order: let latest[i] be the latest time at which steps 0..i can
 * have begun to be done by now; an event of step i makes it max(latest[i], latest[i - 1]), of step
 * 0 its own time. All steps were done within W iff now - latest[last] <= W, and nothing has to be
 * popped. Steps of one time are done in any order: they are gone through again with each. */
#include "correlate/judge.h"

#include <assert.h>
#include <stdlib.h>

static size_t slot_home(const struct judge *judge, uint64_t value)
{
	return (size_t)((value * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (judge->capacity - 1);
}

static size_t slot_find(const struct judge *judge, uint64_t value)
{
	size_t at = slot_home(judge, value);
	while (judge->slots[at].count > 0 && judge->slots[at].value != value)
		at = (at + 1) & (judge->capacity - 1);
	return at;
}

static enum status slots_grow(struct judge *judge)
{
	struct judge grown = {.capacity = judge->capacity == 0 ? 8 : judge->capacity * 2};
	grown.slots = calloc(grown.capacity, sizeof *grown.slots);
	if (grown.slots == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < judge->capacity; i++)
		if (judge->slots[i].count > 0)
			grown.slots[slot_find(&grown, judge->slots[i].value)] = judge->slots[i];
	free(judge->slots);
	judge->slots = grown.slots;
	judge->capacity = grown.capacity;
	return OK;
}

enum status judge_slot_get(struct judge *judge, uint64_t value, struct judge_slot **ret_slot,
			   bool *ret_made)
{
	if (judge->different + 1 > judge->capacity / 4 * 3) {
		enum status status = slots_grow(judge);
		if (status != OK)
			return status;
	}
	struct judge_slot *slot = &judge->slots[slot_find(judge, value)];
	*ret_made = slot->count == 0;
	if (*ret_made) {
		*slot = (struct judge_slot){.value = value, .count = 1};
		judge->different++;
	}
	*ret_slot = slot;
	return OK;
}

/* Moves later items of the chain up, so that there are no tombstones. */
static void slot_remove(struct judge *judge, size_t at)
{
	size_t mask = judge->capacity - 1;
	judge->slots[at].count = 0;
	judge->different--;
	for (size_t next = (at + 1) & mask; judge->slots[next].count > 0;
	     next = (next + 1) & mask) {
		size_t home = slot_home(judge, judge->slots[next].value);
		if (((next - home) & mask) < ((next - at) & mask))
			continue;
		judge->slots[at] = judge->slots[next];
		judge->slots[next].count = 0;
		at = next;
	}
}

static enum status push_step(struct judge *judge, const struct judge_rule *rule, int64_t time_us,
			     uint64_t step)
{
	assert(step < rule->at_least && rule->at_least <= JUDGE_STEPS_MAX);
	if (judge->step_capacity < rule->at_least) { /* the first of this rule */
		int64_t *grown = realloc(judge->latest, rule->at_least * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		judge->latest = grown;
		judge->step_capacity = rule->at_least;
		judge_clear(judge, rule);
	}
	if (time_us != judge->now_us)
		judge->now_steps = 0;
	judge->now_us = time_us;
	judge->now_steps |= UINT64_C(1) << step;
	for (size_t i = 0; i < rule->at_least; i++) {
		if ((judge->now_steps >> i & 1) == 0)
			continue;
		int64_t start_us = i == 0 ? time_us : judge->latest[i - 1];
		judge->latest[i] = start_us > judge->latest[i] ? start_us : judge->latest[i];
	}
	return OK;
}

enum status judge_push(struct judge *judge, const struct judge_rule *rule, int64_t time_us,
		       uint64_t value)
{
	if (rule->type == CORRELATION_TEMPORAL_ORDERED)
		return push_step(judge, rule, time_us, value);
	if (rule->type == CORRELATION_VALUE_SUM) {
		judge->sum_high += __builtin_add_overflow(judge->sum_low, value, &judge->sum_low);
		return OK;
	}
	struct judge_slot *slot = NULL;
	bool made = false;
	enum status status = judge_slot_get(judge, value, &slot, &made);
	if (status == OK && !made)
		slot->count++;
	if (rule->type == CORRELATION_TEMPORAL)
		judge->seen |= UINT64_C(1) << value;
	return status;
}

void judge_pop(struct judge *judge, const struct judge_rule *rule, uint64_t value)
{
	if (rule->type == CORRELATION_TEMPORAL_ORDERED)
		return;
	if (rule->type == CORRELATION_VALUE_SUM) {
		judge->sum_high -= __builtin_sub_overflow(judge->sum_low, value, &judge->sum_low);
		return;
	}
	assert(judge->capacity > 0);
	size_t at = slot_find(judge, value);
	assert(judge->slots[at].count > 0);
	if (judge->slots[at].count == 1 && rule->type == CORRELATION_TEMPORAL)
		judge->seen &= ~(UINT64_C(1) << value);
	if (judge->slots[at].count == 1)
		slot_remove(judge, at);
	else
		judge->slots[at].count--;
}

bool judge_holds(const struct judge *judge, const struct judge_rule *rule)
{
	if (rule->type == CORRELATION_VALUE_SUM)
		return judge->sum_high > 0 || judge->sum_low >= rule->at_least;
	if (rule->names != NULL)
		return name_condition_holds(rule->names, judge->seen);
	if (rule->type != CORRELATION_TEMPORAL_ORDERED)
		return judge->different >= rule->at_least;
	if (judge->step_capacity < rule->at_least)
		return false;
	int64_t start_us = judge->latest[rule->at_least - 1];
	return start_us != INT64_MIN &&
	       (uint64_t)judge->now_us - (uint64_t)start_us <= (uint64_t)rule->timespan_us;
}

bool judge_can_spare(const struct judge *judge, const struct judge_rule *rule, int64_t time_us,
		     uint64_t value)
{
	assert(judge_holds(judge, rule));
	if (rule->type == CORRELATION_TEMPORAL_ORDERED)
		return time_us < judge->latest[rule->at_least - 1];
	if (rule->type == CORRELATION_VALUE_SUM) {
		struct judge without = *judge;
		judge_pop(&without, rule, value);
		return judge_holds(&without, rule);
	}
	if (rule->names != NULL)
		return judge->slots[slot_find(judge, value)].count > 1 ||
		       name_condition_holds(rule->names, judge->seen & ~(UINT64_C(1) << value));
	return judge->different > rule->at_least || judge->slots[slot_find(judge, value)].count > 1;
}

void judge_clear(struct judge *judge, const struct judge_rule *rule)
{
	if (judge->slots != NULL)
		memset(judge->slots, 0, judge->capacity * sizeof *judge->slots);
	judge->different = 0;
	judge->seen = 0;
	judge->sum_low = judge->sum_high = 0;
	judge->now_steps = 0;
	judge->now_us = INT64_MIN;
	bool ordered = rule->type == CORRELATION_TEMPORAL_ORDERED;
	for (size_t i = 0; ordered && i < rule->at_least && i < judge->step_capacity; i++)
		judge->latest[i] = INT64_MIN;
}

void judge_done(struct judge *judge)
{
	free(judge->slots);
	free(judge->latest);
	*judge = (struct judge){0};
}

size_t judge_bytes(const struct judge *judge)
{
	return judge->capacity * sizeof *judge->slots +
	       judge->step_capacity * sizeof *judge->latest;
}
