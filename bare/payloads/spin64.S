/* spin64(ticks): runs for so many ticks of the time stamp counter, and returns how many it were. */
        .globl  _start
_start:
        rdtsc
        shl     $32, %rdx
        lea     (%rax, %rdx), %rcx
1:      pause
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        sub     %rcx, %rax
        cmp     %rdi, %rax
        jb      1b
        ret
