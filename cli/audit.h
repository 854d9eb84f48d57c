/* audit - who asked for tenants' data and who changed what, one row each.
 *
 * Why: the people who watch are watched too. Whoever can read every tenant's events, close an alert
 * or override a gate leaves a row that no command takes away.
 *
 * Invariant: rows are only added. A question is recorded after it was answered and before the
 * answer leaves; when the store cannot take the row (a full disk) the daemon's log gets it instead.
 * `who` is what the kernel says of the other end of the socket, never what a request claims.
 * Owner: texts are views into the encoded row, or the caller's. Thread: any (pure).
 * Limits: AUDIT_QUESTION_MAX bytes of a question; the rest is cut, and says so with "...". */
#ifndef PICKET_CLI_AUDIT_H
#define PICKET_CLI_AUDIT_H

#include "cli/api.h"

enum { AUDIT_QUESTION_MAX = 4096 };

struct audit_row {
	int64_t time_us;
	struct text who;      /* "ann (1000)"; "" = it was not asked through the socket */
	struct text method;   /* GET, POST */
	struct text question; /* path and parameters, then the body of a POST */
	unsigned http_status;
	uint64_t rows; /* in the answer */
};

/* FAMILY_AUDIT: be64 time, be32 number: unique, in the order of time. */
void audit_key(int64_t time_us, uint32_t number, struct bytes *to);
void audit_encode(const struct audit_row *row, struct bytes *to);
enum status audit_decode(struct text value, struct audit_row *ret_row, struct error *err);

/* "/v1/events?topic=logs&limit=5" and the body, into *to. */
void audit_question(const struct api_request *request, struct bytes *to);

#endif
