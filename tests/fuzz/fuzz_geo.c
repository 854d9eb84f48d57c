/* Any bytes as a GeoIP database: refused, or every look-up stays inside. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ingest/geo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	struct geo *geo = NULL;
	struct error err = {0};
	int file = memfd_create("fuzz", 0);
	assert(file >= 0 && write(file, data, size) == (ssize_t)size);
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	enum status status = geo_open(path, &geo, &err);
	assert(status == OK || status == ECORRUPT);
	for (unsigned i = 0; status == OK && i < 256; i++) {
		unsigned char address[CIDR_ADDRESS_BYTES] = {[10] = 0xff, [11] = 0xff};
		struct geo_place place = {0};
		address[12] = (unsigned char)i;
		geo_lookup(geo, address, &place);
		assert(!place.has_position || place.city.size > 0);
		memset(address, (int)i, sizeof address);
		geo_lookup(geo, address, &place);
	}
	geo_free(&geo);
	(void)close(file);
	return 0;
}
