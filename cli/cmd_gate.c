/* picket gate: asks until there is an answer, and ends with the verdict as its exit code.
 *
 * The server answers what it knows now (and holds a question for at most 8 s); this loop asks again
 * while the answer is WAIT or STALE and --wait has not run out. A server that does not answer is
 * asked again too: only when time is up it is UNAVAILABLE. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/gate_advice.h"
#include "cli/gate_expect.h"
#include "cli/json_reader.h"
#include "cli/wall.h"
#include "correlate/gate.h"
#include "rules/yaml.h"

enum { POLL_US = 5 * 1000000, RETRY_SECONDS = 2 };

static const struct option gate_options[] = {
	{"service", 0, "NAME", "the service (service.name of its logs)"},
	{"canary", 0, "VERSION", "service.version of the canary, or FIELD=VALUE"},
	{"baseline", 0, "VERSION", "what it is compared with (default: every other version)"},
	{"step", 0, "N", "the rollout's step: its first question starts the step's bake"},
	{"after", 0, "TIME",
	 "when the traffic was changed: the answer has seen everything up to it"},
	{"share", 0, "PERCENT", "of the requests that the canary should get: checked"},
	{"wait", 0, "DURATION", "ask until the verdict is final, at most so long (default 0)"},
	{"policy", 0, "NAME", "what a PASS must prove (picket gate policy list)"},
	{"expect", 0, "FILE", "what this release declares to do for the first time (docs/GATE.md)"},
	{"at", 0, "TIME", "replay: the verdict as it was then, from the stored buckets"},
	{"explain", 0, NULL, "also say what each number means"},
	{"deadline", 0, "DURATION", "after so long in a step WAIT becomes INCONCLUSIVE"},
	{"format", 0, "FORMAT", "text or json (also: -o json)"},
	{"dry-run", 0, NULL, "print the verdict but end with 0"},
	{0},
};

static bool verdict_parse(const char *word, enum verdict *ret_verdict)
{
	for (int i = VERDICT_PASS; i <= VERDICT_UNAVAILABLE; i++) {
		if (strcmp(verdict_name((enum verdict)i), word) == 0) {
			*ret_verdict = (enum verdict)i;
			return true;
		}
	}
	return false;
}

static bool wants_json(const struct session *session)
{
	const char *format = arguments_get(&session->arguments, "format");
	return (format != NULL && strcmp(format, "json") == 0) ||
	       session->output.format != OUTPUT_TABLE;
}

static void print_member(FILE *to, const char *before, struct json_object *object, const char *path)
{
	const char *text = json_path_text(object, path);
	if (text[0] == '\0')
		return;
	output_text(to, before);
	output_text(to, text);
}

static void print_reasons(FILE *to, struct json_object *answer)
{
	struct json_object *reasons = json_path(answer, "reasons");
	for (size_t i = 0; reasons != NULL && i < json_object_array_length(reasons); i++) {
		struct json_object *one = json_object_array_get_idx(reasons, i);
		print_member(to, "  ", one, "code");
		print_member(to, ": ", one, "text");
		output_text(to, "\n");
	}
}

static const struct column outcome_columns[] = {
	{"OUTCOME", "name", CELL_TEXT, false},
	{"STATE", "state", CELL_TEXT, false},
	{"CANARY BAD", "x_c", CELL_COUNT, false},
	{"OF", "n_c", CELL_COUNT, false},
	{"BASE BAD", "x_b", CELL_COUNT, false},
	{"OF", "n_b", CELL_COUNT, false},
	{"ODDS", "odds_ratio", CELL_FIGURE, false},
	{"E(FAIL)", "e_fail_sup", CELL_FIGURE, false},
	{"E(REL)", "e_pass_relative", CELL_FIGURE, false},
	{"E(ABS)", "e_pass_absolute", CELL_FIGURE, false},
};

/* Is there a request to speak of? */
static bool was_counted(struct json_object *outcomes)
{
	for (size_t i = 0; outcomes != NULL && i < json_object_array_length(outcomes); i++) {
		struct json_object *one = json_object_array_get_idx(outcomes, i);
		if (json_object_get_int64(json_path(one, "n_c")) > 0 ||
		    json_object_get_int64(json_path(one, "n_b")) > 0)
			return true;
	}
	return false;
}

