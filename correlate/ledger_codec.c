#include "correlate/ledger_private.h"

#include <assert.h>
#include <stdlib.h>

#include "correlate/tally_private.h"

/* The payload of a ledger's item (tally_codec.c): all of it in a checkpoint, an epoch's news from a
 * worker.
 *
 *   ledger = varint signal count, text name*, varint thing count, thing*, varint topic count,
 *            text topic*, varint arm count, arm*
 *   thing  = u8 number of its signal, u64le keyed hash, text key
 *   arm    = text version, text deploy id, varint entry count, entry*
 *   entry  = varint number of the thing - number before (first: + 1), varint kept, varint refused,
 *            signed met first, varint met last - met first, varint shown, and when it was shown:
 *            varint first - met first, varint met last - last, varint principal count,
 *            u64le principal*, varint evidence count, evidence*
 *   evidence = signed time - met first, varint number of the topic, signed partition,
 *            signed offset, varint index
 *
 * Signals stand by name, so that a build with other signals reads them. Things, topics, arms and
 * entries ascend, and only those that are used are written: equal ledgers give equal bytes. */

/* Months can be added to any time: the same as of what is counted (cohort_counter.c). */
static const int64_t TIME_US_MAX = INT64_MAX / 2;

struct writer {
	enum ledger_part part;
	const struct ledger_entry **entries; /* by arm and thing */
	size_t entry_count;
	struct ledger_thing **things; /* that are used, in order */
	size_t thing_count;
	struct text *topics; /* the same */
	size_t topic_count;
	unsigned signals[SIGNAL_COUNT]; /* their numbers, from 1; 0: not used */
};

static void writer_done(struct writer *writer)
{
	free(writer->entries);
	free(writer->things);
	free(writer->topics);
}

static bool evidence_is_wanted(const struct ledger_proof *proof, size_t place,
			       enum ledger_part part)
{
	return part == LEDGER_ALL || (proof->new_evidence >> place & 1) != 0;
}

static bool principal_is_wanted(const struct ledger_proof *proof, size_t place,
				enum ledger_part part)
{
	return part == LEDGER_ALL || (proof->new_principals >> place & 1) != 0;
}

static int thing_compare(const void *left, const void *right)
{
	const struct ledger_thing *a = *(struct ledger_thing *const *)left;
	const struct ledger_thing *b = *(struct ledger_thing *const *)right;
	if (a->signal != b->signal)
		return a->signal < b->signal ? -1 : 1;
	return text_compare(a->key, b->key);
}

static int topic_compare(const void *left, const void *right)
{
	return text_compare(*(const struct text *)left, *(const struct text *)right);
}

static void topics_note(struct writer *writer, const struct ledger_proof *proof)
{
	for (size_t i = 0; proof != NULL && i < proof->evidence_count; i++) {
		size_t at = 0;
		while (at < writer->topic_count &&
		       writer->topics[at].data != proof->evidence[i].topic.data)
			at++;
		if (at == writer->topic_count && evidence_is_wanted(proof, i, writer->part))
			writer->topics[writer->topic_count++] = proof->evidence[i].topic;
	}
}

static int entry_compare(const void *left, const void *right)
{
	const struct ledger_entry *a = *(const struct ledger_entry *const *)left;
	const struct ledger_entry *b = *(const struct ledger_entry *const *)right;
	size_t a_rank = a->arm->ledger->things[a->thing].rank;
	size_t b_rank = b->arm->ledger->things[b->thing].rank;
	if (a->arm != b->arm)
		return a->arm->rank < b->arm->rank ? -1 : 1;
	return (a_rank > b_rank) - (a_rank < b_rank);
}

static void writer_gather(struct ledger *ledger, struct writer *writer)
{
	for (const struct ledger_entry *one = ledger->news;
	     one != NULL && writer->part == LEDGER_NEWS; one = one->next_listed)
		writer->entries[writer->entry_count++] = one;
	for (size_t i = 0; i < ledger->arm_count; i++) {
		struct ledger_arm *arm = ledger->arms[i];
		arm->rank = i;
		for (size_t k = 0; k < arm->capacity && writer->part == LEDGER_ALL; k++)
			if (arm->entries[k] != NULL)
				writer->entries[writer->entry_count++] = arm->entries[k];
	}
}

