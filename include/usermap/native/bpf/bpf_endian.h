/* SPDX-License-Identifier: MIT */
/* For native builds of a BPF program's source: stands in for libbpf's header of this name, so that libbpf isn't needed. */
#ifndef USERMAP_NATIVE_BPF_ENDIAN_H
#define USERMAP_NATIVE_BPF_ENDIAN_H

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define usermap_bpf_big(bits, x) __builtin_bswap##bits(x)
#else
#define usermap_bpf_big(bits, x) (x)
#endif

#define bpf_htons(x)	   usermap_bpf_big(16, x)
#define bpf_ntohs(x)	   usermap_bpf_big(16, x)
#define bpf_htonl(x)	   usermap_bpf_big(32, x)
#define bpf_ntohl(x)	   usermap_bpf_big(32, x)
#define bpf_cpu_to_be64(x) usermap_bpf_big(64, x)
#define bpf_be64_to_cpu(x) usermap_bpf_big(64, x)

#endif
