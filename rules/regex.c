#define PCRE2_CODE_UNIT_WIDTH 8
#include "rules/modifier_private.h"

#include <assert.h>
#include <pcre2.h>
#include <string.h>

/* The pattern is compiled here only to learn whether it compiles, so that a mistake is shown at its
 * place in the file while the rule is read; the matcher compiles it again, its own way. Refused is
 * also what compiles but has no one meaning: a verb at the start, (*...), could change the limits
 * that protect the matcher; {,2} means "up to two" to PCRE2 10.43 and later, and itself before. */

static void code_free(pcre2_code **code)
{
	pcre2_code_free(*code); /* takes NULL */
}

static bool has(struct text pattern, const char *part)
{
	return memmem(pattern.data, pattern.size, part, strlen(part)) != NULL;
}

static size_t skip_blanks(struct text pattern, size_t at)
{
	while (at < pattern.size && (pattern.data[at] == ' ' || pattern.data[at] == '\t'))
		at++;
	return at;
}

static size_t skip_digits(struct text pattern, size_t at)
{
	while (at < pattern.size && pattern.data[at] >= '0' && pattern.data[at] <= '9')
		at++;
	return at;
}

/* The brace at `at` opens what is plain text to PCRE2 up to 10.42, and a quantifier since 10.43:
 * {,n}, and numbers with blanks around them. Vectorscan sees plain text. */
static bool is_doubtful_brace(struct text pattern, size_t at)
{
	size_t least = skip_blanks(pattern, at + 1);
	size_t comma = skip_digits(pattern, least);
	size_t end = skip_blanks(pattern, comma);
	bool has_blank = least > at + 1 || end > comma;
	bool has_least = comma > least;
	bool has_most = false;
	if (end < pattern.size && pattern.data[end] == ',') {
		size_t most = skip_blanks(pattern, end + 1);
		size_t behind = skip_digits(pattern, most);
		has_most = behind > most;
		size_t close = skip_blanks(pattern, behind);
		has_blank = has_blank || most > end + 1 || close > behind;
		end = close;
	}
	bool closed = end < pattern.size && pattern.data[end] == '}';
	return closed && (has_least ? has_blank : has_most);
}

/* Where a class that opens at `at` ends, so that its braces are passed over. */
static size_t class_end(struct text pattern, size_t at)
{
	size_t first = at + 1;
	first += first < pattern.size && pattern.data[first] == '^';
	for (size_t i = first; i < pattern.size; i++) {
		if (pattern.data[i] == '\\')
			i++;
		else if (pattern.data[i] == ']' && i > first)
			return i;
	}
	return pattern.size;
}

static enum status check_braces(const struct yaml_node *value, struct text pattern,
				struct error *err)
{
	struct position at = value->at;
	for (size_t i = 0; i < pattern.size; i++) {
		char c = pattern.data[i];
		if (c == '\\')
			i++;
		else if (c == '[')
			i = class_end(pattern, i);
		if (c != '{' || !is_doubtful_brace(pattern, i))
			continue;
		at.column += value->quoted ? 0 : (unsigned)i;
		return error_at(err, EINVALID, at,
				"'{' at byte %zu of the regular expression is a quantifier to some "
				"versions of PCRE2 and plain text to others\n  fix: write {0,n}, "
				"without blanks, for a quantifier; \\{ for the sign",
				i + 1);
	}
	return OK;
}

void regex_lint(struct loader *loader, struct position at, struct text pattern)
{
	if (has(pattern, "(?i") || has(pattern, "(?s") || has(pattern, "(?m"))
		lint_warn(loader, at, "use the modifiers re|i, re|m and re|s",
			  "flags inside a regular expression are not portable");
	if (has(pattern, "(?=") || has(pattern, "(?!") || has(pattern, "(?<") ||
	    has(pattern, "(?P") || has(pattern, "(?>"))
		lint_warn(loader, at, "split it into several selections",
			  "look-around, named and atomic groups are not part of Sigma's regular "
			  "expressions");
}

enum status regex_check(const struct yaml_node *value, struct text pattern, unsigned flags,
			struct error *err)
{
	struct position at = value->at;
	if (pattern.size == 0)
		return error_at(err, EINVALID, at,
				"an empty regular expression matches everything\n  fix: write a "
				"pattern, or use exists: true");
	if (text_starts(pattern, TEXT("(*")))
		return error_at(err, EINVALID, at,
				"a regular expression may not begin with a verb (*...)\n  fix: "
				"remove it; limits are set by picket");
	uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C;
	options |= (flags & REGEX_CASELESS) != 0 ? PCRE2_CASELESS : 0;
	options |= (flags & REGEX_MULTILINE) != 0 ? PCRE2_MULTILINE : 0;
	options |= (flags & REGEX_DOTALL) != 0 ? PCRE2_DOTALL : 0;
	int code = 0;
	PCRE2_SIZE offset = 0;
	pcre2_code *compiled cleanup(code_free) = pcre2_compile(
		(PCRE2_SPTR)pattern.data, pattern.size, options, &code, &offset, NULL);
	if (compiled != NULL)
		return check_braces(value, pattern, err);
	assert(code != 0);
	char reason[128] = "";
	(void)pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
	if (!value->quoted)
		at.column += (unsigned)offset;
	return error_at(err, EINVALID, at,
			"regular expression does not compile: %s (byte %zu of it)\n  fix: mend or "
			"escape the sign there",
			reason, (size_t)offset);
}
