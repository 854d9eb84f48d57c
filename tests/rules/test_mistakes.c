/* What an author mistypes, one mistake a row, and the exact answer: tests/rules/mistakes.yml.
 *
 *   good       a name; `text` under it must load without a word
 *   in         the good text that is mistyped: its last line that is `for` (but for the
 *              indentation) becomes `write`, which may be none or several lines
 *   text       instead of those three: the whole text
 *   at         line:column of the answer
 *   refused    what is wrong: it must not load; or `warns`: it must load with this one note
 *   fix        what to do */
#include "rules/yaml.h"
#include "tests/rules/loading.h"
#include "tests/rules/suite.h"

enum { ROWS_MIN = 200, TEXT_MAX = 8192 };

static struct text text_at(const struct yaml_node *row, const char *key)
{
	const struct yaml_node *node = yaml_get(row, key);
	return node == NULL ? (struct text){0} : node->text;
}

struct table {
	struct arena *arena;
	const struct yaml_node *const *rows;
	size_t count;
	unsigned failed;
};

static struct text good_text(const struct table *table, struct text name)
{
	for (size_t i = 0; i < table->count; i++)
		if (text_equal(text_at(table->rows[i], "good"), name))
			return text_at(table->rows[i], "text");
	ck_abort_msg("no good text is called %.*s", TEXT_ARG(name));
}

/* The next line of *rest, without its end; false when there is none. */
static bool next_line(struct text *rest, struct text *ret_line)
{
	if (rest->size == 0)
		return false;
	const char *end = memchr(rest->data, '\n', rest->size);
	size_t size = end == NULL ? rest->size : (size_t)(end - rest->data);
	*ret_line = (struct text){rest->data, size};
	*rest = text_cut(*rest, size + (end != NULL));
	return true;
}

static size_t indentation(struct text line)
{
	size_t blanks = 0;
	while (blanks < line.size && line.data[blanks] == ' ')
		blanks++;
	return blanks;
}

static size_t last_line_of(struct text text, struct text wanted)
{
	struct text line;
	size_t found = 0;
	for (size_t number = 1; next_line(&text, &line); number++)
		if (text_equal(text_cut(line, indentation(line)), wanted))
			found = number;
	return found;
}

static const char *mistyped(const struct table *table, const struct yaml_node *row)
{
	if (yaml_get(row, "text") != NULL)
		return text_at(row, "text").data; /* scalars end with a NUL */
	struct text good = good_text(table, text_at(row, "in"));
	size_t changed = last_line_of(good, text_at(row, "for"));
	ck_assert_msg(changed > 0, "mistakes.yml:%u: no such line in the good text", row->at.line);
	char *buffer = arena_alloc(table->arena, TEXT_MAX);
	size_t used = 0;
	struct text line;
	for (size_t number = 1; next_line(&good, &line); number++) {
		struct text part, parts = number == changed ? text_at(row, "write") : line;
		size_t blanks = number == changed ? indentation(line) : 0;
		while (next_line(&parts, &part))
			used += (size_t)snprintf(buffer + used, TEXT_MAX - used, "%*s%.*s\n",
						 (int)blanks, "", TEXT_ARG(part));
		ck_assert_uint_lt(used, TEXT_MAX);
	}
	return buffer;
}

static void compare(struct table *table, const struct yaml_node *row, const char *got)
{
	bool refused = yaml_get(row, "refused") != NULL;
	char wanted[ERROR_TEXT_MAX + ERROR_FILE_MAX];
	(void)snprintf(wanted, sizeof wanted, "%s %.*s: %.*s\n  fix: %.*s",
		       refused ? "refused" : "warns", TEXT_ARG(text_at(row, "at")),
		       TEXT_ARG(text_at(row, refused ? "refused" : "warns")),
		       TEXT_ARG(text_at(row, "fix")));
	if (strcmp(wanted, got) == 0)
		return;
	table->failed++;
	printf("FAIL mistakes.yml:%u\n- %s\n+ %s\n", row->at.line, wanted, got);
}

static void try_row(struct table *table, const struct yaml_node *row)
{
	const struct ruleset_options options = {0};
	struct ruleset *ruleset cleanup(ruleset_free) = NULL;
	struct error err = {0};
	char got[ERROR_TEXT_MAX + ERROR_FILE_MAX];
	const char *text = mistyped(table, row);
	if (ruleset_parse(&options, text_of(text), "test.yml", &ruleset, &err) != OK) {
		(void)snprintf(got, sizeof got, "refused %u:%u: %s", err.line, err.column,
			       err.text);
		compare(table, row, got);
		return;
	}
	size_t count = 0;
	const struct rule_note *notes = ruleset_notes(ruleset, &count);
	(void)snprintf(got, sizeof got, "%zu notes", count);
	if (count == 1)
		(void)snprintf(got, sizeof got, "warns %u:%u: %.*s\n  fix: %.*s", notes[0].at.line,
			       notes[0].at.column, TEXT_ARG(notes[0].text), TEXT_ARG(notes[0].fix));
	if (yaml_get(row, "good") == NULL) {
		compare(table, row, got);
	} else if (count > 0) {
		table->failed++;
		printf("FAIL mistakes.yml:%u is not good: %s\n", row->at.line, got);
	}
}

static void keys_checked(const struct yaml_node *row)
{
	static const char *const keys[] = {"good", "in",      "for",   "write", "text",
					   "at",   "refused", "warns", "fix"};
	for (size_t i = 0; i < row->count; i++) {
		size_t k = 0;
		while (k < sizeof keys / sizeof *keys &&
		       !text_equal(row->keys[i]->text, text_of(keys[k])))
			k++;
		ck_assert_msg(k < sizeof keys / sizeof *keys, "mistakes.yml:%u: unknown key",
			      row->keys[i]->at.line);
	}
}

START_TEST(every_mistake_has_its_answer)
{
	struct arena *arena cleanup(arena_free) = arena_new(64 << 20);
	struct table table = {.arena = arena};
	struct error err = {0};
	ck_assert_msg(yaml_load(PICKET_SOURCE_DIR "/tests/rules/mistakes.yml", arena, &table.rows,
				&table.count, &err) == OK,
		      "%u: %s", err.line, err.text);
	for (size_t i = 0; i < table.count; i++) {
		keys_checked(table.rows[i]);
		try_row(&table, table.rows[i]);
	}
	ck_assert_uint_ge(table.count, ROWS_MIN);
	ck_assert_uint_eq(table.failed, 0);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, every_mistake_has_its_answer);
}

int main(void)
{
	return run_suite("mistakes", fill);
}
