#include "rules/parse_private.h"

/* cohort_compare: what a version of a service does worse than the others.
 *
 *     name: refund_failure              # the outcome's name, in the gate's answer and in policies
 *     correlation:
 *         type: cohort_compare
 *         rules: [refund]               # a match of one of these is a trial
 *         compare:
 *             numerator: refund_failed  # a trial that this one matches is bad; may be one of them
 *             # From here on, each is optional, as in the policy `default`.
 *             worse-by: {gt: 1.25}
 *             tolerate: {odds: 2, rate: 0.001}
 *             direction: up             # both: fewer is a finding as well
 *
 * It is counted by service and version, whatever group-by says, so that is all that may stand
 * there; it has no timespan, since the gate compares from the canary's first event on; and it
 * raises no alerts: the gate says what it found (docs/GATE.md). */

static const double ODDS_MAX = 100;

static enum status number_read(const struct yaml_node *node, const char *what, double min,
			       double max, double *ret_value, struct error *err)
{
	bool number = node->kind == YAML_INTEGER || node->kind == YAML_REAL;
	if (!number || !(node->real >= min) || !(node->real <= max))
		return error_at(err, EINVALID, node->at,
				"%s is a number from %g to %g\n  fix: correct it", what, min, max);
	*ret_value = node->real;
	return OK;
}

/* {gt: 1.25}: the odds of a good canary are at most so many times the others'. */
static enum status worse_by_read(const struct yaml_node *node, struct cohort_terms *terms,
				 struct error *err)
{
	static const char *const keys[] = {"gt"};
	enum status status = node_map(node, "worse-by", err);
	if (status == OK)
		status = node_keys(node, "worse-by", keys, 1, err);
	if (status == OK && node->count == 0)
		status = error_at(err, EINVALID, node->at,
				  "worse-by says nothing\n  fix: write {gt: 1.25}");
	return status == OK ? number_read(node->values[0], "worse-by", 1, ODDS_MAX,
					  &terms->worse_by, err)
			    : status;
}

static enum status tolerate_read(const struct yaml_node *node, struct cohort_terms *terms,
				 struct error *err)
{
	static const char *const keys[] = {"odds", "rate"};
	static const double ODDS_MIN = 1.01;
	static const double RATE_MIN = 1e-9;
	static const double RATE_MAX = 0.5;
	enum status status = node_map(node, "tolerate", err);
	if (status == OK)
		status = node_keys(node, "tolerate", keys, 2, err);
	const struct yaml_node *odds = status == OK ? yaml_get(node, "odds") : NULL;
	const struct yaml_node *rate = status == OK ? yaml_get(node, "rate") : NULL;
	if (odds != NULL)
		status = number_read(odds, "tolerate.odds", ODDS_MIN, ODDS_MAX, &terms->odds, err);
	if (status == OK && rate != NULL)
		status = number_read(rate, "tolerate.rate", RATE_MIN, RATE_MAX, &terms->rate, err);
	return status;
}

/* One of the rules, or one more. */
static enum status numerator_read(struct loader *loader, const struct yaml_node *node,
				  struct correlation_draft *draft, struct cohort_terms *terms,
				  struct error *err)
{
	struct reference reference = {0};
	enum status status = reference_read(loader, node, "compare.numerator", &reference, err);
	if (status != OK)
		return status;
	terms->trials = (uint32_t)draft->reference_count;
	while (terms->numerator < terms->trials &&
	       !text_equal(draft->references[terms->numerator].word, reference.word))
		terms->numerator++;
	if (terms->trials == 1 && terms->numerator == 0)
		return error_at(err, EINVALID, node->at,
				"every trial would be a bad one: '%.*s' is all that is counted\n"
				"  fix: add to `rules` what matches a good one",
				TEXT_ARG(reference.word));
	if (terms->numerator == terms->trials)
		draft->references[draft->reference_count++] = reference;
	return OK;
}

