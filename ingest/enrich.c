#include "ingest/enrich.h"

#include <assert.h>
#include <stdlib.h>

#include "ingest/lookup_private.h"

struct enricher {
	struct enrich_options options;
	struct lookup *lookup;
	struct privacy_scratch *scratch;
	struct bound bound; /* of the message */
	bool raw_wanted;    /* of the message: its records' bytes are asked for */
	bool replaced;      /* of the last event: something in it was */
	struct enrich_counters counters;
};

/* One side of an identity, for the code that treats both alike. */
struct side {
	enum field_id field, bound_field, claimed_field;
	enum bound_state state;
	struct text name; /* of BOUND_NAME */
	bool (*allows)(const struct bound *bound, struct text claim);
};

/* What the log says about one side. */
struct claims {
	size_t count;     /* values that say something */
	bool allowed;     /* every one of them is */
	bool ambiguous;   /* they differ */
	struct text last; /* the log's last word */
};

enum status enricher_new(const struct enrich_options *options, struct enricher **ret_enricher,
			 struct error *err)
{
	struct enricher *enricher cleanup(enricher_free) = calloc(1, sizeof *enricher);
	if (enricher == NULL)
		return error_set(err, ENOMEMORY, "no memory for enrichment");
	enricher->options = *options;
	enum status status = OK;
	if (options->desk != NULL)
		status = lookup_new(options->desk, &enricher->lookup, err);
	if (status == OK && options->privacy != NULL)
		status = privacy_scratch_new(options->privacy, &enricher->scratch, err);
	if (status == OK)
		*ret_enricher = TAKE(enricher);
	return status;
}

enum status enricher_switch(struct enricher *enricher, const struct bindings *bindings,
			    const struct privacy *privacy, struct error *err)
{
	struct privacy_scratch *scratch = NULL;
	enum status status = privacy == NULL ? OK : privacy_scratch_new(privacy, &scratch, err);
	if (status != OK)
		return status;
	privacy_scratch_free(&enricher->scratch);
	enricher->scratch = scratch;
	enricher->options.privacy = privacy;
	enricher->options.bindings = bindings;
	enricher->bound = (struct bound){0}; /* it looks into the old bindings */
	return OK;
}

void enricher_free(struct enricher **enricher)
{
	if (*enricher == NULL)
		return;
	lookup_free(&(*enricher)->lookup);
	privacy_scratch_free(&(*enricher)->scratch);
	free(*enricher);
	*enricher = NULL;
}

static bool raw_wanted(const struct enrich_options *options, struct text topic)
{
	for (size_t i = 0; i < options->raw_topic_count; i++)
		if (topic_fits(topic, options->raw_topics[i]))
			return true;
	return false;
}

void enricher_message(struct enricher *enricher, struct text topic, const struct message *message)
{
	if (enricher->lookup != NULL)
		lookup_refresh(enricher->lookup);
	enricher->raw_wanted = raw_wanted(&enricher->options, topic);
	if (bindings_count(enricher->options.bindings) > 0)
		enricher->bound = bindings_find(enricher->options.bindings, topic, message);
}

static bool says_something(const struct field *field, enum field_id id)
{
	return field->id == id && field->value.text.size > 0;
}

static struct claims claims_of(const struct event *event, const struct side *side,
			       const struct bound *bound)
{
	struct claims claims = {.allowed = true};
	for (size_t i = 0; i < event->field_count; i++) {
		if (!says_something(&event->fields[i], side->field))
			continue;
		struct text claim = event->fields[i].value.text;
		bool allowed = side->state == BOUND_NAME     ? text_equal(claim, side->name)
			       : side->state == BOUND_CHOICE ? side->allows(bound, claim)
							     : false;
		claims.allowed = claims.allowed && allowed;
		claims.ambiguous =
			claims.ambiguous || (claims.count > 0 && !text_equal(claim, claims.last));
		claims.last = claim;
		claims.count++;
	}
	return claims;
}

static enum status add_text(struct event *event, struct arena *arena, enum field_id id,
			    struct text value)
{
	enum status status = event_add_known(event, arena, id,
					     (struct value){.type = VALUE_STRING, .text = value});
	assert(status != ELIMIT); /* EVENT_OWN_MAX keeps room for what is added here */
	return status;
}

/* The claims lose their field: they stand beside it, under a name that no rule takes for true. */
static void set_apart(struct event *event, const struct side *side)
{
	for (size_t i = 0; i < event->field_count; i++) {
		struct field *field = &event->fields[i];
		if (field->id != side->field)
			continue;
		field->id = side->claimed_field;
		field->name = schema_info(side->claimed_field)->name;
	}
}

/* Settles one side; *ret_name is the bound name, "" when it is not known. True: a false claim. */
static enum status settle(const struct bound *bound, const struct side *side, struct event *event,
			  struct arena *arena, struct text *ret_name, bool *ret_spoofed)
{
	*ret_name = (struct text){0};
	*ret_spoofed = false;
	if (side->state == BOUND_NOTHING)
		return OK;
	struct claims claims = claims_of(event, side, bound);
	struct text name = side->state == BOUND_NAME ? side->name : (struct text){0};
	bool spoofed = claims.count > 0 && !claims.allowed;
	if (side->state == BOUND_CHOICE && claims.count > 0 && claims.allowed && !claims.ambiguous)
		name = claims.last;
	enum status status = OK;
	if (spoofed)
		set_apart(event, side);
	if (name.size > 0 && (spoofed || claims.count == 0))
		status = add_text(event, arena, side->field, name);
	if (status == OK && name.size > 0)
		status = add_text(event, arena, side->bound_field, name);
	*ret_name = name;
	*ret_spoofed = spoofed;
	return status;
}

