/* cohort_oracle - random rules of type cohort_compare over random events, and what must be counted
 * of them, by brute force.
 *
 * Why: the engine counts in pieces, by hashes, on several threads, and forgets an event at once.
 * What it must have counted in the end follows from the list of all events and docs/GATE.md alone,
 * and this file computes it from nothing else: for each service, ten seconds, rule, version and
 * half of the instances, one pass over all events.
 *
 * Where two events of one cause happened at the same time, which of them was the first is settled
 * by a hash of what they say. A case of that kind (`ties`) is only held against sums over the
 * versions; that all orders of arrival settle it alike is for the test to see.
 * Owner: each test that includes it. Limits: DEEDS_MAX events, COMPARED_MAX rules. */
#ifndef PICKET_TESTS_CORRELATE_COHORT_ORACLE_H
#define PICKET_TESTS_CORRELATE_COHORT_ORACLE_H

#include "correlate/cohort_cluster_private.h"
#include "correlate/cohort_rule.h"
#include "tests/correlate/fixture.h"

enum {
	DEEDS_MAX = 72,
	DETECTIONS = 4,
	COMPARED_MAX = 3,
	PARTITIONS = 3,
	LINES_MAX = 2048,
	LINE_MAX_BYTES = 112,
};

/* Names that an event may have; NULL: it does not say. */
static const char *const deed_services[] = {"orders", "pay"};
static const char *const deed_versions[] = {"v1", "v2", NULL};
static const char *const deed_deploys[] = {"d1", NULL};
static const char *const deed_nodes[] = {"n1", "n2", "n3", NULL};
static const char *const deed_users[] = {"ann", "eve", NULL};
/* The first two are of one network. */
static const char *const deed_addresses[] = {"10.0.1.7", "10.0.1.9", "10.0.2.7", NULL};
static const char *const deed_networks[] = {"10.0.1", "10.0.1", "10.0.2", NULL};
static const char *const deed_traces[] = {"t1", "t2", NULL};
static const char *const deed_routes[] = {"/a", NULL};
static const char *const deed_paths[] = {"/a", "/b", NULL};
static const char *const deed_statuses[] = {"200", "404", "503", NULL};
static const char *const deed_actions[] = {"a0", "a1", "a2", NULL};
static const char *const deed_outcomes[] = {"failure", "success", NULL};
static const char *const deed_products[] = {"x", "y"};

#define SOME_OF(names, random) ((names)[below((random), sizeof(names) / sizeof *(names))])

/* One event, and what the engine makes of it before it counts. */
struct deed {
	int64_t time_us, offset;
	unsigned partition;
	bool late; /* it comes when everything but the markers is closed */
	const char *service, *version, *deploy, *node, *user, *address, *network, *trace, *route,
		*path, *status, *action, *outcome, *product;
	struct event event;
	struct cohort_trial trials[COHORT_RULES_MAX];
	size_t trial_count;
};

/* What one of the detections d0 .. d3 asks for. */
struct asked {
	unsigned actions;    /* of deed_actions, bits */
	const char *outcome; /* NULL: any */
	bool spares_errors;  /* and no status from 500 on */
	bool filtered;       /* and a filter takes user eve away */
};

struct compared {
	char name[4];
	unsigned trials; /* of the detections, bits */
	unsigned numerator;
	bool ignored;
};

struct spec {
	struct asked asked[DETECTIONS];
	struct compared compared[COMPARED_MAX];
	size_t compared_count;
};

struct deeds {
	struct deed all[DEEDS_MAX];
	size_t count;
	bool ties;
	int64_t end_us; /* behind all but the markers */
};

struct lines {
	char all[LINES_MAX][LINE_MAX_BYTES];
	size_t count;
};

static inline char *line_new(struct lines *lines)
{
	assert(lines->count < LINES_MAX);
	return lines->all[lines->count++];
}

#define LINE_ADD(lines, ...) (void)snprintf(line_new(lines), LINE_MAX_BYTES, __VA_ARGS__)

static inline struct spec spec_make(uint64_t *random)
{
	struct spec spec = {.compared_count = 1 + below(random, COMPARED_MAX)};
	for (size_t i = 0; i < DETECTIONS; i++)
		spec.asked[i] = (struct asked){.actions = 1 + (unsigned)below(random, 7),
					       .outcome = SOME_OF(deed_outcomes, random),
					       .spares_errors = below(random, 4) == 0,
					       .filtered = below(random, 4) == 0};
	for (size_t i = 0; i < spec.compared_count; i++) {
		struct compared *one = &spec.compared[i];
		memcpy(one->name, (char[]){'c', (char)('0' + i), '\0'}, 3);
		one->trials = 1 + (unsigned)below(random, (1U << DETECTIONS) - 1);
		do /* of one rule, everything would be bad */
			one->numerator = (unsigned)below(random, DETECTIONS);
		while (one->trials == 1U << one->numerator);
		one->ignored = below(random, 8) == 0;
	}
	return spec;
}

