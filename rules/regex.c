#define PCRE2_CODE_UNIT_WIDTH 8
#include "rules/modifier_private.h"

#include <assert.h>
#include <pcre2.h>
#include <string.h>

/* The pattern is compiled here only to learn whether it compiles, so that a mistake is shown at its
 * place in the file while the rule is read; the matcher compiles it again, its own way. A pattern
 * that begins with a verb, (*...), could change the limits that protect the matcher. */

static void code_free(pcre2_code **code)
{
	pcre2_code_free(*code); /* takes NULL */
}

static bool has(struct text pattern, const char *part)
{
	return memmem(pattern.data, pattern.size, part, strlen(part)) != NULL;
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
		return OK;
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
