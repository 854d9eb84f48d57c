#include "rules/modifier_private.h"

#include <assert.h>

/* `expand`: a value with %placeholders% becomes one spelling per combination of listed values, all
 * of them joined by OR (also under `all`, which joins what the rule's author wrote, not what a list
 * holds). A value is cut into pieces, what stands between placeholders and the placeholders
 * themselves; each piece is read as a Sigma string of its own, so that a backslash at the end of a
 * listed value never escapes what follows it. Inside `re` a listed value is literal text but for
 * its wildcards. */

struct piece {
	struct text text;              /* as written, when there is no list */
	const struct value_list *list; /* NULL: plain text */
	size_t index;                  /* the value of the spelling being made */
};

struct pieces {
	struct piece *items;
	size_t count;
};

/* The names that the standard gives, and what belongs into them. */
static const struct {
	const char *name;
	const char *content;
} standard[] = {
	{"Administrators", "accounts of administrators"},
	{"JumpServers", "hosts from which others are administrated"},
	{"Workstations", "names or networks of workstations"},
	{"Servers", "names or networks of servers"},
	{"DomainControllers", "names of domain controllers"},
};

static const char *content_of(struct text name)
{
	for (size_t i = 0; i < sizeof standard / sizeof *standard; i++)
		if (text_equal(name, text_of(standard[i].name)))
			return standard[i].content;
	return "the values of your site";
}

static enum status list_missing(const struct loader *loader, struct text name, struct position at,
				struct error *err)
{
	const char **names = arena_alloc(loader->arena, (loader->lists.count + 1) * sizeof *names);
	if (names == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < loader->lists.count; i++)
		names[i] = arena_copy(loader->arena, loader->lists.items[i].name).data;
	return error_at(err, EINVALID, at,
			"placeholder %%%.*s%% has no list of values%s\n  fix: write %s into a "
			"file, one a line, and give it: --list %.*s=FILE, or a folder with "
			"%.*s.txt under rules.lists of picket.yaml; a rule with an open "
			"placeholder would match nothing, or, behind `not`, everything",
			TEXT_ARG(name), hint_for(name, names, loader->lists.count).text,
			content_of(name), TEXT_ARG(name), TEXT_ARG(name));
}

static enum status pieces_cut(struct loader *loader, const struct yaml_node *value,
			      struct pieces *ret_pieces, struct error *err)
{
	struct pieces pieces = {0};
	size_t capacity = 0;
	struct text rest = value->text;
	while (true) {
		struct text found = pattern_placeholder(rest);
		struct piece next[2] = {{.text = rest}, {.text = TEXT("")}};
		size_t count = 1;
		if (found.size > 0) {
			struct text name = {found.data + 1, found.size - 2};
			next[0].text.size = (size_t)(found.data - rest.data);
			next[1].list = lists_find(&loader->lists, name);
			count = 2;
			if (next[1].list == NULL)
				return list_missing(loader, name, value->at, err);
		}
		for (size_t i = 0; i < count; i++) {
			pieces.items = arena_grown(loader->yaml, pieces.items, pieces.count,
						   &capacity, sizeof *pieces.items);
			if (pieces.items == NULL)
				return loader_exhausted(err);
			pieces.items[pieces.count++] = next[i];
		}
		if (found.size == 0)
			break;
		rest = text_cut(rest, (size_t)(found.data - rest.data) + found.size);
	}
	/* `C:\Users\%name%` is meant otherwise than it is written. */
	if (pieces.count == 1 && memmem(value->text.data, value->text.size, "\\%", 2) != NULL)
		return error_at(
			err, EINVALID, value->at,
			"expand finds no placeholder: \\%% is a literal percent sign\n  fix: "
			"write \\\\%%name%% for a backslash and a placeholder, or remove "
			"`expand`");
	if (pieces.count == 1)
		lint_warn(loader, value->at, "write it as %name%, or remove `expand`",
			  "expand finds no placeholder in '%.*s'", TEXT_ARG(value->text));
	*ret_pieces = pieces;
	return OK;
}

static enum status spellings_counted(const struct pieces *pieces, const struct yaml_node *value,
				     size_t *ret_count, struct error *err)
{
	size_t count = 1;
	for (size_t i = 0; i < pieces->count; i++) {
		size_t values = pieces->items[i].list == NULL ? 1 : pieces->items[i].list->count;
		if (values > EXPANSIONS_MAX / count)
			return error_at(err, ELIMIT, value->at,
					"the lists of this value have more than %d combinations\n"
					"  fix: use fewer placeholders in one value, or shorter "
					"lists",
					EXPANSIONS_MAX);
		count *= values;
	}
	*ret_count = count;
	return OK;
}

