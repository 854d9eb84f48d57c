/* A record and its format: which one it is, and what its names mean. The interpreter of the tables
 * that format_read.c makes.
 *
 * The walk looks at every row of the format, but a row that waits for a source costs one test of a
 * bit when the record has none of that name; 100 rows are some 50 ns. */
#include <assert.h>

#include "ingest/format_private.h"

void seen_begin(struct seen *seen)
{
	memset(&seen->marks, 0, sizeof seen->marks);
	memset(seen->present, 0, sizeof seen->present);
}

void seen_note(const struct formats *formats, struct seen *seen, const struct name_info *info,
	       const struct draft_field *field, const struct draft *draft)
{
	if (info->source != 0) {
		unsigned source = info->source - 1u;
		seen->present[source / 64] |= (uint64_t)1 << (source % 64);
		seen->fields[source] = (uint32_t)(field - draft->fields);
	}
	if (field->agent)
		return; /* the envelope is not the record */
	for (unsigned next = info->mark; next != 0; next = formats->marks[next - 1].next) {
		unsigned mark = next - 1;
		if (test_value(&formats->marks[mark].test, &field->field.value))
			seen->marks.bits[mark / 64] |= (uint64_t)1 << (mark % 64);
	}
}

const struct format *format_recognise(const struct formats *formats, const struct seen *seen,
				      const struct format *behind)
{
	const struct alternative *at = formats->alternatives;
	const struct alternative *end = at + formats->alternative_count;
	for (; at < end; at++) {
		uint64_t missing = 0;
		for (size_t i = 0; i < FORMAT_MARKS_MAX / 64; i++)
			missing |= at->asked.bits[i] & ~seen->marks.bits[i];
		if (missing == 0 && at->format > behind) /* formats lie in their order */
			return at->format;
	}
	return &formats->formats[formats->format_count - 1];
}

/* Is there anything to take? An empty string, a null or an object says nothing. */
static bool has_value(const struct value *value)
{
	return value->type != VALUE_NULL && value->type != VALUE_EMPTY &&
	       (value->type != VALUE_STRING || value->text.size > 0);
}

/* The newest value of a subject, alive, or NULL. */
static struct draft_field *subject_field(const struct mapping *mapping, struct subject subject)
{
	const struct seen *seen = mapping->seen;
	if (subject.id != FIELD_OTHER)
		return draft_get(mapping->draft, subject.id);
	unsigned source = subject.source - 1u;
	assert(subject.source != 0);
	if ((seen->present[source / 64] >> (source % 64) & 1) == 0)
		return NULL;
	struct draft_field *field = &mapping->draft->fields[seen->fields[source]];
	return field->dead ? NULL : field;
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
	struct draft_name to = row->to;
	to.by = row;
	draft_replace(mapping->draft, &to, from->field.value);
	draft_remove(mapping->draft, from);
}

/* The members of an array (the last FORMAT_MEMBERS_MAX), newest first; a single value is an array
 * of one. */
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
		if (array == 0 || at->older == 0)
			break;
	}
	return count;
}

static void copy_row(struct mapping *mapping, const struct row *row, const struct draft_field *from)
{
	struct value members[FORMAT_MEMBERS_MAX];
	size_t count = members_of(mapping->draft, from, row->first, members);
	struct draft_name to = row->to;
	to.array = count > 1 ? from->array : 0;
	to.by = row;
	while (count-- > 0)
		if (convert(mapping, row, &members[count]))
			(void)draft_put(mapping->draft, &to, members[count]);
}

static void row_apply(struct mapping *mapping, const struct row *row)
{
	bool constant = row->source_name.data == NULL;
	struct draft_field *from = constant ? NULL : subject_field(mapping, row->from);
	if (!constant && from == NULL)
		return;
	if (!clauses_hold(mapping, row->clauses, row->clause_count))
		return;
	if (row->move && has_value(&from->field.value)) {
		move_row(mapping, row, from);
		return;
	}
	if (draft_find(mapping->draft, &row->to) != NULL)
		return;
	if (!constant) {
		copy_row(mapping, row, from);
		return;
	}
	struct draft_name to = row->to;
	to.by = row;
	(void)draft_put(mapping->draft, &to, row->constant);
}

void format_map(struct mapping *mapping)
{
	const struct format *format = mapping->format;
	const struct seen *seen = mapping->seen;
	for (size_t i = 0; i < format->row_count; i++) {
		unsigned source = format->row_sources[i];
		if (source != 0 &&
		    (seen->present[(source - 1) / 64] >> ((source - 1) % 64) & 1) == 0)
			continue;
		if (format->rows[i].to.id != FIELD_TIMESTAMP)
			row_apply(mapping, &format->rows[i]);
	}
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
		bool constant = row->source_name.data == NULL;
		struct draft_field *from = constant ? NULL : subject_field(mapping, row->from);
		if (from == NULL || from->agent != agent)
			continue;
		struct value value = from->field.value;
		if (!take_apart(row, &value) || !time_of_value(&value, ret_time_us))
			continue;
		/* The record's own @timestamp, though it reads as no time, is not thrown away. */
		bool free = stamp == NULL || stamp->agent;
		struct draft_name to = row->to;
		to.by = row;
		if (free)
			draft_replace(draft, &to, value);
		if (free && row->move)
			draft_remove(draft, from);
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
