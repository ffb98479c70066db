/*
 * The guard: one CPU exchanges the pages, starts another CPU to run the image, and watches it. The
 * image may do anything to its CPUs; it ends when one of them writes a status to the control page,
 * or at the deadline. Then the guard stops all other CPUs and returns to the kernel as if it had
 * run the image itself.
 *
 * The code is position-independent and lies below 4 GiB. %r8 holds the physical address of the
 * control page, %rbx that of the guard's pages. SDM is the Intel 64 and IA-32 Architectures
 * Software Developer's Manual, volume 3; APM is the AMD64 Architecture Programmer's Manual,
 * volume 2.
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
 * In:  64-bit mode, identity map, interrupts off, %r8 = control.
 * Out: to kjump_leave of the control page; status 0 if the other CPU did not start.
 */
guard:
        lea     kjump_guard_start(%rip), %rbx
        /* The control page's stack is for the image's CPU. */
        lea     {STACK_END}(%rbx), %rsp
        /*
         * Own gates: exceptions of this CPU must not be taken for the image's, and interrupts may
         * arrive later.
         */
        lidt    {IDT_POINTER}(%rbx)
        call    ignore_interrupts
        /*
         * A start-up IPI makes a CPU begin in a page below 1 MiB, which belongs to the image:
         * borrow it for that time.
         */
        call    exchange_trampoline
        call    start_cpu
        call    exchange_trampoline
        cmpq    $0, {STARTED}(%rbx)
        je      guard_ended

        /*
         * Watch the status and the time since now. Plain reads are enough: other CPUs write the
         * status last, and stores are seen in their order (SDM 9.2.2). pause keeps this loop from
         * slowing a sibling thread.
         */
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        mov     %rax, %r9
.Lwatch:
        cmpq    $0, {STATUS}(%r8)
        jne     guard_ended
        pause
        /* A deadline of 0 never comes. */
        mov     {DEADLINE}(%rbx), %rcx
        test    %rcx, %rcx
        jz      .Lwatch
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        sub     %r9, %rax
        cmp     %rcx, %rax
        jb      .Lwatch

        /*
         * The deadline has passed. Stop the other CPUs before the status is written: one of them
         * may just be returning, and then its status counts.
         */
        mov     ${INIT_ALL_BUT_SELF}, %eax
        call    send
        mov     $200, %edi
        call    wait
        cmpq    $0, {STATUS}(%r8)
        jne     guard_ended
        movq    ${AT_DEADLINE}, {STATUS}(%r8)

/*
 * guard_ended: the status is written, or the other CPU did not start.
 * In:  64-bit mode, identity map, %r8 = control. After an exception of this CPU the stack is not
 *      the guard's.
 * Out: to kjump_leave.
 */
guard_ended:
        lea     kjump_guard_start(%rip), %rbx
        lea     {STACK_END}(%rbx), %rsp
        /*
         * An INIT stops a CPU whatever it does, and it then waits for a start-up IPI: none runs
         * while pages are moved. Sending it twice does no harm. SDM 11.6.1.
         */
        mov     ${INIT_ALL_BUT_SELF}, %eax
        call    send
        mov     $200, %edi
        call    wait
        /*
         * A kernel that returned has stopped its devices. Any other left them running, and they
         * would write into memory that is the first kernel's again. VALUE_HIGH other than 0 is a
         * handoff after a panic, or purgatory's verdict.
         */
        cmpq    ${RETURNED}, {STATUS}(%r8)
        jne     .Ldevices_run
        cmpq    $0, {VALUE_HIGH}(%r8)
        je      .Ldevices_rest
.Ldevices_run:
        call    silence_devices
.Ldevices_rest:
        call    drain_interrupts
        jmp     *{LEAVE}(%rbx)

/*
 * ignore_interrupts: takes this CPU out of all logical interrupt destinations, which the image
 * gives to its own CPUs. The kernel restores the register. In x2APIC mode the logical identifier is
 * read-only and no other CPU has it, so there is nothing to do. SDM 11.6.2.2, 11.12.10.2.
 * In: %rbx. Clobbers %rsi.
 */
