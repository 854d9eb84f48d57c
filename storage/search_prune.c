/* Passing over blocks: a block is opened only when its summary, and the blooms of the fields that
 * the query names, cannot deny every event in it. `not` denies nothing: that a block has no event
 * with X says nothing about those without. */
#include <assert.h>
#include <xxhash.h>

#include "storage/bloom.h"
#include "storage/search_private.h"
#include "storage/term.h"

struct pruning {
	struct bloom_walks *blooms;
	struct text key;
	const struct summary *summary;
	struct query_scratch *scratch;
	bool by_bloom;
	struct error *err;
};

static bool numbers_may_hold(const struct query_leaf *leaf, const struct summary_column *column)
{
	struct number smallest = {(double)column->smallest, column->smallest, true};
	struct number largest = {(double)column->largest, column->largest, true};
	if (leaf->test == TEST_GLOB || leaf->test == TEST_EXISTS || query_is_prose(leaf->id))
		return true;
	if (!leaf->is_number)
		return false; /* the text of an integer is a number */
	switch (leaf->test == TEST_EQUALS ? COMPARE_EQ : leaf->how) {
	case COMPARE_GT:
		return number_compare(&largest, &leaf->number) > 0;
	case COMPARE_GTE:
		return number_compare(&largest, &leaf->number) >= 0;
	case COMPARE_LT:
		return number_compare(&smallest, &leaf->number) < 0;
	case COMPARE_LTE:
		return number_compare(&smallest, &leaf->number) <= 0;
	default:
		return number_compare(&smallest, &leaf->number) <= 0 &&
		       number_compare(&largest, &leaf->number) >= 0;
	}
}

static bool entries_may_hold(struct pruning *pruning, const struct query_leaf *leaf,
			     enum field_id id, const struct summary_column *column)
{
	struct cursor entries = column->entries;
	for (size_t i = 0; i < column->entry_count; i++) {
		struct value value = {.type = VALUE_STRING, .text = cursor_text(&entries)};
		if (query_leaf_holds(leaf, id, &value, pruning->scratch))
			return true;
	}
	return false;
}

static enum status bloom_may_deny(struct pruning *pruning, const struct query_leaf *leaf,
				  enum field_id id, struct text name, bool *ret_may)
{
	struct text bloom = {0};
	bool addresses = id != FIELD_OTHER && schema_info(id)->type == FIELD_TYPE_ip;
	*ret_may = true;
	struct number number;
	bool odd = leaf->is_number && !term_number(leaf->text, &number); /* 1e3 equals "1000" */
	if (leaf->test != TEST_EQUALS || odd ||
	    (addresses && leaf->is_network && leaf->network.prefix_bits < CIDR_BITS_MAX))
		return OK;
	uint64_t hash = leaf->hash;
	if (addresses && !term_hash(id, leaf->text, &pruning->scratch->fold, &hash))
		return error_set(pruning->err, ENOMEMORY, "no memory for a search");
	enum status status =
		bloom_walks_find(pruning->blooms, name, pruning->key, &bloom, pruning->err);
	if (status == OK)
		*ret_may = bloom_may_hold(bloom, hash);
	return status;
}

static enum status column_may_hold(struct pruning *pruning, const struct query_leaf *leaf,
				   const struct summary_column *column, bool *ret_may)
{
	*ret_may = true;
	switch (column->kind) {
	case SUMMARY_PRESENT:
		*ret_may = column->type != VALUE_NULL && column->type != VALUE_EMPTY;
		return OK;
	case SUMMARY_NUMBERS:
		*ret_may = numbers_may_hold(leaf, column);
		return OK;
	case SUMMARY_ENTRIES:
		*ret_may = entries_may_hold(pruning, leaf, leaf->id, column);
		return OK;
	case SUMMARY_BLOOM:
		return bloom_may_deny(pruning, leaf, leaf->id, column->name, ret_may);
	case SUMMARY_KIND_COUNT:
		break;
	}
	assert(false && "a column of no kind");
}

static bool times_may_hold(const struct query_leaf *leaf, const struct summary *summary)
{
	if (!leaf->is_time || leaf->test == TEST_EXISTS)
		return true;
	if (leaf->test == TEST_EQUALS)
		return leaf->time_us >= summary->first_time_us &&
		       leaf->time_us <= summary->last_time_us;
	if (leaf->how == COMPARE_GT || leaf->how == COMPARE_GTE)
		return leaf->time_us <= summary->last_time_us;
	return leaf->time_us >= summary->first_time_us;
}

/* Whether the leaf asks about the column. The table of fields may have grown since the summary was
 * written, so that its name may be an alias by now. */
static bool is_named(const struct query_leaf *leaf, struct text name)
{
	if (!leaf->name_is_glob && text_equal(name, leaf->name))
		return true;
	enum field_id id = schema_find(name);
	return query_leaf_names(leaf, id, id == FIELD_OTHER ? name : schema_info(id)->name);
}

static enum status leaf_may_hold(struct pruning *pruning, const struct query_leaf *leaf,
				 bool *ret_may)
{
	*ret_may = true;
	if (leaf->name_is_glob || leaf->name.size == 0)
		return OK;
	if (query_virtual_of(leaf->id) != VIRTUAL_NONE) {
		*ret_may = query_virtual_of(leaf->id) != VIRTUAL_TIME ||
			   times_may_hold(leaf, pruning->summary);
		return OK;
	}
	struct cursor columns = pruning->summary->columns;
	struct summary_column column;
	bool bloom = false;
	while (summary_column_next(&columns, &column)) {
		if (!is_named(leaf, column.name))
			continue;
		enum status status = column_may_hold(pruning, leaf, &column, ret_may);
		if (status != OK || *ret_may)
			return status;
		bloom |= column.kind == SUMMARY_BLOOM;
	}
	pruning->by_bloom |= bloom;
	*ret_may = false;
	return columns.failed ? error_set(pruning->err, ECORRUPT,
					  "the summary of a merged block is damaged")
			      : OK;
}

static enum status node_may_hold(struct pruning *pruning, const struct query_node *node,
				 bool *ret_may)
{
	enum status status = OK;
	*ret_may = true;
	switch (node->kind) {
	case QUERY_ALL:
	case QUERY_NOT:
		return OK;
	case QUERY_LEAF:
		return leaf_may_hold(pruning, node->leaf, ret_may);
	case QUERY_AND:
	case QUERY_OR:
		status = node_may_hold(pruning, node->left, ret_may);
		if (status == OK && *ret_may == (node->kind == QUERY_AND))
			status = node_may_hold(pruning, node->right, ret_may);
		return status;
	}
	assert(false && "a node of no kind");
}

enum status search_may_hold(struct search *search, struct text key, const struct summary *summary,
			    bool *ret_may, bool *ret_by_bloom)
{
	struct pruning pruning = {.blooms = &search->blooms,
				  .key = key,
				  .summary = summary,
				  .scratch = &search->scratch,
				  .err = search->err};
	enum status status = node_may_hold(&pruning, search->root, ret_may);
	if (status == OK && search->scratch.failed)
		status = search_no_memory(search);
	*ret_by_bloom = pruning.by_bloom;
	return status;
}
