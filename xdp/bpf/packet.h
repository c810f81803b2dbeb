/*
 * Ethernet, up to two VLAN tags, PPPoE sessions, IPv4 and IPv6: as far as the addresses.
 * A fragment has them, too. What is behind them, options and extension headers, doesn't matter.
 */
#pragma once

#include <linux/types.h>
#include <bpf/bpf_endian.h>

#include "maps.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100  /* 802.1Q */
#define ETHERTYPE_QINQ 0x88a8  /* 802.1ad */
#define ETHERTYPE_PPPOE 0x8864 /* session stage, RFC 2516 */
#define PPP_IPV4 0x0021
#define PPP_IPV6 0x0057
#define PPPOE_SESSION 0x11 /* version 1, type 1 */
#define TAGS 2
#define VLAN_ID 0x0fff

struct ethernet {
	__u8 to[6], from[6];
	__be16 type;
};

struct tag {
	__be16 control; /* priority, DEI, VLAN id */
	__be16 type;
};

struct pppoe {
	__u8 version_type, code;
	__be16 session, length;
	__be16 protocol; /* of PPP */
};

struct ipv4 {
	__u8 version_length; /* length in words of 4 bytes */
	__u8 class;
	__be16 length; /* with the header */
	__u8 rest[5];
	__u8 protocol;
	__be16 checksum;
	__u32 from, to;
};

struct ipv6 {
	__u8 version_class;
	__u8 rest[3];
	__be16 length; /* without the header */
	__u8 next, hops;
	__u32 from[4], to[4];
};

enum kind { KIND_IPV4, KIND_IPV6, KIND_OTHER, KIND_SHORT };

struct packet {
	void *ip; /* the IP header as far as the addresses, if kind says IP */
	enum kind kind;
};

static __always_inline int is_ip(const struct packet *p)
{
	return p->kind == KIND_IPV4 || p->kind == KIND_IPV6;
}

/* HEADERS is how far the addresses can be from the start. */
#define HEADERS (sizeof(struct ethernet) + TAGS * sizeof(struct tag) + sizeof(struct pppoe) + sizeof(struct ipv6))

static __always_inline int is_tag(__u16 type)
{
	return type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ;
}

/* outer_vlan is the id of the first tag that is in the data; 0 without one, and for a priority tag. */
static __always_inline __u16 outer_vlan(void *data, void *end)
{
	struct ethernet *eth = data;
	struct tag *tag = (void *)(eth + 1);

	if ((void *)(tag + 1) > end || !is_tag(bpf_ntohs(eth->type)))
		return 0;
	return bpf_ntohs(tag->control) & VLAN_ID;
}

/* type_of_ppp is the Ethernet type that has what a session has; 0 for what is no IP. */
static __always_inline __u16 type_of_ppp(const struct pppoe *ppp)
{
	if (ppp->version_type != PPPOE_SESSION || ppp->code != 0)
		return 0;
	switch (bpf_ntohs(ppp->protocol)) {
	case PPP_IPV4:
		return ETHERTYPE_IPV4;
	case PPP_IPV6:
		return ETHERTYPE_IPV6;
	}
	return 0;
}

static __always_inline enum kind kind_of_ip(void *ip, void *end, __u16 type)
{
	struct ipv4 *v4 = ip;
	struct ipv6 *v6 = ip;

	switch (type) {
	case ETHERTYPE_IPV4:
		if ((void *)(v4 + 1) > end || v4->version_length >> 4 != 4 || (v4->version_length & 0xf) < 5)
			return KIND_SHORT;
		return KIND_IPV4;
	case ETHERTYPE_IPV6:
		if ((void *)(v6 + 1) > end || v6->version_class >> 4 != 6)
			return KIND_SHORT;
		return KIND_IPV6;
	}
	return KIND_OTHER;
}

static __always_inline struct packet parse(void *data, void *end)
{
	struct packet p = {.kind = KIND_SHORT};
	struct ethernet *eth = data;
	void *next = eth + 1;
	__u16 type;

	if (next > end)
		return p;
	type = bpf_ntohs(eth->type);

#pragma unroll
	for (int i = 0; i < TAGS; i++) {
		struct tag *tag = next;

		if (!is_tag(type))
			break;
		next = tag + 1;
		if (next > end)
			return p;
		type = bpf_ntohs(tag->type);
	}
	if (type == ETHERTYPE_PPPOE) {
		struct pppoe *ppp = next;

		next = ppp + 1;
		if (next > end)
			return p;
		type = type_of_ppp(ppp);
	}
	p.ip = next;
	p.kind = kind_of_ip(next, end, type);
	return p;
}

/* subscriber fills in the address of the subscriber, as a prefix that has all of its bits. */
static __always_inline void subscriber(struct prefix *key, const struct packet *p, int direction)
{
	if (p->kind == KIND_IPV4) {
		struct ipv4 *v4 = p->ip;

		key->length = 32 + 32;
		key->space = direction;
		key->address[0] = direction == DOWN ? v4->to : v4->from;
		key->address[1] = 0;
		key->address[2] = 0;
		key->address[3] = 0;
	} else {
		struct ipv6 *v6 = p->ip;

		key->length = 32 + 128;
		key->space = direction + IPV6;
		__builtin_memcpy(key->address, direction == DOWN ? v6->to : v6->from, sizeof(key->address));
	}
}
