#include "rules/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* A list of chunks, each of at least CHUNK_BYTES. A reset keeps the first KEEP_BYTES_MAX worth of
 * them: a message of the usual size never reaches malloc again, and one huge message does not pin
 * its memory for ever. The twin (one malloc per allocation) is the same list with chunks that hold
 * exactly one allocation and are never kept. */
enum {
	ALIGN = 16,
	CHUNK_BYTES = 64 * 1024,
	KEEP_BYTES_MAX = 1024 * 1024,
};

#ifdef PICKET_ARENA_TWIN
static const bool twin = true;
#else
static const bool twin = false;
#endif

struct chunk {
	struct chunk *next;
	size_t size; /* of data */
	size_t used;
	_Alignas(ALIGN) unsigned char data[];
};

struct arena {
	struct chunk *first;
	struct chunk *current; /* allocation goes here, then on to next */
	size_t used;
	size_t bytes_max;
};

struct arena *arena_new(size_t bytes_max)
{
	assert(bytes_max > 0);
	struct arena *arena = calloc(1, sizeof *arena);
	if (arena != NULL)
		arena->bytes_max = bytes_max;
	return arena;
}

static void chunks_free(struct chunk *chunk)
{
	while (chunk != NULL) {
		struct chunk *next = chunk->next;
		free(chunk);
		chunk = next;
	}
}

void arena_free(struct arena **arena)
{
	if (*arena == NULL)
		return;
	chunks_free((*arena)->first);
	free(*arena);
	*arena = NULL;
}

void arena_reset(struct arena *arena)
{
	size_t kept = 0;
	struct chunk **link = &arena->first;
	while (*link != NULL && !twin && kept + (*link)->size <= KEEP_BYTES_MAX) {
		kept += (*link)->size;
		(*link)->used = 0;
		link = &(*link)->next;
	}
	chunks_free(*link);
	*link = NULL;
	arena->current = arena->first;
	arena->used = 0;
}

/* A chunk with room for size bytes, behind the current one; NULL when out of memory. */
static struct chunk *chunk_with_room(struct arena *arena, size_t size)
{
	struct chunk *chunk = arena->current;
	while (chunk != NULL && chunk->size - chunk->used < size && chunk->next != NULL)
		chunk = chunk->next;
	if (chunk != NULL && chunk->size - chunk->used >= size)
		return arena->current = chunk;

	size_t data_size = twin || size > CHUNK_BYTES ? size : CHUNK_BYTES;
	struct chunk *fresh = malloc(sizeof *fresh + data_size);
	if (fresh == NULL)
		return NULL;
	*fresh = (struct chunk){.size = data_size};
	if (chunk == NULL)
		arena->first = fresh;
	else
		chunk->next = fresh;
	return arena->current = fresh;
}

void *arena_room(struct arena *arena, size_t size)
{
	if (size > arena->bytes_max - arena->used)
		return NULL;
	/* The twin keeps the exact size, so that one byte too far is already an overrun. */
	size_t rounded = twin ? (size == 0 ? 1 : size) : (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	struct chunk *chunk = chunk_with_room(arena, rounded);
	if (chunk == NULL)
		return NULL;
	void *memory = chunk->data + chunk->used;
	chunk->used += rounded;
	arena->used += size;
	assert(((uintptr_t)memory & (ALIGN - 1)) == 0);
	return memory;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	void *memory = arena_room(arena, size);
	return memory == NULL ? NULL : memset(memory, 0, size);
}

struct text arena_copy(struct arena *arena, struct text t)
{
	char *copy = arena_room(arena, t.size + 1);
	if (copy == NULL)
		return (struct text){0};
	if (t.size > 0)
		memcpy(copy, t.data, t.size);
	copy[t.size] = '\0';
	return (struct text){copy, t.size};
}

struct text arena_print(struct arena *arena, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	assert(length >= 0);
	char *copy = arena_room(arena, (size_t)length + 1);
	if (copy == NULL)
		return (struct text){0};
	va_start(args, format);
	(void)vsnprintf(copy, (size_t)length + 1, format, args);
	va_end(args);
	return (struct text){copy, (size_t)length};
}

size_t arena_used(const struct arena *arena)
{
	return arena->used;
}
