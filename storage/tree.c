/* The tree of tree_private.h: AVL with path copying (Driscoll, Sarnak, Sleator and Tarjan, "Making
 * data structures persistent", 1989; the balancing is Adelson-Velsky and Landis').
 *
 * Every node and every row counts the references to it. A change walks down from the root; a node
 * on the way that only this version holds is changed in place, any other is copied first
 * (node_own), so that the versions held by scans stay as they are. A batch therefore copies each
 * path once and not once per row.
 *
 * A change makes at most one new node per level and two more per rotation. That many are put aside
 * before it begins: from there on it cannot fail. */
#include "storage/tree_private.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

enum { NODES_PER_CHANGE = 4 * TREE_DEPTH_MAX, NODES_KEPT_MAX = 4 * NODES_PER_CHANGE };

struct row {
	size_t references;
	size_t key_size, value_size;
	char data[]; /* key, then value */
};

struct tree_node {
	size_t references;
	struct tree_node *left; /* in the pool: the next spare node */
	struct tree_node *right;
	struct row *row;
	int height;
};

static struct text row_key(const struct row *row)
{
	return (struct text){row->data, row->key_size};
}

static struct text row_value(const struct row *row)
{
	return (struct text){row->data + row->key_size, row->value_size};
}

static struct row *row_new(struct text key, struct text value)
{
	struct row *row = malloc(sizeof *row + key.size + value.size);
	if (row == NULL)
		return NULL;
	*row = (struct row){.references = 1, .key_size = key.size, .value_size = value.size};
	if (key.size > 0)
		memcpy(row->data, key.data, key.size);
	if (value.size > 0)
		memcpy(row->data + key.size, value.data, value.size);
	return row;
}

static void row_release(struct row *row)
{
	assert(row->references > 0);
	if (--row->references == 0)
		free(row);
}

static bool pool_fill(struct tree_pool *pool)
{
	while (pool->count < NODES_PER_CHANGE) {
		struct tree_node *node = malloc(sizeof *node);
		if (node == NULL)
			return false;
		node->left = pool->spare;
		pool->spare = node;
		pool->count++;
	}
	return true;
}

static struct tree_node *pool_take(struct tree_pool *pool)
{
	assert(pool->count > 0);
	struct tree_node *node = pool->spare;
	pool->spare = node->left;
	pool->count--;
	return node;
}

static void pool_give(struct tree_pool *pool, struct tree_node *node)
{
	if (pool->count >= NODES_KEPT_MAX) {
		free(node);
		return;
	}
	node->left = pool->spare;
	pool->spare = node;
	pool->count++;
}

void tree_pool_done(struct tree_pool *pool)
{
	while (pool->count > 0)
		free(pool_take(pool));
}

struct tree_node *tree_retain(struct tree_node *root)
{
	if (root != NULL)
		root->references++;
	return root;
}

/* Recursion is as deep as the tree is high: at most TREE_DEPTH_MAX. */
void tree_release(struct tree_pool *pool, struct tree_node *root)
{
	if (root == NULL || --root->references > 0)
		return;
	tree_release(pool, root->left);
	tree_release(pool, root->right);
	row_release(root->row);
	pool_give(pool, root);
}

/* A node that only the caller's reference leads to, with the same content. */
static struct tree_node *node_own(struct tree_pool *pool, struct tree_node *node)
{
	if (node->references == 1)
		return node;
	struct tree_node *copy = pool_take(pool);
	*copy = *node;
	copy->references = 1;
	(void)tree_retain(copy->left);
	(void)tree_retain(copy->right);
	copy->row->references++;
	node->references--;
	return copy;
}

static int height_of(const struct tree_node *node)
{
	return node == NULL ? 0 : node->height;
}

static void height_update(struct tree_node *node)
{
	int left = height_of(node->left);
	int right = height_of(node->right);
	node->height = 1 + (left > right ? left : right);
}

static struct tree_node *rotate_right(struct tree_pool *pool, struct tree_node *node)
{
	struct tree_node *top = node_own(pool, node->left);
	node->left = top->right;
	top->right = node;
	height_update(node);
	height_update(top);
	return top;
}

static struct tree_node *rotate_left(struct tree_pool *pool, struct tree_node *node)
{
	struct tree_node *top = node_own(pool, node->right);
	node->right = top->left;
	top->left = node;
	height_update(node);
	height_update(top);
	return top;
}

