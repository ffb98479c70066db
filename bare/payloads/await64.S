/*
 * await64(address, ticks): runs until the byte at a physical address is not 0, or for that many
 * ticks of the time stamp counter at most. Returns the byte. A program on another CPU ends a call
 * by writing to its memory.
 */
        .globl  _start
_start:
        rdtsc
        shl     $32, %rdx
        lea     (%rax, %rdx), %r9
        /* Most of the time without rdtsc and pause: an emulator takes locks for them. */
.Lwait: mov     $100000, %ecx
.Lrun:  dec     %ecx
        jnz     .Lrun
        movzbl  (%rdi), %r8d
        test    %r8d, %r8d
        jnz     .Lend
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        sub     %r9, %rax
        cmp     %rsi, %rax
        jb      .Lwait
.Lend:  mov     %r8, %rax
        xor     %edx, %edx
        ret
