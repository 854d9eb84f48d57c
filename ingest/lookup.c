/* The same addresses and hosts come again and again. What is known of a value, as it is written, is
 * kept in a small table, where a new value takes the place of an old one: whether any list has it
 * at all (nearly none does, and then nothing has to be read or hashed), and the fields that an
 * event gets for its place and network. The table lives as long as one knowledge. */
#include "ingest/lookup_private.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum {
	SLOTS = 4096,
	WRITTEN_MAX = 60, /* a longer value is looked up each time */
	VALUES_MAX = 16,
	PLACE_FIELDS_MAX = 10,
	NUMERAL_BYTES = 24,
	NUMERALS_MAX = 4,
};

/* What a field is to this step. */
enum role {
	ROLE_WATCHED = 1 << 0, /* its values may be on a list */
	ROLE_SOURCE = 1 << 1,  /* its first value has a place */
	ROLE_PLACE = 1 << 2,
	ROLE_NETWORK = 1 << 3,
};

static const uint8_t roles[FIELD_COUNT] = {
	[FIELD_SOURCE_IP] = ROLE_WATCHED | ROLE_SOURCE,
	[FIELD_DESTINATION_IP] = ROLE_WATCHED,
	[FIELD_DESTINATION_DOMAIN] = ROLE_WATCHED,
	[FIELD_URL_DOMAIN] = ROLE_WATCHED,
	[FIELD_URL_FULL] = ROLE_WATCHED,
	[FIELD_DNS_NAME] = ROLE_WATCHED,
	[FIELD_FILE_SHA256] = ROLE_WATCHED,
	[FIELD_FILE_SHA1] = ROLE_WATCHED,
	[FIELD_FILE_MD5] = ROLE_WATCHED,
	[FIELD_EMAIL_FROM] = ROLE_WATCHED,
	[FIELD_GEO_COUNTRY] = ROLE_PLACE,
	[FIELD_GEO_REGION] = ROLE_PLACE,
	[FIELD_GEO_CITY] = ROLE_PLACE,
	[FIELD_GEO_LATITUDE] = ROLE_PLACE,
	[FIELD_GEO_LONGITUDE] = ROLE_PLACE,
	[FIELD_AS_NUMBER] = ROLE_NETWORK,
	[FIELD_AS_NAME] = ROLE_NETWORK,
};

/* The fields of a place, ready to be added; their numbers stand in `digits`. */
struct placed {
	const struct geo *place_from, *as_from; /* NULL: not known */
	struct field fields[PLACE_FIELDS_MAX];
	size_t field_count;
	char digits[NUMERALS_MAX * NUMERAL_BYTES];
	size_t numeral_count;
};

enum listed { LISTED_UNKNOWN, LISTED_NEVER, LISTED_PERHAPS };

struct known {
	char written[WRITTEN_MAX];
	uint8_t size; /* 0 = the slot is free */
	uint8_t listed;
	bool placed; /* its place has been looked up */
};

struct lookup {
	struct knowledge_desk *desk;
	struct knowledge *knowledge; /* held; NULL: nothing was ever put */
	struct known known[SLOTS];
	struct placed placed[SLOTS]; /* of known[] of the same index */
};

struct finding {
	const struct watch_list *list;
	struct text entry, field;
};

/* What was found for one event. */
struct findings {
	struct finding threats[LOOKUP_HITS_MAX], networks[LOOKUP_HITS_MAX];
	size_t threat_count, network_count;
	size_t threats_in_all;
	struct text versions[LOOKUP_HITS_MAX];
	size_t version_count;
	struct text field; /* that is looked at now */
	unsigned roles;    /* that the event's fields have */
	const struct value *source;
};

enum status lookup_new(struct knowledge_desk *desk, struct lookup **ret_lookup, struct error *err)
{
	struct lookup *lookup = calloc(1, sizeof *lookup);
	if (lookup == NULL)
		return error_set(err, ENOMEMORY, "no memory for lists");
	lookup->desk = desk;
	*ret_lookup = lookup;
	return OK;
}

