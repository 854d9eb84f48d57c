#include "cli/crash.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
enum { SIGNALS = sizeof signals / sizeof *signals };

/* A handler gets no argument of ours. */
static struct runtime *_Atomic watched;
static struct sigaction before[SIGNALS];

/* What was there before has the last word: as a rule the default, which ends the process. */
static void on_crash(int number)
{
	struct runtime *runtime = atomic_load(&watched);
	if (runtime != NULL)
		runtime_crashed(runtime);
	for (size_t i = 0; i < SIGNALS; i++)
		if (signals[i] == number)
			(void)sigaction(number, &before[i], NULL);
	(void)raise(number);
}

void crash_watch(struct runtime *runtime)
{
	struct runtime *last = atomic_exchange(&watched, runtime);
	struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_NODEFER};
	for (size_t i = 0; i < SIGNALS; i++)
		if (last == NULL && runtime != NULL)
			(void)sigaction(signals[i], &action, &before[i]);
		else if (last != NULL && runtime == NULL)
			(void)sigaction(signals[i], &before[i], NULL);
}
