/* A ring under a mutex. Waiting for an item is poll() on an eventfd that counts the items: its
 * time-out is relative, so nothing here reads a clock. */
#include "ingest/queue.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "rules/error.h"

struct queue {
	pthread_mutex_t mutex;
	pthread_cond_t room;
	int items_fd; /* semaphore: one count per item */
	size_t capacity, first, count;
	void *items[];
};

struct queue *queue_new(size_t capacity)
{
	assert(capacity > 0);
	struct queue *queue = calloc(1, sizeof *queue + capacity * sizeof *queue->items);
	if (queue == NULL)
		return NULL;
	queue->capacity = capacity;
	queue->items_fd = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
	if (queue->items_fd < 0) {
		free(queue);
		return NULL;
	}
	int failed =
		pthread_mutex_init(&queue->mutex, NULL) | pthread_cond_init(&queue->room, NULL);
	assert(failed == 0); /* the default attributes cannot fail on Linux */
	return queue;
}

void queue_free(struct queue **queue)
{
	if (*queue == NULL)
		return;
	(void)close((*queue)->items_fd);
	(void)pthread_mutex_destroy(&(*queue)->mutex);
	(void)pthread_cond_destroy(&(*queue)->room);
	free(*queue);
	*queue = NULL;
}

void queue_push(struct queue *queue, void *item)
{
	assert(item != NULL);
	(void)pthread_mutex_lock(&queue->mutex);
	assert(queue->count <= queue->capacity);
	while (queue->count == queue->capacity)
		(void)pthread_cond_wait(&queue->room, &queue->mutex);
	queue->items[(queue->first + queue->count) % queue->capacity] = item;
	queue->count++;
	(void)pthread_mutex_unlock(&queue->mutex);
	int failed = eventfd_write(queue->items_fd, 1);
	assert(failed == 0);
}

/* True when the semaphore was lowered: one item is ours. */
static bool queue_claim(struct queue *queue, int timeout_ms)
{
	for (;;) {
		eventfd_t one = 0;
		if (eventfd_read(queue->items_fd, &one) == 0)
			return true;
		assert(errno == EAGAIN || errno == EINTR);
		struct pollfd waiting = {.fd = queue->items_fd, .events = POLLIN};
		if (poll(&waiting, 1, timeout_ms) == 0)
			return false;
	}
}

void *queue_pop(struct queue *queue, int timeout_ms)
{
	if (!queue_claim(queue, timeout_ms))
		return NULL;
	(void)pthread_mutex_lock(&queue->mutex);
	assert(queue->count > 0);
	void *item = queue->items[queue->first];
	queue->first = (queue->first + 1) % queue->capacity;
	queue->count--;
	(void)pthread_cond_signal(&queue->room);
	(void)pthread_mutex_unlock(&queue->mutex);
	return item;
}
