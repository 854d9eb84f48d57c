/* json_span must find the same end however the bytes arrive: at once, or in two pieces. */
#include <stdint.h>
#include <stdlib.h>

#include "ingest/json_span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text whole = {(const char *)data, size};
	struct json_span once = {0};
	size_t used = 0;
	bool ended = json_span_feed(&once, whole, &used);
	if (ended && used > size)
		abort();
	for (size_t cut = 0; cut <= size && cut < 64; cut++) {
		struct json_span pieces = {0};
		size_t at = 0;
		bool early = json_span_feed(&pieces, (struct text){whole.data, cut}, &at);
		bool late = !early && json_span_feed(&pieces, text_cut(whole, cut), &at);
		if (late)
			at += cut;
		if ((early || late) != ended || (ended && at != used))
			abort();
	}
	return 0;
}
