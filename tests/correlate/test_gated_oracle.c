/* The gated class against brute force: ranges, averages, medians, percentiles, sums that shrink,
 * fewer than, exactly, conditions over rule names with `not`, and chains of them with eager rules.
 * Random rules and streams; every order of arrival within the lateness, every cut into epochs,
 * every number of actors and every restart must give what docs/CORRELATION.md gives for the sorted
 * list of events. The oracle goes through all events of a group for every question. */
#include "tests/correlate/stream_check.h"

enum { QUESTIONS = 11 };

enum asked { ASK_COUNT, ASK_DIFFERENT, ASK_SUM, ASK_AVERAGE, ASK_RANK, ASK_NAMES };

struct question {
	const char *name, *level;
	enum asked asked;
	bool aligned;
	unsigned span;
	double low, high; /* holds when low <= figure <= high */
	double percentile;
	char rules[4];                /* which of a, b, c are its events */
	const struct question *child; /* its firings are events too */
};

/* One event of a group. */
struct seen {
	int64_t time_us;
	char tenant[4], user[4];
	bool a, b, c;
	double amount;
	unsigned sources; /* as bits */
	bool contributes;
};

struct seens {
	struct seen all[ITEMS_MAX];
	size_t count;
};

static void questions_make(struct question *q, uint64_t *random)
{
	static const char *const names[QUESTIONS] = {"range",   "average", "median",  "rank",
						     "sum",     "few",     "exactly", "other",
						     "without", "above",   "after"};
	for (size_t i = 0; i < QUESTIONS; i++)
		q[i] = (struct question){.name = names[i],
					 .level = "high",
					 .span = 1 + (unsigned)below(random, 20),
					 .rules = "ab"};
	q[0].low = 1 + (double)below(random, 3);
	q[0].high = q[0].low + (double)below(random, 3);
	q[1].asked = ASK_AVERAGE;
	q[1].low = -1 + (double)below(random, 5) / 2;
	q[1].high = 1e9;
	q[2].asked = ASK_RANK;
	q[2].percentile = 50;
	q[2].low = -1e9;
	q[2].high = (double)below(random, 4) / 2;
	q[3].asked = ASK_RANK;
	q[3].percentile = 1 + (double)below(random, 100);
	q[3].low = (double)below(random, 5) / 2;
	q[3].high = q[3].low + 1;
	q[4].asked = ASK_SUM;
	q[4].low = (double)below(random, 12) / 2 - 2;
	q[4].high = 1e9;
	q[5].aligned = true;
	q[5].low = -1e9;
	q[5].high = (double)below(random, 3);
	q[6].aligned = true;
	q[6].asked = ASK_DIFFERENT;
	q[6].low = q[6].high = (double)below(random, 3);
	q[7].aligned = true;
	q[7].asked = ASK_SUM;
	q[7].low = -1e9;
	q[7].high = (double)below(random, 6) - 2;
	q[8].asked = ASK_NAMES;
	(void)snprintf(q[8].rules, sizeof q[8].rules, "abc");
	q[9].rules[0] = '\0'; /* eager: at least so many firings of average */
	q[9].child = &q[1];
	q[9].low = 1 + (double)below(random, 3);
	q[9].high = 1e9;
	(void)snprintf(q[10].rules, sizeof q[10].rules, "c");
	q[10].child = &q[9]; /* gated over an eager one over a gated one */
	q[10].low = 1 + (double)below(random, 2);
	q[10].high = q[10].low + 1;
}

