#include "correlate/signal.h"

#include <assert.h>

#include "correlate/tally_private.h"

/* The stored row of a trait.
 *
 * trait = u8 VERSION, text service, text version, text deploy id, text name, text key, body
 *   name = of the signal, as in signal.def: a new signal does not change the rows of others
 *   body = varint kept, varint refused, signed met first, signed met last,
 *          varint principal count, u64le principal*, u8 shown,
 *          and when it was shown the body of a finding (cohort_codec.c)
 *
 * A row of a signal that this build does not know is skipped by its name, not refused. */

enum { VERSION = 1 };

/* The same as of what is counted (cohort_counter.c): months can be added to any time. */
static const int64_t TIME_US_MAX = INT64_MAX / 2;

static const struct signal_info SIGNALS[] = {
#define SIGNAL(id, name, level, judged, kept, refused, doc, needs) \
	{name, doc, needs, SIGNAL_##level, SIGNAL_##judged, kept, refused},
#include "correlate/signal.def"
#undef SIGNAL
};

const struct signal_info *signal_info(enum signal signal)
{
	assert(signal < SIGNAL_COUNT);
	return &SIGNALS[signal];
}

bool signal_find(struct text name, enum signal *ret_signal)
{
	for (int i = 0; i < SIGNAL_COUNT; i++) {
		if (!text_equal(name, text_of(SIGNALS[i].name)))
			continue;
		*ret_signal = (enum signal)i;
		return true;
	}
	return false;
}

const char *signal_level_name(enum signal_level level)
{
	static const char *const NAMES[] = {"off", "info", "soft", "hard"};
	assert(level <= SIGNAL_HARD);
	return NAMES[level];
}

void trait_add_principal(struct trait *trait, uint64_t principal)
{
	size_t at = trait->principal_count;
	if (principal == 0)
		return;
	while (at > 0 && trait->principals[at - 1] > principal)
		at--;
	if ((at > 0 && trait->principals[at - 1] == principal) || at == SIGNAL_PRINCIPALS_MAX)
		return;
	if (trait->principal_count == SIGNAL_PRINCIPALS_MAX)
		trait->principal_count--;
	memmove(trait->principals + at + 1, trait->principals + at,
		(trait->principal_count - at) * sizeof *trait->principals);
	trait->principals[at] = principal;
	trait->principal_count++;
}

void trait_add(struct trait *into, const struct trait *more)
{
	const struct finding *shown = &more->shown;
	tally_add(&into->kept, more->kept);
	tally_add(&into->refused, more->refused);
	tally_add(&into->shown.count, shown->count);
	if (shown->first_us < into->shown.first_us)
		into->shown.first_us = shown->first_us;
	if (shown->last_us > into->shown.last_us)
		into->shown.last_us = shown->last_us;
	if (more->met_first_us < into->met_first_us)
		into->met_first_us = more->met_first_us;
	if (more->met_last_us > into->met_last_us)
		into->met_last_us = more->met_last_us;
	for (size_t i = 0; i < more->principal_count; i++)
		trait_add_principal(into, more->principals[i]);
}

void trait_name(const struct trait *trait, struct bytes *to)
{
	const char *name = signal_info(trait->signal)->name;
	bytes_write_string(to, name);
	bytes_put_u8(to, ' ');
	bytes_write(to, trait->shown.rule_key);
}

static void trait_body_put(const struct trait *trait, struct bytes *to)
{
	bytes_put_varint(to, trait->kept);
	bytes_put_varint(to, trait->refused);
	bytes_put_signed(to, trait->met_first_us);
	bytes_put_signed(to, trait->met_last_us);
	bytes_put_varint(to, trait->principal_count);
	for (size_t i = 0; i < trait->principal_count; i++)
		bytes_put_u64le(to, trait->principals[i]);
	bytes_put_u8(to, trait->shown.count > 0);
	if (trait->shown.count > 0)
		finding_body_put(&trait->shown, to);
}

static void trait_body_take(struct cursor *from, struct trait *trait)
{
	trait->kept = cursor_varint(from);
	trait->refused = cursor_varint(from);
	trait->met_first_us = cursor_signed(from);
	trait->met_last_us = cursor_signed(from);
	uint64_t count = cursor_varint(from);
	from->failed |= count > SIGNAL_PRINCIPALS_MAX || trait->kept > COHORT_COUNT_MAX ||
			trait->refused > COHORT_COUNT_MAX ||
			trait->met_first_us > trait->met_last_us ||
			trait->met_first_us < -TIME_US_MAX || trait->met_last_us > TIME_US_MAX;
	for (size_t i = 0; i < count && !from->failed; i++) {
		trait->principals[i] = cursor_u64le(from);
		from->failed |= trait->principals[i] == 0 ||
				(i > 0 && trait->principals[i] <= trait->principals[i - 1]);
	}
	trait->principal_count = from->failed ? 0 : (size_t)count;
	trait->shown.first_us = INT64_MAX;
	trait->shown.last_us = INT64_MIN;
	if (cursor_u8(from) == 0 || from->failed)
		return;
	finding_body_take(from, &trait->shown);
	from->failed |= trait->shown.count == 0 || trait->shown.first_us < trait->met_first_us ||
			trait->shown.last_us > trait->met_last_us;
}

void trait_encode(const struct trait *trait, struct bytes *to)
{
	bytes_put_u8(to, VERSION);
	bytes_put_text(to, trait->shown.service);
	bytes_put_text(to, trait->shown.arm.version);
	bytes_put_text(to, trait->shown.arm.deploy_id);
	bytes_put_text(to, text_of(signal_info(trait->signal)->name));
	bytes_put_text(to, trait->shown.rule_key);
	trait_body_put(trait, to);
}

enum status trait_decode(struct text encoded, struct trait *ret_trait, struct error *err)
{
	struct cursor from = cursor_of(encoded);
	from.failed |= cursor_u8(&from) != VERSION;
	struct trait trait = {.shown.service = cursor_text(&from)};
	trait.shown.arm.version = cursor_text(&from);
	trait.shown.arm.deploy_id = cursor_text(&from);
	struct text name = cursor_text(&from);
	trait.shown.rule_key = cursor_text(&from);
	trait_body_take(&from, &trait);
	if (from.failed || cursor_left(&from) != 0)
		return error_set(err, ECORRUPT, "canary signal: damaged");
	if (!signal_find(name, &trait.signal))
		return error_set(err, ENOTFOUND, "canary signal: this build does not know %.*s",
				 TEXT_ARG(name));
	*ret_trait = trait;
	return OK;
}
