/* mmdb_writer - a small MaxMind database in a file: one network and one flat record. */
#ifndef PICKET_TESTS_INGEST_MMDB_WRITER_H
#define PICKET_TESTS_INGEST_MMDB_WRITER_H

#include <check.h>
#include <stdio.h>

#include "rules/bytes.h"
#include "rules/cidr.h"

static inline void mmdb_text(struct bytes *to, const char *text)
{
	size_t size = strlen(text);
	ck_assert_uint_lt(size, 29);
	bytes_put_u8(to, (uint8_t)(2 << 5 | size));
	bytes_put(to, text, size);
}

static inline void mmdb_float(struct bytes *to, float value)
{
	uint32_t bits = 0;
	memcpy(&bits, &value, sizeof bits);
	bytes_put_u8(to, 4); /* extended type 15, four bytes */
	bytes_put_u8(to, 8);
	bytes_put_be32(to, bits);
}

static inline void mmdb_number(struct bytes *to, uint32_t value)
{
	bytes_put_u8(to, 6 << 5 | 4);
	bytes_put_be32(to, value);
}

static inline void mmdb_small(struct bytes *to, unsigned value)
{
	bytes_put_u8(to, 5 << 5 | 2);
	bytes_put_u8(to, (uint8_t)(value >> 8));
	bytes_put_u8(to, (uint8_t)value);
}

static inline void mmdb_map(struct bytes *to, unsigned pairs)
{
	bytes_put_u8(to, (uint8_t)(7 << 5 | pairs));
}

static inline void mmdb_record(struct bytes *tree, uint32_t left, uint32_t right)
{
	const uint32_t records[] = {left, right};
	for (int i = 0; i < 2; i++)
		for (int shift = 16; shift >= 0; shift -= 8)
			bytes_put_u8(tree, (uint8_t)(records[i] >> shift));
}

/* A database of ip_version with one network; `data` is its record. */
static inline void mmdb_write(const char *path, unsigned ip_version, const char *network,
			      const struct bytes *data)
{
	struct cidr cidr;
	struct bytes all cleanup(bytes_done) = {0};
	ck_assert(cidr_parse(text_of(network), &cidr));
	unsigned skip = ip_version == 4 ? 96 : 0;
	uint32_t nodes = cidr.prefix_bits - skip;
	for (uint32_t i = 0; i < nodes; i++) {
		unsigned bit = skip + i;
		bool one = (cidr.address[bit / 8] >> (7 - bit % 8) & 1) != 0;
		uint32_t next = i + 1 == nodes ? nodes + 16 : i + 1;
		mmdb_record(&all, one ? nodes : next, one ? next : nodes);
	}
	for (int i = 0; i < 16; i++)
		bytes_put_u8(&all, 0);
	bytes_put(&all, data->data, data->size);
	bytes_put(&all, "\xab\xcd\xefMaxMind.com", 14);
	mmdb_map(&all, 9);
	mmdb_text(&all, "binary_format_major_version");
	mmdb_small(&all, 2);
	mmdb_text(&all, "binary_format_minor_version");
	mmdb_small(&all, 0);
	mmdb_text(&all, "build_epoch");
	bytes_put_u8(&all, 8); /* extended type 9, eight bytes */
	bytes_put_u8(&all, 2);
	bytes_put_be64(&all, 1700000000);
	mmdb_text(&all, "description");
	mmdb_map(&all, 0);
	mmdb_text(&all, "languages");
	bytes_put_u8(&all, 0); /* extended type 11, no member */
	bytes_put_u8(&all, 4);
	mmdb_text(&all, "database_type");
	mmdb_text(&all, "Flat");
	mmdb_text(&all, "ip_version");
	mmdb_small(&all, ip_version);
	mmdb_text(&all, "node_count");
	mmdb_number(&all, nodes);
	mmdb_text(&all, "record_size");
	mmdb_small(&all, 24);
	FILE *file = fopen(path, "wb");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(all.data, 1, all.size, file), all.size);
	ck_assert_int_eq(fclose(file), 0);
}

#endif
