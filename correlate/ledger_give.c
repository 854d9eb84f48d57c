#include "correlate/ledger_private.h"

#include <assert.h>
#include <stdlib.h>

/* What a cohort gives out of its ledgers, and what it forgets. */

/* A trait that was given out is given out again after the first of these when somebody new saw it
 * or it was seen twice as often, for its other counts after the second: rows of large counts that
 * grew a little were most of what a busy service wrote. */
static const int64_t GROWN_STEP_US = COHORT_BUCKET_US;
static const int64_t COUNTED_STEP_US = 6 * COHORT_BUCKET_US;

static uint64_t sightings_of(const struct ledger_entry *entry)
{
	return entry->shown + entry->kept + entry->refused;
}

static unsigned principals_of(const struct ledger_entry *entry)
{
	return entry->proof == NULL ? 0 : entry->proof->principal_count;
}

/* The first time it was shown must be told at once, the counts behind it in steps. */
bool ledger_is_due(const struct ledger_entry *entry)
{
	if (entry->given.last_us == INT64_MIN || (entry->given.shown == 0 && entry->shown > 0))
		return true;
	int64_t moved_us = entry->met_last_us - entry->given.last_us;
	bool grown = sightings_of(entry) >= 2 * entry->given.sightings ||
		     principals_of(entry) != entry->given.principals;
	return (grown && moved_us >= GROWN_STEP_US) || moved_us >= COUNTED_STEP_US;
}

struct trait ledger_trait(const struct ledger_entry *entry)
{
	const struct ledger_arm *arm = entry->arm;
	const struct ledger_thing *thing = &arm->ledger->things[entry->thing];
	const struct ledger_proof *proof = entry->proof;
	struct trait trait = {.signal = thing->signal,
			      .shown = {.service = arm->ledger->service,
					.arm = arm->arm,
					.rule_key = thing->key,
					.count = entry->shown,
					.first_us = entry->shown_first_us,
					.last_us = entry->shown_last_us},
			      .kept = entry->kept,
			      .refused = entry->refused,
			      .met_first_us = entry->met_first_us,
			      .met_last_us = entry->met_last_us};
	if (proof != NULL) {
		trait.principal_count = proof->principal_count;
		trait.shown.evidence_count = proof->evidence_count;
		memcpy(trait.principals, proof->principals, sizeof trait.principals);
		memcpy(trait.shown.evidence, proof->evidence, sizeof trait.shown.evidence);
		memcpy(trait.shown.evidence_us, proof->evidence_us, sizeof trait.shown.evidence_us);
	}
	return trait;
}

void ledger_given(struct ledger_entry *entry)
{
	entry->given.last_us = entry->met_last_us;
	entry->given.shown = entry->shown;
	entry->given.sightings = sightings_of(entry);
	entry->given.principals = principals_of(entry);
	entry->changed = entry->is_listed = false;
}

int ledger_order(const struct ledger_entry *a, const struct ledger_entry *b)
{
	const struct ledger_thing *left = &a->arm->ledger->things[a->thing];
	const struct ledger_thing *right = &b->arm->ledger->things[b->thing];
	int order = text_compare(a->arm->ledger->service, b->arm->ledger->service);
	if (order == 0)
		order = text_compare(a->arm->arm.version, b->arm->arm.version);
	if (order == 0)
		order = text_compare(a->arm->arm.deploy_id, b->arm->arm.deploy_id);
	if (order == 0)
		order = (left->signal > right->signal) - (left->signal < right->signal);
	return order != 0 ? order : text_compare(left->key, right->key);
}

static void entry_forget(struct ledger_arm *arm, size_t thing)
{
	struct ledger_thing *named = &arm->ledger->things[thing];
	assert(named->user_count > 0 && arm->ledger->entry_count > 0);
	named->user_count--;
	arm->counts[named->signal] -= named->key.size > 0;
	arm->entry_count--;
	arm->ledger->entry_count--;
	free(arm->entries[thing]->proof);
	free(arm->entries[thing]);
	arm->entries[thing] = NULL;
}

/* True when the arm has nothing left. */
static bool arm_forget(struct ledger_arm *arm, int64_t since_us)
{
	for (size_t i = 0; i < arm->capacity; i++) {
		const struct ledger_entry *entry = arm->entries[i];
		if (entry != NULL && !entry->is_listed && entry->met_last_us <= since_us)
			entry_forget(arm, i);
	}
	return arm->entry_count == 0;
}

/* Things that nobody does any more lose their number: those behind them move up. */
static void things_compact(struct ledger *ledger)
{
	size_t kept = 0;
	for (size_t i = 0; i < ledger->thing_count; i++) {
		if (ledger->things[i].user_count == 0) {
			free((char *)ledger->things[i].key.data);
			continue;
		}
		for (size_t k = 0; k < ledger->arm_count && kept < i; k++) {
			struct ledger_arm *arm = ledger->arms[k];
			if (i >= arm->capacity)
				continue;
			arm->entries[kept] = arm->entries[i];
			arm->entries[i] = NULL;
			if (arm->entries[kept] != NULL)
				arm->entries[kept]->thing = kept;
		}
		ledger->things[kept++] = ledger->things[i];
	}
	ledger->thing_count = kept;
	ledger_number(ledger);
}

void ledger_forget(struct ledger *ledger, int64_t since_us)
{
	size_t kept = 0;
	size_t unused = 0;
	for (size_t i = 0; i < ledger->arm_count; i++)
		if (arm_forget(ledger->arms[i], since_us))
			ledger_arm_free(ledger->arms[i]);
		else
			ledger->arms[kept++] = ledger->arms[i];
	ledger->arm_count = kept;
	for (size_t i = 0; i < ledger->thing_count; i++)
		unused += ledger->things[i].user_count == 0;
	if (2 * unused > ledger->thing_count)
		things_compact(ledger);
}
