/* The doctor's advice for a person: what is to be changed, and in which services.
 *
 * Twenty services that log with one library lack the same fields. So nothing is said service by
 * service (that is what -o json is for): each piece of advice stands once, what mends most services
 * first, and below it who should take it. The fields that the gate's signals lack are told apart
 * from the rest, because a team that has no canary need not care; one line adds a field, whatever
 * signals wait for it, so there the lines are grouped. */
#include "cli/doctor_advice.h"

#include <stdio.h>

enum { NAMES_MAX = 8 }; /* services that are named; the others are counted */

/* Text -> {"services": [...], "signals": [...]}, in the order in which the texts came up; json-c
 * keeps it. */
struct group {
	struct json_object *by_text;
};

static size_t length(struct json_object *array)
{
	return array == NULL ? 0 : json_object_array_length(array);
}

/* Adds a name to one of the lists of a text, once; false: out of memory. */
static bool add(struct group *group, const char *text, const char *list, const char *name)
{
	struct json_object *lists = NULL, *names = NULL;
	if (!json_object_object_get_ex(group->by_text, text, &lists)) {
		lists = json_object_new_object();
		if (lists == NULL || json_object_object_add(group->by_text, text, lists) != 0)
			return false;
	}
	if (!json_object_object_get_ex(lists, list, &names)) {
		names = json_object_new_array();
		if (names == NULL || json_object_object_add(lists, list, names) != 0)
			return false;
	}
	for (size_t i = 0; i < length(names); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(names, i)), name) == 0)
			return true;
	struct json_object *one = json_object_new_string(name);
	return one != NULL && json_object_array_add(names, one) == 0;
}

static bool gather(struct group *advice, struct group *gate, struct json_object *service)
{
	const char *name = json_path_text(service, "service");
	struct json_object *lines = json_path(service, "advice");
	struct json_object *missing = json_path(service, "signals.missing");
	bool kept = true;
	for (size_t i = 0; kept && i < length(lines); i++)
		kept = add(advice, json_object_get_string(json_object_array_get_idx(lines, i)),
			   "services", name);
	for (size_t i = 0; kept && i < length(missing); i++) {
		struct json_object *one = json_object_array_get_idx(missing, i);
		const char *fix = json_path_text(one, "fix");
		struct json_object *signals = json_path(one, "signals");
		kept = add(gate, fix, "services", name);
		for (size_t k = 0; kept && k < length(signals); k++)
			kept = add(gate, fix, "signals",
				   json_object_get_string(json_object_array_get_idx(signals, k)));
	}
	return kept;
}

static void print_names(FILE *to, struct json_object *names, size_t most)
{
	size_t count = length(names);
	size_t shown = count <= most ? count : most;
	for (size_t i = 0; i < shown; i++) {
		(void)fputs(i == 0 ? "" : ", ", to);
		output_text(to, json_object_get_string(json_object_array_get_idx(names, i)));
	}
	if (shown < count)
		(void)fprintf(to, " and %zu more (-o json names them)", count - shown);
}

static void print_one(FILE *to, const char *text, struct json_object *lists, size_t service_count)
{
	struct json_object *services = json_path(lists, "services");
	struct json_object *signals = json_path(lists, "signals");
	(void)fputs("  - ", to);
	output_text(to, text);
	if (signals != NULL) {
		(void)fputs("\n      feeds ", to);
		print_names(to, signals, SIZE_MAX);
	}
	if (service_count > 1) {
		(void)fputs(signals != NULL ? "; in " : "\n      in ", to);
		if (length(services) == service_count)
			(void)fprintf(to, "all %zu services", service_count);
		else
			print_names(to, services, NAMES_MAX);
	}
	(void)fputc('\n', to);
}

/* What concerns most services first, else in the order in which it came up. */
static void print_group(FILE *to, const char *heading, const struct group *group,
			size_t service_count)
{
	if (json_object_object_length(group->by_text) == 0)
		return;
	(void)fprintf(to, "\n%s\n", heading);
	for (size_t count = service_count; count > 0; count--) {
		json_object_object_foreach(group->by_text, text, lists)
		{
			struct json_object *services = json_path(lists, "services");
			if (length(services) == count)
				print_one(to, text, lists, service_count);
		}
	}
}

static void group_done(struct group *group)
{
	(void)json_object_put(group->by_text);
}

bool doctor_print_advice(FILE *to, struct json_object *services)
{
	struct group advice cleanup(group_done) = {json_object_new_object()};
	struct group gate cleanup(group_done) = {json_object_new_object()};
	size_t count = length(services);
	bool kept = advice.by_text != NULL && gate.by_text != NULL;
	for (size_t i = 0; kept && i < count; i++)
		kept = gather(&advice, &gate, json_object_array_get_idx(services, i));
	if (!kept)
		return false;
	print_group(to, "What to change:", &advice, count);
	print_group(to, "What the gate cannot see yet, and the line that shows it:", &gate, count);
	return true;
}
