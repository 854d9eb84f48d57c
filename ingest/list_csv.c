/* CSV (RFC 4180): comma, semicolon or tab, cells in quotes where needed, "" for a quote.
 *
 * The header says which column is the entry and which are times; it may be the first line or, as
 * abuse.ch writes it, the last comment before the data. Without one the first cell is the entry. */
#include "ingest/watch_private.h"
#include "rules/event.h"

enum { COLUMNS_MAX = 64, CELL_BYTES_MAX = 64 * 1024 };

struct columns {
	size_t entry, listed, expires; /* COLUMNS_MAX: there is none */
};

struct row {
	struct text cells[COLUMNS_MAX];
	size_t count;
};

/* Takes one record from the content: quotes are undone in `buffer`. Lines read are counted. */
static void next_row(struct text *content, char separator, struct bytes *buffer, struct row *row,
		     size_t *lines)
{
	size_t starts[COLUMNS_MAX + 1];
	size_t at = 0;
	bool quoted = false;
	bool more = true;
	row->count = 0;
	bytes_clear(buffer);
	starts[0] = 0;
	(*lines)++;
	while (more) {
		char c = at < content->size ? content->data[at] : '\n';
		bool end = at >= content->size || (c == '\n' && !quoted);
		bool doubled = quoted && c == '"' && at + 1 < content->size &&
			       content->data[at + 1] == '"';
		*lines += c == '\n' && quoted && !end;
		if (doubled) {
			at++;
			bytes_put_u8(buffer, '"');
		} else if (c == '"') {
			quoted = !quoted;
		} else if (end || (c == separator && !quoted)) {
			more = !end;
			if (row->count < COLUMNS_MAX)
				starts[++row->count] = buffer->size;
		} else if (c != '\r') {
			bytes_put_u8(buffer, (uint8_t)c);
		}
		at++;
	}
	*content = text_cut(*content, at < content->size ? at : content->size);
	const char *cells = buffer->size > 0 ? (const char *)buffer->data : "";
	for (size_t i = 0; i < row->count && !buffer->failed; i++)
		row->cells[i] = (struct text){cells + starts[i], starts[i + 1] - starts[i]};
	if (buffer->failed)
		row->count = 0;
}

static struct text trimmed(struct text t)
{
	while (t.size > 0 && (t.data[0] == ' ' || t.data[0] == '#'))
		t = text_cut(t, 1);
	while (t.size > 0 && t.data[t.size - 1] == ' ')
		t.size--;
	return t;
}

static size_t column_of(const struct row *row, const char *const *names)
{
	for (; *names != NULL; names++)
		for (size_t i = 0; i < row->count; i++)
			if (text_equal(trimmed(row->cells[i]), text_of(*names)))
				return i;
	return COLUMNS_MAX;
}

static bool read_header(const struct row *row, struct columns *columns)
{
	static const char *const entries[] = {
		"indicator", "ioc_value", "ioc",  "value",       "dst_ip",  "ip_address", "ip",
		"domain",    "url",       "host", "sha256_hash", "network", "cidr",       NULL};
	static const char *const listed[] = {
		"last_seen",  "last_seen_utc", "timestamp", "last_online", "first_seen_utc",
		"first_seen", "date_added",    "dateadded", "date",        NULL};
	static const char *const expires[] = {"valid_until", "expires", "expiration", NULL};
	size_t entry = column_of(row, entries);
	if (entry == COLUMNS_MAX)
		return false;
	*columns = (struct columns){entry, column_of(row, listed), column_of(row, expires)};
	return true;
}

static int64_t time_of_cell(const struct row *row, size_t column)
{
	int64_t time_us = INT64_MIN;
	if (column < row->count && !time_parse(trimmed(row->cells[column]), &time_us))
		time_us = INT64_MIN;
	return time_us;
}

static char separator_of(struct text content)
{
	for (size_t i = 0; i < content.size && content.data[i] != '\n'; i++)
		if (memchr(",;\t", content.data[i], 3) != NULL)
			return content.data[i];
	return ',';
}

enum status list_csv(struct list_reader *reader, struct text content, struct error *err)
{
	struct bytes buffer cleanup(bytes_done) = {0};
	struct columns columns = {0, COLUMNS_MAX, COLUMNS_MAX};
	char separator = '\0';
	bool first = true;
	size_t line = 0;
	enum status status = OK;
	while (status == OK && content.size > 0) {
		struct row row;
		bool comment = content.data[0] == '#';
		if (separator == '\0' || first)
			separator = separator_of(content);
		size_t here = line + 1;
		next_row(&content, separator, &buffer, &row, &line);
		bool blank = row.count == 0 || (row.count == 1 && row.cells[0].size == 0);
		if (comment || blank || (first && read_header(&row, &columns))) {
			if (comment)
				(void)read_header(&row, &columns);
			first = first && (comment || blank);
			continue;
		}
		first = false;
		struct text cell =
			columns.entry < row.count ? trimmed(row.cells[columns.entry]) : TEXT("");
		const struct list_entry entry = {cell, time_of_cell(&row, columns.listed),
						 time_of_cell(&row, columns.expires), here};
		status = list_take(reader, &entry, err);
	}
	return status == OK && buffer.failed ? ENOMEMORY : status;
}
