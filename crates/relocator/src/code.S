/*
 * The code of the control page. Position-independent: it knows its own address by %rip, or by %cs and %ds.
 *
 * %r8 (64-bit) and %ebx (32-bit) hold the control page's physical address wherever a paragraph says "control".
 * The section is data for the linker: the bytes are copied into the control page and run there.
 */
        .section .rodata.kjump_code, "a"
        .balign 64
        .globl kjump_code_start, kjump_code_end, kjump_back, kjump_begin, kjump_leave, kjump_move_pages
        .globl kjump_stubs_64, kjump_nmi_64, kjump_stubs_32, kjump_nmi_32
kjump_code_start:

/*
 * arrive: from the kernel.
 * In:  64-bit mode, identity map, own GDT and IDT loaded, %cs = CODE_64, interrupts off, %rsp = STACK, %r8 = control.
 * Out: through enter_64 or enter_32, or into the guard's pages.
 */
arrive:
        /* CET cannot be on without WP: it goes first. */
        mov     %cr4, %rax
        btr     ${CR4_CET_BIT}, %rax
        mov     %rax, %cr4
        call    plain_registers
        call    load_selectors

        movq    $0, {STATUS}(%r8)
        mov     ${STAMPS}, %edi
        call    stamp
        mov     $1, %edx
        call    move_own_pages
        mov     ${STAMPS} + 8, %edi
        call    stamp
        mov     {GUARD}(%r8), %rax
        test    %rax, %rax
        jz      1f
        jmp     *%rax
1:      cmpl    ${MODE_PROTECTED}, {MODE}(%r8)
        je      enter_32
        jmp     enter_64

/*
 * kjump_begin: the image's own CPU, where another one guards.
 * In: 64-bit mode, identity map, own GDT and IDT loaded, interrupts off, %rsp = STACK, %r8 = control.
 */
kjump_begin:
        call    load_selectors

/*
 * enter_64: call the image by the System V ABI.
 * In: %r8 = control. Out: %rax = the first argument too, which is the value of the call that a peer kernel returns from.
 *
 * On top of the stack that the image comes back with stands what to enter next time. The word above the return address
 * is preset to the entry point, so it stays the same for an image that just returns, and an image may write another one
 * there. An image that comes back by a call leaves the address behind the call: so do peer kernels.
 */
enter_64:
        mov     %r8, %r10
        mov     {ARGUMENTS}(%r10), %rdi
        mov     {ARGUMENTS} + 8(%r10), %rsi
        mov     {ARGUMENTS} + 16(%r10), %rdx
        mov     {ARGUMENTS} + 24(%r10), %rcx
        mov     {ARGUMENTS} + 32(%r10), %r8
        mov     {ARGUMENTS} + 40(%r10), %r9
        mov     {ENTRY}(%r10), %r11
        mov     {STACK}(%r10), %rsp
        push    %r11
        push    %r11
        mov     %rdi, %rax
        xor     %ebp, %ebp
        xor     %ebx, %ebx
        call    *%r11
kjump_back:
        cli
        cld
        lea     kjump_code_start(%rip), %r8
        /* Guarded, the image may come back on any CPU, and the first counts. */
        cmpq    $0, {GUARD}(%r8)
        je      1f
        lock btsq $0, {CLAIMED}(%r8)
        jc      halt
1:      mov     %rax, {VALUE}(%r8)
        mov     %rdx, {VALUE_HIGH}(%r8)
        mov     (%rsp), %rax
        mov     %rax, {NEXT_ENTRY}(%r8)
        movq    ${RETURNED}, {STATUS}(%r8)

/*
 * ended: the status is written. Who guards has seen it, and goes on; any other CPU waits to be taken away.
 * In: 64-bit mode, %r8 = control, or not guarded. The guard itself comes here from an exception, on its own stack.
 */
ended:
        mov     {GUARD}(%r8), %rax
        test    %rax, %rax
        jz      kjump_leave
        xor     %rsp, %rax
        test    $-{PAGE_SIZE}, %rax
        jnz     halt
        mov     {GUARD}(%r8), %rax
        add     ${GUARD_ENDED}, %rax
        jmp     *%rax
