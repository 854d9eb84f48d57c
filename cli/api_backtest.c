/* /v1/rules/backtest: rules tried on the stored events, as a job beside everything else.
 *
 * A backtest takes seconds to minutes, longer than a request should. POST starts it and answers at
 * once; GET tells how far it is, and in the end what it found; POST .../cancel ends it. There is
 * one at a time: it competes with the ingest for the processor, at the lowest priority the system
 * has. A job nobody asks about for JOB_IDLE_US is cancelled, since whoever asked is gone. */
#include <assert.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "cli/api_private.h"
#include "cli/backtest.h"

enum { JOB_ARENA_BYTES = 16 * 1024 * 1024, JOB_PRIORITY = 19 };
static const int64_t JOB_IDLE_US = 60 * INT64_C(1000000);

enum job_state { JOB_RUNNING, JOB_DONE, JOB_FAILED };

struct backtest_job {
	struct ruleset *rules, *old;
	struct backtest_options options;
	struct backtest_progress progress;
	struct bytes tenant;
	pthread_t thread;
	pthread_mutex_t mutex; /* of what follows */
	enum job_state state;
	struct bytes report;
	struct error problem;
	int64_t asked_us;
	uint64_t number;
};

static void job_free(struct backtest_job **job)
{
	struct backtest_job *gone = *job;
	if (gone == NULL)
		return;
	if (gone->rules != NULL)
		ruleset_free(&gone->rules);
	if (gone->old != NULL)
		ruleset_free(&gone->old);
	bytes_done(&gone->tenant);
	bytes_done(&gone->report);
	(void)pthread_mutex_destroy(&gone->mutex);
	free(gone);
	*job = NULL;
}

static void *job_main(void *argument)
{
	struct backtest_job *job = argument;
	struct bytes report = {0};
	struct error err = {0};
	(void)setpriority(PRIO_PROCESS, 0, JOB_PRIORITY); /* of this thread alone */
	enum status status = backtest_run(&job->options, &job->progress, &report, &err);
	(void)pthread_mutex_lock(&job->mutex);
	job->state = status == OK ? JOB_DONE : JOB_FAILED;
	job->report = report;
	job->problem = err;
	(void)pthread_mutex_unlock(&job->mutex);
	return NULL;
}

static enum job_state state_of(struct backtest_job *job)
{
	(void)pthread_mutex_lock(&job->mutex);
	enum job_state state = job->state;
	(void)pthread_mutex_unlock(&job->mutex);
	return state;
}

void api_backtest_stop(struct api *api)
{
	if (api->backtest == NULL)
		return;
	atomic_store(&api->backtest->progress.cancelled, true);
	(void)pthread_join(api->backtest->thread, NULL);
	job_free(&api->backtest);
}

static void object_done(struct json_object **object)
{
	(void)json_object_put(*object);
}

/* A member that is a text; size 0 when it is not there. */
static struct text member(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;
	if (!json_object_object_get_ex(object, name, &value) ||
	    !json_object_is_type(value, json_type_string))
		return (struct text){0};
	return (struct text){json_object_get_string(value),
			     (size_t)json_object_get_string_len(value)};
}

static void texts_free(struct rule_text **texts)
{
	free(*texts);
}

/* A member that is a list of {"name", "text"}; nothing when it is not there. */
static enum status parse_texts(struct json_object *body, const char *name,
			       struct rule_text **ret_texts, size_t *ret_count, struct error *err)
{
	struct json_object *list = NULL;
	if (!json_object_object_get_ex(body, name, &list))
		return OK;
	bool fits = json_object_is_type(list, json_type_array);
	size_t count = fits ? json_object_array_length(list) : 0;
	struct rule_text *texts cleanup(texts_free) = calloc(count + 1, sizeof *texts);
	if (texts == NULL)
		return error_set(err, ENOMEMORY, "no memory for a backtest");
	for (size_t i = 0; i < count; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		texts[i] = (struct rule_text){member(one, "name"), member(one, "text")};
		fits = fits && texts[i].name.size > 0 && texts[i].text.size > 0;
	}
	if (!fits)
		return error_set(err, EINVALID, "%s is a list of {\"name\": NAME, \"text\": TEXT}",
				 name);
	*ret_texts = TAKE(texts);
	*ret_count = count;
	return OK;
}

/* Both sets of the body, with the lists and pipelines that it brings. */
static enum status parse_rules(struct json_object *body, struct backtest_job *job,
			       struct error *err)
{
	struct rule_text *lists cleanup(texts_free) = NULL;
	struct rule_text *pipelines cleanup(texts_free) = NULL;
	struct ruleset_options options = {0};
	struct text old = member(body, "old");
	enum status status = parse_texts(body, "lists", &lists, &options.list_text_count, err);
	if (status == OK)
		status = parse_texts(body, "pipelines", &pipelines, &options.pipeline_text_count,
				     err);
	options.list_texts = lists;
	options.pipeline_texts = pipelines;
	if (status == OK)
		status = ruleset_parse(&options, member(body, "rules"), "rules", &job->rules, err);
	if (status == OK && old.size > 0)
		status = ruleset_parse(&options, old, "old", &job->old, err);
	return status;
}

