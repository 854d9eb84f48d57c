/* Keeping the best: items are collected up to twice the limit, then sorted and cut to it, which
 * costs a comparison or two for each event that is offered; the worst that was kept tells what
 * need not be offered any more. */
#include <assert.h>
#include <stdlib.h>

#include "storage/search_private.h"
#include "storage/term.h"

/* Only its value counts: numbers, then texts, then nothing. */
static int key_compare(const struct sort_key *a, const struct sort_key *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->kind == SORT_NUMBER)
		return number_compare(&a->number, &b->number);
	return a->kind == SORT_TEXT ? text_compare(a->text, b->text) : 0;
}

bool sort_key_of(const struct event *event, struct text name, struct bytes *scratch,
		 struct sort_key *ret_key)
{
	const struct value *value = NULL;
	for (size_t i = 0; value == NULL && i < event->field_count; i++)
		if (text_equal(event->fields[i].name, name))
			value = &event->fields[i].value;
	*ret_key = (struct sort_key){.kind = SORT_NOTHING};
	if (value == NULL || value->type == VALUE_NULL || value->type == VALUE_EMPTY)
		return true;
	if (number_parse(value->text, &ret_key->number)) {
		ret_key->kind = SORT_NUMBER;
		return true;
	}
	struct text text = value->text;
	ret_key->kind = SORT_TEXT;
	if (!term_fold(text, scratch, &ret_key->text))
		return false;
	if (ret_key->text.size > SORT_KEY_MAX)
		ret_key->text.size = SORT_KEY_MAX;
	return true;
}

int hit_compare(enum search_order order, const struct search_hit *a, const struct search_hit *b)
{
	int by_origin = origin_compare(&a->origin, &b->origin);
	if (order == SEARCH_BY_ORIGIN)
		return by_origin;
	int by_time = (a->time_us > b->time_us) - (a->time_us < b->time_us);
	int both = by_time != 0 ? by_time : by_origin;
	if (order == SEARCH_BY_FIELD_UP || order == SEARCH_BY_FIELD_DOWN) {
		int by_key = key_compare(&a->key, &b->key);
		bool nothing = a->key.kind == SORT_NOTHING || b->key.kind == SORT_NOTHING;
		if (by_key != 0)
			return order == SEARCH_BY_FIELD_UP || nothing ? by_key : -by_key;
		return -both;
	}
	return order == SEARCH_NEWEST ? -both : both;
}

static int item_compare(const void *a, const void *b, void *context)
{
	return hit_compare(*(const enum search_order *)context, a, b);
}

static void item_free(struct search_hit *hit)
{
	free((void *)(uintptr_t)hit->origin.topic.data); /* begin of the one allocation */
	*hit = (struct search_hit){0};
}

static size_t item_bytes(const struct search_hit *hit)
{
	return sizeof *hit + hit->origin.topic.size + hit->owner.size + hit->json.size +
	       hit->key.text.size;
}

/* Sorts and keeps `count` of them. */
static void cut(struct hits *hits, size_t count)
{
	if (hits->count == 0)
		return;
	qsort_r(hits->items, hits->count, sizeof *hits->items, item_compare, &hits->order);
	while (hits->count > count) {
		hits->bytes -= item_bytes(&hits->items[hits->count - 1]);
		item_free(&hits->items[--hits->count]);
		hits->limited = true;
		hits->full = true;
	}
	if (hits->full && hits->count > 0)
		hits->worst = hits->items[hits->count - 1];
}

bool hits_want(const struct hits *hits, const struct search_hit *place)
{
	return !hits->full ||
	       (hits->count > 0 && hit_compare(hits->order, place, &hits->worst) < 0);
}

static bool reserve(struct hits *hits)
{
	if (hits->count < hits->capacity)
		return true;
	size_t capacity = hits->capacity == 0 ? 64 : 2 * hits->capacity;
	struct search_hit *items = realloc(hits->items, capacity * sizeof *items);
	if (items == NULL)
		return false;
	hits->items = items;
	hits->capacity = capacity;
	return true;
}

/* The event with the named fields only; its field array is in *fields (malloc). */
static bool project(const struct event *event, const struct text *names, size_t name_count,
		    struct event *ret_event)
{
	*ret_event = *event;
	if (name_count == 0)
		return true;
	ret_event->fields = malloc((event->field_count + 1) * sizeof *event->fields);
	ret_event->field_count = 0;
	ret_event->quality = 0;
	if (ret_event->fields == NULL)
		return false;
	for (size_t k = 0; k < name_count; k++)
		for (size_t i = 0; i < event->field_count; i++)
			if (text_equal(event->fields[i].name, names[k]))
				ret_event->fields[ret_event->field_count++] = event->fields[i];
	return true;
}

static struct text place_text(char **at, struct text text)
{
	struct text placed = {*at, text.size};
	if (text.size > 0)
		memcpy(*at, text.data, text.size);
	*at += text.size;
	return placed;
}

bool hits_add(struct hits *hits, const struct event *event, const struct sort_key *key,
	      const struct text *fields, size_t field_count)
{
	struct event shown;
	bytes_clear(&hits->json);
	if (!project(event, fields, field_count, &shown))
		return false;
	event_json(&shown, &hits->json);
	if (shown.fields != event->fields)
		free(shown.fields);
	struct text json = bytes_text(&hits->json);
	char *at = malloc(event->origin.topic.size + event->owner.size + json.size +
			  key->text.size + 1);
	if (hits->json.failed || at == NULL || !reserve(hits)) {
		free(at);
		return false;
	}
	struct search_hit hit = {.time_us = event->time_us, .origin = event->origin, .key = *key};
	hit.origin.topic = place_text(&at, event->origin.topic);
	hit.owner = place_text(&at, event->owner);
	hit.json = place_text(&at, json);
	hit.key.text = place_text(&at, key->text);
	hits->items[hits->count++] = hit;
	hits->bytes += item_bytes(&hit);
	if (hits->bytes > SEARCH_HIT_BYTES_MAX) {
		cut(hits, hits->limit < hits->count / 2 ? hits->limit : (hits->count + 1) / 2);
		hits->limit = hits->count; /* memory is the limit from now on */
	} else if (hits->count >= 2 * hits->limit + 16) {
		cut(hits, hits->limit);
	}
	return true;
}

void hits_finish(struct hits *hits)
{
	cut(hits, hits->limit);
}

void hits_done(struct hits *hits)
{
	for (size_t i = 0; i < hits->count; i++)
		item_free(&hits->items[i]);
	free(hits->items);
	bytes_done(&hits->json);
	*hits = (struct hits){0};
}