static char *questions_text(const struct question *q)
{
	static const char head[] = "correlation: {group-by: [user.id], ";
	char *yaml = NULL;
	int size = asprintf(
		&yaml,
		"title: A\nname: a\nlogsource: {product: x}\nlevel: informational\n"
		"detection: {s: {event.action: a}, condition: s}\n---\n"
		"title: B\nname: b\nlogsource: {product: x}\nlevel: informational\n"
		"detection: {s: {event.action: b}, condition: s}\n---\n"
		"title: C\nname: c\nlogsource: {product: x}\nlevel: informational\n"
		"detection: {s: {event.action: c}, condition: s}\n---\n"
		"title: Range\nname: range\nlevel: high\n%stype: event_count, rules: [a, b], "
		"timespan: %us, condition: {gte: %g, lte: %g}}\n---\n"
		"title: Average\nname: average\nlevel: high\n%stype: value_avg, rules: [a, b], "
		"timespan: %us, condition: {field: bytes, gte: %g}}\n---\n"
		"title: Median\nname: median\nlevel: high\n%stype: value_median, rules: [a, b], "
		"timespan: %us, condition: {field: bytes, lte: %g}}\n---\n"
		"title: Rank\nname: rank\nlevel: high\n%stype: value_percentile, rules: [a, b], "
		"timespan: %us, condition: {field: bytes, percentile: %g, gte: %g, lte: %g}}\n---\n"
		"title: Sum\nname: sum\nlevel: high\n%stype: value_sum, rules: [a, b], "
		"timespan: %us, condition: {field: bytes, gte: %g}}\n---\n"
		"title: Few\nname: few\nlevel: high\n%stype: event_count, rules: [a, b], "
		"timespan: %us, condition: {lte: %g}}\n---\n"
		"title: Exactly\nname: exactly\nlevel: high\n%stype: value_count, rules: [a, b], "
		"timespan: %us, condition: {field: source.ip, eq: %g}}\n---\n"
		"title: Other\nname: other\nlevel: high\n%stype: value_sum, rules: [a, b], "
		"timespan: %us, condition: {field: bytes, lte: %g}}\n---\n"
		"title: Without\nname: without\nlevel: high\n%stype: temporal, rules: [a, b, c], "
		"timespan: %us, condition: a and (b or not c)}\n---\n"
		"title: Above\nname: above\nlevel: high\n%sgenerate: true, type: event_count, "
		"rules: [average], timespan: %us, condition: {gte: %g}}\n---\n"
		"title: After\nname: after\nlevel: high\n%sgenerate: true, type: event_count, "
		"rules: [above, c], timespan: %us, condition: {gte: %g, lte: %g}}\n",
		head, q[0].span, q[0].low, q[0].high, head, q[1].span, q[1].low, head, q[2].span,
		q[2].high, head, q[3].span, q[3].percentile, q[3].low, q[3].high, head, q[4].span,
		q[4].low, head, q[5].span, q[5].high, head, q[6].span, q[6].low, head, q[7].span,
		q[7].high, head, q[8].span, head, q[9].span, q[9].low, head, q[10].span, q[10].low,
		q[10].high);
	ck_assert_int_gt(size, 0);
	return yaml;
}

static int compare_doubles(const void *a, const void *b)
{
	const double *left = a;
	const double *right = b;
	return (*left > *right) - (*left < *right);
}

/* So many hundredths of the way, in whole numbers: amounts are multiples of a half. */
static double between(double low, double high, long hundredths)
{
	long low_halves = (long)(2 * low);
	long high_halves = (long)(2 * high);
	return (double)(low_halves * (100 - hundredths) + high_halves * hundredths) / 200;
}

/* The figure of all events of the group between two times, both included. */
static bool figure_of(const struct question *question, const struct seens *group, int64_t from_us,
		      int64_t to_us, double *ret_figure)
{
	double amounts[ITEMS_MAX];
	double sum = 0;
	unsigned sources = 0;
	size_t count = 0;
	for (size_t i = 0; i < group->count; i++) {
		const struct seen *seen = &group->all[i];
		if (seen->time_us < from_us || seen->time_us > to_us)
			continue;
		amounts[count++] = seen->amount;
		sum += seen->amount;
		sources |= seen->sources;
	}
	qsort(amounts, count, sizeof *amounts, compare_doubles);
	size_t hundredths = count == 0 ? 0 : (size_t)question->percentile * (count - 1);
	size_t low = hundredths / 100;
	bool needs_some = question->asked == ASK_AVERAGE || question->asked == ASK_RANK;
	if (needs_some && count == 0)
		return false;
	*ret_figure = (double)count;
	if (question->asked == ASK_DIFFERENT)
		*ret_figure = __builtin_popcount(sources);
	else if (question->asked == ASK_SUM)
		*ret_figure = sum;
	else if (question->asked == ASK_AVERAGE)
		*ret_figure = sum / (double)count;
	else if (question->asked == ASK_RANK)
		*ret_figure = between(amounts[low], amounts[low + 1 < count ? low + 1 : low],
				      (long)(hundredths % 100));
	return true;
}

/* a and (b or not c): behind the event, but c also ahead of it. */
static bool names_hold(const struct question *question, const struct seens *group, int64_t at_us)
{
	int64_t span_us = (int64_t)question->span * SECOND;
	bool a = false, b = false, c = false;
	for (size_t i = 0; i < group->count; i++) {
		const struct seen *seen = &group->all[i];
		bool behind = seen->time_us <= at_us && at_us - seen->time_us <= span_us;
		bool ahead = seen->time_us > at_us && seen->time_us - at_us <= span_us;
		a = a || (behind && seen->a);
		b = b || (behind && seen->b);
		c = c || ((behind || ahead) && seen->c);
	}
	return a && (b || !c);
}

