/* What the gate has seen and said, service by service.
 *
 * For each service first what is alive: the arms of which an instance was heard since the limit,
 * and the canaries that wait for an answer, which are those whose last verdict is neither PASS nor
 * FAIL, that nobody has overridden since, and that are heard. Then each row is held against that.
 *
 * Keys of one kind begin with the service, so the services are found by jumping from one to the
 * next; buckets lie in the order of their times, so a walk over them ends at the first young one.
 */
#include "cli/row_retention_private.h"

#include <assert.h>
#include <stdlib.h>

#include "cli/gate_rows.h"
#include "storage/rows.h"

enum {
	SERVICE_BYTES_MAX = 64 * 1024 * 1024,
	ROW_BYTES_MAX = 1024 * 1024,
	STEP_VERSION = 1,
	NAMES_MAX = 4,
};

/* A canary looks that much further back than its first event (facts_first_heard()), and more. */
static const int64_t margin_us = 2 * 3600 * INT64_C(1000000);

/* An arm and when the last of its instances was heard. */
struct heard {
	struct arm arm;
	int64_t first_us, last_us;
};

/* The newest word on a canary. */
struct word {
	struct arm_query canary;
	enum verdict verdict;
	int64_t told_us, overridden_us;
};

struct service {
	struct text name;
	struct arena *arena;   /* of the names below */
	struct arena *scratch; /* of one row */
	struct heard *arms;
	size_t arm_count, arm_capacity;
	struct word *words;
	size_t word_count, word_capacity;
	enum row_kind kind; /* that is walked */
	char mark;          /* of the rows that are walked */
};

static void service_clear(struct service *service)
{
	arena_reset(service->arena);
	service->arm_count = 0;
	service->word_count = 0;
}

static void service_done(struct service *service)
{
	if (service->arena != NULL)
		arena_free(&service->arena);
	if (service->scratch != NULL)
		arena_free(&service->scratch);
	free(service->arms);
	free(service->words);
}

/* Room for one more; the array grows by doubling. */
static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return items;
	size_t wanted = *capacity == 0 ? 16 : 2 * *capacity;
	void *grown = realloc(items, wanted * size);
	if (grown != NULL)
		*capacity = wanted;
	return grown;
}

static struct heard *arm_find(struct service *service, const struct arm *arm)
{
	for (size_t i = service->arm_count; i-- > 0;)
		if (text_equal(service->arms[i].arm.version, arm->version) &&
		    text_equal(service->arms[i].arm.deploy_id, arm->deploy_id))
			return &service->arms[i];
	return NULL;
}

static enum status arm_visit(struct turn *turn, const struct row *row, struct bytes *seek,
			     void *context)
{
	(void)seek;
	struct service *service = context;
	struct instance instance;
	arena_reset(service->scratch);
	enum status status = instance_decode(row->value, service->scratch, &instance, turn->err);
	if (status != OK)
		return status == ECORRUPT ? OK : status; /* counted when instances are walked */
	struct heard *found = arm_find(service, &instance.arm);
	if (found != NULL) {
		found->first_us =
			instance.first_us < found->first_us ? instance.first_us : found->first_us;
		found->last_us =
			instance.last_us > found->last_us ? instance.last_us : found->last_us;
		return OK;
	}
	struct heard *arms =
		grow(service->arms, service->arm_count, &service->arm_capacity, sizeof *arms);
	struct heard heard = {.arm = {arena_copy(service->arena, instance.arm.version),
				      arena_copy(service->arena, instance.arm.deploy_id)},
			      .first_us = instance.first_us,
			      .last_us = instance.last_us};
	if (arms == NULL || heard.arm.version.data == NULL || heard.arm.deploy_id.data == NULL)
		return turn_no_memory(turn);
	service->arms = arms;
	service->arms[service->arm_count++] = heard;
	return OK;
}

