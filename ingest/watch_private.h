/* watch, inside: what the readers of the list formats hand over.
 *
 * Owner: a watch while it is being built. Thread: one. */
#ifndef PICKET_INGEST_WATCH_PRIVATE_H
#define PICKET_INGEST_WATCH_PRIVATE_H

#include "ingest/watch.h"
#include "rules/bytes.h"

struct list_reader {
	struct watch *watch;
	size_t list;     /* index of the list */
	int64_t file_us; /* when the file was written */
	int64_t ttl_us;  /* INT64_MAX: for ever */
	size_t bad_line; /* the first line that could not be read, 0 = none */
	const char *path;
};

/* One entry, as it is written. listed_us, expires_us: INT64_MIN = the list does not say. */
struct list_entry {
	struct text written;
	int64_t listed_us, expires_us;
	size_t line;
};

/* ELIMIT, ENOMEMORY; an entry that cannot be read is counted. */
enum status list_take(struct list_reader *reader, const struct list_entry *entry,
		      struct error *err);

enum status list_plain(struct list_reader *reader, struct text content, struct error *err);
enum status list_csv(struct list_reader *reader, struct text content, struct error *err);
/* content: of the folder's manifest.json. */
enum status list_misp(struct list_reader *reader, struct text manifest, struct error *err);

/* A whole file into *to (appended); its time. */
enum status list_file(const char *path, struct bytes *to, int64_t *ret_time_us, struct error *err);

#endif
