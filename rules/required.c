/* A walk over the expression, as far as it is understood:
 *
 *   run            plain characters that stand side by side in any match; it ends at whatever may
 *                  be more than one thing: class, dot, anchor, group, optional character
 *   concatenation  the best of its runs and of its groups; all are required, one is enough
 *   alternation    the bests of all branches together, if each has one
 *   x? x* x{0,n}   nothing;   x+ x{2,3}: x, and the run ends
 *   look-around    nothing, whatever is in it
 *
 * Better is the one whose shortest literal is longer. Case is ignored throughout, which takes care
 * of all flags; characters beyond ASCII end a run. Anything else (\Q, \x, named groups, comments,
 * conditions, (?x)) makes the whole walk give up: no literals are always right. */
#include "rules/required.h"

#include <assert.h>

#include "rules/fold.h"

enum { RUN_MAX = 64 };

struct walk {
	struct text pattern;
	size_t at;
	bool lost; /* something that is not understood */
	struct arena *arena;
};

/* A concatenation being read: the run so far, and the best of what has ended. */
struct sequence {
	char run[RUN_MAX]; /* of a longer run its first bytes */
	size_t run_size;
	struct required best;
};

static struct required walk_alternation(struct walk *walk);

static char peek(const struct walk *walk, size_t ahead)
{
	size_t at = walk->at + ahead;
	return at < walk->pattern.size ? walk->pattern.data[at] : '\0';
}

static bool is_at_end(const struct walk *walk)
{
	return walk->lost || walk->at >= walk->pattern.size;
}

static bool is_better(const struct required *a, const struct required *b)
{
	return a->count > 0 && (b->count == 0 || a->shortest > b->shortest);
}

static void offer(struct sequence *sequence, const struct required *found)
{
	if (is_better(found, &sequence->best))
		sequence->best = *found;
}

static void end_run(struct walk *walk, struct sequence *sequence)
{
	if (sequence->run_size >= REQUIRED_SIZE_MIN &&
	    sequence->run_size > sequence->best.shortest) {
		struct text run = {sequence->run, sequence->run_size};
		struct required found = {.count = 1, .shortest = run.size};
		found.items[0] = fold_copy(run, walk->arena);
		walk->lost |= found.items[0].data == NULL;
		offer(sequence, &found);
	}
	sequence->run_size = 0;
}

/* Behind '[': to behind its ']'. */
static void skip_class(struct walk *walk)
{
	if (peek(walk, 0) == '^')
		walk->at++;
	for (bool first = true; !is_at_end(walk); first = false) {
		char c = peek(walk, 0);
		walk->at++;
		if (c == ']' && !first)
			return;
		if (c == '[' &&
		    (peek(walk, 0) == ':' || peek(walk, 0) == '.' || peek(walk, 0) == '='))
			walk->lost = true;
		if (c == '\\') {
			walk->lost |= peek(walk, 0) == 'Q' || peek(walk, 0) == 'E';
			walk->at++;
		}
	}
	walk->lost = true;
}

/* A number of the pattern, or -1 when none stands here. */
static long read_number(struct walk *walk)
{
	long number = -1;
	for (char c; (c = peek(walk, 0)) >= '0' && c <= '9'; walk->at++) {
		number = (number < 0 ? 0 : number) * 10 + (c - '0');
		if (number > 65535)
			walk->lost = true;
		if (walk->lost)
			break;
	}
	return number;
}

struct quantifier {
	bool given;
	bool optional; /* none is enough */
};

static struct quantifier read_quantifier(struct walk *walk)
{
	struct quantifier quantifier = {0};
	char c = peek(walk, 0);
	if (c == '?' || c == '*' || c == '+') {
		walk->at++;
		quantifier = (struct quantifier){true, c != '+'};
	} else if (c == '{') {
		walk->at++;
		long least = read_number(walk);
		if (peek(walk, 0) == ',') {
			walk->at++;
			(void)read_number(walk);
		}
		walk->lost |= least < 0 || peek(walk, 0) != '}'; /* perhaps a plain brace */
		walk->at++;
		quantifier = (struct quantifier){true, least <= 0};
	}
	if (quantifier.given && (peek(walk, 0) == '?' || peek(walk, 0) == '+'))
		walk->at++; /* lazy or possessive */
	c = peek(walk, 0);
	walk->lost |= quantifier.given && c != '\0' && strchr("?*+{", c) != NULL;
	return quantifier;
}

