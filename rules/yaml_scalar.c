#include "rules/yaml_private.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* The core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema):
 *
 *   null   null | Null | NULL | ~ | nothing
 *   bool   true | True | TRUE | false | False | FALSE
 *   int    [-+]? [0-9]+   |   0o [0-7]+   |   0x [0-9a-fA-F]+
 *   float  [-+]? ( . [0-9]+ | [0-9]+ ( . [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?   |   inf and nan
 *
 * Everything else is a string, so `yes`, `on` and `12:30` are, which YAML 1.1 reads as true, true
 * and 750. An integer that does not fit 64 bits stays a string: a rule compares it by its digits,
 * which is exact, instead of by a rounded number. */

static bool is_one_of(struct text t, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (text_equal(t, text_of(words[i])))
			return true;
	return false;
}

static bool is_null(struct text t)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL"};
	return is_one_of(t, words, sizeof words / sizeof *words);
}

static bool is_true(struct text t)
{
	static const char *const words[] = {"true", "True", "TRUE"};
	return is_one_of(t, words, sizeof words / sizeof *words);
}

static bool is_false(struct text t)
{
	static const char *const words[] = {"false", "False", "FALSE"};
	return is_one_of(t, words, sizeof words / sizeof *words);
}

static size_t digits_at(struct text t, size_t at)
{
	size_t from = at;
	while (at < t.size && t.data[at] >= '0' && t.data[at] <= '9')
		at++;
	return at - from;
}

/* The base of an integer literal, or 0 when t is none; *ret_digits is where its digits begin. */
static int integer_base(struct text t, size_t *ret_digits)
{
	if (t.size > 2 && t.data[0] == '0' && (t.data[1] == 'x' || t.data[1] == 'o')) {
		const char *digits = t.data[1] == 'x' ? "0123456789abcdefABCDEF" : "01234567";
		for (size_t i = 2; i < t.size; i++)
			if (t.data[i] == '\0' || strchr(digits, t.data[i]) == NULL)
				return 0;
		*ret_digits = 2;
		return t.data[1] == 'x' ? 16 : 8;
	}
	size_t sign = t.size > 0 && (t.data[0] == '-' || t.data[0] == '+');
	size_t digits = digits_at(t, sign);
	*ret_digits = 0;
	return digits > 0 && sign + digits == t.size ? 10 : 0;
}

static bool is_real(struct text t)
{
	static const char *const words[] = {".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf", "+.INF",
					    "-.inf", "-.Inf", "-.INF", ".nan",  ".NaN",  ".NAN"};
	if (is_one_of(t, words, sizeof words / sizeof *words))
		return true;
	size_t at = t.size > 0 && (t.data[0] == '-' || t.data[0] == '+');
	size_t whole = digits_at(t, at);
	at += whole;
	if (at < t.size && t.data[at] == '.') {
		size_t fraction = digits_at(t, at + 1);
		if (whole + fraction == 0)
			return false;
		at += 1 + fraction;
	} else if (whole == 0) {
		return false;
	}
	if (at < t.size && (t.data[at] == 'e' || t.data[at] == 'E')) {
		at++;
		at += at < t.size && (t.data[at] == '-' || t.data[at] == '+');
		size_t exponent = digits_at(t, at);
		if (exponent == 0)
			return false;
		at += exponent;
	}
	return at == t.size;
}

/* inf and nan are written with a dot in YAML and without one in C. */
static double real_value(struct text t)
{
	size_t dot = t.size > 1 && (t.data[0] == '-' || t.data[0] == '+');
	if (t.size > dot + 1 && t.data[dot] == '.' && (t.data[dot + 1] | 0x20) == 'i')
		return t.data[0] == '-' ? -HUGE_VAL : HUGE_VAL;
	if (t.size > 1 && t.data[0] == '.' && (t.data[1] | 0x20) == 'n')
		return (double)NAN;
	return strtod(t.data, NULL);
}

void yaml_type_scalar(struct yaml_node *node)
{
	assert(!node->quoted && node->text.data != NULL &&
	       node->text.data[node->text.size] == '\0');
	struct text t = node->text;
	size_t digits = 0;
	int base = integer_base(t, &digits);
	node->kind = YAML_STRING;
	if (is_null(t)) {
		node->kind = YAML_NULL;
	} else if (is_true(t) || is_false(t)) {
		node->kind = YAML_BOOLEAN;
		node->boolean = is_true(t);
	} else if (base != 0) {
		errno = 0;
		long long integer = strtoll(t.data + digits, NULL, base);
		if (errno == 0) {
			node->kind = YAML_INTEGER;
			node->integer = integer;
			node->real = (double)integer;
		}
	} else if (is_real(t)) {
		node->kind = YAML_REAL;
		node->real = real_value(t);
	}
}

/* 1_000 */
static bool is_grouped(struct text t)
{
	size_t at = 0;
	while (at < t.size && ((t.data[at] >= '0' && t.data[at] <= '9') || t.data[at] == '_'))
		at++;
	return at == t.size;
}

/* 2026-11-22, alone or with a time behind it */
static bool is_old_date(struct text t)
{
	return digits_at(t, 0) == 4 && t.size >= 10 && t.data[4] == '-' && digits_at(t, 5) == 2 &&
	       t.data[7] == '-' && digits_at(t, 8) == 2 &&
	       (t.size == 10 || t.data[10] == 'T' || t.data[10] == 't' || t.data[10] == ' ');
}

const char *yaml_old_reading(const struct yaml_node *node)
{
	static const char *const old_booleans[] = {
		"yes", "Yes", "YES", "no",  "No", "NO", "on", "On",
		"ON",  "off", "Off", "OFF", "y",  "Y",  "n",  "N",
	};
	struct text t = node->text;
	if (node->quoted || t.size == 0 || node->kind == YAML_SEQUENCE ||
	    node->kind == YAML_MAPPING)
		return NULL;
	if (is_one_of(t, old_booleans, sizeof old_booleans / sizeof *old_booleans))
		return "a boolean";
	size_t sign = t.data[0] == '-' || t.data[0] == '+';
	size_t digits = digits_at(t, sign);
	if (digits > 1 && sign + digits == t.size && t.data[sign] == '0')
		return "an octal number";
	if (node->kind == YAML_REAL && memchr(t.data, '.', t.size) == NULL)
		return "text"; /* 1e3: YAML 1.1 wants a dot */
	if (t.size > 2 && t.data[0] == '0' && t.data[1] == 'o' && node->kind == YAML_INTEGER)
		return "text";
	if (digits > 0 && digits < 3 && digits + sign < t.size && t.data[digits + sign] == ':' &&
	    digits_at(t, digits + sign + 1) == 2)
		return "a number to the base of 60";
	if (is_old_date(t))
		return "a date";
	if (node->kind == YAML_STRING && digits > 0 && is_grouped(text_cut(t, sign)))
		return "a number";
	return NULL;
}

/* Optimal string alignment: insert, delete, replace, swap neighbours; more than limit is limit+1.
 */
enum { NAME_MAX_BYTES = 64 };

static size_t distance(struct text a, struct text b)
{
	size_t rows[3][NAME_MAX_BYTES + 1];
	for (size_t j = 0; j <= b.size; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a.size; i++) {
		size_t *now = rows[i % 3], *before = rows[(i + 2) % 3];
		const size_t *twice = rows[(i + 1) % 3];
		now[0] = i;
		for (size_t j = 1; j <= b.size; j++) {
			size_t best = before[j - 1] + (a.data[i - 1] != b.data[j - 1]);
			if (before[j] + 1 < best)
				best = before[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			bool swapped = i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
				       a.data[i - 2] == b.data[j - 1];
			if (swapped && twice[j - 2] + 1 < best)
				best = twice[j - 2] + 1;
			now[j] = best;
		}
	}
	return rows[a.size % 3][b.size];
}

const char *nearest_name(struct text wrong, const char *const *names, size_t count)
{
	/* Of three letters, two are not "nearly the same word". */
	size_t limit = wrong.size <= 3 ? 1 : 2;
	const char *nearest = NULL;
	if (wrong.size > NAME_MAX_BYTES)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		struct text name = text_of(names[i]);
		if (name.size > wrong.size + 2 || wrong.size > name.size + 2 ||
		    name.size > NAME_MAX_BYTES)
			continue;
		size_t apart = distance(wrong, name);
		if (apart <= limit) {
			nearest = names[i];
			if (apart == 0)
				break;
			limit = apart - 1; /* only something nearer replaces it */
		}
	}
	return nearest;
}

bool duration_parse(struct text t, int64_t *ret_us)
{
	static const struct {
		struct text unit;
		int64_t us;
	} units[] = {
		{TEXT("ms"), 1000},
		{TEXT("s"), 1000000},
		{TEXT("m"), 60 * 1000000LL},
		{TEXT("h"), 3600 * 1000000LL},
		{TEXT("d"), 86400 * 1000000LL},
		{TEXT("w"), 7 * 86400 * 1000000LL},
	};
	int64_t number = 0;
	size_t digits = digits_at(t, 0);
	for (size_t i = 0; i < digits; i++)
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, t.data[i] - '0', &number))
			return false;
	for (size_t i = 0; digits > 0 && i < sizeof units / sizeof *units; i++) {
		int64_t us = 0;
		if (text_equal(text_cut(t, digits), units[i].unit) &&
		    !__builtin_mul_overflow(number, units[i].us, &us)) {
			*ret_us = us;
			return true;
		}
	}
	return false;
}
