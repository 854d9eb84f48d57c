/* Who caused a bad outcome, and what it was.
 *
 *   principal   user.id, else source.ip (the /24 or /64), else trace.id; of the outcomes that an
 *               outsider causes (authn, authz, tenant, rules) the address comes first: a name that
 *               is only claimed is nobody
 *   signature   outcome, status, http.route else url.path; of log lines also logger, action and
 *               type of the error, of rules the rule
 *
 * One (principal, signature) of a bucket is one cluster: one cause. An event without any principal
 * is a cluster of its own (its origin names it), and the bucket says so. */
#include "correlate/cohort_cluster_private.h"

#include <arpa/inet.h>
#include <assert.h>
#include <sodium.h>

uint64_t cohort_hash(const struct hash_key *key, const struct bytes *of)
{
	unsigned char out[crypto_shorthash_BYTES];
	(void)crypto_shorthash(out, of->data, of->size, key->bytes);
	uint64_t hash = 0;
	static_assert(sizeof hash == sizeof out);
	memcpy(&hash, out, sizeof hash);
	return hash;
}

/* Appends the network of an address: hosts of one network count as one principal. */
static void put_network(struct text address, struct bytes *to)
{
	enum { V4_BYTES = 3, V6_BYTES = 8, V4_MAPPED_AT = 12 };
	static const unsigned char MAPPED[V4_MAPPED_AT] = {[10] = 0xff, [11] = 0xff};
	char copy[INET6_ADDRSTRLEN] = {0};
	unsigned char network[sizeof(struct in6_addr)];
	if (address.size < sizeof copy)
		memcpy(copy, address.data, address.size);
	if (inet_pton(AF_INET, copy, network) == 1)
		bytes_put(to, network, V4_BYTES);
	else if (inet_pton(AF_INET6, copy, network) != 1)
		bytes_put_text(to, address); /* a host name, or with a zone: as it is */
	else if (memcmp(network, MAPPED, sizeof MAPPED) == 0)
		bytes_put(to, network + V4_MAPPED_AT, V4_BYTES);
	else
		bytes_put(to, network, V6_BYTES);
}

/* Of a tag and what is named; 0 when nothing is. */
static uint64_t principal(const struct hash_key *key, uint8_t tag, struct text name,
			  struct bytes *scratch)
{
	if (name.size == 0)
		return 0;
	scratch_begin(scratch);
	bytes_put_u8(scratch, tag);
	if (tag == 'a')
		put_network(name, scratch);
	else
		bytes_put_text(scratch, name);
	uint64_t hash = cohort_hash(key, scratch);
	return hash == 0 ? 1 : hash;
}

struct principals cohort_principals(const struct hash_key *key, const struct event *event,
				    struct bytes *scratch)
{
	return (struct principals){
		.user = principal(key, 'u', event_text(event, FIELD_USER_ID), scratch),
		.network = principal(key, 'a', event_text(event, FIELD_SOURCE_IP), scratch),
	};
}

/* Who is held to have caused it, and who else is named. */
static void culprit_of(const struct hash_key *key, const struct event *event, bool by_network,
		       struct bytes *scratch, struct tally_cluster *cluster)
{
	struct principals both = cohort_principals(key, event, scratch);
	bool network = both.network != 0 && (by_network || both.user == 0);
	cluster->principal = network ? both.network : both.user;
	cluster->companion = network ? both.user : both.network;
	if (cluster->principal == 0)
		cluster->principal =
			principal(key, 't', event_text(event, FIELD_TRACE_ID), scratch);
}

uint64_t cohort_principal(const struct hash_key *key, const struct event *event,
			  struct bytes *scratch)
{
	struct tally_cluster cluster = {0};
	culprit_of(key, event, true, scratch, &cluster);
	return cluster.principal;
}

/* Everything the payload said, but nothing of where it was read: the same whatever the order or
 * the partition of arrival. */
static uint64_t content_of(const struct hash_key *key, const struct event *event, struct bytes *to)
{
	scratch_begin(to);
	for (size_t i = 0; i < event->field_count; i++) {
		const struct field *field = &event->fields[i];
		if (field->id != FIELD_OTHER &&
		    schema_info(field->id)->protection == FIELD_PROVENANCE)
			continue;
		bytes_put_text(to, field->name);
		bytes_put_u8(to, (uint8_t)field->value.type);
		bytes_put_text(to, field->value.text);
	}
	return cohort_hash(key, to);
}

/* Of the principal and the signature. */
static uint64_t cluster_id(const struct hash_key *key, const struct sighted *seen,
			   uint64_t principal, enum outcome outcome, struct bytes *to)
{
	const struct event *event = seen->event;
	struct text route = event_text(event, FIELD_HTTP_ROUTE);
	scratch_begin(to);
	bytes_put_u64le(to, principal);
	bytes_put_u8(to, (uint8_t)outcome);
	bytes_put_signed(to, seen->reading->http_status);
	bytes_put_text(to, route.size > 0 ? route : event_text(event, FIELD_URL_PATH));
	if (outcome_info(outcome)->model == OUTCOME_POISSON) {
		bytes_put_text(to, event_text(event, FIELD_LOG_LOGGER));
		bytes_put_text(to, event_text(event, FIELD_EVENT_ACTION));
		bytes_put_text(to, event_text(event, FIELD_ERROR_TYPE));
		bytes_put_text(to, outcome == OUTCOME_RULE_MATCH ? seen->rule : TEXT(""));
	}
	if (principal == 0) {
		bytes_put_text(to, event->origin.topic);
		bytes_put_signed(to, event->origin.partition);
		bytes_put_signed(to, event->origin.offset);
		bytes_put_varint(to, event->origin.index);
	}
	return cohort_hash(key, to);
}

enum status cohort_cluster(const struct hash_key *key, const struct sighted *seen,
			   enum outcome outcome, struct bytes *scratch,
			   struct tally_cluster *ret_cluster)
{
	bool outsider = outcome == OUTCOME_AUTHN_FAILURE || outcome == OUTCOME_AUTHZ_DENIED ||
			outcome == OUTCOME_TENANT_DENIED || outcome == OUTCOME_RULE_MATCH;
	struct tally_cluster cluster = {
		.time_us = seen->event->time_us,
		.content = content_of(key, seen->event, scratch),
		.arm = seen->arm,
		.route = seen->route,
		.half = seen->half,
		.outcome = outcome,
	};
	culprit_of(key, seen->event, outsider, scratch, &cluster);
	cluster.id = cluster_id(key, seen, cluster.principal, outcome, scratch);
	if (scratch->failed)
		return ENOMEMORY;
	*ret_cluster = cluster;
	return OK;
}
