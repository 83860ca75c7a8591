/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finding the virtual service. */
#ifndef EK_SERVICE_H
#define EK_SERVICE_H

#include "parse.h"

static __always_inline const struct service *service_find(__be32 addr, __be16 port, __u8 proto)
{
	struct service_key key = {};

	key.addr[10] = 0xff;
	key.addr[11] = 0xff;
	__builtin_memcpy(&key.addr[12], &addr, sizeof(addr));
	key.port = port;
	key.proto = proto;
	return bpf_map_lookup_elem(&ek_services, &key);
}

#endif
