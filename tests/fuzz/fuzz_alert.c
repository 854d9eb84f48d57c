/* Alerts as bytes: what decodes must encode to an alert that decodes to the same, and print. */
#include <assert.h>

#include "correlate/alert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct alert alert;
	struct alert again;
	struct error err;
	if (alert_decode((struct text){(const char *)data, size}, &alert, &err) != OK)
		return 0;
	struct bytes once cleanup(bytes_done) = {0};
	struct bytes twice cleanup(bytes_done) = {0};
	struct bytes json cleanup(bytes_done) = {0};
	alert_encode(&alert, &once);
	enum status status = alert_decode(bytes_text(&once), &again, &err);
	assert(status == OK);
	alert_encode(&again, &twice);
	assert(text_equal(bytes_text(&once), bytes_text(&twice)));
	alert_json(&alert, size % 2 == 0, &json);
	assert(json.data[0] == '{' && json.data[json.size - 1] == '}');
	return 0;
}
