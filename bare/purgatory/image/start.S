/*
 * Into purgatory and out of it. Position-independent; the linker puts this section first in the
 * code, so that its first byte is the entry point. The block with the load's parameters is the page
 * below; names in braces are offsets of its fields.
 *
 * SDM is the Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3; APM is the
 * AMD64 Architecture Programmer's Manual, volume 2. The entry conditions of Linux are in
 * Documentation/arch/x86/boot.rst.
 */
        .section .text.start, "ax"
        .globl purgatory_start
        .code64

/*
 * purgatory_start: entered from the running kernel.
 * In:  64-bit mode, all memory identity-mapped, interrupts off. GDT, IDT and segments may be
 *      anything, and there may be no stack: the word on top of it is read later, and only if the
 *      block says that the kernel waits for an answer.
 * Out: to the entry point that the block names, or back to the kernel.
 */
purgatory_start:
        cli
        cld
        /*
         * A kernel that waits expects the registers that the System V ABI has callees keep, and its
         * own tables.
         */
        mov     %rsp, kernel_rsp(%rip)
        mov     %rbx, kernel_registers(%rip)
        mov     %rbp, kernel_registers + 8(%rip)
        mov     %r12, kernel_registers + 16(%rip)
        mov     %r13, kernel_registers + 24(%rip)
        mov     %r14, kernel_registers + 32(%rip)
        mov     %r15, kernel_registers + 40(%rip)
        sgdt    kernel_gdt(%rip)
        sidt    kernel_idt(%rip)
        lea     stack_end(%rip), %rsp

        /*
         * The compiler and SHA-NI use SSE: CR0.EM and TS must be clear, CR4.OSFXSR and OSXMMEXCPT
         * set, or else an instruction raises an exception, for which there is no handler. SDM 14.1.
         */
        mov     %cr0, %rax
        mov     %rax, kernel_cr0(%rip)
        and     $~{CR0_NO_VECTORS}, %rax
        mov     %rax, %cr0
        mov     %cr4, %rax
        mov     %rax, kernel_cr4(%rip)
        or      ${CR4_VECTORS}, %rax
        mov     %rax, %cr4

        /*
         * The kernel's descriptors may lie in memory that the load has overwritten: load our own.
         * They sit where Linux wants them: code at 0x10, data at 0x18 (boot protocol, 64-bit). The
         * base of the table depends on where purgatory lies, so it is filled in here. In 64-bit
         * mode %cs is loaded by a far return. SDM 5.8.1.
         */
        lea     gdt_long(%rip), %rax
        mov     %rax, gdt_pointer + 2(%rip)
        movw    $gdt_long_end - gdt_long - 1, gdt_pointer(%rip)
        lgdt    gdt_pointer(%rip)
        call    data_selectors
        push    $0x10
        lea     .Lown_segments(%rip), %rax
        push    %rax
        lretq

        /*
         * Rust verifies, copies and prints. It answers 0 to go on, or the value for the kernel that
         * waits.
         */
.Lown_segments:
        lea     block(%rip), %rdi
        mov     kernel_rsp(%rip), %rsi
        lea     gdt_narrow(%rip), %rdx
        xor     %ebp, %ebp
        call    purgatory_main
        test    %rax, %rax
        jnz     back
        mov     {MODE} + block(%rip), %rax
        cmp     ${MODE_LONG}, %rax
        jne     narrow

        /*
         * To a 64-bit entry point: paging stays on, and the control registers are the kernel's
         * again, whose page tables are in use. The block has a value for each register; a stack of
         * 0 means ours.
         */
        call    control_registers
        lea     stack_end(%rip), %rsp
        mov     {REGISTERS} + 32 + block(%rip), %rax
        test    %rax, %rax
        cmovnz  %rax, %rsp
        mov     {REGISTERS} + 0 + block(%rip), %rax
        mov     {REGISTERS} + 8 + block(%rip), %rcx
        mov     {REGISTERS} + 16 + block(%rip), %rdx
        mov     {REGISTERS} + 24 + block(%rip), %rbx
        mov     {REGISTERS} + 40 + block(%rip), %rbp
        mov     {REGISTERS} + 48 + block(%rip), %rsi
        mov     {REGISTERS} + 56 + block(%rip), %rdi
        mov     {REGISTERS} + 64 + block(%rip), %r8
        mov     {REGISTERS} + 72 + block(%rip), %r9
        mov     {REGISTERS} + 80 + block(%rip), %r10
        mov     {REGISTERS} + 88 + block(%rip), %r11
        mov     {REGISTERS} + 96 + block(%rip), %r12
        mov     {REGISTERS} + 104 + block(%rip), %r13
        mov     {REGISTERS} + 112 + block(%rip), %r14
        mov     {REGISTERS} + 120 + block(%rip), %r15
        jmp     *{GOAL} + block(%rip)

