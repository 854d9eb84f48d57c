/* ruleset - every rule that was loaded, compiled, immutable; and the matcher that runs it.
 *
 * Why: rules are what analysts write. A rule is compiled once, is never changed afterwards, and is
 * shared by all threads; what happens at run time (scratch, counters) belongs to one matcher per
 * thread; what is remembered between events belongs to correlate/.
 *
 * Invariant: rule i has index i; a correlation only refers to smaller depth (no cycles); the answer
 * of matcher_match() equals the evaluation of every rule one by one (fuzzed).
 * Owner: whoever called ruleset_load(). Thread: a ruleset is read by any, a matcher by one.
 * Limits: see RULES_* below; a rule set over a limit is refused with its file and line. */
#ifndef PICKET_RULES_RULESET_H
#define PICKET_RULES_RULESET_H

#include "rules/event.h"
#include "rules/terms.h"

enum {
	RULES_MAX = 65536,
	RULES_GROUP_BY_MAX = 8,
	RULES_CHAIN_DEPTH_MAX = 10,
	RULES_TAPS_MAX = 65536, /* (filter, rule) pairs; a rule set with more is refused */
	RULES_SHOWN_FIELDS = 10,
};

/* What an alert shows of an event beside its origin: the first value of each, cut at 70 bytes. */
extern const enum field_id rules_shown_fields[RULES_SHOWN_FIELDS];

enum rule_kind { RULE_DETECTION, RULE_CORRELATION };

enum rule_level { LEVEL_INFORMATIONAL, LEVEL_LOW, LEVEL_MEDIUM, LEVEL_HIGH, LEVEL_CRITICAL };
const char *level_name(enum rule_level level);

/* What a match means to the canary gate (picket.gate): block = a HARD finding of the version. */
enum rule_gate { GATE_WARN, GATE_BLOCK, GATE_IGNORE };

enum correlation_type {
	CORRELATION_EVENT_COUNT,
	CORRELATION_VALUE_COUNT,
	CORRELATION_TEMPORAL,
	CORRELATION_TEMPORAL_ORDERED,
	CORRELATION_VALUE_SUM,
	CORRELATION_VALUE_AVG,
	CORRELATION_VALUE_PERCENTILE,
	CORRELATION_VALUE_MEDIAN,
	CORRELATION_SEQUENCE, /* from here on picket's own: rules/terms.h */
	CORRELATION_FIRST_SEEN,
	CORRELATION_BASELINE,
	CORRELATION_GEO_VELOCITY,
	CORRELATION_ABSENCE,
	CORRELATION_RISK,
	CORRELATION_COHORT_COMPARE, /* judged by the canary gate alone */
};

const char *correlation_name(enum correlation_type type);

enum comparison { COMPARE_GT, COMPARE_GTE, COMPARE_LT, COMPARE_LTE, COMPARE_EQ, COMPARE_NEQ };

/* A field name of `group-by`; an alias is resolved per referenced rule. */
struct group_field {
	struct text name; /* canonical field name, or the alias as written */
	const struct text
		*by_rule; /* field per correlation.rules[i] when it is an alias, else NULL */
};

/* A condition over the referenced rules (SEP 198), where it is more than "so many of them". */
struct name_condition {
	enum { NAMES_RULE, NAMES_ALL, NAMES_ANY, NAMES_NOT } kind;
	uint32_t reference; /* NAMES_RULE: index into correlation.rules */
	const struct name_condition *const *children;
	size_t child_count;
};

/* seen: bit i for correlation.rules[i]. */
bool name_condition_holds(const struct name_condition *condition, uint64_t seen);

struct correlation {
	enum correlation_type type;
	const uint32_t *rules; /* indices of the referenced rules */
	size_t rule_count;
	const struct group_field *group_by;
	size_t group_by_count;
	int64_t timespan_us;
	struct {
		enum comparison how;
		double value;
	} conditions[2]; /* all must hold */
	size_t condition_count;
	const struct name_condition *names; /* temporal only; NULL: conditions count the rules */
	uint64_t negated;                   /* names: bit i when rules[i] stands under a `not` */
	const struct text *fields;          /* condition.field */
	size_t field_count;
	double percentile;
	const struct sequence_terms *sequence;
	const struct first_seen_terms *first_seen;
	const struct baseline_terms *baseline;
	const struct travel_terms *travel;
	const struct absence_terms *absence;
	const struct risk_terms *risk;
	const struct cohort_terms *cohort;
	unsigned depth; /* 1 when it refers to detections only; peers are a stage of their own */
};