halt:
        cli
        hlt
        jmp     halt

/*
 * kjump_leave: the image ended; make everything plain again and go back.
 * In: 64-bit mode, this page identity-mapped. Nothing else is known: neither stack, GDT nor IDT, nor, after a peer
 * kernel, that anything but this page is mapped.
 */
kjump_leave:
        cli
        cld
        lea     kjump_code_start(%rip), %r8
        mov     {KERNEL_CR4}(%r8), %rax
        and     ${CR4_KEPT}, %eax
        or      ${CR4_ON}, %eax
        mov     %rax, %cr4
        mov     {IDENTITY_CR3}(%r8), %rax
        mov     %rax, %cr3
        mov     {STACK}(%r8), %rsp
        mov     ${STAMPS} + 16, %edi
        call    stamp
        call    plain_registers
        lgdt    {GDT_POINTER}(%r8)
        lidt    {IDT_POINTER}(%r8)
        pushq   ${SELECTOR_CODE_64}
        lea     1f(%rip), %rax
        push    %rax
        lretq
1:      call    load_selectors
        /* No-execute may stand in the kernel's page tables: EFER before CR3. */
        mov     ${EFER}, %ecx
        mov     {KERNEL_EFER}(%r8), %eax
        mov     {KERNEL_EFER} + 4(%r8), %edx
        wrmsr
        /* The image may watch its own pages, and have turned AVX off, which the mover needs. */
        mov     ${DR7_OFF}, %eax
        mov     %rax, %db7
        cmpl    ${MOVER_AVX}, {MOVER}(%r8)
        jne     2f
        xor     %ecx, %ecx
        mov     $7, %eax
        xor     %edx, %edx
        xsetbv
2:      mov     $1, %edx
        call    move_own_pages
        mov     ${STAMPS} + 24, %edi
        call    stamp
        /* The kernel's returns may go through per-CPU data. */
        mov     ${GS_BASE}, %ecx
        mov     {KERNEL_GS_BASE}(%r8), %eax
        mov     {KERNEL_GS_BASE} + 4(%r8), %edx
        wrmsr
        mov     {KERNEL_RESUME}(%r8), %rax
        jmp     *%rax

/*
 * plain_registers: CR0, CR4 and CR3 as the relocator wants them.
 * In: %r8 = control. Clobbers %rax.
 */
plain_registers:
        mov     {KERNEL_CR4}(%r8), %rax
        and     ${CR4_KEPT}, %eax
        or      ${CR4_ON}, %eax
        mov     %rax, %cr4
        mov     %cr0, %rax
        and     $~{CR0_OFF}, %rax
        or      ${CR0_ON}, %eax
        mov     %rax, %cr0
        mov     {IDENTITY_CR3}(%r8), %rax
        mov     %rax, %cr3
        ret

/*
 * load_selectors: flat data segments, and the task state segment with the exception stacks.
 * In: %r8 = control, own GDT loaded. Clobbers %rax.
 */
load_selectors:
        mov     ${SELECTOR_DATA}, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     %eax, %fs
        mov     %eax, %gs
        movb    ${TASK_AVAILABLE}, {TASK_TYPE}(%r8)
        mov     ${SELECTOR_TASK}, %eax
        ltr     %ax
        ret

/*
 * stamp: the time stamp counter into the control page.
 * In: %r8 = control, %edi = offset. Clobbers %rax, %rdx.
 */
stamp:
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        mov     %rax, (%r8, %rdi)
        ret

/*
 * move_own_pages: move_pages with what stands in the control table.
 * In: %r8 = control, %edx = direction. Clobbers all but %r8, %rbx, %rbp, %rsp, %r12 to %r15.
 */
move_own_pages:
        mov     {PAGE_LIST}(%r8), %rdi
        mov     {MOVER}(%r8), %rsi
        push    %r8
        call    kjump_move_pages
        pop     %r8
        ret

