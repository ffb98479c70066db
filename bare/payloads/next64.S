/*
 * next64(): each call moves the entry point of the next one. The first returns 1 and stores the
 * entry point in the word above the return address, as callees of upstream's kexec jump do. The
 * second returns 2 by a call instruction, as kernels do, which leaves the address after it. The
 * third returns 3; the fourth is the first again.
 */
        .globl  _start
_start:
        lea     second(%rip), %rax
        mov     %rax, 8(%rsp)
        mov     $1, %eax
        ret
second:
        pop     %rcx
        mov     $2, %eax
        call    *%rcx
third:
        lea     _start(%rip), %rax
        mov     %rax, 8(%rsp)
        mov     $3, %eax
        ret
