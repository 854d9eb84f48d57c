/* The file is one `struct page`, in the byte order of the machine: advice to the next run on the
 * same data folder, not data. It is made anew at each start (written, synced, renamed), and mapped
 * into memory: to note a message is two stores into a cache line of the worker's own, and what was
 * stored is in the kernel's hands when the process dies, however it dies. A power cut may leave an
 * older page behind; at worst that is a wrong suspect, and one suspicion refuses nothing.
 *
 *     start:  hands that held a message -> suspects, each with the deaths it has seen; enough of
 *             them -> its next step (read, refused, refused without its bytes), which counts anew;
 *             suspects below the store's position are gone
 *     run:    take -> the hand names the message, leave -> the hand is empty
 *             enter -> one thread more works on an epoch, exit -> one less
 *     end:    crashed -> it was no SIGKILL from outside
 *
 * A crash while a thread works on an epoch, and no hand explains it, makes the next run's epochs
 * smaller: of any size, of 256 messages, of one. At most four epochs of 256 were in flight, so the
 * culprit comes soon after the start; a death that comes later is a reason to look again, but none
 * for the last step, which is slow: whoever kills picket now and then should not slow it down. In
 * epochs of one message the culprit is in the one hand that is not empty.
 *
 * All blocks of the file are written before it is mapped, so that a full disk has no say in a store
 * into it; a file system that copies on write is asked not to. */
#include "ingest/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

static const char magic[8] = "picketJ3";

enum { NOTHING = -1, PATH_BYTES = 4096 };

enum epoch_size { EPOCH_ANY, EPOCH_SMALL, EPOCH_SINGLE };

struct hand {
	alignas(64) _Atomic int64_t offset; /* NOTHING: it is empty */
	uint64_t log;
	int32_t partition;
	char topic[JOURNAL_NAME_BYTES];
};

struct suspect {
	uint64_t log;
	int64_t offset;
	int32_t partition;
	uint32_t step;        /* enum journal_step */
	uint32_t deaths;      /* with it in hand */
	uint32_t deaths_step; /* of these, since its step */
	uint32_t crashes;     /* of these, by a signal that the run caused */
	uint32_t others;      /* deaths since the last of these */
	char topic[JOURNAL_NAME_BYTES];
};

struct page {
	char magic[8];
	_Atomic uint32_t epoch_size; /* enum epoch_size */
	_Atomic uint32_t entered;    /* threads that work on an epoch */
	_Atomic uint32_t crashed;    /* the run ended of a signal that it caused */
	_Atomic uint32_t measured;   /* messages of the run, while epochs are not of any size */
	uint32_t suspect_count;
	struct suspect suspects[JOURNAL_SUSPECTS_MAX];
	struct hand hands[JOURNAL_WORKERS_MAX];
};

struct journal {
	struct page *page; /* mapped; its suspects do not change while it is */
	pthread_mutex_t mutex;
	bool alone[JOURNAL_WORKERS_MAX]; /* holds the mutex */
	atomic_bool careful;
	atomic_uint messages; /* while careful */
	atomic_int reserved;  /* the worker that may read, NOTHING: none does */
	atomic_uint ahead;    /* suspects that were not passed */
	atomic_bool passed[JOURNAL_SUSPECTS_MAX];
};

uint64_t journal_log(struct text name, int32_t partition)
{
	return XXH3_64bits_withSeed(name.data, name.size, (uint64_t)partition);
}

/* --- what the last run left --------------------------------------------------------------- */

static void page_init(struct page *page)
{
	memset(page, 0, sizeof *page);
	memcpy(page->magic, magic, sizeof magic);
	for (size_t i = 0; i < JOURNAL_WORKERS_MAX; i++)
		atomic_init(&page->hands[i].offset, NOTHING);
}

/* Every number in it is possible; what must hold is that the texts end and the count fits. */
static void page_read(const char *path, struct page *page)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool whole = fd >= 0 && read(fd, page, sizeof *page) == (ssize_t)sizeof *page &&
		     memcmp(page->magic, magic, sizeof magic) == 0 &&
		     page->suspect_count <= JOURNAL_SUSPECTS_MAX &&
		     page->epoch_size <= EPOCH_SINGLE;
	if (fd >= 0)
		(void)close(fd);
	if (!whole) {
		page_init(page);
		return;
	}
	for (size_t i = 0; i < JOURNAL_SUSPECTS_MAX; i++)
		page->suspects[i].topic[JOURNAL_NAME_BYTES - 1] = '\0';
	for (size_t i = 0; i < JOURNAL_WORKERS_MAX; i++)
		page->hands[i].topic[JOURNAL_NAME_BYTES - 1] = '\0';
}