/*
 * kjump_move_pages: walk a page list.
 * In: %rdi = the head, %rsi = mover, %edx = 0 to copy, 1 to exchange; System V call.
 *
 * %rcx the word at hand, %rbx where the next one is, %rdi the destination, %rsi the source, %r11 what moves a page
 * and moves %rdi on.
 */
kjump_move_pages:
        push    %rbx
        test    %edx, %edx
        jz      1f
        lea     exchange_words(%rip), %r11
        lea     exchange_avx(%rip), %rax
        cmp     ${MOVER_AVX}, %esi
        cmove   %rax, %r11
        lea     exchange_sse2(%rip), %rax
        cmp     ${MOVER_SSE2}, %esi
        cmove   %rax, %r11
        jmp     2f
1:      lea     copy_page(%rip), %r11
2:      mov     %rdi, %rcx
        xor     %edi, %edi
        jmp     classify
next_word:
        mov     (%rbx), %rcx
        add     $8, %rbx
classify:
        mov     %rcx, %rax
        and     $-{PAGE_SIZE}, %rax
        test    ${SOURCE}, %cl
        jnz     3f
        test    ${DESTINATION}, %cl
        cmovnz  %rax, %rdi
        jnz     next_word
        test    ${INDIRECTION}, %cl
        cmovnz  %rax, %rbx
        jnz     next_word
        test    ${DONE}, %cl
        jz      next_word
        pop     %rbx
        ret
3:      cmp     %rdi, %rax
        je      4f
        mov     %rax, %rsi
        call    *%r11
        jmp     next_word
4:      add     ${PAGE_SIZE}, %rdi
        jmp     next_word

/*
 * Movers of one page. In: %rdi = destination, %rsi = source. Out: %rdi moved on by a page.
 * They clobber %rax, %rcx, %rdx, %rsi and vector registers.
 */
copy_page:
        mov     ${PAGE_SIZE} / 8, %ecx
        rep movsq
        ret

        .balign 16
exchange_words:
        mov     ${PAGE_SIZE} / 64, %ecx
1:      .set    offset, 0
        .rept   8
        mov     offset(%rsi), %rax
        mov     offset(%rdi), %rdx
        mov     %rax, offset(%rdi)
        mov     %rdx, offset(%rsi)
        .set    offset, offset + 8
        .endr
        add     $64, %rsi
        add     $64, %rdi
        dec     %ecx
        jnz     1b
        ret

        .balign 16
exchange_sse2:
        mov     ${PAGE_SIZE} / 64, %ecx
1:      movdqa  (%rsi), %xmm0
        movdqa  16(%rsi), %xmm1
        movdqa  32(%rsi), %xmm2
        movdqa  48(%rsi), %xmm3
        movdqa  (%rdi), %xmm4
        movdqa  16(%rdi), %xmm5
        movdqa  32(%rdi), %xmm6
        movdqa  48(%rdi), %xmm7
        movdqa  %xmm0, (%rdi)
        movdqa  %xmm1, 16(%rdi)
        movdqa  %xmm2, 32(%rdi)
        movdqa  %xmm3, 48(%rdi)
        movdqa  %xmm4, (%rsi)
        movdqa  %xmm5, 16(%rsi)
        movdqa  %xmm6, 32(%rsi)
        movdqa  %xmm7, 48(%rsi)
        add     $64, %rsi
        add     $64, %rdi
        dec     %ecx
        jnz     1b
        ret

        .balign 16
exchange_avx:
        mov     ${PAGE_SIZE} / 128, %ecx
1:      vmovdqa (%rsi), %ymm0
        vmovdqa 32(%rsi), %ymm1
        vmovdqa 64(%rsi), %ymm2
        vmovdqa 96(%rsi), %ymm3
        vmovdqa (%rdi), %ymm4
        vmovdqa 32(%rdi), %ymm5
        vmovdqa 64(%rdi), %ymm6
        vmovdqa 96(%rdi), %ymm7
        vmovdqa %ymm0, (%rdi)
        vmovdqa %ymm1, 32(%rdi)
        vmovdqa %ymm2, 64(%rdi)
        vmovdqa %ymm3, 96(%rdi)
        vmovdqa %ymm4, (%rsi)
        vmovdqa %ymm5, 32(%rsi)
        vmovdqa %ymm6, 64(%rsi)
        vmovdqa %ymm7, 96(%rsi)
        sub     $-128, %rsi
        sub     $-128, %rdi
        dec     %ecx
        jnz     1b
        vzeroupper
        ret

