/* Recognises the format of a record and maps its names: an interpreter of format.def. */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "ingest/format_private.h"

enum mark {
#define MARK(id, name, kind) MARK_##id,
#include "ingest/format.def"
	MARK_COUNT,
};

enum mark_kind { MARK_KIND_ANY, MARK_KIND_NUMBER, MARK_KIND_ZERO };

enum how {
	HOW_COPY,
	HOW_MOVE,
	HOW_TIME,
	HOW_STAMP,
	HOW_LEVEL,
	HOW_STATUS,
	HOW_ADDRESS,
	HOW_URL,
	HOW_OUTCOME,
	HOW_FAILURE,
};

#define F(id)    (1u << FORMAT_##id)
#define SERVICES (F(ECS) | F(BUNYAN) | F(LOGBACK) | F(PINO) | F(ZAP) | F(PLAIN))
#define AGENTS   (SERVICES | F(CLOUDTRAIL))
#define M(id)    (1u << MARK_##id)

struct row {
	struct text from;
	uint32_t formats;
	enum field_id to;
	enum how how;
};

static const struct row rows[] = {
#define MAP(set, source, target, way) \
	{{source, sizeof(source) - 1}, (set), FIELD_##target, HOW_##way},
#include "ingest/format.def"
};

enum { ROW_COUNT = sizeof rows / sizeof *rows, NAME_SLOTS = 1024 };

_Static_assert((int)ROW_COUNT <= (int)SEEN_ROWS_MAX, "format.def has outgrown struct seen");
_Static_assert(MARK_COUNT <= 32, "marks are bits of a uint32_t");

static const struct {
	struct text name;
	enum mark_kind kind;
} marks[] = {
#define MARK(id, name, kind) {{name, sizeof(name) - 1}, MARK_KIND_##kind},
#include "ingest/format.def"
};

static const struct {
	const char *word;
	uint32_t marks;
} formats[FORMAT_COUNT] = {
	[FORMAT_RAW] = {"raw", 0},
#define FORMAT(id, word, all) [FORMAT_##id] = {word, all},
#include "ingest/format.def"
};

struct names {
	struct name_info slots[NAME_SLOTS];
	uint16_t next_row[ROW_COUNT]; /* the next row with the same source, + 1 */
};

uint64_t name_hash(struct text name)
{
	return XXH3_64bits(name.data, name.size);
}

static struct name_info *slot_of(struct names *names, struct text name)
{
	size_t at = name_hash(name) & (NAME_SLOTS - 1);
	while (names->slots[at].name.data != NULL && !text_equal(names->slots[at].name, name))
		at = (at + 1) & (NAME_SLOTS - 1);
	names->slots[at].name = name;
	return &names->slots[at];
}

static void names_add_schema(struct names *names)
{
	for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
		const struct field_info *info = schema_info((enum field_id)id);
		slot_of(names, info->name)->id = (enum field_id)id;
		for (const char *alias = info->aliases; *alias != '\0';) {
			size_t size = strcspn(alias, " ");
			slot_of(names, (struct text){alias, size})->id = (enum field_id)id;
			alias += size + (alias[size] == ' ');
		}
	}
}

struct names *names_new(void)
{
	struct names *names = calloc(1, sizeof *names);
	if (names == NULL)
		return NULL;
	names_add_schema(names);
	for (size_t mark = 0; mark < MARK_COUNT; mark++)
		slot_of(names, marks[mark].name)->mark = (uint16_t)(mark + 1);
	for (size_t row = ROW_COUNT; row-- > 0;) { /* backwards: chains come out in table order */
		struct name_info *info = slot_of(names, rows[row].from);
		names->next_row[row] = info->first_row;
		info->first_row = (uint16_t)(row + 1);
	}
	return names;
}

void names_free(struct names **names)
{
	free(*names);
	*names = NULL;
}

const struct name_info *names_find(const struct names *names, struct text name, uint64_t hash)
{
	for (size_t at = hash & (NAME_SLOTS - 1); names->slots[at].name.data != NULL;
	     at = (at + 1) & (NAME_SLOTS - 1))
		if (text_equal(names->slots[at].name, name))
			return &names->slots[at];
	return NULL;
}

bool names_keep(const void *context, struct text name)
{
	const struct names *names = context;
	const struct name_info *info = names_find(names, name, name_hash(name));
	if (info == NULL)
		return false;
	if (info->id != FIELD_OTHER && schema_info(info->id)->protection == FIELD_PROTECTED)
		return true;
	for (unsigned row = info->first_row; row != 0; row = names->next_row[row - 1])
		if (schema_info(rows[row - 1].to)->protection == FIELD_PROTECTED)
			return true;
	return info->mark != 0;
}

