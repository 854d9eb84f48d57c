/* What is stored of the gate, and what workers and checkpoints send: decoders of untrusted bytes.
 * The first byte chooses the decoder; what a decoder accepts must encode to the bytes it came
 * from, or to bytes that decode to the same, and must be fit for a verdict. */
#include <assert.h>
#include <stdlib.h>

#include "correlate/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const size_t ARENA_BYTES = (size_t)1 << 26;

static void judge(const struct bucket *bucket, struct arena *arena)
{
	struct gate_query query = {.service = bucket->service,
				   .canary = {ARM_ANY, TEXT("v2")},
				   .step_start_us = INT64_MIN,
				   .after_us = INT64_MIN,
				   .pardon_us = INT64_MIN,
				   .policy = gate_policy_default()};
	struct gate_facts facts = {.buckets = bucket,
				   .bucket_count = 1,
				   .watermark_us = INT64_MAX,
				   .latched_us = INT64_MIN};
	struct gate_result result;
	enum status status = gate_judge(&query, &facts, arena, &result);
	assert(status == OK || status == ENOMEMORY);
	assert(status != OK || result.verdict != VERDICT_PASS); /* no instance was heard */
	struct bytes json cleanup(bytes_done) = {0};
	if (status == OK)
		gate_json(&query, &result, &json);
}

static void try_bucket(struct text input, struct arena *arena)
{
	struct bucket bucket;
	if (bucket_decode(input, arena, &bucket, NULL) != OK)
		return;
	struct bytes first cleanup(bytes_done) = {0};
	struct bytes second cleanup(bytes_done) = {0};
	bucket_encode(&bucket, &first);
	struct bucket again;
	enum status status = bucket_decode(bytes_text(&first), arena, &again, NULL);
	assert(status == OK);
	bucket_encode(&again, &second);
	assert(text_equal(bytes_text(&first), bytes_text(&second)));
	judge(&bucket, arena);
}

static void try_finding(struct text input, struct arena *arena)
{
	struct finding finding;
	if (finding_decode(input, arena, &finding, NULL) != OK)
		return;
	struct bytes encoded cleanup(bytes_done) = {0};
	finding_encode(&finding, &encoded);
	struct finding again;
	enum status status = finding_decode(bytes_text(&encoded), arena, &again, NULL);
	assert(status == OK && again.count == finding.count);
}

static void try_instance(struct text input, struct arena *arena)
{
	struct instance instance;
	if (instance_decode(input, arena, &instance, NULL) != OK)
		return;
	struct bytes encoded cleanup(bytes_done) = {0};
	instance_encode(&instance, &encoded);
	struct instance again;
	enum status status = instance_decode(bytes_text(&encoded), arena, &again, NULL);
	assert(status == OK && again.events == instance.events);
}

static void try_trait(struct text input)
{
	struct trait trait;
	if (trait_decode(input, &trait, NULL) != OK)
		return;
	struct bytes encoded cleanup(bytes_done) = {0};
	struct bytes again cleanup(bytes_done) = {0};
	struct trait back;
	trait_encode(&trait, &encoded);
	enum status status = trait_decode(bytes_text(&encoded), &back, NULL);
	assert(status == OK);
	trait_encode(&back, &again);
	assert(text_equal(bytes_text(&encoded), bytes_text(&again)));
}

static void try_cohort(struct text input, bool checkpoint)
{
	struct cohort *cohort cleanup(cohort_free) = NULL;
	enum status status = cohort_new(0, 1, &cohort, NULL);
	assert(status == OK);
	status =
		checkpoint ? cohort_restore(cohort, input, NULL) : cohort_feed(cohort, input, NULL);
	assert(status == OK || status == ECORRUPT || status == ENOMEMORY);
	struct bytes saved cleanup(bytes_done) = {0};
	status = cohort_checkpoint(cohort, 0, &saved);
	assert(status == OK || status == ENOMEMORY);
	status = cohort_close(cohort, INT64_MAX, NULL);
	assert(status == OK || status == ENOMEMORY);
	struct cohort_changes changes = cohort_changes(cohort);
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	for (size_t i = 0; i < changes.trait_count; i++) {
		struct bytes row cleanup(bytes_done) = {0};
		struct trait trait;
		struct trait given = cohort_trait(&changes, i);
		trait_encode(&given, &row);
		status = trait_decode(bytes_text(&row), &trait, NULL);
		assert(status == OK);
	}
	for (size_t i = 0; i < changes.bucket_count; i++) {
		struct bytes row cleanup(bytes_done) = {0};
		struct bucket bucket;
		bucket_encode(&changes.buckets[i], &row);
		status = bucket_decode(bytes_text(&row), arena, &bucket, NULL);
		assert(status == OK);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct text input = {(const char *)data + 1, size - 1};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	switch (data[0]) {
	case 'b':
		try_bucket(input, arena);
		break;
	case 'f':
		try_finding(input, arena);
		break;
	case 'i':
		try_instance(input, arena);
		break;
	case 't':
		try_trait(input);
		break;
	case 'a':
		try_cohort(input, false);
		break;
	case 'c':
		try_cohort(input, true);
		break;
	default:
		break;
	}
	return 0;
}
