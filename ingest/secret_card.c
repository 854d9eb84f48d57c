/* Card numbers. One number in ten passes Luhn's check, so the context is what decides: the groups
 * that are printed on cards, or a word such as card or visa before the number or in the field's
 * name. */
#include "ingest/secret_private.h"

enum {
	CARD_LEAST = 13,
	CARD_MOST = 19,
	CARD_CONTEXT = 40, /* bytes before the number that may hold its context */
};

/* Issuers' ranges: Visa, Mastercard, American Express, Diners, Discover, JCB. */
static bool is_issuer(const char *digits, size_t count)
{
	unsigned head = 0;
	for (int i = 0; i < 4; i++)
		head = head * 10 + (unsigned)(digits[i] - '0');
	if (digits[0] == '4')
		return count == 13 || count == 16 || count == 19;
	if ((head >= 5100 && head <= 5599) || (head >= 2221 && head <= 2720))
		return count == 16;
	if (head / 100 == 34 || head / 100 == 37)
		return count == 15;
	if ((head >= 3000 && head <= 3059) || head / 100 == 36 || head / 100 == 38)
		return count == 14;
	if (head == 6011 || (head >= 6440 && head <= 6599) || (head >= 3528 && head <= 3589))
		return count >= 16;
	return false;
}

static bool luhn(const char *digits, size_t count)
{
	unsigned sum = 0;
	for (size_t i = 0; i < count; i++) {
		unsigned digit = (unsigned)(digits[count - 1 - i] - '0');
		if (i % 2 == 1)
			digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
		sum += digit;
	}
	return sum % 10 == 0;
}

static bool has_card_word(struct text t)
{
	static const char *const words[] = {"card", "pan",    "credit",     "debit", "visa",
					    "amex", "cc_num", "mastercard", "ccn"};
	for (size_t at = 0; at < t.size; at++)
		for (size_t i = 0; i < sizeof words / sizeof *words; i++)
			if (secret_starts(t, at, words[i]))
				return true;
	return false;
}

/* The digits of a number that begins at `at`, with single blanks or dashes between groups. */
static size_t card_digits(struct text t, size_t at, char digits[static CARD_MOST + 1],
			  size_t *ret_end, bool *ret_grouped)
{
	size_t count = 0;
	size_t group = 0;
	char separator = '\0';
	bool grouped = false;
	bool even = true; /* groups of four, but for the last; American Express: 4, 6, 5 */
	size_t i = at;
	for (; i < t.size && count <= CARD_MOST; i++) {
		char c = t.data[i];
		if (secret_is_digit(c)) {
			digits[count++] = c;
			group++;
			*ret_end = i + 1;
			continue;
		}
		bool joins = (c == ' ' || c == '-') && (separator == '\0' || c == separator) &&
			     i + 1 < t.size && secret_is_digit(t.data[i + 1]) && group >= 4;
		if (!joins)
			break;
		even = even && (group == 4 || (count == 10 && group == 6));
		separator = c;
		grouped = true;
		group = 0;
	}
	*ret_grouped = grouped && even;
	return count;
}

bool secret_find_card(struct text name, struct text t, size_t at, struct secret_span *ret_span)
{
	char digits[CARD_MOST + 1];
	size_t end = at;
	bool grouped = false;
	size_t count = card_digits(t, at, digits, &end, &grouped);
	bool bounded = end == t.size || !secret_is_word(t.data[end]);
	if (count < CARD_LEAST || count > CARD_MOST || !bounded || !is_issuer(digits, count) ||
	    !luhn(digits, count))
		return false;
	size_t before = at < CARD_CONTEXT ? at : CARD_CONTEXT;
	if (!grouped && !has_card_word(name) &&
	    !has_card_word((struct text){t.data + at - before, before}))
		return false;
	*ret_span = (struct secret_span){at, end, SECRET_PAN};
	return true;
}

bool secret_may_be_card(struct text value)
{
	/* A card number has 13 characters at least, all of them digits, blanks or dashes. */
	for (size_t at = CARD_LEAST - 1; at < value.size; at += CARD_LEAST) {
		size_t begin = at;
		size_t digits = 0;
		char c = value.data[at];
		if (!secret_is_digit(c) && c != ' ' && c != '-')
			continue;
		while (begin > 0 && at - begin < CARD_LEAST &&
		       (secret_is_digit(value.data[begin - 1]) || value.data[begin - 1] == ' ' ||
			value.data[begin - 1] == '-'))
			begin--;
		size_t end = begin;
		while (end < value.size && end - begin < 3 * CARD_LEAST &&
		       (secret_is_digit(value.data[end]) || value.data[end] == ' ' ||
			value.data[end] == '-'))
			digits += secret_is_digit(value.data[end++]);
		if (digits >= CARD_LEAST)
			return true;
	}
	return false;
}
