/* Conditions of a mapping file: `recognise` and `when`.
 *
 *   when: {verb: [create, update], responseStatus.code: present}     all of them
 *   when: [{a: present}, {b: {prefix: x}}]                           any of the clauses
 *
 * A test is `present`, `absent`, `number`, `string`, {prefix: TEXT or a list}, any other scalar for
 * "equals" or a list of them. Values are compared as they are printed: 7 is "7". To ask for the
 * word present itself, write it in a list: [present]. */
#include <assert.h>

#include "ingest/format_private.h"

enum status keys_check(const struct yaml_node *mapping, const char *const *known, size_t count,
		       struct error *err)
{
	if (mapping->kind != YAML_MAPPING)
		return error_at(err, EINVALID, mapping->at, "a mapping of key: value is needed");
	for (size_t i = 0; i < mapping->count; i++) {
		bool found = false;
		for (size_t k = 0; k < count && !found; k++)
			found = text_equal(mapping->keys[i]->text, text_of(known[k]));
		if (found)
			continue;
		const char *nearest = nearest_name(mapping->keys[i]->text, known, count);
		return error_at(err, EINVALID, mapping->keys[i]->at,
				"unknown key `%.*s`%s%s%s; see docs/FORMATS.md",
				TEXT_ARG(mapping->keys[i]->text),
				nearest == NULL ? "" : ", did you mean `",
				nearest == NULL ? "" : nearest, nearest == NULL ? "" : "`?");
	}
	return OK;
}

static bool is_scalar(const struct yaml_node *node)
{
	return node->kind != YAML_MAPPING && node->kind != YAML_SEQUENCE && node->kind != YAML_NULL;
}

enum status subject_read(struct formats *formats, const struct yaml_node *name,
			 struct subject *ret_subject, struct error *err)
{
	if (!is_scalar(name) || name->text.size == 0 || name->text.size > EVENT_NAME_MAX)
		return error_at(err, EINVALID, name->at,
				"the name of a field is needed: 1 to %d bytes", EVENT_NAME_MAX);
	struct name_info *info = names_add(&formats->names, name->text);
	if (info == NULL)
		return error_set(err, ENOMEMORY, "no memory for the mappings");
	if (info->id == FIELD_OTHER && info->source == 0) {
		if (formats->source_count == FORMAT_SOURCES_MAX)
			return error_at(err, ELIMIT, name->at,
					"the mappings read more than %d names", FORMAT_SOURCES_MAX);
		info->source = (uint16_t)++formats->source_count;
	}
	*ret_subject = (struct subject){.id = info->id, .source = info->source};
	return OK;
}

static enum status values_read(struct formats *formats, const struct yaml_node *node,
			       struct test *test, struct error *err)
{
	bool list = node->kind == YAML_SEQUENCE;
	test->value_count = list ? node->count : 1;
	struct text *values = arena_alloc(formats->arena, (test->value_count + 1) * sizeof *values);
	if (values == NULL)
		return error_set(err, ENOMEMORY, "no memory for the mappings");
	for (size_t i = 0; i < test->value_count; i++) {
		const struct yaml_node *value = list ? node->items[i] : node;
		if (!is_scalar(value))
			return error_at(err, EINVALID, value->at, "a plain value is needed here");
		values[i] = value->text;
	}
	test->values = values;
	return OK;
}

static enum status test_read(struct formats *formats, const struct yaml_node *node,
			     struct test *test, struct error *err)
{
	static const struct {
		const char *word;
		enum test_kind kind;
	} kinds[] = {{"present", TEST_PRESENT},
		     {"absent", TEST_ABSENT},
		     {"number", TEST_NUMBER},
		     {"string", TEST_STRING}};
	static const char *const keys[] = {"prefix"};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (node->kind == YAML_STRING && !node->quoted &&
		    text_equal(node->text, text_of(kinds[i].word))) {
			test->kind = kinds[i].kind;
			return OK;
		}
	test->kind = TEST_EQUAL;
	if (node->kind != YAML_MAPPING)
		return values_read(formats, node, test, err);
	test->kind = TEST_PREFIX;
	enum status status = keys_check(node, keys, 1, err);
	if (status != OK)
		return status;
	if (node->count != 1)
		return error_at(err, EINVALID, node->at, "write {prefix: TEXT}");
	return values_read(formats, node->values[0], test, err);
}

static enum status clause_read(struct formats *formats, const struct yaml_node *node,
			       struct clause *ret_clause, struct error *err)
{
	if (node->kind != YAML_MAPPING || node->count == 0 || node->count > FORMAT_TESTS_MAX)
		return error_at(err, EINVALID, node->at,
				"a condition is a mapping of 1 to %d `field: test`",
				FORMAT_TESTS_MAX);
	struct test *tests = arena_alloc(formats->arena, node->count * sizeof *tests);
	if (tests == NULL)
		return error_set(err, ENOMEMORY, "no memory for the mappings");
	memset(tests, 0, node->count * sizeof *tests);
	for (size_t i = 0; i < node->count; i++) {
		enum status status = subject_read(formats, node->keys[i], &tests[i].subject, err);
		if (status == OK)
			status = test_read(formats, node->values[i], &tests[i], err);
		if (status != OK)
			return status;
	}
	*ret_clause = (struct clause){tests, node->count};
	return OK;
}

