/* Places: MaxMind's own answers, the flat layout, and databases that are broken in every way. */
#include "ingest/geo.h"

#include <dirent.h>
#include <json-c/json.h>
#include <math.h>
#include <unistd.h>

#include "decoding.h"
#include "mmdb_writer.h"

static char folder[] = "/tmp/picket-geo-XXXXXX";
static char path[256];

static const char *data_folder(void)
{
	static char name[1024];
	const char *root = getenv("PICKET_DATA");
	(void)snprintf(name, sizeof name, "%s/maxmind-test-mmdb",
		       root != NULL ? root : PICKET_SOURCE_DIR "/../shared/data");
	if (access(name, R_OK) == 0)
		return name;
	(void)printf("SKIP %s is not there\n", name);
	return NULL;
}

static struct geo *load(const char *name)
{
	struct geo *geo = NULL;
	struct error err = {0};
	enum status status = geo_open(name, &geo, &err);
	ck_assert_msg(status == OK, "%s", err.text);
	return geo;
}

static struct geo_place place_of(const struct geo *geo, const char *address)
{
	struct cidr cidr;
	struct geo_place place = {0};
	ck_assert_msg(cidr_parse(text_of(address), &cidr), "%s", address);
	geo_lookup(geo, cidr.address, &place);
	return place;
}

static struct json_object *at(struct json_object *object, const char *a, const char *b,
			      const char *c)
{
	const char *const names[] = {a, b, c};
	for (int i = 0; i < 3 && names[i] != NULL; i++)
		if (!json_object_object_get_ex(object, names[i], &object))
			return NULL;
	return object;
}

static void same_text(struct json_object *expected, struct text found, const char *network)
{
	const char *words = expected == NULL ? "" : json_object_get_string(expected);
	ck_assert_msg(text_equal(found, text_of(words)), "%s: \"%.*s\" instead of \"%s\"", network,
		      TEXT_ARG(found), words);
}

static void check_place(const struct geo *geo, const char *network, struct json_object *record)
{
	char address[64];
	struct json_object *subdivisions = at(record, "subdivisions", NULL, NULL);
	struct json_object *region =
		subdivisions == NULL
			? NULL
			: at(json_object_array_get_idx(subdivisions, 0), "names", "en", NULL);
	struct json_object *city = at(record, "city", "names", "en");
	struct json_object *latitude = at(record, "location", "latitude", NULL);
	(void)snprintf(address, sizeof address, "%.*s", (int)strcspn(network, "/"), network);
	struct geo_place place = place_of(geo, address);
	struct json_object *country = at(record, "country", "iso_code", NULL);
	same_text(country, place.country, network);
	same_text(city, place.city, network);
	if (country != NULL || city != NULL)
		same_text(region, place.region, network);
	ck_assert_int_eq(place.has_position, city != NULL && latitude != NULL);
	if (place.has_position) {
		ck_assert_double_eq_tol(place.latitude, json_object_get_double(latitude), 1e-9);
		ck_assert_double_eq_tol(
			place.longitude,
			json_object_get_double(at(record, "location", "longitude", NULL)), 1e-9);
		struct json_object *radius = at(record, "location", "accuracy_radius", NULL);
		ck_assert_int_eq(place.accuracy_km,
				 radius == NULL ? 0 : json_object_get_int(radius));
	}
	struct json_object *number = at(record, "autonomous_system_number", NULL, NULL);
	ck_assert_int_eq(place.as_number, number == NULL ? 0 : json_object_get_int64(number));
	if (number != NULL)
		same_text(at(record, "autonomous_system_organization", NULL, NULL), place.as_name,
			  network);
}

