/* The options of privacy, checked and compiled; and the key, which leaves this file only as hashes.
 */
#include "ingest/privacy.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "ingest/privacy_private.h"

enum {
	KEY_LEAST = 16,
	KEY_ID_BYTES = 4,
	LITERALS_MAX = 256,
};

const bool privacy_own[FIELD_COUNT] = {
#define FIELD(id, name, type, protection, aliases, doc)          \
	[FIELD_##id] = FIELD_##protection == FIELD_PROVENANCE && \
		       FIELD_##id != FIELD_CLAIMED_SERVICE && FIELD_##id != FIELD_CLAIMED_TENANT,
#include "rules/schema.def"
#undef FIELD
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
		options[count] = caseless ? HS_FLAG_CASELESS : 0;
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

bool privacy_needs(enum field_id id)
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
		if (named && privacy_needs((enum field_id)id))
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

static bool policy_names(const struct privacy_policy *policy, struct text name)
{
	struct text field = policy->field;
	bool open = field.data[field.size - 1] == '*';
	return open ? text_starts(name, (struct text){field.data, field.size - 1})
		    : text_equal(name, field);
}

/* Which policy names which field of the schema; and which may name another one. */
static void index_policies(struct privacy *privacy)
{
	for (size_t i = privacy->options.policy_count; i-- > 0;)
		for (unsigned id = 1; id < FIELD_COUNT; id++)
			if (policy_names(&privacy->policies[i],
					 schema_info((enum field_id)id)->name))
				privacy->by_id[id] = (uint16_t)(i + 1);
	for (size_t i = 0; i < privacy->options.policy_count; i++)
		if (schema_find(privacy->policies[i].field) == FIELD_OTHER)
			privacy->others[privacy->other_count++] = (uint16_t)i;
}

const struct privacy_policy *privacy_policy_of(const struct privacy *privacy,
					       const struct field *field)
{
	if (field->id != FIELD_OTHER)
		return privacy->by_id[field->id] == 0
			       ? NULL
			       : &privacy->policies[privacy->by_id[field->id] - 1];
	for (size_t i = 0; i < privacy->other_count; i++)
		if (policy_names(&privacy->policies[privacy->others[i]], field->name))
			return &privacy->policies[privacy->others[i]];
	return NULL;
}

static enum status take_key(struct privacy *privacy, struct text key, struct error *err)
{
	unsigned char kept[PRIVACY_KEY_BYTES];
	unsigned char digest[crypto_hash_sha256_BYTES];
	static_assert(2 * KEY_ID_BYTES + 1 == PRIVACY_KEY_NAME_MAX);
	static_assert(sizeof digest == sizeof kept);
	if (key.size == 0)
		return OK;
	if (key.size < KEY_LEAST)
		return error_set(err, EINVALID,
				 "the privacy key has %zu bytes, %d are the least; make one with: "
				 "head -c 32 /dev/urandom | base64",
				 key.size, KEY_LEAST);
	(void)crypto_hash_sha256(kept, (const unsigned char *)key.data, key.size);
	(void)crypto_hash_sha256(digest, kept, sizeof kept);
	(void)crypto_auth_hmacsha256_init(&privacy->keyed, kept, sizeof kept);
	sodium_memzero(kept, sizeof kept);
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
	if (status == OK)
		index_policies(privacy);
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
	sodium_memzero(&old->keyed, sizeof old->keyed);
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

static void hash_value(const struct privacy *privacy, struct text value,
		       char digits[static HASH_DIGITS])
{
	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	char hex[HASH_DIGITS + 1];
	crypto_auth_hmacsha256_state state = privacy->keyed;
	(void)crypto_auth_hmacsha256_update(&state, (const unsigned char *)value.data, value.size);
	(void)crypto_auth_hmacsha256_final(&state, mac);
	(void)sodium_bin2hex(hex, sizeof hex, mac, HASH_BYTES);
	memcpy(digits, hex, HASH_DIGITS);
}

/* Its hash from the table, where a new value takes the place of an old one. */
static const char *hash_known(const struct privacy *privacy, struct privacy_scratch *scratch,
			      struct text value)
{
	struct hashed *hashed =
		&scratch->hashed[XXH3_64bits(value.data, value.size) % HASHED_SLOTS];
	if (hashed->size == value.size && memcmp(hashed->value, value.data, value.size) == 0)
		return hashed->digits;
	hash_value(privacy, value, hashed->digits);
	memcpy(hashed->value, value.data, value.size);
	hashed->size = value.size;
	return hashed->digits;
}

struct text privacy_replacement(const struct privacy *privacy, struct privacy_scratch *scratch,
				struct arena *arena, const char *kind, struct text value)
{
	char fresh[HASH_DIGITS];
	const char *digits = fresh;
	if (!privacy->has_key)
		return arena_print(arena, "[%s]", kind);
	if (scratch != NULL && value.size > 0 && value.size <= HASHED_VALUE_MAX)
		digits = hash_known(privacy, scratch, value);
	else
		hash_value(privacy, value, fresh);
	size_t kind_size = strlen(kind);
	size_t key_size = PRIVACY_KEY_NAME_MAX - 1;
	size_t size = 1 + kind_size + 1 + key_size + 1 + HASH_DIGITS + 1;
	char *to = arena_room(arena, size);
	if (to == NULL)
		return (struct text){0};
	const struct text made = {to, size};
	*to++ = '[';
	to = mempcpy(to, kind, kind_size);
	*to++ = ':';
	to = mempcpy(to, privacy->key_id, key_size);
	*to++ = ':';
	to = mempcpy(to, digits, HASH_DIGITS);
	*to = ']';
	return made;
}
