#include "rules/parse_private.h"

#include <assert.h>
#include <math.h>

/* The terms of picket's own correlation types (rules/terms.h), one function per type. Numbers have
 * a unit in their key or are durations; what is left out has the default that docs/CORRELATION.md
 * states. */

static const int64_t second_us = 1000000;
static const int64_t day_us = INT64_C(86400) * 1000000;

enum status lower_bound_read(const struct yaml_node *node, const char *what,
			     struct lower_bound *ret_bound, struct error *err)
{
	static const char *const keys[] = {"gt", "gte"};
	bool is_map = node->kind == YAML_MAPPING;
	enum status status = is_map ? node_keys(node, what, keys, 2, err) : OK;
	if (status != OK)
		return status;
	const struct yaml_node *value = is_map && node->count == 1 ? node->values[0] : NULL;
	if (value == NULL || (value->kind != YAML_INTEGER && value->kind != YAML_REAL) ||
	    !isfinite(value->real))
		return error_at(err, EINVALID, node->at,
				"%s needs one bound\n  fix: write for instance {gte: 5}", what);
	*ret_bound = (struct lower_bound){.value = value->real,
					  .strict = text_equal(node->keys[0]->text, TEXT("gt"))};
	return OK;
}

enum status list_named(const struct loader *loader, const struct yaml_node *node,
		       const struct value_list **ret_list, struct error *err)
{
	struct text word = node->kind == YAML_STRING ? node->text : (struct text){0};
	*ret_list = NULL;
	if (word.size < 3 || word.data[0] != '%' || word.data[word.size - 1] != '%')
		return OK;
	struct text name = {word.data + 1, word.size - 2};
	*ret_list = lists_find(&loader->lists, name);
	if (*ret_list == NULL)
		return error_at(err, EINVALID, node->at,
				"placeholder %.*s has no list of values\n  fix: write them into a "
				"file, one a line, and give it: --list %.*s=FILE, or under "
				"rules.lists of picket.yaml",
				TEXT_ARG(word), TEXT_ARG(name));
	return OK;
}

/* A list by its name, a text, or a list of texts. */
static enum status values_read(struct loader *loader, const struct yaml_node *node,
			       const char *what, const struct text **ret_values, size_t *ret_count,
			       struct error *err)
{
	const struct value_list *list = NULL;
	enum status status = list_named(loader, node, &list, err);
	if (status != OK)
		return status;
	if (list != NULL) {
		*ret_values = list->values;
		*ret_count = list->count;
		return OK;
	}
	bool several = node->kind == YAML_SEQUENCE;
	size_t count = several ? node->count : 1;
	struct text *values = arena_alloc(loader->arena, (count + 1) * sizeof *values);
	if (values == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < count; i++) {
		const struct yaml_node *item = several ? node->items[i] : node;
		if (item->kind >= YAML_SEQUENCE || item->text.size == 0)
			return error_at(err, EINVALID, item->at,
					"%s must be a value, a list of values, or %%Name%%\n  fix: "
					"write one value a line",
					what);
		values[i] = loader_keep(loader, item->text);
	}
	*ret_values = values;
	*ret_count = count;
	return OK;
}

static enum status duration_of(const struct yaml_node *map, const char *key, int64_t *us,
			       struct error *err)
{
	const struct yaml_node *node = yaml_get(map, key);
	return node == NULL ? OK : node_duration(node, key, us, err);
}

static enum status count_of(const struct yaml_node *map, const char *key, long long max,
			    long long *count, struct error *err)
{
	const struct yaml_node *node = yaml_get(map, key);
	return node == NULL ? OK : node_count(node, key, 1, max, count, err);
}

static enum status condition_of(const struct yaml_node *map, const char *const *keys, size_t count,
				const struct yaml_node **ret_condition, struct error *err)
{
	const struct yaml_node *condition = yaml_get(map, "condition");
	if (condition == NULL)
		return error_at(err, EINVALID, map->at,
				"the correlation has no condition\n  fix: add `condition:` with "
				"`%s`",
				keys[0]);
	enum status status = node_map(condition, "condition", err);
	if (status == OK)
		status = node_keys(condition, "condition", keys, count, err);
	*ret_condition = condition;
	return status;
}

static enum status field_of(struct loader *loader, const struct yaml_node *condition,
			    struct correlation_draft *draft, struct error *err)
{
	const struct yaml_node *field = yaml_get(condition, "field");
	if (field == NULL)
		return error_at(err, EINVALID, condition->at,
				"the condition names no field\n  fix: add `field: name`");
	return node_fields(loader, field, "condition.field", &draft->parsed.fields,
			   &draft->parsed.field_count, err);
}

