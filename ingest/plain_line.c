/* What can be read off things that are not fields: a line of plain text, and the name of a pod.
 *
 * A line: the level is the first word of the first five that is one ("19:39:03 INFO o.s.Order
 * ..."); trace and span follow "trace id" in its usual spellings and are 16 or 32 hexadecimal
 * digits. Nothing that is protected is read from text: whoever can write into a message could forge
 * it.
 *
 * A pod of a Deployment is called NAME-HASH-SUFFIX, of a ReplicaSet's template hash and a random
 * suffix of 5, both written with the 27 letters and digits of Kubernetes' SafeEncodeString
 * (apimachinery/pkg/util/rand: no vowels, no 0, 1 or 3). The strict alphabet keeps ordinary names
 * (kafka-broker-0, my-batch-job) from being taken apart. */
#include <assert.h>

#include "ingest/format_private.h"

enum { WORDS_MAX = 5, SUFFIX_SIZE = 5, HASH_SIZE_MIN = 6, HASH_SIZE_MAX = 10 };

static bool level_word(struct text word)
{
	static const char *const words[] = {"TRACE",   "DEBUG", "INFO",  "NOTICE",   "WARN",
					    "WARNING", "ERROR", "FATAL", "CRITICAL", "SEVERE"};
	if (word.size > 2 && word.data[0] == '[' && word.data[word.size - 1] == ']')
		word = (struct text){word.data + 1, word.size - 2};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (text_equal(word, text_of(words[i])))
			return true;
	return false;
}

static void read_level(struct draft *draft, struct text line)
{
	size_t at = 0;
	for (int i = 0; i < WORDS_MAX && at < line.size; i++) {
		while (at < line.size && json_blank(line.data[at]))
			at++;
		size_t end = at;
		while (end < line.size && !json_blank(line.data[end]))
			end++;
		struct text word = {line.data + at, end - at};
		if (level_word(word)) {
			if (word.data[0] == '[')
				word = (struct text){word.data + 1, word.size - 2};
			draft_fill(draft, FIELD_LOG_LEVEL,
				   &(struct value){.type = VALUE_STRING, .text = word});
			return;
		}
		at = end;
	}
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* The hexadecimal id of `size` digits behind one of the labels; empty when there is none. */
static struct text id_behind(struct text line, const char *const *labels, size_t size)
{
	for (; *labels != NULL; labels++) {
		const char *found = memmem(line.data, line.size, *labels, strlen(*labels));
		if (found == NULL)
			continue;
		size_t at = (size_t)(found - line.data) + strlen(*labels);
		while (at < line.size && strchr(":= \"", line.data[at]) != NULL &&
		       line.data[at] != '\0')
			at++;
		size_t end = at;
		while (end < line.size && is_hex(line.data[end]))
			end++;
		if (end - at == size)
			return (struct text){line.data + at, size};
	}
	return (struct text){0};
}

static void fill_text(struct draft *draft, enum field_id id, struct text text)
{
	assert(id != FIELD_OTHER);
	if (text.size > 0)
		draft_fill(draft, id, &(struct value){.type = VALUE_STRING, .text = text});
}

void plain_line_read(struct draft *draft, struct text line)
{
	static const char *const traces[] = {"TraceID", "traceId", "trace_id", "traceid", NULL};
	static const char *const spans[] = {"SpanID", "spanId", "span_id", "spanid", NULL};
	enum { LOOK_MAX = 1024 };
	if (line.size > LOOK_MAX)
		line.size = LOOK_MAX;
	read_level(draft, line);
	if (line.size == 0)
		return;
	fill_text(draft, FIELD_TRACE_ID, id_behind(line, traces, 32));
	fill_text(draft, FIELD_SPAN_ID, id_behind(line, spans, 16));
}

static bool is_safe(struct text t)
{
	static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
	for (size_t i = 0; i < t.size; i++)
		if (memchr(alphabet, t.data[i], sizeof alphabet - 1) == NULL)
			return false;
	return true;
}

/* Cuts the last -PART off a name; empty when there is none. */
static struct text cut_last(struct text *name)
{
	const char *dash = name->size == 0 ? NULL : memrchr(name->data, '-', name->size);
	if (dash == NULL)
		return (struct text){0};
	struct text part = text_cut(*name, (size_t)(dash + 1 - name->data));
	name->size = (size_t)(dash - name->data);
	return part;
}

void pod_name_read(struct draft *draft)
{
	const struct draft_field *pod = draft_get(draft, FIELD_K8S_POD_NAME);
	if (pod == NULL || pod->field.value.type != VALUE_STRING)
		return;
	struct text name = pod->field.value.text;
	struct text suffix = cut_last(&name);
	struct text hash = cut_last(&name);
	if (suffix.size != SUFFIX_SIZE || hash.size < HASH_SIZE_MIN || hash.size > HASH_SIZE_MAX ||
	    name.size == 0 || !is_safe(suffix) || !is_safe(hash))
		return;
	fill_text(draft, FIELD_DEPLOY_ID, hash);
	fill_text(draft, FIELD_SERVICE_NAME, name);
}
