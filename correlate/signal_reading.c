#include "correlate/signal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "correlate/tally_private.h"
#include "correlate/template.h"
#include "rules/cidr.h"

/* WHICH CASES AN EVENT IS ONE OF.
 *
 *   signal            key                              shown                kept / refused
 *   authz_allow       roles, case                      allowed, or 2xx      - / denied, or 403
 *   tenant_breach     roles, case                      2xx or success,      the same, tenants equal
 *                                                      tenants differ
 *   unauthenticated   METHOD route                     2xx without a user   2xx with one / 401, 403
 *                                                                           without one
 *   plaintext         callee                           http, no TLS, or     TLS 1.2 or newer, or
 *                                                      TLS 1.0 or 1.1       https
 *   destination       host:port, or network:port       called
 *   edge              service.target.name              called
 *   privileged_call   event.action                     iam, configuration, not a failure
 *   secret_in_log     kind in field                    found by ingest/privacy.c
 *   error_signature   error.type: template             log.level error or worse
 *   route             METHOD route                     any status but 404, 405 and 501
 *
 *   case = METHOD route, else event.action and picket.resource.type. Roles are sorted; a case that
 *   touches another tenant's data is a case of its own. An event without roles is of nobody in
 *   particular and no case of authz_allow.
 *
 * A host is in lower case, its digits masked (shard7.example.net is shard#.example.net); of an
 * address of the internet the /24 (IPv6: /48) counts. Only what is known to be an outgoing call has
 * a destination: the same fields of an incoming request hold what the caller chose (its Host
 * header). */

enum { CASE_MAX = 512 };

static bool is_word(struct text value, const char *word)
{
	size_t size = strlen(word);
	bool same = size == value.size;
	for (size_t i = 0; same && i < size; i++)
		same = tolower((unsigned char)value.data[i]) == word[i];
	return same;
}

/* Where the readings go; each key begins behind the one before. */
struct reader {
	const struct event *event;
	bool present[FIELD_COUNT]; /* most events have few of the fields that are asked for */
	struct outcome_reading outcome;
	struct bytes *keys;
	size_t starts[SIGNAL_READINGS_MAX];
	struct signal_readings *to;
	char of_roles[CASE_MAX]; /* "admin,viewer" */
	size_t of_roles_size;
};

/* Is any value of the field the word? */
static bool any_is(const struct reader *reader, enum field_id id, const char *word)
{
	const struct event *event = reader->event;
	for (size_t i = 0; reader->present[id] && i < event->field_count; i++)
		if (event->fields[i].id == id && is_word(event->fields[i].value.text, word))
			return true;
	return false;
}

static struct bytes *reading_begin(struct reader *reader)
{
	if (reader->to->count < SIGNAL_READINGS_MAX)
		reader->starts[reader->to->count] = reader->keys->size;
	return reader->keys;
}

/* The key is all that was written since reading_begin(); the views are made when all is written. */
static void reading_end(struct reader *reader, enum signal signal, enum signal_face face)
{
	struct signal_readings *to = reader->to;
	if (to->count == SIGNAL_READINGS_MAX)
		return;
	size_t size = reader->keys->size - reader->starts[to->count];
	if (size > COHORT_NAME_MAX)
		size = COHORT_NAME_MAX;
	if (size > 0)
		to->items[to->count++] = (struct signal_reading){signal, face, {NULL, size}};
}

static bool is_success(const struct reader *reader)
{
	enum { FIRST_GOOD = 200, FIRST_OTHER = 300 };
	int64_t status = reader->outcome.http_status;
	if (reader->outcome.is_request)
		return status >= FIRST_GOOD && status < FIRST_OTHER;
	return any_is(reader, FIELD_EVENT_OUTCOME, "success");
}

static int role_compare(const void *left, const void *right)
{
	return text_compare(*(const struct text *)left, *(const struct text *)right);
}

/* "admin,viewer" of user.roles; nothing when there are none or too many to tell a class by. */
static void read_roles(struct reader *reader)
{
	struct text roles[SIGNAL_ROLES_MAX];
	size_t count = 0;
	for (size_t i = 0; i < reader->event->field_count; i++) {
		const struct field *field = &reader->event->fields[i];
		if (field->id != FIELD_USER_ROLES || field->value.text.size == 0)
			continue;
		if (count == SIGNAL_ROLES_MAX)
			return;
		roles[count++] = field->value.text;
	}
	qsort(roles, count, sizeof *roles, role_compare);
	size_t size = 0;
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && text_equal(roles[i], roles[i - 1]))
			continue;
		if (size + roles[i].size + 1 > sizeof reader->of_roles)
			return;
		if (size > 0)
			reader->of_roles[size++] = ',';
		memcpy(reader->of_roles + size, roles[i].data, roles[i].size);
		size += roles[i].size;
	}
	reader->of_roles_size = size;
}

