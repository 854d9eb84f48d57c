/* world - a little cluster from a seed: partitions with records, their times and their faults.
 *
 * Why: whatever the engine is fed, it must answer the same for every schedule, crash and number of
 * threads. What a world holds, and when each record is appended to its partition, is fixed by the
 * seed; when it is read is not.
 *
 * No record is late: its time is at most DISORDER_US behind its append time, so that no truthful
 * tick can make it so. (What comes late is counted while its window is open, and flagged: that does
 * depend on the schedule.)
 *
 * Tenants are t1, t10 and none at all ("-"), users are the same in all of them: a state that leaks
 * has every chance to be seen. Owner: free(). Thread: read-only once made. */
#ifndef PICKET_TESTS_SIM_WORLD_H
#define PICKET_TESTS_SIM_WORLD_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "rules/event.h"

enum { PARTITIONS_MAX = 6, ITEMS_MAX = 80, PAYLOAD_MAX = 512, TENANTS = 3 };

static const int64_t SECOND_US = 1000000;
/* In the year 2100: what waits for a time by the clock of this machine waits for ever. */
static const int64_t WORLD_START_US = INT64_C(4102444800) * 1000000;
static const int64_t WORLD_LENGTH_US = INT64_C(150) * 1000000;
static const int64_t WORLD_END_US = (INT64_C(4102444800) + 150) * 1000000;
static const int64_t DISORDER_US = INT64_C(8) * 1000000; /* below the lateness of 10 s */
static const char *const tenant_names[TENANTS] = {"t1", "t10", "-"};

struct item {
	int64_t offset, appended_us;
	int tenant; /* index, or -1: it cannot be read */
	char payload[PAYLOAD_MAX];
};

struct partition {
	char topic[24];
	int32_t number;
	int64_t born_us; /* it does not exist before */
	struct item items[ITEMS_MAX];
	size_t item_count;
};

struct world {
	struct partition partitions[PARTITIONS_MAX];
	size_t partition_count;
};

/* Marsaglia's xorshift64. */
static inline uint64_t dice(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline uint64_t dice_below(uint64_t *state, uint64_t limit)
{
	return (dice(state) >> 11) % limit;
}

/* When it says it happened: a little before it was appended, sometimes in the far future (which is
 * not believed). */
static inline int64_t event_time(uint64_t *seed, int64_t appended_us)
{
	if (dice_below(seed, 40) == 0)
		return appended_us + 3600 * SECOND_US;
	return appended_us - (int64_t)dice_below(seed, (uint64_t)DISORDER_US);
}

static inline void item_fill(struct item *item, uint64_t *seed)
{
	item->tenant = -1;
	if (dice_below(seed, 30) == 0) {
		(void)snprintf(item->payload, sizeof item->payload, "{\"cut\": ");
		return;
	}
	static const char *const places[] = {
		"\"source.geo\":{\"city_name\":\"Berlin\",\"location\":{\"lat\":52.5,\"lon\":13.4}}",
		"\"source.geo\":{\"city_name\":\"Quito\",\"location\":{\"lat\":-0.2,\"lon\":-78.5}}"};
	int64_t time_us = event_time(seed, item->appended_us);
	unsigned address = (unsigned)dice_below(seed, 5);
	char time[32];
	(void)time_print(time_us, time);
	item->tenant = (int)dice_below(seed, TENANTS);
	(void)snprintf(item->payload, sizeof item->payload,
		       "{\"@timestamp\":\"%s\",\"service\":{\"name\":\"svc%u\",\"version\":\"%u\","
		       "\"node\":{\"name\":\"n%u\"}},\"tenant.id\":\"%s\",\"user.id\":\"u%u\","
		       "\"source.ip\":\"10.0.0.%u\",%s,\"event.outcome\":\"%s\","
		       "\"http.response.status_code\":%u}",
		       time, (unsigned)dice_below(seed, 2), (unsigned)dice_below(seed, 2),
		       (unsigned)dice_below(seed, 3),
		       item->tenant == TENANTS - 1 ? "" : tenant_names[item->tenant],
		       (unsigned)dice_below(seed, 3), address, places[address % 2],
		       dice_below(seed, 3) == 0 ? "success" : "failure",
		       dice_below(seed, 9) == 0 ? 503 : 200);
}

static inline void partition_fill(struct partition *partition, uint64_t *seed)
{
	int64_t now_us = partition->born_us;
	int64_t offset = 0;
	int64_t pace_us = WORLD_LENGTH_US / (1 + (int64_t)dice_below(seed, ITEMS_MAX));
	for (;;) {
		/* Now and then a pause, in which only ticks can carry the time on. */
		now_us += 1 + (int64_t)dice_below(seed, (uint64_t)pace_us * 2);
		now_us += dice_below(seed, 25) == 0 ? 30 * SECOND_US : 0;
		if (now_us >= WORLD_END_US || partition->item_count == ITEMS_MAX)
			return;
		offset += dice_below(seed, 20) == 0 ? 2 : 0; /* a transaction's marker */
		struct item *item = &partition->items[partition->item_count++];
		item->offset = offset++;
		item->appended_us = now_us;
		item_fill(item, seed);
	}
}

static inline struct world *world_new(uint64_t seed)
{
	struct world *world = calloc(1, sizeof *world);
	ck_assert_ptr_nonnull(world);
	world->partition_count = 1 + dice_below(&seed, PARTITIONS_MAX);
	for (size_t i = 0; i < world->partition_count; i++) {
		struct partition *partition = &world->partitions[i];
		(void)snprintf(partition->topic, sizeof partition->topic, "logs-%u",
			       (unsigned)i / 2);
		partition->number = (int32_t)(i % 2);
		partition->born_us = WORLD_START_US;
		if (i > 0 && dice_below(&seed, 4) == 0)
			partition->born_us += (int64_t)dice_below(&seed, (uint64_t)WORLD_LENGTH_US);
		partition_fill(partition, &seed);
	}
	return world;
}

static inline const struct partition *world_find(const struct world *world, struct text topic,
						 int32_t number)
{
	for (size_t i = 0; i < world->partition_count; i++)
		if (world->partitions[i].number == number &&
		    text_equal(topic, text_of(world->partitions[i].topic)))
			return &world->partitions[i];
	return NULL;
}

static inline const struct item *partition_find(const struct partition *partition, int64_t offset)
{
	for (size_t i = 0; i < partition->item_count; i++)
		if (partition->items[i].offset == offset)
			return &partition->items[i];
	return NULL;
}

#endif
