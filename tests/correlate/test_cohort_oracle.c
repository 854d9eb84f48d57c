/* cohort_compare against its oracle (cohort_oracle.h): random rules, their filters and log sources
 * included, over random events of several partitions.
 *
 * Each case is counted in CHECK_ARRIVALS orders. In each of them a partition is read with a
 * disorder within the lateness, and the partitions are mixed anyhow: one stalls until the others
 * are read out and holds the watermark, one is idle and no longer does. Workers, cohorts and the
 * ends of epochs are drawn too. Some events come only when their bucket is closed. The last order
 * is also played with checkpoints and crashes: what was fed since the checkpoint is fed again, and
 * must give the same rows again. All orders must give the same bytes, and these what the oracle
 * says. How the gate judges the rows is test_cohort_rule.c and test_evalue.c. */
#include "tests/correlate/cohort_oracle.h"
#include "tests/correlate/sets.h"

enum { WORKERS_MAX = 3, COHORTS_MAX = 4, ROWS_MAX = 64, EPOCHS_MAX = 4 * DEEDS_MAX };

/* A closed bucket as it is stored. */
struct row {
	struct text service; /* of deed_services */
	int64_t start_us;
	struct bytes encoded;
};

/* One epoch: what the workers sent, and how far the watermark came. */
struct sent {
	struct bytes aggregates;
	int64_t watermark_us;
};

struct rig {
	struct cohort_counter *counters[WORKERS_MAX];
	unsigned counter_count;
	struct cohort *cohorts[COHORTS_MAX];
	unsigned cohort_count;
	struct row rows[ROWS_MAX];
	size_t row_count;
	struct sent sent[EPOCHS_MAX]; /* since the checkpoint */
	size_t sent_count;
	struct bytes saved[VIRTUAL_PARTITIONS];
	uint64_t *troubles; /* draws checkpoints and crashes; NULL: none */
};

static void must(enum status status)
{
	assert(status == OK);
}

static void cohorts_begin(struct rig *rig, uint64_t *random)
{
	rig->cohort_count = 1 + (unsigned)below(random, COHORTS_MAX);
	for (unsigned i = 0; i < rig->cohort_count; i++)
		must(cohort_new(i, rig->cohort_count, &rig->cohorts[i], NULL));
}

static void counters_begin(struct rig *rig)
{
	for (unsigned i = 0; i < rig->counter_count; i++) {
		cohort_counter_free(&rig->counters[i]);
		must(cohort_counter_new(&test_key, &rig->counters[i], NULL));
	}
}

static void rig_begin(struct rig *rig, uint64_t *random, bool troubled)
{
	*rig = (struct rig){.counter_count = 1 + (unsigned)below(random, WORKERS_MAX),
			    .troubles = troubled ? random : NULL};
	cohorts_begin(rig, random);
	counters_begin(rig);
}

static void forget_sent(struct rig *rig)
{
	while (rig->sent_count > 0)
		bytes_done(&rig->sent[--rig->sent_count].aggregates);
}

static void rig_end(struct rig *rig)
{
	for (unsigned i = 0; i < rig->counter_count; i++)
		cohort_counter_free(&rig->counters[i]);
	for (unsigned i = 0; i < rig->cohort_count; i++)
		cohort_free(&rig->cohorts[i]);
	for (size_t i = 0; i < rig->row_count; i++)
		bytes_done(&rig->rows[i].encoded);
	for (size_t i = 0; i < VIRTUAL_PARTITIONS; i++)
		bytes_done(&rig->saved[i]);
	forget_sent(rig);
}

/* A row that is there already is given again after a crash only, and is the same. */
static void keep_row(struct rig *rig, const struct bucket *bucket)
{
	struct row row = {.start_us = bucket->start_us};
	for (size_t i = 0; i < sizeof deed_services / sizeof *deed_services; i++)
		if (text_equal(bucket->service, text_of(deed_services[i])))
			row.service = text_of(deed_services[i]);
	bucket_encode(bucket, &row.encoded);
	for (size_t i = 0; i < rig->row_count; i++) {
		struct row *known = &rig->rows[i];
		if (known->start_us != row.start_us || !text_equal(known->service, row.service))
			continue;
		ck_assert(text_equal(bytes_text(&known->encoded), bytes_text(&row.encoded)));
		bytes_done(&row.encoded);
		return;
	}
	assert(rig->row_count < ROWS_MAX && !row.encoded.failed);
	rig->rows[rig->row_count++] = row;
}