/* The canary's word, made when there is none. */
static enum status word_of(struct turn *turn, struct service *service, struct text name,
			   struct word **ret_word)
{
	struct arm_query canary = {0};
	name = arena_copy(service->arena, name);
	if (name.data == NULL)
		return turn_no_memory(turn);
	if (arm_query_parse(name, &canary, turn->err) != OK)
		return error_set(turn->err, ECORRUPT, "a row of the gate names no canary");
	for (size_t i = 0; i < service->word_count; i++) {
		struct word *word = &service->words[i];
		if (word->canary.field == canary.field &&
		    text_equal(word->canary.value, canary.value)) {
			*ret_word = word;
			return OK;
		}
	}
	struct word *words =
		grow(service->words, service->word_count, &service->word_capacity, sizeof *words);
	if (words == NULL)
		return turn_no_memory(turn);
	service->words = words;
	words[service->word_count] = (struct word){.canary = canary,
						   .verdict = VERDICT_WAIT,
						   .told_us = INT64_MIN,
						   .overridden_us = INT64_MIN};
	*ret_word = &words[service->word_count++];
	return OK;
}

static enum status word_visit(struct turn *turn, const struct row *row, struct bytes *seek,
			      void *context)
{
	(void)seek;
	struct text names[2];
	struct gate_note note;
	char mark = 0;
	int64_t time_us = 0;
	if (registry_key_decode(row->key, &mark, names, 2, &time_us, turn->err) != OK ||
	    gate_note_decode(row->value, &note, turn->err) != OK)
		return OK; /* counted when verdicts are walked */
	struct word *word = NULL;
	enum status status = word_of(turn, context, names[1], &word);
	if (status != OK)
		return status == ECORRUPT ? OK : status;
	if (mark == 'o' && note.time_us > word->overridden_us)
		word->overridden_us = note.time_us;
	if (mark == 'h' && note.time_us > word->told_us) {
		word->told_us = note.time_us;
		word->verdict = note.verdict;
	}
	return OK;
}

static bool is_heard(const struct service *service, const struct arm_query *canary,
		     int64_t since_us, int64_t *ret_first_us)
{
	bool heard = false;
	for (size_t i = 0; i < service->arm_count; i++) {
		const struct heard *arm = &service->arms[i];
		if (!arm_matches(canary, &arm->arm))
			continue;
		heard |= arm->last_us >= since_us;
		if (arm->first_us < *ret_first_us)
			*ret_first_us = arm->first_us;
	}
	return heard;
}

/* Whether the canary was asked about, has no answer that ends it, and is heard. */
static bool is_pending(const struct service *service, const struct word *word, int64_t since_us,
		       int64_t *ret_first_us)
{
	bool answered = word->verdict == VERDICT_PASS || word->verdict == VERDICT_FAIL ||
			word->overridden_us >= word->told_us;
	return !answered && is_heard(service, &word->canary, since_us, ret_first_us);
}

/* Buckets from here on belong to a canary that waits; INT64_MAX: none does. */
static int64_t pending_since(const struct service *service, int64_t since_us)
{
	int64_t first_us = INT64_MAX;
	for (size_t i = 0; i < service->word_count; i++) {
		int64_t own_us = INT64_MAX;
		if (is_pending(service, &service->words[i], since_us, &own_us) && own_us < first_us)
			first_us = own_us;
	}
	return first_us == INT64_MAX ? first_us : first_us - margin_us;
}

static enum status bucket_visit(struct turn *turn, const struct row *row, struct bytes *seek,
				void *context)
{
	struct service *service = context;
	int64_t before_us = turn_before(turn, ROW_KIND_BUCKETS);
	int64_t start_us = 0;
	struct text name;
	char mark = 0;
	enum status status = registry_key_decode(row->key, &mark, &name, 1, &start_us, turn->err);
	if (status != OK)
		return turn_survive(turn, ROW_KIND_BUCKETS, status);
	if (start_us + COHORT_BUCKET_US > before_us || turn_is_over(turn, ROW_KIND_BUCKETS)) {
		bytes_put(seek, row->key.data, row->key.size - sizeof(uint64_t));
		for (size_t i = 0; i < sizeof(uint64_t); i++)
			bytes_put_u8(seek, UINT8_MAX);
		return OK;
	}
	return turn_drop(turn, ROW_KIND_BUCKETS, row,
			 start_us >= pending_since(service, before_us));
}