/* The next combination, like the digits of a counter. */
static void pieces_step(struct pieces *pieces)
{
	for (size_t i = pieces->count; i-- > 0;) {
		struct piece *piece = &pieces->items[i];
		if (piece->list == NULL)
			continue;
		if (++piece->index < piece->list->count)
			return;
		piece->index = 0;
	}
}

static struct text piece_text(const struct piece *piece)
{
	assert(piece->list == NULL || piece->index < piece->list->count);
	return piece->list == NULL ? piece->text : piece->list->values[piece->index];
}

/* One spelling; false when out of memory. */
static bool pattern_of(struct loader *loader, const struct pieces *pieces,
		       struct pattern *ret_pattern)
{
	struct pattern joined = {0};
	bool fits = true;
	for (size_t i = 0; fits && i < pieces->count; i++) {
		const struct piece *piece = &pieces->items[i];
		struct pattern next = {0};
		fits = pattern_parse(piece_text(piece), piece->list == NULL, loader->arena,
				     &next) &&
		       pattern_append(&joined, &next, loader->arena);
	}
	*ret_pattern = joined;
	return fits;
}

enum status placeholder_patterns(struct loader *loader, const struct yaml_node *value,
				 struct pattern **ret_patterns, size_t *ret_count,
				 struct error *err)
{
	struct pieces pieces = {0};
	size_t count = 0;
	enum status status = pieces_cut(loader, value, &pieces, err);
	if (status == OK)
		status = spellings_counted(&pieces, value, &count, err);
	if (status != OK)
		return status;
	struct pattern *patterns = arena_alloc(loader->yaml, count * sizeof *patterns);
	if (patterns == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < count; i++, pieces_step(&pieces))
		if (!pattern_of(loader, &pieces, &patterns[i]))
			return loader_exhausted(err);
	*ret_patterns = patterns;
	*ret_count = count;
	return OK;
}

static void put_quoted(struct text literal, struct bytes *to)
{
	for (size_t i = 0; i < literal.size; i++) {
		if (memchr("\\^$.[]|()?*+{}-/#", literal.data[i], 17) != NULL)
			bytes_put_u8(to, '\\');
		bytes_put_u8(to, (uint8_t)literal.data[i]);
	}
}

/* A listed value as a regular expression: its wildcards keep their meaning. */
static bool put_listed(struct loader *loader, struct text value, struct bytes *to)
{
	struct pattern pattern = {0};
	if (!pattern_parse(value, false, loader->yaml, &pattern))
		return false;
	for (size_t i = 0; i < pattern.count; i++) {
		if (pattern.tokens[i].kind == TOKEN_LITERAL)
			put_quoted(pattern.tokens[i].literal, to);
		else
			bytes_put(to, ".*", pattern.tokens[i].kind == TOKEN_RUN ? 2 : 1);
	}
	return true;
}

/* What stands between placeholders is an expression already; `\%` is a percent sign there too,
 * which PCRE2 reads as one anyway. */
static bool text_of_pieces(struct loader *loader, const struct pieces *pieces,
			   struct text *ret_text)
{
	struct bytes spelling cleanup(bytes_done) = {0};
	bool fits = true;
	for (size_t i = 0; fits && i < pieces->count; i++) {
		const struct piece *piece = &pieces->items[i];
		if (piece->list == NULL)
			bytes_write(&spelling, piece->text);
		else
			fits = put_listed(loader, piece_text(piece), &spelling);
	}
	*ret_text = arena_copy(loader->yaml, bytes_text(&spelling));
	return fits && !spelling.failed && ret_text->data != NULL;
}

enum status placeholder_texts(struct loader *loader, const struct yaml_node *value,
			      struct text **ret_texts, size_t *ret_count, struct error *err)
{
	struct pieces pieces = {0};
	size_t count = 0;
	enum status status = pieces_cut(loader, value, &pieces, err);
	if (status == OK)
		status = spellings_counted(&pieces, value, &count, err);
	if (status != OK)
		return status;
	struct text *texts = arena_alloc(loader->yaml, count * sizeof *texts);
	if (texts == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < count; i++, pieces_step(&pieces))
		if (!text_of_pieces(loader, &pieces, &texts[i]))
			return loader_exhausted(err);
	*ret_texts = texts;
	*ret_count = count;
	return OK;
}
