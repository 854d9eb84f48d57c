#include "correlate/tally_private.h"

#include <assert.h>

/* Items: what a worker sends to an actor, and what a checkpoint holds.
 *
 * item     = text { u8 virtual partition, u64le keyed hash of the key, text key, payload }
 * key      = see tally_key(): u8 kind, names, for a bucket signed start, and of a rule text its key
 * payload of
 *   bucket   varint flags, varint route count, route*, varint arm count, arm*,
 *            varint cluster count, cluster*, known
 *     route    u64le hash, text name
 *     arm      text version, text deploy id, u64le hash, varint stratum count, stratum*
 *     stratum  u64le route hash, u8 half, varint requests, per counted outcome { varint trials,
 *              varint bad, varint strangers }, varint bin count, { varint bin, varint count }*
 *     cluster  u8 outcome, u64le id, u64le principal, u64le companion, signed time - start,
 *              u64le content, u64le arm hash, u64le route hash, u8 half
 *     known    u8 sampled, varint count, u64le hash*
 *   finding, instance   as in the stored rows behind their names (cohort_codec.c)
 *   ledger   ledger_codec.c
 *   late     varint count
 *   roster   u8 refused
 *   known    signed day, known of it, known of the day before
 *
 * No version of its own: the match block and the checkpoint that hold items carry one. Routes,
 * arms, strata, bins and clusters ascend, so equal tallies give equal bytes. */

static void stratum_put(const struct tally_stratum *stratum, struct bytes *to)
{
	bytes_put_u64le(to, stratum->route);
	bytes_put_u8(to, stratum->half);
	bytes_put_varint(to, stratum->requests);
	for (int outcome = 0; outcome < OUTCOME_COUNTED; outcome++) {
		bytes_put_varint(to, stratum->trials[outcome]);
		bytes_put_varint(to, stratum->bad[outcome]);
		bytes_put_varint(to, stratum->strangers[outcome]);
	}
	bytes_put_varint(to, stratum->bin_count);
	for (size_t i = 0; i < stratum->bin_count; i++) {
		bytes_put_varint(to, stratum->bins[i].index);
		bytes_put_varint(to, stratum->bins[i].count);
	}
}

static void bucket_put(struct tally_bucket *bucket, struct bytes *to)
{
	tally_bucket_settle(bucket);
	bytes_put_varint(to, bucket->flags);
	bytes_put_varint(to, bucket->route_count);
	for (size_t i = 0; i < bucket->route_count; i++) {
		bytes_put_u64le(to, bucket->routes[i].hash);
		bytes_put_text(to, bucket->routes[i].name);
	}
	bytes_put_varint(to, bucket->arm_count);
	for (size_t i = 0; i < bucket->arm_count; i++) {
		const struct tally_arm *arm = &bucket->arms[i];
		bytes_put_text(to, arm->arm.version);
		bytes_put_text(to, arm->arm.deploy_id);
		bytes_put_u64le(to, arm->hash);
		bytes_put_varint(to, arm->stratum_count);
		for (size_t k = 0; k < arm->stratum_count; k++)
			stratum_put(&arm->strata[k], to);
	}
	bytes_put_varint(to, bucket->cluster_count);
	for (size_t i = 0; i < bucket->cluster_count; i++) {
		const struct tally_cluster *cluster = &bucket->clusters[i];
		bytes_put_u8(to, (uint8_t)cluster->outcome);
		bytes_put_u64le(to, cluster->id);
		bytes_put_u64le(to, cluster->principal);
		bytes_put_u64le(to, cluster->companion);
		bytes_put_signed(to, cluster->time_us - bucket->start_us);
		bytes_put_u64le(to, cluster->content);
		bytes_put_u64le(to, cluster->arm);
		bytes_put_u64le(to, cluster->route);
		bytes_put_u8(to, cluster->half);
	}
	known_put(&bucket->known, to);
}

