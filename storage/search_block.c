/* The meaning of a query (query_match.c) on the columns of a block: every node becomes the set of
 * rows for which it holds. A column is read when the first test needs it: `a and b` does not read
 * b's columns when no row is left by a. A test is made once for each different value of a column
 * with a dictionary, and once for each value otherwise. */
#include <assert.h>
#include <stdlib.h>

#include "storage/search_private.h"

struct evaluation {
	struct columnar_reader *reader;
	struct query_scratch *scratch;
	size_t count; /* rows */
	struct error *err;
};

static void fill(struct row_set *rows, size_t count)
{
	*rows = (struct row_set){0};
	for (size_t i = 0; i < count / 64; i++)
		rows->words[i] = UINT64_MAX;
	if (count % 64 > 0)
		rows->words[count / 64] = (1ull << count % 64) - 1;
}

bool row_set_is_empty(const struct row_set *rows)
{
	for (size_t i = 0; i < ROW_WORDS; i++)
		if (rows->words[i] != 0)
			return false;
	return true;
}

bool row_set_is_few(const struct row_set *rows, size_t row_count)
{
	size_t count = 0;
	for (size_t i = 0; i < ROW_WORDS; i++)
		count += (size_t)__builtin_popcountll(rows->words[i]);
	return count <= row_count / FEW_ROWS_SHARE;
}

enum status search_select(struct columnar_reader *reader, const struct row_set *rows,
			  struct error *err)
{
	uint16_t list[BLOCK_EVENTS_MAX];
	size_t count = 0;
	if (!row_set_is_few(rows, columnar_count(reader)))
		return OK;
	for (size_t row = 0; row < columnar_count(reader); row++)
		if (row_set_has(rows, row))
			list[count++] = (uint16_t)row;
	return columnar_select(reader, list, count, err);
}

/* Which entries of a dictionary the leaf holds for; the caller frees it. */
static bool *entries_test(struct evaluation *evaluation, const struct query_leaf *leaf,
			  enum field_id id, const struct column_values *values)
{
	bool *holds = malloc(values->entry_count * sizeof *holds + 1);
	for (size_t i = 0; holds != NULL && i < values->entry_count; i++)
		holds[i] = query_leaf_holds(leaf, id, &values->entries[i], evaluation->scratch);
	return holds;
}

static enum status column_test(struct evaluation *evaluation, const struct query_leaf *leaf,
			       size_t column, struct row_set *rows)
{
	struct column_info info = columnar_column(evaluation->reader, column);
	struct column_values values;
	if (info.type == VALUE_NULL || info.type == VALUE_EMPTY || info.value_count == 0)
		return OK;
	enum status status = OK;
	bool may = true;
	if (query_leaf_wants_whole(leaf, info.id))
		status = columnar_may_have(evaluation->reader, column, leaf->text, &may,
					   evaluation->err);
	if (status == OK && may)
		status = columnar_values(evaluation->reader, column, &values, evaluation->err);
	if (status != OK || !may)
		return status;
	bool *holds = NULL;
	if (values.codes != NULL) {
		holds = entries_test(evaluation, leaf, info.id, &values);
		if (holds == NULL)
			return error_set(evaluation->err, ENOMEMORY, "no memory for a search");
	}
	size_t at = 0;
	for (size_t row = 0; row < evaluation->count; row++) {
		size_t count = columnar_row_values(evaluation->reader, row, column);
		for (; count > 0; count--, at++) {
			if (row_set_has(rows, row))
				continue;
			if (holds != NULL ? holds[values.codes[at]]
					  : query_leaf_holds(leaf, info.id, &values.values[at],
							     evaluation->scratch))
				row_set_add(rows, row);
		}
	}
	free(holds);
	return OK;
}

static enum status virtual_test(struct evaluation *evaluation, const struct query_leaf *leaf,
				enum query_virtual which, struct row_set *rows)
{
	for (size_t row = 0; row < evaluation->count; row++) {
		struct event event = {.time_us = columnar_time(evaluation->reader, row)};
		enum status status = OK;
		if (which != VIRTUAL_TIME)
			status = columnar_head(evaluation->reader, row, &event, evaluation->err);
		if (status != OK)
			return status;
		if (query_virtual_holds(leaf, which, &event, evaluation->scratch))
			row_set_add(rows, row);
	}
	return OK;
}

static enum status leaf_rows(struct evaluation *evaluation, const struct query_leaf *leaf,
			     struct row_set *rows)
{
	enum query_virtual which = leaf->name_is_glob ? VIRTUAL_NONE : query_virtual_of(leaf->id);
	if (which != VIRTUAL_NONE)
		return virtual_test(evaluation, leaf, which, rows);
	enum status status = OK;
	size_t columns = columnar_column_count(evaluation->reader);
	for (size_t i = 0; status == OK && i < columns; i++) {
		struct column_info info = columnar_column(evaluation->reader, i);
		if (query_virtual_of(info.id) == VIRTUAL_NONE &&
		    query_leaf_names(leaf, info.id, info.name))
			status = column_test(evaluation, leaf, i, rows);
	}
	return status;
}

static enum status node_rows(struct evaluation *evaluation, const struct query_node *node,
			     struct row_set *ret_rows)
{
	struct row_set rows = {0};
	struct row_set right;
	enum status status = OK;
	switch (node->kind) {
	case QUERY_ALL:
		fill(&rows, evaluation->count);
		break;
	case QUERY_LEAF:
		status = leaf_rows(evaluation, node->leaf, &rows);
		break;
	case QUERY_NOT:
		status = node_rows(evaluation, node->left, &right);
		fill(&rows, evaluation->count);
		for (size_t i = 0; status == OK && i < ROW_WORDS; i++)
			rows.words[i] &= ~right.words[i];
		break;
	case QUERY_AND:
	case QUERY_OR:
		status = node_rows(evaluation, node->left, &rows);
		if (status != OK || (node->kind == QUERY_AND && row_set_is_empty(&rows)))
			break;
		status = node_rows(evaluation, node->right, &right);
		for (size_t i = 0; status == OK && i < ROW_WORDS; i++)
			rows.words[i] = node->kind == QUERY_AND ? rows.words[i] & right.words[i]
								: rows.words[i] | right.words[i];
		break;
	}
	if (status == OK)
		*ret_rows = rows;
	return status;
}

enum status search_block(struct columnar_reader *reader, const struct query_node *node,
			 struct query_scratch *scratch, struct row_set *ret_rows, struct error *err)
{
	struct evaluation evaluation = {reader, scratch, columnar_count(reader), err};
	enum status status = node_rows(&evaluation, node, ret_rows);
	if (status == OK && scratch->failed)
		return error_set(err, ENOMEMORY, "no memory for a search");
	return status;
}
