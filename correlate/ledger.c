#include "correlate/ledger_private.h"

#include <assert.h>
#include <stdlib.h>

#include "correlate/tally_private.h"

/* Things are found by their keyed hash in a table at most half full; a name that happens to have
 * the hash of another is told from it by its text. */

enum { SLOTS_FIRST = 32, CAPACITY_FIRST = 8 };

enum status ledger_new(struct text service, struct ledger **ret_ledger)
{
	struct ledger *ledger = calloc(1, sizeof *ledger);
	if (ledger == NULL)
		return ENOMEMORY;
	ledger->service = service;
	*ret_ledger = ledger;
	return OK;
}

void ledger_arm_free(struct ledger_arm *arm)
{
	for (size_t i = 0; i < arm->capacity; i++) {
		if (arm->entries[i] != NULL)
			free(arm->entries[i]->proof);
		free(arm->entries[i]);
	}
	free(arm->entries);
	free((char *)arm->arm.version.data);
	free(arm);
}

void ledger_free(struct ledger **ledger)
{
	struct ledger *one = *ledger;
	if (one == NULL)
		return;
	for (size_t i = 0; i < one->arm_count; i++)
		ledger_arm_free(one->arms[i]);
	for (size_t i = 0; i < one->thing_count; i++)
		free((char *)one->things[i].key.data);
	for (size_t i = 0; i < one->topic_count; i++)
		free((char *)one->topics[i].data);
	free(one->arms);
	free(one->things);
	free(one->slots);
	free(one->topics);
	free(one);
	*ledger = NULL;
}

void ledger_thing_bytes(enum signal signal, struct text key, struct bytes *to)
{
	bytes_put_u8(to, (uint8_t)signal);
	bytes_write(to, key);
}

enum status ledger_arm(struct ledger *ledger, const struct arm *arm, struct ledger_arm **ret_arm)
{
	size_t low = 0;
	size_t high = ledger->arm_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = tally_arm_compare(&ledger->arms[middle]->arm, arm);
		if (order == 0) {
			*ret_arm = ledger->arms[middle];
			return OK;
		}
		low = order < 0 ? middle + 1 : low;
		high = order < 0 ? high : middle;
	}
	struct ledger_arm **arms =
		realloc(ledger->arms, (ledger->arm_count + 1) * sizeof(struct ledger_arm *));
	if (arms == NULL)
		return ENOMEMORY;
	ledger->arms = arms;
	struct ledger_arm *fresh = calloc(1, sizeof *fresh);
	if (fresh == NULL || tally_arm_own(arm, &fresh->arm) != OK) {
		free(fresh);
		return ENOMEMORY;
	}
	fresh->ledger = ledger;
	memmove(arms + low + 1, arms + low,
		(ledger->arm_count - low) * sizeof(struct ledger_arm *));
	arms[low] = fresh;
	ledger->arm_count++;
	*ret_arm = fresh;
	return OK;
}

/* The slot of the thing, or the free one where it belongs. */
static size_t slot_of(const struct ledger *ledger, const struct ledger_thing *named)
{
	assert(ledger->slot_count > ledger->thing_count);
	size_t at = named->hash & (ledger->slot_count - 1);
	for (; ledger->slots[at] != 0; at = (at + 1) & (ledger->slot_count - 1)) {
		const struct ledger_thing *one = &ledger->things[ledger->slots[at] - 1];
		if (one->hash == named->hash && one->signal == named->signal &&
		    text_equal(one->key, named->key))
			break;
	}
	return at;
}

void ledger_number(struct ledger *ledger)
{
	if (ledger->slot_count > 0)
		memset(ledger->slots, 0, ledger->slot_count * sizeof *ledger->slots);
	for (size_t i = 0; i < ledger->thing_count; i++)
		ledger->slots[slot_of(ledger, &ledger->things[i])] = (uint32_t)i + 1;
}

static enum status slots_grow(struct ledger *ledger)
{
	size_t count = ledger->slot_count == 0 ? SLOTS_FIRST : 2 * ledger->slot_count;
	uint32_t *slots = realloc(ledger->slots, count * sizeof *slots);
	if (slots == NULL)
		return ENOMEMORY;
	ledger->slots = slots;
	ledger->slot_count = count;
	ledger_number(ledger);
	return OK;
}

