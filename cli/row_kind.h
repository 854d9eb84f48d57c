/* row_kind - the rows that are no events and have a time to live, as row_kind.def lists them.
 *
 * Why: the configuration names them, row retention (row_retention.h) judges them. Invariant: the
 * name is the setting's, behind "retention.". Owner: none. Thread: any. Limits: none. */
#ifndef PICKET_CLI_ROW_KIND_H
#define PICKET_CLI_ROW_KIND_H

enum row_kind {
#define ROW_KIND(id, name) ROW_KIND_##id,
#include "cli/row_kind.def"
#undef ROW_KIND
	ROW_KIND_COUNT,
};
const char *row_kind_name(enum row_kind kind);

#endif
