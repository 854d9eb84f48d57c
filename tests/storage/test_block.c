#include "storage/block.h"

#include "tests/storage/same_event.h"

enum { ARENA_BYTES = 1 << 30 };

static void check_block(struct text key, struct text block, const struct event *events,
			size_t count)
{
	struct error err = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_reader *reader cleanup(block_reader_free) = NULL;
	ck_ok(block_open(key, block, &reader, &err), err);
	struct event event;
	bool more = true;
	for (size_t i = 0; i < count; i++) {
		ck_ok(block_next(reader, arena, &event, &more, &err), err);
		ck_assert(more);
		check_event(&event, &events[i]);
	}
	for (int i = 0; i < 2; i++) { /* the end stays the end */
		ck_ok(block_next(reader, arena, &event, &more, &err), err);
		ck_assert(!more);
	}
}

/* Many blocks from one builder: what a block leaves behind would show in the next. */
START_TEST(test_round_trip)
{
	uint64_t seed = 20261121;
	struct error err = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	for (size_t round = 0; round < 40; round++) {
		size_t count = 1 + random_below(&seed, round % 10 == 0 ? 600 : 60);
		struct event *events = arena_alloc(arena, count * sizeof *events);
		for (size_t i = 0; i < count; i++) {
			events[i] = random_event(&seed, arena);
			events[i].origin = (struct origin){TEXT("logs"), 7, (uint32_t)(i % 3),
							   (int64_t)(1000 + i / 3)};
		}
		for (size_t i = 0; i < count; i++) { /* in any order */
			size_t other = random_below(&seed, count);
			struct event moved = events[i];
			events[i] = events[other];
			events[other] = moved;
		}
		for (size_t i = 0; i < count; i++) {
			ck_assert_int_eq(block_add(builder, &events[i]), OK);
			ck_assert_uint_eq(block_event_count(builder), i + 1);
		}
		struct block_meta meta;
		ck_ok(block_finish(builder, &block, &meta, &err), err);
		ck_assert_uint_eq(meta.event_count, count);
		ck_assert_int_eq(meta.first_offset, 1000);
		ck_assert_uint_eq(meta.first_index, 0);
		ck_assert_int_eq(meta.last_offset, (int64_t)(1000 + (count - 1) / 3));
		bytes_clear(&key);
		block_key(TEXT("logs"), 7, meta.first_offset, meta.first_index, &key);
		check_block(bytes_text(&key), bytes_text(&block), events, count);
		arena_reset(arena);
	}
}
END_TEST

static struct event plain_event(struct arena *arena, struct text name, struct text text)
{
	struct event event = {.origin = {TEXT("t"), 0, 0, 1}, .owner = TEXT("-")};
	struct value value = {.type = VALUE_STRING, .text = text};
	ck_assert_int_eq(event_add(&event, arena, name, value), OK);
	return event;
}

START_TEST(test_full_by_count)
{
	struct error err = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	struct event event = plain_event(arena, TEXT("message"), TEXT("x"));
	for (int i = 0; i < BLOCK_EVENTS_MAX; i++)
		ck_assert_int_eq(block_add(builder, &event), OK);
	ck_assert_int_eq(block_add(builder, &event), ELIMIT);
	struct block_meta meta;
	ck_ok(block_finish(builder, &block, &meta, &err), err);
	ck_assert_uint_eq(meta.event_count, BLOCK_EVENTS_MAX);
	ck_assert_uint_eq(block_event_count(builder), 0);
	ck_assert_int_eq(block_add(builder, &event), OK);
}
END_TEST

/* The event that does not fit leaves no trace, and fits into the next block. */
START_TEST(test_full_by_bytes)
{
	enum { LARGE = 6 * 1024 * 1024 };
	struct error err = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	char *large = arena_alloc(arena, LARGE);
	memset(large, 'g', LARGE);
	struct event events[3];
	for (int i = 0; i < 3; i++) {
		events[i] = plain_event(arena, TEXT("message"), (struct text){large, LARGE});
		events[i].origin.offset = i;
		events[i].owner = i == 2 ? TEXT("other") : TEXT("-");
	}
	ck_assert_int_eq(block_add(builder, &events[0]), OK);
	ck_assert_int_eq(block_add(builder, &events[1]), OK);
	ck_assert_int_eq(block_add(builder, &events[2]), ELIMIT);
	ck_assert_uint_eq(block_event_count(builder), 2);
	struct block_meta meta;
	ck_ok(block_finish(builder, &block, &meta, &err), err);
	block_key(TEXT("t"), 0, 0, 0, &key);
	check_block(bytes_text(&key), bytes_text(&block), events, 2);
	ck_assert_int_eq(block_add(builder, &events[2]), OK);
	ck_ok(block_finish(builder, &block, &meta, &err), err);
	check_block(bytes_text(&key), bytes_text(&block), &events[2], 1);
}
END_TEST

