#include "cli/sender.h"

#include <assert.h>
#include <curl/curl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <time.h>

#include "cli/wall.h"

enum { CONNECT_TIMEOUT_S = 5, TROUBLE_WAIT_US = 5 * 1000000, ANSWER_KEPT = 200 };

/* One receiver with its thread. */
struct line {
	struct sender *sender;
	const struct receiver *receiver;
	struct delivery *delivery;
	pthread_t thread;
	bool started;
};

struct sender {
	struct sender_options options;
	struct runtime *runtime;
	struct line lines[RECEIVER_KIND_COUNT];
	pthread_mutex_t mutex;
	pthread_cond_t stop_asked;
	bool stopping;
};

/* --- the world of a delivery ----------------------------------------------------------------- */

/* Keeps the beginning of an answer: what a receiver says about a refusal. */
static size_t keep_answer(char *data, size_t size, size_t count, void *context)
{
	struct bytes *kept = context;
	size_t room = kept->size < ANSWER_KEPT ? ANSWER_KEPT - kept->size : 0;
	bytes_put(kept, data, size * count < room ? size * count : room);
	return size * count;
}

static void curl_done(CURL **curl)
{
	curl_easy_cleanup(*curl);
}

static void headers_done(struct curl_slist **headers)
{
	curl_slist_free_all(*headers);
}

static void set_options(CURL *curl, const struct sender *sender, const struct post *post)
{
	(void)curl_easy_setopt(curl, CURLOPT_URL, post->url);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)SENDER_TIMEOUT_S);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L); /* with a token, to nobody else */
	(void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "picket/" PICKET_VERSION);
	(void)curl_easy_setopt(curl, CURLOPT_POST, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.size);
	(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, post->body.data);
	if (sender->options.ca_file[0] != '\0')
		(void)curl_easy_setopt(curl, CURLOPT_CAINFO, sender->options.ca_file);
}

static void post_by_curl(void *context, const struct post *post, struct post_answer *ret_answer)
{
	struct post_answer answer = {0};
	struct bytes kept cleanup(bytes_done) = {0};
	char problem[CURL_ERROR_SIZE] = "";
	CURL *curl cleanup(curl_done) = curl_easy_init();
	struct curl_slist *headers cleanup(headers_done) = NULL;
	for (size_t i = 0; curl != NULL && i < post->header_count; i++) {
		struct curl_slist *more = curl_slist_append(headers, post->headers[i]);
		if (more == NULL)
			break;
		headers = more;
	}
	if (curl == NULL || headers == NULL) {
		(void)snprintf(ret_answer->problem, sizeof ret_answer->problem,
			       "no memory for a message");
		return;
	}
	set_options(curl, context, post);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, problem);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_answer);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &kept);
	CURLcode code = curl_easy_perform(curl);
	long status = 0;
	curl_off_t retry_after_s = 0;
	if (code == CURLE_OK) {
		(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		(void)curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after_s);
		answer.http_status = (unsigned)status;
		if (retry_after_s > 0 && retry_after_s < 24 * 3600)
			answer.retry_after_us = retry_after_s * 1000000;
		(void)snprintf(answer.problem, sizeof answer.problem, "%.*s",
			       status >= 300 ? (int)kept.size : 0,
			       kept.data == NULL ? "" : (const char *)kept.data);
	} else {
		(void)snprintf(answer.problem, sizeof answer.problem, "%s",
			       problem[0] != '\0' ? problem : curl_easy_strerror(code));
	}
	*ret_answer = answer;
}

static enum status commit_row(void *context, struct store_batch *batch, struct error *err)
{
	const struct sender *sender = context;
	return runtime_commit(sender->runtime, batch, err);
}

static uint32_t random_number(void *context)
{
	(void)context;
	return randombytes_random();
}

static struct delivery_world world_of(struct sender *sender)
{
	return (struct delivery_world){.post = post_by_curl,
				       .commit = commit_row,
				       .random = random_number,
				       .clock = wall_clock_real(),
				       .context = sender};
}

/* --- threads --------------------------------------------------------------------------------- */

