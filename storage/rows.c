/* Keys and values of the typed rows (rows.h says which rows there are).
 *
 * Key:    position    's' name(topic) be32(partition)      in FAMILY_POSITION
 *         epoch       'e'                                   in FAMILY_POSITION
 *         identity    'i'                                   in FAMILY_POSITION
 *         quarantine  name(topic) be32(partition) be64(offset) be32(index)
 *         match       be64(epoch) u8(kind) be32(worker) be32(actor)
 *         cell        u8(kind) u8(virtual partition)
 *         alert       u8(kind) id                           the id runs to the end of the key, so
 *                                                           that a scan finds an abbreviated one
 *         outbox      be64(sequence)
 *         registry    u8(kind) name... [be64(time)]
 * name = be16 size, bytes (key.c says what becomes of a very long one).
 *
 * Value: u8 version (ROW_VERSION), then the fields in the order of the struct: varint for counts,
 * zigzag varint for times and offsets, text for texts, raw bytes for the two 16-byte secrets.
 * A reader takes its own version only, wants every byte used, and checks what the fields promise
 * each other (records = stored + quarantined): a row that breaks it is ECORRUPT and never a
 * number somebody counts on. A new field means a new version and a second branch in the reader. */
#include "storage/rows.h"

#include <assert.h>

#include "storage/key_private.h"

enum { ROW_VERSION = 1, REGISTRY_NAMES_MAX = 4 };

static struct cursor value_start(struct text value)
{
	struct cursor from = cursor_of(value);
	if (cursor_u8(&from) != ROW_VERSION)
		from.failed = true;
	return from;
}

/* OK when the cursor stands exactly behind the last field and the row makes sense. */
static enum status row_end(const struct cursor *from, bool sensible, const char *what,
			   struct text key, struct error *err)
{
	if (!from->failed && cursor_left(from) == 0 && sensible)
		return OK;
	char words[KEY_WORDS_MAX];
	return error_set(err, ECORRUPT, "the %s row with the key %s does not decode", what,
			 key_words(key, words));
}

void position_key(struct text topic, int32_t partition, struct bytes *to)
{
	assert(partition >= 0);
	bytes_put_u8(to, 's');
	key_put_name(to, topic);
	bytes_put_be32(to, (uint32_t)partition);
}

void log_name(struct text topic, uint32_t incarnation, struct bytes *to)
{
	bytes_write(to, topic);
	if (incarnation > 0)
		bytes_print(to, "~%llu", (unsigned long long)incarnation + 1);
}

void position_encode(const struct position_row *row, struct bytes *to)
{
	assert(row->records == row->stored + row->quarantined);
	bytes_put_u8(to, ROW_VERSION);
	bytes_put_signed(to, row->next_offset);
	bytes_put_signed(to, row->backfill_until);
	bytes_put_signed(to, row->watermark_us);
	bytes_put_signed(to, row->tick_us);
	bytes_put_varint(to, row->messages);
	bytes_put_varint(to, row->records);
	bytes_put_varint(to, row->stored);
	bytes_put_varint(to, row->quarantined);
	bytes_put_varint(to, row->late);
	bytes_put_varint(to, row->gap_offsets);
	bytes_put_varint(to, row->hole_offsets);
	bytes_put_varint(to, row->incarnation);
	bytes_put_signed(to, row->jump_us);
}

static bool position_key_take(struct text key, struct position_row *row)
{
	struct cursor from = cursor_of(key);
	bool ours = cursor_u8(&from) == 's';
	row->topic = key_take_name(&from);
	uint32_t partition = cursor_be32(&from);
	row->partition = (int32_t)(partition & INT32_MAX);
	return ours && partition <= INT32_MAX && !from.failed && cursor_left(&from) == 0;
}