static const struct {
	const char *name;
	int networks; /* at least */
} sources[] = {
	{"GeoIP2-City-Test", 200},        {"GeoLite2-City-Test", 200},
	{"GeoIP2-Country-Test", 200},     {"GeoLite2-Country-Test", 200},
	{"GeoLite2-ASN-Test", 50},        {"GeoIP2-Enterprise-Test", 20},
	{"GeoIP2-ISP-Test", 50},          {"GeoIP2-Precision-Enterprise-Test", 20},
	{"GeoIP-Anonymous-Plus-Test", 1}, {"GeoIP-Residential-Proxy-Test", 1},
	{"GeoIP2-Anonymous-IP-Test", 1},  {"GeoIP2-Connection-Type-Test", 1},
	{"GeoIP2-DensityIncome-Test", 1}, {"GeoIP2-Domain-Test", 1},
	{"GeoIP2-IP-Risk-Test", 1},       {"GeoIP2-Static-IP-Score-Test", 1},
	{"GeoIP2-User-Count-Test", 1},
};

START_TEST(answers_equal_maxminds_own)
{
	const char *root = data_folder();
	if (root == NULL)
		return;
	char name[1200];
	(void)snprintf(name, sizeof name, "%s/test-data/%s.mmdb", root, sources[_i].name);
	struct geo *geo = load(name);
	(void)snprintf(name, sizeof name, "%s/source-data/%s.json", root, sources[_i].name);
	struct json_object *all = json_object_from_file(name);
	ck_assert_ptr_nonnull(all);
	int networks = 0;
	for (size_t i = 0; i < json_object_array_length(all); i++) {
		struct json_object_iterator one, end;
		struct json_object *entry = json_object_array_get_idx(all, i);
		one = json_object_iter_begin(entry);
		end = json_object_iter_end(entry);
		for (; !json_object_iter_equal(&one, &end); json_object_iter_next(&one)) {
			check_place(geo, json_object_iter_peek_name(&one),
				    json_object_iter_peek_value(&one));
			networks++;
		}
	}
	ck_assert_int_ge(networks, sources[_i].networks);
	(void)json_object_put(all);
	geo_free(&geo);
}
END_TEST

/* Of the folder that is called test-data the files that are damaged, or whose records are no maps;
 * of those called bad-data the ones that other readers stumble over although they are sound: what
 * stands last in their metadata, a date that is far away, nodes that nothing leads to. */
static bool must_open(const char *name, bool bad)
{
	static const char *const refused[] = {"roken", "Invalid", "string-value", "no-ipv4"};
	static const char *const sound[] = {"last-in-metadata", "uint64-max-epoch",
					    "corrupt-search-tree"};
	const char *const *words = bad ? sound : refused;
	size_t count = bad ? sizeof sound / sizeof *sound : sizeof refused / sizeof *refused;
	for (size_t i = 0; i < count; i++)
		if (strstr(name, words[i]) != NULL)
			return bad;
	return !bad;
}

static void try_folder(const char *name, bool bad, unsigned *opened, unsigned *refused)
{
	DIR *entries = opendir(name);
	ck_assert_ptr_nonnull(entries);
	for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
		char file[1600];
		struct geo *geo = NULL;
		struct error err = {0};
		if (strstr(entry->d_name, ".mmdb") == NULL)
			continue;
		(void)snprintf(file, sizeof file, "%s/%s", name, entry->d_name);
		enum status status = geo_open(file, &geo, &err);
		*opened += status == OK;
		*refused += status == ECORRUPT;
		ck_assert(status == OK || status == ECORRUPT);
		ck_assert_msg((status == OK) == must_open(entry->d_name, bad), "%s: %s", file,
			      err.text);
		if (status == OK)
			(void)place_of(geo, "81.2.69.142");
		geo_free(&geo);
	}
	(void)closedir(entries);
}

START_TEST(every_known_broken_database_is_refused)
{
	const char *root = data_folder();
	static const char *const folders[] = {"test-data", "bad-data/libmaxminddb",
					      "bad-data/maxminddb-golang",
					      "bad-data/maxminddb-python"};
	unsigned opened = 0;
	unsigned refused = 0;
	char name[1200];
	for (int i = 0; root != NULL && i < 4; i++) {
		(void)snprintf(name, sizeof name, "%s/%s", root, folders[i]);
		try_folder(name, i > 0, &opened, &refused);
	}
	if (root != NULL) {
		ck_assert_uint_ge(opened, 25);
		ck_assert_uint_ge(refused, 15);
	}
}
END_TEST

