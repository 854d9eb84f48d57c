#include "cli/action.h"

#include <check.h>
#include <stdlib.h>

static struct actions sample(void)
{
	struct actions actions = {.count = 2};
	actions.items[0] = (struct action){ACTION_ACK, 5, TEXT("ann"), TEXT("a\0b"), TEXT("")};
	actions.items[1] = (struct action){ACTION_CLOSE, -7, TEXT("bob"), TEXT(""), TEXT("test")};
	return actions;
}

START_TEST(test_round_trip)
{
	struct actions in = sample();
	struct actions out = {0};
	struct bytes bytes = {0};
	actions_encode(&in, &bytes);
	ck_assert_int_eq(actions_decode(bytes_text(&bytes), &out, NULL), OK);
	ck_assert_uint_eq(out.count, 2);
	ck_assert(text_equal(out.items[0].note, TEXT("a\0b")));
	ck_assert_int_eq(out.items[1].time_us, -7);
	ck_assert_int_eq(out.items[1].kind, ACTION_CLOSE);
	bytes_done(&bytes);
}
END_TEST

START_TEST(test_damage_is_found)
{
	struct actions in = sample();
	struct actions out = {0};
	struct error err = {0};
	struct bytes bytes = {0};
	actions_encode(&in, &bytes);
	for (size_t size = 0; size < bytes.size; size++)
		ck_assert_int_eq(
			actions_decode((struct text){(const char *)bytes.data, size}, &out, &err),
			ECORRUPT);
	bytes_put_u8(&bytes, 0);
	ck_assert_int_eq(actions_decode(bytes_text(&bytes), &out, &err), ECORRUPT);
	bytes.data[0] = 9;
	ck_assert_int_eq(actions_decode(bytes_text(&bytes), &out, &err), ECORRUPT);
	ck_assert_uint_eq(out.count, 0);
	bytes_done(&bytes);
}
END_TEST

START_TEST(test_handling)
{
	struct actions actions = sample();
	ck_assert_int_eq(actions_handling(&actions), HANDLING_CLOSED);
	actions.count = 1;
	ck_assert_int_eq(actions_handling(&actions), HANDLING_ACKED);
	actions.count = 0;
	ck_assert_int_eq(actions_handling(&actions), HANDLING_NEW);
	ck_assert(text_equal(actions_verdict(&actions), TEXT("")));
	actions = sample();
	ck_assert(text_equal(actions_verdict(&actions), TEXT("test")));
	actions.items[actions.count++] = (struct action){.kind = ACTION_REOPEN};
	ck_assert_int_eq(actions_handling(&actions), HANDLING_NEW);
	ck_assert(text_equal(actions_verdict(&actions), TEXT("")));
	actions.items[actions.count++] = (struct action){.kind = ACTION_ASSIGN, .as = TEXT("bob")};
	ck_assert_int_eq(actions_handling(&actions), HANDLING_ACKED);
}
END_TEST

START_TEST(test_too_long_a_note)
{
	struct bytes body = {0};
	struct bytes keep = {0};
	struct action action = {0};
	struct error err = {0};
	bytes_put(&body, "{\"who\":\"a\",\"note\":\"", 19);
	for (int i = 0; i < ACTION_TEXT_MAX + 1; i++)
		bytes_put_u8(&body, 'x');
	bytes_put(&body, "\"}", 2);
	ck_assert_int_eq(action_parse(bytes_text(&body), &keep, &action, &err), EINVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "note must be a text"));
	bytes_done(&body);
	bytes_done(&keep);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("action");
	TCase *all = tcase_create("all");
	tcase_add_test(all, test_round_trip);
	tcase_add_test(all, test_damage_is_found);
	tcase_add_test(all, test_handling);
	tcase_add_test(all, test_too_long_a_note);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
