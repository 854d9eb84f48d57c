#include <stdlib.h>
#include <xxhash.h>

#include "cli/doctor_private.h"

enum {
	BURST_CAPPED = 100, /* what sampling loggers let through in a second */
	ARENA_BYTES = 1 << 28,
};
static const int64_t second_us = 1000000;

const struct need doctor_needs[NEEDS] = {
	{"@timestamp", {FIELD_TIMESTAMP}},
	{"service.name", {FIELD_SERVICE_NAME}},
	{"service.version", {FIELD_SERVICE_VERSION}},
	{"event.category/action/outcome",
	 {FIELD_EVENT_CATEGORY, FIELD_EVENT_ACTION, FIELD_EVENT_OUTCOME}},
	{"user.id", {FIELD_USER_ID}},
	{"source.ip", {FIELD_SOURCE_IP}},
	{"tenant.id", {FIELD_TENANT_ID}},
	{"target.tenant.id", {FIELD_TARGET_TENANT_ID}},
	{"trace.id", {FIELD_TRACE_ID}},
	{"event.sequence", {FIELD_EVENT_SEQUENCE}},
};

enum status doctor_new(const struct doctor_options *options, struct doctor **ret_doctor,
		       struct error *err)
{
	struct doctor *doctor cleanup(doctor_free) = calloc(1, sizeof *doctor);
	if (doctor == NULL)
		return error_set(err, ENOMEMORY, "out of memory");
	doctor->options = *options;
	doctor->arena = arena_new(ARENA_BYTES);
	doctor->hashes = calloc((size_t)2 * DOCTOR_HASHES_MAX, sizeof *doctor->hashes);
	if (doctor->arena == NULL || doctor->hashes == NULL ||
	    instances_new(0, 1, &doctor->instances) != OK)
		return error_set(err, ENOMEMORY, "out of memory");
	*ret_doctor = TAKE(doctor);
	return OK;
}

void doctor_free(struct doctor **doctor)
{
	struct doctor *old = *doctor;
	if (old == NULL)
		return;
	for (size_t i = 0; i < old->patient_count; i++) {
		coverage_free(&old->patients[i]->coverage);
		free(old->patients[i]->name);
		free(old->patients[i]);
	}
	instances_free(&old->instances);
	free(old->hashes);
	arena_free(&old->arena);
	bytes_done(&old->keys);
	free(old);
	*doctor = NULL;
}

static enum status patient_of(struct doctor *doctor, struct text service,
			      struct patient **ret_patient)
{
	if (service.size == 0)
		service = TEXT("(no service.name)");
	for (size_t i = 0; i < doctor->patient_count; i++)
		if (text_equal(text_of(doctor->patients[i]->name), service)) {
			*ret_patient = doctor->patients[i];
			return OK;
		}
	if (doctor->patient_count == DOCTOR_SERVICES_MAX - 1)
		service = TEXT("(others)");
	if (doctor->patient_count == DOCTOR_SERVICES_MAX) {
		*ret_patient = doctor->patients[DOCTOR_SERVICES_MAX - 1];
		return OK;
	}
	struct patient *patient = calloc(1, sizeof *patient);
	char *name = strndup(service.data, service.size);
	bool made = patient != NULL && name != NULL &&
		    (doctor->options.ruleset == NULL ||
		     coverage_new(doctor->options.ruleset, &patient->coverage) == OK);
	if (!made) {
		free(patient);
		free(name);
		return ENOMEMORY;
	}
	patient->name = name;
	patient->first_us = INT64_MAX;
	patient->last_us = INT64_MIN;
	*ret_patient = doctor->patients[doctor->patient_count++] = patient;
	return OK;
}

bool doctor_has(const struct event *event, enum field_id id)
{
	const struct value *value = event_get(event, id);
	return value != NULL && value->type != VALUE_NULL && value->type != VALUE_EMPTY &&
	       value->text.size > 0;
}

static void count_fields(struct patient *patient, const struct event *event)
{
	for (size_t i = 0; i < NEEDS; i++) {
		bool all = true;
		for (size_t k = 0; k < NEED_FIELDS_MAX && doctor_needs[i].fields[k] != FIELD_OTHER;
		     k++)
			all = all && doctor_has(event, doctor_needs[i].fields[k]);
		if (doctor_needs[i].fields[0] == FIELD_TIMESTAMP)
			all = (event->quality & QUALITY_TIME_MISSING) == 0;
		patient->have[i] += all;
	}
	patient->requests += doctor_has(event, FIELD_HTTP_STATUS);
	patient->principals += doctor_has(event, FIELD_USER_ID) ||
			       doctor_has(event, FIELD_SOURCE_IP) ||
			       doctor_has(event, FIELD_TRACE_ID);
}