/*
 * Exceptions in 64-bit mode, on a stack of their own (task state, interrupt stack 1).
 * In: as the CPU leaves it. Out: through ended, with the fault written down.
 */
        .balign 8
kjump_stubs_64:
        .set    vector, 0
        .rept   {VECTORS}
        .balign {STUB_64}
        pushq   $vector
        jmp     fault_64
        .set    vector, vector + 1
        .endr
fault_64:
        push    %r8
        lea     kjump_code_start(%rip), %r8
        mov     %rax, {FAULT_REGISTERS}(%r8)
        mov     %rcx, {FAULT_REGISTERS} + 8(%r8)
        mov     %rdx, {FAULT_REGISTERS} + 16(%r8)
        mov     %rbx, {FAULT_REGISTERS} + 24(%r8)
        mov     %rbp, {FAULT_REGISTERS} + 40(%r8)
        mov     %rsi, {FAULT_REGISTERS} + 48(%r8)
        mov     %rdi, {FAULT_REGISTERS} + 56(%r8)
        pop     %rax
        mov     %rax, {FAULT_REGISTERS} + 64(%r8)
        mov     %r9, {FAULT_REGISTERS} + 72(%r8)
        mov     %r10, {FAULT_REGISTERS} + 80(%r8)
        mov     %r11, {FAULT_REGISTERS} + 88(%r8)
        mov     %r12, {FAULT_REGISTERS} + 96(%r8)
        mov     %r13, {FAULT_REGISTERS} + 104(%r8)
        mov     %r14, {FAULT_REGISTERS} + 112(%r8)
        mov     %r15, {FAULT_REGISTERS} + 120(%r8)
        pop     %rcx
        mov     %rcx, {FAULT_VECTOR}(%r8)
        mov     ${WITH_ERROR_CODE}, %eax
        bt      %ecx, %eax
        jnc     1f
        pop     %rax
        mov     %rax, {FAULT_ERROR}(%r8)
1:      mov     (%rsp), %rax
        mov     %rax, {FAULT_RIP}(%r8)
        mov     8(%rsp), %rax
        mov     %rax, {FAULT_CS}(%r8)
        mov     16(%rsp), %rax
        mov     %rax, {FAULT_FLAGS}(%r8)
        mov     24(%rsp), %rax
        mov     %rax, {FAULT_REGISTERS} + 32(%r8)
        mov     %cr2, %rax
        mov     %rax, {FAULT_CR2}(%r8)
        movq    ${FAULTED}, {STATUS}(%r8)
        jmp     ended

/* An NMI is the kernel's affair, and the kernel is away: it is dropped. Interrupt stack 2. */
kjump_nmi_64:
        iretq

/*
 * enter_32: leave long mode and call the image by the C ABI of 32-bit protected mode.
 * In: %r8 = control, below 4 GiB.
 */
enter_32:
        mov     %r8, %rbx
        lidt    {IDT32_POINTER}(%r8)
        pushq   ${SELECTOR_CODE_32}
        lea     1f(%rip), %rax
        push    %rax
        lretq
        .code32
1:      mov     %cr0, %eax
        and     $~{CR0_PG}, %eax
        mov     %eax, %cr0
        mov     ${EFER}, %ecx
        rdmsr
        and     $~{EFER_LME}, %eax
        wrmsr
        mov     ${CR4_SSE}, %eax
        mov     %eax, %cr4
        mov     {STACK}(%ebx), %esp
        sub     $8, %esp
        pushl   {ARGUMENTS} + 40(%ebx)
        pushl   {ARGUMENTS} + 32(%ebx)
        pushl   {ARGUMENTS} + 24(%ebx)
        pushl   {ARGUMENTS} + 16(%ebx)
        pushl   {ARGUMENTS} + 8(%ebx)
        pushl   {ARGUMENTS}(%ebx)
        mov     {ENTRY}(%ebx), %ecx
        xor     %ebp, %ebp
        xor     %esi, %esi
        xor     %edi, %edi
        xor     %ebx, %ebx
        call    *%ecx
        cli
        cld
        call    2f
