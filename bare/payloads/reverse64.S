/*
 * reverse64(address, length): reverses bytes in place and returns their sum. `buffer` has room for
 * some.
 */
        .globl  _start
_start:
        xor     %eax, %eax
        lea     (%rdi, %rsi), %rdx
        mov     %rdi, %r8
.Ladd:  cmp     %rdx, %r8
        je      .Lswap
        movzbl  (%r8), %ecx
        add     %rcx, %rax
        inc     %r8
        jmp     .Ladd
.Lswap: dec     %rdx
        cmp     %rdx, %rdi
        jae     .Ldone
        mov     (%rdi), %cl
        mov     (%rdx), %r9b
        mov     %r9b, (%rdi)
        mov     %cl, (%rdx)
        inc     %rdi
        jmp     .Lswap
.Ldone: ret
        .bss
        .balign 4096
        .globl  buffer
buffer: .skip   65536
