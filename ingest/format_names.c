/* Every name that the schema or a mapping knows, in one open-addressed table.
 *
 * The table is at most half full and never changes after the formats are read, and it holds only
 * names that we or the operator chose: what an attacker sends can only miss, and a miss ends at the
 * first empty slot. That is why the hash needs no key. */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <xxhash.h>

#include "ingest/format_private.h"

enum { FIRST_SLOTS = 1024 };

uint64_t name_hash(struct text name)
{
	return XXH3_64bits(name.data, name.size);
}

static struct name_info *slot_of(const struct format_names *names, struct text name)
{
	size_t at = name_hash(name) & (names->slot_count - 1);
	while (names->slots[at].name.data != NULL && !text_equal(names->slots[at].name, name))
		at = (at + 1) & (names->slot_count - 1);
	return &names->slots[at];
}

static bool grow(struct format_names *names)
{
	struct format_names larger = {.slot_count = names->slot_count == 0 ? (size_t)FIRST_SLOTS
									   : names->slot_count * 2,
				      .used = names->used};
	larger.slots = calloc(larger.slot_count, sizeof *larger.slots);
	if (larger.slots == NULL)
		return false;
	for (size_t i = 0; i < names->slot_count; i++)
		if (names->slots[i].name.data != NULL)
			*slot_of(&larger, names->slots[i].name) = names->slots[i];
	free(names->slots);
	*names = larger;
	return true;
}

struct name_info *names_add(struct format_names *names, struct text name)
{
	if (names->used * 2 >= names->slot_count && !grow(names))
		return NULL;
	struct name_info *info = slot_of(names, name);
	if (info->name.data == NULL) {
		*info = (struct name_info){.name = name, .id = schema_find(name)};
		info->keep = info->id != FIELD_OTHER &&
			     schema_info(info->id)->protection == FIELD_PROTECTED;
		names->used++;
	}
	return info;
}

enum status names_begin(struct format_names *names)
{
	for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
		const struct field_info *info = schema_info((enum field_id)id);
		if (names_add(names, info->name) == NULL)
			return ENOMEMORY;
		for (const char *alias = info->aliases; *alias != '\0';) {
			size_t size = strcspn(alias, " ");
			if (names_add(names, (struct text){alias, size}) == NULL)
				return ENOMEMORY;
			alias += size + (alias[size] == ' ');
		}
	}
	return OK;
}

/* Lets `spelling` mean what `name` means, unless it means something already. */
static enum status names_alias(struct format_names *names, struct text name, struct text spelling)
{
	const struct name_info *known = names_find(names, name, name_hash(name));
	if (known == NULL || text_equal(spelling, name))
		return OK;
	const struct name_info meaning = *known; /* names_add() may move the table */
	struct name_info *info = names_add(names, spelling);
	if (info == NULL)
		return ENOMEMORY;
	if (info->id != FIELD_OTHER)
		return OK;
	if (info->source == 0)
		info->source = meaning.source;
	if (info->mark == 0)
		info->mark = meaning.mark;
	info->keep |= meaning.keep;
	return OK;
}

enum status names_lower(struct formats *formats, struct text name)
{
	struct text all = arena_copy(formats->arena, name);
	struct text first = arena_copy(formats->arena, name);
	if (all.data == NULL || first.data == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < name.size; i++)
		((char *)all.data)[i] = (char)tolower((unsigned char)name.data[i]);
	for (size_t i = 0; i < name.size && name.data[i] != '.'; i++)
		((char *)first.data)[i] = all.data[i];
	enum status status = names_alias(&formats->names, name, all);
	return status == OK ? names_alias(&formats->names, name, first) : status;
}

void names_done(struct format_names *names)
{
	free(names->slots);
	*names = (struct format_names){0};
}

const struct name_info *names_find(const struct format_names *names, struct text name,
				   uint64_t hash)
{
	assert(names->slot_count > 0);
	for (size_t at = hash & (names->slot_count - 1); names->slots[at].name.data != NULL;
	     at = (at + 1) & (names->slot_count - 1))
		if (text_equal(names->slots[at].name, name))
			return &names->slots[at];
	return NULL;
}

bool names_keep(const void *context, struct text name)
{
	const struct format_names *names = context;
	const struct name_info *info = names_find(names, name, name_hash(name));
	return info != NULL && info->keep;
}
