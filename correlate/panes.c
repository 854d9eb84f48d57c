/* Which events lie in a window that shows at least K different values, by estimate.
 *
 * Time is cut into panes of width W / 32, counted from 1970. A window is 32 panes in a row, so its
 * events lie at most W apart; every stretch of 31/32 W lies in one. It holds when the estimate for
 * the union of its panes (the largest rank of each register, which is the sketch of all values in
 * it) is K at least. A pane contributes, with all of its events, when a window that holds has it.
 * So with n(w) for what an exact count would find in the best window of length w: what holds has an
 * estimate of something that is at most n(W), and what has n(31/32 W) is looked at. The only other
 * error is the estimate's own.
 *
 * Order. A register is a maximum, an event count a sum, first and last a minimum and a maximum: the
 * panes are a function of the set of events. Estimates are one of the registers, and never fall
 * when one rises (cardinality.c), so what holds or contributes stays so, and in the end it is what
 * the full panes say. How many events of a pane came before it contributed does not matter: each of
 * them is told once, either with its pane or when it comes.
 *
 * Windows that end with a pane that has no events need no look: the one that ends with the last
 * pane before has the same values or more.
 *
 * Work. A value that does not raise its register of its pane changes nothing. One that does changes
 * those windows in which it is the largest, 32 at most; `counts` has, for the window that ends with
 * a pane, how many registers have each rank, so an estimate needs no pass over registers. They are
 * made when a pane is looked at first and again when a pane of its window was forgotten: once per
 * pane that comes and once per pane that goes, for each of 32 windows at most.
 *
 * Time. Once the watermark lies in pane w, a punctual event lies in w or later, and its windows
 * begin at w - 31 or later: older panes go. An event that is late may find fewer values than there
 * were; alerts it touches are marked.
 *
 *   varint number of panes, nothing else when it is 0        u8 1 when something was cut, else 0
 *   for each, ascending:
 *     signed first_us     varint last_us - first_us     varint events     u8 PANE_* flags
 *     registers (cardinality.c)     the first and the last proof unless it contributes
 *
 * Oracle: tests/correlate/test_panes.c. */
#include "correlate/panes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { PANE_CONTRIBUTES = 1, PANE_HOLDS = 2 };

static int64_t pane_width(const struct panes_shape *shape)
{
	assert(shape->timespan_us >= PANES_A_WINDOW);
	return shape->timespan_us / PANES_A_WINDOW;
}

static int64_t pane_index(const struct panes_shape *shape, int64_t time_us)
{
	int64_t width = pane_width(shape);
	return time_us / width - (time_us % width < 0);
}

/* Whether the window that ends with `last` has the pane, which is not behind it. */
static bool window_has(const struct pane *last, const struct pane *pane)
{
	return (uint64_t)last->index - (uint64_t)pane->index < PANES_A_WINDOW;
}

static void pane_done(struct pane *pane)
{
	proof_release(&pane->first);
	proof_release(&pane->last);
	cardinality_done(&pane->values);
	free(pane->counts);
	pane->counts = NULL;
}

static void drop_first(struct panes *panes, size_t count)
{
	if (count == 0)
		return;
	const struct pane dropped = {.index = panes->panes[count - 1].index};
	for (size_t i = 0; i < count; i++)
		pane_done(&panes->panes[i]);
	panes->count -= count;
	memmove(panes->panes, panes->panes + count, panes->count * sizeof *panes->panes);
	for (size_t i = 0; i < panes->count && window_has(&panes->panes[i], &dropped); i++) {
		free(panes->panes[i].counts);
		panes->panes[i].counts = NULL;
	}
}