static enum status things_grow(struct ledger *ledger)
{
	if (2 * (ledger->thing_count + 1) > ledger->slot_count && slots_grow(ledger) != OK)
		return ENOMEMORY;
	if (ledger->thing_count < ledger->thing_capacity)
		return OK;
	size_t capacity = ledger->thing_capacity == 0 ? CAPACITY_FIRST : 2 * ledger->thing_capacity;
	struct ledger_thing *things = realloc(ledger->things, capacity * sizeof *things);
	if (things == NULL)
		return ENOMEMORY;
	ledger->things = things;
	ledger->thing_capacity = capacity;
	return OK;
}

enum status ledger_thing(struct ledger *ledger, const struct ledger_thing *named, size_t *ret_thing)
{
	if (ledger->slot_count > 0) {
		uint32_t number = ledger->slots[slot_of(ledger, named)];
		if (number != 0) {
			*ret_thing = number - 1;
			return OK;
		}
	}
	struct ledger_thing fresh = {.hash = named->hash, .signal = named->signal};
	enum status status = things_grow(ledger);
	if (status == OK)
		status = tally_own(named->key, &fresh.key);
	if (status != OK)
		return status;
	size_t at = slot_of(ledger, &fresh);
	ledger->things[ledger->thing_count] = fresh;
	*ret_thing = ledger->thing_count++;
	ledger->slots[at] = (uint32_t)ledger->thing_count;
	return OK;
}

static enum status entries_reserve(struct ledger_arm *arm, size_t thing)
{
	if (thing < arm->capacity)
		return OK;
	size_t capacity = arm->ledger->thing_capacity;
	assert(thing < capacity);
	struct ledger_entry **entries =
		realloc(arm->entries, capacity * sizeof(struct ledger_entry *));
	if (entries == NULL)
		return ENOMEMORY;
	memset(entries + arm->capacity, 0,
	       (capacity - arm->capacity) * sizeof(struct ledger_entry *));
	arm->entries = entries;
	arm->capacity = capacity;
	return OK;
}

enum status ledger_entry(struct ledger_arm *arm, size_t thing, struct ledger_entry **ret_entry)
{
	enum status status = entries_reserve(arm, thing);
	if (status != OK)
		return status;
	if (arm->entries[thing] == NULL) {
		struct ledger_entry *entry = malloc(sizeof *entry);
		if (entry == NULL)
			return ENOMEMORY;
		*entry = (struct ledger_entry){.arm = arm,
					       .thing = thing,
					       .met_first_us = INT64_MAX,
					       .met_last_us = INT64_MIN,
					       .shown_first_us = INT64_MAX,
					       .shown_last_us = INT64_MIN,
					       .given.last_us = INT64_MIN};
		struct ledger_thing *named = &arm->ledger->things[thing];
		named->user_count++;
		arm->counts[named->signal] += named->key.size > 0;
		arm->entry_count++;
		arm->ledger->entry_count++;
		arm->entries[thing] = entry;
	}
	*ret_entry = arm->entries[thing];
	return OK;
}

enum status ledger_admit(struct ledger_arm *arm, size_t thing, struct ledger_entry **ret_entry)
{
	const struct ledger_thing *named = &arm->ledger->things[thing];
	bool known = thing < arm->capacity && arm->entries[thing] != NULL;
	enum status status = OK;
	if (!known && named->key.size > 0 && arm->counts[named->signal] == SIGNAL_KEYS_MAX)
		status = ledger_thing(
			arm->ledger,
			&(struct ledger_thing){.hash = named->signal, .signal = named->signal},
			&thing);
	return status == OK ? ledger_entry(arm, thing, ret_entry) : status;
}

void ledger_add(struct ledger_entry *entry, const struct ledger_entry *more)
{
	tally_add(&entry->shown, more->shown);
	tally_add(&entry->kept, more->kept);
	tally_add(&entry->refused, more->refused);
	if (more->met_first_us < entry->met_first_us)
		entry->met_first_us = more->met_first_us;
	if (more->met_last_us > entry->met_last_us)
		entry->met_last_us = more->met_last_us;
	if (more->shown_first_us < entry->shown_first_us)
		entry->shown_first_us = more->shown_first_us;
	if (more->shown_last_us > entry->shown_last_us)
		entry->shown_last_us = more->shown_last_us;
	entry->changed = true;
}