static bool put_route(const struct reader *reader, struct bytes *to)
{
	struct text method = event_text(reader->event, FIELD_HTTP_METHOD);
	struct text route = event_text(reader->event, FIELD_HTTP_ROUTE);
	if (route.size == 0)
		return false;
	bytes_write(to, method);
	if (method.size > 0)
		bytes_put_u8(to, ' ');
	bytes_write(to, route);
	return true;
}

/* What was asked for; false when the event does not say it. */
static bool put_case(const struct reader *reader, struct bytes *to)
{
	struct text action = event_text(reader->event, FIELD_EVENT_ACTION);
	struct text type = event_text(reader->event, FIELD_RESOURCE_TYPE);
	if (reader->of_roles_size > 0) {
		bytes_put(to, reader->of_roles, reader->of_roles_size);
		bytes_put_u8(to, ' ');
	}
	if (put_route(reader, to))
		return true;
	bytes_write(to, action);
	if (type.size > 0)
		bytes_put_u8(to, ' ');
	bytes_write(to, type);
	return action.size > 0;
}

static void read_decision(struct reader *reader, bool foreign)
{
	enum { FORBIDDEN = 403 };
	bool denied = any_is(reader, FIELD_EVENT_TYPE, "denied") ||
		      reader->outcome.http_status == FORBIDDEN;
	bool allowed = !denied && (any_is(reader, FIELD_EVENT_TYPE, "allowed") ||
				   (reader->outcome.is_request && is_success(reader)));
	if (reader->of_roles_size == 0 || (!denied && !allowed))
		return;
	struct bytes *to = reading_begin(reader);
	if (!put_case(reader, to))
		return;
	if (foreign)
		bytes_write(to, TEXT(" (another tenant's)"));
	reading_end(reader, SIGNAL_AUTHZ_ALLOW, denied ? FACE_REFUSED : FACE_SHOWN);
}

static void read_access(struct reader *reader)
{
	struct text tenant = event_text(reader->event, FIELD_TENANT_ID);
	struct text target = event_text(reader->event, FIELD_TARGET_TENANT_ID);
	bool known = tenant.size > 0 && target.size > 0;
	bool foreign = known && !text_equal(tenant, target);
	read_decision(reader, foreign);
	if (!known || !is_success(reader))
		return;
	struct bytes *to = reading_begin(reader);
	if (put_case(reader, to))
		reading_end(reader, SIGNAL_TENANT_BREACH, foreign ? FACE_SHOWN : FACE_KEPT);
}

static void read_request(struct reader *reader)
{
	enum { UNAUTHORIZED = 401, FORBIDDEN = 403, NOT_FOUND = 404, NO_METHOD = 405, NONE = 501 };
	int64_t status = reader->outcome.http_status;
	if (!reader->outcome.is_request || status == NOT_FOUND || status == NO_METHOD ||
	    status == NONE)
		return;
	bool named = event_text(reader->event, FIELD_USER_ID).size > 0 ||
		     event_text(reader->event, FIELD_USER_NAME).size > 0;
	bool refused = status == UNAUTHORIZED || status == FORBIDDEN;
	if (put_route(reader, reading_begin(reader)))
		reading_end(reader, SIGNAL_ROUTE, FACE_SHOWN);
	if (!is_success(reader) && (named || !refused))
		return;
	if (put_route(reader, reading_begin(reader))) {
		enum signal_face face = named ? FACE_KEPT : FACE_SHOWN;
		reading_end(reader, SIGNAL_UNAUTHENTICATED, refused ? FACE_REFUSED : face);
	}
}

static bool is_outgoing(const struct reader *reader)
{
	return any_is(reader, FIELD_NETWORK_DIRECTION, "outbound") ||
	       any_is(reader, FIELD_NETWORK_DIRECTION, "egress") ||
	       any_is(reader, FIELD_SPAN_KIND, "client") ||
	       any_is(reader, FIELD_SPAN_KIND, "producer") ||
	       any_is(reader, FIELD_SPAN_KIND, "span_kind_client") ||
	       any_is(reader, FIELD_SPAN_KIND, "span_kind_producer") ||
	       reader->present[FIELD_SERVICE_TARGET_NAME];
}

