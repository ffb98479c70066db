/*
 * reverse32(address, length): reverses bytes in place and returns their sum. `buffer` has room for
 * some.
 */
        .code32
        .globl  _start
_start:
        push    %esi
        push    %edi
        mov     12(%esp), %esi
        mov     16(%esp), %edx
        add     %esi, %edx
        mov     %esi, %edi
        xor     %eax, %eax
.Ladd:  cmp     %edx, %edi
        je      .Lswap
        movzbl  (%edi), %ecx
        add     %ecx, %eax
        inc     %edi
        jmp     .Ladd
.Lswap: dec     %edx
        cmp     %edx, %esi
        jae     .Ldone
        mov     (%esi), %cl
        mov     (%edx), %ch
        mov     %ch, (%esi)
        mov     %cl, (%edx)
        inc     %esi
        jmp     .Lswap
.Ldone: xor     %edx, %edx
        pop     %edi
        pop     %esi
        ret
        .bss
        .balign 4096
        .globl  buffer
buffer: .skip   65536
