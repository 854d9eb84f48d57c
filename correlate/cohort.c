#include "correlate/cohort_private.h"

#include <assert.h>
#include <stdlib.h>

/* Checkpoint of one virtual partition: u8 VERSION, signed watermark, items (tally_codec.c) in the
 * order of their keys. The watermark belongs to it: without it a late request would open a closed
 * bucket again after a restart. */
enum { VERSION = 5 };

static const size_t CHANGES_BYTES_MAX = (size_t)1 << 30;

/* An instance is given out again when its heartbeat moved by this much, not once per epoch: the
 * gate looks at twice policy.max_lag, a minute. */
static const int64_t HEARTBEAT_STEP_US = COHORT_BUCKET_US;

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

void cohort_clear(struct cohort *cohort)
{
	cohort->changes = (struct cohort_changes){0};
	arena_reset(cohort->arena);
}

bool cohort_is_closed(const struct cohort *cohort, int64_t start_us)
{
	return cohort->watermark_us >= INT64_MIN + COHORT_BUCKET_US &&
	       start_us <= cohort->watermark_us - COHORT_BUCKET_US;
}

void cohort_list(struct cohort *cohort, struct tally_node *node)
{
	struct tally_node **list = node->kind == TALLY_BUCKET ? &cohort->open : &cohort->due;
	if (node->is_due)
		return;
	node->is_due = true;
	node->next_due = *list;
	*list = node;
}

void cohort_list_entry(struct cohort *cohort, struct ledger_entry *entry)
{
	if (entry->is_listed)
		return;
	entry->is_listed = true;
	entry->next_listed = cohort->due_entries;
	cohort->due_entries = entry;
}

int cohort_by_key(const void *left, const void *right)
{
	const struct tally_node *a = *(struct tally_node *const *)left;
	const struct tally_node *b = *(struct tally_node *const *)right;
	return text_compare(a->key, b->key);
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
	return !cursor.failed && cohort_is_closed(cohort, start_us);
}

/* Nothing becomes due but by what is merged into it, and what is due stays so. */
static bool is_due(const struct tally_node *node)
{
	if (node->kind == TALLY_INSTANCE)
		return node->given_last_us == INT64_MIN ||
		       node->instance.last_us - node->given_last_us >= HEARTBEAT_STEP_US;
	return node->kind == TALLY_FINDING;
}

static void entry_merged(void *state, struct ledger_entry *entry)
{
	if (ledger_is_due(entry))
		cohort_list_entry(state, entry);
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
		cohort_list(cohort, node);
	return status;
}

enum status cohort_feed(struct cohort *cohort, struct text aggregates, struct error *err)
{
	cohort_clear(cohort);
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
	qsort(nodes, count, sizeof(struct tally_node *), cohort_by_key);
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
