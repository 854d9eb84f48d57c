/* queue - a bounded queue of pointers between threads.
 *
 * Why: workers, actors and the committer hand ownership to each other instead of sharing state; a
 * full queue is the back-pressure that reaches Kafka as "not polled".
 *
 * Invariant: first in, first out; at most capacity items inside. Owner: whoever made it.
 * Thread: any number on both ends. Limits: capacity, given at creation. */
#ifndef PICKET_INGEST_QUEUE_H
#define PICKET_INGEST_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

struct queue;

struct queue *queue_new(size_t capacity); /* NULL: out of memory or descriptors */
void queue_free(struct queue **queue);    /* the items in it are not freed */

/* Blocks while the queue is full. */
void queue_push(struct queue *queue, void *item);
/* The oldest item, waiting up to timeout_ms (-1: for ever); NULL when none came. */
void *queue_pop(struct queue *queue, int timeout_ms);

#endif
