/* tree - an ordered map of bytes to bytes whose old versions stay readable.
 *
 * Why: the store in memory promises what RocksDB gives: a batch that is applied whole or not at
 * all, and a scan that does not see later writes. In a persistent balanced tree (path copying) a
 * version is one pointer, and both promises are an exchange of pointers.
 *
 * Invariant: AVL: the heights of two siblings differ by at most one. A node that more than one
 * reference leads to is never changed. Owner: whoever holds a reference (tree_retain) gives it back
 * (tree_release). Thread: one at a time for everything that counts references; reading a version
 * needs none. Limits: TREE_DEPTH_MAX, enough for more rows than memory can hold. */
#ifndef PICKET_STORAGE_TREE_PRIVATE_H
#define PICKET_STORAGE_TREE_PRIVATE_H

#include "rules/text.h"

enum { TREE_DEPTH_MAX = 64 };

struct tree_node;

/* Nodes kept ready, so that a change to the tree cannot run out of memory half way. */
struct tree_pool {
	struct tree_node *spare;
	size_t count;
};

void tree_pool_done(struct tree_pool *pool);

struct tree_node *tree_retain(struct tree_node *root); /* root may be NULL, the empty tree */
void tree_release(struct tree_pool *pool, struct tree_node *root);

/* *root must be a reference of the caller's; it is exchanged for the changed tree. False: out of
 * memory, and *root is as it was. Removing what is not there is true. */
bool tree_put(struct tree_pool *pool, struct tree_node **root, struct text key, struct text value);
bool tree_remove(struct tree_pool *pool, struct tree_node **root, struct text key);

bool tree_find(const struct tree_node *root, struct text key, struct text *ret_value);

/* A walk in order of keys. The root must be retained as long as the walk lasts. */
struct tree_walk {
	const struct tree_node *stack[TREE_DEPTH_MAX];
	unsigned depth; /* 0: at the end */
};

void tree_walk_start(struct tree_walk *walk, const struct tree_node *root, struct text first);
bool tree_walk_next(struct tree_walk *walk, struct text *ret_key, struct text *ret_value);

#endif
