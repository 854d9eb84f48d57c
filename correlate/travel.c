/* geo_velocity: two events of one group, from places that nobody travels between in that time.
 *
 * The group has one last place. An event from another address is judged against it: the distance is
 * the great circle (haversine, mean radius of the earth 6,371.0088 km, good to 0.5 %) less both
 * accuracy radii, the speed is distance by time; it fires when both exceed their bounds. Then its
 * own place is the last one. Not judged are: the first event, one after more than the timespan, one
 * from the same address, one whose city is not known (a country's middle is no place), and a pair
 * of places (half a degree) that the group travelled within known-transition before.
 *
 * Events of one time are taken in the order of their places, so that the order of arrival does not
 * matter; two places at one time are an infinite speed.
 *
 * State: the last place, and up to TRANSITIONS_MAX pairs of places with the time they were last
 * travelled (the oldest goes). In a checkpoint:
 *   signed time_us   u64le address   double latitude, longitude, radius   text name
 *   varint number of transitions, ascending by pair, then for each: u64le pair   signed time_us
 *
 * Oracle: tests/correlate/test_travel.c. */
#include "correlate/travel.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "correlate/gated.h"
#include "correlate/values_private.h"
#include "rules/number.h"

enum { TRANSITIONS_MAX = 32, NAME_PARTS = PLACE_NAME_BYTES_MAX / 8 };
enum tag { TAG_ADDRESS, TAG_LATITUDE, TAG_LONGITUDE, TAG_RADIUS, TAG_NAME };

static const double millionth = 1e-6;
static const double earth_radius_km = 6371.0088;

struct place {
	int64_t time_us;
	uint64_t address;
	double latitude, longitude, radius_km;
	char name[PLACE_NAME_BYTES_MAX + 1];
};

struct transition {
	uint64_t pair;
	int64_t time_us;
};

struct travel {
	struct place last;
	struct transition transitions[TRANSITIONS_MAX]; /* ascending by pair */
	size_t transition_count;
};

double travel_distance_km(double latitude_a, double longitude_a, double latitude_b,
			  double longitude_b)
{
	double radians = acos(-1) / 180;
	double north = sin((latitude_b - latitude_a) * radians / 2);
	double east = sin((longitude_b - longitude_a) * radians / 2);
	double chord =
		north * north + cos(latitude_a * radians) * cos(latitude_b * radians) * east * east;
	return 2 * earth_radius_km * asin(sqrt(chord < 1 ? chord : 1));
}

static bool number_of(const struct event *event, struct text field, double *ret_number)
{
	for (size_t i = 0; i < event->field_count; i++) {
		struct number number = {0};
		if (!text_equal(event->fields[i].name, field) ||
		    !number_of_value(&event->fields[i].value, &number))
			continue;
		*ret_number = number.is_integer ? (double)number.integer : number.real;
		return isfinite(*ret_number);
	}
	return false;
}

static struct text text_of_field(const struct event *event, struct text field)
{
	for (size_t i = 0; i < event->field_count; i++)
		if (text_equal(event->fields[i].name, field) &&
		    event->fields[i].value.type == VALUE_STRING)
			return event->fields[i].value.text;
	return TEXT("");
}

static bool is_ignored(const struct event *event, const struct travel_terms *terms)
{
	struct values values;
	if (terms->ignored_field.size == 0)
		return false;
	values_collect(event, terms->ignored_field, &values);
	for (size_t i = 0; i < values.count; i++)
		for (size_t k = 0; k < terms->ignored_count; k++)
			if (text_equal(values.items[i], terms->ignored_values[k]))
				return true;
	return false;
}

