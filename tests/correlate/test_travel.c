/* geo_velocity: MozDef's public travel cases (shared data) as a rule of ours, and random journeys
 * against a plain walk over the sorted list of events. */
#include <json-c/json.h>
#include <math.h>
#include <unistd.h>

#include "correlate/travel.h"
#include "tests/correlate/stream_check.h"

enum { LOGINS_MAX = 8 };

/* --- random journeys */

struct journey {
	unsigned span, known, quiet; /* seconds; known 0: none */
	double speed, distance;
};

struct visit {
	int64_t time_us;
	const char *source;
	double latitude, longitude, radius;
};

static double haversine(const struct visit *a, const struct visit *b)
{
	double r = acos(-1) / 180;
	double cosine = sin(a->latitude * r) * sin(b->latitude * r) +
			cos(a->latitude * r) * cos(b->latitude * r) *
				cos((a->longitude - b->longitude) * r);
	return 6371.0088 * acos(cosine > 1 ? 1 : cosine < -1 ? -1 : cosine);
}

/* Events of one time go by their place, as the definition says. */
static int compare_visits(const void *left, const void *right)
{
	const struct visit *a = left;
	const struct visit *b = right;
	if (a->time_us != b->time_us)
		return a->time_us < b->time_us ? -1 : 1;
	if (a->latitude != b->latitude)
		return a->latitude < b->latitude ? -1 : 1;
	return (a->longitude > b->longitude) - (a->longitude < b->longitude);
}

/* Whether the two places were travelled between, by a move judged within `known` before. */
static bool travelled(const struct journey *journey, const struct visit *visits, size_t last)
{
	int64_t before_us = INT64_MIN;
	for (size_t i = 1; i < last; i++) {
		bool pair = (visits[i].latitude == visits[last].latitude &&
			     visits[i - 1].latitude == visits[last - 1].latitude) ||
			    (visits[i - 1].latitude == visits[last].latitude &&
			     visits[i].latitude == visits[last - 1].latitude);
		bool judged = visits[i].time_us - visits[i - 1].time_us <=
				      (int64_t)journey->span * SECOND &&
			      strcmp(visits[i].source, visits[i - 1].source) != 0;
		if (pair && judged)
			before_us = visits[i].time_us;
	}
	return journey->known > 0 && before_us != INT64_MIN &&
	       visits[last].time_us - before_us <= (int64_t)journey->known * SECOND;
}

static void answer_journey(const struct journey *journey, const struct thing *const *group,
			   size_t count, struct lines *lines)
{
	struct visit visits[EVENTS_MAX];
	int64_t times[EVENTS_MAX];
	size_t visited = 0;
	size_t told = 0;
	for (size_t i = 0; i < count; i++) {
		size_t at = (size_t)(group[i]->source[0][1] - '0');
		if (!group[i]->a || group[i]->source[0][0] == '\0')
			continue;
		visits[visited++] = (struct visit){group[i]->time_us, group[i]->source[0],
						   strtod(stream_places[at].latitude, NULL),
						   strtod(stream_places[at].longitude, NULL),
						   strtod(stream_places[at].radius_km, NULL)};
	}
	qsort(visits, visited, sizeof *visits, compare_visits);
	for (size_t i = 1; i < visited; i++) {
		int64_t gap_us = visits[i].time_us - visits[i - 1].time_us;
		double km = haversine(&visits[i - 1], &visits[i]) - visits[i - 1].radius -
			    visits[i].radius;
		if (gap_us > (int64_t)journey->span * SECOND ||
		    strcmp(visits[i].source, visits[i - 1].source) == 0 || km <= journey->distance)
			continue;
		bool fast = gap_us == 0 || km / ((double)gap_us / 3.6e9) > journey->speed;
		if (fast && !travelled(journey, visits, i))
			times[told++] = visits[i].time_us;
	}
	if (told > 0)
		lines_of_times(lines, "s", group[0], times, told, (int64_t)journey->quiet * SECOND);
}

static size_t alerts_expected;

static void check_journey(const struct setup *setup, const struct journey *journey,
			  struct sets *sets)
{
	static struct lines expected;
	static const char *const names[][2] = {
		{"t0", "u0"}, {"t0", "u1"}, {"t1", "u0"}, {"t1", "u1"}};
	struct stream stream = {0};
	stream_make(&stream, &sets->random);
	size_t places = 1 + below(&sets->random, 8);
	for (size_t i = 0; i < stream.count; i++) {
		struct thing *thing = &stream.things[i];
		thing->placed = true;
		thing->source[1][0] = '\0';
		thing->a = thing->a || below(&sets->random, 2) == 0;
		thing->b = false;
		if (thing->source[0][0] != '\0')
			(void)snprintf(thing->source[0], 4, "s%zu", below(&sets->random, places));
	}
	expected.count = 0;
	for (size_t i = 0; i < 4; i++) {
		const struct thing *group[EVENTS_MAX];
		size_t count = stream_group(&stream, names[i][0], names[i][1], group);
		answer_journey(journey, group, count, &expected);
	}
	alerts_expected += expected.count;
	check_stream(setup, &stream, &expected, sets);
}

