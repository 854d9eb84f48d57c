/* Any bytes as a mapping file: it is refused with a place, or a decoder works with it.
 *
 * The built-in formats are replaced by small ones: reading thirty files for every input would
 * leave little time for the input. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ingest/decode.h"
#include "ingest/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char json_file[] = "name: json\ntitle: Any other JSON\nuse: [services, agents]\n";
static const char services_file[] = "name: services\ntitle: t\npart: true\n"
				    "map: {user.id: [userId, b.c], source.ip: m}\n";
static const char agents_file[] = "name: agents\ntitle: t\npart: true\nmap: {host.name: h}\n";
const struct embedded_format embedded_formats[] = {
	{"json.yml", json_file, sizeof json_file - 1},
	{"services.yml", services_file, sizeof services_file - 1},
	{"agents.yml", agents_file, sizeof agents_file - 1}};
const size_t embedded_format_count = sizeof embedded_formats / sizeof *embedded_formats;

static void decode(const struct formats *formats)
{
	static const char record[] =
		"{\"a\":[1,\"x\"],\"b\":{\"c\":\"p/q r\"},\"level\":30,\"time\":1795305601250,"
		"\"data.x\":true,\"m\":\"10.0.0.1:80\",\"n\":null}";
	const struct decoder_options options = {.formats = formats, .explain = true};
	const struct origin origin = {.topic = TEXT("fuzz"), .offset = 1};
	const struct message message = {.payload = {record, sizeof record - 1}};
	struct arena *arena cleanup(arena_free) = arena_new(64 * 1024 * 1024);
	struct decoder *decoder cleanup(decoder_free) = NULL;
	struct decoded decoded;
	bool more = false;
	enum status status = decoder_new(&options, &decoder, NULL);
	assert(arena != NULL && status == OK);
	status = decoder_begin(decoder, &message, &origin, arena);
	assert(status == OK);
	status = decoder_next(decoder, &decoded, &more);
	assert(status == OK && more && decoded.why == ACCEPTED);
	for (size_t i = 0; i < decoded.event.field_count; i++)
		assert(decoded.event.fields[i].id == schema_find(decoded.event.fields[i].name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/tmp/picket-fuzz-format.XXXXXX";
	int file = mkstemp(path);
	assert(file >= 0);
	ssize_t written = write(file, data, size);
	assert(written == (ssize_t)size);
	(void)close(file);
	const char *paths[] = {path};
	struct formats *formats = NULL;
	struct error err = {0};
	if (formats_new(paths, 1, &formats, &err) == OK) {
		decode(formats);
		formats_free(&formats);
	} else {
		assert(err.text[0] != '\0');
	}
	(void)unlink(path);
	return 0;
}
