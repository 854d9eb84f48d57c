/* yaml (private) - the pieces of the YAML reader that yaml.c and yaml_scalar.c share, and reading a
 * file, which the rule set needs too because it hashes the bytes it loads.
 *
 * Why: typing a plain scalar is a small language of its own (YAML 1.2, chapter 10.3).
 * Invariant: yaml_type_scalar() changes only kind and the value that belongs to it.
 * Owner: the arena. Thread: any. Limits: those of yaml.h. */
#ifndef PICKET_RULES_YAML_PRIVATE_H
#define PICKET_RULES_YAML_PRIVATE_H

#include "rules/yaml.h"

/* Types a plain scalar by the core schema: node->text is set, node->quoted false. */
void yaml_type_scalar(struct yaml_node *node);

/* What a YAML 1.1 reader (PyYAML, most Sigma tools) makes of a plain scalar when it differs from
 * YAML 1.2, in words; NULL when both agree. */
const char *yaml_old_reading(const struct yaml_node *node);

/* The bytes of a file, at most YAML_BYTES_MAX. */
enum status yaml_read_file(const char *path, struct arena *arena, struct text *ret_bytes,
			   struct error *err);

#endif
