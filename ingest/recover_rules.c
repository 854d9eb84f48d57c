/* A start with other rules than the store ran with last: files changed while the daemon was down,
 * or it was killed around a reload. The store remembers the hash of its rules, not the rules.
 *
 * Cells and match rows are taken over by state id, as in a reload: what a rule that is gone
 * remembered is dropped, and a rule with another threshold goes on under the new one. Two things
 * are different from a start with the same rules, whose replay only repeats what is stored:
 *
 *   what the replay raises is news     rows between checkpoint and end are judged by rules that did
 *                                      not judge them before, so their alerts are written
 *   alerts may have lost their cell    one that is open in the store and in no cell would stay open
 *                                      for ever: it ends now, as it stands
 *
 * Both may be done twice (a crash before the first epoch under the new rules): the rows are the
 * same, and receivers know alerts by id and revision. */
#include <assert.h>
#include <stdlib.h>

#include "ingest/runtime_private.h"

bool recover_other_rules(const struct runtime *runtime)
{
	uint64_t before = runtime->committer.row.ruleset_hash;
	return before != 0 && before != runtime->gate.current->hash;
}

static int id_compare(const void *a, const void *b)
{
	return memcmp(a, b, ALERT_ID_SIZE);
}

/* The ids of all alerts that some cell still feeds, sorted. */
static enum status open_ids(struct runtime *runtime, struct bytes *to, struct error *err)
{
	for (unsigned i = 0; i < runtime->options.actor_count; i++) {
		enum status status = actor_list_open(runtime->shards[i].actor, to, err);
		if (status != OK)
			return status;
	}
	if (to->size > ALERT_ID_SIZE)
		qsort(to->data, to->size / ALERT_ID_SIZE, ALERT_ID_SIZE, id_compare);
	return bytes_status(to);
}

static bool is_fed(const struct bytes *ids, const struct alert *alert)
{
	return ids->size > 0 && bsearch(alert->id, ids->data, ids->size / ALERT_ID_SIZE,
					ALERT_ID_SIZE, id_compare) != NULL;
}

static enum status end_orphan(struct text key, struct text value, const struct bytes *ids,
			      struct verdicts *to, struct error *err)
{
	struct bytes encoded cleanup(bytes_done) = {0};
	struct alert alert = {0};
	enum status status = alert_decode(value, &alert, err);
	if (status != OK || alert.state != ALERT_OPEN || is_fed(ids, &alert))
		return status;
	alert.state = ALERT_ENDED;
	if (alert.revision < UINT32_MAX)
		alert.revision++;
	alert_encode(&alert, &encoded);
	rows_put(&to->rows, FAMILY_ALERT, key, bytes_text(&encoded));
	if ((alert.flags & (ALERT_BACKFILL | ALERT_SHADOW)) == 0) {
		bytes_put_text(&to->announcements, text_of(alert.id));
		bytes_put_varint(&to->announcements, alert.revision);
	}
	return encoded.failed ? ENOMEMORY : OK;
}

static enum status end_orphans(struct runtime *runtime, struct verdicts *to, struct error *err)
{
	struct bytes ids cleanup(bytes_done) = {0};
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	enum status status = open_ids(runtime, &ids, err);
	if (status == OK)
		status = store_scan_new(runtime->options.store, FAMILY_ALERT, TEXT("a"), TEXT("a"),
					&scan, err);
	while (status == OK && store_scan_next(scan, &key, &value))
		status = end_orphan(key, value, &ids, to, err);
	return status != OK ? status : store_scan_status(scan, err);
}

static enum status write_news(struct runtime *runtime, struct verdicts *news, struct error *err)
{
	if (news->rows.size == 0 && !news->rows.failed)
		return OK;
	struct store_batch *batch cleanup(store_batch_free) =
		store_batch_new(runtime->options.store);
	if (batch == NULL || news->rows.failed || news->announcements.failed)
		return ENOMEMORY;
	struct epoch_row row = runtime->committer.row;
	batch_news(batch, &row, &news->rows, &news->announcements);
	batch_epoch_row(batch, &row); /* of the same epoch: only the outbox moved on */
	enum status status = store_batch_commit(batch, true, err);
	if (status == OK)
		runtime->committer.row = row;
	bytes_clear(&news->rows);
	bytes_clear(&news->announcements);
	bytes_clear(&news->rule_news); /* counts are of this run */
	return status;
}

enum status recover_under_other_rules(struct runtime *runtime, struct verdicts *news,
				      struct error *err)
{
	enum status status = write_news(runtime, news, err);
	if (status == OK)
		status = end_orphans(runtime, news, err);
	return status == OK ? write_news(runtime, news, err) : status;
}
