/* Any bytes as a condition: a tree that keeps its promises, or a refusal. A tree is printed with no
 * more parentheses than it needs; what was printed is read back as the same tree. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>

#include "rules/bytes.h"
#include "rules/condition_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void tree_check(const struct condition_node *node, size_t size)
{
	assert(node->offset <= size);
	if (node->kind == CONDITION_NAME || node->kind == CONDITION_OF)
		assert(node->name.size > 0 && node->child_count == 0);
	else if (node->kind == CONDITION_NOT)
		assert(node->child_count == 1);
	else
		assert(node->child_count >= 2);
	for (size_t i = 0; i < node->child_count; i++)
		tree_check(node->children[i], size);
}

static void put(struct bytes *to, struct text text)
{
	bytes_put(to, text.data, text.size);
}

/* Whether a child of this kind means something else without its parentheses. */
static bool needs_parentheses(enum condition_kind parent, enum condition_kind child)
{
	if (child == CONDITION_NAME || child == CONDITION_OF)
		return false;
	if (parent == CONDITION_NOT)
		return true;
	return child == CONDITION_OR || (parent == CONDITION_AND && child == CONDITION_AND);
}

static void print(const struct condition_node *node, struct bytes *to);

static void print_child(const struct condition_node *parent, size_t index, struct bytes *to)
{
	const struct condition_node *child = parent->children[index];
	bool wrapped = needs_parentheses(parent->kind, child->kind);
	if (parent->kind == CONDITION_NOT)
		put(to, TEXT("not "));
	else if (index > 0)
		put(to, parent->kind == CONDITION_AND ? TEXT(" and ") : TEXT(" or "));
	put(to, wrapped ? TEXT("(") : TEXT(""));
	print(child, to);
	put(to, wrapped ? TEXT(")") : TEXT(""));
}

static void print(const struct condition_node *node, struct bytes *to)
{
	char number[32];
	if (node->kind == CONDITION_OF) {
		(void)snprintf(number, sizeof number, "%zu", node->at_least);
		put(to, node->at_least == 0 ? TEXT("all") : text_of(number));
		put(to, TEXT(" of "));
	}
	put(to, node->name);
	for (size_t i = 0; i < node->child_count; i++)
		print_child(node, i, to);
}

static void same_tree(const struct condition_node *a, const struct condition_node *b)
{
	assert(a->kind == b->kind && a->at_least == b->at_least);
	assert(text_equal(a->name, b->name) && a->child_count == b->child_count);
	for (size_t i = 0; i < a->child_count; i++)
		same_tree(a->children[i], b->children[i]);
}

static void read_back(const struct condition_node *node, struct arena *arena)
{
	struct bytes printed cleanup(bytes_done) = {0};
	const struct condition_node *again = NULL;
	struct error err = {0};
	print(node, &printed);
	enum status status = bytes_status(&printed);
	assert(status == OK);
	if (printed.size > CONDITION_BYTES_MAX)
		return;
	status = condition_parse(bytes_text(&printed), (struct position){"f", 1, 1}, true, arena,
				 &again, &err);
	assert(status == OK);
	same_tree(node, again);
	assert(condition_excludes(node) == condition_excludes(again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena cleanup(arena_free) = arena_new(64 << 20);
	const struct condition_node *node = NULL;
	struct error err = {0};
	struct text text = {(const char *)data, size};
	enum status status =
		condition_parse(text, (struct position){"f", 1, 1}, true, arena, &node, &err);
	if (status != OK) {
		assert(node == NULL && err.text[0] != '\0');
		return 0;
	}
	tree_check(node, size);
	read_back(node, arena);
	return 0;
}
