/* What the stateless stage hands on: rows for the batch, records by actor. */
#include <assert.h>
#include <stdlib.h>

#include "ingest/detect.h"

enum status detected_init(struct detected *detected, unsigned actor_count)
{
	assert(actor_count > 0);
	*detected = (struct detected){.actor_count = actor_count};
	detected->records = calloc(actor_count, sizeof *detected->records);
	detected->aggregates = calloc(actor_count, sizeof *detected->aggregates);
	detected->sightings = calloc(actor_count, sizeof *detected->sightings);
	if (detected->records == NULL || detected->aggregates == NULL ||
	    detected->sightings == NULL) {
		detected_done(detected);
		return ENOMEMORY;
	}
	return OK;
}

void detected_done(struct detected *detected)
{
	for (unsigned i = 0; detected->records != NULL && i < detected->actor_count; i++)
		bytes_done(&detected->records[i]);
	for (unsigned i = 0; detected->aggregates != NULL && i < detected->actor_count; i++)
		bytes_done(&detected->aggregates[i]);
	for (unsigned i = 0; detected->sightings != NULL && i < detected->actor_count; i++)
		bytes_done(&detected->sightings[i]);
	free(detected->records);
	free(detected->sightings);
	free(detected->aggregates);
	bytes_done(&detected->rows);
	*detected = (struct detected){0};
}

size_t detected_bytes(const struct detected *detected)
{
	size_t sum = detected->rows.size;
	for (unsigned i = 0; i < detected->actor_count; i++)
		sum += detected->records[i].size + detected->aggregates[i].size +
		       detected->sightings[i].size;
	return sum;
}

void rows_put(struct bytes *rows, enum store_family family, struct text key, struct text value)
{
	bytes_put_u8(rows, (uint8_t)family);
	bytes_put_text(rows, key);
	bytes_put_text(rows, value);
}

bool rows_next(struct cursor *rows, enum store_family *ret_family, struct text *ret_key,
	       struct text *ret_value)
{
	if (cursor_left(rows) == 0)
		return false;
	*ret_family = (enum store_family)cursor_u8(rows);
	*ret_key = cursor_text(rows);
	*ret_value = cursor_text(rows);
	assert(!rows->failed && *ret_family < FAMILY_COUNT); /* we wrote it ourselves */
	return true;
}