/* One entry of picket.tests. */
struct rule_test_event {
	int64_t at_us; /* after the start of the test */
	unsigned repeat;
	int64_t every_us;
	struct text json; /* the event as a JSON object */
	struct position at;
};

struct rule_test {
	struct text name;
	const struct rule_test_event *events;
	size_t event_count;
	unsigned expect_alerts;
	int expect_level; /* enum rule_level, or -1 */
	/* Of cohort_compare, instead of alerts: what the gate must say of this version. */
	struct text expect_canary;
	struct text expect_outcome; /* "worse", "unconfirmed", "not worse", "open" or "absent" */
	bool permute;
	struct position at;
};

/* What a match of a rule adds to the risk of each entity that it names (picket.risk). */
struct risk_score {
	uint64_t score;        /* millionths */
	const struct text *on; /* fields: their values are the entities */
	size_t on_count;
	int64_t once_per_us; /* to one entity at most once in so long; 0: with every match */
};

/* picket.accuracy: how exactly a value_count counts. */
struct value_accuracy {
	bool given;
	uint32_t exact_until; /* thresholds above it are met by estimate */
	double error;         /* standard error of an estimate, at most */
};

enum { ACCURACY_EXACT_MAX = 100000 };

struct rule {
	enum rule_kind kind;
	uint32_t index;
	struct text id;   /* "" when the file gives none */
	struct text name; /* "" when the file gives none */
	struct text title;
	struct text key; /* id, else name, else title: what alerts and output call the rule */
	struct text description;
	struct text status;
	enum rule_level level;
	const struct text *tags;
	size_t tag_count;
	struct logsource logsource;
	struct position at;
	uint64_t shape; /* of a detection: what it finds (shape.c), its filters aside */
	bool alerts;    /* false: only feeds a correlation, or level informational */
	const struct correlation *correlation; /* NULL for a detection */

	/* picket: alert handling, ignored by other tools */
	const struct text *dedup_by; /* NULL: user, source and service, those present */
	size_t dedup_by_count;
	int64_t dedup_for_us;
	int64_t suppress_for_us;     /* 0: every revision rule of its own */
	const struct text *break_on; /* of rules_shown_fields: a new value is told all the same */
	size_t break_on_count;
	bool cross_tenant;
	bool nonnegative; /* of a value_sum: the author promises that no amount is below zero */
	struct value_accuracy accuracy; /* of a value_count */
	bool shadow;                    /* stage: shadow - stored, never sent */
	enum rule_gate gate;
	const struct risk_score *risk; /* NULL: none */
	struct text explain;           /* template for the alert's reason, "" = built in */
	const struct rule_test *tests;
	size_t test_count;
};

/* What a list or pipeline is called, and its file's text. */
struct rule_text {
	struct text name, text;
};

struct ruleset_options {
	const char *const *paths; /* files and folders (*.yml, *.yaml, recursive, sorted by name) */
	size_t path_count;
	bool skip_refused;        /* rules.on_refused: skip */
	bool any_logsource;       /* --input raw: every rule is a candidate for every event */
	bool verbatim_names;      /* --input raw: field names are not mapped through the schema */
	const char *const *lists; /* values for `expand`: NAME=FILE, files, folders of *.txt */
	size_t list_count;
	const char *const *pipelines; /* pySigma processing pipelines: files and folders */
	size_t pipeline_count;
	const struct rule_text *list_texts; /* the same from memory, behind those of paths */
	size_t list_text_count;
	const struct rule_text *pipeline_texts;
	size_t pipeline_text_count;
	bool supply_metadata; /* conformance tests: a missing title or logsource is filled in */
};

/* What loading had to say about one file or rule: refusals (when skipped) and lint warnings. */
struct rule_note {
	enum { NOTE_REFUSED, NOTE_WARNING } kind;
	bool gate_block; /* the refused rule says picket.gate block: forbids PASS */
	struct position at;
	struct text text;
	struct text fix;
};

