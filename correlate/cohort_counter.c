#include "correlate/cohort_cluster_private.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

/* What an event says to the gate.
 *
 *   service.name                any event with one is a heartbeat of its instance
 *   http.response.status_code   with a service it is a request; >= 500 is http_5xx
 *   other outcomes              outcome_reading.c
 *   what it did                 signal_reading.c
 *   rules that matched          gate: block is a finding; each that raises alerts is rule_match
 *   event.duration              of a request, into the bins of its stratum
 *   who succeeded with a name   known.c
 *   route                       "METHOD http.route"; without http.route the method alone
 *
 * Bad outcomes are counted one by one, and once more as clusters (cohort_cluster.c). */

static const int64_t TIME_US_MAX = INT64_MAX / 2;

/* A worker's ledgers and instances are dropped when they are so many entries, some 30 MB, and once
 * in a day of event time: a cohort forgets what was not done for longer, and must be told again. */
static const size_t HELD_MAX = (size_t)1 << 17;
static const int64_t LEDGER_MEMORY_US = INT64_C(24) * 3600 * 1000000;

struct cohort_counter {
	struct hash_key key;
	struct tally tally;   /* of the epoch */
	struct tally ledgers; /* these two outlive it (ledger_private.h) */
	struct tally instances;
	struct tally_node *heard; /* instances of the epoch */
	int64_t newest_us;        /* event time: of the whole life, and when the ledgers began */
	int64_t ledgers_since_us;
	struct bytes key_bytes; /* scratch */
	struct bytes content;   /* scratch */
	struct bytes keys;      /* scratch, of signals */
	struct known_told told;
};

enum status cohort_counter_new(const struct hash_key *key, struct cohort_counter **ret_counter,
			       struct error *err)
{
	static_assert(sizeof key->bytes == crypto_shorthash_KEYBYTES);
	struct cohort_counter *counter = calloc(1, sizeof *counter);
	if (counter == NULL)
		return error_set(err, ENOMEMORY, "cohort: out of memory");
	counter->key = *key;
	counter->newest_us = counter->ledgers_since_us = INT64_MIN / 2;
	*ret_counter = counter;
	return OK;
}

void cohort_counter_free(struct cohort_counter **counter)
{
	if (*counter == NULL)
		return;
	tally_done(&(*counter)->tally);
	tally_done(&(*counter)->ledgers);
	tally_done(&(*counter)->instances);
	bytes_done(&(*counter)->key_bytes);
	bytes_done(&(*counter)->content);
	bytes_done(&(*counter)->keys);
	free(*counter);
	*counter = NULL;
}

static uint64_t keyed_hash(const struct cohort_counter *counter, const struct bytes *of)
{
	return cohort_hash(&counter->key, of);
}

static struct text cut(struct text name, bool *cut_short)
{
	*cut_short |= name.size > COHORT_NAME_MAX;
	if (name.size > COHORT_NAME_MAX)
		name.size = COHORT_NAME_MAX;
	return name;
}

/* Whom an event is about. */
struct subject {
	struct text service, instance;
	struct arm arm;
	struct tally_node *node; /* of the instance */
	bool cut_short;
};

/* A subject without a service is none. */
static struct subject subject_of(const struct event *event)
{
	static const enum field_id INSTANCE[] = {FIELD_SERVICE_NODE_NAME, FIELD_K8S_POD_NAME,
						 FIELD_CONTAINER_ID, FIELD_HOST_NAME};
	struct subject subject = {0};
	bool *cut_short = &subject.cut_short;
	subject.service = cut(event_text(event, FIELD_SERVICE_NAME), cut_short);
	if (subject.service.size == 0)
		return subject;
	subject.arm.version = cut(event_text(event, FIELD_SERVICE_VERSION), cut_short);
	subject.arm.deploy_id = cut(event_text(event, FIELD_DEPLOY_ID), cut_short);
	for (size_t i = 0; i < sizeof INSTANCE / sizeof *INSTANCE; i++)
		if (subject.instance.size == 0)
			subject.instance = cut(event_text(event, INSTANCE[i]), cut_short);
	return subject;
}

