#include "rules/parse_private.h"

#include <assert.h>

/* SEP 198: a condition over rule names, `a and (b or c) and not d`. All names joined by `and` is
 * what temporal means anyway, and all joined by `or` is "at least one": these become a count. The
 * rest becomes a tree over the references.
 *
 * A name may stand under `not` or outside of it, not both: then more events of a name can only make
 * the condition truer, or only falser, and correlate/ knows which. A condition that holds when
 * nothing happens is refused: nothing would ever be there to fire it. */

enum { NAMES_MAX = 64 };

struct names {
	struct loader *loader;
	struct correlation_draft *draft;
	struct position at;
	struct text words[NAMES_MAX];
	bool plain[NAMES_MAX];   /* stands outside of `not` */
	bool negated[NAMES_MAX]; /* stands under an odd number of `not` */
	size_t count;
};

bool name_condition_holds(const struct name_condition *condition, uint64_t seen)
{
	bool all = condition->kind == NAMES_ALL;
	if (condition->kind == NAMES_RULE)
		return (seen >> condition->reference & 1) != 0;
	if (condition->kind == NAMES_NOT)
		return !name_condition_holds(condition->children[0], seen);
	for (size_t i = 0; i < condition->child_count; i++)
		if (name_condition_holds(condition->children[i], seen) != all)
			return !all;
	return all;
}

static size_t names_find(const struct names *names, struct text word)
{
	size_t at = 0;
	while (at < names->count && !text_equal(names->words[at], word))
		at++;
	return at;
}

/* All names in the order of their first use, with the signs they stand under. */
static enum status names_collect(struct names *names, const struct condition_node *node,
				 bool negated, struct error *err)
{
	if (node->kind == CONDITION_OF)
		return error_at(err, EINVALID, names->at,
				"a condition over rule names has no `of`\n  fix: write the names, "
				"joined by `and` or `or`");
	if (node->kind == CONDITION_NAME) {
		size_t at = names_find(names, node->name);
		if (at == NAMES_MAX)
			return error_at(err, ELIMIT, names->at,
					"the condition names more than %d rules\n  fix: split it "
					"into several correlations",
					NAMES_MAX);
		if (at == names->count)
			names->words[names->count++] = loader_keep(names->loader, node->name);
		names->plain[at] = names->plain[at] || !negated;
		names->negated[at] = names->negated[at] || negated;
		return OK;
	}
	bool sign = node->kind == CONDITION_NOT ? !negated : negated;
	enum status status = OK;
	for (size_t i = 0; status == OK && i < node->child_count; i++)
		status = names_collect(names, node->children[i], sign, err);
	return status;
}

/* Every name is in `rules`, and every rule is named; without `rules` the names are the rules. */
static enum status names_refer(struct names *names, struct error *err)
{
	struct correlation_draft *draft = names->draft;
	for (size_t i = 0; draft->references != NULL && i < names->count; i++) {
		bool listed = false;
		for (size_t k = 0; k < draft->reference_count; k++)
			listed = listed || text_equal(draft->references[k].word, names->words[i]);
		if (!listed)
			return error_at(err, EINVALID, names->at,
					"the condition names '%.*s', which is not in rules\n  fix: "
					"add it to rules",
					TEXT_ARG(names->words[i]));
	}
	for (size_t k = 0; k < draft->reference_count; k++)
		if (names_find(names, draft->references[k].word) == names->count)
			return error_at(err, EINVALID, draft->references[k].at,
					"rule '%.*s' is not named by the condition\n  fix: name it "
					"there, or remove it from rules",
					TEXT_ARG(draft->references[k].word));
	if (draft->references != NULL)
		return OK;
	draft->references =
		arena_alloc(names->loader->arena, names->count * sizeof *draft->references);
	if (draft->references == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < names->count; i++)
		draft->references[i] = (struct reference){.word = names->words[i], .at = names->at};
	draft->reference_count = names->count;
	return OK;
}

/* The tree over references; NULL when out of memory. */
static const struct name_condition *names_build(const struct names *names,
						const struct condition_node *node)
{
	static const int kinds[] = {[CONDITION_NAME] = NAMES_RULE,
				    [CONDITION_AND] = NAMES_ALL,
				    [CONDITION_OR] = NAMES_ANY,
				    [CONDITION_NOT] = NAMES_NOT};
	struct arena *arena = names->loader->arena;
	struct name_condition *built = arena_alloc(arena, sizeof *built);
	const struct name_condition **children =
		arena_alloc(arena, (node->child_count + 1) * sizeof *children);
	if (built == NULL || children == NULL)
		return NULL;
	assert(node->kind != CONDITION_OF);
	built->kind = kinds[node->kind];
	built->children = children;
	built->child_count = node->child_count;
	for (uint32_t k = 0; node->kind == CONDITION_NAME && k < names->draft->reference_count; k++)
		if (text_equal(names->draft->references[k].word, node->name))
			built->reference = k;
	for (size_t i = 0; i < node->child_count; i++) {
		children[i] = names_build(names, node->children[i]);
		if (children[i] == NULL)
			return NULL;
	}
	return built;
}

static enum status names_mix(struct names *names, const struct condition_node *tree,
			     struct error *err)
{
	struct correlation *parsed = &names->draft->parsed;
	if (parsed->type == CORRELATION_TEMPORAL_ORDERED)
		return error_at(err, EINVALID, names->at,
				"temporal_ordered takes names joined by `and`\n  fix: use type "
				"sequence, which has `not` steps, or type temporal");
	for (size_t i = 0; i < names->count; i++)
		if (names->plain[i] && names->negated[i])
			return error_at(err, EINVALID, names->at,
					"'%.*s' stands both under `not` and outside of it\n  fix: "
					"rewrite the condition so that it has one sign",
					TEXT_ARG(names->words[i]));
	parsed->names = names_build(names, tree);
	if (parsed->names == NULL)
		return loader_exhausted(err);
	for (size_t k = 0; k < names->draft->reference_count; k++)
		if (names->negated[names_find(names, names->draft->references[k].word)])
			parsed->negated |= UINT64_C(1) << k;
	if (name_condition_holds(parsed->names, 0))
		return error_at(err, EINVALID, names->at,
				"this condition holds when nothing happens\n  fix: name a rule "
				"that must match too, or use type absence");
	return OK;
}

enum status name_condition_read(struct loader *loader, const struct yaml_node *node,
				struct correlation_draft *draft, struct error *err)
{
	const struct condition_node *tree = NULL;
	struct names names = {.loader = loader, .draft = draft, .at = node->at};
	struct correlation *parsed = &draft->parsed;
	if (parsed->type != CORRELATION_TEMPORAL && parsed->type != CORRELATION_TEMPORAL_ORDERED)
		return error_at(err, EINVALID, node->at,
				"a condition over rule names belongs to temporal correlations\n"
				"  fix: write a comparison, for instance {gte: 5}");
	enum status status =
		condition_parse(node->text, node->at, !node->quoted, loader->yaml, &tree, err);
	if (status == OK)
		status = names_collect(&names, tree, false, err);
	if (status == OK)
		status = names_refer(&names, err);
	if (status != OK)
		return status;
	bool flat = tree->kind != CONDITION_NOT;
	for (size_t i = 0; flat && i < tree->child_count; i++)
		flat = tree->children[i]->kind == CONDITION_NAME;
	parsed->conditions[0].how = COMPARE_GTE;
	parsed->conditions[0].value = flat && tree->kind != CONDITION_OR ? (double)names.count : 1;
	parsed->condition_count = 1;
	return flat ? OK : names_mix(&names, tree, err);
}
