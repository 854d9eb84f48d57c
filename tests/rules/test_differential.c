/* The index against plain evaluation: random rules, random events, one alphabet small enough that
 * everything collides with everything. The two share only the evaluation of one predicate. */
#include <stdio.h>

#include "tests/rules/predicates.h"

enum { ROUNDS = 190, RULES_PER_ROUND = 120, EVENTS_PER_ROUND = 450 };

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

static const char *const fields[] = {"Image", "CommandLine", "user.id", "source.ip", "n", "o.p"};
enum { FIELDS = sizeof fields / sizeof *fields };

/* Pieces of text: cases, code points whose folding changes size, dashes, bytes that are no UTF-8.
 */
static const char *const pieces[] = {
	"a",
	"A",
	"b",
	"B",
	"k",
	"\xe2\x84\xaa",
	"s",
	"\xc5\xbf",
	"\xc8\xba",
	"\xe2\xb1\xa5",
	"\xc3\xa9",
	"\xc3\x89",
	"-",
	"/",
	"\xe2\x80\x93",
	" ",
	"\\",
	".exe",
	"4",
	"68",
	"\n",
	"ab",
	"1e3",
	".0",
	"aba",
	"KAB",
	"\xff",
	"\xe2\x82",
};
enum { PIECES = sizeof pieces / sizeof *pieces, VALID_PIECES = PIECES - 2 };

static struct text random_text(struct random *random, struct bench *bench, size_t kinds,
			       const char *extra)
{
	char *to = bench_alloc(bench, 64);
	size_t used = 0;
	for (size_t count = below(random, 6); count > 0; count--) {
		const char *piece = pieces[below(random, kinds)];
		if (extra[0] != '\0' && below(random, 3) == 0) {
			to[used++] = extra[below(random, strlen(extra))];
			continue;
		}
		memcpy(to + used, piece, strlen(piece));
		used += strlen(piece);
	}
	return (struct text){to, used};
}

static const char *const patterns[] = {
	"a+b",     "^a",           "b$",       "[^a]b",    "k",         "(a|b)+4", "a.b",
	"^.{2}$",  "\\d+",         "\\bab\\b", "",         "(?i)AB",    "(?=a)a",  "(a)\\1",
	"(?<!a)b", "^(a+)+(?=b)", "^(a+)+$",  "s",        "\xc3\xa9",  "\\W",     "(?s)a.b",
	"aba",     "(kab|aba)4?",  "(?i)kab$", "aba(?=b)", "^(?=k)kab",
};

