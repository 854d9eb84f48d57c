#include "correlate/tally_private.h"

/* Stored rows of the gate.
 *
 * bucket   = u8 VERSION, text service, signed start, varint flags, varint late,
 *            varint outcome count, varint arm count, arm*
 *   arm      = text version, text deploy id, varint requests, per outcome { varint bad,
 *              varint clusters }, varint principal count, u64le principal*
 * finding  = u8 VERSION, text service, text version, text deploy id, text rule key, body
 *   body     = text title, varint count, signed first, signed last, varint evidence count,
 *              evidence*
 *   evidence = signed time, text topic, signed partition, signed offset, varint index
 * instance = u8 VERSION, text service, text version, text deploy id, text name, body
 *   body     = signed first, signed last, varint events
 *
 * A build that judges more outcomes writes more of them; missing ones read as zero, so the rows of
 * an older build stay readable. Everything is validated after reading: order, limits, and
 * clusters <= bad <= requests, on which the statistics rest (evalue.h). */

enum { VERSION = 1, FLAGS_ALL = BUCKET_DEGRADED | BUCKET_NO_PRINCIPAL };

static const char *const OUTCOME_NAMES[] = {
#define OUTCOME(id, name, doc) name,
#include "correlate/outcome.def"
#undef OUTCOME
};

const char *outcome_name(enum outcome outcome)
{
	return outcome < OUTCOME_COUNT ? OUTCOME_NAMES[outcome] : "unknown";
}

void bucket_encode(const struct bucket *bucket, struct bytes *to)
{
	bytes_put_u8(to, VERSION);
	bytes_put_text(to, bucket->service);
	bytes_put_signed(to, bucket->start_us);
	bytes_put_varint(to, bucket->flags);
	bytes_put_varint(to, bucket->late);
	bytes_put_varint(to, OUTCOME_COUNT);
	bytes_put_varint(to, bucket->arm_count);
	for (size_t i = 0; i < bucket->arm_count; i++) {
		const struct arm_count *arm = &bucket->arms[i];
		bytes_put_text(to, arm->arm.version);
		bytes_put_text(to, arm->arm.deploy_id);
		bytes_put_varint(to, arm->requests);
		for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
			bytes_put_varint(to, arm->bad[outcome]);
			bytes_put_varint(to, arm->clusters[outcome]);
		}
		bytes_put_varint(to, arm->principal_count);
		for (unsigned k = 0; k < arm->principal_count; k++)
			bytes_put_u64le(to, arm->principals[k]);
	}
}

static void arm_count_take(struct cursor *from, uint64_t outcome_count, struct arm_count *arm)
{
	arm->arm.version = cursor_text(from);
	arm->arm.deploy_id = cursor_text(from);
	arm->requests = cursor_varint(from);
	from->failed |= arm->requests > COHORT_COUNT_MAX;
	for (uint64_t outcome = 0; outcome < outcome_count && !from->failed; outcome++) {
		arm->bad[outcome] = cursor_varint(from);
		arm->clusters[outcome] = cursor_varint(from);
		from->failed |= arm->bad[outcome] > arm->requests ||
				arm->clusters[outcome] > arm->bad[outcome];
	}
	uint64_t principal_count = cursor_varint(from);
	from->failed |= principal_count > COHORT_PRINCIPALS_MAX;
	for (unsigned k = 0; k < principal_count && !from->failed; k++) {
		arm->principals[k] = cursor_u64le(from);
		from->failed |= k > 0 && arm->principals[k] <= arm->principals[k - 1];
	}
	arm->principal_count = from->failed ? 0 : (unsigned)principal_count;
}

static bool arms_ascend(const struct arm *a, const struct arm *b)
{
	int order = text_compare(a->version, b->version);
	return order < 0 || (order == 0 && text_compare(a->deploy_id, b->deploy_id) < 0);
}

enum status bucket_decode(struct text encoded, struct arena *arena, struct bucket *ret_bucket,
			  struct error *err)
{
	struct cursor from = cursor_of(encoded);
	from.failed |= cursor_u8(&from) != VERSION;
	struct bucket bucket = {.service = cursor_text(&from)};
	bucket.start_us = cursor_signed(&from);
	uint64_t flags = cursor_varint(&from);
	bucket.late = cursor_varint(&from);
	uint64_t outcome_count = cursor_varint(&from);
	uint64_t arm_count = cursor_varint(&from);
	if (from.failed || bucket.start_us % COHORT_BUCKET_US != 0 ||
	    (flags & ~(uint64_t)FLAGS_ALL) || outcome_count > OUTCOME_COUNT ||
	    arm_count > COHORT_ARMS_MAX)
		return error_set(err, ECORRUPT, "canary bucket: damaged head");
	bucket.flags = (uint32_t)flags;
	bucket.arm_count = arm_count;
	bucket.arms = arena_alloc(arena, arm_count * sizeof *bucket.arms);
	if (bucket.arms == NULL)
		return error_set(err, ENOMEMORY, "canary bucket: out of memory");
	for (size_t i = 0; i < arm_count && !from.failed; i++) {
		arm_count_take(&from, outcome_count, &bucket.arms[i]);
		from.failed |= i > 0 && !arms_ascend(&bucket.arms[i - 1].arm, &bucket.arms[i].arm);
	}
	if (from.failed || cursor_left(&from) != 0)
		return error_set(err, ECORRUPT, "canary bucket: damaged counts");
	*ret_bucket = bucket;
	return OK;
}