/* How to read the e-values: they are evidence, and more than the threshold is enough of it. */
static void print_thresholds(FILE *to, struct json_object *answer)
{
	double alpha = json_object_get_double(json_path(answer, "alpha"));
	double beta = json_object_get_double(json_path(answer, "beta"));
	if (alpha > 0 && beta > 0)
		(void)fprintf(to,
			      "E(FAIL) of %.3g proves worse; a mean of E(REL) and E(ABS) of %.3g "
			      "proves not worse\n",
			      1 / alpha, 1 / beta);
}

/* Of outcomes that are rules every match, where the table has causes. */
static void print_rules(FILE *to, struct json_object *outcomes)
{
	for (size_t i = 0; outcomes != NULL && i < json_object_array_length(outcomes); i++) {
		struct json_object *one = json_object_array_get_idx(outcomes, i);
		if (json_path(one, "rule") == NULL)
			continue;
		print_member(to, "", one, "name");
		print_member(to, " is the rule ", one, "rule");
		output_text(to, json_object_get_boolean(json_path(one, "blocks"))
					? ", which blocks: it"
					: ", which only warns: it");
		print_member(to, " matched ", one, "raw_x_c");
		print_member(to, " of the canary's ", one, "n_c");
		print_member(to, " trials, and ", one, "raw_x_b");
		print_member(to, " of the baseline's ", one, "n_b");
		output_text(to, "\n");
	}
}

/* What the table cannot say. */
static void print_explanation(FILE *to, struct json_object *answer)
{
	(void)fputs("\nbad outcomes are counted once per cause: one user, one route, one status in "
		    "ten seconds, on the version that showed it first.\n"
		    "E(FAIL) is the largest evidence so far that the canary is worse than the "
		    "baseline by psi0; E(REL) and E(ABS) say that it is not worse by psi_tol, or "
		    "below p_abs. Evidence of 100 would be exceeded by chance once in 100 good "
		    "canaries, however often you look.\n",
		    to);
	(void)fprintf(to, "all outcomes together: evidence %s, at most %s\n",
		      json_path_text(answer, "e_value"), json_path_text(answer, "e_value_sup"));
	(void)fprintf(to, "one half of the baseline against the other: %s\n",
		      json_path_text(answer, "quality.baseline_e"));
	const char *declared = json_path_text(answer, "quality.declared_share");
	const char *policy = json_path_text(answer, "policy.name");
	(void)fprintf(to, "share of the requests: %s, declared: %s; coverage of the routes: %s\n",
		      json_path_text(answer, "quality.observed_share"),
		      declared[0] == '\0' ? "none (--share)" : declared,
		      json_path_text(answer, "quality.coverage"));
	(void)fprintf(to, "policy: %s (picket gate policy show %s)\n", policy, policy);
	print_rules(to, json_path(answer, "outcomes"));
}

/* Who is to be told; who asks why is told also how picket would know. */
static void print_owner(FILE *to, struct json_object *answer, bool explain)
{
	const char *verdict = json_path_text(answer, "verdict");
	const char *owner = json_path_text(answer, "owner");
	bool ends = strcmp(verdict, "FAIL") == 0 || strcmp(verdict, "INCONCLUSIVE") == 0;
	if (owner[0] != '\0' && (ends || explain)) {
		output_text(to, "owner: ");
		output_text(to, owner);
		output_text(to, "\n");
	} else if (explain) {
		output_text(to, "owner: not known; say it in provenance.bindings\n");
	}
}

static void print_next(struct session *session, struct json_object *answer)
{
	struct bytes advice cleanup(bytes_done) = {0};
	gate_advice(answer, arguments_has(&session->arguments, "at"), &advice);
	bytes_put_u8(&advice, 0);
	if (!session->quiet && !advice.failed)
		output_text(session->problems, (const char *)advice.data);
}

static void print_freshness(FILE *to, struct json_object *answer, bool replayed)
{
	struct bytes lag = {0};
	if (json_path(answer, "as_of") == NULL)
		return;
	if (replayed) {
		print_member(to, "replayed as of ", answer, "as_of");
		output_text(to, "; findings are counted up to now\n");
		return;
	}
	output_cell(json_path(answer, "lag_s"), CELL_SECONDS, &lag);
	bytes_put_u8(&lag, 0);
	print_member(to, "evaluated up to ", answer, "as_of");
	if (!lag.failed && lag.data[0] != '-') {
		output_text(to, ", ");
		output_text(to, (const char *)lag.data);
		output_text(to, " ago");
	}
	output_text(to, "\n");
	bytes_done(&lag);
}

