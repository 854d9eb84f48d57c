/* Keys and values of rows. The first byte chooses the row, the second how much of the rest is the
 * key. What decodes must come out the same once it has been encoded again. */
#include <assert.h>
#include <stdlib.h>

#include "storage/block.h"
#include "storage/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_position(struct text key, struct text value)
{
	struct error err = {0};
	struct position_row row;
	struct position_row again;
	struct bytes key_again cleanup(bytes_done) = {0};
	struct bytes value_again cleanup(bytes_done) = {0};
	if (position_decode(key, value, &row, &err) != OK)
		return;
	position_key(row.topic, row.partition, &key_again);
	position_encode(&row, &value_again);
	assert(text_equal(bytes_text(&key_again), key));
	enum status status =
		position_decode(bytes_text(&key_again), bytes_text(&value_again), &again, &err);
	assert(status == OK && text_equal(again.topic, row.topic));
	assert(again.next_offset == row.next_offset && again.hole_offsets == row.hole_offsets);
}

static void check_epoch(struct text value)
{
	struct error err = {0};
	struct epoch_row row;
	struct epoch_row again;
	struct bytes value_again cleanup(bytes_done) = {0};
	if (epoch_decode(value, &row, &err) != OK)
		return;
	epoch_encode(&row, &value_again);
	enum status status = epoch_decode(bytes_text(&value_again), &again, &err);
	assert(status == OK && memcmp(&again, &row, sizeof row) == 0);
}

static void check_identity(struct text value)
{
	struct error err = {0};
	struct identity_row row;
	struct bytes value_again cleanup(bytes_done) = {0};
	if (identity_decode(value, &row, &err) != OK)
		return;
	identity_encode(&row, &value_again);
	enum status status = identity_decode(bytes_text(&value_again), &row, &err);
	assert(status == OK);
}

static void check_quarantine(struct text key, struct text value)
{
	struct error err = {0};
	struct quarantine_row row;
	struct quarantine_row again;
	struct bytes key_again cleanup(bytes_done) = {0};
	struct bytes value_again cleanup(bytes_done) = {0};
	if (quarantine_decode(key, value, &row, &err) != OK)
		return;
	quarantine_key(&row.origin, &key_again);
	quarantine_encode(&row, &value_again);
	assert(text_equal(bytes_text(&key_again), key));
	enum status status =
		quarantine_decode(bytes_text(&key_again), bytes_text(&value_again), &again, &err);
	assert(status == OK && text_equal(again.raw, row.raw));
}

static void check_registry(struct text key, size_t name_count)
{
	struct error err = {0};
	char kind = 0;
	struct text names[4];
	int64_t time_us = 0;
	struct bytes key_again cleanup(bytes_done) = {0};
	if (registry_key_decode(key, &kind, names, name_count, &time_us, &err) != OK)
		return;
	registry_key(kind, names, name_count, time_us, &key_again);
	assert(text_equal(bytes_text(&key_again), key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	size_t key_size = data[1] < size - 2 ? data[1] : size - 2;
	struct text key = {(const char *)data + 2, key_size};
	struct text value = {(const char *)data + 2 + key_size, size - 2 - key_size};
	struct error err = {0};
	struct block_meta meta;
	uint64_t epoch = 0;
	char kind = 0;
	switch (data[0] % 11) {
	case 0:
		check_position(key, value);
		break;
	case 1:
		check_epoch(value);
		break;
	case 2:
		check_identity(value);
		break;
	case 3:
		check_quarantine(key, value);
		break;
	case 4:
		(void)!match_key_decode(key, &epoch, &kind, &err);
		break;
	case 5:
		(void)!block_meta_decode(value, &meta, &err);
		break;
	default:
		check_registry(key, data[0] % 11u - 6);
	}
	return 0;
}
