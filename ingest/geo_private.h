/* geo, inside: is a database well formed? (geo_check.c)
 *
 * Owner: none; pure but for the memory of the walk. Thread: any. */
#ifndef PICKET_INGEST_GEO_PRIVATE_H
#define PICKET_INGEST_GEO_PRIVATE_H

#include <maxminddb.h>

#include "ingest/geo.h"

/* Before the library sees the file: is there metadata that can be read? */
bool geo_check_metadata(struct text file);
/* A map at `offset` of a section, with everything in it. */
bool geo_check_record(struct text section, size_t offset);
/* Every node and every record. *ret_memory: false when there was not enough for the walk. */
bool geo_check_tree(const MMDB_s *database, bool *ret_memory);

#endif