void lookup_free(struct lookup **lookup)
{
	if (*lookup == NULL)
		return;
	knowledge_drop(&(*lookup)->knowledge);
	free(*lookup);
	*lookup = NULL;
}

void lookup_refresh(struct lookup *lookup)
{
	if (knowledge_desk_take(lookup->desk, &lookup->knowledge))
		memset(lookup->known, 0, sizeof lookup->known);
}

static void note_version(struct findings *findings, struct text version)
{
	for (size_t i = 0; i < findings->version_count; i++)
		if (text_equal(findings->versions[i], version))
			return;
	if (findings->version_count < LOOKUP_HITS_MAX)
		findings->versions[findings->version_count++] = version;
}

static void on_hit(void *context, const struct watch_list *list, struct text entry)
{
	struct findings *findings = context;
	struct finding found = {list, entry, findings->field};
	if (list->threat) {
		findings->threats_in_all++;
		if (findings->threat_count < LOOKUP_HITS_MAX)
			findings->threats[findings->threat_count++] = found;
	} else if (findings->network_count < LOOKUP_HITS_MAX) {
		findings->networks[findings->network_count++] = found;
	}
	note_version(findings, list->version);
}

static void on_any_hit(void *context, const struct watch_list *list, struct text entry)
{
	(void)list;
	(void)entry;
	*(bool *)context = true;
}

static void find_value(const struct watch *watch, const struct field *field, int64_t time_us,
		       watch_hit *tell, void *context)
{
	char buffer[INDICATOR_BYTES_MAX];
	struct cidr host;
	struct indicator value = indicator_read(field->value.text, buffer);
	if (value.kind == INDICATOR_NETWORK) {
		watch_find_address(watch, &value.network, time_us, tell, context);
		return;
	}
	if (value.kind == INDICATOR_NONE)
		return;
	watch_find_text(watch, value.text, time_us, tell, context);
	struct text part = indicator_host(value.text);
	if (field->id != FIELD_URL_FULL || part.size == value.text.size)
		return;
	if (cidr_parse(part, &host))
		watch_find_address(watch, &host, time_us, tell, context);
	else
		watch_find_text(watch, part, time_us, tell, context);
}

/* What is known of a value; forgotten before, when another had its slot. NULL: it is too long. */
static struct known *known_of(struct lookup *lookup, struct text written)
{
	if (written.size == 0 || written.size > WRITTEN_MAX)
		return NULL;
	struct known *known = &lookup->known[XXH3_64bits(written.data, written.size) % SLOTS];
	if (known->size == written.size && memcmp(known->written, written.data, known->size) == 0)
		return known;
	memcpy(known->written, written.data, written.size);
	known->size = (uint8_t)written.size;
	known->listed = LISTED_UNKNOWN;
	known->placed = false;
	return known;
}

/* Has no list the value, whatever the time is? Of a URL its host is looked for as well, so what is
 * known of the same text elsewhere does not hold for it. */
static bool never_listed(struct lookup *lookup, const struct watch *watch,
			 const struct field *field)
{
	struct known *known =
		field->id == FIELD_URL_FULL ? NULL : known_of(lookup, field->value.text);
	bool met = false;
	if (known == NULL)
		return false;
	if (known->listed == LISTED_UNKNOWN) {
		find_value(watch, field, INT64_MIN, on_any_hit, &met);
		known->listed = met ? LISTED_PERHAPS : LISTED_NEVER;
	}
	return known->listed == LISTED_NEVER;
}

/* One walk over the fields for all that this step asks of them. */
static void find_all(struct lookup *lookup, const struct event *event, struct findings *findings)
{
	const struct watch *watch = knowledge_watch(lookup->knowledge);
	size_t left = watch_list_count(watch) == 0 ? 0 : VALUES_MAX;
	const struct field *const fields = event->fields;
	for (size_t i = 0, count = event->field_count; i < count; i++) {
		const struct field *field = &fields[i];
		unsigned role = roles[field->id];
		if (role == 0)
			continue;
		findings->roles |= role;
		if ((role & ROLE_SOURCE) != 0 && findings->source == NULL)
			findings->source = &field->value;
		if ((role & ROLE_WATCHED) == 0 || left == 0 || field->value.type != VALUE_STRING)
			continue;
		left--;
		if (never_listed(lookup, watch, field))
			continue;
		findings->field = field->name;
		find_value(watch, field, event->time_us, on_hit, findings);
	}
}