/*
 * back: returns to the kernel that entered purgatory.
 * In:  %rax = the value.
 * Out: %rax and %rdx = the value: no kernel returns the same in both. On top of the stack is
 *      purgatory_start, which is thereby entered by the next call. The relocator and every kernel
 *      with kexec jump read it there.
 */
back:
        mov     %rax, %r9
        call    control_registers
        lgdt    kernel_gdt(%rip)
        lidt    kernel_idt(%rip)
        mov     kernel_registers(%rip), %rbx
        mov     kernel_registers + 8(%rip), %rbp
        mov     kernel_registers + 16(%rip), %r12
        mov     kernel_registers + 24(%rip), %r13
        mov     kernel_registers + 32(%rip), %r14
        mov     kernel_registers + 40(%rip), %r15
        /* The return address goes, and the next entry point takes its place. */
        mov     kernel_rsp(%rip), %rsp
        pop     %rcx
        lea     purgatory_start(%rip), %rdx
        push    %rdx
        mov     %r9, %rax
        mov     %r9, %rdx
        jmp     *%rcx

/* data_selectors: loads flat data segments. Clobbers %eax. */
data_selectors:
        mov     $0x18, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     %eax, %fs
        mov     %eax, %gs
        ret

/* control_registers: restores CR4 and CR0. Clobbers %rax. */
control_registers:
        mov     kernel_cr4(%rip), %rax
        mov     %rax, %cr4
        mov     kernel_cr0(%rip), %rax
        mov     %rax, %cr0
        ret

/*
 * narrow: leaves long mode, for an entry point in 32-bit or real mode. SDM 10.8.5.4, APM 14.7:
 * compatibility mode, then paging off, then LME off. Purgatory lies below 4 GiB in this case.
 * In:  64-bit mode, %rax = the mode.
 * Out: to the entry point, or to low.
 */
narrow:
        cmp     ${MODE_REAL}, %rax
        jne     .Lload_narrow
        mov     {LOW_PAGE} + block(%rip), %rdi
        call    lay_low
.Lload_narrow:
        /*
         * 32-bit code at 0x10 and data at 0x18, as the 32-bit boot protocol wants them; 16-bit ones
         * at 0x20, 0x28.
         */
        lea     gdt_narrow(%rip), %rax
        mov     %rax, gdt_pointer + 2(%rip)
        movw    $gdt_narrow_end - gdt_narrow - 1, gdt_pointer(%rip)
        lgdt    gdt_pointer(%rip)
        /*
         * An empty table: an exception from here on resets the machine, since no gate would fit
         * every mode.
         */
        lidt    no_idt(%rip)
        /*
         * All registers have values of the block at the end, so the last jump cannot go through
         * one: fill in its distance here, while %rip-relative addresses are at hand.
         */
        mov     {GOAL} + block(%rip), %rax
        lea     jump_end(%rip), %rdx
        sub     %rdx, %rax
        mov     %eax, jump_end - 4(%rip)
        lea     block(%rip), %rbx
        push    $0x10
        lea     .Lcompatibility_mode(%rip), %rax
        push    %rax
        lretq
        .code32
.Lcompatibility_mode:
        mov     $0x18, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     %eax, %fs
        mov     %eax, %gs
        /*
         * Paging off ends long mode. Code goes on at the same address, because the map is the
         * identity.
         */
        mov     %cr0, %eax
        and     $~{CR0_PG}, %eax
        mov     %eax, %cr0
        /* LME off, or else a kernel that turns paging on for itself would be in long mode. */
        mov     ${EFER}, %ecx
        rdmsr
        and     $~{EFER_LME}, %eax
        wrmsr
        /* PAE and all other extensions off, as after a reset. */
        xor     %eax, %eax
        mov     %eax, %cr4
        mov     %eax, %cr3
        cmpl    ${MODE_REAL}, {MODE}(%ebx)
        je      low
        /* %ebx, the block, gets its own value last. */
        mov     {REGISTERS} + 32(%ebx), %eax
        test    %eax, %eax
        cmovnz  %eax, %esp
        mov     {REGISTERS} + 0(%ebx), %eax
        mov     {REGISTERS} + 8(%ebx), %ecx
        mov     {REGISTERS} + 16(%ebx), %edx
        mov     {REGISTERS} + 40(%ebx), %ebp
        mov     {REGISTERS} + 48(%ebx), %esi
        mov     {REGISTERS} + 56(%ebx), %edi
        mov     {REGISTERS} + 24(%ebx), %ebx
        /* jmp by a 32-bit distance, which narrow filled in. */
        .byte   0xe9
        .long   0
