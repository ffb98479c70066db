/* reverse32(address, length): reverses the bytes in place, and returns their sum. There is a buffer at `buffer`. */
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
1:      cmp     %edx, %edi
        je      2f
        movzbl  (%edi), %ecx
        add     %ecx, %eax
        inc     %edi
        jmp     1b
2:      dec     %edx
        cmp     %edx, %esi
        jae     3f
        mov     (%esi), %cl
        mov     (%edx), %ch
        mov     %ch, (%esi)
        mov     %cl, (%edx)
        inc     %esi
        jmp     2b
3:      xor     %edx, %edx
        pop     %edi
        pop     %esi
        ret
        .bss
        .balign 4096
        .globl  buffer
buffer: .skip   65536
