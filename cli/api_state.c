/* /v1/state: what the rules remember, by rule and tenant, and the largest groups: of the last
 * checkpoint in the store (correlate/survey.h), so no actor is asked and --data answers the same.
 */
#include <stdio.h>

#include "cli/api_private.h"
#include "correlate/survey.h"
#include "ingest/state_rows.h"

static void write_line(struct json_writer *json, const struct survey_line *line)
{
	char gone[32];
	(void)snprintf(gone, sizeof gone, "%016llx", (unsigned long long)line->state_id);
	if (line->unit == NULL) {
		json_write_null(json, "rule");
		json_write_string(json, "title", gone);
	} else {
		json_write_text(json, "rule", line->unit->rule->key);
		json_write_text(json, "title", line->unit->rule->title);
	}
	json_write_text(json, "tenant", line->tenant);
	json_write_count(json, "bytes", line->bytes);
	json_write_count(json, "events", line->events);
	if (line->oldest_us == INT64_MAX)
		json_write_null(json, "oldest");
	else
		json_write_time(json, "oldest", line->oldest_us);
}

static void write_group(struct json_writer *json, const struct survey_line *line)
{
	struct bytes group cleanup(bytes_done) = {0};
	survey_put_group(line, &group);
	struct cursor from = cursor_of(bytes_text(&group));
	json->to->failed = json->to->failed || group.failed;
	json_write_open(json, "group", '{');
	while (cursor_left(&from) > 0 && !from.failed) {
		char name[256];
		struct text key = cursor_text(&from);
		(void)snprintf(name, sizeof name, "%.*s", TEXT_ARG(key));
		json_write_text(json, name, cursor_text(&from));
	}
	json_write_close(json, '}');
}

static void write_survey(struct json_writer *json, const struct survey *survey)
{
	bool known = survey->watermark_us != INT64_MAX && survey->watermark_us != INT64_MIN;
	json_write_open(json, NULL, '{');
	json_write_string(json, "schema", "picket.state/1");
	if (known)
		json_write_time(json, "watermark", survey->watermark_us);
	else
		json_write_null(json, "watermark");
	json_write_boolean(json, "complete", survey->left_out == 0);
	json_write_open(json, "rules", '[');
	for (size_t i = 0; i < survey->line_count; i++) {
		json_write_open(json, NULL, '{');
		write_line(json, &survey->lines[i]);
		json_write_count(json, "groups", survey->lines[i].cells);
		json_write_boolean(json, "refused", survey->lines[i].refused);
		json_write_close(json, '}');
	}
	json_write_close(json, ']');
	json_write_open(json, "groups", '[');
	for (size_t i = 0; i < survey->group_count; i++) {
		json_write_open(json, NULL, '{');
		write_line(json, &survey->groups[i]);
		write_group(json, &survey->groups[i]);
		json_write_close(json, '}');
	}
	json_write_close(json, ']');
	json_write_close(json, '}');
}

static enum status take_row(void *context, struct text row, struct error *err)
{
	struct survey *survey = context;
	return survey_add(survey, row, err);
}

void api_survey_done(struct api_survey *survey)
{
	survey_free(&survey->survey);
	plan_free(&survey->plan);
}

enum status api_survey_read(const struct api_call *call, const struct hash_key *key,
			    struct survey_options *options, struct api_survey *survey,
			    struct error *err)
{
	struct state_rows state;
	enum status status = plan_new(call->ruleset, key, &survey->plan, err);
	options->plan = survey->plan;
	if (status == OK)
		status = survey_new(options, &survey->survey, err);
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++)
		status = state_rows_read(call->api->store, (uint8_t)i, take_row, survey->survey,
					 &state, err);
	return status;
}

enum status api_state(const struct api_call *call, struct api_response *response, struct error *err)
{
	static const struct hash_key no_key; /* state ids do not depend on it */
	struct api_survey read cleanup(api_survey_done) = {0};
	struct json_writer json = {.to = &response->body};
	struct text rule = api_parameter(call, "rule");
	struct survey_options options = {.tenant = api_parameter(call, "tenant"),
					 .group = api_parameter(call, "group")};
	if (call->ruleset == NULL)
		return error_set(err, EUNAVAILABLE,
				 "the rules are not known here: ask the daemon, or give -c FILE "
				 "beside --data");
	enum status status = api_parameter_limit(call, &options.top, err);
	if (status == OK && rule.size > 0 &&
	    (options.rule = ruleset_find(call->ruleset, rule)) == NULL)
		status = error_set(err, ENOTFOUND, "no rule is called %.*s; see picket rules list",
				   TEXT_ARG(rule));
	if (status == OK)
		status = api_survey_read(call, &no_key, &options, &read, err);
	if (status != OK)
		return status;
	survey_finish(read.survey);
	write_survey(&json, read.survey);
	response->rows = read.survey->group_count;
	return OK;
}
