/* The public rules (shared data, sigmahq-rules): each of its 3,867 files loads, or is refused for a
 * reason of the table below. A refusal for another reason fails, and so does a reason that is met
 * more or less often than written: somebody would have lost a rule, or got one that is wrong.
 * With a list for every placeholder all rules that were refused for want of one load too. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/rules/loading.h"

enum { FILES = 3867, LOADED = 3780, WITH_LISTS = 25, ROUNDS_MAX = 8, PATH_SIZE = 1024 };

static struct {
	const char *words; /* of the message */
	unsigned wanted;
	const char *why;
	unsigned found;
} reasons[] = {
	{"`timeframe` was removed", 45, "a window without a correlation: ignored, it finds more",
	 0},
	{"has no list of values", WITH_LISTS, "without its list it finds nothing, or everything",
	 0},
	{"aggregations were removed", 11, "count() and near stand where a condition should", 0},
	{"no title here", 5, "the parts of templates are no rules of their own", 0},
	{"'and' or 'or' expected", 3, "prose instead of a condition", 0},
	{"`action: global", 3, "templates were removed in Sigma 2.0", 0},
};
enum { REASONS = sizeof reasons / sizeof *reasons };

struct corpus {
	char folder[PATH_SIZE]; /* of the rules; lists lie in a folder beside them */
	char lists[PATH_SIZE];
	char root[64];
};

static void run(const char *command)
{
	ck_assert_msg(system(command) == 0, "%s", command);
}

