/* Whatever the text is, what comes out of the escape filters may go to a terminal. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/escape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Written down a second time, on purpose not shared with the filter. */
static bool is_harmless(uint32_t code, bool keep_lines)
{
	if (code == '\n')
		return keep_lines;
	if (code < 0x20 || (code >= 0x7f && code < 0xa0))
		return false;
	if ((code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e))
		return false;
	return !(code >= 0x2060 && code <= 0x206f) && code != 0xfeff && code != 0x61c &&
	       !(code >= 0xe0000 && code <= 0xe0fff);
}

static void check(struct text out, bool keep_lines)
{
	for (size_t i = 0; i < out.size;) {
		uint32_t code = 0;
		size_t size = utf8_next(out, i, &code);
		assert(size > 0);
		assert(is_harmless(code, keep_lines));
		i += size;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text in = {(const char *)data, size};
	struct bytes to = {0};
	escape_text(in, &to);
	assert(bytes_status(&to) == OK);
	check(bytes_text(&to), false);
	assert(to.size >= size || size == 0);
	bytes_clear(&to);
	escape_lines(in, &to);
	check(bytes_text(&to), true);
	bytes_clear(&to);
	escape_json(in, &to);
	check(bytes_text(&to), true);
	bytes_done(&to);
	return 0;
}
