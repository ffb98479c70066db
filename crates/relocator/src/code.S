/*
 * The code of the control page. It is position-independent: in 64-bit mode it finds its own address
 * by %rip, in 32-bit mode by the return address of a call or by a data segment that starts at the
 * page.
 *
 * "control" in a contract means: %r8 (64-bit) or %ebx (32-bit) holds the physical address of the
 * control page. The section is data to the linker: the bytes are copied into the control page and
 * run there.
 *
 * SDM is the Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3 unless another
 * one is named; APM is the AMD64 Architecture Programmer's Manual, volume 2.
 */
        .section .rodata.kjump_code, "a"
        .balign 64
        .globl kjump_code_start, kjump_code_end, kjump_back, kjump_begin, kjump_leave, kjump_move_pages
        .globl kjump_stubs_64, kjump_nmi_64, kjump_stubs_32, kjump_nmi_32
kjump_code_start:

/*
 * arrive: entered from the kernel, by kjump_enter.
 * In:  64-bit mode, identity map, own GDT, IDT and task register loaded, interrupts off,
 *      %r8 = control, %cs = CODE_64, %rsp = STACK.
 * Out: to enter_64 or enter_32, or to the guard's pages.
 */
arrive:
        /*
         * plain_registers clears CR0.WP, and the CPU raises a general protection fault when WP is
         * cleared while CR4.CET is set. So control-flow enforcement is turned off first. SDM 2.5.
         */
        mov     %cr4, %rax
        btr     ${CR4_CET_BIT}, %rax
        mov     %rax, %cr4
        call    plain_registers
        /*
         * The kernel's selectors are cached, but its GDT is unmapped: each later load must find our
         * descriptors.
         */
        call    load_data_selectors

        /*
         * From here on the machine is in a state this page knows. Exchange the pages: the image
         * comes into place, and the memory that was there waits in the source pages. The two time
         * stamps give the time this takes.
         */
        movq    $0, {STATUS}(%r8)
        mov     ${STAMPS}, %edi
        call    stamp
        mov     $1, %edx
        call    move_own_pages
        mov     ${STAMPS} + 8, %edi
        call    stamp
        call    start_deadline
        /* Under guard the image runs on another CPU; this one continues in the guard's pages. */
        mov     {GUARD}(%r8), %rax
        test    %rax, %rax
        jz      .Lrun_here
        jmp     *%rax
.Lrun_here:
        cmpl    ${MODE_PROTECTED}, {MODE}(%r8)
        je      enter_32
        jmp     enter_64

/*
 * kjump_begin: entered by the CPU that runs the image while another one guards it.
 * In:  64-bit mode, identity map, own GDT and IDT loaded, interrupts off, %r8 = control,
 *      %rsp = STACK.
 * Out: to enter_64.
 */
kjump_begin:
        call    load_selectors

/*
 * enter_64: calls the image by the System V ABI (AMD64 supplement, 3.2).
 * In:  64-bit mode, %r8 = control.
 * Out: for the image: its six arguments in registers; %rax = the first one again, which a peer
 *      kernel takes as the value that its own call returns with; %rbp = 0 ends the chain of stack
 *      frames.
 *
 * When the image returns, the word on top of its stack is the entry point of the next call. The
 * word above the return address is preset to the entry point, so that an image that just returns is
 * entered at the same place again; an image can store another address there. An image that returns
 * by a call instruction leaves the address after the call: peer kernels do that.
 */
enter_64:
        /*
         * The fifth argument belongs in %r8, so the control page's address moves to a register that
         * carries none.
         */
        mov     %r8, %r10
        mov     {ARGUMENTS}(%r10), %rdi
        mov     {ARGUMENTS} + 8(%r10), %rsi
        mov     {ARGUMENTS} + 16(%r10), %rdx
        mov     {ARGUMENTS} + 24(%r10), %rcx
        mov     {ARGUMENTS} + 32(%r10), %r8
        mov     {ARGUMENTS} + 40(%r10), %r9
        mov     {ENTRY}(%r10), %r11
        /*
         * The ABI wants %rsp + 8 to be a multiple of 16 at the entry of a function. STACK is a
         * multiple of 16, and the call pushes the third word. The first two are the entry point of
         * the next call, see above.
         */
        mov     {STACK}(%r10), %rsp
        push    %r11
        push    %r11
        mov     %rdi, %rax
        xor     %ebp, %ebp
        xor     %ebx, %ebx
        call    *%r11
