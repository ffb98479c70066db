/* next64(): the first call returns 1 and asks to be entered elsewhere, as upstream's callees do: by the word above the
   return address. The second returns 2 and asks by coming back by a call, as kernels do. The third returns 3, and the
   fourth is the first again. */
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