jump_end:

/*
 * low: continues in the low page, in 16-bit protected mode: PE may be cleared only in a code
 * segment with 16-bit size and a limit of 64 KiB. SDM 10.9.2.
 * In: 32-bit mode without paging. The page's address is the base of selectors 0x20 and 0x28.
 */
low:
        ljmp    $0x20, $low_code - low_page

/*
 * lay_low: copies the low page to its place and fills in its address and the block's values.
 * In: %rdi = the page, below 1 MiB. Clobbers %rax, %rcx, %rdx, %rsi, %rdi.
 */
        .code64
lay_low:
        mov     %rdi, %rdx
        lea     low_page(%rip), %rsi
        mov     $low_page_end - low_page, %ecx
        rep movsb
        /*
         * The base of a descriptor is in its bits 16 to 39, and further up for bases above 16 MiB.
         * SDM 3.4.5.
         */
        mov     %edx, %eax
        mov     %ax, gdt_narrow + 0x22(%rip)
        mov     %ax, gdt_narrow + 0x2a(%rip)
        shr     $16, %eax
        mov     %al, gdt_narrow + 0x24(%rip)
        mov     %al, gdt_narrow + 0x2c(%rip)
        /*
         * The page's real-mode segment, its address divided by 16, and the entry point as segment
         * and offset.
         */
        mov     %edx, %eax
        shr     $4, %eax
        mov     %ax, low_segment - low_page(%rdx)
        mov     {GOAL} + block(%rip), %eax
        mov     %eax, low_goal - low_page(%rdx)
        mov     {SEGMENTS} + block(%rip), %eax
        mov     %eax, low_segments - low_page(%rdx)
        lea     {REGISTERS} + block(%rip), %rsi
        lea     low_registers - low_page(%rdx), %rdi
        mov     $64, %ecx
        rep movsb
        ret

/*
 * low_page: copied below 1 MiB; switches back to real mode in the steps of SDM 10.9.2.
 * In:  16-bit protected mode, %cs = the page.
 * Out: to the entry point in real mode, with every register as the block names it.
 */
        .code16
low_page:
low_code:
        /* Segments of 64 KiB: the limits stay in force in real mode, and the BIOS expects these. */
        mov     $0x28, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     %ax, %fs
        mov     %ax, %gs
        /* The real-mode interrupt table, at address 0. */
        lidtl   low_idt - low_page
        mov     %cr0, %eax
        /*
         * PE off, and a far jump, which loads %cs with a real-mode segment: written as bytes, for
         * its operands vary.
         */
        and     $~1, %al
        mov     %eax, %cr0
        .byte   0xea
        .word   low_real - low_page
low_segment:
        .word   0
low_real:
        /* Data is in this page: %ds is loaded last, after everything has been read through it. */
        mov     %cs, %ax
        mov     %ax, %ds
        mov     low_segments - low_page + 2, %ss
        movl    low_registers - low_page + 32, %esp
        movw    low_segments - low_page, %ax
        mov     %ax, %es
        mov     %ax, %fs
        mov     %ax, %gs
        movl    low_registers - low_page + 8, %ecx
        movl    low_registers - low_page + 16, %edx
        movl    low_registers - low_page + 24, %ebx
        movl    low_registers - low_page + 40, %ebp
        movl    low_registers - low_page + 48, %esi
        movl    low_registers - low_page + 56, %edi
        movl    low_registers - low_page, %eax
        mov     low_segments - low_page, %ds
        /* A far jump to the entry point. */
        .byte   0xea
low_goal:
        .long   0
low_segments:
        .long   0
/* Limit and base: 256 vectors of four bytes. */
low_idt:
        .word   0x3ff
        .long   0
        .balign 4
low_registers:
        .fill   8, 8
low_page_end:
        .code64

/* Descriptors with their accessed bits set, so that the CPU does not write to them. SDM 3.4.5. */
        .balign 16
gdt_long:
        .quad   0, 0
        .quad   0x00af9b000000ffff
        .quad   0x00cf93000000ffff
gdt_long_end:

        .bss
        .balign 16
/*
 * 32-bit code and data, 16-bit code and data. purgatory_main writes them on every entry, because
 * lay_low changes bases in them.
 */
gdt_narrow:
        .skip   48
gdt_narrow_end:
gdt_pointer:
        .skip   16
no_idt:
        .skip   16
kernel_gdt:
        .skip   16
kernel_idt:
        .skip   16
kernel_rsp:
        .skip   8
kernel_cr0:
        .skip   8
kernel_cr4:
        .skip   8
kernel_registers:
        .skip   48
        .balign 16
        .skip   {STACK}
stack_end:
