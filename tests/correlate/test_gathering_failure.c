/* Every allocation of what is gathered beside the rules failing once: cohorts with their ledgers,
 * and instances with their event ids, from the worker that counts to the actor that keeps, saved
 * and restored on the way. */
#include "correlate/instance.h"
#include "correlate/signal.h"
#include "tests/correlate/memory_fault.h"

enum { EPOCHS = 3, EVENTS_AN_EPOCH = 10 };

static const int64_t SECOND_US = 1000000;
static const int64_t BASE_US = INT64_C(1700000000) * 1000000;

/* The n-th event: of one of two versions, with a target, a number, and an id that comes again. */
static struct event event_make(struct arena *arena, int n)
{
	struct event event = event_at(BASE_US + n * 3 * SECOND_US, n, "acme");
	event_put(&event, arena, "service.name", n % 3 == 0 ? "orders" : "payments");
	event_put(&event, arena, "service.version", n % 2 == 0 ? "v1" : "v2");
	event_put(&event, arena, "service.node.name", n % 4 == 0 ? "node-a" : "node-b");
	event_put(&event, arena, "service.target.name", n % 5 == 0 ? "vault" : "ledger");
	event_put(&event, arena, "http.response.status_code", n % 7 == 0 ? "503" : "200");
	event_put(&event, arena, "http.route", n % 2 == 0 ? "/pay" : "/refund");
	event_put(&event, arena, "user.id", n % 3 == 1 ? "ann" : "bob");
	event_put(&event, arena, "source.ip", n % 2 == 0 ? "198.51.100.7" : "198.51.100.8");
	event_put(&event, arena, "event.id",
		  n % 6 == 0 ? "again" : arena_print(arena, "%d", n).data);
	return event;
}

/* The events of all epochs; made before anything fails. */
struct scene {
	struct arena *arena;
	struct event events[EPOCHS][EVENTS_AN_EPOCH];
	size_t told; /* of instances */
};

static void tell(void *context, const struct instance_news *news)
{
	struct scene *scene = context;
	scene->told += news->finding == INSTANCE_COPY;
}

/* --- cohorts */

static enum status cohort_gather(struct cohort_counter *counter, const struct event *events,
				 struct bytes *gathered)
{
	static const struct cohort_trial trial = {TEXT("refund_failure"), true};
	struct record_sink sink = {gathered, 1};
	enum status status = OK;
	for (int i = 0; status == OK && i < EVENTS_AN_EPOCH; i++) {
		status = cohort_count(counter, &events[i], NULL, 0);
		if (status == OK)
			status = cohort_count_trials(counter, &events[i], &trial, 1);
	}
	if (status == OK)
		status = cohort_flush(counter, &sink);
	return status == OK ? bytes_status(gathered) : status;
}

static enum status cohort_move(struct cohort **cohort)
{
	struct cohort *next cleanup(cohort_free) = NULL;
	struct bytes saved cleanup(bytes_done) = {0};
	enum status status = cohort_new(0, 1, &next, NULL);
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++) {
		bytes_clear(&saved);
		status = cohort_checkpoint(*cohort, (uint8_t)i, &saved);
		if (status == OK && saved.size > 0)
			status = cohort_restore(next, bytes_text(&saved), NULL);
	}
	if (status != OK)
		return status;
	cohort_free(cohort);
	*cohort = TAKE(next);
	return OK;
}

/* What an epoch changed, as the rows that a store would get. */
static enum status changes_put(const struct cohort *cohort, struct bytes *to)
{
	struct cohort_changes changes = cohort_changes(cohort);
	for (size_t i = 0; i < changes.bucket_count; i++)
		bucket_encode(&changes.buckets[i], to);
	for (size_t i = 0; i < changes.instance_count; i++)
		instance_encode(&changes.instances[i], to);
	for (size_t i = 0; i < changes.trait_count; i++) {
		struct trait trait = cohort_trait(&changes, i);
		trait_encode(&trait, to);
	}
	return bytes_status(to);
}

