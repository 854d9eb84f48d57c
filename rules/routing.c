#include "rules/routing_private.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "rules/fold.h"

enum { ROUTER_BYTES_MAX = 1 << 24 };

struct router {
	const struct program *program;
	struct arena *arena;   /* folded texts of the combination being computed */
	uint64_t *events;      /* by route, of evicted routings */
	unsigned char *memory; /* of all `fits` */
	uint64_t *slot_memory; /* of all `reads` */
	struct routing routings[ROUTINGS_MAX + 1]; /* the last one: keys too long to keep */
};

void router_free(struct router **router)
{
	if (*router == NULL)
		return;
	arena_free(&(*router)->arena);
	free((*router)->events);
	free((*router)->memory);
	free((*router)->slot_memory);
	free(*router);
	*router = NULL;
}

struct router *router_new(const struct program *program)
{
	struct router *router cleanup(router_free) = calloc(1, sizeof *router);
	size_t routes = program->route_count + 1;
	size_t words = program_slot_words(program);
	if (router == NULL)
		return NULL;
	router->program = program;
	router->arena = arena_new(ROUTER_BYTES_MAX);
	router->events = calloc(routes, sizeof *router->events);
	router->memory = calloc(ROUTINGS_MAX + 1, routes);
	router->slot_memory = calloc(ROUTINGS_MAX + 1, words * sizeof *router->slot_memory);
	if (router->arena == NULL || router->events == NULL || router->memory == NULL ||
	    router->slot_memory == NULL)
		return NULL;
	for (size_t i = 0; i <= ROUTINGS_MAX; i++) {
		router->routings[i].fits = router->memory + i * routes;
		router->routings[i].reads = router->slot_memory + i * words;
	}
	return TAKE(router);
}

static bool attribute_fits(struct text wanted, struct text have)
{
	return wanted.size == 0 || text_equal(wanted, have);
}

static bool compute(struct router *router, struct routing *routing, const struct logsource *source)
{
	const struct program *program = router->program;
	arena_reset(router->arena);
	struct text category = fold_copy(source->category, router->arena);
	struct text product = fold_copy(source->product, router->arena);
	struct text service = fold_copy(source->service, router->arena);
	if (category.data == NULL || product.data == NULL || service.data == NULL)
		return false;
	size_t words = program_slot_words(program);
	memset(routing->reads, 0, words * sizeof *routing->reads);
	routing->any = false;
	for (size_t i = 0; i < program->route_count; i++) {
		const struct logsource *wanted = &program->routes[i].logsource;
		bool fits = attribute_fits(wanted->category, category) &&
			    attribute_fits(wanted->product, product) &&
			    attribute_fits(wanted->service, service);
		routing->fits[i] = fits;
		routing->any |= fits;
		for (size_t word = 0; fits && word < words; word++)
			routing->reads[word] |= program->routes[i].reads[word];
	}
	return true;
}

/* Adds the events of a routing to the routes that fit it, before it is overwritten. */
static void settle(struct router *router, struct routing *routing)
{
	for (size_t i = 0; i < router->program->route_count && routing->events > 0; i++)
		router->events[i] += routing->fits[i] ? routing->events : 0;
	routing->events = 0;
}

/* The bytes that tell routings apart; false when they are too long to keep. */
static bool make_key(const struct logsource *source, char key[static ROUTING_KEY_MAX],
		     size_t sizes[static 3])
{
	const struct text parts[3] = {source->category, source->product, source->service};
	size_t used = 0;
	for (size_t i = 0; i < 3; i++) {
		if (parts[i].size > ROUTING_KEY_MAX - used)
			return false;
		if (parts[i].size > 0)
			memcpy(key + used, parts[i].data, parts[i].size);
		sizes[i] = parts[i].size;
		used += parts[i].size;
	}
	return true;
}

const struct routing *router_find(struct router *router, const struct logsource *source, bool count)
{
	char key[ROUTING_KEY_MAX];
	size_t sizes[3] = {0};
	struct routing *routing = &router->routings[ROUTINGS_MAX];
	bool kept = make_key(source, key, sizes);
	size_t size = kept ? sizes[0] + sizes[1] + sizes[2] : 0;
	bool known = false;
	if (kept) {
		uint64_t hash = XXH3_64bits_withSeed(key, size, sizes[0] << 8 | sizes[1]);
		routing = &router->routings[hash % ROUTINGS_MAX];
		known = routing->used && memcmp(routing->sizes, sizes, sizeof sizes) == 0 &&
			memcmp(routing->key, key, size) == 0;
	}
	if (!known) {
		settle(router, routing);
		routing->used = false;
		if (!compute(router, routing, source))
			return NULL;
		routing->used = kept;
		memcpy(routing->sizes, sizes, sizeof sizes);
		memcpy(routing->key, key, size);
	}
	routing->events += count;
	return routing;
}

uint64_t router_events(const struct router *router, uint32_t route)
{
	assert(route < router->program->route_count);
	uint64_t events = router->events[route];
	for (size_t i = 0; i <= ROUTINGS_MAX; i++)
		events += router->routings[i].fits[route] ? router->routings[i].events : 0;
	return events;
}
