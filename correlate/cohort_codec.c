#include "correlate/tally_private.h"

#include <assert.h>

/* Stored rows of the gate.
 *
 * bucket    = u8 VERSION_BUCKET, text service, signed start, varint flags, varint late,
 *             varint outcome count, varint route count, text route*, varint arm count, arm*,
 *             varint culprit count, culprit*; of VERSION_RULES also varint rule count, and for
 *             each rule text key, text bucket (of VERSION_BUCKET, of the same service and start)
 *   arm     = text version, text deploy id, varint stratum count, stratum*
 *   stratum = varint route, u8 half, varint requests, varint strangers, varint set of outcomes that
 *             are written, { varint trials, varint bad, varint clusters, varint strangers } for
 *             each of them, varint bin count, { varint bin, varint count }*
 *             An outcome that is not written had as many trials and strangers as the requests, and
 *             nothing bad.
 *   culprit = u8 outcome, varint arm, u64le principal
 * finding  = u8 VERSION, text service, text version, text deploy id, text rule key, body
 *   body     = text title, varint count, signed first, signed last, varint evidence count,
 *              evidence*
 *   evidence = signed time, text topic, signed partition, signed offset, varint index
 * instance = u8 VERSION, text service, text version, text deploy id, text name, body
 *   body     = signed first, signed last, varint events, varint failures
 *
 * A build that judges more outcomes writes more of them and counts them in the head; a row with
 * another number is of another build and refused, so a new outcome is a new VERSION. Everything is
 * validated after reading: order, limits, and clusters <= bad <= trials, on which the statistics
 * rest (evalue.h). */

enum {
	VERSION = 3,        /* of findings and instances */
	VERSION_BUCKET = 5, /* 3 and 4 did not tell strangers */
	VERSION_RULES = 6,
};

