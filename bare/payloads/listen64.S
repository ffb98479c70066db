/*
 * listen64(ticks, manner): enables interrupts for that many ticks of the time stamp counter. Manner
 * 0: at the task priority it is entered with. 1: at priority 0, where interrupts come through. 2:
 * so too, with gates of its own, which count interrupts and do not acknowledge them; it ends early
 * once there was one. Returns the count.
 */
        .globl  _start
_start:
        movq    $0, count(%rip)
        test    %rsi, %rsi
        jz      listen
        xor     %eax, %eax
        mov     %rax, %cr8
        cmp     $2, %rsi
        jne     listen
        /* All 256 gates lead to one handler, below 4 GiB. */
        lea     gates(%rip), %rdx
        lea     interrupt(%rip), %eax
        mov     %cs, %r8d
        mov     $256, %ecx
1:      mov     %ax, (%rdx)
        mov     %r8w, 2(%rdx)
        mov     %eax, 4(%rdx)
        movw    $0x8e00, 4(%rdx)
        movq    $0, 8(%rdx)
        add     $16, %rdx
        loop    1b
        lidt    pointer(%rip)
listen: rdtsc
        shl     $32, %rdx
        lea     (%rax, %rdx), %rcx
        sti
        /* Most of the time without rdtsc and pause: an emulator takes locks for them. */
1:      mov     $1000, %edx
2:      dec     %edx
        jnz     2b
        cmpq    $0, count(%rip)
        jne     3f
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        sub     %rcx, %rax
        cmp     %rdi, %rax
        jb      1b
3:      cli
        mov     count(%rip), %rax
        xor     %edx, %edx
        ret
interrupt:
        incq    count(%rip)
        iretq

        .data
        .balign 16
pointer:
        .word   256 * 16 - 1
        .quad   gates
        .balign 16
count:  .quad   0
gates:  .fill   256 * 16
