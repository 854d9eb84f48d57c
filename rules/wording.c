#include "rules/wording_private.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>

/* A literal as Sigma writes it: what would be a wildcard is escaped. */
static void put_literal(struct text literal, struct bytes *to)
{
	for (size_t i = 0; i < literal.size; i++) {
		char c = literal.data[i];
		char next = i + 1 < literal.size ? literal.data[i + 1] : '\0';
		bool escaped = c == '*' || c == '?' ||
			       (c == '\\' && (next == '*' || next == '?' || next == '\\'));
		if (escaped)
			bytes_put_u8(to, '\\');
		bytes_put_u8(to, (uint8_t)c);
	}
}

static void put_glob(const struct predicate *predicate, struct bytes *to)
{
	const struct token *tokens = predicate->glob.tokens;
	size_t count = predicate->glob.token_count;
	bool before = count > 0 && tokens[0].kind == TOKEN_RUN;
	bool behind = count > 1 && tokens[count - 1].kind == TOKEN_RUN;
	bool dashes = false;
	if (count == 1 && before) {
		bytes_write(to, TEXT(" has a value"));
		return;
	}
	bytes_write(to, before && behind ? TEXT(" contains '")
			: before         ? TEXT(" ends with '")
			: behind         ? TEXT(" begins with '")
					 : TEXT(" is '"));
	for (size_t i = before; i < count - behind; i++) {
		dashes = dashes || tokens[i].kind == TOKEN_DASH;
		if (tokens[i].kind == TOKEN_LITERAL)
			put_literal(tokens[i].literal, to);
		else
			bytes_put_u8(to, tokens[i].kind == TOKEN_RUN   ? '*'
					 : tokens[i].kind == TOKEN_ONE ? '?'
								       : '-');
	}
	bytes_put_u8(to, '\'');
	if (dashes)
		bytes_write(to, TEXT(" (with any dash)"));
	if (predicate->cased)
		bytes_write(to, TEXT(" (case counts)"));
}

static const char *sign_of(enum comparison how)
{
	static const char *const signs[] = {">", ">=", "<", "<=", "=", "!="};
	assert((unsigned)how < sizeof signs / sizeof *signs);
	return signs[how];
}

static void put_cidr(const struct predicate *predicate, struct bytes *to)
{
	static const unsigned char mapped[12] = {[10] = 0xFF, [11] = 0xFF};
	const unsigned char *address = predicate->cidr.address;
	char network[INET6_ADDRSTRLEN] = "";
	bool is_v4 =
		predicate->cidr.prefix_bits >= 96 && memcmp(address, mapped, sizeof mapped) == 0;
	const char *printed = inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? address + 12 : address,
					network, sizeof network);
	assert(printed != NULL);
	bytes_print(to, " is in %s/%u", printed, predicate->cidr.prefix_bits - (is_v4 ? 96 : 0));
}

static void put_fieldref(const struct predicate *predicate, struct bytes *to)
{
	static const char *const words[] = {
		[FIELDREF_EQUALS] = " equals",
		[FIELDREF_STARTS] = " begins with",
		[FIELDREF_ENDS] = " ends with",
		[FIELDREF_CONTAINS] = " contains",
	};
	assert((unsigned)predicate->fieldref.mode < sizeof words / sizeof *words);
	bytes_print(to, "%s the value of ", words[predicate->fieldref.mode]);
	bytes_write(to, predicate->fieldref.other);
}

static void put_regex(const struct predicate *predicate, struct bytes *to)
{
	unsigned flags = predicate->regex.flags;
	bytes_write(to, TEXT(" matches /"));
	bytes_write(to, predicate->regex.pattern);
	bytes_print(to, "/%s%s%s", (flags & REGEX_CASELESS) != 0 ? "i" : "",
		    (flags & REGEX_MULTILINE) != 0 ? "m" : "",
		    (flags & REGEX_DOTALL) != 0 ? "s" : "");
}

static void put_number(const struct predicate *predicate, struct bytes *to)
{
	if (predicate->number.is_integer)
		bytes_print(to, " %s %" PRId64, sign_of(predicate->number.how),
			    predicate->number.integer);
	else
		bytes_print(to, " %s %.17g", sign_of(predicate->number.how),
			    predicate->number.value);
}

static void put_time(const struct predicate *predicate, struct bytes *to)
{
	static const char *const parts[] = {"minute", "hour", "day", "week", "month", "year"};
	assert((unsigned)predicate->time.part < sizeof parts / sizeof *parts);
	bytes_print(to, " has the %s %s %" PRId64 " (UTC)", parts[predicate->time.part],
		    sign_of(predicate->time.how), predicate->time.value);
}

static void put_since(const struct predicate *predicate, struct bytes *to)
{
	char time[32];
	bytes_print(to, " is %.*s or later", TEXT_ARG(time_print(predicate->since_us, time)));
}

void wording_put(const struct predicate *predicate, struct bytes *to)
{
	bytes_write(to, predicate->keyword ? TEXT("any value") : predicate->field);
	switch (predicate->kind) {
	case PREDICATE_GLOB:
		put_glob(predicate, to);
		return;
	case PREDICATE_REGEX:
		put_regex(predicate, to);
		return;
	case PREDICATE_NUMBER:
		put_number(predicate, to);
		return;
	case PREDICATE_BOOLEAN:
		bytes_write(to, predicate->boolean ? TEXT(" is true") : TEXT(" is false"));
		return;
	case PREDICATE_NULL:
		bytes_write(to, TEXT(" is absent or null"));
		return;
	case PREDICATE_EXISTS:
		bytes_write(to, TEXT(" is there"));
		return;
	case PREDICATE_CIDR:
		put_cidr(predicate, to);
		return;
	case PREDICATE_FIELDREF:
		put_fieldref(predicate, to);
		return;
	case PREDICATE_TIME_PART:
		put_time(predicate, to);
		return;
	case PREDICATE_SINCE:
		put_since(predicate, to);
		return;
	}
	assert(false && "a predicate of no kind");
}
