/* table - the conformance table of rules/RULES.md: its numbers are checked and written by the tests
 * that ran the cases.
 *
 * Why: a table that people keep by hand is wrong after a month. test_cases.c owns the column of our
 * own cases, test_conformance.c the one of other implementations'; each compares its numbers with
 * the page and fails when the page is stale. PICKET_WRITE_TABLE=1 writes them instead.
 *
 * Invariant: rows are those of the page; a case of a row that the page lacks is an error.
 * Owner: the test. Thread: one. Limits: TABLE_ROWS_MAX rows. */
#ifndef PICKET_TESTS_RULES_TABLE_H
#define PICKET_TESTS_RULES_TABLE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_ROWS_MAX = 160, TABLE_PAGE_MAX = 1 << 20 };

struct table_row {
	char name[8];
	unsigned cases, passed;
};

struct table {
	struct table_row rows[TABLE_ROWS_MAX];
	size_t count;
};

static inline struct table_row *table_row_of(struct table *table, const char *name)
{
	for (size_t i = 0; i < table->count; i++)
		if (strcmp(table->rows[i].name, name) == 0)
			return &table->rows[i];
	ck_assert_uint_lt(table->count, TABLE_ROWS_MAX);
	struct table_row *row = &table->rows[table->count++];
	ck_assert_uint_lt(strlen(name), sizeof row->name);
	strcpy(row->name, name);
	return row;
}

static inline void table_count(struct table *table, const char *name, bool passed)
{
	struct table_row *row = table_row_of(table, name);
	row->cases++;
	row->passed += passed;
}

/* The page with the numbers of the column in it; every row of the table must stand there. */
static inline void table_fill(struct table *table, unsigned column, const char *page, char *to)
{
	size_t found = 0;
	while (*page != '\0') {
		const char *end = strchr(page, '\n');
		size_t size = end == NULL ? strlen(page) : (size_t)(end - page) + 1;
		char name[8] = "", what[2] = "";
		bool is_row = sscanf(page, "| %7[A-Z0-9] | %1[RDPA] |", name, what) == 2;
		if (!is_row) {
			(void)sprintf(to, "%.*s", (int)size, page);
		} else {
			const char *at = page;
			for (unsigned bar = 0; bar < column; bar++)
				at = strchr(at + 1, '|');
			const char *next = strchr(at + 1, '|');
			size_t before = table->count;
			struct table_row *row = table_row_of(table, name);
			found += before == table->count; /* else: a row without a case */
			(void)sprintf(to, "%.*s| %u/%u %.*s", (int)(at - page), page, row->passed,
				      row->cases, (int)(size - (size_t)(next - page)), next);
			if (before != table->count)
				table->count--;
		}
		to += strlen(to);
		page += size;
	}
	ck_assert_msg(found == table->count, "%zu rows of cases, %zu of them in rules/RULES.md",
		      table->count, found);
}

/* column: the number of the '|' before it, from 0. */
static inline void table_check(struct table *table, unsigned column)
{
	const char *path = PICKET_SOURCE_DIR "/rules/RULES.md";
	char *page = calloc(2, TABLE_PAGE_MAX), *filled = page + TABLE_PAGE_MAX;
	FILE *file = fopen(path, "r");
	ck_assert_msg(file != NULL, "rules/RULES.md is missing");
	size_t size = fread(page, 1, TABLE_PAGE_MAX / 2, file);
	(void)fclose(file);
	ck_assert_uint_lt(size, TABLE_PAGE_MAX / 2);
	table_fill(table, column, page, filled);
	if (getenv("PICKET_WRITE_TABLE") != NULL) {
		file = fopen(path, "w");
		ck_assert_ptr_nonnull(file);
		ck_assert_int_ge(fputs(filled, file), 0);
		ck_assert_int_eq(fclose(file), 0);
	} else {
		ck_assert_msg(strcmp(page, filled) == 0,
			      "the table of rules/RULES.md is stale; write it again: "
			      "PICKET_WRITE_TABLE=1 and this test");
	}
	free(page);
}

#endif
