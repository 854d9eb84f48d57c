/* The index against plain evaluation, over real rules: the SigmaHQ corpus (shared data) and the
 * packs we ship. Events are made from what the rules look for, so that they match often, and from
 * recorded ones into which such values are put; then one value is spoilt, so that a rule is nearly
 * matched. test_differential.c does the same over random rules.
 *
 * PICKET_SEED gives another seed; a failure prints the seed, the number of the event and the event.
 */
#include <stdio.h>
#include <unistd.h>

#include "rules/program_private.h"
#include "tests/rules/json_event.h"
#include "tests/rules/suite.h"

enum { PAIRS = 10000000, EVENTS_MAX = 2000, REAL_MAX = 400 };

struct random {
	uint64_t state;
};

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static size_t below(struct random *random, size_t limit)
{
	return random_next(random) % limit;
}

/* What an event is made with. */
struct maker {
	struct random random;
	struct arena *arena;
	const struct program *program;
	struct event event;
};

static const char *const fillers[] = {
	"", "", "x", " ", "Zz", "\\", "0", "\xc3\x89", "\xe2\x84\xaa", "\xff", "\n", "-"};

static struct text filler(struct maker *maker)
{
	return text_of(fillers[below(&maker->random, sizeof fillers / sizeof *fillers)]);
}

static struct text joined(struct maker *maker, struct text a, struct text b)
{
	return arena_print(maker->arena, "%.*s%.*s", TEXT_ARG(a), TEXT_ARG(b));
}

/* A text that the tokens accept. */
static struct text glob_example(struct maker *maker, const struct predicate *predicate)
{
	static const char *const dashes[] = {"-", "/", "\xe2\x80\x93", "\xe2\x80\x94",
					     "\xe2\x80\x95"};
	struct text made = TEXT("");
	for (size_t i = 0; i < predicate->glob.token_count; i++) {
		struct token token = predicate->glob.tokens[i];
		if (token.kind == TOKEN_RUN)
			token.literal = filler(maker);
		if (token.kind == TOKEN_ONE)
			token.literal = TEXT("\xe2\x82\xac");
		if (token.kind == TOKEN_DASH)
			token.literal = text_of(dashes[below(&maker->random, 5)]);
		made = joined(maker, made, token.literal);
	}
	if (predicate->keyword)
		made = joined(maker, filler(maker), joined(maker, made, filler(maker)));
	return made;
}

/* The pattern without the signs of its grammar: often what it looks for. */
static struct text regex_example(struct maker *maker, struct text pattern)
{
	char *to = arena_alloc(maker->arena, pattern.size + 1);
	size_t used = 0;
	for (size_t i = 0; i < pattern.size; i++) {
		char c = pattern.data[i];
		bool escaped = c == '\\' && i + 1 < pattern.size;
		if (escaped)
			c = pattern.data[++i];
		if (escaped && strchr("dwsDWSbB", c) != NULL)
			to[used++] = c == 'd' ? '7' : c == 's' ? ' ' : 'w';
		else if (escaped || strchr("^$()[]{}|*+?", c) == NULL)
			to[used++] = c == '.' && !escaped ? 'q' : c;
	}
	return (struct text){to, used};
}

static void put_value(struct maker *maker, struct text name, struct value value)
{
	put(&maker->event, maker->arena, name, value);
}

static void put_string(struct maker *maker, struct text name, struct text text)
{
	put_value(maker, name, (struct value){.type = VALUE_STRING, .text = text});
}

/* Around the bound, as a number or as a text. */
static void put_number(struct maker *maker, const struct predicate *predicate)
{
	int64_t near = (int64_t)below(&maker->random, 3) - 1;
	int64_t integer = predicate->number.is_integer ? predicate->number.integer
						       : (int64_t)predicate->number.value;
	integer += integer > INT64_MIN && integer < INT64_MAX ? near : 0;
	struct text digits = arena_print(maker->arena, "%lld", (long long)integer);
	struct value value = {.type = VALUE_INTEGER, .integer = integer, .text = digits};
	if (below(&maker->random, 3) == 0)
		value = (struct value){.type = VALUE_STRING, .text = digits};
	put_value(maker, predicate->field, value);
}

