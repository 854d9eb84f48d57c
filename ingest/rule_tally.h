/* rule_tally - how often each rule was evaluated, matched and alerted, and how many groups it
 * remembers.
 *
 * Why: who runs hundreds of rules must see which one is loud, which one never matches and which one
 * takes the memory, without a search. Workers and shards tell what an epoch added, as news; the
 * committer adds it up.
 *
 * Invariant: only committed epochs are counted, so the alerts of all rules add up to alerts_opened
 * of runtime_status for as long as no rule goes away. A rule keeps its counts over a reload, known
 * by its key; rules with the same key share one tally. Counts begin at zero with each start.
 * Owner: struct rule_tallies: rule_tallies_done(). Thread: one at a time.
 * Units: groups as of the last checkpoint. Limits: one tally for each live rule. */
#ifndef PICKET_INGEST_RULE_TALLY_H
#define PICKET_INGEST_RULE_TALLY_H

#include "ingest/detect.h"

struct rule_tally {
	struct text key;      /* owned by the tallies */
	bool detects;         /* a detection: it has evaluations and matches */
	bool alerts;          /* it may raise alerts */
	bool remembers;       /* it keeps groups */
	uint64_t evaluations; /* events that showed the rule's witness and were looked at in full */
	uint64_t matches;     /* of them; a match that a filter took away is none */
	uint64_t opened;      /* alerts, also of a rule in shadow */
	uint64_t groups;
};

struct rule_tallies {
	struct rule_tally *items; /* ascending by key */
	size_t count;
	uint64_t hash; /* of the rule set */
};
void rule_tallies_done(struct rule_tallies *tallies);

/* From now on the tallies are of these rules; the counts of those that stay are kept. ENOMEMORY:
 * they are as they were. */
enum status rule_tallies_follow(struct rule_tallies *tallies, const struct ruleset *ruleset);
/* A copy that lives by itself; ENOMEMORY. */
enum status rule_tallies_copy(const struct rule_tallies *from, struct rule_tallies *ret_copy);

/* What happened to the rule with the tally's key, behind other news. */
void rule_news_put(struct bytes *news, const struct rule_tally *tally);
/* Adds news; of rules that are not followed it is left out. */
void rule_tallies_add(struct rule_tallies *tallies, struct text news);
/* Before the groups of a checkpoint are added. */
void rule_tallies_clear_groups(struct rule_tallies *tallies);

/* What a worker has told of its matcher so far, by rule index; {0} for a new matcher. */
struct rule_watch {
	struct rule_counters *told;
};
void rule_watch_done(struct rule_watch *watch);
/* What the matcher has counted since; ENOMEMORY. */
enum status rule_watch_tell(struct rule_watch *watch, const struct detect *detect,
			    const struct ruleset *ruleset, struct bytes *news);

#endif
