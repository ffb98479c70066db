/*
 * The guard: one CPU exchanges the pages, starts another one to run the image, and watches it. The image may do to its
 * CPUs what it likes; it ends when one of them says so in the control page, or at the deadline. Then all other CPUs are
 * taken out of whatever they do, and the guard goes back as if it had run the image itself.
 *
 * Position-independent, below 4 GiB. %r8 holds the control page's physical address, %rbx that of the guard's pages.
 */
        .section .rodata.kjump_guard, "a"
        .balign 64
        .globl kjump_guard_start, kjump_guard_end, kjump_guard_interrupt, kjump_guard_nmi
        .globl kjump_guard_gdt_base, kjump_guard_base, kjump_guard_entry_32
kjump_guard_start:
        jmp     guard
        .org    kjump_guard_start + {ENDED}
        jmp     guard_ended

/*
 * guard: the image is in place.
 * In: 64-bit mode, identity map, interrupts off, %r8 = control.
 * Out: through kjump_leave of the control page; status 0 if the other CPU did not start.
 */
guard:
        lea     kjump_guard_start(%rip), %rbx
        lea     {STACK_END}(%rbx), %rsp
        lidt    {IDT_POINTER}(%rbx)
        call    ignore_interrupts
        call    exchange_trampoline
        call    start_cpu
        call    exchange_trampoline
        cmpq    $0, {STARTED}(%rbx)
        je      guard_ended

        /* Watch. Whoever ends the image writes the status last. */
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        mov     %rax, %r9
1:      cmpq    $0, {STATUS}(%r8)
        jne     guard_ended
        pause
        mov     {DEADLINE}(%rbx), %rcx
        test    %rcx, %rcx
        jz      1b
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        sub     %r9, %rax
        cmp     %rcx, %rax
        jb      1b

        /* No CPU but this one may run when pages are moved, nor may one say anything after that. */
        mov     ${INIT_ALL_BUT_SELF}, %eax
        call    send
        mov     $200, %edi
        call    wait
        cmpq    $0, {STATUS}(%r8)
        jne     guard_ended
        movq    ${AT_DEADLINE}, {STATUS}(%r8)

/*
 * guard_ended: the status is written, or the other CPU did not start.
 * In: 64-bit mode, identity map, %r8 = control. Out: through kjump_leave.
 */
guard_ended:
        lea     kjump_guard_start(%rip), %rbx
        lea     {STACK_END}(%rbx), %rsp
        mov     ${INIT_ALL_BUT_SELF}, %eax
        call    send
        mov     $200, %edi
        call    wait
        /* Only a kernel that returned has put its devices to rest. */
        cmpq    ${RETURNED}, {STATUS}(%r8)
        jne     1f
        cmpq    $0, {VALUE_HIGH}(%r8)
        je      2f
1:      call    stop_bus_masters
2:      call    drain_interrupts
        jmp     *{LEAVE}(%rbx)

/*
 * ignore_interrupts: the image's logical interrupt destinations are not this CPU's. The kernel puts them back.
 * In: %rbx. Clobbers %rsi. In x2APIC mode they follow from the APIC identifier, and are this CPU's alone.
 */
ignore_interrupts:
        mov     {APIC}(%rbx), %rsi
        test    %rsi, %rsi
        jz      1f
        movl    $0, {APIC_LDR}(%rsi)
1:      ret

/*
 * start_cpu: start the other CPU at the trampoline. Intel SDM volume 3, 9.4.4.1.
 * In: %rbx. Clobbers %rax, %rcx, %rdx, %rsi, %rdi, %r9, %r10.
 */
start_cpu:
        movq    $0, {STARTED}(%rbx)
        mov     ${INIT}, %eax
        call    send
        mov     $200, %edi
        call    wait
        call    start_up_cpu
        mov     $1000, %edi
        call    wait_for_start
        call    start_up_cpu
        mov     $2000000, %edi
        jmp     wait_for_start
