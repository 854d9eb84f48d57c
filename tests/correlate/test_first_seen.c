/* first_seen against a plain reading of the sorted list of events: for every event, go through all
 * events before it and see whether the value was shown, whether the group had learned, and how many
 * values came newly within the burst window. */
#include "tests/correlate/stream_check.h"

struct novelty {
	unsigned ttl, learn, burst, quiet; /* seconds */
	unsigned learn_events, at_least;
};

static bool shows(const struct thing *thing, const char *value)
{
	return value[0] != '\0' &&
	       (strcmp(thing->source[0], value) == 0 || strcmp(thing->source[1], value) == 0);
}

static bool takes_part(const struct thing *thing)
{
	return thing->a && (thing->source[0][0] != '\0' || thing->source[1][0] != '\0');
}

/* When the group's present life began: the first event after a gap longer than the ttl. */
static size_t life_begin(const struct novelty *novelty, const struct thing *const *group, size_t at)
{
	size_t begin = at;
	for (size_t i = at; i-- > 0;) {
		if (group[begin]->time_us - group[i]->time_us > (int64_t)novelty->ttl * SECOND)
			break;
		begin = i;
	}
	return begin;
}

static bool has_learned(const struct novelty *novelty, const struct thing *const *group, size_t at)
{
	size_t begin = life_begin(novelty, group, at);
	size_t events = 0;
	while (begin + events < at && group[begin + events]->time_us < group[at]->time_us)
		events++;
	bool long_enough =
		group[at]->time_us - group[begin]->time_us >= (int64_t)novelty->learn * SECOND;
	return long_enough || (novelty->learn_events > 0 && events >= novelty->learn_events);
}

static bool is_new(const struct novelty *novelty, const struct thing *const *group, size_t at,
		   const char *value)
{
	for (size_t i = 0; i < at; i++)
		if (group[i]->time_us < group[at]->time_us && shows(group[i], value) &&
		    group[at]->time_us - group[i]->time_us <= (int64_t)novelty->ttl * SECOND)
			return false;
	return value[0] != '\0' && has_learned(novelty, group, at);
}

/* How many values came newly at the time of the event. */
static size_t new_at(const struct novelty *novelty, const struct thing *const *group, size_t count,
		     size_t at)
{
	char values[2 * EVENTS_MAX][4];
	size_t different = 0;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < 2 && group[i]->time_us == group[at]->time_us; k++) {
			bool seen = false;
			for (size_t n = 0; n < different; n++)
				seen = seen || strcmp(values[n], group[i]->source[k]) == 0;
			if (!seen && is_new(novelty, group, i, group[i]->source[k]))
				memcpy(values[different++], group[i]->source[k], 4);
		}
	return different;
}

static void answer_group(const struct novelty *novelty, const struct thing *const *all,
			 size_t all_count, struct lines *lines)
{
	const struct thing *group[EVENTS_MAX];
	int64_t times[EVENTS_MAX];
	size_t count = 0;
	size_t told = 0;
	for (size_t i = 0; i < all_count; i++)
		if (takes_part(all[i]))
			group[count++] = all[i];
	for (size_t at = 0; at < count; at++) {
		size_t burst = 0;
		bool fresh = is_new(novelty, group, at, group[at]->source[0]) ||
			     is_new(novelty, group, at, group[at]->source[1]);
		for (size_t i = life_begin(novelty, group, at); i < count; i++)
			if ((i == 0 || group[i - 1]->time_us != group[i]->time_us) &&
			    group[i]->time_us <= group[at]->time_us &&
			    group[at]->time_us - group[i]->time_us <=
				    (int64_t)novelty->burst * SECOND)
				burst += new_at(novelty, group, count, i);
		if (fresh && burst >= novelty->at_least)
			times[told++] = group[at]->time_us;
	}
	if (told > 0)
		lines_of_times(lines, "s", group[0], times, told, (int64_t)novelty->quiet * SECOND);
}

static size_t alerts_expected;

static void check_novelty(const struct setup *setup, const struct novelty *novelty,
			  uint64_t *random, int number)
{
	static struct lines expected;
	static const char *const names[][2] = {
		{"t0", "u0"}, {"t0", "u1"}, {"t1", "u0"}, {"t1", "u1"}};
	struct stream stream = {0};
	stream_make(&stream, random);
	size_t sources = 1 + below(random, 8);
	for (size_t i = 0; i < stream.count; i++)
		for (size_t k = 0; k < 2; k++)
			if (stream.things[i].source[k][0] != '\0')
				(void)snprintf(stream.things[i].source[k], 4, "s%zu",
					       below(random, sources));
	expected.count = 0;
	for (size_t i = 0; i < 4; i++) {
		const struct thing *group[EVENTS_MAX];
		size_t count = stream_group(&stream, names[i][0], names[i][1], group);
		answer_group(novelty, group, count, &expected);
	}
	alerts_expected += expected.count;
	check_stream(setup, &stream, &expected, random, number);
}

START_TEST(first_times_are_those_of_a_plain_reading)
{
	uint64_t random = first_seed();
	int number = 0;
	int sets = sets_wanted(CASES_USUAL);
	for (int set = 0; set < sets; set++) {
		struct novelty novelty = {.ttl = 2 + (unsigned)below(&random, 30),
					  .learn = (unsigned)below(&random, 10),
					  .burst = 1 + (unsigned)below(&random, 10),
					  .quiet = 1 + (unsigned)below(&random, 20),
					  .learn_events = (unsigned)below(&random, 4),
					  .at_least = 1 + (unsigned)below(&random, 3)};
		char events[32] = "";
		char *yaml = NULL;
		novelty.burst = novelty.burst < novelty.ttl ? novelty.burst : novelty.ttl;
		if (novelty.learn_events > 0)
			(void)snprintf(events, sizeof events, ", or-events: %u",
				       novelty.learn_events);
		ck_assert_int_gt(
			asprintf(
				&yaml,
				STREAM_RULES
				"title: S\nname: s\nlevel: high\npicket: {dedup: {for: %us}}\n"
				"correlation: {type: first_seen, rules: [a], group-by: [user.id], "
				"timespan: %us, learn: {for: %us%s}, condition: {field: source.ip, "
				"gte: %u, burst-window: %us}}\n",
				novelty.quiet, novelty.ttl, novelty.learn, events, novelty.at_least,
				novelty.burst),
			0);
		struct setup setup = setup_of(yaml);
		free(yaml);
		for (int i = 0; i < CASES_A_SET; i++)
			check_novelty(&setup, &novelty, &random, number++);
		setup_done(&setup);
		sets_told(set, sets, alerts_expected);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("first_seen");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, first_times_are_those_of_a_plain_reading);
	return run_tests("first_seen", tests);
}
