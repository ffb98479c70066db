/*
 * listen32(ticks, manner): enables interrupts for that many ticks of the time stamp counter. Manner
 * 0: at the task priority it is entered with. 1: at priority 0, where interrupts come through. 2:
 * so too, with gates of its own, which count interrupts and do not acknowledge them. 3: as 2, and
 * acknowledges them. Both end early once there was an interrupt. Returns the count. 1 to 3 expect
 * the registers of the local APIC at their usual place.
 */
        .code32
        .globl  _start
        .set    TASK_PRIORITY, 0xfee00080
        .set    END_OF_INTERRUPT, 0xfee000b0
_start:
        push    %ebx
        push    %esi
        push    %edi
        mov     16(%esp), %edi
        mov     20(%esp), %esi
        movl    $0, count
        test    %esi, %esi
        jz      listen
        movl    $0, TASK_PRIORITY
        cmp     $2, %esi
        jb      listen
        mov     $gates, %edx
        mov     $interrupt, %eax
        mov     $256, %ecx
1:      mov     %ax, (%edx)
        mov     %cs, 2(%edx)
        mov     %eax, 4(%edx)
        movw    $0x8e00, 4(%edx)
        add     $8, %edx
        loop    1b
        lidt    pointer
listen: rdtsc
        mov     %eax, %ecx
        mov     %edx, %ebx
        sti
        /* Most of the time without rdtsc and pause: an emulator takes locks for them. */
1:      mov     $1000, %edx
3:      dec     %edx
        jnz     3b
        cmpl    $0, count
        jne     2f
        rdtsc
        sub     %ecx, %eax
        sbb     %ebx, %edx
        jnz     2f
        cmp     %edi, %eax
        jb      1b
2:      cli
        mov     count, %eax
        xor     %edx, %edx
        pop     %edi
        pop     %esi
        pop     %ebx
        ret
interrupt:
        incl    count
        cmp     $3, %esi
        jne     1f
        movl    $0, END_OF_INTERRUPT
1:      iretl

        .data
        .balign 16
pointer:
        .word   256 * 8 - 1
        .long   gates
        .balign 16
count:  .long   0
gates:  .fill   256 * 8
