/* spill_memory - somebody who keeps what an actor spills, in a list, and can be made to fail.
 *
 * Why: with a budget of one byte every cell is packed and spilled at every close, and read back at
 * its next record: whatever is said then must be what is said without. Owner: the test. */
#ifndef PICKET_TESTS_CORRELATE_SPILL_MEMORY_H
#define PICKET_TESTS_CORRELATE_SPILL_MEMORY_H

#include <assert.h>
#include <stdlib.h>

#include "correlate/spill.h"

struct spill_row {
	struct cell_key key;
	struct bytes bytes;
};

struct spill_memory {
	struct spill_row *rows;
	size_t count;
	size_t stored;  /* so far */
	size_t fail_at; /* the n-th store() from now fails; 0: none */
	bool lose;      /* fetch() fails */
	struct spill spill;
};

static inline size_t spill_find(const struct spill_memory *memory, const struct cell_key *key)
{
	size_t at = 0;
	while (at < memory->count && memcmp(&memory->rows[at].key, key, sizeof *key) != 0)
		at++;
	return at;
}

static inline void spill_memory_drop(void *context, const struct cell_key *key)
{
	struct spill_memory *memory = context;
	size_t at = spill_find(memory, key);
	assert(at < memory->count);
	bytes_done(&memory->rows[at].bytes);
	memory->rows[at] = memory->rows[--memory->count];
}

static inline enum status spill_memory_store(void *context, const struct spilled *cells,
					     size_t count, struct error *err)
{
	struct spill_memory *memory = context;
	if (memory->fail_at > 0 && --memory->fail_at == 0)
		return error_set(err, ENOSPACE, "no room for cells");
	memory->rows = realloc(memory->rows, (memory->count + count) * sizeof *memory->rows);
	assert(memory->rows != NULL);
	for (size_t i = 0; i < count; i++) {
		struct spill_row row = {.key = cells[i].key};
		assert(spill_find(memory, &row.key) == memory->count);
		bytes_put(&row.bytes, cells[i].bytes.data, cells[i].bytes.size);
		memory->rows[memory->count++] = row;
	}
	memory->stored += count;
	return OK;
}

static inline enum status spill_memory_fetch(void *context, const struct cell_key *key,
					     struct bytes *ret_bytes, struct error *err)
{
	struct spill_memory *memory = context;
	size_t at = spill_find(memory, key);
	if (memory->lose || at == memory->count)
		return error_set(err, ECORRUPT, "a cell is not there");
	bytes_clear(ret_bytes);
	bytes_put(ret_bytes, memory->rows[at].bytes.data, memory->rows[at].bytes.size);
	return bytes_status(ret_bytes);
}

static inline void spill_memory_init(struct spill_memory *memory)
{
	*memory = (struct spill_memory){0};
	memory->spill =
		(struct spill){memory, spill_memory_store, spill_memory_fetch, spill_memory_drop};
}

static inline void spill_memory_done(struct spill_memory *memory)
{
	for (size_t i = 0; i < memory->count; i++)
		bytes_done(&memory->rows[i].bytes);
	free(memory->rows);
	*memory = (struct spill_memory){0};
}

#endif
