#include "storage/block.h"

#include "tests/storage/fixture.h"
#include "tests/storage/wrap.h"

enum { EVENTS = 25, ARENA_BYTES = 1 << 28 };

/* A block, its content and its key, made anew for every test. */
struct fixture {
	struct bytes key, block, content;
};

static void fixture_done(struct fixture *fixture)
{
	bytes_done(&fixture->key);
	bytes_done(&fixture->block);
	bytes_done(&fixture->content);
}

static struct fixture fixture_make(uint64_t seed)
{
	struct fixture made = {0};
	struct error err = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	for (int i = 0; i < EVENTS; i++) {
		struct event event = {0};
		do /* no giants: every byte of the block is damaged below */
			event = random_event(&seed, arena);
		while (event.field_count > 30);
		event.origin = (struct origin){TEXT("logs"), 0, 0, i};
		ck_assert_int_eq(block_add(builder, &event), OK);
	}
	struct block_meta meta;
	ck_ok(block_finish(builder, &made.block, &meta, &err), err);
	block_key(TEXT("logs"), 0, 0, 0, &made.key);
	unwrap_content(bytes_text(&made.block), &made.content);
	return made;
}

/* Reads to the end; counts the events that came. */
static enum status read_all(struct text key, struct text block, size_t *ret_count)
{
	struct error err = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_reader *reader cleanup(block_reader_free) = NULL;
	*ret_count = 0;
	enum status status = block_open(key, block, &reader, &err);
	bool more = status == OK;
	while (more) {
		struct event event;
		struct bytes json cleanup(bytes_done) = {0};
		status = block_next(reader, arena, &event, &more, &err);
		if (status != OK)
			break;
		if (more) {
			event_json(&event, &json); /* touches every byte of it */
			++*ret_count;
		}
	}
	if (status != OK)
		ck_assert_msg(err.status == status && err.text[0] != '\0', "no words");
	return status;
}

START_TEST(test_every_truncation)
{
	struct fixture made cleanup(fixture_done) = fixture_make(1);
	size_t count;
	for (size_t size = 0; size < made.block.size; size++) {
		char *exact = malloc(size == 0 ? 1 : size); /* one byte too far would be seen */
		memcpy(exact, made.block.data, size);
		ck_assert_int_eq(
			read_all(bytes_text(&made.key), (struct text){exact, size}, &count),
			ECORRUPT);
		free(exact);
	}
	ck_assert_int_eq(read_all(bytes_text(&made.key), bytes_text(&made.block), &count), OK);
	ck_assert_uint_eq(count, EVENTS);
}
END_TEST

START_TEST(test_every_flip)
{
	struct fixture made cleanup(fixture_done) = fixture_make(2);
	size_t count;
	for (size_t i = 0; i < 8 * made.block.size; i++) {
		made.block.data[i / 8] ^= (unsigned char)(1u << (i % 8));
		ck_assert_int_eq(read_all(bytes_text(&made.key), bytes_text(&made.block), &count),
				 ECORRUPT);
		made.block.data[i / 8] ^= (unsigned char)(1u << (i % 8));
	}
	bytes_put_u8(&made.block, 0);
	ck_assert_int_eq(read_all(bytes_text(&made.key), bytes_text(&made.block), &count),
			 ECORRUPT);
}
END_TEST

/* Content damaged before it was summed: any answer, but never a byte outside of the block. */
START_TEST(test_damaged_content)
{
	uint64_t seed = 3;
	struct fixture made cleanup(fixture_done) = fixture_make(seed);
	struct bytes block cleanup(bytes_done) = {0};
	size_t refused = 0;
	size_t count;
	for (int round = 0; round < 6000; round++) {
		struct bytes content cleanup(bytes_done) = {0};
		bytes_put(&content, made.content.data, made.content.size);
		/* Half of the damage goes where the structure is, before the texts. */
		size_t reach = round % 2 == 0 ? content.size / 3 : content.size;
		for (size_t k = 0; k <= random_below(&seed, 3); k++)
			content.data[random_below(&seed, reach)] =
				(unsigned char)random_next(&seed);
		if (round % 5 == 0)
			content.size = random_below(&seed, content.size);
		wrap_content(bytes_text(&content), EVENTS, &block);
		enum status status = read_all(bytes_text(&made.key), bytes_text(&block), &count);
		ck_assert(status == ECORRUPT || (status == OK && count == EVENTS));
		refused += status == ECORRUPT;
	}
	ck_assert_uint_gt(refused, 1000);
}
END_TEST

