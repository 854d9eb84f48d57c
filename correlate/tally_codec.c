#include "correlate/tally_private.h"

#include <assert.h>

/* Items: what a worker sends to an actor, and what a checkpoint holds.
 *
 * item     = text { u8 virtual partition, u64le keyed hash of the key, text key, payload }
 * key      = see tally_key(): u8 kind, names, for a bucket signed start
 * payload of
 *   bucket   varint flags, varint arm count, arm*, varint cluster count, cluster*
 *     arm      text version, text deploy id, u64le hash, varint requests,
 *              varint bad per outcome
 *     cluster  u8 outcome, u64le id, u64le principal, signed time - start, u64le content,
 *              u64le arm hash
 *   finding, instance   as in the stored rows behind their names (cohort_codec.c)
 *   late     varint count
 *   roster   u8 refused
 *
 * No version of its own: the match block and the checkpoint that hold items carry one. Arms and
 * clusters ascend, so equal tallies give equal bytes. */

static void bucket_put(struct tally_bucket *bucket, struct bytes *to)
{
	tally_bucket_settle(bucket);
	bytes_put_varint(to, bucket->flags);
	bytes_put_varint(to, bucket->arm_count);
	for (size_t i = 0; i < bucket->arm_count; i++) {
		const struct tally_arm *arm = &bucket->arms[i];
		bytes_put_text(to, arm->arm.version);
		bytes_put_text(to, arm->arm.deploy_id);
		bytes_put_u64le(to, arm->hash);
		bytes_put_varint(to, arm->requests);
		for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++)
			bytes_put_varint(to, arm->bad[outcome]);
	}
	bytes_put_varint(to, bucket->cluster_count);
	for (size_t i = 0; i < bucket->cluster_count; i++) {
		const struct tally_cluster *cluster = &bucket->clusters[i];
		bytes_put_u8(to, (uint8_t)cluster->outcome);
		bytes_put_u64le(to, cluster->id);
		bytes_put_u64le(to, cluster->principal);
		bytes_put_signed(to, cluster->time_us - bucket->start_us);
		bytes_put_u64le(to, cluster->content);
		bytes_put_u64le(to, cluster->arm);
	}
}

void tally_node_encode(struct tally_node *node, struct bytes *to)
{
	struct bytes item cleanup(bytes_done) = {0};
	bytes_put_u8(&item, node->virtual_partition);
	bytes_put_u64le(&item, node->hash);
	bytes_put_text(&item, node->key);
	switch (node->kind) {
	case TALLY_BUCKET:
		bucket_put(&node->bucket, &item);
		break;
	case TALLY_FINDING:
		finding_body_put(node->finding, &item);
		break;
	case TALLY_INSTANCE:
		instance_body_put(&node->instance, &item);
		break;
	case TALLY_LATE:
		bytes_put_varint(&item, node->late.count);
		break;
	case TALLY_ROSTER:
		bytes_put_u8(&item, node->roster.refused);
		break;
	}
	assert(item.failed || item.size > 0);
	to->failed |= item.failed;
	bytes_put_text(to, bytes_text(&item));
}

enum status tally_item_next(struct cursor *from, struct tally_item *ret_item, struct error *err)
{
	struct text bytes = cursor_text(from);
	struct cursor cursor = cursor_of(bytes);
	struct tally_item item = {0};
	item.place.virtual_partition = cursor_u8(&cursor);
	item.place.hash = cursor_u64le(&cursor);
	item.place.key = cursor_text(&cursor);
	if (from->failed || cursor.failed || item.place.key.size == 0)
		return error_set(err, ECORRUPT, "cohort: not an aggregate");
	item.payload = cursor;
	*ret_item = item;
	return OK;
}

static struct tally_arm arm_take(struct cursor *from)
{
	struct tally_arm arm = {0};
	arm.arm.version = cursor_text(from);
	arm.arm.deploy_id = cursor_text(from);
	arm.hash = cursor_u64le(from);
	arm.requests = cursor_varint(from);
	for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
		arm.bad[outcome] = cursor_varint(from);
		from->failed |= arm.bad[outcome] > arm.requests;
	}
	from->failed |= arm.requests > COHORT_COUNT_MAX;
	return arm;
}