START_TEST(journeys_are_those_of_a_plain_walk)
{
	struct sets sets = sets_begin(CASES_USUAL);
	while (sets_next(&sets, alerts_expected)) {
		struct journey journey = {.span = 1 + (unsigned)below(&sets.random, 30),
					  .known = (unsigned)below(&sets.random, 30),
					  .quiet = 1 + (unsigned)below(&sets.random, 20),
					  .speed = 1000,
					  .distance = (double)below(&sets.random, 3) * 500};
		char ignore[64] = "";
		char *yaml = NULL;
		if (journey.known > 0)
			(void)snprintf(ignore, sizeof ignore, "ignore: {known-transition: %us}, ",
				       journey.known);
		ck_assert_int_gt(asprintf(&yaml,
					  STREAM_RULES
					  "title: S\nname: s\nlevel: high\n"
					  "picket: {dedup: {for: %us}}\n"
					  "correlation: {type: geo_velocity, rules: [a], "
					  "group-by: [user.id], timespan: %us, %scondition: "
					  "{field: source.ip, speed-kmh: {gt: %g}, "
					  "distance-km: {gt: %g}}}\n",
					  journey.quiet, journey.span, ignore, journey.speed,
					  journey.distance),
				 0);
		struct setup setup = setup_of(yaml);
		free(yaml);
		for (int i = 0; i < CASES_A_SET; i++)
			check_journey(&setup, &journey, &sets);
		setup_done(&setup);
	}
}
END_TEST

/* --- MozDef */

static const char *const mozdef_rules =
	"title: Login\nname: login\nlogsource: {product: x}\nlevel: informational\n"
	"detection: {s: {event.action: login}, condition: s}\n---\n"
	"title: Travel\nname: travel\nlevel: high\npicket: {dedup: {for: 1s}}\n"
	"correlation: {type: geo_velocity, rules: [login], group-by: [user.id], timespan: 1d,\n"
	"    condition: {field: source.ip, speed-kmh: {gt: 1000}, distance-km: {gt: 50}}}\n";

struct login {
	int64_t time_us;
	const char *user, *address, *city, *country;
	double latitude, longitude;
};

static struct json_object *member_of(struct json_object *json, const char *key)
{
	return json_object_object_get(json, key);
}

static const char *string_of(struct json_object *json, const char *key)
{
	const char *found = json_object_get_string(member_of(json, key));
	return found == NULL ? "" : found;
}

static double number_in(struct json_object *json, const char *key)
{
	return json_object_get_double(member_of(json, key));
}

/* Times are seconds before or after the case's own now. */
static int64_t time_of(struct json_object *json, const char *key)
{
	double offset = number_in(member_of(json, key), "$offset_seconds");
	return (INT64_C(1700000000) + (int64_t)offset) * SECOND;
}

/* What the group had done before, then the events of the case, the earliest of them at *ret_own. */
static size_t logins_of(struct json_object *item, struct login *logins, size_t *ret_own)
{
	struct json_object *states = member_of(item, "initial_state");
	struct json_object *events = member_of(item, "events");
	size_t count = 0;
	for (size_t i = 0; states != NULL && i < json_object_array_length(states); i++) {
		struct json_object *state = json_object_array_get_idx(states, i);
		struct json_object *places = member_of(state, "localities");
		for (size_t k = 0; k < json_object_array_length(places); k++) {
			struct json_object *place = json_object_array_get_idx(places, k);
			ck_assert_uint_lt(count, LOGINS_MAX);
			logins[count++] = (struct login){
				time_of(place, "lastaction"),        string_of(state, "username"),
				string_of(place, "sourceipaddress"), string_of(place, "city"),
				string_of(place, "country"),         number_in(place, "latitude"),
				number_in(place, "longitude")};
		}
	}
	*ret_own = count;
	for (size_t i = 0; i < json_object_array_length(events); i++) {
		struct json_object *source =
			member_of(json_object_array_get_idx(events, i), "_source");
		struct json_object *details = member_of(source, "details");
		struct json_object *place = member_of(details, "sourceipgeolocation");
		ck_assert_uint_lt(count, LOGINS_MAX);
		logins[count++] = (struct login){
			time_of(source, "utctimestamp"),       string_of(details, "username"),
			string_of(details, "sourceipaddress"), string_of(place, "city"),
			string_of(place, "country_code"),      number_in(place, "latitude"),
			number_in(place, "longitude")};
		if (logins[count - 1].time_us < logins[*ret_own].time_us)
			*ret_own = count - 1;
	}
	return count;
}

