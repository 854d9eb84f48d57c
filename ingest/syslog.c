/* Syslog as RFC 5424 writes it, one message a record (as rsyslog and syslog-ng send to Kafka):
 *
 *   <PRI>1 TIME HOST APP PROCID MSGID [ID NAME="VALUE" ...][...] TEXT
 *
 * PRI is facility * 8 + severity, 0 to 191; a dash stands for what is not known; in a VALUE the
 * characters " \ ] are written with a backslash before them (section 6.3.3). A byte order mark
 * before TEXT is left out.
 *
 * TEXT that is a JSON object is the record, and syslog its envelope, as with a node agent. Anything
 * else is the message: a syslog header inside it is text (A11). What does not follow the grammar is
 * not read as syslog at all; half a header would be half a truth. */
#include <assert.h>

#include "ingest/decoder_private.h"

enum { PRIORITY_MAX = 191, WORDS = 5 };

struct syslog {
	struct text left;
	int64_t priority;
	struct text words[WORDS]; /* time, host, app, process, message id */
};

static bool take_priority(struct syslog *syslog)
{
	size_t at = 1;
	struct text t = syslog->left;
	for (; at < t.size && at < 4 && t.data[at] >= '0' && t.data[at] <= '9'; at++)
		syslog->priority = syslog->priority * 10 + (t.data[at] - '0');
	if (at == 1 || syslog->priority > PRIORITY_MAX)
		return false;
	syslog->left = text_cut(t, at);
	static const struct text behind = {">1 ", 3};
	if (!text_starts(syslog->left, behind))
		return false;
	syslog->left = text_cut(syslog->left, behind.size);
	return true;
}

static bool take_word(struct syslog *syslog, struct text *ret_word)
{
	const char *blank =
		syslog->left.size == 0 ? NULL : memchr(syslog->left.data, ' ', syslog->left.size);
	if (blank == NULL || blank == syslog->left.data)
		return false;
	size_t size = (size_t)(blank - syslog->left.data);
	*ret_word = (struct text){syslog->left.data, size};
	syslog->left = text_cut(syslog->left, size + 1);
	return true;
}

/* A value between quotes, without its escapes. */
static bool take_value(struct syslog *syslog, struct otlp_list *list, struct text *ret_value)
{
	struct text t = syslog->left;
	size_t end = 0;
	size_t size = 0;
	while (end < t.size && t.data[end] != '"')
		end += t.data[end] == '\\' && end + 1 < t.size ? 2 : 1;
	if (end >= t.size)
		return false;
	char *plain = arena_alloc(list->arena, end + 1);
	if (plain == NULL) {
		list->why = REJECT_MEMORY;
		return false;
	}
	for (size_t i = 0; i < end; i++) {
		bool escape = t.data[i] == '\\' && i + 1 < end &&
			      strchr("\"\\]", t.data[i + 1]) != NULL && t.data[i + 1] != '\0';
		plain[size++] = t.data[escape ? ++i : i];
	}
	*ret_value = (struct text){plain, size};
	syslog->left = text_cut(t, end + 1);
	return true;
}

/* [ID NAME="VALUE" ...], the bracket has been seen. */
static bool take_element(struct syslog *syslog, struct otlp_list *list)
{
	const struct otlp_place root = {.name = TEXT("log.syslog.structured_data")};
	struct text t = text_cut(syslog->left, 1);
	size_t size = 0;
	while (size < t.size && t.data[size] != ' ' && t.data[size] != ']')
		size++;
	struct otlp_place element = otlp_member(list, root, (struct text){t.data, size});
	syslog->left = text_cut(t, size);
	while (syslog->left.size > 1 && syslog->left.data[0] == ' ') {
		t = text_cut(syslog->left, 1);
		const char *equals = memmem(t.data, t.size, "=\"", 2);
		struct text value = {0};
		if (equals == NULL)
			return false;
		size_t name = (size_t)(equals - t.data);
		syslog->left = text_cut(t, name + 2);
		if (!take_value(syslog, list, &value))
			return false;
		otlp_put_text(list, otlp_member(list, element, (struct text){t.data, name}), value);
	}
	if (size == 0 || syslog->left.size == 0 || syslog->left.data[0] != ']')
		return false;
	syslog->left = text_cut(syslog->left, 1);
	return true;
}

static bool take_structured(struct syslog *syslog, struct otlp_list *list)
{
	if (syslog->left.size > 0 && syslog->left.data[0] == '-') {
		syslog->left = text_cut(syslog->left, 1);
		return true;
	}
	bool any = false;
	for (; syslog->left.size > 0 && syslog->left.data[0] == '['; any = true)
		if (!take_element(syslog, list))
			return false;
	return any;
}

static void put_header(const struct syslog *syslog, struct otlp_list *list)
{
	static const struct text names[WORDS] = {{"@timestamp", 10},
						 {"log.syslog.hostname", 19},
						 {"log.syslog.appname", 18},
						 {"log.syslog.procid", 17},
						 {"log.syslog.msgid", 16}};
	otlp_put_integer(list, (struct otlp_place){.name = TEXT("log.syslog.priority")},
			 syslog->priority);
	otlp_put_integer(list, (struct otlp_place){.name = TEXT("log.syslog.facility.code")},
			 syslog->priority / 8);
	otlp_put_integer(list, (struct otlp_place){.name = TEXT("log.syslog.severity.code")},
			 syslog->priority % 8);
	for (size_t i = 0; i < WORDS; i++)
		if (!text_equal(syslog->words[i], TEXT("-")))
			otlp_put_text(list, (struct otlp_place){.name = names[i]},
				      syslog->words[i]);
}

/* A text that is JSON is the record; what is around it stays its envelope. */
static enum reject open_text(struct decoder *decoder, struct text text, struct unpacked *unpacked)
{
	const struct json_items *outer = &decoder->outer;
	bool kept = outer->count > 0 &&
		    text_equal(outer->items[outer->count - 1].name, TEXT("message"));
	if (!kept || text.size == 0 || text.data[0] != '{' || decoder->raw)
		return ACCEPTED;
	bool broken = false;
	enum reject why = line_open(decoder, text, &broken);
	unpacked->broken = broken;
	if (why == ACCEPTED && !broken) {
		unpacked->record = &decoder->inner;
		unpacked->envelope = outer;
		unpacked->inner = &outer->items[outer->count - 1]; /* the message */
	}
	return why;
}

bool syslog_read(struct decoder *decoder, struct text record, struct unpacked *ret_unpacked,
		 enum reject *ret_why)
{
	struct syslog syslog = {.left = record};
	struct otlp_list list = {.arena = decoder->arena, .options = &decoder->keep};
	struct unpacked unpacked = {.record = &decoder->outer};
	otlp_list_begin(&list, &decoder->outer, 0);
	if (record.size == 0 || record.data[0] != '<' || !take_priority(&syslog))
		return false;
	for (size_t i = 0; i < WORDS; i++)
		if (!take_word(&syslog, &syslog.words[i]))
			return false;
	put_header(&syslog, &list);
	if (!take_structured(&syslog, &list) ||
	    (syslog.left.size > 0 && syslog.left.data[0] != ' '))
		return false;
	struct text text = syslog.left.size == 0 ? syslog.left : text_cut(syslog.left, 1);
	if (text_starts(text, TEXT("\xef\xbb\xbf")))
		text = text_cut(text, 3);
	otlp_put_text(&list, (struct otlp_place){.name = TEXT("message")}, text);
	*ret_why = list.why;
	if (list.why == ACCEPTED)
		*ret_why = open_text(decoder, text, &unpacked);
	*ret_unpacked = unpacked;
	return true;
}
