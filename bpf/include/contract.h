/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the program and user space agree on: the keys and values of the maps.
 * Addresses and ports are in network byte order, everything else in the
 * machine's. Package lbmaps is the other side of this file. A change here
 * that old pins cannot carry raises LAYOUT_VERSION.
 */
#ifndef EK_CONTRACT_H
#define EK_CONTRACT_H

#include "kernel.h"

#define LAYOUT_VERSION 14

/* A service has at most this many servers, and as many places in its order. */
#define MAX_ORDER 256

/* A scheduler's table has at most this many entries: wrr's sum of weights over
 * their common divisor, and the default sizes of sh (256) and mh (4093).
 */
#define MAX_TABLE 4096

/* A power of two above the positions of wrr's cursor, two for each entry. */
#define MAX_POSITIONS 16384

/* Flows lie in this many maps. */
#define FLOW_SHARDS 16

/* One run of the sweep looks at no more flows or templates than these, so that it
 * never holds a CPU for long.
 */
#define SWEEP_KEYS 512

/* ek_known has a byte for each hash of so many bits. */
#define KNOWN_BITS 18

/* known says of each hash of an address and a port whether it may be the end of a service or a
 * server: 1, or 0. Bytes, since to ask for a bit takes the program five instructions more.
 */
struct known {
	__u8 end[1 << KNOWN_BITS];
};

/* service_key selects a virtual service. Addresses are IPv6; an IPv4 address
 * is stored v4-mapped (::ffff:a.b.c.d).
 */
struct service_key {
	__u8 addr[16];
	__be16 port;
	__u8 proto;
	__u8 pad;
};

/* IPVS's schedulers by name. */
enum __attribute__((packed)) scheduler {
	SCHED_RR = 1,
	SCHED_WRR = 2,
	SCHED_LC = 3,
	SCHED_WLC = 4,
	SCHED_SED = 5,
	SCHED_NQ = 6,
	SCHED_OVF = 7,
	SCHED_FO = 8,
	SCHED_SH = 9,
	SCHED_DH = 10,
	SCHED_MH = 11,
};

/* The flags of sh and mh, by IPVS's numbers. */
#define SCHED_FALLBACK 0x08 /* try other buckets where the server is unusable */
#define SCHED_PORT 0x10	    /* hash the client's port as well */

/* service is the head of a virtual service. id indexes ek_cursors,
 * ek_service_stat, and with the cursor's generation (id * 2 + generation % 2)
 * ek_orders and ek_tables.
 */
struct service {
	__u32 id;
	enum scheduler scheduler;
	__u8 flags;  /* SCHED_* and SERVICE_* */
	__u8 prefix; /* persistence: how many bits of the client's address count */
	__u8 pad;
	__u32 persistence; /* seconds that a template lives; 0 none */
	__u32 rate;	   /* new flows per second; 0 no limit */
	__u32 burst;	   /* new flows at once, at least 1 with a rate */
};

/* Each datagram is scheduled for itself (ops). */
#define SERVICE_ONE_PACKET 0x04

/* cursor is where a service's scheduler stands. For rr, position is the index
 * after the server chosen last, 0 before the first; for wrr it is 2i with entry
 * i of the table next at the head of the list, 2i + 1 with entry i chosen last;
 * the others leave it 0. generation counts the published
 * orders; its lowest bit says which of the two is valid. Both change by one
 * compare-and-swap on word, so a decision never spans two orders.
 */
union cursor {
	__u64 word;
	struct {
		__u32 position;
		__u32 generation;
	};
};

struct order_entry {
	__u32 server; /* index into ek_servers */
	__s32 weight;
	__u32 next; /* the first entry with a weight from this one on, once round */
};

/* NO_ENTRY is the next of every entry when none has a weight. */
#define NO_ENTRY 0xffffffffU

/* order lists the servers of a service as IPVS links them: newest first. */
struct order {
	__u32 count;
	__u32 table_count;  /* entries of the scheduler's table, 0 without one */
	__u32 table_lowest; /* wrr: where the round of the lowest weight begins */
	__u32 pad;
	struct order_entry entry[MAX_ORDER];
};

