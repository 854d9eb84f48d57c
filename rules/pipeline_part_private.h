/* pipeline_part (private) - a detection as a tree of parts while pipelines change it.
 *
 * Why: YAML's maps and lists say AND and OR, but pySigma's steps see detections and items, mark the
 * ones they touched, and put several items in the place of one.
 *
 * Invariant: what part_written() makes of the tree means what the tree means.
 * Owner: the arena of the file being read. Thread: one. Limits: those of yaml.h. */
#ifndef PICKET_RULES_PIPELINE_PART_PRIVATE_H
#define PICKET_RULES_PIPELINE_PART_PRIVATE_H

#include "rules/pipeline_private.h"

enum part_kind { PART_ITEM, PART_ALL, PART_ANY };

struct part {
	enum part_kind kind;
	bool alternatives; /* of PART_ANY: made of one entry of a map */
	bool dropped;
	const struct yaml_node *node; /* where it stands */
	struct part **children;
	size_t count;
	struct item item;
};

struct selection {
	const struct yaml_node *key;
	struct part *part;
};

struct work {
	struct loader *loader;
	const struct yaml_node *document;
	const struct yaml_node *condition; /* or NULL */
	struct selection *selections;
	size_t selection_count;
	struct rule_facts facts;
	bool new_logsource;
	const struct step *step; /* the one being applied */
};

/* pipeline_part.c. NULL when out of memory. */
struct part *part_of(struct loader *loader, const struct yaml_node *node);
/* Applies work->step to every item under *place. */
enum status part_changed(struct work *work, struct part **place, struct error *err);
/* Notes in every item that work->step touched it. */
void part_marked(struct work *work, struct part *part);
/* Whether some item answers the question of contains_field or contains_detection_item. */
bool part_answers(struct loader *loader, const struct part *part, const struct question *question);

/* pipeline_write.c: the map of selections as YAML; `other` is a key of the old map to keep beside
 * `condition`, or NULL. NULL when out of memory. */
const struct yaml_node *selections_written(struct work *work, const struct yaml_node *map,
					   const char *other);
/* The text with $category, $product and $service filled in. */
struct text template_filled(struct work *work, struct text text);

#endif
