/* The evidence of an episode is the first and the last ALERT_EVIDENCE_EDGE of its events: one
 * sorted array, full when both edges are. A new event that sorts into the first half pushes out
 * that half's last, one that sorts into the second half pushes out that half's first, and one
 * between the halves is not kept. Both edges are exact for any order of arrival, since an event
 * once pushed out has as many better ones before it for ever; so are those of two merged episodes.
 *
 * The id is BLAKE2b over the opening event's identity. It can open only one episode of its group:
 * every event that begins to contribute because of it lies within `timespan` of it. */
#include "correlate/episode.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

enum { HAS_BREAKS = 1 << 16 }; /* beside the flags of an alert, in a checkpoint only */

/* Numbers little-endian, whatever the machine. */
static void id_number(crypto_generichash_state *hash, uint64_t number)
{
	unsigned char encoded[8];
	for (unsigned i = 0; i < sizeof encoded; i++)
		encoded[i] = (unsigned char)(number >> (8 * i));
	(void)crypto_generichash_update(hash, encoded, sizeof encoded);
}

static void id_text(crypto_generichash_state *hash, struct text t)
{
	id_number(hash, t.size);
	if (t.size > 0)
		(void)crypto_generichash_update(hash, (const unsigned char *)t.data, t.size);
}

static void episode_identify(struct episode *episode, const struct opening *opening)
{
	static_assert(EPISODE_ID_BYTES >= crypto_generichash_BYTES_MIN);
	crypto_generichash_state hash;
	(void)crypto_generichash_init(&hash, NULL, 0, EPISODE_ID_BYTES);
	id_number(&hash, opening->state_id);
	id_text(&hash, opening->tenant);
	id_text(&hash, opening->group);
	id_text(&hash, opening->origin->topic);
	id_number(&hash, (uint64_t)opening->origin->partition);
	id_number(&hash, (uint64_t)opening->origin->offset);
	id_number(&hash, opening->origin->index);
	id_number(&hash, (uint64_t)opening->time_us);
	(void)crypto_generichash_final(&hash, episode->id, EPISODE_ID_BYTES);
}

static void evidence_release(struct episode *episode, struct proof **proof)
{
	episode->evidence_bytes -= (*proof)->size;
	proof_release(proof);
}

/* Takes a reference of its own when it keeps the proof. */
static void evidence_add(struct episode *episode, struct proof *proof)
{
	if (proof == NULL)
		return;
	size_t place = episode->evidence_count;
	while (place > 0 && proof_compare(episode->evidence[place - 1], proof) > 0)
		place--;
	struct proof **at = &episode->evidence[place];
	if (episode->evidence_count < EPISODE_EVIDENCE_MAX) {
		memmove(at + 1, at, (episode->evidence_count - place) * sizeof *at);
		episode->evidence_count++;
	} else if (place < ALERT_EVIDENCE_EDGE) {
		evidence_release(episode, &episode->evidence[ALERT_EVIDENCE_EDGE - 1]);
		memmove(at + 1, at, (ALERT_EVIDENCE_EDGE - 1 - place) * sizeof *at);
	} else if (place > ALERT_EVIDENCE_EDGE) {
		struct proof **half = &episode->evidence[ALERT_EVIDENCE_EDGE];
		evidence_release(episode, half);
		memmove(half, half + 1, (place - 1 - ALERT_EVIDENCE_EDGE) * sizeof *half);
		at--;
	} else {
		return;
	}
	*at = proof_hold(proof);
	episode->evidence_bytes += proof->size;
	assert(episode->evidence_count <= EPISODE_EVIDENCE_MAX);
}

/* Whether a stays when both turn out to be one. */
static bool is_elder(const struct episode *a, const struct episode *b)
{
	if (a->opened_epoch != b->opened_epoch)
		return a->opened_epoch < b->opened_epoch;
	return memcmp(a->id, b->id, sizeof a->id) < 0;
}

