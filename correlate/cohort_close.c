/* What the end of an epoch gives out: buckets that the watermark has passed, and the findings,
 * instances and traits that changed enough. */
#include "correlate/cohort_private.h"

#include <assert.h>
#include <stdlib.h>

#include <xxhash.h>

static bool is_taken(const struct cohort *cohort, const struct tally_node *node,
		     enum tally_kind kind)
{
	return node->kind == kind &&
	       (kind != TALLY_BUCKET || cohort_is_closed(cohort, node->bucket.start_us));
}

struct chosen {
	struct tally_node **nodes;
	size_t count;
};

static int by_service_and_start(const void *left, const void *right)
{
	const struct tally_bucket *a = &(*(struct tally_node *const *)left)->bucket;
	const struct tally_bucket *b = &(*(struct tally_node *const *)right)->bucket;
	int by_service = text_compare(a->service, b->service);
	if (by_service != 0)
		return by_service;
	if (a->start_us != b->start_us)
		return a->start_us < b->start_us ? -1 : 1;
	return text_compare(a->rule, b->rule); /* the service's own first */
}

/* The late or roster node of these names, or NULL. */
static struct tally_node *own_find(struct cohort *cohort, enum tally_kind kind,
				   const struct text *names, size_t name_count)
{
	struct bytes *key = &cohort->scratch;
	bytes_clear(key);
	tally_key(kind, names, name_count, key);
	if (key->failed)
		return NULL;
	struct tally_place place = {bytes_text(key), XXH3_64bits(key->data, key->size), 0};
	return tally_find(&cohort->tally, &place);
}

/* What else belongs on a bucket of this service: late requests, and a roster that overflowed. */
static void bucket_annotate(struct cohort *cohort, struct bucket *bucket)
{
	struct tally_node *late = own_find(cohort, TALLY_LATE, &bucket->service, 1);
	if (late != NULL) {
		tally_add(&bucket->late, late->late.count);
		tally_remove(&cohort->tally, late);
	}
	for (size_t i = 0; i < bucket->arm_count; i++) {
		const struct arm *arm = &bucket->arms[i].arm;
		struct text names[] = {bucket->service, arm->version, arm->deploy_id};
		struct tally_node *roster =
			own_find(cohort, TALLY_ROSTER, names, sizeof names / sizeof *names);
		if (roster != NULL && roster->roster.refused)
			bucket->flags |= BUCKET_DEGRADED;
	}
}

/* Takes the nodes of a kind out of a list, of buckets only the closed ones: an array in the arena.
 */
static enum status take_due(struct cohort *cohort, enum tally_kind kind, struct chosen *ret_chosen)
{
	struct tally_node **list = kind == TALLY_BUCKET ? &cohort->open : &cohort->due;
	struct chosen chosen = {0};
	for (const struct tally_node *node = *list; node != NULL; node = node->next_due)
		chosen.count += is_taken(cohort, node, kind);
	chosen.nodes = arena_alloc(cohort->arena, chosen.count * sizeof(struct tally_node *));
	if (chosen.nodes == NULL)
		return ENOMEMORY;
	size_t at = 0;
	for (struct tally_node **link = list; *link != NULL;) {
		struct tally_node *node = *link;
		if (!is_taken(cohort, node, kind)) {
			link = &node->next_due;
			continue;
		}
		*link = node->next_due;
		node->is_due = node->changed = false;
		chosen.nodes[at++] = node;
	}
	if (chosen.count > 1)
		qsort(chosen.nodes, chosen.count, sizeof(struct tally_node *),
		      kind == TALLY_BUCKET ? by_service_and_start : cohort_by_key);
	*ret_chosen = chosen;
	return OK;
}

/* Who was known to the service before the bucket; NULL: nobody. */
static struct tally_known *known_of(struct cohort *cohort, const struct tally_bucket *bucket)
{
	struct tally_node *node = own_find(cohort, TALLY_KNOWN, &bucket->service, 1);
	if (node == NULL)
		return NULL;
	known_turn(&node->known, bucket->start_us);
	return &node->known;
}

/* Whom the next buckets will know by this one. */
static enum status learn(struct cohort *cohort, struct tally_node *bucket)
{
	struct tally_node *node = NULL;
	struct tally_place place = {.key = bucket->key,
				    .virtual_partition = bucket->virtual_partition};
	if (bucket->bucket.known.count == 0)
		return OK;
	enum status status = roster_own_node(&cohort->tally, place, TALLY_KNOWN, 1, &node);
	if (status == OK)
		status = known_learn(&node->known, bucket->bucket.start_us, &bucket->bucket.known);
	return status;
}

/* The bucket of a service and, behind it, those of its rules, from *at on; a service of which only
 * rules counted something has an empty one. */
static enum status close_service(struct cohort *cohort, const struct chosen *chosen, size_t *at,
				 struct bucket *ret_bucket)
{
	size_t first = *at;
	const struct tally_bucket *head = &chosen->nodes[first]->bucket;
	size_t end = first + 1;
	while (end < chosen->count && chosen->nodes[end]->bucket.start_us == head->start_us &&
	       text_equal(chosen->nodes[end]->bucket.service, head->service))
		end++;
	size_t own = head->rule.size == 0 ? 1 : 0;
	struct tally_bucket empty = {.service = head->service, .start_us = head->start_us};
	struct bucket *rules = arena_alloc(cohort->arena, (end - first) * sizeof *rules);
	if (rules == NULL)
		return ENOMEMORY;
	struct bucket bucket;
	enum status status = tally_bucket_close(own ? &chosen->nodes[first]->bucket : &empty,
						known_of(cohort, head), cohort->arena, &bucket);
	for (size_t i = first + own; i < end && status == OK; i++)
		status = tally_bucket_close(&chosen->nodes[i]->bucket, NULL, cohort->arena,
					    &rules[i - first - own]);
	if (status == OK && own)
		status = learn(cohort, chosen->nodes[first]);
	if (status != OK)
		return status;
	bucket.rules = rules;
	bucket.rule_count = end - first - own;
	bucket_annotate(cohort, &bucket);
	*ret_bucket = bucket;
	*at = end;
	return OK;
}

