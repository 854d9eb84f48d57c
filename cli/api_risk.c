/* /v1/risk: how much risk is on an entity now, and which rules put it there.
 *
 * Now is the watermark of the last checkpoint in the store (correlate/survey.h), as in /v1/state:
 * seconds ago, and what later events may still change is not in it. The rules know each other in
 * the cells by keyed hashes, so the store's key is needed to name them. */
#include <stdlib.h>
#include <strings.h>

#include "cli/api_private.h"
#include "correlate/risk_standing.h"
#include "correlate/survey.h"
#include "storage/rows.h"

static const double millionths = 1e6;

struct entity_risk {
	const struct rule *rule; /* of the live rules, not of the plan, which goes before */
	struct text tenant, field, value;
	int64_t at_us;
	struct risk_standing standing;
};

/* What is asked, and what was found so far. */
struct risk_search {
	struct text value;
	struct text fields; /* names with commas between them; size 0: any field */
	struct arena *arena;
	struct entity_risk *found;
	size_t count, limit;
	bool more; /* than the limit */
};

enum { RISK_SEARCH_BYTES_MAX = 1 << 26 };

static void search_done(struct risk_search *search)
{
	for (size_t i = 0; i < search->count; i++)
		risk_standing_done(&search->found[i].standing);
	free(search->found);
	arena_free(&search->arena);
}

static bool is_asked(const struct risk_search *search, struct text field, struct text value)
{
	struct text left = search->fields;
	if (value.size != search->value.size ||
	    strncasecmp(value.data, search->value.data, value.size) != 0)
		return false;
	bool any = left.size == 0;
	while (!any && left.size > 0) {
		const char *comma = memchr(left.data, ',', left.size);
		size_t size = comma == NULL ? left.size : (size_t)(comma - left.data);
		any = text_equal((struct text){left.data, size}, field);
		left = text_cut(left, comma == NULL ? size : size + 1);
	}
	return any;
}

/* The place of one more: the end, or that of the least when there are enough; NULL: it is less. */
static struct entity_risk *place_of(struct risk_search *search,
				    const struct risk_standing *standing)
{
	struct entity_risk *least = &search->found[0];
	if (search->count < search->limit)
		return &search->found[search->count++];
	search->more = true;
	for (size_t i = 1; i < search->count; i++)
		if (search->found[i].standing.sum.score < least->standing.sum.score)
			least = &search->found[i];
	if (standing->sum.score <= least->standing.sum.score)
		return NULL;
	risk_standing_done(&least->standing);
	return least;
}

static enum status take_cell(void *context, const struct survey_line *cell, struct text memory,
			     int64_t watermark_us)
{
	struct risk_search *search = context;
	struct risk_standing standing cleanup(risk_standing_done) = {0};
	struct bytes group cleanup(bytes_done) = {0};
	if (cell->unit == NULL || cell->unit->judged != JUDGED_RISK)
		return OK;
	survey_put_group(cell, &group);
	struct cursor from = cursor_of(bytes_text(&group));
	struct text field = cursor_text(&from);
	struct text value = cursor_text(&from);
	if (group.failed)
		return ENOMEMORY;
	if (from.failed || !is_asked(search, field, value))
		return OK;
	enum status status = risk_stand_saved(cell->unit, memory, watermark_us, &standing);
	if (status != OK || standing.part_count == 0)
		return status;
	struct entity_risk found = {.rule = cell->unit->rule,
				    .tenant = arena_copy(search->arena, cell->tenant),
				    .field = arena_copy(search->arena, field),
				    .value = arena_copy(search->arena, value),
				    .at_us = watermark_us};
	if ((found.tenant.data == NULL && cell->tenant.size > 0) || found.field.data == NULL ||
	    found.value.data == NULL)
		return ENOMEMORY;
	struct entity_risk *place = place_of(search, &standing);
	if (place == NULL)
		return OK;
	found.standing = standing;
	standing = (struct risk_standing){0};
	*place = found;
	return OK;
}

/* Most risk first; equal ones by tenant, field and rule, so that an answer is the same twice. */
static int found_compare(const void *a, const void *b)
{
	const struct entity_risk *left = a;
	const struct entity_risk *right = b;
	if (left->standing.sum.score != right->standing.sum.score)
		return left->standing.sum.score > right->standing.sum.score ? -1 : 1;
	int order = text_compare(left->tenant, right->tenant);
	if (order == 0)
		order = text_compare(left->field, right->field);
	return order != 0 ? order : text_compare(left->rule->key, right->rule->key);
}

static void write_part(struct json_writer *json, const struct risk_part *part)
{
	json_write_open(json, NULL, '{');
	if (part->rule == NULL) {
		json_write_null(json, "rule");
		json_write_string(json, "title", "rules that are gone");
	} else {
		json_write_text(json, "rule", part->rule->key);
		json_write_text(json, "title", part->rule->title);
	}
	json_write_real(json, "score", (double)part->score / millionths);
	json_write_count(json, "additions", part->additions);
	json_write_time(json, "last", part->last_us);
	json_write_close(json, '}');
}

