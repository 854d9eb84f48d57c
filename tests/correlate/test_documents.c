/* The YAML in the documents: what a reader copies from there loads. Whole rules load as they stand;
 * a part of a rule (`correlation:`, `detection:` or `picket:` alone) is completed first; everything
 * else must be YAML. */
#include <glob.h>

#include "correlate/plan.h"
#include "rules/yaml.h"
#include "tests/correlate/fixture.h"

enum { DOCUMENT_BYTES_MAX = 1 << 20, PARTS_MAX = 16 };

#define DETECTION "logsource: {product: microservice}\nlevel: low\n"
#define SELECTION "detection: {s: {event.action: x}, condition: s}\n"

/* What the documents' correlations refer to. */
static const char *const names[] = {
	"login_failed", "login_success", "mfa_passed", "role_granted", "password_reset_done",
	"token_issued", "service_log",   "refund",     "refund_failed"};

static const struct rule_text lists[] = {
	{TEXT("EgressAsns"), TEXT("64496\n")},
	{TEXT("RegisteredServices"), TEXT("login\n")},
	{TEXT("ServiceCriticality"), TEXT("svc-payments 2\n")},
};

static unsigned blocks, rules_loaded;

static bool has_key(struct text part, const char *key)
{
	size_t size = strlen(key);
	for (size_t i = 0; i + size <= part.size; i++)
		if ((i == 0 || part.data[i - 1] == '\n') && memcmp(part.data + i, key, size) == 0)
			return true;
	return false;
}

/* What the part lacks of a rule; NULL: it is none. */
static const char *rest_of(struct text part)
{
	if (has_key(part, "title:"))
		return has_key(part, "detection:") || has_key(part, "correlation:") ? "" : NULL;
	if (has_key(part, "correlation:"))
		return "level: low\n";
	if (has_key(part, "detection:"))
		return DETECTION;
	if (!has_key(part, "picket:"))
		return NULL;
	return memmem(part.data, part.size, "accuracy", 8) == NULL
		       ? DETECTION SELECTION
		       : "level: low\ncorrelation: {type: value_count, rules: [login_failed], "
			 "group-by: [user.id],\n  timespan: 1d, condition: {field: source.ip, gte: "
			 "100000}}\n";
}

static void put_base(struct bytes *rules)
{
	char rule[256];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		(void)snprintf(rule, sizeof rule,
			       "title: %s\nname: %s\n" DETECTION SELECTION "---\n", names[i],
			       names[i]);
		bytes_write_string(rules, rule);
	}
}

/* True when it is a rule, which is put behind the others. */
static bool put_part(struct text part, unsigned number, struct bytes *rules)
{
	char title[64];
	const char *rest = rest_of(part);
	if (rest == NULL)
		return false;
	if (rest[0] != '\0') {
		(void)snprintf(title, sizeof title, "title: part %u\nname: part_%u\n", number,
			       number);
		bytes_write_string(rules, title);
		bytes_write_string(rules, rest);
	}
	bytes_write(rules, part);
	bytes_write_string(rules, "\n---\n");
	return true;
}

static void load_rules(const char *file, unsigned line, const struct bytes *rules)
{
	static const struct hash_key key;
	const struct ruleset_options options = {.list_texts = lists,
						.list_text_count = sizeof lists / sizeof *lists};
	struct ruleset *ruleset cleanup(ruleset_free) = NULL;
	struct plan *plan = NULL;
	struct error err = {0};
	enum status status = ruleset_parse(&options, bytes_text(rules), file, &ruleset, &err);
	if (status == OK)
		status = plan_new(ruleset, &key, &plan, &err);
	ck_assert_msg(status == OK, "%s: a rule of the block at line %u: %s", file, line, err.text);
	plan_free(&plan);
}

static void check_block(const char *file, unsigned line, const struct bytes *block)
{
	struct arena *arena cleanup(arena_free) = arena_new(DOCUMENT_BYTES_MAX);
	struct bytes rules cleanup(bytes_done) = {0};
	const struct yaml_node *const *documents = NULL;
	size_t count = 0;
	struct error err = {0};
	ck_assert_msg(yaml_parse(bytes_text(block), file, arena, &documents, &count, &err) == OK,
		      "%s: the block at line %u, its line %u: %s", file, line, err.line, err.text);
	unsigned found = 0;
	unsigned number = 0;
	put_base(&rules);
	for (struct text left = bytes_text(block); left.size > 0;) {
		const char *end = memmem(left.data, left.size, "\n---\n", 5);
		struct text part = {left.data, end == NULL ? left.size : (size_t)(end - left.data)};
		found += put_part(part, number++, &rules);
		left = text_cut(left, end == NULL ? left.size : part.size + 5);
	}
	if (found > 0)
		load_rules(file, line, &rules);
	rules_loaded += found;
	blocks++;
}

/* Each fenced block of YAML, without the indent of its fence. */
static void check_document(const char *file)
{
	FILE *input = fopen(file, "r");
	ck_assert_msg(input != NULL, "%s", file);
	struct bytes block cleanup(bytes_done) = {0};
	char line[1024];
	bool inside = false;
	size_t indent = 0;
	unsigned begun = 0;
	for (unsigned number = 1; fgets(line, sizeof line, input) != NULL; number++) {
		size_t blank = strspn(line, " ");
		if (!inside && strncmp(line + blank, "```yaml", 7) == 0) {
			inside = true;
			indent = blank;
			begun = number;
			bytes_clear(&block);
		} else if (inside && strncmp(line + blank, "```", 3) == 0) {
			inside = false;
			check_block(file, begun, &block);
		} else if (inside) {
			bytes_write_string(&block, line + (blank < indent ? blank : indent));
		}
	}
	ck_assert_msg(!inside, "%s: the block at line %u has no end", file, begun);
	(void)fclose(input);
}

START_TEST(what_documents_show_loads)
{
	static const char *const patterns[] = {"/README.md", "/CONTRIBUTING.md", "/rules/RULES.md",
					       "/docs/*.md"};
	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
		char pattern[512];
		glob_t found;
		(void)snprintf(pattern, sizeof pattern, "%s%s", PICKET_SOURCE_DIR, patterns[i]);
		ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
		for (size_t k = 0; k < found.gl_pathc; k++)
			check_document(found.gl_pathv[k]);
		globfree(&found);
	}
	printf("%u blocks of YAML, %u rules and parts of rules\n", blocks, rules_loaded);
	ck_assert_uint_ge(blocks, 15);
	ck_assert_uint_ge(rules_loaded, 12);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("documents");
	tcase_add_test(tests, what_documents_show_loads);
	return run_tests("documents", tests);
}
