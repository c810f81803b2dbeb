/*
 * What the programs and the daemon share. Package xdp has the same in Go: bpf2go makes it from
 * here. Whoever changes what a key or value means raises layoutVersion in package xdp.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Directions, seen by the subscriber. */
#define DOWN 0
#define UP 1

/*
 * Where packets of an address go. cpu is a number that counts queues; the programs take it modulo
 * the CPUs that there are.
 */
struct steer {
	__u64 circuit; /* key of circuits */
	__u32 class;   /* handle, major << 16 | minor */
	__u32 cpu;
};

/* Added to the direction it makes the space that an address is in: four that never meet. */
#define IPV6 2

#define SPACES 4

/*
 * Key of prefixes. length counts the bits of space, too: 32 + those of the address, which is in
 * network order. Of IPv4 it is the first word, and the others are 0, as are all bits behind the length.
 */
struct prefix {
	__u32 length;
	__u32 space;
	__u32 address[4];
};

/* Key of cache: the end of struct prefix. */
struct address {
	__u32 space;
	__u32 address[4];
};

/* What prefixes said of an address while settings had this epoch. */
struct cached {
	__u64 epoch;
	struct steer steer;
};

/* What a circuit sent and got, as it was handed to its classes. */
struct flow {
	__u64 packets; /* segments, where the card makes them */
	__u64 bytes;   /* on the wire, without preamble and FCS */
	__u64 seen;    /* CLOCK_MONOTONIC, ns, of the newest packet; some ms coarse */
};

struct traffic {
	struct flow direction[2];
};

/*
 * The lengths that prefixes of a space may have: bit 128 - n stands for a prefix of n bits, counted from the lowest of the
 * first word, so that the longest comes first. Each bit means something by itself: whoever reads some words, or bytes, of before a write
 * and some of after it misses no length that both have.
 */
#define LENGTH_WORDS 3

/* What the daemon tells the programs. Another epoch makes the cache forget. */
struct control {
	__u64 epoch;
	__u32 cpus;          /* how many there are, at least 1 */
	__u16 internet_vlan; /* of a stick; 0 elsewhere */
	__u16 network_vlan;
	__u64 lengths[SPACES][LENGTH_WORDS]; /* those of each prefix that is there, at least */
	__u64 changing; /* prefixes are written to: the cache may know what was there before, until the epoch is another */
};

/* What became of the packets that a hook saw. */
enum verdict {
	VERDICT_CACHED,     /* steered by the cache */
	VERDICT_FOUND,      /* steered by the prefixes */
	VERDICT_UNKNOWN,    /* no prefix has the address */
	VERDICT_OTHER,      /* neither IPv4 nor IPv6 */
	VERDICT_SHORT,      /* ends inside a header, or the header lies */
	VERDICT_ASIDE,      /* on a stick: in neither VLAN, or the tag can't be seen here */
	VERDICT_CARRIED,    /* at egress: steered by what ingress found */
	VERDICT_REDIRECTED, /* at ingress: one of the above that was handed to another CPU */
	VERDICTS,
};

#define INGRESS 0
#define EGRESS 1

struct count {
	__u64 packets;
	__u64 bytes;
};

struct verdict_counts {
	struct count of[2][2]; /* by hook and direction */
};

/* Address prefixes of both directions. Room for all is made at once, 54 MB: to write an entry takes a third of the time then. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 19);
	__type(key, struct prefix);
	__type(value, struct steer);
} prefixes SEC(".maps");

/* Addresses that were looked up lately. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 17);
	__type(key, struct address);
	__type(value, struct cached);
} cache SEC(".maps");

/* Counters by circuit. An entry comes with the first packet that the kernel has memory at hand for; the daemon removes what is over. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, __u64);
	__type(value, struct traffic);
} circuits SEC(".maps");

/* Counters of the programs. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, enum verdict);
	__type(value, struct verdict_counts);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} settings SEC(".maps");

/* The daemon sets max_entries to the CPUs that there can be. The value is a queue's length. */
struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} cpus SEC(".maps");
