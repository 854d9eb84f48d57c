/* Lists for `expand`: how files are read, what they are called, and what is refused. */
#include <sys/stat.h>
#include <unistd.h>

#include "rules/list_private.h"
#include "tests/rules/loading.h"

static char folder[64];

static const char *path_of(const char *name, char *buffer)
{
	(void)snprintf(buffer, 256, "%s/%s", folder, name);
	return buffer;
}

static void write_file(const char *name, const char *content, size_t size)
{
	char path[256];
	FILE *file = fopen(path_of(name, path), "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(content, 1, size, file), size);
	ck_assert_int_eq(fclose(file), 0);
}

static void setup(void)
{
	strcpy(folder, "/tmp/picket-lists-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
	char command[128];
	(void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
	ck_assert_int_eq(system(command), 0);
}

static enum status read_named(const char *source, struct value_lists *lists, struct error *err)
{
	static struct arena *arena;
	arena_free(&arena);
	arena = arena_new(1 << 28);
	*lists = (struct value_lists){0};
	enum status status = lists_read(lists, source, arena, err);
	if (status != OK)
		ck_assert_msg(strstr(err->text, "fix: ") != NULL, "no fix: %s", err->text);
	return status;
}

START_TEST(lines_become_values)
{
	static const char content[] =
		"\xEF\xBB\xBF# people\nroot \r\n\n\t adm*\n   \n\\#1\nlast value";
	struct value_lists lists;
	struct error err = {0};
	char path[256];
	write_file("Administrators.txt", content, sizeof content - 1);
	ck_assert_int_eq(read_named(path_of("Administrators.txt", path), &lists, &err), OK);
	const struct value_list *list = lists_find(&lists, TEXT("Administrators"));
	ck_assert_ptr_nonnull(list);
	ck_assert_uint_eq(list->count, 4);
	ck_assert(text_equal(list->values[0], TEXT("root")));
	ck_assert(text_equal(list->values[1], TEXT("adm*")));
	ck_assert(text_equal(list->values[2], TEXT("#1")));
	ck_assert(text_equal(list->values[3], TEXT("last value")));
	ck_assert_ptr_null(lists_find(&lists, TEXT("administrators")));
}
END_TEST

START_TEST(names_come_from_files_or_the_command_line)
{
	struct value_lists lists;
	struct error err = {0};
	char path[256], named[300];
	write_file("B.txt", "b\n", 2);
	write_file("A.txt", "a\n", 2);
	write_file("notes.md", "no list\n", 8);
	write_file(".hidden.txt", "x\n", 2);
	ck_assert_int_eq(read_named(folder, &lists, &err), OK);
	ck_assert_uint_eq(lists.count, 2);
	ck_assert(text_equal(lists.items[0].name, TEXT("A"))); /* by name, on every machine */
	(void)snprintf(named, sizeof named, "Servers=%s", path_of("notes.md", path));
	ck_assert_int_eq(read_named(named, &lists, &err), OK);
	ck_assert(text_equal(lists.items[0].name, TEXT("Servers")));
}
END_TEST

START_TEST(refusals_say_where)
{
	struct value_lists lists;
	struct error err = {0};
	char path[256], large[LIST_VALUE_BYTES_MAX + 2];
	write_file("Empty.txt", "# nothing\n\n", 11);
	ck_assert_int_eq(read_named(path_of("Empty.txt", path), &lists, &err), EINVALID);
	write_file("Bytes.txt", "fine\n\xFF\xFE\n", 8);
	ck_assert_int_eq(read_named(path_of("Bytes.txt", path), &lists, &err), EINVALID);
	ck_assert_uint_eq(err.line, 2);
	write_file("Nul.txt", "a\0b\n", 4);
	ck_assert_int_eq(read_named(path_of("Nul.txt", path), &lists, &err), EINVALID);
	memset(large, 'x', sizeof large);
	write_file("Large.txt", large, sizeof large);
	ck_assert_int_eq(read_named(path_of("Large.txt", path), &lists, &err), ELIMIT);
	ck_assert_int_eq(read_named(path_of("Absent.txt", path), &lists, &err), ENOTFOUND);
	ck_assert_int_eq(mkdir(path_of("none", path), 0700), 0);
	ck_assert_int_eq(read_named(path, &lists, &err), EINVALID);
}
END_TEST

START_TEST(one_name_is_one_list)
{
	struct arena *arena = arena_new(1 << 20);
	struct value_lists lists = {0};
	struct error err = {0};
	char path[256];
	write_file("A.txt", "a\n", 2);
	ck_assert_int_eq(lists_read(&lists, path_of("A.txt", path), arena, &err), OK);
	ck_assert_int_eq(lists_read(&lists, path, arena, &err), EINVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "already"));
	arena_free(&arena);
}
END_TEST

/* The values are part of what the rules mean: another list is another rule set. */
START_TEST(lists_are_part_of_the_hash)
{
	char path[256], rule[512];
	const char *paths[] = {path_of("A.txt", path)};
	struct ruleset_options options = {.lists = paths, .list_count = 1};
	uint64_t hashes[2];
	for (int i = 0; i < 2; i++) {
		struct ruleset *ruleset = NULL;
		write_file("A.txt", i == 0 ? "a\n" : "b\n", 2);
		ck_assert_int_eq(ruleset_parse(&options,
					       text_of(detection_of("    s: {f|expand: '%A%'}\n"
								    "    condition: s\n",
								    rule, sizeof rule)),
					       "r.yml", &ruleset, NULL),
				 OK);
		hashes[i] = ruleset_hash(ruleset);
		ruleset_free(&ruleset);
	}
	ck_assert(hashes[0] != hashes[1]);
}
END_TEST

START_TEST(too_many_values)
{
	struct value_lists lists;
	struct error err = {0};
	char path[256];
	size_t size = ((size_t)LIST_VALUES_MAX + 1) * 2;
	char *content = malloc(size);
	for (size_t i = 0; i < size; i += 2)
		memcpy(content + i, "v\n", 2);
	write_file("Many.txt", content, size - 2);
	ck_assert_int_eq(read_named(path_of("Many.txt", path), &lists, &err), OK);
	write_file("Many.txt", content, size);
	ck_assert_int_eq(read_named(path, &lists, &err), ELIMIT);
	free(content);
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("list");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, lines_become_values);
	tcase_add_test(cases, names_come_from_files_or_the_command_line);
	tcase_add_test(cases, refusals_say_where);
	tcase_add_test(cases, one_name_is_one_list);
	tcase_add_test(cases, lists_are_part_of_the_hash);
	tcase_add_test(cases, too_many_values);
	return tests_run(cases);
}
