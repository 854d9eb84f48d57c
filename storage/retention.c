/* Floors: FAMILY_POSITION, 'f' u8(class) u8(1 = of one owner) [name(owner)] -> u8 version, zigzag
 * time. An owner that has a row of its own is held to it alone, so that a tenant may be kept longer
 * than the others. */
#include "storage/retention.h"

#include <assert.h>
#include <stdlib.h>

#include "storage/key_private.h"

enum { FLOOR_VERSION = 1, FLOOR_MARK = 'f' };

struct owner_floor {
	enum data_class class;
	struct text owner; /* as in the key */
	int64_t floor_us;
};

struct retention {
	int64_t floors[CLASS_COUNT];
	struct owner_floor *owners; /* by class and owner */
	size_t count, capacity;
	struct arena *arena;
};

void floor_key(enum data_class class, const struct text *owner, struct bytes *to)
{
	assert((unsigned)class < CLASS_COUNT);
	bytes_put_u8(to, FLOOR_MARK);
	bytes_put_u8(to, (uint8_t) class);
	bytes_put_u8(to, owner != NULL);
	if (owner != NULL)
		key_put_name(to, *owner);
}

void floor_encode(int64_t floor_us, struct bytes *to)
{
	bytes_put_u8(to, FLOOR_VERSION);
	bytes_put_signed(to, floor_us);
}

void retention_free(struct retention **retention)
{
	if (*retention == NULL)
		return;
	arena_free(&(*retention)->arena);
	free((*retention)->owners);
	free(*retention);
	*retention = NULL;
}

static enum status floor_add(struct retention *retention, struct text key, struct text value,
			     struct error *err)
{
	struct cursor from = cursor_of(key);
	struct cursor row = cursor_of(value);
	(void)cursor_u8(&from);
	uint8_t class = cursor_u8(&from);
	uint8_t own = cursor_u8(&from);
	struct text owner = own == 1 ? key_take_name(&from) : (struct text){0};
	uint8_t version = cursor_u8(&row);
	int64_t floor_us = cursor_signed(&row);
	if (from.failed || row.failed || cursor_left(&from) > 0 || cursor_left(&row) > 0 ||
	    class >= CLASS_COUNT || own > 1 || version != FLOOR_VERSION)
		return error_set(err, ECORRUPT, "a row of the retention floors does not decode");
	if (own == 0) {
		retention->floors[class] = floor_us;
		return OK;
	}
	if (retention->count == RETENTION_RULES_MAX)
		return error_set(err, ELIMIT, "there are more than %d retention floors",
				 RETENTION_RULES_MAX);
	if (retention->count == retention->capacity) {
		size_t capacity = retention->capacity == 0 ? 16 : 2 * retention->capacity;
		struct owner_floor *owners =
			realloc(retention->owners, capacity * sizeof *retention->owners);
		if (owners == NULL)
			return error_set(err, ENOMEMORY, "no memory for retention floors");
		retention->owners = owners;
		retention->capacity = capacity;
	}
	owner = arena_copy(retention->arena, owner);
	if (owner.data == NULL)
		return error_set(err, ENOMEMORY, "no memory for retention floors");
	retention->owners[retention->count++] =
		(struct owner_floor){(enum data_class) class, owner, floor_us};
	return OK;
}

enum status retention_load(struct store_view *view, struct retention **ret_retention,
			   struct error *err)
{
	struct retention *retention cleanup(retention_free) = calloc(1, sizeof *retention);
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	if (retention != NULL)
		retention->arena = arena_new((size_t)RETENTION_RULES_MAX * 1100);
	if (retention == NULL || retention->arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for retention floors");
	for (size_t i = 0; i < CLASS_COUNT; i++)
		retention->floors[i] = INT64_MIN;
	enum status status =
		store_view_scan(view, FAMILY_POSITION, TEXT("f"), TEXT("f"), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value))
		status = floor_add(retention, key, value, err);
	if (status == OK)
		status = store_scan_status(scan, err);
	if (status == OK)
		*ret_retention = TAKE(retention);
	return status;
}

int64_t retention_floor(const struct retention *retention, struct text owner, enum data_class class)
{
	if (retention == NULL)
		return INT64_MIN;
	assert((unsigned)class < CLASS_COUNT);
	for (size_t i = 0; i < retention->count; i++)
		if (retention->owners[i].class == class &&
		    text_equal(retention->owners[i].owner, owner))
			return retention->owners[i].floor_us;
	return retention->floors[class];
}