static enum status close_buckets(struct cohort *cohort)
{
	struct chosen chosen = {0};
	enum status status = take_due(cohort, TALLY_BUCKET, &chosen);
	if (status != OK)
		return status;
	struct bucket *buckets = arena_alloc(cohort->arena, chosen.count * sizeof *buckets);
	if (buckets == NULL)
		return ENOMEMORY;
	size_t count = 0;
	for (size_t i = 0; i < chosen.count && status == OK; count++)
		status = close_service(cohort, &chosen, &i, &buckets[count]);
	for (size_t i = 0; i < chosen.count && status == OK; i++)
		tally_remove(&cohort->tally, chosen.nodes[i]);
	if (status != OK)
		return status;
	cohort->changes.buckets = buckets;
	cohort->changes.bucket_count = count;
	return OK;
}

static enum status give_findings(struct cohort *cohort)
{
	struct chosen chosen = {0};
	enum status status = take_due(cohort, TALLY_FINDING, &chosen);
	if (status != OK)
		return status;
	struct finding *findings = arena_alloc(cohort->arena, chosen.count * sizeof *findings);
	if (findings == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < chosen.count; i++)
		findings[i] = *chosen.nodes[i]->finding;
	cohort->changes.findings = findings;
	cohort->changes.finding_count = chosen.count;
	return OK;
}

static enum status give_instances(struct cohort *cohort)
{
	struct chosen chosen = {0};
	enum status status = take_due(cohort, TALLY_INSTANCE, &chosen);
	if (status != OK)
		return status;
	struct instance *instances = arena_alloc(cohort->arena, chosen.count * sizeof *instances);
	if (instances == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < chosen.count; i++) {
		instances[i] = chosen.nodes[i]->instance;
		chosen.nodes[i]->given_last_us = instances[i].last_us;
	}
	cohort->changes.instances = instances;
	cohort->changes.instance_count = chosen.count;
	return OK;
}

static int by_names(const void *left, const void *right)
{
	return ledger_order(*(struct ledger_entry *const *)left,
			    *(struct ledger_entry *const *)right);
}

static enum status give_traits(struct cohort *cohort)
{
	size_t count = 0;
	for (const struct ledger_entry *one = cohort->due_entries; one != NULL;
	     one = one->next_listed)
		count++;
	struct ledger_entry **due =
		arena_alloc(cohort->arena, count * sizeof(struct ledger_entry *));
	if (due == NULL)
		return ENOMEMORY;
	size_t at = 0;
	for (struct ledger_entry *one = cohort->due_entries; one != NULL; one = one->next_listed)
		due[at++] = one;
	if (count > 1)
		qsort(due, count, sizeof(struct ledger_entry *), by_names);
	for (size_t i = 0; i < count; i++)
		ledger_given(due[i]);
	cohort->due_entries = NULL;
	cohort->changes.entries = due;
	cohort->changes.trait_count = count;
	return OK;
}

/* At the end of all input nothing waits for its next step. */
static void list_all(struct cohort *cohort)
{
	struct tally_node *node = NULL;
	for (node = cohort->tally.nodes; node != NULL; node = node->hh.next)
		if (node->changed && (node->kind == TALLY_INSTANCE || node->kind == TALLY_FINDING))
			cohort_list(cohort, node);
	for (node = cohort->ledgers.nodes; node != NULL; node = node->hh.next)
		for (size_t i = 0; i < node->ledger->arm_count; i++) {
			const struct ledger_arm *arm = node->ledger->arms[i];
			for (size_t k = 0; k < arm->capacity; k++)
				if (arm->entries[k] != NULL && arm->entries[k]->changed)
					cohort_list_entry(cohort, arm->entries[k]);
		}
}

enum status cohort_close(struct cohort *cohort, int64_t watermark_us, struct error *err)
{
	int64_t before_us = cohort->watermark_us;
	cohort_clear(cohort);
	if (watermark_us > cohort->watermark_us)
		cohort->watermark_us = watermark_us;
	if (cohort->watermark_us == INT64_MAX)
		list_all(cohort);
	enum status status = close_buckets(cohort);
	if (status == OK)
		status = give_findings(cohort);
	if (status == OK)
		status = roster_forget(&cohort->tally, &cohort->ledgers, before_us,
				       cohort->watermark_us);
	if (status == OK)
		status = give_instances(cohort);
	if (status == OK)
		status = give_traits(cohort);
	return status == OK ? OK : error_set(err, status, "cohort: out of memory");
}

struct cohort_changes cohort_changes(const struct cohort *cohort)
{
	return cohort->changes;
}

struct trait cohort_trait(const struct cohort_changes *changes, size_t i)
{
	assert(i < changes->trait_count);
	return ledger_trait(changes->entries[i]);
}