void finding_body_put(const struct finding *finding, struct bytes *to)
{
	bytes_put_text(to, finding->rule_title);
	bytes_put_varint(to, finding->count);
	bytes_put_signed(to, finding->first_us);
	bytes_put_signed(to, finding->last_us);
	bytes_put_varint(to, finding->evidence_count);
	for (size_t i = 0; i < finding->evidence_count; i++) {
		const struct origin *origin = &finding->evidence[i];
		bytes_put_signed(to, finding->evidence_us[i]);
		bytes_put_text(to, origin->topic);
		bytes_put_signed(to, origin->partition);
		bytes_put_signed(to, origin->offset);
		bytes_put_varint(to, origin->index);
	}
}

void finding_body_take(struct cursor *from, struct finding *finding)
{
	finding->rule_title = cursor_text(from);
	finding->count = cursor_varint(from);
	finding->first_us = cursor_signed(from);
	finding->last_us = cursor_signed(from);
	uint64_t evidence_count = cursor_varint(from);
	from->failed |= evidence_count > COHORT_EVIDENCE_MAX || finding->count > COHORT_COUNT_MAX ||
			finding->first_us > finding->last_us;
	for (size_t i = 0; i < evidence_count && !from->failed; i++) {
		struct origin *origin = &finding->evidence[i];
		finding->evidence_us[i] = cursor_signed(from);
		origin->topic = cursor_text(from);
		int64_t partition = cursor_signed(from);
		origin->offset = cursor_signed(from);
		uint64_t index = cursor_varint(from);
		from->failed |=
			partition < INT32_MIN || partition > INT32_MAX || index > UINT32_MAX;
		origin->partition = (int32_t)partition;
		origin->index = (uint32_t)index;
	}
	finding->evidence_count = from->failed ? 0 : evidence_count;
}

void finding_encode(const struct finding *finding, struct bytes *to)
{
	bytes_put_u8(to, VERSION);
	bytes_put_text(to, finding->service);
	bytes_put_text(to, finding->arm.version);
	bytes_put_text(to, finding->arm.deploy_id);
	bytes_put_text(to, finding->rule_key);
	finding_body_put(finding, to);
}

enum status finding_decode(struct text encoded, struct arena *arena, struct finding *ret_finding,
			   struct error *err)
{
	(void)arena; /* everything is a view so far */
	struct cursor from = cursor_of(encoded);
	from.failed |= cursor_u8(&from) != VERSION;
	struct finding finding = {.service = cursor_text(&from)};
	finding.arm.version = cursor_text(&from);
	finding.arm.deploy_id = cursor_text(&from);
	finding.rule_key = cursor_text(&from);
	finding_body_take(&from, &finding);
	if (from.failed || cursor_left(&from) != 0)
		return error_set(err, ECORRUPT, "canary finding: damaged");
	*ret_finding = finding;
	return OK;
}

void instance_body_put(const struct instance *instance, struct bytes *to)
{
	bytes_put_signed(to, instance->first_us);
	bytes_put_signed(to, instance->last_us);
	bytes_put_varint(to, instance->events);
}

void instance_body_take(struct cursor *from, struct instance *instance)
{
	instance->first_us = cursor_signed(from);
	instance->last_us = cursor_signed(from);
	instance->events = cursor_varint(from);
	from->failed |=
		instance->first_us > instance->last_us || instance->events > COHORT_COUNT_MAX;
}

void instance_encode(const struct instance *instance, struct bytes *to)
{
	bytes_put_u8(to, VERSION);
	bytes_put_text(to, instance->service);
	bytes_put_text(to, instance->arm.version);
	bytes_put_text(to, instance->arm.deploy_id);
	bytes_put_text(to, instance->name);
	instance_body_put(instance, to);
}

enum status instance_decode(struct text encoded, struct arena *arena, struct instance *ret_instance,
			    struct error *err)
{
	(void)arena; /* everything is a view so far */
	struct cursor from = cursor_of(encoded);
	from.failed |= cursor_u8(&from) != VERSION;
	struct instance instance = {.service = cursor_text(&from)};
	instance.arm.version = cursor_text(&from);
	instance.arm.deploy_id = cursor_text(&from);
	instance.name = cursor_text(&from);
	instance_body_take(&from, &instance);
	if (from.failed || cursor_left(&from) != 0)
		return error_set(err, ECORRUPT, "canary instance: damaged");
	*ret_instance = instance;
	return OK;
}
