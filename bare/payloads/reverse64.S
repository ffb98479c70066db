/* reverse64(address, length): reverses the bytes in place, and returns their sum. There is a buffer at `buffer`. */
        .globl  _start
_start:
        xor     %eax, %eax
        lea     (%rdi, %rsi), %rdx
        mov     %rdi, %r8
1:      cmp     %rdx, %r8
        je      2f
        movzbl  (%r8), %ecx
        add     %rcx, %rax
        inc     %r8
        jmp     1b
2:      dec     %rdx
        cmp     %rdx, %rdi
        jae     3f
        mov     (%rdi), %cl
        mov     (%rdx), %r9b
        mov     %r9b, (%rdi)
        mov     %cl, (%rdx)
        inc     %rdi
        jmp     2b
3:      ret
        .bss
        .balign 4096
        .globl  buffer
buffer: .skip   65536