static void count_times(const struct doctor *doctor, struct patient *patient,
			const struct event *event)
{
	patient->time_missing += (event->quality & QUALITY_TIME_MISSING) != 0;
	patient->time_refused += (event->quality & (QUALITY_TIME_FUTURE | QUALITY_TIME_PAST)) != 0;
	if ((event->quality & QUALITY_TIME_MISSING) != 0)
		return;
	if (event->time_us < patient->first_us)
		patient->first_us = event->time_us;
	if (event->time_us > patient->last_us)
		patient->last_us = event->time_us;
	if (!doctor->options.record_times)
		return;
	int64_t ahead_us = event->time_us - event->record_time_us;
	if (ahead_us > patient->ahead_us)
		patient->ahead_us = ahead_us;
	if (-ahead_us > patient->behind_us)
		patient->behind_us = -ahead_us;
}

static uint64_t content_hash(const struct event *event)
{
	XXH64_hash_t hash = (uint64_t)event->time_us;
	for (size_t i = 0; i < event->field_count; i++) {
		const struct field *field = &event->fields[i];
		if (field->id != FIELD_OTHER &&
		    schema_info(field->id)->protection == FIELD_PROVENANCE)
			continue;
		hash = XXH3_64bits_withSeed(field->name.data, field->name.size, hash);
		hash = XXH3_64bits_withSeed(field->value.text.data, field->value.text.size, hash);
	}
	return hash == 0 ? 1 : hash;
}

/* Was there an event with the same content? Beyond the limit nothing is remembered any more. */
static bool seen_before(struct doctor *doctor, uint64_t hash)
{
	size_t mask = (size_t)2 * DOCTOR_HASHES_MAX - 1;
	size_t at = hash & mask;
	for (; doctor->hashes[at] != 0; at = (at + 1) & mask)
		if (doctor->hashes[at] == hash)
			return true;
	if (doctor->hash_count < DOCTOR_HASHES_MAX) {
		doctor->hashes[at] = hash;
		doctor->hash_count++;
	}
	return false;
}

void doctor_burst_end(struct patient *patient, const struct burst *burst)
{
	patient->capped += burst->count >= BURST_CAPPED;
	patient->beyond += burst->count >= 2 * BURST_CAPPED;
}

static void count_burst(struct patient *patient, const struct event *event)
{
	struct text message = event_text(event, FIELD_MESSAGE);
	if (message.size == 0)
		return;
	uint64_t hash = XXH3_64bits(message.data, message.size);
	struct burst *burst = &patient->bursts[hash % BURSTS];
	int64_t second = event->time_us / second_us;
	if (burst->message != hash || burst->second != second) {
		doctor_burst_end(patient, burst);
		*burst = (struct burst){.message = hash, .second = second};
	}
	burst->count++;
}

static void note_format(struct patient *patient, const char *format)
{
	for (size_t i = 0; i < patient->format_count; i++)
		if (strcmp(patient->formats[i], format) == 0)
			return;
	if (patient->format_count < FORMAT_NAMES_MAX)
		patient->formats[patient->format_count++] = format;
}

enum status doctor_see(struct doctor *doctor, const struct specimen *specimen)
{
	const struct event *event = specimen->event;
	struct patient *patient = NULL;
	struct sighting sighting;
	enum status status = patient_of(doctor, event_text(event, FIELD_SERVICE_NAME), &patient);
	if (status != OK)
		return status;
	patient->events++;
	patient->bytes += specimen->bytes;
	patient->unbound += specimen->unbound;
	patient->false_claims += specimen->false_claim;
	patient->secrets += (event->quality & QUALITY_SECRET) != 0;
	note_format(patient, specimen->format);
	count_fields(patient, event);
	count_times(doctor, patient, event);
	count_burst(patient, event);
	patient->duplicates += seen_before(doctor, content_hash(event));
	if (sighting_of(event, &sighting))
		status = instances_see(doctor->instances, &sighting);
	if (status == OK)
		status = signal_feeds_see(&patient->signals, event, &doctor->keys);
	if (status == OK && patient->coverage != NULL)
		status = coverage_add(patient->coverage, event, 1);
	return status;
}
