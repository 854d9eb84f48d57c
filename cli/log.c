#include "cli/log.h"

#include <assert.h>
#include <inttypes.h>
#include <unistd.h>

#include "cli/escape.h"
#include "cli/json_writer.h"
#include "rules/event.h"

void log_init(struct log *log, FILE *to, enum log_format format, struct wall_clock clock)
{
	*log = (struct log){.to = to, .format = format, .clock = clock};
	int failed = pthread_mutex_init(&log->lock, NULL);
	assert(failed == 0);
	(void)failed;
}

void log_done(struct log *log)
{
	(void)pthread_mutex_destroy(&log->lock);
}

static const char *level_word(enum log_level level)
{
	static const char *const words[] = {"info", "warning", "error"};
	assert((unsigned)level < sizeof words / sizeof *words);
	return words[level];
}

/* name=value, in quotes when it is not one plain word. */
static void put_logfmt(struct bytes *to, const char *name, struct text value)
{
	struct bytes clean = {0};
	bool plain = value.size > 0;
	escape_text(value, &clean);
	for (size_t i = 0; i < clean.size; i++)
		plain &= clean.data[i] > ' ' && strchr("\"=\\", clean.data[i]) == NULL;
	if (to->size > 0)
		bytes_write_string(to, " ");
	bytes_write_string(to, name);
	bytes_write_string(to, plain ? "=" : "=\"");
	for (size_t i = 0; i < clean.size; i++) {
		if (!plain && clean.data[i] == '"')
			bytes_write_string(to, "\\");
		bytes_put_u8(to, clean.data[i]);
	}
	bytes_write_string(to, plain ? "" : "\"");
	bytes_done(&clean);
}

struct line {
	int64_t now_us;
	enum log_level level;
	const char *message;
	const struct log_field *fields;
	size_t field_count;
};

static void format_line(enum log_format format, const struct line *line, struct bytes *to)
{
	char buffer[32];
	struct text time = time_print(line->now_us, buffer);
	if (format == LOG_JSON) {
		struct json_writer json = {.to = to};
		json_write_open(&json, NULL, '{');
		json_write_text(&json, "time", time);
		json_write_string(&json, "level", level_word(line->level));
		json_write_string(&json, "message", line->message);
		for (size_t i = 0; i < line->field_count; i++)
			json_write_text(&json, line->fields[i].name, line->fields[i].value);
		json_write_close(&json, '}');
		return;
	}
	put_logfmt(to, "time", time);
	put_logfmt(to, "level", text_of(level_word(line->level)));
	put_logfmt(to, "message", text_of(line->message));
	for (size_t i = 0; i < line->field_count; i++)
		put_logfmt(to, line->fields[i].name, line->fields[i].value);
}

/* False when this second has had its lines. */
static bool admit(struct log *log, int64_t now_us, uint64_t *ret_suppressed)
{
	*ret_suppressed = 0;
	if (now_us / 1000000 != log->second) {
		log->second = now_us / 1000000;
		log->lines = 0;
		*ret_suppressed = log->suppressed;
		log->suppressed = 0;
	}
	if (log->lines >= LOG_LINES_MAX) {
		log->suppressed++;
		return false;
	}
	log->lines++;
	return true;
}

static void write_line(struct log *log, const struct line *line)
{
	struct bytes text = {0};
	format_line(log->format, line, &text);
	if (text.size > LOG_LINE_MAX - 1)
		text.size = LOG_LINE_MAX - 1;
	bytes_write_string(&text, "\n");
	if (!text.failed)
		(void)fwrite(text.data, 1, text.size, log->to);
	(void)fflush(log->to);
	bytes_done(&text);
}

void log_line(struct log *log, enum log_level level, const char *message,
	      const struct log_field *fields, size_t field_count)
{
	uint64_t suppressed = 0;
	int64_t now_us = log->clock.now_us(log->clock.context);
	(void)pthread_mutex_lock(&log->lock);
	bool admitted = admit(log, now_us, &suppressed);
	if (suppressed > 0) {
		char count[24];
		(void)snprintf(count, sizeof count, "%" PRIu64, suppressed);
		const struct log_field field = {"suppressed", text_of(count)};
		write_line(log, &(struct line){now_us, LOG_LEVEL_WARNING,
					       "too many log lines in a second", &field, 1});
	}
	if (admitted)
		write_line(log, &(struct line){now_us, level, message, fields, field_count});
	(void)pthread_mutex_unlock(&log->lock);
}
