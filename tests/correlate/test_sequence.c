/* Sequences against an exhaustive search: every choice of events for the steps is tried, and the
 * conditions are checked on the choice as they are written down in sequence.c. */
#include "tests/correlate/stream_check.h"

enum { STEPS_MAX = 4, GROUP_MAX = 14 };

struct step {
	char rule; /* 'a', 'b', 'c' */
	unsigned count;
	unsigned within; /* seconds; 0: none */
	bool absent, joined;
};

struct sequence {
	struct step steps[STEPS_MAX];
	size_t count;
	unsigned span;
	char until; /* '\0': none */
};

static struct sequence sequence_make(uint64_t *random)
{
	struct sequence sequence = {.count = 1 + below(random, STEPS_MAX),
				    .span = 2 + (unsigned)below(random, 20)};
	for (size_t i = 0; i < sequence.count; i++) {
		struct step *step = &sequence.steps[i];
		bool last = i + 1 == sequence.count;
		step->rule = (char)('a' + below(random, 3));
		step->count = 1 + (below(random, 3) == 0);
		step->absent =
			i > 0 && below(random, 3) == 0 && !(last && sequence.steps[i - 1].absent);
		if (step->absent && last)
			step->within = 1 + (unsigned)below(random, 8);
		if (!step->absent && i > 0 && below(random, 3) == 0)
			step->within = 1 + (unsigned)below(random, 10);
		step->joined = !step->absent && i > 0 && below(random, 3) == 0;
	}
	if (below(random, 3) == 0)
		sequence.until = (char)('a' + below(random, 3));
	return sequence;
}

static char *sequence_text(const struct sequence *sequence)
{
	struct bytes yaml cleanup(bytes_done) = {0};
	char line[256];
	bytes_put(&yaml, STREAM_RULES, strlen(STREAM_RULES));
	int size = snprintf(line, sizeof line,
			    "title: S\nname: s\nlevel: high\ncorrelation:\n    type: sequence\n"
			    "    group-by: [user.id]\n    timespan: %us\n    steps:\n",
			    sequence->span);
	bytes_put(&yaml, line, (size_t)size);
	for (size_t i = 0; i < sequence->count; i++) {
		const struct step *step = &sequence->steps[i];
		char within[32] = "";
		char count[32] = "";
		if (step->within > 0)
			(void)snprintf(within, sizeof within, ", within: %us", step->within);
		if (!step->absent && step->count > 1)
			(void)snprintf(count, sizeof count, ", count: {gte: %u}", step->count);
		size = snprintf(line, sizeof line, "        - {%s: %c%s%s%s}\n",
				step->absent ? "not" : "rule", step->rule, count, within,
				step->joined ? ", match: {source.ip: source.ip}" : "");
		bytes_put(&yaml, line, (size_t)size);
	}
	if (sequence->until != '\0') {
		size = snprintf(line, sizeof line, "    until: %c\n", sequence->until);
		bytes_put(&yaml, line, (size_t)size);
	}
	bytes_put_u8(&yaml, '\0');
	return strdup((const char *)yaml.data);
}

static bool matches(const struct thing *thing, char rule)
{
	return rule == 'a' ? thing->a : rule == 'b' ? thing->b : thing->c;
}

/* One choice: which event stands at each place of each step. */
struct choice {
	const struct sequence *sequence;
	const struct thing *const *group;
	size_t count;
	int64_t after_us, end_us; /* only events in (after, end], the last at end */
	size_t chosen[STEPS_MAX][2];
	int64_t best_us;
	bool found;
};

static size_t positive_before(const struct sequence *sequence, size_t step)
{
	while (step > 0)
		if (!sequence->steps[--step].absent)
			return step;
	return STEPS_MAX;
}

static bool any_between(const struct choice *choice, char rule, int64_t from_us, int64_t to_us)
{
	for (size_t i = 0; i < choice->count; i++)
		if (matches(choice->group[i], rule) && choice->group[i]->time_us > from_us &&
		    choice->group[i]->time_us < to_us)
			return true;
	return false;
}

static int64_t edge(const struct choice *choice, size_t step, bool last)
{
	int64_t edge_us = choice->group[choice->chosen[step][0]]->time_us;
	for (size_t k = 1; k < choice->sequence->steps[step].count; k++) {
		int64_t time_us = choice->group[choice->chosen[step][k]]->time_us;
		if (last ? time_us > edge_us : time_us < edge_us)
			edge_us = time_us;
	}
	return edge_us;
}

static bool joins_hold(const struct choice *choice, size_t step, size_t before)
{
	const char *value = choice->group[choice->chosen[step][0]]->source[0];
	for (size_t k = 0; k < choice->sequence->steps[step].count; k++)
		if (strcmp(choice->group[choice->chosen[step][k]]->source[0], value) != 0)
			return false;
	for (size_t k = 0; k < choice->sequence->steps[before].count; k++)
		if (strcmp(choice->group[choice->chosen[before][k]]->source[0], value) != 0)
			return false;
	return value[0] != '\0';
}