ignore_interrupts:
        mov     {APIC}(%rbx), %rsi
        test    %rsi, %rsi
        jz      .Lx2apic_destination
        movl    $0, {APIC_LDR}(%rsi)
.Lx2apic_destination:
        ret

/*
 * start_cpu: starts the other CPU at the trampoline: INIT, a pause, a start-up IPI, and a second
 * one if the CPU does not answer within 1 ms, then up to 2 s for one that starts late. SDM 9.4.4.1.
 * In: %rbx. Out: STARTED = 1 if it runs. Clobbers %rax, %rcx, %rdx, %rsi, %rdi, %r9, %r10.
 */
start_cpu:
        movq    $0, {STARTED}(%rbx)
        mov     ${INIT}, %eax
        call    send
        /* The manual waits 10 ms here; only CPUs without 64-bit mode need that. */
        mov     $200, %edi
        call    wait
        call    start_up_cpu
        mov     $1000, %edi
        call    wait_for_start
        call    start_up_cpu
        mov     $2000000, %edi
        jmp     wait_for_start
/* A start-up IPI has the number of the page to begin in. A CPU that has begun gets none. */
start_up_cpu:
        mov     {LOW_PAGE}(%rbx), %eax
        shr     $12, %eax
        or      ${START_UP}, %eax
        cmpq    $0, {STARTED}(%rbx)
        je      send
        ret

/*
 * send: issues an interrupt command, to the image's CPU unless the command has a destination
 * shorthand. SDM 11.6.1.
 * In: %rbx, %eax = the command. Clobbers %rcx, %rdx, %rsi.
 */
send:
        mov     {CPU}(%rbx), %edx
        mov     {APIC}(%rbx), %rsi
        test    %rsi, %rsi
        jz      .Lsend_by_x2apic
        /*
         * Two registers: the upper one holds the destination, and writing the lower one sends the
         * interrupt.
         */
        shl     $24, %edx
        mov     %edx, {APIC_ICR} + 0x10(%rsi)
        mov     %eax, {APIC_ICR}(%rsi)
        ret
.Lsend_by_x2apic:
        /*
         * Writing this register does not wait for earlier stores, which the other CPU must see.
         * SDM 11.12.3.
         */
        mfence
        lfence
        mov     ${X2APIC} + {APIC_ICR} / 16, %ecx
        wrmsr
        ret

/*
 * wait: waits for %edi microseconds. wait_for_start: the same, but returns as soon as the other CPU
 * has started.
 * In: %rbx, %edi = microseconds. Clobbers %rax, %rdx, %r9, %r10; wait_for_start also %rcx, %rdi.
 */
wait:
        mov     %edi, %r10d
        imul    {MICROSECOND}(%rbx), %r10
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        mov     %rax, %r9
.Lwait_on:
        pause
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        sub     %r9, %rax
        cmp     %r10, %rax
        jb      .Lwait_on
        ret
wait_for_start:
        mov     %edi, %ecx
.Lstarted_yet:
        cmpq    $0, {STARTED}(%rbx)
        jne     .Lstarted
        mov     $1, %edi
        call    wait
        dec     %ecx
        jnz     .Lstarted_yet
.Lstarted:
        ret

/*
 * exchange_trampoline: exchanges the trampoline with the start of the low page. A second time
 * restores both.
 * In: %rbx. Clobbers %rax, %rcx, %rsi, %rdi.
 */
exchange_trampoline:
        lea     trampoline(%rip), %rsi
        mov     {LOW_PAGE}(%rbx), %rdi
        mov     ${TRAMPOLINE_WORDS}, %ecx
.Lexchange_word:
        mov     (%rsi), %rax
        xchg    %rax, (%rdi)
        mov     %rax, (%rsi)
        add     $8, %rsi
        add     $8, %rdi
        dec     %ecx
        jnz     .Lexchange_word
        ret