static enum status episode_absorb(struct episode *stays, struct episode *goes)
{
	stays->first_us = stays->first_us < goes->first_us ? stays->first_us : goes->first_us;
	stays->last_us = stays->last_us > goes->last_us ? stays->last_us : goes->last_us;
	stays->count += goes->count;
	stays->flags |= goes->flags & (ALERT_LATE | ALERT_DEGRADED);
	for (size_t i = 0; i < goes->evidence_count; i++)
		evidence_add(stays, goes->evidence[i]);
	stays->changed = true;
	stays->took_over = stays->took_over || goes->took_over || goes->revision > 0;
	stays->broke = stays->broke || goes->broke;
	memcpy(goes->merged_into, stays->id, sizeof goes->merged_into);
	return breaks_join(&stays->breaks, &goes->breaks);
}

/* *link and the one after it are one episode from now on. */
static enum status episodes_merge(struct episodes *episodes, struct episode **link)
{
	struct episode *first = *link;
	struct episode *second = first->next;
	assert(second != NULL && first->first_us <= second->first_us);
	struct episode *stays = is_elder(first, second) ? first : second;
	struct episode *goes = stays == first ? second : first;
	stays->next = second->next;
	*link = stays;
	goes->next = NULL;
	enum status status = episode_absorb(stays, goes);
	if (goes->revision == 0) { /* nobody has heard of it: nobody needs to hear that it went */
		episode_free(&goes);
		return status;
	}
	goes->next = episodes->merged;
	episodes->merged = goes;
	return status;
}

static enum status episode_join(struct episode *episode, int64_t time_us, struct proof *proof,
				const struct opening *opening)
{
	enum status status = OK;
	for (size_t i = 0; i < opening->mark_count && status == OK; i++)
		status = breaks_add(&episode->breaks, opening->marks[i], &episode->broke);
	if (opening->detail[0] != '\0')
		memcpy(episode->detail, opening->detail, sizeof episode->detail);
	if (time_us < episode->first_us)
		episode->first_us = time_us;
	if (time_us > episode->last_us)
		episode->last_us = time_us;
	episode->count += 1 + opening->further;
	episode->flags |= opening->join_flags;
	if ((episode->flags & ~opening->flags & ALERT_BACKFILL) != 0) {
		episode->flags &= ~(uint32_t)ALERT_BACKFILL; /* it goes on: no history any more */
		episode->took_over = true;                   /* so people hear of it */
	}
	episode->changed = true;
	evidence_add(episode, proof);
	return status;
}

enum status episodes_add(struct episodes *episodes, int64_t time_us, struct proof *proof,
			 int64_t timespan_us, struct opening *opening)
{
	struct episode **link = &episodes->open;
	while (*link != NULL && (*link)->last_us < time_us &&
	       !time_within((*link)->last_us, time_us, timespan_us))
		link = &(*link)->next;
	struct episode *near = *link;
	if (near == NULL ||
	    (near->first_us > time_us && !time_within(time_us, near->first_us, timespan_us))) {
		struct episode *fresh = calloc(1, sizeof *fresh);
		if (fresh == NULL)
			return ENOMEMORY;
		fresh->next = near;
		fresh->opened_epoch = opening->epoch;
		fresh->flags = opening->flags;
		fresh->first_us = time_us;
		fresh->last_us = time_us;
		episode_identify(fresh, opening);
		opening->opened = true;
		*link = fresh;
		near = fresh;
	}
	enum status status = episode_join(near, time_us, proof, opening);
	for (struct episode *after = near->next; /* more than one when the timespan was edited */
	     status == OK && after != NULL &&
	     (after->first_us <= near->last_us ||
	      time_within(near->last_us, after->first_us, timespan_us));
	     near = *link, after = near->next)
		status = episodes_merge(episodes, link);
	return status;
}

void episode_free(struct episode **episode)
{
	struct episode *freed = TAKE(*episode);
	if (freed == NULL)
		return;
	for (size_t i = 0; i < freed->evidence_count; i++)
		proof_release(&freed->evidence[i]);
	breaks_done(&freed->breaks);
	free(freed);
}

