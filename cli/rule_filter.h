/* rule_filter - a Sigma filter that excludes what an alert has in common: `picket rules tune`.
 *
 * Why: a filter written in a hurry at night excludes too much: the user of that name of every
 * tenant, or what a rule says must *not* happen, which makes alerts instead of taking them away.
 *
 * A filter applies to detections, so that of a correlation's alert is one for the detections below
 * it that must be there (not those under a `not` or in `until`), in one document for each log
 * source. A field that `aliases` rename is written as each detection calls it.
 *
 * Invariant: the same alert, rules and fields give the same bytes, the documents' ids with them.
 * Owner: the caller. Thread: any. Limits: FILTER_DETECTIONS_MAX, FILTER_FIELDS_MAX (ELIMIT). */
#ifndef PICKET_CLI_RULE_FILTER_H
#define PICKET_CLI_RULE_FILTER_H

#include "rules/bytes.h"
#include "rules/ruleset.h"

enum { FILTER_DETECTIONS_MAX = 256, FILTER_FIELDS_MAX = 16 };

struct filter_field {
	struct text name, value;
};

struct rule_filter_options {
	const struct ruleset *ruleset;
	const struct rule *rule; /* the alert's, of this set */
	struct text alert_id;
	struct text tenant;  /* only its events; "-": those without one; size 0: of all */
	struct text expires; /* until when it excludes, as `picket.expires` is written; size 0:
				always */
	const struct filter_field *fields;
	size_t field_count;
};

enum status rule_filter_write(const struct rule_filter_options *options, struct bytes *to,
			      struct error *err);

#endif
