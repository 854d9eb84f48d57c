#include "rules/modifier_private.h"

#include <arpa/inet.h>
#include <assert.h>
#include <math.h>
#include <stdio.h>

/* One value of a detection item becomes one predicate (three or more for base64offset).
 *
 * Types: a plain number compares as a number, a plain boolean as a boolean; under a text modifier
 * (contains, cased, base64, ...) and as a keyword both are the text as written. null is "absent or
 * null" and stands alone. A keyword is looked for anywhere inside every value of the event. */

static struct predicate predicate_for(const struct chain *chain, enum predicate_kind kind,
				      struct position at)
{
	return (struct predicate){
		.kind = kind,
		.keyword = chain->field.size == 0,
		.field = chain->field,
		.at = at,
	};
}

static enum status made(struct loader *loader, const struct predicate *predicate,
			const struct expr **ret_expr, struct error *err)
{
	*ret_expr = expr_predicate(loader, predicate);
	return *ret_expr == NULL ? loader_exhausted(err) : OK;
}

static enum status encoded(struct loader *loader, const struct chain *chain,
			   const struct yaml_node *value, const struct pattern *pattern,
			   struct pattern **ret_patterns, size_t *ret_count, struct error *err)
{
	if (pattern_has_wildcard(pattern))
		return error_at(err, EINVALID, value->at,
				"wildcards cannot be encoded\n  fix: escape them (\\* or \\?), or "
				"split the value");
	enum status status = pattern_encode(pattern, chain->encodings, chain->encoding_count,
					    loader->arena, ret_patterns, ret_count);
	if (status == ELIMIT)
		return error_at(err, ELIMIT, value->at,
				"more than %d dashes to spell out before an encoding\n  fix: write "
				"the variants you need as a list, without windash",
				WINDASH_ENCODED_MAX);
	if (status == EINVALID)
		return error_at(err, EINVALID, value->at,
				"too short to be encoded: some alignment leaves nothing to look "
				"for\n  fix: use a longer value");
	return status == OK ? OK : loader_exhausted(err);
}

/* One Sigma string, worked out by the rest of the chain. */
static enum status glob_made(struct loader *loader, const struct chain *chain,
			     const struct yaml_node *value, struct pattern one,
			     const struct expr **ret_expr, struct error *err)
{
	unsigned seen = chain->seen;
	bool keyword = chain->field.size == 0;
	struct pattern *patterns = &one;
	size_t count = 1;
	enum status status = OK;
	bool fits = (seen & MODIFIER_WINDASH) == 0 || pattern_windash(&one, loader->arena);
	if (fits && chain->encoding_count > 0)
		status = encoded(loader, chain, value, &one, &patterns, &count, err);
	if (status != OK)
		return status;

	bool inside = (seen & MODIFIER_CONTAINS) != 0 ||
		      (keyword && (seen & (MODIFIER_STARTSWITH | MODIFIER_ENDSWITH)) == 0);
	const struct expr **children = arena_alloc(loader->yaml, count * sizeof *children);
	fits = fits && children != NULL;
	for (size_t i = 0; fits && i < count; i++) {
		fits = pattern_open(&patterns[i], inside || (seen & MODIFIER_ENDSWITH) != 0,
				    inside || (seen & MODIFIER_STARTSWITH) != 0, loader->arena);
		struct predicate predicate = predicate_for(chain, PREDICATE_GLOB, value->at);
		predicate.cased = (seen & MODIFIER_CASED) != 0;
		predicate.glob.tokens = patterns[i].tokens;
		predicate.glob.token_count = patterns[i].count;
		fits = fits && (children[i] = expr_predicate(loader, &predicate)) != NULL;
	}
	*ret_expr = fits ? expr_join(loader, EXPR_OR, children, count, 0) : NULL;
	return *ret_expr == NULL ? loader_exhausted(err) : OK;
}

static enum status glob_parse(struct loader *loader, const struct chain *chain,
			      const struct yaml_node *value, const struct expr **ret_expr,
			      struct error *err)
{
	struct pattern one, *patterns = &one;
	size_t count = 1;
	enum status status = OK;
	if ((chain->seen & MODIFIER_EXPAND) != 0)
		status = placeholder_patterns(loader, value, &patterns, &count, err);
	else if (!pattern_parse(value->text, false, loader->arena, &one))
		status = loader_exhausted(err);
	if (status != OK)
		return status;
	const struct expr **children = arena_alloc(loader->yaml, count * sizeof *children);
	if (children == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; status == OK && i < count; i++)
		status = glob_made(loader, chain, value, patterns[i], &children[i], err);
	if (status != OK)
		return status;
	*ret_expr = expr_join(loader, EXPR_OR, children, count, 0);
	return *ret_expr == NULL ? loader_exhausted(err) : OK;
}

