/*
 * dirty64(): changes the GDT, the IDT, segment bases, the registers of system calls, EFER, PAT,
 * MTRRs, MCG_STATUS, VM_HSAVE_PA, CR2, CR4, CR8, XCR0, debug registers, MXCSR, the x87 control
 * word, the direction flag and the general registers. Returns 0x600d. A call must restore all of
 * it.
 */
        .globl  _start
_start:
        /* Empty tables: the next exception or load of a segment would reset the machine. */
        lgdt    nothing(%rip)
        lidt    nothing(%rip)
        /* XCR0 without SSE and AVX state, if the CPU has XSAVE (SDM volume 1, 13.3). */
        mov     $1, %eax
        cpuid
        bt      $26, %ecx               /* XSAVE */
        jnc     .Lregisters
        mov     %cr4, %rax
        or      $1 << 18, %rax
        mov     %rax, %cr4
        xor     %ecx, %ecx
        mov     $1, %eax                /* x87 state only */
        xor     %edx, %edx
        xsetbv
        /* Zero to each register of the list. */
.Lregisters:
        lea     registers(%rip), %rsi
.Lregister:
        lodsl
        mov     %eax, %ecx
        xor     %eax, %eax
        xor     %edx, %edx
        wrmsr
        cmp     $0x277, %ecx            /* the last */
        jne     .Lregister
        /* Another bit in each register of the other list, as far as the CPU has them. */
        call    .Lhas
        lea     flipped(%rip), %rsi
.Lflip: lodsl
        mov     %eax, %r8d
        lodsl
        mov     %eax, %ecx
        lodsl
        mov     %eax, %r10d
        jrcxz   .Lflipped
        bt      %r8d, %r11d
        jnc     .Lflip
        rdmsr
        xor     %r10d, %eax
        wrmsr
        jmp     .Lflip
/* %r11d: bit 0 MTRRs, bit 1 machine checks, bit 2 virtual machines by SVM. */
.Lhas:  mov     $1, %eax
        cpuid
        xor     %r11d, %r11d
        bt      $12, %edx
        adc     %r11d, %r11d
        bt      $14, %edx
        jnc     1f
        or      $2, %r11d
1:      mov     $0x80000001, %eax
        cpuid
        and     $4, %ecx
        or      %ecx, %r11d
        ret
.Lflipped:
        mov     $0xc0000080, %ecx       /* EFER: no-execute and system calls off */
        rdmsr
        and     $~0x801, %eax
        wrmsr
        mov     %cr4, %rax
        or      $0x80, %rax             /* global pages */
        mov     %rax, %cr4
        mov     $0xdead, %eax
        mov     %rax, %cr2
        mov     %rax, %dr3
        lea     nothing(%rip), %rax
        mov     %rax, %dr0
        mov     $0xd0001, %eax          /* breakpoint 0, writes of 4 bytes */
        mov     %rax, %dr7
        mov     $9, %eax
        mov     %rax, %cr8
        ldmxcsr rounding(%rip)
        fldcw   rounding + 4(%rip)
        std
        xor     %ebx, %ebx
        xor     %ebp, %ebp
        xor     %r12d, %r12d
        xor     %r13d, %r13d
        xor     %r14d, %r14d
        xor     %r15d, %r15d
        mov     $0x600d, %eax
        ret
        .data
        .balign 8
nothing:
        .word   0
        .quad   0
rounding:
        .long   0x7f80
        .word   0xf7f
        .balign 4
/* FS, GS and kernel's GS base, STAR, LSTAR, CSTAR, SYSCALL_MASK, three of SYSENTER, PAT */
registers:
        .long   0xc0000100, 0xc0000101, 0xc0000102, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084
        .long   0x174, 0x175, 0x176, 0x277
/* Feature, number, bits: MTRRs of two ranges, fixed ones, the default; MCG_STATUS; VM_HSAVE_PA */
flipped:
        .long   0, 0x200, 0x60000000, 0, 0x201, 0xf0000800, 0, 0x20e, 0x50000006, 0, 0x20f, 0xff000800
        .long   0, 0x250, 0x06060606, 0, 0x26f, 0x05050505, 0, 0x2ff, 0x400
        .long   1, 0x17a, 1, 2, 0xc0010117, 0x1000
        .long   0, 0, 0
