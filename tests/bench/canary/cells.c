#include "tests/bench/canary/traffic.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Named cells: those of 20,000 runs stand at the corners of the grid and where the model is
 * strained most. The grid is every combination of GRID_*; without bad outcomes in the baseline a
 * "ratio" r means 0.02 % (r - 1) in the canary alone. */

static const double PSI0 = 1.25;     /* of the default policy, an odds ratio */
static const double PSI_TOL = 2;     /* likewise */
static const double P_ABS = 0.001;   /* likewise, a rate */
static const double LONELY = 0.0002; /* canary alone, per step of the ratio */

#define EDGE(rate) (1.25 / (1 + 0.25 * (rate))) /* as a ratio of rates: odds exactly PSI0 */

static const struct named {
	const char *name;
	double rps, share, rate, ratio;
	enum shape shape;
	bool fine;
} NAMED[] = {
	{"null quiet 1 %", 2, 0.01, 0.01, 1, SHAPE_STEADY, true},
	{"null quiet 50 %", 2, 0.5, 0.01, 1, SHAPE_STEADY, true},
	{"null busy 1 %", 2000, 0.01, 0.0001, 1, SHAPE_STEADY, true},
	{"null busy 50 %", 2000, 0.5, 0.01, 1, SHAPE_STEADY, true},
	{"null middle", 200, 0.1, 0.001, 1, SHAPE_STEADY, true},
	{"null edge psi0", 200, 0.1, 0.01, EDGE(0.01), SHAPE_STEADY, true},
	{"null season", 200, 0.1, 0.005, 1, SHAPE_SEASON, true},
	{"null incident", 200, 0.1, 0.005, 1, SHAPE_INCIDENT, true},
	{"null storm", 200, 0.05, 0.005, 1, SHAPE_STORM, true},
	{"null burst sticky", 200, 0.1, 0.005, 1, SHAPE_BURST_STICKY, true},
	{"null burst request", 200, 0.1, 0.005, 1, SHAPE_BURST_REQUEST, true},
	{"null three principals", 200, 0.1, 0.01, 1, SHAPE_THREE_PRINCIPALS, true},
	{"null ramp", 200, 0.05, 0.005, 1, SHAPE_RAMP, false},
	{"null one principal", 200, 0.1, 0.01, 1, SHAPE_ONE_PRINCIPAL, false},
	{"null loss", 200, 0.1, 0.005, 1, SHAPE_LOSS, false},
	{"pass edge both", 200, 0.1, 0.0005, 2, SHAPE_STEADY, false},
	{"pass edge relative", 200, 0.1, 0.005, 2, SHAPE_STEADY, false},
	{"pass edge absolute", 200, 0.1, 0.0001, 10, SHAPE_STEADY, false},
	{"pass burst sticky", 200, 0.1, 0.005, 2, SHAPE_BURST_STICKY, false},
	{"pass burst request", 200, 0.1, 0.005, 2, SHAPE_BURST_REQUEST, false},
	{"pass one principal 2", 200, 0.1, 0.01, 2, SHAPE_ONE_PRINCIPAL, false},
	{"pass one principal 3", 200, 0.1, 0.01, 3, SHAPE_ONE_PRINCIPAL, false},
	{"pass three principals 2", 200, 0.1, 0.01, 2, SHAPE_THREE_PRINCIPALS, false},
	{"pass three principals 3", 200, 0.1, 0.01, 3, SHAPE_THREE_PRINCIPALS, false},
	{"pass one principal edge", 200, 0.1, 0.0005, 2, SHAPE_ONE_PRINCIPAL, false},
	{"pass three principals edge", 200, 0.1, 0.0005, 2, SHAPE_THREE_PRINCIPALS, false},
	{"pass one principal half", 200, 0.5, 0.001, 2, SHAPE_ONE_PRINCIPAL, false},
	{"pass three principals half", 200, 0.5, 0.001, 2, SHAPE_THREE_PRINCIPALS, false},
	{"pass one principal quiet", 20, 0.1, 0.005, 2, SHAPE_ONE_PRINCIPAL, false},
	{"pass three principals quiet", 20, 0.1, 0.005, 2, SHAPE_THREE_PRINCIPALS, false},
	{"pass one retries 2", 200, 0.1, 0.005, 2, SHAPE_ONE_RETRIES, false},
	{"pass three retries 2", 200, 0.1, 0.005, 2, SHAPE_THREE_RETRIES, false},
	{"pass one retries edge", 200, 0.1, 0.0005, 2, SHAPE_ONE_RETRIES, false},
	{"pass three retries edge", 200, 0.1, 0.0005, 2, SHAPE_THREE_RETRIES, false},
	{"pass one retries half", 200, 0.5, 0.001, 2, SHAPE_ONE_RETRIES, false},
	{"pass three retries half", 200, 0.5, 0.001, 2, SHAPE_THREE_RETRIES, false},
	{"worse season 3", 200, 0.1, 0.005, 3, SHAPE_SEASON, false},
	{"worse incident 3", 200, 0.1, 0.005, 3, SHAPE_INCIDENT, false},
	{"worse ramp 3", 200, 0.05, 0.005, 3, SHAPE_RAMP, false},
	{"worse storm 3", 200, 0.05, 0.005, 3, SHAPE_STORM, false},
	{"worse burst sticky 3", 200, 0.1, 0.005, 3, SHAPE_BURST_STICKY, false},
	{"worse burst request 3", 200, 0.1, 0.005, 3, SHAPE_BURST_REQUEST, false},
	{"worse bad node 3", 200, 0.1, 0.005, 3, SHAPE_BAD_NODE, false},
	{"worse loss 3", 200, 0.1, 0.005, 3, SHAPE_LOSS, false},
};

