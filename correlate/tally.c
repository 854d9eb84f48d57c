#include "correlate/tally_private.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

/* How many unsettled clusters a bucket may hold before it is settled: settling sorts, so doing it
 * once per COHORT_CLUSTERS_MAX additions keeps the cost of one addition logarithmic. */
enum { CLUSTERS_UNSETTLED_MAX = 2 * COHORT_CLUSTERS_MAX, CLUSTERS_FIRST = 16 };

enum status tally_own(struct text t, struct text *ret_copy)
{
	char *copy = malloc(t.size + 1);
	if (copy == NULL)
		return ENOMEMORY;
	if (t.size > 0)
		memcpy(copy, t.data, t.size);
	copy[t.size] = '\0';
	*ret_copy = (struct text){copy, t.size};
	return OK;
}

/* Frees what tally_own() made. */
static void disown(struct text *t)
{
	free((char *)t->data);
	*t = (struct text){0};
}

static void arm_done(struct tally_arm *arm)
{
	disown(&arm->arm.version);
	tally_strata_done(arm);
}

static void bucket_done(struct tally_bucket *bucket)
{
	for (size_t i = 0; i < bucket->arm_count; i++)
		arm_done(&bucket->arms[i]);
	for (size_t i = 0; i < bucket->route_count; i++)
		disown(&bucket->routes[i].name);
	free(bucket->arms);
	free(bucket->routes);
	free(bucket->clusters);
	known_done(&bucket->known);
}

static void finding_done(struct finding *finding)
{
	disown(&finding->rule_title);
	for (size_t i = 0; i < finding->evidence_count; i++)
		disown(&finding->evidence[i].topic);
}

static void node_free(struct tally_node *node)
{
	if (node->kind == TALLY_BUCKET)
		bucket_done(&node->bucket);
	if (node->kind == TALLY_FINDING && node->finding != NULL) {
		finding_done(node->finding);
		free(node->finding);
	}
	if (node->kind == TALLY_LEDGER)
		ledger_free(&node->ledger);
	for (size_t i = 0; node->kind == TALLY_KNOWN && i < 2; i++)
		known_done(&node->known.days[i]);
	disown(&node->key);
	free(node);
}

void tally_remove(struct tally *tally, struct tally_node *node)
{
	HASH_DEL(tally->nodes, node);
	DL_DELETE(tally->partitions[node->virtual_partition], node);
	node_free(node);
}

void tally_done(struct tally *tally)
{
	struct tally_node *node = NULL;
	struct tally_node *next = NULL;
	HASH_ITER (hh, tally->nodes, node, next)
		tally_remove(tally, node);
}

void tally_key(enum tally_kind kind, const struct text *names, size_t name_count, struct bytes *to)
{
	bytes_put_u8(to, (uint8_t)kind);
	for (size_t i = 0; i < name_count; i++)
		bytes_put_text(to, names[i]);
}

void tally_bucket_key(struct text service, int64_t start_us, struct text rule, struct bytes *to)
{
	assert(start_us % COHORT_BUCKET_US == 0);
	tally_key(TALLY_BUCKET, &service, 1, to);
	bytes_put_signed(to, start_us);
	if (rule.size > 0)
		bytes_put_text(to, rule);
}

/* Sets the names of a new node, as views into its own key. */
static enum status node_name(struct tally_node *node, struct error *err)
{
	struct cursor cursor = cursor_of(node->key);
	node->kind = cursor_u8(&cursor);
	struct text service = cursor_text(&cursor);
	struct arm arm = {0};
	if (node->kind == TALLY_FINDING || node->kind == TALLY_INSTANCE ||
	    node->kind == TALLY_ROSTER) {
		arm.version = cursor_text(&cursor);
		arm.deploy_id = cursor_text(&cursor);
	}
	switch (node->kind) {
	case TALLY_BUCKET:
		node->bucket.service = service;
		node->bucket.start_us = cursor_signed(&cursor);
		if (cursor_left(&cursor) > 0)
			node->bucket.rule = cursor_text(&cursor);
		cursor.failed |= node->bucket.start_us % COHORT_BUCKET_US != 0;
		break;
	case TALLY_FINDING:
		node->finding = calloc(1, sizeof *node->finding);
		if (node->finding == NULL)
			return error_set(err, ENOMEMORY, "cohort: out of memory");
		*node->finding = (struct finding){.service = service,
						  .arm = arm,
						  .rule_key = cursor_text(&cursor),
						  .first_us = INT64_MAX,
						  .last_us = INT64_MIN};
		break;
	case TALLY_INSTANCE:
		node->instance = (struct instance){.service = service,
						   .arm = arm,
						   .name = cursor_text(&cursor),
						   .first_us = INT64_MAX,
						   .last_us = INT64_MIN};
		break;
	case TALLY_LEDGER:
		if (ledger_new(service, &node->ledger) != OK)
			return error_set(err, ENOMEMORY, "cohort: out of memory");
		break;
	case TALLY_LATE:
		node->late.service = service;
		break;
	case TALLY_ROSTER:
		node->roster.service = service;
		break;
	case TALLY_KNOWN:
		node->known.service = service;
		node->known.day = INT64_MIN;
		break;
	default:
		cursor.failed = true;
	}
	if (cursor.failed || cursor_left(&cursor) != 0)
		return error_set(err, ECORRUPT, "cohort: not a key");
	return OK;
}