/* For who watches: how the evidence went, bucket by bucket, and how long the bake still takes. */
static void print_progress(FILE *to, struct json_object *answer)
{
	enum { BUCKETS_MAX = 60 };
	double values[BUCKETS_MAX];
	struct json_object *history = json_path(answer, "e_history");
	double alpha = json_object_get_double(json_path(answer, "alpha"));
	size_t count = history == NULL ? 0 : json_object_array_length(history);
	double left = json_object_get_double(json_path(answer, "window.bake_left_s"));
	if (left > 0)
		(void)fprintf(to, "bake: %.0f s to go\n", left);
	if (count == 0 || !(alpha > 0 && alpha < 1))
		return;
	count = count < BUCKETS_MAX ? count : BUCKETS_MAX;
	for (size_t i = 0; i < count; i++)
		values[i] =
			log(fmax(1, json_object_get_double(json_object_array_get_idx(history, i))));
	(void)fputs("evidence, a full block is FAIL: ", to);
	output_spark(to, values, count, log(1 / alpha));
}

static const struct column finding_columns[] = {
	{"CLASS", "class", CELL_TEXT, COLUMN_WHOLE},
	{"SIGNAL", "signal", CELL_TEXT, COLUMN_WHOLE},
	{"WHAT", "key", CELL_TEXT, COLUMN_CUT},
	{"TIMES", "count", CELL_COUNT, COLUMN_WHOLE},
	{"STANDING", "standing", CELL_TEXT, COLUMN_WHOLE},
	{"LINE", "declared_in_line", CELL_COUNT, COLUMN_MINOR},
	{"FIRST", "first", CELL_TIME, COLUMN_MINOR},
};

static const struct column signal_columns[] = {
	{"SIGNAL", "name", CELL_TEXT, COLUMN_WHOLE},
	{"LEVEL", "level", CELL_TEXT, COLUMN_WHOLE},
	{"STATE", "state", CELL_STATE, COLUMN_WHOLE},
	{"CANARY", "canary", CELL_COUNT, COLUMN_WHOLE},
	{"BASELINE", "baseline", CELL_COUNT, COLUMN_WHOLE},
	{"KNOWN", "known", CELL_COUNT, COLUMN_WHOLE},
	{"NEEDS", "needs", CELL_TEXT, COLUMN_CUT},
};

/* Those of the list that hold the member, or hold it as said; NULL when there are none. */
static struct json_object *select_members(struct json_object *list, const char *member,
					  const char *value)
{
	struct json_object *chosen = json_object_new_array();
	for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const char *is = json_path_text(one, member);
		if (value == NULL ? is[0] != '\0' : strcmp(is, value) == 0)
			json_object_array_add(chosen, json_object_get(one));
	}
	if (chosen != NULL && json_object_array_length(chosen) > 0)
		return chosen;
	json_object_put(chosen);
	return NULL;
}

/* What the canary does that nobody did before, what of that was declared, and what was not used. */
static enum status print_signals(struct session *session, struct json_object *answer,
				 struct error *err)
{
	struct json_object *found cleanup(session_json_done) =
		select_members(json_path(answer, "findings"), "signal", NULL);
	struct json_object *unused cleanup(session_json_done) =
		select_members(json_path(answer, "expected"), "used", "false");
	enum status status = OK;
	if (found != NULL)
		status = output_table(&session->output, finding_columns,
				      sizeof finding_columns / sizeof *finding_columns, found, err);
	for (size_t i = 0; unused != NULL && i < json_object_array_length(unused); i++) {
		struct json_object *one = json_object_array_get_idx(unused, i);
		print_member(session->output.to, "declared in line ", one, "line");
		print_member(session->output.to, " and not seen: ", one, "kind");
		print_member(session->output.to, " ", one, "value");
		output_text(session->output.to, "\n");
	}
	if (status == OK && arguments_has(&session->arguments, "explain"))
		status = output_table(&session->output, signal_columns,
				      sizeof signal_columns / sizeof *signal_columns,
				      json_path(answer, "signals"), err);
	return status;
}

