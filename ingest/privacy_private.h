/* privacy, inside: what its options were made into, and what one worker needs to clean with them.
 *
 * privacy.c takes the options and the key and writes replacements; privacy_search.c says which
 * fields of an event must be looked at; privacy_event.c cleans them.
 *
 * Invariant: a privacy is immutable after privacy_new(). Owner: privacy_free(),
 * privacy_scratch_free(). Thread: privacy any, a scratch one. Limits: PERSONAL_MAX values of one
 * event are looked for elsewhere in it; a scratch remembers HASHED_SLOTS hashes. */
#ifndef PICKET_INGEST_PRIVACY_PRIVATE_H
#define PICKET_INGEST_PRIVACY_PRIVATE_H

#include <hs/hs.h>
#include <sodium.h>

#include "ingest/privacy.h"

enum {
	HASH_BYTES = 12,
	HASH_DIGITS = 2 * HASH_BYTES,
	HASHED_SLOTS = 256,
	HASHED_VALUE_MAX = 64, /* a longer value is hashed each time */
	PERSONAL_MAX = 64,
};

struct privacy {
	struct privacy_options options;
	struct privacy_policy policies[PRIVACY_POLICIES_MAX];
	uint16_t by_id[FIELD_COUNT];           /* the first policy that names the field, + 1 */
	uint16_t others[PRIVACY_POLICIES_MAX]; /* policies that may name a field of no id */
	size_t other_count;
	struct arena *arena;                /* of the policies' names */
	crypto_auth_hmacsha256_state keyed; /* HMAC that has taken its key, and nothing yet */
	char key_id[PRIVACY_KEY_NAME_MAX];
	bool has_key;
	hs_database_t *literals;
};

/* The hash of a personal value: the same addresses and users come again and again. */
struct hashed {
	char value[HASHED_VALUE_MAX];
	size_t size; /* 0 = the slot is free */
	char digits[HASH_DIGITS];
};

struct personal {
	struct text value, replacement;
};

struct privacy_scratch {
	hs_scratch_t *hs;
	struct bytes joined;             /* names and texts of an event, a line feed behind each */
	uint32_t ends[EVENT_FIELDS_MAX]; /* where the texts of each field end in it */
	uint64_t suspects[EVENT_FIELDS_MAX / 64 + 1]; /* fields to be looked at */
	struct personal personal[PERSONAL_MAX];
	struct hashed hashed[HASHED_SLOTS];
};

/* picket cannot work without the field, or would lie about where an event came from. */
bool privacy_needs(enum field_id id);

/* The policy that names the field, or NULL. */
const struct privacy_policy *privacy_policy_of(const struct privacy *privacy,
					       const struct field *field);

/* The text that takes the place of a secret or a personal value: "[jwt:1a2b3c4d:...]". scratch: for
 * a value that will come again; NULL for a secret, of which nothing is remembered. */
struct text privacy_replacement(const struct privacy *privacy, struct privacy_scratch *scratch,
				struct arena *arena, const char *kind, struct text value);

/* picket's own fields: they hold nothing of the payload but what is cleaned with it. */
extern const bool privacy_own[FIELD_COUNT];

static inline bool privacy_is_textual(const struct value *value)
{
	return value->type == VALUE_STRING || value->type == VALUE_INTEGER ||
	       value->type == VALUE_REAL;
}

static inline bool privacy_may_change(const struct field *field)
{
	return !privacy_own[field->id];
}

static inline bool privacy_suspects(const struct privacy_scratch *scratch, size_t field)
{
	return (scratch->suspects[field / 64] >> (field % 64) & 1) != 0;
}

/* privacy_search.c. Lays the event's texts out; nobody is a suspect yet (out of memory: all are).
 */
void privacy_lay_out(struct privacy_scratch *scratch, const struct event *event);
/* Suspects: fields whose name or value may hold a secret. */
void privacy_suspect_secrets(const struct privacy *privacy, struct privacy_scratch *scratch,
			     const struct event *event);
/* More suspects: fields whose value holds `personal`, as it was laid out. */
void privacy_suspect_text(struct privacy_scratch *scratch, const struct event *event,
			  struct text personal);
/* May any bytes hold a secret with a literal? An answer of true costs time, false must be right. */
bool privacy_may_hold_literal(const struct privacy *privacy, struct privacy_scratch *scratch,
			      struct text t);

#endif
