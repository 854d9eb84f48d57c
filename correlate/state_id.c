/* What a rule's memory is called: 64 bits of BLAKE2b over length-prefixed parts, unkeyed, so that
 * the same rule has the same identity in every store and a reordered file keeps it.
 *
 * In it is what decides what was remembered and how it is read: the rule's key, type, window,
 * group, fields, tenant scope and way of being judged, and of each rule it refers to the key and
 * what that finds (a detection's shape, a correlation's own identity). Thresholds, levels, texts
 * and filters are not: after such an edit the state is as good as before. A risk refers to whoever
 * adds to it and remembers who added what, so its sources are not in it either.
 *
 * Rules that are alike in all of it (copies without an id) are told apart by their order. */
#include <sodium.h>

#include "correlate/plan_private.h"

static void identity_text(crypto_generichash_state *hash, struct text t)
{
	uint64_t size = t.size;
	unsigned char prefix[8];
	for (unsigned i = 0; i < sizeof prefix; i++)
		prefix[i] = (unsigned char)(size >> (8 * i));
	(void)crypto_generichash_update(hash, prefix, sizeof prefix);
	if (size > 0)
		(void)crypto_generichash_update(hash, (const unsigned char *)t.data, size);
}

static void identity_number(crypto_generichash_state *hash, uint64_t number)
{
	unsigned char encoded[8];
	for (unsigned i = 0; i < sizeof encoded; i++)
		encoded[i] = (unsigned char)(number >> (8 * i));
	identity_text(hash, (struct text){(const char *)encoded, sizeof encoded});
}

/* What decides how picket's own types read what they remember: the order of the fields that a
 * sequence's values are numbered by, when it decides, and what a baseline's figures are of. How
 * many, how unlike, how far or for how long may be edited. */
static void identity_terms(crypto_generichash_state *hash, const struct correlation *correlation)
{
	const struct sequence_terms *sequence = correlation->sequence;
	if (correlation->baseline != NULL)
		identity_number(hash, correlation->baseline->aggregate);
	if (sequence == NULL)
		return;
	identity_number(hash, sequence->field_count);
	for (size_t i = 0; i < sequence->field_count; i++)
		identity_text(hash, sequence->fields[i]);
	identity_number(hash, sequence->has_until ? 1 + (uint64_t)sequence->until : 0);
	identity_number(hash, sequence->step_count);
	for (size_t i = 0; i < sequence->step_count; i++) {
		const struct sequence_step *step = &sequence->steps[i];
		identity_number(hash, step->reference);
		identity_number(hash, step->absent);
		identity_number(hash, (uint64_t)step->within_us);
		identity_number(hash, step->join_count);
		for (size_t k = 0; k < step->join_count; k++) {
			identity_number(hash, step->joins[k].field);
			identity_number(hash, step->joins[k].earlier);
		}
	}
}

/* Peers are asked by cells of the first_seen above, and keep no more of them than are needed. */
static void identity_peers(crypto_generichash_state *hash, const struct correlation *correlation)
{
	identity_number(hash, correlation->first_seen->rare_below);
	for (size_t i = 0; i < correlation->group_by_count; i++)
		identity_text(hash, correlation->group_by[i].name);
}

/* A rule that is referred to: its key, and what it finds. */
static void identity_reference(crypto_generichash_state *hash, const struct plan *plan,
			       uint32_t index)
{
	const struct rule *rule = ruleset_rule(plan->ruleset, index);
	identity_text(hash, rule->key);
	identity_number(hash, rule->kind == RULE_DETECTION
				      ? rule->shape
				      : plan->units[plan->unit_of_rule[index]].state_id);
}

uint64_t unit_state_id(const struct plan *plan, const struct unit *unit, uint64_t copy)
{
	const struct rule *rule = unit->rule;
	const struct correlation *correlation = rule->correlation;
	bool is_risk = correlation != NULL && correlation->risk != NULL; /* knows who added */
	size_t references = correlation == NULL || is_risk ? 0 : correlation->rule_count;
	crypto_generichash_state hash;
	(void)crypto_generichash_init(&hash, NULL, 0, crypto_generichash_BYTES_MIN);
	identity_text(&hash, rule->key);
	identity_number(&hash, correlation == NULL ? 0 : 1 + (uint64_t)correlation->type);
	identity_number(&hash, (uint64_t)unit->timespan_us);
	identity_number(&hash, rule->cross_tenant);
	identity_number(&hash, copy);
	identity_number(&hash, references);
	for (size_t r = 0; r < references; r++)
		identity_reference(&hash, plan, correlation->rules[r]);
	identity_number(&hash, unit->group_by_count);
	for (size_t i = 0; i < unit->group_by_count; i++) {
		identity_text(&hash, unit->group_by[i].name);
		for (size_t r = 0; r < references; r++)
			identity_text(&hash, unit_field(unit, i, r));
	}
	for (size_t i = 0; correlation != NULL && i < correlation->field_count; i++)
		identity_text(&hash, correlation->fields[i]);
	if (unit->gated || unit->judged == JUDGED_SKETCH) /* what it remembers has another form */
		identity_number(&hash, unit->judged);
	if (unit->judged == JUDGED_SKETCH)
		identity_number(&hash, unit->precision);
	if (correlation != NULL)
		identity_terms(&hash, correlation);
	if (unit->judged == JUDGED_PEERS)
		identity_peers(&hash, correlation);
	unsigned char result[crypto_generichash_BYTES_MIN];
	(void)crypto_generichash_final(&hash, result, sizeof result);
	uint64_t identity = 0;
	for (unsigned i = 0; i < 8; i++)
		identity |= (uint64_t)result[i] << (8 * i);
	return identity;
}
