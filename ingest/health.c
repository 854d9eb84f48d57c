/* Alerts about picket itself: the same rows as any alert, so that the same eyes see them. The id is
 * a hash of what happened, so telling it twice is telling it once. */
#include <assert.h>
#include <sodium.h>
#include <stdio.h>

#include "ingest/runtime_private.h"

static const struct {
	const char *rule, *title;
	enum rule_level level;
} kinds[HEALTH_KIND_COUNT] = {
	[HEALTH_DATA_GAP] = {"picket.data_gap", "Log records were lost before picket read them",
			     LEVEL_HIGH},
	[HEALTH_LOG_REWOUND] = {"picket.log_rewound", "A Kafka partition is shorter than it was",
				LEVEL_HIGH},
	[HEALTH_CRASHED] = {"picket.crashed", "A log message makes picket crash", LEVEL_HIGH},
	[HEALTH_STALLED] = {"picket.source_stalled", "A source stopped without proof of its end",
			    LEVEL_MEDIUM},
	[HEALTH_STORE_REWOUND] = {"picket.store_rewound", "The store lost its newest epochs",
				  LEVEL_HIGH},
	[HEALTH_STATE_REBUILT] = {"picket.state_rebuilt",
				  "What rules remembered was damaged and made anew", LEVEL_HIGH},
	[HEALTH_UNDECIDED] = {"rule.undecided", "A rule could not be decided for an event",
			      LEVEL_MEDIUM},
	[HEALTH_SECRET] = {"log.secret", "A service writes secrets into its log", LEVEL_MEDIUM},
	[HEALTH_LOG_GAP] = {"log.gap", "Numbered records of an instance are missing", LEVEL_MEDIUM},
	[HEALTH_LOG_REPLAY] = {"log.replay", "Records of an instance came again", LEVEL_MEDIUM},
	[HEALTH_LOG_SILENT] = {"log.silent", "An instance stopped logging", LEVEL_LOW},
	[HEALTH_SERVICE_SILENT] = {"log.silent", "A service stopped logging", LEVEL_HIGH},
	[HEALTH_SPOOF] = {"log.spoof", "A log claims an identity that may not write there",
			  LEVEL_HIGH},
	[HEALTH_GROUPS] = {"rule.groups", "A rule has more groups of a tenant than it may watch",
			   LEVEL_HIGH},
};

static void health_id(const char *rule, struct text subject, int64_t time_us,
		      char id[static ALERT_ID_SIZE + 1])
{
	struct bytes what cleanup(bytes_done) = {0};
	unsigned char hash[ALERT_ID_SIZE / 2];
	bytes_put_text(&what, text_of(rule));
	bytes_put_text(&what, subject);
	bytes_put_signed(&what, time_us);
	int failed = crypto_generichash(hash, sizeof hash, what.data, what.size, NULL, 0);
	assert(failed == 0);
	(void)sodium_bin2hex(id, ALERT_ID_SIZE + 1, hash, sizeof hash);
}

void health_make(const struct health_note *note, struct bytes *group, struct alert *ret_alert)
{
	assert(note->kind < HEALTH_KIND_COUNT);
	const char *rule = kinds[note->kind].rule;
	bytes_put_text(group, TEXT("subject"));
	bytes_put_text(group, note->subject);
	*ret_alert = (struct alert){
		.revision = 1,
		.state = ALERT_ENDED,
		.flags = note->flags,
		.opened_epoch = note->epoch,
		.rule_id = text_of(rule),
		.rule_name = text_of(rule),
		.rule_title = text_of(kinds[note->kind].title),
		.rule_key = text_of(rule),
		.level = kinds[note->kind].level,
		.group = bytes_text(group),
		.count = 1,
		.threshold = 1,
		.first_us = note->time_us,
		.last_us = note->time_us,
		.reason = note->reason,
	};
	health_id(rule, note->subject, note->time_us, ret_alert->id);
}

bool told_already(struct told *told, uint64_t mark)
{
	size_t count = sizeof told->marks / sizeof mark;
	for (size_t i = 0; i < count; i++)
		if (told->marks[i] == mark)
			return true;
	told->marks[told->next++ % count] = mark;
	return false;
}

void health_alert(const struct health_note *note, struct bytes *rows, struct bytes *announcements)
{
	struct bytes group cleanup(bytes_done) = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct alert alert;
	health_make(note, &group, &alert);
	alert_key('a', text_of(alert.id), &key);
	alert_encode(&alert, &value);
	rows_put(rows, FAMILY_ALERT, bytes_text(&key), bytes_text(&value));
	rows->failed = rows->failed || group.failed || key.failed || value.failed;
	if ((note->flags & ALERT_BACKFILL) != 0)
		return; /* history is told to nobody */
	bytes_put_text(announcements, text_of(alert.id));
	bytes_put_varint(announcements, 1);
}
