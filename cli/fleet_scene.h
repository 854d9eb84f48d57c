/* fleet_scene - what happens in the simulated fleet of the demo: requests in order of time.
 *
 * Why: the demo must show a brute force, a spraying, a cross-tenant read and three canaries inside
 * traffic that looks like a real shop's, and must know to the record what picket should find.
 *
 * Invariant: deterministic for a seed: times are milliseconds since the scene began, the caller
 * adds the anchor. Shares of canaries and their errors are counted, not drawn, so that every seed
 * has the same verdicts. Owner and thread: one. No clock.
 * Limits: it goes on for ever at the same rate; the incidents happen once. */
#ifndef PICKET_CLI_FLEET_SCENE_H
#define PICKET_CLI_FLEET_SCENE_H

#include <stdint.h>

#include "rules/error.h"
#include "rules/text.h"

enum {
	FLEET_PARTITIONS_MAX = 4,
	FLEET_SERVICES = 6,
	FLEET_USERS = 400,
	FLEET_TENANTS = 5,
};

enum fleet_logger {
	FLEET_ECS,
	FLEET_PINO,
	FLEET_ZAP,
	FLEET_LOGBACK,
	FLEET_FLUENT_BIT,
	FLEET_BUNYAN,
};

/* One version of a service: its share of the requests and how often one fails. */
struct fleet_arm {
	const char *version; /* NULL: there is no canary */
	unsigned percent;    /* of the service's requests */
	unsigned instances;
	unsigned error_every;  /* one of so many requests is answered with 5xx */
	unsigned from_s, to_s; /* when it logs; to_s 0 = for ever */
};

struct fleet_service {
	const char *name, *topic;
	int partitions;
	unsigned per_second;
	enum fleet_logger logger;
	struct fleet_arm stable, canary;
	const char *verdict; /* what the gate should say of the canary */
};

extern const struct fleet_service fleet_services[FLEET_SERVICES];

enum fleet_kind { FLEET_REQUEST, FLEET_LOGIN, FLEET_BAD_JSON, FLEET_BAD_BYTES, FLEET_BAD_EMPTY };

/* One thing that is logged. */
struct fleet_event {
	const struct fleet_service *service;
	const struct fleet_arm *arm;
	enum fleet_kind kind;
	unsigned instance; /* over both arms */
	int32_t partition;
	int64_t at_ms; /* event time, up to a second before it is sent */
	unsigned user; /* below FLEET_USERS; beyond: people of the incidents */
	unsigned tenant, target_tenant;
	unsigned source; /* an incident's address, 0 = the user's own */
	unsigned status, duration_us, route;
	bool success; /* of a login */
	uint64_t trace;
};

struct fleet_scene;

/* Called for each event in order of sending; a status other than OK ends the step. */
typedef enum status fleet_sink(void *context, const struct fleet_event *event);

struct fleet_scene *fleet_scene_new(uint64_t seed); /* NULL: out of memory */
void fleet_scene_free(struct fleet_scene **scene);
/* Everything that is sent up to until_ms. */
enum status fleet_scene_play(struct fleet_scene *scene, int64_t until_ms, fleet_sink *sink,
			     void *context);

/* What picket should find once the incidents are over (JSON array members, no brackets). */
const char *fleet_expected_alerts(void);

/* Words for a log line. */
const char *fleet_tenant(unsigned tenant);
const char *fleet_user(unsigned user, char buffer[static 16]);
const char *fleet_address(const struct fleet_event *event, char buffer[static 24]);

#endif