/* The values are IPVS's IP_VS_CONN_F_*. */
enum __attribute__((packed)) forward {
	FORWARD_NAT = 0,
	FORWARD_LOCAL = 1,
	FORWARD_TUN = 2,
	FORWARD_DR = 3,
};

#define SERVER_DELETED 0x01  /* removed, but flows still point here */
#define SERVER_RESOLVED 0x02 /* ifindex, smac and dmac hold */
#define SERVER_LOCAL 0x04    /* this machine: packets go up as they came */

/* server is a real server of one service. User space alone writes it. */
struct server {
	__u8 addr[16];
	__be16 port;
	enum forward forward;
	__u8 flags; /* SERVER_* */
	__s32 weight;
	__u32 service;	     /* id of the service it belongs to */
	__u32 ifindex;	     /* the interface that frames leave by */
	__u8 dmac[ETH_ALEN]; /* and smac are in the order of a frame */
	__u8 smac[ETH_ALEN];
	__u16 vlan;	   /* id of the tag that frames leave with, 0 none */
	__u16 mtu;	   /* largest IP packet on the way, 0 not known */
	__u32 upper;	   /* uthreshold, 0 none */
	__u32 lower;	   /* lthreshold, 0 none */
	__be32 outer;	   /* TUN by IPIP from and to IPv4, the usual: the outer source; else 0 */
	__s32 last_weight; /* the last that was not 0; user space's, for mh */
};

/* The values are IPVS's IP_VS_CONN_F_TUNNEL_TYPE_*. */
enum __attribute__((packed)) tunnel_type {
	TUNNEL_IPIP = 0,
	TUNNEL_GUE = 1,
	TUNNEL_GRE = 2,
};

/* tunnel is what TUN needs beside the server. */
struct tunnel {
	__u8 saddr[16]; /* the outer source address */
	__be16 port;	/* GUE: where the server takes packets, by UDP */
	enum tunnel_type type;
	__u8 pad;
} __attribute__((aligned(4)));

/* server_conns counts the live flows of a server; the program alone writes
 * it, by atomic adds. inactive is total - active.
 */
struct server_conns {
	__u32 active;
	__u32 total;
	__u32 overloaded; /* 1 while over its upper threshold */
	__u32 persistent; /* live templates */
};

/* stats is per CPU. Bytes are IP total lengths. */
struct stats {
	__u64 conns;
	__u64 in_pkts;
	__u64 out_pkts;
	__u64 in_bytes;
	__u64 out_bytes;
};

/* flow_key is the tuple of the client's packets. IPv4 and IPv6 have maps of their
 * own: one key of 40 bytes for both would cost IPv4 a third of its speed and
 * double the size of its keys.
 */
struct flow_key {
	__be32 caddr;
	__be32 vaddr;
	__be16 cport;
	__be16 vport;
	__u8 proto;
	__u8 pad[3];
};

struct flow6_key {
	__u8 caddr[16];
	__u8 vaddr[16];
	__be16 cport;
	__be16 vport;
	__u8 proto;
	__u8 pad[3];
} __attribute__((aligned(4)));

/* The states of TCP and SCTP are IPVS's: TCP's by IPVS's numbers, SCTP's by IPVS's
 * above FLOW_SCTP.
 */
enum __attribute__((packed)) flow_state {
	FLOW_NONE = 0,
	FLOW_ESTABLISHED = 1,
	FLOW_SYN_SENT = 2,
	FLOW_SYN_RECV = 3,
	FLOW_FIN_WAIT = 4,
	FLOW_TIME_WAIT = 5,
	FLOW_CLOSE = 6,
	FLOW_CLOSE_WAIT = 7,
	FLOW_LAST_ACK = 8,
	FLOW_LISTEN = 9,
	FLOW_SYNACK = 10,
	FLOW_UDP = 11,
	FLOW_SCTP_NONE = 16,
	FLOW_SCTP_INIT1 = 17,
	FLOW_SCTP_INIT = 18,
	FLOW_SCTP_COOKIE_SENT = 19,
	FLOW_SCTP_COOKIE_REPLIED = 20,
	FLOW_SCTP_COOKIE_WAIT = 21,
	FLOW_SCTP_COOKIE = 22,
	FLOW_SCTP_COOKIE_ECHOED = 23,
	FLOW_SCTP_ESTABLISHED = 24,
	FLOW_SCTP_SHUTDOWN_SENT = 25,
	FLOW_SCTP_SHUTDOWN_RECEIVED = 26,
	FLOW_SCTP_SHUTDOWN_ACK_SENT = 27,
	FLOW_SCTP_REJECTED = 28,
	FLOW_SCTP_CLOSED = 29,
	FLOW_STATES = 30, /* above all states that a live flow can have */
	FLOW_DEAD = 33,	  /* counted out; may be taken over or deleted */
	FLOW_OWNED = 34,  /* one CPU is opening, ending or deleting it */
};

