/* Any bytes as a list, plain or CSV: entries that can be found again, or none. */
#include <assert.h>
#include <stdint.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct watch *watch = NULL;
	struct text content = {(const char *)data + 1, size - 1};
	assert(watch_new(&watch, NULL) == OK);
	struct list_reader reader = {.watch = watch, .ttl_us = INT64_MAX, .path = "fuzz"};
	enum status status = data[0] % 2 == 0 ? list_plain(&reader, content, NULL)
					      : list_csv(&reader, content, NULL);
	assert(status == OK);
	assert(watch_seal(watch, NULL) == OK);
	check_form(content);
	struct cidr any;
	size_t hits = 0;
	if (cidr_parse(content, &any))
		watch_find_address(watch, &any, 0, on_hit, &hits);
	watch_free(&watch);
	return 0;
}
