/* Text, one entry a line: the first word counts, # and ; begin a comment (Spamhaus, FireHOL, lists
 * of Tor exits); a line of a hosts file (0.0.0.0 NAME, 127.0.0.1 NAME) means its name. */
#include "ingest/watch_private.h"

static struct text next_line(struct text *content)
{
	const char *end = memchr(content->data, '\n', content->size);
	size_t size = end == NULL ? content->size : (size_t)(end - content->data);
	struct text line = {content->data, size};
	*content = text_cut(*content, end == NULL ? size : size + 1);
	return line;
}

static struct text next_word(struct text *line)
{
	while (line->size > 0 && strchr(" \t\r", line->data[0]) != NULL)
		*line = text_cut(*line, 1);
	size_t size = 0;
	while (size < line->size && strchr(" \t\r#;", line->data[size]) == NULL)
		size++;
	struct text word = {line->data, size};
	*line = text_cut(*line, size);
	return word;
}

enum status list_plain(struct list_reader *reader, struct text content, struct error *err)
{
	enum status status = OK;
	for (size_t number = 1; status == OK && content.size > 0; number++) {
		struct text line = next_line(&content);
		struct text word = next_word(&line);
		struct text second = next_word(&line);
		if (second.size > 0 &&
		    (text_equal(word, TEXT("0.0.0.0")) || text_equal(word, TEXT("127.0.0.1"))))
			word = second;
		if (word.size == 0)
			continue;
		const struct list_entry entry = {word, INT64_MIN, INT64_MIN, number};
		status = list_take(reader, &entry, err);
	}
	return status;
}
