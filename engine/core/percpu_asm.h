/* SPDX-License-Identifier: MIT */
/*
 * The restartable sequence of percpu_add(), in the assembly that it must be written in: percpu.c tells the idea.
 *
 * A sequence has three parts. Its descriptor, in section __rseq_cs, tells the kernel where the sequence begins and ends, and
 * where to go on when it's aborted; the addresses in it are relocated, so the section is a writable one. The sequence itself
 * begins right behind the store that announces the descriptor: there's no instruction between the two at which an
 * interruption could make the kernel drop the announcement. The handler of aborts is out of the way in section
 * __rseq_failure; before it stands the signature that glibc registered, without which the kernel would not go there.
 *
 * Inside, no stack is used, and nothing is written but by the last instruction.
 */
#ifndef ENGINE_CORE_PERCPU_ASM_H
#define ENGINE_CORE_PERCPU_ASM_H

#include <sys/rseq.h>

#if !defined(USERMAP_PORTABLE) && ((defined(__x86_64__) && defined(__LP64__)) || defined(__aarch64__))
#define HAVE_SEQUENCE 1
#else
#define HAVE_SEQUENCE 0
#endif

/* One instruction a line. */
/* clang-format off */

/* Labels: 1 begin, 2 end, 3 descriptor, 4 handler. The descriptor: version, flags; begin, length, handler */
#define SEQUENCE_DESCRIPTOR               \
	".pushsection __rseq_cs,\"aw\"\n" \
	".balign 32\n"                    \
	"3: .long 0, 0\n"                 \
	".quad 1f, 2f - 1f, 4f\n"         \
	".popsection\n"

#define SEQUENCE_STRING(x)  SEQUENCE_STRING_(x)
#define SEQUENCE_STRING_(x) #x

/*
 * The operands are [rseq], the thread's area, and its fields [rseq_cs] and [cpu_id]; [n_cpus], [area], [first], [delta]; in
 * the test build [pauses], how long to stretch the sequence. SEQUENCE_ADD goes to `no_cpu` if the CPU's number is too large,
 * else adds delta to the u64 at first + cpu * area.
 */
#if defined(__x86_64__)

#define SEQUENCE_ANNOUNCE         \
	"leaq 3b(%%rip), %%rax\n" \
	"movq %%rax, %c[rseq_cs](%[rseq])\n"

#ifdef USERMAP_TEST_POINTS
#define SEQUENCE_PAUSES           \
	"movl %[pauses], %%ecx\n" \
	"5: subl $1, %%ecx\n"     \
	"jb 6f\n"                 \
	"pause\n"                 \
	"jmp 5b\n"                \
	"6:\n"
#else
#define SEQUENCE_PAUSES ""
#endif

#define SEQUENCE_ADD                        \
	"movl %c[cpu_id](%[rseq]), %%eax\n" \
	"cmpl %[n_cpus], %%eax\n"           \
	"jae %l[no_cpu]\n"                  \
	"imulq %[area], %%rax\n"            \
	SEQUENCE_PAUSES                     \
	"addq %[delta], (%[first], %%rax)\n"

/* The signature is the operand of an instruction that traps. */
#define SEQUENCE_HANDLER                        \
	".pushsection __rseq_failure,\"ax\"\n"  \
	".byte 0x0f, 0xb9, 0x3d\n"              \
	".long " SEQUENCE_STRING(RSEQ_SIG) "\n" \
	"4: jmp %l[aborted]\n"                  \
	".popsection\n"

#define SEQUENCE_CLOBBERS "rax", "rcx", "cc", "memory"

#elif defined(__aarch64__)

#define SEQUENCE_ANNOUNCE          \
	"adrp x15, 3b\n"           \
	"add x15, x15, :lo12:3b\n" \
	"str x15, [%[rseq], %[rseq_cs]]\n"

#ifdef USERMAP_TEST_POINTS
#define SEQUENCE_PAUSES         \
	"mov w17, %w[pauses]\n" \
	"5: cbz w17, 6f\n"      \
	"sub w17, w17, #1\n"    \
	"yield\n"               \
	"b 5b\n"                \
	"6:\n"
#else
#define SEQUENCE_PAUSES ""
#endif

#define SEQUENCE_ADD                         \
	"ldr w15, [%[rseq], %[cpu_id]]\n"    \
	"cmp w15, %w[n_cpus]\n"              \
	"b.hs %l[no_cpu]\n"                  \
	"madd x15, x15, %[area], %[first]\n" \
	"ldr x16, [x15]\n"                   \
	"add x16, x16, %[delta]\n"           \
	SEQUENCE_PAUSES                      \
	"str x16, [x15]\n"

#define SEQUENCE_HANDLER                        \
	".pushsection __rseq_failure,\"ax\"\n"  \
	".inst " SEQUENCE_STRING(RSEQ_SIG) "\n" \
	"4: b %l[aborted]\n"                    \
	".popsection\n"

#define SEQUENCE_CLOBBERS "x15", "x16", "x17", "cc", "memory"

#endif
/* clang-format on */
#endif
