#include "correlate/gate.h"

#include <assert.h>

const char *verdict_name(enum verdict verdict)
{
	static const char *const NAMES[] = {"PASS", "FAIL",  "INCONCLUSIVE",
					    "WAIT", "STALE", "UNAVAILABLE"};
	assert(verdict <= VERDICT_UNAVAILABLE);
	return NAMES[verdict];
}

enum status arm_query_parse(struct text argument, struct arm_query *ret_query, struct error *err)
{
	const char *equals = argument.size == 0 ? NULL : memchr(argument.data, '=', argument.size);
	if (equals == NULL) {
		if (text_equal(argument, TEXT("auto")))
			argument = TEXT("");
		*ret_query = (struct arm_query){ARM_ANY, argument};
		return OK;
	}
	size_t name_size = (size_t)(equals - argument.data);
	struct text name = {argument.data, name_size};
	struct text value = text_cut(argument, name_size + 1);
	enum field_id id = schema_find(name);
	if (id != FIELD_SERVICE_VERSION && id != FIELD_DEPLOY_ID)
		return error_set(err, EINVALID,
				 "%.*s does not name a build: use a version, "
				 "service.version=VALUE or picket.deploy.id=VALUE",
				 TEXT_ARG(name));
	if (value.size == 0)
		return error_set(err, EINVALID, "%.*s= has no value", TEXT_ARG(name));
	*ret_query = (struct arm_query){id == FIELD_DEPLOY_ID ? ARM_DEPLOY_ID : ARM_VERSION, value};
	return OK;
}