/* What an instance is missing is of use to its own canary only, and that is judged within hours. */
static enum status missing_visit(struct turn *turn, const struct row *row)
{
	struct missing_row missing;
	enum status status = missing_decode(row->key, row->value, &missing, turn->err);
	if (status != OK)
		return turn_survive(turn, ROW_KIND_INSTANCES, status);
	if (missing.last_us >= turn_before(turn, ROW_KIND_INSTANCES) ||
	    turn_is_over(turn, ROW_KIND_INSTANCES))
		return OK;
	return turn_drop(turn, ROW_KIND_INSTANCES, row, false);
}

/* What a version did teaches for SIGNAL_MEMORY_US, or as long as the operator says. */
static enum status trait_visit(struct turn *turn, const struct row *row)
{
	struct trait trait;
	enum status status = trait_decode(row->value, &trait, turn->err);
	if (status != OK)
		return turn_survive(turn, ROW_KIND_INSTANCES, status);
	if (trait.met_last_us >= turn_before(turn, ROW_KIND_INSTANCES) ||
	    turn_is_over(turn, ROW_KIND_INSTANCES))
		return OK;
	return turn_drop(turn, ROW_KIND_INSTANCES, row, false);
}

static enum status instance_visit(struct turn *turn, const struct row *row, struct bytes *seek,
				  void *context)
{
	(void)seek;
	struct service *service = context;
	int64_t before_us = turn_before(turn, ROW_KIND_INSTANCES);
	struct instance instance;
	bool held = false;
	if (service->mark == 'm')
		return missing_visit(turn, row);
	if (service->mark == 't')
		return trait_visit(turn, row);
	arena_reset(service->scratch);
	enum status status = instance_decode(row->value, service->scratch, &instance, turn->err);
	if (status != OK)
		return turn_survive(turn, ROW_KIND_INSTANCES, status);
	if (instance.last_us >= before_us || turn_is_over(turn, ROW_KIND_INSTANCES))
		return OK;
	for (size_t i = 0; i < service->word_count; i++) {
		const struct word *word = &service->words[i];
		int64_t first_us = INT64_MAX;
		held |= arm_matches(&word->canary, &instance.arm) &&
			is_pending(service, word, before_us, &first_us);
	}
	return turn_drop(turn, ROW_KIND_INSTANCES, row, held);
}

static enum status finding_visit(struct turn *turn, const struct row *row, struct bytes *seek,
				 void *context)
{
	(void)seek;
	struct service *service = context;
	int64_t before_us = turn_before(turn, ROW_KIND_FINDINGS);
	struct finding finding;
	arena_reset(service->scratch);
	enum status status = finding_decode(row->value, service->scratch, &finding, turn->err);
	if (status != OK)
		return turn_survive(turn, ROW_KIND_FINDINGS, status);
	if (finding.last_us >= before_us || turn_is_over(turn, ROW_KIND_FINDINGS))
		return OK;
	const struct heard *heard = arm_find(service, &finding.arm);
	return turn_drop(turn, ROW_KIND_FINDINGS, row,
			 heard != NULL && heard->last_us >= before_us);
}

/* When the row was written: a note of the gate, or the begin of a step. */
static enum status told_when(struct turn *turn, const struct row *row, char mark, int64_t *ret_us)
{
	struct gate_note note;
	if (mark != 's') {
		enum status status = gate_note_decode(row->value, &note, turn->err);
		*ret_us = status == OK ? note.time_us : 0;
		return status;
	}
	struct cursor from = cursor_of(row->value);
	uint8_t version = cursor_u8(&from);
	*ret_us = cursor_signed(&from);
	return from.failed || version != STEP_VERSION
		       ? error_set(turn->err, ECORRUPT, "the row of a gate step cannot be read")
		       : OK;
}