/* The network that counts as one place; false when t is no address. */
static bool put_network(struct text t, struct bytes *to, bool *ret_internal)
{
	static const char *const INTERNAL[] = {"10.0.0.0/8",  "172.16.0.0/12",  "192.168.0.0/16",
					       "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10",
					       "fc00::/7",    "fe80::/10",      "::1/128"};
	static const unsigned char MAPPED[12] = {[10] = 0xff, [11] = 0xff};
	enum { V4_PREFIX = 24, V6_PREFIX = 48, V4_AT = 12, V6_BYTES = 6 };
	struct cidr address;
	char printed[INET6_ADDRSTRLEN] = "";
	char network[INET6_ADDRSTRLEN + sizeof "/48"];
	if (!cidr_parse(t, &address))
		return false;
	*ret_internal = false;
	for (size_t i = 0; i < sizeof INTERNAL / sizeof *INTERNAL; i++) {
		struct cidr one;
		if (cidr_parse(text_of(INTERNAL[i]), &one) && cidr_contains(&one, &address))
			*ret_internal = true;
	}
	bool four = memcmp(address.address, MAPPED, sizeof MAPPED) == 0;
	if (four)
		address.address[V4_AT + 3] = 0;
	else
		memset(address.address + V6_BYTES, 0, sizeof address.address - V6_BYTES);
	if (inet_ntop(four ? AF_INET : AF_INET6, address.address + (four ? V4_AT : 0), printed,
		      sizeof printed) == NULL)
		return false;
	(void)snprintf(network, sizeof network, "%s/%d", printed, four ? V4_PREFIX : V6_PREFIX);
	bytes_write(to, text_of(network));
	return true;
}

/* A host name; a run of digits is one '#'. */
static void put_host(struct text host, struct bytes *to)
{
	if (host.size > 0 && host.data[host.size - 1] == '.')
		host.size--;
	for (size_t i = 0; i < host.size; i++) {
		bool digit = isdigit((unsigned char)host.data[i]) != 0;
		if (!digit)
			bytes_put_u8(to, (uint8_t)tolower((unsigned char)host.data[i]));
		else if (i == 0 || !isdigit((unsigned char)host.data[i - 1]))
			bytes_put_u8(to, '#');
	}
}

void signal_destination(struct text written, struct bytes *to)
{
	bool internal = false;
	size_t colon = written.size;
	while (colon > 0 && written.data[colon - 1] != ':' && written.data[colon - 1] != ']')
		colon--;
	bool ported = colon > 0 && written.data[colon - 1] == ':' &&
		      memchr(written.data, ':', colon - 1) == NULL;
	struct text host = {written.data, ported ? colon - 1 : written.size};
	if (!put_network(host, to, &internal))
		put_host(host, to);
	bytes_put_u8(to, ':');
	bytes_write(to, ported ? text_cut(written, colon) : TEXT("*"));
}

/* A name that only our own name servers know. */
static bool is_internal_host(struct text host)
{
	static const char *const SUFFIXES[] = {".local", ".internal",    ".svc",
					       ".lan",   ".localdomain", ".home.arpa",
					       ".corp",  ".intranet",    ".consul"};
	if (host.size > 0 && host.data[host.size - 1] == '.')
		host.size--;
	if (host.size == 0 || memchr(host.data, '.', host.size) == NULL)
		return true;
	for (size_t i = 0; i < sizeof SUFFIXES / sizeof *SUFFIXES; i++) {
		size_t size = strlen(SUFFIXES[i]);
		if (host.size > size && is_word(text_cut(host, host.size - size), SUFFIXES[i]))
			return true;
	}
	return false;
}

/* "host:port"; false when the call names no place. */
static bool put_destination(const struct event *event, struct bytes *to, bool *ret_internal)
{
	struct text domain = event_text(event, FIELD_DESTINATION_DOMAIN);
	struct text ip = event_text(event, FIELD_DESTINATION_IP);
	struct text port = event_text(event, FIELD_DESTINATION_PORT);
	struct bytes ignored cleanup(bytes_done) = {0};
	bool internal_address = false;
	bool is_address = put_network(ip, &ignored, &internal_address);
	if (domain.size == 0 && !is_address)
		domain = ip; /* OpenTelemetry writes names there as well */
	if (domain.size == 0 && !is_address)
		return false;
	*ret_internal = internal_address;
	if (domain.size == 0)
		(void)put_network(ip, to, ret_internal);
	else if (!put_network(domain, to, ret_internal)) {
		put_host(domain, to);
		*ret_internal = internal_address || is_internal_host(domain);
	}
	bytes_put_u8(to, ':');
	bytes_write(to, port.size > 0 ? port : TEXT("*"));
	return true;
}

/* Is the call encrypted? False in *ret_known when the event does not say it. */
static bool is_encrypted(const struct reader *reader, bool *ret_known)
{
	struct text version = event_text(reader->event, FIELD_TLS_VERSION);
	bool weak = is_word(version, "1.0") || is_word(version, "1.1") || is_word(version, "1") ||
		    is_word(version, "tlsv1") || is_word(version, "tlsv1.0") ||
		    is_word(version, "tlsv1.1") || is_word(version, "sslv3") ||
		    is_word(version, "3.0");
	bool none = any_is(reader, FIELD_TLS_ESTABLISHED, "false") ||
		    any_is(reader, FIELD_URL_SCHEME, "http") ||
		    any_is(reader, FIELD_URL_SCHEME, "ws");
	bool some = version.size > 0 || any_is(reader, FIELD_TLS_ESTABLISHED, "true") ||
		    any_is(reader, FIELD_URL_SCHEME, "https") ||
		    any_is(reader, FIELD_URL_SCHEME, "wss");
	*ret_known = none || some;
	return some && !none && !weak;
}

