#include "cli/wall.h"

#include <assert.h>
#include <time.h>

int64_t wall_now_us(void)
{
	struct timespec now;
	int failed = clock_gettime(CLOCK_REALTIME, &now);
	assert(failed == 0);
	(void)failed;
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t now(void *context)
{
	(void)context;
	return wall_now_us();
}

struct wall_clock wall_clock_real(void)
{
	return (struct wall_clock){now, NULL};
}
