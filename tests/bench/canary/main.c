/* bench_canary - how often each judge is wrong about a canary, and how fast it is right.
 *
 *     bench_canary [--runs N] [--cells TEXT] [--fine] [--judges N] [--seed S] [--jobs N]
 *                  [--into FILE] [--list]
 *
 * CSV, a row per cell and judge: `fail` is the share of canaries rolled back within the hour,
 * `*_upper95` its one-sided 95 % Clopper-Pearson bound, the medians are of those that were,
 * `bad_served` is the median of the canary's bad answers up to then, `cpu_ms` the time for one
 * canary before all judges. --cells takes those whose name contains TEXT, --fine those made for
 * 20,000 runs; --judges the first N judges alone. The work is shared by processes, run by run; each
 * run has its own dice, so the figures do not depend on their number.
 *
 * --into appends to a file, each cell in one piece when it is done, and leaves out the cells that
 * stand there with as many runs and judges: what was stopped is taken up again by the same command.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/canary/rivals.h"
#include "tests/bench/canary/subject.h"

enum {
	SUBJECTS = 2,
	JUDGES = SUBJECTS + RIVAL_COUNT,
	EX_USAGE = 64,
	RUNS_MAX = 1000000,
	JOBS_MAX = 64,
	LINE_MAX_BYTES = 512,
};

static const char HEAD[] =
	"cell,shape,rps,share,rate_b,rate_c,null,must_not_pass,runs,judge,fail,fail_upper95,"
	"fail_median_min,fail_p90_min,bad_served,pass,pass_upper95,pass_median_min,flips,cpu_ms\n";

static const double PSI0[SUBJECTS] = {1.25, 1};
static const char *const SUBJECT_NAMES[SUBJECTS] = {"picket", "picket_psi0_1"};

struct options {
	unsigned long runs;
	const char *cells;
	const char *into; /* NULL: stdout */
	bool fine, list;
	unsigned long judges;
	uint64_t seed;
	unsigned long jobs;
};

static const char *judge_name(int judge)
{
	return judge < SUBJECTS ? SUBJECT_NAMES[judge] : rival_name((enum rival)(judge - SUBJECTS));
}

/* What became of one canary: buckets from 1, 0 = never. */
struct run {
	uint16_t failed_at[JUDGES], passed_at[JUDGES];
	uint32_t bad_served[JUDGES];
	uint16_t flips;
};

static struct run run_canary(const struct cell *cell, const struct options *options, uint64_t index,
			     struct arena *arena)
{
	struct run run = {0};
	int subject_count = options->judges < SUBJECTS ? (int)options->judges : SUBJECTS;
	struct subject subjects[SUBJECTS] = {0};
	struct traffic traffic = traffic_of(cell, options->seed, index);
	struct rivals rivals = rivals_of(index);
	uint32_t served[TRAFFIC_BUCKETS + 1] = {0}; /* bad answers of the canary up to then */
	bool strictly = cell_must_not_pass(cell);
	enum subject_pace pace = strictly ? SUBJECT_EVERY_BUCKET : SUBJECT_EVERY_MINUTE;
	for (int i = 0; i < subject_count; i++)
		subject_init(&subjects[i], PSI0[i], i == 0 ? pace : SUBJECT_SELDOM, arena);
	for (int bucket = 0; bucket < TRAFFIC_BUCKETS; bucket++) {
		struct draw draw = traffic_draw(&traffic, bucket);
		served[bucket + 1] = served[bucket] + (uint32_t)draw.raw.x_c;
		for (int i = 0; i < subject_count; i++)
			subject_see(&subjects[i], bucket, &draw);
		if (options->judges > SUBJECTS)
			rivals_see(&rivals, bucket, &draw);
	}
	for (int i = 0; i < JUDGES; i++)
		run.failed_at[i] = (uint16_t)(i < SUBJECTS ? subjects[i].failed_at
							   : rivals.failed_at[i - SUBJECTS]);
	for (int i = 0; i < JUDGES; i++)
		run.bad_served[i] = served[run.failed_at[i]];
	for (int i = 0; i < subject_count; i++) {
		run.passed_at[i] = (uint16_t)subjects[i].passed_at;
		run.flips += (uint16_t)subjects[i].flips;
		subject_done(&subjects[i]);
	}
	return run;
}