static const struct outcome_info OUTCOMES[] = {
#define OUTCOME(id, name, model, two_sided, weight, doc) \
	{name, doc, OUTCOME_##model, two_sided, weight},
#include "correlate/outcome.def"
#undef OUTCOME
};

const struct outcome_info *outcome_info(enum outcome outcome)
{
	assert(outcome < OUTCOME_COUNT);
	return &OUTCOMES[outcome];
}

const char *outcome_name(enum outcome outcome)
{
	return outcome < OUTCOME_COUNT ? OUTCOMES[outcome].name : "unknown";
}

/* Of a POISSON outcome the trials are the requests, and not counted. */
static uint64_t trials_unsaid(enum outcome outcome, uint64_t requests)
{
	return OUTCOMES[outcome].model == OUTCOME_BERNOULLI ? requests : 0;
}

bool outcome_is_of_outsiders(enum outcome outcome)
{
	return outcome < OUTCOME_COUNTED && outcome != OUTCOME_HTTP_5XX;
}

static uint64_t strangers_unsaid(enum outcome outcome, uint64_t strangers)
{
	bool counted = OUTCOMES[outcome].model == OUTCOME_BERNOULLI;
	return counted && outcome_is_of_outsiders(outcome) ? strangers : 0;
}

static void stratum_row_put(const struct stratum *stratum, struct bytes *to)
{
	uint64_t written = 0;
	for (unsigned i = 0; i < OUTCOME_COUNTED; i++) {
		const struct outcome_count *count = &stratum->outcomes[i];
		if (count->bad > 0 || count->trials != trials_unsaid(i, stratum->requests) ||
		    count->strangers != strangers_unsaid(i, stratum->strangers))
			written |= (uint64_t)1 << i;
	}
	bytes_put_varint(to, stratum->route);
	bytes_put_u8(to, (uint8_t)stratum->half);
	bytes_put_varint(to, stratum->requests);
	bytes_put_varint(to, stratum->strangers);
	bytes_put_varint(to, written);
	for (unsigned i = 0; i < OUTCOME_COUNTED; i++) {
		if ((written >> i & 1) == 0)
			continue;
		bytes_put_varint(to, stratum->outcomes[i].trials);
		bytes_put_varint(to, stratum->outcomes[i].bad);
		bytes_put_varint(to, stratum->outcomes[i].clusters);
		bytes_put_varint(to, stratum->outcomes[i].strangers);
	}
	bytes_put_varint(to, stratum->bin_count);
	for (size_t i = 0; i < stratum->bin_count; i++) {
		bytes_put_varint(to, stratum->bins[i].index);
		bytes_put_varint(to, stratum->bins[i].count);
	}
}

static void rules_put(const struct bucket *bucket, struct bytes *to)
{
	bytes_put_varint(to, bucket->rule_count);
	for (size_t i = 0; i < bucket->rule_count; i++) {
		struct bytes encoded cleanup(bytes_done) = {0};
		bucket_encode(&bucket->rules[i], &encoded);
		bytes_put_text(to, bucket->rules[i].rule);
		bytes_put_text(to, bytes_text(&encoded));
		to->failed |= encoded.failed;
	}
}

void bucket_encode(const struct bucket *bucket, struct bytes *to)
{
	bytes_put_u8(to, bucket->rule_count > 0 ? VERSION_RULES : VERSION_BUCKET);
	bytes_put_text(to, bucket->service);
	bytes_put_signed(to, bucket->start_us);
	bytes_put_varint(to, bucket->flags);
	bytes_put_varint(to, bucket->late);
	bytes_put_varint(to, OUTCOME_COUNTED);
	bytes_put_varint(to, bucket->route_count);
	for (size_t i = 0; i < bucket->route_count; i++)
		bytes_put_text(to, bucket->routes[i]);
	bytes_put_varint(to, bucket->arm_count);
	for (size_t i = 0; i < bucket->arm_count; i++) {
		const struct arm_count *arm = &bucket->arms[i];
		bytes_put_text(to, arm->arm.version);
		bytes_put_text(to, arm->arm.deploy_id);
		bytes_put_varint(to, arm->stratum_count);
		for (size_t k = 0; k < arm->stratum_count; k++)
			stratum_row_put(&arm->strata[k], to);
	}
	bytes_put_varint(to, bucket->culprit_count);
	for (size_t i = 0; i < bucket->culprit_count; i++) {
		bytes_put_u8(to, (uint8_t)bucket->culprits[i].outcome);
		bytes_put_varint(to, bucket->culprits[i].arm);
		bytes_put_u64le(to, bucket->culprits[i].principal);
	}
	if (bucket->rule_count > 0)
		rules_put(bucket, to);
}

/* Where decoding stands: a failed cursor means damage, NULL from the arena no memory. */
struct reader {
	struct cursor from;
	struct arena *arena;
	bool out_of_memory;
};

static void *reader_alloc(struct reader *reader, size_t count, size_t size)
{
	/* Nothing takes less than a byte: a damaged count must not ask for the moon. */
	if (reader->from.failed || count > cursor_left(&reader->from)) {
		reader->from.failed = true;
		return NULL;
	}
	void *memory = arena_alloc(reader->arena, count * size);
	reader->out_of_memory |= memory == NULL;
	reader->from.failed |= memory == NULL;
	return memory;
}

static void outcomes_take(struct cursor *from, uint64_t written, struct stratum *stratum)
{
	for (unsigned i = 0; i < OUTCOME_COUNTED && !from->failed; i++) {
		struct outcome_count *count = &stratum->outcomes[i];
		count->trials = trials_unsaid(i, stratum->requests);
		count->strangers = strangers_unsaid(i, stratum->strangers);
		if ((written >> i & 1) == 0)
			continue;
		count->trials = cursor_varint(from);
		count->bad = cursor_varint(from);
		count->clusters = cursor_varint(from);
		count->strangers = cursor_varint(from);
		bool bounded = OUTCOMES[i].model == OUTCOME_BERNOULLI;
		from->failed |= count->trials > COHORT_COUNT_MAX || count->bad > COHORT_COUNT_MAX ||
				(bounded && count->bad > count->trials) ||
				count->clusters > count->bad || count->strangers > count->trials;
	}
}

static void bins_take(struct reader *reader, struct stratum *stratum)
{
	struct cursor *from = &reader->from;
	uint64_t count = cursor_varint(from);
	from->failed |= count > LATENCY_BINS;
	stratum->bins = reader_alloc(reader, count, sizeof *stratum->bins);
	for (uint64_t i = 0; i < count && !from->failed; i++) {
		uint64_t index = cursor_varint(from);
		uint64_t of_bin = cursor_varint(from);
		from->failed |= index >= LATENCY_BINS || of_bin > UINT32_MAX ||
				(i > 0 && index <= stratum->bins[i - 1].index);
		if (!from->failed)
			stratum->bins[i] = (struct latency_bin){(uint16_t)index, (uint32_t)of_bin};
	}
	stratum->bin_count = from->failed ? 0 : count;
}

static bool strata_ascend(const struct stratum *a, const struct stratum *b)
{
	return a->route < b->route || (a->route == b->route && a->half < b->half);
}

static void strata_take(struct reader *reader, size_t route_count, struct arm_count *arm)
{
	struct cursor *from = &reader->from;
	uint64_t count = cursor_varint(from);
	from->failed |= count > (COHORT_ROUTES_MAX + 1) * COHORT_HALVES;
	arm->strata = reader_alloc(reader, count, sizeof *arm->strata);
	for (uint64_t k = 0; k < count && !from->failed; k++) {
		struct stratum *stratum = &arm->strata[k];
		uint64_t route = cursor_varint(from);
		stratum->half = cursor_u8(from);
		stratum->requests = cursor_varint(from);
		stratum->strangers = cursor_varint(from);
		uint64_t written = cursor_varint(from);
		from->failed |= route > route_count || stratum->half >= COHORT_HALVES ||
				stratum->requests > COHORT_COUNT_MAX ||
				stratum->strangers > stratum->requests ||
				written >> OUTCOME_COUNTED != 0;
		stratum->route = from->failed ? 0 : (unsigned)route;
		outcomes_take(from, written, stratum);
		bins_take(reader, stratum);
		from->failed |= k > 0 && !strata_ascend(stratum - 1, stratum);
		arm->requests += stratum->requests;
	}
	arm->stratum_count = from->failed ? 0 : count;
}

static bool arms_ascend(const struct arm *a, const struct arm *b)
{
	int order = text_compare(a->version, b->version);
	return order < 0 || (order == 0 && text_compare(a->deploy_id, b->deploy_id) < 0);
}

static void arms_take(struct reader *reader, struct bucket *bucket)
{
	struct cursor *from = &reader->from;
	uint64_t count = cursor_varint(from);
	from->failed |= count > COHORT_ARMS_MAX;
	bucket->arms = reader_alloc(reader, count, sizeof *bucket->arms);
	for (uint64_t i = 0; i < count && !from->failed; i++) {
		struct arm_count *arm = &bucket->arms[i];
		arm->arm.version = cursor_text(from);
		arm->arm.deploy_id = cursor_text(from);
		strata_take(reader, bucket->route_count, arm);
		from->failed |= i > 0 && !arms_ascend(&arm[-1].arm, &arm->arm);
	}
	bucket->arm_count = from->failed ? 0 : count;
}

static void routes_take(struct reader *reader, struct bucket *bucket)
{
	struct cursor *from = &reader->from;
	uint64_t count = cursor_varint(from);
	from->failed |= count > COHORT_ROUTES_MAX;
	struct text *routes = reader_alloc(reader, count, sizeof *routes);
	for (uint64_t i = 0; i < count && !from->failed; i++)
		routes[i] = cursor_text(from);
	bucket->routes = routes;
	bucket->route_count = from->failed ? 0 : count;
}

static void culprits_take(struct reader *reader, struct bucket *bucket)
{
	struct cursor *from = &reader->from;
	uint64_t count = cursor_varint(from);
	from->failed |= count > (uint64_t)COHORT_CULPRITS_MAX * OUTCOME_COUNTED;
	struct culprit *culprits = reader_alloc(reader, count, sizeof *culprits);
	for (uint64_t i = 0; i < count && !from->failed; i++) {
		struct culprit *one = &culprits[i];
		one->outcome = cursor_u8(from);
		uint64_t arm = cursor_varint(from);
		one->principal = cursor_u64le(from);
		from->failed |= one->outcome >= OUTCOME_COUNTED || arm >= bucket->arm_count;
		one->arm = from->failed ? 0 : (unsigned)arm;
		if (i > 0)
			from->failed |= one->outcome < one[-1].outcome ||
					(one->outcome == one[-1].outcome &&
					 one->principal <= one[-1].principal);
	}
	bucket->culprits = culprits;
	bucket->culprit_count = from->failed ? 0 : count;
}

/* Bucket by bucket; one of a rule has no rules of its own. */
static enum status rules_take(struct reader *reader, struct bucket *bucket, struct error *err)
{
	struct cursor *from = &reader->from;
	uint64_t count = cursor_varint(from);
	from->failed |= count == 0 || count > COHORT_RULES_MAX;
	struct bucket *rules = reader_alloc(reader, count, sizeof *rules);
	enum status status = OK;
	for (uint64_t i = 0; i < count && !from->failed && status == OK; i++) {
		struct text key = cursor_text(from);
		struct text encoded = cursor_text(from);
		from->failed |= key.size == 0 || encoded.size == 0 ||
				(unsigned char)encoded.data[0] != VERSION_BUCKET ||
				(i > 0 && text_compare(rules[i - 1].rule, key) >= 0);
		if (from->failed)
			break;
		status = bucket_decode(encoded, reader->arena, &rules[i], err);
		if (status != OK)
			return status;
		rules[i].rule = key;
		from->failed |= rules[i].start_us != bucket->start_us ||
				!text_equal(rules[i].service, bucket->service);
	}
	bucket->rules = rules;
	bucket->rule_count = from->failed ? 0 : count;
	return status;
}

enum status bucket_decode(struct text encoded, struct arena *arena, struct bucket *ret_bucket,
			  struct error *err)
{
	struct reader reader = {.from = cursor_of(encoded), .arena = arena};
	struct cursor *from = &reader.from;
	uint8_t version = cursor_u8(from);
	if (version > 0 && version < VERSION_BUCKET)
		return error_set(err, ECORRUPT,
				 "canary bucket: of an older picket (format %u), which did not "
				 "tell strangers from known users",
				 version);
	from->failed |= version != VERSION_BUCKET && version != VERSION_RULES;
	struct bucket bucket = {.service = cursor_text(from)};
	bucket.start_us = cursor_signed(from);
	uint64_t flags = cursor_varint(from);
	bucket.late = cursor_varint(from);
	uint64_t outcome_count = cursor_varint(from);
	from->failed |= bucket.start_us % COHORT_BUCKET_US != 0 ||
			(flags & ~(uint64_t)BUCKET_FLAGS) || outcome_count != OUTCOME_COUNTED;
	bucket.flags = (uint32_t)flags;
	routes_take(&reader, &bucket);
	arms_take(&reader, &bucket);
	culprits_take(&reader, &bucket);
	enum status status = OK;
	if (version == VERSION_RULES && !from->failed)
		status = rules_take(&reader, &bucket, err);
	if (status != OK)
		return status;
	if (reader.out_of_memory)
		return error_set(err, ENOMEMORY, "canary bucket: out of memory");
	if (from->failed || cursor_left(from) != 0)
		return error_set(err, ECORRUPT, "canary bucket: damaged");
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
	struct finding finding = {.service = cursor_text(&from), .blocks_from_us = INT64_MIN};
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
	bytes_put_varint(to, instance->failures);
}

void instance_body_take(struct cursor *from, struct instance *instance)
{
	instance->first_us = cursor_signed(from);
	instance->last_us = cursor_signed(from);
	instance->events = cursor_varint(from);
	instance->failures = cursor_varint(from);
	from->failed |= instance->first_us > instance->last_us ||
			instance->events > COHORT_COUNT_MAX ||
			instance->failures > instance->events;
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