2:      pop     %ebx
        and     $-{PAGE_SIZE}, %ebx
        mov     %eax, {VALUE}(%ebx)
        mov     %edx, {VALUE} + 4(%ebx)
        movl    ${RETURNED}, {STATUS}(%ebx)

/*
 * leave_32: back to 64-bit mode, then kjump_leave.
 * In: 32-bit code segment, flat data segments, %ebx = control. Paging may be on or off.
 */
leave_32:
        mov     {STACK}(%ebx), %esp
        lgdt    {GDT_POINTER}(%ebx)
        mov     %cr0, %eax
        and     $~{CR0_PG}, %eax
        mov     %eax, %cr0
        mov     {KERNEL_CR4}(%ebx), %eax
        and     ${CR4_KEPT}, %eax
        or      ${CR4_ON}, %eax
        mov     %eax, %cr4
        mov     {IDENTITY_CR3}(%ebx), %eax
        mov     %eax, %cr3
        mov     ${EFER}, %ecx
        rdmsr
        or      ${EFER_LME}, %eax
        wrmsr
        mov     %cr0, %eax
        or      ${CR0_ON}, %eax
        mov     %eax, %cr0
        pushl   ${SELECTOR_CODE_64}
        lea     kjump_leave - kjump_code_start(%ebx), %eax
        push    %eax
        lretl

/*
 * Exceptions in 32-bit mode. The image's stack is all there is, and it may be anything: registers are put aside in
 * debug registers, and the control table is found by a data segment that starts at it.
 */
kjump_stubs_32:
        .set    vector, 0
        .rept   {VECTORS}
        mov     %eax, %dr0
        mov     $vector, %al
        .byte   0xe9
        .long   fault_32 - . - 4
        .set    vector, vector + 1
        .org    kjump_stubs_32 + vector * {STUB_32}
        .endr
fault_32:
        mov     %edx, %dr1
        mov     ${SELECTOR_CONTROL}, %edx
        mov     %edx, %ds
        movzx   %al, %eax
        mov     %eax, {FAULT_VECTOR}
        mov     %dr0, %edx
        mov     %edx, {FAULT_REGISTERS}
        mov     %ecx, {FAULT_REGISTERS} + 8
        mov     %dr1, %edx
        mov     %edx, {FAULT_REGISTERS} + 16
        mov     %ebx, {FAULT_REGISTERS} + 24
        mov     %ebp, {FAULT_REGISTERS} + 40
        mov     %esi, {FAULT_REGISTERS} + 48
        mov     %edi, {FAULT_REGISTERS} + 56
        mov     %esp, %esi
        mov     ${WITH_ERROR_CODE}, %ecx
        bt      %eax, %ecx
        jnc     1f
        mov     %ss:(%esi), %eax
        mov     %eax, {FAULT_ERROR}
        add     $4, %esi
1:      mov     %ss:(%esi), %eax
        mov     %eax, {FAULT_RIP}
        mov     %ss:4(%esi), %eax
        mov     %eax, {FAULT_CS}
        mov     %ss:8(%esi), %eax
        mov     %eax, {FAULT_FLAGS}
        add     $12, %esi
        mov     %esi, {FAULT_REGISTERS} + 32
        mov     %cr2, %eax
        mov     %eax, {FAULT_CR2}
        movl    ${FAULTED}, {STATUS}
        mov     {CONTROL_PAGE}, %ebx
        mov     ${SELECTOR_DATA}, %eax
        mov     %eax, %ds
        mov     %eax, %ss
        jmp     leave_32

kjump_nmi_32:
        iretl
        .code64
kjump_code_end:
        /* Does not assemble when the code is too long for its place. */
        .org    kjump_code_start + {CODE_LIMIT}, 0xcc
        .text