static void put_address(struct maker *maker, const struct predicate *predicate)
{
	const unsigned char *a = predicate->cidr.address;
	unsigned last = (unsigned)below(&maker->random, 256);
	struct text text = TEXT("::1");
	if (predicate->cidr.prefix_bits >= 96)
		text = arena_print(maker->arena, "%u.%u.%u.%u", a[12], a[13], a[14], last);
	put_string(maker, predicate->field, text);
}

static void put_wish(struct maker *maker, const struct predicate *predicate)
{
	struct text name = predicate->keyword ? TEXT("message") : predicate->field;
	switch (predicate->kind) {
	case PREDICATE_GLOB:
		put_string(maker, name, glob_example(maker, predicate));
		return;
	case PREDICATE_REGEX:
		put_string(maker, name, regex_example(maker, predicate->regex.pattern));
		return;
	case PREDICATE_NUMBER:
		put_number(maker, predicate);
		return;
	case PREDICATE_BOOLEAN:
		put_string(maker, name, predicate->boolean ? TEXT("True") : TEXT("false"));
		return;
	case PREDICATE_NULL:
		put_value(maker, name, (struct value){.type = VALUE_NULL});
		return;
	case PREDICATE_CIDR:
		put_address(maker, predicate);
		return;
	case PREDICATE_FIELDREF:
		put_string(maker, predicate->fieldref.other, TEXT("Same"));
		put_string(maker, name, TEXT("same"));
		return;
	case PREDICATE_SINCE:
		maker->event.time_us = predicate->since_us;
		return;
	case PREDICATE_EXISTS:
	case PREDICATE_TIME_PART:
		put_string(maker, name, TEXT("2026-11-22T13:00:00Z"));
	}
}

/* One way to make the expression what is wanted. */
static void put_wishes(struct maker *maker, const struct expr *expr, bool wanted)
{
	if (expr->kind == EXPR_PREDICATE) {
		if (wanted)
			put_wish(maker, &maker->program->input.predicates[expr->predicate]);
		return;
	}
	if (expr->kind == EXPR_NOT) {
		put_wishes(maker, expr->children[0], !wanted);
		return;
	}
	bool every = (expr->kind == EXPR_AND) == wanted;
	size_t chosen = expr->child_count == 0 ? 0 : below(&maker->random, expr->child_count);
	for (size_t i = 0; i < expr->child_count; i++)
		if (every || i == chosen || expr->kind == EXPR_AT_LEAST)
			put_wishes(maker, expr->children[i], wanted);
}

/* Values of one field become one text, as a command line holds all its arguments. */
static void join_values(struct maker *maker)
{
	struct event *event = &maker->event;
	size_t kept = 0;
	for (size_t i = 0; i < event->field_count; i++) {
		struct field *field = &event->fields[i];
		struct field *last = kept == 0 ? NULL : &event->fields[kept - 1];
		if (last != NULL && text_equal(last->name, field->name) &&
		    last->value.type == VALUE_STRING && field->value.type == VALUE_STRING)
			last->value.text = joined(maker, last->value.text, field->value.text);
		else
			event->fields[kept++] = *field;
	}
	event->field_count = kept;
}

static struct text spoilt(struct maker *maker, struct text text)
{
	if (text.size == 0)
		return TEXT("x");
	size_t at = below(&maker->random, text.size);
	struct text before = {text.data, at};
	switch (below(&maker->random, 4)) {
	case 0:
		return joined(maker, before, text_cut(text, at + 1));
	case 1:
		return joined(maker, before, joined(maker, filler(maker), text_cut(text, at)));
	case 2:
		return joined(maker, text, filler(maker));
	default:
		return text_cut(text, 1);
	}
}

static void swap_case(struct maker *maker, struct value *value)
{
	if (value->type != VALUE_STRING || value->text.size == 0)
		return;
	struct text copy = arena_copy(maker->arena, value->text);
	char *bytes = arena_alloc(maker->arena, copy.size);
	for (size_t i = 0; i < copy.size; i++) {
		char c = copy.data[i];
		bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		bytes[i] = is_letter && below(&maker->random, 4) == 0 ? (char)(c ^ 0x20) : c;
	}
	value->text.data = bytes;
}

