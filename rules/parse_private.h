/* parse (private) - what the parts of the rule front end share while rules are being loaded.
 *
 * Why: one document passes metadata, log source, detection or correlation, and handling; each part
 * is a file of its own, and all of them add to one loader.
 *
 * Stages: documents are read one by one into drafts (parse.c); when all have been read, names are
 * tied to drafts (link.c: correlations, filters, alerts); then drafts become the rule set
 * (ruleset.c). Positions and texts of a draft live in the rule set's arena, YAML trees in `yaml`,
 * which is reset after each file: loader_keep() what must stay.
 *
 * Invariant: a refused draft is never referred to by one that is not refused.
 * Owner: ruleset_load(). Thread: one. Limits: RULES_MAX drafts. */
#ifndef PICKET_RULES_PARSE_PRIVATE_H
#define PICKET_RULES_PARSE_PRIVATE_H

#include "rules/ast_private.h"
#include "rules/condition_private.h"
#include "rules/list_private.h"
#include "rules/tactic.h"
#include "rules/yaml_private.h"

struct intern;       /* predicate.c */
struct pipelines;    /* pipeline_private.h */
struct waiting_list; /* pipeline_correlation.c */

/* A reference as written: an id, a name, or (last resort) a title. */
struct reference {
	struct text word;
	struct position at;
	uint32_t draft; /* set by link.c */
};

struct alias_entry {
	struct reference rule;
	struct text field;
};

struct alias {
	struct text name;
	struct alias_entry *entries;
	size_t entry_count;
	struct position at;
};

/* A correlation before its references are resolved. */
struct correlation_draft {
	struct correlation parsed; /* rules, depth and group_by[].by_rule come from link.c */
	struct group_field *group_by;
	struct reference *references;
	size_t reference_count;
	struct alias *aliases;
	size_t alias_count;
	bool generate;
};

struct draft {
	struct rule rule;        /* index is set when the rule set is made */
	const struct expr *expr; /* detections */
	const struct expr *bare; /* before filters were joined to it; NULL: none was */
	struct correlation_draft *correlation;
	bool level_given;
	bool referred;  /* a correlation takes it ... */
	bool generated; /* ... and says generate: true */
	bool refused;
	unsigned visit;                     /* link.c: 0 not seen, 1 on the path, 2 done */
	struct logsource written_logsource; /* before pipelines: what filters are compared with */
	const bool *held; /* by step of the pipelines: its rule conditions held; NULL: none */
};

/* What a filter takes away from one rule. */
struct tap {
	uint32_t filter, draft;
	const struct expr *expr;
};

struct filter_draft {
	struct text title;
	struct logsource logsource;
	struct reference *references;
	size_t reference_count; /* 0: any rule */
	const struct expr *expr;
	const struct yaml_node *map; /* of `filter:`; kept while there are pipelines */
	int64_t expires_us;          /* events from then on pass it; INT64_MAX: never */
	struct position at;
};

struct loader {
	const struct ruleset_options *options;
	struct arena *arena; /* of the rule set */
	struct arena *yaml;  /* of the file being read */
	const char *file;
	bool out_of_memory;   /* sticky: loader_keep() could not copy; checked at the end of
				 each document */
	unsigned sigma_major; /* `sigma-version` of the document being read */

	struct draft **drafts;
	size_t draft_count, draft_capacity;
	struct filter_draft **filters;
	size_t filter_count, filter_capacity;
	struct tap *taps; /* by filter */
	size_t tap_count, tap_capacity;
	struct rule_note *notes;
	size_t note_count, note_capacity;
	struct intern *intern;
	struct value_lists lists;
	const struct pipelines *pipelines; /* NULL: there are none */
	struct waiting_list *waiting;      /* correlations that pipelines need last */
	bool silent; /* what is being parsed was parsed, and warned about, before */
};

/* --- ruleset.c: what the program was made of: every detection as it was read */
const struct program_input *ruleset_input(const struct ruleset *ruleset);