static void list_free(struct episode **list)
{
	while (*list != NULL) {
		struct episode *next = (*list)->next;
		episode_free(list);
		*list = next;
	}
}

void episodes_done(struct episodes *episodes)
{
	list_free(&episodes->open);
	list_free(&episodes->merged);
}

size_t episode_bytes(const struct episode *episode)
{
	return sizeof *episode + episode->evidence_bytes +
	       episode->breaks.count * sizeof *episode->breaks.marks;
}

void episode_encode(const struct episode *episode, struct bytes *to)
{
	assert(!episode->changed && !episode->took_over && !episode->broke);
	assert(episode->revision > 0);
	bytes_put(to, episode->id, sizeof episode->id);
	bytes_put_varint(to, episode->revision);
	bytes_put_varint(to, episode->flags | (episode->breaks.count > 0 ? HAS_BREAKS : 0));
	bytes_put_varint(to, episode->opened_epoch);
	bytes_put_signed(to, episode->first_us);
	bytes_put_varint(to, (uint64_t)episode->last_us - (uint64_t)episode->first_us);
	bytes_put_varint(to, episode->count);
	bytes_put_varint(to, episode->announced_count);
	bytes_put_signed(to, episode->announced_us);
	bytes_put_text(to, text_of(episode->detail));
	bytes_put_varint(to, episode->evidence_count);
	for (size_t i = 0; i < episode->evidence_count; i++)
		proof_encode(episode->evidence[i], to);
	if (episode->breaks.count > 0)
		breaks_encode(&episode->breaks, to);
}

/* Everything before the evidence. */
static bool take_head(struct cursor *from, struct episode *episode)
{
	struct text id = cursor_take(from, sizeof episode->id);
	uint64_t revision = cursor_varint(from);
	uint64_t flags = cursor_varint(from);
	episode->opened_epoch = cursor_varint(from);
	episode->first_us = cursor_signed(from);
	uint64_t duration = cursor_varint(from);
	episode->count = cursor_varint(from);
	episode->announced_count = cursor_varint(from);
	episode->announced_us = cursor_signed(from);
	struct text detail = cursor_text(from);
	if (from->failed || detail.size >= sizeof episode->detail ||
	    (detail.size > 0 && memchr(detail.data, 0, detail.size) != NULL))
		return false;
	if (detail.size > 0)
		memcpy(episode->detail, detail.data, detail.size);
	if (from->failed || revision == 0 || revision > UINT32_MAX || flags > UINT32_MAX ||
	    duration > (uint64_t)INT64_MAX - (uint64_t)episode->first_us)
		return false;
	memcpy(episode->id, id.data, id.size);
	episode->revision = (uint32_t)revision;
	episode->flags = (uint32_t)flags;
	episode->last_us = (int64_t)((uint64_t)episode->first_us + duration);
	return true;
}

enum status episode_decode(struct cursor *from, struct episode **ret_episode)
{
	struct episode *episode cleanup(episode_free) = calloc(1, sizeof *episode);
	if (episode == NULL)
		return ENOMEMORY;
	if (!take_head(from, episode))
		return ECORRUPT;
	uint64_t count = cursor_varint(from);
	if (from->failed || count > EPISODE_EVIDENCE_MAX || count > episode->count)
		return ECORRUPT;
	for (size_t i = 0; i < count; i++) {
		enum status status = proof_decode(from, &episode->evidence[i]);
		if (status != OK)
			return status;
		episode->evidence_count++;
		episode->evidence_bytes += episode->evidence[i]->size;
		if (i > 0 && proof_compare(episode->evidence[i - 1], episode->evidence[i]) > 0)
			return ECORRUPT;
	}
	if ((episode->flags & HAS_BREAKS) != 0) {
		enum status status = breaks_decode(from, &episode->breaks);
		if (status != OK)
			return status;
	}
	episode->flags &= ~(uint32_t)HAS_BREAKS;
	*ret_episode = TAKE(episode);
	return OK;
}