static bool step_fits(const struct choice *choice, size_t step)
{
	const struct sequence *sequence = choice->sequence;
	size_t before = positive_before(sequence, step);
	bool again = false;
	if (before == STEPS_MAX)
		return true;
	for (size_t i = 0; i < step; i++)
		again = again || (!sequence->steps[i].absent &&
				  sequence->steps[i].rule == sequence->steps[step].rule);
	int64_t ended_us = edge(choice, before, true);
	int64_t begins_us = edge(choice, step, false);
	if (begins_us < ended_us || (again && begins_us == ended_us))
		return false;
	if (sequence->steps[step].within > 0 &&
	    edge(choice, step, true) - ended_us > (int64_t)sequence->steps[step].within * SECOND)
		return false;
	for (size_t i = before + 1; i < step; i++)
		if (any_between(choice, sequence->steps[i].rule, ended_us, begins_us))
			return false;
	return !sequence->steps[step].joined || joins_hold(choice, step, before);
}

static void choice_judge(struct choice *choice)
{
	const struct sequence *sequence = choice->sequence;
	size_t last = positive_before(sequence, sequence->count);
	size_t first = 0;
	while (sequence->steps[first].absent)
		first++;
	int64_t start_us = edge(choice, first, false);
	const struct step *end = &sequence->steps[sequence->count - 1];
	if (edge(choice, last, true) != choice->end_us ||
	    choice->end_us - start_us > (int64_t)sequence->span * SECOND)
		return;
	if (sequence->until != '\0' &&
	    any_between(choice, sequence->until, start_us, choice->end_us))
		return;
	if (end->absent && any_between(choice, end->rule, choice->end_us,
				       choice->end_us + (int64_t)end->within * SECOND + 1))
		return;
	if (!choice->found || start_us > choice->best_us)
		choice->best_us = start_us;
	choice->found = true;
}

static void choose(struct choice *choice, size_t step, size_t place)
{
	const struct sequence *sequence = choice->sequence;
	while (step < sequence->count && sequence->steps[step].absent)
		step++;
	if (step == sequence->count) {
		choice_judge(choice);
		return;
	}
	size_t from = place == 0 ? 0 : choice->chosen[step][place - 1] + 1;
	for (size_t i = from; i < choice->count; i++) {
		const struct thing *thing = choice->group[i];
		if (!matches(thing, sequence->steps[step].rule) ||
		    thing->time_us <= choice->after_us || thing->time_us > choice->end_us)
			continue;
		choice->chosen[step][place] = i;
		if (place + 1 < sequence->steps[step].count)
			choose(choice, step, place + 1);
		else if (step_fits(choice, step))
			choose(choice, step + 1, 0);
	}
}

static void answer_group(const struct sequence *sequence, const struct thing *const *group,
			 size_t count, struct lines *lines)
{
	int64_t times[ITEMS_MAX];
	size_t told = 0;
	struct choice choice = {
		.sequence = sequence, .group = group, .count = count, .after_us = INT64_MIN};
	unsigned events = 0;
	for (size_t i = 0; i < sequence->count; i++)
		events += sequence->steps[i].absent ? 0 : sequence->steps[i].count;
	for (size_t i = 0; i < count; i++) {
		choice.end_us = group[i]->time_us;
		choice.found = false;
		if (choice.end_us > choice.after_us)
			choose(&choice, 0, 0);
		if (!choice.found)
			continue;
		choice.after_us = choice.end_us;
		for (unsigned k = 0; k < events; k++) /* only the edges show in an alert */
			times[told++] = k == 0 ? choice.best_us : choice.end_us;
	}
	if (told > 0)
		lines_of_times(lines, "s", group[0], times, told, (int64_t)sequence->span * SECOND);
}

static size_t alerts_expected;

/* An event may be one event of a step only once, but count as one of each of its rules: the oracle
 * and the engine agree on that, and here an event that is two rules at once is rare. */
static void check_sequence(const struct setup *setup, const struct sequence *sequence,
			   struct sets *sets)
{
	static struct lines expected;
	static const char *const names[][2] = {
		{"t0", "u0"}, {"t0", "u1"}, {"t1", "u0"}, {"t1", "u1"}};
	struct stream stream = {0};
	const struct thing *group[EVENTS_MAX];
	bool small = false;
	while (!small) {
		small = true;
		stream_make(&stream, &sets->random);
		for (size_t i = 0; i < 4; i++)
			small = small &&
				stream_group(&stream, names[i][0], names[i][1], group) <= GROUP_MAX;
	}
	for (size_t i = 0; i < stream.count; i++) {
		struct thing *thing = &stream.things[i];
		size_t kind = below(&sets->random, 10);
		thing->source[1][0] = '\0';
		thing->a = kind < 4 || kind == 9;
		thing->b = kind >= 3 && kind < 7;
		thing->c = kind >= 7;
	}
	expected.count = 0;
	for (size_t i = 0; i < 4; i++) {
		size_t count = stream_group(&stream, names[i][0], names[i][1], group);
		answer_group(sequence, group, count, &expected);
	}
	alerts_expected += expected.count;
	check_stream(setup, &stream, &expected, sets);
}

START_TEST(sequences_are_those_of_an_exhaustive_search)
{
	struct sets sets = sets_begin(CASES_USUAL);
	while (sets_next(&sets, alerts_expected)) {
		struct sequence sequence = sequence_make(&sets.random);
		char *yaml = sequence_text(&sequence);
		struct setup setup = setup_of(yaml);
		free(yaml);
		for (int i = 0; i < CASES_A_SET; i++)
			check_sequence(&setup, &sequence, &sets);
		setup_done(&setup);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("sequence");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, sequences_are_those_of_an_exhaustive_search);
	return run_tests("sequence", tests);
}