static void page_forget(struct page *page, size_t index)
{
	assert(index < page->suspect_count);
	page->suspect_count--;
	memmove(&page->suspects[index], &page->suspects[index + 1],
		(page->suspect_count - index) * sizeof page->suspects[0]);
}

/* Room for one more: of those that are not refused yet the oldest goes, else the oldest of all. */
static void page_make_room(struct page *page)
{
	size_t gone = 0;
	if (page->suspect_count < JOURNAL_SUSPECTS_MAX)
		return;
	while (gone < page->suspect_count && page->suspects[gone].step != JOURNAL_READ)
		gone++;
	page_forget(page, gone < page->suspect_count ? gone : 0);
}

static struct suspect *page_suspect(struct page *page, const struct hand *hand)
{
	int64_t offset = atomic_load(&hand->offset);
	for (size_t i = 0; i < page->suspect_count; i++)
		if (page->suspects[i].log == hand->log && page->suspects[i].offset == offset)
			return &page->suspects[i];
	page_make_room(page);
	struct suspect *fresh = &page->suspects[page->suspect_count++];
	*fresh = (struct suspect){.log = hand->log, .offset = offset, .partition = hand->partition};
	memcpy(fresh->topic, hand->topic, sizeof fresh->topic);
	return fresh;
}

/* One death more with it in hand. */
static void suspect_accuse(struct suspect *suspect, bool crashed)
{
	suspect->others = 0;
	suspect->deaths += suspect->deaths < UINT32_MAX;
	suspect->deaths_step++;
	suspect->crashes += crashed;
	if (suspect->crashes < JOURNAL_CRASHES_MAX && suspect->deaths_step < JOURNAL_DEATHS_MAX)
		return;
	suspect->step = suspect->step == JOURNAL_READ ? JOURNAL_REFUSE : JOURNAL_REFUSE_BARE;
	suspect->deaths_step = suspect->crashes = 0;
}

static void page_shrink(struct page *page)
{
	if (page->epoch_size == EPOCH_ANY)
		page->epoch_size = EPOCH_SMALL;
	else if (page->measured < JOURNAL_SINGLE_MAX)
		page->epoch_size = EPOCH_SINGLE;
}

/* The hands that the last run died with become suspects. */
static void page_conclude(struct page *page)
{
	bool died = false;
	bool explained = false;
	for (size_t i = 0; i < JOURNAL_WORKERS_MAX; i++)
		died = died || atomic_load(&page->hands[i].offset) >= 0;
	for (size_t i = 0; died && i < page->suspect_count; i++)
		page->suspects[i].others += page->suspects[i].others < UINT32_MAX;
	for (size_t i = 0; i < JOURNAL_WORKERS_MAX; i++) {
		struct hand *hand = &page->hands[i];
		if (atomic_load(&hand->offset) >= 0) {
			struct suspect *suspect = page_suspect(page, hand);
			suspect_accuse(suspect, page->crashed != 0);
			explained = explained || suspect->step != JOURNAL_READ;
		}
		*hand = (struct hand){.offset = NOTHING};
	}
	for (size_t i = page->suspect_count; i-- > 0;)
		if (page->suspects[i].others > JOURNAL_FORGET_AFTER &&
		    page->suspects[i].step == JOURNAL_READ)
			page_forget(page, i);
	if (page->entered > 0 && page->crashed != 0 && !explained)
		page_shrink(page);
	page->entered = page->measured = page->crashed = 0;
}

/* What the store holds, as an event or in the quarantine, is no suspect any more. */
static enum status page_forget_stored(struct page *page, const struct position_row *positions,
				      size_t position_count)
{
	struct bytes name cleanup(bytes_done) = {0};
	for (size_t i = 0; page->suspect_count > 0 && i < position_count; i++) {
		const struct position_row *at = &positions[i];
		bytes_clear(&name);
		log_name(at->topic, at->incarnation, &name);
		uint64_t log = journal_log(bytes_text(&name), at->partition);
		for (size_t k = page->suspect_count; k-- > 0;)
			if (page->suspects[k].log == log &&
			    page->suspects[k].offset < at->next_offset)
				page_forget(page, k);
	}
	return bytes_status(&name);
}

