/* Rule sets swapped while the engine runs. A set swapped with itself, at any epoch, with any number
 * of threads and with crashes in between, changes nothing that anybody could see; a set with other
 * rules ends the alerts of those that are gone and leaves the rest as they were. */
#include "tests/ingest/swapping.h"

static uint64_t dice = 0x2545f4914f6cdd1d;
static unsigned swaps_before_run;

/* Without the last rule; the threshold of the first correlation raised; one rule more. */
static const char other_rules[] =
	"title: failed\nname: failed\nlogsource: {product: microservice}\n"
	"detection: {s: {event.outcome: failure}, condition: s}\nlevel: informational\n"
	"---\n"
	"title: many failed\nid: 11111111-1111-4111-8111-111111111111\n"
	"correlation: {type: event_count, rules: [failed], group-by: [user.id], timespan: 30s,\n"
	"              condition: {gte: 5}}\nlevel: high\n"
	"---\n"
	"title: success\nid: 55555555-5555-4555-8555-555555555555\n"
	"logsource: {product: microservice}\n"
	"detection: {s: {event.outcome: success}, condition: s}\nlevel: low\n"
	"picket: {dedup: {by: [user.id], for: 10m}}\n";

static void swap_sometimes(struct runtime *runtime)
{
	if (swaps == swaps_before_run || next_random(&dice) % 4 == 0)
		swap_now(runtime);
}

static uint64_t hash_of_store(struct store *store)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct epoch_row row = {0};
	struct error err = {0};
	epoch_key(&key);
	ck_assert_int_eq(store_get(store, FAMILY_POSITION, bytes_text(&key), &value, &err), OK);
	ck_assert_int_eq(epoch_decode(bytes_text(&value), &row, &err), OK);
	return row.ruleset_hash;
}

START_TEST(swapped_with_itself_nothing_changes)
{
	static const unsigned shapes[][2] = {{1, 3}, {3, 2}};
	struct lines expected = run_reference();
	next_rules = rules_text;
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		struct store *store cleanup(store_free) = new_store();
		swaps_before_run = swaps;
		ck_assert_int_eq(run_held(store, shapes[i][0], shapes[i][1], 500, swap_sometimes),
				 RUNTIME_FINISHED);
		ck_assert_uint_gt(swaps, swaps_before_run); /* else this run has proved nothing */
		struct lines got = collect(store);
		assert_same(&expected, &got, "swaps");
		lines_free(&got);
	}
	lines_free(&expected);
}
END_TEST

START_TEST(swapped_and_crashed_nothing_changes)
{
	struct lines expected = run_reference();
	next_rules = rules_text;
	unsigned all_crashes = 0;
	for (int round = 0; round < 2; round++) {
		struct store *store cleanup(store_free) = new_store();
		unsigned crashes = 0;
		for (enum runtime_state state = RUNTIME_FAILED; state != RUNTIME_FINISHED;) {
			swaps_before_run = swaps;
			unsigned nth = 1 + (unsigned)(next_random(&dice) % 12);
			store_memory_fail_at(store, crashes < 8 ? nth : 0, ESYSTEM);
			state = run_held(store, 1 + (unsigned)(next_random(&dice) % 3),
					 1 + (unsigned)(next_random(&dice) % 3), 500,
					 swap_sometimes);
			crashes += state == RUNTIME_FAILED;
		}
		all_crashes += crashes;
		struct lines got = collect(store);
		assert_same(&expected, &got, "swaps and crashes");
		lines_free(&got);
	}
	ck_assert_uint_ge(all_crashes, 2);
	ck_assert_uint_gt(swaps, 1);
	lines_free(&expected);
}
END_TEST

/* collect() fails when an alert is left open. */
START_TEST(other_rules_take_over)
{
	struct lines reference = run_reference();
	next_rules = other_rules;
	for (unsigned i = 0; i < 2; i++) {
		struct store *store cleanup(store_free) = new_store();
		struct ruleset *other cleanup(ruleset_free) = parse(other_rules);
		swaps = 0;
		events_before_swap = 2000 + 5000 * i;
		ck_assert_int_eq(run_held(store, 2, 2, events_before_swap + 1000, swap_once),
				 RUNTIME_FINISHED);
		ck_assert_uint_eq(swaps, 1);
		ck_assert_uint_eq(hash_of_store(store), ruleset_hash(other));
		struct lines got = collect(store);
		ck_assert_uint_eq(count_prefix(&reference, "alert 55555555"), 0);
		ck_assert_uint_gt(count_prefix(&got, "alert 55555555"), 0);
		ck_assert_uint_gt(count_prefix(&got, "alert 33333333"), 0);
		ck_assert_uint_lt(count_prefix(&got, "alert 33333333"),
				  count_prefix(&reference, "alert 33333333") + 1);
		ck_assert_uint_gt(count_prefix(&got, "alert 11111111"), 0);
		ck_assert_uint_eq(count_prefix(&got, "event"), count_prefix(&reference, "event"));
		lines_free(&got);
	}
	lines_free(&reference);
}
END_TEST