static void correlate(struct rig *rig, const struct sent *sent)
{
	for (unsigned i = 0; i < rig->cohort_count; i++) {
		struct cohort *cohort = rig->cohorts[i];
		must(cohort_feed(cohort, bytes_text(&sent->aggregates), NULL));
		must(cohort_close(cohort, sent->watermark_us, NULL));
		struct cohort_changes changes = cohort_changes(cohort);
		for (size_t k = 0; k < changes.bucket_count; k++)
			keep_row(rig, &changes.buckets[k]);
	}
}

static void checkpoint(struct rig *rig)
{
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		bytes_clear(&rig->saved[i]);
		must(cohort_checkpoint(rig->cohorts[i % rig->cohort_count], (uint8_t)i,
				       &rig->saved[i]));
	}
	forget_sent(rig);
}

/* Everything in memory is gone; another number of cohorts goes on. */
static void crash(struct rig *rig)
{
	for (unsigned i = 0; i < rig->cohort_count; i++)
		cohort_free(&rig->cohorts[i]);
	counters_begin(rig);
	cohorts_begin(rig, rig->troubles);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++)
		must(cohort_restore(rig->cohorts[i % rig->cohort_count], bytes_text(&rig->saved[i]),
				    NULL));
	for (size_t i = 0; i < rig->sent_count; i++)
		correlate(rig, &rig->sent[i]);
}

static void close_epoch(struct rig *rig, int64_t watermark_us)
{
	assert(rig->sent_count < EPOCHS_MAX);
	struct sent *sent = &rig->sent[rig->sent_count++];
	*sent = (struct sent){.watermark_us = watermark_us};
	for (unsigned i = 0; i < rig->counter_count; i++)
		must(cohort_flush(rig->counters[i], &(struct record_sink){&sent->aggregates, 1}));
	correlate(rig, sent);
	if (rig->troubles == NULL)
		forget_sent(rig);
	else if (below(rig->troubles, 6) == 0)
		checkpoint(rig);
	if (rig->troubles != NULL && below(rig->troubles, 6) == 0)
		crash(rig);
}

static void count(struct rig *rig, const struct deed *deed)
{
	struct cohort_counter *counter = rig->counters[deed->partition % rig->counter_count];
	must(cohort_count(counter, &deed->event, NULL, 0));
	must(cohort_count_trials(counter, &deed->event, deed->trials, deed->trial_count));
}

/* One partition as it is read. */
struct reading {
	size_t order[DEEDS_MAX];
	size_t count, next;
	int64_t newest_us;
	bool stalls; /* until the others are read out */
	bool idles;  /* when it is read out it is proved to be */
};

static void readings_make(const struct deeds *deeds, int64_t lateness_us, uint64_t *random,
			  struct reading readings[static PARTITIONS])
{
	int64_t keys[DEEDS_MAX];
	for (size_t i = 0; i < PARTITIONS; i++)
		readings[i] = (struct reading){.newest_us = INT64_MIN,
					       .stalls = below(random, 6) == 0,
					       .idles = below(random, 2) == 0};
	for (size_t i = 0; i < deeds->count; i++) {
		const struct deed *deed = &deeds->all[i];
		struct reading *of = &readings[deed->partition];
		keys[i] = deed->time_us + (int64_t)below(random, (size_t)lateness_us);
		size_t at = of->count;
		if (deed->late)
			continue;
		for (; at > 0 && keys[of->order[at - 1]] > keys[i]; at--)
			of->order[at] = of->order[at - 1];
		of->order[at] = i;
		of->count++;
	}
}

/* The next partition to read from; NULL: all are read out. */
static struct reading *some_reading(struct reading readings[static PARTITIONS], uint64_t *random)
{
	size_t first = below(random, PARTITIONS);
	for (int stalled = 0; stalled < 2; stalled++)
		for (size_t i = 0; i < PARTITIONS; i++) {
			struct reading *one = &readings[(first + i) % PARTITIONS];
			if (one->next < one->count && one->stalls == (stalled == 1))
				return one;
		}
	return NULL;
}

static int64_t watermark(const struct reading readings[static PARTITIONS], int64_t lateness_us)
{
	int64_t least_us = INT64_MAX;
	for (size_t i = 0; i < PARTITIONS; i++) {
		const struct reading *one = &readings[i];
		bool silent = one->next == one->count && (one->idles || one->count == 0);
		int64_t of_us = one->next == 0 ? INT64_MIN : one->newest_us - lateness_us;
		if (!silent && of_us < least_us)
			least_us = of_us;
	}
	return least_us == INT64_MAX ? INT64_MIN : least_us; /* nothing holds it: it stays */
}

