#include "rules/check_private.h"

#include <assert.h>
#include <stdlib.h>

#include "rules/cidr.h"
#include "rules/civil_private.h"
#include "rules/program_private.h"

/* (?i), (?s), (?m) and their combinations at the very start are the same as flags; half of the
 * expressions in public rules that look unportable are only these. */
static struct text strip_inline_flags(struct text pattern, unsigned *flags)
{
	while (text_starts(pattern, TEXT("(?"))) {
		unsigned found = 0;
		size_t at = 2;
		for (; at < pattern.size; at++) {
			char c = pattern.data[at];
			unsigned flag = c == 'i'   ? REGEX_CASELESS
					: c == 'm' ? REGEX_MULTILINE
					: c == 's' ? REGEX_DOTALL
						   : 0;
			if (flag == 0)
				break;
			found |= flag;
		}
		if (found == 0 || at == pattern.size || pattern.data[at] != ')')
			break;
		*flags |= found;
		pattern = text_cut(pattern, at + 1);
	}
	return pattern;
}

static enum status make_regex(struct check *check, struct arena *arena, struct error *err)
{
	const struct predicate *predicate = check->predicate;
	enum status status = regex_new(predicate->regex.pattern, predicate->regex.flags,
				       predicate->at, &check->regex, err);
	if (status != OK)
		return status;
	check->regex_flags = predicate->regex.flags;
	check->pattern = strip_inline_flags(predicate->regex.pattern, &check->regex_flags);
	check->linear = linear_kind_of(check->pattern);
	check->required = required_of(check->pattern, arena);
	if (check->required.count > 0)
		check->index = INDEX_REGEX;
	return OK;
}

static enum status make_glob(struct check *check, struct arena *arena)
{
	const struct predicate *predicate = check->predicate;
	enum status status = glob_new(predicate->glob.tokens, predicate->glob.token_count,
				      predicate->cased, arena, &check->glob);
	if (status != OK)
		return status;
	const struct glob *glob = &check->glob;
	if (glob->shape == GLOB_EXACT && !predicate->keyword)
		check->index = INDEX_EXACT;
	else if (scanner_takes(glob->segment, glob->segment_count))
		check->index = INDEX_SCAN;
	check->hit_proves = glob->segment_is_all && !glob->cased &&
			    scanner_proves(glob->segment, glob->segment_count);
	return OK;
}

enum status check_new(const struct predicate *predicate, struct arena *arena,
		      struct check *ret_check, struct error *err)
{
	struct check check = {.predicate = predicate, .other_slot = SLOT_NONE};
	enum status status = OK;
	if (predicate->kind == PREDICATE_GLOB)
		status = make_glob(&check, arena);
	if (predicate->kind == PREDICATE_REGEX)
		status = make_regex(&check, arena, err);
	if (predicate->kind == PREDICATE_NUMBER) {
		check.number = (struct number){predicate->number.value, predicate->number.integer,
					       predicate->number.is_integer};
		if (check.number.is_integer)
			check.number.real = (double)check.number.integer;
		bool equal = predicate->number.how == COMPARE_EQ && !predicate->keyword;
		check.index = equal ? INDEX_NUMBER : INDEX_NONE;
	}
	if (status == OK)
		*ret_check = check;
	return status;
}

bool check_glob(const struct check *check, struct reading *reading, struct view *view)
{
	assert(check->predicate->kind == PREDICATE_GLOB);
	return glob_match(&check->glob, check->glob.cased ? view_text(reading, view)
							  : view_folded(reading, view));
}

/* A linear expression is compiled when it is first asked for, and kept with the reading. */
static enum status search_linear(const struct check *check, uint32_t id, struct reading *reading,
				 struct text text, bool *ret_found)
{
	if (reading->linears == NULL)
		reading->linears = calloc(reading->program->check_count, sizeof *reading->linears);
	if (reading->linears == NULL)
		return ENOMEMORY;
	struct linear **linear = &reading->linears[id];
	if (*linear == NULL && linear_new(check->pattern, check->regex_flags, linear) != OK)
		return ENOMEMORY;
	return linear_search(*linear, &reading->linear_scratch, text, ret_found);
}

static enum verdict search(const struct check *check, uint32_t id, struct reading *reading,
			   struct view *view)
{
	if (check->required.count > 0 &&
	    !required_stand_in(&check->required, view_folded(reading, view)))
		return VERDICT_FALSE;
	struct text text = view_text(reading, view);
	bool found = false;
	enum status status = EINVALID;
	if (check->linear != LINEAR_NONE)
		status = search_linear(check, id, reading, text, &found);
	bool open = status == OK && check->linear == LINEAR_NECESSARY && found;
	if (status == EINVALID || open) /* too large for Vectorscan; or it has not seen all of it */
		return regex_search(check->regex, reading->regex_scratch, text);
	if (status != OK) {
		reading->status = status;
		return VERDICT_UNDECIDED;
	}
	return found ? VERDICT_TRUE : VERDICT_FALSE;
}

static bool holds_boolean(const struct value *value, bool wanted)
{
	if (value->type == VALUE_BOOLEAN)
		return value->boolean == wanted;
	struct text word = wanted ? TEXT("true") : TEXT("false");
	return value->type == VALUE_STRING && value->text.size == word.size &&
	       strncasecmp(value->text.data, word.data, word.size) == 0;
}

static bool holds_cidr(const struct predicate *predicate, struct text text)
{
	struct cidr outer = {.prefix_bits = predicate->cidr.prefix_bits};
	struct cidr inner = {0};
	memcpy(outer.address, predicate->cidr.address, sizeof outer.address);
	return cidr_parse(text, &inner) && cidr_contains(&outer, &inner);
}