static enum status print_text(struct session *session, struct json_object *answer,
			      struct error *err)
{
	FILE *to = session->output.to;
	struct json_object *outcomes = json_path(answer, "outcomes");
	enum status status = OK;
	output_text(to, json_path_text(answer, "verdict"));
	print_member(to, ": ", answer, "summary");
	output_text(to, "\n");
	print_reasons(to, answer);
	print_owner(to, answer, arguments_has(&session->arguments, "explain"));
	print_freshness(to, answer, arguments_has(&session->arguments, "at"));
	if (was_counted(outcomes)) {
		status = output_table(&session->output, outcome_columns,
				      sizeof outcome_columns / sizeof *outcome_columns, outcomes,
				      err);
		print_thresholds(to, answer);
	}
	if (arguments_has(&session->arguments, "watch"))
		print_progress(to, answer);
	if (status == OK)
		status = print_signals(session, answer, err);
	if (arguments_has(&session->arguments, "explain"))
		print_explanation(to, answer);
	(void)fflush(to);
	print_next(session, answer);
	return status;
}

/* The answer that nobody gave: the same shape, so that a reader needs no second case. */
static int unavailable(struct session *session, const char *why)
{
	struct json_object *answer cleanup(session_json_done) = json_object_new_object();
	struct error err = {0};
	if (answer == NULL)
		return EXIT_INTERNAL;
	const char *service = arguments_get(&session->arguments, "service");
	const char *canary = arguments_get(&session->arguments, "canary");
	json_object_object_add(answer, "schema", json_object_new_string("picket.gate/1"));
	json_object_object_add(answer, "verdict", json_object_new_string("UNAVAILABLE"));
	json_object_object_add(answer, "ok", json_object_new_boolean(false));
	json_object_object_add(answer, "final", json_object_new_boolean(false));
	json_object_object_add(answer, "summary", json_object_new_string(why));
	json_object_object_add(answer, "service", json_object_new_string(service));
	json_object_object_add(answer, "canary", json_object_new_string(canary));
	if (wants_json(session))
		output_json(&session->output, answer);
	else if (print_text(session, answer, &err) != OK)
		return session_fail_error(session, &err);
	return arguments_has(&session->arguments, "dry-run") ? EXIT_OK : VERDICT_UNAVAILABLE;
}

/* What one question brought. */
struct reply {
	struct json_object *answer; /* NULL: none; why says it */
	enum verdict verdict;
	int code; /* not EXIT_OK: the question was wrong, stop */
	char why[ERROR_TEXT_MAX];
};

static void reply_done(struct reply *reply)
{
	(void)json_object_put(reply->answer);
}

static void ask_once(struct session *session, struct client *client,
		     const struct question *question, struct reply *reply)
{
	struct api_response response = {0};
	struct error err = {0};
	struct api_request request = question->request;
	request.parameters = question->parameters;
	*reply = (struct reply){.verdict = VERDICT_UNAVAILABLE, .code = EXIT_OK};
	if (client_ask(client, &request, &response, &err) != OK) {
		(void)snprintf(reply->why, sizeof reply->why, "%s", err.text);
		return;
	}
	reply->answer = json_read(bytes_text(&response.body));
	bytes_done(&response.body);
	const char *error = json_path_text(reply->answer, "error");
	if (response.status == 400 || response.status == 404)
		reply->code = session_fail(session, EXIT_USAGE, "%s", error);
	else if (reply->answer == NULL || error[0] != '\0')
		(void)snprintf(reply->why, sizeof reply->why, "the server answers HTTP %u: %s",
			       response.status, error);
	else if (!verdict_parse(json_path_text(reply->answer, "verdict"), &reply->verdict))
		(void)snprintf(reply->why, sizeof reply->why,
			       "the answer has no verdict; is this a picket daemon?");
	if (reply->verdict == VERDICT_UNAVAILABLE) {
		(void)json_object_put(reply->answer);
		reply->answer = NULL;
	}
}

static int finish(struct session *session, const struct reply *reply)
{
	struct error err = {0};
	if (reply->code != EXIT_OK)
		return reply->code;
	if (reply->answer == NULL)
		return unavailable(session, reply->why);
	if (wants_json(session))
		output_json(&session->output, reply->answer);
	else if (print_text(session, reply->answer, &err) != OK)
		return session_fail_error(session, &err);
	return arguments_has(&session->arguments, "dry-run") ? EXIT_OK : (int)reply->verdict;
}