/* --- the file ------------------------------------------------------------------------------ */

static bool write_all(int fd, const void *data, size_t size)
{
	const char *from = data;
	while (size > 0) {
		ssize_t written = write(fd, from, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		from += written;
		size -= (size_t)written;
	}
	return true;
}

static void refuse_copies(int fd)
{
	int flags = 0;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0)
		return;
	flags |= FS_NOCOW_FL;
	(void)ioctl(fd, FS_IOC_SETFLAGS, &flags); /* most file systems need and know no such flag */
}

static enum status page_map(const char *path, const struct page *page, struct page **ret_mapped,
			    struct error *err)
{
	char fresh[PATH_BYTES];
	int length = snprintf(fresh, sizeof fresh, "%s.new", path);
	if (length < 0 || (size_t)length >= sizeof fresh)
		return error_set(err, EINVALID, "%s: the path is too long", path);
	(void)unlink(fresh); /* the flag below wants an empty file */
	int fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	void *mapped = MAP_FAILED;
	if (fd >= 0) {
		refuse_copies(fd);
		if (write_all(fd, page, sizeof *page) && fsync(fd) == 0 && rename(fresh, path) == 0)
			mapped =
				mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	int error = errno;
	if (fd >= 0)
		(void)close(fd);
	if (mapped == MAP_FAILED)
		return error_set(err, error == ENOSPC ? ENOSPACE : ESYSTEM,
				 "%s: cannot keep the journal of messages in hand, so a message "
				 "that crashes picket would not be put aside: %s",
				 path, strerror(error));
	*ret_mapped = mapped;
	return OK;
}

enum status journal_open(const char *path, const struct position_row *positions,
			 size_t position_count, struct journal **ret_journal, struct error *err)
{
	struct journal *journal cleanup(journal_free) = calloc(1, sizeof *journal);
	struct page *page = aligned_alloc(alignof(struct page), sizeof *page);
	enum status status = journal == NULL || page == NULL ? ENOMEMORY : OK;
	if (journal != NULL) {
		int failed = pthread_mutex_init(&journal->mutex, NULL);
		assert(failed == 0);
	}
	if (status == OK) {
		page_read(path, page);
		page_conclude(page);
		status = page_forget_stored(page, positions, position_count);
	}
	if (status == OK)
		status = page_map(path, page, &journal->page, err);
	free(page);
	if (status != OK)
		return status;
	atomic_store(&journal->ahead, journal->page->suspect_count);
	atomic_store(&journal->careful, journal->page->suspect_count > 0);
	atomic_store(&journal->reserved, NOTHING);
	*ret_journal = TAKE(journal);
	return OK;
}

void journal_free(struct journal **journal)
{
	if (*journal == NULL)
		return;
	struct page *page = (*journal)->page;
	for (size_t i = 0; page != NULL && i < JOURNAL_WORKERS_MAX; i++)
		atomic_store(&page->hands[i].offset, NOTHING);
	if (page != NULL) {
		atomic_store(&page->entered, 0);
		(void)munmap(page, sizeof *page);
	}
	(void)pthread_mutex_destroy(&(*journal)->mutex);
	free(*journal);
	*journal = NULL;
}

/* --- while it runs ------------------------------------------------------------------------- */

static struct journal_past past_of(const struct journal *journal, const struct journal_place *place)
{
	const struct page *page = journal->page;
	for (size_t i = 0; i < page->suspect_count; i++) {
		const struct suspect *suspect = &page->suspects[i];
		if (suspect->log == place->log && suspect->offset == place->offset)
			return (struct journal_past){suspect->step, suspect->deaths};
	}
	return (struct journal_past){JOURNAL_READ, 0};
}

/* The suspects up to this message of its log are behind us. */
static void pass(struct journal *journal, const struct hand *hand)
{
	const struct page *page = journal->page;
	for (size_t i = 0; i < page->suspect_count; i++)
		if (page->suspects[i].log == hand->log &&
		    page->suspects[i].offset <= atomic_load(&hand->offset) &&
		    !atomic_exchange(&journal->passed[i], true))
			(void)atomic_fetch_sub(&journal->ahead, 1);
	if (atomic_load(&journal->ahead) == 0 ||
	    atomic_fetch_add(&journal->messages, 1) + 1 >= JOURNAL_CAREFUL_MAX)
		atomic_store(&journal->careful, false);
}

static void hand_name(struct hand *hand, const struct journal_place *place)
{
	size_t size = place->topic.size < sizeof hand->topic - 1 ? place->topic.size
								 : sizeof hand->topic - 1;
	memcpy(hand->topic, place->topic.data, size);
	hand->topic[size] = '\0';
	hand->partition = place->partition;
	hand->log = place->log;
}

struct journal_past journal_take(struct journal *journal, unsigned worker,
				 const struct journal_place *place)
{
	assert(worker < JOURNAL_WORKERS_MAX && place->offset >= 0);
	struct hand *hand = &journal->page->hands[worker];
	struct journal_past past = {JOURNAL_READ, 0};
	bool single = atomic_load(&journal->reserved) == (int)worker;
	if (!single && atomic_load(&journal->careful)) {
		(void)pthread_mutex_lock(&journal->mutex);
		journal->alone[worker] = true;
	}
	if (atomic_load(&journal->ahead) > 0)
		past = past_of(journal, place);
	if (hand->log != place->log) /* the hand is empty: nobody believes what it says */
		hand_name(hand, place);
	atomic_store_explicit(&hand->offset, place->offset, memory_order_release);
	return past;
}

/* Epochs are of any size again when the culprit did not come. */
static void measure(struct journal *journal)
{
	bool single = atomic_load(&journal->page->epoch_size) == EPOCH_SINGLE;
	unsigned most = single ? JOURNAL_SINGLE_MAX : JOURNAL_CAREFUL_MAX;
	if (atomic_fetch_add(&journal->page->measured, 1) + 1 >= most)
		atomic_store(&journal->page->epoch_size, EPOCH_ANY);
}

void journal_leave(struct journal *journal, unsigned worker)
{
	struct hand *hand = &journal->page->hands[worker];
	if (atomic_load(&journal->ahead) > 0)
		pass(journal, hand);
	if (atomic_load(&journal->page->epoch_size) != EPOCH_ANY)
		measure(journal);
	atomic_store_explicit(&hand->offset, NOTHING, memory_order_release);
	if (journal->alone[worker]) {
		journal->alone[worker] = false;
		(void)pthread_mutex_unlock(&journal->mutex);
	}
}

void journal_crashed(struct journal *journal)
{
	if (journal != NULL)
		atomic_store(&journal->page->crashed, 1);
}

void journal_enter(struct journal *journal)
{
	if (journal != NULL)
		(void)atomic_fetch_add(&journal->page->entered, 1);
}

void journal_exit(struct journal *journal)
{
	if (journal != NULL)
		(void)atomic_fetch_sub(&journal->page->entered, 1);
}

unsigned journal_epoch_messages(const struct journal *journal)
{
	uint32_t size = journal == NULL ? EPOCH_ANY : atomic_load(&journal->page->epoch_size);
	return size == EPOCH_ANY ? UINT_MAX : size == EPOCH_SMALL ? JOURNAL_SMALL_EPOCH : 1;
}

bool journal_reserve(struct journal *journal, unsigned worker)
{
	int nobody = NOTHING;
	return atomic_compare_exchange_strong(&journal->reserved, &nobody, (int)worker);
}

void journal_release(struct journal *journal, unsigned worker)
{
	assert(atomic_load(&journal->reserved) == (int)worker);
	atomic_store(&journal->reserved, NOTHING);
}

size_t journal_suspects(struct journal *journal, char *first, size_t size)
{
	const struct page *page = journal->page;
	size_t count = atomic_load(&journal->careful) ? atomic_load(&journal->ahead) : 0;
	assert(size > 0);
	first[0] = '\0';
	for (size_t i = 0; count > 0 && first[0] == '\0' && i < page->suspect_count; i++)
		if (!atomic_load(&journal->passed[i]))
			(void)snprintf(first, size, "%s/%" PRId32 "/%" PRId64,
				       page->suspects[i].topic, page->suspects[i].partition,
				       page->suspects[i].offset);
	return count;
}
