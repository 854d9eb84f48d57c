#include "correlate/tally_private.h"

#include <assert.h>
#include <stdlib.h>

#include <xxhash.h>

/* Checkpoint of one virtual partition: u8 VERSION, signed watermark, items (tally_codec.c) in the
 * order of their keys. The watermark belongs to it: without it a late request would open a closed
 * bucket again after a restart. */
enum { VERSION = 4 };

static const size_t CHANGES_BYTES_MAX = (size_t)1 << 30;

/* An instance is given out again when its heartbeat moved by this much, not once per epoch: the
 * gate looks at twice policy.max_lag, a minute. */
static const int64_t HEARTBEAT_STEP_US = COHORT_BUCKET_US;

struct cohort {
	unsigned index, actor_count;
	int64_t watermark_us; /* INT64_MIN: none yet */
	struct tally tally;
	struct tally ledgers;    /* apart: forgetting walks over one or the other */
	struct tally_node *open; /* every bucket that is not closed yet */
	struct tally_node *due;  /* instances and findings that the end of this epoch gives out */
	struct ledger_entry *due_entries; /* the same of traits */
	struct arena *arena;              /* of the changes */
	struct cohort_changes changes;
	struct bytes scratch;
};

enum status cohort_new(unsigned index, unsigned actor_count, struct cohort **ret_cohort,
		       struct error *err)
{
	assert(actor_count > 0 && index < actor_count);
	struct cohort *cohort cleanup(cohort_free) = calloc(1, sizeof *cohort);
	if (cohort != NULL)
		cohort->arena = arena_new(CHANGES_BYTES_MAX);
	if (cohort == NULL || cohort->arena == NULL)
		return error_set(err, ENOMEMORY, "cohort: out of memory");
	cohort->index = index;
	cohort->actor_count = actor_count;
	cohort->watermark_us = INT64_MIN;
	*ret_cohort = TAKE(cohort);
	return OK;
}

void cohort_free(struct cohort **cohort)
{
	if (*cohort == NULL)
		return;
	tally_done(&(*cohort)->tally);
	tally_done(&(*cohort)->ledgers);
	arena_free(&(*cohort)->arena);
	bytes_done(&(*cohort)->scratch);
	free(*cohort);
	*cohort = NULL;
}

static void changes_clear(struct cohort *cohort)
{
	cohort->changes = (struct cohort_changes){0};
	arena_reset(cohort->arena);
}

/* True when the bucket that starts then is closed at the watermark. */
static bool is_closed(const struct cohort *cohort, int64_t start_us)
{
	return cohort->watermark_us >= INT64_MIN + COHORT_BUCKET_US &&
	       start_us <= cohort->watermark_us - COHORT_BUCKET_US;
}

/* Late requests are not added to what was closed; the next bucket of the service tells them. */
static enum status merge_late(struct cohort *cohort, const struct tally_item *item)
{
	struct tally_node *late = NULL;
	enum status status = roster_own_node(&cohort->tally, item->place, TALLY_LATE, 1, &late);
	if (status == OK)
		tally_add(&late->late.count, tally_item_requests(item));
	return status;
}

static bool item_is_late(const struct cohort *cohort, const struct tally_item *item)
{
	struct cursor cursor = cursor_of(item->place.key);
	if (cursor_u8(&cursor) != TALLY_BUCKET)
		return false;
	(void)cursor_text(&cursor);
	int64_t start_us = cursor_signed(&cursor);
	return !cursor.failed && is_closed(cohort, start_us);
}

/* Nothing becomes due but by what is merged into it, and what is due stays so. */
static bool is_due(const struct tally_node *node)
{
	if (node->kind == TALLY_INSTANCE)
		return node->given_last_us == INT64_MIN ||
		       node->instance.last_us - node->given_last_us >= HEARTBEAT_STEP_US;
	return node->kind == TALLY_FINDING;
}

static void list_due(struct cohort *cohort, struct tally_node *node)
{
	struct tally_node **list = node->kind == TALLY_BUCKET ? &cohort->open : &cohort->due;
	if (node->is_due)
		return;
	node->is_due = true;
	node->next_due = *list;
	*list = node;
}

static void list_entry(struct cohort *cohort, struct ledger_entry *entry)
{
	if (entry->is_listed)
		return;
	entry->is_listed = true;
	entry->next_listed = cohort->due_entries;
	cohort->due_entries = entry;
}

static void entry_merged(void *state, struct ledger_entry *entry)
{
	if (ledger_is_due(entry))
		list_entry(state, entry);
}

/* What a checkpoint knows was given out but for its newest counts: those come with the next step.
 */
static void entry_restored(void *state, struct ledger_entry *entry)
{
	(void)state;
	ledger_given(entry);
	entry->changed = true;
}

