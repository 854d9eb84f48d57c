/* Cleaning one event. Most events hold nothing, and must not pay for it. All names and texts of an
 * event are laid into one buffer and Vectorscan looks for all literals of secret.def in one pass;
 * card numbers have no literal, so every thirteenth byte is asked whether it could be inside one.
 * Only when one of the two says "perhaps" are the values taken one by one.
 *
 * A policy replaces values, not only fields: the same address stands in user.email, in the vendor's
 * own field beside it and in the message. */
#include <arpa/inet.h>
#include <assert.h>

#include "ingest/privacy_private.h"

enum {
	ROUNDS_MAX = 8,
	PERSONAL_MAX = 64, /* values of one event that are looked for elsewhere in it */
};

struct personal {
	struct text value, replacement;
};

struct cleaning {
	const struct privacy *privacy;
	struct arena *arena;
	struct event *event;
	struct privacy_counts counts;
	struct personal personal[PERSONAL_MAX];
	size_t personal_count;
	struct {
		enum secret_kind kind;
		struct text field, replacement;
	} finds[PRIVACY_FINDS_MAX];
	size_t find_count;
};

static int on_literal(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
		      void *context)
{
	(void)id;
	(void)from;
	(void)to;
	(void)flags;
	*(bool *)context = true;
	return 1; /* one is enough */
}

/* Perhaps: an answer of true costs time, an answer of false must be right. */
static bool may_hold_literal(const struct privacy *privacy, struct privacy_scratch *scratch,
			     struct text t)
{
	bool found = false;
	if (t.size == 0)
		return false;
	hs_error_t ended = hs_scan(privacy->literals, t.data, (unsigned)t.size, 0, scratch->hs,
				   on_literal, &found);
	assert(ended == HS_SUCCESS || ended == HS_SCAN_TERMINATED);
	return found;
}

static bool is_textual(const struct value *value)
{
	return value->type == VALUE_STRING || value->type == VALUE_INTEGER ||
	       value->type == VALUE_REAL;
}

/* picket's own fields hold nothing of the payload but what is cleaned with it. */
static bool may_change(const struct field *field)
{
	return field->id == FIELD_OTHER || schema_info(field->id)->protection != FIELD_PROVENANCE ||
	       field->id == FIELD_CLAIMED_SERVICE || field->id == FIELD_CLAIMED_TENANT;
}

static bool event_may_hold(const struct privacy *privacy, struct privacy_scratch *scratch,
			   const struct event *event)
{
	struct bytes *joined = &scratch->joined;
	bytes_clear(joined);
	for (size_t i = 0; i < event->field_count; i++) {
		const struct field *field = &event->fields[i];
		if (field->id == FIELD_OTHER) {
			bytes_put(joined, field->name.data, field->name.size);
			bytes_put_u8(joined, '\n');
		}
		if (!is_textual(&field->value))
			continue;
		if (secret_may_be_card(field->value.text))
			return true;
		if (field->value.type != VALUE_STRING)
			continue;
		bytes_put(joined, field->value.text.data, field->value.text.size);
		bytes_put_u8(joined, '\n');
	}
	return joined->failed || may_hold_literal(privacy, scratch, bytes_text(joined));
}

static void note_find(struct cleaning *cleaning, enum secret_kind kind, struct text field,
		      struct text replacement)
{
	cleaning->counts.secrets++;
	for (size_t i = 0; i < cleaning->find_count; i++)
		if (cleaning->finds[i].kind == kind && text_equal(cleaning->finds[i].field, field))
			return;
	if (cleaning->find_count == PRIVACY_FINDS_MAX)
		return;
	cleaning->finds[cleaning->find_count].kind = kind;
	cleaning->finds[cleaning->find_count].field = field;
	cleaning->finds[cleaning->find_count++].replacement = replacement;
}

/* Names alone do not count when only forms are asked for. */
static struct text name_for(const struct privacy *privacy, struct text name)
{
	return privacy->options.detect == PRIVACY_DETECT_FORMS ? TEXT("") : name;
}

/* One walk. data == NULL: out of memory. */
static struct text clean_once(struct cleaning *cleaning, struct text name, struct text t)
{
	struct secret_span span = {0};
	struct bytes clean cleanup(bytes_done) = {0};
	size_t at = 0;
	const struct privacy *privacy = cleaning->privacy;
	bool forms = privacy->options.detect == PRIVACY_DETECT_FORMS;
	for (size_t from = 0; secret_find(name_for(privacy, name), t, from, &span);
	     from = span.end) {
		if (forms && span.kind == SECRET_CREDENTIAL) {
			span.end = span.begin; /* something with a form may stand in it */
			continue;
		}
		assert(span.begin >= at && span.end > span.begin && span.end <= t.size);
		struct text found = {t.data + span.begin, span.end - span.begin};
		struct text replacement = privacy_replacement(privacy, cleaning->arena,
							      secret_name(span.kind), found);
		if (replacement.data == NULL)
			return replacement;
		bytes_put(&clean, t.data + at, span.begin - at);
		bytes_put(&clean, replacement.data, replacement.size);
		at = span.end;
		note_find(cleaning, span.kind, name, replacement);
	}
	if (at == 0)
		return t;
	bytes_put(&clean, t.data + at, t.size - at);
	return clean.failed ? (struct text){0} : arena_copy(cleaning->arena, bytes_text(&clean));
}

/* t without its secrets; t itself when it has none. data == NULL: out of memory. What took the
 * place of one secret may show another (a card number that now stands near the word "card"). */
static struct text clean_text(struct cleaning *cleaning, struct text name, struct text t)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		struct text clean = clean_once(cleaning, name, t);
		if (clean.data == t.data || clean.data == NULL)
			return clean;
		t = clean;
	}
	return TEXT("[secrets]"); /* whoever made such a value did not want it to be read */
}

static struct value text_value(struct event *event, struct text t)
{
	if (t.size > EVENT_VALUE_MAX) {
		t.size = EVENT_VALUE_MAX;
		event->quality |= QUALITY_VALUE;
	}
	return (struct value){.type = VALUE_STRING, .text = t};
}

static enum status clean_secrets(struct cleaning *cleaning)
{
	struct event *event = cleaning->event;
	for (size_t i = 0; i < event->field_count; i++) {
		struct field *field = &event->fields[i];
		if (field->id == FIELD_OTHER) {
			struct text name = clean_text(cleaning, TEXT(""), field->name);
			if (name.data == NULL && field->name.size > 0)
				return ENOMEMORY;
			field->name = name;
		}
		if (!is_textual(&field->value) || !may_change(field))
			continue;
		bool number = field->value.type != VALUE_STRING;
		if (number && !secret_may_be_card(field->value.text))
			continue;
		struct text clean = clean_text(cleaning, field->name, field->value.text);
		if (clean.data == NULL && field->value.text.size > 0)
			return ENOMEMORY;
		if (clean.data != field->value.text.data)
			field->value = text_value(event, clean);
	}
	return OK;
}

static const struct privacy_policy *policy_of(const struct privacy *privacy,
					      const struct field *field)
{
	for (size_t i = 0; i < privacy->options.policy_count; i++) {
		struct text name = privacy->policies[i].field;
		bool open = name.data[name.size - 1] == '*';
		if (open ? text_starts(field->name, (struct text){name.data, name.size - 1})
			 : text_equal(field->name, name))
			return &privacy->policies[i];
	}
	return NULL;
}

/* An address keeps its network, a mail address its domain, everything else nothing. */
static struct text masked(struct arena *arena, struct text value)
{
	char copy[INET6_ADDRSTRLEN] = {0};
	unsigned char address[sizeof(struct in6_addr)];
	if (value.size < sizeof copy)
		memcpy(copy, value.data, value.size);
	if (inet_pton(AF_INET, copy, address) == 1)
		return arena_print(arena, "%u.%u.%u.0", address[0], address[1], address[2]);
	if (inet_pton(AF_INET6, copy, address) == 1)
		return arena_print(arena, "%x:%x:%x::", address[0] << 8 | address[1],
				   address[2] << 8 | address[3], address[4] << 8 | address[5]);
	const char *at = memrchr(value.data, '@', value.size);
	if (at == NULL || at == value.data)
		return TEXT("***");
	struct text domain = text_cut(value, (size_t)(at - value.data));
	return arena_print(arena, "***%.*s", TEXT_ARG(domain));
}

static struct text replacement_of(struct cleaning *cleaning, enum privacy_action action,
				  struct text value)
{
	if (action == PRIVACY_HMAC)
		return privacy_replacement(cleaning->privacy, cleaning->arena, "pii", value);
	return action == PRIVACY_MASK ? masked(cleaning->arena, value) : TEXT("***");
}

static bool personal_known(const struct cleaning *cleaning, struct text value)
{
	for (size_t i = 0; i < cleaning->personal_count; i++)
		if (text_equal(cleaning->personal[i].value, value))
			return true;
	return false;
}

/* Every field that a policy names, and its values for the second pass. */
static enum status clean_named(struct cleaning *cleaning)
{
	struct event *event = cleaning->event;
	size_t kept = 0;
	for (size_t i = 0; i < event->field_count; i++) {
		struct field field = event->fields[i];
		struct text value = field.value.text;
		const struct privacy_policy *policy =
			may_change(&field) ? policy_of(cleaning->privacy, &field) : NULL;
		if (policy == NULL || !is_textual(&field.value) || value.size == 0) {
			event->fields[kept++] = field;
			continue;
		}
		struct text replacement = replacement_of(cleaning, policy->action, value);
		if (replacement.data == NULL)
			return ENOMEMORY;
		cleaning->counts.personal++;
		if (!personal_known(cleaning, value) && cleaning->personal_count < PERSONAL_MAX)
			cleaning->personal[cleaning->personal_count++] =
				(struct personal){value, replacement};
		if (policy->action == PRIVACY_DROP)
			continue;
		field.value = text_value(event, replacement);
		event->fields[kept++] = field;
	}
	event->field_count = kept;
	return OK;
}

/* t with `personal` replaced wherever it stands; t itself when it stands nowhere. */
static struct text replace_all(struct arena *arena, struct text t, const struct personal *personal)
{
	struct text value = personal->value;
	struct bytes clean cleanup(bytes_done) = {0};
	size_t at = 0;
	if (text_equal(t, value))
		return personal->replacement;
	while (value.size >= PRIVACY_TEXT_MIN && t.size - at >= value.size) {
		const char *found = memmem(t.data + at, t.size - at, value.data, value.size);
		if (found == NULL)
			break;
		bytes_put(&clean, t.data + at, (size_t)(found - t.data) - at);
		bytes_put(&clean, personal->replacement.data, personal->replacement.size);
		at = (size_t)(found - t.data) + value.size;
	}
	if (at == 0)
		return t;
	bytes_put(&clean, t.data + at, t.size - at);
	return clean.failed ? (struct text){0} : arena_copy(arena, bytes_text(&clean));
}

static enum status clean_elsewhere(struct cleaning *cleaning)
{
	struct event *event = cleaning->event;
	for (size_t i = 0; i < event->field_count; i++) {
		struct field *field = &event->fields[i];
		bool fixed = privacy_needs(field->id) || !is_textual(&field->value) ||
			     policy_of(cleaning->privacy, field) != NULL;
		for (size_t k = 0; !fixed && k < cleaning->personal_count; k++) {
			struct text clean = replace_all(cleaning->arena, field->value.text,
							&cleaning->personal[k]);
			if (clean.data == NULL && field->value.text.size > 0)
				return ENOMEMORY;
			if (clean.data != field->value.text.data)
				field->value = text_value(event, clean);
		}
	}
	return OK;
}

static enum status add_finds(struct cleaning *cleaning)
{
	static const enum field_id ids[] = {FIELD_SECRET_KIND, FIELD_SECRET_FIELD,
					    FIELD_SECRET_HASH};
	enum status status = OK;
	for (size_t k = 0; k < sizeof ids / sizeof *ids; k++)
		for (size_t i = 0; status == OK && i < cleaning->find_count; i++) {
			const struct text texts[] = {text_of(secret_name(cleaning->finds[i].kind)),
						     cleaning->finds[i].field,
						     cleaning->finds[i].replacement};
			if (texts[k].size > 0)
				status = event_add(
					cleaning->event, cleaning->arena, schema_info(ids[k])->name,
					(struct value){.type = VALUE_STRING, .text = texts[k]});
		}
	return status;
}

enum status privacy_event(const struct privacy *privacy, struct privacy_scratch *scratch,
			  struct arena *arena, struct event *event,
			  struct privacy_counts *ret_counts)
{
	struct cleaning cleaning = {.privacy = privacy, .arena = arena, .event = event};
	enum status status = OK;
	if (privacy->literals != NULL && event_may_hold(privacy, scratch, event))
		status = clean_secrets(&cleaning);
	if (status == OK && privacy->options.policy_count > 0)
		status = clean_named(&cleaning);
	if (status == OK && cleaning.personal_count > 0)
		status = clean_elsewhere(&cleaning);
	if (status == OK && cleaning.find_count > 0)
		status = add_finds(&cleaning);
	assert(status != ELIMIT); /* EVENT_OWN_MAX keeps room */
	if (status == OK)
		*ret_counts = cleaning.counts;
	return status;
}

struct text privacy_raw(const struct privacy *privacy, struct privacy_scratch *scratch,
			struct arena *arena, struct text t)
{
	struct cleaning cleaning = {.privacy = privacy, .arena = arena};
	if (privacy->literals == NULL || t.size == 0 ||
	    (!may_hold_literal(privacy, scratch, t) && !secret_may_be_card(t)))
		return t;
	return clean_text(&cleaning, TEXT(""), t);
}
