#include "correlate/template.h"

#include <assert.h>
#include <ctype.h>

/* FROM A LINE TO ITS TEMPLATE.
 *
 * Miners of log templates (SLCT: Vaarandi 2003; Spell: Du and Li 2016; Drain: He et al. 2017) learn
 * which words of a line vary by looking at many lines, and their answer depends on which they saw
 * first. The gate needs an answer that is the same on every worker and after every restart, so this
 * is only their first step, which Zhu et al. (2019, "Tools and Benchmarks for Automated Log
 * Parsing") found to decide most of their accuracy: mask what is variable by its looks.
 *
 *     quoted text                 "..." '...' `...`                       -> #
 *     a word with a digit in it   4711  0x1f  v2.1  10.0.0.7  ab12-9c     -> #
 *     eight or more hex letters   deadbeef                                -> #
 *     32 letters or more          tokens, keys                            -> #
 *     an address                  ann@example.org                         -> #
 *     a list of the above         #, #, #                                 -> #
 *     the first line only, blanks as one blank, no blank at either end
 *
 * A word is a run of letters, digits, '_', '-', '.', ':' and '/' between other characters, without
 * the punctuation at its end. "-" and the like join it, so that a UUID, an address with its port, a
 * date or a path is one word; a path or a name without any digit stays as it is.
 *
 * What this cannot mask is a name without digits ("user ann not found"): such a line has as many
 * templates as names, and the gate sees by the baseline's own rate of new templates that novelty
 * means nothing for this service (gate_signal.c). */

enum { HEX_LETTERS_MIN = 8, TOKEN_MIN = 32, QUOTED_MAX = 256 };

static const char MASK = '#';

static bool in_word(char c)
{
	return isalnum((unsigned char)c) || (c != '\0' && strchr("_-.:/@%+~#", c) != NULL) ||
	       (unsigned char)c >= 0x80;
}

static bool ends_word(char c)
{
	return c != '\0' && strchr(".:-", c) != NULL;
}

/* Is the word one that differs from line to line? */
static bool is_variable(struct text word)
{
	size_t hex = 0;
	size_t letters = 0;
	for (size_t i = 0; i < word.size; i++) {
		char c = word.data[i];
		if ((c >= '0' && c <= '9') || c == '@' || c == MASK)
			return true;
		letters += isalpha((unsigned char)c) != 0;
		hex += isxdigit((unsigned char)c) != 0;
	}
	return (hex == word.size && hex >= HEX_LETTERS_MIN) ||
	       (letters == word.size && letters >= TOKEN_MIN);
}

/* The size of a quoted text at the start of t, its quotes included; 0 when there is none. */
static size_t quoted_size(struct text t, char before)
{
	char quote = t.data[0];
	if (quote != '"' && quote != '`' && quote != '\'')
		return 0;
	if (quote == '\'' && isalnum((unsigned char)before))
		return 0; /* an apostrophe */
	for (size_t i = 1; i < t.size && i < QUOTED_MAX; i++) {
		if (t.data[i] == '\\')
			i++;
		else if (t.data[i] == quote)
			return i + 1;
	}
	return 0;
}

struct writer {
	char out[TEMPLATE_MAX];
	size_t size;
};

static void put(struct writer *writer, char c)
{
	bool blank_twice = c == ' ' && (writer->size == 0 || writer->out[writer->size - 1] == ' ');
	if (!blank_twice && writer->size < sizeof writer->out)
		writer->out[writer->size++] = c;
}

/* One mask; behind "#, ", "#," or "# " the one before stands for both. */
static void put_mask(struct writer *writer)
{
	size_t at = writer->size;
	while (at > 0 && strchr(" ,;|", writer->out[at - 1]) != NULL)
		at--;
	if (at > 0 && writer->out[at - 1] == MASK)
		writer->size = at;
	else
		put(writer, MASK);
}

static struct text first_line(struct text line)
{
	size_t size = 0;
	if (line.size > TEMPLATE_INPUT_MAX)
		line.size = TEMPLATE_INPUT_MAX;
	while (size < line.size && line.data[size] != '\n' && line.data[size] != '\r')
		size++;
	return (struct text){line.data, size};
}

/* Writes the word at the start of t, or the character when there is none; its size. */
static size_t write_next(struct text t, struct writer *writer)
{
	size_t size = 0;
	while (size < t.size && in_word(t.data[size]))
		size++;
	while (size > 1 && ends_word(t.data[size - 1]))
		size--;
	if (size == 0) {
		put(writer, (unsigned char)t.data[0] <= ' ' ? ' ' : t.data[0]);
		return 1;
	}
	struct text word = {t.data, size};
	if (is_variable(word)) {
		put_mask(writer);
		return size;
	}
	for (size_t i = 0; i < size; i++)
		put(writer, word.data[i]);
	return size;
}

void template_write(struct text line, struct bytes *to)
{
	struct writer writer = {.size = 0};
	struct text rest = first_line(line);
	char before = ' ';
	while (rest.size > 0 && writer.size < sizeof writer.out) {
		size_t size = quoted_size(rest, before);
		if (size > 0)
			put_mask(&writer);
		else
			size = write_next(rest, &writer);
		assert(size > 0 && size <= rest.size);
		before = rest.data[size - 1];
		rest = text_cut(rest, size);
	}
	while (writer.size > 0 && writer.out[writer.size - 1] == ' ')
		writer.size--;
	bytes_put(to, writer.out, writer.size);
}