start_up_cpu:
        mov     {LOW_PAGE}(%rbx), %eax
        shr     $12, %eax
        or      ${START_UP}, %eax
        cmpq    $0, {STARTED}(%rbx)
        je      send
        ret

/*
 * send: an interrupt command, to the image's CPU where it says none.
 * In: %rbx, %eax = the command. Clobbers %rcx, %rdx, %rsi.
 */
send:
        mov     {CPU}(%rbx), %edx
        mov     {APIC}(%rbx), %rsi
        test    %rsi, %rsi
        jz      1f
        shl     $24, %edx
        mov     %edx, {APIC_ICR} + 0x10(%rsi)
        mov     %eax, {APIC_ICR}(%rsi)
        ret
1:      mov     ${X2APIC} + {APIC_ICR} / 16, %ecx
        wrmsr
        ret

/*
 * wait: some microseconds. wait_for_start: so many at most.
 * In: %rbx, %edi = microseconds. Clobbers %rax, %rdx, %r9, %r10.
 */
wait:
        mov     %edi, %r10d
        imul    {MICROSECOND}(%rbx), %r10
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        mov     %rax, %r9
1:      pause
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        sub     %r9, %rax
        cmp     %r10, %rax
        jb      1b
        ret
wait_for_start:
        mov     %edi, %ecx
1:      cmpq    $0, {STARTED}(%rbx)
        jne     2f
        mov     $1, %edi
        call    wait
        dec     %ecx
        jnz     1b
2:      ret

/*
 * exchange_trampoline: with what is in its place. Doing it again undoes it.
 * In: %rbx. Clobbers %rax, %rcx, %rsi, %rdi.
 */
exchange_trampoline:
        lea     trampoline(%rip), %rsi
        mov     {LOW_PAGE}(%rbx), %rdi
        mov     ${TRAMPOLINE_WORDS}, %ecx
1:      mov     (%rsi), %rax
        xchg    %rax, (%rdi)
        mov     %rax, (%rsi)
        add     $8, %rsi
        add     $8, %rdi
        dec     %ecx
        jnz     1b
        ret

/*
 * stop_bus_masters: no PCI function of the first segment may write into memory any more, none behind a bridge either.
 * Their drivers find them as after a loss of power. PCI Local Bus 3.0, 3.2.2.3.2 and 6.2.2.
 * In: %rbx. Clobbers %rax, %rcx, %rdx, %rdi, %r9, %r10.
 */
stop_bus_masters:
        mov     $0x80000000, %edi
1:      mov     %edi, %eax
        call    configuration
        cmp     $0xffff, %ax
        je      2f
        lea     4(%rdi), %eax
        call    configuration
        /* Zeroes leave the status bits alone. */
        and     $0xffff & ~{BUS_MASTER}, %eax
        out     %eax, %dx
        test    $0x700, %edi
        jnz     3f
        lea     12(%rdi), %eax
        call    configuration
        bt      ${MULTI_FUNCTION}, %eax
        jc      3f
2:      test    $0x700, %edi
        jnz     3f
        or      $0x700, %edi
3:      add     $0x100, %edi
        cmp     $0x81000000, %edi
        jne     1b
        /* What is under way ends. */
        mov     $1000, %edi
        jmp     wait
configuration:
        mov     $0xcf8, %edx
        out     %eax, %dx
        mov     $0xcfc, %edx
        in      %dx, %eax
        ret

/*
 * drain_interrupts: what the image's CPUs sent to all others is not for the kernel: one of it would stop this CPU.
 * In: %rbx, all other CPUs stopped. Clobbers %rax, %rcx, %rdx, %rsi, %rdi, %r9, %r10, %r11.
 */
drain_interrupts:
        mov     ${APIC_SVR}, %edi
        call    read_apic
        mov     %eax, %r11d
        or      ${APIC_ENABLED}, %eax
        call    write_apic
        sti
        mov     $100, %edi
        call    wait
        cli
        mov     %r11d, %eax
        mov     ${APIC_SVR}, %edi
        jmp     write_apic

