/* doctor - how good the logs of each service are, and the line that would make them better.
 *
 * Why: a rule whose field nobody logs is silent for ever and looks healthy, a logger that samples
 * hides the attack, a clock that is wrong spoils every window. Each shows in the logs themselves.
 *
 * Score: the mean share of events that have each of the ten fields of docs/LOGGING.md, in per cent
 * (event.category, .action and .outcome together are one). Suspicions are told as such: a sampling
 * logger is one that often writes a message a hundred times in a second and never twice that.
 *
 * Invariant: events may come in any order; nothing is kept of them but counts and hashes.
 * Owner: doctor_free(); rule set and bindings are lent. Thread: one. Limits: DOCTOR_SERVICES_MAX
 * services (more are counted as "others"), DOCTOR_HASHES_MAX events are remembered for duplicates.
 */
#ifndef PICKET_CLI_DOCTOR_H
#define PICKET_CLI_DOCTOR_H

#include "ingest/binding.h"
#include "rules/ruleset.h"

enum { DOCTOR_SERVICES_MAX = 256, DOCTOR_HASHES_MAX = 1 << 20 };

struct doctor;

struct doctor_options {
	const struct ruleset *ruleset;   /* NULL: rules are not asked for */
	const struct bindings *bindings; /* NULL: no bindings */
	bool record_times; /* the records have times of their own: clocks can be compared */
};

enum status doctor_new(const struct doctor_options *options, struct doctor **ret_doctor,
		       struct error *err);
void doctor_free(struct doctor **doctor);

struct specimen {
	const struct event *event;
	const char *format;
	size_t bytes;
	bool unbound; /* no binding fits its message */
	bool false_claim;
};
enum status doctor_see(struct doctor *doctor, const struct specimen *specimen);

/* {"schema":"picket.doctor/1", "services":[...]}, the worst first. Once, at the end. */
enum status doctor_report(struct doctor *doctor, struct bytes *to);

#endif
