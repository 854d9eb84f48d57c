/* survey - what a checkpoint holds, without restoring it: for people who ask what picket remembers.
 *
 * Why: "which rule of which tenant takes the memory, and by which groups" must be answered while
 * the actors work, and of a store nobody has open. The last checkpoint is in the store, whole, and
 * seconds old; nobody has to be stopped or asked.
 *
 * Invariant: lines are the sums over all cells that the options let through; groups are the
 * `top` largest of them by bytes, then by tenant and group. Owner: survey_free(). Thread: one.
 * Limits: SURVEY_LINES_MAX lines and SURVEY_TOP_MAX groups; cells beyond the lines are counted in
 * left_out. */
#ifndef PICKET_CORRELATE_SURVEY_H
#define PICKET_CORRELATE_SURVEY_H

#include "correlate/cells.h"
#include "correlate/plan.h"

enum { SURVEY_LINES_MAX = 4096, SURVEY_TOP_MAX = 10000 };

/* One unit and tenant, or one group of it. unit NULL: of a rule that is gone. */
struct survey_line {
	const struct unit *unit;
	uint64_t state_id;
	struct text tenant;
	struct text group; /* a sequence of texts; of a group's line */
	uint64_t cells, bytes;
	uint64_t events;   /* remembered one by one */
	int64_t oldest_us; /* of those; INT64_MAX: there are none */
	bool refused;      /* groups of it are refused */
};

/* Called for each cell that the options let through, in the order of the rows. */
struct survey_visitor {
	/* memory is what checkpoint.c writes of the cell, borrowed for the call, as of
	 * watermark_us. */
	enum status (*take)(void *context, const struct survey_line *cell, struct text memory,
			    int64_t watermark_us);
	void *context;
};

struct survey_options {
	const struct plan *plan; /* lent, must outlive the survey */
	const struct rule *rule; /* NULL: all */
	struct text tenant;      /* size 0: all */
	struct text group;       /* only groups with a value that contains it; size 0: all */
	size_t top;
	const struct survey_visitor *visitor; /* lent; NULL: none */
};

struct survey {
	struct survey_options options;
	struct arena *arena;
	struct survey_line *lines; /* after survey_finish(): by bytes */
	size_t line_count;
	struct survey_line *groups; /* a heap, after survey_finish() by bytes */
	size_t group_count;
	int64_t watermark_us; /* the smallest of all checkpoints; INT64_MAX: there was none */
	int64_t newest_us;    /* of the partition that is read */
	uint64_t left_out;
	struct cells seen; /* what newer rows of this partition spoke of */
	bool within;       /* they did */
};

enum status survey_new(const struct survey_options *options, struct survey **ret_survey,
		       struct error *err);
void survey_free(struct survey **survey);
/* One value of actor_checkpoint() or actor_checkpoint_changes(), of each partition from the newest
 * to the whole one, which is the last. ECORRUPT: some of it may have been added. */
enum status survey_add(struct survey *survey, struct text checkpoint, struct error *err);
void survey_finish(struct survey *survey);
/* Name, value, ...: the group of a line; of a rule that is gone the names are "0", "1", ... */
void survey_put_group(const struct survey_line *line, struct bytes *to);

#endif
