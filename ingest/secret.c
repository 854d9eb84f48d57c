/* One walk over the value. At each place where a word begins, the detectors whose first character
 * stands there look at what follows; whoever finds something says where it ends, and the walk goes
 * on behind it. No detector looks twice at the same run of characters: each wants a boundary before
 * it, so a run is read at most once per detector, and the walk stays linear whatever an attacker
 * writes.
 *
 *   private key   -----BEGIN ... PRIVATE KEY ... to its END line, or to the end of the text
 *   JWT           eyJ ("{" and a quote in base64), three parts of base64url; five for JWE
 *   bearer, basic the scheme's word, blanks, then token68 (RFC 7235) with a digit or an upper case
 *                 letter, so that "bearer authentication" is a sentence
 *   prefix        PREFIX rows of secret.def: the vendor made it easy
 *   credential    key, separator, value in a text: password=x, "password": "x", password: x
 *   card          secret_card.c */
#include "ingest/secret.h"

#include <assert.h>
#include <stdint.h>

#include "ingest/secret_private.h"

enum {
	NAMED_LEAST = 4,
	UNQUOTED_LEAST = 6,
	BEARER_LEAST = 16,
	BASIC_LEAST = 8,
	JWT_PART_LEAST = 8,
	PEM_HEADER_MAX = 64,
};

static const struct {
	enum secret_kind kind;
	struct text prefix;
	const char *others; /* characters beside letters and digits */
	size_t least;
} prefixes[] = {
#define PREFIX(kind, prefix, characters, least) \
	{SECRET_##kind, {prefix, sizeof prefix - 1}, characters, least},
#include "ingest/secret.def"
#undef PREFIX
};

static const struct text names[] = {
#define NAME(name) {name, sizeof name - 1},
#include "ingest/secret.def"
#undef NAME
};

/* Of a letter one bit of 64, upper and lower case apart. */
static uint64_t letter_bit(char c)
{
	return UINT64_C(1) << ((unsigned char)c & 63);
}

/* The letters that prefixes begin with: most words of a text begin with another. */
static uint64_t first_letters(void)
{
	return 0
#define PREFIX(kind, prefix, characters, least) | letter_bit(prefix[0])
#include "ingest/secret.def"
#undef PREFIX
		;
}

/* The letters that names end with. */
static uint64_t last_letters(void)
{
	return 0
#define NAME(name) | letter_bit(name[sizeof name - 2])
#include "ingest/secret.def"
#undef NAME
		;
}

const char *secret_name(enum secret_kind kind)
{
	static const char *const words[] = {
#define SECRET(id, word, doc) word,
#include "ingest/secret.def"
#undef SECRET
	};
	assert(kind < SECRET_COUNT);
	return words[kind];
}

static bool is_of(char c, const char *others)
{
	return secret_is_word(c) || (c != '\0' && c != 'w' && strchr(others, c) != NULL);
}

static size_t run_end(struct text t, size_t at, const char *others)
{
	while (at < t.size && is_of(t.data[at], others))
		at++;
	return at;
}

static bool starts(struct text t, size_t at, const char *word)
{
	return text_starts(text_cut(t, at), text_of(word));
}

static bool find_private_key(struct text t, size_t at, struct secret_span *ret_span)
{
	static const char tail[] = "PRIVATE KEY";
	static const char end[] = "-----END";
	if (!starts(t, at, "-----BEGIN"))
		return false;
	size_t left = t.size - at;
	size_t look = left < PEM_HEADER_MAX ? left : PEM_HEADER_MAX;
	if (memmem(t.data + at, look, tail, sizeof tail - 1) == NULL)
		return false;
	const char *close = memmem(t.data + at, left, end, sizeof end - 1);
	size_t stop = t.size;
	if (close != NULL) {
		size_t behind = (size_t)(close - t.data) + sizeof end - 1;
		size_t most = t.size - behind < PEM_HEADER_MAX ? t.size : behind + PEM_HEADER_MAX;
		const char *dashes = memmem(t.data + behind, most - behind, "-----", 5);
		stop = dashes == NULL ? most : (size_t)(dashes - t.data) + 5;
	}
	*ret_span = (struct secret_span){at, stop, SECRET_PRIVATE_KEY};
	return true;
}

static bool find_jwt(struct text t, size_t at, struct secret_span *ret_span)
{
	if (!starts(t, at, "eyJ"))
		return false;
	size_t head = run_end(t, at, "_-");
	if (head - at < JWT_PART_LEAST || head == t.size || t.data[head] != '.')
		return false;
	size_t stop = run_end(t, head + 1, "_-");
	if (stop == t.size || t.data[stop] != '.')
		return false;
	for (int part = 2; part < 5 && stop < t.size && t.data[stop] == '.'; part++)
		stop = run_end(t, stop + 1, "_-");
	*ret_span = (struct secret_span){at, stop, SECRET_JWT};
	return true;
}

static bool looks_random(struct text t, size_t at, size_t end)
{
	for (size_t i = at; i < end; i++)
		if (secret_is_digit(t.data[i]) || (t.data[i] >= 'A' && t.data[i] <= 'Z'))
			return true;
	return false;
}

static bool find_scheme(struct text t, size_t at, struct secret_span *ret_span)
{
	bool basic = secret_starts(t, at, "basic");
	if (!basic && !secret_starts(t, at, "bearer"))
		return false;
	size_t begin = at + (basic ? 5 : 6);
	size_t gap = begin;
	while (begin < t.size && (t.data[begin] == ' ' || t.data[begin] == '+'))
		begin++;
	while (starts(t, begin, "%20"))
		begin += 3;
	size_t end = run_end(t, begin, "-._~+/=");
	size_t least = basic ? BASIC_LEAST : BEARER_LEAST;
	if (begin == gap || end - begin < least || !looks_random(t, begin, end))
		return false;
	*ret_span = (struct secret_span){begin, end, basic ? SECRET_BASIC : SECRET_BEARER};
	struct secret_span jwt;
	if (find_jwt(t, begin, &jwt))
		*ret_span = jwt;
	return true;
}

static bool find_prefixed(struct text t, size_t at, struct secret_span *ret_span)
{
	if ((first_letters() & letter_bit(t.data[at])) == 0)
		return false;
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
		struct text prefix = prefixes[i].prefix;
		if (prefix.data[0] != t.data[at] || !text_starts(text_cut(t, at), prefix))
			continue;
		size_t end = run_end(t, at + prefix.size, prefixes[i].others);
		if (end - at - prefix.size < prefixes[i].least)
			continue;
		*ret_span = (struct secret_span){at, end, prefixes[i].kind};
		return true;
	}
	return false;
}

