#include "cli/gate_session.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <xxhash.h>

#include "storage/rows.h"

enum { SESSION_BYTES_MAX = 64 * 1024, BUCKET_BYTES_MAX = 64 * 1024 * 1024 };

/* A place in the table: the session, and what only the table looks at. */
struct entry {
	struct gate_session session; /* first: an entry is found by its session */
	struct arena *arena;         /* of the query's texts */
	struct bytes key;
	uint64_t hash;
	uint64_t used_at; /* number of the question */
	unsigned users;   /* who hold or wait for it: not to be thrown out */
	pthread_mutex_t lock;
};

struct gate_sessions {
	pthread_mutex_t lock;
	struct entry *entries[GATE_SESSIONS_MAX];
	size_t count;
	uint64_t question;
};

struct gate_sessions *gate_sessions_new(void)
{
	struct gate_sessions *sessions = calloc(1, sizeof *sessions);
	if (sessions == NULL)
		return NULL;
	int failed = pthread_mutex_init(&sessions->lock, NULL);
	assert(failed == 0); /* a default mutex needs no memory */
	(void)failed;
	return sessions;
}

static void entry_free(struct entry **entry)
{
	if (*entry == NULL)
		return;
	assert((*entry)->users == 0);
	gate_evidence_free(&(*entry)->session.evidence);
	arena_free(&(*entry)->arena);
	bytes_done(&(*entry)->key);
	(void)pthread_mutex_destroy(&(*entry)->lock);
	free(*entry);
	*entry = NULL;
}

void gate_sessions_free(struct gate_sessions **sessions)
{
	if (*sessions == NULL)
		return;
	for (size_t i = 0; i < (*sessions)->count; i++)
		entry_free(&(*sessions)->entries[i]);
	(void)pthread_mutex_destroy(&(*sessions)->lock);
	free(*sessions);
	*sessions = NULL;
}

size_t gate_sessions_count(struct gate_sessions *sessions)
{
	(void)pthread_mutex_lock(&sessions->lock);
	size_t count = sessions->count;
	(void)pthread_mutex_unlock(&sessions->lock);
	return count;
}

size_t gate_sessions_bytes(struct gate_sessions *sessions)
{
	size_t sum = 0;
	(void)pthread_mutex_lock(&sessions->lock);
	for (size_t i = 0; i < sessions->count; i++)
		if (sessions->entries[i]->users == 0)
			sum += sizeof(struct entry) +
			       gate_evidence_bytes(sessions->entries[i]->session.evidence);
	(void)pthread_mutex_unlock(&sessions->lock);
	return sum;
}

static void put_arm(const struct arm_query *arm, struct bytes *to)
{
	bytes_put_u8(to, (uint8_t)arm->field);
	bytes_put_text(to, arm->value);
}

/* What evidence depends on: a rule that is changed begins anew, from the stored buckets. */
static void session_key(const struct gate_query *query, struct bytes *to)
{
	bytes_put_text(to, query->service);
	put_arm(&query->canary, to);
	put_arm(&query->baseline, to);
	bytes_put_text(to, query->policy.name);
	bytes_put_signed(to, query->pardon_us);
	for (size_t i = 0; i < query->rule_count; i++) {
		const struct gate_rule *rule = &query->rules[i];
		bytes_put_text(to, rule->key);
		bytes_put_text(to, rule->name);
		bytes_put_signed(to, rule->blocks_from_us);
		bytes_put_u8(to, rule->two_sided);
		bytes_put_double(to, rule->psi0);
		bytes_put_double(to, rule->psi_tol);
		bytes_put_double(to, rule->p_abs);
	}
}

/* The rules outlive the rule set that they came from. */
static enum status own_rules(const struct gate_query *query, struct arena *arena,
			     struct gate_query *own)
{
	struct gate_rule *rules = arena_alloc(arena, query->rule_count * sizeof *rules);
	if (rules == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < query->rule_count; i++) {
		rules[i] = query->rules[i];
		rules[i].key = arena_copy(arena, rules[i].key);
		rules[i].name = arena_copy(arena, rules[i].name);
		rules[i].title = arena_copy(arena, rules[i].title);
		if (rules[i].key.data == NULL || rules[i].name.data == NULL ||
		    rules[i].title.data == NULL)
			return ENOMEMORY;
	}
	own->rules = rules;
	return OK;
}