static enum status verdict_visit(struct turn *turn, const struct row *row, struct bytes *seek,
				 void *context)
{
	(void)seek;
	struct service *service = context;
	int64_t before_us = turn_before(turn, ROW_KIND_VERDICTS);
	struct text names[NAMES_MAX];
	int64_t time_us = 0;
	int64_t first_us = INT64_MAX;
	struct word *word = NULL;
	char mark = 0;
	enum status status = registry_key_decode(row->key, &mark, names,
						 service->mark == 's' ? 3 : 2, &time_us, turn->err);
	if (status == OK)
		status = told_when(turn, row, mark, &time_us);
	if (status == OK)
		status = word_of(turn, service, names[1], &word);
	if (status != OK)
		return turn_survive(turn, ROW_KIND_VERDICTS, status);
	if (time_us >= before_us || turn_is_over(turn, ROW_KIND_VERDICTS))
		return OK;
	/* Of what was told only that to a canary that waits; the latch, the newest override and the
	 * begin of a step hold for as long as the version runs. */
	bool held = mark == 'h' ? is_pending(service, word, before_us, &first_us)
				: is_heard(service, &word->canary, before_us, &first_us);
	return turn_drop(turn, ROW_KIND_VERDICTS, row, held);
}

static enum status walk_of_service(struct turn *turn, struct service *service, char mark,
				   row_visitor *visit)
{
	struct bytes prefix cleanup(bytes_done) = {0};
	registry_key(mark, &service->name, 1, -1, &prefix);
	if (prefix.failed)
		return turn_no_memory(turn);
	return turn_walk(turn, FAMILY_REGISTRY, bytes_text(&prefix), visit, service);
}

/* A row of the first service that has any, or of the next one. */
static enum status service_visit(struct turn *turn, const struct row *row, struct bytes *seek,
				 void *context)
{
	static row_visitor *const visitors[ROW_KIND_COUNT] = {
		[ROW_KIND_BUCKETS] = bucket_visit,
		[ROW_KIND_INSTANCES] = instance_visit,
		[ROW_KIND_FINDINGS] = finding_visit,
		[ROW_KIND_VERDICTS] = verdict_visit,
	};
	struct service *service = context;
	size_t name_at = 1 + sizeof(uint16_t);
	if (row->key.size < name_at)
		return turn_survive(turn, service->kind, ECORRUPT);
	size_t name_size =
		(size_t)(unsigned char)row->key.data[1] << 8 | (unsigned char)row->key.data[2];
	if (row->key.size < name_at + name_size)
		return turn_survive(turn, service->kind, ECORRUPT);
	service_clear(service);
	service->name =
		arena_copy(service->arena, (struct text){row->key.data + name_at, name_size});
	if (service->name.data == NULL)
		return turn_no_memory(turn);
	enum status status = walk_of_service(turn, service, 'i', arm_visit);
	if (status == OK)
		status = walk_of_service(turn, service, 'h', word_visit);
	if (status == OK)
		status = walk_of_service(turn, service, 'o', word_visit);
	if (status == OK)
		status = walk_of_service(turn, service, service->mark, visitors[service->kind]);
	/* Behind the service stands a size or a time, which never begin with that byte. */
	registry_key(service->mark, &service->name, 1, -1, seek);
	bytes_put_u8(seek, UINT8_MAX);
	return status;
}

enum status gate_walk(struct turn *turn)
{
	/* Verdicts, findings and buckets before the instances they are judged by. */
	static const struct {
		enum row_kind kind;
		char mark;
	} walks[] = {
		{ROW_KIND_VERDICTS, 's'},  {ROW_KIND_VERDICTS, 'v'},  {ROW_KIND_BUCKETS, 'b'},
		{ROW_KIND_FINDINGS, 'f'},  {ROW_KIND_VERDICTS, 'h'},  {ROW_KIND_VERDICTS, 'o'},
		{ROW_KIND_INSTANCES, 'm'}, {ROW_KIND_INSTANCES, 't'}, {ROW_KIND_INSTANCES, 'i'},
	};
	struct service service cleanup(service_done) = {.arena = arena_new(SERVICE_BYTES_MAX),
							.scratch = arena_new(ROW_BYTES_MAX)};
	if (service.arena == NULL || service.scratch == NULL)
		return turn_no_memory(turn);
	enum status status = OK;
	for (size_t i = 0; status == OK && i < sizeof walks / sizeof *walks; i++) {
		service.kind = walks[i].kind;
		service.mark = walks[i].mark;
		if (turn_before(turn, service.kind) == INT64_MIN)
			continue;
		const struct text prefix = {&walks[i].mark, 1};
		status = turn_walk(turn, FAMILY_REGISTRY, prefix, service_visit, &service);
	}
	return status;
}
