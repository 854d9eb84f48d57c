/* Any bytes as a list: plain, CSV, or the manifest or an event of a MISP feed. Whatever is read can
 * be looked up; a feed that cannot be read says why. The first byte chooses. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ingest/watch_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_hit(void *context, const struct watch_list *list, struct text entry)
{
	(void)list;
	(void)entry;
	++*(size_t *)context;
}

/* The form of a form is itself, and never longer than what was written. */
static void check_form(struct text written)
{
	char first[INDICATOR_BYTES_MAX];
	char second[INDICATOR_BYTES_MAX];
	struct indicator one = indicator_read(written, first);
	if (one.kind != INDICATOR_TEXT)
		return;
	assert(one.text.size > 0 && one.text.size <= written.size);
	(void)indicator_host(one.text);
	(void)indicator_read(one.text, second);
}

#define UUID "5d0cb1f6-7c1c-4e0f-8b59-0c8a02de0b81"

static const char manifest[] = "{\"" UUID "\":{}}";
static const char event[] = "{\"Event\":{\"Attribute\":[{\"to_ids\":true,\"type\":\"ip-dst\","
			    "\"value\":\"203.0.113.9\"}]}}";

/* A feed in a folder of its own: one of its two files is the input. */
static enum status read_feed(struct list_reader *reader, struct text manifest_text,
			     struct text event_text, struct error *err)
{
	char folder[] = "/tmp/picket-fuzz-misp.XXXXXX";
	char path[128];
	assert(mkdtemp(folder) != NULL);
	(void)snprintf(path, sizeof path, "%s/" UUID ".json", folder);
	FILE *file = fopen(path, "wb");
	assert(file != NULL);
	assert(fwrite(event_text.data, 1, event_text.size, file) == event_text.size);
	(void)fclose(file);
	reader->path = folder;
	enum status status = list_misp(reader, manifest_text, err);
	(void)unlink(path);
	(void)rmdir(folder);
	return status;
}

static void read_list(struct list_reader *reader, uint8_t kind, struct text content)
{
	struct error err = {0};
	enum status status = OK;
	if (kind % 4 == 0)
		status = list_plain(reader, content, NULL);
	else if (kind % 4 == 1)
		status = list_csv(reader, content, NULL);
	else if (kind % 4 == 2)
		status = read_feed(reader, content, TEXT(event), &err);
	else
		status = read_feed(reader, TEXT(manifest), content, &err);
	assert(status == OK || (kind % 4 >= 2 && err.text[0] != '\0'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct watch *watch = NULL;
	struct text content = {(const char *)data + 1, size - 1};
	assert(watch_new(&watch, NULL) == OK);
	struct list_reader reader = {.watch = watch, .ttl_us = INT64_MAX, .path = "fuzz"};
	read_list(&reader, data[0], content);
	assert(watch_seal(watch, NULL) == OK);
	check_form(content);
	struct cidr any;
	size_t hits = 0;
	if (cidr_parse(content, &any))
		watch_find_address(watch, &any, 0, on_hit, &hits);
	watch_free(&watch);
	return 0;
}
