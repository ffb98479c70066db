/*
 * What runs in real mode. The names in braces are constants of abi::bios and of image/mod.rs.
 */
        .section .text.start, "ax"
        .globl bios_stub
        .globl bios_nmi, bios_tick, bios_exception_0, bios_exception_6, bios_exception_12, bios_exception_13

/*
 * bios_stub: copied to low memory. Makes one call in real mode, or a loop of it, or lets a program
 * go on. Fields of the stub (braces) are offsets from its first byte, to which %ds (before the
 * call) or %cs (after it) points.
 * In:  16-bit protected mode, all segments = the page.
 * Out: to bios_back, in 32-bit protected mode.
 *
 * An emulator translates it anew for each block of calls, since it is copied. It has few jumps, for
 * each piece of code between two of them costs as much as hundreds of instructions.
 */
        .code16
bios_stub:
        /* The real-mode interrupt table, at address 0. */
        lidtl   .Lreal_mode_table - bios_stub
        /* PE off, and a far jump, which loads %cs with a real-mode segment. SDM 10.9.2. */
        mov     %cr0, %eax
        and     $~1, %al
        mov     %eax, %cr0
        ljmp    *{REAL_MODE}
        .globl  bios_real_mode
bios_real_mode:
        mov     %cs, %ax
        mov     %ax, %ds
        testb   $1, {RESUMES}
        jnz     .Lresume
        mov     ${STACK_SEGMENT}, %ax
        mov     %ax, %ss
        mov     ${STACK_TOP}, %esp
        xor     %ax, %ax
        mov     %ax, %fs
        mov     %ax, %gs
        movl    {TICKS_ALLOWED}, %eax
        movl    %eax, {DEADLINE}
        /*
         * INT n pushes the flags and makes a far call with IF and TF clear (SDM volume 2, INT). The
         * same is done here by a return to the target, so that the call's number needs not be
         * written into the code. For a far call the first word is not used.
         */
        pushw   {IN} + 0x1c
        pushw   %cs
        pushw   $.Lreturned - bios_stub
        pushw   {ENTRY_FLAGS}
        pushl   {TARGET}
.Lload: movl    {IN} + 0x00, %eax
        movl    {IN} + 0x04, %ebx
        movl    {IN} + 0x08, %ecx
        movl    {IN} + 0x0c, %edx
        movl    {IN} + 0x10, %esi
        movl    {IN} + 0x14, %edi
        movl    {IN} + 0x18, %ebp
        mov     {IN} + 0x22, %es
        mov     {IN} + 0x20, %ds
        iretw
.Lreturned:
        /* The flags first: they are a result, and what follows must not be interrupted. */
        pushfl
.Lstore:
        cli
        cld
        movl    %eax, %cs:{OUT} + 0x00
        movl    %ebx, %cs:{OUT} + 0x04
        movl    %ecx, %cs:{OUT} + 0x08
        movl    %edx, %cs:{OUT} + 0x0c
        movl    %esi, %cs:{OUT} + 0x10
        movl    %edi, %cs:{OUT} + 0x14
        movl    %ebp, %cs:{OUT} + 0x18
        popl    %eax
        movl    %eax, %cs:{OUT} + 0x1c
        mov     %ds, %cs:{OUT} + 0x20
        mov     %es, %cs:{OUT} + 0x22
        /*
         * Once more, if it is a loop with turns left (otherwise there is one) and neither a fault,
         * nor the carry flag, nor an EBX of 0 ends it. Results never become arguments, but for EBX.
         */
        incl    %cs:{TIMES}
        movl    %cs:{OUT} + 0x1c, %eax
        andl    $1, %eax
        orl     %cs:{WHY}, %eax
        testl   %ebx, %ebx
        sete    %cl
        orb     %cl, %al
        decl    %cs:{TURNS}
        sete    %cl
        orb     %cl, %al
        testl   %eax, %eax
        jnz     .Ldone
        movl    %ebx, %cs:{IN} + 0x04
        movl    %cs:{STEP}, %eax
        addl    %eax, %cs:{IN} + 0x14
        jmp     bios_real_mode
.Ldone:
        /*
         * Back to protected mode: our descriptors, PE on, and a far jump to a 32-bit code segment.
         * The address is in memory, since it depends on where the image lies.
         */
        movl    %cs:{CODE}, %ebx
        lgdtl   %cs:{DESCRIPTORS_LIMIT}
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0
        ljmpl   *%cs:{BACK}

/*
 * Handlers that take the place of the BIOS's during the calls.
 * In: real mode, interrupts off; on the stack IP, CS, FLAGS.
 */

/* An NMI is counted: it has a meaning to the kernel only, whose counters are off meanwhile. */
bios_nmi:
        incl    %cs:{NMIS}
        iretw

/*
 * IRQ 0: counts, and passes on to the BIOS until the deadline. Vector 8 is also a double fault: the
 * first 8259 knows whether its IRQ 0 is in service (Intel 8259A data sheet, OCW3).
 */
bios_tick:
        pushw   %ax
        mov     $0x0b, %al
        out     %al, $0x20
        in      $0x20, %al
        mov     %al, %ah
        mov     $0x0a, %al
        out     %al, $0x20
        test    $1, %ah
        popw    %ax
        jz      .Ldouble_fault
        incl    %cs:{TICKS}
        decl    %cs:{DEADLINE}
        jz      .Lpast_deadline
        ljmp    *%cs:{OLD_TICK}
.Lpast_deadline:
        /* End of interrupt: the BIOS's handler, which would send it, does not run. */
        pushw   %ax
        mov     $0x20, %al
        out     %al, $0x20
        popw    %ax
        movl    ${WHY_DEADLINE}, %cs:{WHY}
        jmp     .Lend_early
.Ldouble_fault:
        movl    ${WHY_EXCEPTION} + 8, %cs:{WHY}
        jmp     .Lend_early
bios_exception_0:
        movl    ${WHY_EXCEPTION}, %cs:{WHY}
        jmp     .Lend_early
bios_exception_6:
        movl    ${WHY_EXCEPTION} + 6, %cs:{WHY}
        jmp     .Lend_early
/* IRQs 4 and 5, which have these vectors too, are masked. */
bios_exception_12:
        movl    ${WHY_EXCEPTION} + 12, %cs:{WHY}
        jmp     .Lend_early
bios_exception_13:
        movl    ${WHY_EXCEPTION} + 13, %cs:{WHY}
/*
 * Leaves the BIOS where it is: records the place, takes our own stack, and ends as a call that
 * returned.
 */
.Lend_early:
        pushw   %bp
        mov     %sp, %bp
        pushl   2(%bp)
        popl    %cs:{WHERE}
        pushw   6(%bp)
        popw    %cs:{OUT} + 0x1c
        popw    %bp
        pushw   %ax
        mov     ${STACK_SEGMENT}, %ax
        mov     %ax, %cs:{SCRATCH}
        popw    %ax
        mov     %cs:{SCRATCH}, %ss
        mov     ${STACK_TOP}, %esp
        pushl   %cs:{OUT} + 0x1c
        jmp     .Lstore

