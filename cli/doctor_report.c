#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/doctor_private.h"

enum {
	BURSTS_LEAST = 2,
	COVERAGE_GOOD = 90, /* per cent: below, a field is named as missing */
};
static const int64_t second_us = 1000000;
static const int64_t skew_told_us = 5 * 1000000;

static const struct {
	const char *format, *identity, *sequence;
} loggers[] = {
#define LOGGER(format, identity, sequence) {format, identity, sequence},
#include "cli/logger.def"
#undef LOGGER
};

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
			       doctor_needs[i].name, percent(patient->have[i], patient->events));
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
		doctor_burst_end(patient, &patient->bursts[i]);
	json_write_open(json, NULL, '{');
	json_write_string(json, "service", patient->name);
	json_write_count(json, "score", score_of(patient));
	json_write_open(json, "formats", '[');
	for (size_t i = 0; i < patient->format_count; i++)
		json_write_string(json, NULL, patient->formats[i]);
	json_write_close(json, ']');
	json_write_open(json, "fields", '{');
	for (size_t i = 0; i < NEEDS; i++)
		json_write_count(json, doctor_needs[i].name,
				 percent(patient->have[i], patient->events));
	json_write_close(json, '}');
	write_stream(doctor, json, patient);
	enum status status = write_rules(doctor, json, patient);
	write_gate(json, patient);
	signal_feeds_write(&patient->signals, json);
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
