#include "cli/rule_shadow.h"

#include <assert.h>
#include <xxhash.h>

#include "storage/rows.h"

enum { VERSION = 1 };

struct shadow_row {
	uint64_t state_id;
	int64_t since_us;
};

/* What a rule of type cohort_compare counts, and what is bad of it. */
static uint64_t counted_of(const struct generation *rules, const struct rule *rule)
{
	const struct correlation *correlation = rule->correlation;
	struct bytes counted cleanup(bytes_done) = {0};
	for (size_t i = 0; i < correlation->rule_count; i++)
		bytes_put_u64le(&counted,
				ruleset_rule(rules->parts.ruleset, correlation->rules[i])->shape);
	bytes_put_u8(&counted, correlation->cohort->two_sided);
	bytes_put_double(&counted, correlation->cohort->worse_by);
	return counted.failed ? 0 : XXH3_64bits(counted.data, counted.size);
}

/* 0 for a rule that has no state: its key is all that it is known by. */
static uint64_t state_of(const struct generation *rules, const struct rule *rule)
{
	if (rule->correlation != NULL && rule->correlation->cohort != NULL)
		return counted_of(rules, rule);
	const struct unit *unit = plan_unit_of(rules->plan, rule);
	return unit == NULL ? 0 : unit->state_id;
}

static enum status row_read(struct store *store, struct text rule_key, struct shadow_row *ret_row,
			    struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key('q', &rule_key, 1, -1, &key);
	if (key.failed)
		return error_set(err, ENOMEMORY, "no memory for a rule's shadow");
	enum status status = store_get(store, FAMILY_REGISTRY, bytes_text(&key), &value, err);
	if (status != OK)
		return status;
	struct cursor from = cursor_of(bytes_text(&value));
	uint8_t version = cursor_u8(&from);
	struct shadow_row row = {.state_id = cursor_u64le(&from)};
	row.since_us = cursor_signed(&from);
	if (from.failed || cursor_left(&from) != 0 || version != VERSION)
		return error_set(err, ECORRUPT, "the row of a rule's shadow cannot be read");
	*ret_row = row;
	return OK;
}

static enum status row_put(struct store_batch *batch, struct text rule_key,
			   const struct shadow_row *row)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key('q', &rule_key, 1, -1, &key);
	bytes_put_u8(&value, VERSION);
	bytes_put_u64le(&value, row->state_id);
	bytes_put_signed(&value, row->since_us);
	if (key.failed || value.failed)
		return ENOMEMORY;
	store_batch_put(batch, FAMILY_REGISTRY, bytes_text(&key), bytes_text(&value));
	return OK;
}

enum status rule_shadow_note(struct store *store, const struct generation *rules, int64_t now_us,
			     struct error *err)
{
	const struct ruleset *ruleset = rules->parts.ruleset;
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	enum status status = batch == NULL ? ENOMEMORY : OK;
	size_t count = 0;
	for (size_t i = 0; status == OK && i < ruleset_count(ruleset); i++) {
		const struct rule *rule = ruleset_rule(ruleset, i);
		struct shadow_row row = {0};
		if (rule->gate != GATE_BLOCK)
			continue;
		uint64_t state_id = state_of(rules, rule);
		status = row_read(store, rule->key, &row, err);
		if (status == OK && row.state_id == state_id)
			continue;
		if (status != OK && status != ENOTFOUND && status != ECORRUPT)
			return status;
		row = (struct shadow_row){state_id, now_us};
		status = row_put(batch, rule->key, &row);
		count++;
	}
	if (status != OK)
		return error_set(err, status, "no memory for the shadows of rules");
	return count == 0 ? OK : store_batch_commit(batch, false, err);
}

enum status rule_shadow_ends(struct store *store, const struct generation *rules, struct text key,
			     int64_t after_us, int64_t *ret_ends_us, struct error *err)
{
	assert(after_us >= 0);
	struct shadow_row row = {0};
	const struct rule *rule = rules == NULL ? NULL : ruleset_find(rules->parts.ruleset, key);
	if (after_us == 0) {
		*ret_ends_us = INT64_MIN;
		return OK;
	}
	enum status status = row_read(store, key, &row, err);
	if (status != OK && status != ENOTFOUND)
		return status;
	bool other = status == ENOTFOUND ||
		     (rule != NULL && row.state_id != state_of(rules, rule)) ||
		     row.since_us > INT64_MAX - after_us;
	*ret_ends_us = other ? INT64_MAX : row.since_us + after_us;
	return OK;
}