static bool is_joint(char c)
{
	return c == '_' || c == '-';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Does the name end with the words? A blank of them is nothing, '_' or '-'. */
static bool name_ends(struct text name, struct text words)
{
	size_t at = name.size;
	for (size_t i = words.size; i-- > 0;) {
		if (words.data[i] == ' ') {
			at -= at > 0 && is_joint(name.data[at - 1]);
			continue;
		}
		if (at == 0 || lower(name.data[at - 1]) != words.data[i])
			return false;
		at--;
	}
	return true;
}

bool secret_is_named(struct text name)
{
	if (name.size == 0 || (last_letters() & letter_bit(lower(name.data[name.size - 1]))) == 0)
		return false;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (name_ends(name, names[i]))
			return true;
	return false;
}

/* The words with way number `way` of joining them; how many ways there are. */
static size_t name_spelling(struct text words, size_t way,
			    char ret_literal[static SECRET_LITERAL_MAX])
{
	static const char joints[] = {'\0', '_', '-'};
	size_t ways = 1;
	size_t size = 0;
	for (size_t i = 0; i < words.size; i++) {
		char c = words.data[i];
		if (c == ' ') {
			c = joints[way / ways % sizeof joints];
			ways *= sizeof joints;
		}
		if (c != '\0')
			ret_literal[size++] = c;
		assert(size < SECRET_LITERAL_MAX);
	}
	ret_literal[size] = '\0';
	return ways;
}

bool secret_literal(size_t index, char ret_literal[static SECRET_LITERAL_MAX], bool *ret_caseless)
{
	static const char *const schemes[] = {"bearer ", "bearer+", "bearer%",
					      "basic ",  "basic+",  "basic%"};
	static const char *const marks[] = {"-----BEGIN", "eyJ"};
	enum { SCHEMES = sizeof schemes / sizeof *schemes, MARKS = sizeof marks / sizeof *marks };
	*ret_caseless = index < SCHEMES;
	if (index < SCHEMES) {
		(void)memcpy(ret_literal, schemes[index], strlen(schemes[index]) + 1);
		return true;
	}
	index -= SCHEMES;
	if (index < MARKS) {
		(void)memcpy(ret_literal, marks[index], strlen(marks[index]) + 1);
		return true;
	}
	index -= MARKS;
	if (index < sizeof prefixes / sizeof *prefixes) {
		(void)memcpy(ret_literal, prefixes[index].prefix.data,
			     prefixes[index].prefix.size + 1);
		return true;
	}
	index -= sizeof prefixes / sizeof *prefixes;
	*ret_caseless = true;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t ways = name_spelling(names[i], index, ret_literal);
		if (index < ways)
			return true;
		index -= ways;
	}
	return false;
}

