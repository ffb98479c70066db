/* dirty64(): GDT, IDT, GS base, LSTAR, EFER, CR2, CR4, debug registers, MXCSR, direction flag and registers are not
   what they were. Returns 0x600d. */
        .globl  _start
_start:
        lgdt    nothing(%rip)
        lidt    nothing(%rip)
        xor     %eax, %eax
        xor     %edx, %edx
        mov     $0xc0000101, %ecx       /* GS_BASE */
        wrmsr
        mov     $0xc0000102, %ecx       /* KERNEL_GS_BASE */
        wrmsr
        mov     $0xc0000082, %ecx       /* LSTAR */
        wrmsr
        mov     $0xc0000080, %ecx       /* EFER: no-execute and system calls off */
        rdmsr
        and     $~0x801, %eax
        wrmsr
        mov     %cr4, %rax
        or      $0x80, %rax             /* global pages */
        mov     %rax, %cr4
        mov     $0xdead, %eax
        mov     %rax, %cr2
        mov     %rax, %dr0
        mov     %rax, %dr3
        ldmxcsr rounding(%rip)
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
nothing:
        .word   0
        .quad   0
rounding:
        .long   0x7f80
