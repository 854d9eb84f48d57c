#include "correlate/tally_private.h"

#include <assert.h>
#include <stdlib.h>

#include <xxhash.h>

/* Checkpoint of one virtual partition: u8 VERSION, signed watermark, items (tally_codec.c) in the
 * order of their keys. The watermark belongs to it: without it a late request would open a closed
 * bucket again after a restart. */
enum { VERSION = 3 };

static const size_t CHANGES_BYTES_MAX = (size_t)1 << 30;

/* An instance is given out again when its heartbeat moved by this much, not once per epoch: the
 * gate looks at tens of seconds. */
static const int64_t HEARTBEAT_STEP_US = 1000000;

/* A trait that was shown before is given out again after this much, for its counts. */
static const int64_t TRAIT_STEP_US = COHORT_BUCKET_US;

struct cohort {
	unsigned index, actor_count;
	int64_t watermark_us; /* INT64_MIN: none yet */
	struct tally tally;
	struct tally traits; /* apart: there are many, and few of them change in an epoch */
	struct arena *arena; /* of the changes */
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
	cohort->traits.forgotten_us = INT64_MIN / 2;
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
	tally_done(&(*cohort)->traits);
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

static enum status merge(struct cohort *cohort, const struct tally_item *item, struct error *err)
{
	if (item->place.key.data[0] == TALLY_INSTANCE) {
		enum status status = roster_admit_instance(&cohort->tally, item);
		if (status != OK)
			return status == ELIMIT ? OK : error_set(err, status, "cohort");
	}
	struct tally_node *node = NULL;
	bool is_trait = item->place.key.data[0] == TALLY_TRAIT;
	struct tally_item placed = *item;
	struct bytes other cleanup(bytes_done) = {0};
	if (is_trait && roster_admit_trait(&cohort->tally, &cohort->traits, &placed, &other) != OK)
		return error_set(err, ENOMEMORY, "cohort: out of memory");
	return tally_item_merge(is_trait ? &cohort->traits : &cohort->tally, &placed, &node, err);
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
			status = merge(cohort, &item, err);
		else if (merge_late(cohort, &item) != OK)
			status = error_set(err, ENOMEMORY, "cohort: out of memory");
		if (status != OK)
			return status;
	}
	return OK;
}

/* Nodes that pass a test, in the order of a comparison; the array lives in the arena. */
struct chosen {
	struct tally_node **nodes;
	size_t count;
};

typedef bool choose(const struct cohort *cohort, const struct tally_node *node);
typedef int order(const void *left, const void *right);

static enum status choose_nodes(struct cohort *cohort, choose *wanted, order *compare,
				struct chosen *ret_chosen)
{
	struct chosen chosen = {0};
	struct tally_node *node = NULL;
	for (node = cohort->tally.nodes; node != NULL; node = node->hh.next)
		chosen.count += wanted(cohort, node);
	chosen.nodes = arena_alloc(cohort->arena, chosen.count * sizeof(struct tally_node *));
	if (chosen.nodes == NULL)
		return ENOMEMORY;
	size_t at = 0;
	for (node = cohort->tally.nodes; node != NULL; node = node->hh.next)
		if (wanted(cohort, node))
			chosen.nodes[at++] = node;
	if (chosen.count > 1)
		qsort(chosen.nodes, chosen.count, sizeof(struct tally_node *), compare);
	*ret_chosen = chosen;
	return OK;
}

static bool bucket_is_due(const struct cohort *cohort, const struct tally_node *node)
{
	return node->kind == TALLY_BUCKET && is_closed(cohort, node->bucket.start_us);
}

static bool finding_is_due(const struct cohort *cohort, const struct tally_node *node)
{
	(void)cohort;
	return node->kind == TALLY_FINDING && node->changed;
}

static bool instance_is_due(const struct cohort *cohort, const struct tally_node *node)
{
	return node->kind == TALLY_INSTANCE && node->changed &&
	       (node->given_last_us == INT64_MIN || cohort->watermark_us == INT64_MAX ||
		node->instance.last_us - node->given_last_us >= HEARTBEAT_STEP_US);
}

/* The first time it was shown must be told at once, the counts behind it in steps. */
static bool trait_is_due(const struct cohort *cohort, const struct tally_node *node)
{
	return node->changed &&
	       (node->given_last_us == INT64_MIN || cohort->watermark_us == INT64_MAX ||
		node->given_shown != (node->trait->shown.count > 0) ||
		node->trait->met_last_us - node->given_last_us >= TRAIT_STEP_US);
}