/* As large as an event can be: over BLOCK_BYTES_MAX, and still taken when it comes first. */
START_TEST(test_largest_event)
{
	struct error err = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	char *large = arena_alloc(arena, EVENT_VALUE_MAX);
	memset(large, 'g', EVENT_VALUE_MAX);
	struct event event = {.origin = {TEXT("t"), 0, 0, 0}, .owner = TEXT("-")};
	for (int i = 0; i < EVENT_FIELDS_MAX; i++) {
		struct value value = {.type = VALUE_STRING, .text = {large, EVENT_VALUE_MAX}};
		ck_assert_int_eq(event_add(&event, arena, arena_print(arena, "n%0500d", i), value),
				 OK);
	}
	ck_assert_int_eq(block_add(builder, &event), OK);
	ck_assert_int_eq(block_add(builder, &event), ELIMIT);
	struct block_meta meta;
	ck_ok(block_finish(builder, &block, &meta, &err), err);
	block_key(TEXT("t"), 0, 0, 0, &key);
	check_block(bytes_text(&key), bytes_text(&block), &event, 1);
}
END_TEST

/* The key belongs to the smallest (offset, index), whichever event came first or sorts first. */
START_TEST(test_meta_of_unordered_events)
{
	static const int64_t offsets[] = {9, 4, 4, 12};
	static const uint32_t indices[] = {0, 5, 2, 1};
	static const int64_t times[] = {50, -3, 70, 60};
	struct error err = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	for (size_t i = 0; i < 4; i++) {
		struct event event = plain_event(arena, TEXT("message"), TEXT("m"));
		event.origin.offset = offsets[i];
		event.origin.index = indices[i];
		event.time_us = times[i];
		ck_assert_int_eq(block_add(builder, &event), OK);
	}
	struct block_meta meta;
	ck_ok(block_finish(builder, &block, &meta, &err), err);
	ck_assert_int_eq(meta.first_offset, 4);
	ck_assert_uint_eq(meta.first_index, 2);
	ck_assert_int_eq(meta.last_offset, 12);
	ck_assert_int_eq(meta.first_time_us, -3);
	ck_assert_int_eq(meta.last_time_us, 70);

	struct bytes encoded cleanup(bytes_done) = {0};
	block_meta_encode(&meta, &encoded);
	struct block_meta again;
	ck_ok(block_meta_decode(bytes_text(&encoded), &again, &err), err);
	ck_assert_int_eq(memcmp(&again.first_time_us, &meta.first_time_us, 4 * sizeof(int64_t)), 0);
	ck_assert_uint_eq(again.event_count, 4);
	ck_assert_uint_eq(again.first_index, 2);
	ck_assert(text_equal(again.owners, meta.owners));
	for (size_t size = 0; size < encoded.size; size++) {
		struct text cut = {(const char *)encoded.data, size};
		ck_assert_int_eq(block_meta_decode(cut, &again, &err), ECORRUPT);
	}
	bytes_put_u8(&encoded, 0);
	ck_assert_int_eq(block_meta_decode(bytes_text(&encoded), &again, &err), ECORRUPT);
}
END_TEST