static inline void print_asked(FILE *to, const struct spec *spec, size_t number)
{
	const struct asked *asked = &spec->asked[number];
	fprintf(to, "title: D\nname: d%zu\nlogsource: {product: x}\nlevel: informational\n",
		number);
	fprintf(to, "detection:\n    did: {event.action: [none");
	for (unsigned i = 0; i < 3; i++)
		if ((asked->actions >> i & 1) != 0)
			fprintf(to, ", %s", deed_actions[i]);
	fprintf(to, "]}\n    error: {http.response.status_code|gte: 500}\n");
	if (asked->outcome != NULL)
		fprintf(to, "    end: {event.outcome: %s}\n", asked->outcome);
	fprintf(to, "    condition: did and %s%s\n---\n",
		asked->spares_errors ? "not error" : "(error or not error)",
		asked->outcome == NULL ? "" : " and end");
	if (asked->filtered)
		fprintf(to,
			"title: F\nlogsource: {product: x}\nfilter:\n    rules: [d%zu]\n"
			"    eve: {user.id: eve}\n    condition: not eve\n---\n",
			number);
}

static inline void print_compared(FILE *to, const struct compared *one, uint64_t *random)
{
	static const char *const groups[] = {"", "    group-by: [service.name]\n",
					     "    group-by: [service.name, service.version]\n"};
	static const char *const levels[] = {"low", "medium", "high", "critical"};
	static const char *const directions[] = {"up", "both"};
	bool first = true;
	fprintf(to, "title: C\nname: %s\ncorrelation:\n    type: cohort_compare\n    rules: [",
		one->name);
	for (unsigned i = 0; i < DETECTIONS; i++)
		if ((one->trials >> i & 1) != 0) {
			fprintf(to, "%sd%u", first ? "" : ", ", i);
			first = false;
		}
	fprintf(to, "]\n%s    compare: {numerator: d%u, direction: %s}\n", SOME_OF(groups, random),
		one->numerator, SOME_OF(directions, random));
	fprintf(to, "level: %s\npicket: {gate: %s}\n---\n", SOME_OF(levels, random),
		one->ignored ? "ignore" : "warn");
}

static inline char *spec_text(const struct spec *spec, uint64_t *random)
{
	char *yaml = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&yaml, &size);
	assert(to != NULL);
	for (size_t i = 0; i < DETECTIONS; i++)
		print_asked(to, spec, i);
	for (size_t i = 0; i < spec->compared_count; i++)
		print_compared(to, &spec->compared[i], random);
	(void)fclose(to);
	return yaml;
}

static inline struct deed deed_make(uint64_t *random)
{
	size_t address = below(random, sizeof deed_addresses / sizeof *deed_addresses);
	return (struct deed){.service = SOME_OF(deed_services, random),
			     .version = SOME_OF(deed_versions, random),
			     .deploy = SOME_OF(deed_deploys, random),
			     .node = SOME_OF(deed_nodes, random),
			     .user = SOME_OF(deed_users, random),
			     .address = deed_addresses[address],
			     .network = deed_networks[address],
			     .trace = SOME_OF(deed_traces, random),
			     .route = SOME_OF(deed_routes, random),
			     .path = SOME_OF(deed_paths, random),
			     .status = SOME_OF(deed_statuses, random),
			     .action = SOME_OF(deed_actions, random),
			     .outcome = SOME_OF(deed_outcomes, random),
			     .product = deed_products[below(random, 8) == 0]};
}

/* Behind everything else, a request to each service: with it is told what came late. */
static inline void markers_add(struct deeds *deeds, uint64_t *random)
{
	for (size_t i = 0; i < sizeof deed_services / sizeof *deed_services; i++) {
		struct deed *deed = &deeds->all[deeds->count++];
		*deed = deed_make(random);
		deed->service = deed_services[i];
		deed->status = "200";
		deed->time_us = deeds->end_us + (int64_t)(200 + i) * 1000000;
	}
}