/* FLOW_SCTP is the bit that all of SCTP's states have, and no other of a live flow. */
#define FLOW_SCTP 16

#define FLOW_INACTIVE 0x01   /* counts in total, not in active */
#define FLOW_NOOUTPUT 0x02   /* no reply was seen (DR) */
#define FLOW_NAT 0x04	     /* has an entry in ek_replies */
#define FLOW_CONTROLLED 0x08 /* counts in a persistence template */
#define FLOW_TUN 0x20	     /* goes to the server in a tunnel */

/* flow_word is what a flow is. It changes by compare-and-swap on word only, but for
 * FLOW_OWNED, which its owner alone replaces. Whoever wins the swap applies the
 * change to server_conns. generation tells two lives of one entry apart, and an
 * entry from the one that had its memory before.
 */
union flow_word {
	__u64 word;
	struct {
		__u32 server; /* index into ek_servers */
		__u16 generation;
		enum flow_state state;
		__u8 flags; /* FLOW_INACTIVE and so on */
	};
};

/* link is a way out: the interface and both addresses of the frame. */
struct link {
	__u32 ifindex;
	__u8 dmac[ETH_ALEN];
	__u8 smac[ETH_ALEN];
};

/* flow is one connection. Times are nanoseconds of the coarse monotonic
 * clock.
 */
struct flow {
	union flow_word now;
	__u64 expires;
	__u64 reply_checked; /* when reply was looked up; 0 never */
	struct link reply;   /* NAT: how replies reach the client */
	struct link request; /* NAT: how the client's frames came, turned round */
	__u8 prefix;	     /* of the template, if FLOW_CONTROLLED */
	__u8 copied;	     /* 0 if it certainly has no copy (hot.h) */
	__u16 reply_mtu;     /* largest IP packet on the replies' way, 0 not known */
	__u16 reply_vlan;    /* id of the tag on the way of reply, 0 none */
	__u16 request_vlan;  /* and on that of request */
};

/* template_key is a group of clients of one service: the client's address has
 * all bits behind the prefix cleared.
 */
struct template_key {
	__be32 caddr;
	__be32 vaddr;
	__be16 vport;
	__u8 proto;
	__u8 prefix;
};

struct template6_key {
	__u8 caddr[16];
	__u8 vaddr[16];
	__be16 vport;
	__u8 proto;
	__u8 prefix;
} __attribute__((aligned(4)));

enum __attribute__((packed)) template_state {
	TEMPLATE_LIVE = 1,
	TEMPLATE_DEAD = 2,    /* may be taken over or removed */
	TEMPLATE_REMOVED = 3, /* being deleted */
};

/* template_word changes by compare-and-swap on word only. */
union template_word {
	__u64 word;
	struct {
		__u32 server; /* index into ek_servers */
		__u16 generation;
		enum template_state state;
		__u8 pad;
	};
};

/* template sends the new flows of a group of clients to one server
 * (persistence_timeout). Times are in nanoseconds.
 */
struct template
{
	union template_word now;
	__u64 expires;
	__u64 timeout;	/* each new flow sets expires to now + timeout */
	__u32 controls; /* live flows that it holds together */
	__u32 pad;
};

/* reply_key is the tuple of a NAT server's packets. */
struct reply_key {
	__be32 saddr; /* the server */
	__be32 caddr;
	__be16 sport;
	__be16 cport;
	__u8 proto;
	__u8 pad[3];
};

