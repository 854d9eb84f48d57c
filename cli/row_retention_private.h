/* row_retention_private - one turn of row retention, shared by its files: row_retention.c (the
 * turn, and the rows that are judged by their time alone), row_retention_alerts.c,
 * row_retention_gate.c.
 *
 * Why, invariant, owner, thread, limits: row_retention.h. */
#ifndef PICKET_CLI_ROW_RETENTION_PRIVATE_H
#define PICKET_CLI_ROW_RETENTION_PRIVATE_H

#include "cli/row_retention.h"

struct turn {
	struct store *store;
	const struct row_rules *rules;
	int64_t now_us;
	struct row_drop *drops;
	struct store_batch *batch; /* NULL: nothing is removed, only counted */
	size_t batched;
	struct error *err;
};

/* A row of the store, lent for a call. */
struct row {
	enum store_family family;
	struct text key, value;
};

/* The limit of the kind: rows before it are too old. */
int64_t turn_before(const struct turn *turn, enum row_kind kind);
/* True when so many rows of the kind went that the rest has to wait. */
bool turn_is_over(const struct turn *turn, enum row_kind kind);
/* A row that is too old; held: somebody needs it. */
enum status turn_drop(struct turn *turn, enum row_kind kind, const struct row *row, bool held);
/* ECORRUPT becomes a count. */
enum status turn_survive(struct turn *turn, enum row_kind kind, enum status status);
enum status turn_no_memory(struct turn *turn);

/* Calls visit for each row, from the first with the prefix to the last; *ret_seek, when it was
 * written, is where to go on. */
typedef enum status row_visitor(struct turn *turn, const struct row *row, struct bytes *seek,
				void *context);
enum status turn_walk(struct turn *turn, enum store_family family, struct text prefix,
		      row_visitor *visit, void *context);

enum status alerts_walk(struct turn *turn);
enum status gate_walk(struct turn *turn);

#endif
