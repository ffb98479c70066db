/*
 * kjump_enter: from the kernel to the control page.
 * In:  %rdi = control page, virtual; %rsi = control page, physical. A System V function, called
 *      with interrupts off.
 * Out: to arrive, in the control page.
 *
 * kjump_resume: from the control page to the kernel.
 * In:  %r8 = control page, physical; identity map loaded.
 * Out: returns to the caller of kjump_enter.
 *
 * kjump_crossing_nmi: the handler of NMIs while page tables change. The kernel's is not mapped in
 * the identity map, nor the control page's in the kernel's page tables. So the control page has a
 * gate, a GDT and a stack at addresses that both map ("crossing"); at each instruction an NMI finds
 * a gate, a code segment and a stack. It is dropped, as during the call.
 *
 * All are shorter than 512 bytes and aligned to that, so they lie in one page, and the identity
 * map needs to map that page, the control page and the stack's last page only. SDM is the Intel 64
 * and IA-32 Architectures Software Developer's Manual, volume 3.
 */
        .section .text.kjump_enter, "ax"
        .balign 512
        .type   kjump_enter, @function
        .globl  kjump_enter, kjump_crossing_nmi
kjump_enter:
        endbr64
        /* The image may change every register: save what the caller may expect unchanged. */
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        pushfq
        cli
        cld
        /*
         * The control page is the one place that kjump_resume can reach before it has page tables
         * and a stack.
         */
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
        /* No flag of the kernel's may reach the image: AC and NT change what instructions do. */
        pushq   $0
        popfq
        /*
         * The gate first: the kernel's handler of NMIs reads its own GDT. It is entered and left by
         * selectors that both GDTs have.
         */
        lidt    {CROSSING_IDT_POINTER}(%rdi)
        mov     {CROSSING_STACK_END}(%rdi), %rsp
        lgdt    {CROSSING_GDT_POINTER}(%rdi)
        /*
         * The identity map. This page has its virtual address in it too, so the next instruction is
         * found. The kernel's stack is not mapped from here on, and CR4 is still the kernel's: with
         * PCIDs on, the low bits of this CR3 are 0, and its translations are flushed. SDM 4.10.4.1.
         */
        mov     {IDENTITY_CR3}(%rdi), %rax
        mov     %rax, %cr3
        /*
         * The control page's gates use interrupt stacks, which the CPU finds by the task register:
         * that one before them. ltr faults on a descriptor that is busy. SDM 8.2.4.
         */
        lgdt    {GDT_POINTER}(%r8)
        movb    ${TASK_AVAILABLE}, {TASK_TYPE}(%r8)
        mov     ${SELECTOR_TASK}, %eax
        ltr     %ax
        mov     {STACK}(%r8), %rsp
        lidt    {IDT_POINTER}(%r8)
        pushq   ${SELECTOR_CODE_64}
        push    %r8
        lretq
        int3
kjump_resume:
        endbr64
        /* The stack before the gate, as the gate has none of its own. */
        mov     {CROSSING_STACK_END}(%r8), %rsp
        lgdt    {CROSSING_GDT_POINTER}(%r8)
        lidt    {CROSSING_IDT_POINTER}(%r8)
        /*
         * The control page is not mapped at its physical address in the kernel's page tables: read
         * everything now.
         */
        mov     {KERNEL_RSP}(%r8), %rsi
        mov     {KERNEL_CR3}(%r8), %rcx
        mov     {KERNEL_CR4}(%r8), %rax
        mov     {KERNEL_CR0}(%r8), %rdx
        /*
         * CR0 first: CET can be turned on only while WP is set. CR4 before CR3: PCIDs can be turned
         * on only while the low twelve bits of CR3 are 0, as the identity map's are. SDM 2.5,
         * 4.10.1.
         */
        mov     %rdx, %cr0
        mov     %rax, %cr4
        mov     %rcx, %cr3
        mov     %rsi, %rsp
        popfq
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        /* Returns of kernel code go through a thunk that the kernel patches against speculation. */
        jmp     __x86_return_thunk
        int3
        .size   kjump_enter, . - kjump_enter
        .type   kjump_crossing_nmi, @notype
kjump_crossing_nmi:
        /* With indirect branch tracking on, a gate leads to an endbr64 only. SDM volume 1, 18.3. */
        endbr64
        iretq
        .text