static enum status cohort_run(void *context, struct bytes *ret_end)
{
	const struct scene *scene = context;
	struct cohort_counter *counter cleanup(cohort_counter_free) = NULL;
	struct cohort *cohort cleanup(cohort_free) = NULL;
	enum status status = cohort_counter_new(&test_key, &counter, NULL);
	if (status == OK)
		status = cohort_new(0, 1, &cohort, NULL);
	for (int epoch = 0; status == OK && epoch < EPOCHS; epoch++) {
		struct bytes gathered cleanup(bytes_done) = {0};
		status = cohort_gather(counter, scene->events[epoch], &gathered);
		if (status == OK)
			status = cohort_feed(cohort, bytes_text(&gathered), NULL);
		if (status == OK)
			status = cohort_close(cohort, scene->events[epoch][0].time_us, NULL);
		if (status == OK)
			status = changes_put(cohort, ret_end);
		if (status == OK && epoch == EPOCHS / 2)
			status = cohort_move(&cohort);
	}
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++)
		status = cohort_checkpoint(cohort, (uint8_t)i, ret_end);
	return status;
}

/* --- instances */

static enum status sightings_gather(struct sightings *sightings, const struct event *events,
				    struct bytes *gathered)
{
	struct record_sink sink = {gathered, 1};
	enum status status = OK;
	for (int i = 0; status == OK && i < EVENTS_AN_EPOCH; i++)
		status = sightings_see(sightings, &events[i], &sink);
	if (status == OK)
		status = sightings_flush(sightings, &sink);
	return status == OK ? bytes_status(gathered) : status;
}

static enum status instances_start(struct instances **ret_instances)
{
	struct instances *instances cleanup(instances_free) = NULL;
	enum status status = instances_new(0, 1, &instances);
	if (status == OK)
		status = instances_watch_ids(instances, 3600 * SECOND_US);
	if (status == OK)
		*ret_instances = TAKE(instances);
	return status;
}

static enum status instances_move(struct instances **instances)
{
	struct instances *next cleanup(instances_free) = NULL;
	struct bytes saved cleanup(bytes_done) = {0};
	enum status status = instances_start(&next);
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++) {
		bytes_clear(&saved);
		status = instances_checkpoint(*instances, (uint8_t)i, &saved);
		if (status == OK)
			status = instances_restore(next, bytes_text(&saved), NULL);
		bytes_clear(&saved);
		if (status == OK)
			status = instances_ids_checkpoint(*instances, (uint8_t)i, &saved);
		if (status == OK)
			status = instances_ids_restore(next, (uint8_t)i, bytes_text(&saved), NULL);
	}
	if (status != OK)
		return status;
	instances_free(instances);
	*instances = TAKE(next);
	return OK;
}

static enum status instances_run(void *context, struct bytes *ret_end)
{
	struct scene *scene = context;
	struct sightings *sightings cleanup(sightings_free) = NULL;
	struct instances *instances cleanup(instances_free) = NULL;
	enum status status = sightings_new(&test_key, true, &sightings);
	scene->told = 0;
	if (status == OK)
		status = instances_start(&instances);
	for (int epoch = 0; status == OK && epoch < EPOCHS; epoch++) {
		struct bytes gathered cleanup(bytes_done) = {0};
		status = sightings_gather(sightings, scene->events[epoch], &gathered);
		if (status == OK)
			status = instances_feed(instances, bytes_text(&gathered), NULL);
		if (status == OK)
			status = instances_close(instances, scene->events[epoch][5].time_us,
						 20 * SECOND_US, tell, scene);
		if (status == OK && epoch == EPOCHS / 2)
			status = instances_move(&instances);
	}
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++) {
		status = instances_checkpoint(instances, (uint8_t)i, ret_end);
		if (status == OK)
			status = instances_ids_checkpoint(instances, (uint8_t)i, ret_end);
	}
	bytes_put_varint(ret_end, scene->told);
	return status == OK ? bytes_status(ret_end) : status;
}

static struct scene scene;

static void set_up(void)
{
	scene = (struct scene){.arena = arena_new(1 << 24)};
	for (int i = 0; i < EPOCHS * EVENTS_AN_EPOCH; i++)
		scene.events[i / EVENTS_AN_EPOCH][i % EVENTS_AN_EPOCH] = event_make(scene.arena, i);
}

static void tear_down(void)
{
	arena_free(&scene.arena);
}

START_TEST(every_allocation_of_a_cohort_may_fail)
{
	memory_sweep(cohort_run, &scene);
}
END_TEST

START_TEST(every_allocation_of_instances_may_fail)
{
	memory_sweep(instances_run, &scene);
	ck_assert_uint_gt(scene.told, 0);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("gathering_failure");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, every_allocation_of_a_cohort_may_fail);
	tcase_add_test(tests, every_allocation_of_instances_may_fail);
	return run_tests("gathering_failure", tests);
}