/* Waits; true when the sender is to stop. */
static bool wait_for_stop(struct sender *sender, int64_t wait_us)
{
	struct timespec until;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	int64_t nanoseconds = until.tv_nsec + wait_us % 1000000 * 1000;
	until.tv_sec += wait_us / 1000000 + nanoseconds / 1000000000;
	until.tv_nsec = nanoseconds % 1000000000;
	(void)pthread_mutex_lock(&sender->mutex);
	int waited = 0;
	while (!sender->stopping && waited == 0)
		waited = pthread_cond_timedwait(&sender->stop_asked, &sender->mutex, &until);
	bool stopping = sender->stopping;
	(void)pthread_mutex_unlock(&sender->mutex);
	return stopping;
}

static void say_trouble(const struct line *line, const struct error *err)
{
	const struct log_field fields[] = {
		{"receiver", text_of(receiver_name(line->receiver->kind))},
		{"detail", text_of(err->text)},
	};
	log_line(line->sender->options.log, LOG_LEVEL_ERROR, "alerts are not sent", fields, 2);
}

static void *line_main(void *argument)
{
	struct line *line = argument;
	enum status before = OK;
	int64_t wait_us = 0;
	while (!wait_for_stop(line->sender, wait_us)) {
		struct error err = {0};
		enum status status = delivery_step(line->delivery, &wait_us, &err);
		if (status != OK) {
			wait_us = TROUBLE_WAIT_US;
			if (before == OK)
				say_trouble(line, &err);
		}
		before = status;
	}
	return NULL;
}

static enum status open_lines(struct sender *sender, struct error *err)
{
	struct delivery_world world = world_of(sender);
	enum status status = OK;
	for (size_t i = 0; status == OK && i < sender->options.receiver_count; i++) {
		struct line *line = &sender->lines[i];
		line->sender = sender;
		line->receiver = &sender->options.receivers[i];
		status = delivery_new(line->receiver, sender->options.store, &world,
				      &line->delivery, err);
	}
	return status;
}

enum status sender_new(const struct sender_options *options, struct sender **ret_sender,
		       struct error *err)
{
	assert(options->receiver_count <= RECEIVER_KIND_COUNT);
	struct sender *sender = calloc(1, sizeof *sender);
	pthread_condattr_t monotonic;
	if (sender == NULL)
		return error_set(err, ENOMEMORY, "no memory for the receivers");
	sender->options = *options;
	(void)pthread_mutex_init(&sender->mutex, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&sender->stop_asked, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	enum status status = open_lines(sender, err);
	if (status == OK)
		*ret_sender = TAKE(sender);
	sender_free(&sender);
	return status;
}

enum status sender_start(struct sender *sender, struct runtime *runtime, struct error *err)
{
	sender->runtime = runtime;
	for (size_t i = 0; i < sender->options.receiver_count; i++) {
		struct line *line = &sender->lines[i];
		if (pthread_create(&line->thread, NULL, line_main, line) != 0)
			return error_set(err, ESYSTEM, "no thread for a receiver");
		line->started = true;
	}
	return OK;
}

void sender_free(struct sender **sender)
{
	struct sender *gone = *sender;
	if (gone == NULL)
		return;
	(void)pthread_mutex_lock(&gone->mutex);
	gone->stopping = true;
	(void)pthread_cond_broadcast(&gone->stop_asked);
	(void)pthread_mutex_unlock(&gone->mutex);
	for (size_t i = 0; i < gone->options.receiver_count; i++) {
		if (gone->lines[i].started)
			(void)pthread_join(gone->lines[i].thread, NULL);
		delivery_done(&gone->lines[i].delivery);
	}
	(void)pthread_cond_destroy(&gone->stop_asked);
	(void)pthread_mutex_destroy(&gone->mutex);
	free(gone);
	*sender = NULL;
}

bool sender_has(const struct sender *sender, enum receiver_kind kind)
{
	for (size_t i = 0; i < sender->options.receiver_count; i++) {
		if (sender->options.receivers[i].kind == kind)
			return true;
	}
	return false;
}

enum status sender_test(struct sender *sender, enum receiver_kind kind,
			struct post_answer *ret_answer, struct error *err)
{
	struct delivery_world world = world_of(sender);
	for (size_t i = 0; i < sender->options.receiver_count; i++) {
		if (sender->options.receivers[i].kind != kind)
			continue;
		delivery_test(&sender->options.receivers[i], &world, ret_answer);
		return OK;
	}
	return error_set(err, ENOTFOUND,
			 "no receiver %s is configured; see receivers.%s.url in docs/CONFIG.md",
			 receiver_name(kind), receiver_name(kind));
}