/*
 * kjump_back: the image returned.
 * In:  64-bit mode, this page identity-mapped; %rax and %rdx = the value, on top of the stack the
 *      next entry point.
 * Out: to ended.
 */
kjump_back:
        /* The image may have turned interrupts on and the string direction down. */
        cli
        cld
        lea     kjump_code_start(%rip), %r8
        /*
         * A guarded image can return on any CPU, and on several: the locked instruction lets one of
         * them pass.
         */
        cmpq    $0, {GUARD}(%r8)
        je      .Lrecord_return
        lock btsq $0, {CLAIMED}(%r8)
        jc      halt
.Lrecord_return:
        mov     %rax, {VALUE}(%r8)
        mov     %rdx, {VALUE_HIGH}(%r8)
        mov     (%rsp), %rax
        mov     %rax, {NEXT_ENTRY}(%r8)
        movq    ${RETURNED}, {STATUS}(%r8)

/*
 * ended: the status is written. The status is written last, because the guard continues as soon as
 * it sees one.
 * In:  64-bit mode, %r8 = control.
 * Out: not guarded: to kjump_leave. On the guard's CPU, which comes here from an exception of its
 *      own: to the guard's pages. On any other CPU: halts until the guard's INIT.
 */
ended:
        mov     {GUARD}(%r8), %rax
        test    %rax, %rax
        jz      kjump_leave
        /* Only the guard's CPU has its stack in the guard's first page. */
        xor     %rsp, %rax
        test    $-{PAGE_SIZE}, %rax
        jnz     halt
        mov     {GUARD}(%r8), %rax
        add     ${GUARD_ENDED}, %rax
        jmp     *%rax
/* halt: an NMI ends a hlt even with interrupts off, hence the loop. SDM 6.7. */
halt:
        cli
        hlt
        jmp     halt

/*
 * kjump_leave: the image ended; bring the CPU back to the state of arrive, exchange the pages,
 * return to the kernel.
 * In:  64-bit mode, this page identity-mapped. Nothing else is known: not the stack, not the GDT,
 *      not the IDT and, after a peer kernel, not that anything but this page is mapped.
 * Out: to kjump_resume, in the kernel.
 */
kjump_leave:
        cli
        cld
        lea     kjump_code_start(%rip), %r8
        /*
         * A peer kernel may have page tables with another number of levels. LA57 cannot change in
         * long mode: leave it, and enter it again. SDM 4.1.1.
         */
        mov     %cr4, %rax
        xor     {KERNEL_CR4}(%r8), %rax
        test    ${CR4_LA57}, %eax
        jnz     change_levels
.Llevels_match:
        /*
         * Memory first. CR4 comes before CR3, because a peer kernel may run with PCIDs, and with
         * PCIDE set the low bits of the new CR3 would mean another thing. The same write turns off
         * protection keys, SMEP and SMAP. SDM 2.5, 4.10.1.
         */
        mov     {KERNEL_CR4}(%r8), %rax
        and     ${CR4_KEPT}, %eax
        or      ${CR4_ON}, %eax
        mov     %rax, %cr4
        mov     {IDENTITY_CR3}(%r8), %rax
        mov     %rax, %cr3
        /*
         * Now all memory is mapped at its physical address, and there can be a stack, whatever %ss
         * holds: in 64-bit mode base and limit of the stack segment are ignored. SDM 3.2.4.
         */
        mov     {STACK}(%r8), %rsp
        mov     ${STAMPS} + 16, %edi
        call    stamp
        call    plain_registers
        lgdt    {GDT_POINTER}(%r8)
        /* The gates use interrupt stacks, which the CPU finds by the task register. */
        call    load_selectors
        lidt    {IDT_POINTER}(%r8)
        call    stop_timer
        /*
         * Own code segment, by a return from an interrupt: if an NMI ended the image, or came while
         * it ran a handler of its own, NMIs are blocked until the next iret. SDM 6.7.1. That faults
         * if the image left the flag NT set.
         */
        pushq   $2
        popfq
        mov     %rsp, %rax
        pushq   ${SELECTOR_DATA}
        push    %rax
        pushq   $2
        pushq   ${SELECTOR_CODE_64}
        lea     .Lown_code_segment(%rip), %rax
        push    %rax
        iretq