struct tally_node *tally_find(const struct tally *tally, const struct tally_place *place)
{
	struct tally_node *node = NULL;
	unsigned hash = (unsigned)place->hash;
	HASH_FIND_BYHASHVALUE(hh, tally->nodes, place->key.data, (unsigned)place->key.size, hash,
			      node);
	return node;
}

static enum status node_new(struct tally *tally, const struct tally_place *place,
			    struct tally_node **ret_node, struct error *err)
{
	struct tally_node *node = calloc(1, sizeof *node);
	if (node == NULL || tally_own(place->key, &node->key) != OK) {
		free(node);
		return error_set(err, ENOMEMORY, "cohort: out of memory");
	}
	node->virtual_partition = place->virtual_partition;
	node->hash = place->hash;
	node->given_last_us = INT64_MIN;
	enum status status = node_name(node, err);
	if (status != OK) {
		node_free(node);
		return status;
	}
	unsigned hash = (unsigned)place->hash;
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, tally->nodes, node->key.data, (unsigned)node->key.size,
				    hash, node);
	if (node->hh.tbl == NULL) {
		node_free(node);
		return error_set(err, ENOMEMORY, "cohort: out of memory");
	}
	DL_PREPEND(tally->partitions[node->virtual_partition], node);
	*ret_node = node;
	return OK;
}

enum status tally_get(struct tally *tally, const struct tally_place *place,
		      struct tally_node **ret_node, struct error *err)
{
	struct tally_node *node = tally_find(tally, place);
	if (node == NULL)
		return node_new(tally, place, ret_node, err);
	if (node->virtual_partition != place->virtual_partition)
		return error_set(err, ECORRUPT, "cohort: one key in two partitions");
	*ret_node = node;
	return OK;
}

void tally_add(uint64_t *sum, uint64_t more)
{
	assert(*sum <= COHORT_COUNT_MAX);
	uint64_t room = COHORT_COUNT_MAX - *sum;
	*sum += more < room ? more : room;
}

int tally_arm_compare(const struct arm *a, const struct arm *b)
{
	int order = text_compare(a->version, b->version);
	return order != 0 ? order : text_compare(a->deploy_id, b->deploy_id);
}

enum status tally_arm_own(const struct arm *arm, struct arm *ret_arm)
{
	char *copy = malloc(arm->version.size + arm->deploy_id.size + 1);
	if (copy == NULL)
		return ENOMEMORY;
	if (arm->version.size > 0)
		memcpy(copy, arm->version.data, arm->version.size);
	char *deploy_id = copy + arm->version.size;
	if (arm->deploy_id.size > 0)
		memcpy(deploy_id, arm->deploy_id.data, arm->deploy_id.size);
	*ret_arm = (struct arm){{copy, arm->version.size}, {deploy_id, arm->deploy_id.size}};
	return OK;
}

