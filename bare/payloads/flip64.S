/*
 * Turns a bit of memory over.
 * In: %rdi = physical address, %rsi = bits to turn over in the byte there. Out: %rax = the byte before.
 */
        .globl _start
_start:
        movzbl  (%rdi), %eax
        xor     %sil, (%rdi)
        ret
