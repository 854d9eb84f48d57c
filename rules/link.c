#include "rules/parse_private.h"

#include <assert.h>
#include <stdlib.h>

/* Ties drafts together when all documents have been read: names are unique, correlations find their
 * rules (in any file, in any order, without cycles), filters are joined to theirs, and a rule that
 * only feeds correlations stops alerting. With skip_refused a draft that fails takes with it what
 * refers to it, and nothing else. */

struct name {
	struct text word;
	uint32_t draft;
};

struct linker {
	struct loader *loader;
	struct name *names; /* ids and names, sorted */
	size_t name_count;
	const char **words;  /* the same, for "did you mean" */
	size_t cohort_count; /* rules of that type so far */
};

static void linker_done(struct linker *linker)
{
	free(linker->names);
	free(linker->words);
}

static int name_order(const void *a, const void *b)
{
	const struct name *left = a, *right = b;
	int order = text_compare(left->word, right->word);
	if (order != 0)
		return order;
	return (left->draft > right->draft) - (left->draft < right->draft);
}

static enum status refuse(struct loader *loader, struct draft *draft, enum status status,
			  struct error *err)
{
	draft->refused = true;
	return lint_refuse(loader, status, err, draft->rule.gate == GATE_BLOCK);
}

static enum status names_collect(struct linker *linker, struct error *err)
{
	struct loader *loader = linker->loader;
	size_t room = loader->draft_count * 2 + 1;
	linker->names = calloc(room, sizeof *linker->names);
	linker->words = calloc(room, sizeof *linker->words);
	if (linker->names == NULL || linker->words == NULL)
		return loader_exhausted(err);
	for (uint32_t i = 0; i < loader->draft_count; i++) {
		const struct rule *rule = &loader->drafts[i]->rule;
		if (rule->id.size > 0)
			linker->names[linker->name_count++] = (struct name){rule->id, i};
		if (rule->name.size > 0 && !text_equal(rule->name, rule->id))
			linker->names[linker->name_count++] = (struct name){rule->name, i};
	}
	qsort(linker->names, linker->name_count, sizeof *linker->names, name_order);
	for (size_t i = 0; i < linker->name_count; i++)
		linker->words[i] = linker->names[i].word.data; /* kept: ends with a NUL */
	return OK;
}

static enum status names_differ(struct linker *linker, struct error *err)
{
	struct loader *loader = linker->loader;
	for (size_t i = 1; i < linker->name_count; i++) {
		struct name *first = &linker->names[i - 1], *second = &linker->names[i];
		if (!text_equal(first->word, second->word))
			continue;
		struct draft *kept = loader->drafts[first->draft];
		struct draft *refused = loader->drafts[second->draft];
		if (!refused->refused) {
			enum status status = error_at(
				err, EINVALID, refused->rule.at,
				"'%.*s' is already the id or name of the rule at %s:%u:%u\n"
				"  fix: give one of them another id",
				TEXT_ARG(second->word), kept->rule.at.file, kept->rule.at.line,
				kept->rule.at.column);
			status = refuse(loader, refused, status, err);
			if (status != OK)
				return status;
		}
		second->draft = first->draft; /* a third one is compared with the kept one */
	}
	return OK;
}

/* A title may stand for a rule that has no other name, if only one rule has it. */
static bool title_found(const struct linker *linker, struct text word, uint32_t *ret_draft)
{
	size_t found = 0;
	for (uint32_t i = 0; i < linker->loader->draft_count; i++)
		if (text_equal(linker->loader->drafts[i]->rule.title, word)) {
			*ret_draft = i;
			found++;
		}
	return found == 1;
}

static enum status reference_resolve(const struct linker *linker, struct reference *reference,
				     struct error *err)
{
	struct loader *loader = linker->loader;
	size_t low = 0, high = linker->name_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (text_compare(linker->names[middle].word, reference->word) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < linker->name_count && text_equal(linker->names[low].word, reference->word)) {
		reference->draft = linker->names[low].draft;
	} else if (title_found(linker, reference->word, &reference->draft)) {
		lint_warn(loader, reference->at, "give the rule a `name` and refer to that",
			  "'%.*s' is a title; other tools only know ids and names",
			  TEXT_ARG(reference->word));
	} else {
		return error_at(
			err, EINVALID, reference->at,
			"no rule has the id or name '%.*s'%s\n  fix: correct the reference, "
			"or load the file that holds the rule",
			TEXT_ARG(reference->word),
			hint_for(reference->word, linker->words, linker->name_count).text);
	}
	const struct draft *target = loader->drafts[reference->draft];
	if (target->refused)
		return error_at(err, EINVALID, reference->at,
				"rule '%.*s' was refused (%s:%u), so this one cannot work\n  fix: "
				"mend that rule first",
				TEXT_ARG(reference->word), target->rule.at.file,
				target->rule.at.line);
	return OK;
}

