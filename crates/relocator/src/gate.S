/*
 * kjump_enter: from the kernel to the control page.
 * In: %rdi = control page, virtual; %rsi = control page, physical. System V call, interrupts off.
 *
 * kjump_resume: from the control page to the kernel.
 * In: %r8 = control page, physical; identity map loaded.
 *
 * Both stand in one page of 256 bytes' alignment, so that mapping one page is enough.
 */
        .section .text.kjump_enter, "ax"
        .balign 256
        .type   kjump_enter, @function
        .globl  kjump_enter
kjump_enter:
        endbr64
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        pushfq
        cli
        cld
        mov     %rsp, {KERNEL_RSP}(%rdi)
        mov     %cr0, %rax
        mov     %rax, {KERNEL_CR0}(%rdi)
        mov     %cr3, %rax
        mov     %rax, {KERNEL_CR3}(%rdi)
        mov     %cr4, %rax
        mov     %rax, {KERNEL_CR4}(%rdi)
        mov     ${EFER}, %ecx
        rdmsr
        mov     %eax, {KERNEL_EFER}(%rdi)
        mov     %edx, {KERNEL_EFER} + 4(%rdi)
        mov     ${GS_BASE}, %ecx
        rdmsr
        mov     %eax, {KERNEL_GS_BASE}(%rdi)
        mov     %edx, {KERNEL_GS_BASE} + 4(%rdi)
        lea     kjump_resume(%rip), %rax
        mov     %rax, {KERNEL_RESUME}(%rdi)
        mov     %rsi, %r8
        pushq   $0
        popfq
        mov     {IDENTITY_CR3}(%rdi), %rax
        mov     %rax, %cr3
        /* The kernel's GDT is not mapped any more, and a far return reads it. */
        lgdt    {GDT_POINTER}(%r8)
        lidt    {IDT_POINTER}(%r8)
        mov     {STACK}(%r8), %rsp
        pushq   ${SELECTOR_CODE_64}
        push    %r8
        lretq
        int3
kjump_resume:
        endbr64
        mov     {KERNEL_RSP}(%r8), %rsp
        mov     {KERNEL_CR3}(%r8), %rcx
        mov     {KERNEL_CR4}(%r8), %rax
        mov     {KERNEL_CR0}(%r8), %rdx
        /* WP before CET; PCID may be turned on only while the low bits of CR3 are 0. */
        mov     %rdx, %cr0
        mov     %rax, %cr4
        mov     %rcx, %cr3
        popfq
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        jmp     __x86_return_thunk
        int3
        .size   kjump_enter, . - kjump_enter
        .text
