#include "cli/rule_filter.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/identity.h"
#include "rules/terms.h"

enum { UUID_BYTES = 16, SHOWN_ID_BYTES = 12, TITLE_BYTES_MAX = 220 };

/* A detection that the filter is for, and what it calls the fields. */
struct base {
	const struct rule *rule;
	struct text names[FILTER_FIELDS_MAX];
};

struct bases {
	const struct rule_filter_options *options;
	size_t count;
	struct base items[FILTER_DETECTIONS_MAX];
};

static void bases_free(struct bases **bases)
{
	free(*bases);
}

/* Whether correlation.rules[i] has to be there for the condition to hold. */
static bool is_wanted(const struct correlation *correlation, size_t i)
{
	const struct sequence_terms *sequence = correlation->sequence;
	if (sequence == NULL)
		return correlation->names == NULL || (correlation->negated >> i & 1) == 0;
	for (size_t s = 0; s < sequence->step_count; s++)
		if (sequence->steps[s].reference == i && !sequence->steps[s].absent)
			return true;
	return false;
}

/* What correlation.rules[i] calls a field of the correlation. */
static struct text name_below(const struct correlation *correlation, size_t i, struct text name)
{
	for (size_t g = 0; g < correlation->group_by_count; g++) {
		const struct group_field *field = &correlation->group_by[g];
		if (field->by_rule != NULL && text_equal(field->name, name))
			return field->by_rule[i];
	}
	return name;
}

static bool bases_add(struct bases *bases, const struct base *base)
{
	const struct correlation *correlation = base->rule->correlation;
	for (size_t i = 0; correlation == NULL && i < bases->count; i++)
		if (bases->items[i].rule == base->rule)
			return true;
	if (correlation == NULL) {
		if (bases->count == FILTER_DETECTIONS_MAX)
			return false;
		bases->items[bases->count++] = *base;
		return true;
	}
	for (size_t i = 0; i < correlation->rule_count; i++) {
		struct base below = {
			.rule = ruleset_rule(bases->options->ruleset, correlation->rules[i])};
		if (!is_wanted(correlation, i))
			continue;
		for (size_t f = 0; f < bases->options->field_count; f++)
			below.names[f] = name_below(correlation, i, base->names[f]);
		if (!bases_add(bases, &below))
			return false;
	}
	return true;
}

/* At most max bytes of it, whole characters. */
static struct text text_fit(struct text t, size_t max)
{
	size_t size = t.size < max ? t.size : max;
	while (size > 0 && size < t.size && ((unsigned char)t.data[size] & 0xc0) == 0x80)
		size--;
	return (struct text){t.data, size};
}

static bool same_document(const struct bases *bases, const struct base *a, const struct base *b)
{
	const struct logsource *one = &a->rule->logsource;
	const struct logsource *other = &b->rule->logsource;
	bool same = text_equal(one->category, other->category) &&
		    text_equal(one->product, other->product) &&
		    text_equal(one->service, other->service);
	for (size_t f = 0; same && f < bases->options->field_count; f++)
		same = text_equal(a->names[f], b->names[f]);
	return same;
}

/* --- YAML ------------------------------------------------------------------------------------ */

/* A scalar that stays text whatever it looks like. */
static void put_quoted(struct bytes *to, struct text value, bool wildcards_are_literal)
{
	bytes_put_u8(to, '\'');
	for (size_t i = 0; i < value.size; i++) {
		char c = value.data[i];
		if (wildcards_are_literal && (c == '*' || c == '?' || c == '\\'))
			bytes_put_u8(to, '\\');
		bytes_put_u8(to, (uint8_t)((unsigned char)c < ' ' ? ' ' : c));
		if (c == '\'')
			bytes_put_u8(to, '\'');
	}
	bytes_put_u8(to, '\'');
}

/* A field and its modifier as a key; most need no quotes. */
static void put_key(struct bytes *to, struct text name, const char *modifier)
{
	char key[EVENT_NAME_MAX + 16];
	(void)snprintf(key, sizeof key, "%.*s%s", TEXT_ARG(name), modifier);
	bool plain = name.size > 0;
	for (size_t i = 0; plain && i < name.size; i++) {
		char c = name.data[i];
		plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' ||
			(i > 0 && ((c >= '0' && c <= '9') || c == '-'));
	}
	if (plain)
		bytes_write_string(to, key);
	else
		put_quoted(to, text_of(key), false);
	bytes_write_string(to, ": ");
}

/* Groups keep their case, and Sigma compares without it unless told otherwise. */
static bool has_case(struct text value)
{
	for (size_t i = 0; i < value.size; i++) {
		unsigned char c = (unsigned char)value.data[i];
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80)
			return true;
	}
	return false;
}

static void put_field(struct bytes *to, struct text name, struct text value)
{
	bytes_write_string(to, "        ");
	put_key(to, name, has_case(value) ? "|cased" : "");
	put_quoted(to, value, true);
	bytes_write_string(to, "\n");
}

/* picket.identity.source is made from source.ip (rules/identity.h). */
static void put_source(struct bytes *to, struct text value)
{
	bool network = memchr(value.data, '/', value.size) != NULL;
	bytes_write_string(to, network ? "        source.ip|cidr: " : "        source.ip: [");
	put_quoted(to, value, !network);
	if (!network) { /* IPv4, as it may be written */
		char mapped[IDENTITY_BYTES_MAX + 8];
		(void)snprintf(mapped, sizeof mapped, "::ffff:%.*s", TEXT_ARG(value));
		bytes_write_string(to, ", ");
		put_quoted(to, text_of(mapped), true);
		bytes_write_string(to, "]");
	}
	bytes_write_string(to, "\n");
}

