/* A record and its format: which one it is, and what its names mean. The interpreter of the tables
 * that format_table.c makes.
 *
 * A record has some twenty of the names that mappings read, a format has a hundred rows and there
 * are as many ways to recognise one. So nothing is walked that the record does not ask for: the
 * names it has say which rows wait for them, and the marks it sets say which formats could be its
 * own (each is filed under one of the marks that it needs, the one that the fewest others need).
 * The order of the rows, and of the formats, still decides. */
#include <assert.h>

#include "ingest/format_private.h"

void seen_begin(struct seen *seen)
{
	memset(&seen->marks, 0, sizeof seen->marks);
	while (seen->source_count > 0)
		seen->fields[seen->sources[--seen->source_count]] = 0;
}

void seen_mark(const struct formats *formats, struct seen *seen, const struct name_info *info,
	       const struct value *value)
{
	for (unsigned next = info->mark; next != 0; next = formats->marks[next - 1].next) {
		unsigned mark = next - 1;
		const struct test *test = &formats->marks[mark].test;
		bool present = test->kind == TEST_PRESENT && value->type == VALUE_STRING;
		if (present || test_value(test, value))
			seen->marks.bits[mark / 64] |= (uint64_t)1 << (mark % 64);
	}
}

static bool marks_hold(const struct marks *asked, const struct marks *marks)
{
	uint64_t missing = 0;
	for (size_t i = 0; i < FORMAT_MARKS_MAX / 64; i++)
		missing |= asked->bits[i] & ~marks->bits[i];
	return missing == 0;
}

const struct format *format_recognise(const struct formats *formats, const struct seen *seen,
				      const struct format *behind)
{
	const struct format *best = &formats->formats[formats->format_count - 1];
	for (size_t word = 0; word < FORMAT_MARKS_MAX / 64; word++)
		for (uint64_t left = seen->marks.bits[word]; left != 0; left &= left - 1) {
			size_t mark = word * 64 + (size_t)__builtin_ctzll(left);
			const struct alternative *at = &formats->alternatives[formats->filed[mark]];
			const struct alternative *end =
				&formats->alternatives[formats->filed[mark + 1]];
			for (; at < end; at++) /* formats lie in their order */
				if (at->format < best && at->format > behind &&
				    marks_hold(&at->asked, &seen->marks))
					best = at->format;
		}
	return best;
}

/* Is there anything to take? An empty string, a null or an object says nothing. */
static bool has_value(const struct value *value)
{
	return value->type != VALUE_NULL && value->type != VALUE_EMPTY &&
	       (value->type != VALUE_STRING || value->text.size > 0);
}

/* The newest value of a subject, alive, or NULL. */
static inline struct draft_field *subject_field(const struct mapping *mapping,
						struct subject subject)
{
	if (subject.id != FIELD_OTHER)
		return draft_get(mapping->draft, subject.id);
	assert(subject.source != 0);
	uint32_t newest = mapping->seen->fields[subject.source - 1u];
	struct draft_field *field = newest == 0 ? NULL : &mapping->draft->fields[newest - 1];
	return field == NULL || field->dead ? NULL : field;
}

/* Does the test hold for any value of its subject? (ABSENT: for all, and for none.) */
static bool test_holds(const struct mapping *mapping, const struct test *test)
{
	const struct draft_field *field = subject_field(mapping, test->subject);
	bool absent = test->kind == TEST_ABSENT;
	while (field != NULL) {
		if (!field->dead && test_value(test, &field->field.value) != absent)
			return !absent;
		field = field->older == 0 ? NULL : &mapping->draft->fields[field->older - 1];
	}
	return absent;
}

static bool clauses_hold(const struct mapping *mapping, const struct clause *clauses, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool all = true;
		for (size_t k = 0; k < clauses[i].test_count && all; k++)
			all = test_holds(mapping, &clauses[i].tests[k]);
		if (all)
			return true;
	}
	return count == 0;
}

static void move_row(struct mapping *mapping, const struct row *row, struct draft_field *from)
{
	struct draft_field *there = draft_find(mapping->draft, &row->to);
	if (there != NULL && !(from->agent && !there->agent))
		return;
	draft_replace(mapping->draft, &row->to, &from->field.value);
	draft_remove(mapping->draft, from);
}