static bool holds_at(const struct question *question, const struct seens *group,
		     const struct seen *event)
{
	double figure = 0;
	if (question->asked == ASK_NAMES) {
		bool fires = false;
		for (size_t i = 0; i < group->count; i++)
			fires = fires || (group->all[i].time_us == event->time_us &&
					  (group->all[i].a || group->all[i].b));
		return fires && names_hold(question, group, event->time_us);
	}
	return figure_of(question, group, event->time_us - (int64_t)question->span * SECOND,
			 event->time_us, &figure) &&
	       figure >= question->low && figure <= question->high;
}

/* Contributing times, ascending, as alerts: chains of neighbours at most a span apart. */
static void episodes_of(const struct question *question, const struct seen *like,
			const int64_t *times, size_t count, struct lines *lines)
{
	int64_t span_us = (int64_t)question->span * SECOND;
	char name[16];
	size_t first = 0;
	(void)snprintf(name, sizeof name, "user.id=%s", like->user);
	for (size_t i = 1; i <= count; i++) {
		if (i < count && times[i] - times[i - 1] <= span_us)
			continue;
		line_add(lines, question->name, like->tenant, name, times[first], times[i - 1],
			 i - first, question->level);
		first = i;
	}
}

static void answer_aligned(const struct question *question, struct seens *group,
			   struct lines *lines)
{
	int64_t span_us = (int64_t)question->span * SECOND;
	int64_t times[ITEMS_MAX];
	size_t count = 0;
	for (int64_t start_us = 0; start_us < 1000 * SECOND; start_us += span_us) {
		bool known = false;
		double figure = 0;
		for (size_t i = 0; i < group->count; i++)
			known = known || (group->all[i].time_us >= start_us - span_us &&
					  group->all[i].time_us < start_us + span_us);
		if (!known)
			continue;
		(void)figure_of(question, group, start_us, start_us + span_us - 1, &figure);
		if (figure >= question->low && figure <= question->high)
			times[count++] = start_us + span_us - 1;
	}
	if (count > 0)
		episodes_of(question, &group->all[0], times, count, lines);
}

static void answer_sliding(const struct question *question, struct seens *group,
			   struct lines *lines, struct seens *fired)
{
	int64_t times[ITEMS_MAX];
	size_t count = 0;
	for (size_t i = 0; i < group->count; i++) {
		struct seen *end = &group->all[i];
		bool own = question->asked != ASK_NAMES || end->a || end->b;
		if (!holds_at(question, group, end))
			continue;
		if (own)
			fired->all[fired->count++] = *end;
		for (size_t k = 0; k < group->count; k++) {
			struct seen *seen = &group->all[k];
			bool positive = question->asked != ASK_NAMES || seen->a || seen->b;
			if (positive && seen->time_us <= end->time_us &&
			    end->time_us - seen->time_us <= (int64_t)question->span * SECOND)
				seen->contributes = true;
		}
	}
	for (size_t i = 0; i < group->count; i++)
		if (group->all[i].contributes)
			times[count++] = group->all[i].time_us;
	if (count > 0)
		episodes_of(question, &group->all[0], times, count, lines);
}

static int compare_seen(const void *a, const void *b)
{
	const struct seen *left = a;
	const struct seen *right = b;
	return (left->time_us > right->time_us) - (left->time_us < right->time_us);
}

/* The events of one group of a question, before its child's firings are added. */
static void group_collect(const struct stream *stream, const struct question *question,
			  const char *tenant, const char *user, struct seens *group)
{
	bool amounts = question->asked == ASK_SUM || question->asked == ASK_AVERAGE ||
		       question->asked == ASK_RANK;
	for (size_t i = 0; i < stream->count; i++) {
		const struct thing *thing = &stream->things[i];
		struct seen seen = {.time_us = thing->time_us};
		seen.a = thing->a && strchr(question->rules, 'a') != NULL;
		seen.b = thing->b && strchr(question->rules, 'b') != NULL;
		seen.c = thing->c && strchr(question->rules, 'c') != NULL;
		for (size_t k = 0; k < 2; k++)
			if (thing->source[k][0] != '\0')
				seen.sources |= 1u << (thing->source[k][1] - '0');
		if (strcmp(thing->tenant, tenant) != 0 || strcmp(thing->user, user) != 0 ||
		    !(seen.a || seen.b || seen.c) || (amounts && thing->amount[0] == '\0') ||
		    (question->asked == ASK_DIFFERENT && seen.sources == 0))
			continue;
		seen.amount = strtod(thing->amount, NULL);
		memcpy(seen.tenant, thing->tenant, sizeof seen.tenant);
		memcpy(seen.user, thing->user, sizeof seen.user);
		group->all[group->count++] = seen;
	}
}