/* peers: {by: [service.name], rare-below: 3} */
static enum status peers_read(struct loader *loader, const struct yaml_node *map,
			      struct first_seen_terms *terms, struct error *err)
{
	static const char *const keys[] = {"by", "rare-below"};
	const struct yaml_node *peers = yaml_get(map, "peers");
	long long rare_below = 0;
	if (peers == NULL)
		return OK;
	enum status status = node_map(peers, "peers", err);
	if (status == OK)
		status = node_keys(peers, "peers", keys, 2, err);
	if (status != OK)
		return status;
	const struct yaml_node *by = yaml_get(peers, "by");
	if (by == NULL || (by->kind == YAML_SEQUENCE && by->count == 0))
		return error_at(err, EINVALID, peers->at,
				"peers are alike in no field\n  fix: add for instance "
				"`by: [service.name]`");
	if (yaml_get(peers, "rare-below") == NULL)
		return error_at(err, EINVALID, peers->at,
				"peers have no bound\n  fix: add for instance `rare-below: 3`");
	status = node_fields(loader, by, "peers.by", &terms->peers_by, &terms->peers_by_count, err);
	if (status == OK)
		status = count_of(peers, "rare-below", PEERS_RARE_MAX, &rare_below, err);
	terms->rare_below = (uint64_t)rare_below;
	return status;
}

static enum status first_seen_read(struct loader *loader, const struct yaml_node *map,
				   struct correlation_draft *draft, struct error *err)
{
	static const char *const keys[] = {"field", "gte", "burst-window"};
	static const char *const learn_keys[] = {"for", "or-events"};
	struct first_seen_terms *terms = arena_alloc(loader->arena, sizeof *terms);
	const struct yaml_node *learn = yaml_get(map, "learn");
	const struct yaml_node *condition = NULL;
	long long at_least = 1;
	long long events = 0;
	if (terms == NULL)
		return loader_exhausted(err);
	*terms = (struct first_seen_terms){.learn_us = 14 * day_us, .burst_us = 3600 * second_us};
	enum status status = duration_of(map, "backfill", &terms->backfill_us, err);
	if (status == OK)
		status = peers_read(loader, map, terms, err);
	if (status == OK)
		status = condition_of(map, keys, 3, &condition, err);
	if (status == OK)
		status = field_of(loader, condition, draft, err);
	if (status == OK)
		status = count_of(condition, "gte", 1024, &at_least, err);
	if (status == OK)
		status = duration_of(condition, "burst-window", &terms->burst_us, err);
	if (status == OK && learn != NULL) {
		status = node_map(learn, "learn", err);
		if (status == OK)
			status = node_keys(learn, "learn", learn_keys, 2, err);
		if (status == OK)
			status = duration_of(learn, "for", &terms->learn_us, err);
		if (status == OK)
			status = count_of(learn, "or-events", 1000000, &events, err);
	}
	terms->at_least = (uint64_t)at_least;
	terms->learn_events = (uint64_t)events;
	draft->parsed.first_seen = terms;
	return status;
}

static enum status baseline_counts(const struct yaml_node *map, int64_t bucket_us,
				   struct baseline_terms *terms, struct error *err)
{
	int64_t history_us = 14 * day_us;
	int64_t adapt_us = day_us;
	long long min_buckets = 0;
	enum status status = duration_of(map, "history", &history_us, err);
	if (status == OK)
		status = duration_of(map, "adapt", &adapt_us, err);
	if (status == OK)
		status = count_of(map, "min-buckets", BASELINE_BUCKETS_MAX, &min_buckets, err);
	if (status != OK)
		return status;
	int64_t history = history_us / bucket_us;
	int64_t adapt = (adapt_us + bucket_us - 1) / bucket_us;
	const struct yaml_node *given = yaml_get(map, "history");
	if (history < 4 || history > BASELINE_BUCKETS_MAX)
		return error_at(err, EINVALID, given == NULL ? map->at : given->at,
				"history holds %lld buckets of timespan; 4 to %d can be judged\n"
				"  fix: change `history` or `timespan`",
				(long long)history, BASELINE_BUCKETS_MAX);
	terms->history = (uint32_t)history;
	terms->adapt = adapt > history ? terms->history : (uint32_t)(adapt < 1 ? 1 : adapt);
	terms->min_buckets = min_buckets == 0 ? terms->history / 4 : (uint32_t)min_buckets;
	if (terms->min_buckets > terms->history)
		return error_at(err, EINVALID, map->at,
				"min-buckets is more than the %u that history holds\n  fix: lower "
				"it, or keep a longer history",
				terms->history);
	return OK;
}

static enum status word_of(const struct yaml_node *map, const char *key, const char *const *names,
			   size_t count, size_t *index, struct error *err)
{
	const struct yaml_node *node = yaml_get(map, key);
	return node == NULL ? OK : node_one_of(node, key, names, count, index, err);
}