/* node is the caller's own; one of its children has changed by one level. */
static struct tree_node *rebalance(struct tree_pool *pool, struct tree_node *node)
{
	int lean = height_of(node->left) - height_of(node->right);
	assert(lean >= -2 && lean <= 2);
	if (lean == 2) {
		if (height_of(node->left->left) < height_of(node->left->right))
			node->left = rotate_left(pool, node_own(pool, node->left));
		return rotate_right(pool, node);
	}
	if (lean == -2) {
		if (height_of(node->right->right) < height_of(node->right->left))
			node->right = rotate_right(pool, node_own(pool, node->right));
		return rotate_left(pool, node);
	}
	height_update(node);
	return node;
}

/* Takes the row over. */
static struct tree_node *insert(struct tree_pool *pool, struct tree_node *node, struct row *row)
{
	if (node == NULL) {
		struct tree_node *leaf = pool_take(pool);
		*leaf = (struct tree_node){.references = 1, .row = row, .height = 1};
		return leaf;
	}
	node = node_own(pool, node);
	int order = text_compare(row_key(row), row_key(node->row));
	if (order == 0) {
		row_release(node->row);
		node->row = row;
		return node;
	}
	if (order < 0)
		node->left = insert(pool, node->left, row);
	else
		node->right = insert(pool, node->right, row);
	return rebalance(pool, node);
}

/* Takes the smallest node out of a tree that is not empty; its row becomes the caller's. */
static struct tree_node *remove_first(struct tree_pool *pool, struct tree_node *node,
				      struct row **ret_row)
{
	node = node_own(pool, node);
	if (node->left == NULL) {
		struct tree_node *rest = node->right;
		*ret_row = node->row;
		pool_give(pool, node);
		return rest;
	}
	node->left = remove_first(pool, node->left, ret_row);
	return rebalance(pool, node);
}

/* The key must be there. */
static struct tree_node *remove_key(struct tree_pool *pool, struct tree_node *node, struct text key)
{
	assert(node != NULL);
	node = node_own(pool, node);
	int order = text_compare(key, row_key(node->row));
	if (order < 0)
		node->left = remove_key(pool, node->left, key);
	else if (order > 0)
		node->right = remove_key(pool, node->right, key);
	else {
		row_release(node->row);
		if (node->left == NULL || node->right == NULL) {
			struct tree_node *rest = node->left == NULL ? node->right : node->left;
			pool_give(pool, node);
			return rest;
		}
		node->right = remove_first(pool, node->right, &node->row);
	}
	return rebalance(pool, node);
}

bool tree_put(struct tree_pool *pool, struct tree_node **root, struct text key, struct text value)
{
	if (!pool_fill(pool))
		return false;
	struct row *row = row_new(key, value);
	if (row == NULL)
		return false;
	*root = insert(pool, *root, row);
	return true;
}

bool tree_remove(struct tree_pool *pool, struct tree_node **root, struct text key)
{
	struct text value;
	if (!tree_find(*root, key, &value))
		return true;
	if (!pool_fill(pool))
		return false;
	*root = remove_key(pool, *root, key);
	return true;
}

bool tree_find(const struct tree_node *root, struct text key, struct text *ret_value)
{
	while (root != NULL) {
		int order = text_compare(key, row_key(root->row));
		if (order == 0) {
			*ret_value = row_value(root->row);
			return true;
		}
		root = order < 0 ? root->left : root->right;
	}
	return false;
}

void tree_walk_start(struct tree_walk *walk, const struct tree_node *root, struct text first)
{
	walk->depth = 0;
	while (root != NULL) {
		assert(walk->depth < TREE_DEPTH_MAX);
		bool wanted = text_compare(row_key(root->row), first) >= 0;
		if (wanted)
			walk->stack[walk->depth++] = root;
		root = wanted ? root->left : root->right;
	}
}

bool tree_walk_next(struct tree_walk *walk, struct text *ret_key, struct text *ret_value)
{
	if (walk->depth == 0)
		return false;
	const struct tree_node *node = walk->stack[--walk->depth];
	*ret_key = row_key(node->row);
	*ret_value = row_value(node->row);
	for (const struct tree_node *next = node->right; next != NULL; next = next->left) {
		assert(walk->depth < TREE_DEPTH_MAX);
		walk->stack[walk->depth++] = next;
	}
	return true;
}