static void write_found(struct json_writer *json, const struct entity_risk *found)
{
	const struct rule *rule = found->rule;
	const struct risk_sum *sum = &found->standing.sum;
	json_write_open(json, NULL, '{');
	json_write_text(json, "rule", rule->key);
	json_write_text(json, "title", rule->title);
	json_write_text(json, "tenant", found->tenant);
	json_write_text(json, "field", found->field);
	json_write_text(json, "value", found->value);
	json_write_time(json, "at", found->at_us);
	json_write_real(json, "score", (double)sum->score / millionths);
	json_write_real(json, "threshold", rule->correlation->risk->score.value);
	json_write_count(json, "tactics", sum->tactics);
	json_write_boolean(json, "reached", sum->reached);
	json_write_boolean(json, "complete", !sum->cut);
	json_write_open(json, "parts", '[');
	for (size_t i = 0; i < found->standing.part_count; i++)
		write_part(json, &found->standing.parts[i]);
	json_write_close(json, ']');
	json_write_close(json, '}');
}

/* Whether a risk refuses entities of a tenant that is asked about: it knows nothing of those. */
static bool refuses(const struct survey *survey)
{
	for (size_t i = 0; i < survey->line_count; i++)
		if (survey->lines[i].refused && survey->lines[i].unit != NULL &&
		    survey->lines[i].unit->judged == JUDGED_RISK)
			return true;
	return false;
}

/* The risks among the rules; -1 when the rules are not known. */
static int64_t risks_loaded(const struct ruleset *ruleset)
{
	int64_t count = 0;
	if (ruleset == NULL)
		return -1;
	for (size_t i = 0; i < ruleset_count(ruleset); i++) {
		const struct rule *rule = ruleset_rule(ruleset, i);
		count += rule->correlation != NULL && rule->correlation->risk != NULL;
	}
	return count;
}

static enum status store_hash_key(struct store *store, struct hash_key *ret_key, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct identity_row row;
	identity_key(&key);
	enum status status = store_get(store, FAMILY_POSITION, bytes_text(&key), &value, err);
	if (status != OK)
		return error_wrap(err, status, "the store has no identity row");
	status = identity_decode(bytes_text(&value), &row, err);
	if (status == OK)
		memcpy(ret_key->bytes, row.hash_key, sizeof row.hash_key);
	return status;
}

/* Fills in search->found; *ret_complete: nothing is missing there. */
static enum status risk_search_run(const struct api_call *call, struct risk_search *search,
				   bool *ret_complete, struct error *err)
{
	struct api_survey read cleanup(api_survey_done) = {0};
	const struct survey_visitor visitor = {take_cell, search};
	struct survey_options options = {.tenant = api_parameter(call, "tenant"),
					 .visitor = &visitor};
	struct hash_key key;
	search->arena = arena_new(RISK_SEARCH_BYTES_MAX);
	search->found = calloc(search->limit, sizeof *search->found);
	if (search->arena == NULL || search->found == NULL)
		return error_set(err, ENOMEMORY, "no memory to look for risks");
	enum status status = store_hash_key(call->api->store, &key, err);
	if (status == OK)
		status = api_survey_read(call, &key, &options, &read, err);
	if (status != OK)
		return status;
	qsort(search->found, search->count, sizeof *search->found, found_compare);
	*ret_complete = read.survey->left_out == 0 && !refuses(read.survey) && !search->more;
	return OK;
}

enum status api_risk(const struct api_call *call, struct api_response *response, struct error *err)
{
	struct risk_search search cleanup(search_done) = {.value = api_parameter(call, "value"),
							  .fields = api_parameter(call, "fields")};
	struct json_writer json = {.to = &response->body};
	int64_t loaded = risks_loaded(call->ruleset);
	bool complete = loaded >= 0;
	if (search.value.size == 0)
		return error_set(err, EINVALID, "value= is missing: whose risk? (value=alice)");
	enum status status = api_parameter_limit(call, &search.limit, err);
	if (status == OK && loaded > 0)
		status = risk_search_run(call, &search, &complete, err);
	if (status != OK)
		return status;
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.risk/1");
	if (loaded < 0)
		json_write_null(&json, "loaded");
	else
		json_write_number(&json, "loaded", loaded);
	json_write_boolean(&json, "complete", complete);
	json_write_open(&json, "entities", '[');
	for (size_t i = 0; i < search.count; i++)
		write_found(&json, &search.found[i]);
	json_write_close(&json, ']');
	json_write_close(&json, '}');
	response->rows = search.count;
	return OK;
}
