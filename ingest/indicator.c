#include "ingest/indicator.h"

#include <strings.h>

static struct text trim(struct text t)
{
	while (t.size > 0 && strchr(" \t\r\n\"'", t.data[0]) != NULL)
		t = text_cut(t, 1);
	while (t.size > 0 && strchr(" \t\r\n\"'", t.data[t.size - 1]) != NULL)
		t.size--;
	return t;
}

static bool cut_caseless(struct text *t, const char *prefix)
{
	size_t size = strlen(prefix);
	if (t->size < size || strncasecmp(t->data, prefix, size) != 0)
		return false;
	*t = text_cut(*t, size);
	return true;
}

/* [.] and (.) are a dot, [:] is a colon: written so that nobody clicks on them. */
static size_t refang(struct text t, char *to)
{
	size_t size = 0;
	for (size_t i = 0; i < t.size; i++) {
		bool hidden = i + 2 < t.size && (t.data[i] == '[' || t.data[i] == '(') &&
			      (t.data[i + 1] == '.' || t.data[i + 1] == ':') &&
			      (t.data[i + 2] == ']' || t.data[i + 2] == ')');
		to[size++] = hidden ? t.data[i + 1] : t.data[i];
		i += hidden ? 2 : 0;
	}
	return size;
}

/* 1.2.3.4:443, [2001:db8::1]:443 */
static bool read_with_port(struct text t, struct cidr *ret_network)
{
	const char *colon = t.size == 0 ? NULL : memrchr(t.data, ':', t.size);
	if (colon == NULL)
		return false;
	struct text host = {t.data, (size_t)(colon - t.data)};
	struct text port = text_cut(t, host.size + 1);
	for (size_t i = 0; i < port.size; i++)
		if (port.data[i] < '0' || port.data[i] > '9')
			return false;
	if (port.size == 0 || port.size > 5)
		return false;
	bool brackets = host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
	if (brackets)
		host = (struct text){host.data + 1, host.size - 2};
	else if (memchr(host.data, ':', host.size) != NULL)
		return false; /* an IPv6 address: its last group is no port */
	return cidr_parse(host, ret_network);
}

struct text indicator_host(struct text form)
{
	const char *end = form.size == 0 ? NULL : memchr(form.data, '/', form.size);
	struct text host = {form.data, end == NULL ? form.size : (size_t)(end - form.data)};
	const char *at = host.size == 0 ? NULL : memchr(host.data, '@', host.size);
	if (at != NULL && end != NULL) /* user:password@host/, not a mail address */
		host = text_cut(host, (size_t)(at - host.data) + 1);
	const char *colon = host.size == 0 ? NULL : memchr(host.data, ':', host.size);
	if (colon != NULL)
		host.size = (size_t)(colon - host.data);
	return host;
}

struct indicator indicator_read(struct text written, char buffer[static INDICATOR_BYTES_MAX])
{
	struct indicator none = {.kind = INDICATOR_NONE};
	struct indicator found = {.kind = INDICATOR_NETWORK};
	struct text t = trim(written);
	if (t.size == 0 || t.size > INDICATOR_BYTES_MAX)
		return none;
	t = (struct text){buffer, refang(t, buffer)};
	if (cidr_parse(t, &found.network) || read_with_port(t, &found.network))
		return found;
	bool url = cut_caseless(&t, "https://") || cut_caseless(&t, "http://") ||
		   cut_caseless(&t, "hxxps://") || cut_caseless(&t, "hxxp://");
	while (url && t.size > 0 && t.data[t.size - 1] == '/')
		t.size--;
	bool path = memchr(t.data, '/', t.size) != NULL;
	while (!path && t.size > 0 && t.data[t.size - 1] == '.')
		t.size--;
	if (t.size == 0 || memchr(t.data, ' ', t.size) != NULL)
		return none;
	for (size_t i = 0; i < t.size && t.data[i] != '/'; i++)
		if (t.data[i] >= 'A' && t.data[i] <= 'Z')
			buffer[(size_t)(t.data - buffer) + i] = (char)(t.data[i] - 'A' + 'a');
	return (struct indicator){.kind = INDICATOR_TEXT, .text = t};
}