static enum status regex_made(struct loader *loader, const struct chain *chain,
			      const struct yaml_node *value, struct text pattern,
			      const struct expr **ret_expr, struct error *err)
{
	struct predicate predicate = predicate_for(chain, PREDICATE_REGEX, value->at);
	if ((chain->seen & MODIFIER_RE_CASELESS) != 0)
		predicate.regex.flags |= REGEX_CASELESS;
	if ((chain->seen & MODIFIER_RE_MULTILINE) != 0)
		predicate.regex.flags |= REGEX_MULTILINE;
	if ((chain->seen & MODIFIER_RE_DOTALL) != 0)
		predicate.regex.flags |= REGEX_DOTALL;
	enum status status = regex_check(value, pattern, predicate.regex.flags, err);
	if (status != OK)
		return status;
	/* A search matches anywhere, so `contains` adds nothing to it. */
	if ((chain->seen & MODIFIER_STARTSWITH) != 0)
		predicate.regex.pattern =
			arena_print(loader->arena, "\\A(?:%.*s)", TEXT_ARG(pattern));
	else if ((chain->seen & MODIFIER_ENDSWITH) != 0)
		predicate.regex.pattern =
			arena_print(loader->arena, "(?:%.*s)\\z", TEXT_ARG(pattern));
	else
		predicate.regex.pattern = arena_copy(loader->arena, pattern);
	if (predicate.regex.pattern.data == NULL)
		return loader_exhausted(err);
	return made(loader, &predicate, ret_expr, err);
}

static enum status regex_parse(struct loader *loader, const struct chain *chain,
			       const struct yaml_node *value, const struct expr **ret_expr,
			       struct error *err)
{
	struct text one = value->text, *texts = &one;
	size_t count = 1;
	enum status status = OK;
	if ((chain->seen & MODIFIER_EXPAND) != 0)
		status = placeholder_texts(loader, value, &texts, &count, err);
	const struct expr **children = arena_alloc(loader->yaml, count * sizeof *children);
	if (status == OK && children == NULL)
		status = loader_exhausted(err);
	for (size_t i = 0; status == OK && i < count; i++)
		status = regex_made(loader, chain, value, texts[i], &children[i], err);
	if (status != OK)
		return status;
	regex_lint(loader, value->at, value->text);
	*ret_expr = expr_join(loader, EXPR_OR, children, count, 0);
	return *ret_expr == NULL ? loader_exhausted(err) : OK;
}

static enum status number_of(const struct yaml_node *value, double *ret_number, struct error *err)
{
	struct yaml_node plain = *value;
	plain.quoted = false;
	if (value->kind == YAML_STRING)
		yaml_type_scalar(&plain); /* '5' in quotes is meant as 5 behind gt */
	if ((plain.kind != YAML_INTEGER && plain.kind != YAML_REAL) || !isfinite(plain.real))
		return error_at(
			err, EINVALID, value->at,
			"'%.*s' is no number\n  fix: write a number behind lt, lte, gt, gte",
			TEXT_ARG(value->text));
	*ret_number = plain.real;
	return OK;
}

static enum status compare_parse(struct loader *loader, const struct chain *chain,
				 const struct yaml_node *value, enum comparison how,
				 const struct expr **ret_expr, struct error *err)
{
	struct predicate predicate = predicate_for(chain, PREDICATE_NUMBER, value->at);
	double number = 0;
	enum status status = number_of(value, &number, err);
	if (status != OK)
		return status;
	predicate.number.how = how;
	predicate.number.value = number;
	if (value->kind == YAML_INTEGER) {
		predicate.number.is_integer = true;
		predicate.number.integer = value->integer;
	} else if (trunc(number) == number && fabs(number) < 0x1p53) {
		predicate.number.is_integer = true; /* 15.0 is 15 */
		predicate.number.integer = (int64_t)number;
	}
	return made(loader, &predicate, ret_expr, err);
}