/* "Toronto,CA", cut at whole characters, eight bytes per value. */
static void put_name(struct text city, struct text country, struct bytes *to)
{
	char name[PLACE_NAME_BYTES_MAX + 1] = "";
	(void)snprintf(name, sizeof name, "%.*s%s%.*s", TEXT_ARG(city), country.size > 0 ? "," : "",
		       TEXT_ARG(country));
	size_t size = strlen(name);
	while (size > 0 && size == PLACE_NAME_BYTES_MAX && ((unsigned char)name[size - 1] & 0x80))
		name[--size] = '\0';
	for (uint8_t part = 0; part < NAME_PARTS; part++) {
		uint64_t bytes = 0;
		memcpy(&bytes, name + 8 * part, sizeof bytes);
		if (bytes != 0)
			values_put_tagged((uint8_t)(TAG_NAME + part), bytes, to);
	}
}

void travel_put_place(const struct event *event, const struct travel_terms *terms,
		      const struct hash_key *key, struct bytes *to)
{
	struct values address;
	double latitude = 0, longitude = 0, radius_km = 0;
	struct text city = text_of_field(event, terms->city);
	values_collect(event, terms->address, &address);
	if (address.count == 0 || city.size == 0 || !number_of(event, terms->latitude, &latitude) ||
	    !number_of(event, terms->longitude, &longitude) || is_ignored(event, terms) ||
	    !(latitude >= -90 && latitude <= 90) || !(longitude >= -180 && longitude <= 180))
		return;
	if (!number_of(event, terms->radius_km, &radius_km) || radius_km < 0 || radius_km > 20038)
		radius_km = 0;
	values_put_tagged(TAG_ADDRESS, record_value_hash(key, address.items[0]), to);
	values_put_tagged(TAG_LATITUDE, (uint64_t)llround(latitude / millionth), to);
	values_put_tagged(TAG_LONGITUDE, (uint64_t)llround(longitude / millionth), to);
	values_put_tagged(TAG_RADIUS, (uint64_t)llround(radius_km / millionth), to);
	put_name(city, text_of_field(event, terms->country), to);
}

static struct place place_of(const struct gated_entry *entries, size_t count)
{
	struct place place = {.time_us = entries[0].time_us};
	for (size_t i = 0; i < count; i++) {
		double number = (double)(int64_t)entries[i].value * millionth;
		uint8_t tag = entries[i].tag;
		if (tag == TAG_ADDRESS)
			place.address = entries[i].value;
		else if (tag == TAG_LATITUDE)
			place.latitude = number;
		else if (tag == TAG_LONGITUDE)
			place.longitude = number;
		else if (tag == TAG_RADIUS)
			place.radius_km = number;
		else if (tag < TAG_NAME + NAME_PARTS)
			memcpy(place.name + 8 * (tag - TAG_NAME), &entries[i].value, 8);
	}
	return place;
}

/* Half a degree: the same pair of towns both ways. */
static uint64_t cell_of(const struct place *place)
{
	return (uint64_t)lround((place->latitude + 90) * 2) * 1024 +
	       (uint64_t)lround((place->longitude + 180) * 2);
}

static uint64_t pair_of(const struct place *a, const struct place *b)
{
	uint64_t first = cell_of(a);
	uint64_t second = cell_of(b);
	return first < second ? first << 32 | second : second << 32 | first;
}

static size_t transition_place(const struct travel *travel, uint64_t pair)
{
	size_t at = 0;
	while (at < travel->transition_count && travel->transitions[at].pair < pair)
		at++;
	return at;
}

/* Whether the group has travelled so lately; from now on it has. */
static bool transition_known(struct travel *travel, const struct travel_terms *terms, uint64_t pair,
			     int64_t time_us)
{
	if (terms->known_us == 0)
		return false;
	size_t at = transition_place(travel, pair);
	if (at < travel->transition_count && travel->transitions[at].pair == pair) {
		int64_t before_us = travel->transitions[at].time_us;
		travel->transitions[at].time_us = time_us;
		return time_within(before_us, time_us, terms->known_us);
	}
	if (travel->transition_count == TRANSITIONS_MAX) {
		size_t oldest = 0;
		for (size_t i = 1; i < travel->transition_count; i++)
			if (travel->transitions[i].time_us < travel->transitions[oldest].time_us)
				oldest = i;
		memmove(&travel->transitions[oldest], &travel->transitions[oldest + 1],
			(travel->transition_count - oldest - 1) * sizeof *travel->transitions);
		travel->transition_count--;
		at = transition_place(travel, pair);
	}
	memmove(&travel->transitions[at + 1], &travel->transitions[at],
		(travel->transition_count - at) * sizeof *travel->transitions);
	travel->transitions[at] = (struct transition){pair, time_us};
	travel->transition_count++;
	return false;
}