/* Smallest p with P(binomial(n, p) <= k) <= 5 %, by bisection. */
static double upper95(unsigned long k, unsigned long n)
{
	double low = (double)k / (double)n;
	double high = 1;
	for (int step = 0; step < 60 && k < n; step++) {
		double p = (low + high) / 2;
		double sum = 0;
		for (unsigned long i = 0; i <= k; i++)
			sum += exp(lgamma((double)n + 1) - lgamma((double)i + 1) -
				   lgamma((double)(n - i) + 1) + (double)i * log(p) +
				   (double)(n - i) * log1p(-p));
		*(sum > 0.05 ? &low : &high) = p;
	}
	return high;
}

static int by_value(const void *left, const void *right)
{
	double a = *(const double *)left;
	double b = *(const double *)right;
	return (a > b) - (a < b);
}

static double quantile(double *values, size_t count, double share)
{
	qsort(values, count, sizeof *values, by_value);
	return count == 0 ? NAN : values[(size_t)((double)(count - 1) * share)];
}

static const double MINUTES_PER_BUCKET = 1.0 / 6;

/* One row of the table. */
static void report(const struct cell *cell, const struct run *runs, unsigned long count, int judge,
		   double cpu_ms, FILE *to)
{
	double *failed_at = calloc(count, sizeof *failed_at);
	double *passed_at = calloc(count, sizeof *passed_at);
	double *served = calloc(count, sizeof *served);
	assert(failed_at != NULL && passed_at != NULL && served != NULL);
	size_t failed = 0;
	size_t passed = 0;
	unsigned flips = 0;
	for (unsigned long i = 0; i < count; i++) {
		flips += judge < SUBJECTS ? runs[i].flips : 0;
		if (runs[i].passed_at[judge] > 0)
			passed_at[passed++] = runs[i].passed_at[judge] * MINUTES_PER_BUCKET;
		if (runs[i].failed_at[judge] == 0)
			continue;
		served[failed] = runs[i].bad_served[judge];
		failed_at[failed++] = runs[i].failed_at[judge] * MINUTES_PER_BUCKET;
	}
	double all = (double)count;
	(void)fprintf(
		to,
		"%s,%s,%g,%g,%g,%.6g,%d,%d,%lu,%s,%.5f,%.5f,%.1f,%.1f,%.0f,%.5f,%.5f,%.1f,%u,%.2f\n",
		cell->name, shape_name(cell->shape), cell->rps, cell->share, cell->rate_b,
		cell->rate_c, cell_is_null(cell), cell_must_not_pass(cell), count,
		judge_name(judge), (double)failed / all, upper95(failed, count),
		quantile(failed_at, failed, 0.5), quantile(failed_at, failed, 0.9),
		quantile(served, failed, 0.5), (double)passed / all, upper95(passed, count),
		quantile(passed_at, passed, 0.5), flips, cpu_ms / all);
	free(failed_at);
	free(passed_at);
	free(served);
}

static double children_cpu_ms(void)
{
	struct rusage usage;
	(void)getrusage(RUSAGE_CHILDREN, &usage);
	return (double)usage.ru_utime.tv_sec * 1e3 + (double)usage.ru_utime.tv_usec / 1e3;
}

/* Every jobs-th run, from the job-th one on. */
static void work(const struct cell *cell, const struct options *options, unsigned long job,
		 struct run *runs)
{
	struct arena *arena cleanup(arena_free) = arena_new((size_t)1 << 24);
	assert(arena != NULL);
	for (unsigned long i = job; i < options->runs; i += options->jobs)
		runs[i] = run_canary(cell, options, i, arena);
}

static bool simulate(const struct cell *cell, const struct options *options, FILE *to)
{
	size_t size = options->runs * sizeof(struct run);
	struct run *runs =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double before = children_cpu_ms();
	bool whole = runs != MAP_FAILED;
	(void)fflush(to);
	for (unsigned long job = 0; whole && job < options->jobs; job++) {
		pid_t child = fork();
		if (child == 0) {
			work(cell, options, job, runs);
			_exit(EXIT_SUCCESS);
		}
		whole = child > 0;
	}
	int status = 0;
	while (wait(&status) > 0)
		whole = whole && status == 0;
	int judges = (int)options->judges;
	for (int judge = 0; whole && judge < judges; judge++)
		report(cell, runs, options->runs, judge, children_cpu_ms() - before, to);
	whole = fflush(to) == 0 && whole;
	if (runs != MAP_FAILED)
		(void)munmap(runs, size);
	return whole;
}

