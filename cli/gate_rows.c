#include "cli/gate_rows.h"

#include <assert.h>

#include "storage/rows.h"

enum { VERSION = 1 };

static struct text cut(struct text text)
{
	if (text.size > GATE_NOTE_MAX)
		text.size = GATE_NOTE_MAX;
	return text;
}

void gate_note_encode(const struct gate_note *note, struct bytes *to)
{
	bytes_put_u8(to, VERSION);
	bytes_put_signed(to, note->time_us);
	bytes_put_u8(to, (uint8_t)note->verdict);
	bytes_put_u8(to, note->dry);
	bytes_put_text(to, cut(note->who));
	bytes_put_text(to, cut(note->text));
	bytes_put_text(to, cut(note->policy));
}

enum status gate_note_decode(struct text value, struct gate_note *ret_note, struct error *err)
{
	struct cursor from = cursor_of(value);
	from.failed |= cursor_u8(&from) != VERSION;
	struct gate_note note = {.time_us = cursor_signed(&from)};
	uint8_t verdict = cursor_u8(&from);
	uint8_t dry = cursor_u8(&from);
	note.who = cursor_text(&from);
	note.text = cursor_text(&from);
	note.policy = cursor_text(&from);
	if (from.failed || cursor_left(&from) != 0 || verdict > VERDICT_UNAVAILABLE || dry > 1)
		return error_set(err, ECORRUPT, "a row of the gate's history cannot be read");
	note.verdict = verdict;
	note.dry = dry == 1;
	*ret_note = note;
	return OK;
}

/* service, and the canary as it was named ("2.1.0", "picket.deploy.id=..."). */
static void canary_names(const struct gate_query *query, struct bytes *scratch,
			 struct text ret_names[static 2])
{
	static const char *const PREFIXES[] = {
		[ARM_ANY] = "",
		[ARM_VERSION] = "service.version=",
		[ARM_DEPLOY_ID] = "picket.deploy.id=",
	};
	const char *prefix = PREFIXES[query->canary.field];
	bytes_clear(scratch);
	bytes_write_string(scratch, prefix);
	bytes_write(scratch, query->canary.value);
	ret_names[0] = query->service;
	ret_names[1] = bytes_text(scratch);
}

static void canary_key(char kind, const struct gate_query *query, int64_t time_us, struct bytes *to)
{
	struct bytes scratch cleanup(bytes_done) = {0};
	struct text names[2];
	canary_names(query, &scratch, names);
	registry_key(kind, names, 2, time_us, to);
	to->failed |= scratch.failed;
}

enum status gate_pardon_read(struct api *api, const struct gate_query *query, int64_t until_us,
			     int64_t *ret_pardon_us, struct error *err)
{
	int64_t newest_us = INT64_MIN;
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes prefix cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	canary_key('o', query, -1, &prefix);
	enum status status = store_scan_new(api->store, FAMILY_REGISTRY, bytes_text(&prefix),
					    bytes_text(&prefix), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct gate_note note;
		status = gate_note_decode(value, &note, err);
		if (status == OK && note.time_us > newest_us && note.time_us <= until_us)
			newest_us = note.time_us;
	}
	if (status == OK)
		status = store_scan_status(scan, err);
	if (status == OK)
		*ret_pardon_us = newest_us;
	return status;
}

enum status gate_latch_read(struct api *api, const struct gate_query *query, struct bytes *keep,
			    struct gate_latch *ret_latch, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct gate_latch latch = {.failed_us = INT64_MIN, .pardon_us = INT64_MIN};
	enum status status = gate_pardon_read(api, query, INT64_MAX, &latch.pardon_us, err);
	if (status != OK)
		return status;
	canary_key('v', query, -1, &key);
	bytes_clear(keep);
	status = store_get(api->store, FAMILY_REGISTRY, bytes_text(&key), keep, err);
	if (status != OK && status != ENOTFOUND)
		return status;
	struct gate_note note = {.time_us = INT64_MIN};
	if (status == OK)
		status = gate_note_decode(bytes_text(keep), &note, err);
	if (status == OK && note.time_us > latch.pardon_us) {
		latch.failed_us = note.time_us;
		latch.failed = note.text;
	}
	if (status != OK && status != ENOTFOUND)
		return status;
	*ret_latch = latch;
	return OK;
}

static void put_note(struct store_batch *batch, char kind, const struct gate_query *query,
		     bool timed, const struct gate_note *note, bool *failed)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	canary_key(kind, query, timed ? note->time_us : -1, &key);
	gate_note_encode(note, &value);
	*failed |= key.failed || value.failed;
	if (!*failed)
		store_batch_put(batch, FAMILY_REGISTRY, bytes_text(&key), bytes_text(&value));
}

enum status gate_verdict_write(struct api *api, const struct gate_query *query,
			       const struct gate_given *given, struct error *err)
{
	const struct gate_result *result = given->result;
	bool latches = result->verdict == VERDICT_FAIL && !given->dry && !given->latched;
	bool changed = result->verdict != given->told;
	bool failed = false;
	if ((!changed && !latches) || api->read_only)
		return OK;
	struct gate_note note = {.time_us = query->now_us,
				 .verdict = result->verdict,
				 .dry = given->dry,
				 .text = result->summary,
				 .policy = query->policy.name};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(api->store);
	if (batch == NULL)
		return error_set(err, ENOMEMORY, "no memory for a verdict");
	if (changed)
		put_note(batch, 'h', query, true, &note, &failed);
	if (latches)
		put_note(batch, 'v', query, false, &note, &failed);
	if (failed)
		return error_set(err, ENOMEMORY, "no memory for a verdict");
	return api_commit(api, batch, err);
}

enum status gate_override_write(struct api *api, const struct gate_query *query,
				const struct gate_note *note, struct error *err)
{
	bool failed = false;
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(api->store);
	if (batch == NULL)
		return error_set(err, ENOMEMORY, "no memory for an override");
	put_note(batch, 'o', query, true, note, &failed);
	if (failed)
		return error_set(err, ENOMEMORY, "no memory for an override");
	return api_commit(api, batch, err);
}

enum status gate_count_failing(struct api *api, struct text but, int64_t since_us,
			       size_t *ret_count, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes prefix cleanup(bytes_done) = {0};
	struct bytes last cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	size_t count = 0;
	registry_key('v', NULL, 0, -1, &prefix);
	enum status status = store_scan_new(api->store, FAMILY_REGISTRY, bytes_text(&prefix),
					    bytes_text(&prefix), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct text names[2];
		char kind = 0;
		int64_t time_us = 0;
		struct gate_note note;
		status = registry_key_decode(key, &kind, names, 2, &time_us, err);
		if (status == OK)
			status = gate_note_decode(value, &note, err);
		if (status != OK)
			break;
		/* Keys come in order of the service: two canaries of one are one. */
		if (note.time_us < since_us || text_equal(names[0], but) ||
		    text_equal(names[0], bytes_text(&last)))
			continue;
		count++;
		bytes_clear(&last);
		bytes_write(&last, names[0]);
	}
	*ret_count = count;
	return status == OK ? store_scan_status(scan, err) : status;
}
