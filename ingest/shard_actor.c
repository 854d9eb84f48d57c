/* The actor of a shard: how much memory it has, where it spills, what it counted, and whom it had
 * to refuse. A reload makes another one; what was counted goes on. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "ingest/runtime_private.h"
#include "ingest/spill_rows.h"

static const int64_t us_per_hour = 3600000000;

enum status shard_actor_new(struct shard *shard, const struct plan *plan, struct actor **ret_actor,
			    struct spill_rows **ret_spill, struct error *err)
{
	const struct runtime_options *options = &shard->runtime->options;
	struct spill_rows *spill cleanup(spill_rows_free) = NULL;
	if (spill_rows_new(options->store, shard->index, shard->spill_serial++, &spill) != OK)
		return error_set(err, ENOMEMORY, "no memory for an actor");
	struct actor_options actor = {
		.plan = plan,
		.index = shard->index,
		.actor_count = options->actor_count,
		.cells_max = options->groups_max,
		.memory_max = options->correlation_bytes / options->actor_count,
		.spill = spill_rows_spill(spill),
	};
	enum status status = actor_new(&actor, ret_actor, err);
	if (status == OK)
		*ret_spill = TAKE(spill);
	return status;
}

void actor_counters_add(struct actor_counters *to, const struct actor_counters *from)
{
	to->records += from->records;
	to->unknown_state += from->unknown_state;
	to->late_counted += from->late_counted;
	to->late_dropped += from->late_dropped;
	to->cells += from->cells;
	to->cells_refused += from->cells_refused;
	to->cell_bytes += from->cell_bytes;
	to->cells_estimating += from->cells_estimating;
	to->cells_packed += from->cells_packed;
	to->cells_spilled += from->cells_spilled;
	to->spills += from->spills;
	to->spill_reads += from->spill_reads;
	to->spill_failures += from->spill_failures;
}

/* What is there now is the new actor's. */
void shard_keep_counters(struct shard *shard)
{
	struct actor_counters old = actor_counters(shard->actor);
	old.cells = old.cell_bytes = old.cells_packed = old.cells_spilled = 0;
	old.cells_estimating = 0;
	actor_counters_add(&shard->before, &old);
}

struct actor_counters shard_counters(const struct shard *shard)
{
	struct actor_counters counters = actor_counters(shard->actor);
	actor_counters_add(&counters, &shard->before);
	return counters;
}

static void counts_free(uint64_t **counts)
{
	free(*counts);
}

enum status shard_put_groups(const struct shard *shard, struct bytes *news)
{
	const struct plan *plan = shard->rules->plan;
	size_t count = plan_unit_count(plan);
	uint64_t *counts cleanup(counts_free) = calloc(count + 1, sizeof *counts);
	if (counts == NULL)
		return ENOMEMORY;
	actor_count_cells(shard->actor, counts);
	for (size_t i = 0; i < count; i++)
		if (counts[i] > 0)
			rule_news_put(news,
				      &(struct rule_tally){.key = plan_unit(plan, i)->rule->key,
							   .groups = counts[i]});
	return bytes_status(news);
}

/* Once an hour of event time for each rule and tenant: the id says no more than that. */
void shard_put_refusals(struct shard *shard, int64_t watermark_us, struct verdicts *to)
{
	struct bytes subject cleanup(bytes_done) = {0};
	char reason[ALERT_REASON_BYTES_MAX];
	size_t count = 0;
	const struct refusal *refusals = actor_refusals(shard->actor, &count);
	for (size_t i = 0; i < count; i++) {
		const struct rule *rule = refusals[i].unit->rule;
		struct text tenant = refusals[i].tenant;
		bytes_clear(&subject);
		bytes_write(&subject, rule->key);
		bytes_write_string(&subject, " ");
		bytes_write(&subject, tenant);
		(void)snprintf(reason, sizeof reason,
			       "rule %.*s has too many groups of tenant %.*s: new ones are not "
			       "watched until old ones are over; see correlation.groups_max, and "
			       "picket status --state for who opens them",
			       TEXT_ARG(rule->key), TEXT_ARG(tenant));
		bool known = watermark_us != INT64_MIN && watermark_us != INT64_MAX;
		int64_t hour_us = known ? watermark_us - watermark_us % us_per_hour : 0;
		uint64_t mark = XXH3_64bits_withSeed(subject.data, subject.size, (uint64_t)hour_us);
		if (bytes_status(&subject) == OK && !told_already(&shard->told, mark))
			health_alert(&(struct health_note){.kind = HEALTH_GROUPS,
							   .subject = bytes_text(&subject),
							   .reason = text_of(reason),
							   .epoch = shard->epoch,
							   .time_us = hour_us},
				     &to->rows, &to->announcements);
		to->rows.failed = to->rows.failed || subject.failed;
	}
}
