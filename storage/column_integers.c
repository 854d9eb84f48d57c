/* Integers of a column: written, and read, all of them or those at some places without making the
 * others. column_encode.c describes the format. Differences are added up to the last place that is
 * wanted, which is still cheaper than writing all of them down. Nothing here trusts a number that
 * was read.
 */
#include "storage/columnar_private.h"

/* The value i of planes of `size` bytes each. */
static uint64_t plane_value(const unsigned char *planes, size_t size, unsigned width, size_t i)
{
	uint64_t value = 0;
	for (unsigned k = 0; k < width; k++)
		value |= (uint64_t)planes[k * size + i] << (8 * k);
	return value;
}

/* Integers as they stand in a payload. */
struct integers {
	enum integer_mode mode;
	int64_t base, smallest;
	unsigned width;
	size_t count, plane_size;
	const unsigned char *planes;
};

static bool integers_open(struct cursor *from, size_t count, struct integers *ret_integers)
{
	uint8_t mode = cursor_u8(from);
	struct integers integers = {.base = cursor_signed(from), .count = count};
	if (from->failed || mode >= INTEGERS_MODE_COUNT)
		return false;
	integers.mode = (enum integer_mode)mode;
	if (mode != INTEGERS_CONSTANT) {
		bool delta = mode == INTEGERS_DELTA;
		integers.smallest = delta ? cursor_signed(from) : integers.base;
		integers.width = cursor_u8(from);
		if (integers.width > sizeof(int64_t))
			return false;
		integers.plane_size = count - (delta ? 1 : 0);
		struct text planes = cursor_take(from, integers.width * integers.plane_size);
		integers.planes = (const unsigned char *)planes.data;
	}
	*ret_integers = integers;
	return !from->failed;
}

static void integers_all(const struct integers *integers, int64_t *values)
{
	size_t first = integers->mode == INTEGERS_DELTA ? 1 : 0;
	for (size_t i = 0; i < integers->plane_size; i++)
		values[first + i] = (int64_t)(plane_value(integers->planes, integers->plane_size,
							  integers->width, i) +
					      (uint64_t)integers->smallest);
	if (integers->mode == INTEGERS_OFFSET)
		return;
	values[0] = integers->base;
	for (size_t i = 1; i < integers->count; i++)
		values[i] = (int64_t)((uint64_t)values[i] + (uint64_t)values[i - 1]);
}

static void integers_some(const struct integers *integers, const struct column_picks *picks,
			  int64_t *values)
{
	uint64_t sum = (uint64_t)integers->base;
	size_t at = 0; /* of the sum */
	for (size_t i = 0; i < picks->count; i++) {
		size_t place = picks->places[i];
		if (integers->mode == INTEGERS_OFFSET)
			sum = plane_value(integers->planes, integers->plane_size, integers->width,
					  place) +
			      (uint64_t)integers->smallest;
		for (; integers->mode == INTEGERS_DELTA && at < place; at++)
			sum += plane_value(integers->planes, integers->plane_size, integers->width,
					   at) +
			       (uint64_t)integers->smallest;
		values[i] = (int64_t)sum;
	}
}

bool integers_take(struct cursor *from, size_t count, const struct column_picks *picks,
		   int64_t *values)
{
	struct integers integers;
	if (count == 0)
		return true;
	if (!integers_open(from, count, &integers))
		return false;
	if (picks != NULL)
		integers_some(&integers, picks, values);
	else if (integers.mode != INTEGERS_CONSTANT)
		integers_all(&integers, values);
	for (size_t i = 0; picks == NULL && integers.mode == INTEGERS_CONSTANT && i < count; i++)
		values[i] = integers.base;
	return true;
}

static uint64_t minus(int64_t a, int64_t b)
{
	return (uint64_t)a - (uint64_t)b;
}

static unsigned width_of(uint64_t range)
{
	unsigned width = 0;
	for (; range > 0; range >>= 8)
		width++;
	return width;
}

static void planes_put(struct bytes *to, const int64_t *values, size_t count, bool delta,
		       int64_t smallest, unsigned width)
{
	size_t first = delta ? 1 : 0;
	size_t size = count - first;
	bytes_put_u8(to, (uint8_t)width);
	if (!bytes_reserve(to, width * size))
		return;
	unsigned char *at = to->data + to->size;
	for (size_t i = 0; i < size; i++) {
		int64_t value = values[i + first];
		if (delta)
			value = (int64_t)minus(value, values[i]);
		uint64_t rest = minus(value, smallest);
		for (unsigned k = 0; k < width; k++, rest >>= 8)
			at[k * size + i] = (unsigned char)rest;
	}
	to->size += width * size;
}

void integers_put(struct bytes *to, const int64_t *values, size_t count)
{
	if (count == 0)
		return;
	int64_t smallest = values[0];
	int64_t largest = values[0];
	int64_t least = INT64_MAX; /* difference */
	int64_t most = INT64_MIN;
	for (size_t i = 1; i < count; i++) {
		int64_t difference = (int64_t)minus(values[i], values[i - 1]);
		smallest = values[i] < smallest ? values[i] : smallest;
		largest = values[i] > largest ? values[i] : largest;
		least = difference < least ? difference : least;
		most = difference > most ? difference : most;
	}
	if (smallest == largest) {
		bytes_put_u8(to, INTEGERS_CONSTANT);
		bytes_put_signed(to, smallest);
		return;
	}
	unsigned offset_width = width_of(minus(largest, smallest));
	unsigned delta_width = width_of(minus(most, least));
	if (delta_width < offset_width) {
		bytes_put_u8(to, INTEGERS_DELTA);
		bytes_put_signed(to, values[0]);
		bytes_put_signed(to, least);
		planes_put(to, values, count, true, least, delta_width);
		return;
	}
	bytes_put_u8(to, INTEGERS_OFFSET);
	bytes_put_signed(to, smallest);
	planes_put(to, values, count, false, smallest, offset_width);
}