/* The pane of that index, made when there is none. */
static enum status pane_at(struct panes *panes, const struct panes_shape *shape, int64_t index,
			   size_t *ret_at)
{
	size_t at = panes->count;
	while (at > 0 && panes->panes[at - 1].index >= index)
		at--;
	*ret_at = at;
	if (at < panes->count && panes->panes[at].index == index)
		return OK;
	if (panes->count == PANES_MAX) {
		panes->cut = true;
		drop_first(panes, 1);
		at -= at > 0;
		*ret_at = at;
	}
	if (panes->count == panes->capacity) {
		size_t capacity = panes->capacity == 0 ? 2 : panes->capacity * 2;
		struct pane *grown = realloc(panes->panes, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		panes->panes = grown;
		panes->capacity = capacity;
	}
	memmove(&panes->panes[at + 1], &panes->panes[at],
		(panes->count - at) * sizeof *panes->panes);
	panes->panes[at] = (struct pane){.index = index,
					 .first_us = INT64_MAX,
					 .last_us = INT64_MIN,
					 .values.precision = shape->precision};
	panes->count++;
	return OK;
}

static void pane_show(struct pane *pane, struct proof *proof)
{
	int64_t time_us = proof->evidence.time_us;
	pane->event_count++;
	pane->first_us = time_us < pane->first_us ? time_us : pane->first_us;
	pane->last_us = time_us > pane->last_us ? time_us : pane->last_us;
	if (pane->contributes)
		return;
	if (pane->first == NULL || proof_compare(proof, pane->first) < 0) {
		proof_release(&pane->first);
		pane->first = proof_hold(proof);
	}
	if (pane->last == NULL || proof_compare(proof, pane->last) >= 0) {
		proof_release(&pane->last);
		pane->last = proof_hold(proof);
	}
}

/* Two items for all of its events: they lie between them, nearer to each other than a timespan. */
static enum status pane_contribute(struct pane *pane, struct window_news *news)
{
	pane->contributes = true;
	enum status status = window_items_push(&news->contributed, pane->first_us, pane->first);
	if (status == OK && pane->event_count > 1) {
		status = window_items_push(&news->contributed, pane->last_us, pane->last);
		if (status == OK)
			news->contributed.items[news->contributed.count - 1].further =
				pane->event_count - 2;
	}
	proof_release(&pane->first);
	proof_release(&pane->last);
	return status;
}

/* Counts the window that ends with the pane at `last` afresh. */
static enum status window_count(struct panes *panes, const struct panes_shape *shape, size_t last)
{
	struct pane *ends = &panes->panes[last];
	unsigned char *registers = calloc(UINT32_C(1) << shape->precision, 1);
	ends->counts = malloc(sizeof *ends->counts);
	if (registers == NULL || ends->counts == NULL) {
		free(registers);
		return ENOMEMORY;
	}
	for (size_t i = last + 1; i-- > 0 && window_has(ends, &panes->panes[i]);)
		cardinality_union(&panes->panes[i].values, registers);
	*ends->counts = cardinality_ranks(shape->precision, registers);
	free(registers);
	return OK;
}

/* A register of some pane is about to rise to the mark: moves it in the counts of the window that
 * ends with the pane at `last`, unless it is as high there already. */
static void window_raise(struct panes *panes, size_t last, struct cardinality_mark mark)
{
	struct pane *ends = &panes->panes[last];
	uint8_t highest = 0;
	for (size_t i = last + 1; i-- > 0 && window_has(ends, &panes->panes[i]);) {
		uint8_t rank = cardinality_rank(&panes->panes[i].values, mark.at);
		if (rank >= mark.rank)
			return;
		highest = rank > highest ? rank : highest;
	}
	assert(ends->counts->of[highest] > 0);
	ends->counts->of[highest]--;
	ends->counts->of[mark.rank]++;
}

/* A window that holds: all of its panes contribute. */
static enum status window_contribute(struct panes *panes, size_t last, struct window_news *news)
{
	const struct pane *ends = &panes->panes[last];
	size_t first = last;
	while (first > 0 && window_has(ends, &panes->panes[first - 1]))
		first--;
	enum status status = OK;
	for (size_t i = first; status == OK && i <= last; i++)
		if (!panes->panes[i].contributes)
			status = pane_contribute(&panes->panes[i], news);
	return status;
}

/* An event was added to a window: counts it when it is not counted, and judges it when that, or a
 * register that rose, may have made a difference. What is said does not depend on whether it had to
 * be counted: so a restart does not show. */
static enum status window_judge(struct panes *panes, const struct panes_shape *shape, size_t last,
				bool raised, struct window_news *news)
{
	struct pane *ends = &panes->panes[last];
	enum status status = ends->counts == NULL ? window_count(panes, shape, last) : OK;
	if (status != OK || (!raised && ends->holds))
		return status;
	double estimate = cardinality_estimate(shape->precision, ends->counts);
	if (!ends->holds && estimate < (double)shape->at_least)
		return OK;
	(void)snprintf(news->detail, sizeof news->detail,
		       "about %.0f different values (standard error %.2g %%)", estimate,
		       100 * cardinality_error(shape->precision));
	if (ends->holds)
		return OK;
	ends->holds = true;
	return window_contribute(panes, last, news);
}

/* Shows one value to the pane at p, and to the windows that have been counted. */
static enum status value_add(struct panes *panes, const struct panes_shape *shape, size_t p,
			     uint64_t value, bool *ret_raised)
{
	struct pane *pane = &panes->panes[p];
	struct cardinality_mark mark = cardinality_mark(shape->precision, value);
	if (mark.rank <= cardinality_rank(&pane->values, mark.at))
		return OK;
	for (size_t i = p; i < panes->count && window_has(&panes->panes[i], pane); i++)
		if (panes->panes[i].counts != NULL)
			window_raise(panes, i, mark);
	*ret_raised = true;
	return cardinality_raise(&pane->values, mark);
}

enum status panes_add(struct panes *panes, const struct panes_shape *shape,
		      const struct panes_event *event, struct window_news *news)
{
	assert(event->value_count > 0);
	int64_t time_us = event->proof->evidence.time_us;
	size_t p = 0;
	bool raised = false;
	enum status status = pane_at(panes, shape, pane_index(shape, time_us), &p);
	if (status != OK)
		return status;
	struct pane *pane = &panes->panes[p];
	pane_show(pane, event->proof);
	news->approximate = true;
	news->degraded = news->degraded || panes->cut;
	if (pane->contributes)
		status = window_items_push(&news->contributed, time_us, event->proof);
	for (size_t i = 0; status == OK && i < event->value_count; i++)
		status = value_add(panes, shape, p, event->values[i], &raised);
	for (size_t i = p; i < panes->count && window_has(&panes->panes[i], pane); i++) {
		if (status == OK)
			status = window_judge(panes, shape, i, raised, news);
		if (status == OK && panes->panes[i].holds && !pane->contributes)
			status = pane_contribute(pane, news);
	}
	return status;
}

void panes_settle(struct panes *panes, const struct panes_shape *shape, int64_t watermark_us)
{
	size_t gone = 0;
	while (gone < panes->count && (watermark_us == INT64_MAX ||
				       time_passed(panes->panes[gone].index, PANES_A_WINDOW - 1,
						   pane_index(shape, watermark_us))))
		gone++;
	if (gone == panes->count)
		panes_done(panes);
	else
		drop_first(panes, gone);
}

int64_t panes_deadline(const struct panes *panes, const struct panes_shape *shape)
{
	assert(panes->count > 0);
	int64_t width = pane_width(shape);
	int64_t first_us = panes->panes[0].first_us;
	int64_t into_us = first_us % width < 0 ? first_us % width + width : first_us % width;
	int64_t span_us = width * PANES_A_WINDOW - 1 - into_us;
	return first_us > INT64_MAX - span_us ? INT64_MAX : first_us + span_us;
}

void panes_done(struct panes *panes)
{
	for (size_t i = 0; i < panes->count; i++)
		pane_done(&panes->panes[i]);
	free(panes->panes);
	*panes = (struct panes){0};
}

size_t panes_bytes(const struct panes *panes)
{
	size_t size = panes->capacity * sizeof *panes->panes;
	for (size_t i = 0; i < panes->count; i++) {
		const struct pane *pane = &panes->panes[i];
		size += cardinality_bytes(&pane->values);
		size += pane->counts != NULL ? sizeof *pane->counts : 0;
		size += pane->first != NULL ? (size_t)pane->first->size + pane->last->size : 0;
	}
	return size;
}

void panes_encode(const struct panes *panes, struct bytes *to)
{
	bytes_put_varint(to, panes->count);
	if (panes->count == 0)
		return;
	bytes_put_u8(to, panes->cut);
	for (size_t i = 0; i < panes->count; i++) {
		const struct pane *pane = &panes->panes[i];
		unsigned flags = (pane->contributes ? PANE_CONTRIBUTES : 0u) |
				 (pane->holds ? PANE_HOLDS : 0u);
		bytes_put_signed(to, pane->first_us);
		bytes_put_varint(to, (uint64_t)pane->last_us - (uint64_t)pane->first_us);
		bytes_put_varint(to, pane->event_count);
		bytes_put_u8(to, (uint8_t)flags);
		cardinality_encode(&pane->values, to);
		if (pane->contributes)
			continue;
		proof_encode(pane->first, to);
		proof_encode(pane->last, to);
	}
}

/* The times and numbers of a pane; its index follows from them. */
static bool head_decode(struct cursor *from, const struct panes_shape *shape, struct pane *pane)
{
	pane->first_us = cursor_signed(from);
	uint64_t duration = cursor_varint(from);
	pane->event_count = cursor_varint(from);
	uint8_t flags = cursor_u8(from);
	if (from->failed || flags >= 2 * PANE_HOLDS || pane->event_count == 0 ||
	    duration >= (uint64_t)pane_width(shape) ||
	    duration > (uint64_t)INT64_MAX - (uint64_t)pane->first_us)
		return false;
	pane->last_us = (int64_t)((uint64_t)pane->first_us + duration);
	pane->contributes = (flags & PANE_CONTRIBUTES) != 0;
	pane->holds = (flags & PANE_HOLDS) != 0;
	pane->index = pane_index(shape, pane->first_us);
	return pane_index(shape, pane->last_us) == pane->index &&
	       (pane->contributes || !pane->holds);
}

static enum status proofs_decode(struct cursor *from, struct pane *pane)
{
	enum status status = proof_decode(from, &pane->first);
	if (status == OK)
		status = proof_decode(from, &pane->last);
	if (status != OK)
		return status;
	bool sound = pane->first->evidence.time_us == pane->first_us &&
		     pane->last->evidence.time_us == pane->last_us;
	return sound ? OK : ECORRUPT;
}

enum status panes_decode(struct cursor *from, const struct panes_shape *shape, struct panes *panes)
{
	assert(panes->count == 0 && panes->panes == NULL);
	uint64_t count = cursor_varint(from);
	if (from->failed || count > PANES_MAX || count > cursor_left(from))
		return ECORRUPT;
	if (count == 0)
		return OK;
	uint8_t cut = cursor_u8(from);
	if (cut > 1)
		return ECORRUPT;
	panes->cut = cut == 1;
	panes->panes = calloc(count, sizeof *panes->panes);
	if (panes->panes == NULL)
		return ENOMEMORY;
	panes->capacity = count;
	for (size_t i = 0; i < count; i++) {
		struct pane *pane = &panes->panes[panes->count++];
		pane->values.precision = shape->precision;
		if (!head_decode(from, shape, pane) ||
		    (i > 0 && panes->panes[i - 1].index >= pane->index))
			return ECORRUPT;
		enum status status = cardinality_decode(from, &pane->values);
		if (status == OK && !pane->contributes)
			status = proofs_decode(from, pane);
		if (status != OK)
			return status;
	}
	return OK;
}
