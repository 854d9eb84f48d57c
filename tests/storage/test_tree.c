#include "storage/tree_private.h"

#include "tests/storage/fixture.h"

enum { NUMBERS = 5000 };

static struct text number_key(unsigned number, char to[static 16])
{
	int size = snprintf(to, 16, "%08u", number);
	return (struct text){to, (size_t)size};
}

/* The whole tree in order; the deepest the walk went bounds the height from below. */
static size_t walk_count(const struct tree_node *root, unsigned *ret_depth)
{
	struct tree_walk walk;
	struct text before = {0};
	struct text key;
	struct text value;
	size_t count = 0;
	unsigned depth = 0;
	tree_walk_start(&walk, root, (struct text){0});
	while (depth = walk.depth > depth ? walk.depth : depth,
	       tree_walk_next(&walk, &key, &value)) {
		ck_assert(count == 0 || text_compare(before, key) < 0);
		before = key;
		count++;
	}
	if (ret_depth != NULL)
		*ret_depth = depth;
	return count;
}

/* Keys in order are the worst case of a tree that does not balance. 1.44 log2(5000) = 17.8. */
START_TEST(test_stays_low)
{
	struct tree_pool pool = {0};
	struct tree_node *root = NULL;
	char buffer[16];
	unsigned depth = 0;
	for (unsigned i = 0; i < NUMBERS; i++)
		ck_assert(tree_put(&pool, &root, number_key(i, buffer), TEXT("x")));
	ck_assert_uint_eq(walk_count(root, &depth), NUMBERS);
	ck_assert_uint_le(depth, 18);
	for (unsigned i = 0; i < NUMBERS; i += 2)
		ck_assert(tree_remove(&pool, &root, number_key(NUMBERS - 1 - i, buffer)));
	ck_assert_uint_eq(walk_count(root, &depth), NUMBERS / 2);
	ck_assert_uint_le(depth, 18);
	tree_release(&pool, root);
	tree_pool_done(&pool);
}
END_TEST

/* Ten versions are kept while the tree is emptied and refilled: none of them changes. */
START_TEST(test_old_versions)
{
	enum { VERSIONS = 10 };
	uint64_t seed = 7;
	struct tree_pool pool = {0};
	struct tree_node *root = NULL;
	struct tree_node *versions[VERSIONS];
	size_t counts[VERSIONS];
	char buffer[16];
	for (size_t v = 0; v < VERSIONS; v++) {
		for (int i = 0; i < 300; i++) {
			struct text key = number_key((unsigned)random_below(&seed, 500), buffer);
			if (random_below(&seed, 3) == 0)
				ck_assert(tree_remove(&pool, &root, key));
			else
				ck_assert(tree_put(&pool, &root, key,
						   (struct text){&"0123456789"[v], 1}));
		}
		versions[v] = tree_retain(root);
		counts[v] = walk_count(root, NULL);
	}
	for (unsigned i = 0; i < 500; i++)
		ck_assert(tree_remove(&pool, &root, number_key(i, buffer)));
	ck_assert_ptr_null(root);
	for (size_t v = 0; v < VERSIONS; v++) {
		struct tree_walk walk;
		struct text key;
		struct text value;
		ck_assert_uint_eq(walk_count(versions[v], NULL), counts[v]);
		tree_walk_start(&walk, versions[v], (struct text){0});
		while (tree_walk_next(&walk, &key, &value))
			ck_assert_int_le(value.data[0], "0123456789"[v]);
		tree_release(&pool, versions[v]);
	}
	tree_pool_done(&pool);
}
END_TEST

START_TEST(test_walk_from)
{
	struct tree_pool pool = {0};
	struct tree_node *root = NULL;
	char buffer[16];
	for (unsigned i = 0; i < 1000; i++)
		ck_assert(tree_put(&pool, &root, number_key(2 * i, buffer), TEXT("")));
	for (unsigned from = 0; from < 2001; from++) {
		struct tree_walk walk;
		struct text key;
		struct text value;
		tree_walk_start(&walk, root, number_key(from, buffer));
		bool more = tree_walk_next(&walk, &key, &value);
		ck_assert_int_eq(more, from <= 1998);
		if (more)
			ck_assert(text_equal(key, number_key((from + 1) / 2 * 2, buffer)));
	}
	tree_release(&pool, root);
	tree_pool_done(&pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tree");
	TCase *tests = tcase_create("tree");
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, test_stays_low);
	tcase_add_test(tests, test_old_versions);
	tcase_add_test(tests, test_walk_from);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
