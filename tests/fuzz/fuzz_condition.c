/* Any bytes as a condition: a tree that keeps its promises, or a refusal. */
#include <assert.h>
#include <stdint.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(64 << 20);
	const struct condition_node *node = NULL;
	struct error err = {0};
	struct text text = {(const char *)data, size};
	enum status status =
		condition_parse(text, (struct position){"f", 1, 1}, true, arena, &node, &err);
	if (status == OK) {
		tree_check(node, size);
		(void)condition_excludes(node);
	} else {
		assert(node == NULL && err.text[0] != '\0');
	}
	arena_free(&arena);
	return 0;
}