static bool tells_decoded(enum field_id id)
{
	switch (id) {
	case FIELD_LOG_LEVEL:
	case FIELD_USER_ID:
	case FIELD_USER_NAME:
	case FIELD_USER_EMAIL:
	case FIELD_TENANT_ID:
	case FIELD_TARGET_TENANT_ID:
	case FIELD_EVENT_OUTCOME:
	case FIELD_SOURCE_IP:
		return true;
	default:
		return false;
	}
}

bool names_of_decoded_line(const struct names *names, const struct name_info *info)
{
	if (tells_decoded(info->id))
		return true;
	for (unsigned row = info->first_row; row != 0; row = names->next_row[row - 1])
		if (tells_decoded(rows[row - 1].to))
			return true;
	return false;
}

static bool mark_applies(enum mark_kind kind, const struct value *value)
{
	bool number = value->type == VALUE_INTEGER || value->type == VALUE_REAL;
	if (kind == MARK_KIND_ZERO)
		return value->type == VALUE_INTEGER && value->integer == 0;
	return kind == MARK_KIND_ANY || number;
}

void seen_note(const struct names *names, struct seen *seen, const struct name_info *info,
	       const struct draft *draft, const struct draft_field *field)
{
	if (info->mark != 0 && !field->agent &&
	    mark_applies(marks[info->mark - 1].kind, &field->field.value))
		seen->marks |= 1u << (info->mark - 1);
	for (unsigned next = info->first_row; next != 0; next = names->next_row[next - 1]) {
		unsigned row = next - 1;
		seen->rows[row / 64] |= (uint64_t)1 << (row % 64);
		seen->fields[row] = (uint32_t)(field - draft->fields);
	}
}

enum format format_recognise(const struct seen *seen)
{
	enum format format = FORMAT_RAW + 1;
	while ((formats[format].marks & ~seen->marks) != 0)
		format++;
	assert(format < FORMAT_COUNT); /* the last one asks for nothing */
	return format;
}

const char *format_name(enum format format)
{
	assert(format < FORMAT_COUNT);
	return formats[format].word;
}

/* pino and bunyan: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal. */
static struct value level_of(struct value value)
{
	static const char *const words[] = {"trace", "debug", "info", "warn", "error", "fatal"};
	if (value.type == VALUE_INTEGER && value.integer >= 10 && value.integer < 70) {
		value.text = text_of(words[value.integer / 10 - 1]);
		value.type = VALUE_STRING;
	}
	return value;
}

static bool word_equal(struct text t, const char *word)
{
	return t.size == strlen(word) && strncasecmp(t.data, word, t.size) == 0;
}

static bool outcome_of(struct value *value)
{
	static const char *const good[] = {"success", "succeeded", "successful",
					   "ok",      "true",      "allowed"};
	static const char *const bad[] = {"failure", "failed", "fail",    "error",
					  "false",   "denied", "rejected"};
	const char *word = NULL;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (word_equal(value->text, good[i]))
			word = "success";
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (word_equal(value->text, bad[i]))
			word = "failure";
	if (word == NULL)
		return false;
	*value = (struct value){.type = VALUE_STRING, .text = text_of(word)};
	return true;
}

static bool status_of(const struct value *value)
{
	struct text t = value->text;
	return (value->type == VALUE_INTEGER || value->type == VALUE_STRING) && t.size == 3 &&
	       t.data[0] >= '1' && t.data[0] <= '5' && t.data[1] >= '0' && t.data[1] <= '9' &&
	       t.data[2] >= '0' && t.data[2] <= '9';
}

/* "10.0.0.1:4711" and "[::1]:4711" are an address and a port; "::1" is an address. */
static struct text address_split(struct text t, struct text *ret_port)
{
	const char *colon = t.size == 0 ? NULL : memrchr(t.data, ':', t.size);
	if (t.size > 2 && t.data[0] == '[') {
		const char *end = memchr(t.data, ']', t.size);
		if (end == NULL)
			return t;
		if (colon == end + 1)
			*ret_port = text_cut(t, (size_t)(colon + 1 - t.data));
		return (struct text){t.data + 1, (size_t)(end - t.data) - 1};
	}
	if (colon == NULL || memchr(t.data, ':', (size_t)(colon - t.data)) != NULL)
		return t;
	*ret_port = text_cut(t, (size_t)(colon + 1 - t.data));
	return (struct text){t.data, (size_t)(colon - t.data)};
}

static void map_address(struct draft *draft, enum field_id to, struct value value)
{
	struct text port = {0};
	if (value.type != VALUE_STRING || value.text.size == 0)
		return;
	value.text = address_split(value.text, &port);
	draft_fill(draft, to, value, false);
	bool number = port.size > 0 && port.size <= 5;
	int64_t integer = 0;
	for (size_t i = 0; number && i < port.size; i++) {
		number = port.data[i] >= '0' && port.data[i] <= '9';
		integer = integer * 10 + (port.data[i] - '0');
	}
	if (number)
		draft_fill(draft, FIELD_SOURCE_PORT,
			   (struct value){.type = VALUE_INTEGER, .integer = integer, .text = port},
			   false);
}

