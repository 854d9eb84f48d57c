/* The same addresses come again and again: their places are kept in a small table, with their
 * numbers as text, where a new address takes the place of an old one. It lives as long as one
 * knowledge. */
#include "ingest/lookup_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum { CACHE_SLOTS = 1024, VALUES_MAX = 16 };

/* A number as an event prints it. */
struct numeral {
	char digits[32];
	size_t size;
};

struct cached {
	unsigned char address[CIDR_ADDRESS_BYTES];
	bool used;
	struct geo_place place;
	struct numeral latitude, longitude, accuracy, as_number;
};

struct lookup {
	struct knowledge_desk *desk;
	struct knowledge *knowledge; /* held; NULL: nothing was ever put */
	struct cached cache[CACHE_SLOTS];
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
		memset(lookup->cache, 0, sizeof lookup->cache);
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

/* Fields whose values may be on a list. */
static bool is_watched(enum field_id id)
{
	switch (id) {
	case FIELD_SOURCE_IP:
	case FIELD_DESTINATION_IP:
	case FIELD_DESTINATION_DOMAIN:
	case FIELD_URL_DOMAIN:
	case FIELD_URL_FULL:
	case FIELD_DNS_NAME:
	case FIELD_FILE_SHA256:
	case FIELD_FILE_SHA1:
	case FIELD_FILE_MD5:
	case FIELD_EMAIL_FROM:
		return true;
	default:
		return false;
	}
}

static void find_value(const struct watch *watch, const struct field *field, int64_t time_us,
		       struct findings *findings)
{
	char buffer[INDICATOR_BYTES_MAX];
	struct cidr host;
	struct indicator value = indicator_read(field->value.text, buffer);
	findings->field = field->name;
	if (value.kind == INDICATOR_NETWORK) {
		watch_find_address(watch, &value.network, time_us, on_hit, findings);
		return;
	}
	if (value.kind == INDICATOR_NONE)
		return;
	watch_find_text(watch, value.text, time_us, on_hit, findings);
	struct text part = indicator_host(value.text);
	if (field->id != FIELD_URL_FULL || part.size == value.text.size)
		return;
	if (cidr_parse(part, &host))
		watch_find_address(watch, &host, time_us, on_hit, findings);
	else
		watch_find_text(watch, part, time_us, on_hit, findings);
}

static void find_all(const struct lookup *lookup, const struct event *event,
		     struct findings *findings)
{
	const struct watch *watch = knowledge_watch(lookup->knowledge);
	size_t looked = 0;
	for (size_t i = 0; i < event->field_count && looked < VALUES_MAX; i++) {
		const struct field *field = &event->fields[i];
		if (!is_watched(field->id) || field->value.type != VALUE_STRING)
			continue;
		looked++;
		find_value(watch, field, event->time_us, findings);
	}
}

static struct numeral numeral_of_real(double real)
{
	struct numeral numeral;
	numeral.size = (size_t)snprintf(numeral.digits, sizeof numeral.digits, "%.8g", real);
	return numeral;
}

static struct numeral numeral_of_integer(int64_t number)
{
	struct numeral numeral;
	numeral.size =
		(size_t)snprintf(numeral.digits, sizeof numeral.digits, "%lld", (long long)number);
	return numeral;
}

static void cached_fill(struct cached *cached, const struct lookup *lookup,
			const struct cidr *address)
{
	struct geo_place *place = &cached->place;
	memcpy(cached->address, address->address, CIDR_ADDRESS_BYTES);
	knowledge_place(lookup->knowledge, address->address, place);
	cached->latitude = numeral_of_real(place->latitude);
	cached->longitude = numeral_of_real(place->longitude);
	cached->accuracy = numeral_of_integer(place->accuracy_km);
	cached->as_number = numeral_of_integer(place->as_number);
	cached->used = true;
}

static const struct cached *place_of(struct lookup *lookup, const struct cidr *address)
{
	size_t slot = XXH3_64bits(address->address, CIDR_ADDRESS_BYTES) % CACHE_SLOTS;
	struct cached *cached = &lookup->cache[slot];
	if (!cached->used || memcmp(cached->address, address->address, CIDR_ADDRESS_BYTES) != 0)
		cached_fill(cached, lookup, address);
	return cached;
}

static enum status add(struct event *event, struct arena *arena, enum field_id id,
		       struct value value)
{
	enum status status = event_add_known(event, arena, id, value);
	assert(status != ELIMIT); /* EVENT_OWN_MAX keeps room for what is added here */
	return status;
}

static enum status add_text(struct event *event, struct arena *arena, enum field_id id,
			    struct text text)
{
	if (text.size == 0)
		return OK;
	return add(event, arena, id, (struct value){.type = VALUE_STRING, .text = text});
}

/* The digits are copied: the place in the table may be another's before the event is stored. */
static enum status add_number(struct event *event, struct arena *arena, enum field_id id,
			      struct value value, const struct numeral *numeral)
{
	value.text = arena_copy(arena, (struct text){numeral->digits, numeral->size});
	return value.text.data == NULL ? ENOMEMORY : add(event, arena, id, value);
}

static enum status add_integer(struct event *event, struct arena *arena, enum field_id id,
			       int64_t number, const struct numeral *numeral)
{
	const struct value value = {.type = VALUE_INTEGER, .integer = number};
	return add_number(event, arena, id, value, numeral);
}

static enum status add_real(struct event *event, struct arena *arena, enum field_id id, double real,
			    const struct numeral *numeral)
{
	const struct value value = {.type = VALUE_REAL, .real = real};
	return add_number(event, arena, id, value, numeral);
}

static bool is_place(enum field_id id)
{
	return id == FIELD_GEO_COUNTRY || id == FIELD_GEO_REGION || id == FIELD_GEO_CITY ||
	       id == FIELD_GEO_LATITUDE || id == FIELD_GEO_LONGITUDE;
}

static bool is_network(enum field_id id)
{
	return id == FIELD_AS_NUMBER || id == FIELD_AS_NAME;
}

/* What a log says of an address gives way to what the database says. */
static void forget(struct event *event, bool (*is_one)(enum field_id id))
{
	size_t kept = 0;
	for (size_t i = 0; i < event->field_count; i++)
		if (!is_one(event->fields[i].id))
			event->fields[kept++] = event->fields[i];
	event->field_count = kept;
}

static enum status add_place(struct event *event, struct arena *arena, const struct cached *cached)
{
	const struct geo_place *place = &cached->place;
	forget(event, is_place);
	enum status status = add_text(event, arena, FIELD_GEO_COUNTRY, place->country);
	if (status == OK)
		status = add_text(event, arena, FIELD_GEO_REGION, place->region);
	if (status == OK)
		status = add_text(event, arena, FIELD_GEO_CITY, place->city);
	if (status != OK || !place->has_position)
		return status;
	status = add_real(event, arena, FIELD_GEO_LATITUDE, place->latitude, &cached->latitude);
	if (status == OK)
		status = add_real(event, arena, FIELD_GEO_LONGITUDE, place->longitude,
				  &cached->longitude);
	if (status == OK && place->accuracy_km > 0)
		status = add_integer(event, arena, FIELD_GEO_ACCURACY, place->accuracy_km,
				     &cached->accuracy);
	return status;
}

static enum status add_network(struct event *event, struct arena *arena,
			       const struct cached *cached)
{
	const struct geo_place *place = &cached->place;
	forget(event, is_network);
	enum status status =
		add_integer(event, arena, FIELD_AS_NUMBER, place->as_number, &cached->as_number);
	return status == OK ? add_text(event, arena, FIELD_AS_NAME, place->as_name) : status;
}

static enum status locate(struct lookup *lookup, struct arena *arena, struct event *event,
			  struct findings *findings, struct lookup_counts *counts)
{
	struct cidr address;
	if (knowledge_geo_count(lookup->knowledge) == 0 ||
	    !cidr_parse(event_text(event, FIELD_SOURCE_IP), &address) ||
	    address.prefix_bits != CIDR_BITS_MAX)
		return OK;
	const struct cached *cached = place_of(lookup, &address);
	const struct geo_place *place = &cached->place;
	enum status status = OK;
	if (place->place_from != NULL) {
		counts->places++;
		note_version(findings, geo_version(place->place_from));
		status = add_place(event, arena, cached);
	}
	if (status == OK && place->as_from != NULL) {
		note_version(findings, geo_version(place->as_from));
		status = add_network(event, arena, cached);
	}
	return status;
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
	static_assert(LOOKUP_HITS_MAX * 5 + 8 <= EVENT_OWN_MAX - 8);
	struct findings findings = {0};
	struct lookup_counts counts = {0};
	enum status status = OK;
	if (lookup->knowledge != NULL) {
		if (watch_list_count(knowledge_watch(lookup->knowledge)) > 0)
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
