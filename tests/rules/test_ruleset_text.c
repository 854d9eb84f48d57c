/* Rules, lists and pipelines as texts: what is parsed from them elsewhere is the same rule set. */
#include <unistd.h>

#include "tests/rules/loading.h"

static char folder[64];
static char rules_path[128], lists_path[128], pipeline_path[128];

static const char rules_text[] =
	"title: admins\nlogsource: {product: app}\n"
	"detection: {s: {who|expand: '%Admins%'}, condition: s}\nlevel: low\n"
	"---\n"
	"title: hosts\nlogsource: {product: app}\n"
	"detection: {s: {host|expand: '%Hosts%'}, condition: s}\nlevel: low\n";
static const char pipeline_text[] =
	"name: names\npriority: 10\ntransformations:\n"
	"    - {id: a, type: field_name_mapping, mapping: {who: user.name}}\n";

static const char *write_file(const char *name, const char *content, char path[128])
{
	(void)snprintf(path, 128, "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(content, file), 0);
	ck_assert_int_eq(fclose(file), 0);
	return path;
}

static void setup(void)
{
	char path[128];
	strcpy(folder, "/tmp/picket-texts-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)write_file("rules.yml", rules_text, rules_path);
	(void)write_file("Admins.txt", "# people\nroot\n\\#1\nadm*\n", lists_path);
	(void)write_file("Hosts.txt", "jump\n", path);
	(void)write_file("names.pipeline.yml", pipeline_text, pipeline_path);
}

static void teardown(void)
{
	char command[128];
	(void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
	ck_assert_int_eq(system(command), 0);
}

/* Copies of what was visited. */
struct kept {
	struct rule_text texts[4];
	size_t count;
	struct arena *arena;
};

static enum status keep(void *context, const struct rule_text *text)
{
	struct kept *kept = context;
	ck_assert_uint_lt(kept->count, 4);
	kept->texts[kept->count++] = (struct rule_text){arena_copy(kept->arena, text->name),
							arena_copy(kept->arena, text->text)};
	return OK;
}

START_TEST(texts_make_the_same_rules)
{
	const char *const paths[] = {rules_path};
	const char *const sources[] = {folder};
	const char *const pipelines[] = {pipeline_path};
	const struct ruleset_options options = {.paths = paths,
						.path_count = 1,
						.lists = sources,
						.list_count = 1,
						.pipelines = pipelines,
						.pipeline_count = 1};
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct kept lists = {.arena = arena}, steps = {.arena = arena};
	struct ruleset *here cleanup(ruleset_free) = NULL;
	struct ruleset *there cleanup(ruleset_free) = NULL;
	struct bytes yaml cleanup(bytes_done) = {0};
	struct error err = {0};
	ck_assert_msg(ruleset_load(&options, &here, &err) == OK, "%s", err.text);
	ck_assert_int_eq(ruleset_lists_visit(&options, keep, &lists, &err), OK);
	ck_assert_int_eq(ruleset_pipelines_visit(&options, keep, &steps, &err), OK);
	ck_assert_int_eq(ruleset_text(paths, 1, &yaml, &err), OK);
	ck_assert_uint_eq(lists.count, 2);
	ck_assert_uint_eq(steps.count, 1);
	const struct ruleset_options far = {.list_texts = lists.texts,
					    .list_text_count = lists.count,
					    .pipeline_texts = steps.texts,
					    .pipeline_text_count = steps.count};
	ck_assert_msg(ruleset_parse(&far, bytes_text(&yaml), rules_path, &there, &err) == OK, "%s",
		      err.text);
	ck_assert_uint_eq(ruleset_hash(here), ruleset_hash(there));
	struct ruleset *without cleanup(ruleset_free) = NULL;
	const struct ruleset_options fewer = {.list_texts = lists.texts,
					      .list_text_count = lists.count};
	ck_assert_int_eq(ruleset_parse(&fewer, bytes_text(&yaml), rules_path, &without, &err), OK);
	ck_assert_uint_ne(ruleset_hash(here), ruleset_hash(without));
}
END_TEST

START_TEST(wrong_texts_are_refused)
{
	static const struct rule_text bad_name = {TEXT("a b"), TEXT("x\n")};
	static const struct rule_text empty = {TEXT("Admins"), TEXT("# none\n")};
	static const struct rule_text twice[] = {{TEXT("Admins"), TEXT("x")},
						 {TEXT("Admins"), TEXT("y")}};
	static const struct rule_text no_pipeline = {TEXT("p.yml"), TEXT("[1, 2]")};
	static const struct {
		struct ruleset_options options;
		const char *says;
	} cases[] = {
		{{.list_texts = &bad_name, .list_text_count = 1}, "is no name of a list"},
		{{.list_texts = &empty, .list_text_count = 1}, "has no value"},
		{{.list_texts = twice, .list_text_count = 2}, "already"},
		{{.pipeline_texts = &no_pipeline, .pipeline_text_count = 1}, "fix:"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct ruleset *ruleset = NULL;
		struct error err = {0};
		ck_assert_int_eq(ruleset_parse(&cases[i].options, text_of(rules_text), "rules",
					       &ruleset, &err),
				 EINVALID);
		ck_assert_msg(strstr(err.text, cases[i].says) != NULL, "%s", err.text);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ruleset_text");
	TCase *tests = tcase_create("ruleset_text");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, texts_make_the_same_rules);
	tcase_add_test(tests, wrong_texts_are_refused);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
