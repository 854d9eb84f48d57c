/* poison - stands in front of hs_scan() of libhs, with which picket looks for literals in what a
 * message says (tests/e2e/mock_poison.sh preloads it): a bug of the library that one message in
 * many hits. "poison: crash" raises SIGSEGV, "poison: value" does so in a value but not in the
 * bytes of a whole message, "poison: hang" there says so and never returns. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <hs/hs.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static bool holds(const char *data, size_t size, const char *words)
{
	return memmem(data, size, words, strlen(words)) != NULL;
}

hs_error_t hs_scan(const hs_database_t *database, const char *data, unsigned size, unsigned flags,
		   hs_scratch_t *scratch, match_event_handler on_match, void *context)
{
	__typeof__(&hs_scan) next = NULL;
	void *found = dlsym(RTLD_NEXT, "hs_scan");
	memcpy(&next, &found, sizeof next);
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