static void put_flat(struct bytes *data, bool city)
{
	mmdb_map(data, city ? 4 : 3);
	mmdb_text(data, "country_code");
	mmdb_text(data, "GB");
	mmdb_text(data, "latitude");
	mmdb_float(data, 51.5F);
	mmdb_text(data, "longitude");
	mmdb_float(data, -0.25F);
	if (city) {
		mmdb_text(data, "city");
		mmdb_text(data, "London");
	}
}

START_TEST(the_flat_layout_is_read)
{
	struct bytes data cleanup(bytes_done) = {0};
	put_flat(&data, true);
	mmdb_write(path, 4, "203.0.113.0/24", &data);
	struct geo *geo = load(path);
	struct geo_place place = place_of(geo, "203.0.113.9");
	ck_assert(text_equal(place.country, TEXT("GB")));
	ck_assert(text_equal(place.city, TEXT("London")));
	ck_assert(place.has_position);
	ck_assert_double_eq(place.latitude, 51.5);
	ck_assert_double_eq(place.longitude, -0.25);
	ck_assert_int_eq(place.accuracy_km, 0);
	ck_assert(text_equal(place_of(geo, "::ffff:203.0.113.9").city, TEXT("London")));
	ck_assert_uint_eq(place_of(geo, "203.0.114.9").country.size, 0);
	ck_assert_uint_eq(place_of(geo, "2001:db8::1").country.size, 0); /* no error either */
	ck_assert(text_equal(geo_version(geo), TEXT("Flat@1700000000")));
	geo_free(&geo);
}
END_TEST

START_TEST(without_a_city_there_is_no_position)
{
	struct bytes data cleanup(bytes_done) = {0};
	put_flat(&data, false);
	mmdb_write(path, 6, "2001:db8::/32", &data);
	struct geo *geo = load(path);
	struct geo_place place = place_of(geo, "2001:db8::9");
	ck_assert(text_equal(place.country, TEXT("GB")));
	ck_assert(!place.has_position);
	ck_assert_uint_eq(place_of(geo, "203.0.113.9").country.size, 0);
	geo_free(&geo);
}
END_TEST

/* One file per IP version, and a second opinion: the first that knows the city has the word. */
START_TEST(databases_fill_each_others_gaps)
{
	struct bytes country cleanup(bytes_done) = {0};
	struct bytes city cleanup(bytes_done) = {0};
	struct cidr cidr;
	struct geo_place place = {0};
	put_flat(&country, false);
	put_flat(&city, true);
	mmdb_write(path, 4, "203.0.113.0/24", &country);
	struct geo *first = load(path);
	mmdb_write(path, 4, "203.0.113.0/24", &city); /* the open one is a copy */
	struct geo *second = load(path);
	ck_assert(cidr_parse(TEXT("203.0.113.9"), &cidr));
	geo_lookup(first, cidr.address, &place);
	ck_assert_ptr_eq(place.place_from, first);
	ck_assert_uint_eq(place.city.size, 0);
	geo_lookup(second, cidr.address, &place);
	ck_assert_ptr_eq(place.place_from, second);
	ck_assert(place.has_position);
	geo_free(&first);
	geo_free(&second);
}
END_TEST

static struct bytes file_of(const char *name)
{
	struct bytes bytes = {0};
	char buffer[4096];
	size_t got = 0;
	FILE *file = fopen(name, "rb");
	ck_assert_ptr_nonnull(file);
	while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
		bytes_put(&bytes, buffer, got);
	(void)fclose(file);
	return bytes;
}

static enum status try_bytes(const unsigned char *data, size_t size)
{
	struct geo *geo = NULL;
	struct error err = {0};
	FILE *file = fopen(path, "wb");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(data, 1, size, file), size);
	(void)fclose(file);
	enum status status = geo_open(path, &geo, &err);
	if (status == OK) {
		static const char *const asked[] = {"81.2.69.142", "2.125.160.216", "2001:218::1",
						    "::", "255.255.255.255"};
		for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
			(void)place_of(geo, asked[i]);
	} else {
		ck_assert_int_eq(status, ECORRUPT);
		ck_assert_ptr_nonnull(strstr(err.text, path));
	}
	geo_free(&geo);
	return status;
}