struct reply6_key {
	__u8 saddr[16];
	__u8 caddr[16];
	__be16 sport;
	__be16 cport;
	__u8 proto;
	__u8 pad[3];
} __attribute__((aligned(4)));

/* reply completes the tuple of the flow that the packet answers. */
struct reply {
	__be32 vaddr;
	__be16 vport;
	__u16 generation; /* of the flow */
};

struct reply6 {
	__u8 vaddr[16];
	__be16 vport;
	__u16 generation;
} __attribute__((aligned(4)));

/* half_ring is where a shard's ring of half-open flows begins and ends. head and tail
 * count on; an entry lies at the number modulo the size of the ring.
 */
struct half_ring {
	__u32 head; /* the next to be written */
	__u32 tail; /* the oldest */
	__u32 used; /* entries of the shard that are in use */
	__u32 pad;
};

/* limit is the state of a service's limit on new flows: the time, in nanoseconds,
 * at which its burst will be whole again.
 */
struct limit {
	__u64 full;
};

/* overload is per CPU: what a service lost to overload. */
struct overload {
	__u64 limited; /* new flows over the rate, refused */
	__u64 evicted; /* half-open flows ended to make room */
};

/* port is an interface that frames come in by, indexed by ifindex: one that the program is
 * attached to, a member of a bond that it is attached to, or a VLAN device of such. Frames
 * for another address than mac are not ours: a switch that floods shows us other
 * machines' traffic. Of a VLAN device that is not enabled the last three hold all the
 * same: replies may leave by it. The first three are compared as one (port_is).
 */
struct port {
	__u8 enabled; /* 1 or 0 */
	__u8 pad0;    /* 0 */
	__u8 mac[ETH_ALEN];
	__u32 device; /* the one that has the addresses: of a bond's member the bond, else itself */
	__u32 ifindex; /* that its frames leave by: of a VLAN device the one below, else device */
	__u16 vlan;    /* id of the tag that they have there, 0 none */
	__u8 pad1[2];
};

/* vlan_key is the tag of a frame and the interface that it came in by. */
struct vlan_key {
	__u32 ifindex;
	__u16 vlan;
	__u8 pad[2];
};

/* settings hold for all services. Time-outs are in seconds, by flow_state. */
struct settings {
	__u32 layout_version;
	__u32 icmp_per_second; /* answers that one CPU may send; 0 none */
	__u32 timeout[32];     /* as many as a masked state can name */
};

/* sweep is the argument and the result of ek_sweep and ek_sweep6, and of
 * ek_sweep_tmpl and ek_sweep_tmpl6, which have no shards. They end what is over of
 * the flows or templates whose keys user space put into ek_sweep_keys.
 */
struct sweep {
	__u32 shard;
	__u32 leaving; /* end all of this service, by id + 1; 0 none */
	__u32 keys;    /* how many of ek_sweep_keys are to be looked at */
	__u32 seen;    /* live flows met */
	__u32 expired; /* flows counted out */
	__u32 removed; /* entries given back */
};

/* positions says, for each position of a cursor in the order that is valid,
 * where the cursor stands in the order to publish.
 */
struct positions {
	__u32 position[MAX_POSITIONS];
};

/* import is the argument of ek_import, which takes a flow over from another
 * datapath. key has an IPv4 flow's as well, in its first bytes.
 */
struct import {
	struct flow6_key key;
	__u8 v6;
	enum flow_state state;
	__u8 prefix; /* of a template */
	__u8 pad;
	__u32 server;  /* index into ek_servers */
	__u32 seconds; /* that the flow lives without a packet */
	/* Not 0: a template, which each new flow gives so many seconds again. */
	__u32 timeout;
};

/* edit is the argument of ek_edit, run after user space has written a server
 * whose thresholds it changed.
 */
struct edit {
	__u32 server;
	__u32 old_upper;
	__u32 old_lower;
};

/* publish is the argument and the result of ek_publish. */
struct publish {
	__u32 service;
	__u32 generation; /* out: the generation now valid */
};

#endif
