/* The PCRE2 half of regular expressions.
 *
 * PCRE2's match limit counts again from zero at each place where a match could start, so over a
 * value of 4 KiB it would bound nothing (4,096 x the limit). Therefore the pattern is compiled as
 *
 *	(?s:.*?)(?:PATTERN)      anchored
 *
 * and the walk over the places is part of one match with one count. Groups keep their numbers.
 * A few patterns cannot be wrapped: an unfinished \Q, an (?x) comment at the end, \G, and (*VERB)s
 * change their meaning. They keep PCRE2's own walk with a limit per place that is far lower. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "rules/pcre.h"

#include <assert.h>
#include <pcre2.h>
#include <stdlib.h>

#include "rules/ast_private.h"

enum { HEAP_KIB_MAX = 1024, DEPTH_MAX = 10000, NESTING_MAX = 64 };

struct regex {
	pcre2_code *code;
	bool wrapped;
};

struct regex_scratch {
	pcre2_match_data *data;
	pcre2_match_context *wrapped;
	pcre2_match_context *per_place;
};

void regex_free(struct regex **regex)
{
	if (*regex == NULL)
		return;
	pcre2_code_free((*regex)->code);
	free(*regex);
	*regex = NULL;
}

static void context_free(pcre2_compile_context **context)
{
	pcre2_compile_context_free(*context);
}

static uint32_t options_of(unsigned flags)
{
	uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C;
	options |= (flags & REGEX_CASELESS) != 0 ? PCRE2_CASELESS : 0;
	options |= (flags & REGEX_MULTILINE) != 0 ? PCRE2_MULTILINE : 0;
	options |= (flags & REGEX_DOTALL) != 0 ? PCRE2_DOTALL : 0;
	return options;
}

/* The wrapped form of the essay above, or NULL when the pattern cannot be wrapped. */
static pcre2_code *compile_wrapped(struct text pattern, uint32_t options,
				   pcre2_compile_context *context)
{
	static const char before[] = "(?s:.*?)(?:";
	char wrapped[sizeof before + REGEX_PATTERN_MAX + 1];
	bool has_verb = memmem(pattern.data, pattern.size, "(*", 2) != NULL;
	if (has_verb || memmem(pattern.data, pattern.size, "\\G", 2) != NULL)
		return NULL;
	size_t size = sizeof before - 1;
	memcpy(wrapped, before, size);
	memcpy(wrapped + size, pattern.data, pattern.size);
	size += pattern.size;
	wrapped[size++] = ')';
	int code = 0;
	PCRE2_SIZE offset = 0;
	return pcre2_compile((PCRE2_SPTR)wrapped, size, options | PCRE2_ANCHORED, &code, &offset,
			     context);
}

static enum status check_size(struct text pattern, struct position at, struct error *err)
{
	if (pattern.size > REGEX_PATTERN_MAX)
		return error_at(err, EINVALID, at,
				"a regular expression of %zu bytes (at most %d): split it into a "
				"list of values",
				pattern.size, REGEX_PATTERN_MAX);
	if (text_starts(pattern, TEXT("(*")))
		return error_at(err, EINVALID, at,
				"a regular expression must not begin with a (*VERB): remove it");
	return OK;
}

enum status regex_new(struct text pattern, unsigned flags, struct position at,
		      struct regex **ret_regex, struct error *err)
{
	enum status status = check_size(pattern, at, err);
	if (status != OK)
		return status;
	if (pattern.size == 0)
		pattern.data = "";
	struct regex *regex cleanup(regex_free) = calloc(1, sizeof *regex);
	pcre2_compile_context *context cleanup(context_free) = pcre2_compile_context_create(NULL);
	if (regex == NULL || context == NULL)
		return ENOMEMORY;
	(void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	(void)pcre2_set_parens_nest_limit(context, NESTING_MAX);
	int code = 0;
	PCRE2_SIZE offset = 0;
	regex->code = pcre2_compile((PCRE2_SPTR)pattern.data, pattern.size, options_of(flags),
				    &code, &offset, context);
	if (regex->code == NULL) {
		char message[256] = "";
		(void)pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof message);
		return error_at(err, EINVALID, at,
				"bad regular expression: %s, at its byte %zu: '%.*s'", message,
				(size_t)offset + 1, TEXT_ARG(pattern));
	}
	pcre2_code *wrapped = compile_wrapped(pattern, options_of(flags), context);
	if (wrapped != NULL) {
		pcre2_code_free(regex->code);
		regex->code = wrapped;
		regex->wrapped = true;
	}
	*ret_regex = TAKE(regex);
	return OK;
}

