/* What kinds of rows a merged block has: which log source, which fields. All of that is in part 0
 * and the two columns of heads and shapes, so that a question about names reads no values: a block
 * of four thousand events is some ten kinds. */
#include "storage/columnar_reader_private.h"

static bool logsource_equal(const struct logsource *a, const struct logsource *b)
{
	return text_equal(a->category, b->category) && text_equal(a->product, b->product) &&
	       text_equal(a->service, b->service);
}

/* The kind of that shape and log source; a new one when there is none. */
static struct columnar_kind *kind_of(struct columnar_kind *kinds, size_t *count, uint32_t *of_shape,
				     const struct event *event, const struct logsource *sources)
{
	uint32_t *link = of_shape;
	for (; *link != 0; link = &kinds[*link - 1].next)
		if (logsource_equal(&sources[*link - 1], &event->logsource))
			return &kinds[*link - 1];
	*link = (uint32_t)++ * count;
	return &kinds[*count - 1];
}

enum status columnar_kinds(struct columnar_reader *reader, int64_t since_us, int64_t until_us,
			   const struct columnar_kind **ret_kinds, size_t *ret_count,
			   struct error *err)
{
	const int64_t *shapes = reader->system[SYSTEM_SHAPE].content.numbers;
	struct arena *arena = reader->arena;
	struct columnar_kind *kinds = arena_alloc(arena, reader->count * sizeof *kinds);
	struct logsource *sources = arena_alloc(arena, reader->count * sizeof *sources);
	uint32_t *of_shapes = arena_alloc(arena, (reader->shape_count + 1) * sizeof *of_shapes);
	size_t count = 0;
	if (kinds == NULL || sources == NULL || of_shapes == NULL)
		return columnar_no_memory(reader, err);
	for (size_t row = 0; row < reader->count; row++) {
		struct event event;
		int64_t time_us = columnar_time(reader, row);
		if (time_us < since_us || time_us > until_us)
			continue;
		enum status status = columnar_head(reader, row, &event, err);
		if (status != OK)
			return status;
		struct columnar_kind *kind =
			kind_of(kinds, &count, &of_shapes[shapes[row]], &event, sources);
		if (kind->count++ == 0) {
			kind->first_row = (uint32_t)row;
			sources[count - 1] = event.logsource;
		}
	}
	*ret_kinds = kinds;
	*ret_count = count;
	return OK;
}

enum status columnar_names(struct columnar_reader *reader, size_t row, struct arena *arena,
			   struct event *ret_event, struct error *err)
{
	struct event event;
	enum status status = columnar_head(reader, row, &event, err);
	if (status != OK)
		return status;
	const struct read_shape *shape =
		&reader->shapes[reader->system[SYSTEM_SHAPE].content.numbers[row]];
	event.fields = arena_alloc(arena, (shape->count + 1) * sizeof *event.fields);
	if (event.fields == NULL)
		return columnar_no_memory(reader, err);
	for (size_t i = 0; i < shape->count; i++) {
		const struct column_info *info =
			&reader->columns[reader->shape_columns[shape->start + i]].info;
		event.fields[i] = (struct field){info->name, info->id, {.type = VALUE_NULL}};
	}
	event.field_count = event.field_capacity = shape->count;
	*ret_event = event;
	return OK;
}