static enum status compare_read(struct loader *loader, const struct yaml_node *node,
				struct correlation_draft *draft, struct cohort_terms *terms,
				struct error *err)
{
	static const char *const keys[] = {"numerator", "worse-by", "tolerate", "direction",
					   "metric"};
	static const char *const directions[] = {"up", "both"};
	static const char *const metrics[] = {"ratio"};
	size_t index = 0;
	enum status status = node_map(node, "compare", err);
	if (status == OK)
		status = node_keys(node, "compare", keys, 5, err);
	if (status != OK)
		return status;
	const struct yaml_node *numerator = yaml_get(node, "numerator");
	const struct yaml_node *worse_by = yaml_get(node, "worse-by");
	const struct yaml_node *tolerate = yaml_get(node, "tolerate");
	const struct yaml_node *direction = yaml_get(node, "direction");
	const struct yaml_node *metric = yaml_get(node, "metric");
	if (numerator == NULL)
		return node_missing(node, "numerator", "compare names no numerator",
				    "add `numerator: NAME` with the rule that matches a bad trial",
				    err);
	status = numerator_read(loader, numerator, draft, terms, err);
	if (status == OK && metric != NULL)
		status = node_one_of(metric, "compare.metric", metrics, 1, &index, err);
	if (status == OK && direction != NULL)
		status = node_one_of(direction, "compare.direction", directions, 2, &index, err);
	terms->two_sided = index == 1;
	if (status == OK && worse_by != NULL)
		status = worse_by_read(worse_by, terms, err);
	if (status == OK && tolerate != NULL)
		status = tolerate_read(tolerate, terms, err);
	if (status == OK && terms->odds <= terms->worse_by)
		status = error_at(err, EINVALID, node->at,
				  "tolerate.odds %g is not above worse-by %g: nothing could be "
				  "proven\n  fix: make it larger",
				  terms->odds, terms->worse_by);
	return status;
}

/* Nothing, the service, or the service and its version. */
static enum status group_checked(struct loader *loader, const struct yaml_node *node,
				 struct error *err)
{
	const struct text *names = NULL;
	size_t count = 0;
	if (node == NULL)
		return OK;
	enum status status = node_fields(loader, node, "correlation.group-by", &names, &count, err);
	for (size_t i = 0; status == OK && i < count; i++)
		if (!text_equal(names[i], TEXT("service.name")) &&
		    !text_equal(names[i], TEXT("service.version")))
			status = error_at(err, EINVALID, node->at,
					  "cohort_compare counts by service and version, not by "
					  "%.*s\n  fix: write group-by: [service.name], or nothing",
					  TEXT_ARG(names[i]));
	return status;
}

enum status cohort_terms_read(struct loader *loader, const struct yaml_node *map,
			      struct correlation_draft *draft, struct error *err)
{
	const struct yaml_node *compare = yaml_get(map, "compare");
	struct cohort_terms *terms = arena_alloc(loader->arena, sizeof *terms);
	if (terms == NULL)
		return loader_exhausted(err);
	*terms = (struct cohort_terms){.worse_by = 1.25, .odds = 2, .rate = 0.001};
	if (yaml_get(map, "rules") == NULL || compare == NULL)
		return node_missing(map, compare == NULL ? "compare" : "rules",
				    "cohort_compare compares nothing",
				    "add `rules:` with what is counted, and `compare: {numerator: "
				    "NAME}` with what is bad of it",
				    err);
	draft->parsed.cohort = terms;
	enum status status = compare_read(loader, compare, draft, terms, err);
	return status == OK ? group_checked(loader, yaml_get(map, "group-by"), err) : status;
}

/* A name that a policy can use and a person can read in a table. */
static bool is_plain_name(struct text name)
{
	enum { NAME_MAX_BYTES = 32 };
	bool plain = name.size > 0 && name.size <= NAME_MAX_BYTES;
	for (size_t i = 0; plain && i < name.size; i++)
		plain = strchr("abcdefghijklmnopqrstuvwxyz0123456789_", name.data[i]) != NULL;
	return plain;
}

enum status cohort_checked(const struct loader *loader, const struct draft *draft,
			   size_t cohort_count, struct error *err)
{
	const struct correlation_draft *correlation = draft->correlation;
	if (!is_plain_name(draft->rule.name))
		return error_at(
			err, EINVALID, draft->rule.at,
			"a cohort_compare rule is an outcome of the gate and needs a name of "
			"a-z, 0-9 and _\n  fix: add for instance `name: refund_failure`");
	if (cohort_count >= COHORT_RULES_MAX)
		return error_at(err, ELIMIT, draft->rule.at,
				"more than %d rules of type cohort_compare: each is counted with "
				"every event\n  fix: remove one",
				COHORT_RULES_MAX);
	for (size_t i = 0; i < correlation->reference_count; i++) {
		const struct reference *reference = &correlation->references[i];
		if (loader->drafts[reference->draft]->correlation != NULL)
			return error_at(
				err, EINVALID, reference->at,
				"cohort_compare counts events, and '%.*s' is a correlation\n"
				"  fix: name the detections that it refers to",
				TEXT_ARG(reference->word));
	}
	return OK;
}
