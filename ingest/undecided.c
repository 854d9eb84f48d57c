#include "ingest/undecided.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/runtime_private.h"

struct given_up {
	uint64_t count; /* 0: never */
	int64_t first_us, last_us;
	char *file; /* of the first event, by (time, file, line) */
	int64_t line;
};

struct undecided {
	const struct ruleset *ruleset;
	struct given_up *rules; /* by rule index */
	bool failed;
};

struct undecided *undecided_new(const struct ruleset *ruleset)
{
	struct undecided *undecided = calloc(1, sizeof *undecided);
	if (undecided == NULL)
		return NULL;
	undecided->ruleset = ruleset;
	undecided->rules = calloc(ruleset_count(ruleset) + 1, sizeof *undecided->rules);
	if (undecided->rules == NULL)
		undecided_free(&undecided);
	return undecided;
}

void undecided_free(struct undecided **undecided)
{
	struct undecided *old = *undecided;
	if (old == NULL)
		return;
	for (size_t i = 0; old->rules != NULL && i < ruleset_count(old->ruleset); i++)
		free(old->rules[i].file);
	free(old->rules);
	free(old);
	*undecided = NULL;
}

static bool is_earlier(const struct event *event, const struct given_up *than)
{
	if (than->count == 0 || event->time_us != than->first_us)
		return than->count == 0 || event->time_us < than->first_us;
	int order = text_compare(event->origin.topic, text_of(than->file));
	return order < 0 || (order == 0 && event->origin.offset < than->line);
}

void undecided_note(struct undecided *undecided, uint32_t rule, const struct event *event)
{
	assert(rule < ruleset_count(undecided->ruleset));
	struct given_up *of = &undecided->rules[rule];
	if (of->count == 0 || event->time_us > of->last_us)
		of->last_us = event->time_us;
	if (is_earlier(event, of)) {
		struct text topic = event->origin.topic;
		char *file = strndup(topic.size == 0 ? "" : topic.data, topic.size);
		undecided->failed |= file == NULL;
		if (file == NULL)
			return;
		free(of->file);
		of->file = file;
		of->line = event->origin.offset;
		of->first_us = event->time_us;
	}
	of->count++;
}

/* What is told about one rule. */
struct telling {
	struct bytes group;
	char reason[1024];
	struct alert alert;
};

static void make_alert(const struct rule *rule, const struct given_up *of, struct telling *telling)
{
	(void)snprintf(
		telling->reason, sizeof telling->reason,
		"rule \"%.*s\" could not be decided for %llu event%s, first for %s:%lld: its "
		"pattern reached a limit; simplify it or shorten the field",
		TEXT_ARG(rule->title), (unsigned long long)of->count, of->count == 1 ? "" : "s",
		of->file, (long long)of->line);
	const struct health_note note = {.kind = HEALTH_UNDECIDED,
					 .subject = rule->key,
					 .reason = text_of(telling->reason),
					 .time_us = of->first_us};
	health_make(&note, &telling->group, &telling->alert);
	telling->alert.count = of->count;
	telling->alert.last_us = of->last_us;
}

enum status undecided_tell(const struct undecided *undecided,
			   void (*on_alert)(void *context, const struct alert *alert),
			   void *context, size_t *ret_count)
{
	size_t told = 0;
	bool failed = undecided->failed;
	for (size_t i = 0; i < ruleset_count(undecided->ruleset) && !failed; i++) {
		if (undecided->rules[i].count == 0)
			continue;
		struct telling telling = {0};
		make_alert(ruleset_rule(undecided->ruleset, i), &undecided->rules[i], &telling);
		failed = telling.group.failed;
		if (!failed && on_alert != NULL)
			on_alert(context, &telling.alert);
		bytes_done(&telling.group);
		told++;
	}
	if (failed)
		return ENOMEMORY;
	*ret_count = told;
	return OK;
}