static enum status bind_event(struct enricher *enricher, struct arena *arena, struct event *event)
{
	const struct bound *bound = &enricher->bound;
	if (!bound->found) {
		enricher->counters.unbound++;
		return OK;
	}
	const struct side service = {FIELD_SERVICE_NAME,    FIELD_BOUND_SERVICE,
				     FIELD_CLAIMED_SERVICE, bound->service_state,
				     bound->service,        bound_allows_service};
	const struct side tenant = {FIELD_TENANT_ID,     FIELD_BOUND_TENANT, FIELD_CLAIMED_TENANT,
				    bound->tenant_state, bound->tenant,      bound_allows_tenant};
	struct text name = {0};
	bool false_service = false;
	bool false_tenant = false;
	enum status status = settle(bound, &service, event, arena, &name, &false_service);
	if (status == OK)
		status = settle(bound, &tenant, event, arena, &name, &false_tenant);
	if (status != OK)
		return status;
	if (name.size > EVENT_NAME_MAX) { /* it becomes part of every key */
		name.size = EVENT_NAME_MAX;
		event->quality |= QUALITY_VALUE;
	}
	if (bound->tenant_state != BOUND_NOTHING)
		event->owner = name.size > 0 ? name : TEXT("-");
	if (false_service || false_tenant) {
		event->quality |= QUALITY_SPOOFED;
		enricher->counters.spoofed++;
	}
	return OK;
}

static enum status look_up(struct enricher *enricher, struct arena *arena, struct event *event)
{
	struct lookup_counts counts = {0};
	enum status status = lookup_event(enricher->lookup, arena, event, &counts);
	if (status != OK)
		return status;
	enricher->counters.places += counts.places;
	enricher->counters.threats += counts.threats;
	return OK;
}

static enum status clean_event(struct enricher *enricher, struct arena *arena, struct event *event)
{
	struct privacy_counts counts = {0};
	enum status status =
		privacy_event(enricher->options.privacy, enricher->scratch, arena, event, &counts);
	if (status != OK)
		return status;
	if (counts.secrets > 0)
		event->quality |= QUALITY_SECRET;
	enricher->replaced = counts.secrets + counts.personal > 0;
	enricher->counters.secrets += counts.secrets;
	enricher->counters.personal += counts.personal;
	return OK;
}

enum status enricher_event(struct enricher *enricher, struct arena *arena, struct event *event)
{
	enum status status = OK;
	enricher->replaced = false;
	if (bindings_count(enricher->options.bindings) > 0)
		status = bind_event(enricher, arena, event);
	if (status == OK && enricher->lookup != NULL)
		status = look_up(enricher, arena, event);
	if (status == OK && enricher->options.privacy != NULL)
		status = clean_event(enricher, arena, event);
	return status;
}

struct text enricher_raw(struct enricher *enricher, struct arena *arena, struct text t)
{
	const struct privacy *privacy = enricher->options.privacy;
	return privacy == NULL ? t : privacy_raw(privacy, enricher->scratch, arena, t);
}

enum raw_fate { RAW_KEPT, RAW_REPLACED, RAW_UNCHECKED, RAW_LARGE };

/* What privacy has not seen, or has seen and replaced, must not come back through the raw bytes:
 * when all that a record says is in its event, the event was looked through for it; the bytes are
 * searched once more for what only stands there, between two fields. */
static enum status judge_raw(struct enricher *enricher, struct arena *arena, struct text record,
			     bool whole, enum raw_fate *ret_fate)
{
	const struct privacy *privacy = enricher->options.privacy;
	bool guarded = privacy != NULL && privacy_replaces(privacy);
	enum raw_fate fate = RAW_KEPT;
	if (enricher->replaced)
		fate = RAW_REPLACED;
	else if (guarded && !whole)
		fate = RAW_UNCHECKED;
	else if (record.size > RAW_RECORD_MAX)
		fate = RAW_LARGE;
	else if (guarded) {
		struct text clean = privacy_raw(privacy, enricher->scratch, arena, record);
		if (clean.data == NULL && record.size > 0)
			return ENOMEMORY;
		if (clean.data != record.data)
			fate = RAW_REPLACED;
	}
	*ret_fate = fate;
	return OK;
}

enum status enricher_put_raw(struct enricher *enricher, struct arena *arena, struct text record,
			     bool whole, struct event *event)
{
	static const struct text words[] = {[RAW_REPLACED] = {"replaced", 8},
					    [RAW_UNCHECKED] = {"unchecked", 9},
					    [RAW_LARGE] = {"large", 5}};
	struct enrich_counters *counters = &enricher->counters;
	enum raw_fate fate = RAW_KEPT;
	if (!enricher->raw_wanted)
		return OK;
	enum status status = judge_raw(enricher, arena, record, whole, &fate);
	if (status != OK)
		return status;
	counters->raw_kept += fate == RAW_KEPT;
	counters->raw_replaced += fate == RAW_REPLACED;
	counters->raw_unchecked += fate == RAW_UNCHECKED;
	counters->raw_large += fate == RAW_LARGE;
	return fate == RAW_KEPT ? add_text(event, arena, FIELD_SRC_RAW, record)
				: add_text(event, arena, FIELD_SRC_RAW_MISSING, words[fate]);
}

struct enrich_counters enricher_counters(const struct enricher *enricher)
{
	return enricher->counters;
}

void enrich_counters_add(struct enrich_counters *to, const struct enrich_counters *from)
{
#define ENRICH_COUNTER(member, doc) to->member += from->member;
#include "ingest/enrich_counter.def"
#undef ENRICH_COUNTER
}
