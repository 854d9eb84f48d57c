#include "ingest/knowledge.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <xxhash.h>

struct knowledge {
	atomic_size_t holders;
	struct geo *geo[KNOWLEDGE_GEO_MAX];
	size_t geo_count;
	struct watch *watch;
};

struct knowledge_desk {
	pthread_mutex_t mutex;
	struct knowledge *current;
	_Atomic(struct knowledge *) seen; /* = current: asked without the lock, never followed */
};

static void destroy(struct knowledge *knowledge)
{
	for (size_t i = 0; i < knowledge->geo_count; i++)
		geo_free(&knowledge->geo[i]);
	watch_free(&knowledge->watch);
	free(knowledge);
}

void knowledge_drop(struct knowledge **knowledge)
{
	struct knowledge *old = *knowledge;
	*knowledge = NULL;
	if (old != NULL && atomic_fetch_sub(&old->holders, 1) == 1)
		destroy(old);
}

enum status knowledge_load(const struct knowledge_options *options,
			   struct knowledge **ret_knowledge, struct error *err)
{
	struct knowledge *knowledge cleanup(knowledge_drop) = calloc(1, sizeof *knowledge);
	if (knowledge == NULL)
		return error_set(err, ENOMEMORY, "no memory for lists");
	atomic_init(&knowledge->holders, 1);
	if (options->geo.count > KNOWLEDGE_GEO_MAX)
		return error_set(err, ELIMIT, "more than %d GeoIP databases", KNOWLEDGE_GEO_MAX);
	enum status status = watch_new(&knowledge->watch, err);
	for (size_t i = 0; status == OK && i < options->geo.count; i++) {
		status = geo_open(options->geo.items[i], &knowledge->geo[i], err);
		knowledge->geo_count += status == OK;
	}
	for (size_t i = 0; status == OK && i < options->threats.count; i++)
		status = watch_add(knowledge->watch, options->threats.items[i], true,
				   options->ttl_us, err);
	for (size_t i = 0; status == OK && i < options->networks.count; i++)
		status = watch_add(knowledge->watch, options->networks.items[i], false, 0, err);
	if (status == OK)
		status = watch_seal(knowledge->watch, err);
	if (status == OK)
		*ret_knowledge = TAKE(knowledge);
	return status;
}

size_t knowledge_geo_count(const struct knowledge *knowledge)
{
	return knowledge->geo_count;
}

const struct geo *knowledge_geo(const struct knowledge *knowledge, size_t index)
{
	assert(index < knowledge->geo_count);
	return knowledge->geo[index];
}

const struct watch *knowledge_watch(const struct knowledge *knowledge)
{
	return knowledge->watch;
}

void knowledge_place(const struct knowledge *knowledge,
		     const unsigned char address[static CIDR_ADDRESS_BYTES],
		     struct geo_place *ret_place)
{
	struct geo_place place = {0};
	for (size_t i = 0; i < knowledge->geo_count; i++)
		geo_lookup(knowledge->geo[i], address, &place);
	*ret_place = place;
}

static uint64_t fingerprint_of(const char *path, uint64_t seed)
{
	char manifest[4096];
	struct stat about = {0};
	if (stat(path, &about) == 0 && S_ISDIR(about.st_mode) &&
	    (size_t)snprintf(manifest, sizeof manifest, "%s/manifest.json", path) < sizeof manifest)
		return fingerprint_of(manifest, seed);
	const int64_t facts[] = {(int64_t)about.st_ino, (int64_t)about.st_size,
				 (int64_t)about.st_mtim.tv_sec, (int64_t)about.st_mtim.tv_nsec};
	return XXH3_64bits_withSeed(facts, sizeof facts, seed);
}

uint64_t knowledge_fingerprint(const struct knowledge_options *options)
{
	const struct paths *const all[] = {&options->geo, &options->threats, &options->networks};
	uint64_t hash = 0;
	for (size_t k = 0; k < sizeof all / sizeof *all; k++)
		for (size_t i = 0; i < all[k]->count; i++)
			hash = fingerprint_of(all[k]->items[i], hash);
	return hash;
}

enum status knowledge_desk_new(struct knowledge_desk **ret_desk, struct error *err)
{
	struct knowledge_desk *desk = calloc(1, sizeof *desk);
	if (desk == NULL)
		return error_set(err, ENOMEMORY, "no memory for lists");
	int failed = pthread_mutex_init(&desk->mutex, NULL);
	assert(failed == 0);
	(void)failed;
	*ret_desk = desk;
	return OK;
}

void knowledge_desk_free(struct knowledge_desk **desk)
{
	if (*desk == NULL)
		return;
	knowledge_drop(&(*desk)->current);
	(void)pthread_mutex_destroy(&(*desk)->mutex);
	free(*desk);
	*desk = NULL;
}

void knowledge_desk_put(struct knowledge_desk *desk, struct knowledge **knowledge)
{
	(void)pthread_mutex_lock(&desk->mutex);
	struct knowledge *old = desk->current;
	desk->current = TAKE(*knowledge);
	atomic_store(&desk->seen, desk->current);
	(void)pthread_mutex_unlock(&desk->mutex);
	knowledge_drop(&old);
}

bool knowledge_desk_take(struct knowledge_desk *desk, struct knowledge **held)
{
	/* Who holds a knowledge keeps its address from being used again: equal means the same. */
	if (atomic_load_explicit(&desk->seen, memory_order_relaxed) == *held)
		return false;
	(void)pthread_mutex_lock(&desk->mutex);
	struct knowledge *fresh = desk->current;
	if (fresh != NULL)
		(void)atomic_fetch_add(&fresh->holders, 1);
	(void)pthread_mutex_unlock(&desk->mutex);
	knowledge_drop(held);
	*held = fresh;
	return true;
}
