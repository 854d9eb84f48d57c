#include "rules/pipeline_part_private.h"

static struct part *part_new(struct loader *loader, enum part_kind kind,
			     const struct yaml_node *node, size_t count)
{
	struct part *part = arena_alloc(loader->yaml, sizeof *part);
	struct part **children = arena_alloc(loader->yaml, (count + 1) * sizeof *children);
	if (part == NULL || children == NULL)
		return NULL;
	*part = (struct part){.kind = kind, .node = node, .children = children, .count = count};
	return part;
}

static bool is_keywords(const struct yaml_node *node)
{
	bool plain = node->kind != YAML_MAPPING;
	for (size_t i = 0; plain && node->kind == YAML_SEQUENCE && i < node->count; i++)
		plain = node->items[i]->kind < YAML_SEQUENCE;
	return plain;
}

static struct part *item_of(struct loader *loader, const struct yaml_node *key,
			    const struct yaml_node *value)
{
	struct part *part = part_new(loader, PART_ITEM, value, 0);
	if (part == NULL)
		return NULL;
	struct text text = key == NULL ? TEXT("") : key->text;
	const char *bar = text.size == 0 ? NULL : memchr(text.data, '|', text.size);
	size_t size = bar == NULL ? text.size : (size_t)(bar - text.data);
	part->item = (struct item){.key = key,
				   .field = {text.data, size},
				   .modifiers = text_cut(text, size),
				   .value = value};
	return part;
}

struct part *part_of(struct loader *loader, const struct yaml_node *node)
{
	if (is_keywords(node))
		return item_of(loader, NULL, node);
	bool is_map = node->kind == YAML_MAPPING;
	struct part *part = part_new(loader, is_map ? PART_ALL : PART_ANY, node, node->count);
	for (size_t i = 0; part != NULL && i < node->count; i++) {
		part->children[i] = is_map ? item_of(loader, node->keys[i], node->values[i])
					   : part_of(loader, node->items[i]);
		if (part->children[i] == NULL)
			return NULL;
	}
	return part;
}

/* ---- one step on the items */

size_t step_fields(struct loader *loader, const struct step *step, struct text field,
		   const struct text **ret_fields, bool *ret_list)
{
	struct text *made = arena_alloc(loader->arena, sizeof *made);
	const struct field_mapping *found = NULL;
	*ret_list = false;
	for (size_t i = 0; i < step->mapping_count && found == NULL; i++) {
		const struct field_mapping *one = &step->mappings[i];
		if (step->kind == STEP_MAP ? text_equal(one->from, field)
					   : text_starts(field, one->from))
			found = one;
	}
	size_t count = found != NULL ? found->to_count : 0;
	if (count > 0 && step->kind == STEP_MAP_PREFIX) {
		made = arena_alloc(loader->arena, count * sizeof *made);
		for (size_t i = 0; made != NULL && i < count; i++)
			made[i] = arena_print(loader->arena, "%.*s%.*s", TEXT_ARG(found->to[i]),
					      TEXT_ARG(text_cut(field, found->from.size)));
	} else if (step->kind == STEP_PREFIX || step->kind == STEP_SUFFIX) {
		bool before = step->kind == STEP_PREFIX;
		count = 1;
		if (made != NULL)
			*made = arena_print(loader->arena, "%.*s%.*s",
					    TEXT_ARG(before ? step->affix : field),
					    TEXT_ARG(before ? field : step->affix));
	}
	if (made == NULL || (count > 0 && step->kind != STEP_MAP && made[count - 1].data == NULL)) {
		loader->out_of_memory = true;
		return 0;
	}
	*ret_fields = step->kind == STEP_MAP && found != NULL ? found->to : made;
	*ret_list = found != NULL && found->is_list;
	return count;
}

void part_marked(struct work *work, struct part *part)
{
	struct id_list *entry = NULL;
	for (size_t i = 0; i < part->count; i++)
		part_marked(work, part->children[i]);
	if (part->kind != PART_ITEM || work->step->id.size == 0)
		return;
	entry = arena_alloc(work->loader->yaml, sizeof *entry);
	if (entry == NULL) {
		work->loader->out_of_memory = true;
		return;
	}
	*entry = (struct id_list){work->step->id, part->item.applied};
	part->item.applied = entry;
}

static bool is_fieldref(const struct item *item)
{
	return item->modifiers.size > 0 && memmem(item->modifiers.data, item->modifiers.size,
						  "|fieldref", sizeof "|fieldref" - 1) != NULL;
}