/* A cut anywhere loses the end of the file, and with it the metadata. */
START_TEST(every_cut_is_refused)
{
	const char *root = data_folder();
	char name[1200];
	if (root == NULL)
		return;
	(void)snprintf(name, sizeof name, "%s/test-data/GeoLite2-City-Test.mmdb", root);
	struct bytes whole cleanup(bytes_done) = file_of(name);
	for (size_t i = 1; i < 60; i++)
		ck_assert_int_eq(try_bytes(whole.data, whole.size * i / 60), ECORRUPT);
	ck_assert_int_eq(try_bytes(whole.data, whole.size - 1), ECORRUPT);
	ck_assert_int_eq(try_bytes(whole.data, whole.size), OK);
}
END_TEST

/* A flipped bit is either refused or harmless: look-ups stay inside the file (AddressSanitizer). */
/* The left record of the second node leads back to the root: 203 begins with two bits that are 1.
 */
START_TEST(a_tree_that_runs_in_a_circle_is_refused)
{
	enum { NODE_BYTES = 6, RECORD_BYTES = 3 };
	struct bytes data cleanup(bytes_done) = {0};
	struct geo *geo = NULL;
	struct error err = {0};
	put_flat(&data, true);
	mmdb_write(path, 4, "203.0.113.0/24", &data);
	FILE *file = fopen(path, "r+");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fseek(file, NODE_BYTES, SEEK_SET), 0);
	ck_assert_uint_eq(fwrite("\0\0\0", 1, RECORD_BYTES, file), RECORD_BYTES);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(geo_open(path, &geo, &err), ECORRUPT);
	ck_assert_ptr_null(geo);
}
END_TEST

START_TEST(flipped_bits_are_refused_or_harmless)
{
	const char *root = data_folder();
	char name[1200];
	if (root == NULL)
		return;
	(void)snprintf(name, sizeof name, "%s/test-data/GeoLite2-ASN-Test.mmdb", root);
	struct bytes whole cleanup(bytes_done) = file_of(name);
	unsigned refused = 0;
	uint64_t state = 88172645463325252;
	for (int i = 0; i < 1500; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		size_t bit = state % (whole.size * 8);
		whole.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
		refused += try_bytes(whole.data, whole.size) == ECORRUPT;
		whole.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	ck_assert_uint_ge(refused, 300);
}
END_TEST

START_TEST(what_is_no_database_is_refused)
{
	struct geo *geo = NULL;
	struct error err = {0};
	ck_assert_int_eq(geo_open("/nowhere.mmdb", &geo, &err), ENOTFOUND);
	ck_assert_int_eq(geo_open("/tmp", &geo, &err), EINVALID);
	ck_assert_int_eq(try_bytes((const unsigned char *)"", 0), ECORRUPT);
	ck_assert_int_eq(try_bytes((const unsigned char *)"\xab\xcd\xefMaxMind.com", 14), ECORRUPT);
	ck_assert_int_eq(try_bytes((const unsigned char *)"text,not,mmdb\n", 14), ECORRUPT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("geo");
	TCase *tests = tcase_create("geo");
	tcase_set_timeout(tests, 120);
	if (mkdtemp(folder) == NULL)
		return EXIT_FAILURE;
	(void)snprintf(path, sizeof path, "%s/test.mmdb", folder);
	tcase_add_loop_test(tests, answers_equal_maxminds_own, 0,
			    (int)(sizeof sources / sizeof *sources));
	tcase_add_test(tests, every_known_broken_database_is_refused);
	tcase_add_test(tests, a_tree_that_runs_in_a_circle_is_refused);
	tcase_add_test(tests, the_flat_layout_is_read);
	tcase_add_test(tests, without_a_city_there_is_no_position);
	tcase_add_test(tests, databases_fill_each_others_gaps);
	tcase_add_test(tests, every_cut_is_refused);
	tcase_add_test(tests, flipped_bits_are_refused_or_harmless);
	tcase_add_test(tests, what_is_no_database_is_refused);
	suite_add_tcase(suite, tests);
	int code = run_suite(suite);
	(void)unlink(path);
	(void)rmdir(folder);
	return code;
}
