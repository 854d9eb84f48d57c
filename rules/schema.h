/* schema - the fields picket knows by name: one table (schema.def), from which ids, aliases and
 * docs/SCHEMA.md come.
 *
 * Why: logs speak two vocabularies (ECS and OpenTelemetry) and several spellings of a tenant;
 * rules, storage and the gate must mean one field by all of them. A name that is not in the table
 * is a field of its own and keeps its spelling.
 *
 * Invariant: ids are dense, 0 is "not in the table"; every name and alias is unique (tested).
 * Owner: constant data. Thread: any. Limits: names are compared by bytes, case-sensitive. */
#ifndef PICKET_RULES_SCHEMA_H
#define PICKET_RULES_SCHEMA_H

#include "rules/text.h"

enum field_id {
	FIELD_OTHER = 0, /* not in the table: the name says which */
#define FIELD(id, name, type, protection, aliases, doc) FIELD_##id,
#include "rules/schema.def"
#undef FIELD
	FIELD_COUNT,
};

enum field_type {
	FIELD_TYPE_keyword,
	FIELD_TYPE_ip,
	FIELD_TYPE_long,
	FIELD_TYPE_real,
	FIELD_TYPE_boolean,
	FIELD_TYPE_date,
};

enum field_protection { FIELD_PLAIN, FIELD_PROTECTED, FIELD_PROVENANCE };

struct field_info {
	struct text name;
	enum field_type type;
	enum field_protection protection;
	const char *aliases; /* space-separated */
	const char *doc;
};

/* The field called name, by its ECS name or an alias; FIELD_OTHER when the table has none. */
enum field_id schema_find(struct text name);

/* Everything about a field of the table; id must be one of it (not FIELD_OTHER). */
const struct field_info *schema_info(enum field_id id);

/* The ECS name of whatever name means; name itself when the table has none. */
struct text schema_canonical(struct text name);

#endif
