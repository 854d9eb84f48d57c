/* Merged blocks. The first byte says which payload the rest is: of a column (its tag and how many
 * values it claims stand in the next two bytes), of a summary, of a bloom; or the rest is part 0 of
 * a block behind a header and a checksum that are right, for no other input would get there. */
#include "storage/columnar_private.h"

#include <assert.h>
#include <xxhash.h>

#include "storage/bloom.h"
#include "storage/summary.h"

enum { ARENA_BYTES = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int64_t times[256];

/* What is read of every third value alone is what it was among all. */
static void same_when_picked(struct text payload, const struct column_content *all,
			     struct arena *arena)
{
	uint32_t places[256];
	struct column_picks picks = {.places = places};
	for (uint32_t i = 1; i < all->count; i += 3)
		places[picks.count++] = i;
	const struct column_rows rows = {times, all->count, &picks};
	struct column_content some = {.tag = all->tag, .count = all->count};
	bool memory = true;
	if (!column_decode(payload, &rows, arena, &some, &memory)) {
		assert(!memory);
		return;
	}
	assert(some.count == picks.count && some.codes == NULL);
	for (size_t i = 0; i < picks.count; i++) {
		assert(all->numbers == NULL || some.numbers[i] == all->numbers[places[i]]);
		assert(all->texts == NULL || text_equal(some.texts[i], all->texts[places[i]]));
	}
}

static void read_column(struct text rest)
{
	if (rest.size < 2)
		return;
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct column_content content = {
		.tag = (enum column_tag)((unsigned char)rest.data[0] % COLUMN_TAG_COUNT),
		.count = 1 + (unsigned char)rest.data[1]};
	bool memory = true;
	size_t bytes = 0;
	const struct column_rows rows = {times, content.count, NULL};
	if (!column_decode(text_cut(rest, 2), &rows, arena, &content, &memory))
		return;
	same_when_picked(text_cut(rest, 2), &content, arena);
	for (size_t i = 0; content.texts != NULL && i < content.count; i++)
		for (size_t k = 0; k < content.texts[i].size; k++)
			bytes += (unsigned char)content.texts[i].data[k];
	for (size_t i = 0; content.numbers != NULL && i < content.count; i++)
		bytes ^= (size_t)content.numbers[i];
	__asm__ volatile("" : : "r"(bytes)); /* every byte was read */
}

static void read_summary(struct text rest)
{
	struct error err = {0};
	struct bytes row cleanup(bytes_done) = {0};
	struct summary summary;
	struct summary_range range;
	struct summary_column column;
	bytes_put_u8(&row, 1);
	bytes_put_u64le(&row, XXH3_64bits(rest.data, rest.size));
	bytes_put(&row, rest.data, rest.size);
	if (bloom_check(bytes_text(&row)))
		(void)bloom_may_hold(bytes_text(&row), XXH3_64bits(rest.data, rest.size));
	if (summary_open(bytes_text(&row), &summary, &err) != OK)
		return;
	while (summary_range_next(&summary.ranges, &range))
		continue;
	while (summary_column_next(&summary.columns, &column))
		for (size_t i = 0; i < column.entry_count; i++)
			(void)cursor_text(&column.entries);
}

static void read_block(struct text rest)
{
	struct error err = {0};
	struct store *store cleanup(store_free) = NULL;
	struct store_view *view cleanup(store_view_free) = NULL;
	struct columnar_reader *reader cleanup(columnar_reader_free) = NULL;
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes part cleanup(bytes_done) = {0};
	struct columnar_key words = {CLASS_ACCESS, 0, TEXT("t"), 0, {TEXT("logs"), 0, 0, 1}, 7};
	if (rest.size == 0 || store_open_memory(&store, &err) != OK)
		return;
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	columnar_key_encode(&words, &key);
	bytes_put(&part, "PCB\1", 4);
	size_t summed = part.size;
	bytes_put_u64le(&part, 0);
	bytes_put_u32le(&part, 1u + (unsigned char)rest.data[0]);
	bytes_put(&part, "\0\0", 2);
	bytes_put_u32le(&part, (uint32_t)rest.size - 1);
	bytes_put_u8(&part, 0);
	bytes_put(&part, rest.data + 1, rest.size - 1);
	uint64_t sum = XXH3_64bits(part.data + summed + 8, part.size - summed - 8);
	memcpy(part.data + summed, &sum, sizeof sum);
	struct bytes row cleanup(bytes_done) = {0};
	bytes_put(&row, key.data, key.size);
	bytes_put(&row, "\0\0", 2);
	store_batch_put(batch, FAMILY_BLOCK, bytes_text(&row), bytes_text(&part));
	if (store_batch_commit(batch, false, &err) != OK ||
	    store_view_new(store, &view, &err) != OK)
		return;
	enum status status = columnar_open(view, bytes_text(&key), &reader, &err);
	for (size_t i = 0; status == OK && i < columnar_count(reader); i++) {
		struct event event;
		struct bytes json cleanup(bytes_done) = {0};
		arena_reset(arena);
		status = columnar_event(reader, i, arena, &event, &err);
		if (status == OK)
			event_json(&event, &json);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct text rest = {(const char *)data + 1, size - 1};
	switch (data[0] % 3) {
	case 0:
		read_column(rest);
		break;
	case 1:
		read_summary(rest);
		break;
	default:
		read_block(rest);
	}
	return 0;
}
