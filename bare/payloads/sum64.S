/*
 * sum64(a, b, c, d, e, f) = a + 2b + 3c + 4d + 5e + 6f + 1000 * calls. Right results show that
 * arguments, the result, memory and SSE work.
 */
        .globl  _start
_start:
        movdqa  ones(%rip), %xmm0
        paddq   calls(%rip), %xmm0
        movdqa  %xmm0, calls(%rip)
        lea     (%rdi, %rsi, 2), %rax
        lea     (%rdx, %rdx, 2), %rdx
        add     %rdx, %rax
        lea     (%rax, %rcx, 4), %rax
        lea     (%r8, %r8, 4), %r8
        add     %r8, %rax
        imul    $6, %r9, %r9
        add     %r9, %rax
        imul    $1000, calls(%rip), %rdx
        add     %rdx, %rax
        ret
        .data
        .balign 16
ones:   .quad   1, 1
calls:  .quad   0, 0
