/* The file is copied into anonymous memory (a memfd) and opened there: a database that is replaced
 * or cut while it is mapped would otherwise end the daemon with SIGBUS. */
#include "ingest/geo.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ingest/geo_private.h"

enum { VERSION_BYTES = 160 };

struct geo {
	MMDB_s database;
	bool opened;
	char version[VERSION_BYTES];
};

static void close_file(const int *file)
{
	if (*file >= 0)
		(void)close(*file);
}

void geo_free(struct geo **geo)
{
	if (*geo == NULL)
		return;
	if ((*geo)->opened)
		MMDB_close(&(*geo)->database);
	free(*geo);
	*geo = NULL;
}

/* The whole file in a memfd that nobody else can change. */
static enum status copy_file(const char *path, int *ret_copy, size_t *ret_size, struct error *err)
{
	char buffer[64 * 1024];
	size_t size = 0;
	int file cleanup(close_file) = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return error_set(err, errno == ENOENT ? ENOTFOUND : ESYSTEM, "%s: %s", path,
				 strerror(errno));
	struct stat about;
	if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode))
		return error_set(err, EINVALID, "%s is no file", path);
	if (about.st_size > GEO_FILE_MAX)
		return error_set(err, ELIMIT, "%s is larger than %lld bytes", path,
				 (long long)GEO_FILE_MAX);
	int copy = memfd_create("picket-geo", MFD_CLOEXEC);
	if (copy < 0)
		return error_set(err, ESYSTEM, "no memory for %s: %s", path, strerror(errno));
	for (;;) {
		ssize_t got = read(file, buffer, sizeof buffer);
		if (got == 0)
			break;
		if (got < 0 || write(copy, buffer, (size_t)got) != got) {
			int error = errno;
			(void)close(copy);
			return error_set(err, ESYSTEM, "%s: %s", path, strerror(error));
		}
		size += (size_t)got;
	}
	*ret_copy = copy;
	*ret_size = size;
	return OK;
}

static enum status refuse(const char *path, const char *what, struct error *err)
{
	return error_set(err, ECORRUPT,
			 "%s is no sound MaxMind database: %s; fetch it again, and replace it by "
			 "renaming",
			 path, what);
}

/* Metadata first, then the library, then every node and record. */
static enum status open_copy(struct geo *geo, const char *path, int copy, size_t size,
			     struct error *err)
{
	char name[32];
	bool memory = true;
	if (size == 0)
		return refuse(path, "it is empty", err);
	void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, copy, 0);
	if (bytes == MAP_FAILED)
		return error_set(err, ENOMEMORY, "no memory for %s", path);
	bool metadata = geo_check_metadata((struct text){bytes, size});
	(void)munmap(bytes, size);
	if (!metadata)
		return refuse(path, "no metadata at its end (was it cut?)", err);
	(void)snprintf(name, sizeof name, "/proc/self/fd/%d", copy);
	int opened = MMDB_open(name, MMDB_MODE_MMAP, &geo->database);
	if (opened != MMDB_SUCCESS)
		return refuse(path, MMDB_strerror(opened), err);
	geo->opened = true;
	if (!geo_check_tree(&geo->database, &memory))
		return memory ? refuse(path, "its tree or one of its records is damaged", err)
			      : error_set(err, ENOMEMORY, "no memory for %s", path);
	return OK;
}

enum status geo_open(const char *path, struct geo **ret_geo, struct error *err)
{
	int copy cleanup(close_file) = -1;
	size_t size = 0;
	struct geo *geo cleanup(geo_free) = calloc(1, sizeof *geo);
	if (geo == NULL)
		return error_set(err, ENOMEMORY, "no memory for %s", path);
	enum status status = copy_file(path, &copy, &size, err);
	if (status == OK)
		status = open_copy(geo, path, copy, size, err);
	if (status != OK)
		return status;
	(void)snprintf(geo->version, sizeof geo->version, "%.100s@%llu",
		       geo->database.metadata.database_type,
		       (unsigned long long)geo->database.metadata.build_epoch);
	*ret_geo = TAKE(geo);
	return OK;
}

struct text geo_version(const struct geo *geo)
{
	return text_of(geo->version);
}

static bool value_at(const MMDB_entry_s *entry, const char *const *path,
		     MMDB_entry_data_s *ret_value)
{
	MMDB_entry_s start = *entry;
	return MMDB_aget_value(&start, ret_value, path) == MMDB_SUCCESS && ret_value->has_data;
}