/* Whose the events are is said for up to BLOCK_OWNERS_MAX owners, else nothing is. */
START_TEST(test_meta_owners)
{
	struct error err = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	for (size_t owners = 1; owners <= BLOCK_OWNERS_MAX + 1; owners += 21) {
		struct bytes block cleanup(bytes_done) = {0};
		struct block_meta meta;
		for (size_t i = 0; i < 3 * owners; i++) {
			struct event event = plain_event(arena, TEXT("message"), TEXT("m"));
			event.origin.offset = (int64_t)i;
			event.owner = arena_print(arena, "t%zu", i % owners);
			/* Two log sources of one owner are two heads and still one owner. */
			event.logsource.product = i % 2 == 0 ? TEXT("linux") : TEXT("aws");
			ck_assert_int_eq(block_add(builder, &event), OK);
		}
		ck_ok(block_finish(builder, &block, &meta, &err), err);
		struct cursor from = cursor_of(meta.owners);
		struct block_owner owner;
		size_t count = 0;
		for (; block_owner_next(&from, &owner); count++)
			ck_assert_uint_eq(owner.event_count, 3);
		ck_assert_uint_eq(count, owners > BLOCK_OWNERS_MAX ? 0 : owners);
	}
}
END_TEST

/* A row of an older picket says nothing of owners; one whose owners do not add up is damaged. */
START_TEST(test_meta_versions)
{
	struct error err = {0};
	struct block_meta meta = {.event_count = 5};
	struct block_meta again;
	struct bytes row cleanup(bytes_done) = {0};
	struct bytes owners cleanup(bytes_done) = {0};
	block_meta_encode(&meta, &row);
	row.data[0] = 1;
	row.size--;
	ck_ok(block_meta_decode(bytes_text(&row), &again, &err), err);
	ck_assert_uint_eq(again.owners.size, 0);
	for (uint64_t share = 1; share <= 4; share++) {
		bytes_clear(&row);
		bytes_clear(&owners);
		for (int i = 0; i < 2; i++) {
			bytes_put_text(&owners, i == 0 ? TEXT("a") : TEXT("b"));
			bytes_put_varint(&owners, i == 0 ? share : 3);
		}
		meta.owners = bytes_text(&owners);
		block_meta_encode(&meta, &row);
		ck_assert_int_eq(block_meta_decode(bytes_text(&row), &again, &err),
				 share == 2 ? OK : ECORRUPT);
	}
}
END_TEST

/* A block of another picket is not called damaged: which version it has, and which is read. */
START_TEST(test_block_of_another_version)
{
	struct error err = {0};
	struct block_meta meta;
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	struct block_reader *reader cleanup(block_reader_free) = NULL;
	struct event event = plain_event(arena, TEXT("name"), TEXT("text"));
	ck_assert_int_eq(block_add(builder, &event), OK);
	ck_ok(block_finish(builder, &block, &meta, &err), err);
	block_key(TEXT("t"), 0, meta.first_offset, meta.first_index, &key);
	block.data[3] = 1; /* behind the magic */
	ck_assert_int_eq(block_open(bytes_text(&key), bytes_text(&block), &reader, &err), ECORRUPT);
	ck_assert_msg(strstr(err.text, "has version 1, and this picket reads version 2") != NULL,
		      "%s", err.text);
}
END_TEST

/* 4,000 names that all hash into few slots must neither be lost nor take for ever. */
START_TEST(test_many_names)
{
	struct error err = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	enum { EVENTS = 40 };
	static struct event events[EVENTS];
	for (int i = 0; i < EVENTS; i++) {
		events[i] = (struct event){.origin = {TEXT("t"), 0, 0, i}, .owner = TEXT("-")};
		for (int k = 0; k < 100; k++)
			ck_assert_int_eq(event_add(&events[i], arena,
						   arena_print(arena, "field.%d.%d", i, k),
						   (struct value){.type = VALUE_NULL}),
					 OK);
		ck_assert_int_eq(block_add(builder, &events[i]), OK);
	}
	struct block_meta meta;
	ck_ok(block_finish(builder, &block, &meta, &err), err);
	block_key(TEXT("t"), 0, 0, 0, &key);
	check_block(bytes_text(&key), bytes_text(&block), events, EVENTS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("block");
	TCase *tests = tcase_create("block");
	tcase_add_test(tests, test_round_trip);
	tcase_add_test(tests, test_full_by_count);
	tcase_add_test(tests, test_full_by_bytes);
	tcase_add_test(tests, test_largest_event);
	tcase_add_test(tests, test_meta_of_unordered_events);
	tcase_add_test(tests, test_meta_owners);
	tcase_add_test(tests, test_meta_versions);
	tcase_add_test(tests, test_block_of_another_version);
	tcase_add_test(tests, test_many_names);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