/* A filter that was joined to rules, and how to ask what it excluded. A tap is a detection beside
 * the rules: the rule without its filters, and not this filter. */
struct rule_filter {
	struct text title;
	struct position at;
	const uint32_t *taps; /* one for each rule, in matcher_excluded() only */
	size_t tap_count;
	int64_t expires_us; /* it takes away no event from then on; INT64_MAX: never */
};

struct ruleset;

/* All or nothing, unless skip_refused. */
enum status ruleset_load(const struct ruleset_options *options, struct ruleset **ret_ruleset,
			 struct error *err);
/* The same from one text in memory (tests, conformance); name is used as its file name. */
enum status ruleset_parse(const struct ruleset_options *options, struct text yaml, const char *name,
			  struct ruleset **ret_ruleset, struct error *err);
/* The text of all files under the paths, in load order, as one text of many documents. */
enum status ruleset_text(const char *const *paths, size_t count, struct bytes *to,
			 struct error *err);
/* The lists and the pipelines of the options one by one, for a place that has not these files. */
typedef enum status rule_text_visit(void *context, const struct rule_text *text);
enum status ruleset_lists_visit(const struct ruleset_options *options, rule_text_visit *visit,
				void *context, struct error *err);
enum status ruleset_pipelines_visit(const struct ruleset_options *options, rule_text_visit *visit,
				    void *context, struct error *err);
void ruleset_free(struct ruleset **ruleset);

size_t ruleset_count(const struct ruleset *ruleset);
const struct rule *ruleset_rule(const struct ruleset *ruleset, size_t index);
const struct rule *ruleset_find(const struct ruleset *ruleset, struct text id_or_name);
const struct rule_note *ruleset_notes(const struct ruleset *ruleset, size_t *ret_count);
size_t ruleset_filter_count(const struct ruleset *ruleset);
const struct rule_filter *ruleset_filter(const struct ruleset *ruleset, size_t index);
/* 64-bit hash of everything that was loaded, in load order: recorded when a rule set goes live. */
uint64_t ruleset_hash(const struct ruleset *ruleset);

/* What an event must show before the rule is looked at, for people; "" for a correlation or when
 * out of memory. */
struct text ruleset_witness(const struct ruleset *ruleset, size_t index, struct arena *arena);

/* When a detection is evaluated, and what that may run (rules/cost.def); an estimate from how it
 * is filed, not a measurement. */
enum cost_finder {
#define COST_FINDER(id, word, doc) COST_##id,
#include "rules/cost.def"
#undef COST_FINDER
};
enum cost_work {
#define COST_WORK(id, word, doc) COST_##id,
#include "rules/cost.def"
#undef COST_WORK
};
const char *cost_finder_name(enum cost_finder finder);
const char *cost_work_name(enum cost_work work);

struct rule_cost {
	enum cost_finder finder;
	enum cost_work work;
	size_t predicates; /* of the condition, its filters included */
};
/* False for a correlation: it reads matches, no events. */
bool ruleset_cost(const struct ruleset *ruleset, size_t index, struct rule_cost *ret_cost);

struct matcher;

struct matches {
	const uint32_t *rules; /* detections that matched, ascending; valid until the next match */
	size_t count;
	const uint32_t *undecided; /* rules whose pattern gave up: never silently "no match" */
	size_t undecided_count;
};

struct rule_counters {
	uint64_t candidates; /* events whose log source fits */
	uint64_t evaluated;  /* ... and that showed the rule's witness */
	uint64_t matches;
	uint64_t undecided;
};

enum status matcher_new(const struct ruleset *ruleset, struct matcher **ret_matcher,
			struct error *err);
void matcher_free(struct matcher **matcher);
enum status matcher_match(struct matcher *matcher, const struct event *event,
			  struct matches *ret_matches);
/* The same by evaluating every rule in full: the oracle of the index. */
enum status matcher_match_plainly(struct matcher *matcher, const struct event *event,
				  struct matches *ret_matches);
/* Matches that a filter of the matcher's rules took away so far: events that the rule without its
 * filters finds and this filter leaves out. Several filters may leave out the same one. */
uint64_t matcher_excluded(const struct matcher *matcher, const struct rule_filter *filter);
const struct rule_counters *matcher_counters(const struct matcher *matcher, size_t rule_index);

#endif
