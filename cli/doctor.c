#include "cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "cli/json_writer.h"
#include "correlate/instance.h"
#include "rules/coverage.h"

enum {
	NEEDS = 10,
	FORMAT_NAMES_MAX = 8,
	BURSTS = 4096,      /* messages whose seconds are watched, by hash */
	BURST_CAPPED = 100, /* what sampling loggers let through in a second */
	BURSTS_LEAST = 2,
	COVERAGE_GOOD = 90, /* per cent: below, a field is named as missing */
	ARENA_BYTES = 1 << 28,
};
static const int64_t second_us = 1000000;
static const int64_t skew_told_us = 5 * 1000000;

/* The ten fields: names for people, and what must be there. */
static const struct {
	const char *name;
	enum field_id fields[3]; /* all of them */
} needs[NEEDS] = {
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

static const struct {
	const char *format, *identity, *sequence;
} loggers[] = {
#define LOGGER(format, identity, sequence) {format, identity, sequence},
#include "cli/logger.def"
#undef LOGGER
};

struct burst {
	uint64_t message;
	int64_t second;
	uint32_t count;
};

struct patient {
	char *name;
	uint64_t events, bytes;
	uint64_t have[NEEDS];
	uint64_t requests, outcomes, principals; /* for the gate */
	const char *formats[FORMAT_NAMES_MAX];
	size_t format_count;
	int64_t first_us, last_us;
	uint64_t time_missing, time_refused;
	int64_t ahead_us, behind_us; /* the largest distances between event and record time */
	uint64_t duplicates, unbound, false_claims, secrets;
	struct burst bursts[BURSTS];
	uint64_t capped, beyond; /* seconds with a hundred of one message, with two hundred */
	struct coverage *coverage;
	uint64_t missing, replayed, restarts, instances; /* of instance.h, at the end */
};

struct doctor {
	struct doctor_options options;
	struct patient *patients[DOCTOR_SERVICES_MAX];
	size_t patient_count;
	struct instances *instances;
	uint64_t *hashes;
	size_t hash_count;
	struct arena *arena;
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

static bool has(const struct event *event, enum field_id id)
{
	const struct value *value = event_get(event, id);
	return value != NULL && value->type != VALUE_NULL && value->type != VALUE_EMPTY &&
	       value->text.size > 0;
}

static void count_fields(struct patient *patient, const struct event *event)
{
	for (size_t i = 0; i < NEEDS; i++) {
		bool all = true;
		for (size_t k = 0; k < 3 && needs[i].fields[k] != FIELD_OTHER; k++)
			all = all && has(event, needs[i].fields[k]);
		if (needs[i].fields[0] == FIELD_TIMESTAMP)
			all = (event->quality & QUALITY_TIME_MISSING) == 0;
		patient->have[i] += all;
	}
	bool request = has(event, FIELD_HTTP_STATUS);
	patient->requests += request;
	patient->outcomes += request || has(event, FIELD_EVENT_OUTCOME);
	patient->principals += has(event, FIELD_USER_ID) || has(event, FIELD_SOURCE_IP) ||
			       has(event, FIELD_TRACE_ID);
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

static void burst_end(struct patient *patient, const struct burst *burst)
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
		burst_end(patient, burst);
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
	if (status == OK && patient->coverage != NULL)
		status = coverage_add(patient->coverage, event);
	return status;
}

static void add_instance(void *context, const struct instance_report *report)
{
	struct doctor *doctor = context;
	for (size_t i = 0; i < doctor->patient_count; i++) {
		struct patient *patient = doctor->patients[i];
		if (!text_equal(text_of(patient->name), report->service))
			continue;
		patient->instances++;
		patient->missing += report->missing;
		patient->replayed += report->replayed;
		patient->restarts += report->restarts;
	}
}

static unsigned percent(uint64_t part, uint64_t whole)
{
	return whole == 0 ? 0 : (unsigned)(part * 100 / whole);
}

static unsigned score_of(const struct patient *patient)
{
	unsigned sum = 0;
	for (size_t i = 0; i < NEEDS; i++)
		sum += percent(patient->have[i], patient->events);
	return sum / NEEDS;
}

static int worst_first(const void *a, const void *b)
{
	const struct patient *left = *(struct patient *const *)a;
	const struct patient *right = *(struct patient *const *)b;
	unsigned left_score = score_of(left);
	unsigned right_score = score_of(right);
	if (left_score != right_score)
		return left_score < right_score ? -1 : 1;
	return strcmp(left->name, right->name);
}

static size_t logger_of(const struct patient *patient)
{
	size_t last = sizeof loggers / sizeof *loggers - 1;
	for (size_t i = 0; i < last; i++)
		for (size_t k = 0; k < patient->format_count; k++)
			if (strcmp(loggers[i].format, patient->formats[k]) == 0)
				return i;
	return last;
}

static bool is_poor(const struct patient *patient, size_t need)
{
	return percent(patient->have[need], patient->events) < COVERAGE_GOOD;
}

static bool looks_sampled(const struct patient *patient)
{
	return patient->capped >= BURSTS_LEAST && patient->beyond == 0;
}

__attribute__((format(printf, 2, 3))) static void advise(struct json_writer *json,
							 const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	json_write_string(json, NULL, text);
}

/* What is wrong with the stream of records, the gravest first. */
static void advise_stream(struct json_writer *json, const struct patient *patient)
{
	const char *sequence = loggers[logger_of(patient)].sequence;
	if (patient->false_claims > 0)
		advise(json,
		       "%llu events claim a service or tenant that may not write there; see "
		       "docs/PROVENANCE.md",
		       (unsigned long long)patient->false_claims);
	if (patient->missing > 0)
		advise(json,
		       "%llu numbered records are missing: they were deleted, sampled or "
		       "lost on the way; look at the agent's buffers",
		       (unsigned long long)patient->missing);
	if (patient->replayed > 0)
		advise(json,
		       "%llu numbered records came twice: an agent that sends again, or a "
		       "replay",
		       (unsigned long long)patient->replayed);
	if (looks_sampled(patient))
		advise(json,
		       "the logger seems to sample (%llu seconds with just over 100 times the "
		       "same message): switch it off; %s",
		       (unsigned long long)patient->capped, sequence);
	if (patient->duplicates > 0 && patient->replayed == 0)
		advise(json,
		       "%llu events are equal to an earlier one in everything: give each an "
		       "event.id, or mend the agent that sends them twice",
		       (unsigned long long)patient->duplicates);
	if (patient->secrets > 0)
		advise(json,
		       "%llu events held a secret; let the logger leave it out "
		       "(docs/PRIVACY.md)",
		       (unsigned long long)patient->secrets);
	if (patient->unbound > 0)
		advise(json,
		       "%llu events came where no binding says who may write; add the topic "
		       "to provenance.bindings",
		       (unsigned long long)patient->unbound);
	if (patient->time_refused > 0 || patient->ahead_us > skew_told_us)
		advise(json,
		       "its clock is off (up to %lld s ahead, %lld s behind the broker): set up "
		       "NTP on its node",
		       (long long)(patient->ahead_us / second_us),
		       (long long)(patient->behind_us / second_us));
}

/* The fields that would switch more on. */
static void advise_fields(struct json_writer *json, const struct patient *patient)
{
	const char *identity = loggers[logger_of(patient)].identity;
	const char *sequence = loggers[logger_of(patient)].sequence;
	if (is_poor(patient, 1) || is_poor(patient, 2))
		advise(json, "no canary can be judged without service.name and service.version: %s",
		       identity);
	for (size_t i = 0; i < NEEDS; i++) {
		if (i == 1 || i == 2 || !is_poor(patient, i))
			continue;
		if (i == NEEDS - 1)
			advise(json, "deleted records cannot be seen without event.sequence: %s",
			       sequence);
		else
			advise(json,
			       "%s stands in %u %% of the events; log it wherever it is known",
			       needs[i].name, percent(patient->have[i], patient->events));
	}
}

static enum status write_rules(struct doctor *doctor, struct json_writer *json,
			       const struct patient *patient)
{
	size_t able = 0;
	size_t count = 0;
	if (patient->coverage == NULL)
		return OK;
	for (size_t i = 0; i < ruleset_count(doctor->options.ruleset); i++) {
		const struct rule *rule = ruleset_rule(doctor->options.ruleset, i);
		struct rule_coverage coverage;
		if (rule->kind != RULE_DETECTION)
			continue;
		arena_reset(doctor->arena);
		enum status status =
			coverage_of_rule(patient->coverage, rule, doctor->arena, &coverage);
		if (status != OK)
			return status;
		count += coverage.events > 0;
		able += coverage.can_fire;
	}
	json_write_open(json, "rules", '{');
	json_write_count(json, "can_fire", able);
	json_write_count(json, "of", count);
	json_write_close(json, '}');
	return OK;
}

/* PASS needs requests with a version, and somebody who made them. */
static void write_gate(struct json_writer *json, const struct patient *patient)
{
	bool named = !is_poor(patient, 1) && !is_poor(patient, 2);
	bool principals = percent(patient->principals, patient->events) >= COVERAGE_GOOD;
	json_write_open(json, "gate", '{');
	json_write_boolean(json, "ready", named && patient->requests > 0 && principals);
	json_write_open(json, "missing", '[');
	if (!named)
		json_write_string(json, NULL, "service.name and service.version");
	if (patient->requests == 0)
		json_write_string(json, NULL, "http.response.status_code");
	if (!principals)
		json_write_string(json, NULL, "one of user.id, source.ip, trace.id");
	json_write_close(json, ']');
	json_write_close(json, '}');
}

static void write_stream(const struct doctor *doctor, struct json_writer *json,
			 const struct patient *patient)
{
	int64_t span_us = patient->last_us > patient->first_us
				  ? patient->last_us - patient->first_us
				  : second_us;
	json_write_count(json, "events", patient->events);
	json_write_count(json, "bytes", patient->bytes);
	json_write_count(json, "bytes_per_second",
			 (uint64_t)((double)patient->bytes * 1e6 / (double)span_us));
	json_write_count(json, "instances", patient->instances);
	json_write_count(json, "missing", patient->missing);
	json_write_count(json, "replayed", patient->replayed);
	json_write_count(json, "restarts", patient->restarts);
	json_write_count(json, "duplicates", patient->duplicates);
	json_write_boolean(json, "duplicates_complete", doctor->hash_count < DOCTOR_HASHES_MAX);
	json_write_boolean(json, "sampled", looks_sampled(patient));
	json_write_count(json, "secrets", patient->secrets);
	json_write_count(json, "unbound", patient->unbound);
	json_write_count(json, "false_claims", patient->false_claims);
	json_write_count(json, "time_missing", patient->time_missing);
	json_write_count(json, "time_refused", patient->time_refused);
	if (!doctor->options.record_times)
		return;
	json_write_number(json, "ahead_ms", patient->ahead_us / 1000);
	json_write_number(json, "behind_ms", patient->behind_us / 1000);
}

static enum status write_patient(struct doctor *doctor, struct json_writer *json,
				 struct patient *patient)
{
	for (size_t i = 0; i < BURSTS; i++)
		burst_end(patient, &patient->bursts[i]);
	json_write_open(json, NULL, '{');
	json_write_string(json, "service", patient->name);
	json_write_count(json, "score", score_of(patient));
	json_write_open(json, "formats", '[');
	for (size_t i = 0; i < patient->format_count; i++)
		json_write_string(json, NULL, patient->formats[i]);
	json_write_close(json, ']');
	json_write_open(json, "fields", '{');
	for (size_t i = 0; i < NEEDS; i++)
		json_write_count(json, needs[i].name, percent(patient->have[i], patient->events));
	json_write_close(json, '}');
	write_stream(doctor, json, patient);
	enum status status = write_rules(doctor, json, patient);
	write_gate(json, patient);
	json_write_open(json, "advice", '[');
	advise_stream(json, patient);
	advise_fields(json, patient);
	json_write_close(json, ']');
	json_write_close(json, '}');
	return status;
}

enum status doctor_report(struct doctor *doctor, struct bytes *to)
{
	struct json_writer json = {.to = to};
	enum status status = instances_close(doctor->instances, INT64_MAX, 0, NULL, NULL);
	if (status != OK)
		return status;
	instances_each(doctor->instances, add_instance, doctor);
	if (doctor->patient_count > 0)
		qsort(doctor->patients, doctor->patient_count, sizeof *doctor->patients,
		      worst_first);
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.doctor/1");
	json_write_open(&json, "services", '[');
	for (size_t i = 0; status == OK && i < doctor->patient_count; i++)
		status = write_patient(doctor, &json, doctor->patients[i]);
	json_write_close(&json, ']');
	json_write_close(&json, '}');
	return status == OK ? bytes_status(to) : status;
}
