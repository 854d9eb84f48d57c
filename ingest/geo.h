/* geo - where an address lies and whose network it is: one MaxMind database (.mmdb).
 *
 * Why: impossible travel, foreign logins and hosting networks are about places, logs are about
 * addresses. Databases come in two layouts: MaxMind's own (country.iso_code, location.latitude as
 * double) and flat ones (country_code, latitude as float, one file per IP version); both are read.
 *
 * Invariant: a database that opened has been read through once: every node of its tree leads to a
 * node or to a record, and every record is well formed, so no look-up reads outside of it. It lives in memory of its own: whatever happens to the file later does not matter. Without
 * a city there is no position: the databases then give the middle of the country, and a speed
 * computed from that is nonsense. Owner: geo_free(). Thread: immutable, any. Limits: GEO_FILE_MAX
 * bytes; GEO_DEPTH_MAX levels and GEO_VALUES_MAX values in a record. */
#ifndef PICKET_INGEST_GEO_H
#define PICKET_INGEST_GEO_H

#include <stdint.h>

#include "rules/cidr.h"
#include "rules/error.h"

enum { GEO_DEPTH_MAX = 32, GEO_VALUES_MAX = 4096 };
#define GEO_FILE_MAX ((int64_t)2 << 30)

struct geo_place {
	struct text country; /* ISO 3166-1, two letters */
	struct text region, city;
	bool has_position;
	double latitude, longitude;
	int64_t accuracy_km; /* radius; 0 = not known */
	int64_t as_number;   /* 0 = not known */
	struct text as_name;
	/* Which database each part came from, for the list versions in the event; NULL: none. */
	const struct geo *place_from, *as_from;
};

struct geo;

/* ENOTFOUND, ESYSTEM; ECORRUPT names the file and what is wrong with it. */
enum status geo_open(const char *path, struct geo **ret_geo, struct error *err);
void geo_free(struct geo **geo);

/* Fills what the place does not have yet. address: of 128 bits, IPv4 as ::ffff:a.b.c.d. Texts are
 * views into the database. */
void geo_lookup(const struct geo *geo, const unsigned char address[static CIDR_ADDRESS_BYTES],
		struct geo_place *place);

/* "GeoLite2-City@1700000000": what it is and when it was built. */
struct text geo_version(const struct geo *geo);

#endif
