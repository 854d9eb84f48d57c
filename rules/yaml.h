/* yaml - a YAML text as a tree of nodes that know where they stand.
 *
 * Why: rules and configuration are YAML; a mistake in them must be shown as file:line:column. The
 * tree keeps marks, refuses what silently loses meaning (duplicate keys) and bounds what an
 * attacker may multiply (aliases). Scalars are typed by the YAML 1.2 core schema.
 *
 * Invariant: every node has a position; children are in file order. Owner: the arena.
 * Thread: any. Limits: YAML_NODES_MAX after alias expansion, YAML_DEPTH_MAX, YAML_BYTES_MAX. */
#ifndef PICKET_RULES_YAML_H
#define PICKET_RULES_YAML_H

#include <stdint.h>

#include "rules/arena.h"
#include "rules/error.h"

enum { YAML_NODES_MAX = 1000000, YAML_DEPTH_MAX = 64, YAML_BYTES_MAX = 64 * 1024 * 1024 };

enum yaml_kind {
	YAML_NULL,
	YAML_BOOLEAN,
	YAML_INTEGER,
	YAML_REAL,
	YAML_STRING,
	YAML_SEQUENCE,
	YAML_MAPPING,
};

struct yaml_node {
	enum yaml_kind kind;
	bool quoted;      /* a scalar in quotes or a block scalar: always YAML_STRING */
	struct text text; /* scalars: as written (after unquoting) */
	bool boolean;
	long long integer;
	double real;                          /* YAML_REAL, and YAML_INTEGER too */
	const struct yaml_node *const *items; /* sequence */
	const struct yaml_node *const *keys;  /* mapping: scalars */
	const struct yaml_node *const *values;
	size_t count; /* of items, or of pairs */
	struct position at;
	/* Set by pipelines only: the node as the file has it (pipeline_private.h). */
	const struct yaml_node *written;
};

/* All documents of a text. file names it in errors and must outlive the nodes. */
enum status yaml_parse(struct text yaml, const char *file, struct arena *arena,
		       const struct yaml_node *const **ret_documents, size_t *ret_count,
		       struct error *err);
enum status yaml_load(const char *path, struct arena *arena,
		      const struct yaml_node *const **ret_documents, size_t *ret_count,
		      struct error *err);

/* The value of a key, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key);

/* The nearest of the names to `wrong` (Damerau-Levenshtein <= 2), or NULL: for "did you mean". */
const char *nearest_name(struct text wrong, const char *const *names, size_t count);

/* "10s", "5m", "1h", "7d", "1w" (Sigma's timespan, plus ms): false when it is none. */
bool duration_parse(struct text t, int64_t *ret_us);

#endif
