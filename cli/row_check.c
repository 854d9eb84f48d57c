#include "cli/row_check.h"

#include "cli/action.h"
#include "cli/audit.h"
#include "cli/gate_rows.h"
#include "cli/receiver.h"
#include "storage/rows.h"

enum { ROW_ARENA_BYTES = 16 * 1024 * 1024 };

static enum status position_check(struct text key, struct text value, struct error *err)
{
	struct position_row position;
	struct epoch_row epoch;
	struct identity_row identity;
	switch (key.size == 0 ? 0 : key.data[0]) {
	case 's':
		return position_decode(key, value, &position, err);
	case 'e':
		return epoch_decode(value, &epoch, err);
	case 'i':
		return identity_decode(value, &identity, err);
	default:
		return OK;
	}
}

static enum status alert_check(struct text key, struct text value, struct error *err)
{
	struct alert alert;
	struct actions actions;
	if (key.size > 0 && key.data[0] == 'u')
		return actions_decode(value, &actions, err);
	return alert_decode(value, &alert, err);
}

static enum status outbox_check(struct text key, struct text value, struct error *err)
{
	struct cursor from = cursor_of(value);
	(void)cursor_varint(&from);
	struct text id = cursor_text(&from);
	if (key.size == sizeof(uint64_t) && !from.failed && cursor_left(&from) == 0 &&
	    id.size == ALERT_ID_SIZE)
		return OK;
	return error_set(err, ECORRUPT, "a row of the outbox cannot be read");
}

/* What the gate's services have done; the decoded form goes with the arena. */
static enum status cohort_check(char kind, struct text value, struct error *err)
{
	struct arena *arena cleanup(arena_free) = arena_new(ROW_ARENA_BYTES);
	struct bucket bucket;
	struct finding finding;
	struct instance instance;
	if (arena == NULL)
		return error_set(err, ENOMEMORY, "no memory to check a row");
	if (kind == 'b')
		return bucket_decode(value, arena, &bucket, err);
	return kind == 'f' ? finding_decode(value, arena, &finding, err)
			   : instance_decode(value, arena, &instance, err);
}

static enum status registry_check(struct text key, struct text value, struct error *err)
{
	struct gate_note note;
	struct receiver_progress progress;
	struct undelivered undelivered;
	char kind = key.size == 0 ? '\0' : key.data[0];
	switch (kind) {
	case 'b':
	case 'f':
	case 'i':
		return cohort_check(kind, value, err);
	case 'v':
	case 'o':
	case 'h':
		return gate_note_decode(value, &note, err);
	case 'r':
		return receiver_progress_decode(value, &progress, err);
	case 'x':
		return undelivered_decode(value, &undelivered, err);
	default:
		return OK;
	}
}

enum status row_check(enum store_family family, struct text key, struct text value,
		      struct error *err)
{
	struct quarantine_row quarantine;
	struct audit_row audit;
	uint64_t epoch = 0;
	char kind = 0;
	switch (family) {
	case FAMILY_POSITION:
		return position_check(key, value, err);
	case FAMILY_ALERT:
		return alert_check(key, value, err);
	case FAMILY_OUTBOX:
		return outbox_check(key, value, err);
	case FAMILY_QUARANTINE:
		return quarantine_decode(key, value, &quarantine, err);
	case FAMILY_MATCH:
		return match_key_decode(key, &epoch, &kind, err);
	case FAMILY_REGISTRY:
		return registry_check(key, value, err);
	case FAMILY_AUDIT:
		return audit_decode(value, &audit, err);
	default:
		return OK;
	}
}