/* Behind '(': what kind of group it is; stands behind the sign that says so. */
static bool group_counts(struct walk *walk)
{
	if (peek(walk, 0) == '*')
		walk->lost = true;
	if (peek(walk, 0) != '?')
		return true;
	walk->at++;
	size_t flags = 0;
	while (peek(walk, flags) == 'i' || peek(walk, flags) == 'm' || peek(walk, flags) == 's')
		flags++;
	char c = peek(walk, flags);
	walk->at += flags + 1;
	if (c == ':' || (flags == 0 && c == '>'))
		return true;
	if (flags > 0 && c == ')') {
		walk->at--; /* (?i): an empty group */
		return true;
	}
	bool behind = flags == 0 && c == '<';
	char sign = behind ? peek(walk, 0) : c;
	walk->lost |= flags > 0 || (sign != '=' && sign != '!');
	walk->at += behind;
	return false;
}

static struct required walk_group(struct walk *walk)
{
	bool counts = group_counts(walk);
	struct required inner = walk_alternation(walk);
	walk->lost |= peek(walk, 0) != ')';
	walk->at++;
	if (read_quantifier(walk).optional || !counts)
		inner.count = 0;
	return inner;
}

/* Behind a backslash: the character it stands for, or '\0' for what is no character. */
static char read_escape(struct walk *walk)
{
	char c = peek(walk, 0);
	walk->at++;
	bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
	if (letter || (c >= '0' && c <= '9')) {
		walk->lost |= strchr("dDwWsSbBnrtfAzZ123456789", c) == NULL;
		return '\0';
	}
	walk->lost |= c == '\0';
	return c;
}

/* One character, class or group, with its quantifier. */
static void walk_atom(struct walk *walk, struct sequence *sequence)
{
	char c = peek(walk, 0);
	walk->at++;
	walk->lost |= c != '\0' && strchr("?*+{", c) != NULL; /* nothing to repeat */
	if (c == '(') {
		end_run(walk, sequence);
		struct required inner = walk_group(walk);
		offer(sequence, &inner);
		return;
	}
	if (c == '[')
		skip_class(walk);
	bool plain = strchr("[.^$", c) == NULL;
	if (c == '\\')
		c = read_escape(walk);
	plain = plain && c != '\0';
	if ((c & 0x80) != 0) {
		plain = false;
		while ((peek(walk, 0) & 0xc0) == 0x80)
			walk->at++;
	}
	struct quantifier quantifier = read_quantifier(walk);
	if (plain && !quantifier.optional && sequence->run_size < RUN_MAX)
		sequence->run[sequence->run_size++] = c;
	if (!plain || quantifier.given)
		end_run(walk, sequence);
}

static struct required walk_concatenation(struct walk *walk)
{
	struct sequence sequence = {0};
	while (!is_at_end(walk) && peek(walk, 0) != '|' && peek(walk, 0) != ')')
		walk_atom(walk, &sequence);
	end_run(walk, &sequence);
	assert(walk->lost || sequence.run_size == 0);
	return sequence.best;
}

static struct required walk_alternation(struct walk *walk)
{
	struct required whole = walk_concatenation(walk);
	while (!walk->lost && peek(walk, 0) == '|') {
		walk->at++;
		struct required one = walk_concatenation(walk);
		if (one.count == 0 || whole.count == 0 || whole.count + one.count > REQUIRED_MAX) {
			whole.count = 0;
			continue;
		}
		memcpy(whole.items + whole.count, one.items, one.count * sizeof *one.items);
		whole.count += one.count;
		whole.shortest = one.shortest < whole.shortest ? one.shortest : whole.shortest;
	}
	return whole;
}

struct required required_of(struct text pattern, struct arena *arena)
{
	struct walk walk = {.pattern = pattern, .arena = arena};
	struct required found = walk_alternation(&walk);
	if (walk.lost || walk.at != pattern.size)
		return (struct required){0};
	assert(found.count == 0 || found.shortest >= REQUIRED_SIZE_MIN);
	return found;
}

bool required_stand_in(const struct required *required, struct text folded)
{
	if (folded.size == 0)
		folded.data = "";
	for (size_t i = 0; i < required->count; i++)
		if (memmem(folded.data, folded.size, required->items[i].data,
			   required->items[i].size) != NULL)
			return true;
	return required->count == 0;
}