/* --- parse.c */
/* A document with `detection` or `correlation`, as pipelines have left it. */
enum status rule_parse(struct loader *loader, const struct yaml_node *document, struct error *err);
/* Whether a document that is about to be refused would have blocked a canary. */
bool document_blocks(const struct yaml_node *document);
enum status document_parse(struct loader *loader, const struct yaml_node *document,
			   struct error *err);
struct text loader_keep(struct loader *loader, struct text t);
struct text loader_keep_field(struct loader *loader,
			      struct text name); /* canonical, unless verbatim */
/* EINVALID: picket knows the field, but no event has it when rules read it. A rule with it would
 * find nothing, or everything behind a `not`. */
enum status field_is_read(const struct loader *loader, struct text name, struct position at,
			  struct error *err);
/* Room for one more item behind count items; NULL when out of memory. */
void *arena_grown(struct arena *arena, void *items, size_t count, size_t *capacity,
		  size_t item_size);
enum status loader_exhausted(struct error *err);

/* --- node.c: reading YAML with words for what is wrong. `what` names the key in messages. */
enum status node_text(const struct yaml_node *node, const char *what, struct text *ret_text,
		      struct error *err);
enum status node_list(const struct yaml_node *node, const char *what, struct error *err);
enum status node_map(const struct yaml_node *node, const char *what, struct error *err);
enum status node_boolean(const struct yaml_node *node, const char *what, bool *ret_value,
			 struct error *err);
enum status node_count(const struct yaml_node *node, const char *what, long long min, long long max,
		       long long *ret_value, struct error *err);
enum status node_duration(const struct yaml_node *node, const char *what, int64_t *ret_us,
			  struct error *err);
enum status node_one_of(const struct yaml_node *node, const char *what, const char *const *names,
			size_t count, size_t *ret_index, struct error *err);
/* Refuses a key that is not one of names, with the nearest. */
enum status node_keys(const struct yaml_node *map, const char *what, const char *const *names,
		      size_t count, struct error *err);
/* Says that a key is missing: at the key that nearly is it, if there is one, else at the map. */
enum status node_missing(const struct yaml_node *map, const char *key, const char *says,
			 const char *fix, struct error *err);
/* A text or a list of texts as field names. */
enum status node_fields(struct loader *loader, const struct yaml_node *node, const char *what,
			const struct text **ret_fields, size_t *ret_count, struct error *err);
/* " (did you mean 'x'?)" or "", for messages. */
struct hint {
	char text[96];
};
struct hint hint_for(struct text wrong, const char *const *names, size_t count);

/* --- metadata.c */
enum status metadata_parse(struct loader *loader, const struct yaml_node *document,
			   struct draft *draft, struct error *err);
enum status logsource_parse(struct loader *loader, const struct yaml_node *document,
			    struct logsource *ret_logsource, struct error *err);

/* --- detection.c */
enum status detection_parse(struct loader *loader, const struct yaml_node *detection,
			    const struct expr **ret_expr, struct error *err);
/* The same for the map of a filter, whose key `rules` is not a selection. */
enum status filter_expr_parse(struct loader *loader, const struct yaml_node *filter,
			      const struct expr **ret_expr, bool *ret_excludes, struct error *err);

/* --- modifier.c: one `field|modifier|...: value` */
enum status item_parse(struct loader *loader, const struct yaml_node *key,
		       const struct yaml_node *value, const struct expr **ret_expr,
		       struct error *err);
/* A plain value that stands for itself: a keyword. */
enum status keyword_parse(struct loader *loader, const struct yaml_node *value,
			  const struct expr **ret_expr, struct error *err);

/* --- predicate.c: interned predicates, and expressions over them */
struct intern *intern_new(struct arena *arena);
void intern_free(struct intern **intern);
const struct predicate *intern_predicates(const struct intern *intern, size_t *ret_count);
/* What it asks, as bytes: equal for equal predicates, in any file and any run. */
void predicate_encode(const struct predicate *predicate, struct bytes *to);
/* NULL when out of memory. Texts of the predicate must already be kept. */
const struct expr *expr_predicate(struct loader *loader, const struct predicate *predicate);
const struct expr *expr_join(struct loader *loader, enum expr_kind kind,
			     const struct expr *const *children, size_t count, size_t at_least);
