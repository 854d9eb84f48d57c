/* The values of an event's fields, for groups and for conditions over values.
 *
 * A tuple becomes 'p' and its texts as they are, or 'd' and a digest (BLAKE2b of 32 bytes) when
 * that would be longer than RECORD_VALUE_BYTES_MAX: equal tuples are equal texts either way, and a
 * record stays small. */
#include "correlate/values_private.h"

#include <assert.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>

#include "rules/number.h"

enum { TUPLE_DIGEST_BYTES = 32 };

static const int64_t millionths = 1000000;

/* Doubles are exact integers below 2^53. */
static const double exact_integer_max = 9007199254740992.0;

/* Numbers that are equal are one group: 7, 7.0 and "7". Digits of a fraction stay as written. */
static struct text canonical(const struct value *value, char number[VALUE_NUMBER_BYTES_MAX])
{
	int size = 0;
	switch (value->type) {
	case VALUE_INTEGER:
		size = snprintf(number, VALUE_NUMBER_BYTES_MAX, "%lld", (long long)value->integer);
		break;
	case VALUE_REAL: {
		bool small = value->real > -exact_integer_max && value->real < exact_integer_max;
		if (!small || (double)(int64_t)value->real != value->real)
			return value->text;
		size = snprintf(number, VALUE_NUMBER_BYTES_MAX, "%lld", (long long)value->real);
		break;
	}
	case VALUE_BOOLEAN:
		return value->boolean ? TEXT("true") : TEXT("false");
	case VALUE_NULL:
	case VALUE_EMPTY:
	case VALUE_STRING:
		return value->text;
	}
	assert(size > 0 && size < VALUE_NUMBER_BYTES_MAX);
	return (struct text){number, (size_t)size};
}

static bool values_hold(const struct values *values, struct text value)
{
	for (size_t i = 0; i < values->count; i++)
		if (text_equal(values->items[i], value))
			return true;
	return false;
}

/* The values of one field in their one spelling (identity.h). */
static void identities_of(const struct event *event, enum field_id id, struct values *values)
{
	for (size_t i = 0; i < event->field_count; i++) {
		const struct field *field = &event->fields[i];
		if (field->id != id || field->value.type == VALUE_NULL ||
		    field->value.type == VALUE_EMPTY)
			continue;
		if (values->count == VALUES_MAX) {
			values->cut = true;
			return;
		}
		char *buffer = values->identities[values->count];
		struct text value = canonical(&field->value, values->numbers[values->count]);
		value = id == FIELD_SOURCE_IP ? identity_source(value, buffer)
					      : identity_user(value, buffer);
		if (value.size > 0 && !values_hold(values, value))
			values->items[values->count++] = value;
	}
}

/* True when the name is one of the two: the values are collected. A user is known by the first of
 * these fields that the event has. */
static bool collect_identity(const struct event *event, struct text name, struct values *values)
{
	static const enum field_id users[] = {FIELD_USER_ID, FIELD_USER_NAME, FIELD_USER_EMAIL};
	if (!text_starts(name, TEXT("picket.identity.")))
		return false;
	bool source = text_equal(name, TEXT("picket.identity.source"));
	if (!source && !text_equal(name, TEXT("picket.identity.user")))
		return false;
	if (source)
		identities_of(event, FIELD_SOURCE_IP, values);
	for (size_t i = 0; !source && values->count == 0 && i < sizeof users / sizeof *users; i++)
		identities_of(event, users[i], values);
	return true;
}

void values_collect(const struct event *event, struct text name, struct values *values)
{
	values->count = 0;
	values->cut = false;
	if (collect_identity(event, name, values))
		return;
	for (size_t i = 0; i < event->field_count; i++) {
		const struct field *field = &event->fields[i];
		if (field->value.type == VALUE_NULL || field->value.type == VALUE_EMPTY ||
		    !text_equal(field->name, name))
			continue;
		if (values->count == VALUES_MAX) {
			values->cut = true;
			return;
		}
		struct text value = canonical(&field->value, values->numbers[values->count]);
		if (!values_hold(values, value))
			values->items[values->count++] = value;
	}
	if (values->count == 0 && text_equal(name, TEXT("tenant.id")))
		values->items[values->count++] = TEXT("-");
}

void values_put_tuple(struct text tuple, struct bytes *to)
{
	unsigned char whole[1 + TUPLE_DIGEST_BYTES] = {'d'};
	static_assert(sizeof whole <= RECORD_VALUE_BYTES_MAX);
	if (tuple.size < RECORD_VALUE_BYTES_MAX) {
		bytes_put_varint(to, 1 + tuple.size);
		bytes_put_u8(to, 'p');
		bytes_write(to, tuple);
		return;
	}
	(void)crypto_generichash(whole + 1, TUPLE_DIGEST_BYTES, (const unsigned char *)tuple.data,
				 tuple.size, NULL, 0);
	bytes_put_text(to, (struct text){(const char *)whole, sizeof whole});
}