static uint64_t arm_hash(struct cohort_counter *counter, const struct arm *arm)
{
	struct text names[] = {arm->version, arm->deploy_id};
	scratch_begin(&counter->key_bytes);
	tally_key('a', names, sizeof names / sizeof *names, &counter->key_bytes);
	return keyed_hash(counter, &counter->key_bytes);
}

static void put_name(struct cohort_counter *counter, enum tally_kind kind,
		     const struct subject *subject, struct text last)
{
	struct text names[] = {subject->service, subject->arm.version, subject->arm.deploy_id,
			       last};
	scratch_begin(&counter->key_bytes);
	tally_key(kind, names, sizeof names / sizeof *names, &counter->key_bytes);
}

/* The node of the epoch whose key stands in key_bytes. */
static enum status node_of(struct cohort_counter *counter, const struct subject *subject,
			   struct tally_node **ret_node)
{
	if (counter->key_bytes.failed)
		return ENOMEMORY;
	struct tally_place place = {bytes_text(&counter->key_bytes),
				    keyed_hash(counter, &counter->key_bytes),
				    subject->node->virtual_partition};
	return tally_get(&counter->tally, &place, ret_node, NULL);
}

/* An instance that was not seen before. */
static enum status meet_instance(struct cohort_counter *counter, const struct subject *subject,
				 struct tally_node *instance)
{
	struct tally_node *service = NULL;
	scratch_begin(&counter->key_bytes);
	tally_key(TALLY_LEDGER, &subject->service, 1, &counter->key_bytes);
	if (counter->key_bytes.failed)
		return ENOMEMORY;
	struct tally_place place = {bytes_text(&counter->key_bytes),
				    keyed_hash(counter, &counter->key_bytes),
				    instance->virtual_partition};
	enum status status = tally_get(&counter->ledgers, &place, &service, NULL);
	if (status == OK)
		status = ledger_arm(service->ledger, &subject->arm, &instance->arm);
	if (status == OK && instance->arm->hash == 0)
		instance->arm->hash = arm_hash(counter, &subject->arm);
	scratch_begin(&counter->key_bytes);
	bytes_write(&counter->key_bytes, subject->instance);
	instance->half = (uint8_t)keyed_hash(counter, &counter->key_bytes) % COHORT_HALVES;
	return counter->key_bytes.failed ? ENOMEMORY : status;
}

/* One look-up finds all that does not change from event to event of an instance. */
static enum status find_instance(struct cohort_counter *counter, struct subject *subject)
{
	put_name(counter, TALLY_INSTANCE, subject, subject->instance);
	if (counter->key_bytes.failed)
		return ENOMEMORY;
	struct tally_place place = {bytes_text(&counter->key_bytes),
				    keyed_hash(counter, &counter->key_bytes), 0};
	subject->node = tally_find(&counter->instances, &place);
	if (subject->node != NULL)
		return OK;
	place.virtual_partition = virtual_partition_of(&counter->key, TEXT(""), subject->service);
	enum status status = tally_get(&counter->instances, &place, &subject->node, NULL);
	return status == OK ? meet_instance(counter, subject, subject->node) : status;
}

static void count_heartbeat(struct cohort_counter *counter, struct tally_node *node,
			    int64_t time_us, bool failure)
{
	struct instance *instance = &node->instance;
	instance->first_us = time_us < instance->first_us ? time_us : instance->first_us;
	instance->last_us = time_us > instance->last_us ? time_us : instance->last_us;
	tally_add(&instance->events, 1);
	tally_add(&instance->failures, failure);
	if (node->is_due)
		return;
	node->is_due = true;
	node->next_due = counter->heard;
	counter->heard = node;
}

static enum status count_finding(struct cohort_counter *counter, const struct subject *subject,
				 const struct event *event, const struct rule *rule)
{
	bool cut_short = false;
	struct tally_node *node = NULL;
	put_name(counter, TALLY_FINDING, subject, cut(rule->key, &cut_short));
	enum status status = node_of(counter, subject, &node);
	if (status != OK)
		return status;
	struct finding *finding = node->finding;
	int64_t time_us = event->time_us;
	finding->first_us = time_us < finding->first_us ? time_us : finding->first_us;
	finding->last_us = time_us > finding->last_us ? time_us : finding->last_us;
	tally_add(&finding->count, 1);
	status = tally_finding_title(finding, rule->title);
	if (status != OK)
		return status;
	return tally_finding_evidence(finding, time_us, &event->origin);
}