static enum status visit(struct linker *linker, uint32_t index, unsigned level, struct error *err);

/* A risk without `rules` refers to every rule that adds to one. */
static enum status risk_refer(struct linker *linker, const struct draft *draft, unsigned level,
			      struct error *err)
{
	struct loader *loader = linker->loader;
	struct correlation_draft *correlation = draft->correlation;
	enum status status = OK;
	const struct risk_terms *terms = correlation->parsed.risk;
	if (terms != NULL && draft->rule.risk != NULL)
		return error_at(err, EINVALID, draft->rule.at,
				"a risk cannot add to a risk\n  fix: remove picket.risk from this "
				"rule");
	if (terms == NULL || !terms->takes_all || correlation->references != NULL)
		return OK;
	correlation->references = arena_alloc(
		loader->arena, (loader->draft_count + 1) * sizeof *correlation->references);
	if (correlation->references == NULL)
		return loader_exhausted(err);
	for (uint32_t i = 0; status == OK && i < loader->draft_count; i++) {
		const struct draft *part = loader->drafts[i];
		if (part->rule.risk == NULL)
			continue;
		if (part->visit ==
		    0) /* may be refused by it, and is no reason to refuse this one */
			status = visit(linker, i, level + 1, err);
		if (!part->refused)
			correlation->references[correlation->reference_count++] =
				(struct reference){
					.word = part->rule.key, .at = draft->rule.at, .draft = i};
	}
	if (status != OK || correlation->reference_count > 0)
		return status;
	return error_at(err, EINVALID, draft->rule.at,
			"no rule adds to a risk\n  fix: write `picket: {risk: {score: 30, on: "
			"[user.id]}}` into those that should");
}

/* A rule under a risk says how much it adds; the risk itself adds nothing. */
static enum status risk_checked(const struct linker *linker, const struct draft *draft,
				struct error *err)
{
	const struct correlation_draft *correlation = draft->correlation;
	if (correlation->parsed.risk == NULL)
		return OK;
	for (size_t i = 0; i < correlation->reference_count; i++) {
		const struct reference *reference = &correlation->references[i];
		if (linker->loader->drafts[reference->draft]->rule.risk == NULL)
			return error_at(err, EINVALID, reference->at,
					"rule '%.*s' says nothing about a risk\n  fix: write "
					"`picket: {risk: {score: 30, on: [user.id]}}` into it",
					TEXT_ARG(reference->word));
	}
	return OK;
}

static enum status children_visit(struct linker *linker, struct draft *draft, unsigned level,
				  struct error *err)
{
	struct correlation_draft *correlation = draft->correlation;
	unsigned deepest = 0;
	enum status status = risk_refer(linker, draft, level, err);
	bool by_score = correlation->parsed.risk != NULL && correlation->parsed.risk->takes_all;
	for (size_t i = 0; status == OK && i < correlation->reference_count; i++) {
		struct reference *reference = &correlation->references[i];
		if (!by_score)
			status = reference_resolve(linker, reference, err);
		if (status != OK)
			return status;
		const struct draft *child = linker->loader->drafts[reference->draft];
		if (child->correlation != NULL && child->correlation->parsed.cohort != NULL)
			return error_at(err, EINVALID, reference->at,
					"'%.*s' is judged by the canary gate and never fires here\n"
					"  fix: refer to the detections that it counts",
					TEXT_ARG(reference->word));
		if (child->visit == 1)
			return error_at(
				err, EINVALID, reference->at,
				"correlations refer to each other in a circle through '%.*s'\n"
				"  fix: remove one of the references",
				TEXT_ARG(reference->word));
		for (size_t k = 0; k < i; k++)
			if (correlation->references[k].draft == reference->draft)
				return error_at(err, EINVALID, reference->at,
						"rule '%.*s' is listed twice\n  fix: remove one",
						TEXT_ARG(reference->word));
		status = visit(linker, reference->draft, level + 1, err);
		if (status == OK && child->refused)
			status = reference_resolve(linker, reference, err);
		if (status != OK)
			return status;
		unsigned depth = child->correlation == NULL ? 0 : child->correlation->parsed.depth;
		if (depth > deepest)
			deepest = depth;
	}
	if (status == OK)
		status = risk_checked(linker, draft, err);
	if (status == OK && correlation->parsed.cohort != NULL)
		status = cohort_checked(linker->loader, draft, linker->cohort_count++, err);
	if (status != OK)
		return status;
	const struct first_seen_terms *first_seen = correlation->parsed.first_seen;
	unsigned depth = deepest + 1 + (first_seen != NULL && first_seen->peers_by_count > 0);
	if (depth > RULES_CHAIN_DEPTH_MAX || level > RULES_CHAIN_DEPTH_MAX)
		return error_at(err, ELIMIT, draft->rule.at,
				"a chain of more than %d correlations\n  fix: shorten the chain",
				RULES_CHAIN_DEPTH_MAX);
	correlation->parsed.depth = depth;
	return OK;
}