static enum status time_parse_value(struct loader *loader, const struct chain *chain,
				    const struct yaml_node *value, const struct expr **ret_expr,
				    struct error *err)
{
	static const struct {
		const char *name;
		long long min, max;
	} ranges[] = {
		[PART_MINUTE] = {"minute", 0, 59}, [PART_HOUR] = {"hour", 0, 23},
		[PART_DAY] = {"day", 1, 31},       [PART_WEEK] = {"week", 1, 53},
		[PART_MONTH] = {"month", 1, 12},   [PART_YEAR] = {"year", 1, 9999},
	};
	assert((unsigned)chain->part < sizeof ranges / sizeof *ranges);
	long long number = 0;
	enum status status = node_count(value, ranges[chain->part].name, ranges[chain->part].min,
					ranges[chain->part].max, &number, err);
	if (status != OK)
		return status;
	struct predicate predicate = predicate_for(chain, PREDICATE_TIME_PART, value->at);
	predicate.time.part = chain->part;
	predicate.time.how = (chain->seen & MODIFIER_COMPARE) != 0 ? chain->how : COMPARE_EQ;
	predicate.time.value = number;
	return made(loader, &predicate, ret_expr, err);
}

/* An address with an optional prefix; IPv4 in its mapped form. */
static bool network_parse(struct text t, unsigned char address[static 16], unsigned *ret_bits)
{
	char buffer[INET6_ADDRSTRLEN + 1];
	const char *slash = t.size == 0 ? NULL : memchr(t.data, '/', t.size);
	size_t size = slash == NULL ? t.size : (size_t)(slash - t.data);
	if (size >= sizeof buffer || memchr(t.data, '\0', t.size) != NULL)
		return false;
	memcpy(buffer, t.data, size);
	buffer[size] = '\0';
	static const unsigned char mapped[12] = {[10] = 0xFF, [11] = 0xFF};
	unsigned shift = 0;
	if (inet_pton(AF_INET, buffer, address + 12) == 1) {
		memcpy(address, mapped, sizeof mapped);
		shift = 96;
	} else if (inet_pton(AF_INET6, buffer, address) != 1) {
		return false;
	}
	unsigned bits = 128 - shift;
	if (slash != NULL) {
		struct text digits = text_cut(t, size + 1);
		if (digits.size == 0 || digits.size > 3)
			return false;
		bits = 0;
		for (size_t i = 0; i < digits.size; i++) {
			if (digits.data[i] < '0' || digits.data[i] > '9')
				return false;
			bits = bits * 10 + (unsigned)(digits.data[i] - '0');
		}
	}
	*ret_bits = bits + shift;
	return bits <= 128 - shift;
}

static enum status cidr_parse(struct loader *loader, const struct chain *chain,
			      const struct yaml_node *value, const struct expr **ret_expr,
			      struct error *err)
{
	struct predicate predicate = predicate_for(chain, PREDICATE_CIDR, value->at);
	unsigned char *address = predicate.cidr.address;
	if (value->kind >= YAML_SEQUENCE ||
	    !network_parse(value->text, address, &predicate.cidr.prefix_bits))
		return error_at(
			err, EINVALID, value->at,
			"'%.*s' is no network\n  fix: write it as 10.0.0.0/8 or 2001:db8::/32",
			TEXT_ARG(value->text));
	bool host_bits = false;
	for (unsigned bit = predicate.cidr.prefix_bits; bit < 128; bit++) {
		unsigned char mask = (unsigned char)(0x80u >> bit % 8);
		host_bits = host_bits || (address[bit / 8] & mask) != 0;
		address[bit / 8] &= (unsigned char)~mask;
	}
	if (!host_bits)
		return made(loader, &predicate, ret_expr, err);
	char network[INET6_ADDRSTRLEN];
	bool is_v4 = memchr(value->text.data, ':', value->text.size) == NULL;
	if (inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? address + 12 : address, network,
		      sizeof network) == NULL)
		network[0] = '\0';
	return error_at(err, EINVALID, value->at,
			"network %.*s has bits set behind its prefix\n  fix: write %s/%u",
			TEXT_ARG(value->text), network,
			predicate.cidr.prefix_bits - (is_v4 ? 96 : 0));
}

