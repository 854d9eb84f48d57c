#include "rules/schema.h"

#include "tests/rules/suite.h"

/* Calls back for each name and alias of a field. */
static size_t names_of(enum field_id id, struct text names[static 32])
{
	size_t count = 0;
	names[count++] = schema_info(id)->name;
	const char *alias = schema_info(id)->aliases;
	while (*alias != '\0') {
		size_t size = strcspn(alias, " ");
		ck_assert_uint_gt(size, 0); /* two spaces, or one in front */
		ck_assert_uint_lt(count, 32);
		names[count++] = (struct text){alias, size};
		alias += size + (alias[size] == ' ');
	}
	return count;
}

START_TEST(every_name_finds_its_field)
{
	struct text names[32];
	for (unsigned id = 1; id < FIELD_COUNT; id++) {
		size_t count = names_of((enum field_id)id, names);
		for (size_t i = 0; i < count; i++) {
			ck_assert_msg(schema_find(names[i]) == (enum field_id)id, "%.*s",
				      TEXT_ARG(names[i]));
			ck_assert(text_equal(schema_canonical(names[i]),
					     schema_info((enum field_id)id)->name));
		}
	}
}
END_TEST

START_TEST(names_are_unique_and_sane)
{
	struct text ours[32];
	struct text theirs[32];
	for (unsigned id = 1; id < FIELD_COUNT; id++) {
		size_t count = names_of((enum field_id)id, ours);
		ck_assert_uint_gt(strlen(schema_info((enum field_id)id)->doc), 0);
		for (size_t i = 0; i < count; i++)
			ck_assert(ours[i].size > 0 &&
				  memchr(ours[i].data, ' ', ours[i].size) == NULL);
		for (unsigned other = id + 1; other < FIELD_COUNT; other++) {
			size_t other_count = names_of((enum field_id)other, theirs);
			for (size_t i = 0; i < count * other_count; i++)
				if (text_equal(ours[i % count], theirs[i / count]))
					ck_abort_msg("'%.*s' stands twice",
						     TEXT_ARG(ours[i % count]));
		}
	}
}
END_TEST

/* What ECS itself says an OpenTelemetry name means. */
START_TEST(every_name_of_opentelemetry_is_an_alias)
{
	static const struct {
		const char *ecs, *otel;
	} names[] = {
#define OTEL(ecs_name, otel_name, relation) {ecs_name, otel_name},
#include "rules/otel.def"
#undef OTEL
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		ck_assert_int_ne(schema_find(text_of(names[i].ecs)), FIELD_OTHER);
		ck_assert_msg(
			text_equal(schema_canonical(text_of(names[i].otel)), text_of(names[i].ecs)),
			"%s is not %s: add it to schema.def", names[i].otel, names[i].ecs);
	}
}
END_TEST

START_TEST(unknown_names_stay)
{
	static const char *const unknown[] = {"", "user", "user.id.", "USER.ID", "user.id2", "x"};
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		struct text name = text_of(unknown[i]);
		ck_assert_int_eq(schema_find(name), FIELD_OTHER);
		ck_assert_ptr_eq(schema_canonical(name).data, name.data);
	}
	ck_assert_int_eq(schema_find(TEXT("user.id\0")), FIELD_OTHER); /* a NUL is no end */
	ck_assert_int_eq(schema_find((struct text){0}), FIELD_OTHER);
}
END_TEST

START_TEST(what_the_promises_rest_on)
{
	static const enum field_id protected_fields[] = {
		FIELD_TIMESTAMP,    FIELD_TENANT_ID,      FIELD_TARGET_TENANT_ID,
		FIELD_USER_ID,      FIELD_SOURCE_IP,      FIELD_EVENT_OUTCOME,
		FIELD_SERVICE_NAME, FIELD_SERVICE_VERSION};
	for (size_t i = 0; i < sizeof protected_fields / sizeof *protected_fields; i++)
		ck_assert_int_eq(schema_info(protected_fields[i])->protection, FIELD_PROTECTED);
	for (unsigned id = 1; id < FIELD_COUNT; id++) {
		struct text name = schema_info((enum field_id)id)->name;
		bool ours = text_starts(name, TEXT("picket.src.")) ||
			    text_starts(name, TEXT("picket.bound.")) ||
			    text_starts(name, TEXT("logsource."));
		if (ours)
			ck_assert_int_eq(schema_info((enum field_id)id)->protection,
					 FIELD_PROVENANCE);
	}
	ck_assert_int_eq(schema_find(TEXT("client.address")), FIELD_SOURCE_IP);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, every_name_finds_its_field);
	tcase_add_test(tcase, names_are_unique_and_sane);
	tcase_add_test(tcase, every_name_of_opentelemetry_is_an_alias);
	tcase_add_test(tcase, unknown_names_stay);
	tcase_add_test(tcase, what_the_promises_rest_on);
}

int main(void)
{
	return run_suite("schema", fill);
}
