#include <assert.h>
#include <stdlib.h>

#include <xxhash.h>

#include "correlate/cohort_cluster_private.h"

/* Who is known to a service.
 *
 * WHY. Anybody who reaches a version can be refused by it, as often as he likes. If that counted,
 * outsiders who reach a canary alone could fail every release. What tells a canary that locks
 * people out from people who have no key is who they are: those who were let in before. So a
 * refusal, an error line and whatever else outcome_is_of_outsiders() names is proof against a
 * version only when it comes from somebody who has succeeded at the service with a name, in an
 * earlier bucket of this day or of the day before.
 *
 * WHO. A success (outcome_reading.c) makes its user and its network known. A cause is known when
 * its principal is, and what else its event names is, too: a known user's name that a stranger
 * tries from his own network is nobody's, and so is a made-up name from a known network.
 *
 * WHEN. Successes are collected by bucket and join in when it closes, so a bucket is judged by what
 * was before it: the order of arrival and the split do not show, and to be known does not depend on
 * what happens in the bucket, which is what a conditional test needs. Days are of event time.
 *
 * HOW MANY. Of each day and of each bucket the COHORT_KNOWN_MAX with the smallest keyed hashes. In
 * a service with more the rest count as strangers: a sample that is as fair to one arm as to the
 * other, so a FAIL comes later and is as true (BUCKET_SAMPLED tells). PASS never looks at this: it
 * asks for proof over everybody. */

enum { UNSETTLED_MAX = 2 * COHORT_KNOWN_MAX, FIRST = 16 };
static const int64_t DAY_US = INT64_C(24) * 3600 * 1000000;

static int ascending(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left;
	uint64_t b = *(const uint64_t *)right;
	return (a > b) - (a < b);
}

void known_done(struct known_list *list)
{
	free(list->hashes);
	*list = (struct known_list){0};
}

static bool is_settled(const struct known_list *list)
{
	for (size_t i = 1; i < list->count; i++)
		if (list->hashes[i - 1] >= list->hashes[i])
			return false;
	return list->count <= COHORT_KNOWN_MAX;
}

void known_settle(struct known_list *list)
{
	if (is_settled(list))
		return;
	qsort(list->hashes, list->count, sizeof *list->hashes, ascending);
	size_t kept = 1;
	for (size_t i = 1; i < list->count; i++)
		if (list->hashes[i] != list->hashes[kept - 1])
			list->hashes[kept++] = list->hashes[i];
	list->sampled |= kept > COHORT_KNOWN_MAX;
	list->count = kept > COHORT_KNOWN_MAX ? COHORT_KNOWN_MAX : kept;
}

