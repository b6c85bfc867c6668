/* SPDX-License-Identifier: MIT */
/*
 * The copy routine that may fault, one for each processor that has one.
 *
 * size_t usercopy_bytes(void *dst, const void *src, size_t size) returns how many bytes it could not copy. It lies
 * between labels, which are its fixup table: after a fault the copy continues at the next label.
 *   [usercopy_bytes, usercopy_slow)  few wide moves, for small sizes. They change neither the arguments nor the stack,
 *                                    so the copy starts again at usercopy_slow: what can be copied is then copied to
 *                                    the byte, as the kernel does. An attr's first word, a descriptor and padding that were
 *                                    stored one after the other, goes in halves: a load of both would wait for the stores
 *   [usercopy_slow, usercopy_tail)   big steps that keep their progress in registers
 *   [usercopy_tail, usercopy_done)   the rest byte by byte; usercopy_done returns what is left
 * And a clock: reading it takes a few nanoseconds. Included by usercopy.c only.
 */
#ifndef ENGINE_FACE_USERCOPY_ASM_H
#define ENGINE_FACE_USERCOPY_ASM_H

#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#if defined(USERMAP_PORTABLE)

/* None: usercopy.c asks the kernel for every copy. */

#elif defined(__x86_64__)

/* clang-format off */
__asm__(
	".pushsection .text\n"
	".hidden usercopy_bytes\n .hidden usercopy_slow\n .hidden usercopy_tail\n .hidden usercopy_done\n"
	".globl usercopy_bytes\n .globl usercopy_slow\n .globl usercopy_tail\n .globl usercopy_done\n"
	".balign 64\n"
	".type usercopy_bytes, @function\n"
	"usercopy_bytes:\n"
	".cfi_startproc\n"
	"	cmpq $16, %rdx\n"
	"	ja 1f\n"
	"	cmpq $8, %rdx\n"
	"	jb 2f\n"
	"	movq (%rsi), %rax\n" /* 8..16: the first and the last eight, which may overlap */
	"	movq -8(%rsi,%rdx), %rcx\n"
	"	movq %rax, (%rdi)\n"
	"	movq %rcx, -8(%rdi,%rdx)\n"
	"	xorl %eax, %eax\n"
	"	ret\n"
	"1:	cmpq $32, %rdx\n"
	"	ja 4f\n"
	"	movl (%rsi), %eax\n"
	"	movl 4(%rsi), %r10d\n"
	"	movq 8(%rsi), %rcx\n"
	"	movq -16(%rsi,%rdx), %r8\n"
	"	movq -8(%rsi,%rdx), %r9\n"
	"	movl %eax, (%rdi)\n"
	"	movl %r10d, 4(%rdi)\n"
	"	movq %rcx, 8(%rdi)\n"
	"	movq %r8, -16(%rdi,%rdx)\n"
	"	movq %r9, -8(%rdi,%rdx)\n"
	"	xorl %eax, %eax\n"
	"	ret\n"
	"2:	cmpq $4, %rdx\n"
	"	jb 3f\n"
	"	movl (%rsi), %eax\n"
	"	movl -4(%rsi,%rdx), %ecx\n"
	"	movl %eax, (%rdi)\n"
	"	movl %ecx, -4(%rdi,%rdx)\n"
	"	xorl %eax, %eax\n"
	"	ret\n"
	"3:	testq %rdx, %rdx\n"
	"	je usercopy_slow\n"
	"	movq %rdx, %r8\n" /* 1..3: the first, the middle and the last */
	"	shrq $1, %r8\n"
	"	movzbl (%rsi), %eax\n"
	"	movzbl (%rsi,%r8), %ecx\n"
	"	movzbl -1(%rsi,%rdx), %r9d\n"
	"	movb %al, (%rdi)\n"
	"	movb %cl, (%rdi,%r8)\n"
	"	movb %r9b, -1(%rdi,%rdx)\n"
	"	xorl %eax, %eax\n"
	"	ret\n"
	"4:	cmpq $256, %rdx\n"
	"	ja usercopy_slow\n"
	"	movq %rdx, %rcx\n" /* 33..256: steps of 32 */
	"	andq $-32, %rcx\n"
	"	xorl %eax, %eax\n"
	"5:	movups (%rsi,%rax), %xmm0\n"
	"	movups 16(%rsi,%rax), %xmm1\n"
	"	movups %xmm0, (%rdi,%rax)\n"
	"	movups %xmm1, 16(%rdi,%rax)\n"
	"	addq $32, %rax\n"
	"	cmpq %rcx, %rax\n"
	"	jb 5b\n"
	"	movl %edx, %ecx\n" /* and the last 8, 16 or 32, which overlap as little as can be: what was stored in two */
	"	andl $31, %ecx\n"  /* pieces is slow to load in one, and an attr is looked at at once */
	"	je 8f\n"
	"	cmpl $16, %ecx\n"
	"	ja 6f\n"
	"	cmpl $8, %ecx\n"
	"	ja 7f\n"
	"	movq -8(%rsi,%rdx), %rax\n"
	"	movq %rax, -8(%rdi,%rdx)\n"
	"	xorl %eax, %eax\n"
	"	ret\n"
	"6:	movups -32(%rsi,%rdx), %xmm0\n"
	"	movups %xmm0, -32(%rdi,%rdx)\n"
	"7:	movups -16(%rsi,%rdx), %xmm1\n"
	"	movups %xmm1, -16(%rdi,%rdx)\n"
	"8:	xorl %eax, %eax\n"
	"	ret\n"
	"usercopy_slow:\n"
	"	movq %rdx, %rcx\n"
	"usercopy_tail:\n"
	"	rep movsb\n"
	"usercopy_done:\n"
	"	movq %rcx, %rax\n"
	"	ret\n"
	".cfi_endproc\n"
	".size usercopy_bytes, . - usercopy_bytes\n"
	".popsection\n");