/* The text at one of two paths: of MaxMind's layout, or of the flat one. */
static void take_text(const MMDB_entry_s *entry, const char *const *nested, const char *const *flat,
		      struct text *to)
{
	MMDB_entry_data_s value;
	if (to->size > 0)
		return;
	if ((value_at(entry, nested, &value) && value.type == MMDB_DATA_TYPE_UTF8_STRING) ||
	    (value_at(entry, flat, &value) && value.type == MMDB_DATA_TYPE_UTF8_STRING))
		*to = (struct text){value.utf8_string, value.data_size};
}

static bool take_number(const MMDB_entry_s *entry, const char *const *nested,
			const char *const *flat, double *ret_number)
{
	MMDB_entry_data_s value;
	if (!value_at(entry, nested, &value) && (flat == NULL || !value_at(entry, flat, &value)))
		return false;
	switch (value.type) {
	case MMDB_DATA_TYPE_DOUBLE:
		*ret_number = value.double_value;
		return true;
	case MMDB_DATA_TYPE_FLOAT:
		*ret_number = (double)value.float_value;
		return true;
	case MMDB_DATA_TYPE_UINT16:
		*ret_number = value.uint16;
		return true;
	case MMDB_DATA_TYPE_UINT32:
		*ret_number = value.uint32;
		return true;
	case MMDB_DATA_TYPE_INT32:
		*ret_number = value.int32;
		return true;
	default:
		return false;
	}
}

#define PATH(...) ((const char *const[]){__VA_ARGS__, NULL})

static void take_position(const MMDB_entry_s *entry, struct geo_place *place)
{
	double latitude = 0;
	double longitude = 0;
	double accuracy = 0;
	bool both =
		take_number(entry, PATH("location", "latitude"), PATH("latitude"), &latitude) &&
		take_number(entry, PATH("location", "longitude"), PATH("longitude"), &longitude);
	bool on_earth = both && fabs(latitude) <= 90 && fabs(longitude) <= 180;
	if (!on_earth || place->city.size == 0)
		return;
	place->has_position = true;
	place->latitude = latitude;
	place->longitude = longitude;
	if (take_number(entry, PATH("location", "accuracy_radius"), NULL, &accuracy) &&
	    accuracy > 0)
		place->accuracy_km = (int64_t)accuracy;
}

/* All parts of a place come from one database: two of them may not agree where a city is. */
static void take_place(const struct geo *geo, const MMDB_entry_s *entry, struct geo_place *place)
{
	if (place->city.size > 0)
		return;
	struct geo_place found = *place;
	take_text(entry, PATH("city", "names", "en"), PATH("city"), &found.city);
	if (place->country.size > 0 && found.city.size == 0)
		return;
	found.country = found.region = (struct text){0};
	take_text(entry, PATH("country", "iso_code"), PATH("country_code"), &found.country);
	take_text(entry, PATH("subdivisions", "0", "names", "en"), PATH("state1"), &found.region);
	take_position(entry, &found);
	if (found.country.size == 0 && found.city.size == 0)
		return;
	found.place_from = geo;
	*place = found;
}

static void take_network(const struct geo *geo, const MMDB_entry_s *entry, struct geo_place *place)
{
	static const char number[] = "autonomous_system_number";
	static const char name[] = "autonomous_system_organization";
	double found = 0;
	if (place->as_number != 0 || !take_number(entry, PATH(number), NULL, &found) || found < 1)
		return;
	place->as_number = (int64_t)found;
	take_text(entry, PATH(name), PATH(name), &place->as_name);
	place->as_from = geo;
}

void geo_lookup(const struct geo *geo, const unsigned char address[static CIDR_ADDRESS_BYTES],
		struct geo_place *place)
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool four = memcmp(address, mapped, sizeof mapped) == 0;
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	int problem = MMDB_SUCCESS;
	if (!four && geo->database.metadata.ip_version == 4)
		return;
	memcpy(&in.sin_addr, address + sizeof mapped, sizeof in.sin_addr);
	memcpy(&in6.sin6_addr, address, sizeof in6.sin6_addr);
	MMDB_lookup_result_s result = MMDB_lookup_sockaddr(
		&geo->database, four ? (struct sockaddr *)&in : (struct sockaddr *)&in6, &problem);
	if (problem != MMDB_SUCCESS || !result.found_entry)
		return;
	take_place(geo, &result.entry, place);
	take_network(geo, &result.entry, place);
}
