#include "cli/check.h"
#include "cli/gate_policies.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "correlate/plan.h"

__attribute__((format(printf, 2, 3))) static void problem(struct problems *problems,
							  const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	struct error one = {0};
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	(void)!error_set(&one, EINVALID, "%s", text);
	problems_add(problems, &one);
}

/* The folder must be writable, or its nearest folder that exists (then it can be made). */
static void check_data_dir(const struct config *config, struct problems *problems)
{
	char path[4096];
	struct stat file;
	if (stat(config->data_dir, &file) == 0) {
		if (!S_ISDIR(file.st_mode))
			problem(problems, "data_dir %s is no folder", config->data_dir);
		else if (access(config->data_dir, R_OK | W_OK | X_OK) != 0)
			problem(problems,
				"data_dir %s is not writable for this user: %s; chown it or "
				"choose another",
				config->data_dir, strerror(errno));
		return;
	}
	(void)snprintf(path, sizeof path, "%s", config->data_dir);
	for (char *slash = strrchr(path, '/'); slash != NULL; slash = strrchr(path, '/')) {
		*slash = '\0';
		const char *folder = path[0] == '\0' ? "/" : path;
		if (stat(folder, &file) != 0 && slash != path)
			continue;
		if (access(folder, W_OK | X_OK) != 0)
			problem(problems,
				"data_dir %s does not exist and cannot be made: %s is not "
				"writable (%s)",
				config->data_dir, folder, strerror(errno));
		return;
	}
}

static void check_readable(const char *what, const char *path, struct problems *problems)
{
	if (path[0] != '\0' && strcmp(path, "-") != 0 && access(path, R_OK) != 0)
		problem(problems, "%s: cannot read %s: %s", what, path, strerror(errno));
}

/* A secret as the daemon will read it; `holds` = words that a PEM file of this kind has, or NULL.
 */
static void check_secret(const char *what, const char *path, const char *holds,
			 const struct check_options *options, struct problems *problems)
{
	struct text secret = {0};
	struct error one = {0};
	if (path[0] == '\0')
		return;
	if (secret_read(path, options->arena, &secret, &one) != OK)
		problem(problems, "%s: %s", what, one.text);
	else if (holds != NULL && memmem(secret.data, secret.size, holds, strlen(holds)) == NULL)
		problem(problems, "%s: %s is no PEM file with a \"%s\"", what, path, holds);
}

static void ruleset_done(struct ruleset **ruleset)
{
	ruleset_free(ruleset);
}

static void plan_done(struct plan **plan)
{
	plan_free(plan);
}

static void add_notes(const struct ruleset *ruleset, struct problems *problems,
		      struct check_totals *totals)
{
	size_t count = 0;
	const struct rule_note *notes = ruleset_notes(ruleset, &count);
	for (size_t i = 0; i < count; i++) {
		struct error one = {0};
		if (notes[i].kind != NOTE_REFUSED) {
			totals->rule_warnings++;
			continue;
		}
		(void)!error_at(&one, EINVALID, notes[i].at, "rule refused: %.*s%s%.*s",
				TEXT_ARG(notes[i].text), notes[i].fix.size == 0 ? "" : "; ",
				TEXT_ARG(notes[i].fix));
		problems_add(problems, &one);
	}
}

/* All refused rules, not only the first: they are loaded as if they were to be skipped. */
static void check_rules(const struct wiring *wiring, struct problems *problems,
			struct check_totals *totals)
{
	struct ruleset *ruleset cleanup(ruleset_done) = NULL;
	struct plan *plan cleanup(plan_done) = NULL;
	const struct hash_key key = {{0}};
	struct wiring skipping = *wiring;
	struct error err = {0};
	skipping.rules.skip_refused = true;
	if (wiring->rules.path_count == 0)
		return; /* the configuration has said so */
	if (wiring_load_rules(&skipping, &ruleset, &err) != OK) {
		problems_add(problems, &err);
		return;
	}
	totals->rules = ruleset_count(ruleset);
	add_notes(ruleset, problems, totals);
	if (plan_new(ruleset, &key, &plan, &err) != OK)
		problems_add(problems, &err);
}

static void add_failure(void *context, struct position at, struct text what)
{
	struct error one = {0};
	(void)!error_at(&one, EINVALID, at, "test of a mapping: %.*s", TEXT_ARG(what));
	problems_add(context, &one);
}

/* The tests inside the mapping files: those of the operator may have broken a built-in one. */
static void check_formats(const struct wiring *wiring, struct problems *problems)
{
	const struct format_test_sink sink = {.on_failure = add_failure, .context = problems};
	struct error one = {0};
	size_t run = 0;
	size_t failed = 0;
	if (formats_test(wiring->formats, &sink, &run, &failed, &one) != OK)
		problems_add(problems, &one);
}

static void check_policies(const struct config *config, struct problems *problems)
{
	struct gate_policies *policies = calloc(1, sizeof *policies);
	struct error err = {0};
	if (policies == NULL)
		problem(problems, "gate.policies: no memory to read them");
	else if (gate_policies_load(config->gate_policies.items, config->gate_policies.count,
				    policies, &err) != OK)
		problems_add(problems, &err);
	else
		gate_policies_done(policies);
	free(policies);
}

static void check_enrichment(struct wiring *wiring, struct problems *problems)
{
	struct generation_parts parts = {0};
	struct error err = {0};
	wiring->store_key = TEXT("any key will do here");
	if (wiring_load_knowledge(wiring, &err) != OK)
		problems_add(problems, &err);
	if (wiring_load_custody(wiring, &parts, &err) != OK)
		problems_add(problems, &err);
	generation_parts_free(&parts);
}

enum status check_config(const struct check_options *options, struct problems *problems,
			 struct check_totals *ret_totals, struct error *err)
{
	const struct config *config = options->config;
	struct check_totals totals = {0};
	struct wiring wiring;
	struct error one = {0};
	assert(config != NULL && options->arena != NULL);
	enum status status = wiring_init(&wiring, config, options->arena, err);
	if (status != OK) {
		wiring_done(&wiring);
		return status;
	}
	check_data_dir(config, problems);
	check_secret("api.token_file", config->api_token_file, NULL, options, problems);
	check_secret("api.tls_certificate_file", config->api_tls_certificate_file,
		     "BEGIN CERTIFICATE", options, problems);
	check_secret("api.tls_key_file", config->api_tls_key_file, "PRIVATE KEY", options,
		     problems);
	check_secret("receivers.alertmanager.token_file", config->alertmanager_token_file, NULL,
		     options, problems);
	check_secret("receivers.webhook.token_file", config->webhook_token_file, NULL, options,
		     problems);
	check_secret("receivers.webhook.secret_file", config->webhook_secret_file, NULL, options,
		     problems);
	check_secret("receivers.ca_file", config->receivers_ca_file, "BEGIN CERTIFICATE", options,
		     problems);
	for (size_t i = 0; i < config->files.count; i++)
		check_readable("files", config->files.items[i], problems);
	check_formats(&wiring, problems);
	check_policies(config, problems);
	check_rules(&wiring, problems, &totals);
	check_enrichment(&wiring, problems);
	wiring_done(&wiring);
	if (wiring.is_kafka && kafka_options_check(&wiring.kafka, &one) != OK)
		problems_add(problems, &one);
	else if (wiring.is_kafka && options->ask_broker)
		status = check_broker(&wiring.kafka, problems, &totals, err);
	if (status == OK)
		*ret_totals = totals;
	return status;
}