static void login_route(const struct setup *setup, const struct login *login, int64_t offset,
			struct record_sink *sink)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct event event = event_at(login->time_us, offset, "-");
	struct route_counters counters = {0};
	uint32_t rule = rule_index(setup, "login");
	char latitude[32];
	char longitude[32];
	(void)snprintf(latitude, sizeof latitude, "%.6f", login->latitude);
	(void)snprintf(longitude, sizeof longitude, "%.6f", login->longitude);
	event_put(&event, arena, "user.id", login->user);
	event_put(&event, arena, "source.ip", login->address);
	if (login->city[0] != '\0')
		event_put(&event, arena, "source.geo.city_name", login->city);
	event_put(&event, arena, "source.geo.country_iso_code", login->country);
	event_put(&event, arena, "source.geo.location.lat", latitude);
	event_put(&event, arena, "source.geo.location.lon", longitude);
	ck_assert_int_eq(plan_route(setup->plan, &event, &rule, 1, 0, sink, &counters), OK);
}

/* The kilometres of every "(123.45 KM in" of a text. */
static size_t distances_in(const char *text, double *distances)
{
	size_t count = 0;
	for (const char *at = text; (at = strchr(at, '(')) != NULL; at++) {
		char *end = NULL;
		double km = strtod(at + 1, &end);
		if (end != at + 1 && strncmp(end, " KM", 3) == 0)
			distances[count++] = km;
	}
	return count;
}

/* All logins in one epoch, in the order given: the watermark sorts them. */
static void check_mozdef(struct json_object *item)
{
	struct login logins[LOGINS_MAX];
	struct setup setup = setup_of(mozdef_rules);
	struct actor_options options = {.plan = setup.plan, .actor_count = 1};
	struct actor *actor = NULL;
	struct bytes fed cleanup(bytes_done) = {0};
	struct bytes out cleanup(bytes_done) = {0};
	struct record_sink sink = {&fed, 1};
	struct record_sink exchange = {&out, 1};
	size_t own = 0;
	size_t count = logins_of(item, logins, &own);
	ck_assert_int_eq(actor_new(&options, &actor, NULL), OK);
	for (size_t i = 0; i < count; i++)
		login_route(&setup, &logins[i], (int64_t)i, &sink);
	ck_assert_int_eq(actor_feed(actor, bytes_text(&fed), NULL), OK);
	ck_assert_int_eq(actor_round(actor, 1, INT64_MAX, &exchange, NULL), OK);
	ck_assert_int_eq(actor_close(actor, 1, INT64_MAX, NULL), OK);
	size_t alerts = 0;
	size_t told = 0;
	const struct alert_change *changes = actor_changes(actor, &alerts);
	bool wanted = json_object_get_boolean(member_of(item, "expected_alert"));
	for (size_t i = 0; i < alerts; i++) { /* not those of what went before the case */
		const struct alert *alert = changes[i].alert;
		told += alert->last_us >= logins[own].time_us ? alert->count : 0;
		ck_assert_ptr_nonnull(memmem(alert->reason.data, alert->reason.size, " km in ", 7));
	}
	ck_assert_msg((told > 0) == wanted, "%s: %zu alerts", string_of(item, "description"), told);
	double stated[LOGINS_MAX];
	size_t hops = distances_in(string_of(member_of(item, "expected"), "summary"), stated);
	ck_assert(!wanted || hops > 0);
	for (size_t i = 0; wanted && i < hops; i++) {
		bool found = false;
		for (size_t k = 0; k < count; k++)
			for (size_t n = 0; n < count; n++) {
				double km =
					travel_distance_km(logins[k].latitude, logins[k].longitude,
							   logins[n].latitude, logins[n].longitude);
				found = found || fabs(km - stated[i]) <= stated[i] / 100;
			}
		ck_assert_msg(found, "%s: nothing is %.2f km apart", string_of(item, "description"),
			      stated[i]);
	}
	ck_assert(!wanted || told == hops);
	actor_free(&actor);
	setup_done(&setup);
}

START_TEST(mozdef_travel_cases_hold)
{
	const char *named = getenv("PICKET_DATA");
	char path[4096];
	(void)snprintf(path, sizeof path, "%s/mozdef/public.jsonl",
		       named != NULL ? named : PICKET_SOURCE_DIR "/../shared/data");
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		printf("SKIP no %s\n", path);
		return;
	}
	char *line = NULL;
	size_t capacity = 0;
	size_t checked = 0;
	while (getline(&line, &capacity, file) > 0) {
		struct json_object *item = json_tokener_parse(line);
		ck_assert_ptr_nonnull(item);
		if (strcmp(string_of(item, "alert"), "geomodel_location") == 0) {
			check_mozdef(item);
			checked++;
		}
		json_object_put(item);
	}
	free(line);
	fclose(file);
	printf("%zu travel cases of MozDef hold\n", checked);
	ck_assert_uint_gt(checked, 0);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("travel");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, journeys_are_those_of_a_plain_walk);
	tcase_add_test(tests, mozdef_travel_cases_hold);
	return run_tests("travel", tests);
}
