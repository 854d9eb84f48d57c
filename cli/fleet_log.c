#include "cli/fleet_log.h"

#include <assert.h>
#include <stdio.h>

#include "rules/event.h"

static const char *const routes[] = {"/v1/items", "/v1/items/{id}", "/v1/carts/{id}", "/v1/search"};
static const char *const paths[] = {"/v1/items", "/v1/items/", "/v1/carts/", "/v1/search"};
static const char *const methods[] = {"GET", "GET", "POST", "GET"};

/* What every logger needs, in words. */
struct words {
	const struct fleet_event *event;
	char time[32], instance[64], user[16], address[24], path[64];
	double seconds;
	long long milliseconds;
	bool failed;
	const char *level, *message;
};

void fleet_instance(const struct fleet_event *event, char buffer[static 64])
{
	char version[16];
	(void)snprintf(version, sizeof version, "%s", event->arm->version);
	for (char *at = version; *at != '\0'; at++)
		if (*at == '.')
			*at = '-';
	(void)snprintf(buffer, 64, "%s-%s-6f4c9d7b8-%u", event->service->name, version,
		       event->instance);
}

static struct words words_of(const struct fleet_event *event, int64_t anchor_us)
{
	struct words words = {.event = event};
	int64_t time_us = anchor_us + event->at_ms * 1000;
	struct text time = time_print(time_us, words.time);
	assert(time.size < sizeof words.time);
	words.time[time.size] = '\0';
	words.milliseconds = time_us / 1000;
	words.seconds = (double)time_us / 1e6;
	fleet_instance(event, words.instance);
	(void)fleet_user(event->user, words.user);
	(void)fleet_address(event, words.address);
	bool numbered = event->route == 1 || event->route == 2;
	(void)snprintf(words.path, sizeof words.path, "%s", paths[event->route]);
	if (numbered)
		(void)snprintf(words.path, sizeof words.path, "%s%llu", paths[event->route],
			       (unsigned long long)(event->trace % 100000));
	words.failed = event->status >= 500;
	words.level = words.failed ? "error" : "info";
	words.message = words.failed ? "request failed: upstream did not answer in time"
				     : "request completed";
	return words;
}

static void log_ecs(const struct words *w, struct bytes *to)
{
	const struct fleet_event *event = w->event;
	bytes_print(
		to,
		"{\"@timestamp\":\"%s\",\"log.level\":\"%s\",\"message\":\"%s\",\"ecs.version\":\"8.11.0\","
		"\"service\":{\"name\":\"%s\",\"version\":\"%s\",\"environment\":\"production\","
		"\"node\":{\"name\":\"%s\"}},",
		w->time, w->level, w->message, event->service->name, event->arm->version,
		w->instance);
	bytes_print(
		to,
		"\"event\":{\"category\":[\"web\"],\"outcome\":\"%s\",\"duration\":%u000},"
		"\"http\":{\"request\":{\"method\":\"%s\"},\"response\":{\"status_code\":%u}},"
		"\"http.route\":\"%s\",\"url\":{\"path\":\"%s\"},\"user\":{\"id\":\"%s\"},"
		"\"tenant\":{\"id\":\"%s\"},\"source\":{\"ip\":\"%s\"},\"trace\":{\"id\":\"%032llx\"}}",
		w->failed ? "failure" : "success", event->duration_us, methods[event->route],
		event->status, routes[event->route], w->path, w->user, fleet_tenant(event->tenant),
		w->address, (unsigned long long)event->trace);
}

/* A login is an audit line without a status code; other lines of auth are requests. */
static void log_pino(const struct words *w, struct bytes *to)
{
	const struct fleet_event *event = w->event;
	bytes_print(to,
		    "{\"level\":%d,\"time\":%lld,\"pid\":17,\"hostname\":\"%s\",\"name\":\"auth\","
		    "\"service\":\"%s\",\"version\":\"%s\",\"userId\":\"%s\",\"tenant_id\":\"%s\","
		    "\"ip\":\"%s\",\"traceId\":\"%032llx\",",
		    w->failed ? 50 : 30, w->milliseconds, w->instance, event->service->name,
		    event->arm->version, w->user, fleet_tenant(event->tenant), w->address,
		    (unsigned long long)event->trace);
	if (event->kind == FLEET_LOGIN)
		bytes_print(
			to,
			"\"event\":{\"category\":\"authentication\",\"action\":\"login\","
			"\"outcome\":\"%s\",\"reason\":\"%s\"},\"user_agent\":\"Mozilla/5.0 (X11; "
			"Linux x86_64)\",\"msg\":\"login %s\"}",
			event->success ? "success" : "failure",
			event->success ? "password and second factor" : "wrong password",
			event->success ? "accepted" : "refused");
	else
		bytes_print(to,
			    "\"req\":{\"method\":\"POST\",\"url\":\"/oauth/token\",\"id\":%llu},"
			    "\"res\":{\"statusCode\":%u},\"responseTime\":%u,\"msg\":\"%s\"}",
			    (unsigned long long)(event->trace % 1000000), event->status,
			    event->duration_us / 1000, w->message);
}

static void log_zap(const struct words *w, struct bytes *to)
{
	const struct fleet_event *event = w->event;
	bytes_print(
		to,
		"{\"level\":\"%s\",\"ts\":%.6f,\"logger\":\"http\",\"caller\":\"api/handler.go:118\","
		"\"msg\":\"%s\",\"service\":\"%s\",\"version\":\"%s\",\"hostname\":\"%s\",",
		w->level, w->seconds, w->message, event->service->name, event->arm->version,
		w->instance);
	bytes_print(
		to,
		"\"method\":\"%s\",\"route\":\"%s\",\"path\":\"%s\",\"status\":%u,\"duration_us\":%u,"
		"\"user_id\":\"%s\",\"tenant_id\":\"%s\",\"resource\":{\"type\":\"order\","
		"\"tenant_id\":\"%s\"},\"remote_addr\":\"%s:%u\",\"trace_id\":\"%032llx\"}",
		methods[event->route], routes[event->route], w->path, event->status,
		event->duration_us, w->user, fleet_tenant(event->tenant),
		fleet_tenant(event->target_tenant), w->address,
		(unsigned)(20000 + event->trace % 40000), (unsigned long long)event->trace);
}

