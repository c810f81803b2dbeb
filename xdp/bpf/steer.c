/*
 * Steers each packet to the class of its subscriber, in two steps.
 *
 * At ingress, XDP: the address gives the class and the CPU that works for the class's queue. The
 * class travels with the packet as metadata, and the packet is handed to that CPU, so that
 * the lock of each HTB stays on one CPU.
 *
 * At egress, before the qdisc: skb->priority becomes the class (HTB takes it from there, htb_classify
 * in net/sched/sch_htb.c), and the tx queue that of the class. Where no metadata came
 * with the packet (older kernels lose it between CPUs, cards may not keep it, VLAN tags may be hidden from XDP) the
 * address is looked up again: ingress is a help, egress is what counts.
 *
 * A packet with an address that nobody has is left as it is: HTB's default class takes it.
 */
#include "packet.h"

char _license[] SEC("license") = "Dual MIT/GPL";

#define NEXT_PROGRAM -1 /* TC_ACT_UNSPEC, and TCX_NEXT */

/* What travels from ingress to egress in front of a packet: a multiple of 4 bytes, at most 32. */
struct carried {
	__u32 magic; /* tells ours from what another program put there */
	__u32 direction;
	struct steer steer;
};

#define MAGIC 0x6c716f53

static __always_inline void count(int hook, int direction, enum verdict v, __u64 bytes)
{
	struct verdict_counts *counted = bpf_map_lookup_elem(&counts, &v);
	struct count *c;

	if (!counted)
		return;
	c = &counted->of[hook & 1][direction & 1];
	c->packets++;
	c->bytes += bytes;
}

static __always_inline struct control *control(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&settings, &only);
}

/* find looks an address up: in the cache, then in the prefixes. */
static __always_inline enum verdict find(struct prefix *key, __u64 epoch, struct steer *steer)
{
	struct cached *c = bpf_map_lookup_elem(&cache, &key->direction);
	struct cached fresh = {.epoch = epoch};
	struct steer *s;

	if (c && c->epoch == epoch) {
		*steer = c->steer;
		return VERDICT_CACHED;
	}
	s = bpf_map_lookup_elem(&prefixes, key);
	if (!s)
		return VERDICT_UNKNOWN;
	fresh.steer = *steer = *s;
	bpf_map_update_elem(&cache, &key->direction, &fresh, BPF_ANY);
	return VERDICT_FOUND;
}

/* steer_packet gives what became of a packet and, if it is steered, where it goes. */
static __always_inline enum verdict steer_packet(const struct packet *p, int direction, __u64 epoch, struct steer *steer)
{
	struct prefix key;

	if (p->kind == KIND_SHORT)
		return VERDICT_SHORT;
	if (p->kind == KIND_OTHER)
		return VERDICT_OTHER;
	subscriber(&key, p, direction);
	return find(&key, epoch, steer);
}

static __always_inline int carry(struct xdp_md *ctx, int direction, const struct steer *steer)
{
	struct carried *c;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*c)))
		return 0;
	c = (void *)(long)ctx->data_meta;
	if ((void *)(c + 1) > (void *)(long)ctx->data)
		return 0;
	c->magic = MAGIC;
	c->direction = direction;
	c->steer = *steer;
	return 1;
}

static __always_inline int enter(struct xdp_md *ctx, int direction)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 bytes = end - data;
	struct packet p = parse(data, end);
	struct control *c = control();
	struct steer steer;
	enum verdict v;
	__u32 cpu;

	if (!c)
		return XDP_PASS;
	v = steer_packet(&p, direction, c->epoch, &steer);
	count(INGRESS, direction, v, bytes);
	if (v != VERDICT_CACHED && v != VERDICT_FOUND)
		return XDP_PASS;
	carry(ctx, direction, &steer);
	cpu = steer.cpu;
	if (cpu >= c->cpus && c->cpus)
		cpu %= c->cpus;
	if (cpu == bpf_get_smp_processor_id())
		return XDP_PASS;
	count(INGRESS, direction, VERDICT_REDIRECTED, bytes);
	return bpf_redirect_map(&cpus, cpu, XDP_PASS);
}

/* From the internet. */
SEC("xdp.frags")
int enter_internet(struct xdp_md *ctx)
{
	return enter(ctx, DOWN);
}

