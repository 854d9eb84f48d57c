#include "cli/gate_policies.h"

#include <assert.h>

#include "rules/yaml.h"

static const size_t POLICIES_BYTES_MAX = (size_t)64 << 20;

void gate_policies_done(struct gate_policies *policies)
{
	arena_free(&policies->arena);
	policies->count = 0;
}

static enum status add_policy(struct gate_policies *policies, const struct yaml_node *document,
			      struct error *err)
{
	struct gate_policy policy;
	enum status status = gate_policy_read(document, policies->arena, &policy, err);
	if (status != OK)
		return status;
	for (size_t i = 0; i < policies->count; i++)
		if (text_equal(policies->items[i].name, policy.name))
			return error_at(err, EINVALID, document->at,
					"there is a policy \"%.*s\" already\n  fix: rename one",
					TEXT_ARG(policy.name));
	if (policies->count == GATE_POLICIES_MAX)
		return error_at(err, ELIMIT, document->at, "more than %d policies",
				GATE_POLICIES_MAX);
	policies->items[policies->count++] = policy;
	return OK;
}

enum status gate_policies_load(const char *const *paths, size_t path_count,
			       struct gate_policies *ret_policies, struct error *err)
{
	struct gate_policies *policies = ret_policies;
	*policies = (struct gate_policies){.arena = arena_new(POLICIES_BYTES_MAX)};
	enum status status =
		policies->arena == NULL ? error_set(err, ENOMEMORY, "no memory for policies") : OK;
	for (size_t i = 0; i < path_count && status == OK; i++) {
		const struct yaml_node *const *documents = NULL;
		size_t count = 0;
		status = yaml_load(paths[i], policies->arena, &documents, &count, err);
		for (size_t k = 0; k < count && status == OK; k++)
			status = add_policy(policies, documents[k], err);
	}
	if (status != OK)
		gate_policies_done(policies);
	assert(policies->count <= GATE_POLICIES_MAX);
	return status;
}
