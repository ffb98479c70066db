/*
 * spin64(ticks): runs for at least this number of ticks of the time stamp counter, and returns the
 * number it ran.
 */
        .globl  _start
_start:
        rdtsc
        shl     $32, %rdx
        lea     (%rax, %rdx), %rcx
        /* Most of the time without rdtsc and pause: an emulator takes locks for them. */
.Lspin: mov     $1000, %esi
.Lrun:  dec     %esi
        jnz     .Lrun
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        sub     %rcx, %rax
        cmp     %rdi, %rax
        jb      .Lspin
        ret
