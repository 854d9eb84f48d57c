#include "rules/schema.h"

#include <assert.h>
#include <stdint.h>
#include <xxhash.h>

static const struct field_info infos[FIELD_COUNT] = {
#define FIELD(id, field_name, field_type, field_protection, field_aliases, field_doc) \
	[FIELD_##id] = {.name = {field_name, sizeof(field_name) - 1},                 \
			.type = FIELD_TYPE_##field_type,                              \
			.protection = FIELD_##field_protection,                       \
			.aliases = (field_aliases),                                   \
			.doc = (field_doc)},
#include "rules/schema.def"
#undef FIELD
};

/* Names and aliases in one open-addressed table, built before main() and never changed after:
 * three probes are the worst case seen, and the hash needs no key because the table holds only our
 * own names (an attacker's names can only miss). */
enum { SLOT_COUNT = 512 };

struct slot {
	struct text name;
	enum field_id id;
};

static struct slot slots[SLOT_COUNT];

static void slot_put(struct text name, enum field_id id)
{
	size_t at = XXH3_64bits(name.data, name.size) % SLOT_COUNT;
	while (slots[at].id != FIELD_OTHER) {
		assert(!text_equal(slots[at].name, name)); /* schema.def names it twice */
		at = (at + 1) % SLOT_COUNT;
	}
	slots[at] = (struct slot){name, id};
}

__attribute__((constructor)) static void slots_fill(void)
{
	for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
		slot_put(infos[id].name, (enum field_id)id);
		const char *alias = infos[id].aliases;
		while (*alias != '\0') {
			size_t size = strcspn(alias, " ");
			slot_put((struct text){alias, size}, (enum field_id)id);
			alias += size + (alias[size] == ' ');
		}
	}
}

enum field_id schema_find(struct text name)
{
	size_t at = XXH3_64bits(name.data, name.size) % SLOT_COUNT;
	while (slots[at].id != FIELD_OTHER) {
		if (text_equal(slots[at].name, name))
			return slots[at].id;
		at = (at + 1) % SLOT_COUNT;
	}
	return FIELD_OTHER;
}

const struct field_info *schema_info(enum field_id id)
{
	assert(id > FIELD_OTHER && id < FIELD_COUNT);
	return &infos[id];
}

struct text schema_canonical(struct text name)
{
	enum field_id id = schema_find(name);
	return id == FIELD_OTHER ? name : infos[id].name;
}
