/* poison - stands in front of functions of libraries that picket calls with what a message says
 * (tests/e2e/mock_poison.sh preloads it): bugs that one message in many hits.
 *
 * hs_scan(), by a worker with the message in hand: "poison: crash" raises SIGSEGV, "poison: value"
 * does so in a value but not in the bytes of a whole message, "poison: hang" there says so and
 * never returns. crypto_generichash_update(), by a shard that opens an alert: "poison: shard" in
 * its group. rocksdb_writebatch_put_cf(), by the committer: "poison: commit" in a row. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <hs/hs.h>
#include <rocksdb/c.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static bool holds(const char *data, size_t size, const char *words)
{
	return memmem(data, size, words, strlen(words)) != NULL;
}

/* The function that would have been called. */
static void find_next(const char *name, void *to)
{
	void *found = dlsym(RTLD_NEXT, name);
	memcpy(to, &found, sizeof found);
}

int crypto_generichash_update(crypto_generichash_state *state, const unsigned char *data,
			      unsigned long long size)
{
	__typeof__(&crypto_generichash_update) next = NULL;
	find_next("crypto_generichash_update", &next);
	if (holds((const char *)data, size, "poison: shard"))
		(void)raise(SIGSEGV);
	return next(state, data, size);
}

void rocksdb_writebatch_put_cf(rocksdb_writebatch_t *batch, rocksdb_column_family_handle_t *family,
			       const char *key, size_t key_size, const char *value,
			       size_t value_size)
{
	__typeof__(&rocksdb_writebatch_put_cf) next = NULL;
	find_next("rocksdb_writebatch_put_cf", &next);
	if (holds(value, value_size, "poison: commit"))
		(void)raise(SIGSEGV);
	next(batch, family, key, key_size, value, value_size);
}

hs_error_t hs_scan(const hs_database_t *database, const char *data, unsigned size, unsigned flags,
		   hs_scratch_t *scratch, match_event_handler on_match, void *context)
{
	__typeof__(&hs_scan) next = NULL;
	find_next("hs_scan", &next);
	bool whole = memchr(data, '{', size) != NULL;
	if (holds(data, size, "poison: crash") || (!whole && holds(data, size, "poison: value")))
		(void)raise(SIGSEGV);
	if (!whole && holds(data, size, "poison: hang")) {
		(void)!write(STDERR_FILENO, "hanging\n", strlen("hanging\n"));
		for (;;)
			(void)pause();
	}
	return next(database, data, size, flags, scratch, on_match, context);
}