static enum status count_bad(struct cohort_counter *counter, const struct sighted *seen,
			     struct tally_bucket *bucket, enum outcome outcome)
{
	struct tally_cluster cluster;
	enum status status =
		cohort_cluster(&counter->key, seen, outcome, &counter->content, &cluster);
	if (status != OK)
		return status;
	if (cluster.principal == 0)
		bucket->flags |= BUCKET_NO_PRINCIPAL;
	return tally_bucket_cluster(bucket, &cluster);
}

static int64_t bucket_start(int64_t time_us)
{
	int64_t rest = time_us % COHORT_BUCKET_US;
	return time_us - rest - (rest < 0 ? COHORT_BUCKET_US : 0);
}

/* "GET /orders/{id}" in the scratch buffer. */
static struct text route_of(struct cohort_counter *counter, const struct event *event,
			    bool *cut_short)
{
	struct text method = event_text(event, FIELD_HTTP_METHOD);
	struct text route = event_text(event, FIELD_HTTP_ROUTE);
	struct bytes *to = &counter->content;
	scratch_begin(to);
	bytes_write(to, method);
	if (method.size > 0 && route.size > 0)
		bytes_put_u8(to, ' ');
	bytes_write(to, route);
	return to->failed ? (struct text){0} : cut(bytes_text(to), cut_short);
}

/* Of a POISSON outcome the trials are the requests. */
static bool is_trial_of_strangers(const struct outcome_reading *reading, enum outcome outcome)
{
	if (reading->succeeded || !outcome_is_of_outsiders(outcome))
		return false;
	bool poisson = outcome_info(outcome)->model == OUTCOME_POISSON;
	return poisson ? reading->is_request : (reading->trials >> outcome & 1) != 0;
}

static enum status count_stratum(const struct sighted *seen, struct tally_arm *arm)
{
	struct tally_stratum *stratum = NULL;
	const struct outcome_reading *reading = seen->reading;
	enum status status = tally_arm_stratum(arm, seen->route, seen->half, &stratum);
	if (status != OK)
		return status;
	tally_add(&stratum->requests, reading->is_request);
	for (unsigned i = 0; i < OUTCOME_COUNTED; i++) {
		if ((reading->trials >> i & 1) != 0)
			tally_add(&stratum->trials[i], 1);
		if ((reading->bad >> i & 1) != 0)
			tally_add(&stratum->bad[i], 1);
		if (is_trial_of_strangers(reading, i))
			tally_add(&stratum->strangers[i], 1);
	}
	if (reading->is_request && reading->duration_us >= 0)
		status = tally_stratum_bin(stratum, latency_bin_of(reading->duration_us), 1);
	return status;
}

static enum status count_outcomes(struct cohort_counter *counter, const struct event *event,
				  const struct subject *subject,
				  const struct outcome_reading *reading, struct text rule)
{
	scratch_begin(&counter->key_bytes);
	tally_bucket_key(subject->service, bucket_start(event->time_us), TEXT(""),
			 &counter->key_bytes);
	struct tally_node *node = NULL;
	enum status status = node_of(counter, subject, &node);
	if (status != OK)
		return status;
	struct tally_bucket *bucket = &node->bucket;
	bool cut_short = subject->cut_short;
	struct sighted seen = {event, reading, 0, 0, subject->node->half, rule};
	struct text route = route_of(counter, event, &cut_short);
	uint64_t route_hash = keyed_hash(counter, &counter->content);
	if (route_hash == TALLY_ROUTE_OTHER)
		route_hash--;
	if (cut_short)
		bucket->flags |= BUCKET_DEGRADED;
	status = tally_bucket_route(bucket, route_hash, route, &seen.route);

	seen.arm = subject->node->arm->hash;
	struct tally_arm *arm = NULL;
	if (status == OK)
		status = tally_bucket_arm(bucket, &subject->arm, seen.arm, &arm);
	if (status == OK && arm != NULL)
		status = count_stratum(&seen, arm);
	seen.route = route_hash;
	if (status == OK && reading->succeeded)
		status = known_tell(&counter->told, &counter->key, event, &counter->content, node);
	/* Also for an arm that did not fit: which clusters stay must not depend on when it did. */
	for (unsigned i = 0; i < OUTCOME_COUNTED && status == OK; i++)
		if ((reading->bad >> i & 1) != 0)
			status = count_bad(counter, &seen, bucket, (enum outcome)i);
	return status;
}