static void play(struct rig *rig, const struct deeds *deeds, uint64_t *random)
{
	struct reading readings[PARTITIONS];
	int64_t lateness_us = (int64_t)(1 + below(random, 60)) * 1000000;
	size_t density = 1 + below(random, 20);
	readings_make(deeds, lateness_us, random, readings);
	for (struct reading *one = NULL; (one = some_reading(readings, random)) != NULL;) {
		const struct deed *deed = &deeds->all[one->order[one->next++]];
		count(rig, deed);
		one->newest_us = deed->time_us > one->newest_us ? deed->time_us : one->newest_us;
		if (below(random, density) == 0)
			close_epoch(rig, watermark(readings, lateness_us));
	}
	/* Behind every bucket but those of the markers; then comes what is late. */
	close_epoch(rig, deeds->end_us + 100 * INT64_C(1000000));
	for (size_t i = 0; i < deeds->count; i++)
		if (deeds->all[i].late)
			count(rig, &deeds->all[i]);
	close_epoch(rig, INT64_MIN);
	close_epoch(rig, INT64_MAX);
}

static int by_service_and_start(const void *left, const void *right)
{
	const struct row *a = left;
	const struct row *b = right;
	int order = text_compare(a->service, b->service);
	return order != 0 ? order : (a->start_us > b->start_us) - (a->start_us < b->start_us);
}

/* One bucket of a rule, as lines. */
static void tell_rule(const struct cohort_case *at, const struct bucket *of, struct lines *lines)
{
	struct counted all = {.nameless = (of->flags & BUCKET_NO_PRINCIPAL) != 0};
	ck_assert_uint_eq(of->flags & ~(uint32_t)BUCKET_NO_PRINCIPAL, 0);
	ck_assert_uint_eq(of->late, 0);
	for (size_t i = 0; i < of->arm_count; i++) {
		const struct arm_count *arm = &of->arms[i];
		char name[16];
		unsigned culprits = 0;
		arm_print(name, arm->arm.version, arm->arm.deploy_id);
		for (size_t k = 0; k < of->culprit_count; k++)
			culprits += of->culprits[k].arm == i;
		line_of_arm(lines, at, text_of(name), culprits);
		all.culprits += culprits;
		for (size_t k = 0; k < arm->stratum_count; k++) {
			const struct outcome_count *count =
				&arm->strata[k].outcomes[COHORT_RULE_OUTCOME];
			struct counted half = {.trials = (unsigned)count->trials,
					       .bad = (unsigned)count->bad,
					       .causes = (unsigned)count->clusters};
			ck_assert_uint_eq(arm->strata[k].requests, count->trials);
			all.causes += half.causes;
			line_of_half(lines, at, text_of(name), arm->strata[k].half, &half);
		}
	}
	line_of_rule(lines, at, &all);
}

/* What the engine has counted; the rows are sorted. */
static void tell(const struct rig *rig, const struct setup *setup, const struct spec *spec,
		 const struct deeds *deeds, struct lines *lines)
{
	uint64_t late[sizeof deed_services / sizeof *deed_services] = {0};
	struct arena *arena cleanup(arena_free) = arena_new(1 << 24);
	lines->count = 0;
	for (size_t i = 0; i < rig->row_count; i++) {
		struct bucket bucket;
		struct text encoded = bytes_text(&rig->rows[i].encoded);
		must(bucket_decode(encoded, arena, &bucket, NULL));
		struct cohort_case at = {spec, deeds, NULL, rig->rows[i].service.data,
					 bucket.start_us};
		late[text_equal(bucket.service, text_of(deed_services[1]))] += bucket.late;
		for (size_t k = 0; k < bucket.rule_count; k++) {
			at.rule = NULL;
			for (size_t r = 0; r < spec->compared_count; r++)
				if (text_equal(bucket.rules[k].rule,
					       ruleset_find(setup->ruleset,
							    text_of(spec->compared[r].name))
						       ->key))
					at.rule = &spec->compared[r];
			assert(at.rule != NULL);
			tell_rule(&at, &bucket.rules[k], lines);
		}
	}
	for (size_t i = 0; i < sizeof late / sizeof *late; i++)
		line_of_late(lines, deed_services[i], late[i]);
}

static size_t lines_expected;

