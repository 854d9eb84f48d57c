/* escape - text of strangers made harmless for a terminal.
 *
 * Why: every field of a log is written by somebody else. ESC ] 52 fills a clipboard, a
 * bidirectional override turns "evil" into "live", a zero-width space makes two users look like
 * one. So every cell that picket prints for a person goes through here, whether or not a terminal
 * is behind it.
 *
 * Invariant: the output is valid UTF-8 and holds no control character (C0, DEL, C1), no
 * bidirectional or zero-width character, no line separator; every byte that was changed can be
 * read from the output. Printable text comes out as it went in.
 * Owner: the caller's buffer. Thread: any (pure). Limits: those of struct bytes. */
#ifndef PICKET_CLI_ESCAPE_H
#define PICKET_CLI_ESCAPE_H

#include "rules/bytes.h"

/* Appends text. Newline, tab and return become \n \t \r, others \xNN (a byte) or \u{NNNN}. */
void escape_text(struct text text, struct bytes *to);

/* The same, line breaks kept: for text of several lines such as a stack trace. */
void escape_lines(struct text text, struct bytes *to);

/* The same for a text that is JSON: what may not reach a terminal becomes \\uNNNN, so the JSON
 * keeps its meaning. Line breaks are kept, bytes that are not UTF-8 become U+FFFD. */
void escape_json(struct text text, struct bytes *to);

/* The UTF-8 sequence at text[at]: its size, or 0 when it is none; the code point in *ret_code. */
size_t utf8_next(struct text text, size_t at, uint32_t *ret_code);

/* Text inside an XML attribute; what XML 1.0 cannot hold becomes '?'. */
void xml_put(struct bytes *to, struct text text);

#endif