/* One thing that the version did, or kept from. */
static enum status count_signal(struct cohort_counter *counter, const struct subject *subject,
				const struct event *event, const struct signal_reading *reading)
{
	struct ledger_thing named = {.signal = reading->signal, .key = reading->key};
	struct ledger_arm *arm = subject->node->arm;
	struct ledger_entry *entry = NULL;
	size_t thing = 0;
	bool shown = reading->face == FACE_SHOWN;
	scratch_begin(&counter->key_bytes);
	ledger_thing_bytes(reading->signal, reading->key, &counter->key_bytes);
	if (counter->key_bytes.failed)
		return ENOMEMORY;
	named.hash = keyed_hash(counter, &counter->key_bytes);
	enum status status = ledger_thing(arm->ledger, &named, &thing);
	if (status == OK)
		status = ledger_entry(arm, thing, &entry);
	if (status != OK)
		return status;
	int64_t time_us = event->time_us;
	ledger_add(entry, &(struct ledger_entry){.shown = shown,
						 .kept = reading->face == FACE_KEPT,
						 .refused = reading->face == FACE_REFUSED,
						 .met_first_us = time_us,
						 .met_last_us = time_us,
						 .shown_first_us = shown ? time_us : INT64_MAX,
						 .shown_last_us = shown ? time_us : INT64_MIN});
	ledger_note(entry);
	if (shown)
		status = ledger_principal(
			entry, cohort_principal(&counter->key, event, &counter->content));
	return shown && status == OK ? ledger_evidence(entry, time_us, &event->origin) : status;
}

static enum status count_signals(struct cohort_counter *counter, const struct subject *subject,
				 const struct event *event, const struct outcome_reading *outcome)
{
	struct signal_readings readings;
	enum status status = signals_read_of(event, outcome, &counter->keys, &readings);
	for (size_t i = 0; i < readings.count && status == OK; i++)
		status = count_signal(counter, subject, event, &readings.items[i]);
	return status;
}

/* The ledgers are as old as what they have seen. */
static void note_time(struct cohort_counter *counter, int64_t time_us)
{
	if (time_us > counter->newest_us)
		counter->newest_us = time_us;
	if (counter->ledgers.nodes == NULL)
		counter->ledgers_since_us = counter->newest_us;
}

/* A rule that tells people, and does not decide by itself. */
static bool speaks(const struct rule *rule)
{
	return rule->gate == GATE_WARN && rule->alerts && !rule->shadow;
}

/* A hash of what had no room is of somebody else: then nothing of the event may stand. */
static enum status scratch_status(const struct cohort_counter *counter)
{
	return counter->key_bytes.failed || counter->content.failed ? ENOMEMORY : OK;
}

enum status cohort_count(struct cohort_counter *counter, const struct event *event,
			 const struct rule *const *matched, size_t matched_count)
{
	/* Beyond any date that is printed, and where the arithmetic of buckets would overflow: only
	 * a source whose times are trusted can say so, and it says nothing about a canary. */
	if (event->time_us < -TIME_US_MAX || event->time_us > TIME_US_MAX)
		return OK;
	struct subject subject = subject_of(event);
	if (subject.service.size == 0)
		return OK;
	note_time(counter, event->time_us);
	struct outcome_reading reading = outcomes_read(event);
	struct text rule = {0};
	for (size_t i = 0; i < matched_count && rule.size == 0; i++)
		rule = speaks(matched[i]) ? matched[i]->key : rule;
	reading.bad |= rule.size > 0 ? UINT32_C(1) << OUTCOME_RULE_MATCH : 0;
	bool failure = (reading.bad >> OUTCOME_HTTP_5XX & 1) != 0;
	enum status status = find_instance(counter, &subject);
	if (status == OK)
		count_heartbeat(counter, subject.node, event->time_us, failure);
	if (status == OK && (reading.trials | reading.bad) != 0)
		status = count_outcomes(counter, event, &subject, &reading, rule);
	for (size_t i = 0; i < matched_count && status == OK; i++)
		if (matched[i]->gate == GATE_BLOCK)
			status = count_finding(counter, &subject, event, matched[i]);
	if (status == OK)
		status = count_signals(counter, &subject, event, &reading);
	return status == OK ? scratch_status(counter) : status;
}

