/* What the machines share: a sorted array of events, and its form in a checkpoint:
 *
 *   varint  number of entries        varint  how many of them are decided
 *   signed  owed_us                  signed  cut_us
 *   then for each entry, ascending by time:
 *     the first: signed time_us; the others: varint microseconds after the one before
 *     u8 ENTRY_* flags    u8 tag    u8 record flags    u64le value    proof with ENTRY_PROOF
 *   u8      1 when the machine has a memory, then that memory in its own form
 *
 * Proofs. An event keeps its proof so that an alert can show it, but an alert shows eight at either
 * end: where nobody wants the firings, most entries in the middle give theirs up. Which window will
 * hold is not known while they wait, so some of them stay, by their time: all while few
 * wait, then one of so many that the number kept grows with the logarithm of those that wait; and
 * fewer of those that were decided and did not contribute, for a later window that holds. */
#include "correlate/gated.h"
#include "correlate/absence.h"
#include "correlate/peers.h"
#include "correlate/risk.h"
#include "correlate/sequence.h"

#include <assert.h>
#include <stdlib.h>

enum {
	PROOFS_WAITING_BITS = __builtin_ctz(GATED_PROOFS_WAITING),
	PROOFS_DECIDED_BITS = __builtin_ctz(GATED_PROOFS_DECIDED),
};

enum { ENTRY_SECONDARY = 1, ENTRY_CONTRIBUTES = 2, ENTRY_PROOF = 4 };

const struct machine *machine_of(const struct unit *unit)
{
	static const struct machine *const machines[] = {
		[JUDGED_SLIDING] = &sliding_machine, [JUDGED_ALIGNED] = &aligned_machine,
		[JUDGED_NAMES] = &names_machine,     [JUDGED_SEQUENCE] = &sequence_machine,
		[JUDGED_TRAVEL] = &travel_machine,   [JUDGED_FIRST_SEEN] = &first_seen_machine,
		[JUDGED_ABSENCE] = &absence_machine, [JUDGED_BASELINE] = &baseline_machine,
		[JUDGED_RISK] = &risk_machine,       [JUDGED_PEERS] = &peers_machine,
	};
	assert(unit->gated && (unsigned)unit->judged < sizeof machines / sizeof *machines);
	return machines[unit->judged];
}

int64_t time_after(int64_t time_us, int64_t span_us)
{
	int64_t sum = 0;
	return __builtin_add_overflow(time_us, span_us, &sum) ? INT64_MAX : sum;
}

int64_t time_before(int64_t time_us, int64_t span_us)
{
	int64_t difference = 0;
	return __builtin_sub_overflow(time_us, span_us, &difference) ? INT64_MIN : difference;
}

bool gated_value_fits(const struct unit *unit, const struct gated_value *value)
{
	const struct correlation *correlation = unit->rule->correlation;
	if (unit->type == CORRELATION_TEMPORAL)
		return value->value < correlation->rule_count;
	if (unit->judged == JUDGED_RISK)
		return value->tag < RISK_TAGS &&
		       (value->tag != RISK_SCORE || value->value <= RISK_SCORE_MAX);
	if (unit->judged == JUDGED_ABSENCE)
		return value->tag < ABSENCE_TAGS;
	if (unit->judged == JUDGED_FIRST_SEEN)
		return value->tag < FIRST_SEEN_TAGS;
	if (unit->judged != JUDGED_SEQUENCE)
		return true;
	return value->tag < SEQUENCE_VALUE_TAG
		       ? value->tag < correlation->rule_count
		       : value->tag - SEQUENCE_VALUE_TAG < (int)correlation->sequence->field_count;
}

struct gated *gated_new(void *owner)
{
	struct gated *gated = calloc(1, sizeof *gated);
	if (gated == NULL)
		return NULL;
	gated->owner = owner;
	gated->owed_us = INT64_MIN;
	gated->cut_us = INT64_MIN;
	return gated;
}