/*
 * A register of the local APIC.
 * In: %rbx, %edi = its offset, %eax = value to write. Out: %eax = value read. Clobber %rcx, %rdx, %rsi.
 */
read_apic:
        mov     {APIC}(%rbx), %rsi
        test    %rsi, %rsi
        jz      1f
        mov     (%rsi, %rdi), %eax
        ret
1:      mov     %edi, %ecx
        shr     $4, %ecx
        add     ${X2APIC}, %ecx
        rdmsr
        ret
write_apic:
        mov     {APIC}(%rbx), %rsi
        test    %rsi, %rsi
        jz      1f
        mov     %eax, (%rsi, %rdi)
        ret
1:      mov     %edi, %ecx
        shr     $4, %ecx
        add     ${X2APIC}, %ecx
        xor     %edx, %edx
        wrmsr
        ret

/* An interrupt is acknowledged, no more. */
kjump_guard_interrupt:
        push    %rax
        push    %rbx
        push    %rcx
        push    %rdx
        push    %rsi
        push    %rdi
        lea     kjump_guard_start(%rip), %rbx
        xor     %eax, %eax
        mov     ${APIC_EOI}, %edi
        call    write_apic
        pop     %rdi
        pop     %rsi
        pop     %rdx
        pop     %rcx
        pop     %rbx
        pop     %rax
        iretq

/* An image may send an NMI to all others: it is dropped. */
kjump_guard_nmi:
        iretq

/*
 * trampoline: what the other CPU starts with, at offset 0 of a page below 1 MiB.
 * In: real mode, %cs:0 is the page. Out: through start_32, %ebx = the guard's pages.
 */
        .balign 8
trampoline:
        .code16
        cli
        mov     %cs, %ax
        mov     %ax, %ds
        lgdtl   trampoline_gdt - trampoline
        movl    kjump_guard_base - trampoline, %ebx
        movl    $1, %eax
        movl    %eax, %cr0
        ljmpl   *(kjump_guard_entry_32 - trampoline)
        .balign 4
trampoline_gdt:
        .word   {GDT_LIMIT}
kjump_guard_gdt_base:
        .long   0
        .balign 4
kjump_guard_base:
        .long   0
kjump_guard_entry_32:
        .long   start_32 - kjump_guard_start
        .word   {SELECTOR_CODE_32}
        .org    trampoline + 8 * {TRAMPOLINE_WORDS}

/*
 * start_32: from 32-bit mode to 64-bit mode, and into the control page.
 * In: control's GDT loaded, %ebx = the guard's pages.
 */
        .code32
start_32:
        mov     ${SELECTOR_DATA}, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     {CONTROL_PAGE}(%ebx), %esi
        mov     {KERNEL_CR4}(%esi), %eax
        and     ${CR4_LA57}, %eax
        or      ${CR4_ON}, %eax
        mov     %eax, %cr4
        mov     {IDENTITY_CR3}(%esi), %eax
        mov     %eax, %cr3
        mov     ${EFER}, %ecx
        rdmsr
        or      ${EFER_LME}, %eax
        wrmsr
        mov     ${CR0}, %eax
        mov     %eax, %cr0
        mov     {STACK}(%esi), %esp
        pushl   ${SELECTOR_CODE_64}
        lea     start_64 - kjump_guard_start(%ebx), %eax
        push    %eax
        lretl
        .code64
start_64:
        mov     %ebx, %ebx
        mov     {CONTROL_PAGE}(%rbx), %r8
        mov     {STACK}(%r8), %rsp
        mov     ${EFER}, %ecx
        mov     {KERNEL_EFER}(%r8), %eax
        mov     {KERNEL_EFER} + 4(%r8), %edx
        wrmsr
        lidt    {CONTROL_IDT_POINTER}(%r8)
        movq    $1, {STARTED}(%rbx)
        jmp     *{BEGIN}(%rbx)
kjump_guard_end:
        .org    kjump_guard_start + {CODE_LIMIT}, 0xcc
        .text
