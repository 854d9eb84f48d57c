/* gate_session - the evidence on one canary, kept between two questions.
 *
 * Why: a controller asks every few seconds for hours. Closed buckets never change, so each is read
 * from the store and summed up once; a question then costs the buckets that closed since the last
 * one, and is answered from memory.
 *
 * Invariant: a session's evidence is that of all stored buckets of its service up to next_us, in
 * order; what a restart forgets is built again from the same rows, with the same result.
 * Owner: gate_sessions_free(). Thread: any; a session that was entered is its thread's alone until
 * it is left. Limits: GATE_SESSIONS_MAX, then the one that was asked longest ago goes (and is built
 * anew when it is asked again); one takes up to about 1 MB (evidence.c). */
#ifndef PICKET_CLI_GATE_SESSION_H
#define PICKET_CLI_GATE_SESSION_H

#include "correlate/gate.h"
#include "storage/store.h"

enum { GATE_SESSIONS_MAX = 1024 };

struct gate_session {
	struct gate_query query; /* as it was first asked; its texts are the session's */
	struct gate_evidence *evidence;
	int64_t next_us;   /* buckets that start before it were added */
	enum verdict told; /* the newest verdict in the history; VERDICT_UNAVAILABLE: none */
};

struct gate_sessions;
struct gate_sessions *gate_sessions_new(void); /* NULL: out of memory */
void gate_sessions_free(struct gate_sessions **sessions);
size_t gate_sessions_count(struct gate_sessions *sessions);
size_t gate_sessions_bytes(struct gate_sessions *sessions);

/* The session of this service, canary, baseline, policy and pardon, made when there is none:
 * `from_us` is where its buckets begin then. */
enum status gate_sessions_enter(struct gate_sessions *sessions, const struct gate_query *query,
				int64_t from_us, struct gate_session **ret_session,
				struct error *err);
void gate_sessions_leave(struct gate_sessions *sessions, struct gate_session **session);

/* Adds what was stored since. */
enum status gate_session_read(struct gate_session *session, struct store *store,
			      const struct instance *instances, size_t instance_count,
			      struct error *err);

#endif