/* The event at entries[first]: is the way from the last place too fast? */
static enum status journey_judge(struct travel *travel, const struct unit *unit,
				 const struct place *here, const struct gated_entry *entry,
				 struct window_news *news)
{
	const struct travel_terms *terms = unit->rule->correlation->travel;
	const struct place *last = &travel->last;
	if (!time_within(last->time_us, here->time_us, unit->timespan_us) ||
	    last->address == here->address)
		return OK;
	double distance_km = travel_distance_km(last->latitude, last->longitude, here->latitude,
						here->longitude);
	double certain_km = distance_km - last->radius_km - here->radius_km;
	double hours = (double)(here->time_us - last->time_us) / 3.6e9;
	double speed = hours > 0 ? certain_km / hours : (double)INFINITY;
	bool known = cell_of(last) != cell_of(here) &&
		     transition_known(travel, terms, pair_of(last, here), here->time_us);
	if (known || certain_km <= 0 || !lower_bound_holds(&terms->distance_km, certain_km) ||
	    !lower_bound_holds(&terms->speed_kmh, speed))
		return OK;
	(void)snprintf(news->detail, sizeof news->detail,
		       "from %s (+-%.0f km) to %s (+-%.0f km): %.2f km in %.2f minutes", last->name,
		       last->radius_km, here->name, here->radius_km, distance_km, hours * 60);
	enum status status = window_items_push(&news->contributed, here->time_us, entry->proof);
	if (status == OK)
		news->contributed.items[news->contributed.count - 1].flags = entry->flags;
	if (status == OK && unit->parent_count > 0)
		status = window_items_push(&news->fired, here->time_us, entry->proof);
	return status;
}

static bool place_before(const struct place *a, const struct place *b)
{
	if (a->latitude != b->latitude)
		return a->latitude < b->latitude;
	if (a->longitude != b->longitude)
		return a->longitude < b->longitude;
	if (a->address != b->address)
		return a->address < b->address;
	return a->radius_km < b->radius_km;
}

/* The event of entries[0 .. end) that comes first by its place and is not yet `taken`; end: none.
 */
static size_t next_by_place(const struct gated *gated, size_t end, struct place *ret_place)
{
	size_t found = end;
	for (size_t first = 0, behind = 0; first < end; first = behind) {
		for (behind = first + 1; behind < end && gated->entries[behind].secondary;)
			behind++;
		if (gated->entries[first].contributes)
			continue;
		struct place place = place_of(&gated->entries[first], behind - first);
		if (found == end || place_before(&place, ret_place)) {
			*ret_place = place;
			found = first;
		}
	}
	return found;
}

static enum status travel_advance(struct gated *gated, const struct unit *unit,
				  int64_t watermark_us, struct window_news *news)
{
	enum status status = OK;
	while (status == OK && gated->count > 0 &&
	       time_passed(gated->entries[0].time_us, 0, watermark_us)) {
		size_t end = gated_same_time(gated, 0);
		struct place here = {0};
		size_t first = next_by_place(gated, end, &here);
		for (; status == OK && first < end; first = next_by_place(gated, end, &here)) {
			bool begins = gated->memory == NULL;
			if (begins && (gated->memory = calloc(1, sizeof(struct travel))) == NULL)
				return ENOMEMORY;
			struct travel *travel = gated->memory;
			if (!begins)
				status = journey_judge(travel, unit, &here, &gated->entries[first],
						       news);
			travel->last = here;
			gated->entries[first].contributes = true; /* taken; goes below */
		}
		gated_drop(gated, end);
	}
	return status;
}