.Lown_code_segment:
        /*
         * An NMI that another CPU has sent must not arrive in the kernel, nor between two sets of
         * page tables. iretq has made the status visible to the sender. SDM 8.3.
         */
        cmpq    $0, {NMI_SENT}(%r8)
        je      .Lno_nmi
        mov     ${NMI_ARRIVES}, %ecx
.Lnmi_arrives:
        pause
        dec     %ecx
        jnz     .Lnmi_arrives
.Lno_nmi:
        /*
         * The kernel's page tables have the no-execute bit set in entries, which is a reserved bit
         * while EFER.NXE is clear: EFER must be the kernel's before its CR3 is loaded. SDM 4.5.
         */
        mov     ${EFER}, %ecx
        mov     {KERNEL_EFER}(%r8), %eax
        mov     {KERNEL_EFER} + 4(%r8), %edx
        wrmsr
        /*
         * An image may have set a data breakpoint on its own pages, which moving them would raise.
         * SDM 18.2.4.
         */
        mov     ${DR7_OFF}, %eax
        mov     %rax, %db7
        /*
         * The AVX mover needs x87, SSE and AVX state enabled in XCR0, which an image may have
         * changed. SDM 2.6.
         */
        cmpl    ${MOVER_AVX}, {MOVER}(%r8)
        jne     .Lmove_back
        xor     %ecx, %ecx
        mov     $7, %eax
        xor     %edx, %edx
        xsetbv
.Lmove_back:
        /*
         * The exchange is its own inverse: the same list brings back the kernel's pages and keeps
         * the image's.
         */
        mov     $1, %edx
        call    move_own_pages
        mov     ${STAMPS} + 24, %edi
        call    stamp
        /*
         * On kernels that track the depth of calls each return goes through per-CPU data, which GS
         * finds.
         */
        mov     ${GS_BASE}, %ecx
        mov     {KERNEL_GS_BASE}(%r8), %eax
        mov     {KERNEL_GS_BASE} + 4(%r8), %edx
        wrmsr
        mov     {KERNEL_RESUME}(%r8), %rax
        jmp     *%rax

/*
 * change_levels: leaves long mode, and enters it again in leave_32 with the levels that the kernel
 * uses.
 * In:  64-bit mode, %r8 = control, the only page that is known to be mapped.
 * Out: to leave_32.
 */
change_levels:
        /* From above 4 GiB there is no way: the next write to CR4 raises an exception. */
        mov     %r8, %rax
        shr     $32, %rax
        jnz     .Llevels_match
        lgdt    {GDT_POINTER}(%r8)
        mov     ${SELECTOR_DATA}, %eax
        mov     %eax, %ds
        mov     %eax, %ss
        /* Paging cannot be turned off while PCIDs are on. SDM 4.10.1. */
        mov     %cr4, %rax
        and     ${CR4_KEPT}, %eax
        or      ${CR4_ON}, %eax
        mov     %rax, %cr4
        /* Two time stamps are not taken yet: the far return finds its operands there. */
        lea     {STAMPS} + 32(%r8), %rsp
        mov     %r8d, %ebx
        pushq   ${SELECTOR_CODE_32}
        lea     leave_32(%rip), %rax
        push    %rax
        lretq

/*
 * start_deadline: the image's time starts.
 * In: %r8 = control, %rax = the time stamp counter. Clobbers %rax, %rcx, %rdi, %rsi.
 */