/* Finds what is used, and numbers it. */
static enum status writer_init(struct ledger *ledger, struct writer *writer)
{
	enum { UNUSED, USED };
	size_t count = writer->part == LEDGER_NEWS ? ledger->news_count : ledger->entry_count;
	writer->entries = calloc(count + 1, sizeof(struct ledger_entry *));
	writer->things = calloc(ledger->thing_count + 1, sizeof(struct ledger_thing *));
	writer->topics = calloc(ledger->topic_count + 1, sizeof *writer->topics);
	if (writer->entries == NULL || writer->things == NULL || writer->topics == NULL)
		return ENOMEMORY;
	writer_gather(ledger, writer);
	assert(writer->entry_count == count);
	for (size_t i = 0; i < count; i++)
		ledger->things[writer->entries[i]->thing].rank = UNUSED;
	for (size_t i = 0; i < count; i++) {
		struct ledger_thing *thing = &ledger->things[writer->entries[i]->thing];
		if (thing->rank == UNUSED)
			writer->things[writer->thing_count++] = thing;
		thing->rank = USED;
		topics_note(writer, writer->entries[i]->proof);
	}
	if (writer->thing_count > 1)
		qsort(writer->things, writer->thing_count, sizeof(struct ledger_thing *),
		      thing_compare);
	if (writer->topic_count > 1)
		qsort(writer->topics, writer->topic_count, sizeof *writer->topics, topic_compare);
	for (size_t i = 0; i < writer->thing_count; i++)
		writer->things[i]->rank = i;
	if (count > 1)
		qsort(writer->entries, count, sizeof(struct ledger_entry *), entry_compare);
	return OK;
}

static void names_put(struct writer *writer, struct bytes *to)
{
	unsigned signal_count = 0;
	for (size_t i = 0; i < writer->thing_count; i++)
		if (writer->signals[writer->things[i]->signal] == 0)
			writer->signals[writer->things[i]->signal] = ++signal_count;
	bytes_put_varint(to, signal_count);
	for (int i = 0; i < SIGNAL_COUNT; i++) /* things ascend by signal: so do their numbers */
		if (writer->signals[i] != 0)
			bytes_put_text(to, text_of(signal_info((enum signal)i)->name));
	bytes_put_varint(to, writer->thing_count);
	for (size_t i = 0; i < writer->thing_count; i++) {
		const struct ledger_thing *thing = writer->things[i];
		bytes_put_u8(to, (uint8_t)(writer->signals[thing->signal] - 1));
		bytes_put_u64le(to, thing->hash);
		bytes_put_text(to, thing->key);
	}
	bytes_put_varint(to, writer->topic_count);
	for (size_t i = 0; i < writer->topic_count; i++)
		bytes_put_text(to, writer->topics[i]);
}

static void proof_put(const struct writer *writer, const struct ledger_entry *entry,
		      struct bytes *to)
{
	static const struct ledger_proof NONE = {0};
	const struct ledger_proof *proof = entry->proof == NULL ? &NONE : entry->proof;
	size_t count = 0;
	for (size_t i = 0; i < proof->principal_count; i++)
		count += principal_is_wanted(proof, i, writer->part);
	bytes_put_varint(to, count);
	for (size_t i = 0; i < proof->principal_count; i++)
		if (principal_is_wanted(proof, i, writer->part))
			bytes_put_u64le(to, proof->principals[i]);
	count = 0;
	for (size_t i = 0; i < proof->evidence_count; i++)
		count += evidence_is_wanted(proof, i, writer->part);
	bytes_put_varint(to, count);
	for (size_t i = 0; i < proof->evidence_count; i++) {
		const struct origin *origin = &proof->evidence[i];
		size_t topic = 0;
		if (!evidence_is_wanted(proof, i, writer->part))
			continue;
		while (writer->topics[topic].data != origin->topic.data)
			topic++;
		assert(topic < writer->topic_count);
		bytes_put_signed(to, proof->evidence_us[i] - entry->met_first_us);
		bytes_put_varint(to, topic);
		bytes_put_signed(to, origin->partition);
		bytes_put_signed(to, origin->offset);
		bytes_put_varint(to, origin->index);
	}
}

static void entry_put(const struct writer *writer, const struct ledger_entry *entry,
		      struct bytes *to)
{
	assert(entry->met_first_us <= entry->met_last_us);
	bytes_put_varint(to, entry->kept);
	bytes_put_varint(to, entry->refused);
	bytes_put_signed(to, entry->met_first_us);
	bytes_put_varint(to, (uint64_t)(entry->met_last_us - entry->met_first_us));
	bytes_put_varint(to, entry->shown);
	if (entry->shown == 0)
		return;
	bytes_put_varint(to, (uint64_t)(entry->shown_first_us - entry->met_first_us));
	bytes_put_varint(to, (uint64_t)(entry->met_last_us - entry->shown_last_us));
	proof_put(writer, entry, to);
}

