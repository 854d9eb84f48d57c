/* swapping - rule sets swapped while a run of running.h is held at some message.
 *
 * Why: reloads and warming are proved the same way: against a run that was not disturbed.
 * Owner: each test that includes it. Limits: those of running.h. */
#ifndef PICKET_TESTS_INGEST_SWAPPING_H
#define PICKET_TESTS_INGEST_SWAPPING_H

#include "tests/ingest/running.h"

static unsigned swaps;
static const char *next_rules; /* what meanwhile swaps in */
static char next_custody;      /* and beside them; '\0': nothing */

static inline struct ruleset *parse(const char *text)
{
	struct ruleset_options options = {0};
	struct ruleset *parsed = NULL;
	struct error err = {0};
	ck_assert_msg(ruleset_parse(&options, text_of(text), "test", &parsed, &err) == OK, "%s",
		      err.text);
	return parsed;
}

/* A key that is full of the letter, and a tenant called like it for whoever writes. */
static inline void custody_of(char letter, struct generation_parts *parts)
{
	char key[PRIVACY_KEY_BYTES];
	char yaml[] = "- {topic: '*', tenants: [?]}";
	const struct privacy_policy policy = {TEXT("user.id"), PRIVACY_HMAC};
	const struct privacy_options options = {
		.key = {key, sizeof key}, .policies = &policy, .policy_count = 1};
	struct bindings *bindings = NULL;
	struct privacy *privacy = NULL;
	struct error err = {0};
	(void)memset(key, letter, sizeof key);
	*strchr(yaml, '?') = letter;
	ck_assert_int_eq(bindings_parse(text_of(yaml), "t", &bindings, &err), OK);
	ck_assert_int_eq(privacy_new(&options, &privacy, &err), OK);
	parts->bindings = bindings;
	parts->privacy = privacy;
}

static inline void swap_now(struct runtime *runtime)
{
	struct generation_parts next = {.ruleset = parse(next_rules)};
	struct error err = {0};
	if (next_custody != '\0')
		custody_of(next_custody, &next);
	uint64_t hash = ruleset_hash(next.ruleset), epoch = 0;
	enum status status = runtime_swap(runtime, &next, &epoch, &err);
	ck_assert_ptr_null(next.ruleset);
	if (status == ECLOSED)
		return; /* it failed meanwhile */
	ck_assert_msg(status == OK, "%s", err.text);
	ck_assert_uint_gt(epoch, 0);
	struct generation *live cleanup(generation_drop) = runtime_rules(runtime);
	ck_assert_uint_eq(live->hash, hash);
	swaps++;
	atomic_store(&held, false);
}

/* The files wait where they are so far read until the first swap. */
static inline enum runtime_state run_held(struct store *store, unsigned workers, unsigned actors,
					  size_t messages,
					  void (*meanwhile)(struct runtime *runtime))
{
	atomic_store(&handed_by_all, 0);
	atomic_store(&held_at, messages);
	atomic_store(&held, true);
	enum runtime_state state = run_with(store, workers, actors, meanwhile);
	atomic_store(&held, false);
	return state;
}

static unsigned events_before_swap;

static inline void swap_once(struct runtime *runtime)
{
	struct runtime_status now cleanup(runtime_status_done) = {0};
	ck_assert_int_eq(runtime_status(runtime, &now), OK);
	uint64_t stored = 0;
	for (size_t i = 0; i < now.partition_count; i++)
		stored += now.partitions[i].row.stored;
	if (swaps == 0 && stored > events_before_swap)
		swap_now(runtime);
}

#endif