enum status position_decode(struct text key, struct text value, struct position_row *ret_row,
			    struct error *err)
{
	struct position_row row = {0};
	struct cursor from = value_start(value);
	row.next_offset = cursor_signed(&from);
	row.backfill_until = cursor_signed(&from);
	row.watermark_us = cursor_signed(&from);
	row.tick_us = cursor_signed(&from);
	row.messages = cursor_varint(&from);
	row.records = cursor_varint(&from);
	row.stored = cursor_varint(&from);
	row.quarantined = cursor_varint(&from);
	row.late = cursor_varint(&from);
	row.gap_offsets = cursor_varint(&from);
	row.hole_offsets = cursor_varint(&from);
	uint64_t incarnation = cursor_varint(&from);
	row.incarnation = (uint32_t)incarnation;
	row.jump_us = cursor_left(&from) > 0 ? cursor_signed(&from) : INT64_MIN;
	bool sensible = position_key_take(key, &row) && row.next_offset >= 0 &&
			incarnation < UINT32_MAX && row.records == row.stored + row.quarantined;
	enum status status = row_end(&from, sensible, "position", key, err);
	if (status == OK)
		*ret_row = row;
	return status;
}

void epoch_key(struct bytes *to)
{
	bytes_put_u8(to, 'e');
}

void epoch_encode(const struct epoch_row *row, struct bytes *to)
{
	assert(row->checkpoint_epoch <= row->epoch);
	bytes_put_u8(to, ROW_VERSION);
	bytes_put_varint(to, row->epoch);
	bytes_put_varint(to, row->checkpoint_epoch);
	bytes_put_signed(to, row->watermark_us);
	bytes_put_varint(to, row->outbox_next);
	bytes_put_u64le(to, row->ruleset_hash);
	bytes_put_signed(to, row->committed_us);
}

enum status epoch_decode(struct text value, struct epoch_row *ret_row, struct error *err)
{
	struct epoch_row row = {0};
	struct cursor from = value_start(value);
	row.epoch = cursor_varint(&from);
	row.checkpoint_epoch = cursor_varint(&from);
	row.watermark_us = cursor_signed(&from);
	row.outbox_next = cursor_varint(&from);
	row.ruleset_hash = cursor_u64le(&from);
	row.committed_us = cursor_signed(&from);
	bool sensible = row.checkpoint_epoch <= row.epoch;
	enum status status = row_end(&from, sensible, "epoch", TEXT("e"), err);
	if (status == OK)
		*ret_row = row;
	return status;
}

void identity_key(struct bytes *to)
{
	bytes_put_u8(to, 'i');
}

void identity_encode(const struct identity_row *row, struct bytes *to)
{
	bytes_put_u8(to, ROW_VERSION);
	bytes_put(to, row->store_id, sizeof row->store_id);
	bytes_put(to, row->hash_key, sizeof row->hash_key);
	bytes_put_signed(to, row->created_us);
}

enum status identity_decode(struct text value, struct identity_row *ret_row, struct error *err)
{
	struct identity_row row = {0};
	struct cursor from = value_start(value);
	struct text store_id = cursor_take(&from, sizeof row.store_id);
	struct text hash_key = cursor_take(&from, sizeof row.hash_key);
	row.created_us = cursor_signed(&from);
	enum status status = row_end(&from, true, "identity", TEXT("i"), err);
	if (status != OK)
		return status;
	memcpy(row.store_id, store_id.data, sizeof row.store_id);
	memcpy(row.hash_key, hash_key.data, sizeof row.hash_key);
	*ret_row = row;
	return OK;
}

void quarantine_key(const struct origin *origin, struct bytes *to)
{
	key_put_origin(to, origin);
}

void quarantine_encode(const struct quarantine_row *row, struct bytes *to)
{
	bytes_put_u8(to, ROW_VERSION);
	bytes_put_signed(to, row->record_time_us);
	bytes_put_text(to, row->reason);
	bytes_put_text(to, row->detail);
	bytes_put_text(to, row->key);
	bytes_put_text(to, row->raw);
}

enum status quarantine_decode(struct text key, struct text value, struct quarantine_row *ret_row,
			      struct error *err)
{
	struct quarantine_row row = {0};
	struct cursor from = value_start(value);
	row.record_time_us = cursor_signed(&from);
	row.reason = cursor_text(&from);
	row.detail = cursor_text(&from);
	row.key = cursor_text(&from);
	row.raw = cursor_text(&from);
	struct cursor key_from = cursor_of(key);
	key_take_origin(&key_from, &row.origin);
	bool sensible = !key_from.failed && cursor_left(&key_from) == 0;
	enum status status = row_end(&from, sensible, "quarantine", key, err);
	if (status == OK)
		*ret_row = row;
	return status;
}