/* Somebody has hidden it already, or there is nothing to hide. */
static bool is_placeholder(struct text t)
{
	static const char *const words[] = {"HIDDEN", "REDACTED", "[",     "<",  "null",
					    "none",   "true",     "false", "${", "{{"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (secret_starts(t, 0, words[i]))
			return true;
	for (size_t i = 1; i < t.size; i++)
		if (t.data[i] != t.data[0])
			return false;
	return true;
}

static bool is_quote(char c)
{
	return c == '"' || c == '\'';
}

/* Behind a key: quotes and backslashes, a separator, blanks, quotes; then the value. False when it
 * is no key. */
static bool value_begin(struct text t, size_t at, size_t *ret_begin, char *ret_quote,
			bool *ret_colon)
{
	while (at < t.size && (t.data[at] == '\\' || is_quote(t.data[at])))
		at++;
	while (at < t.size && t.data[at] == ' ')
		at++;
	if (at == t.size || (t.data[at] != ':' && t.data[at] != '='))
		return false;
	*ret_colon = t.data[at] == ':';
	at++;
	while (at < t.size && (t.data[at] == ' ' || t.data[at] == '\\'))
		at++;
	*ret_quote = '\0';
	if (at < t.size && is_quote(t.data[at]))
		*ret_quote = t.data[at++];
	*ret_begin = at;
	return at < t.size;
}

static size_t value_end(struct text t, size_t at, char quote)
{
	while (at < t.size) {
		char c = t.data[at];
		if (quote != '\0' && (c == quote || c == '\\'))
			break;
		if (quote == '\0' && (strchr(" \t\r\n\"',;&)}]", c) != NULL))
			break;
		at++;
	}
	return at;
}

static bool has_digit_or_sign(struct text t)
{
	for (size_t i = 0; i < t.size; i++)
		if (!secret_is_word(t.data[i]) || secret_is_digit(t.data[i]))
			return true;
	return false;
}

/* What begins with the word at `at`. */
static bool find_at(struct text name, struct text t, size_t at, struct secret_span *ret_span)
{
	char c = t.data[at];
	if (c == '-')
		return find_private_key(t, at, ret_span);
	if (secret_is_digit(c))
		return secret_find_card(name, t, at, ret_span);
	if (c == 'e' && find_jwt(t, at, ret_span))
		return true;
	if ((c == 'b' || c == 'B') && find_scheme(t, at, ret_span))
		return true;
	return secret_is_word(c) && find_prefixed(t, at, ret_span);
}

/* A key in a text and its value: at is where the key's word begins, `end` behind it. */
static bool find_credential(struct text t, size_t at, size_t end, struct secret_span *ret_span)
{
	size_t begin = 0;
	char quote = '\0';
	bool colon = false;
	if (!value_begin(t, end, &begin, &quote, &colon) ||
	    !secret_is_named((struct text){t.data + at, end - at}))
		return false;
	if (find_at(TEXT(""), t, begin, ret_span))
		return true; /* Authorization: Bearer ..., access_token=eyJ... */
	size_t stop = value_end(t, begin, quote);
	struct text value = {t.data + begin, stop - begin};
	bool sentence = colon && quote == '\0'; /* "password: changed" says none */
	if (value.size < (sentence ? UNQUOTED_LEAST : NAMED_LEAST) || is_placeholder(value) ||
	    (sentence && !has_digit_or_sign(value)))
		return false;
	*ret_span = (struct secret_span){begin, stop, SECRET_CREDENTIAL};
	return true;
}

/* The last character of the escape that begins at `at`. */
static size_t escape_end(struct text t, size_t at)
{
	bool unicode = at + 1 < t.size && t.data[at + 1] == 'u';
	size_t end = at + (unicode ? 5 : 1);
	return end < t.size ? end : t.size - 1;
}

bool secret_find(struct text name, struct text value, size_t from, struct secret_span *ret_span)
{
	if (from == 0 && value.size >= NAMED_LEAST && secret_is_named(name) &&
	    !is_placeholder(value)) {
		*ret_span = (struct secret_span){0, value.size, SECRET_CREDENTIAL};
		return true;
	}
	bool inside = false; /* of a word: letters, digits, '_' and '-' */
	for (size_t at = from; at < value.size; at++) {
		char c = value.data[at];
		bool word = secret_is_word(c);
		if (c == '\\') { /* JSON inside a text: \n and \u0022 are no letters of a word */
			at = escape_end(value, at);
			inside = false;
			continue;
		}
		if (((!inside && word) || c == '-') && find_at(name, value, at, ret_span))
			return true;
		if (!inside && word) {
			size_t end = run_end(value, at, "_-");
			if (find_credential(value, at, end, ret_span))
				return true;
		}
		inside = word || c == '_' || (c == '-' && inside);
	}
	return false;
}