static inline void deeds_make(struct deeds *deeds, uint64_t *random)
{
	size_t most = below(random, 4) == 0 ? DEEDS_MAX - 2 : 16;
	size_t count = 1 + below(random, most);
	size_t range_s = 1 + below(random, 60);
	int64_t begin_us = below(random, 4) == 0 ? -25000000 : 1000000000;
	bool some_late = below(random, 3) == 0;
	deeds->ties = below(random, 6) == 0;
	deeds->count = 0;
	deeds->end_us = begin_us + (int64_t)(range_s + 1) * 1000000;
	while (deeds->count < count) {
		struct deed *deed = &deeds->all[deeds->count];
		int64_t second = (int64_t)below(random, range_s);
		if (deeds->count > 0 && below(random, 6) == 0) {
			*deed = deeds->all[below(random, deeds->count)]; /* sent twice */
		} else {
			*deed = deed_make(random);
			deed->time_us = begin_us + second * 1000000 +
					(deeds->ties ? 0 : (int64_t)deeds->count);
		}
		deed->late = some_late && below(random, 6) == 0;
		deeds->count++;
	}
	if (some_late)
		markers_add(deeds, random);
	for (size_t i = 0; i < deeds->count; i++) {
		deeds->all[i].offset = (int64_t)i;
		deeds->all[i].partition = (unsigned)below(random, PARTITIONS);
	}
}

static inline bool same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Whether a detection holds for an event, by its words. */
static inline bool holds(const struct asked *asked, const struct deed *deed)
{
	bool did = false;
	for (unsigned i = 0; i < 3; i++)
		did |= (asked->actions >> i & 1) != 0 && same(deed->action, deed_actions[i]);
	return did && same(deed->product, "x") &&
	       (asked->outcome == NULL || same(asked->outcome, deed->outcome)) &&
	       !(asked->spares_errors && same(deed->status, "503")) &&
	       !(asked->filtered && same(deed->user, "eve"));
}

static inline bool is_trial(const struct spec *spec, const struct compared *one,
			    const struct deed *deed)
{
	bool trial = false;
	for (unsigned i = 0; i < DETECTIONS; i++)
		trial |= (one->trials >> i & 1) != 0 && holds(&spec->asked[i], deed);
	return trial;
}

static inline bool is_bad(const struct spec *spec, const struct compared *one,
			  const struct deed *deed)
{
	return is_trial(spec, one, deed) && holds(&spec->asked[one->numerator], deed);
}

static inline int64_t start_of(const struct deed *deed)
{
	int64_t start_us = deed->time_us / COHORT_BUCKET_US * COHORT_BUCKET_US;
	return start_us > deed->time_us ? start_us - COHORT_BUCKET_US : start_us;
}

/* Who did it: the user, else the network, else the trace; else nobody is like anybody. */
static inline bool same_principal(const struct deed *a, const struct deed *b)
{
	if (a->user != NULL || b->user != NULL)
		return same(a->user, b->user);
	if (a->network != NULL || b->network != NULL)
		return same(a->network, b->network);
	return a->trace != NULL ? same(a->trace, b->trace) : a == b;
}

static inline bool is_nameless(const struct deed *deed)
{
	return deed->user == NULL && deed->network == NULL && deed->trace == NULL;
}

static inline bool same_cause(const struct deed *a, const struct deed *b)
{
	return same_principal(a, b) &&
	       same(a->route != NULL ? a->route : a->path, b->route != NULL ? b->route : b->path);
}

static inline unsigned half_of(const struct deed *deed)
{
	struct bytes name cleanup(bytes_done) = {0};
	bytes_write(&name, deed->node == NULL ? TEXT("") : text_of(deed->node));
	return (uint8_t)cohort_hash(&test_key, &name) % COHORT_HALVES;
}

/* One service, ten seconds and rule. */
struct cohort_case {
	const struct spec *spec;
	const struct deeds *deeds;
	const struct compared *rule;
	const char *service;
	int64_t start_us;
};

static inline bool is_in(const struct cohort_case *at, const struct deed *deed)
{
	return !deed->late && strcmp(deed->service, at->service) == 0 &&
	       start_of(deed) == at->start_us;
}

static inline bool is_bad_in(const struct cohort_case *at, const struct deed *deed)
{
	return is_in(at, deed) && is_bad(at->spec, at->rule, deed);
}

/* No other bad one of its cause was before it; of equal times and of copies the first counts. */
static inline bool is_first(const struct cohort_case *at, const struct deed *deed,
			    bool (*alike)(const struct deed *a, const struct deed *b))
{
	for (size_t i = 0; i < at->deeds->count; i++) {
		const struct deed *other = &at->deeds->all[i];
		bool before = other->time_us < deed->time_us ||
			      (other->time_us == deed->time_us && other < deed);
		if (before && is_bad_in(at, other) && alike(other, deed))
			return false;
	}
	return true;
}

struct counted {
	unsigned trials, bad, causes, culprits, nameless;
};