start_deadline:
        mov     {DEADLINE_TICKS}(%r8), %rcx
        test    %rcx, %rcx
        jz      .Lno_timer
        add     %rcx, %rax
        mov     %rax, {EXPIRES}(%r8)
        mov     {TIMER}(%r8), %rdi
        test    %rdi, %rdi
        jz      .Lno_timer
        /* The comparator follows the configuration. IA-PC HPET specification 1.0a, 2.3.9. */
        mov     {TIMER_COUNTER}(%r8), %rsi
        mov     (%rsi), %eax
        add     {TIMER_TICKS}(%r8), %eax
        mov     %eax, 8(%rdi)
        mov     {TIMER_ON}(%r8), %eax
        mov     %eax, (%rdi)
        ret

/*
 * stop_timer: the timer raises no interrupt any more.
 * In: %r8 = control. Clobbers %rax, %rdi.
 */
stop_timer:
        mov     {TIMER}(%r8), %rdi
        test    %rdi, %rdi
        jz      .Lno_timer
        mov     {TIMER_ON}(%r8), %eax
        and     $~{TIMER_INTERRUPT}, %eax
        mov     %eax, (%rdi)
.Lno_timer:
        ret

/*
 * plain_registers: CR4, CR0 and CR3 as the relocator needs them. SDM 2.5.
 * In: 64-bit mode, %r8 = control. Clobbers %rax.
 */
plain_registers:
        /*
         * The bits that cannot change now stay as the kernel has them; of the rest PAE and SSE are
         * on, no other.
         */
        mov     {KERNEL_CR4}(%r8), %rax
        and     ${CR4_KEPT}, %eax
        or      ${CR4_ON}, %eax
        mov     %rax, %cr4
        /*
         * WP and AM are off, so that no page is write-protected and no access is misaligned; TS and
         * EM are off, so that vector registers can be used.
         */
        mov     %cr0, %rax
        and     $~{CR0_OFF}, %rax
        or      ${CR0_ON}, %eax
        mov     %rax, %cr0
        /*
         * With global pages off in CR4, this also flushes every translation of the kernel.
         * SDM 4.10.4.1.
         */
        mov     {IDENTITY_CR3}(%r8), %rax
        mov     %rax, %cr3
        ret

/*
 * load_selectors: the task state segment, which holds the exception stacks, and flat data segments.
 * In: %r8 = control, own GDT loaded. Clobbers %rax.
 * Out: goes on in load_data_selectors, which returns.
 */
load_selectors:
        /*
         * ltr marks the descriptor busy, and faults on one that is: reset its type for a second
         * time. SDM 8.2.4.
         */
        movb    ${TASK_AVAILABLE}, {TASK_TYPE}(%r8)
        mov     ${SELECTOR_TASK}, %eax
        ltr     %ax
/*
 * load_data_selectors: flat data segments.
 * In: own GDT loaded. Clobbers %rax.
 */
load_data_selectors:
        mov     ${SELECTOR_DATA}, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     %eax, %fs
        mov     %eax, %gs
        ret

/*
 * stamp: stores the time stamp counter in the control page.
 * In: %r8 = control, %edi = offset. Clobbers %rax, %rdx.
 */
stamp:
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        mov     %rax, (%r8, %rdi)
        ret

/*
 * move_own_pages: kjump_move_pages with the list and the mover that the control table names.
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
 * kjump_move_pages: walks a page list, which has the form of a kernel's kimage list. Each word is
 * the address of a page with a tag in its low bits: a destination, a source, a page with the next
 * words, or the end.
 * In: %rdi = the first word, %rsi = mover, %edx = 0 to copy, 1 to exchange; a System V function.
 *
 * Uses %rcx for the word, %rbx for the address of the next word, %rdi for the destination and %rsi
 * for the source page, %r11 for the address of the mover, which moves one page and advances %rdi by
 * one.
 */
kjump_move_pages:
        push    %rbx
        /* Choose the mover: the widest registers that the module found usable. */
        test    %edx, %edx
        jz      .Lcopying
        lea     exchange_words(%rip), %r11
        lea     exchange_avx(%rip), %rax
        cmp     ${MOVER_AVX}, %esi
        cmove   %rax, %r11
        lea     exchange_sse2(%rip), %rax
        cmp     ${MOVER_SSE2}, %esi
        cmove   %rax, %r11
        jmp     .Lfirst_word
