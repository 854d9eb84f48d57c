/* fixture - what the tests of storage/ share: numbers from a seed, hostile events, folders that go
 * away again.
 *
 * Why: a test that fails must fail again with the seed it prints. Invariant: no clock, no real
 * randomness. Owner: the test. Thread: one. */
#ifndef PICKET_TESTS_STORAGE_FIXTURE_H
#define PICKET_TESTS_STORAGE_FIXTURE_H

#include <assert.h>
#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rules/event.h"

#define ck_ok(call, err)                                                     \
	do {                                                                 \
		enum status ck_status = (call);                              \
		ck_assert_msg(ck_status == OK, "%s: %s", #call, (err).text); \
	} while (0)

/* splitmix64. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline size_t random_below(uint64_t *state, size_t limit)
{
	return (size_t)(random_next(state) % limit);
}

/* Any bytes: NUL, invalid UTF-8, sometimes hexadecimal digits, sometimes nothing. */
static inline struct text random_text(uint64_t *state, struct arena *arena, size_t size_max)
{
	static const char digits[] = "0123456789abcdefg";
	size_t size = random_below(state, size_max + 1);
	char *text = arena_alloc(arena, size + 1);
	assert(text != NULL);
	size_t kind = random_below(state, 4);
	for (size_t i = 0; i < size; i++) {
		if (kind == 0)
			text[i] = digits[random_below(state, 16)];
		else if (kind == 1)
			text[i] = digits[random_below(state, 17)];
		else if (kind == 2)
			text[i] = (char)random_next(state);
		else
			text[i] = (char)('a' + random_below(state, 3));
	}
	return (struct text){text, size};
}

static inline struct value random_value(uint64_t *state, struct arena *arena)
{
	static const int64_t edges[] = {0, 1, -1, 127, 128, INT64_MIN, INT64_MAX, INT32_MIN};
	struct value value = {.type = (enum value_type)random_below(state, VALUE_EMPTY + 1)};
	switch (value.type) {
	case VALUE_BOOLEAN:
		value.boolean = random_below(state, 2) == 1;
		value.text = value.boolean ? TEXT("true") : TEXT("false");
		break;
	case VALUE_INTEGER:
		value.integer = random_below(state, 2) == 0 ? edges[random_below(state, 8)]
							    : (int64_t)random_next(state);
		value.text = arena_print(arena, "%lld", (long long)value.integer);
		if (random_below(state, 8) == 0) { /* written as no printer would */
			value.integer = 0;
			value.text = TEXT("-0");
		}
		break;
	case VALUE_REAL: {
		uint64_t bits = random_next(state); /* NaN and infinities included */
		memcpy(&value.real, &bits, sizeof bits);
		value.text = random_text(state, arena, 20);
		break;
	}
	case VALUE_STRING:
		value.text = random_text(state, arena,
					 random_below(state, 500) == 0 ? EVENT_VALUE_MAX : 70);
		break;
	case VALUE_NULL:
	case VALUE_EMPTY:
		break;
	}
	return value;
}

/* All views are in the arena; the origin is left to the caller. */
static inline struct event random_event(uint64_t *state, struct arena *arena)
{
	struct event event = {
		/* Often the same, so that the order has to come from elsewhere. */
		.time_us = random_below(state, 20) == 0 ? (int64_t)random_next(state)
							: (int64_t)random_below(state, 5),
		.record_time_us = random_below(state, 20) == 0 ? (int64_t)random_next(state)
							       : (int64_t)random_below(state, 99),
		.owner = random_text(state, arena, 3),
		.logsource = {random_text(state, arena, 2), random_text(state, arena, 2),
			      random_text(state, arena, 2)},
		.quality = (uint32_t)random_below(state, 1u << QUALITY_COUNT),
	};
	size_t count = random_below(state, 100) == 0 ? EVENT_FIELDS_MAX : random_below(state, 30);
	for (size_t i = 0; i < count; i++) {
		enum field_id id = (enum field_id)random_below(state, FIELD_COUNT);
		struct text name = id == FIELD_OTHER || random_below(state, 2) == 0
					   ? random_text(state, arena, 12)
					   : schema_info(id)->name;
		name = schema_canonical(name);
		enum status status = event_add(&event, arena, name, random_value(state, arena));
		assert(status == OK);
	}
	return event;
}

/* A folder of its own under TMPDIR or /tmp; the caller removes it. */
static inline char *folder_new(void)
{
	const char *base = getenv("TMPDIR");
	char *path = NULL;
	int size = asprintf(&path, "%s/picket-test-XXXXXX", base == NULL ? "/tmp" : base);
	assert(size > 0 && mkdtemp(path) != NULL);
	return path;
}

static inline int folder_remove_one(const char *path, const struct stat *info, int kind,
				    struct FTW *walk)
{
	(void)info;
	(void)kind;
	(void)walk;
	return remove(path);
}

static inline void folder_remove(char **path)
{
	if (*path != NULL)
		(void)nftw(*path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(*path);
	*path = NULL;
}

/* Runs a suite in this process, so that sanitizers see everything. */
static inline int run_tests(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