void ledger_note(struct ledger_entry *entry)
{
	struct ledger *ledger = entry->arm->ledger;
	if (entry->is_listed)
		return;
	entry->is_listed = true;
	entry->next_listed = ledger->news;
	ledger->news = entry;
	ledger->news_count++;
}

/* Makes room for a member at a place of a set of places; the last one may fall out. */
static uint32_t places_insert(uint32_t places, size_t at, size_t max)
{
	uint32_t below = (UINT32_C(1) << at) - 1;
	uint32_t all = (UINT32_C(1) << max) - 1;
	return ((places & below) | ((places & ~below) << 1) | UINT32_C(1) << at) & all;
}

static enum status proof_of(struct ledger_entry *entry, struct ledger_proof **ret_proof)
{
	if (entry->proof == NULL)
		entry->proof = calloc(1, sizeof *entry->proof);
	*ret_proof = entry->proof;
	return entry->proof == NULL ? ENOMEMORY : OK;
}

enum status ledger_principal(struct ledger_entry *entry, uint64_t principal)
{
	static_assert(SIGNAL_PRINCIPALS_MAX < 32 && COHORT_EVIDENCE_MAX < 32);
	struct ledger_proof *proof = NULL;
	if (principal == 0)
		return OK;
	enum status status = proof_of(entry, &proof);
	if (status != OK)
		return status;
	size_t at = proof->principal_count;
	while (at > 0 && proof->principals[at - 1] > principal)
		at--;
	if ((at > 0 && proof->principals[at - 1] == principal) || at == SIGNAL_PRINCIPALS_MAX)
		return OK;
	proof->principal_count += proof->principal_count < SIGNAL_PRINCIPALS_MAX;
	memmove(proof->principals + at + 1, proof->principals + at,
		(proof->principal_count - at - 1) * sizeof *proof->principals);
	proof->principals[at] = principal;
	proof->new_principals = places_insert(proof->new_principals, at, SIGNAL_PRINCIPALS_MAX);
	return OK;
}

static enum status topic_own(struct ledger *ledger, struct text topic, struct text *ret_topic)
{
	for (size_t i = 0; i < ledger->topic_count; i++)
		if (text_equal(ledger->topics[i], topic)) {
			*ret_topic = ledger->topics[i];
			return OK;
		}
	struct text *topics = realloc(ledger->topics, (ledger->topic_count + 1) * sizeof *topics);
	if (topics == NULL)
		return ENOMEMORY;
	ledger->topics = topics;
	enum status status = tally_own(topic, &topics[ledger->topic_count]);
	if (status == OK)
		*ret_topic = topics[ledger->topic_count++];
	return status;
}

/* Is the event before the one in that place? */
static bool is_before(const struct ledger_proof *proof, size_t place, int64_t time_us,
		      const struct origin *origin)
{
	if (proof->evidence_us[place] != time_us)
		return time_us < proof->evidence_us[place];
	return origin_compare(origin, &proof->evidence[place]) < 0;
}

enum status ledger_evidence(struct ledger_entry *entry, int64_t time_us,
			    const struct origin *origin)
{
	struct ledger_proof *proof = NULL;
	enum status status = proof_of(entry, &proof);
	if (status != OK)
		return status;
	size_t at = proof->evidence_count;
	while (at > 0 && is_before(proof, at - 1, time_us, origin))
		at--;
	if (at == COHORT_EVIDENCE_MAX)
		return OK;
	struct origin copy = *origin;
	status = topic_own(entry->arm->ledger, origin->topic, &copy.topic);
	if (status != OK)
		return status;
	proof->evidence_count += proof->evidence_count < COHORT_EVIDENCE_MAX;
	size_t behind = proof->evidence_count - at - 1;
	memmove(proof->evidence + at + 1, proof->evidence + at, behind * sizeof *proof->evidence);
	memmove(proof->evidence_us + at + 1, proof->evidence_us + at,
		behind * sizeof *proof->evidence_us);
	proof->evidence[at] = copy;
	proof->evidence_us[at] = time_us;
	proof->new_evidence = places_insert(proof->new_evidence, at, COHORT_EVIDENCE_MAX);
	return OK;
}
