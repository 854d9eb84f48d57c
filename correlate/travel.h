/* travel - where an event says it comes from, as a match record carries it.
 *
 * Why: route.c sees the event, travel.c judges the journey; between them stands a record.
 *
 * Invariant: a record of a geo_velocity rule has an address and a position. Owner: none.
 * Thread: any. Limits: PLACE_NAME_BYTES_MAX of the place's name. */
#ifndef PICKET_CORRELATE_TRAVEL_H
#define PICKET_CORRELATE_TRAVEL_H

#include "correlate/record.h"

enum { PLACE_NAME_BYTES_MAX = 32 };

/* The place as tagged values; nothing when the position or the city is not known, or when the rule
 * ignores the event: then there is nothing to judge. */
void travel_put_place(const struct event *event, const struct travel_terms *terms,
		      const struct hash_key *key, struct bytes *to);

/* Great circle between two positions in degrees. */
double travel_distance_km(double latitude_a, double longitude_a, double latitude_b,
			  double longitude_b);

#endif
