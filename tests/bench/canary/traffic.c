#include "tests/bench/canary/traffic.h"

#include <assert.h>
#include <math.h>

enum { BURST_MEAN = 5, CANARY_INSTANCES = 5 };

static const double BUCKET_SECONDS = 10;
static const double LOSS = 0.05;
static const double INCIDENT = 20;

struct traffic traffic_of(const struct cell *cell, uint64_t seed, uint64_t run)
{
	uint64_t stream = 0;
	for (const char *c = cell->name; *c != '\0'; c++)
		stream = (stream ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	struct traffic traffic = {.cell = cell, .random = random_of(seed, stream, run)};
	traffic.phase = 2 * M_PI * random_uniform(&traffic.random);
	return traffic;
}

/* What holds of one bucket before anything is drawn. */
struct moment {
	double requests, share, rate_b, rate_c;
};

static struct moment moment_of(const struct traffic *traffic, int bucket)
{
	static const double SHARES[] = {0.05, 0.1, 0.25, 0.5};
	const struct cell *cell = traffic->cell;
	enum shape shape = cell->shape;
	struct moment moment = {cell->rps * BUCKET_SECONDS, cell->share, cell->rate_b,
				cell->rate_c};
	if (shape == SHAPE_RAMP || shape == SHAPE_STORM)
		moment.share = SHARES[bucket * 4 / TRAFFIC_BUCKETS];
	double rate = 1;
	if (shape == SHAPE_SEASON || shape == SHAPE_STORM) {
		double wave = sin(2 * M_PI * bucket / TRAFFIC_BUCKETS + traffic->phase);
		moment.requests *= 1 + 0.5 * wave;
		rate *= 1 + 0.8 * wave;
	}
	if (shape == SHAPE_INCIDENT || shape == SHAPE_STORM)
		rate *= bucket >= 150 && bucket < 168 ? INCIDENT : 1;
	moment.rate_b = fmin(moment.rate_b * rate, 0.9);
	moment.rate_c = fmin(moment.rate_c * rate, 0.9);
	return moment;
}

/* A burst of the sticky kind begins on the canary `ratio` times as often; else each of its events
 * is answered badly `ratio` times as often there. Where there are few clients the burst is one's of
 * them, and only the first of each in a bucket is a cluster. */
static void draw_bursts(struct random *random, const struct cell *cell, const struct moment *moment,
			struct draw *draw)
{
	bool sticky = cell->shape != SHAPE_BURST_REQUEST;
	uint64_t known = 0; /* set of clients */
	double ratio = moment->rate_c / moment->rate_b;
	double stretch = moment->share * ratio + 1 - moment->share;
	double weight = moment->share * ratio / stretch;
	double requests = (double)(draw->raw.n_c + draw->raw.n_b);
	uint64_t bursts = random_poisson(random, requests * moment->rate_b / BURST_MEAN * stretch);
	for (uint64_t i = 0; i < bursts; i++) {
		bool first = random_uniform(random) < weight;
		unsigned client = draw->principals < 2
					  ? 0
					  : (unsigned)(random_uniform(random) * draw->principals);
		bool counts = draw->principals == 0 || (known >> client & 1) == 0;
		known |= UINT64_C(1) << client;
		draw->clusters.x_c += first && counts;
		draw->clusters.x_b += !first && counts;
		bool canary = first;
		do {
			draw->raw.x_c += canary;
			draw->raw.x_b += !canary;
			canary = sticky ? first : random_uniform(random) < weight;
		} while (random_uniform(random) < 1 - 1.0 / BURST_MEAN);
	}
}

/* Few clients: each has one cluster a bucket, of the arm that answered it badly first. */
static void draw_principals(struct random *random, const struct moment *moment, struct draw *draw)
{
	for (unsigned i = 0; i < draw->principals; i++) {
		uint64_t bad_c =
			random_binomial(random, draw->raw.n_c / draw->principals, moment->rate_c);
		uint64_t bad_b =
			random_binomial(random, draw->raw.n_b / draw->principals, moment->rate_b);
		draw->raw.x_c += bad_c;
		draw->raw.x_b += bad_b;
		if (bad_c + bad_b == 0)
			continue;
		bool first = random_uniform(random) * (double)(bad_c + bad_b) < (double)bad_c;
		draw->clusters.x_c += first;
		draw->clusters.x_b += !first;
	}
}

static void draw_independent(struct random *random, const struct cell *cell,
			     const struct moment *moment, struct draw *draw)
{
	uint64_t n_bad = 0;
	double rate_c = moment->rate_c;
	if (cell->shape == SHAPE_BAD_NODE) {
		double excess = CANARY_INSTANCES * (moment->rate_c - moment->rate_b);
		n_bad = random_binomial(random, draw->raw.n_c, 1.0 / CANARY_INSTANCES);
		draw->raw.x_c = random_binomial(random, n_bad, fmin(moment->rate_b + excess, 0.9));
		rate_c = moment->rate_b;
	}
	draw->raw.x_c += random_binomial(random, draw->raw.n_c - n_bad, rate_c);
	draw->raw.x_b = random_binomial(random, draw->raw.n_b, moment->rate_b);
	if (cell->shape == SHAPE_LOSS) {
		uint64_t good = draw->raw.n_c - draw->raw.x_c;
		draw->raw.x_c = random_binomial(random, draw->raw.x_c, 1 - LOSS);
		draw->raw.n_c = draw->raw.x_c + random_binomial(random, good, 1 - LOSS);
	}
	draw->clusters = draw->raw;
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
	return value < limit ? value : limit;
}

/* A burst may outlast its bucket's requests. */
static void settle(struct draw *draw)
{
	struct evalue_count *raw = &draw->raw;
	struct evalue_count *clusters = &draw->clusters;
	raw->x_c = at_most(raw->x_c, raw->n_c);
	raw->x_b = at_most(raw->x_b, raw->n_b);
	clusters->x_c = at_most(clusters->x_c, raw->x_c);
	clusters->x_b = at_most(clusters->x_b, raw->x_b);
	clusters->n_c = raw->n_c;
	clusters->n_b = raw->n_b;
}

/* 0: nearly every request has its own. */
static unsigned principals_of(enum shape shape)
{
	if (shape == SHAPE_ONE_PRINCIPAL || shape == SHAPE_ONE_RETRIES)
		return 1;
	return shape == SHAPE_THREE_PRINCIPALS || shape == SHAPE_THREE_RETRIES ? 3 : 0;
}

struct draw traffic_draw(struct traffic *traffic, int bucket)
{
	const struct cell *cell = traffic->cell;
	struct random *random = &traffic->random;
	struct moment moment = moment_of(traffic, bucket);
	struct draw draw = {.share = moment.share, .principals = principals_of(cell->shape)};
	assert(bucket >= 0 && bucket < TRAFFIC_BUCKETS);
	draw.raw.n_c = random_poisson(random, moment.requests * moment.share);
	draw.raw.n_b = random_poisson(random, moment.requests * (1 - moment.share));
	if (cell->shape == SHAPE_BURST_STICKY || cell->shape == SHAPE_BURST_REQUEST ||
	    cell->shape == SHAPE_ONE_RETRIES || cell->shape == SHAPE_THREE_RETRIES)
		draw_bursts(random, cell, &moment, &draw);
	else if (draw.principals > 0)
		draw_principals(random, &moment, &draw);
	else
		draw_independent(random, cell, &moment, &draw);
	settle(&draw);
	return draw;
}
