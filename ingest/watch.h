/* watch - all lists of indicators and networks as one table: is this value on a list, now?
 *
 * Why: an event's address must be held against hundreds of thousands of entries in a fraction of a
 * microsecond; one hash look-up per value, and one per prefix length for networks.
 *
 * A list is a file of one of four kinds: `.csv` (list_csv.c), a folder with manifest.json (a MISP
 * feed, list_misp.c), anything else is text, one entry a line (list_plain.c). It is called like its
 * file without the ending; its version is a hash of its content. Entries of threat lists expire:
 * the time they were listed (a column, MISP's timestamp, else the file's own time) + ttl, held
 * against the EVENT's time, so that a replay gives the same answer.
 *
 * Invariant: built once, then immutable. An entry that cannot be read is skipped and counted; a
 * list without a single good entry is refused with file:line. Owner: watch_free(). Thread:
 * immutable, any. Limits: WATCH_LISTS_MAX lists, WATCH_ENTRIES_MAX entries, WATCH_FILE_MAX bytes a
 * file. */
#ifndef PICKET_INGEST_WATCH_H
#define PICKET_INGEST_WATCH_H

#include <stdint.h>

#include "ingest/indicator.h"
#include "rules/arena.h"
#include "rules/error.h"

enum { WATCH_LISTS_MAX = 256, WATCH_ENTRIES_MAX = 8 * 1024 * 1024 };
#define WATCH_FILE_MAX ((size_t)512 << 20)

struct watch;

struct watch_list {
	struct text name;    /* "tor-exits" */
	struct text version; /* "tor-exits@1a2b3c4d" */
	const char *path;
	bool threat; /* else a list of networks of one's own: never expires */
	size_t entries, skipped;
};

enum status watch_new(struct watch **ret_watch, struct error *err);
void watch_free(struct watch **watch);

/* Reads one more list; before watch_seal(). ttl_us: of threat lists. */
enum status watch_add(struct watch *watch, const char *path, bool threat, int64_t ttl_us,
		      struct error *err);
/* No list comes any more: look-ups may begin. */
enum status watch_seal(struct watch *watch, struct error *err);

size_t watch_list_count(const struct watch *watch);
const struct watch_list *watch_list(const struct watch *watch, size_t index);

/* Calls on_hit for each list that has the value and did not let it expire before time_us. */
typedef void watch_hit(void *context, const struct watch_list *list, struct text entry);
void watch_find_text(const struct watch *watch, struct text form, int64_t time_us,
		     watch_hit *on_hit, void *context);
void watch_find_address(const struct watch *watch, const struct cidr *address, int64_t time_us,
			watch_hit *on_hit, void *context);

#endif