static void spoil_event(struct maker *maker)
{
	struct event *event = &maker->event;
	for (size_t i = 0; i < event->field_count; i++)
		swap_case(maker, &event->fields[i].value);
	if (event->field_count == 0 || below(&maker->random, 2) == 0)
		return;
	struct value *value = &event->fields[below(&maker->random, event->field_count)].value;
	if (value->type == VALUE_STRING)
		value->text = spoilt(maker, value->text);
	else
		*value = (struct value){.type = VALUE_NULL};
}

/* Recorded events, as JSON; the first of them is used again and again. */
struct recordings {
	struct json_object *items[REAL_MAX];
	size_t count;
};

static const char *data_folder(void)
{
	const char *named = getenv("PICKET_DATA");
	return named != NULL ? named : PICKET_SOURCE_DIR "/../shared/data";
}

static void recordings_read(struct recordings *recordings, const char *name, const char *key)
{
	char path[1024];
	char *line = NULL;
	size_t capacity = 0, number = 0;
	(void)snprintf(path, sizeof path, "%s/%s", data_folder(), name);
	FILE *file = fopen(path, "r");
	while (file != NULL && recordings->count < REAL_MAX &&
	       getline(&line, &capacity, file) > 0) {
		struct json_object *item = json_tokener_parse(line), *found = NULL;
		if (number++ % 5 == 0 && json_object_object_get_ex(item, key, &found)) {
			if (json_object_is_type(found, json_type_array))
				found = json_object_array_get_idx(found, 0);
			if (json_object_is_type(found, json_type_object))
				recordings->items[recordings->count++] = json_object_get(found);
		}
		json_object_put(item);
	}
	free(line);
	if (file != NULL)
		(void)fclose(file);
}

static void recordings_done(struct recordings *recordings)
{
	for (size_t i = 0; i < recordings->count; i++)
		json_object_put(recordings->items[i]);
}

/* A recorded event with a few values of it replaced by what rules look for. */
static void put_recorded(struct maker *maker, const struct recordings *recordings)
{
	const struct program_input *input = &maker->program->input;
	struct json_object *root = recordings->items[below(&maker->random, recordings->count)];
	struct flattening to = {root, maker->arena, &maker->event};
	flatten(&to, root, TEXT(""));
	for (size_t tries = 0; tries < 64; tries++) {
		const struct predicate *predicate =
			&input->predicates[below(&maker->random, input->predicate_count)];
		for (size_t i = 0; i < maker->event.field_count; i++) {
			struct field *field = &maker->event.fields[i];
			if (predicate->kind == PREDICATE_GLOB &&
			    text_equal(field->name, predicate->field))
				field->value =
					(struct value){.type = VALUE_STRING,
						       .text = glob_example(maker, predicate)};
		}
	}
}

static void event_make(struct maker *maker, const struct recordings *recordings)
{
	const struct program_input *input = &maker->program->input;
	const struct detection *detection = NULL;
	arena_reset(maker->arena);
	maker->event = (struct event){0};
	if (recordings->count > 0 && below(&maker->random, 3) == 0)
		put_recorded(maker, recordings);
	for (size_t rules = 1 + below(&maker->random, 2); rules > 0; rules--) {
		detection = &input->detections[below(&maker->random, input->detection_count)];
		put_wishes(maker, detection->expr, true);
	}
	if (below(&maker->random, 2) == 0)
		join_values(maker);
	spoil_event(maker);
	if (below(&maker->random, 8) > 0)
		maker->event.logsource = detection->logsource;
}

struct found {
	size_t events, pairs, matches, undecided;
};

static void fail_with(const struct maker *maker, uint64_t seed, size_t number)
{
	struct bytes json = {0};
	event_json(&maker->event, &json);
	ck_abort_msg("index and full scan differ: PICKET_SEED=%llu, event %zu: %.*s",
		     (unsigned long long)seed, number, TEXT_ARG(bytes_text(&json)));
}

static bool same(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count)
{
	return a_count == b_count && (a_count == 0 || memcmp(a, b, a_count * sizeof *a) == 0);
}