static enum status merge(struct cohort *cohort, const struct tally_item *item,
			 void (*visit)(void *state, struct ledger_entry *entry), struct error *err)
{
	char kind = item->place.key.data[0];
	if (kind == TALLY_INSTANCE) {
		enum status status = roster_admit_instance(&cohort->tally, item);
		if (status != OK)
			return status == ELIMIT ? OK : error_set(err, status, "cohort");
	}
	struct tally_node *node = NULL;
	const struct ledger_visitor visitor = {visit, cohort};
	struct tally *tally = kind == TALLY_LEDGER ? &cohort->ledgers : &cohort->tally;
	enum status status = tally_item_merge(tally, item, &visitor, &node, err);
	if (status == OK && (kind == TALLY_BUCKET || is_due(node)))
		list_due(cohort, node);
	return status;
}

enum status cohort_feed(struct cohort *cohort, struct text aggregates, struct error *err)
{
	changes_clear(cohort);
	struct cursor from = cursor_of(aggregates);
	while (cursor_left(&from) > 0) {
		struct tally_item item = {0};
		enum status status = tally_item_next(&from, &item, err);
		if (status != OK)
			return status;
		if (item.place.virtual_partition % cohort->actor_count != cohort->index)
			continue;
		if (!item_is_late(cohort, &item))
			status = merge(cohort, &item, entry_merged, err);
		else if (merge_late(cohort, &item) != OK)
			status = error_set(err, ENOMEMORY, "cohort: out of memory");
		if (status != OK)
			return status;
	}
	return OK;
}

static bool is_taken(const struct cohort *cohort, const struct tally_node *node,
		     enum tally_kind kind)
{
	return node->kind == kind &&
	       (kind != TALLY_BUCKET || is_closed(cohort, node->bucket.start_us));
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

static int by_key(const void *left, const void *right)
{
	const struct tally_node *a = *(struct tally_node *const *)left;
	const struct tally_node *b = *(struct tally_node *const *)right;
	return text_compare(a->key, b->key);
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
		      kind == TALLY_BUCKET ? by_service_and_start : by_key);
	*ret_chosen = chosen;
	return OK;
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
						cohort->arena, &bucket);
	for (size_t i = first + own; i < end && status == OK; i++)
		status = tally_bucket_close(&chosen->nodes[i]->bucket, cohort->arena,
					    &rules[i - first - own]);
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
			list_due(cohort, node);
	for (node = cohort->ledgers.nodes; node != NULL; node = node->hh.next)
		for (size_t i = 0; i < node->ledger->arm_count; i++) {
			const struct ledger_arm *arm = node->ledger->arms[i];
			for (size_t k = 0; k < arm->capacity; k++)
				if (arm->entries[k] != NULL && arm->entries[k]->changed)
					list_entry(cohort, arm->entries[k]);
		}
}

enum status cohort_close(struct cohort *cohort, int64_t watermark_us, struct error *err)
{
	int64_t before_us = cohort->watermark_us;
	changes_clear(cohort);
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

static size_t nodes_of(const struct tally *tally, uint8_t virtual_partition,
		       struct tally_node **nodes)
{
	size_t count = 0;
	struct tally_node *node = NULL;
	for (node = tally->partitions[virtual_partition]; node != NULL; node = node->next) {
		if (nodes != NULL)
			nodes[count] = node;
		count++;
	}
	return count;
}

enum status cohort_checkpoint(const struct cohort *cohort, uint8_t virtual_partition,
			      struct bytes *to)
{
	size_t count = nodes_of(&cohort->tally, virtual_partition, NULL) +
		       nodes_of(&cohort->ledgers, virtual_partition, NULL);
	if (count == 0 && cohort->watermark_us == INT64_MIN)
		return OK;
	struct tally_node **nodes = calloc(count + 1, sizeof(struct tally_node *));
	if (nodes == NULL)
		return ENOMEMORY;
	size_t at = nodes_of(&cohort->tally, virtual_partition, nodes);
	(void)nodes_of(&cohort->ledgers, virtual_partition, nodes + at);
	qsort(nodes, count, sizeof(struct tally_node *), by_key);
	bytes_put_u8(to, VERSION);
	bytes_put_signed(to, cohort->watermark_us);
	struct bytes item cleanup(bytes_done) = {0};
	for (size_t i = 0; i < count; i++)
		tally_node_encode(nodes[i], LEDGER_ALL, &item, to);
	free(nodes);
	return bytes_status(to);
}

enum status cohort_restore(struct cohort *cohort, struct text checkpoint, struct error *err)
{
	if (checkpoint.size == 0)
		return OK;
	struct cursor from = cursor_of(checkpoint);
	uint8_t version = cursor_u8(&from);
	if (version != VERSION)
		return error_set(err, ECORRUPT,
				 "a checkpoint of the gate has version %u, and this picket reads "
				 "version %u",
				 version, VERSION);
	int64_t watermark_us = cursor_signed(&from);
	if (from.failed)
		return error_set(err, ECORRUPT, "cohort: a checkpoint without its watermark");
	enum status status = OK;
	while (cursor_left(&from) > 0 && status == OK) {
		struct tally_item item = {0};
		status = tally_item_next(&from, &item, err);
		if (status == OK &&
		    item.place.virtual_partition % cohort->actor_count == cohort->index)
			status = merge(cohort, &item, entry_restored, err);
	}
	if (status == OK && watermark_us > cohort->watermark_us)
		cohort->watermark_us = watermark_us;
	return status;
}
