/* What receivers are sent.
 *
 * Alertmanager (API v2, POST /api/v2/alerts): an array of {labels, annotations, startsAt, endsAt}.
 * It knows an alert by its labels alone, so these hold only what stays the same for all episodes of
 * a rule, tenant and group: a silence of yesterday still fits tonight, and the next episode is not
 * a second alert. Counts, times and ids go into annotations. An open alert gets an end some minutes
 * ahead, which delivery.c moves on as long as the alert is open: when picket dies Alertmanager
 * resolves what nobody vouches for any more. A merged alert says nothing: its labels are those of
 * the one it went into.
 *
 * Webhook: one alert a message, schema picket.alert/1, as `picket alerts show -o json` prints it.
 * Signed like most webhooks are: HMAC-SHA-256 over "SECONDS.BODY", the seconds beside it so that a
 * receiver can refuse what is old. */
#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#include "cli/json_writer.h"
#include "cli/receiver.h"

enum { OPEN_FOR_US = 4 * 60 * 1000000, LABEL_NAME_MAX = 128 };

/* A field name as a label name: source.ip -> source_ip. */
static const char *label_name(struct text field, char buffer[static LABEL_NAME_MAX])
{
	size_t size = field.size < LABEL_NAME_MAX - 1 ? field.size : LABEL_NAME_MAX - 1;
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)field.data[i];
		bool good = isalpha(c) || c == '_' || (i > 0 && isdigit(c));
		buffer[i] = (char)(good && c < 0x80 ? c : '_');
	}
	buffer[size] = '\0';
	return buffer;
}

/* An empty label is no label to Alertmanager. */
static void put_label(struct json_writer *json, const char *name, struct text value)
{
	if (value.size > 0)
		json_write_text(json, name, value);
}

static void put_labels(const struct alert *alert, struct json_writer *json)
{
	char name[LABEL_NAME_MAX];
	struct cursor from = cursor_of(alert->group);
	json_write_open(json, "labels", '{');
	json_write_text(json, "alertname",
			alert->rule_name.size > 0 ? alert->rule_name : alert->rule_title);
	json_write_string(json, "severity", level_name(alert->level));
	json_write_string(json, "source", "picket");
	put_label(json, "rule_id", alert->rule_id);
	put_label(json, "tenant", alert->tenant);
	while (cursor_left(&from) > 0 && !from.failed) {
		struct text field = cursor_text(&from);
		struct text value = cursor_text(&from);
		/* The tenant joins every group; it has its label already. */
		if (!text_equal(field, TEXT("tenant.id")))
			put_label(json, label_name(field, name), value);
	}
	json_write_close(json, '}');
}

static void put_annotations(const struct alert *alert, struct json_writer *json)
{
	char text[64];
	json_write_open(json, "annotations", '{');
	json_write_text(json, "summary", alert->rule_title);
	json_write_text(json, "description", alert->reason);
	(void)snprintf(text, sizeof text, "%" PRIu64, alert->count);
	json_write_string(json, "count", text);
	json_write_time(json, "first", alert->first_us);
	json_write_time(json, "last", alert->last_us);
	json_write_string(json, "alert_id", alert->id);
	(void)snprintf(text, sizeof text, "picket alerts show %.12s", alert->id);
	json_write_string(json, "next", text);
	json_write_close(json, '}');
}

static void put_alertmanager(const struct alert *alert, int64_t now_us, struct json_writer *json)
{
	json_write_open(json, NULL, '{');
	put_labels(alert, json);
	put_annotations(alert, json);
	json_write_time(json, "startsAt", alert->first_us);
	json_write_time(json, "endsAt",
			alert->state == ALERT_OPEN ? now_us + OPEN_FOR_US : alert->last_us);
	json_write_close(json, '}');
}

void receiver_message(enum receiver_kind kind, const struct alert *alerts, size_t count,
		      int64_t now_us, struct bytes *to)
{
	assert(count > 0 && (kind == RECEIVER_ALERTMANAGER || count == 1));
	if (kind == RECEIVER_WEBHOOK) {
		alert_json(&alerts[0], false, to);
		return;
	}
	struct json_writer json = {.to = to};
	json_write_open(&json, NULL, '[');
	for (size_t i = 0; i < count; i++) {
		assert(alerts[i].state != ALERT_MERGED);
		put_alertmanager(&alerts[i], now_us, &json);
	}
	json_write_close(&json, ']');
}

void receiver_signature(struct text secret, int64_t now_us, struct text body, struct bytes *to)
{
	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	char hex[2 * sizeof mac + 1];
	char head[32];
	crypto_auth_hmacsha256_state state;
	int size = snprintf(head, sizeof head, "%" PRId64 ".", now_us / 1000000);
	assert(size > 0 && (size_t)size < sizeof head && secret.size > 0);
	(void)crypto_auth_hmacsha256_init(&state, (const unsigned char *)secret.data, secret.size);
	(void)crypto_auth_hmacsha256_update(&state, (const unsigned char *)head, (size_t)size);
	(void)crypto_auth_hmacsha256_update(&state, (const unsigned char *)body.data, body.size);
	(void)crypto_auth_hmacsha256_final(&state, mac);
	(void)sodium_bin2hex(hex, sizeof hex, mac, sizeof mac);
	bytes_write_string(to, "t=");
	bytes_put(to, head, (size_t)size - 1);
	bytes_write_string(to, ",v1=");
	bytes_put(to, hex, sizeof hex - 1);
}

void receiver_test_message(enum receiver_kind kind, int64_t now_us, struct bytes *to)
{
	struct alert alert = {
		.id = "00000000000000000000000000000000",
		.revision = 1,
		.state = ALERT_ENDED, /* nothing is to be done about it */
		.rule_id = TEXT("picket.test"),
		.rule_name = TEXT("picket_test"),
		.rule_title = TEXT("Test of the way to this receiver"),
		.rule_key = TEXT("picket.test"),
		.level = LEVEL_INFORMATIONAL,
		.count = 1,
		.first_us = now_us,
		.last_us = now_us,
		.reason = TEXT("somebody ran `picket receivers test`; nothing has happened"),
	};
	receiver_message(kind, &alert, 1, now_us, to);
}