uint64_t tally_item_requests(const struct tally_item *item)
{
	struct cursor cursor = item->payload;
	uint64_t requests = 0;
	(void)cursor_varint(&cursor);
	uint64_t arm_count = cursor_varint(&cursor);
	for (uint64_t i = 0; i < arm_count && !cursor.failed; i++)
		tally_add(&requests, arm_take(&cursor).requests);
	return cursor.failed ? 0 : requests;
}

static enum status arms_merge(struct tally_bucket *bucket, struct cursor *from)
{
	uint64_t count = cursor_varint(from);
	from->failed |= count > COHORT_ARMS_MAX;
	enum status status = OK;
	for (uint64_t i = 0; i < count && !from->failed && status == OK; i++) {
		struct tally_arm arm = arm_take(from);
		struct tally_arm *into = NULL;
		if (!from->failed)
			status = tally_bucket_arm(bucket, &arm.arm, arm.hash, &into);
		if (status != OK || into == NULL)
			continue;
		from->failed |= into->hash != arm.hash;
		tally_add(&into->requests, arm.requests);
		for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++)
			tally_add(&into->bad[outcome], arm.bad[outcome]);
	}
	return status;
}

static enum status clusters_merge(struct tally_bucket *bucket, struct cursor *from)
{
	uint64_t count = cursor_varint(from);
	from->failed |= count > COHORT_CLUSTERS_MAX;
	enum status status = OK;
	for (uint64_t i = 0; i < count && !from->failed && status == OK; i++) {
		struct tally_cluster cluster = {.outcome = cursor_u8(from)};
		cluster.id = cursor_u64le(from);
		cluster.principal = cursor_u64le(from);
		int64_t after_us = cursor_signed(from);
		cluster.content = cursor_u64le(from);
		cluster.arm = cursor_u64le(from);
		from->failed |= cluster.outcome >= OUTCOME_COUNT || after_us < 0 ||
				after_us >= COHORT_BUCKET_US;
		if (from->failed)
			break;
		cluster.time_us = bucket->start_us + after_us;
		status = tally_bucket_cluster(bucket, &cluster);
	}
	return status;
}

static enum status finding_merge(struct finding *into, struct cursor *from)
{
	struct finding more = {0};
	finding_body_take(from, &more);
	if (from->failed)
		return OK;
	tally_add(&into->count, more.count);
	into->first_us = more.first_us < into->first_us ? more.first_us : into->first_us;
	into->last_us = more.last_us > into->last_us ? more.last_us : into->last_us;
	enum status status = tally_finding_title(into, more.rule_title);
	for (size_t i = 0; i < more.evidence_count && status == OK; i++)
		status = tally_finding_evidence(into, more.evidence_us[i], &more.evidence[i]);
	return status;
}

static void instance_merge(struct instance *into, struct cursor *from)
{
	struct instance more = {0};
	instance_body_take(from, &more);
	if (from->failed)
		return;
	into->first_us = more.first_us < into->first_us ? more.first_us : into->first_us;
	into->last_us = more.last_us > into->last_us ? more.last_us : into->last_us;
	tally_add(&into->events, more.events);
}

static enum status payload_merge(struct tally_node *node, struct cursor *from)
{
	enum status status = OK;
	switch (node->kind) {
	case TALLY_BUCKET:
		node->bucket.flags |= cursor_varint(from) & (BUCKET_DEGRADED | BUCKET_NO_PRINCIPAL);
		status = arms_merge(&node->bucket, from);
		if (status == OK)
			status = clusters_merge(&node->bucket, from);
		break;
	case TALLY_FINDING:
		status = finding_merge(node->finding, from);
		break;
	case TALLY_INSTANCE:
		instance_merge(&node->instance, from);
		break;
	case TALLY_LATE:
		tally_add(&node->late.count, cursor_varint(from));
		break;
	case TALLY_ROSTER:
		node->roster.refused |= cursor_u8(from) != 0;
		break;
	}
	return status;
}

enum status tally_item_merge(struct tally *tally, const struct tally_item *item,
			     struct tally_node **ret_node, struct error *err)
{
	struct tally_node *node = NULL;
	enum status status = tally_get(tally, &item->place, &node, err);
	if (status != OK)
		return status;
	struct cursor payload = item->payload;
	status = payload_merge(node, &payload);
	if (status != OK)
		return error_set(err, status, "cohort: out of memory");
	if (payload.failed || cursor_left(&payload) != 0)
		return error_set(err, ECORRUPT, "cohort: a damaged aggregate");
	node->changed = true;
	*ret_node = node;
	return OK;
}