/* The daemon was killed, and started again with other rules than it ran with: files that changed
 * while it was down, or a reload that was taken back. */
START_TEST(a_start_with_other_rules_goes_on)
{
	unsigned crashes = 0;
	for (unsigned round = 0; round < 4; round++) {
		struct store *store cleanup(store_free) = new_store();
		struct ruleset *first = ruleset;
		bool swaps_before = round % 2 == 0;
		next_rules = other_rules;
		swaps = 0;
		events_before_swap = 0;
		store_memory_fail_at(store, 2 + 2 * round, ESYSTEM);
		enum runtime_state state =
			swaps_before ? run_held(store, 2, 2, 500, swap_once) : run(store, 2, 2);
		store_memory_fail_at(store, 0, ESYSTEM);
		crashes += state == RUNTIME_FAILED;
		if (!swaps_before)
			ruleset = parse(other_rules);
		if (state == RUNTIME_FAILED)
			ck_assert_int_eq(run(store, 3, 1), RUNTIME_FINISHED);
		struct lines got = collect(store);
		ck_assert_uint_eq(count_prefix(&got, "event") + count_prefix(&got, "reject"),
				  FILES * LINES_PER_FILE);
		lines_free(&got);
		if (!swaps_before)
			ruleset_free(&ruleset);
		ruleset = first;
	}
	ck_assert_uint_ge(crashes, 2); /* otherwise this run has proved nothing */
}
END_TEST

/* Under which letter a stored event was bound and hashed; it must be one and the same. */
static char letter_of(const char *line)
{
	const struct {
		char letter;
		const char *tenant, *hash;
	} custodies[] = {{'a', "\"tenant.id\":\"a\"", "[pii:22f58b66:"},
			 {'b', "\"tenant.id\":\"b\"", "[pii:60b29de4:"}};
	char letter = '\0';
	for (size_t i = 0; i < 2; i++) {
		bool bound = strstr(line, custodies[i].tenant) != NULL;
		ck_assert_msg(bound == (strstr(line, custodies[i].hash) != NULL), "%s", line);
		if (bound)
			letter = custodies[i].letter;
	}
	ck_assert_msg(letter != '\0', "%s", line);
	return letter;
}

static int offset_compare(const void *a, const void *b)
{
	char topics[2][128];
	long long offsets[2];
	const char *const lines[] = {*(char *const *)a, *(char *const *)b};
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(sscanf(lines[i], "event %127s %lld", topics[i], &offsets[i]), 2);
	int order = strcmp(topics[0], topics[1]);
	return order != 0 ? order : (offsets[0] > offsets[1]) - (offsets[0] < offsets[1]);
}

/* Key and bindings change between two epochs, together: every event is of the one custody or of the
 * other, and within a file there is one moment of change. */
START_TEST(bindings_and_the_key_are_swapped_with_the_rules)
{
	struct generation_parts first = {0};
	struct store *store cleanup(store_free) = new_store();
	custody_of('a', &first);
	enrichment = (struct enrich_options){.bindings = first.bindings, .privacy = first.privacy};
	next_rules = rules_text;
	next_custody = 'b';
	swaps = 0;
	events_before_swap = 4000;
	ck_assert_int_eq(run_held(store, 2, 2, 6000, swap_once), RUNTIME_FINISHED);
	next_custody = '\0';
	enrichment = (struct enrich_options){0};
	generation_parts_free(&first);

	struct lines got = collect(store);
	size_t events = count_prefix(&got, "event");
	size_t from = 0, counts[2] = {0};
	while (from < got.count && strncmp(got.items[from], "event", 5) != 0)
		from++;
	qsort(got.items + from, events, sizeof *got.items, offset_compare);
	for (size_t i = from; i < from + events; i++) {
		char letter = letter_of(got.items[i]);
		counts[letter - 'a']++;
		bool same_file = i > from && strncmp(got.items[i - 1], got.items[i],
						     strcspn(got.items[i] + 6, " ") + 6) == 0;
		if (same_file)
			ck_assert_int_le(letter_of(got.items[i - 1]), letter);
	}
	ck_assert_uint_ge(counts[0], 4000);
	ck_assert_uint_gt(counts[1], 0);
	ck_assert_uint_eq(events + count_prefix(&got, "reject"), FILES * LINES_PER_FILE);
	lines_free(&got);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("reload");
	tcase_add_test(tests, swapped_with_itself_nothing_changes);
	tcase_add_test(tests, swapped_and_crashed_nothing_changes);
	tcase_add_test(tests, other_rules_take_over);
	tcase_add_test(tests, a_start_with_other_rules_goes_on);
	tcase_add_test(tests, bindings_and_the_key_are_swapped_with_the_rules);
	return running_main(tests);
}