static void read_call(struct reader *reader)
{
	const struct event *event = reader->event;
	struct text target = event_text(event, FIELD_SERVICE_TARGET_NAME);
	bool internal = false;
	bool known = false;
	if (!is_outgoing(reader))
		return;
	if (put_destination(event, reading_begin(reader), &internal))
		reading_end(reader, internal ? SIGNAL_INTERNAL_DESTINATION : SIGNAL_DESTINATION,
			    FACE_SHOWN);
	bytes_write(reading_begin(reader), target);
	reading_end(reader, SIGNAL_EDGE, FACE_SHOWN);
	bool encrypted = is_encrypted(reader, &known);
	if (!known)
		return;
	struct bytes *to = reading_begin(reader);
	if (target.size > 0)
		bytes_write(to, target);
	else if (!put_destination(event, to, &internal))
		return;
	reading_end(reader, SIGNAL_PLAINTEXT, encrypted ? FACE_KEPT : FACE_SHOWN);
}

static void read_privileged(struct reader *reader)
{
	if ((!any_is(reader, FIELD_EVENT_CATEGORY, "iam") &&
	     !any_is(reader, FIELD_EVENT_CATEGORY, "configuration")) ||
	    any_is(reader, FIELD_EVENT_OUTCOME, "failure"))
		return;
	bytes_write(reading_begin(reader), event_text(reader->event, FIELD_EVENT_ACTION));
	reading_end(reader, SIGNAL_PRIVILEGED_CALL, FACE_SHOWN);
}

/* Kinds and fields of secrets stand in pairs, in order (ingest/privacy.c). */
static void read_secrets(struct reader *reader)
{
	const struct event *event = reader->event;
	size_t at = 0;
	for (size_t i = 0; reader->present[FIELD_SECRET_KIND] && i < event->field_count; i++) {
		if (event->fields[i].id != FIELD_SECRET_KIND)
			continue;
		while (at < event->field_count && event->fields[at].id != FIELD_SECRET_FIELD)
			at++;
		struct bytes *to = reading_begin(reader);
		bytes_write(to, event->fields[i].value.text);
		if (at < event->field_count) {
			bytes_write(to, TEXT(" in "));
			bytes_write(to, event->fields[at++].value.text);
		}
		reading_end(reader, SIGNAL_SECRET, FACE_SHOWN);
	}
}

static void read_error(struct reader *reader)
{
	const struct event *event = reader->event;
	struct text type = event_text(event, FIELD_ERROR_TYPE);
	struct text line = event_text(event, FIELD_ERROR_MESSAGE);
	if ((reader->outcome.bad >> OUTCOME_ERROR_LOG & 1) == 0)
		return;
	if (line.size == 0)
		line = event_text(event, FIELD_MESSAGE);
	struct bytes *to = reading_begin(reader);
	bytes_write(to, type);
	if (type.size > 0 && line.size > 0)
		bytes_write(to, TEXT(": "));
	template_write(line, to);
	reading_end(reader, SIGNAL_ERROR_SIGNATURE, FACE_SHOWN);
}

enum status signals_read_of(const struct event *event, const struct outcome_reading *outcome,
			    struct bytes *keys, struct signal_readings *ret_readings)
{
	struct signal_readings readings = {.count = 0};
	struct reader reader = {.event = event, .outcome = *outcome, .keys = keys, .to = &readings};
	for (size_t i = 0; i < event->field_count; i++)
		reader.present[event->fields[i].id] = true;
	bytes_clear(keys);
	if (reader.present[FIELD_USER_ROLES])
		read_roles(&reader);
	read_access(&reader);
	read_request(&reader);
	read_call(&reader);
	read_privileged(&reader);
	read_secrets(&reader);
	read_error(&reader);
	if (keys->failed)
		return ENOMEMORY;
	for (size_t i = 0; i < readings.count; i++) {
		assert(reader.starts[i] + readings.items[i].key.size <= keys->size);
		readings.items[i].key.data = (const char *)keys->data + reader.starts[i];
	}
	*ret_readings = readings;
	return OK;
}

enum status signals_read(const struct event *event, struct bytes *keys,
			 struct signal_readings *ret_readings)
{
	struct outcome_reading outcome = outcomes_read(event);
	return signals_read_of(event, &outcome, keys, ret_readings);
}
