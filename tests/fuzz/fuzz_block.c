/* Blocks. The first byte chooses: even = the rest is a block as stored; odd = the rest is the
 * content of one, behind a header and a checksum that are right (else no input would ever get
 * there), and the byte above the lowest bit says how many events it claims. */
#include "storage/block.h"

#include "tests/storage/wrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_block(struct text block)
{
	struct error err = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct arena *arena cleanup(arena_free) = arena_new(64 << 20);
	struct block_reader *reader cleanup(block_reader_free) = NULL;
	block_key(TEXT("logs"), 3, 1000, 0, &key);
	enum status status = block_open(bytes_text(&key), block, &reader, &err);
	bool more = status == OK;
	while (more) {
		struct event event;
		struct bytes json cleanup(bytes_done) = {0};
		arena_reset(arena);
		status = block_next(reader, arena, &event, &more, &err);
		if (status != OK)
			break;
		if (more)
			event_json(&event, &json);
	}
	assert(status == OK || err.text[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct text rest = {(const char *)data + 1, size - 1};
	if (data[0] % 2 == 0) {
		read_block(rest);
		return 0;
	}
	struct bytes block cleanup(bytes_done) = {0};
	wrap_content(rest, data[0] / 2u, &block);
	read_block(bytes_text(&block));
	return 0;
}