static void place_text(struct placed *placed, enum field_id id, struct text text)
{
	if (text.size == 0)
		return;
	assert(placed->field_count < PLACE_FIELDS_MAX);
	placed->fields[placed->field_count++] =
		(struct field){.name = schema_info(id)->name,
			       .id = id,
			       .value = {.type = VALUE_STRING, .text = text}};
}

/* A number as an event prints it. */
__attribute__((format(printf, 4, 5))) static void place_number(struct placed *placed,
							       enum field_id id, struct value value,
							       const char *format, ...)
{
	va_list number;
	assert(placed->numeral_count < NUMERALS_MAX && placed->field_count < PLACE_FIELDS_MAX);
	char *digits = placed->digits + placed->numeral_count++ * NUMERAL_BYTES;
	va_start(number, format);
	value.text =
		(struct text){digits, (size_t)vsnprintf(digits, NUMERAL_BYTES, format, number)};
	va_end(number);
	assert(value.text.size < NUMERAL_BYTES);
	placed->fields[placed->field_count++] =
		(struct field){.name = schema_info(id)->name, .id = id, .value = value};
}

static void place_integer(struct placed *placed, enum field_id id, int64_t number)
{
	place_number(placed, id, (struct value){.type = VALUE_INTEGER, .integer = number}, "%lld",
		     (long long)number);
}

static void place_real(struct placed *placed, enum field_id id, double real)
{
	place_number(placed, id, (struct value){.type = VALUE_REAL, .real = real}, "%.8g", real);
}

static void place(struct placed *placed, const struct knowledge *knowledge,
		  const struct cidr *address)
{
	struct geo_place found;
	knowledge_place(knowledge, address->address, &found);
	placed->place_from = found.place_from;
	placed->as_from = found.as_from;
	if (found.place_from != NULL) {
		place_text(placed, FIELD_GEO_COUNTRY, found.country);
		place_text(placed, FIELD_GEO_REGION, found.region);
		place_text(placed, FIELD_GEO_CITY, found.city);
	}
	if (found.place_from != NULL && found.has_position) {
		place_real(placed, FIELD_GEO_LATITUDE, found.latitude);
		place_real(placed, FIELD_GEO_LONGITUDE, found.longitude);
		if (found.accuracy_km > 0)
			place_integer(placed, FIELD_GEO_ACCURACY, found.accuracy_km);
	}
	if (found.as_from != NULL) {
		place_integer(placed, FIELD_AS_NUMBER, found.as_number);
		place_text(placed, FIELD_AS_NAME, found.as_name);
	}
	struct text versions[] = {
		found.place_from == NULL ? (struct text){0} : geo_version(found.place_from),
		found.as_from == NULL ? (struct text){0} : geo_version(found.as_from)};
	place_text(placed, FIELD_LISTS, versions[0]);
	if (!text_equal(versions[0], versions[1]))
		place_text(placed, FIELD_LISTS, versions[1]);
}

/* Where a value lies, if it is one address; *room: for one that is not kept in the table. */
static const struct placed *place_of(struct lookup *lookup, struct text written,
				     struct placed *room)
{
	struct cidr address;
	struct known *known = known_of(lookup, written);
	struct placed *placed = known == NULL ? room : &lookup->placed[known - lookup->known];
	if (known != NULL && known->placed)
		return placed;
	*placed = (struct placed){0};
	if (cidr_parse(written, &address) && address.prefix_bits == CIDR_BITS_MAX)
		place(placed, lookup->knowledge, &address);
	if (known != NULL)
		known->placed = true;
	return placed;
}

