/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finding the virtual service. */
#ifndef EK_SERVICE_H
#define EK_SERVICE_H

#include "parse.h"

static __always_inline const struct service *service_find(const struct packet *p)
{
	struct service_key key = {};

	/* On the wire of IPv6 a v4-mapped address is nobody's. */
	if (p->v6 && addr_is_v4(p->ip6->daddr))
		return NULL;
	if (p->v6)
		__builtin_memcpy(key.addr, p->ip6->daddr, sizeof(key.addr));
	else
		addr4_map(key.addr, p->ip->daddr);
	key.port = p->dport;
	key.proto = p->proto;
	return bpf_map_lookup_elem(&ek_services, &key);
}

#endif