static enum status entry_new(const struct gate_query *query, const struct bytes *key, uint64_t hash,
			     int64_t from_us, struct entry **ret_entry, struct error *err)
{
	struct entry *entry = calloc(1, sizeof *entry);
	if (entry == NULL)
		return error_set(err, ENOMEMORY, "no memory for a canary");
	int failed = pthread_mutex_init(&entry->lock, NULL);
	assert(failed == 0);
	(void)failed;
	struct gate_query *own = &entry->session.query;
	entry->arena = arena_new(SESSION_BYTES_MAX);
	entry->hash = hash;
	entry->session.next_us = from_us;
	entry->session.told = VERDICT_UNAVAILABLE;
	bytes_put(&entry->key, key->data, key->size);
	*own = *query;
	enum status status = entry->arena == NULL || entry->key.failed ? ENOMEMORY : OK;
	if (status == OK) {
		own->service = arena_copy(entry->arena, query->service);
		own->canary.value = arena_copy(entry->arena, query->canary.value);
		own->baseline.value = arena_copy(entry->arena, query->baseline.value);
		own->step = (struct text){0};
		own->expect = NULL;
		status = own_rules(query, entry->arena, own);
		if (own->service.data == NULL || own->canary.value.data == NULL ||
		    own->baseline.value.data == NULL)
			status = ENOMEMORY;
	}
	if (status == OK)
		status = gate_evidence_new(own, &entry->session.evidence, err);
	if (status != OK) {
		entry_free(&entry);
		return error_set(err, status, "no memory for a canary");
	}
	*ret_entry = entry;
	return OK;
}

/* Makes room: the session that nobody holds and that was asked longest ago goes. */
static bool make_room(struct gate_sessions *sessions)
{
	size_t oldest = sessions->count;
	if (sessions->count < GATE_SESSIONS_MAX)
		return true;
	for (size_t i = 0; i < sessions->count; i++)
		if (sessions->entries[i]->users == 0 &&
		    (oldest == sessions->count ||
		     sessions->entries[i]->used_at < sessions->entries[oldest]->used_at))
			oldest = i;
	if (oldest == sessions->count)
		return false;
	entry_free(&sessions->entries[oldest]);
	sessions->entries[oldest] = sessions->entries[--sessions->count];
	return true;
}

static enum status find_or_make(struct gate_sessions *sessions, const struct gate_query *query,
				int64_t from_us, struct entry **ret_entry, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	session_key(query, &key);
	if (key.failed)
		return error_set(err, ENOMEMORY, "no memory for a canary");
	uint64_t hash = XXH3_64bits(key.data, key.size);
	for (size_t i = 0; i < sessions->count; i++) {
		struct entry *entry = sessions->entries[i];
		if (entry->hash == hash && text_equal(bytes_text(&entry->key), bytes_text(&key))) {
			*ret_entry = entry;
			return OK;
		}
	}
	if (!make_room(sessions))
		return error_set(err, ELIMIT, "%d canaries are being asked about at once",
				 GATE_SESSIONS_MAX);
	enum status status = entry_new(query, &key, hash, from_us, ret_entry, err);
	if (status == OK)
		sessions->entries[sessions->count++] = *ret_entry;
	return status;
}

enum status gate_sessions_enter(struct gate_sessions *sessions, const struct gate_query *query,
				int64_t from_us, struct gate_session **ret_session,
				struct error *err)
{
	struct entry *entry = NULL;
	(void)pthread_mutex_lock(&sessions->lock);
	enum status status = find_or_make(sessions, query, from_us, &entry, err);
	if (status == OK) {
		entry->users++;
		entry->used_at = ++sessions->question;
	}
	(void)pthread_mutex_unlock(&sessions->lock);
	if (status != OK)
		return status;
	(void)pthread_mutex_lock(&entry->lock);
	*ret_session = &entry->session;
	return OK;
}

void gate_sessions_leave(struct gate_sessions *sessions, struct gate_session **session)
{
	struct entry *entry = (struct entry *)*session;
	if (entry == NULL)
		return;
	(void)pthread_mutex_unlock(&entry->lock);
	(void)pthread_mutex_lock(&sessions->lock);
	assert(entry->users > 0);
	entry->users--;
	(void)pthread_mutex_unlock(&sessions->lock);
	*session = NULL;
}

enum status gate_session_read(struct gate_session *session, struct store *store,
			      const struct instance *instances, size_t instance_count,
			      struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct arena *arena cleanup(arena_free) = arena_new(BUCKET_BYTES_MAX);
	struct bytes prefix cleanup(bytes_done) = {0};
	struct bytes from cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	if (arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for the buckets of a canary");
	registry_key('b', &session->query.service, 1, -1, &prefix);
	registry_key('b', &session->query.service, 1, session->next_us, &from);
	enum status status = store_scan_new(store, FAMILY_REGISTRY, bytes_text(&prefix),
					    bytes_text(&from), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct bucket bucket;
		arena_reset(arena);
		status = bucket_decode(value, arena, &bucket, err);
		if (status == OK)
			status = gate_evidence_add(session->evidence, &bucket, instances,
						   instance_count);
		if (status == OK)
			session->next_us = bucket.start_us + COHORT_BUCKET_US;
	}
	if (status == ENOMEMORY)
		return error_set(err, status, "the canary has too much evidence");
	return status == OK ? store_scan_status(scan, err) : status;
}