/* From the subscribers. */
SEC("xdp.frags")
int enter_network(struct xdp_md *ctx)
{
	return enter(ctx, UP);
}

/* One link for both: the VLAN tells. */
SEC("xdp.frags")
int enter_stick(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet p = parse(data, end);
	struct control *c = control();

	if (!c)
		return XDP_PASS;
	if (p.vlan && p.vlan == c->internet_vlan)
		return enter(ctx, DOWN);
	if (p.vlan && p.vlan == c->network_vlan)
		return enter(ctx, UP);
	count(INGRESS, DOWN, VERDICT_ASIDE, end - data);
	return XDP_PASS;
}

static __always_inline void add(__u64 circuit, int direction, __u64 packets, __u64 bytes)
{
	struct traffic *t = bpf_map_lookup_elem(&circuits, &circuit);
	struct flow *f;

	if (!t) {
		struct traffic none = {};

		bpf_map_update_elem(&circuits, &circuit, &none, BPF_NOEXIST);
		t = bpf_map_lookup_elem(&circuits, &circuit);
		if (!t)
			return;
	}
	f = &t->direction[direction & 1];
	__sync_fetch_and_add(&f->packets, packets);
	__sync_fetch_and_add(&f->bytes, bytes);
	f->seen = bpf_ktime_get_coarse_ns();
}

/* carried_steer takes what ingress found. direction is the one of the link, or -1 where any will do. */
static __always_inline int carried_steer(struct __sk_buff *skb, int *direction, struct steer *steer)
{
	struct carried *c = (void *)(long)skb->data_meta;

	if ((void *)(c + 1) > (void *)(long)skb->data || c->magic != MAGIC)
		return 0;
	if (*direction >= 0 && c->direction != (__u32)*direction)
		return 0;
	*direction = c->direction & 1;
	*steer = c->steer;
	return 1;
}

/* linear makes the headers be in the linear part of the packet. */
static __always_inline void linear(struct __sk_buff *skb)
{
	const __u32 headers = sizeof(struct ethernet) + TAGS * sizeof(struct tag) + sizeof(struct pppoe) + sizeof(struct ipv6);

	if (skb->data_end - skb->data < headers && skb->data_end - skb->data < skb->len)
		bpf_skb_pull_data(skb, skb->len < headers ? skb->len : headers);
}

static __always_inline int vlan_direction(struct __sk_buff *skb, const struct packet *p, const struct control *c)
{
	__u16 vlan = skb->vlan_present ? skb->vlan_tci & VLAN_ID : p->vlan;

	if (vlan && vlan == c->network_vlan)
		return DOWN;
	if (vlan && vlan == c->internet_vlan)
		return UP;
	return -1;
}

static __always_inline int leave(struct __sk_buff *skb, int direction)
{
	struct control *c = control();
	enum verdict v = VERDICT_CARRIED;
	struct steer steer;

	if (!c)
		return NEXT_PROGRAM;
	if (!carried_steer(skb, &direction, &steer)) {
		struct packet p;

		linear(skb);
		p = parse((void *)(long)skb->data, (void *)(long)skb->data_end);
		if (direction < 0)
			direction = vlan_direction(skb, &p, c);
		if (direction < 0) {
			count(EGRESS, DOWN, VERDICT_ASIDE, skb->wire_len);
			return NEXT_PROGRAM;
		}
		v = steer_packet(&p, direction, c->epoch, &steer);
	}
	count(EGRESS, direction, v, skb->wire_len);
	if (v != VERDICT_CACHED && v != VERDICT_FOUND && v != VERDICT_CARRIED)
		return NEXT_PROGRAM;
	skb->priority = steer.class;
	skb->queue_mapping = steer.class >> 16; /* counts from 1: skb_get_rx_queue in linux/skbuff.h */
	add(steer.circuit, direction, skb->gso_segs ? skb->gso_segs : 1, skb->wire_len);
	return NEXT_PROGRAM;
}

/* To the internet. */
SEC("tc")
int leave_internet(struct __sk_buff *skb)
{
	return leave(skb, UP);
}

/* To the subscribers. */
SEC("tc")
int leave_network(struct __sk_buff *skb)
{
	return leave(skb, DOWN);
}

SEC("tc")
int leave_stick(struct __sk_buff *skb)
{
	return leave(skb, -1);
}