START_TEST(test_wrong_counts)
{
	struct fixture made cleanup(fixture_done) = fixture_make(4);
	struct bytes block cleanup(bytes_done) = {0};
	static const uint32_t counts[] = {0, EVENTS - 1, EVENTS + 1, 4097, UINT32_MAX};
	size_t count;
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		wrap_content(bytes_text(&made.content), counts[i], &block);
		ck_assert_int_eq(read_all(bytes_text(&made.key), bytes_text(&block), &count),
				 ECORRUPT);
	}
}
END_TEST

START_TEST(test_key_that_is_none)
{
	struct fixture made cleanup(fixture_done) = fixture_make(5);
	size_t count;
	for (size_t size = 0; size < made.key.size; size++) {
		struct text cut = {(const char *)made.key.data, size};
		ck_assert_int_eq(read_all(cut, bytes_text(&made.block), &count), ECORRUPT);
	}
	bytes_put_u8(&made.key, 0);
	ck_assert_int_eq(read_all(bytes_text(&made.key), bytes_text(&made.block), &count),
			 ECORRUPT);
}
END_TEST

/* Out of memory is said, and not taken for the end or for damage. */
START_TEST(test_small_arena)
{
	struct fixture made cleanup(fixture_done) = fixture_make(6);
	struct error err = {0};
	struct arena *small cleanup(arena_free) = arena_new(16);
	struct block_reader *reader cleanup(block_reader_free) = NULL;
	ck_ok(block_open(bytes_text(&made.key), bytes_text(&made.block), &reader, &err), err);
	struct event event;
	bool more;
	ck_assert_int_eq(block_next(reader, small, &event, &more, &err), ENOMEMORY);
}
END_TEST

enum piece {
	HEADS,
	SHAPES,
	COLUMNS,   /* how many are in the directory */
	DIRECTORY, /* of the column of the event */
	HEAD,
	SHAPE,
	TIME,
	RECORD_TIME,
	OFFSET,
	INDEX,
	QUALITY,
	VALUES,
	PIECES,
};

/* A block of one event with one field, piece by piece (block.c has the list), in which one piece is
 * replaced. Integers are mode 0, all the same, and a zigzag number. */
static enum status read_with(size_t piece, struct text replaced, uint32_t count)
{
	static const struct text good[PIECES] = {
		[HEADS] = {"\5\1-\0\0\0", 6},
		[SHAPES] = {"\2\1\0", 3}, /* one field, column 0 */
		[COLUMNS] = {"\10", 1},   /* seven of every row and one more */
		[DIRECTORY] = {"\1a\6\1\0\5", 6},
		[HEAD] = {"\0\0", 2},
		[SHAPE] = {"\0\0", 2},
		[TIME] = {"\0\0", 2},
		[RECORD_TIME] = {"\0\0", 2},
		[OFFSET] = {"\0\2", 2},
		[INDEX] = {"\0\0", 2},
		[QUALITY] = {"\0\0", 2},
		[VALUES] = {"\0\3xyz", 5}, /* all the same */
	};
	struct bytes content cleanup(bytes_done) = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct text pieces[PIECES];
	for (size_t i = 0; i < PIECES; i++)
		pieces[i] = i == piece ? replaced : good[i];
	for (size_t i = HEADS; i <= COLUMNS; i++)
		bytes_put(&content, pieces[i].data, pieces[i].size);
	for (size_t i = HEAD; i <= QUALITY; i++) {
		bytes_put(&content, "\0\3\1\0", 4); /* no name, an integer, one value, here */
		bytes_put_varint(&content, pieces[i].size);
	}
	bytes_put(&content, pieces[DIRECTORY].data, pieces[DIRECTORY].size);
	for (size_t i = HEAD; i < PIECES; i++)
		bytes_put(&content, pieces[i].data, pieces[i].size);
	wrap_content(bytes_text(&content), count, &block);
	block_key(TEXT("logs"), 0, 0, 0, &key);
	size_t events;
	enum status status = read_all(bytes_text(&key), bytes_text(&block), &events);
	ck_assert(status != OK || events == count);
	return status;
}