/*
 * silence_devices: stops every PCI function of the first segment, on all buses, from writing to
 * memory and from asserting its interrupt line. Drivers set both bits again when they resume. PCI
 * Local Bus 3.0, 3.2.2.3.2 and 6.2.2.
 * In: %rbx. Clobbers %rax, %rcx, %rdx, %rdi, %r9, %r10.
 */
silence_devices:
        /* An address for port 0xcf8: bit 31, then bus, device, function and register. */
        mov     $0x80000000, %edi
.Lfunction:
        mov     %edi, %eax
        call    configuration
        /* All ones in place of a vendor: there is no such function. */
        cmp     $0xffff, %ax
        je      .Lno_function
        /*
         * Command and status share a register. Status bits are cleared by writing ones, so zeros
         * leave them alone.
         */
        lea     4(%rdi), %eax
        call    configuration
        and     $0xffff & ~{BUS_MASTER}, %eax
        or      ${INTERRUPT_OFF}, %eax
        out     %eax, %dx
        /* Functions 1 to 7 exist only if function 0's header type has the multi-function bit. */
        test    $0x700, %edi
        jnz     .Lnext_function
        lea     12(%rdi), %eax
        call    configuration
        bt      ${MULTI_FUNCTION}, %eax
        jc      .Lnext_function
.Lno_function:
        /* Without a function 0 there are no others, but functions may be missing after it. */
        test    $0x700, %edi
        jnz     .Lnext_function
        or      $0x700, %edi
.Lnext_function:
        add     $0x100, %edi
        cmp     $0x81000000, %edi
        jne     .Lfunction
        /* Transfers in progress end within 1 ms. */
        mov     $1000, %edi
        jmp     wait
/* Reads the register at address %eax, and leaves the data port in %dx for a write to it. */
configuration:
        mov     $0xcf8, %edx
        out     %eax, %dx
        mov     $0xcfc, %edx
        in      %dx, %eax
        ret

/*
 * drain_interrupts: accepts and discards the interrupts that the image's CPUs sent to all others.
 * Left pending, they would reach the kernel, and one of them would stop this CPU. SDM 11.8.4, 11.9.
 * In: %rbx, all other CPUs stopped. Clobbers %rax, %rcx, %rdx, %rsi, %rdi, %r9, %r10, %r11.
 */
drain_interrupts:
        /* A local APIC that is disabled by software keeps interrupts pending: enable it. */
        mov     ${APIC_SVR}, %edi
        call    read_apic
        mov     %eax, %r11d
        or      ${APIC_ENABLED}, %eax
        call    write_apic
        /*
         * With interrupts on, each goes to kjump_guard_interrupt, and the next one follows. The
         * kernel raised the task priority, which keeps them pending: SDM 11.8.3.1.
         */
        mov     %cr8, %rax
        push    %rax
        xor     %eax, %eax
        mov     %rax, %cr8
        sti
        mov     $100, %edi
        call    wait
        cli
        pop     %rax
        mov     %rax, %cr8
        mov     %r11d, %eax
        mov     ${APIC_SVR}, %edi
        jmp     write_apic

/*
 * read_apic, write_apic: a register of the local APIC. It is in memory, or in x2APIC mode (APIC
 * is 0) a model-specific register, whose number is the offset divided by 16. SDM 11.4.1, 11.12.1.2.
 * In: %rbx, %edi = its offset, %eax = value to write. Out: %eax = value read. Clobber %rcx, %rdx,
 *     %rsi.
 */
read_apic:
        mov     {APIC}(%rbx), %rsi
        test    %rsi, %rsi
        jz      .Lread_by_x2apic
        mov     (%rsi, %rdi), %eax
        ret
.Lread_by_x2apic:
        mov     %edi, %ecx
        shr     $4, %ecx
        add     ${X2APIC}, %ecx
        rdmsr
        ret
write_apic:
        mov     {APIC}(%rbx), %rsi
        test    %rsi, %rsi
        jz      .Lwrite_by_x2apic
        mov     %eax, (%rsi, %rdi)
        ret