/* Of one version, deploy id and half; NULL or -1: of all. */
static inline struct counted count_of(const struct cohort_case *at, const char *const *version,
				      const char *const *deploy, int half)
{
	struct counted counted = {0};
	for (size_t i = 0; i < at->deeds->count; i++) {
		const struct deed *deed = &at->deeds->all[i];
		if (!is_in(at, deed) || !is_trial(at->spec, at->rule, deed) ||
		    (version != NULL && !same(*version, deed->version)) ||
		    (deploy != NULL && !same(*deploy, deed->deploy)) ||
		    (half >= 0 && half_of(deed) != (unsigned)half))
			continue;
		counted.trials++;
		if (!is_bad(at->spec, at->rule, deed))
			continue;
		counted.bad++;
		counted.causes += is_first(at, deed, same_cause);
		counted.culprits += !is_nameless(deed) && is_first(at, deed, same_principal);
		counted.nameless += is_nameless(deed);
	}
	return counted;
}

/* How both sides write down what they have counted. */
static inline void line_of_half(struct lines *lines, const struct cohort_case *at, struct text arm,
				unsigned half, const struct counted *counted)
{
	LINE_ADD(lines, "%s %lld %s %.*s half %u: %u trials, %u bad, %u causes", at->service,
		 (long long)at->start_us, at->rule->name, TEXT_ARG(arm), half, counted->trials,
		 counted->bad, at->deeds->ties ? 0 : counted->causes);
}

static inline void line_of_arm(struct lines *lines, const struct cohort_case *at, struct text arm,
			       unsigned culprits)
{
	if (culprits > 0 && !at->deeds->ties)
		LINE_ADD(lines, "%s %lld %s %.*s: %u culprits", at->service,
			 (long long)at->start_us, at->rule->name, TEXT_ARG(arm), culprits);
}

static inline void line_of_rule(struct lines *lines, const struct cohort_case *at,
				const struct counted *all)
{
	LINE_ADD(lines, "%s %lld %s: %u causes, %u culprits%s", at->service,
		 (long long)at->start_us, at->rule->name, all->causes, all->culprits,
		 all->nameless > 0 ? ", some nameless" : "");
}

static inline void arm_print(char to[16], struct text version, struct text deploy)
{
	(void)snprintf(to, 16, "%.*s/%.*s", TEXT_ARG(version), TEXT_ARG(deploy));
}

static inline void expect_rule(const struct cohort_case *at, struct lines *lines)
{
	struct counted all = count_of(at, NULL, NULL, -1);
	if (all.trials == 0)
		return;
	line_of_rule(lines, at, &all);
	for (size_t v = 0; v < sizeof deed_versions / sizeof *deed_versions; v++)
		for (size_t d = 0; d < sizeof deed_deploys / sizeof *deed_deploys; d++) {
			const char *version = deed_versions[v];
			const char *deploy = deed_deploys[d];
			char arm[16];
			arm_print(arm, version == NULL ? TEXT("") : text_of(version),
				  deploy == NULL ? TEXT("") : text_of(deploy));
			line_of_arm(lines, at, text_of(arm),
				    count_of(at, &version, &deploy, -1).culprits);
			for (int half = 0; half < COHORT_HALVES; half++) {
				struct counted counted = count_of(at, &version, &deploy, half);
				if (counted.trials > 0)
					line_of_half(lines, at, text_of(arm), (unsigned)half,
						     &counted);
			}
		}
}

/* A request, or a trial of any rule: what may not be missing unseen. */
static inline bool is_missed(const struct spec *spec, const struct deed *deed)
{
	bool counts = deed->status != NULL;
	for (size_t i = 0; i < spec->compared_count; i++)
		counts |= !spec->compared[i].ignored && is_trial(spec, &spec->compared[i], deed);
	return deed->late && counts;
}

static inline void line_of_late(struct lines *lines, const char *service, uint64_t late)
{
	LINE_ADD(lines, "%s: %llu late", service, (unsigned long long)late);
}

static inline void expect(const struct spec *spec, const struct deeds *deeds, struct lines *lines)
{
	int64_t starts[DEEDS_MAX];
	size_t start_count = 0;
	for (size_t i = 0; i < deeds->count; i++) {
		size_t k = 0;
		while (k < start_count && starts[k] != start_of(&deeds->all[i]))
			k++;
		starts[k] = start_of(&deeds->all[i]);
		start_count += k == start_count;
	}
	lines->count = 0;
	for (size_t s = 0; s < sizeof deed_services / sizeof *deed_services; s++) {
		uint64_t late = 0;
		for (size_t i = 0; i < deeds->count; i++)
			late += strcmp(deeds->all[i].service, deed_services[s]) == 0 &&
				is_missed(spec, &deeds->all[i]);
		line_of_late(lines, deed_services[s], late);
		for (size_t k = 0; k < start_count; k++)
			for (size_t r = 0; r < spec->compared_count; r++)
				if (!spec->compared[r].ignored)
					expect_rule(&(struct cohort_case){spec, deeds,
									  &spec->compared[r],
									  deed_services[s],
									  starts[k]},
						    lines);
	}
}

static inline int compare_text_lines(const void *a, const void *b)
{
	return strcmp(a, b);
}

#endif
