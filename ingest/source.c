#include "ingest/source.h"

#include <assert.h>
#include <xxhash.h>

/* A pure function of the names, so that every worker finds its share without asking the others and
 * a partition stays where it is as long as the number of workers does. */
unsigned source_share_of(struct text topic, int32_t partition, unsigned share_count)
{
	assert(share_count > 0);
	uint64_t hash = XXH3_64bits_withSeed(topic.data, topic.size, (uint32_t)partition);
	return (unsigned)(hash % share_count);
}

bool topic_fits(struct text topic, struct text pattern)
{
	if (pattern.size > 0 && pattern.data[pattern.size - 1] == '*')
		return text_starts(topic, (struct text){pattern.data, pattern.size - 1});
	return text_starts(topic, pattern) &&
	       (topic.size == pattern.size || topic.data[pattern.size] == '~');
}