/* picket.identity.user is the first there is of these; its spelling has no case. */
static void put_user(struct bytes *to, struct text value)
{
	static const char *const fields[] = {"user.id", "user.name", "user.email"};
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		bytes_print(to, "        - %s: ", fields[i]);
		put_quoted(to, value, true);
		bytes_write_string(to, "\n");
	}
}

/* A version 8 UUID: made from what the document says. */
static void put_uuid(struct bytes *to, struct text from)
{
	unsigned char b[UUID_BYTES];
	static_assert(UUID_BYTES >= crypto_generichash_BYTES_MIN);
	(void)crypto_generichash(b, sizeof b, (const unsigned char *)from.data, from.size, NULL, 0);
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x80);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof b; i++)
		bytes_print(to, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
}

static void put_member(struct bytes *to, const char *name, struct text value)
{
	if (value.size == 0)
		return;
	bytes_print(to, "    %s: ", name);
	put_quoted(to, value, false);
	bytes_write_string(to, "\n");
}

/* The field of that name; field_count when there is none. */
static size_t field_named(const struct base *base, size_t field_count, struct text name)
{
	size_t f = 0;
	while (f < field_count && !text_equal(base->names[f], name))
		f++;
	return f;
}

/* The selections and the condition over them. */
static void put_selections(const struct rule_filter_options *options, const struct base *base,
			   struct bytes *to)
{
	size_t count = options->field_count;
	size_t user = field_named(base, count, TEXT("picket.identity.user"));
	bool tenant =
		options->tenant.size > 0 && field_named(base, count, TEXT("tenant.id")) == count;
	bool known = tenant || count > (user < count ? 1 : 0);
	if (known)
		bytes_write_string(to, "    known:\n");
	if (tenant && text_equal(options->tenant, TEXT("-")))
		bytes_write_string(to, "        tenant.id: null\n");
	else if (tenant)
		put_field(to, TEXT("tenant.id"), options->tenant);
	for (size_t f = 0; f < count; f++) {
		if (text_equal(base->names[f], TEXT("picket.identity.source")))
			put_source(to, options->fields[f].value);
		else if (f != user)
			put_field(to, base->names[f], options->fields[f].value);
	}
	if (user < count) {
		bytes_write_string(to, "    known_user:\n");
		put_user(to, options->fields[user].value);
	}
	bytes_print(to, "    condition: not %s\n",
		    user == count ? "known"
		    : known       ? "(known and known_user)"
				  : "known_user");
}

static bool is_written(const struct bases *bases, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (same_document(bases, &bases->items[k], &bases->items[i]))
			return true;
	return false;
}

/* The document for bases[first] and those like it. */
static void put_document(const struct bases *bases, size_t first, struct bytes *to)
{
	struct bytes body cleanup(bytes_done) = {0};
	struct bytes title cleanup(bytes_done) = {0};
	const struct base *base = &bases->items[first];
	const struct logsource *logsource = &base->rule->logsource;
	struct text id = text_fit(bases->options->alert_id, SHOWN_ID_BYTES);
	bytes_print(&body, "description: made from alert %.*s; say why\nlogsource:\n",
		    TEXT_ARG(id));
	put_member(&body, "category", logsource->category);
	put_member(&body, "product", logsource->product);
	put_member(&body, "service", logsource->service);
	bytes_write_string(&body, "filter:\n    rules:\n");
	for (size_t i = first; i < bases->count; i++) {
		if (!same_document(bases, base, &bases->items[i]))
			continue;
		bytes_write_string(&body, "        - ");
		put_quoted(&body, bases->items[i].rule->key, false);
		bytes_write_string(&body, "\n");
	}
	put_selections(bases->options, base, &body);
	if (bases->options->expires.size > 0) {
		bytes_write_string(&body, "picket:\n");
		put_member(&body, "expires", bases->options->expires);
	}
	bytes_print(&title, "Not worth an alert: %.*s", TEXT_ARG(bases->options->rule->title));
	bytes_write_string(to, first == 0 ? "title: " : "---\ntitle: ");
	put_quoted(to, text_fit(bytes_text(&title), TITLE_BYTES_MAX), false);
	bytes_write_string(to, "\nid: ");
	put_uuid(to, bytes_text(&body));
	bytes_write_string(to, "\n");
	bytes_write(to, bytes_text(&body));
	to->failed = to->failed || body.failed || title.failed;
}

enum status rule_filter_write(const struct rule_filter_options *options, struct bytes *to,
			      struct error *err)
{
	struct bases *bases cleanup(bases_free) = calloc(1, sizeof *bases);
	struct base top = {.rule = options->rule};
	if (bases == NULL)
		return error_set(err, ENOMEMORY, "no memory for a filter");
	if (options->field_count > FILTER_FIELDS_MAX)
		return error_set(err, ELIMIT, "a filter takes at most %d fields",
				 FILTER_FIELDS_MAX);
	bases->options = options;
	for (size_t f = 0; f < options->field_count; f++)
		top.names[f] = options->fields[f].name;
	if (!bases_add(bases, &top))
		return error_set(err, ELIMIT, "the rule counts more than %d detections",
				 FILTER_DETECTIONS_MAX);
	for (size_t i = 0; i < bases->count; i++)
		if (!is_written(bases, i))
			put_document(bases, i, to);
	return to->failed ? error_set(err, ENOMEMORY, "no memory for a filter") : OK;
}