static int64_t travel_next(const struct gated *gated, const struct unit *unit)
{
	(void)unit;
	return gated->count > 0 ? gated->entries[0].time_us : INT64_MAX;
}

static int64_t travel_forget(struct gated *gated, const struct unit *unit, int64_t watermark_us)
{
	struct travel *travel = gated->memory;
	int64_t known_us = unit->rule->correlation->travel->known_us;
	if (travel == NULL)
		return gated->count > 0 ? gated->entries[0].time_us : INT64_MIN;
	int64_t kept_us = time_after(travel->last.time_us, unit->timespan_us);
	size_t kept = 0;
	for (size_t i = 0; i < travel->transition_count; i++) {
		if (time_passed(travel->transitions[i].time_us, known_us, watermark_us))
			continue;
		int64_t until_us = time_after(travel->transitions[i].time_us, known_us);
		kept_us = until_us > kept_us ? until_us : kept_us;
		travel->transitions[kept++] = travel->transitions[i];
	}
	travel->transition_count = kept;
	bool over = time_passed(kept_us, 0, watermark_us) && gated->count == 0;
	return over ? INT64_MIN : kept_us < watermark_us ? watermark_us : kept_us;
}

static void travel_encode(const struct gated *gated, struct bytes *to)
{
	const struct travel *travel = gated->memory;
	bytes_put_signed(to, travel->last.time_us);
	bytes_put_u64le(to, travel->last.address);
	bytes_put_double(to, travel->last.latitude);
	bytes_put_double(to, travel->last.longitude);
	bytes_put_double(to, travel->last.radius_km);
	bytes_put_text(to, text_of(travel->last.name));
	bytes_put_varint(to, travel->transition_count);
	for (size_t i = 0; i < travel->transition_count; i++) {
		bytes_put_u64le(to, travel->transitions[i].pair);
		bytes_put_signed(to, travel->transitions[i].time_us);
	}
}

static enum status travel_decode(struct cursor *from, const struct unit *unit, struct gated *gated)
{
	struct travel *travel = gated->memory = calloc(1, sizeof *travel);
	(void)unit;
	if (travel == NULL)
		return ENOMEMORY;
	travel->last.time_us = cursor_signed(from);
	travel->last.address = cursor_u64le(from);
	travel->last.latitude = cursor_double(from);
	travel->last.longitude = cursor_double(from);
	travel->last.radius_km = cursor_double(from);
	struct text name = cursor_text(from);
	uint64_t count = cursor_varint(from);
	const struct place *last = &travel->last;
	if (from->failed || name.size > PLACE_NAME_BYTES_MAX || count > TRANSITIONS_MAX ||
	    !(last->latitude >= -90 && last->latitude <= 90) ||
	    !(last->longitude >= -180 && last->longitude <= 180) || !(last->radius_km >= 0))
		return ECORRUPT;
	if (name.size > 0)
		memcpy(travel->last.name, name.data, name.size);
	for (size_t i = 0; i < count; i++) {
		struct transition *transition = &travel->transitions[i];
		transition->pair = cursor_u64le(from);
		transition->time_us = cursor_signed(from);
		if (from->failed || (i > 0 && transition[-1].pair >= transition->pair))
			return ECORRUPT;
	}
	travel->transition_count = count;
	return OK;
}

static void travel_done(struct gated *gated)
{
	free(gated->memory);
	gated->memory = NULL;
}

static size_t travel_bytes(const struct gated *gated)
{
	(void)gated;
	return sizeof(struct travel);
}

const struct machine travel_machine = {
	.advance = travel_advance,
	.next_us = travel_next,
	.forget = travel_forget,
	.encode = travel_encode,
	.decode = travel_decode,
	.done = travel_done,
	.bytes = travel_bytes,
};