void tally_node_encode(struct tally_node *node, enum ledger_part part, struct bytes *scratch,
		       struct bytes *to)
{
	struct bytes *item = scratch;
	bytes_clear(item);
	bytes_put_u8(item, node->virtual_partition);
	bytes_put_u64le(item, node->hash);
	bytes_put_text(item, node->key);
	switch (node->kind) {
	case TALLY_BUCKET:
		bucket_put(&node->bucket, item);
		break;
	case TALLY_FINDING:
		finding_body_put(node->finding, item);
		break;
	case TALLY_INSTANCE:
		instance_body_put(&node->instance, item);
		break;
	case TALLY_LEDGER:
		to->failed |= ledger_put(node->ledger, part, item) != OK;
		break;
	case TALLY_LATE:
		bytes_put_varint(item, node->late.count);
		break;
	case TALLY_ROSTER:
		bytes_put_u8(item, node->roster.refused);
		break;
	case TALLY_KNOWN:
		known_put_days(&node->known, item);
		break;
	}
	assert(item->failed || item->size > 0);
	to->failed |= item->failed;
	bytes_put_text(to, bytes_text(item));
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

/* One stratum, its bins into an array of the caller. */
static struct tally_stratum stratum_take(struct cursor *from,
					 struct latency_bin bins[static LATENCY_BINS])
{
	struct tally_stratum stratum = {.route = cursor_u64le(from), .half = cursor_u8(from)};
	stratum.requests = cursor_varint(from);
	from->failed |= stratum.half >= COHORT_HALVES || stratum.requests > COHORT_COUNT_MAX;
	for (int outcome = 0; outcome < OUTCOME_COUNTED; outcome++) {
		bool bounded = outcome_info((enum outcome)outcome)->model == OUTCOME_BERNOULLI;
		stratum.trials[outcome] = cursor_varint(from);
		stratum.bad[outcome] = cursor_varint(from);
		stratum.strangers[outcome] = cursor_varint(from);
		uint64_t all = bounded ? stratum.trials[outcome] : stratum.requests;
		from->failed |= stratum.trials[outcome] > COHORT_COUNT_MAX ||
				stratum.bad[outcome] > COHORT_COUNT_MAX ||
				stratum.strangers[outcome] > all ||
				(bounded && stratum.bad[outcome] > stratum.trials[outcome]);
	}
	uint64_t bin_count = cursor_varint(from);
	from->failed |= bin_count > LATENCY_BINS;
	for (uint64_t i = 0; i < bin_count && !from->failed; i++) {
		uint64_t index = cursor_varint(from);
		uint64_t count = cursor_varint(from);
		from->failed |= index >= LATENCY_BINS || count > UINT32_MAX ||
				(i > 0 && index <= bins[i - 1].index);
		bins[i] = (struct latency_bin){(uint16_t)index, (uint32_t)count};
	}
	stratum.bins = bins;
	stratum.bin_count = from->failed ? 0 : bin_count;
	return stratum;
}

struct arm_head {
	struct arm arm;
	uint64_t hash, stratum_count;
};

static struct arm_head arm_head_take(struct cursor *from)
{
	struct arm_head head = {0};
	head.arm.version = cursor_text(from);
	head.arm.deploy_id = cursor_text(from);
	head.hash = cursor_u64le(from);
	head.stratum_count = cursor_varint(from);
	from->failed |= head.stratum_count > (COHORT_ROUTES_MAX + 1) * COHORT_HALVES;
	return head;
}

static enum status routes_merge(struct tally_bucket *bucket, struct cursor *from)
{
	uint64_t count = cursor_varint(from);
	from->failed |= count > COHORT_ROUTES_MAX;
	enum status status = OK;
	for (uint64_t i = 0; i < count && !from->failed && status == OK; i++) {
		uint64_t hash = cursor_u64le(from);
		struct text name = cursor_text(from);
		uint64_t ignored = 0;
		if (!from->failed && bucket != NULL)
			status = tally_bucket_route(bucket, hash, name, &ignored);
	}
	return status;
}

uint64_t tally_item_requests(const struct tally_item *item)
{
	struct cursor cursor = item->payload;
	struct latency_bin bins[LATENCY_BINS];
	uint64_t requests = 0;
	(void)cursor_varint(&cursor);
	(void)!routes_merge(NULL, &cursor);
	uint64_t arm_count = cursor_varint(&cursor);
	for (uint64_t i = 0; i < arm_count && !cursor.failed; i++) {
		struct arm_head head = arm_head_take(&cursor);
		for (uint64_t k = 0; k < head.stratum_count && !cursor.failed; k++)
			tally_add(&requests, stratum_take(&cursor, bins).requests);
	}
	return cursor.failed ? 0 : requests;
}

/* Strata of a route that this bucket does not keep go to the others. */
static enum status strata_merge(const struct tally_bucket *bucket, struct tally_arm *into,
				uint64_t count, struct cursor *from)
{
	enum status status = OK;
	struct latency_bin bins[LATENCY_BINS];
	for (uint64_t k = 0; k < count && !from->failed && status == OK; k++) {
		struct tally_stratum more = stratum_take(from, bins);
		struct tally_stratum *stratum = NULL;
		if (from->failed || into == NULL)
			continue;
		if (tally_route_index(bucket, more.route) == bucket->route_count)
			more.route = TALLY_ROUTE_OTHER;
		status = tally_arm_stratum(into, more.route, more.half, &stratum);
		if (status == OK)
			status = tally_stratum_merge(stratum, &more);
	}
	return status;
}

static enum status arms_merge(struct tally_bucket *bucket, struct cursor *from)
{
	uint64_t count = cursor_varint(from);
	from->failed |= count > COHORT_ARMS_MAX;
	enum status status = OK;
	for (uint64_t i = 0; i < count && !from->failed && status == OK; i++) {
		struct arm_head head = arm_head_take(from);
		struct tally_arm *into = NULL;
		if (!from->failed)
			status = tally_bucket_arm(bucket, &head.arm, head.hash, &into);
		from->failed |= into != NULL && into->hash != head.hash;
		if (status == OK && !from->failed)
			status = strata_merge(bucket, into, head.stratum_count, from);
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
		cluster.companion = cursor_u64le(from);
		int64_t after_us = cursor_signed(from);
		cluster.content = cursor_u64le(from);
		cluster.arm = cursor_u64le(from);
		cluster.route = cursor_u64le(from);
		cluster.half = cursor_u8(from);
		from->failed |= cluster.outcome >= OUTCOME_COUNTED ||
				cluster.half >= COHORT_HALVES || after_us < 0 ||
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
	tally_add(&into->failures, more.failures);
}

static enum status payload_merge(struct tally_node *node, struct cursor *from,
				 const struct ledger_visitor *visitor)
{
	enum status status = OK;
	switch (node->kind) {
	case TALLY_BUCKET:
		node->bucket.flags |= cursor_varint(from) & BUCKET_FLAGS;
		status = routes_merge(&node->bucket, from);
		if (status == OK)
			status = arms_merge(&node->bucket, from);
		if (status == OK)
			status = clusters_merge(&node->bucket, from);
		if (status == OK)
			status = known_take(&node->bucket.known, from);
		break;
	case TALLY_FINDING:
		status = finding_merge(node->finding, from);
		break;
	case TALLY_INSTANCE:
		instance_merge(&node->instance, from);
		break;
	case TALLY_LEDGER:
		status = ledger_merge(node->ledger, from, visitor);
		break;
	case TALLY_LATE:
		tally_add(&node->late.count, cursor_varint(from));
		break;
	case TALLY_ROSTER:
		node->roster.refused |= cursor_u8(from) != 0;
		break;
	case TALLY_KNOWN:
		status = known_take_days(&node->known, from);
		break;
	}
	return status;
}

enum status tally_item_merge(struct tally *tally, const struct tally_item *item,
			     const struct ledger_visitor *visitor, struct tally_node **ret_node,
			     struct error *err)
{
	struct tally_node *node = NULL;
	enum status status = tally_get(tally, &item->place, &node, err);
	if (status != OK)
		return status;
	struct cursor payload = item->payload;
	status = payload_merge(node, &payload, visitor);
	if (status != OK)
		return error_set(err, status, "cohort: out of memory");
	if (payload.failed || cursor_left(&payload) != 0)
		return error_set(err, ECORRUPT, "cohort: a damaged aggregate");
	node->changed = true;
	*ret_node = node;
	return OK;
}
