#include "cli/doctor_private.h"

/* WHICH SIGNALS OF THE GATE A SERVICE'S LOGS CAN FEED.
 *
 * A signal is fed when the gate's own reader (signals_read) made something of an event: whatever
 * the fields hold, that is the proof. Three need another look, since a healthy service shows
 * nothing:
 *
 *   secret_in_log                       always: picket finds secrets itself
 *   error_signature                     an event that has a level and a text would be read if it
 *                                       were an error
 *   destination, internal_destination   one is as good as the other: the address decides which
 *
 * For a signal that is not fed, the fields that no event has are missing (signal_need.def). When
 * each is there and still nothing came of them, they never stood in one event with the values that
 * matter: then all that signal.def asks for is told. */

enum { SIGNALS_OF_NEED_MAX = 3 };

struct signal_need {
	const char *what, *fix;
	enum field_id fields[NEED_FIELDS_MAX]; /* one of them; FIELD_OTHER ends them early */
	enum signal signals[SIGNALS_OF_NEED_MAX];
	size_t signal_count;
};

#define UNWRAP(...) __VA_ARGS__
static const struct signal_need signal_needs[SIGNAL_NEEDS] = {
#define SIGNAL_NEED(what, fields, signals, fix) \
	{what,                                  \
	 fix,                                   \
	 {UNWRAP fields},                       \
	 {UNWRAP signals},                      \
	 sizeof((enum signal[]){UNWRAP signals}) / sizeof(enum signal)},
#include "cli/signal_need.def"
#undef SIGNAL_NEED
};

static bool is_for(const struct signal_need *need, enum signal signal)
{
	for (size_t i = 0; i < need->signal_count; i++)
		if (need->signals[i] == signal)
			return true;
	return false;
}

enum status signal_feeds_see(struct signal_feeds *feeds, const struct event *event,
			     struct bytes *keys)
{
	struct signal_readings readings;
	bool incomplete[SIGNAL_COUNT] = {false};
	enum status status = signals_read(event, keys, &readings);
	if (status != OK)
		return status;
	for (size_t i = 0; i < SIGNAL_NEEDS; i++) {
		const struct signal_need *need = &signal_needs[i];
		bool any = false;
		for (size_t k = 0; k < NEED_FIELDS_MAX && need->fields[k] != FIELD_OTHER; k++)
			any = any || doctor_has(event, need->fields[k]);
		feeds->have[i] += any;
		for (size_t k = 0; !any && k < need->signal_count; k++)
			incomplete[need->signals[k]] = true;
	}
	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		feeds->complete[i] += !incomplete[i];
	for (size_t i = 0; i < readings.count; i++)
		feeds->fed[readings.items[i].signal]++;
	return OK;
}

static bool is_fed(const struct signal_feeds *feeds, enum signal signal)
{
	switch (signal) {
	case SIGNAL_SECRET:
		return true;
	case SIGNAL_ERROR_SIGNATURE:
		return feeds->complete[signal] > 0;
	case SIGNAL_DESTINATION:
	case SIGNAL_INTERNAL_DESTINATION:
		return feeds->fed[SIGNAL_DESTINATION] + feeds->fed[SIGNAL_INTERNAL_DESTINATION] > 0;
	default:
		return feeds->fed[signal] > 0;
	}
}

/* A need that no event meets, and the signals that are blind for it. */
static void write_missing(const struct signal_feeds *feeds, const struct signal_need *need,
			  struct json_writer *json)
{
	json_write_open(json, NULL, '{');
	json_write_string(json, "fields", need->what);
	json_write_open(json, "signals", '[');
	for (size_t i = 0; i < need->signal_count; i++)
		if (!is_fed(feeds, need->signals[i]))
			json_write_string(json, NULL, signal_info(need->signals[i])->name);
	json_write_close(json, ']');
	json_write_string(json, "fix", need->fix);
	json_write_close(json, '}');
}

/* Does any signal wait for the need, which no event meets? */
static bool is_missing(const struct signal_feeds *feeds, size_t need)
{
	bool wanted = false;
	for (size_t i = 0; i < signal_needs[need].signal_count; i++)
		wanted = wanted || !is_fed(feeds, signal_needs[need].signals[i]);
	return wanted && feeds->have[need] == 0;
}

/* Has the service each field that the signal needs, though never so that it can be read? */
static bool is_scattered(const struct signal_feeds *feeds, enum signal signal)
{
	bool all = true;
	for (size_t i = 0; i < SIGNAL_NEEDS; i++)
		all = all && (feeds->have[i] > 0 || !is_for(&signal_needs[i], signal));
	return all && !is_fed(feeds, signal);
}

void signal_feeds_write(const struct signal_feeds *feeds, struct json_writer *json)
{
	size_t count = 0;
	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		count += is_fed(feeds, (enum signal)i);
	json_write_open(json, "signals", '{');
	json_write_count(json, "can_feed", count);
	json_write_count(json, "of", SIGNAL_COUNT);
	json_write_open(json, "fed", '[');
	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		if (is_fed(feeds, (enum signal)i))
			json_write_string(json, NULL, signal_info((enum signal)i)->name);
	json_write_close(json, ']');
	json_write_open(json, "missing", '[');
	for (size_t i = 0; i < SIGNAL_NEEDS; i++)
		if (is_missing(feeds, i))
			write_missing(feeds, &signal_needs[i], json);
	for (size_t i = 0; i < SIGNAL_COUNT; i++) {
		const struct signal_need scattered = {
			.what = signal_info((enum signal)i)->needs,
			.fix = "log all of this in one event",
			.signals = {(enum signal)i},
			.signal_count = 1,
		};
		if (is_scattered(feeds, (enum signal)i))
			write_missing(feeds, &scattered, json);
	}
	json_write_close(json, ']');
	json_write_close(json, '}');
}