/* A trial of a rule: who causes a bad one is a user, else an address; the cause is the rule's, his
 * and the route's. */
static enum status count_trial(struct cohort_counter *counter, const struct subject *subject,
			       const struct event *event, const struct cohort_trial *trial,
			       bool first)
{
	struct outcome_reading reading = trial_read(event, trial->bad, first);
	struct sighted seen = {event, &reading, 0, 0, subject->node->half, trial->rule};
	struct tally_node *node = NULL;
	struct tally_arm *arm = NULL;
	scratch_begin(&counter->key_bytes);
	tally_bucket_key(subject->service, bucket_start(event->time_us), trial->rule,
			 &counter->key_bytes);
	enum status status = node_of(counter, subject, &node);
	if (status != OK)
		return status;
	if (subject->cut_short)
		node->bucket.flags |= BUCKET_DEGRADED;
	status = tally_bucket_route(&node->bucket, 0, TEXT(""), &seen.route);
	seen.arm = subject->node->arm->hash;
	if (status == OK)
		status = tally_bucket_arm(&node->bucket, &subject->arm, seen.arm, &arm);
	if (status == OK && arm != NULL)
		status = count_stratum(&seen, arm);
	if (status == OK && trial->bad)
		status = count_bad(counter, &seen, &node->bucket, COHORT_RULE_OUTCOME);
	return status;
}

enum status cohort_count_trials(struct cohort_counter *counter, const struct event *event,
				const struct cohort_trial *trials, size_t count)
{
	if (count == 0 || event->time_us < -TIME_US_MAX || event->time_us > TIME_US_MAX)
		return OK;
	struct subject subject = subject_of(event);
	if (subject.service.size == 0)
		return OK;
	note_time(counter, event->time_us);
	enum status status = find_instance(counter, &subject);
	for (size_t i = 0; i < count && status == OK; i++)
		status = count_trial(counter, &subject, event, &trials[i], i == 0);
	return status == OK ? scratch_status(counter) : status;
}

/* Encodes a node for the actor whose partition it is of. */
static enum status flush_node(struct cohort_counter *counter, struct tally_node *node,
			      const struct record_sink *sink)
{
	struct bytes *to = &sink->by_actor[node->virtual_partition % sink->actor_count];
	tally_node_encode(node, LEDGER_NEWS, &counter->content, to);
	return to->failed ? ENOMEMORY : OK;
}

static enum status flush_ledgers(struct cohort_counter *counter, const struct record_sink *sink)
{
	enum status status = OK;
	struct tally_node *node = NULL;
	size_t held = HASH_COUNT(counter->instances.nodes);
	for (node = counter->ledgers.nodes; node != NULL && status == OK; node = node->hh.next) {
		held += node->ledger->entry_count + node->ledger->arm_count + 1;
		if (node->ledger->news_count == 0)
			continue;
		status = flush_node(counter, node, sink);
		ledger_told(node->ledger);
	}
	for (node = counter->heard; node != NULL && status == OK; node = node->next_due) {
		status = flush_node(counter, node, sink);
		node->is_due = false;
		node->instance.events = node->instance.failures = 0;
		node->instance.first_us = INT64_MAX;
		node->instance.last_us = INT64_MIN;
	}
	counter->heard = NULL;
	if (held > HELD_MAX || counter->newest_us - counter->ledgers_since_us > LEDGER_MEMORY_US) {
		tally_done(&counter->ledgers);
		tally_done(&counter->instances);
	}
	return status;
}

enum status cohort_flush(struct cohort_counter *counter, const struct record_sink *sink)
{
	assert(sink->actor_count > 0);
	enum status status = flush_ledgers(counter, sink);
	struct tally_node *node = NULL;
	struct tally_node *next = NULL;
	HASH_ITER (hh, counter->tally.nodes, node, next)
		status = status == OK ? flush_node(counter, node, sink) : status;
	tally_done(&counter->tally);
	return status;
}