void gated_free(struct gated **gated, const struct unit *unit)
{
	struct gated *freed = TAKE(*gated);
	if (freed == NULL)
		return;
	gated_drop(freed, freed->count);
	if (freed->memory != NULL)
		machine_of(unit)->done(freed);
	free(freed->entries);
	free(freed);
}

/* Where an event of that time goes: behind all that are not later. */
static size_t gated_place(const struct gated *gated, int64_t time_us)
{
	size_t low = gated->decided_count;
	size_t high = gated->count;
	if (high > 0 && gated->entries[high - 1].time_us <= time_us)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (gated->entries[middle].time_us <= time_us)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static enum status gated_reserve(struct gated *gated, size_t needed)
{
	if (needed <= gated->capacity)
		return OK;
	size_t capacity = gated->capacity * 2 > needed ? gated->capacity * 2 : needed;
	struct gated_entry *grown = realloc(gated->entries, capacity * sizeof *grown);
	if (grown == NULL)
		return ENOMEMORY;
	gated->entries = grown;
	gated->capacity = capacity;
	return OK;
}

/* Whether an entry that is near neither end keeps its proof: about 2^bits of `among` do, chosen by
 * their time, so that the order of arrival does not matter. */
static bool proof_stays(int64_t time_us, size_t among, unsigned bits)
{
	unsigned among_bits = 63 - (unsigned)__builtin_clzll(among | 1);
	if (among_bits <= bits)
		return true;
	return (uint64_t)time_us * UINT64_C(0x9E3779B97F4A7C15) >> (64 - (among_bits - bits)) == 0;
}

static void gated_thin_proof(struct gated *gated, size_t i)
{
	struct gated_entry *entry = &gated->entries[i];
	if (entry->proof == NULL)
		return;
	bool stays = i < gated->decided_count
			     ? proof_stays(entry->time_us, gated->count, PROOFS_DECIDED_BITS)
			     : proof_stays(entry->time_us, gated->count - gated->decided_count,
					   PROOFS_WAITING_BITS);
	if (!stays)
		proof_release(&entry->proof);
}

/* The newcomers and those they pushed off an edge are the only candidates. */
static void gated_thin_proofs(struct gated *gated, size_t p, size_t added)
{
	if (gated->count <= 2 * WINDOW_PROOFS_EDGE + added)
		return;
	size_t end = gated->count - WINDOW_PROOFS_EDGE;
	for (size_t i = 0; i < added; i++) {
		gated_thin_proof(gated, WINDOW_PROOFS_EDGE + i);
		gated_thin_proof(gated, end - 1 - i);
		if (p + i >= WINDOW_PROOFS_EDGE && p + i < end)
			gated_thin_proof(gated, p + i);
	}
}

void gated_thin_decided(struct gated *gated, size_t first)
{
	size_t end = gated->count < WINDOW_PROOFS_EDGE ? 0 : gated->count - WINDOW_PROOFS_EDGE;
	if (first < WINDOW_PROOFS_EDGE)
		first = WINDOW_PROOFS_EDGE;
	for (size_t i = first; i < gated->decided_count && i < end; i++)
		gated_thin_proof(gated, i);
}

static size_t entries_max(const struct unit *unit)
{
	return unit->judged == JUDGED_SEQUENCE ? SEQUENCE_ENTRIES_MAX : GATED_ENTRIES_MAX;
}

/* Too many: the older half goes, whole events, and what is decided by windows that reach there is
 * a lower bound. */
static void gated_cut(struct gated *gated, const struct unit *unit)
{
	if (gated->memory != NULL && machine_of(unit)->encode == NULL)
		machine_of(unit)->done(gated); /* it stood for entries that go */
	size_t gone = gated->count / 2;
	while (gone < gated->count && gated->entries[gone].secondary)
		gone++;
	gated->cut_us = gated->entries[gone - 1].time_us;
	gated_drop(gated, gone);
}

enum status gated_add(struct gated *gated, const struct unit *unit, const struct gated_event *event)
{
	assert(event->value_count > 0 && event->value_count <= RECORD_VALUES_MAX);
	if (unit->judged == JUDGED_ABSENCE &&
	    !absence_admits(gated, unit, event->values[0].tag, event->proof))
		return OK;
	if (gated->count + event->value_count > entries_max(unit))
		gated_cut(gated, unit);
	int64_t time_us = event->proof->evidence.time_us;
	size_t p = gated_place(gated, time_us);
	enum status status = gated_reserve(gated, gated->count + event->value_count);
	if (status != OK)
		return status;
	struct gated_entry *place = &gated->entries[p];
	bool shows = unit->judged != JUDGED_PEERS &&
		     (unit->judged != JUDGED_ABSENCE || event->values[0].tag == ABSENCE_PRESENT);
	memmove(place + event->value_count, place, (gated->count - p) * sizeof *place);
	for (size_t i = 0; i < event->value_count; i++)
		place[i] = (struct gated_entry){
			.time_us = time_us,
			.value = event->values[i].value,
			.tag = event->values[i].tag,
			.proof = i == 0 && shows ? proof_hold(event->proof) : NULL,
			.flags = event->flags,
			.secondary = i > 0,
		};
	gated->count += event->value_count;
	if (unit->judged <= JUDGED_ALIGNED && unit->parent_count == 0)
		gated_thin_proofs(gated, p, event->value_count);
	return OK;
}

void gated_drop(struct gated *gated, size_t count)
{
	assert(count <= gated->count);
	for (size_t i = 0; i < count; i++)
		proof_release(&gated->entries[i].proof);
	gated->count -= count;
	gated->decided_count -= count < gated->decided_count ? count : gated->decided_count;
	if (count > 0 && gated->count > 0)
		memmove(gated->entries, gated->entries + count,
			gated->count * sizeof *gated->entries);
	if (gated->count == 0) {
		free(gated->entries);
		gated->entries = NULL;
		gated->capacity = 0;
	}
}

void gated_drop_passed(struct gated *gated, int64_t span_us, int64_t watermark_us)
{
	size_t gone = 0;
	while (gone < gated->count &&
	       time_passed(gated->entries[gone].time_us, span_us, watermark_us))
		gone++;
	gated_drop(gated, gone);
}

enum status gated_contribute(struct gated_entry *entry, const struct unit *unit,
			     struct window_news *news)
{
	if (entry->contributes)
		return OK;
	entry->contributes = true;
	if (entry->secondary)
		return OK;
	enum status status = window_items_push(&news->contributed, entry->time_us, entry->proof);
	if (status == OK)
		news->contributed.items[news->contributed.count - 1].flags = entry->flags;
	if (unit->parent_count == 0)
		proof_release(&entry->proof);
	return status;
}

size_t gated_same_time(const struct gated *gated, size_t first)
{
	size_t end = first + 1;
	while (end < gated->count && gated->entries[end].time_us == gated->entries[first].time_us)
		end++;
	return end;
}

bool gated_is_cut(const struct gated *gated, int64_t from_us)
{
	return gated->cut_us != INT64_MIN && from_us <= gated->cut_us;
}

size_t gated_bytes(const struct gated *gated, const struct unit *unit)
{
	size_t size = sizeof *gated + gated->capacity * sizeof *gated->entries;
	for (size_t i = 0; i < gated->count; i++)
		size += gated->entries[i].proof == NULL ? 0 : gated->entries[i].proof->size;
	return size + (gated->memory == NULL ? 0 : machine_of(unit)->bytes(gated));
}

static void entry_encode(const struct gated_entry *entry, struct bytes *to)
{
	unsigned flags = (entry->secondary ? ENTRY_SECONDARY : 0u) |
			 (entry->contributes ? ENTRY_CONTRIBUTES : 0u) |
			 (entry->proof != NULL ? ENTRY_PROOF : 0u);
	bytes_put_u8(to, (uint8_t)flags);
	bytes_put_u8(to, entry->tag);
	bytes_put_u8(to, entry->flags);
	bytes_put_u64le(to, entry->value);
	if (entry->proof != NULL)
		proof_encode(entry->proof, to);
}

void gated_encode(const struct gated *gated, const struct unit *unit, struct bytes *to)
{
	int64_t before_us = 0;
	bytes_put_varint(to, gated->count);
	bytes_put_varint(to, gated->decided_count);
	bytes_put_signed(to, gated->owed_us);
	bytes_put_signed(to, gated->cut_us);
	for (size_t i = 0; i < gated->count; i++) {
		const struct gated_entry *entry = &gated->entries[i];
		if (i == 0)
			bytes_put_signed(to, entry->time_us);
		else
			bytes_put_varint(to, (uint64_t)entry->time_us - (uint64_t)before_us);
		before_us = entry->time_us;
		entry_encode(entry, to);
	}
	bool remembers = gated->memory != NULL && machine_of(unit)->encode != NULL;
	bytes_put_u8(to, remembers);
	if (remembers)
		machine_of(unit)->encode(gated, to);
}

static enum status entry_decode(struct cursor *from, const struct gated_entry *before,
				struct gated_entry *ret_entry)
{
	struct gated_entry entry = {0};
	uint64_t delta = before == NULL ? 0 : cursor_varint(from);
	if (before == NULL)
		entry.time_us = cursor_signed(from);
	else if (delta > (uint64_t)INT64_MAX - (uint64_t)before->time_us)
		return ECORRUPT;
	else
		entry.time_us = (int64_t)((uint64_t)before->time_us + delta);
	uint8_t flags = cursor_u8(from);
	entry.tag = cursor_u8(from);
	entry.flags = cursor_u8(from);
	entry.value = cursor_u64le(from);
	entry.secondary = (flags & ENTRY_SECONDARY) != 0;
	entry.contributes = (flags & ENTRY_CONTRIBUTES) != 0;
	if (from->failed || flags >= 2 * ENTRY_PROOF || (entry.secondary && before == NULL))
		return ECORRUPT;
	if (entry.secondary && (delta != 0 || (flags & ENTRY_PROOF) != 0))
		return ECORRUPT;
	enum status status = (flags & ENTRY_PROOF) == 0
				     ? OK
				     : proof_decode_at(from, entry.time_us, &entry.proof);
	if (status == OK)
		*ret_entry = entry;
	return status;
}

enum status gated_decode(struct cursor *from, const struct unit *unit, struct gated *gated)
{
	assert(gated->count == 0 && gated->memory == NULL);
	uint64_t count = cursor_varint(from);
	uint64_t decided_count = cursor_varint(from);
	gated->owed_us = cursor_signed(from);
	gated->cut_us = cursor_signed(from);
	if (from->failed || count > entries_max(unit) || decided_count > count)
		return ECORRUPT;
	enum status status = gated_reserve(gated, count);
	for (size_t i = 0; status == OK && i < count; i++) {
		const struct gated_entry *before = i == 0 ? NULL : &gated->entries[i - 1];
		struct gated_entry *entry = &gated->entries[i];
		status = entry_decode(from, before, entry);
		gated->count += status == OK;
		if (status == OK &&
		    !gated_value_fits(unit, &(struct gated_value){entry->tag, entry->value}))
			status = ECORRUPT;
	}
	if (status != OK)
		return status;
	gated->decided_count = decided_count;
	uint8_t remembers = cursor_u8(from);
	if (from->failed || remembers > 1 || (remembers == 1 && machine_of(unit)->decode == NULL))
		return ECORRUPT;
	return remembers == 0 ? OK : machine_of(unit)->decode(from, unit, gated);
}