/* The entries of one arm, from the one at `at`; returns the place behind them. */
static size_t arm_put(const struct writer *writer, size_t at, struct bytes *to)
{
	const struct ledger_arm *arm = writer->entries[at]->arm;
	size_t end = at;
	size_t next = 0;
	while (end < writer->entry_count && writer->entries[end]->arm == arm)
		end++;
	bytes_put_text(to, arm->arm.version);
	bytes_put_text(to, arm->arm.deploy_id);
	bytes_put_varint(to, end - at);
	for (; at < end; at++) {
		const struct ledger_entry *entry = writer->entries[at];
		size_t rank = arm->ledger->things[entry->thing].rank;
		bytes_put_varint(to, rank - next);
		entry_put(writer, entry, to);
		next = rank + 1;
	}
	return end;
}

enum status ledger_put(struct ledger *ledger, enum ledger_part part, struct bytes *to)
{
	struct writer writer cleanup(writer_done) = {.part = part};
	enum status status = writer_init(ledger, &writer);
	if (status != OK)
		return status;
	size_t arm_count = 0;
	for (size_t i = 0; i < writer.entry_count; i++)
		arm_count += i == 0 || writer.entries[i]->arm != writer.entries[i - 1]->arm;
	names_put(&writer, to);
	bytes_put_varint(to, arm_count);
	for (size_t at = 0; at < writer.entry_count;)
		at = arm_put(&writer, at, to);
	return bytes_status(to);
}

void ledger_told(struct ledger *ledger)
{
	struct ledger_entry *next = NULL;
	for (struct ledger_entry *entry = ledger->news; entry != NULL; entry = next) {
		next = entry->next_listed;
		entry->is_listed = false;
		entry->shown = entry->kept = entry->refused = 0;
		entry->met_first_us = entry->shown_first_us = INT64_MAX;
		entry->met_last_us = entry->shown_last_us = INT64_MIN;
		if (entry->proof != NULL)
			entry->proof->new_evidence = entry->proof->new_principals = 0;
	}
	ledger->news = NULL;
	ledger->news_count = 0;
}

/* What the numbers of a payload mean here. */
struct reader {
	struct cursor *from;
	struct ledger *ledger;
	size_t *things;
	uint64_t thing_count;
	struct text *topics;
	uint64_t topic_count;
};

static void reader_done(struct reader *reader)
{
	free(reader->things);
	free(reader->topics);
}

/* A count of what takes a byte each: a damaged one must not ask for the moon. */
static uint64_t count_take(struct cursor *from)
{
	uint64_t count = cursor_varint(from);
	from->failed |= count > cursor_left(from);
	return from->failed ? 0 : count;
}

static enum status names_take(struct reader *reader)
{
	enum signal signals[SIGNAL_COUNT];
	struct cursor *from = reader->from;
	uint64_t signal_count = cursor_varint(from);
	from->failed |= signal_count > SIGNAL_COUNT;
	for (uint64_t i = 0; i < signal_count && !from->failed; i++)
		from->failed |= !signal_find(cursor_text(from), &signals[i]);
	reader->thing_count = count_take(from);
	reader->things = calloc(reader->thing_count + 1, sizeof *reader->things);
	enum status status = reader->things == NULL ? ENOMEMORY : OK;
	for (uint64_t i = 0; i < reader->thing_count && !from->failed && status == OK; i++) {
		uint8_t signal = cursor_u8(from);
		struct ledger_thing named = {.hash = cursor_u64le(from)};
		named.key = cursor_text(from);
		from->failed |= signal >= signal_count || named.key.size > COHORT_NAME_MAX;
		if (from->failed)
			break;
		named.signal = signals[signal];
		status = ledger_thing(reader->ledger, &named, &reader->things[i]);
	}
	reader->topic_count = count_take(from);
	reader->topics = calloc(reader->topic_count + 1, sizeof *reader->topics);
	if (reader->topics == NULL)
		return ENOMEMORY;
	for (uint64_t i = 0; i < reader->topic_count && !from->failed; i++)
		reader->topics[i] = cursor_text(from);
	return status;
}