static bool parse(int argc, char **argv, struct options *options)
{
	static const struct option LONG[] = {{"runs", required_argument, NULL, 'n'},
					     {"cells", required_argument, NULL, 'c'},
					     {"fine", no_argument, NULL, 'f'},
					     {"judges", required_argument, NULL, 'a'},
					     {"seed", required_argument, NULL, 's'},
					     {"jobs", required_argument, NULL, 'j'},
					     {"list", no_argument, NULL, 'l'},
					     {"into", required_argument, NULL, 'i'},
					     {NULL, 0, NULL, 0}};
	for (int c = 0; (c = getopt_long(argc, argv, "", LONG, NULL)) != -1;) {
		if (c == 'n')
			options->runs = strtoul(optarg, NULL, 10);
		else if (c == 'c')
			options->cells = optarg;
		else if (c == 's')
			options->seed = strtoull(optarg, NULL, 0);
		else if (c == 'j')
			options->jobs = strtoul(optarg, NULL, 10);
		else if (c == 'i')
			options->into = optarg;
		else if (c == 'f')
			options->fine = true;
		else if (c == 'a')
			options->judges = strtoul(optarg, NULL, 10);
		else if (c == 'l')
			options->list = true;
		else
			return false;
	}
	return optind == argc && options->runs > 0 && options->runs <= RUNS_MAX &&
	       options->jobs > 0 && options->jobs <= JOBS_MAX && options->judges > 0 &&
	       options->judges <= JUDGES;
}

/* Does the file have this cell, as this command would write it? Every row of a cell is there when
 * that of the last judge is. */
static bool is_done(FILE *file, const struct cell *cell, const struct options *options)
{
	char line[LINE_MAX_BYTES];
	rewind(file);
	while (fgets(line, sizeof line, file) != NULL) {
		enum { RUNS = 8, JUDGE = 9, FIELDS = 10 };
		char *fields[FIELDS];
		char *rest = line;
		for (int i = 0; i < FIELDS; i++)
			fields[i] = rest == NULL ? NULL : strsep(&rest, ",");
		if (fields[JUDGE] != NULL && strcmp(fields[0], cell->name) == 0 &&
		    strcmp(fields[JUDGE], judge_name((int)options->judges - 1)) == 0 &&
		    strtoul(fields[RUNS], NULL, 10) >= options->runs)
			return true;
	}
	return false;
}

static bool simulate_all(const struct options *options, FILE *to)
{
	bool whole = true;
	for (size_t i = 0; whole && i < cell_count(); i++) {
		struct cell cell = cell_at(i);
		if (strstr(cell.name, options->cells) == NULL || (options->fine && !cell.fine))
			continue;
		if (options->list)
			whole = fprintf(to, "%s\n", cell.name) > 0;
		else if (options->into == NULL || !is_done(to, &cell, options))
			whole = simulate(&cell, options, to);
		if (!whole)
			(void)fprintf(stderr, "bench_canary: %s did not end\n", cell.name);
	}
	return whole;
}

int main(int argc, char **argv)
{
	struct options options = {
		.runs = 400, .cells = "", .judges = JUDGES, .seed = 20261122, .jobs = 1};
	if (!parse(argc, argv, &options)) {
		(void)fprintf(stderr,
			      "usage: bench_canary [--runs N] [--cells TEXT] [--fine] "
			      "[--judges N] [--seed S] [--jobs N] [--into FILE] [--list]\n");
		return EX_USAGE;
	}
	FILE *to = options.into == NULL ? stdout : fopen(options.into, "a+");
	if (to == NULL) {
		(void)fprintf(stderr, "bench_canary: %s: %s\n", options.into, strerror(errno));
		return EXIT_FAILURE;
	}
	bool empty = options.into == NULL || (fseek(to, 0, SEEK_END) == 0 && ftell(to) == 0);
	if (empty && !options.list)
		(void)fputs(HEAD, to);
	bool whole = simulate_all(&options, to);
	return fclose(to) == 0 && whole ? EXIT_SUCCESS : EXIT_FAILURE;
}