static int poll_gate(struct session *session, const struct question *question, int64_t wait_us)
{
	int64_t end_us = wall_now_us() + wait_us;
	for (;;) {
		struct client *client cleanup(session_client_done) = NULL;
		struct reply reply cleanup(reply_done) = {.verdict = VERDICT_UNAVAILABLE};
		struct error err = {0};
		if (session_client(session, false, &client, &err) == OK)
			ask_once(session, client, question, &reply);
		else if (err.status == EINVALID || err.status == EDENIED)
			return session_fail(session, EXIT_USAGE, "%s", err.text);
		else
			(void)snprintf(reply.why, sizeof reply.why, "%s", err.text);
		bool open = reply.verdict == VERDICT_WAIT || reply.verdict == VERDICT_STALE ||
			    reply.verdict == VERDICT_UNAVAILABLE;
		if (!open || reply.code != EXIT_OK || wall_now_us() >= end_us)
			return finish(session, &reply);
		(void)sleep(RETRY_SECONDS);
	}
}

static int run_gate(struct session *session)
{
	/* What is a parameter of GET /v1/gate under the same name. */
	static const char *const passed[] = {"service", "canary",   "baseline", "step", "after",
					     "share",   "deadline", "policy",   "at"};
	const char *wait = arguments_get(&session->arguments, "wait");
	const char *format = arguments_get(&session->arguments, "format");
	const char *expect = arguments_get(&session->arguments, "expect");
	const char *service = arguments_get(&session->arguments, "service");
	struct bytes manifest cleanup(bytes_done) = {0};
	struct error err = {0};
	int64_t wait_us = 0;
	struct question question;
	if (!arguments_has(&session->arguments, "service") ||
	    !arguments_has(&session->arguments, "canary"))
		return session_fail(
			session, EXIT_USAGE,
			"the gate needs --service NAME and --canary VERSION; what versions there are: "
			"picket services");
	if (wait != NULL && strcmp(wait, "0") != 0 && !duration_parse(text_of(wait), &wait_us))
		return session_fail(session, EXIT_USAGE, "--wait %s is not a duration such as 30m",
				    wait);
	if (format != NULL && strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
		return session_fail(session, EXIT_USAGE, "--format is text or json");
	if (expect != NULL && gate_expect_read(expect, text_of(service), &manifest, &err) != OK) {
		(void)session_fail_error(session, &err);
		return EXIT_USAGE;
	}
	question_init(&question, expect == NULL ? "GET" : "POST", TEXT("/v1/gate"));
	question.request.body = bytes_text(&manifest);
	for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
		question_add(&question, passed[i], arguments_get(&session->arguments, passed[i]));
	if (arguments_has(&session->arguments, "dry-run"))
		question_add(&question, "dry", "1");
	if (wait_us > 0)
		question_add(&question, "wait", wait_us < POLL_US ? "1s" : "5s");
	assert(session->command == &command_gate);
	bool open = false;
	int code = EXIT_OK;
	do {
		session_clear(session);
		code = poll_gate(session, &question, wait_us);
		open = code == VERDICT_WAIT || code == VERDICT_STALE || code == VERDICT_UNAVAILABLE;
	} while (session_again(session, open ? EXIT_OK : EXIT_NEGATIVE));
	return code;
}

const struct command command_gate = {
	.noun = "gate",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_WATCH,
	.options = gate_options,
	.summary = "may this canary go on? the exit code is the verdict",
	.details =
		"Also: picket gate policy, history, plan, override. -w shows the table again and\n"
		"again, until the verdict is no longer WAIT or STALE.\n"
		"Exit codes:\n"
		"  0 PASS          proven: not worse than the baseline, and nothing is missing\n"
		"  1 FAIL          the canary is worse, or a rule that blocks deployments fired\n"
		"  2 INCONCLUSIVE  no proof within the deadline, or facts that contradict: ask\n"
		"  3 WAIT          too early to say\n"
		"  4 STALE         the logs are behind or an instance is silent\n"
		"  5 UNAVAILABLE   no answer from the daemon\n"
		"Only 0 may promote. Roll back only when the JSON on standard output says FAIL:\n"
		"wrappers such as `kubectl exec` also end with 1 when they fail themselves.\n",
	.examples = "  picket gate --service orders --canary 2.1.0 --baseline 2.0.0 --wait 30m\n"
		    "  picket gate --service orders --canary 2.1.0 --step 20 --format json\n"
		    "  picket gate --service orders --canary picket.deploy.id=85d557f47b\n"
		    "  picket gate --service orders --canary 2.1.0 --expect release.yaml\n"
		    "  picket gate --service orders --canary 2.1.0 --at 2026-11-22T10:00:00Z\n",
	.run = run_gate,
};
