#include "cli/verdicts.h"

#include <stdlib.h>

#include "cli/action.h"
#include "correlate/alert.h"
#include "storage/rows.h"

static void count(struct verdicts *verdicts, struct text verdict)
{
	verdicts->true_positives += text_equal(verdict, TEXT("true-positive"));
	verdicts->false_positives += text_equal(verdict, TEXT("false-positive"));
	verdicts->benign += text_equal(verdict, TEXT("benign"));
}

/* The actions of an alert; those that closed it count for its rule. */
static enum status count_row(struct store *store, const struct ruleset *ruleset, struct text key,
			     struct text value, struct verdicts *verdicts, struct error *err)
{
	struct actions actions = {0};
	struct bytes alert_row cleanup(bytes_done) = {0};
	struct bytes alert_at cleanup(bytes_done) = {0};
	struct alert alert;
	enum status status = actions_decode(value, &actions, err);
	if (status != OK || actions_verdict(&actions).size == 0)
		return status;
	alert_key('a', text_cut(key, 1), &alert_at);
	status = store_get(store, FAMILY_ALERT, bytes_text(&alert_at), &alert_row, err);
	if (status == ENOTFOUND)
		return OK; /* retention took the alert */
	if (status == OK)
		status = alert_decode(bytes_text(&alert_row), &alert, err);
	const struct rule *rule = status == OK ? ruleset_find(ruleset, alert.rule_key) : NULL;
	if (rule != NULL)
		count(&verdicts[rule->index], actions_verdict(&actions));
	return status;
}

enum status verdicts_read(struct store *store, const struct ruleset *ruleset,
			  struct verdicts **ret_verdicts, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct verdicts *verdicts cleanup(verdicts_free) =
		calloc(ruleset_count(ruleset) + 1, sizeof *verdicts);
	struct text key = {0};
	struct text value = {0};
	if (verdicts == NULL)
		return error_set(err, ENOMEMORY, "no memory for the verdicts");
	enum status status = store_scan_new(store, FAMILY_ALERT, TEXT("u"), TEXT("u"), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value))
		status = count_row(store, ruleset, key, value, verdicts, err);
	if (status == OK)
		status = store_scan_status(scan, err);
	if (status == OK)
		*ret_verdicts = TAKE(verdicts);
	return status;
}

void verdicts_free(struct verdicts **verdicts)
{
	free(*verdicts);
	*verdicts = NULL;
}

double verdicts_precision(const struct verdicts *verdicts)
{
	uint64_t all = verdicts->true_positives + verdicts->false_positives + verdicts->benign;
	return all == 0 ? -1 : (double)verdicts->true_positives / (double)all;
}