/* The new version of payments has a bug of its own: its errors carry a stack trace. */
static void log_logback(const struct words *w, struct bytes *to)
{
	const struct fleet_event *event = w->event;
	bool bug = w->failed && event->arm == &event->service->canary;
	bytes_print(
		to,
		"{\"@timestamp\":\"%s\",\"@version\":\"1\",\"message\":\"%s\",\"logger_name\":"
		"\"com.example.payments.ChargeController\",\"thread_name\":\"http-nio-8080-exec-%u\","
		"\"level\":\"%s\",\"level_value\":%d,",
		w->time, bug ? "charge failed" : w->message, (unsigned)(event->trace % 32),
		w->failed ? "ERROR" : "INFO", w->failed ? 40000 : 20000);
	if (bug)
		bytes_print(
			to,
			"\"error\":{\"type\":\"java.lang.IllegalStateException\",\"message\":\"currency "
			"table is not loaded\"},\"stack_trace\":\"java.lang.IllegalStateException: "
			"currency table is not loaded\\n\\tat com.example.payments.Currency.rate("
			"Currency.java:41)\\n\\tat com.example.payments.Charge.run(Charge.java:87)\",");
	bytes_print(to,
		    "\"service\":\"%s\",\"version\":\"%s\",\"hostname\":\"%s\",\"method\":\"POST\","
		    "\"path\":\"/v1/charges\",\"status\":%u,\"duration_ms\":%u,\"userId\":\"%s\","
		    "\"tenantId\":\"%s\",\"clientIp\":\"%s\",\"traceId\":\"%032llx\"}",
		    event->service->name, event->arm->version, w->instance, event->status,
		    event->duration_us / 1000, w->user, fleet_tenant(event->tenant), w->address,
		    (unsigned long long)event->trace);
}

static void log_fluent_bit(const struct words *w, struct bytes *to)
{
	const struct fleet_event *event = w->event;
	struct bytes line cleanup(bytes_done) = {0};
	bytes_print(
		&line,
		"{\"time\":\"%s\",\"level\":\"%s\",\"msg\":\"%s\",\"service\":\"%s\",\"version\":\"%s\","
		"\"method\":\"GET\",\"path\":\"/v1/search\",\"status\":%u,\"duration_us\":%u,"
		"\"user_id\":\"%s\",\"tenant\":\"%s\",\"client_ip\":\"%s\",\"trace_id\":\"%032llx\"}\n",
		w->time, w->level, w->message, event->service->name, event->arm->version,
		event->status, event->duration_us, w->user, fleet_tenant(event->tenant), w->address,
		(unsigned long long)event->trace);
	bytes_print(to, "{\"log\":");
	json_put_string(to, bytes_text(&line));
	bytes_print(to,
		    ",\"stream\":\"stdout\",\"time\":\"%s\",\"kubernetes\":{\"pod_name\":\"%s\","
		    "\"namespace_name\":\"shop\",\"container_name\":\"%s\",\"container_image\":"
		    "\"registry.example/%s:%s\",\"labels\":{\"app\":\"%s\"}}}",
		    w->time, w->instance, event->service->name, event->service->name,
		    event->arm->version, event->service->name);
}

static void log_bunyan(const struct words *w, struct bytes *to)
{
	const struct fleet_event *event = w->event;
	bytes_print(
		to,
		"{\"v\":0,\"name\":\"%s\",\"level\":%d,\"hostname\":\"%s\",\"pid\":41,\"time\":\"%s\","
		"\"msg\":\"%s\",\"version\":\"%s\",\"req\":{\"method\":\"%s\",\"url\":\"%s\","
		"\"remoteAddress\":\"%s\"},\"res\":{\"statusCode\":%u},\"latency_us\":%u,"
		"\"user_id\":\"%s\",\"tenant_id\":\"%s\",\"trace_id\":\"%032llx\"}",
		event->service->name, w->failed ? 50 : 30, w->instance, w->time, w->message,
		event->arm->version, methods[event->route], w->path, w->address, event->status,
		event->duration_us, w->user, fleet_tenant(event->tenant),
		(unsigned long long)event->trace);
}

/* Broken on purpose: a line cut off by a restart, bytes that are no text, nothing at all. */
static bool log_bad(const struct words *w, struct bytes *to)
{
	static const unsigned char noise[] = {0x0a, 0xff, 0xfe, 0x00, 0x81, 0x93, 0x00, 0xc0};
	switch (w->event->kind) {
	case FLEET_BAD_JSON:
		log_bunyan(w, to);
		to->size = to->size / 2;
		return true;
	case FLEET_BAD_BYTES:
		for (int i = 0; i < 8; i++)
			bytes_put(to, noise, sizeof noise);
		return true;
	case FLEET_BAD_EMPTY:
		return true;
	default:
		return false;
	}
}

void fleet_log(const struct fleet_event *event, int64_t anchor_us, struct bytes *to)
{
	static void (*const loggers[])(const struct words *, struct bytes *) = {
		log_ecs, log_pino, log_zap, log_logback, log_fluent_bit, log_bunyan};
	bytes_clear(to);
	struct words words = words_of(event, anchor_us);
	if (!log_bad(&words, to))
		loggers[event->service->logger](&words, to);
}
