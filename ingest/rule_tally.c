#include "ingest/rule_tally.h"

#include <assert.h>
#include <stdlib.h>

void rule_tallies_done(struct rule_tallies *tallies)
{
	for (size_t i = 0; i < tallies->count; i++)
		free((char *)tallies->items[i].key.data);
	free(tallies->items);
	*tallies = (struct rule_tallies){0};
}

static int tally_compare(const void *a, const void *b)
{
	const struct rule_tally *left = a;
	const struct rule_tally *right = b;
	return text_compare(left->key, right->key);
}

static struct rule_tally *find(const struct rule_tallies *tallies, struct text key)
{
	const struct rule_tally wanted = {.key = key};
	return tallies->count == 0 ? NULL
				   : bsearch(&wanted, tallies->items, tallies->count,
					     sizeof *tallies->items, tally_compare);
}

/* Gives the tally a key of its own; false: out of memory. */
static bool own_key(struct rule_tally *tally)
{
	char *key = malloc(tally->key.size + 1);
	if (key == NULL)
		return false;
	if (tally->key.size > 0)
		memcpy(key, tally->key.data, tally->key.size);
	key[tally->key.size] = '\0';
	tally->key.data = key;
	return true;
}

/* The tallies of items[0] to items[count - 1], with keys of their own. */
static enum status gather(const struct rule_tally *items, size_t count,
			  struct rule_tallies *ret_tallies)
{
	struct rule_tallies made cleanup(rule_tallies_done) = {
		.items = calloc(count + 1, sizeof *made.items)};
	if (made.items == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < count; i++) {
		made.items[i] = items[i];
		if (!own_key(&made.items[i]))
			return ENOMEMORY;
		made.count++;
	}
	*ret_tallies = made;
	made = (struct rule_tallies){0}; /* the caller's now */
	return OK;
}

/* Rules with the same key become one. */
static size_t merge_same(struct rule_tally *items, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		struct rule_tally *last = kept == 0 ? NULL : &items[kept - 1];
		if (last == NULL || !text_equal(last->key, items[i].key)) {
			items[kept++] = items[i];
			continue;
		}
		last->detects |= items[i].detects;
		last->alerts |= items[i].alerts;
		last->remembers |= items[i].remembers;
	}
	return kept;
}

static void items_free(struct rule_tally **items)
{
	free(*items);
}

enum status rule_tallies_follow(struct rule_tallies *tallies, const struct ruleset *ruleset)
{
	size_t count = ruleset_count(ruleset);
	struct rule_tallies next = {0};
	if (tallies->items != NULL && tallies->hash == ruleset_hash(ruleset))
		return OK;
	struct rule_tally *items cleanup(items_free) = calloc(count + 1, sizeof *items);
	if (items == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < count; i++) {
		const struct rule *rule = ruleset_rule(ruleset, i);
		const struct rule_tally *before = find(tallies, rule->key);
		if (before != NULL)
			items[i] = *before;
		items[i].key = rule->key;
		items[i].detects = rule->correlation == NULL;
		items[i].alerts = rule->alerts;
		items[i].remembers = rule->alerts || rule->correlation != NULL;
	}
	qsort(items, count, sizeof *items, tally_compare);
	enum status status = gather(items, merge_same(items, count), &next);
	if (status != OK)
		return status;
	rule_tallies_done(tallies);
	*tallies = next;
	tallies->hash = ruleset_hash(ruleset);
	return OK;
}

enum status rule_tallies_copy(const struct rule_tallies *from, struct rule_tallies *ret_copy)
{
	enum status status = gather(from->items, from->count, ret_copy);
	if (status == OK)
		ret_copy->hash = from->hash;
	return status;
}

void rule_news_put(struct bytes *news, const struct rule_tally *tally)
{
	bytes_put_text(news, tally->key);
	bytes_put_varint(news, tally->evaluations);
	bytes_put_varint(news, tally->matches);
	bytes_put_varint(news, tally->opened);
	bytes_put_varint(news, tally->groups);
}

void rule_tallies_add(struct rule_tallies *tallies, struct text news)
{
	struct cursor from = cursor_of(news);
	while (cursor_left(&from) > 0) {
		struct rule_tally *to = find(tallies, cursor_text(&from));
		uint64_t evaluations = cursor_varint(&from), matches = cursor_varint(&from);
		uint64_t opened = cursor_varint(&from), groups = cursor_varint(&from);
		assert(!from.failed); /* we wrote it ourselves */
		if (to == NULL)
			continue;
		to->evaluations += evaluations;
		to->matches += matches;
		to->opened += opened;
		to->groups += groups;
	}
}

void rule_tallies_clear_groups(struct rule_tallies *tallies)
{
	for (size_t i = 0; i < tallies->count; i++)
		tallies->items[i].groups = 0;
}

void rule_watch_done(struct rule_watch *watch)
{
	free(watch->told);
	*watch = (struct rule_watch){0};
}

enum status rule_watch_tell(struct rule_watch *watch, const struct detect *detect,
			    const struct ruleset *ruleset, struct bytes *news)
{
	size_t count = ruleset_count(ruleset);
	if (watch->told == NULL)
		watch->told = calloc(count + 1, sizeof *watch->told);
	if (watch->told == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < count; i++) {
		const struct rule_counters *now = detect_rule_counters(detect, i);
		struct rule_counters *told = &watch->told[i];
		assert(now->evaluated >= told->evaluated && now->matches >= told->matches);
		if (now->evaluated == told->evaluated)
			continue; /* nothing matches without that */
		rule_news_put(news,
			      &(struct rule_tally){.key = ruleset_rule(ruleset, i)->key,
						   .evaluations = now->evaluated - told->evaluated,
						   .matches = now->matches - told->matches});
		*told = *now;
	}
	return bytes_status(news);
}
