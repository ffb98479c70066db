/*
 * await64(address, ticks): runs until the byte at a physical address is not 0, or for that many
 * ticks of the time stamp counter at most. Returns the byte. A program on another CPU ends a call
 * by writing to its memory.
 */
        .include "ticks64.inc"
        .globl  _start
_start:
        counter
        mov     %rax, %r9
.Lwait: movzbl  (%rdi), %r8d
        test    %r8d, %r8d
        jnz     .Lend
        again_until %rsi, %r9, .Lwait, 100000, %ecx
.Lend:  mov     %r8, %rax
        xor     %edx, %edx
        ret