.Lcopying:
        lea     copy_page(%rip), %r11
.Lfirst_word:
        mov     %rdi, %rcx
        xor     %edi, %edi
        jmp     .Lclassify
.Lnext_word:
        mov     (%rbx), %rcx
        add     $8, %rbx
.Lclassify:
        /* The page is all bits but the low twelve, of which four are tags. */
        mov     %rcx, %rax
        and     $-{PAGE_SIZE}, %rax
        test    ${SOURCE}, %cl
        jnz     .Lsource
        /* cmov leaves the flags alone, so the branch after it still sees the test. */
        test    ${DESTINATION}, %cl
        cmovnz  %rax, %rdi
        jnz     .Lnext_word
        test    ${INDIRECTION}, %cl
        cmovnz  %rax, %rbx
        jnz     .Lnext_word
        test    ${DONE}, %cl
        jz      .Lnext_word
        pop     %rbx
        ret
.Lsource:
        /* A source that is its own destination is in place: step over it. */
        cmp     %rdi, %rax
        je      .Lin_place
        mov     %rax, %rsi
        call    *%r11
        jmp     .Lnext_word
.Lin_place:
        add     ${PAGE_SIZE}, %rdi
        jmp     .Lnext_word

/*
 * Movers of one page. In: %rdi = destination, %rsi = source. Out: %rdi advanced by one page. They
 * clobber %rax, %rcx, %rdx, %rsi and vector registers. Each pass of a loop handles whole cache
 * lines of 64 bytes.
 */
copy_page:
        mov     ${PAGE_SIZE} / 8, %ecx
        rep movsq
        ret

        .balign 16
exchange_words:
        mov     ${PAGE_SIZE} / 64, %ecx
.Lwords_line:
        .set    offset, 0
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
        jnz     .Lwords_line
        ret

        .balign 16
exchange_sse2:
        mov     ${PAGE_SIZE} / 64, %ecx
.Lsse2_line:
        movdqa  (%rsi), %xmm0
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
        jnz     .Lsse2_line
        ret

        .balign 16
exchange_avx:
        mov     ${PAGE_SIZE} / 128, %ecx
.Lavx_lines:
        vmovdqa (%rsi), %ymm0
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
        /* -128 fits in one byte, 128 does not. */
        sub     $-128, %rsi
        sub     $-128, %rdi
        dec     %ecx
        jnz     .Lavx_lines
        vzeroupper
        ret

/*
 * Exceptions in 64-bit mode end the image. They use a stack of their own, interrupt stack 1 of the
 * task state, since the image's stack may be what caused them. SDM 6.14.5.
 * In:  the CPU's stack frame: for some vectors an error code, then RIP, CS, RFLAGS, RSP, SS. SDM
 *      6.14.2.
 * Out: to ended, with the fault recorded in the control table.
 */
        .balign 8
/* The frame does not contain the vector, so each vector has a stub that pushes it. */
kjump_stubs_64:
        .set    vector, 0
        .rept   {VECTORS}
        pushq   $vector
        /* A jump by an 8-bit distance, written as bytes so that every stub has the same size. */
        .byte   0xeb
        .byte   fault_64 - . - 1
        .set    vector, vector + 1
        .org    kjump_stubs_64 + vector * {STUB_64}
        .endr
fault_64:
        /*
         * Registers go to their fields in the order of their encoding; RSP, number 4, comes from
         * the frame.
         */
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
        /* Only with some vectors does the CPU push an error code before the frame. SDM 6.13. */
        mov     ${WITH_ERROR_CODE}, %eax
        bt      %ecx, %eax
        jnc     .Lframe_64
        popq    {FAULT_ERROR}(%r8)
.Lframe_64:
        popq    {FAULT_RIP}(%r8)
        popq    {FAULT_CS}(%r8)
        popq    {FAULT_FLAGS}(%r8)
        /* SS stays: the stack must not end in the next page, see ended. */
        popq    {FAULT_REGISTERS} + 32(%r8)
        mov     %cr2, %rax
        mov     %rax, {FAULT_CR2}(%r8)
        /* kjump_nmi_64 comes here at the deadline only. */
        mov     ${FAULTED}, %eax
        mov     ${AT_DEADLINE}, %edx
        cmp     ${NMI}, %ecx
        cmove   %edx, %eax
        mov     %rax, {STATUS}(%r8)
        jmp     ended

