/* same_event - fails unless an event is another one, field by field.
 *
 * Why: every format of events promises the same. Owner: the test. Thread: one. */
#ifndef PICKET_TESTS_STORAGE_SAME_EVENT_H
#define PICKET_TESTS_STORAGE_SAME_EVENT_H

#include "tests/storage/fixture.h"

static inline void check_value(const struct value *got, const struct value *want)
{
	ck_assert_int_eq(got->type, want->type);
	ck_assert(text_equal(got->text, want->text));
	if (want->type == VALUE_BOOLEAN)
		ck_assert_int_eq(got->boolean, want->boolean);
	if (want->type == VALUE_INTEGER)
		ck_assert_int_eq(got->integer, want->integer);
	if (want->type == VALUE_REAL) /* by bits: NaN is not equal to itself */
		ck_assert_int_eq(memcmp(&got->real, &want->real, sizeof got->real), 0);
}

static inline void check_event(const struct event *got, const struct event *want)
{
	ck_assert_int_eq(origin_compare(&got->origin, &want->origin), 0);
	ck_assert_int_eq(got->time_us, want->time_us);
	ck_assert_int_eq(got->record_time_us, want->record_time_us);
	ck_assert(text_equal(got->owner, want->owner));
	ck_assert(text_equal(got->logsource.category, want->logsource.category));
	ck_assert(text_equal(got->logsource.product, want->logsource.product));
	ck_assert(text_equal(got->logsource.service, want->logsource.service));
	ck_assert_uint_eq(got->quality, want->quality);
	ck_assert_uint_eq(got->field_count, want->field_count);
	for (size_t i = 0; i < want->field_count; i++) {
		ck_assert(text_equal(got->fields[i].name, want->fields[i].name));
		ck_assert_int_eq(got->fields[i].id, want->fields[i].id);
		check_value(&got->fields[i].value, &want->fields[i].value);
	}
}

#endif