static enum status job_new(const struct api_call *call, struct backtest_job **ret_job,
			   struct error *err)
{
	struct json_tokener *tokener = json_tokener_new();
	struct backtest_job *job cleanup(job_free) = calloc(1, sizeof *job);
	if (tokener == NULL || job == NULL) {
		json_tokener_free(tokener);
		return error_set(err, ENOMEMORY, "no memory for a backtest");
	}
	(void)pthread_mutex_init(&job->mutex, NULL);
	struct json_object *body cleanup(object_done) = json_tokener_parse_ex(
		tokener, call->request->body.data, (int)call->request->body.size);
	json_tokener_free(tokener);
	if (!json_object_is_type(body, json_type_object) || member(body, "rules").size == 0)
		return error_set(err, EINVALID,
				 "the body is {\"rules\": YAML} or {\"rules\": YAML, \"old\": "
				 "YAML}, each with one or more documents");
	enum status status =
		api_parameter_time(call, "since", INT64_MIN, &job->options.since_us, err);
	if (status == OK)
		status = api_parameter_time(call, "until", INT64_MAX, &job->options.until_us, err);
	if (status == OK)
		status = api_parameter_limit(call, &job->options.shown_max, err);
	if (status == OK)
		status = parse_rules(body, job, err);
	if (status != OK)
		return status;
	struct text tenant = api_parameter(call, "tenant");
	bytes_write(&job->tenant, tenant);
	job->options.store = call->api->store;
	job->options.rules = job->rules;
	job->options.old = job->old;
	job->options.tenant = bytes_text(&job->tenant);
	job->asked_us = api_now(call->api);
	*ret_job = TAKE(job);
	return OK;
}

static void write_job(struct backtest_job *job, struct json_writer *json)
{
	static const char *const names[] = {"running", "done", "failed"};
	(void)pthread_mutex_lock(&job->mutex);
	json_write_open(json, NULL, '{');
	json_write_string(json, "schema", "picket.backtest_job/1");
	json_write_count(json, "job", job->number);
	json_write_string(json, "state", names[job->state]);
	json_write_count(json, "events", atomic_load(&job->progress.events));
	json_write_count(json, "estimate", atomic_load(&job->progress.estimate));
	if (job->state == JOB_DONE)
		json_write_raw(json, "report", bytes_text(&job->report));
	if (job->state == JOB_FAILED)
		json_write_string(json, "problem", job->problem.text);
	json_write_close(json, '}');
	(void)pthread_mutex_unlock(&job->mutex);
}

/* Makes room for a new job; EINUSE while one is wanted. */
static enum status make_room(struct api *api, struct error *err)
{
	if (api->backtest == NULL)
		return OK;
	bool idle = api_now(api) - api->backtest->asked_us > JOB_IDLE_US;
	if (state_of(api->backtest) == JOB_RUNNING && !idle)
		return error_set(err, EINUSE, "another backtest runs; try again when it is done");
	api_backtest_stop(api);
	return OK;
}

enum status api_backtest_start(const struct api_call *call, struct api_response *response,
			       struct error *err)
{
	struct api *api = call->api;
	struct backtest_job *job cleanup(job_free) = NULL;
	enum status status = job_new(call, &job, err);
	if (status != OK)
		return status;
	(void)pthread_mutex_lock(&api->writing);
	status = make_room(api, err);
	if (status == OK) {
		job->number = ++api->backtest_number;
		if (pthread_create(&job->thread, NULL, job_main, job) != 0)
			status = error_set(err, ESYSTEM, "no thread for a backtest");
	}
	if (status == OK) {
		struct json_writer json = {.to = &response->body};
		write_job(job, &json);
		api->backtest = TAKE(job);
	}
	(void)pthread_mutex_unlock(&api->writing);
	return status;
}

/* The job that `job=N` names, under api->writing. */
static enum status find_job(const struct api_call *call, struct backtest_job **ret_job,
			    struct error *err)
{
	struct backtest_job *job = call->api->backtest;
	int64_t number = 0;
	enum status status = api_parameter_number(call, "job", 0, &number, err);
	if (status != OK)
		return status;
	if (job == NULL || job->number != (uint64_t)number)
		return error_set(err, ENOTFOUND, "there is no backtest %lld", (long long)number);
	*ret_job = job;
	return OK;
}

enum status api_backtest_tell(const struct api_call *call, struct api_response *response,
			      struct error *err)
{
	struct backtest_job *job = NULL;
	struct json_writer json = {.to = &response->body};
	(void)pthread_mutex_lock(&call->api->writing);
	enum status status = find_job(call, &job, err);
	if (status == OK) {
		job->asked_us = api_now(call->api);
		write_job(job, &json);
	}
	(void)pthread_mutex_unlock(&call->api->writing);
	return status;
}

enum status api_backtest_cancel(const struct api_call *call, struct api_response *response,
				struct error *err)
{
	struct backtest_job *job = NULL;
	struct json_writer json = {.to = &response->body};
	(void)pthread_mutex_lock(&call->api->writing);
	enum status status = find_job(call, &job, err);
	if (status == OK)
		api_backtest_stop(call->api);
	(void)pthread_mutex_unlock(&call->api->writing);
	if (status != OK)
		return status;
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.backtest_job/1");
	json_write_string(&json, "state", "cancelled");
	json_write_close(&json, '}');
	return OK;
}