/* Every check of the reader, one by one. */
START_TEST(test_hand_made)
{
	static const struct {
		const char *what;
		enum piece piece;
		struct text replaced;
	} bad[] = {
		{"a head without its log source", HEADS, {"\3\1-\0", 4}},
		{"heads longer than the content", HEADS, {"\x7f\1-\0\0\0", 6}},
		{"no head", HEADS, {"\0", 1}},
		{"a shape with a column that is not there", SHAPES, {"\2\1\1", 3}},
		{"a shape with more fields than bytes", SHAPES, {"\2\2\0", 3}},
		{"a shape with more fields than an event can have", SHAPES, {"\3\xff\x7f\0", 4}},
		{"a shape twice", SHAPES, {"\3\2\0\0", 4}},
		{"a column too many", COLUMNS, {"\11", 1}},
		{"not even the columns of every row", COLUMNS, {"\6", 1}},
		{"a name longer than the content", DIRECTORY, {"\x7fz\6\1\0\5", 6}},
		{"a tag that is none", DIRECTORY, {"\1a\7\1\0\5", 6}},
		{"a value too many", DIRECTORY, {"\1a\6\2\0\5", 6}},
		{"a part that is neither here nor beside", DIRECTORY, {"\1a\6\1\2\5", 6}},
		{"a column beside the frame where nothing is", DIRECTORY, {"\1a\6\1\1\5", 6}},
		{"values longer than the content", DIRECTORY, {"\1a\6\1\0\6", 6}},
		{"values that leave something over", DIRECTORY, {"\1a\6\1\0\4", 6}},
		{"a head that is not there", HEAD, {"\0\2", 2}},
		{"a head below the first", HEAD, {"\0\1", 2}},
		{"a shape that is not there", SHAPE, {"\0\2", 2}},
		{"no shape left", SHAPE, {"", 0}},
		{"a time without end", TIME, {"\0\x80", 2}},
		{"an offset below 0", OFFSET, {"\0\1", 2}},
		{"an index of 33 bits", INDEX, {"\0\x80\x80\x80\x80\x40", 6}},
		{"a quality that is not known", QUALITY, {"\0\x80\x80\4", 4}},
		{"a codec that is none", VALUES, {"\x20\3xyz", 5}},
		{"a text longer than the values", VALUES, {"\0\4xyz", 5}},
		{"a text that leaves something over", VALUES, {"\0\2xyz", 5}},
	};
	ck_assert_int_eq(read_with(99, (struct text){0}, 1), OK);
	ck_assert_int_eq(read_with(99, (struct text){0}, 2), ECORRUPT);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(read_with(bad[i].piece, bad[i].replaced, 1) == ECORRUPT, "%s",
			      bad[i].what);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("block_reader");
	TCase *tests = tcase_create("block_reader");
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, test_every_truncation);
	tcase_add_test(tests, test_every_flip);
	tcase_add_test(tests, test_damaged_content);
	tcase_add_test(tests, test_wrong_counts);
	tcase_add_test(tests, test_key_that_is_none);
	tcase_add_test(tests, test_small_arena);
	tcase_add_test(tests, test_hand_made);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