/* The members of an array (the last FORMAT_MEMBERS_MAX), newest first. */
static size_t members_of(const struct draft *draft, const struct draft_field *from, bool first,
			 struct value members[FORMAT_MEMBERS_MAX])
{
	size_t count = 0;
	uint32_t array = from->array;
	for (const struct draft_field *at = from;; at = &draft->fields[at->older - 1]) {
		bool member = !at->dead && at->array == array && has_value(&at->field.value);
		if (member && (first || count < FORMAT_MEMBERS_MAX))
			members[first ? 0 : count++] = at->field.value;
		if (member && first)
			count = 1;
		if (at->older == 0)
			break;
	}
	return count;
}

static void copy_members(struct mapping *mapping, const struct row *row,
			 const struct draft_field *from)
{
	struct value members[FORMAT_MEMBERS_MAX];
	size_t count = members_of(mapping->draft, from, row->first, members);
	struct draft_name to = row->to;
	to.array = count > 1 ? from->array : 0;
	while (count-- > 0)
		if (convert(mapping, row, &members[count]))
			(void)draft_put(mapping->draft, &to, &members[count]);
}

static void copy_value(struct mapping *mapping, const struct row *row,
		       const struct draft_field *from, uint32_t *vacancy)
{
	const struct value *given = &from->field.value;
	if (!has_value(given))
		return;
	if (row->plain) {
		draft_put_new(mapping->draft, vacancy, &row->to, given);
		return;
	}
	struct value value = *given;
	if (convert(mapping, row, &value))
		draft_put_new(mapping->draft, vacancy, &row->to, &value);
}

static void fill(struct mapping *mapping, const struct row *row, const struct draft_field *from)
{
	uint32_t *vacancy = draft_vacancy(mapping->draft, &row->to);
	if (vacancy == NULL)
		return;
	if (row->given)
		draft_put_new(mapping->draft, vacancy, &row->to, &row->constant);
	else if (from->array != 0)
		copy_members(mapping, row, from);
	else
		copy_value(mapping, row, from, vacancy);
}

static void row_apply(struct mapping *mapping, const struct row *row)
{
	struct draft_field *from = row->given ? NULL : subject_field(mapping, row->from);
	if (!row->given && from == NULL)
		return;
	if (row->clause_count > 0 && !clauses_hold(mapping, row->clauses, row->clause_count))
		return;
	if (row->move && has_value(&from->field.value))
		move_row(mapping, row, from);
	else
		fill(mapping, row, from);
}

void format_map(struct mapping *mapping)
{
	const struct format *format = mapping->format;
	const struct seen *seen = mapping->seen;
	uint64_t rows[FORMAT_ROWS_MAX / 64];
	for (size_t word = 0; word < format->row_words; word++)
		rows[word] = format->always[word];
	for (size_t k = 0; k < seen->source_count; k++) {
		const uint64_t *waiting = &format->waiting[seen->sources[k] * format->row_words];
		for (size_t word = 0; word < format->row_words; word++)
			rows[word] |= waiting[word];
	}
	for (size_t word = 0; word < format->row_words; word++)
		for (uint64_t left = rows[word]; left != 0; left &= left - 1)
			row_apply(mapping,
				  &format->rows[word * 64 + (size_t)__builtin_ctzll(left)]);
}

bool format_time(struct mapping *mapping, bool agent, int64_t *ret_time_us)
{
	struct draft *draft = mapping->draft;
	const struct draft_field *stamp = draft_get(draft, FIELD_TIMESTAMP);
	if (stamp != NULL && stamp->agent == agent &&
	    time_of_value(&stamp->field.value, ret_time_us))
		return true;
	for (size_t i = 0; i < mapping->format->time_count; i++) {
		const struct row *row = mapping->format->times[i];
		struct draft_field *from = row->given ? NULL : subject_field(mapping, row->from);
		if (from == NULL || from->agent != agent)
			continue;
		struct value value = from->field.value;
		if ((row->apart && !take_apart(row, &value)) || !time_of_value(&value, ret_time_us))
			continue;
		/* The record's own @timestamp, though it reads as no time, is not thrown away. */
		bool free = stamp == NULL || stamp->agent;
		if (free)
			draft_replace(draft, &row->to, &value);
		if (free && row->move) {
			draft->lost =
				draft->lost || !text_equal(from->field.value.text, value.text);
			draft_remove(draft, from);
		}
		return true;
	}
	return false;
}

struct logsource format_logsource(struct mapping *mapping, const struct logsource *given)
{
	const struct format *format = mapping->format;
	/* Whoever gives it knows where the events come from. */
	if (given->category.size + given->product.size + given->service.size > 0)
		return *given;
	for (size_t i = 0; i < format->logsource_count; i++)
		if (clauses_hold(mapping, format->logsources[i].clauses,
				 format->logsources[i].clause_count))
			return format->logsources[i].logsource;
	return (struct logsource){0};
}
