/* privacy - what must not be kept is replaced before anything is stored, matched or shown.
 *
 * Why: a store of logs is a store of everybody's mistakes. Secrets (secret.h) in values and names
 * of fields and in the raw bytes of the quarantine become `[kind:key:hash]`, a keyed hash of 96
 * bits: equal secrets stay equal, so a stolen token can still be followed, and nobody can get them
 * back. Personal data is named by field in the configuration and masked, hashed or dropped,
 * wherever in the event the same value stands.
 *
 * The hash is HMAC-SHA-256 with the key of `privacy.key_file`, cut to 12 bytes, in hex; `key` is
 * the first 4 bytes of SHA-256 of the key, so that hashes of an old key are known as such after it
 * was changed. Without a key (scan, rule tests) it is `[kind]` and nothing can be followed.
 *
 * Invariant: after privacy_event() no value or name of the event holds what a detector finds, and
 * no replaceable value holds a field that a policy names. What picket needs (time, service, tenant,
 * provenance) cannot be named by a policy. Pure. Owner: privacy_free(); a privacy_scratch belongs
 * to one worker. Thread: privacy is immutable, any. Limits: PRIVACY_POLICIES_MAX policies,
 * PRIVACY_FINDS_MAX secrets are listed per event (all are replaced). */
#ifndef PICKET_INGEST_PRIVACY_H
#define PICKET_INGEST_PRIVACY_H

#include "ingest/secret.h"
#include "rules/event.h"

enum {
	PRIVACY_KEY_BYTES = 32,
	PRIVACY_KEY_NAME_MAX = 9, /* with its NUL */
	PRIVACY_POLICIES_MAX = 256,
	PRIVACY_FINDS_MAX = 4,
	PRIVACY_TEXT_MIN = 4, /* a shorter personal value is replaced as a whole value only */
};

enum privacy_detect { PRIVACY_DETECT_ALL, PRIVACY_DETECT_FORMS, PRIVACY_DETECT_OFF };
enum privacy_action { PRIVACY_MASK, PRIVACY_HMAC, PRIVACY_DROP };

struct privacy_policy {
	struct text field; /* its name or an alias; a '*' at the end stands for any rest */
	enum privacy_action action;
};

struct privacy_options {
	enum privacy_detect detect;
	struct text key; /* any bytes, at least 16; "" = no hashes */
	const struct privacy_policy *policies;
	size_t policy_count;
};

struct privacy;
struct privacy_scratch;

/* "mask", "hmac", "drop". */
bool privacy_action_parse(struct text word, enum privacy_action *ret_action);

/* EINVALID names the policy and why it cannot be. */
enum status privacy_new(const struct privacy_options *options, struct privacy **ret_privacy,
			struct error *err);
void privacy_free(struct privacy **privacy);

enum status privacy_scratch_new(const struct privacy *privacy, struct privacy_scratch **ret_scratch,
				struct error *err);
void privacy_scratch_free(struct privacy_scratch **scratch);

struct privacy_counts {
	size_t secrets;  /* replaced */
	size_t personal; /* values masked, hashed or dropped */
};

/* Cleans an event; picket.secret.kind and .field say what was found. ENOMEMORY only. */
enum status privacy_event(const struct privacy *privacy, struct privacy_scratch *scratch,
			  struct arena *arena, struct event *event,
			  struct privacy_counts *ret_counts);

/* Can it replace anything at all? */
bool privacy_replaces(const struct privacy *privacy);

/* The bytes of a record that could not be read, without its secrets: t itself when it has none.
 * data == NULL for t.size > 0: out of memory. */
struct text privacy_raw(const struct privacy *privacy, struct privacy_scratch *scratch,
			struct arena *arena, struct text t);

/* The name that the key has in replacements: 8 hex digits; "" = no key. */
const char *privacy_key_name(const struct privacy *privacy);

#endif