static bool holds_time(const struct predicate *predicate, const struct value *value)
{
	int64_t time_us = 0;
	struct number number = {0};
	bool is_time = value->type == VALUE_STRING && time_parse(value->text, &time_us);
	if (!is_time &&
	    (!number_of_value(value, &number) || !civil_from_epoch(number.real, &time_us)))
		return false;
	int64_t part = civil_part(time_us, predicate->time.part);
	struct number have = {(double)part, part, true};
	struct number want = {(double)predicate->time.value, predicate->time.value, true};
	return number_holds(&have, predicate->time.how, &want);
}

static bool texts_relate(struct text a, struct text b, enum fieldref_mode mode)
{
	switch (mode) {
	case FIELDREF_EQUALS:
		return text_equal(a, b);
	case FIELDREF_STARTS:
		return text_starts(a, b);
	case FIELDREF_ENDS:
		return a.size >= b.size && text_equal(text_cut(a, a.size - b.size), b);
	case FIELDREF_CONTAINS:
		return b.size == 0 || memmem(a.data, a.size, b.data, b.size) != NULL;
	}
	assert(false && "a field reference of no mode");
}

/* Any member of the one against any member of the other; a missing field has none. */
static bool holds_fieldref(const struct check *check, struct reading *reading, struct view *view)
{
	bool cased = check->predicate->cased;
	uint32_t at = reading->first[check->other_slot];
	for (; at != VIEW_NONE; at = reading->views[at].next) {
		struct view *other = &reading->views[at];
		if (!view_is_member(other))
			continue;
		struct text a = cased ? view_text(reading, view) : view_folded(reading, view);
		struct text b = cased ? view_text(reading, other) : view_folded(reading, other);
		if (texts_relate(a, b, check->predicate->fieldref.mode))
			return true;
	}
	return false;
}

static enum verdict run_on_member(const struct check *check, uint32_t id, struct reading *reading,
				  struct view *view)
{
	const struct predicate *predicate = check->predicate;
	struct number number = {0};
	switch (predicate->kind) {
	case PREDICATE_GLOB:
		return check_glob(check, reading, view) ? VERDICT_TRUE : VERDICT_FALSE;
	case PREDICATE_REGEX:
		return search(check, id, reading, view);
	case PREDICATE_NUMBER:
		return number_of_value(view->value, &number) &&
				       number_holds(&number, predicate->number.how, &check->number)
			       ? VERDICT_TRUE
			       : VERDICT_FALSE;
	case PREDICATE_BOOLEAN:
		return holds_boolean(view->value, predicate->boolean) ? VERDICT_TRUE
								      : VERDICT_FALSE;
	case PREDICATE_CIDR:
		return holds_cidr(predicate, view_text(reading, view)) ? VERDICT_TRUE
								       : VERDICT_FALSE;
	case PREDICATE_FIELDREF:
		return holds_fieldref(check, reading, view) ? VERDICT_TRUE : VERDICT_FALSE;
	case PREDICATE_TIME_PART:
		return holds_time(predicate, view->value) ? VERDICT_TRUE : VERDICT_FALSE;
	case PREDICATE_NULL:
	case PREDICATE_EXISTS:
	case PREDICATE_SINCE:
		break;
	}
	assert(false && "a predicate without members");
}

static bool any_null(const struct reading *reading, uint32_t at)
{
	for (; at != VIEW_NONE; at = reading->views[at].next)
		if (reading->views[at].value->type == VALUE_NULL)
			return true;
	return false;
}

/* An object has no value of its own but is there: some field is called "NAME.something". */
static bool is_object(const struct reading *reading, struct text name)
{
	for (size_t i = 0; i < reading->event->field_count; i++) {
		struct text other = reading->event->fields[i].name;
		if (other.size > name.size && other.data[name.size] == '.' &&
		    text_starts(other, name))
			return true;
	}
	return false;
}

static bool run_on_presence(const struct check *check, const struct reading *reading)
{
	uint32_t first = reading->first[check->slot];
	bool exists = first != VIEW_NONE || is_object(reading, check->predicate->field);
	if (check->predicate->kind == PREDICATE_EXISTS)
		return exists;
	return !exists || any_null(reading, first);
}

enum verdict check_run(const struct check *check, uint32_t id, struct reading *reading)
{
	enum predicate_kind kind = check->predicate->kind;
	if (kind == PREDICATE_NULL || kind == PREDICATE_EXISTS)
		return run_on_presence(check, reading) ? VERDICT_TRUE : VERDICT_FALSE;
	if (kind == PREDICATE_SINCE)
		return reading->event->time_us >= check->predicate->since_us ? VERDICT_TRUE
									     : VERDICT_FALSE;
	enum verdict verdict = VERDICT_FALSE;
	bool keyword = check->slot == SLOT_ANY;
	uint32_t at = keyword ? 0 : reading->first[check->slot];
	uint32_t end = keyword ? (uint32_t)reading->event->field_count : VIEW_NONE;
	while (at != end && verdict != VERDICT_TRUE) {
		struct view *view = &reading->views[at];
		bool asked = keyword ? view_is_searched(reading, at) : view_is_member(view);
		at = keyword ? at + 1 : view->next;
		if (!asked)
			continue;
		enum verdict one = run_on_member(check, id, reading, view);
		if (one != VERDICT_FALSE)
			verdict = one;
	}
	return verdict;
}
