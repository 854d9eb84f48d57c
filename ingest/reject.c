#include <assert.h>

#include "ingest/decode.h"

static const struct {
	const char *name, *text;
} rejects[REJECT_COUNT] = {
	[ACCEPTED] = {"accepted", "it is an event"},
#define REJECT(id, word, words) [REJECT_##id] = {word, words},
#include "ingest/reject.def"
#undef REJECT
};

const char *reject_name(enum reject why)
{
	assert(why < REJECT_COUNT);
	return rejects[why].name;
}

const char *reject_text(enum reject why)
{
	assert(why < REJECT_COUNT);
	return rejects[why].text;
}