static enum status fieldref_parse(struct loader *loader, const struct chain *chain,
				  const struct yaml_node *value, const struct expr **ret_expr,
				  struct error *err)
{
	struct text other = value->text; /* also 43.44, which YAML takes for a number */
	if (other.size == 0)
		return error_at(
			err, EINVALID, value->at,
			"fieldref names no field\n  fix: write the name of the other field");
	if (memchr(other.data, '*', other.size) != NULL)
		return error_at(err, EINVALID, value->at,
				"fieldref takes the name of one field, without wildcards\n  fix: "
				"name the field");
	struct predicate predicate = predicate_for(chain, PREDICATE_FIELDREF, value->at);
	predicate.fieldref.other = loader_keep_field(loader, other);
	if ((chain->seen & MODIFIER_STARTSWITH) != 0)
		predicate.fieldref.mode = FIELDREF_STARTS;
	else if ((chain->seen & MODIFIER_ENDSWITH) != 0)
		predicate.fieldref.mode = FIELDREF_ENDS;
	else if ((chain->seen & MODIFIER_CONTAINS) != 0)
		predicate.fieldref.mode = FIELDREF_CONTAINS;
	return made(loader, &predicate, ret_expr, err);
}

static enum status null_parse(struct loader *loader, const struct chain *chain,
			      const struct yaml_node *value, bool in_list,
			      const struct expr **ret_expr, struct error *err)
{
	bool alone = (chain->seen & ~(unsigned)(MODIFIER_NEQ | MODIFIER_ALL)) == 0;
	if (chain->field.size == 0 || !alone || in_list)
		return error_at(err, EINVALID, value->at,
				"null must be the only value of a field without modifiers\n  fix: "
				"write a selection of its own with `field: null`, or '' for empty "
				"text");
	struct predicate predicate = predicate_for(chain, PREDICATE_NULL, value->at);
	return made(loader, &predicate, ret_expr, err);
}

static enum status exists_parse(struct loader *loader, const struct chain *chain,
				const struct yaml_node *value, const struct expr **ret_expr,
				struct error *err)
{
	bool wanted = false;
	enum status status = node_boolean(value, "exists", &wanted, err);
	if (status != OK)
		return status;
	struct predicate predicate = predicate_for(chain, PREDICATE_EXISTS, value->at);
	const struct expr *expr = expr_predicate(loader, &predicate);
	if (expr != NULL && !wanted)
		expr = expr_not(loader, expr);
	*ret_expr = expr;
	return expr == NULL ? loader_exhausted(err) : OK;
}

enum status value_parse(struct loader *loader, const struct chain *chain,
			const struct yaml_node *value, bool in_list, const struct expr **ret_expr,
			struct error *err)
{
	unsigned seen = chain->seen;
	if (value->kind >= YAML_SEQUENCE)
		return error_at(
			err, EINVALID, value->at,
			"a field takes a value or a list of values, not a %s inside\n  fix: "
			"write nested fields with dots (outer.inner: value)",
			value->kind == YAML_SEQUENCE ? "list" : "map");
	lint_scalar(loader, value);
	if ((seen & MODIFIER_EXISTS) != 0)
		return exists_parse(loader, chain, value, ret_expr, err);
	if (value->kind == YAML_NULL)
		return null_parse(loader, chain, value, in_list, ret_expr, err);
	if ((seen & MODIFIER_RE) != 0)
		return regex_parse(loader, chain, value, ret_expr, err);
	if ((seen & MODIFIER_CIDR) != 0)
		return cidr_parse(loader, chain, value, ret_expr, err);
	if ((seen & MODIFIER_FIELDREF) != 0)
		return fieldref_parse(loader, chain, value, ret_expr, err);
	if ((seen & MODIFIER_TIME) != 0)
		return time_parse_value(loader, chain, value, ret_expr, err);
	if ((seen & MODIFIER_COMPARE) != 0)
		return compare_parse(loader, chain, value, chain->how, ret_expr, err);

	bool as_text = value->kind == YAML_STRING || chain->field.size == 0 ||
		       (seen & ~(unsigned)(MODIFIER_ALL | MODIFIER_NEQ | MODIFIER_CASED)) != 0;
	if (as_text)
		return glob_parse(loader, chain, value, ret_expr, err);
	if (value->kind == YAML_BOOLEAN) {
		struct predicate predicate = predicate_for(chain, PREDICATE_BOOLEAN, value->at);
		predicate.boolean = value->boolean;
		return made(loader, &predicate, ret_expr, err);
	}
	return compare_parse(loader, chain, value, COMPARE_EQ, ret_expr, err);
}