/* The members of an array (the last 16), in their order; a single value is an array of one. */
static void map_copy(struct draft *draft, const struct draft_field *from, enum field_id to)
{
	enum { MEMBERS_MAX = 16 };
	struct value members[MEMBERS_MAX];
	size_t count = 0;
	uint32_t array = from->array;
	for (const struct draft_field *at = from; count < MEMBERS_MAX;) {
		if (!at->dead && at->array == array)
			members[count++] = at->field.value;
		if (array == 0 || at->older == 0)
			break;
		at = &draft->fields[at->older - 1];
	}
	const struct text name = schema_info(to)->name;
	const struct draft_name as = {.name = name, .source = name, .id = to, .array = array};
	while (count-- > 0)
		(void)draft_put(draft, &as, members[count]);
}

static void map_move(struct draft *draft, struct draft_field *from, enum field_id to)
{
	struct draft_field *there = draft_get(draft, to);
	if (there != NULL && !(from->agent && !there->agent))
		return;
	draft_fill(draft, to, from->field.value, true);
	draft_remove(draft, from);
}

/* Is there anything to copy? An empty string, a null or an object says nothing. */
static bool has_value(const struct value *value)
{
	return value->type != VALUE_NULL && value->type != VALUE_EMPTY &&
	       (value->type != VALUE_STRING || value->text.size > 0);
}

static void map_row(struct draft *draft, const struct row *row, struct draft_field *from)
{
	struct value value = from->field.value;
	bool string = value.type == VALUE_STRING;
	if (from->dead || !has_value(&value))
		return;
	if (row->how == HOW_MOVE) {
		map_move(draft, from, row->to);
		return;
	}
	if (row->how == HOW_URL) {
		enum field_id to = string && value.text.data[0] == '/' ? row->to : FIELD_URL_FULL;
		draft_fill(draft, to, value, false);
		return;
	}
	if (draft_get(draft, row->to) != NULL)
		return;
	switch (row->how) {
	case HOW_COPY:
		map_copy(draft, from, row->to);
		return;
	case HOW_LEVEL:
		draft_fill(draft, row->to, level_of(value), false);
		return;
	case HOW_STATUS:
		if (status_of(&value))
			draft_fill(draft, row->to, value, false);
		return;
	case HOW_ADDRESS:
		map_address(draft, row->to, value);
		return;
	case HOW_OUTCOME:
		if (outcome_of(&value))
			draft_fill(draft, row->to, value, false);
		return;
	case HOW_FAILURE:
		value = (struct value){.type = VALUE_STRING, .text = TEXT("failure")};
		draft_fill(draft, row->to, value, false);
		return;
	case HOW_MOVE:
	case HOW_URL:
	case HOW_TIME:
	case HOW_STAMP:
		return; /* done above, or by format_time() */
	}
}

void format_map(struct draft *draft, const struct seen *seen, enum format format)
{
	for (unsigned word = 0; word < SEEN_ROWS_MAX / 64; word++) {
		for (uint64_t left = seen->rows[word]; left != 0; left &= left - 1) {
			unsigned row = word * 64 + (unsigned)__builtin_ctzll(left);
			if ((rows[row].formats & (1u << format)) != 0)
				map_row(draft, &rows[row], &draft->fields[seen->fields[row]]);
		}
	}
	if (format == FORMAT_CLOUDTRAIL)
		draft_fill(draft, FIELD_EVENT_OUTCOME,
			   (struct value){.type = VALUE_STRING, .text = TEXT("success")}, false);
}

bool format_time(struct draft *draft, const struct seen *seen, enum format format, bool agent,
		 int64_t *ret_time_us)
{
	struct draft_field *stamp = draft_get(draft, FIELD_TIMESTAMP);
	if (stamp != NULL && stamp->agent == agent &&
	    time_of_value(&stamp->field.value, ret_time_us))
		return true;
	for (unsigned row = 0; row < ROW_COUNT; row++) {
		bool time = rows[row].how == HOW_TIME || rows[row].how == HOW_STAMP;
		if (!time || (seen->rows[row / 64] >> (row % 64) & 1) == 0 ||
		    (rows[row].formats & (1u << format)) == 0)
			continue;
		struct draft_field *from = &draft->fields[seen->fields[row]];
		if (from->dead || from->agent != agent ||
		    !time_of_value(&from->field.value, ret_time_us))
			continue;
		/* The record's own @timestamp, though it reads as no time, is not thrown away. */
		bool free = stamp == NULL || stamp->agent;
		if (free)
			draft_fill(draft, FIELD_TIMESTAMP, from->field.value, true);
		if (free && rows[row].how == HOW_TIME)
			draft_remove(draft, from);
		return true;
	}
	return false;
}