enum status clauses_read(struct formats *formats, const struct yaml_node *node,
			 const struct clause **ret_clauses, size_t *ret_count, struct error *err)
{
	bool list = node->kind == YAML_SEQUENCE;
	size_t count = list ? node->count : 1;
	if (count == 0)
		return error_at(err, EINVALID, node->at, "an empty list of conditions never holds");
	struct clause *clauses = arena_alloc(formats->arena, count * sizeof *clauses);
	if (clauses == NULL)
		return error_set(err, ENOMEMORY, "no memory for the mappings");
	for (size_t i = 0; i < count; i++) {
		enum status status =
			clause_read(formats, list ? node->items[i] : node, &clauses[i], err);
		if (status != OK)
			return status;
	}
	*ret_clauses = clauses;
	*ret_count = count;
	return OK;
}

static bool same_test(const struct test *a, const struct test *b)
{
	bool same = a->kind == b->kind && a->value_count == b->value_count;
	for (size_t i = 0; same && i < a->value_count; i++)
		same = text_equal(a->values[i], b->values[i]);
	return same;
}

/* The number of the mark that asks `test` of this name; a new one when there is none yet. */
static enum status mark_of(struct formats *formats, const struct yaml_node *name,
			   const struct test *test, size_t *ret_mark, struct error *err)
{
	struct name_info *info = names_add(&formats->names, name->text);
	if (info == NULL)
		return error_set(err, ENOMEMORY, "no memory for the mappings");
	for (unsigned at = info->mark; at != 0; at = formats->marks[at - 1].next)
		if (same_test(&formats->marks[at - 1].test, test)) {
			*ret_mark = at - 1;
			return OK;
		}
	if (formats->mark_count == FORMAT_MARKS_MAX)
		return error_at(err, ELIMIT, name->at,
				"the formats ask more than %d different questions of recognition",
				FORMAT_MARKS_MAX);
	formats->marks[formats->mark_count] = (struct mark){*test, info->mark};
	*ret_mark = formats->mark_count;
	info->mark = (uint16_t)++formats->mark_count;
	info->keep = true;
	return OK;
}

/* What a person reads about an alternative: "level (number), time (number)". */
static struct text words_of(struct formats *formats, struct text so_far,
			    const struct yaml_node *clause)
{
	const char *between = so_far.size == 0 ? "" : "; or ";
	for (size_t i = 0; i < clause->count; i++) {
		const struct yaml_node *value = clause->values[i];
		const struct yaml_node *shown = value;
		if (value->kind == YAML_MAPPING)
			shown = value->values[0];
		if (shown->kind == YAML_SEQUENCE)
			shown = shown->items[0];
		bool plain = text_equal(shown->text, TEXT("present"));
		so_far = arena_print(formats->arena, "%.*s%s%.*s%s%.*s%s%s", TEXT_ARG(so_far),
				     between, TEXT_ARG(clause->keys[i]->text), plain ? "" : " (",
				     plain ? 0 : (int)shown->text.size, shown->text.data,
				     value->kind == YAML_MAPPING ? "..." : "", plain ? "" : ")");
		between = ", ";
	}
	return so_far;
}

enum status recognise_read(struct formats *formats, const struct yaml_node *node,
			   struct format *format, struct error *err)
{
	const struct clause *clauses = NULL;
	size_t count = 0;
	enum status status = clauses_read(formats, node, &clauses, &count, err);
	if (status != OK)
		return status;
	if (count > FORMAT_ALTERNATIVES_MAX)
		return error_at(err, ELIMIT, node->at, "at most %d ways to recognise a format",
				FORMAT_ALTERNATIVES_MAX);
	for (size_t i = 0; i < count; i++) {
		const struct yaml_node *clause =
			node->kind == YAML_SEQUENCE ? node->items[i] : node;
		for (size_t k = 0; k < clause->count; k++) {
			size_t mark = 0;
			if (clauses[i].tests[k].kind == TEST_ABSENT)
				return error_at(err, EINVALID, clause->values[k]->at,
						"a format is not recognised by what is absent: "
						"give the other format a lower `rank`");
			status =
				mark_of(formats, clause->keys[k], &clauses[i].tests[k], &mark, err);
			if (status != OK)
				return status;
			format->alternatives[i].bits[mark / 64] |= (uint64_t)1 << (mark % 64);
			if (format->asked_count == FORMAT_ASKED_MAX)
				return error_at(err, ELIMIT, clause->keys[k]->at,
						"a format is recognised by at most %d names",
						FORMAT_ASKED_MAX);
			format->asked[format->asked_count++] = clause->keys[k]->text;
		}
		format->recognised_by = words_of(formats, format->recognised_by, clause);
	}
	format->alternative_count = count;
	return OK;
}

bool test_value(const struct test *test, const struct value *value)
{
	bool present = value->type != VALUE_NULL && value->type != VALUE_EMPTY;
	switch (test->kind) {
	case TEST_PRESENT:
		return present;
	case TEST_ABSENT:
		return !present;
	case TEST_NUMBER:
		return value->type == VALUE_INTEGER || value->type == VALUE_REAL;
	case TEST_STRING:
		return value->type == VALUE_STRING;
	case TEST_EQUAL:
	case TEST_PREFIX:
		break;
	}
	for (size_t i = 0; present && i < test->value_count; i++)
		if (test->kind == TEST_EQUAL ? text_equal(value->text, test->values[i])
					     : text_starts(value->text, test->values[i]))
			return true;
	return false;
}
