/* fleet_log - a simulated event as the line its service's logger would write.
 *
 * Why: real fleets do not agree on a format. Each service logs as the library it would use does:
 * ECS, pino, zap, logback, bunyan, and one through Fluent Bit's envelope.
 *
 * Invariant: deterministic. Owner: the caller's buffer. Thread: any. No clock: event time is
 * anchor_us + event->at_ms. */
#ifndef PICKET_CLI_FLEET_LOG_H
#define PICKET_CLI_FLEET_LOG_H

#include "cli/fleet_scene.h"
#include "rules/bytes.h"

/* Replaces the contents of *to. */
void fleet_log(const struct fleet_event *event, int64_t anchor_us, struct bytes *to);
/* The name of the instance, e.g. orders-2-1-0-6f4c9-1. */
void fleet_instance(const struct fleet_event *event, char buffer[static 64]);

#endif
