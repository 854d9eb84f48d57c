#include <assert.h>
#include <stddef.h>

#include "cli/settings_private.h"

/* The words of config.def, COUNT among them, are not the names of the enum. */
#define KIND_TEXT     SETTING_TEXT
#define KIND_PATH     SETTING_PATH
#define KIND_LISTEN   SETTING_LISTEN
#define KIND_START    SETTING_START
#define KIND_DURATION SETTING_DURATION
#define KIND_SIZE     SETTING_SIZE
#define KIND_COUNT    SETTING_COUNT_NUMBER
#define KIND_BOOLEAN  SETTING_BOOLEAN
#define KIND_CHOICE   SETTING_CHOICE
#define KIND_TEXTS    SETTING_TEXTS
#define KIND_PATHS    SETTING_PATHS
#define KIND_PAIRS    SETTING_PAIRS

const struct setting settings[] = {
#define SETTING(path, member, kind, fallback, min, max, choices, doc) \
	{path, KIND_##kind, offsetof(struct config, member), fallback, min, max, choices, doc},
#include "cli/config.def"
#undef SETTING
};

const size_t setting_count = sizeof settings / sizeof *settings;

const char *setting_kind_name(enum setting_kind kind)
{
	static const char *const names[] = {
		[SETTING_TEXT] = "text",           [SETTING_PATH] = "path",
		[SETTING_LISTEN] = "address",      [SETTING_START] = "start",
		[SETTING_DURATION] = "duration",   [SETTING_SIZE] = "size",
		[SETTING_COUNT_NUMBER] = "number", [SETTING_BOOLEAN] = "true or false",
		[SETTING_CHOICE] = "word",         [SETTING_TEXTS] = "list of texts",
		[SETTING_PATHS] = "list of paths", [SETTING_PAIRS] = "map",
	};
	assert((unsigned)kind < sizeof names / sizeof *names);
	return names[kind];
}
