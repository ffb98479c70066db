/*
 * dirty32(): changes LSTAR, EFER, debug registers, MXCSR, the direction flag and the general
 * registers, and returns with paging on, on an identity map of its own. Returns 0x600d.
 */
        .code32
        .globl  _start
_start:
        xor     %eax, %eax
        xor     %edx, %edx
        mov     $0xc0000082, %ecx       /* LSTAR */
        wrmsr
        mov     $0xc0000080, %ecx       /* EFER: no-execute and system calls off */
        rdmsr
        and     $~0x801, %eax
        wrmsr
        mov     $0xdead, %eax
        mov     %eax, %dr0
        mov     %eax, %dr3
        ldmxcsr rounding
        /* 4 MiB pages: entry n maps n * 4 MiB, present, writable and large (SDM volume 3, 4.3). */
        mov     $directory, %edi
        mov     $0x83, %eax
        mov     $1024, %ecx
.Lentry:
        mov     %eax, (%edi)
        add     $4, %edi
        add     $0x400000, %eax
        loop    .Lentry
        /* CR4.PSE makes the pages large; then the root, then CR0.PG. */
        mov     %cr4, %eax
        or      $0x10, %eax
        mov     %eax, %cr4
        mov     $directory, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        std
        xor     %ebx, %ebx
        xor     %ebp, %ebp
        xor     %esi, %esi
        xor     %edi, %edi
        mov     $0x600d, %eax
        xor     %edx, %edx
        ret
        .data
rounding:
        .long   0x7f80
        .bss
        .balign 4096
directory:
        .skip   4096