/* clang-format on */

#define USERCOPY_YES_HOLDS 50000u /* ticks: about 20 microseconds */

static inline uint64_t usercopy_ticks(void)
{
	return __builtin_ia32_rdtsc();
}

static inline uintptr_t context_pc(const ucontext_t *context)
{
	return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
}

static inline void context_set_pc(ucontext_t *context, uintptr_t pc)
{
	context->uc_mcontext.gregs[REG_RIP] = (greg_t)pc;
}

#elif defined(__aarch64__)

/* clang-format off */
__asm__(
	".pushsection .text\n"
	".hidden usercopy_bytes\n .hidden usercopy_slow\n .hidden usercopy_tail\n .hidden usercopy_done\n"
	".globl usercopy_bytes\n .globl usercopy_slow\n .globl usercopy_tail\n .globl usercopy_done\n"
	".balign 64\n"
	".type usercopy_bytes, %function\n"
	"usercopy_bytes:\n"
	".cfi_startproc\n"
	"	cmp x2, #16\n"
	"	b.hi 1f\n"
	"	cmp x2, #8\n"
	"	b.lo usercopy_slow\n"
	"	add x5, x1, x2\n" /* 8..16: the first and the last eight, which may overlap */
	"	add x6, x0, x2\n"
	"	ldr x3, [x1]\n"
	"	ldur x4, [x5, #-8]\n"
	"	str x3, [x0]\n"
	"	stur x4, [x6, #-8]\n"
	"	mov x0, #0\n"
	"	ret\n"
	"1:	cmp x2, #32\n"
	"	b.hi usercopy_slow\n"
	"	add x5, x1, x2\n"
	"	add x6, x0, x2\n"
	"	ldp x3, x4, [x1]\n"
	"	ldp x7, x8, [x5, #-16]\n"
	"	stp x3, x4, [x0]\n"
	"	stp x7, x8, [x6, #-16]\n"
	"	mov x0, #0\n"
	"	ret\n"
	"usercopy_slow:\n" /* x0, x1 and x2 always tell what is left */
	"	cmp x2, #16\n"
	"	b.lo 3f\n"
	"2:	ldp x3, x4, [x1]\n"
	"	stp x3, x4, [x0]\n"
	"	add x1, x1, #16\n"
	"	add x0, x0, #16\n"
	"	sub x2, x2, #16\n"
	"	cmp x2, #16\n"
	"	b.hs 2b\n"
	"3:	cbz x2, usercopy_done\n"
	"usercopy_tail:\n"
	"	ldrb w3, [x1]\n"
	"	strb w3, [x0]\n"
	"	add x1, x1, #1\n"
	"	add x0, x0, #1\n"
	"	subs x2, x2, #1\n"
	"	b.ne usercopy_tail\n"
	"usercopy_done:\n"
	"	mov x0, x2\n"
	"	ret\n"
	".cfi_endproc\n"
	".size usercopy_bytes, . - usercopy_bytes\n"
	".popsection\n");
/* clang-format on */

#define USERCOPY_YES_HOLDS 500u /* ticks: 0.5 to 20 microseconds */

static inline uint64_t usercopy_ticks(void)
{
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
}

static inline uintptr_t context_pc(const ucontext_t *context)
{
	return context->uc_mcontext.pc;
}

static inline void context_set_pc(ucontext_t *context, uintptr_t pc)
{
	context->uc_mcontext.pc = pc;
}

#endif

#if !defined(USERMAP_PORTABLE) && (defined(__x86_64__) || defined(__aarch64__))
#define USERCOPY_ASM 1
/* Labels of the assembly above. */
extern const char usercopy_slow[], usercopy_tail[], usercopy_done[];
#endif

#endif
