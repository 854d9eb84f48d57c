/* Most events hold nothing, and must not pay for it. All names and texts of an event are laid into
 * one buffer and Vectorscan looks for all literals of secret.def in one pass; card numbers have no
 * literal, so every thirteenth byte is asked whether it could be inside one. Only when one of the
 * two says "perhaps" are the values taken one by one.
 *
 * A policy replaces values, not only fields: the same address stands in user.email, in the vendor's
 * own field beside it and in the message. */
#include "ingest/privacy.h"

#include <arpa/inet.h>
#include <assert.h>
#include <hs/hs.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	KEY_LEAST = 16,
	HASH_BYTES = 12,
	KEY_ID_BYTES = 4,
	LITERALS_MAX = 256,
	ROUNDS_MAX = 8,
	PERSONAL_MAX = 64, /* values of one event that are looked for elsewhere in it */
};

struct privacy {
	struct privacy_options options;
	struct privacy_policy policies[PRIVACY_POLICIES_MAX];
	struct arena *arena; /* of the policies' names */
	unsigned char key[PRIVACY_KEY_BYTES];
	char key_id[PRIVACY_KEY_NAME_MAX];
	bool has_key;
	hs_database_t *literals;
};

struct privacy_scratch {
	hs_scratch_t *hs;
	struct bytes joined;
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

bool privacy_action_parse(struct text word, enum privacy_action *ret_action)
{
	static const struct text words[] = {{"mask", 4}, {"hmac", 4}, {"drop", 4}};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (!text_equal(word, words[i]))
			continue;
		*ret_action = (enum privacy_action)i;
		return true;
	}
	return false;
}

static enum status compile_literals(struct privacy *privacy, struct error *err)
{
	static const unsigned flags[] = {HS_FLAG_SINGLEMATCH,
					 HS_FLAG_SINGLEMATCH | HS_FLAG_CASELESS};
	char literals[LITERALS_MAX][SECRET_LITERAL_MAX];
	const char *pointers[LITERALS_MAX];
	size_t sizes[LITERALS_MAX];
	unsigned options[LITERALS_MAX];
	bool caseless = false;
	unsigned count = 0;
	for (; secret_literal(count, literals[count], &caseless); count++) {
		assert(count < LITERALS_MAX - 1);
		pointers[count] = literals[count];
		sizes[count] = strlen(literals[count]);
		options[count] = flags[caseless];
	}
	hs_compile_error_t *problem = NULL;
	if (hs_compile_lit_multi(pointers, options, NULL, sizes, count, HS_MODE_BLOCK, NULL,
				 &privacy->literals, &problem) == HS_SUCCESS)
		return OK;
	enum status status = error_set(err, EINVALID, "the detectors of secrets: %s",
				       problem == NULL ? "no memory" : problem->message);
	(void)hs_free_compile_error(problem);
	return status;
}

/* picket cannot work without these, or would lie about where an event came from. */
static bool is_needed(enum field_id id)
{
	switch (id) {
	case FIELD_OTHER:
		return false;
	case FIELD_TIMESTAMP:
	case FIELD_SERVICE_NAME:
	case FIELD_SERVICE_VERSION:
	case FIELD_TENANT_ID:
	case FIELD_TARGET_TENANT_ID:
	case FIELD_EVENT_OUTCOME:
	case FIELD_EVENT_CATEGORY:
		return true;
	default:
		return schema_info(id)->protection == FIELD_PROVENANCE;
	}
}

static enum status take_policy(struct privacy *privacy, const struct privacy_policy *from,
			       struct privacy_policy *to, struct error *err)
{
	struct text name = from->field;
	bool open = name.size > 0 && name.data[name.size - 1] == '*';
	struct text stem = {name.data, name.size - open};
	if (stem.size == 0 || memchr(stem.data, '*', stem.size) != NULL)
		return error_set(
			err, EINVALID,
			"privacy.fields: \"%.*s\" is no field; write a name, or one with * "
			"at its end",
			TEXT_ARG(name));
	for (unsigned id = 1; id < FIELD_COUNT; id++) {
		struct text known = schema_info((enum field_id)id)->name;
		bool named =
			open ? text_starts(known, stem) : text_equal(known, schema_canonical(stem));
		if (named && is_needed((enum field_id)id))
			return error_set(
				err, EINVALID,
				"privacy.fields: \"%.*s\" covers %.*s, which picket cannot "
				"work without; name the fields one by one",
				TEXT_ARG(name), TEXT_ARG(known));
	}
	to->action = from->action;
	to->field = arena_copy(privacy->arena, open ? name : schema_canonical(name));
	return to->field.data == NULL ? ENOMEMORY : OK;
}