static const double GRID_RPS[] = {2, 20, 200, 2000};
static const double GRID_SHARE[] = {0.01, 0.05, 0.1, 0.5};
static const double GRID_RATE[] = {0, 0.0001, 0.001, 0.01};
static const double GRID_RATIO[] = {1, 1.25, 1.5, 2, 3, 5, 10};

enum {
	NAMED_COUNT = sizeof NAMED / sizeof *NAMED,
	RPS_COUNT = sizeof GRID_RPS / sizeof *GRID_RPS,
	SHARE_COUNT = sizeof GRID_SHARE / sizeof *GRID_SHARE,
	RATE_COUNT = sizeof GRID_RATE / sizeof *GRID_RATE,
	RATIO_COUNT = sizeof GRID_RATIO / sizeof *GRID_RATIO,
};

const char *shape_name(enum shape shape)
{
	static const char *const NAMES[] = {"steady",        "season",        "incident",
					    "ramp",          "storm",         "burst_sticky",
					    "burst_request", "one_principal", "three_principals",
					    "one_retries",   "three_retries", "bad_node",
					    "loss"};
	_Static_assert(sizeof NAMES / sizeof *NAMES == SHAPE_COUNT, "a name for each");
	return NAMES[shape];
}

size_t cell_count(void)
{
	return NAMED_COUNT + (size_t)RPS_COUNT * SHARE_COUNT * RATE_COUNT * RATIO_COUNT;
}

static struct cell grid_cell(size_t index)
{
	double ratio = GRID_RATIO[index % RATIO_COUNT];
	index /= RATIO_COUNT;
	double rate = GRID_RATE[index % RATE_COUNT];
	index /= RATE_COUNT;
	double share = GRID_SHARE[index % SHARE_COUNT];
	double rps = GRID_RPS[index / SHARE_COUNT];
	struct cell cell = {.rps = rps,
			    .share = share,
			    .rate_b = rate,
			    .rate_c = rate > 0 ? rate * ratio : LONELY * (ratio - 1)};
	(void)snprintf(cell.name, sizeof cell.name, "grid %g/s %g %% %g %% x%g", rps, 100 * share,
		       100 * rate, ratio);
	return cell;
}

struct cell cell_at(size_t index)
{
	assert(index < cell_count());
	if (index >= NAMED_COUNT)
		return grid_cell(index - NAMED_COUNT);
	const struct named *named = &NAMED[index];
	struct cell cell = {.rps = named->rps,
			    .share = named->share,
			    .rate_b = named->rate,
			    .rate_c = named->rate * named->ratio,
			    .shape = named->shape,
			    .fine = named->fine};
	(void)snprintf(cell.name, sizeof cell.name, "%s", named->name);
	return cell;
}

static double odds(double rate)
{
	return rate / (1 - rate);
}

bool cell_is_null(const struct cell *cell)
{
	static const double ROUNDING = 1e-9;
	return odds(cell->rate_c) <= PSI0 * odds(cell->rate_b) + ROUNDING;
}

bool cell_must_not_pass(const struct cell *cell)
{
	return cell->rate_c >= P_ABS && cell->rate_c >= PSI_TOL * cell->rate_b;
}
