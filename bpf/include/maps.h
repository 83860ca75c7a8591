/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps, all pinned by user space under their own name. The loader may
 * raise max_entries before it loads the object.
 */
#ifndef EK_MAPS_H
#define EK_MAPS_H

#include "contract.h"
#include "reasons.h"

#define MAX_SERVICES 1024
#define MAX_SERVERS 16384
#define MAX_PORTS 65536
#define MAX_VLANS 16384
#define MAX_FLOWS 262144
#define MAX_TEMPLATES 65536
#define MAX_REASONS 64

/* only is the key of a map with one entry. Where that is an array, and not one per CPU, package bpf
 * writes the entry's address in place of the look-up when the program is loaded (package fold).
 */
static const __u32 only = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} ek_settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, struct port);
} ek_ports SEC(".maps");

/* VLAN devices, as an index of ek_ports, by the frames that are theirs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_VLANS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct vlan_key);
	__type(value, __u32);
} ek_vlans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SERVICES);
	__type(key, struct service_key);
	__type(value, struct service);
} ek_services SEC(".maps");

/* A byte for each address and port of a service or a server, set before packets can
 * find it and cleared some time after the last flow of it: foreign.h.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct known);
} ek_known SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SERVICES);
	__type(key, __u32);
	__type(value, union cursor);
} ek_cursors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct order);
} ek_orders SEC(".maps");

/* The tables of wrr, sh, dh and mh: servers by place. An entry of the outer map
 * is a table of its own size, replaced as a whole.
 */
struct sched_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_TABLE);
	__uint(map_flags, BPF_F_INNER_MAP);
	__type(key, __u32);
	__type(value, __u32);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2 * MAX_SERVICES);
	__type(key, __u32);
	__array(values, struct sched_table);
} ek_tables SEC(".maps");

/* The second argument of ek_publish, too large for its context. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct positions);
} ek_positions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct stats);
} ek_service_stat SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SERVERS);
	__type(key, __u32);
	__type(value, struct server);
} ek_servers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SERVERS);
	__type(key, __u32);
	__type(value, struct tunnel);
} ek_tunnels SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SERVERS);
	__type(key, __u32);
	__type(value, struct server_conns);
} ek_server_conns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_SERVERS);
	__type(key, __u32);
	__type(value, struct stats);
} ek_server_stats SEC(".maps");

/* One shard of the flow table. It is preallocated: an insert is refused when
 * it is full, and nothing is ever evicted behind our back.
 */
struct flow_shard {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FLOWS / FLOW_SHARDS);
	__type(key, struct flow_key);
	__type(value, struct flow);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, FLOW_SHARDS);
	__type(key, __u32);
	__array(values, struct flow_shard);
} ek_flows SEC(".maps");

struct flow6_shard {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FLOWS / FLOW_SHARDS);
	__type(key, struct flow6_key);
	__type(value, struct flow);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, FLOW_SHARDS);
	__type(key, __u32);
	__array(values, struct flow6_shard);
} ek_flows6 SEC(".maps");

/* The rings of half-open flows, one for each shard, IPv4's and then IPv6's, and
 * what lies in them: the key at shard * size + place.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * FLOW_SHARDS);
	__type(key, __u32);
	__type(value, struct half_ring);
} ek_half_rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_FLOWS);
	__type(key, __u32);
	__type(value, struct flow_key);
} ek_half_open SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_FLOWS);
	__type(key, __u32);
	__type(value, struct flow6_key);
} ek_half_open6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct limit);
} ek_limits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct overload);
} ek_overload SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FLOWS);
	__type(key, struct reply_key);
	__type(value, struct reply);
} ek_replies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FLOWS);
	__type(key, struct reply6_key);
	__type(value, struct reply6);
} ek_replies6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_TEMPLATES);
	__type(key, struct template_key);
	__type(value, struct template);
} ek_templates SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_TEMPLATES);
	__type(key, struct template6_key);
	__type(value, struct template);
} ek_templates6 SEC(".maps");

/* The second argument of ek_sweep and its like: keys of their kind, each in the first
 * bytes. It belongs to the programs, not to the datapath that outlives them, and is
 * not pinned.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SWEEP_KEYS);
	__type(key, __u32);
	__type(value, struct flow6_key);
} ek_sweep_keys SEC(".maps");

/* Packets by reason; the index is enum reason. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} ek_reasons SEC(".maps");

/* How many ICMP errors this CPU sent in the running second. */
struct icmp_budget {
	__u64 second;
	__u32 sent;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct icmp_budget);
} ek_icmp_budget SEC(".maps");

#endif
