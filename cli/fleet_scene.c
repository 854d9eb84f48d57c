#include "cli/fleet_scene.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	STEP_MS = 20,
	JITTER_MS = 900,
	USER_VICTIM = FLEET_USERS,       /* whose password is guessed */
	USER_STRANGER = FLEET_USERS + 1, /* who reads what is not his */
	USER_SPRAYED = FLEET_USERS + 2,  /* and the next SPRAYED_COUNT */
	VICTIM_FAILURES = 30,
	SPRAYED_COUNT = 40,
	FOREIGN_READS = 3,
	SOURCE_GUESSER = 1, /* and the next four: the guesser changes his address */
	SOURCE_SPRAYER = 6,
	ACME = 0,
	GLOBEX = 1,
};

/* Sizes: 160 records a second, 67,200 in seven minutes; a partition gets at most 3.5 MiB in that
 * time, and the mock broker keeps 5 MiB. The canaries: orders has fewer errors than its baseline,
 * on 7,400 requests; payments fails 15 times as often; search is healthy until its logs stop. */
const struct fleet_service fleet_services[FLEET_SERVICES] = {
	{"gateway", "logs-gateway", 3, 45, FLEET_ECS, {"5.2.0", 100, 3, 400, 0, 0}, {0}, NULL},
	{"auth", "logs-auth", 2, 15, FLEET_PINO, {"4.1.2", 100, 2, 600, 0, 0}, {0}, NULL},
	{"orders",
	 "logs-orders",
	 3,
	 36,
	 FLEET_ZAP,
	 {"2.0.0", 50, 3, 160, 0, 0},
	 {"2.1.0", 50, 3, 320, 10, 0},
	 "PASS"},
	{"payments",
	 "logs-payments",
	 2,
	 20,
	 FLEET_LOGBACK,
	 {"3.3.1", 80, 2, 300, 0, 0},
	 {"3.4.0", 20, 2, 20, 60, 0},
	 "FAIL"},
	{"search",
	 "logs-search",
	 3,
	 24,
	 FLEET_FLUENT_BIT,
	 {"1.8.2", 75, 3, 250, 0, 0},
	 {"1.9.0", 25, 2, 250, 10, 210},
	 "STALE"},
	{"catalog", "logs-catalog", 2, 20, FLEET_BUNYAN, {"7.0.3", 100, 2, 500, 0, 0}, {0}, NULL},
};

/* A repeated thing: `count` times, every `every_ms` from `from_ms`. */
struct incident {
	enum {
		INCIDENT_GUESS,
		INCIDENT_GUESSED,
		INCIDENT_SPRAY,
		INCIDENT_FOREIGN_READ,
		INCIDENT_REFUSED_READ,
		INCIDENT_BAD_JSON,
		INCIDENT_BAD_BYTES,
		INCIDENT_BAD_EMPTY
	} what;
	int64_t from_ms, every_ms;
	unsigned count;
};

static const struct incident incidents[] = {
	{INCIDENT_GUESS, 60000, 4000, VICTIM_FAILURES},
	{INCIDENT_GUESSED, 181000, 1, 1},
	{INCIDENT_SPRAY, 150000, 3000, SPRAYED_COUNT},
	{INCIDENT_FOREIGN_READ, 200000, 5000, FOREIGN_READS},
	{INCIDENT_REFUSED_READ, 120000, 40000, 4},
	{INCIDENT_BAD_JSON, 20000, 25000, 15},
	{INCIDENT_BAD_BYTES, 30000, 40000, 9},
	{INCIDENT_BAD_EMPTY, 40000, 60000, 6},
};

enum { INCIDENTS = sizeof incidents / sizeof *incidents };

struct fleet_scene {
	uint64_t random;
	int64_t at_ms;
	uint64_t requests[FLEET_SERVICES], stable[FLEET_SERVICES], canary[FLEET_SERVICES];
	uint64_t errors;
	unsigned happened[INCIDENTS];
};