enum status values_put_tuples(const struct event *event, const struct text *fields, size_t count,
			      struct bytes *to, size_t *ret_cut_count)
{
	struct values values[RULES_GROUP_BY_MAX];
	size_t total = 1;
	size_t cut_count = 0;
	assert(count > 0 && count <= RULES_GROUP_BY_MAX);
	for (size_t i = 0; i < count; i++) {
		values_collect(event, fields[i], &values[i]);
		total *= values[i].count; /* at most 16^8 */
		cut_count += values[i].cut;
	}
	if (total > RECORD_VALUES_MAX) {
		cut_count += total - RECORD_VALUES_MAX;
		total = RECORD_VALUES_MAX;
	}
	struct bytes tuple cleanup(bytes_done) = {0};
	for (size_t number = 0; number < total; number++) {
		size_t rest = number;
		bytes_clear(&tuple);
		for (size_t i = 0; i < count; i++) {
			bytes_put_text(&tuple, values[i].items[rest % values[i].count]);
			rest /= values[i].count;
		}
		if (bytes_status(&tuple) != OK)
			return ENOMEMORY;
		values_put_tuple(bytes_text(&tuple), to);
	}
	*ret_cut_count = cut_count;
	return bytes_status(to);
}

/* In millionths; false for what is no number. One beyond all limits is the largest one. */
static bool amount_of(const struct value *value, int64_t *ret_amount)
{
	struct number number = {0};
	if (!number_of_value(value, &number))
		return false;
	double real = number.is_integer ? (double)number.integer : number.real;
	double max = (double)(INT64_MAX / 2 / millionths);
	if (real > max || real < -max)
		*ret_amount = real > 0 ? INT64_MAX / 2 : -(INT64_MAX / 2);
	else if (number.is_integer)
		*ret_amount = number.integer * millionths;
	else
		*ret_amount = (int64_t)llround(real * (double)millionths);
	return real == real;
}

/* The numbers of the field; how many there are, 0 when one value is no number. */
static size_t amounts_collect(const struct event *event, struct text field,
			      int64_t amounts[RECORD_VALUES_MAX], size_t *ret_cut_count)
{
	size_t count = 0;
	*ret_cut_count = 0;
	for (size_t i = 0; i < event->field_count; i++) {
		const struct value *value = &event->fields[i].value;
		int64_t amount = 0;
		if (value->type == VALUE_NULL || value->type == VALUE_EMPTY ||
		    !text_equal(event->fields[i].name, field))
			continue;
		if (!amount_of(value, &amount))
			return 0;
		if (count < RECORD_VALUES_MAX)
			amounts[count++] = amount;
		else
			(*ret_cut_count)++;
	}
	return count;
}

size_t values_put_amount(const struct event *event, struct text field, struct bytes *to)
{
	int64_t amounts[RECORD_VALUES_MAX];
	size_t cut_count = 0;
	uint64_t sum = 0;
	size_t count = amounts_collect(event, field, amounts, &cut_count);
	for (size_t i = 0; i < count; i++) {
		if (amounts[i] < 0)
			return 0;
		sum = sum > INT64_MAX ? sum : sum + (uint64_t)amounts[i];
	}
	if (count == 0)
		return 0;
	bytes_put_varint(to, sizeof sum);
	bytes_put_u64le(to, sum);
	return cut_count;
}

size_t values_put_samples(const struct event *event, struct text field, struct bytes *to)
{
	int64_t amounts[RECORD_VALUES_MAX];
	size_t cut_count = 0;
	size_t count = amounts_collect(event, field, amounts, &cut_count);
	for (size_t i = 0; i < count; i++)
		values_put_tagged(0, (uint64_t)amounts[i], to);
	return cut_count;
}

void values_put_tagged(uint8_t tag, uint64_t value, struct bytes *to)
{
	bytes_put_varint(to, 1 + sizeof value);
	bytes_put_u8(to, tag);
	bytes_put_u64le(to, value);
}

bool values_take_tagged(struct text value, uint8_t *ret_tag, uint64_t *ret_value)
{
	struct cursor from = cursor_of(value);
	*ret_tag = cursor_u8(&from);
	*ret_value = cursor_u64le(&from);
	return !from.failed && cursor_left(&from) == 0;
}
