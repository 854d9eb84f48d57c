/* action - what people did with an alert: acknowledged, assigned, closed, opened it again, and why.
 *
 * Why: it is kept beside the alert (row 'u'), never in it, so that the engine and a person never
 * write the same row. Invariant: actions are in the order they were made; nothing is ever removed.
 * Owner: texts are views into the encoded row, or the caller's. Thread: any (pure).
 * Limits: ACTIONS_MAX per alert, ACTION_TEXT_MAX bytes a text. */
#ifndef PICKET_CLI_ACTION_H
#define PICKET_CLI_ACTION_H

#include <stdint.h>

#include "cli/json_writer.h"
#include "rules/bytes.h"

enum { ACTIONS_MAX = 100, ACTION_TEXT_MAX = 4096 };

enum action_kind { ACTION_ACK = 1, ACTION_CLOSE, ACTION_ASSIGN, ACTION_REOPEN };
const char *action_kind_name(enum action_kind kind);
/* False when no kind has that name. */
bool action_kind_parse(struct text name, enum action_kind *ret_kind);

struct action {
	enum action_kind kind;
	int64_t time_us;
	struct text who, note;
	struct text as; /* close: what it was (a word of action_verdicts); assign: to whom */
};

/* What a closed alert was. */
extern const char *const action_verdicts[];

struct actions {
	struct action items[ACTIONS_MAX];
	size_t count;
};

enum handling { HANDLING_NEW, HANDLING_ACKED, HANDLING_CLOSED };
const char *handling_name(enum handling handling);
enum handling actions_handling(const struct actions *actions);
/* What a closed alert was; size 0 while it is not closed. */
struct text actions_verdict(const struct actions *actions);

void actions_encode(const struct actions *actions, struct bytes *to);
enum status actions_decode(struct text encoded, struct actions *ret_actions, struct error *err);

/* Who, note and as from a JSON object (the body of a POST); the texts are views into *keep.
 * action->kind is given: close needs a verdict in `as`, assign a name. */
enum status action_parse(struct text body, struct bytes *keep, struct action *action,
			 struct error *err);

/* The member "handling" of an alert: state and the list of actions. */
void actions_json(const struct actions *actions, struct json_writer *json);

#endif
