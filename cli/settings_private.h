/* settings - the table of config.def as data, for the parser, its checks and the page that
 * documents it.
 *
 * Why: a key that is parsed but not documented (or the other way round) must be impossible.
 * Invariant: one row per SETTING, in the order of the file. Owner: constant data. Thread: any.
 * Limits: none of its own. */
#ifndef PICKET_CLI_SETTINGS_PRIVATE_H
#define PICKET_CLI_SETTINGS_PRIVATE_H

#include "cli/config.h"

enum setting_kind {
	SETTING_TEXT,
	SETTING_PATH,
	SETTING_LISTEN,
	SETTING_START,
	SETTING_DURATION,
	SETTING_SIZE,
	SETTING_COUNT_NUMBER,
	SETTING_BOOLEAN,
	SETTING_CHOICE,
	SETTING_TEXTS,
	SETTING_PATHS,
	SETTING_PAIRS,
};

struct setting {
	const char *path; /* "kafka.topics" */
	enum setting_kind kind;
	size_t offset; /* in struct config */
	const char *fallback;
	int64_t min, max;
	const char *choices; /* space-separated */
	const char *doc;
};

enum { SETTINGS_MAX = 128 };

/* A configuration that is being read. */
struct config_parse {
	struct arena *arena;
	struct problems *problems;
	struct config config;
	const char *file;
	bool given[SETTINGS_MAX];
	struct position at[SETTINGS_MAX];
	bool memory; /* the arena is full */
};
__attribute__((format(printf, 3, 4))) void config_problem(struct config_parse *parse,
							  struct position at, const char *format,
							  ...);
/* What two settings together make wrong; fills in what follows from others. */
void config_check(struct config_parse *parse);

extern const struct setting settings[];
extern const size_t setting_count;

const char *setting_kind_name(enum setting_kind kind);

#endif