/* Both answers for the event of the maker; false when they differ. */
static bool match_both(struct matcher *matcher, struct maker *maker, struct found *found)
{
	struct matches plain = {0}, indexed = {0};
	ck_assert_int_eq(matcher_match_plainly(matcher, &maker->event, &plain), OK);
	size_t size = sizeof *plain.rules;
	uint32_t *rules = arena_alloc(maker->arena, (plain.count + 1) * size);
	uint32_t *undecided = arena_alloc(maker->arena, (plain.undecided_count + 1) * size);
	ck_assert(rules != NULL && undecided != NULL);
	memcpy(rules, plain.rules, plain.count * size);
	memcpy(undecided, plain.undecided, plain.undecided_count * size);
	size_t count = plain.count, undecided_count = plain.undecided_count;
	ck_assert_int_eq(matcher_match(matcher, &maker->event, &indexed), OK);
	found->matches += count;
	found->undecided += undecided_count;
	return same(rules, count, indexed.rules, indexed.count) &&
	       same(undecided, undecided_count, indexed.undecided, indexed.undecided_count);
}

static size_t evaluated(const struct matcher *matcher, const struct ruleset *ruleset)
{
	size_t sum = 0;
	for (size_t i = 0; i < ruleset_count(ruleset); i++)
		if (ruleset_rule(ruleset, i)->kind == RULE_DETECTION)
			sum += matcher_counters(matcher, i)->evaluated;
	return sum;
}

static void ruleset_try(const char *what, const char *folder, bool any_logsource)
{
	const char *given = getenv("PICKET_SEED");
	uint64_t seed = given == NULL ? 20261122 : strtoull(given, NULL, 10);
	struct ruleset_options options = {.paths = &folder,
					  .path_count = 1,
					  .skip_refused = true,
					  .verbatim_names = true,
					  .any_logsource = any_logsource};
	struct ruleset *ruleset cleanup(ruleset_free) = NULL;
	struct matcher *matcher cleanup(matcher_free) = NULL;
	struct recordings recordings = {0};
	struct error err = {0};
	ck_assert_msg(ruleset_load(&options, &ruleset, &err) == OK, "%s", err.text);
	ck_assert_int_eq(matcher_new(ruleset, &matcher, &err), OK);
	struct maker maker = {.random = {seed},
			      .arena = arena_new(64 << 20),
			      .program = ruleset_program(ruleset)};
	recordings_read(&recordings, "panther/public.jsonl", "event");
	recordings_read(&recordings, "sigma-triples/public.jsonl", "events");
	struct found found = {0};
	size_t times = getenv("PICKET_LONG") == NULL ? 1 : 10;
	while (found.pairs < times * PAIRS / 2 && found.events < times * EVENTS_MAX) {
		event_make(&maker, &recordings);
		if (!match_both(matcher, &maker, &found))
			fail_with(&maker, seed, found.events);
		found.events++;
		found.pairs += maker.program->input.detection_count;
	}
	size_t near_misses = evaluated(matcher, ruleset) - found.matches;
	printf("mutation: %s, %s: seed %llu, %zu events (%zu recordings), %zu rule-event pairs, "
	       "%zu matches, %zu near misses, %zu undecided, all equal\n",
	       what, any_logsource ? "any log source" : "routed", (unsigned long long)seed,
	       found.events, recordings.count, found.pairs, found.matches, near_misses,
	       found.undecided);
	ck_assert_uint_gt(found.matches, found.events / 2);
	ck_assert_uint_gt(near_misses, found.events / 10);
	recordings_done(&recordings);
	arena_free(&maker.arena);
}

START_TEST(shipped_packs)
{
	ruleset_try("packs", PICKET_SOURCE_DIR "/rules/packs", false);
	ruleset_try("packs", PICKET_SOURCE_DIR "/rules/packs", true);
}
END_TEST

START_TEST(public_corpus)
{
	char archive[1024], command[4096], folder[] = "/tmp/picket-mutation-XXXXXX";
	(void)snprintf(archive, sizeof archive, "%s/sigmahq-rules/sigma-rules.tar.xz",
		       data_folder());
	if (access(archive, R_OK) != 0) {
		printf("SKIP mutated events over the public corpus: %s is not there\n", archive);
		return;
	}
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(command, sizeof command, "tar -xJf '%s' -C '%s'", archive, folder);
	ck_assert_int_eq(system(command), 0);
	ruleset_try("SigmaHQ", folder, false);
	ruleset_try("SigmaHQ", folder, true);
	(void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, shipped_packs);
	tcase_add_test(tcase, public_corpus);
}

int main(void)
{
	return run_suite("mutation", fill);
}
