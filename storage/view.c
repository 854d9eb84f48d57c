#include "storage/view.h"

#include <assert.h>

#include "storage/store_private.h"

enum status store_view_new(struct store *store, struct store_view **ret_view, struct error *err)
{
	(void)atomic_fetch_add(&store->views, 1); /* before it reads anything */
	struct store_view *view = store->calls->view_new(store);
	if (view == NULL)
		(void)atomic_fetch_sub(&store->views, 1);
	if (view == NULL)
		return error_set(err, ENOMEMORY, "no memory for a view of the store");
	view->store = store;
	*ret_view = view;
	return OK;
}

void store_view_free(struct store_view **view)
{
	if (*view == NULL)
		return;
	struct store *store = (*view)->store;
	store->calls->view_free(*view);
	(void)atomic_fetch_sub(&store->views, 1);
	*view = NULL;
}

enum status store_view_get(struct store_view *view, enum store_family family, struct text key,
			   struct bytes *ret_value, struct error *err)
{
	assert((unsigned)family < FAMILY_COUNT);
	bytes_clear(ret_value);
	return view->store->calls->get(view->store, view, family, key, ret_value, err);
}

enum status store_view_scan(struct store_view *view, enum store_family family, struct text prefix,
			    struct text from, struct store_scan **ret_scan, struct error *err)
{
	return store_scan_of(view->store, view, (struct store_range){family, prefix, from},
			     ret_scan, err);
}