static enum status baseline_read(struct loader *loader, const struct yaml_node *map,
				 struct correlation_draft *draft, struct error *err)
{
	static const char *const keys[] = {"deviation", "aggregate", "direction", "floor", "field"};
	static const char *const seasons[] = {"none", "hour_of_day", "hour_of_week"};
	static const char *const aggregates[] = {"count", "distinct", "sum", "avg", "p95"};
	static const char *const directions[] = {"both", "up", "down"};
	struct baseline_terms *terms = arena_alloc(loader->arena, sizeof *terms);
	const struct yaml_node *condition = NULL;
	size_t season = SEASON_NONE, aggregate = AGGREGATE_COUNT, direction = DIRECTION_BOTH;
	if (terms == NULL)
		return loader_exhausted(err);
	enum status status = baseline_counts(map, draft->parsed.timespan_us, terms, err);
	if (status == OK)
		status = word_of(map, "season", seasons, 3, &season, err);
	if (status == OK)
		status = condition_of(map, keys, 5, &condition, err);
	if (status == OK)
		status = word_of(condition, "aggregate", aggregates, 5, &aggregate, err);
	if (status == OK)
		status = word_of(condition, "direction", directions, 3, &direction, err);
	if (status != OK)
		return status;
	const struct yaml_node *deviation = yaml_get(condition, "deviation");
	const struct yaml_node *least = yaml_get(condition, "floor");
	terms->deviation = (struct lower_bound){.value = 6};
	if (deviation != NULL)
		status = lower_bound_read(deviation, "deviation", &terms->deviation, err);
	if (status == OK && least != NULL &&
	    (least->kind > YAML_REAL || !isfinite(least->real) || least->real < 0))
		status = error_at(err, EINVALID, least->at,
				  "floor must be a number of 0 or more\n  fix: write for instance "
				  "50");
	if (status == OK && aggregate != AGGREGATE_COUNT)
		status = field_of(loader, condition, draft, err);
	if (status == OK && aggregate != AGGREGATE_DISTINCT && draft->parsed.field_count > 1)
		status = error_at(err, EINVALID, condition->at,
				  "%s takes one field\n  fix: write one rule per field",
				  aggregates[aggregate]);
	terms->floor = status == OK && least != NULL ? least->real : 0;
	terms->season = (enum baseline_season)season;
	terms->aggregate = (enum baseline_aggregate)aggregate;
	terms->direction = (enum baseline_direction)direction;
	draft->parsed.baseline = terms;
	return status;
}

/* source.ip -> source.geo.location.lat */
static struct text beside(struct loader *loader, struct text address, const char *name)
{
	struct text stem = address;
	if (stem.size > 3 && memcmp(stem.data + stem.size - 3, ".ip", 3) == 0)
		stem.size -= 3;
	return arena_print(loader->arena, "%.*s.geo.%s", TEXT_ARG(stem), name);
}

static enum status ignore_read(struct loader *loader, const struct yaml_node *ignore,
			       struct travel_terms *terms, struct error *err)
{
	static const char *const keys[] = {"field-in", "known-transition"};
	enum status status = node_map(ignore, "ignore", err);
	if (status == OK)
		status = node_keys(ignore, "ignore", keys, 2, err);
	if (status == OK)
		status = duration_of(ignore, "known-transition", &terms->known_us, err);
	const struct yaml_node *in = status == OK ? yaml_get(ignore, "field-in") : NULL;
	if (in == NULL)
		return status;
	status = node_map(in, "ignore.field-in", err);
	if (status == OK && in->count != 1)
		status =
			error_at(err, EINVALID, in->at,
				 "ignore.field-in takes one field\n  fix: write {source.as.number: "
				 "'%%EgressAsns%%'}");
	if (status != OK)
		return status;
	terms->ignored_field = loader_keep_field(loader, in->keys[0]->text);
	return values_read(loader, in->values[0], "ignore.field-in", &terms->ignored_values,
			   &terms->ignored_count, err);
}

