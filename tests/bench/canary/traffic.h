/* traffic - the canaries that are tried: what each cell is like, and one bucket of it after
 * another.
 *
 * Why: the bounds of evalue.c are theorems about a model. Real traffic has seasons, incidents in
 * both versions, a share that changes, retries that come in bursts, clients behind one gateway and
 * logs that get lost; a judge is worth what it does there.
 *
 * Invariant: a bucket depends on (seed, cell, run, bucket) alone. Bad outcomes never outnumber
 * requests, clusters never bad outcomes. Owner: the caller, plain data. Thread: one per run.
 * Units: rates per request, `rps` requests a second of both arms, buckets of 10 s.
 * Limits: TRAFFIC_BUCKETS, an hour. */
#ifndef PICKET_BENCH_TRAFFIC_H
#define PICKET_BENCH_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>

#include "correlate/evalue.h"
#include "tests/bench/canary/random.h"

enum { TRAFFIC_BUCKETS = 360 };

enum shape {
	SHAPE_STEADY,           /* independent errors at a constant rate */
	SHAPE_SEASON,           /* rate and traffic wave over the hour */
	SHAPE_INCIDENT,         /* 20-fold errors in both arms for 3 minutes */
	SHAPE_RAMP,             /* share 5-10-25-50 %, a quarter of an hour each */
	SHAPE_STORM,            /* season, incident and ramp together */
	SHAPE_BURST_STICKY,     /* bursts of errors (mean 5), each on one version */
	SHAPE_BURST_REQUEST,    /* the same, routed request by request */
	SHAPE_ONE_PRINCIPAL,    /* everything comes through one gateway */
	SHAPE_THREE_PRINCIPALS, /* through three */
	SHAPE_ONE_RETRIES,      /* through one, in bursts of the sticky kind */
	SHAPE_THREE_RETRIES,    /* through three */
	SHAPE_BAD_NODE,         /* one of five canary instances makes all of its excess */
	SHAPE_LOSS,             /* 5 % of the canary's records are lost */
	SHAPE_COUNT,
};
const char *shape_name(enum shape shape);

struct cell {
	char name[64];
	double rps, share;
	double rate_b, rate_c; /* of bad outcomes, baseline and canary */
	enum shape shape;
	bool fine; /* of those that are run 20,000 times */
};
/* The cells that have a name, then the grid. */
size_t cell_count(void);
struct cell cell_at(size_t index);
bool cell_is_null(const struct cell *cell); /* FAIL would be a false alarm */
bool cell_must_not_pass(const struct cell *cell);

/* One bucket of both arms. */
struct draw {
	double share; /* as declared by the controller */
	struct evalue_count clusters, raw;
	unsigned principals; /* at most so many have bad outcomes; 0: each cluster has its own */
};

struct traffic {
	const struct cell *cell;
	struct random random;
	double phase; /* of the season */
};
struct traffic traffic_of(const struct cell *cell, uint64_t seed, uint64_t run);
struct draw traffic_draw(struct traffic *traffic, int bucket);

#endif
