/*
 * spin64(ticks): runs for at least this number of ticks of the time stamp counter, and returns the
 * number it ran.
 */
        .include "ticks64.inc"
        .globl  _start
_start:
        counter
        mov     %rax, %rcx
.Lspin: again_until %rdi, %rcx, .Lspin, 1000, %esi
        ret
