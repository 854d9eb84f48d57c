/* error - how picket says that something went wrong.
 *
 * Why: a SIEM that ignores a failed call loses evidence. Every function that can fail returns enum
 * status, which the compiler does not let a caller drop, and fills a struct error that a person
 * can act on: what, where (file:line:column) and what to do next.
 *
 * Invariant: *err is written only on failure, and then always with a message. err may be NULL.
 * Owner: the caller (plain data, no heap). Thread: any; an error belongs to one thread at a time.
 * Limits: ERROR_TEXT_MAX bytes of message, ERROR_FILE_MAX of path; longer ones are cut. */
#ifndef PICKET_RULES_ERROR_H
#define PICKET_RULES_ERROR_H

enum [[nodiscard]] status{
#define STATUS(code, text) code,
#include "rules/status.def"
#undef STATUS
};

enum {
	ERROR_TEXT_MAX = 1024,
	ERROR_FILE_MAX = 512,
};

struct error {
	enum status status;
	unsigned line;             /* 1-based; 0 = no position */
	unsigned column;           /* 1-based, in bytes; 0 = no position */
	char file[ERROR_FILE_MAX]; /* "" = not about a file */
	char text[ERROR_TEXT_MAX]; /* one line or more, without a final newline */
};

/* The words of a status, for messages that have nothing better. */
const char *status_text(enum status status);

/* Fills *err and returns status, so that a caller can write `return error_set(err, EINVALID, ...)`.
 */
__attribute__((format(printf, 3, 4))) enum status error_set(struct error *err, enum status status,
							    const char *format, ...);

struct position {
	const char *file;
	unsigned line;
	unsigned column;
};

/* As error_set(), with a place in a file. */
__attribute__((format(printf, 4, 5))) enum status error_at(struct error *err, enum status status,
							   struct position at, const char *format,
							   ...);

/* Puts context before the message of an error that is already set: "loading rules: ...". */
__attribute__((format(printf, 3, 4))) enum status error_wrap(struct error *err, enum status status,
							     const char *format, ...);

/* "file:line:column: text", or "text" when the error is not about a file. Returns its length
 * without the final NUL, cut to size - 1. */
unsigned error_print(const struct error *err, char *buffer, unsigned size);

/* The two clever macros of this project (a scope runs its clean-up; TAKE() disarms it). */
#define cleanup(fn) __attribute__((cleanup(fn)))
#define TAKE(p)                             \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})

#endif