static enum status travel_read(struct loader *loader, const struct yaml_node *map,
			       struct correlation_draft *draft, struct error *err)
{
	static const char *const keys[] = {"field", "speed-kmh", "distance-km"};
	struct travel_terms *terms = arena_alloc(loader->arena, sizeof *terms);
	const struct yaml_node *condition = NULL;
	if (terms == NULL)
		return loader_exhausted(err);
	*terms = (struct travel_terms){.speed_kmh = {1000, true}, .distance_km = {500, true}};
	enum status status = condition_of(map, keys, 3, &condition, err);
	if (status == OK)
		status = field_of(loader, condition, draft, err);
	if (status == OK && draft->parsed.field_count != 1)
		status = error_at(err, EINVALID, condition->at,
				  "geo_velocity takes one field\n  fix: write `field: source.ip`");
	if (status == OK && yaml_get(condition, "speed-kmh") != NULL)
		status = lower_bound_read(yaml_get(condition, "speed-kmh"), "speed-kmh",
					  &terms->speed_kmh, err);
	if (status == OK && yaml_get(condition, "distance-km") != NULL)
		status = lower_bound_read(yaml_get(condition, "distance-km"), "distance-km",
					  &terms->distance_km, err);
	if (status == OK && yaml_get(map, "ignore") != NULL)
		status = ignore_read(loader, yaml_get(map, "ignore"), terms, err);
	if (status != OK)
		return status;
	terms->address = draft->parsed.fields[0];
	terms->latitude = beside(loader, terms->address, "location.lat");
	terms->longitude = beside(loader, terms->address, "location.lon");
	terms->radius_km = text_equal(terms->address, TEXT("source.ip"))
				   ? TEXT("picket.geo.accuracy_km") /* ours: nobody can send it */
				   : beside(loader, terms->address, "accuracy_km");
	terms->city = beside(loader, terms->address, "city_name");
	terms->country = beside(loader, terms->address, "country_iso_code");
	draft->parsed.travel = terms;
	return terms->country.data == NULL ? loader_exhausted(err) : OK;
}

/* Whoever any event has shown lately: it names no values, so nobody has to keep a list. */
static enum status seen_read(const struct yaml_node *map, const struct yaml_node *members,
			     const struct correlation_draft *draft, struct absence_terms *terms,
			     struct error *err)
{
	static const char *const keys[] = {"seen-within"};
	const struct yaml_node *within = yaml_get(members, keys[0]);
	enum status status = node_keys(members, "members", keys, 1, err);
	if (status == OK && within == NULL)
		status = node_missing(members, keys[0], "members are whoever was seen, but when",
				      "write for instance `members: {seen-within: 7d}`", err);
	if (status == OK)
		status = duration_of(members, keys[0], &terms->seen_us, err);
	if (status == OK && terms->seen_us < draft->parsed.timespan_us)
		return error_at(
			err, EINVALID, within->at,
			"seen-within is shorter than the timespan: a member would be "
			"forgotten before it can be missed\n  fix: make it as long at least");
	if (status == OK && yaml_get(map, "forget") != NULL)
		return error_at(err, EINVALID, yaml_get(map, "forget")->at,
				"a member that is seen no more is forgotten after seen-within\n  "
				"fix: remove forget");
	if (status == OK && draft->alias_count > 0)
		return error_at(err, EINVALID, members->at,
				"an alias has no meaning in events that match no rule\n  fix: "
				"group by a field of every event");
	terms->forget_us = terms->seen_us;
	return status;
}

static enum status absence_read(struct loader *loader, const struct yaml_node *map,
				struct correlation_draft *draft, struct error *err)
{
	struct absence_terms *terms = arena_alloc(loader->arena, sizeof *terms);
	const struct yaml_node *members = yaml_get(map, "members");
	if (terms == NULL)
		return loader_exhausted(err);
	terms->forget_us = 7 * day_us;
	enum status status = duration_of(map, "forget", &terms->forget_us, err);
	if (status == OK && yaml_get(map, "condition") != NULL)
		status = error_at(err, EINVALID, yaml_get(map, "condition")->at,
				  "absence needs no condition: it means no event within the "
				  "timespan\n  fix: remove it");
	bool listed = members != NULL && members->kind != YAML_MAPPING;
	if (status == OK && members != NULL && !listed)
		status = seen_read(map, members, draft, terms, err);
	if (status == OK && listed)
		status = values_read(loader, members, "members", &terms->members,
				     &terms->member_count, err);
	if (status == OK && listed && draft->parsed.group_by_count != 1)
		status = error_at(err, EINVALID, members->at,
				  "members are values of one group-by field\n  fix: group by that "
				  "field alone");
	draft->parsed.absence = terms;
	return status;
}

enum status terms_read(struct loader *loader, const struct yaml_node *map,
		       struct correlation_draft *draft, struct error *err)
{
	switch (draft->parsed.type) {
	case CORRELATION_SEQUENCE:
		return sequence_terms_read(loader, map, draft, err);
	case CORRELATION_FIRST_SEEN:
		return first_seen_read(loader, map, draft, err);
	case CORRELATION_BASELINE:
		return baseline_read(loader, map, draft, err);
	case CORRELATION_GEO_VELOCITY:
		return travel_read(loader, map, draft, err);
	case CORRELATION_ABSENCE:
		return absence_read(loader, map, draft, err);
	case CORRELATION_COHORT_COMPARE:
		return cohort_terms_read(loader, map, draft, err);
	default:
		assert(draft->parsed.type == CORRELATION_RISK);
		return risk_terms_read(loader, map, draft, err);
	}
}
