/* Two open-addressing tables over one array of entries: texts by their bytes, networks by prefix
 * length and masked address. Entries of one key are chained: a value may be on many lists. Keys are
 * ours, so a plain hash will do; values from logs only look up. */
#include "ingest/watch.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "ingest/watch_private.h"

enum { PATH_BYTES = 4096, NAME_BYTES_MAX = 200 };

#define WATCH_ARENA_BYTES ((size_t)2 << 30)

struct entry {
	struct text text; /* of a text; of a network as it was written */
	unsigned char address[CIDR_ADDRESS_BYTES];
	uint8_t prefix_bits; /* 0 = a text */
	bool network;
	uint16_t list;
	uint32_t next; /* of the same key, + 1 */
	int64_t expires_us;
};

struct watch {
	struct arena *arena;
	struct watch_list lists[WATCH_LISTS_MAX];
	size_t list_count;
	struct entry *entries;
	size_t entry_count, entry_capacity;
	uint32_t *slots; /* entry + 1 */
	size_t slot_count;
	bool lengths[CIDR_BITS_MAX + 1]; /* of networks that there are */
	uint8_t length_list[CIDR_BITS_MAX + 1];
	size_t length_count;
};

enum status watch_new(struct watch **ret_watch, struct error *err)
{
	struct watch *watch cleanup(watch_free) = calloc(1, sizeof *watch);
	if (watch != NULL)
		watch->arena = arena_new(WATCH_ARENA_BYTES);
	if (watch == NULL || watch->arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for lists");
	*ret_watch = TAKE(watch);
	return OK;
}

void watch_free(struct watch **watch)
{
	if (*watch == NULL)
		return;
	arena_free(&(*watch)->arena);
	free((*watch)->entries);
	free((*watch)->slots);
	free(*watch);
	*watch = NULL;
}

static void file_close(FILE **file)
{
	if (*file != NULL)
		(void)fclose(*file);
}

enum status list_file(const char *path, struct bytes *to, int64_t *ret_time_us, struct error *err)
{
	char buffer[64 * 1024];
	size_t got = 0;
	struct stat about;
	FILE *file cleanup(file_close) = fopen(path, "rbe");
	if (file == NULL || fstat(fileno(file), &about) != 0)
		return error_set(err, errno == ENOENT ? ENOTFOUND : ESYSTEM, "%s: %s", path,
				 strerror(errno));
	while ((got = fread(buffer, 1, sizeof buffer, file)) > 0) {
		bytes_put(to, buffer, got);
		if (to->size > WATCH_FILE_MAX)
			return error_set(err, ELIMIT, "%s is larger than %zu bytes", path,
					 WATCH_FILE_MAX);
	}
	if (ferror(file) != 0)
		return error_set(err, ESYSTEM, "%s cannot be read: %s", path, strerror(errno));
	*ret_time_us = (int64_t)about.st_mtim.tv_sec * 1000000 + about.st_mtim.tv_nsec / 1000;
	return bytes_status(to);
}

static enum status entry_new(struct watch *watch, struct entry **ret_entry, struct error *err)
{
	if (watch->entry_count == WATCH_ENTRIES_MAX)
		return error_set(err, ELIMIT, "more than %d entries in all lists",
				 WATCH_ENTRIES_MAX);
	if (watch->entry_count == watch->entry_capacity) {
		size_t capacity = watch->entry_capacity == 0 ? 1024 : watch->entry_capacity * 2;
		struct entry *grown = realloc(watch->entries, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		watch->entries = grown;
		watch->entry_capacity = capacity;
	}
	*ret_entry = &watch->entries[watch->entry_count++];
	**ret_entry = (struct entry){0};
	return OK;
}

static int64_t later(int64_t time_us, int64_t by_us)
{
	return time_us > INT64_MAX - by_us ? INT64_MAX : time_us + by_us;
}

static void mask(unsigned char address[static CIDR_ADDRESS_BYTES], unsigned bits)
{
	for (unsigned i = 0; i < CIDR_ADDRESS_BYTES; i++) {
		unsigned kept = bits <= i * 8 ? 0 : bits - i * 8;
		if (kept < 8)
			address[i] = (unsigned char)(address[i] & ~(0xffU >> kept));
	}
}

enum status list_take(struct list_reader *reader, const struct list_entry *from, struct error *err)
{
	char buffer[INDICATOR_BYTES_MAX];
	struct watch *watch = reader->watch;
	struct watch_list *list = &watch->lists[reader->list];
	struct indicator found = indicator_read(from->written, buffer);
	bool wide = found.kind == INDICATOR_NETWORK && found.network.prefix_bits == 0;
	if (found.kind == INDICATOR_NONE || wide ||
	    (!list->threat && found.kind != INDICATOR_NETWORK)) {
		list->skipped++;
		if (reader->bad_line == 0)
			reader->bad_line = from->line;
		return OK;
	}
	struct entry *entry = NULL;
	enum status status = entry_new(watch, &entry, err);
	if (status != OK)
		return status;
	bool network = found.kind == INDICATOR_NETWORK;
	entry->text = arena_copy(watch->arena, network ? from->written : found.text);
	if (entry->text.data == NULL)
		return ENOMEMORY;
	entry->list = (uint16_t)reader->list;
	entry->network = network;
	if (network) {
		entry->prefix_bits = (uint8_t)found.network.prefix_bits;
		memcpy(entry->address, found.network.address, sizeof entry->address);
		mask(entry->address, entry->prefix_bits);
	}
	int64_t listed_us = from->listed_us == INT64_MIN ? reader->file_us : from->listed_us;
	entry->expires_us =
		from->expires_us != INT64_MIN ? from->expires_us : later(listed_us, reader->ttl_us);
	list->entries++;
	return OK;
}

/* "lists/tor-exits.txt" is tor-exits, "feed/" is feed. */
static struct text name_of(const char *path)
{
	struct text name = text_of(path);
	while (name.size > 1 && name.data[name.size - 1] == '/')
		name.size--;
	const char *slash = memrchr(name.data, '/', name.size);
	if (slash != NULL)
		name = text_cut(name, (size_t)(slash - name.data) + 1);
	const char *dot = memrchr(name.data, '.', name.size);
	if (dot != NULL && dot > name.data)
		name.size = (size_t)(dot - name.data);
	if (name.size > NAME_BYTES_MAX)
		name.size = NAME_BYTES_MAX;
	return name;
}

static bool ends_with(const char *path, const char *end)
{
	size_t size = strlen(path);
	size_t tail = strlen(end);
	return size > tail && strcmp(path + size - tail, end) == 0;
}

static enum status read_list(struct list_reader *reader, struct bytes *content, struct error *err)
{
	char manifest[PATH_BYTES];
	struct stat about;
	if (stat(reader->path, &about) == 0 && S_ISDIR(about.st_mode)) {
		if ((size_t)snprintf(manifest, sizeof manifest, "%s/manifest.json", reader->path) >=
		    sizeof manifest)
			return error_set(err, ELIMIT, "%s: the path is too long", reader->path);
		enum status status = list_file(manifest, content, &reader->file_us, err);
		return status == OK ? list_misp(reader, bytes_text(content), err) : status;
	}
	enum status status = list_file(reader->path, content, &reader->file_us, err);
	if (status != OK)
		return status;
	return ends_with(reader->path, ".csv") ? list_csv(reader, bytes_text(content), err)
					       : list_plain(reader, bytes_text(content), err);
}

/* What the list holds, in the order it is written: two equal versions are equal lists. */
static uint32_t content_hash(const struct watch *watch, size_t from)
{
	XXH64_hash_t hash = 0;
	for (size_t i = from; i < watch->entry_count; i++)
		hash = XXH3_64bits_withSeed(watch->entries[i].text.data,
					    watch->entries[i].text.size,
					    hash ^ (uint64_t)watch->entries[i].expires_us);
	return (uint32_t)(hash ^ hash >> 32);
}

enum status watch_add(struct watch *watch, const char *path, bool threat, int64_t ttl_us,
		      struct error *err)
{
	struct bytes content cleanup(bytes_done) = {0};
	assert(watch->slots == NULL);
	if (watch->list_count == WATCH_LISTS_MAX)
		return error_set(err, ELIMIT, "more than %d lists", WATCH_LISTS_MAX);
	size_t first = watch->entry_count;
	struct watch_list *list = &watch->lists[watch->list_count];
	struct text kept_path = arena_copy(watch->arena, text_of(path));
	*list = (struct watch_list){.name = arena_copy(watch->arena, name_of(path)),
				    .path = kept_path.data,
				    .threat = threat};
	if (list->path == NULL || list->name.data == NULL)
		return ENOMEMORY;
	struct list_reader reader = {.watch = watch,
				     .list = watch->list_count,
				     .ttl_us = threat ? ttl_us : INT64_MAX,
				     .path = path};
	enum status status = read_list(&reader, &content, err);
	if (status != OK)
		return status;
	if (list->entries == 0)
		return error_at(err, EINVALID,
				(struct position){path, (unsigned)reader.bad_line, 1},
				"no entry can be read; one address, network%s a line, or a column "
				"called indicator",
				threat ? ", domain, URL or hash" : "");
	list->version = arena_print(watch->arena, "%.*s@%08x", TEXT_ARG(list->name),
				    content_hash(watch, first));
	if (list->version.data == NULL)
		return ENOMEMORY;
	watch->list_count++;
	return OK;
}

static uint64_t text_hash(struct text t)
{
	return XXH3_64bits(t.data, t.size);
}

static uint64_t network_hash(const unsigned char address[static CIDR_ADDRESS_BYTES], unsigned bits)
{
	return XXH3_64bits_withSeed(address, CIDR_ADDRESS_BYTES, bits + 1);
}

static bool same_key(const struct entry *a, const struct entry *b)
{
	if (a->network != b->network || a->prefix_bits != b->prefix_bits)
		return false;
	return a->network ? memcmp(a->address, b->address, sizeof a->address) == 0
			  : text_equal(a->text, b->text);
}

static void slot_put(struct watch *watch, uint32_t index)
{
	struct entry *entry = &watch->entries[index];
	uint64_t hash = entry->network ? network_hash(entry->address, entry->prefix_bits)
				       : text_hash(entry->text);
	size_t at = hash & (watch->slot_count - 1);
	while (watch->slots[at] != 0 && !same_key(&watch->entries[watch->slots[at] - 1], entry))
		at = (at + 1) & (watch->slot_count - 1);
	entry->next = watch->slots[at];
	watch->slots[at] = index + 1;
}

enum status watch_seal(struct watch *watch, struct error *err)
{
	assert(watch->slots == NULL);
	watch->slot_count = 16;
	while (watch->slot_count < watch->entry_count * 2)
		watch->slot_count *= 2;
	watch->slots = calloc(watch->slot_count, sizeof *watch->slots);
	if (watch->slots == NULL)
		return error_set(err, ENOMEMORY, "no memory for lists");
	for (size_t i = 0; i < watch->entry_count; i++) {
		const struct entry *entry = &watch->entries[i];
		if (entry->network && !watch->lengths[entry->prefix_bits]) {
			watch->lengths[entry->prefix_bits] = true;
			watch->length_list[watch->length_count++] = entry->prefix_bits;
		}
		slot_put(watch, (uint32_t)i);
	}
	return OK;
}

size_t watch_list_count(const struct watch *watch)
{
	return watch->list_count;
}

const struct watch_list *watch_list(const struct watch *watch, size_t index)
{
	assert(index < watch->list_count);
	return &watch->lists[index];
}

/* All entries of a key that have not expired, each list once. */
static void tell(const struct watch *watch, uint32_t first, int64_t time_us, watch_hit *on_hit,
		 void *context)
{
	uint32_t told = UINT32_MAX; /* entries of one list stand together in the chain */
	for (uint32_t at = first; at != 0; at = watch->entries[at - 1].next) {
		const struct entry *entry = &watch->entries[at - 1];
		if (time_us >= entry->expires_us || entry->list == told)
			continue;
		told = entry->list;
		on_hit(context, &watch->lists[entry->list], entry->text);
	}
}

void watch_find_text(const struct watch *watch, struct text form, int64_t time_us,
		     watch_hit *on_hit, void *context)
{
	assert(watch->slots != NULL);
	size_t at = text_hash(form) & (watch->slot_count - 1);
	for (; watch->slots[at] != 0; at = (at + 1) & (watch->slot_count - 1)) {
		const struct entry *entry = &watch->entries[watch->slots[at] - 1];
		if (entry->network || !text_equal(entry->text, form))
			continue;
		tell(watch, watch->slots[at], time_us, on_hit, context);
		return;
	}
}

static void find_network(const struct watch *watch, const unsigned char *address, unsigned bits,
			 int64_t time_us, watch_hit *on_hit, void *context)
{
	size_t at = network_hash(address, bits) & (watch->slot_count - 1);
	for (; watch->slots[at] != 0; at = (at + 1) & (watch->slot_count - 1)) {
		const struct entry *entry = &watch->entries[watch->slots[at] - 1];
		if (!entry->network || entry->prefix_bits != bits ||
		    memcmp(entry->address, address, CIDR_ADDRESS_BYTES) != 0)
			continue;
		tell(watch, watch->slots[at], time_us, on_hit, context);
		return;
	}
}

void watch_find_address(const struct watch *watch, const struct cidr *address, int64_t time_us,
			watch_hit *on_hit, void *context)
{
	assert(watch->slots != NULL);
	for (size_t i = 0; i < watch->length_count; i++) {
		unsigned bits = watch->length_list[i];
		unsigned char masked[CIDR_ADDRESS_BYTES];
		if (bits > address->prefix_bits)
			continue;
		memcpy(masked, address->address, sizeof masked);
		mask(masked, bits);
		find_network(watch, masked, bits, time_us, on_hit, context);
	}
}
