/* json-c reads the same records: a second opinion on verdicts and values. */
#include <check.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/json.h"
#include "rules/arena.h"

static struct json_reader *reader;
static struct arena *arena;
static struct json_items items;
static struct json_problem problem;

static const char *const broken[] = {
#include "broken_json.def"
};

static void setup(void)
{
	reader = json_reader_new(&(struct json_options){0});
	arena = arena_new(64 * 1024 * 1024);
	ck_assert(reader != NULL && arena != NULL);
}

static void teardown(void)
{
	json_reader_free(&reader);
	arena_free(&arena);
	json_items_done(&items);
}

static enum json_result walk(struct text record)
{
	arena_reset(arena);
	char *padded = arena_alloc(arena, record.size + JSON_PADDING);
	memcpy(padded, record.data, record.size);
	return json_walk(reader, (struct text){padded, record.size}, arena, &items, &problem);
}

/* What json-c (0.16, strict, UTF-8 checked) takes and we do not: NaN and Infinity,
 * raw control characters, half a surrogate pair, a NUL in a key, single quotes. */
static bool allowed_difference(struct text record)
{
	static const char *const signs[] = {"nan", "infinity", "\\ud", "\\u0000", "'", NULL};
	char *lower = malloc(record.size + 1);
	/* ... and numbers such as -0.e-3 (seen here): problem is that of the walk before. */
	size_t at = problem.offset;
	bool allowed = at < record.size && strchr("-0123456789", record.data[at]) != NULL;
	for (size_t i = 0; i < record.size; i++) {
		unsigned char c = (unsigned char)record.data[i];
		allowed = allowed || c < 0x20 || c == 0x7f; /* raw control characters */
		lower[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c == 0 ? 1 : c);
	}
	lower[record.size] = '\0';
	for (size_t i = 0; signs[i] != NULL; i++)
		allowed = allowed || strstr(lower, signs[i]) != NULL;
	free(lower);
	return allowed;
}

/* json-c 0.18 (Debian 13) takes signed bytes above 0x7f for control characters when it is strict:
 * it is no oracle there. */
static bool oracle_is_sound(void)
{
	bool sound = json_c_version_num() < ((0 << 16) | (18 << 8));
	if (!sound)
		printf("SKIP json-c %s as an oracle: its strict mode refuses UTF-8\n",
		       json_c_version());
	return sound;
}

static struct json_object *oracle(struct text record)
{
	struct json_tokener *tokener = json_tokener_new_ex(200);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *object = json_tokener_parse_ex(tokener, record.data, (int)record.size);
	bool good = json_tokener_get_error(tokener) == json_tokener_success &&
		    json_tokener_get_parse_end(tokener) == record.size;
	if (good && !json_object_is_type(object, json_type_object))
		good = false;
	if (!good) {
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tokener);
	return object;
}

static void compare_value(struct json_object *theirs, const char *name, struct text record)
{
	const struct json_item *ours = NULL;
	for (size_t i = items.count; i-- > 0 && ours == NULL;)
		if (text_equal(items.items[i].name, text_of(name)))
			ours = &items.items[i];
	ck_assert_msg(ours != NULL, "%.*s: no %s", TEXT_ARG(record), name);
	if (json_object_is_type(theirs, json_type_string))
		ck_assert_msg(text_equal(ours->value.text,
					 (struct text){json_object_get_string(theirs),
						       (size_t)json_object_get_string_len(theirs)}),
			      "%.*s: %s", TEXT_ARG(record), name);
	else if (json_object_is_type(theirs, json_type_int) && ours->value.type == VALUE_INTEGER)
		ck_assert_int_eq(json_object_get_int64(theirs), ours->value.integer);
	else if (json_object_is_type(theirs, json_type_double) && ours->value.type == VALUE_REAL &&
		 isfinite(json_object_get_double(theirs)))
		ck_assert_double_eq(json_object_get_double(theirs), ours->value.real);
	else if (json_object_is_type(theirs, json_type_boolean))
		ck_assert_int_eq(json_object_get_boolean(theirs), ours->value.boolean);
	else if (theirs == NULL)
		ck_assert_int_eq(ours->value.type, VALUE_NULL);
}

/* Top-level scalars only: nested names may collide with dotted ones, which json-c keeps apart. */
static unsigned compare(struct text record)
{
	struct json_object *theirs = oracle(record);
	problem = (struct json_problem){"", SIZE_MAX};
	enum json_result result = walk(record);
	if (result != JSON_OK) {
		bool allowed = allowed_difference(record);
		ck_assert_msg(theirs == NULL || allowed, "json-c takes %.*s (%s)", TEXT_ARG(record),
			      problem.detail);
		json_object_put(theirs);
		return 0;
	}
	ck_assert_msg(theirs != NULL || allowed_difference(record), "json-c refuses %.*s",
		      TEXT_ARG(record));
	if (theirs != NULL && strchr(record.data, '.') == NULL &&
	    (items.flags & (JSON_BAD_NAME | JSON_CUT_ITEMS)) == 0) {
		json_object_object_foreach(theirs, key, value)
		{
			if (!json_object_is_type(value, json_type_object) &&
			    !json_object_is_type(value, json_type_array))
				compare_value(value, key, record);
		}
	}
	json_object_put(theirs);
	return 1;
}

static const char *const seeds[] = {
	"{\"level\":30,\"time\":1795305601250,\"msg\":\"a \\\"b\\\" \\u00e9\",\"ok\":true,\"n\":null}",
	"{\"a\":{\"b\":[1,2,{\"c\":-0.5e-3}],\"d\":\"\u20ac\"},\"e\":[],\"f\":{},\"g\":[[[\"x\"]]]}",
	"{\"big\":123456789012345678,\"neg\":-1,\"s\":\"\\\\\\/\\b\\f\\n\\r\\t\",\"z\":false}",
};

START_TEST(json_c_agrees_on_mutants)
{
	if (!oracle_is_sound())
		return;
	static const char bytes[] = "{}[]:,\"\\0123456789eE+-.utfn ralse\xc3\xa9";
	uint64_t state = 88172645463325252u; /* xorshift64: the same mutants every time */
	unsigned accepted = 0;
	unsigned tried = 0;
	for (int round = 0; round < 20000; round++) {
		char record[256];
		const char *seed = seeds[round % 3];
		size_t size = strlen(seed);
		memcpy(record, seed, size + 1);
		for (int edits = round % 4; edits > 0; edits--) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			size_t at = (size_t)(state >> 8) % size;
			if (state % 3 == 0)
				memmove(record + at, record + at + 1, size-- - at);
			else
				record[at] = bytes[(state >> 40) % (sizeof bytes - 1)];
		}
		tried++;
		accepted += compare((struct text){record, size});
	}
	ck_assert_uint_gt(accepted, tried / 5); /* the comparison must not be about nothing */
	ck_assert_uint_lt(accepted, tried * 9 / 10);
}
END_TEST

START_TEST(json_c_agrees_on_the_list)
{
	if (!oracle_is_sound())
		return;
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
		(void)compare(text_of(broken[i]));
	for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
		ck_assert_uint_eq(compare(text_of(seeds[i])), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json_oracle");
	TCase *tests = tcase_create("json_oracle");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, json_c_agrees_on_mutants);
	tcase_add_test(tests, json_c_agrees_on_the_list);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