enum status known_add(struct known_list *list, uint64_t hash)
{
	if (hash == 0)
		return OK;
	if (list->count == UNSETTLED_MAX)
		known_settle(list);
	if (list->count == list->capacity) {
		size_t capacity = list->capacity == 0 ? FIRST : 2 * list->capacity;
		uint64_t *grown = realloc(list->hashes, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		list->hashes = grown;
		list->capacity = capacity;
	}
	assert(list->count < UNSETTLED_MAX);
	list->hashes[list->count++] = hash;
	return OK;
}

/* What was said is known by what the event names, so that mostly nobody's hash is needed. */
enum status known_tell(struct known_told *told, const struct hash_key *key,
		       const struct event *event, struct bytes *scratch, struct tally_node *bucket)
{
	struct text user = event_text(event, FIELD_USER_ID);
	struct text address = event_text(event, FIELD_SOURCE_IP);
	uint64_t hash = XXH3_64bits_withSeed(user.data, user.size, bucket->hash);
	hash = XXH3_64bits_withSeed(address.data, address.size, hash);
	uint64_t *slot = &told->hashes[hash % KNOWN_TOLD_MAX];
	if (*slot == hash)
		return OK;
	*slot = hash;
	struct principals who = cohort_principals(key, event, scratch);
	enum status status = known_add(&bucket->bucket.known, who.user);
	return status == OK ? known_add(&bucket->bucket.known, who.network) : status;
}

void known_put(struct known_list *list, struct bytes *to)
{
	known_settle(list);
	bytes_put_u8(to, list->sampled);
	bytes_put_varint(to, list->count);
	for (size_t i = 0; i < list->count; i++)
		bytes_put_u64le(to, list->hashes[i]);
}

enum status known_take(struct known_list *list, struct cursor *from)
{
	uint8_t sampled = cursor_u8(from);
	uint64_t count = cursor_varint(from);
	uint64_t before = 0;
	from->failed |= count > COHORT_KNOWN_MAX || sampled > 1;
	list->sampled |= sampled == 1;
	enum status status = OK;
	for (uint64_t i = 0; i < count && !from->failed && status == OK; i++) {
		uint64_t hash = cursor_u64le(from);
		from->failed |= hash <= before;
		before = hash;
		status = from->failed ? OK : known_add(list, hash);
	}
	return status;
}

static int64_t day_of(int64_t time_us)
{
	return time_us / DAY_US - (time_us % DAY_US < 0);
}

void known_turn(struct tally_known *known, int64_t start_us)
{
	int64_t day = day_of(start_us);
	if (known->day == INT64_MIN)
		known->day = day;
	if (day <= known->day)
		return;
	known_done(&known->days[1]);
	if (day == known->day + 1)
		known->days[1] = known->days[0];
	else
		known_done(&known->days[0]);
	known->days[0] = (struct known_list){0};
	known->day = day;
}

static bool holds(const struct known_list *list, uint64_t hash)
{
	return list->count > 0 &&
	       bsearch(&hash, list->hashes, list->count, sizeof hash, ascending) != NULL;
}

static bool is_in(const struct tally_known *known, uint64_t hash)
{
	return holds(&known->days[0], hash) || holds(&known->days[1], hash);
}

bool known_has(const struct tally_known *known, const struct tally_cluster *cluster)
{
	return cluster->principal != 0 && is_in(known, cluster->principal) &&
	       (cluster->companion == 0 || is_in(known, cluster->companion));
}

bool known_is_sampled(const struct tally_known *known)
{
	return known->days[0].sampled || known->days[1].sampled;
}

/* Those of `more` that are not in the list, both settled. */
static size_t count_fresh(const struct known_list *list, const struct known_list *more)
{
	size_t fresh = 0;
	for (size_t i = 0; i < more->count; i++)
		fresh += !holds(list, more->hashes[i]);
	return fresh;
}

/* Both are settled, and the list is then. On most buckets nobody is new. */
static enum status merge(struct known_list *list, const struct known_list *more)
{
	size_t total = list->count + count_fresh(list, more);
	list->sampled |= more->sampled || total > COHORT_KNOWN_MAX;
	if (total == list->count)
		return OK;
	size_t kept = total > COHORT_KNOWN_MAX ? COHORT_KNOWN_MAX : total;
	uint64_t *merged = calloc(kept, sizeof *merged);
	if (merged == NULL)
		return ENOMEMORY;
	for (size_t i = 0, k = 0, at = 0; at < kept; at++) {
		bool both = i < list->count && k < more->count;
		bool mine = k == more->count || (both && list->hashes[i] <= more->hashes[k]);
		k += mine && both && list->hashes[i] == more->hashes[k];
		merged[at] = mine ? list->hashes[i++] : more->hashes[k++];
	}
	free(list->hashes);
	list->hashes = merged;
	list->count = list->capacity = kept;
	return OK;
}

enum status known_learn(struct tally_known *known, int64_t start_us, struct known_list *more)
{
	known_turn(known, start_us);
	known_settle(more);
	return merge(&known->days[0], more);
}

bool known_is_past(const struct tally_known *known, int64_t watermark_us)
{
	return known->day < day_of(watermark_us) - 1;
}

void known_put_days(struct tally_known *known, struct bytes *to)
{
	bytes_put_signed(to, known->day);
	for (size_t i = 0; i < 2; i++)
		known_put(&known->days[i], to);
}

enum status known_take_days(struct tally_known *known, struct cursor *from)
{
	known->day = cursor_signed(from);
	enum status status = OK;
	for (size_t i = 0; i < 2 && status == OK; i++) {
		status = known_take(&known->days[i], from);
		known_settle(&known->days[i]);
	}
	return status;
}
