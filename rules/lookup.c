/* What the index says about an event: for each value of a field that rules of its log source read,
 * the exact, number and scanned hits. A hit is remembered as the answer of its predicate, decides
 * its groups, and proposes the classes whose witness it is; so does a field that is there. Classes
 * without a witness are proposed always. */
#include <assert.h>
#include <xxhash.h>

#include "rules/match_private.h"

static void propose(struct matcher *matcher, struct list classes)
{
	for (size_t i = 0; i < classes.count; i++) {
		uint32_t class = classes.items[i];
		if (matcher->proposed[class] == matcher->generation)
			continue;
		matcher->proposed[class] = matcher->generation;
		if (matcher->routing->fits[matcher->program->classes[class].route])
			matcher->candidates[matcher->candidate_count++] = class;
	}
}

static bool is_hit(const struct matcher *matcher, uint32_t id)
{
	return matcher->memo[id] == (matcher->generation << 2 | VERDICT_TRUE);
}

static void hit(struct matcher *matcher, uint32_t id)
{
	const struct consequence *consequence = &matcher->program->consequences[id];
	uint32_t answer = matcher->generation << 2 | VERDICT_TRUE;
	if (is_hit(matcher, id))
		return;
	matcher->memo[id] = answer;
	uint32_t *groups = matcher->memo + matcher->program->check_count;
	for (size_t i = 0; i < consequence->groups.count; i++)
		groups[consequence->groups.items[i]] = answer;
	propose(matcher, consequence->classes);
}

struct scan_context {
	struct matcher *matcher;
	struct view *view;
};

/* The literal was found where the glob wants it. Other places of it are reported too: to look at
 * this one is enough. */
static bool is_in_place(const struct consequence *consequence, struct text normal, size_t place)
{
	bool at_start = place == 0;
	bool at_end = normal.size - place == consequence->size;
	switch ((enum hit_meaning)consequence->meaning) {
	case HIT_AT_START:
		return at_start;
	case HIT_AT_END:
		return at_end;
	case HIT_IS_ALL:
		return at_start && at_end;
	case HIT_PROVES:
	case HIT_ANYWHERE:
	case HIT_SUGGESTS:
	case HIT_ALLOWS:
		break;
	}
	return true;
}

/* What a hit at this place says about a glob. Undecided: the glob has to be matched. */
static enum verdict look_at(const struct scan_context *scan, uint32_t id, size_t place)
{
	const struct consequence *consequence = &scan->matcher->program->consequences[id];
	struct view *view = scan->view;
	if (consequence->meaning == HIT_PROVES)
		return VERDICT_TRUE;
	if (consequence->meaning == HIT_SUGGESTS || !view->is_ascii)
		return VERDICT_UNDECIDED;
	assert(place < view->normal.size);
	if (!is_in_place(consequence, view->normal, place))
		return VERDICT_FALSE;
	if (!consequence->has_dash)
		return VERDICT_TRUE;
	struct text text = text_cut(view_folded(&scan->matcher->reading, view), place);
	const struct text needle = scan->matcher->program->checks[id].glob.needle;
	return text_starts(text, needle) ? VERDICT_TRUE : VERDICT_FALSE;
}

static void on_scan_hit(void *context, uint32_t id, size_t place)
{
	const struct scan_context *scan = context;
	struct matcher *matcher = scan->matcher;
	const struct consequence *consequence = &matcher->program->consequences[id];
	if (is_hit(matcher, id))
		return;
	if (consequence->meaning == HIT_ALLOWS) {
		matcher->memo[id] = matcher->generation << 2 | MEMO_POSSIBLE;
		propose(matcher, consequence->classes);
		return;
	}
	enum verdict verdict = look_at(scan, id, place);
	/* The glob is matched against the whole value: once for each scan. */
	if (verdict == VERDICT_UNDECIDED && matcher->tried[id] != matcher->scan_number) {
		matcher->tried[id] = matcher->scan_number;
		if (check_glob(&matcher->program->checks[id], &matcher->reading, scan->view))
			verdict = VERDICT_TRUE;
	}
	if (verdict == VERDICT_TRUE)
		hit(matcher, id);
}

static void scan(struct matcher *matcher, const struct scanner *scanner, struct view *view)
{
	struct scan_context context = {matcher, view};
	if (++matcher->scan_number == 0) {
		memset(matcher->tried, 0, matcher->program->check_count * sizeof *matcher->tried);
		matcher->scan_number = 1;
	}
	scanner_scan(scanner, view_normal(&matcher->reading, view), on_scan_hit, &context);
}

static void find_exact(struct matcher *matcher, const struct slot *slot, struct view *view)
{
	const struct table *table = &slot->exact;
	struct text folded = view_folded(&matcher->reading, view);
	if ((slot->exact_sizes & slot_size_bit(folded.size)) == 0)
		return;
	uint64_t hash = XXH3_64bits(folded.data, folded.size);
	size_t at = hash & table->mask;
	for (; table->entries[at].item != ITEM_NONE; at = (at + 1) & table->mask) {
		uint32_t id = table->entries[at].item;
		const struct check *check = &matcher->program->checks[id];
		if (table->entries[at].hash == hash && check_glob(check, &matcher->reading, view))
			hit(matcher, id);
	}
}

static void find_number(struct matcher *matcher, const struct table *table, struct view *view)
{
	struct number number = {0};
	if (!number_of_value(view->value, &number))
		return;
	uint64_t hash = number_hash(&number);
	size_t at = hash & table->mask;
	for (; table->entries[at].item != ITEM_NONE; at = (at + 1) & table->mask) {
		uint32_t id = table->entries[at].item;
		const struct number *wanted = &matcher->program->checks[id].number;
		if (table->entries[at].hash == hash && number_compare(&number, wanted) == 0)
			hit(matcher, id);
	}
}

/* Everything the index of a slot says about one member. */
static void look_up(struct matcher *matcher, const struct slot *slot, struct view *view)
{
	if (slot->exact.entries != NULL)
		find_exact(matcher, slot, view);
	if (slot->numbers.entries != NULL)
		find_number(matcher, &slot->numbers, view);
	if (slot->scanner != NULL)
		scan(matcher, slot->scanner, view);
	for (size_t i = 0; i < slot->few.count; i++) {
		uint32_t id = slot->few.items[i];
		const struct check *check = &matcher->program->checks[id];
		if (!is_hit(matcher, id) && check_glob(check, &matcher->reading, view))
			hit(matcher, id);
	}
}

void matcher_look_up(struct matcher *matcher)
{
	const struct program *program = matcher->program;
	struct reading *reading = &matcher->reading;
	matcher->candidate_count = 0;
	for (size_t i = 0; i < reading->slot_count; i++) {
		uint32_t number = reading->slots[i];
		if (!routing_reads(matcher->routing, number))
			continue;
		propose(matcher, program->slots[number].classes);
		for (uint32_t at = reading->first[number]; at != VIEW_NONE;
		     at = reading->views[at].next)
			if (view_is_member(&reading->views[at]))
				look_up(matcher, &program->slots[number], &reading->views[at]);
	}
	if (routing_reads(matcher->routing, SLOT_ANY))
		for (size_t i = 0; i < reading->event->field_count; i++)
			if (view_is_searched(reading, i))
				look_up(matcher, &program->slots[SLOT_ANY], &reading->views[i]);
	propose(matcher, program->always);
}