/* Vigna's splitmix64: small, good enough, the same everywhere. */
static uint64_t draw(struct fleet_scene *scene)
{
	uint64_t z = scene->random += 0x9e3779b97f4a7c15U;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

struct fleet_scene *fleet_scene_new(uint64_t seed)
{
	struct fleet_scene *scene = calloc(1, sizeof *scene);
	if (scene != NULL)
		scene->random = seed;
	return scene;
}

void fleet_scene_free(struct fleet_scene **scene)
{
	free(*scene);
	*scene = NULL;
}

const char *fleet_tenant(unsigned tenant)
{
	static const char *const names[FLEET_TENANTS] = {"acme", "globex", "initech", "umbrella",
							 "hooli"};
	assert(tenant < FLEET_TENANTS);
	return names[tenant];
}

const char *fleet_user(unsigned user, char buffer[static 16])
{
	(void)snprintf(buffer, 16, "u-%04u", user);
	return buffer;
}

const char *fleet_address(const struct fleet_event *event, char buffer[static 24])
{
	if (event->source == SOURCE_SPRAYER)
		(void)snprintf(buffer, 24, "203.0.113.99");
	else if (event->source != 0)
		(void)snprintf(buffer, 24, "198.51.100.%u", 20 + event->source);
	else
		(void)snprintf(buffer, 24, "10.%u.%u.%u", 20 + event->user / 200, event->user % 200,
			       1 + event->user % 7);
	return buffer;
}

const char *fleet_expected_alerts(void)
{
	return "{\"rule\":\"brute_force_user\",\"group\":{\"user.id\":\"u-0400\"},\"count\":30},"
	       "{\"rule\":\"brute_force_source\",\"group\":{\"picket.identity.source\":\"203.0.113.99\"},"
	       "\"count\":40},"
	       "{\"rule\":\"cross_tenant_access\",\"group\":{\"service.name\":\"orders\","
	       "\"user.id\":\"u-0401\",\"target.tenant.id\":\"globex\"},\"count\":3},"
	       "{\"rule\":\"stack_trace_by_version\",\"group\":{\"service.name\":\"payments\","
	       "\"service.version\":\"3.4.0\","
	       "\"error.type\":\"java.lang.IllegalStateException\"}}";
}

/* Places an event on an instance; each instance's log goes to one partition, as shippers do. */
static void place(struct fleet_event *event, uint64_t number)
{
	const struct fleet_service *service = event->service;
	bool canary = event->arm == &service->canary;
	event->instance = (canary ? service->stable.instances : 0) +
			  (unsigned)(number % event->arm->instances);
	event->partition = (int32_t)(event->instance % (unsigned)service->partitions);
}

static bool arm_speaks(const struct fleet_arm *arm, int64_t at_ms)
{
	return arm->version != NULL && at_ms >= arm->from_s * 1000LL &&
	       (arm->to_s == 0 || at_ms < arm->to_s * 1000LL);
}

/* The arm of the n-th request: percentages by counting. When a canary is silent its requests are
 * not moved to the baseline: it serves them, but its log does not arrive. */
static const struct fleet_arm *arm_of(const struct fleet_service *service, uint64_t number,
				      int64_t at_ms)
{
	bool canary = service->canary.version != NULL &&
		      number * service->canary.percent / 100 !=
			      (number + 1) * service->canary.percent / 100;
	if (!canary || at_ms < service->canary.from_s * 1000LL)
		return &service->stable;
	return arm_speaks(&service->canary, at_ms) ? &service->canary : NULL;
}

static enum status request(struct fleet_scene *scene, unsigned index, fleet_sink *sink,
			   void *context)
{
	const struct fleet_service *service = &fleet_services[index];
	uint64_t number = scene->requests[index]++;
	uint64_t dice = draw(scene);
	const struct fleet_arm *arm = arm_of(service, number, scene->at_ms);
	if (arm == NULL)
		return OK;
	uint64_t *counter = arm == &service->canary ? &scene->canary[index] : &scene->stable[index];
	uint64_t of_arm = (*counter)++;
	struct fleet_event event = {
		.service = service,
		.arm = arm,
		.kind = service->logger == FLEET_PINO && dice % 4 == 0 ? FLEET_LOGIN
								       : FLEET_REQUEST,
		.at_ms = scene->at_ms - (int64_t)((dice >> 8) % JITTER_MS),
		.user = (unsigned)((dice >> 24) % FLEET_USERS),
		.status = (dice >> 40) % 50 == 0 ? 404 : 200,
		.duration_us = 900 + (unsigned)((dice >> 44) % 40000),
		.route = (unsigned)(dice >> 20) % 4,
		.success = (dice >> 36) % 100 != 0,
		.trace = draw(scene),
	};
	/* Neighbours in time fail for different people: each error is a cause of its own. */
	if (event.kind == FLEET_REQUEST && of_arm % arm->error_every == arm->error_every / 2) {
		event.status = dice % 3 == 0 ? 503 : 500;
		event.user = (unsigned)(scene->errors++ * 37 % FLEET_USERS);
	}
	event.tenant = event.target_tenant = event.user % FLEET_TENANTS;
	place(&event, of_arm);
	return sink(context, &event);
}

static void make_login(struct fleet_event *event, unsigned user, unsigned source, bool success)
{
	event->service = &fleet_services[1];
	event->kind = FLEET_LOGIN;
	event->user = user;
	event->source = source;
	event->success = success;
	event->tenant = event->target_tenant = user == USER_VICTIM ? ACME : user % FLEET_TENANTS;
}

static void make_foreign_read(struct fleet_event *event, unsigned status)
{
	event->service = &fleet_services[2];
	event->kind = FLEET_REQUEST;
	event->user = USER_STRANGER;
	event->tenant = ACME;
	event->target_tenant = GLOBEX;
	event->status = status;
	event->route = 1;
}

static enum status happen(struct fleet_scene *scene, const struct incident *incident, unsigned nth,
			  fleet_sink *sink, void *context)
{
	struct fleet_event event = {.service = &fleet_services[5],
				    .at_ms = incident->from_ms + incident->every_ms * nth,
				    .status = 200,
				    .duration_us = 7000,
				    .trace = draw(scene)};
	switch (incident->what) {
	case INCIDENT_GUESS:
		make_login(&event, USER_VICTIM, SOURCE_GUESSER + nth % 5, false);
		break;
	case INCIDENT_GUESSED:
		make_login(&event, USER_VICTIM, SOURCE_GUESSER, true);
		break;
	case INCIDENT_SPRAY:
		make_login(&event, USER_SPRAYED + nth, SOURCE_SPRAYER, false);
		break;
	case INCIDENT_FOREIGN_READ:
		make_foreign_read(&event, 200);
		break;
	case INCIDENT_REFUSED_READ:
		make_foreign_read(&event, 403);
		break;
	case INCIDENT_BAD_JSON:
		event.kind = FLEET_BAD_JSON;
		break;
	case INCIDENT_BAD_BYTES:
		event.kind = FLEET_BAD_BYTES;
		break;
	case INCIDENT_BAD_EMPTY:
		event.kind = FLEET_BAD_EMPTY;
		break;
	}
	event.arm = &event.service->stable;
	place(&event, nth);
	return sink(context, &event);
}

enum status fleet_scene_play(struct fleet_scene *scene, int64_t until_ms, fleet_sink *sink,
			     void *context)
{
	enum status status = OK;
	for (; scene->at_ms + STEP_MS <= until_ms && status == OK; scene->at_ms += STEP_MS) {
		for (unsigned i = 0; i < INCIDENTS && status == OK; i++) {
			const struct incident *incident = &incidents[i];
			unsigned nth = scene->happened[i];
			if (nth == incident->count ||
			    scene->at_ms < incident->from_ms + incident->every_ms * nth)
				continue;
			scene->happened[i]++;
			status = happen(scene, incident, nth, sink, context);
		}
		for (unsigned i = 0; i < FLEET_SERVICES; i++) {
			uint64_t due = (uint64_t)scene->at_ms * fleet_services[i].per_second / 1000;
			while (scene->requests[i] < due && status == OK)
				status = request(scene, i, sink, context);
		}
	}
	return status;
}