/* False, and says so, when the shared data are not there. */
static bool corpus_open(struct corpus *corpus)
{
	const char *named = getenv("PICKET_DATA");
	char archive[PATH_SIZE], command[4 * PATH_SIZE];
	(void)snprintf(archive, sizeof archive, "%s/sigmahq-rules/sigma-rules.tar.xz",
		       named != NULL ? named : PICKET_SOURCE_DIR "/../shared/data");
	if (access(archive, R_OK) != 0) {
		printf("SKIP public corpus: %s is not there\n", archive);
		return false;
	}
	strcpy(corpus->root, "/tmp/picket-corpus-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(corpus->root));
	(void)snprintf(corpus->folder, sizeof corpus->folder, "%s/rules", corpus->root);
	(void)snprintf(corpus->lists, sizeof corpus->lists, "%s/lists", corpus->root);
	ck_assert_int_eq(mkdir(corpus->folder, 0700), 0);
	ck_assert_int_eq(mkdir(corpus->lists, 0700), 0);
	(void)snprintf(command, sizeof command, "tar -xJf '%s' -C '%s'", archive, corpus->folder);
	run(command);
	return true;
}

static void corpus_close(const struct corpus *corpus)
{
	char command[2 * PATH_SIZE];
	(void)snprintf(command, sizeof command, "rm -rf '%s'", corpus->root);
	run(command);
}

static struct ruleset *corpus_load(const struct corpus *corpus, bool with_lists)
{
	const char *path = corpus->folder, *lists = corpus->lists;
	struct ruleset_options options = {.paths = &path,
					  .path_count = 1,
					  .skip_refused = true,
					  .lists = &lists,
					  .list_count = with_lists};
	struct ruleset *ruleset = NULL;
	struct error err = {0};
	ck_assert_msg(ruleset_load(&options, &ruleset, &err) == OK, "%s:%u: %s", err.file, err.line,
		      err.text);
	return ruleset;
}

/* The number of files that stand behind the rules and the refusals. */
static size_t count_files(const struct ruleset *ruleset)
{
	size_t note_count = 0, files = ruleset_count(ruleset);
	const struct rule_note *notes = ruleset_notes(ruleset, &note_count);
	for (size_t i = 0; i < note_count; i++) {
		bool counted = notes[i].kind != NOTE_REFUSED;
		for (size_t k = 0; k < i && !counted; k++)
			counted = notes[k].kind == NOTE_REFUSED &&
				  strcmp(notes[k].at.file, notes[i].at.file) == 0;
		files += !counted;
	}
	return files;
}

static bool reason_count(const struct rule_note *note)
{
	for (size_t i = 0; i < REASONS; i++)
		if (memmem(note->text.data, note->text.size, reasons[i].words,
			   strlen(reasons[i].words)) != NULL) {
			reasons[i].found++;
			return true;
		}
	return false;
}

START_TEST(every_file_loads_or_has_a_reason)
{
	struct corpus corpus;
	if (!corpus_open(&corpus))
		return;
	struct ruleset *ruleset cleanup(ruleset_free) = corpus_load(&corpus, false);
	size_t note_count = 0, refused = 0, unknown = 0;
	const struct rule_note *notes = ruleset_notes(ruleset, &note_count);
	for (size_t i = 0; i < note_count; i++) {
		if (notes[i].kind != NOTE_REFUSED)
			continue;
		bool is_known = reason_count(&notes[i]);
		refused++;
		unknown += !is_known;
		printf("%s %s:%u:%u: %.*s\n", is_known ? "refused" : "FAIL",
		       notes[i].at.file + strlen(corpus.folder), notes[i].at.line,
		       notes[i].at.column, TEXT_ARG(notes[i].text));
		ck_assert_uint_gt(notes[i].fix.size, 0);
	}
	for (size_t i = 0; i < REASONS; i++)
		printf("corpus: %2u x %s: %s\n", reasons[i].found, reasons[i].words,
		       reasons[i].why);
	size_t files = count_files(ruleset);
	printf("corpus: %zu files, %zu rules loaded, %zu documents refused, %zu warnings\n", files,
	       ruleset_count(ruleset), refused, note_count - refused);
	ck_assert_uint_eq(unknown, 0);
	for (size_t i = 0; i < REASONS; i++)
		ck_assert_msg(reasons[i].found == reasons[i].wanted, "%s: %u times, not %u",
			      reasons[i].words, reasons[i].found, reasons[i].wanted);
	ck_assert_uint_eq(ruleset_count(ruleset), LOADED);
	ck_assert_uint_eq(files, FILES);
	corpus_close(&corpus);
}
END_TEST

/* Writes the list that a refusal asks for (`--list NAME=FILE`); false when it asks for none. */
static bool list_write(const struct corpus *corpus, const struct rule_note *note)
{
	static const char before[] = "--list ";
	char path[2 * PATH_SIZE];
	const char *name = memmem(note->fix.data, note->fix.size, before, sizeof before - 1);
	if (note->kind != NOTE_REFUSED || name == NULL)
		return false;
	name += sizeof before - 1;
	(void)snprintf(path, sizeof path, "%s/%.*s.txt", corpus->lists, (int)strcspn(name, "="),
		       name);
	FILE *file = fopen(path, "w");
	ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
	ck_assert_int_ge(fputs("# of one site\n10.1.2.3\n10.1.2.4\n", file), 0);
	ck_assert_int_eq(fclose(file), 0);
	return true;
}

START_TEST(placeholder_rules_load_with_lists)
{
	struct corpus corpus;
	if (!corpus_open(&corpus))
		return;
	size_t wanting = 1, lists = 0, loaded = 0;
	for (size_t round = 0; wanting > 0 && round < ROUNDS_MAX; round++) {
		struct ruleset *ruleset cleanup(ruleset_free) = corpus_load(&corpus, lists > 0);
		size_t note_count = 0;
		const struct rule_note *notes = ruleset_notes(ruleset, &note_count);
		wanting = 0;
		for (size_t i = 0; i < note_count; i++)
			wanting += list_write(&corpus, &notes[i]);
		lists += wanting;
		loaded = ruleset_count(ruleset);
	}
	printf("corpus: with lists %zu rules load, %zu more; lists were asked for %zu times\n",
	       loaded, loaded - LOADED, lists);
	ck_assert_uint_eq(wanting, 0);
	ck_assert_uint_eq(loaded, LOADED + WITH_LISTS);
	corpus_close(&corpus);
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("corpus");
	tcase_set_timeout(cases, 300);
	tcase_add_test(cases, every_file_loads_or_has_a_reason);
	tcase_add_test(cases, placeholder_rules_load_with_lists);
	return tests_run(cases);
}