static enum status take_key(struct privacy *privacy, struct text key, struct error *err)
{
	unsigned char digest[crypto_hash_sha256_BYTES];
	static_assert(2 * KEY_ID_BYTES + 1 == PRIVACY_KEY_NAME_MAX);
	static_assert(sizeof digest == PRIVACY_KEY_BYTES &&
		      PRIVACY_KEY_BYTES == crypto_auth_hmacsha256_KEYBYTES);
	if (key.size == 0)
		return OK;
	if (key.size < KEY_LEAST)
		return error_set(err, EINVALID,
				 "the privacy key has %zu bytes, %d are the least; make one with: "
				 "head -c 32 /dev/urandom | base64",
				 key.size, KEY_LEAST);
	(void)crypto_hash_sha256(privacy->key, (const unsigned char *)key.data, key.size);
	(void)crypto_hash_sha256(digest, privacy->key, sizeof privacy->key);
	(void)sodium_bin2hex(privacy->key_id, sizeof privacy->key_id, digest, KEY_ID_BYTES);
	privacy->has_key = true;
	return OK;
}

enum status privacy_new(const struct privacy_options *options, struct privacy **ret_privacy,
			struct error *err)
{
	struct privacy *privacy cleanup(privacy_free) = calloc(1, sizeof *privacy);
	if (privacy == NULL)
		return error_set(err, ENOMEMORY, "no memory for privacy");
	privacy->options = *options;
	privacy->options.key = (struct text){0};
	privacy->options.policies = privacy->policies;
	privacy->arena = arena_new((size_t)PRIVACY_POLICIES_MAX * 2 * EVENT_NAME_MAX);
	if (privacy->arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for privacy");
	if (options->policy_count > PRIVACY_POLICIES_MAX)
		return error_set(err, ELIMIT, "privacy.fields: more than %d policies",
				 PRIVACY_POLICIES_MAX);
	enum status status = take_key(privacy, options->key, err);
	for (size_t i = 0; status == OK && i < options->policy_count; i++) {
		if (options->policies[i].action == PRIVACY_HMAC && !privacy->has_key)
			return error_set(err, EINVALID,
					 "privacy.fields: hmac needs a key; set privacy.key_file");
		status = take_policy(privacy, &options->policies[i], &privacy->policies[i], err);
	}
	if (status == OK && options->detect != PRIVACY_DETECT_OFF)
		status = compile_literals(privacy, err);
	if (status == OK)
		*ret_privacy = TAKE(privacy);
	return status;
}

void privacy_free(struct privacy **privacy)
{
	struct privacy *old = *privacy;
	if (old == NULL)
		return;
	(void)hs_free_database(old->literals);
	arena_free(&old->arena);
	sodium_memzero(old->key, sizeof old->key);
	free(old);
	*privacy = NULL;
}

const char *privacy_key_name(const struct privacy *privacy)
{
	return privacy->key_id;
}

enum status privacy_scratch_new(const struct privacy *privacy, struct privacy_scratch **ret_scratch,
				struct error *err)
{
	struct privacy_scratch *scratch cleanup(privacy_scratch_free) = calloc(1, sizeof *scratch);
	bool made = scratch != NULL &&
		    (privacy->literals == NULL ||
		     hs_alloc_scratch(privacy->literals, &scratch->hs) == HS_SUCCESS);
	if (!made)
		return error_set(err, ENOMEMORY, "no memory for privacy");
	*ret_scratch = TAKE(scratch);
	return OK;
}

void privacy_scratch_free(struct privacy_scratch **scratch)
{
	if (*scratch == NULL)
		return;
	(void)hs_free_scratch((*scratch)->hs);
	bytes_done(&(*scratch)->joined);
	free(*scratch);
	*scratch = NULL;
}

struct text privacy_replacement(const struct privacy *privacy, struct arena *arena,
				const char *kind, struct text value)
{
	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	char hex[2 * HASH_BYTES + 1];
	if (!privacy->has_key)
		return arena_print(arena, "[%s]", kind);
	(void)crypto_auth_hmacsha256(mac, (const unsigned char *)value.data, value.size,
				     privacy->key);
	(void)sodium_bin2hex(hex, sizeof hex, mac, HASH_BYTES);
	return arena_print(arena, "[%s:%s:%s]", kind, privacy->key_id, hex);
}

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
		bool fixed = is_needed(field->id) || !is_textual(&field->value) ||
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
