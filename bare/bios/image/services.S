/*
 * The rest of the stub: a program on a disk goes on, and calls services of ours in place of the
 * BIOS's.
 */

/*
 * Lets a program go on, by a return from an interrupt to where it is.
 * In: real mode, interrupts off, %ds = the stub's segment.
 */
.Lresume:
        testb   $1, {A20_CLOSED}
        jz      .La20
        /* Port 0x92: bit 1 is the A20 gate, bit 0 would reset the machine. */
        in      $0x92, %al
        and     $0xfc, %al
        out     %al, $0x92
.La20:  movl    {CR4}, %eax
        mov     %eax, %cr4
        mov     {FS}, %fs
        mov     {GS}, %gs
        mov     {SS}, %ss
        movl    {ESP}, %esp
        pushw   {ENTRY_FLAGS}
        pushl   {TARGET}
        jmp     .Lload

/*
 * Handlers of the services.
 * In: real mode, interrupts off, the program's stack with IP, CS, FLAGS on it.
 */
        .globl  bios_service_13, bios_service_15, bios_service_18, bios_service_19, bios_restarted
bios_service_13:
        movl    $0x13, %cs:{SERVICE}
        jmp     .Lservice
/* Of INT 15h only what is about memory, and the key Del: the BIOS has the rest. */
bios_service_15:
        cmp     $0xe8, %ah
        je      .Lmemory
        cmp     $0xda, %ah
        je      .Lmemory
        cmp     $0x8a, %ah
        ja      .Lbios
        cmp     $0x87, %ah
        jae     .Lmemory
        cmp     $0x4f53, %ax
        je      .Lmemory
.Lbios: ljmp    *%cs:{OLD_15}
.Lmemory:
        movl    $0x15, %cs:{SERVICE}
        jmp     .Lservice
bios_service_18:
        movl    $0x18, %cs:{SERVICE}
        jmp     .Lservice
bios_service_19:
        movl    $0x19, %cs:{SERVICE}
        jmp     .Lservice

/*
 * The BIOS jumps here after a restart of the CPU, since the clock's memory has code 0x0a for it and
 * 0x467 this address. There is no stack.
 */
bios_restarted:
        cli
        mov     %cs, %ax
        mov     %ax, %ss
        mov     ${STUB_STACK}, %esp
        movl    ${RESTART}, %cs:{SERVICE}

/*
 * Stores the program's registers, and leaves for the image, which serves it and comes back by
 * .Lresume.
 */
.Lservice:
        /* In virtual 8086 mode nothing leads to the image: the call fails. */
        pushw   %ax
        smsw    %ax
        test    $1, %al
        popw    %ax
        jnz     .Lvirtual
        movl    %eax, %cs:{OUT} + 0x00
        movl    %ebx, %cs:{OUT} + 0x04
        movl    %ecx, %cs:{OUT} + 0x08
        movl    %edx, %cs:{OUT} + 0x0c
        movl    %esi, %cs:{OUT} + 0x10
        movl    %edi, %cs:{OUT} + 0x14
        movl    %ebp, %cs:{OUT} + 0x18
        mov     %ds, %cs:{OUT} + 0x20
        mov     %es, %cs:{OUT} + 0x22
        mov     %fs, %cs:{FS}
        mov     %gs, %cs:{GS}
        mov     %ss, %cs:{SS}
        movl    %esp, %cs:{ESP}
        mov     %sp, %bp
        movl    (%bp), %eax
        movl    %eax, %cs:{FRAME}
        mov     4(%bp), %ax
        mov     %ax, %cs:{FRAME_FLAGS}
        mov     %cr4, %eax
        movl    %eax, %cs:{CR4}
        /* A stack of our own, and flags without a meaning to 64-bit mode. */
        mov     %cs, %ax
        mov     %ax, %ss
        mov     ${STUB_STACK}, %esp
        pushl   $2
        popfl
        /*
         * If a word at 1 MiB changes with one in the BIOS's area for communication between
         * applications, the A20 gate is closed: the image needs it open.
         */
        xor     %ax, %ax
        mov     %ax, %fs
        dec     %ax
        mov     %ax, %gs
        movl    %gs:0x500, %ebx
        notl    %fs:0x4f0
        movl    %gs:0x500, %ecx
        notl    %fs:0x4f0
        xor     %eax, %eax
        cmpl    %ebx, %ecx
        setne   %al
        movl    %eax, %cs:{A20_CLOSED}
        je      .Lopen
        in      $0x92, %al
        or      $2, %al
        and     $0xfe, %al
        out     %al, $0x92
.Lopen: jmp     .Ldone

/* The carry flag and AH = 1: no such function. */
.Lvirtual:
        pushw   %bp
        mov     %sp, %bp
        orw     $1, 6(%bp)
        popw    %bp
        mov     $1, %ah
        iretw

        .globl  bios_stub_end
        .balign 4
/* Limit and base: 256 vectors of four bytes. */
.Lreal_mode_table:
        .word   0x3ff
        .long   0
bios_stub_end:
        .code64
