#include "rules/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *status_text(enum status status)
{
	static const char *const texts[] = {
#define STATUS(code, text) [code] = text,
#include "rules/status.def"
#undef STATUS
	};
	assert((unsigned)status < sizeof texts / sizeof *texts);
	return texts[status];
}

/* A message that is too long loses its middle, not the fix at its end. */
static void text_fit(const char *whole, char to[static ERROR_TEXT_MAX])
{
	enum { FIX_MAX = ERROR_TEXT_MAX / 2 };
	const char *fix = strstr(whole, "\n  fix: ");
	if (fix == NULL || fix - whole < ERROR_TEXT_MAX - FIX_MAX) {
		(void)snprintf(to, ERROR_TEXT_MAX, "%s", whole);
		return;
	}
	size_t fix_size = strnlen(fix, FIX_MAX);
	(void)snprintf(to, ERROR_TEXT_MAX, "%.*s...%.*s",
		       (int)(ERROR_TEXT_MAX - sizeof "..." - fix_size), whole, (int)fix_size, fix);
}

static void error_fill(struct error *err, enum status status, struct position at,
		       const char *format, va_list args)
{
	assert(status != OK);
	err->status = status;
	err->line = at.line;
	err->column = at.column;
	(void)snprintf(err->file, sizeof err->file, "%s", at.file == NULL ? "" : at.file);
	va_list again;
	va_copy(again, args);
	char *whole = NULL;
	int size = vsnprintf(err->text, sizeof err->text, format, args);
	if (size >= ERROR_TEXT_MAX && vasprintf(&whole, format, again) >= 0) {
		text_fit(whole, err->text);
		free(whole);
	}
	va_end(again);
}

enum status error_set(struct error *err, enum status status, const char *format, ...)
{
	if (err != NULL) {
		va_list args;
		va_start(args, format);
		error_fill(err, status, (struct position){0}, format, args);
		va_end(args);
	}
	return status;
}

enum status error_at(struct error *err, enum status status, struct position at, const char *format,
		     ...)
{
	if (err != NULL) {
		va_list args;
		va_start(args, format);
		error_fill(err, status, at, format, args);
		va_end(args);
	}
	return status;
}

enum status error_wrap(struct error *err, enum status status, const char *format, ...)
{
	assert(status != OK);
	if (err == NULL)
		return status;
	char context[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(context, sizeof context, format, args);
	va_end(args);
	char text[ERROR_TEXT_MAX];
	memcpy(text, err->text, sizeof text);
	/* Both halves are bounded, so the cut (if any) takes the tail of the older message. */
	size_t used = strnlen(context, sizeof context - 3);
	memcpy(err->text, context, used);
	memcpy(err->text + used, ": ", 2);
	size_t kept = strnlen(text, sizeof err->text - used - 3);
	memcpy(err->text + used + 2, text, kept);
	err->text[used + 2 + kept] = '\0';
	err->status = status;
	return status;
}

unsigned error_print(const struct error *err, char *buffer, unsigned size)
{
	assert(size > 0);
	int length = err->file[0] == '\0' ? snprintf(buffer, size, "%s", err->text)
					  : snprintf(buffer, size, "%s:%u:%u: %s", err->file,
						     err->line, err->column, err->text);
	assert(length >= 0);
	return (unsigned)length < size ? (unsigned)length : size - 1;
}