/* 'a' < 'm' < 'w': in key order an epoch's watermark comes behind all that it closes. */
static bool match_kind(char kind)
{
	return kind == 'a' || kind == 'm' || kind == 's' || kind == 'w';
}

void match_key(uint64_t epoch, char kind, uint32_t worker, uint32_t actor, struct bytes *to)
{
	assert(match_kind(kind));
	bytes_put_be64(to, epoch);
	bytes_put_u8(to, (uint8_t)kind);
	bytes_put_be32(to, worker);
	bytes_put_be32(to, actor);
}

enum status match_key_decode(struct text key, uint64_t *ret_epoch, char *ret_kind,
			     struct error *err)
{
	struct cursor from = cursor_of(key);
	uint64_t epoch = cursor_be64(&from);
	char kind = (char)cursor_u8(&from);
	(void)cursor_be32(&from); /* worker and actor only make the key unique and ordered */
	(void)cursor_be32(&from);
	enum status status = row_end(&from, match_kind(kind), "match", key, err);
	if (status != OK)
		return status;
	*ret_epoch = epoch;
	*ret_kind = kind;
	return OK;
}

void cell_row_key(char kind, uint8_t virtual_partition, struct bytes *to)
{
	assert(strchr("cdgnewx", kind) != NULL && kind != '\0');
	bytes_put_u8(to, (uint8_t)kind);
	bytes_put_u8(to, virtual_partition);
}

void cell_change_key(uint8_t virtual_partition, uint32_t number, struct bytes *to)
{
	cell_row_key('d', virtual_partition, to);
	bytes_put_be32(to, number);
}

void alert_key(char kind, struct text id, struct bytes *to)
{
	assert(kind == 'a' || kind == 'u');
	assert(id.size < STORE_KEY_MAX);
	bytes_put_u8(to, (uint8_t)kind);
	bytes_write(to, id);
}

void outbox_key(uint64_t sequence, struct bytes *to)
{
	bytes_put_be64(to, sequence);
}

void registry_key(char kind, const struct text *names, size_t name_count, int64_t time_us,
		  struct bytes *to)
{
	assert(name_count <= REGISTRY_NAMES_MAX); /* so that the key stays within STORE_KEY_MAX */
	bytes_put_u8(to, (uint8_t)kind);
	for (size_t i = 0; i < name_count; i++)
		key_put_name(to, names[i]);
	if (time_us >= 0)
		bytes_put_be64(to, (uint64_t)time_us);
}

enum status registry_key_decode(struct text key, char *ret_kind, struct text *ret_names,
				size_t name_count, int64_t *ret_time_us, struct error *err)
{
	assert(name_count <= REGISTRY_NAMES_MAX);
	struct text names[REGISTRY_NAMES_MAX] = {0};
	struct cursor from = cursor_of(key);
	char kind = (char)cursor_u8(&from);
	for (size_t i = 0; i < name_count; i++)
		names[i] = key_take_name(&from);
	bool timed = cursor_left(&from) > 0;
	uint64_t time_us = timed ? cursor_be64(&from) : 0;
	bool sensible = time_us <= INT64_MAX;
	enum status status = row_end(&from, sensible, "registry", key, err);
	if (status != OK)
		return status;
	*ret_kind = kind;
	memcpy(ret_names, names, name_count * sizeof *names);
	*ret_time_us = timed ? (int64_t)time_us : -1;
	return OK;
}

void missing_encode(const struct missing_row *row, struct bytes *to)
{
	bytes_put_u8(to, ROW_VERSION);
	bytes_put_varint(to, row->missing);
	bytes_put_varint(to, row->counted);
	bytes_put_signed(to, row->last_us);
}

enum status missing_decode(struct text key, struct text value, struct missing_row *ret_row,
			   struct error *err)
{
	struct missing_row row = {0};
	struct cursor from = value_start(value);
	row.missing = cursor_varint(&from);
	row.counted = cursor_varint(&from);
	row.last_us = cursor_signed(&from);
	enum status status = row_end(&from, true, "registry", key, err);
	if (status == OK)
		*ret_row = row;
	return status;
}
