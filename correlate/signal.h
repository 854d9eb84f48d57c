/* signal - what a version does that matters to security: one row for each thing that was seen.
 *
 * Why: rates cannot tell that a canary let one viewer issue one refund. So picket remembers, for
 * each version of a service, which things it did (signal.def: a call to an address, an answer
 * without a name, an error of a kind), and the gate asks what the canary does that nobody did
 * before it. A row is a trait: how often the version did it (shown), how often it did the opposite
 * in the same case (kept, refused), by whom, and the first events that prove it.
 *
 * Invariant: a trait is made of sums, minima, maxima and smallest sets: the order of arrival does
 * not matter. It holds no values of users but names of roles, routes, hosts and fields.
 * Owner: texts are views. Thread: any. Limits: SIGNAL_*; a version that shows more than
 * SIGNAL_KEYS_MAX things of one kind keeps the first ones and says so (key "").
 * What does not reach the gate: events without service.name, and all that a version never logs. */
#ifndef PICKET_CORRELATE_SIGNAL_H
#define PICKET_CORRELATE_SIGNAL_H

#include "correlate/cohort.h"

enum signal {
#define SIGNAL(id, name, level, judged, kept, refused, doc, needs) SIGNAL_##id,
#include "correlate/signal.def"
#undef SIGNAL
	SIGNAL_COUNT,
};

/* What a finding does to the verdict. */
enum signal_level { SIGNAL_OFF, SIGNAL_INFO, SIGNAL_SOFT, SIGNAL_HARD };
const char *signal_level_name(enum signal_level level); /* off, info, soft, hard */

enum signal_judged { SIGNAL_SAME_KEY, SIGNAL_SERVICE, SIGNAL_NEW };

struct signal_info {
	const char *name, *doc, *needs;
	enum signal_level level;
	enum signal_judged judged;
	uint64_t kept_min, refused_min;
};
const struct signal_info *signal_info(enum signal signal);
/* False when there is no signal of the name. */
bool signal_find(struct text name, enum signal *ret_signal);

enum {
	SIGNAL_KEYS_MAX = 2048,     /* of one kind and version */
	SIGNAL_PRINCIPALS_MAX = 16, /* the smallest keyed hashes stay */
	SIGNAL_READINGS_MAX = 16,   /* of one event */
	SIGNAL_ROLES_MAX = 16,      /* of one event; with more its roles say nothing */
};

/* What is not seen again for so long is forgotten. */
static const int64_t SIGNAL_MEMORY_US = INT64_C(30) * 24 * 3600 * 1000000;

struct trait {
	enum signal signal;
	/* Service, arm, key (rule_key), how often it was shown and the first events of it; first_us
	 * is INT64_MAX when it was never shown. */
	struct finding shown;
	uint64_t kept, refused;
	int64_t met_first_us, met_last_us;          /* of all events of the case, shown or not */
	uint64_t principals[SIGNAL_PRINCIPALS_MAX]; /* keyed hashes of who it was shown to,
						       ascending */
	size_t principal_count;
};

void trait_encode(const struct trait *trait, struct bytes *to);
enum status trait_decode(struct text encoded, struct trait *ret_trait, struct error *err);
/* "authz_allow viewer POST /refunds": what stands in the key of the stored row. */
void trait_name(const struct trait *trait, struct bytes *to);

/* Adds to the smallest SIGNAL_PRINCIPALS_MAX; 0 is nobody. */
void trait_add_principal(struct trait *trait, uint64_t principal);
/* Adds up all but the names and the evidence. */
void trait_add(struct trait *into, const struct trait *more);

/* What one event says: in each of these cases it showed it, kept from it, refused it, or only met
 * the case. Keys are views into *keys. */
enum signal_face { FACE_SHOWN, FACE_KEPT, FACE_REFUSED, FACE_MET };
struct signal_reading {
	enum signal signal;
	enum signal_face face;
	struct text key;
};
struct signal_readings {
	struct signal_reading items[SIGNAL_READINGS_MAX];
	size_t count;
};
/* The key of a destination that a person writes: "host:port", or a host and any port. */
void signal_destination(struct text written, struct bytes *to);
enum status signals_read(const struct event *event, struct bytes *keys,
			 struct signal_readings *ret_readings);

#endif