/* The fields an alias stands for, one per referenced rule. */
static enum status alias_resolve(struct linker *linker, struct correlation_draft *correlation,
				 struct alias *alias, const struct text **ret_fields,
				 struct error *err)
{
	struct loader *loader = linker->loader;
	size_t count = correlation->reference_count;
	struct text *fields = arena_alloc(loader->arena, count * sizeof *fields);
	if (fields == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < alias->entry_count; i++) {
		struct reference *rule = &alias->entries[i].rule;
		enum status status = reference_resolve(linker, rule, err);
		if (status != OK)
			return status;
		size_t k = 0;
		while (k < count && correlation->references[k].draft != rule->draft)
			k++;
		if (k == count)
			return error_at(
				err, EINVALID, rule->at,
				"alias '%.*s' names rule '%.*s', which the correlation does "
				"not refer to\n  fix: correct the name, or add it to rules",
				TEXT_ARG(alias->name), TEXT_ARG(rule->word));
		fields[k] = alias->entries[i].field;
	}
	for (size_t k = 0; k < count; k++)
		if (fields[k].data == NULL) {
			fields[k] = loader_keep_field(loader, alias->name);
			lint_warn(loader, alias->at, "name the field of that rule",
				  "alias '%.*s' says nothing about rule '%.*s': its field of the "
				  "same name is taken",
				  TEXT_ARG(alias->name), TEXT_ARG(correlation->references[k].word));
		}
	*ret_fields = fields;
	return OK;
}

static enum status aliases_resolve(struct linker *linker, struct correlation_draft *correlation,
				   struct error *err)
{
	for (size_t i = 0; i < correlation->alias_count; i++) {
		const struct text *fields = NULL;
		enum status status =
			alias_resolve(linker, correlation, &correlation->aliases[i], &fields, err);
		if (status != OK)
			return status;
		for (size_t k = 0; k < correlation->parsed.group_by_count; k++)
			if (text_equal(correlation->group_by[k].name, correlation->aliases[i].name))
				correlation->group_by[k].by_rule = fields;
	}
	return OK;
}

static enum status visit(struct linker *linker, uint32_t index, unsigned level, struct error *err)
{
	struct draft *draft = linker->loader->drafts[index];
	if (draft->visit == 2 || draft->refused || draft->correlation == NULL) {
		draft->visit = 2;
		return OK;
	}
	assert(draft->visit == 0);
	enum status status = OK;
	draft->visit = 1;
	if (level > RULES_CHAIN_DEPTH_MAX)
		status = error_at(err, ELIMIT, draft->rule.at,
				  "a chain of more than %d correlations\n  fix: shorten the chain",
				  RULES_CHAIN_DEPTH_MAX);
	if (status == OK)
		status = children_visit(linker, draft, level, err);
	if (status == OK)
		status = aliases_resolve(linker, draft->correlation, err);
	draft->visit = 2;
	return status == OK ? OK : refuse(linker->loader, draft, status, err);
}

static bool logsource_contains(const struct logsource *outer, const struct logsource *inner)
{
	return (outer->category.size == 0 || text_equal(outer->category, inner->category)) &&
	       (outer->product.size == 0 || text_equal(outer->product, inner->product)) &&
	       (outer->service.size == 0 || text_equal(outer->service, inner->service));
}

/* Counts, beside the rule, what it finds without its filters and this one leaves out. */
static enum status tap_add(struct loader *loader, const struct tap *tap, const struct expr *own,
			   struct error *err)
{
	const struct draft *draft = loader->drafts[tap->draft];
	const struct expr *both[2] = {draft->bare, expr_not(loader, own)};
	const struct expr *joined =
		both[1] == NULL ? NULL : expr_join(loader, EXPR_AND, both, 2, 0);
	struct tap *taps = arena_grown(loader->arena, loader->taps, loader->tap_count,
				       &loader->tap_capacity, sizeof *taps);
	if (joined == NULL || taps == NULL)
		return loader_exhausted(err);
	loader->taps = taps;
	taps[loader->tap_count] = *tap;
	taps[loader->tap_count++].expr = joined;
	return OK;
}