static const struct expr *random_special(struct random *random, struct bench *bench,
					 const char *field)
{
	struct predicate predicate = {.field = text_of(field), .at = {"test.yml", 1, 1}};
	switch (below(random, 6)) {
	case 0:
		predicate.kind = PREDICATE_NULL;
		break;
	case 1:
		predicate.kind = PREDICATE_EXISTS;
		break;
	case 2:
		predicate.kind = PREDICATE_BOOLEAN;
		predicate.boolean = below(random, 2) == 0;
		break;
	case 3:
		predicate.kind = PREDICATE_CIDR;
		memcpy(predicate.cidr.address, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\0", 16);
		predicate.cidr.prefix_bits = 96 + 8 * (unsigned)below(random, 5);
		break;
	case 4:
		predicate.kind = PREDICATE_FIELDREF;
		predicate.cased = below(random, 2) == 0;
		predicate.fieldref.other = text_of(fields[below(random, FIELDS)]);
		predicate.fieldref.mode = (enum fieldref_mode)below(random, 4);
		break;
	default:
		predicate.kind = PREDICATE_TIME_PART;
		predicate.time.part = PART_HOUR;
		predicate.time.how = COMPARE_GTE;
		predicate.time.value = 12;
		break;
	}
	return add_predicate(bench, predicate);
}

static const struct expr *random_predicate(struct random *random, struct bench *bench)
{
	const char *field = fields[below(random, FIELDS)];
	size_t kind = below(random, 20);
	if (kind == 0)
		return random_special(random, bench, field);
	if (kind < 3)
		return regex_of(bench, below(random, 4) == 0 ? NULL : field,
				patterns[below(random, sizeof patterns / sizeof *patterns)],
				(unsigned)below(random, 8));
	if (kind < 6)
		return number_of(bench, field, (enum comparison)below(random, 6),
				 below(random, 2) == 0 ? 4 : 1000);
	bool keyword = below(random, 8) == 0;
	struct text text = random_text(random, bench, VALID_PIECES, below(random, 2) ? "*?~" : "");
	struct predicate predicate = glob_predicate(bench, keyword ? NULL : field, text);
	predicate.cased = below(random, 4) == 0;
	return add_predicate(bench, predicate);
}

static const struct expr *random_expr(struct random *random, struct bench *bench, unsigned depth)
{
	size_t kind = below(random, depth == 0 ? 2 : 7);
	if (kind < 2)
		return random_predicate(random, bench);
	if (kind == 2)
		return join(bench, EXPR_NOT, random_expr(random, bench, depth - 1), NULL);
	struct expr *expr = bench_alloc(bench, sizeof *expr);
	expr->kind = kind < 5 ? EXPR_AND : kind == 5 ? EXPR_OR : EXPR_AT_LEAST;
	expr->child_count = below(random, 4);
	expr->at_least = below(random, 4);
	expr->children = bench_alloc(bench, 4 * sizeof *expr->children);
	for (size_t i = 0; i < expr->child_count; i++)
		expr->children[i] = random_expr(random, bench, depth - 1);
	return expr;
}

static void random_value(struct random *random, struct bench *bench, const char *field)
{
	static const char *const reals[] = {"4.0", "1e3", "4.5", "18446744073709551617", "1e999"};
	static const char *const strings[] = {"10.1.2.3",
					      "::ffff:10.0.0.1",
					      "4",
					      "1000.0",
					      "true",
					      "2026-11-22T13:00:00Z",
					      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"};
	switch (below(random, 10)) {
	case 0:
		put_nothing(bench, field, VALUE_NULL);
		return;
	case 1:
		put_nothing(bench, field, VALUE_EMPTY);
		return;
	case 2:
		put_boolean(bench, field, below(random, 2) == 0);
		return;
	case 3:
		put_integer(bench, field, below(random, 2) == 0 ? 4 : 468);
		return;
	case 4:
		put_real(bench, field, reals[below(random, 5)]);
		return;
	case 5:
		put_string(bench, field, strings[below(random, 7)]);
		return;
	default:
		put_text(bench, field, random_text(random, bench, PIECES, ""));
	}
}

static void random_event(struct random *random, struct bench *bench)
{
	static const char *const others[] = {"o.p.q", "unknown", "o"};
	event_begin(bench);
	for (size_t count = below(random, 8); count > 0; count--)
		random_value(random, bench,
			     below(random, 8) == 0 ? others[below(random, 3)]
						   : fields[below(random, FIELDS)]);
	static const char *const sources[] = {"", "process_creation", "WINDOWS", "windows"};
	bench->event.logsource.category = text_of(sources[below(random, 4)]);
	bench->event.logsource.product = text_of(sources[below(random, 4)]);
}

struct found {
	size_t matches;
	size_t undecided;
};

/* One rule set against many events. */
static void run_round(uint64_t seed, struct found *found)
{
	struct random random = {seed};
	struct bench *bench cleanup(bench_done) = bench_new();
	bench->any_logsource = below(&random, 2) == 0;
	for (size_t i = 0; i < RULES_PER_ROUND; i++) {
		static const char *const sources[] = {"", "windows", "Process_Creation"};
		add_rule(bench, random_expr(&random, bench, 3));
		struct logsource *source = &bench->detections[i].logsource;
		source->category = text_of(sources[below(&random, 3)]);
		source->product = text_of(sources[below(&random, 3)]);
	}
	compile(bench);
	for (size_t i = 0; i < EVENTS_PER_ROUND; i++) {
		random_event(&random, bench);
		struct matches matches = match_both(bench);
		found->matches += matches.count;
		found->undecided += matches.undecided_count;
	}
}

START_TEST(index_equals_plain_evaluation)
{
	const char *given = getenv("PICKET_SEED");
	uint64_t seed = given == NULL ? 20261122 : strtoull(given, NULL, 10);
	struct found found = {0};
	(void)printf("differential: seed %llu\n", (unsigned long long)seed);
	for (uint64_t round = 0; round < ROUNDS; round++)
		run_round(seed * 1000 + round, &found);
	size_t pairs = (size_t)ROUNDS * RULES_PER_ROUND * EVENTS_PER_ROUND;
	(void)printf("differential: %zu rule-event pairs, %zu matches, %zu undecided, all equal\n",
		     pairs, found.matches, found.undecided);
	/* Neither nothing nor everything: the rules tell events apart. */
	ck_assert_uint_gt(found.matches, pairs / 100);
	ck_assert_uint_gt(found.undecided, 10);
	ck_assert_uint_lt(found.matches, pairs / 2 + pairs / 4);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, index_equals_plain_evaluation);
}

int main(void)
{
	return run_suite("differential", fill);
}