const struct expr *expr_not(struct loader *loader, const struct expr *child);
/* The same expression under one more name, the outermost; NULL when out of memory. */
const struct expr *expr_named(struct loader *loader, const struct expr *expr, struct text name,
			      struct position at);
/* Whether an event without any field satisfies the expression. */
bool expr_true_when_absent(const struct loader *loader, const struct expr *expr);

/* --- name_condition.c: a condition over rule names; fills in the references when there are none */
enum status name_condition_read(struct loader *loader, const struct yaml_node *node,
				struct correlation_draft *draft, struct error *err);

/* --- terms.c, sequence_terms.c: what picket's own types say */
enum status terms_read(struct loader *loader, const struct yaml_node *map,
		       struct correlation_draft *draft, struct error *err);
enum status sequence_terms_read(struct loader *loader, const struct yaml_node *map,
				struct correlation_draft *draft, struct error *err);
/* risk_terms.c: a correlation of type risk, and what a rule adds to one (picket.risk). */
enum status risk_terms_read(struct loader *loader, const struct yaml_node *map,
			    struct correlation_draft *draft, struct error *err);
enum status risk_score_parse(struct loader *loader, const struct yaml_node *map, struct rule *rule,
			     struct error *err);
/* cohort_terms.c */
enum status cohort_terms_read(struct loader *loader, const struct yaml_node *map,
			      struct correlation_draft *draft, struct error *err);
/* What a draft of such a rule must have beside its terms; cohort_count: those before it. */
enum status cohort_checked(const struct loader *loader, const struct draft *draft,
			   size_t cohort_count, struct error *err);
/* {gt: 5} or {gte: 5}. */
enum status lower_bound_read(const struct yaml_node *node, const char *what,
			     struct lower_bound *ret_bound, struct error *err);
/* A text %Name% stands for a list; NULL for any other text. */
enum status list_named(const struct loader *loader, const struct yaml_node *node,
		       const struct value_list **ret_list, struct error *err);

/* --- correlation.c, filter.c, handling.c */
enum status reference_read(struct loader *loader, const struct yaml_node *node, const char *what,
			   struct reference *ret_reference, struct error *err);
enum status correlation_parse(struct loader *loader, const struct yaml_node *document,
			      struct draft *draft, struct error *err);
enum status filter_parse(struct loader *loader, const struct yaml_node *document,
			 struct error *err);
/* The filter as it is for a rule whose steps of the pipelines held (NULL: there are none). */
enum status filter_expr_for(struct loader *loader, const struct filter_draft *filter,
			    const bool *held, const struct expr **ret_expr, struct error *err);
enum status handling_parse(struct loader *loader, const struct yaml_node *document,
			   struct rule *rule, struct error *err);
/* picket.tests */
enum status tests_parse(struct loader *loader, const struct yaml_node *tests, struct rule *rule,
			struct error *err);
/* Whether they expect what such a rule can do. */
enum status tests_checked(const struct rule *rule, bool judged_by_gate, struct error *err);

/* --- shape.c: a hash of what a detection finds, its filters aside; ENOMEMORY. */
enum status detection_shape(const struct loader *loader, const struct draft *draft,
			    uint64_t *ret_shape);

/* --- link.c */
enum status drafts_link(struct loader *loader, struct error *err);

/* --- lint.c */
__attribute__((format(printf, 4, 5))) void lint_warn(struct loader *loader, struct position at,
						     const char *fix, const char *format, ...);
/* Makes a note of a refusal and answers OK when refusals are skipped; otherwise hands status on.
 * The text of such an error is "what\n  fix: how". */
enum status lint_refuse(struct loader *loader, enum status status, struct error *err,
			bool gate_block);
void lint_scalar(struct loader *loader, const struct yaml_node *node);
void lint_document(struct loader *loader, const struct yaml_node *document);
void lint_drafts(struct loader *loader);

#endif