/* What a question finds, and what fires. One that is asked by another has its own room. */
struct answer {
	struct lines lines;
	struct seens group, fired;
};

enum { CHAIN_MAX = 3 };

static struct answer rooms[CHAIN_MAX];

static void answer(const struct stream *stream, const struct question *question, const char *tenant,
		   const char *user, struct answer *room)
{
	room->lines.count = room->group.count = room->fired.count = 0;
	group_collect(stream, question, tenant, user, &room->group);
	if (question->child != NULL) {
		struct answer *child = room + 1;
		assert(child < rooms + CHAIN_MAX);
		answer(stream, question->child, tenant, user, child);
		for (size_t i = 0; i < child->fired.count; i++) {
			struct seen fired = child->fired.all[i];
			fired.contributes = false;
			room->group.all[room->group.count++] = fired;
		}
	}
	qsort(room->group.all, room->group.count, sizeof *room->group.all, compare_seen);
	if (question->aligned)
		answer_aligned(question, &room->group, &room->lines);
	else
		answer_sliding(question, &room->group, &room->lines, &room->fired);
}

static size_t alerts_expected;
static size_t asked_alerts[QUESTIONS]; /* so that no question is always answered with nothing */

static void gated_oracle(const struct stream *stream, const struct question *questions,
			 struct lines *lines)
{
	static const char *const tenants[] = {"t0", "t1"};
	static const char *const users[] = {"u0", "u1"};
	lines->count = 0;
	for (size_t q = 0; q < QUESTIONS; q++)
		for (size_t g = 0; g < 4; g++) {
			answer(stream, &questions[q], tenants[g / 2], users[g % 2], rooms);
			const struct lines *found = &rooms->lines;
			assert(lines->count + found->count <= ITEMS_MAX);
			memcpy(&lines->all[lines->count], found->all,
			       found->count * sizeof *found->all);
			lines->count += found->count;
			asked_alerts[q] += found->count;
		}
}

static void stream_enrich(struct stream *stream, uint64_t *random)
{
	size_t kinds = 1 + below(random, 6);
	for (size_t i = 0; i < stream->count; i++) {
		struct thing *thing = &stream->things[i];
		if (below(random, 8) > 0)
			(void)snprintf(thing->amount, sizeof thing->amount, "%s%zu%s",
				       below(random, 3) == 0 ? "-" : "", below(random, 4),
				       below(random, 2) == 0 ? "" : ".5");
		size_t kind = below(random, kinds);
		thing->a = kind == 0 || kind == 3;
		thing->b = kind == 1 || kind == 3 || kind == 4;
		thing->c = kind == 2 || kind == 4;
	}
}

static void check_gated(const struct setup *setup, const struct question *questions,
			struct sets *sets)
{
	static struct lines expected;
	struct stream stream = {0};
	stream_make(&stream, &sets->random);
	stream_enrich(&stream, &sets->random);
	gated_oracle(&stream, questions, &expected);
	alerts_expected += expected.count;
	check_stream(setup, &stream, &expected, sets);
}

START_TEST(gated_alerts_are_those_of_the_definition)
{
	struct sets sets = sets_begin(CASES_USUAL / 2);
	while (sets_next(&sets, alerts_expected)) {
		struct question questions[QUESTIONS];
		questions_make(questions, &sets.random);
		char *yaml = questions_text(questions);
		struct setup setup = setup_of(yaml);
		free(yaml);
		for (int i = 0; i < CASES_A_SET; i++)
			check_gated(&setup, questions, &sets);
		setup_done(&setup);
	}
	for (size_t q = 0; q < QUESTIONS; q++)
		ck_assert_msg(asked_alerts[q] > 20, "question %zu: only %zu alerts", q,
			      asked_alerts[q]);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("gated_oracle");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, gated_alerts_are_those_of_the_definition);
	return run_tests("gated_oracle", tests);
}
