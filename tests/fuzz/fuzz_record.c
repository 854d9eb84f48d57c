/* Match records as bytes: what decodes must encode to a record that decodes to the same. */
#include <assert.h>

#include "correlate/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor from = cursor_of((struct text){(const char *)data, size});
	struct match_record record;
	struct error err;
	while (cursor_left(&from) > 0 && record_decode(&from, &record, &err) == OK) {
		struct bytes once cleanup(bytes_done) = {0};
		struct bytes twice cleanup(bytes_done) = {0};
		struct match_record again;
		record_encode(&record, &once);
		struct cursor back = cursor_of(bytes_text(&once));
		enum status status = record_decode(&back, &again, &err);
		assert(status == OK && cursor_left(&back) == 0);
		record_encode(&again, &twice);
		assert(text_equal(bytes_text(&once), bytes_text(&twice)));
	}
	return 0;
}