static void check_lines(struct lines *got, struct lines *expected, const struct sets *sets)
{
	unsigned long long seed = sets->seed;
	long number = sets->cases % CASES_A_SET;
	qsort(got->all, got->count, sizeof *got->all, compare_text_lines);
	qsort(expected->all, expected->count, sizeof *expected->all, compare_text_lines);
	for (size_t i = 0; i < got->count && i < expected->count; i++)
		if (strcmp(got->all[i], expected->all[i]) != 0)
			ck_abort_msg("seed %llu, case %ld: got \"%s\", expected \"%s\"", seed,
				     number, got->all[i], expected->all[i]);
	if (got->count != expected->count)
		ck_abort_msg("seed %llu, case %ld: %zu lines, expected %zu", seed, number,
			     got->count, expected->count);
	lines_expected += expected->count;
}

/* All rows, in one text. */
static void rows_join(struct rig *rig, struct bytes *to)
{
	qsort(rig->rows, rig->row_count, sizeof *rig->rows, by_service_and_start);
	bytes_clear(to);
	for (size_t i = 0; i < rig->row_count; i++)
		bytes_put_text(to, bytes_text(&rig->rows[i].encoded));
}

static void check_case(const struct setup *setup, const struct spec *spec,
		       const struct deeds *deeds, struct sets *sets)
{
	static struct lines got, expected;
	static struct rig rig;
	struct bytes first cleanup(bytes_done) = {0};
	struct bytes rows cleanup(bytes_done) = {0};
	sets->cases++;
	expect(spec, deeds, &expected);
	for (int arrival = 0; arrival <= CHECK_ARRIVALS; arrival++) {
		rig_begin(&rig, &sets->random, arrival == CHECK_ARRIVALS);
		play(&rig, deeds, &sets->random);
		rows_join(&rig, arrival == 0 ? &first : &rows);
		if (arrival == 0) {
			tell(&rig, setup, spec, deeds, &got);
			check_lines(&got, &expected, sets);
		} else if (!text_equal(bytes_text(&first), bytes_text(&rows))) {
			ck_abort_msg("seed %llu, case %ld: another order of arrival%s gave other "
				     "buckets",
				     (unsigned long long)sets->seed, sets->cases % CASES_A_SET,
				     arrival == CHECK_ARRIVALS ? ", with crashes," : "");
		}
		rig_end(&rig);
	}
}

/* What DETECT does with an event, once: the orders differ in when, not in what. */
static void detect(struct deed *deed, struct matcher *matcher, const struct cohort_rules *rules,
		   struct arena *arena)
{
	const struct {
		const char *name, *value;
	} fields[] = {{"service.name", deed->service},
		      {"service.version", deed->version},
		      {"picket.deploy.id", deed->deploy},
		      {"service.node.name", deed->node},
		      {"user.id", deed->user},
		      {"source.ip", deed->address},
		      {"trace.id", deed->trace},
		      {"http.route", deed->route},
		      {"url.path", deed->path},
		      {"http.response.status_code", deed->status},
		      {"event.action", deed->action},
		      {"event.outcome", deed->outcome}};
	struct matches matches = {0};
	deed->event = event_at(deed->time_us, deed->offset, "-");
	deed->event.origin.partition = (int32_t)deed->partition;
	deed->event.logsource.product = text_of(deed->product);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (fields[i].value != NULL)
			event_put(&deed->event, arena, fields[i].name, fields[i].value);
	must(matcher_match(matcher, &deed->event, &matches));
	deed->trial_count = cohort_trials(rules, matches.rules, matches.count, deed->trials);
}

START_TEST(counts_are_those_of_a_plain_reading)
{
	static struct deeds deeds;
	struct sets sets = sets_begin(CASES_USUAL / 4);
	while (sets_next(&sets, lines_expected)) {
		struct spec spec = spec_make(&sets.random);
		char *yaml = spec_text(&spec, &sets.random);
		struct setup setup = setup_of(yaml);
		struct cohort_rules rules = cohort_rules_of(setup.ruleset);
		struct matcher *matcher cleanup(matcher_free) = NULL;
		ck_assert_int_eq(matcher_new(setup.ruleset, &matcher, NULL), OK);
		for (int i = 0; i < CASES_A_SET; i++) {
			struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
			deeds_make(&deeds, &sets.random);
			for (size_t k = 0; k < deeds.count; k++)
				detect(&deeds.all[k], matcher, &rules, arena);
			check_case(&setup, &spec, &deeds, &sets);
		}
		setup_done(&setup);
		free(yaml);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("cohort_oracle");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, counts_are_those_of_a_plain_reading);
	return run_tests("cohort_oracle", tests);
}