static enum status filter_join(struct loader *loader, size_t index, uint32_t at, struct error *err)
{
	const struct filter_draft *filter = loader->filters[index];
	struct draft *draft = loader->drafts[at];
	const struct expr *own = NULL;
	if (loader->tap_count >= RULES_TAPS_MAX)
		return error_at(err, ELIMIT, filter->at,
				"filters are joined to rules more than %d times\n  fix: name the "
				"rules in `rules:`, or load fewer filters",
				RULES_TAPS_MAX);
	enum status status = filter_expr_for(loader, filter, draft->held, &own, err);
	if (status != OK)
		return status;
	if (draft->bare == NULL)
		draft->bare = draft->expr;
	const struct expr *both[2] = {draft->expr, own};
	const struct expr *joined = expr_join(loader, EXPR_AND, both, 2, 0);
	if (joined == NULL)
		return loader_exhausted(err);
	draft->expr = joined;
	return tap_add(loader, &(struct tap){.filter = (uint32_t)index, .draft = at}, own, err);
}

static enum status filter_reference_join(struct linker *linker, size_t index,
					 struct reference *reference, struct error *err)
{
	struct loader *loader = linker->loader;
	const struct filter_draft *filter = loader->filters[index];
	enum status status = reference_resolve(linker, reference, err);
	if (status != OK)
		return status;
	struct draft *draft = loader->drafts[reference->draft];
	if (draft->expr == NULL)
		return error_at(err, EINVALID, reference->at,
				"'%.*s' is a correlation; filters are for detections\n  fix: name "
				"the detections it refers to",
				TEXT_ARG(reference->word));
	if (!logsource_contains(&filter->logsource, &draft->written_logsource)) {
		lint_warn(loader, reference->at, "make the filter's logsource fit the rule's",
			  "the filter does not apply to '%.*s': its logsource is another one",
			  TEXT_ARG(reference->word));
		return OK;
	}
	return filter_join(loader, index, reference->draft, err);
}

static enum status filter_apply(struct linker *linker, size_t index, struct error *err)
{
	struct loader *loader = linker->loader;
	const struct filter_draft *filter = loader->filters[index];
	for (size_t i = 0; i < filter->reference_count; i++) {
		enum status status =
			filter_reference_join(linker, index, &filter->references[i], err);
		if (status != OK)
			status = lint_refuse(loader, status, err, false);
		if (status != OK)
			return status;
	}
	for (size_t i = 0; filter->reference_count == 0 && i < loader->draft_count; i++) {
		struct draft *draft = loader->drafts[i];
		bool fits = draft->expr != NULL && !draft->refused &&
			    logsource_contains(&filter->logsource, &draft->written_logsource);
		enum status status = fits ? filter_join(loader, index, (uint32_t)i, err) : OK;
		if (status != OK)
			status = lint_refuse(loader, status, err, false);
		if (status != OK)
			return status;
	}
	return OK;
}

/* Sigma's `generate`: what a correlation refers to does not alert by itself unless it says so. */
static void alerts_decide(struct loader *loader)
{
	for (size_t i = 0; i < loader->draft_count; i++) {
		const struct draft *draft = loader->drafts[i];
		if (draft->correlation == NULL || draft->refused ||
		    draft->correlation->parsed.risk != NULL ||
		    draft->correlation->parsed.cohort != NULL)
			continue; /* what these take goes on to alert by itself */
		for (size_t k = 0; k < draft->correlation->reference_count; k++) {
			const struct reference *reference = &draft->correlation->references[k];
			struct draft *part = loader->drafts[reference->draft];
			part->referred = true;
			part->generated = part->generated || draft->correlation->generate;
			if (part->level_given && !draft->correlation->generate &&
			    part->rule.level != LEVEL_INFORMATIONAL &&
			    strcmp(part->rule.at.file, draft->rule.at.file) != 0)
				lint_warn(loader, reference->at,
					  "write `generate: true` to keep its own alerts",
					  "rule '%.*s' of another file no longer alerts by itself",
					  TEXT_ARG(reference->word));
		}
	}
	for (size_t i = 0; i < loader->draft_count; i++) {
		struct draft *draft = loader->drafts[i];
		draft->rule.alerts =
			draft->rule.level != LEVEL_INFORMATIONAL &&
			(!draft->referred || draft->generated) &&
			(draft->correlation == NULL || draft->correlation->parsed.cohort == NULL);
	}
}

enum status drafts_link(struct loader *loader, struct error *err)
{
	struct linker linker cleanup(linker_done) = {.loader = loader};
	struct error ignored;
	if (err == NULL)
		err = &ignored; /* refusals become notes through it */
	enum status status = names_collect(&linker, err);
	if (status == OK)
		status = names_differ(&linker, err);
	for (uint32_t i = 0; status == OK && i < loader->draft_count; i++)
		status = visit(&linker, i, 1, err);
	for (size_t i = 0; status == OK && i < loader->filter_count; i++)
		status = filter_apply(&linker, i, err);
	if (status != OK)
		return status;
	alerts_decide(loader);
	lint_drafts(loader);
	return loader->out_of_memory ? loader_exhausted(err) : OK;
}
