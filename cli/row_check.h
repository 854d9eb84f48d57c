/* row_check - whether a row of the store that holds no events decodes.
 *
 * Why: `picket store verify` and a restore must find a damaged alert as they find a damaged event,
 * and only cli/ knows every form. Invariant: a row that some reader would refuse is ECORRUPT; rows
 * that nobody has a decoder for (cells, match records) are only read. Owner: none. Thread: any
 * (pure). Limits: those of the rows. */
#ifndef PICKET_CLI_ROW_CHECK_H
#define PICKET_CLI_ROW_CHECK_H

#include "storage/store.h"

enum status row_check(enum store_family family, struct text key, struct text value,
		      struct error *err);

#endif