/*
 * kjump_nmi_64: an NMI ends the image if its deadline has passed. Any other is for the kernel,
 * whose handlers are not in memory now: it is dropped. It has interrupt stack 2, because it can
 * arrive while an exception is being recorded on stack 1. SDM 6.7, 6.14.5.
 */
kjump_nmi_64:
        push    %rax
        push    %rdx
        push    %r8
        lea     kjump_code_start(%rip), %r8
        cmpq    $0, {STATUS}(%r8)
        jne     .Ldrop_64
        cmpq    $0, {EXPIRES}(%r8)
        je      .Ldrop_64
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        cmp     {EXPIRES}(%r8), %rax
        jb      .Ldrop_64
        pop     %r8
        pop     %rdx
        pop     %rax
        pushq   ${NMI}
        jmp     fault_64
.Ldrop_64:
        pop     %r8
        pop     %rdx
        pop     %rax
        iretq

/*
 * enter_32: leaves long mode and calls the image by the C ABI of the i386. SDM 10.8.5.4, APM 14.7.
 * In:  64-bit mode, %r8 = control, which is below 4 GiB as are the page tables and the stack.
 * Out: for the image: protected mode without paging, flat segments, six 32-bit arguments on the
 *      stack.
 */
enter_32:
        mov     %r8, %rbx
        /*
         * Outside long mode gates have 8 bytes, not 16: an exception needs another table. SDM 6.11,
         * 6.14.1. Until that is loaded, a table that has a gate for NMIs in both modes.
         */
        lidt    {MODES_IDT_POINTER}(%r8)
        /*
         * Paging can be turned off in compatibility mode only: %cs gets a descriptor with L clear
         * and D set.
         */
        pushq   ${SELECTOR_CODE_32}
        lea     .Lcompatibility_mode(%rip), %rax
        push    %rax
        lretq
        .code32
.Lcompatibility_mode:
        /*
         * This ends long mode: the CPU clears EFER.LMA. Code goes on at the same address, as the
         * map is the identity.
         */
        mov     %cr0, %eax
        and     $~{CR0_PG}, %eax
        mov     %eax, %cr0
        lidt    {IDT32_POINTER}(%ebx)
        /* With LME left set, an image that turns paging on would be in long mode again. */
        mov     ${EFER}, %ecx
        rdmsr
        and     $~{EFER_LME}, %eax
        wrmsr
        /* PAE and the rest of CR4 go: the image may use paging as it likes. */
        mov     ${CR4_SSE}, %eax
        mov     %eax, %cr4
        /*
         * Six words and the return address leave %esp + 4 a multiple of 16 at the entry, hence the
         * 8 bytes.
         */
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
        /*
         * 32-bit code has no address relative to %eip: a call pushes it. The control table starts
         * with this page.
         */
        call    .Lhere_32
.Lhere_32:
        pop     %ebx
        and     $-{PAGE_SIZE}, %ebx
        mov     %eax, {VALUE}(%ebx)
        mov     %edx, {VALUE} + 4(%ebx)
        movl    ${RETURNED}, {STATUS}(%ebx)

/*
 * leave_32: enters 64-bit mode. The order is given by SDM 10.8.5 and APM 14.6: paging off, PAE on,
 * CR3, LME, paging on.
 * In:  32-bit code segment, flat data segments, %ebx = control. Paging may be on or off.
 * Out: to kjump_leave.
 */