static int by_service_and_start(const void *left, const void *right)
{
	const struct tally_bucket *a = &(*(struct tally_node *const *)left)->bucket;
	const struct tally_bucket *b = &(*(struct tally_node *const *)right)->bucket;
	int by_service = text_compare(a->service, b->service);
	if (by_service != 0)
		return by_service;
	return (a->start_us > b->start_us) - (a->start_us < b->start_us);
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

static enum status close_buckets(struct cohort *cohort)
{
	struct chosen chosen = {0};
	enum status status = choose_nodes(cohort, bucket_is_due, by_service_and_start, &chosen);
	if (status != OK)
		return status;
	struct bucket *buckets = arena_alloc(cohort->arena, chosen.count * sizeof *buckets);
	if (buckets == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < chosen.count && status == OK; i++)
		status = tally_bucket_close(&chosen.nodes[i]->bucket, cohort->arena, &buckets[i]);
	if (status != OK)
		return status;
	for (size_t i = 0; i < chosen.count; i++) {
		bucket_annotate(cohort, &buckets[i]);
		tally_remove(&cohort->tally, chosen.nodes[i]);
	}
	cohort->changes.buckets = buckets;
	cohort->changes.bucket_count = chosen.count;
	return OK;
}

static enum status give_findings(struct cohort *cohort)
{
	struct chosen chosen = {0};
	enum status status = choose_nodes(cohort, finding_is_due, by_key, &chosen);
	if (status != OK)
		return status;
	struct finding *findings = arena_alloc(cohort->arena, chosen.count * sizeof *findings);
	if (findings == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < chosen.count; i++) {
		findings[i] = *chosen.nodes[i]->finding;
		chosen.nodes[i]->changed = false;
	}
	cohort->changes.findings = findings;
	cohort->changes.finding_count = chosen.count;
	return OK;
}

static enum status give_instances(struct cohort *cohort)
{
	struct chosen chosen = {0};
	enum status status = choose_nodes(cohort, instance_is_due, by_key, &chosen);
	if (status != OK)
		return status;
	struct instance *instances = arena_alloc(cohort->arena, chosen.count * sizeof *instances);
	if (instances == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < chosen.count; i++) {
		instances[i] = chosen.nodes[i]->instance;
		chosen.nodes[i]->given_last_us = instances[i].last_us;
		chosen.nodes[i]->changed = false;
	}
	cohort->changes.instances = instances;
	cohort->changes.instance_count = chosen.count;
	return OK;
}

/* Those that are due, in the order of their keys; the others stay touched until they are. */
static enum status give_traits(struct cohort *cohort)
{
	size_t count = 0;
	struct tally_node *node = NULL;
	for (node = cohort->traits.touched; node != NULL; node = node->next_touched)
		count += trait_is_due(cohort, node);
	struct tally_node **due = arena_alloc(cohort->arena, count * sizeof(struct tally_node *));
	struct trait *traits = arena_alloc(cohort->arena, count * sizeof *traits);
	if (due == NULL || traits == NULL)
		return ENOMEMORY;
	size_t at = 0;
	for (struct tally_node **link = &cohort->traits.touched; *link != NULL;) {
		node = *link;
		if (!trait_is_due(cohort, node)) {
			link = &node->next_touched;
			continue;
		}
		*link = node->next_touched;
		node->is_touched = node->changed = false;
		due[at++] = node;
	}
	if (count > 1)
		qsort(due, count, sizeof(struct tally_node *), by_key);
	for (size_t i = 0; i < count; i++) {
		traits[i] = *due[i]->trait;
		due[i]->given_last_us = traits[i].met_last_us;
		due[i]->given_shown = traits[i].shown.count > 0;
	}
	cohort->changes.traits = traits;
	cohort->changes.trait_count = count;
	return OK;
}

enum status cohort_close(struct cohort *cohort, int64_t watermark_us, struct error *err)
{
	changes_clear(cohort);
	if (watermark_us > cohort->watermark_us)
		cohort->watermark_us = watermark_us;
	enum status status = close_buckets(cohort);
	if (status == OK)
		status = give_findings(cohort);
	if (status == OK)
		status = roster_forget(&cohort->tally, &cohort->traits, cohort->watermark_us);
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
		       nodes_of(&cohort->traits, virtual_partition, NULL);
	if (count == 0 && cohort->watermark_us == INT64_MIN)
		return OK;
	struct tally_node **nodes = calloc(count + 1, sizeof(struct tally_node *));
	if (nodes == NULL)
		return ENOMEMORY;
	size_t at = nodes_of(&cohort->tally, virtual_partition, nodes);
	(void)nodes_of(&cohort->traits, virtual_partition, nodes + at);
	qsort(nodes, count, sizeof(struct tally_node *), by_key);
	bytes_put_u8(to, VERSION);
	bytes_put_signed(to, cohort->watermark_us);
	for (size_t i = 0; i < count; i++)
		tally_node_encode(nodes[i], to);
	free(nodes);
	return bytes_status(to);
}

enum status cohort_restore(struct cohort *cohort, struct text checkpoint, struct error *err)
{
	if (checkpoint.size == 0)
		return OK;
	struct cursor from = cursor_of(checkpoint);
	if (cursor_u8(&from) != VERSION)
		return error_set(err, ECORRUPT, "cohort: a checkpoint of another version");
	int64_t watermark_us = cursor_signed(&from);
	if (from.failed)
		return error_set(err, ECORRUPT, "cohort: a checkpoint without its watermark");
	enum status status = OK;
	while (cursor_left(&from) > 0 && status == OK) {
		struct tally_item item = {0};
		status = tally_item_next(&from, &item, err);
		if (status == OK &&
		    item.place.virtual_partition % cohort->actor_count == cohort->index)
			status = merge(cohort, &item, err);
	}
	if (status == OK && watermark_us > cohort->watermark_us)
		cohort->watermark_us = watermark_us;
	return status;
}