/* The values of a fieldref are field names too. True when there was one to ask about. */
static bool references_renamed(struct work *work, struct item *item, struct error *err,
			       enum status *status)
{
	struct loader *loader = work->loader;
	const struct yaml_node *old = item->value;
	bool is_list = old->kind == YAML_SEQUENCE, asked = false;
	size_t count = is_list ? old->count : 1, used = 0, capacity = 0;
	const struct yaml_node **items = NULL;
	for (size_t i = 0; i < count; i++) {
		const struct yaml_node *one = is_list ? old->items[i] : old;
		const struct text *fields = &one->text;
		size_t field_count = 0;
		bool unused = false;
		if (questions_hold_for_field(work->step, one->text)) {
			field_count = step_fields(loader, work->step, one->text, &fields, &unused);
			asked = true;
		}
		for (size_t k = 0; k < (field_count == 0 ? 1 : field_count); k++) {
			items = arena_grown(loader->yaml, items, used, &capacity, sizeof *items);
			const struct yaml_node *next =
				field_count == 0 ? one : scalar_like(loader, one, fields[k]);
			if (items == NULL || next == NULL) {
				*status = loader_exhausted(err);
				return false;
			}
			items[used++] = next;
		}
	}
	struct yaml_node *list = scalar_like(loader, old, TEXT(""));
	if (list == NULL) {
		*status = loader_exhausted(err);
		return false;
	}
	list->kind = YAML_SEQUENCE;
	list->items = items;
	list->count = used;
	if (asked && used > 0)
		item->value = used == 1 && !is_list ? items[0] : list;
	return asked;
}

/* A field that became several: a part that holds one item for each, which begin unmarked. */
static struct part *alternatives_of(struct work *work, const struct item *item,
				    const struct text *fields, size_t count)
{
	struct part *part = part_new(work->loader, PART_ANY, item->value, count);
	for (size_t i = 0; part != NULL && i < count; i++) {
		part->children[i] = item_of(work->loader, item->key, item->value);
		if (part->children[i] == NULL)
			return NULL;
		part->children[i]->item.field = fields[i];
		part->children[i]->item.modifiers = item->modifiers;
		part->children[i]->item.renamed = true;
	}
	if (part != NULL)
		part->alternatives = true;
	return part;
}

static enum status item_mapped(struct work *work, struct part **place, struct error *err)
{
	struct item *item = &(*place)->item;
	enum status status = OK;
	bool touched = is_fieldref(item) && references_renamed(work, item, err, &status);
	const struct text *fields = NULL;
	bool is_list = false;
	size_t count = 0;
	if (status == OK && item->field.size > 0 &&
	    questions_hold_for_field(work->step, item->field))
		count = step_fields(work->loader, work->step, item->field, &fields, &is_list);
	if (status != OK || (count == 0 && !touched))
		return status;
	if (count > 0 && is_list) {
		*place = alternatives_of(work, item, fields, count);
		if (*place == NULL)
			return loader_exhausted(err);
	} else if (count > 0) {
		item->field = fields[0];
		item->renamed = true;
	}
	part_marked(work, *place);
	return OK;
}

static enum status item_changed(struct work *work, struct part **place, struct error *err)
{
	const struct step *step = work->step;
	const struct yaml_node *at =
		(*place)->item.key != NULL ? (*place)->item.key : (*place)->node;
	if (!questions_hold_for_item(work->loader, step, &(*place)->item))
		return OK;
	if (step->kind == STEP_FAIL_ITEM)
		return error_at(err, EINVALID, at->at,
				"the pipeline at %s:%u refuses this item: %.*s\n  fix: change the "
				"rule, or the conditions of that detection_item_failure",
				step->at.file, step->at.line, TEXT_ARG(step->message));
	if (step->kind == STEP_DROP) {
		(*place)->dropped = true;
		return OK;
	}
	return item_mapped(work, place, err);
}

enum status part_changed(struct work *work, struct part **place, struct error *err)
{
	struct part *part = *place;
	enum status status = OK;
	if (part->kind == PART_ITEM)
		return item_changed(work, place, err);
	for (size_t i = 0; status == OK && i < part->count; i++)
		status = part_changed(work, &part->children[i], err);
	size_t kept = 0;
	for (size_t i = 0; status == OK && i < part->count; i++)
		if (!part->children[i]->dropped)
			part->children[kept++] = part->children[i];
	if (status == OK)
		part->count = kept;
	return status;
}

bool part_answers(struct loader *loader, const struct part *part, const struct question *question)
{
	for (size_t i = 0; i < part->count; i++)
		if (part_answers(loader, part->children[i], question))
			return true;
	return part->kind == PART_ITEM && !part->dropped && part->item.field.size > 0 &&
	       text_equal(part->item.field, question->word) &&
	       (question->kind == QUESTION_HAS_FIELD ||
		item_has_value(loader, &part->item, question->value));
}