enum status tally_bucket_arm(struct tally_bucket *bucket, const struct arm *arm, uint64_t hash,
			     struct tally_arm **ret_arm)
{
	size_t at = 0;
	assert(bucket->arm_count <= COHORT_ARMS_MAX);
	for (size_t i = 0; i < bucket->arm_count; i++)
		if (bucket->arms[i].hash == hash &&
		    tally_arm_compare(&bucket->arms[i].arm, arm) == 0) {
			*ret_arm = &bucket->arms[i];
			return OK;
		}
	while (at < bucket->arm_count && tally_arm_compare(&bucket->arms[at].arm, arm) < 0)
		at++;
	if (at < bucket->arm_count && tally_arm_compare(&bucket->arms[at].arm, arm) == 0) {
		*ret_arm = &bucket->arms[at];
		return OK;
	}
	if (at == COHORT_ARMS_MAX) {
		bucket->flags |= BUCKET_DEGRADED;
		*ret_arm = NULL;
		return OK;
	}
	struct tally_arm *arms = bucket->arms;
	if (bucket->arm_count < COHORT_ARMS_MAX)
		arms = realloc(arms, (bucket->arm_count + 1) * sizeof *arms);
	if (arms == NULL)
		return ENOMEMORY;
	bucket->arms = arms;
	struct tally_arm fresh = {.hash = hash};
	enum status status = tally_arm_own(arm, &fresh.arm);
	if (status != OK)
		return status;
	if (bucket->arm_count == COHORT_ARMS_MAX) {
		bucket->flags |= BUCKET_DEGRADED;
		arm_done(&arms[--bucket->arm_count]);
	}
	memmove(arms + at + 1, arms + at, (bucket->arm_count - at) * sizeof *arms);
	arms[at] = fresh;
	bucket->arm_count++;
	*ret_arm = &arms[at];
	return OK;
}

static int three_way(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* By id, then first event first. */
static int cluster_compare(const void *left, const void *right)
{
	const struct tally_cluster *a = left;
	const struct tally_cluster *b = right;
	if (a->id != b->id)
		return three_way(a->id, b->id);
	if (a->time_us != b->time_us)
		return (a->time_us > b->time_us) - (a->time_us < b->time_us);
	if (a->content != b->content)
		return three_way(a->content, b->content);
	return three_way(a->arm, b->arm);
}

void tally_bucket_settle(struct tally_bucket *bucket)
{
	if (bucket->cluster_count == 0)
		return;
	struct tally_cluster *clusters = bucket->clusters;
	qsort(clusters, bucket->cluster_count, sizeof *clusters, cluster_compare);
	size_t kept = 1;
	for (size_t i = 1; i < bucket->cluster_count; i++)
		if (clusters[i].id != clusters[kept - 1].id)
			clusters[kept++] = clusters[i];
	if (kept > COHORT_CLUSTERS_MAX) {
		bucket->flags |= BUCKET_DEGRADED;
		kept = COHORT_CLUSTERS_MAX;
	}
	bucket->cluster_count = kept;
}

enum status tally_bucket_cluster(struct tally_bucket *bucket, const struct tally_cluster *cluster)
{
	if (bucket->cluster_count == CLUSTERS_UNSETTLED_MAX)
		tally_bucket_settle(bucket);
	if (bucket->cluster_count == bucket->cluster_capacity) {
		size_t capacity = bucket->cluster_capacity * 2;
		if (capacity == 0)
			capacity = CLUSTERS_FIRST;
		struct tally_cluster *grown =
			realloc(bucket->clusters, capacity * sizeof *bucket->clusters);
		if (grown == NULL)
			return ENOMEMORY;
		bucket->clusters = grown;
		bucket->cluster_capacity = capacity;
	}
	assert(bucket->cluster_count < CLUSTERS_UNSETTLED_MAX);
	bucket->clusters[bucket->cluster_count++] = *cluster;
	return OK;
}

enum status tally_finding_evidence(struct finding *finding, int64_t time_us,
				   const struct origin *origin)
{
	size_t at = finding->evidence_count;
	while (at > 0 && (finding->evidence_us[at - 1] > time_us ||
			  (finding->evidence_us[at - 1] == time_us &&
			   origin_compare(&finding->evidence[at - 1], origin) > 0)))
		at--;
	if (at == COHORT_EVIDENCE_MAX)
		return OK;
	struct origin copy = *origin;
	enum status status = tally_own(origin->topic, &copy.topic);
	if (status != OK)
		return status;
	if (finding->evidence_count == COHORT_EVIDENCE_MAX)
		disown(&finding->evidence[--finding->evidence_count].topic);
	for (size_t i = finding->evidence_count; i > at; i--) {
		finding->evidence[i] = finding->evidence[i - 1];
		finding->evidence_us[i] = finding->evidence_us[i - 1];
	}
	finding->evidence[at] = copy;
	finding->evidence_us[at] = time_us;
	finding->evidence_count++;
	return OK;
}

enum status tally_finding_title(struct finding *finding, struct text title)
{
	if (finding->rule_title.data != NULL && text_compare(finding->rule_title, title) <= 0)
		return OK;
	struct text copy = {0};
	enum status status = tally_own(title, &copy);
	if (status != OK)
		return status;
	disown(&finding->rule_title);
	finding->rule_title = copy;
	return OK;
}
