/* SPDX-License-Identifier: MIT */
/* For native builds of a BPF program's source: stands in for libbpf's header of this name. See usermap/bpf_names.h. */
#ifndef USERMAP_NATIVE_BPF_HELPERS_H
#define USERMAP_NATIVE_BPF_HELPERS_H

#include <usermap/bpf_names.h>

#endif