/* What may follow a backslash and is the same in PCRE2 and Vectorscan: classes, anchors, control
 * characters, and any sign that is no letter or digit. */
static bool escape_is_portable(char c)
{
	bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
	bool digit = c >= '0' && c <= '9';
	bool sign = c != '\0' && !letter && !digit && (c & 0x80) == 0;
	return sign || (c != '\0' && strchr("dDwWsSbBnrtf", c) != NULL);
}

/* The groups that Vectorscan has, and with `nearly` those that it can leave out. */
static bool group_is_portable(struct text group, bool nearly)
{
	static const char *const all[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"};
	for (size_t i = 0; i < (nearly ? sizeof all / sizeof *all : 1); i++)
		if (text_starts(group, text_of(all[i])))
			return true;
	return false;
}

static bool is_digit_at(struct text pattern, size_t at)
{
	return at < pattern.size && pattern.data[at] >= '0' && pattern.data[at] <= '9';
}

/* \1 to \9 behind no class: in one, and with a second digit, they are characters. */
static bool is_reference(struct text pattern, size_t at)
{
	return is_digit_at(pattern, at + 1) && pattern.data[at + 1] != '0' &&
	       !is_digit_at(pattern, at + 2) && memchr(pattern.data, '[', at) == NULL;
}

static bool is_portable(struct text pattern, bool nearly)
{
	for (size_t i = 0; i < pattern.size; i++) {
		char c = pattern.data[i];
		char next = i + 1 < pattern.size ? pattern.data[i + 1] : '\0';
		bool reference = nearly && is_reference(pattern, i);
		if (c == '\0' || (c == '\\' && !escape_is_portable(next) && !reference))
			return false;
		if (c == '(' && (next == '*' || next == '?') &&
		    !group_is_portable(text_cut(pattern, i), nearly))
			return false;
		/* [: stands for POSIX classes. */
		if (c == '[' && (next == ':' || next == '.' || next == '='))
			return false;
		i += c == '\\';
	}
	return true;
}

bool regex_is_portable(struct text pattern)
{
	return is_portable(pattern, false);
}

bool regex_is_nearly_portable(struct text pattern)
{
	return is_portable(pattern, true);
}

void regex_scratch_free(struct regex_scratch **scratch)
{
	if (*scratch == NULL)
		return;
	pcre2_match_data_free((*scratch)->data);
	pcre2_match_context_free((*scratch)->wrapped);
	pcre2_match_context_free((*scratch)->per_place);
	free(*scratch);
	*scratch = NULL;
}

static pcre2_match_context *limits_new(uint32_t steps)
{
	pcre2_match_context *context = pcre2_match_context_create(NULL);
	if (context != NULL) {
		(void)pcre2_set_match_limit(context, steps);
		(void)pcre2_set_depth_limit(context, DEPTH_MAX);
		(void)pcre2_set_heap_limit(context, HEAP_KIB_MAX);
	}
	return context;
}

struct regex_scratch *regex_scratch_new(void)
{
	struct regex_scratch *scratch cleanup(regex_scratch_free) = calloc(1, sizeof *scratch);
	if (scratch == NULL)
		return NULL;
	scratch->data = pcre2_match_data_create(1, NULL);
	scratch->wrapped = limits_new(REGEX_STEPS_MAX);
	scratch->per_place = limits_new(REGEX_PLACE_STEPS_MAX);
	bool complete =
		scratch->data != NULL && scratch->wrapped != NULL && scratch->per_place != NULL;
	return complete ? TAKE(scratch) : NULL;
}

enum verdict regex_search(const struct regex *regex, struct regex_scratch *scratch, struct text t)
{
	assert(regex->code != NULL);
	if (t.size > REGEX_SUBJECT_MAX)
		return VERDICT_UNDECIDED;
	PCRE2_SPTR subject = (PCRE2_SPTR)(t.size == 0 ? "" : t.data);
	int found = pcre2_match(regex->code, subject, t.size, 0, PCRE2_NO_UTF_CHECK, scratch->data,
				regex->wrapped ? scratch->wrapped : scratch->per_place);
	if (found >= 0)
		return VERDICT_TRUE;
	return found == PCRE2_ERROR_NOMATCH ? VERDICT_FALSE : VERDICT_UNDECIDED;
}
