/* docs/CONFIG.md, written from the table: a test compares the page with this. */

#include "cli/settings_private.h"

static void put_range(struct bytes *to, const struct setting *setting)
{
	if (setting->kind == SETTING_COUNT_NUMBER)
		bytes_print(to, " from %lld to %lld", (long long)setting->min,
			    (long long)setting->max);
	if (setting->kind == SETTING_DURATION)
		bytes_print(to, " from %gs to %gs", (double)setting->min / 1e6,
			    (double)setting->max / 1e6);
	if (setting->kind == SETTING_SIZE)
		bytes_print(to, " from %lldMiB", (long long)(setting->min >> 20));
}

static void put_row(struct bytes *to, const struct setting *setting)
{
	bytes_write_string(to, "| `");
	bytes_write_string(to, setting->path);
	bytes_write_string(to, "` | ");
	bytes_write_string(to, setting_kind_name(setting->kind));
	put_range(to, setting);
	if (setting->choices[0] != '\0') {
		bytes_write_string(to, ": ");
		bytes_write_string(to, setting->choices);
	}
	bytes_write_string(to, setting->fallback[0] == '\0' ? " | " : " | `");
	bytes_write_string(to, setting->fallback);
	bytes_write_string(to, setting->fallback[0] == '\0' ? "| " : "` | ");
	bytes_write_string(to, setting->doc);
	bytes_write_string(to, " |\n");
}

void config_document(struct bytes *to)
{
	bytes_write_string(
		to,
		"# Configuration\n\n"
		"`picket run -c picket.yaml` reads one YAML file. This page is written from the same "
		"table as the parser\n(`picket check --config-docs > docs/CONFIG.md`), so it cannot "
		"be out of date. The file is strict: an unknown key,\na wrong type, a value out of "
		"range or a number without its unit is an error with its line and column.\n"
		"`picket check -c picket.yaml` opens everything the file names and prints every "
		"problem it finds.\n\n"
		"Paths are relative to the folder of the file. Durations: `100ms`, `10s`, `5m`, `1h`, "
		"`7d`. Sizes: `64KiB`, `256MiB`, `2GiB`.\n\n"
		"```yaml\n"
		"data_dir: /var/lib/picket\n"
		"kafka:\n"
		"  bootstrap_servers: kafka-1:9092,kafka-2:9092\n"
		"  group_id: picket\n"
		"  topics: [\"^logs-.*\"]\n"
		"  start: -7d\n"
		"  librdkafka:\n"
		"    security.protocol: SASL_SSL\n"
		"    sasl.mechanism: SCRAM-SHA-512\n"
		"    sasl.username: picket\n"
		"    sasl.password_file: secrets/kafka\n"
		"rules:\n"
		"  paths: [/usr/share/picket/rules, rules]\n"
		"```\n\n"
		"| key | kind | default | what it does |\n|---|---|---|---|\n");
	for (size_t i = 0; i < setting_count; i++)
		put_row(to, &settings[i]);
}
