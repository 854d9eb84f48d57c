/* pipeline (private) - pySigma processing pipelines: rules written for one vocabulary, read for
 * another.
 *
 * Why: rules name fields and log sources as their authors' logs did. Sites already have pipelines
 * (sigma-cli's `-p FILE`) that say what these are called here; a rule must mean the same in picket
 * as the query that pySigma would make of it.
 *
 * A pipeline changes the YAML tree of a document before it is parsed (pipeline_rule.c), so that
 * everything behind it - modifiers, typing, messages with their places - is the same with and
 * without one. Documents that need others first (correlations: the log sources of their rules;
 * filters: the rule they are joined to) wait until all files are read.
 *
 * Invariant: what pySigma would do and picket does not is refused when the pipeline is loaded;
 * nothing is skipped. Owner: the rule set's arena. Thread: one.
 * Limits: PIPELINES_MAX files, PIPELINE_STEPS_MAX transformations in all. */
#ifndef PICKET_RULES_PIPELINE_PRIVATE_H
#define PICKET_RULES_PIPELINE_PRIVATE_H

#include "rules/parse_private.h"

enum { PIPELINES_MAX = 256, PIPELINE_STEPS_MAX = 4096 };

enum step_kind {
	STEP_MAP,           /* field_name_mapping */
	STEP_MAP_PREFIX,    /* field_name_prefix_mapping */
	STEP_PREFIX,        /* field_name_prefix */
	STEP_SUFFIX,        /* field_name_suffix */
	STEP_ADD_CONDITION, /* add_condition */
	STEP_LOGSOURCE,     /* change_logsource */
	STEP_DROP,          /* drop_detection_item */
	STEP_FAIL_RULE,     /* rule_failure */
	STEP_FAIL_ITEM,     /* detection_item_failure */
};

enum question_kind {
	QUESTION_LOGSOURCE,
	QUESTION_HAS_ITEM,
	QUESTION_HAS_FIELD,
	QUESTION_APPLIED, /* processing_item_applied, of a rule or of an item */
	QUESTION_IS_RULE,
	QUESTION_IS_CORRELATION,
	QUESTION_TAG,
	QUESTION_NULL,
	QUESTION_WILDCARD,
	QUESTION_VALUE,
	QUESTION_INCLUDE,
	QUESTION_EXCLUDE,
};

struct question {
	enum question_kind kind;
	struct text label; /* its name in an expression, "" in a list */
	struct position at;
	struct logsource logsource;
	struct text word;              /* field, id or tag */
	const struct yaml_node *value; /* of HAS_ITEM and VALUE */
	const struct text *fields;     /* of INCLUDE and EXCLUDE */
	size_t field_count;
	bool all; /* of NULL, WILDCARD, VALUE: `cond: all`, of the item's values */
};

struct questions {
	const struct question *items;
	size_t count;
	const struct condition_node *expression; /* NULL: joined by `any`, else by all */
	bool any;
	bool negated;
};

struct field_mapping {
	struct text from;
	const struct text *to;
	size_t to_count; /* at least 1 */
	bool is_list;    /* written as one: the items begin a new life, also when it is one */
};

struct step {
	enum step_kind kind;
	struct text id; /* "" when it has none */
	struct position at;
	struct questions of_rule, of_item, of_field;
	const struct field_mapping *mappings;
	size_t mapping_count;
	struct text affix;
	struct logsource logsource;
	const struct yaml_node *logsource_node; /* the step itself: category, product, service */
	const struct yaml_node *conditions;     /* of ADD_CONDITION: a map of detection items */
	struct text name;                       /* of ADD_CONDITION: the selection's */
	bool template;
	bool negated;
	struct text message;
};

/* All pipelines as one list, in the order they are applied in: by priority, then by path. */
struct pipelines {
	const struct step *steps;
	size_t step_count;
	struct text hash_input; /* bytes of all files: part of what the rules mean */
};

/* pipeline.c: reads the files of options->pipelines into loader->pipelines. */
enum status pipelines_load(struct loader *loader, struct error *err);

/* pipeline_question.c */
enum status questions_parse(struct loader *loader, const struct yaml_node *step, const char *prefix,
			    struct questions *ret_questions, struct error *err);

/* An item of a detection while pipelines are applied: what pySigma calls SigmaDetectionItem. */
struct item {
	const struct yaml_node *key;   /* as written; NULL: keywords */
	struct text field;             /* as it is called now, "" for keywords */
	struct text modifiers;         /* of the key, with the first '|' */
	const struct yaml_node *value; /* a scalar or a list */
	const struct id_list *applied;
	bool renamed;
};

struct id_list {
	struct text id;
	const struct id_list *next;
};
bool id_list_has(const struct id_list *list, struct text id);

/* Answers to a step's questions. Running out of memory is sticky in the loader. */
bool questions_hold_for_item(struct loader *loader, const struct step *step,
			     const struct item *item);
bool questions_hold_for_field(const struct step *step, struct text field);
/* Whether the item is what contains_detection_item and match_value look for. */
bool item_has_value(struct loader *loader, const struct item *item, const struct yaml_node *value);

/* What a step's rule conditions ask about. */
struct rule_facts {
	bool is_correlation;
	struct logsource logsource;            /* of a rule */
	const struct logsource *of_referenced; /* of a correlation: its rules' */
	size_t of_referenced_count;
	const struct yaml_node *tags; /* or NULL */
	const struct id_list *applied;
	/* Whether some item of the rule answers the question. */
	bool (*some_item)(void *context, const struct question *question);
	void *context;
};
bool questions_hold_for_rule(const struct questions *questions, const struct rule_facts *facts);

/* pipeline_rule.c: the document of a detection as it is after all pipelines, and by step whether
 * its rule conditions held: filters follow that. */
enum status pipelines_apply(struct loader *loader, const struct yaml_node *document,
			    const struct yaml_node **ret_document, const bool **ret_held,
			    struct error *err);
/* The map of a filter as it is for a rule whose steps held. */
enum status pipelines_apply_filter(struct loader *loader, const struct yaml_node *filter,
				   const bool *held, const struct yaml_node **ret_filter,
				   struct error *err);

/* pipeline_correlation.c: the documents that waited, parsed, when all files have been read. */
enum status pipelines_parse_waiting(struct loader *loader, struct error *err);
/* Keeps a correlation for then. */
enum status pipelines_wait(struct loader *loader, const struct yaml_node *document,
			   struct error *err);

/* The fields that a step makes of one: 0 when it leaves it as it is. ret_list: written as a list.
 * The texts are in the rule set's arena. */
size_t step_fields(struct loader *loader, const struct step *step, struct text field,
		   const struct text **ret_fields, bool *ret_list);

/* A copy of a mapping with another value (or one more key). NULL when out of memory. */
const struct yaml_node *mapping_with(struct loader *loader, const struct yaml_node *mapping,
				     const char *key, const struct yaml_node *value);
/* A scalar that stands where `like` does. NULL when out of memory. */
struct yaml_node *scalar_like(struct loader *loader, const struct yaml_node *like,
			      struct text text);

#endif
