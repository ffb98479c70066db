/*
 * Goes back as a kernel's user space does that purgatory told the way: by the digits behind its command line.
 * In: %rsi = a command line of 4 characters at offset 0x100 of this page, %rdi = the value to return, %rbx = what to enter
 * next time. Bytes before 0x100 stay as they are.
 */
        .globl _start
_start:
        add     $29, %rsi
        mov     $16, %ecx
        xor     %edx, %edx
        xor     %eax, %eax
1:      lodsb
        sub     $'0', %al
        cmp     $9, %al
        jbe     2f
        sub     $'a' - '0' - 10, %al
2:      shl     $4, %rdx
        or      %rax, %rdx
        dec     %ecx
        jnz     1b
        mov     %rdi, %rax
        push    %rbx
        jmp     *%rdx
        .org    0x100
        .ascii  "word"
        .fill   60