static enum status principals_take(struct cursor *from, struct ledger_entry *into)
{
	uint64_t before = 0;
	uint64_t count = cursor_varint(from);
	enum status status = OK;
	from->failed |= count > SIGNAL_PRINCIPALS_MAX;
	for (uint64_t i = 0; i < count && !from->failed && status == OK; i++) {
		uint64_t principal = cursor_u64le(from);
		from->failed |= principal <= before;
		if (!from->failed)
			status = ledger_principal(into, principal);
		before = principal;
	}
	return status;
}

static enum status evidence_take(struct reader *reader, int64_t met_first_us,
				 struct ledger_entry *into)
{
	struct cursor *from = reader->from;
	uint64_t count = cursor_varint(from);
	enum status status = OK;
	from->failed |= count > COHORT_EVIDENCE_MAX;
	for (uint64_t i = 0; i < count && !from->failed && status == OK; i++) {
		int64_t after_us = cursor_signed(from);
		uint64_t topic = cursor_varint(from);
		int64_t partition = cursor_signed(from);
		struct origin origin = {.offset = cursor_signed(from)};
		uint64_t index = cursor_varint(from);
		from->failed |= topic >= reader->topic_count || partition < INT32_MIN ||
				partition > INT32_MAX || index > UINT32_MAX ||
				after_us < -TIME_US_MAX || after_us > TIME_US_MAX;
		if (from->failed)
			break;
		origin.topic = reader->topics[topic];
		origin.partition = (int32_t)partition;
		origin.index = (uint32_t)index;
		status = ledger_evidence(into, met_first_us + after_us, &origin);
	}
	return status;
}

/* The amounts of an entry. */
static struct ledger_entry sums_take(struct cursor *from)
{
	struct ledger_entry more = {.kept = cursor_varint(from), .refused = cursor_varint(from)};
	more.met_first_us = cursor_signed(from);
	uint64_t span = cursor_varint(from);
	more.shown = cursor_varint(from);
	from->failed |= more.kept > COHORT_COUNT_MAX || more.refused > COHORT_COUNT_MAX ||
			more.shown > COHORT_COUNT_MAX || more.met_first_us < -TIME_US_MAX ||
			more.met_first_us > TIME_US_MAX ||
			span > (uint64_t)(TIME_US_MAX - more.met_first_us);
	if (from->failed)
		return more;
	more.met_last_us = more.met_first_us + (int64_t)span;
	more.shown_first_us = INT64_MAX;
	more.shown_last_us = INT64_MIN;
	if (more.shown == 0)
		return more;
	uint64_t after = cursor_varint(from);
	uint64_t before = cursor_varint(from);
	from->failed |= after > span || before > span || after + before > span;
	if (from->failed)
		return more;
	more.shown_first_us = more.met_first_us + (int64_t)after;
	more.shown_last_us = more.met_last_us - (int64_t)before;
	return more;
}

static enum status arm_merge(struct reader *reader, struct ledger_arm *arm,
			     const struct ledger_visitor *visitor)
{
	struct cursor *from = reader->from;
	uint64_t count = count_take(from);
	uint64_t next = 0;
	enum status status = OK;
	for (uint64_t i = 0; i < count && !from->failed && status == OK; i++) {
		struct ledger_entry *into = NULL;
		uint64_t gap = cursor_varint(from);
		struct ledger_entry more = sums_take(from);
		from->failed |= next >= reader->thing_count || gap >= reader->thing_count - next;
		if (from->failed)
			break;
		status = ledger_admit(arm, reader->things[next + gap], &into);
		if (status != OK)
			break;
		ledger_add(into, &more);
		if (more.shown > 0)
			status = principals_take(from, into);
		if (more.shown > 0 && status == OK)
			status = evidence_take(reader, more.met_first_us, into);
		next += gap + 1;
		visitor->visit(visitor->state, into);
	}
	return status;
}

enum status ledger_merge(struct ledger *ledger, struct cursor *from,
			 const struct ledger_visitor *visitor)
{
	struct reader reader cleanup(reader_done) = {.from = from, .ledger = ledger};
	enum status status = names_take(&reader);
	uint64_t count = count_take(from);
	for (uint64_t i = 0; i < count && !from->failed && status == OK; i++) {
		struct ledger_arm *arm = NULL;
		struct arm named = {.version = cursor_text(from)};
		named.deploy_id = cursor_text(from);
		from->failed |= named.version.size > COHORT_NAME_MAX ||
				named.deploy_id.size > COHORT_NAME_MAX;
		if (!from->failed)
			status = ledger_arm(ledger, &named, &arm);
		if (!from->failed && status == OK)
			status = arm_merge(&reader, arm, visitor);
	}
	return status;
}
