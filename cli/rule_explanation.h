/* rule_explanation - an explanation (rules/explain.h) as text for a person and as JSON.
 *
 * Why: both must show the same nodes in the same order; the text puts what decided first, because
 * that is what was asked. Invariant: the text holds data as it is, whoever prints it escapes.
 * Owner: the caller's buffer. Thread: one. Limits: values are cut to EXPLANATION_VALUE_MAX bytes in
 * the text, not in JSON. */
#ifndef PICKET_CLI_RULE_EXPLANATION_H
#define PICKET_CLI_RULE_EXPLANATION_H

#include "cli/json_writer.h"
#include "rules/explain.h"

enum { EXPLANATION_VALUE_MAX = 160 };

/* "match", "no match", "undecided": the log source counts. */
const char *explanation_word(const struct explanation *explanation);

void explanation_text(const struct rule *rule, const struct event *event,
		      const struct explanation *explanation, struct bytes *to);
void explanation_json(const struct rule *rule, const struct event *event,
		      const struct explanation *explanation, struct json_writer *json);

#endif
