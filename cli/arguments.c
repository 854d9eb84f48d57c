#include "cli/arguments.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/yaml.h"

enum { NAMES_MAX = 128 };

static const struct option *find_long(struct option_tables known, struct text name)
{
	for (const struct option *const *table = known.tables; *table != NULL; table++) {
		for (const struct option *option = *table; option->name != NULL; option++) {
			if (text_equal(text_of(option->name), name))
				return option;
		}
	}
	return NULL;
}

static const struct option *find_letter(struct option_tables known, char letter)
{
	for (const struct option *const *table = known.tables; *table != NULL; table++) {
		for (const struct option *option = *table; option->name != NULL; option++) {
			if (option->letter == letter)
				return option;
		}
	}
	return NULL;
}

static enum status unknown(struct option_tables known, struct text name, struct error *err)
{
	const char *names[NAMES_MAX];
	size_t count = 0;
	for (const struct option *const *table = known.tables; *table != NULL; table++) {
		for (const struct option *option = *table; option->name != NULL; option++) {
			assert(count < NAMES_MAX);
			names[count++] = option->name;
		}
	}
	const char *nearest = nearest_name(name, names, count);
	if (nearest != NULL)
		return error_set(err, EINVALID, "no option --%.*s; did you mean --%s?",
				 TEXT_ARG(name), nearest);
	return error_set(err, EINVALID, "no option --%.*s; see --help", TEXT_ARG(name));
}

/* What one step of the parser looks at. */
struct walk {
	struct option_tables known;
	const char *const *argv;
	size_t count;
	size_t at;
};

static enum status add(struct arguments *arguments, const struct option *option, const char *value,
		       struct error *err)
{
	if (arguments->option_count == ARGUMENTS_MAX)
		return error_set(err, ELIMIT, "more than %d options", ARGUMENTS_MAX);
	arguments->options[arguments->option_count++] = (struct argument){option, value};
	return OK;
}

/* A value that must follow: the rest of this word, or the next word. */
static enum status take_value(struct walk *walk, const struct option *option, const char *rest,
			      struct arguments *arguments, struct error *err)
{
	if (rest != NULL)
		return add(arguments, option, rest, err);
	if (walk->at + 1 >= walk->count)
		return error_set(err, EINVALID, "--%s needs a value: --%s %s", option->name,
				 option->name, option->placeholder);
	return add(arguments, option, walk->argv[++walk->at], err);
}

static enum status parse_long(struct walk *walk, const char *word, struct arguments *arguments,
			      struct error *err)
{
	const char *equals = strchr(word, '=');
	struct text name = {word, equals == NULL ? strlen(word) : (size_t)(equals - word)};
	const struct option *option = find_long(walk->known, name);
	if (option == NULL)
		return unknown(walk->known, name, err);
	if (option->placeholder != NULL)
		return take_value(walk, option, equals == NULL ? NULL : equals + 1, arguments, err);
	if (equals != NULL)
		return error_set(err, EINVALID, "--%s takes no value", option->name);
	return add(arguments, option, "", err);
}

static enum status parse_letters(struct walk *walk, const char *word, struct arguments *arguments,
				 struct error *err)
{
	for (const char *letter = word; *letter != '\0'; letter++) {
		const struct option *option = find_letter(walk->known, *letter);
		if (option == NULL)
			return error_set(err, EINVALID, "no option -%c; see --help", *letter);
		if (option->placeholder != NULL)
			return take_value(walk, option, letter[1] == '\0' ? NULL : letter + 1,
					  arguments, err);
		enum status status = add(arguments, option, "", err);
		if (status != OK)
			return status;
	}
	return OK;
}

static enum status parse_all(struct walk *walk, struct arguments *arguments, struct error *err)
{
	bool only_words = false;
	for (; walk->at < walk->count; walk->at++) {
		const char *word = walk->argv[walk->at];
		enum status status = OK;
		if (only_words || word[0] != '-' || word[1] == '\0') {
			if (arguments->word_count == ARGUMENTS_MAX)
				return error_set(err, ELIMIT, "more than %d words", ARGUMENTS_MAX);
			arguments->words[arguments->word_count++] = word;
		} else if (word[1] != '-') {
			status = parse_letters(walk, word + 1, arguments, err);
		} else if (word[2] == '\0') {
			only_words = true;
		} else {
			status = parse_long(walk, word + 2, arguments, err);
		}
		if (status != OK)
			return status;
	}
	return OK;
}

enum status arguments_parse(struct option_tables known, const char *const *argv, size_t count,
			    struct arguments *ret_arguments, struct error *err)
{
	assert(known.tables != NULL);
	struct arguments arguments cleanup(arguments_done) = {0};
	arguments.options = calloc(ARGUMENTS_MAX, sizeof *arguments.options);
	arguments.words = calloc(ARGUMENTS_MAX, sizeof *arguments.words);
	if (arguments.options == NULL || arguments.words == NULL)
		return error_set(err, ENOMEMORY, "no memory for the command line");
	struct walk walk = {known, argv, count, 0};
	enum status status = parse_all(&walk, &arguments, err);
	if (status != OK)
		return status;
	*ret_arguments = arguments;
	arguments = (struct arguments){0};
	return OK;
}

void arguments_done(struct arguments *arguments)
{
	free(arguments->options);
	free(arguments->words);
	*arguments = (struct arguments){0};
}

const char *arguments_get(const struct arguments *arguments, const char *name)
{
	for (size_t i = arguments->option_count; i-- > 0;) {
		if (strcmp(arguments->options[i].option->name, name) == 0)
			return arguments->options[i].value;
	}
	return NULL;
}

bool arguments_has(const struct arguments *arguments, const char *name)
{
	return arguments_get(arguments, name) != NULL;
}

const char *arguments_each(const struct arguments *arguments, const char *name, size_t index)
{
	for (size_t i = 0; i < arguments->option_count; i++) {
		if (strcmp(arguments->options[i].option->name, name) == 0 && index-- == 0)
			return arguments->options[i].value;
	}
	return NULL;
}

void arguments_help(struct option_tables known, struct bytes *to)
{
	enum { NAME_COLUMNS = 28 };
	for (const struct option *const *table = known.tables; *table != NULL; table++) {
		for (const struct option *option = *table; option->name != NULL; option++) {
			char names[64];
			char letter[8] = "    ";
			if (option->letter != 0)
				(void)snprintf(letter, sizeof letter, "-%c, ", option->letter);
			(void)snprintf(names, sizeof names, "%s--%s%s%s", letter, option->name,
				       option->placeholder == NULL ? "" : " ",
				       option->placeholder == NULL ? "" : option->placeholder);
			bytes_print(to, "  %-*s  %s\n", NAME_COLUMNS, names, option->doc);
		}
	}
}
