/* risk_standing - how much risk is on an entity at one moment, and which rules put it there.
 *
 * Why: an alert says what stood there when it was raised, and only of entities that reached the
 * bound. Who looks at an entity asks for now: what is left of each addition, below the bound too.
 *
 * Invariant: the score is the sum of the parts. One that holds back nothing was told of everything
 * that was added within the timespan; otherwise `cut` is set and the score is a lower bound.
 * Owner: risk_standing_done(); rules are lent by the plan. Thread: any. Units: millionths of a
 * score. Limits: one part per rule that the risk refers to, and one for those that are gone. */
#ifndef PICKET_CORRELATE_RISK_STANDING_H
#define PICKET_CORRELATE_RISK_STANDING_H

#include "correlate/risk.h"

/* What one rule has added. */
struct risk_part {
	const struct rule *rule; /* NULL: rules that are no source any more, together */
	uint64_t score;
	uint64_t additions;
	int64_t last_us; /* time of the last of them */
};

struct risk_sum {
	uint64_t score;
	unsigned tactics; /* how many different ones the additions name */
	bool reached;     /* the condition of the rule holds */
	bool cut;
	size_t first; /* of the additions within the timespan */
};

struct risk_standing {
	struct risk_sum sum;
	struct risk_part *parts; /* the largest first; rules that are gone last */
	size_t part_count;       /* 0: there is no risk on it */
};

/* At time_us, which no addition is behind, of the additions within the timespan before it. */
struct risk_sum risk_sum(const struct risk *risk, const struct unit *unit, int64_t time_us);
enum status risk_stand(const struct risk *risk, const struct unit *unit, int64_t time_us,
		       struct risk_standing *ret_standing);
/* Of the memory of a cell as a checkpoint has it (survey.h), at the checkpoint's watermark. */
enum status risk_stand_saved(const struct unit *unit, struct text memory, int64_t watermark_us,
			     struct risk_standing *ret_standing);
void risk_standing_done(struct risk_standing *standing);

#endif
