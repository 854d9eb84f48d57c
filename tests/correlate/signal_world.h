/* signal_world - a service with users, roles, tenants, callees and a canary, drawn event by event;
 * what it logs goes through the counter and the cohort into what the gate reads.
 *
 * Why: the false alarms of signals come from what a service does seldom, so the world has rare
 * destinations, rare errors and pages that are open to all. Seeded: a run repeats.
 * Owner: world_done(). Thread: one. */
#ifndef PICKET_TESTS_SIGNAL_WORLD_H
#define PICKET_TESTS_SIGNAL_WORLD_H

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "correlate/gate.h"

static const int64_t WORLD_SECOND_US = 1000000;
static const int64_t WORLD_BEGIN_US = 1700000000LL * 1000000; /* the canary's first event */
static const struct hash_key WORLD_KEY = {{9, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

enum { WORLD_TRAITS_MAX = 4096, WORLD_BUCKETS_MAX = 128, WORLD_RARE = 40 };

struct world {
	uint64_t state; /* of the dice */
	struct cohort_counter *counter;
	struct cohort *cohort;
	struct arena *arena;   /* of what the gate reads */
	struct arena *scratch; /* of one event */
	struct bucket *buckets;
	size_t bucket_count;
	struct trait *traits;
	size_t trait_count;
	struct instance instances[8];
	size_t instance_count;
	int64_t offset;
};

static double world_uniform(struct world *world)
{
	world->state ^= world->state << 13;
	world->state ^= world->state >> 7;
	world->state ^= world->state << 17;
	return (double)(world->state >> 11) * 0x1p-53;
}

static unsigned world_dice(struct world *world, unsigned sides)
{
	return (unsigned)(world_uniform(world) * sides);
}

static void world_init(struct world *world, uint64_t seed)
{
	*world = (struct world){.state = seed * 0x9e3779b97f4a7c15u + 1};
	ck_assert_int_eq(cohort_counter_new(&WORLD_KEY, &world->counter, NULL), OK);
	ck_assert_int_eq(cohort_new(0, 1, &world->cohort, NULL), OK);
	world->arena = arena_new((size_t)1 << 28);
	world->scratch = arena_new((size_t)1 << 20);
	world->buckets = calloc(WORLD_BUCKETS_MAX, sizeof *world->buckets);
	world->traits = calloc(WORLD_TRAITS_MAX, sizeof *world->traits);
	ck_assert_ptr_nonnull(world->traits);
	for (int i = 0; i < 32; i++)
		(void)world_uniform(world);
}

static void world_done(struct world *world)
{
	cohort_counter_free(&world->counter);
	cohort_free(&world->cohort);
	arena_free(&world->arena);
	arena_free(&world->scratch);
	free(world->buckets);
	free(world->traits);
}

/* One log line under way. */
struct line {
	struct world *world;
	struct event event;
};

static void say(struct line *line, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void say(struct line *line, const char *name, const char *format, ...)
{
	char text[128];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	struct value value = {.type = VALUE_STRING};
	value.text = arena_copy(line->world->scratch, text_of(text));
	ck_assert_int_eq(event_add(&line->event, line->world->scratch, text_of(name), value), OK);
}

static struct line line_begin(struct world *world, int64_t time_us, const char *version)
{
	arena_reset(world->scratch);
	struct line line = {.world = world,
			    .event = {.time_us = time_us, .record_time_us = time_us}};
	line.event.origin = (struct origin){TEXT("logs"), 0, 0, world->offset++};
	say(&line, "service.name", "orders");
	say(&line, "service.version", "%s", version);
	say(&line, "service.node.name", "pod-%s", version);
	return line;
}

static void line_end(struct line *line)
{
	ck_assert_int_eq(cohort_count(line->world->counter, &line->event, NULL, 0), OK);
}

static void request(struct line *line, const char *route, int status)
{
	say(line, "http.request.method", "POST");
	say(line, "http.route", "%s", route);
	say(line, "http.response.status_code", "%d", status);
}

static void user(struct line *line, const char *role)
{
	unsigned who = world_dice(line->world, 3000);
	say(line, "user.id", "u%u", who);
	say(line, "source.ip", "198.%u.%u.9", who / 200 + 1, who % 200);
	say(line, "user.roles", "%s", role);
	say(line, "tenant.id", "t%u", who % 7);
	/* Support works for everybody; nobody else sees another tenant's data. */
	bool foreign = strcmp(role, "support") == 0 && world_dice(line->world, 4) == 0;
	say(line, "target.tenant.id", "t%u", foreign ? 7 : who % 7);
}

/* Something rare: index k with a chance that falls as 1/k^2. */
static unsigned rare(struct world *world)
{
	unsigned k = (unsigned)(1 / (world_uniform(world) + 1e-9));
	return k < WORLD_RARE ? k : WORLD_RARE;
}

static void log_request(struct line *line, struct world *world)
{
	static const char *const ROLES[] = {"viewer", "viewer", "viewer",
					    "editor", "admin",  "support"};
	const char *role = ROLES[world_dice(world, 6)];
	unsigned what = world_dice(world, 10);
	bool open = what == 0; /* a page for everybody: most have a name */
	if (!open || world_dice(world, 50) > 0)
		user(line, role);
	if (what < 6) {
		request(line, open ? "/shop" : what < 3 ? "/orders" : "/me", 200);
	} else if (what < 8) { /* viewers may not refund */
		request(line, "/refunds", strcmp(role, "viewer") == 0 ? 403 : 200);
	} else {
		request(line, "/orders", world_dice(world, 20) == 0 ? 400 : 200);
	}
}

/* What every version of the service does. */
static void log_usual(struct world *world, int64_t time_us, const char *version)
{
	struct line line = line_begin(world, time_us, version);
	unsigned what = world_dice(world, 100);
	if (what < 60) {
		log_request(&line, world);
	} else if (what < 68) { /* strangers are refused */
		request(&line, "/me", 401);
		say(&line, "source.ip", "203.0.%u.1", world_dice(world, 200));
	} else if (what < 88) {
		say(&line, "network.direction", "outbound");
		say(&line, "destination.domain", "api-%c%c.partner.example",
		    'a' + (int)rare(world) % 26, 'a' + (int)rare(world) / 26);
		say(&line, "destination.port", "443");
		say(&line, "tls.established", "true");
	} else if (what < 96) {
		say(&line, "service.target.name", "payments");
		say(&line, "tls.version", "1.3");
	} else {
		unsigned who = world_dice(world, 26 * 26);
		say(&line, "log.level", "error");
		say(&line, "message", "user %c%c has no order %u", 'a' + (int)who / 26,
		    'a' + (int)who % 26, who);
		say(&line, "user.id", "u%u", who);
	}
	line_end(&line);
}

static void world_flush(struct world *world)
{
	struct bytes sent cleanup(bytes_done) = {0};
	ck_assert_int_eq(cohort_flush(world->counter, &(struct record_sink){&sent, 1}), OK);
	ck_assert_int_eq(cohort_feed(world->cohort, bytes_text(&sent), NULL), OK);
}

static int by_name(const void *left, const void *right)
{
	const struct trait *a = left;
	const struct trait *b = right;
	if (a->signal != b->signal)
		return a->signal < b->signal ? -1 : 1;
	return text_compare(a->shown.rule_key, b->shown.rule_key);
}

/* Closes everything, through the stored form, as the gate would find it. */
static void world_close(struct world *world)
{
	world_flush(world);
	ck_assert_int_eq(cohort_close(world->cohort, INT64_MAX, NULL), OK);
	struct cohort_changes changes = cohort_changes(world->cohort);
	for (size_t i = 0; i < changes.bucket_count; i++) {
		struct bytes row cleanup(bytes_done) = {0};
		bucket_encode(&changes.buckets[i], &row);
		struct text kept = arena_copy(world->arena, bytes_text(&row));
		if (changes.buckets[i].start_us < WORLD_BEGIN_US)
			continue;
		ck_assert_uint_lt(world->bucket_count, WORLD_BUCKETS_MAX);
		ck_assert_int_eq(bucket_decode(kept, world->arena,
					       &world->buckets[world->bucket_count++], NULL),
				 OK);
	}
	for (size_t i = 0; i < changes.trait_count; i++) {
		struct bytes row cleanup(bytes_done) = {0};
		const struct trait trait = cohort_trait(&changes, i);
		trait_encode(&trait, &row);
		struct text kept = arena_copy(world->arena, bytes_text(&row));
		ck_assert_uint_lt(world->trait_count, WORLD_TRAITS_MAX);
		ck_assert_int_eq(trait_decode(kept, &world->traits[world->trait_count++], NULL),
				 OK);
	}
	qsort(world->traits, world->trait_count, sizeof *world->traits, by_name);
	for (size_t i = 0; i < changes.instance_count; i++)
		world->instances[world->instance_count++] = changes.instances[i];
}

static enum verdict world_judge(struct world *world, const struct gate_manifest *expect,
				struct gate_result *result)
{
	int64_t now_us = WORLD_BEGIN_US + 600 * WORLD_SECOND_US;
	struct gate_query query = {.service = TEXT("orders"),
				   .canary = {ARM_ANY, TEXT("v2")},
				   .step_start_us = INT64_MIN,
				   .after_us = INT64_MIN,
				   .pardon_us = INT64_MIN,
				   .now_us = now_us,
				   .expect = expect,
				   .policy = gate_policy_default()};
	struct gate_facts facts = {.buckets = world->buckets,
				   .bucket_count = world->bucket_count,
				   .instances = world->instances,
				   .instance_count = world->instance_count,
				   .traits = world->traits,
				   .trait_count = world->trait_count,
				   .watermark_us = now_us,
				   .latched_us = INT64_MIN};
	ck_assert_int_eq(gate_judge(&query, &facts, world->arena, result), OK);
	return result->verdict;
}

#endif