.Lwrite_by_x2apic:
        mov     %edi, %ecx
        shr     $4, %ecx
        add     ${X2APIC}, %ecx
        xor     %edx, %edx
        wrmsr
        ret

/*
 * kjump_guard_interrupt: acknowledges an interrupt, so that the APIC delivers the next one. SDM
 * 11.8.5.
 */
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

/* kjump_guard_nmi: an image may send an NMI to all other CPUs: it is dropped. */
kjump_guard_nmi:
        iretq

/*
 * trampoline: the first instructions of the other CPU, at offset 0 of a page below 1 MiB. SDM
 * 10.9.1.
 * In:  real mode, as INIT and the start-up IPI leave a CPU: %cs:0 is the page. SDM 10.1.1.
 * Out: to start_32, %ebx = the guard's pages.
 */
        .balign 8
trampoline:
        .code16
        cli
        /* Offsets below are relative to the page, so data must be too. */
        mov     %cs, %ax
        mov     %ax, %ds
        /*
         * GDT, then PE, then a far jump, which loads a 32-bit code segment. Its target is above 64
         * KiB: 32-bit operands.
         */
        lgdtl   trampoline_gdt - trampoline
        movl    kjump_guard_base - trampoline, %ebx
        movl    $1, %eax
        movl    %eax, %cr0
        ljmpl   *(kjump_guard_entry_32 - trampoline)
        /* The addresses are filled in when the pages are installed. */
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
 * start_32: from 32-bit to 64-bit mode, and into the control page. The order is given by SDM 10.8.5
 * and APM 14.6.
 * In:  32-bit mode, control's GDT loaded, %ebx = the guard's pages.
 * Out: to kjump_begin, with STARTED = 1.
 */
        .code32
start_32:
        /* After INIT data segments have a limit of 64 KiB; these are flat. */
        mov     ${SELECTOR_DATA}, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     {CONTROL_PAGE}(%ebx), %esi
        /*
         * PAE, and LA57 if the page tables have five levels. Nothing else of the kernel's CR4
         * applies to this CPU.
         */
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
        /* Paging on: long mode is active. CD and NW are clear, so caches are on. */
        mov     ${CR0}, %eax
        mov     %eax, %cr0
        mov     {STACK}(%esi), %esp
        pushl   ${SELECTOR_CODE_64}
        lea     start_64 - kjump_guard_start(%ebx), %eax
        push    %eax
        lretl
        .code64
start_64:
        /*
         * The upper halves of registers are undefined after a switch to 64-bit mode: SDM volume 1,
         * 3.4.1.1.
         */
        mov     %ebx, %ebx
        mov     {CONTROL_PAGE}(%rbx), %r8
        mov     {STACK}(%r8), %rsp
        /*
         * The image finds EFER as the guard's CPU has it, with system calls and no-execute as the
         * kernel uses them.
         */
        mov     ${EFER}, %ecx
        mov     {KERNEL_EFER}(%r8), %eax
        mov     {KERNEL_EFER} + 4(%r8), %edx
        wrmsr
        lidt    {CONTROL_IDT_POINTER}(%r8)
        /*
         * The image finds the local APIC as firmware leaves it on the first CPU: on, and
         * transparent for the interrupts of the 8259 and for NMIs. MultiProcessor Specification
         * 1.4, 3.6.2.2.
         */
        mov     ${APIC_SVR}, %edi
        mov     ${APIC_ENABLED} | 0xf, %eax
        call    write_apic
        mov     ${APIC_LVT0}, %edi
        mov     ${EXTERNAL_INTERRUPT}, %eax
        call    write_apic
        mov     ${APIC_LVT1}, %edi
        mov     ${NMI_DELIVERY}, %eax
        call    write_apic
        /* The guard may take the low page back. */
        movq    $1, {STARTED}(%rbx)
        jmp     *{BEGIN}(%rbx)
kjump_guard_end:
        .org    kjump_guard_start + {CODE_LIMIT}, 0xcc
        .text
