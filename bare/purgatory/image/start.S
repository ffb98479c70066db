/*
 * In and out of purgatory. Position-independent; the section stands first in the code, so that its first byte is the
 * entry point. Names in braces are offsets in the block, which stands a page below.
 */
        .section .text.start, "ax"
        .globl purgatory_start
        .code64

/*
 * purgatory_start: from the running kernel.
 * In:  64-bit mode, everything identity-mapped, interrupts off. GDT, IDT and segments may be anything, there need not be
 *      a stack: what is on top of it is read later, and only if it is known to be there.
 * Out: to what the block names, or back to the kernel.
 */
purgatory_start:
        cli
        cld
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

        /* What follows uses vectors: no emulation, no task switch pending, and the system promises to keep them. */
        mov     %cr0, %rax
        mov     %rax, kernel_cr0(%rip)
        and     $~{CR0_NO_VECTORS}, %rax
        mov     %rax, %cr0
        mov     %cr4, %rax
        mov     %rax, kernel_cr4(%rip)
        or      ${CR4_VECTORS}, %rax
        mov     %rax, %cr4

        lea     gdt_long(%rip), %rax
        mov     %rax, gdt_pointer + 2(%rip)
        movw    $gdt_long_end - gdt_long - 1, gdt_pointer(%rip)
        lgdt    gdt_pointer(%rip)
        call    data_selectors
        push    $0x10
        lea     1f(%rip), %rax
        push    %rax
        lretq

1:      lea     block(%rip), %rdi
        mov     kernel_rsp(%rip), %rsi
        lea     gdt_narrow(%rip), %rdx
        xor     %ebp, %ebp
        call    purgatory_main
        test    %rax, %rax
        jnz     back
        mov     {MODE} + block(%rip), %rax
        cmp     ${MODE_LONG}, %rax
        jne     narrow

/* To a 64-bit goal, with the control registers as they were. */
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
 * back: to the kernel that came here, with a value.
 * In: %rax = the value. Out: %rax and %rdx = the value, which no kernel returns. Every kernel and the relocator take this: what is entered next time stands on top of the stack
 * on arrival at the return address.
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
        mov     kernel_rsp(%rip), %rsp
        pop     %rcx
        lea     purgatory_start(%rip), %rdx
        push    %rdx
        mov     %r9, %rax
        mov     %r9, %rdx
        jmp     *%rcx

/* data_selectors: flat data. Clobbers %eax. */
data_selectors:
        mov     $0x18, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     %eax, %fs
        mov     %eax, %gs
        ret

/* control_registers: CR4, then CR0, as they were. Clobbers %rax. */
control_registers:
        mov     kernel_cr4(%rip), %rax
        mov     %rax, %cr4
        mov     kernel_cr0(%rip), %rax
        mov     %rax, %cr0
        ret

/*
 * narrow: to a goal in 32-bit or real mode. Purgatory lies below 4 GiB then.
 * The descriptors change first, and the code that follows is 32-bit code at the same address; then paging goes, then
 * long mode, then PAE.
 */
narrow:
        cmp     ${MODE_REAL}, %rax
        jne     2f
        mov     {LOW_PAGE} + block(%rip), %rdi
        call    lay_low
2:      lea     gdt_narrow(%rip), %rax
        mov     %rax, gdt_pointer + 2(%rip)
        movw    $gdt_narrow_end - gdt_narrow - 1, gdt_pointer(%rip)
        lgdt    gdt_pointer(%rip)
        lidt    no_idt(%rip)
        /* The last jump is by distance: 32-bit code has no other way to name a goal without a register. */
        mov     {GOAL} + block(%rip), %rax
        lea     jump_end(%rip), %rdx
        sub     %rdx, %rax
        mov     %eax, jump_end - 4(%rip)
        lea     block(%rip), %rbx
        push    $0x10
        lea     3f(%rip), %rax
        push    %rax
        lretq
        .code32
3:      mov     $0x18, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     %eax, %fs
        mov     %eax, %gs
        mov     %cr0, %eax
        and     $~{CR0_PG}, %eax
        mov     %eax, %cr0
        mov     ${EFER}, %ecx
        rdmsr
        and     $~{EFER_LME}, %eax
        wrmsr
        xor     %eax, %eax
        mov     %eax, %cr4
        mov     %eax, %cr3
        cmpl    ${MODE_REAL}, {MODE}(%ebx)
        je      low
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
        .byte   0xe9
        .long   0
jump_end:

/*
 * low: the rest runs in the low page.
 * In: 32-bit mode without paging, %ebx = the block. The page's address is the base of selectors 0x20 and 0x28.
 */
low:
        ljmp    $0x20, $low_code - low_page

/*
 * lay_low: fills the low page for its address and the block.
 * In: %rdi = the page. Clobbers %rax, %rcx, %rdx, %rsi, %rdi.
 */
        .code64
lay_low:
        mov     %rdi, %rdx
        lea     low_page(%rip), %rsi
        mov     $low_page_end - low_page, %ecx
        rep movsb
        /* The base of a descriptor: bits 16 to 39. */
        mov     %edx, %eax
        mov     %ax, gdt_narrow + 0x22(%rip)
        mov     %ax, gdt_narrow + 0x2a(%rip)
        shr     $16, %eax
        mov     %al, gdt_narrow + 0x24(%rip)
        mov     %al, gdt_narrow + 0x2c(%rip)
        /* Its number as a real-mode segment, and where all ends. */
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
 * low_page: copied below 1 MiB.
 * In: 16-bit protected mode, %cs = the page. Out: real mode, every register as the block says.
 */
        .code16
low_page:
low_code:
        mov     $0x28, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     %ax, %fs
        mov     %ax, %gs
        lidtl   low_idt - low_page
        mov     %cr0, %eax
        and     $~1, %al
        mov     %eax, %cr0
        .byte   0xea
        .word   low_real - low_page
low_segment:
        .word   0
low_real:
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
        .byte   0xea
low_goal:
        .long   0
low_segments:
        .long   0
low_idt:
        .word   0x3ff
        .long   0
        .balign 4
low_registers:
        .fill   8, 8
low_page_end:
        .code64

/* Descriptors with their accessed bits set: nothing writes to them but lay_low. Intel SDM volume 3, 3.4.5. */
        .balign 16
gdt_long:
        .quad   0, 0
        .quad   0x00af9b000000ffff
        .quad   0x00cf93000000ffff
gdt_long_end:

        .bss
        .balign 16
/* 32-bit code and data, 16-bit code and data: purgatory_main writes them, for constants stay as they are. */
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
