/* Cleaning one event: the fields that privacy_search.c suspects.
 *
 * A policy replaces values, not only fields: the same address stands in user.email, in the vendor's
 * own field beside it and in the message. */
#include <arpa/inet.h>
#include <assert.h>

#include "ingest/privacy_private.h"

enum { ROUNDS_MAX = 8 };

struct cleaning {
	const struct privacy *privacy;
	struct privacy_scratch *scratch;
	struct arena *arena;
	struct event *event;
	struct privacy_counts counts;
	size_t personal_count; /* of scratch->personal */
	bool drops;            /* a policy drops a field */
	struct {
		enum secret_kind kind;
		struct text field, replacement;
	} finds[PRIVACY_FINDS_MAX];
	size_t find_count;
};

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
		struct text replacement = privacy_replacement(privacy, NULL, cleaning->arena,
							      secret_name(span.kind), found);
		if (replacement.data == NULL)
			return replacement;
		bytes_put(&clean, t.data + at, span.begin - at);
		bytes_write(&clean, replacement);
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
		if (!privacy_suspects(cleaning->scratch, i))
			continue;
		if (field->id == FIELD_OTHER) {
			struct text name = clean_text(cleaning, TEXT(""), field->name);
			if (name.data == NULL && field->name.size > 0)
				return ENOMEMORY;
			field->name = name;
		}
		if (!privacy_is_textual(&field->value) || !privacy_may_change(field))
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
		return privacy_replacement(cleaning->privacy, cleaning->scratch, cleaning->arena,
					   "pii", value);
	return action == PRIVACY_MASK ? masked(cleaning->arena, value) : TEXT("***");
}

static bool personal_known(const struct cleaning *cleaning, struct text value)
{
	for (size_t i = 0; i < cleaning->personal_count; i++)
		if (text_equal(cleaning->scratch->personal[i].value, value))
			return true;
	return false;
}

/* The policy for a field that has something to hide. */
static const struct privacy_policy *policy_for(const struct cleaning *cleaning,
					       const struct field *field)
{
	bool nothing = !privacy_is_textual(&field->value) || field->value.text.size == 0;
	return nothing || !privacy_may_change(field) ? NULL
						     : privacy_policy_of(cleaning->privacy, field);
}

/* Every field that a policy names, and its values for the second pass. */
static enum status clean_named(struct cleaning *cleaning)
{
	struct event *event = cleaning->event;
	struct personal *personal = cleaning->scratch->personal;
	for (size_t i = 0; i < event->field_count; i++) {
		struct field *field = &event->fields[i];
		const struct privacy_policy *policy = policy_for(cleaning, field);
		if (policy == NULL)
			continue;
		struct text value = field->value.text;
		struct text replacement = replacement_of(cleaning, policy->action, value);
		if (replacement.data == NULL)
			return ENOMEMORY;
		cleaning->counts.personal++;
		if (!personal_known(cleaning, value) && cleaning->personal_count < PERSONAL_MAX)
			personal[cleaning->personal_count++] =
				(struct personal){value, replacement};
		if (policy->action == PRIVACY_DROP)
			cleaning->drops = true;
		else
			field->value = text_value(event, replacement);
	}
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
		bytes_write(&clean, personal->replacement);
		at = (size_t)(found - t.data) + value.size;
	}
	if (at == 0)
		return t;
	bytes_put(&clean, t.data + at, t.size - at);
	return clean.failed ? (struct text){0} : arena_copy(arena, bytes_text(&clean));
}

/* The personal values wherever else they stand. A field that a secret was taken from is looked at
 * in any case: its text is no longer the one that was laid out. */
static enum status clean_elsewhere(struct cleaning *cleaning)
{
	struct event *event = cleaning->event;
	const struct personal *personal = cleaning->scratch->personal;
	for (size_t k = 0; k < cleaning->personal_count; k++)
		privacy_suspect_text(cleaning->scratch, event, personal[k].value);
	for (size_t i = 0; i < event->field_count; i++) {
		struct field *field = &event->fields[i];
		bool fixed = !privacy_suspects(cleaning->scratch, i) || privacy_needs(field->id) ||
			     !privacy_is_textual(&field->value) ||
			     privacy_policy_of(cleaning->privacy, field) != NULL;
		for (size_t k = 0; !fixed && k < cleaning->personal_count; k++) {
			struct text clean =
				replace_all(cleaning->arena, field->value.text, &personal[k]);
			if (clean.data == NULL && field->value.text.size > 0)
				return ENOMEMORY;
			if (clean.data != field->value.text.data)
				field->value = text_value(event, clean);
		}
	}
	return OK;
}

static void drop_named(struct cleaning *cleaning)
{
	struct event *event = cleaning->event;
	size_t kept = 0;
	for (size_t i = 0; i < event->field_count; i++) {
		const struct privacy_policy *policy = policy_for(cleaning, &event->fields[i]);
		if (policy == NULL || policy->action != PRIVACY_DROP)
			event->fields[kept++] = event->fields[i];
	}
	event->field_count = kept;
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
	struct cleaning cleaning = {
		.privacy = privacy, .scratch = scratch, .arena = arena, .event = event};
	enum status status = OK;
	privacy_lay_out(scratch, event);
	if (privacy->literals != NULL) {
		privacy_suspect_secrets(privacy, scratch, event);
		status = clean_secrets(&cleaning);
	}
	if (status == OK && privacy->options.policy_count > 0)
		status = clean_named(&cleaning);
	if (status == OK && cleaning.personal_count > 0)
		status = clean_elsewhere(&cleaning);
	if (cleaning.drops)
		drop_named(&cleaning);
	if (status == OK && cleaning.find_count > 0)
		status = add_finds(&cleaning);
	assert(status != ELIMIT); /* EVENT_OWN_MAX keeps room */
	if (status == OK)
		*ret_counts = cleaning.counts;
	return status;
}

bool privacy_replaces(const struct privacy *privacy)
{
	return privacy->literals != NULL || privacy->options.policy_count > 0;
}

struct text privacy_raw(const struct privacy *privacy, struct privacy_scratch *scratch,
			struct arena *arena, struct text t)
{
	struct cleaning cleaning = {.privacy = privacy, .scratch = scratch, .arena = arena};
	if (privacy->literals == NULL || t.size == 0 ||
	    (!privacy_may_hold_literal(privacy, scratch, t) && !secret_may_be_card(t)))
		return t;
	return clean_text(&cleaning, TEXT(""), t);
}