leave_32:
        mov     {STACK}(%ebx), %esp
        lgdt    {GDT_POINTER}(%ebx)
        /* A gate for NMIs in both modes, see enter_32. */
        lidt    {MODES_IDT_POINTER}(%ebx)
        /*
         * LME can change only while paging is off, and the image may have turned it on, with this
         * page at its place.
         */
        mov     %cr0, %eax
        and     $~{CR0_PG}, %eax
        mov     %eax, %cr0
        /* PAE is on, and LA57 as the page tables need it: it cannot change in long mode. */
        mov     {KERNEL_CR4}(%ebx), %eax
        and     ${CR4_KEPT}, %eax
        or      ${CR4_ON}, %eax
        mov     %eax, %cr4
        /* 32-bit code loads 32 bits of CR3: the root lies below 4 GiB. */
        mov     {IDENTITY_CR3}(%ebx), %eax
        mov     %eax, %cr3
        mov     ${EFER}, %ecx
        rdmsr
        or      ${EFER_LME}, %eax
        wrmsr
        /* Long mode becomes active, in compatibility mode still. */
        mov     %cr0, %eax
        or      ${CR0_ON}, %eax
        mov     %eax, %cr0
        /* A code segment with L set makes it 64-bit mode. */
        pushl   ${SELECTOR_CODE_64}
        lea     kjump_leave - kjump_code_start(%ebx), %eax
        push    %eax
        lretl

/*
 * Exceptions in 32-bit mode end the image. There is no stack but the image's, and it may be
 * unusable: registers are saved in debug registers, and the control page is reached by a data
 * segment that starts there.
 * In:  the CPU's stack frame: for some vectors an error code, then EIP, CS, EFLAGS. SDM 6.12.1.
 * Out: to leave_32, with the fault recorded in the control table.
 */
kjump_stubs_32:
        .set    vector, 0
        .rept   {VECTORS}
        mov     %eax, %dr0
        mov     $vector, %al
        /* A jump by a 32-bit distance, written as bytes so that every stub has the same size. */
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
        jnc     .Lframe_32
        mov     %ss:(%esi), %eax
        mov     %eax, {FAULT_ERROR}
        add     $4, %esi
.Lframe_32:
        mov     %ss:(%esi), %eax
        mov     %eax, {FAULT_RIP}
        mov     %ss:4(%esi), %eax
        mov     %eax, {FAULT_CS}
        mov     %ss:8(%esi), %eax
        mov     %eax, {FAULT_FLAGS}
        /*
         * The privilege level does not change, so the frame has no ESP: it was where the frame
         * ends.
         */
        add     $12, %esi
        mov     %esi, {FAULT_REGISTERS} + 32
        mov     %cr2, %eax
        mov     %eax, {FAULT_CR2}
        mov     ${FAULTED}, %eax
        mov     ${AT_DEADLINE}, %edx
        cmpl    ${NMI}, {FAULT_VECTOR}
        cmove   %edx, %eax
        mov     %eax, {STATUS}
        /* Flat segments for leave_32. */
        mov     {CONTROL_PAGE}, %ebx
        mov     ${SELECTOR_DATA}, %eax
        mov     %eax, %ds
        mov     %eax, %ss
        jmp     leave_32

/*
 * kjump_nmi_32: as kjump_nmi_64, on the image's stack. The code segment is the one whose selector
 * and base are known, so data is read by it.
 */
kjump_nmi_32:
        push    %eax
        push    %edx
        push    %ebx
        call    .Lnmi_here
.Lnmi_here:
        pop     %ebx
        and     $-{PAGE_SIZE}, %ebx
        cmpl    $0, %cs:{STATUS}(%ebx)
        jne     .Ldrop_32
        mov     %cs:{EXPIRES}(%ebx), %eax
        or      %cs:{EXPIRES} + 4(%ebx), %eax
        jz      .Ldrop_32
        rdtsc
        sub     %cs:{EXPIRES}(%ebx), %eax
        sbb     %cs:{EXPIRES} + 4(%ebx), %edx
        jb      .Ldrop_32
        pop     %ebx
        pop     %edx
        pop     %eax
        mov     %eax, %dr0
        mov     ${NMI}, %al
        jmp     fault_32
.Ldrop_32:
        pop     %ebx
        pop     %edx
        pop     %eax
        iretl
        .code64
kjump_code_end:
        /* Fails to assemble if the code is longer than its place. */
        .org    kjump_code_start + {CODE_LIMIT}, 0xcc
        .text
