/* rule_files (private) - the rule files (or list files) under a path, in a fixed order.
 *
 * Why: folders of rules are loaded whole, and the order decides which of two equal ids is "the
 * second"; it must be the same on every machine.
 *
 * Invariant: a file that was named itself is visited whatever it is called; in folders only
 * those with one of the suffixes, hidden names never. Owner: nothing is kept. Thread: any.
 * Limits: 32 folders deep, paths up to 4095 bytes. */
#ifndef PICKET_RULES_RULE_FILES_PRIVATE_H
#define PICKET_RULES_RULE_FILES_PRIVATE_H

#include <stdbool.h>

#include "rules/error.h"

typedef enum status rule_file_visit(void *context, const char *path, struct error *err);

/* Visits the file at path, or all files under the folder at path whose name ends in one of the
 * suffixes (".yml", NULL behind the last), by byte order of the names; stops at the first
 * failure. */
enum status rule_files_visit(const char *path, const char *const *suffixes, rule_file_visit *visit,
			     void *context, struct error *err);

#endif