static enum status add_text(struct event *event, struct arena *arena, enum field_id id,
			    struct text text)
{
	enum status status = event_add_known(event, arena, id,
					     (struct value){.type = VALUE_STRING, .text = text});
	assert(status != ELIMIT); /* EVENT_OWN_MAX keeps room for what is added here */
	return status;
}

/* What a log says of an address gives way to what the database says. */
static void forget(struct event *event, unsigned role)
{
	size_t kept = 0;
	for (size_t i = 0; i < event->field_count; i++)
		if ((roles[event->fields[i].id] & role) == 0)
			event->fields[kept++] = event->fields[i];
	event->field_count = kept;
}

/* The digits are copied: the slot may be another's before the event is stored. */
static enum status add_place(struct event *event, struct arena *arena, const struct placed *placed)
{
	size_t size = placed->numeral_count * NUMERAL_BYTES;
	struct text digits = arena_copy(arena, (struct text){placed->digits, size});
	if (digits.data == NULL)
		return ENOMEMORY;
	enum status status = event_add_fields(event, arena, placed->fields, placed->field_count);
	assert(status != ELIMIT);
	if (status != OK)
		return status;
	struct field *added = &event->fields[event->field_count - placed->field_count];
	for (size_t i = 0; i < placed->field_count; i++) {
		struct value *value = &added[i].value;
		if (value->type != VALUE_STRING)
			value->text.data = digits.data + (value->text.data - placed->digits);
	}
	return OK;
}

static enum status locate(struct lookup *lookup, struct arena *arena, struct event *event,
			  const struct findings *findings, struct lookup_counts *counts)
{
	struct placed room;
	if (knowledge_geo_count(lookup->knowledge) == 0 || findings->source == NULL)
		return OK;
	const struct placed *placed = place_of(lookup, findings->source->text, &room);
	unsigned known = (placed->place_from == NULL ? 0 : ROLE_PLACE) |
			 (placed->as_from == NULL ? 0 : ROLE_NETWORK);
	if (known == 0)
		return OK;
	if ((findings->roles & known) != 0)
		forget(event, known);
	counts->places += placed->place_from != NULL;
	return add_place(event, arena, placed);
}

static enum status add_findings(struct event *event, struct arena *arena,
				const struct findings *findings)
{
	enum status status = OK;
	for (size_t i = 0; status == OK && i < findings->threat_count; i++) {
		const struct finding *found = &findings->threats[i];
		status = add_text(event, arena, FIELD_THREAT_LIST, found->list->name);
		if (status == OK)
			status = add_text(event, arena, FIELD_THREAT_INDICATOR, found->entry);
		if (status == OK)
			status = add_text(event, arena, FIELD_THREAT_FIELD, found->field);
	}
	for (size_t i = 0; status == OK && i < findings->network_count; i++)
		if (text_equal(findings->networks[i].field, schema_info(FIELD_SOURCE_IP)->name))
			status = add_text(event, arena, FIELD_NETWORK,
					  findings->networks[i].list->name);
	for (size_t i = 0; status == OK && i < findings->version_count; i++)
		status = add_text(event, arena, FIELD_LISTS, findings->versions[i]);
	return status;
}

enum status lookup_event(struct lookup *lookup, struct arena *arena, struct event *event,
			 struct lookup_counts *ret_counts)
{
	static_assert(LOOKUP_HITS_MAX * 5 + PLACE_FIELDS_MAX <= EVENT_OWN_MAX - 8);
	struct findings findings; /* its lists are long, and hold what the counts say */
	findings.threat_count = findings.network_count = findings.version_count = 0;
	findings.threats_in_all = 0;
	findings.roles = 0;
	findings.source = NULL;
	struct lookup_counts counts = {0};
	enum status status = OK;
	if (lookup->knowledge != NULL) {
		find_all(lookup, event, &findings);
		status = locate(lookup, arena, event, &findings, &counts);
	}
	if (status == OK)
		status = add_findings(event, arena, &findings);
	counts.threats = findings.threats_in_all;
	if (status == OK)
		*ret_counts = counts;
	return status;
}
