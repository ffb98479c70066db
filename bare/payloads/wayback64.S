/*
 * Returns as the user space of a kernel does to which purgatory passed the jump-back entry: by the
 * hexadecimal digits at the end of its command line.
 * In: %rsi = the command line at offset 0x100 of this page, in which purgatory writes the digits;
 *     %rdi = the value to return, %rbx = the entry point of the next call. Bytes before
 *     0x100 do not change.
 */
        .globl _start
_start:
        /* Past "word kexec_jump_back_entry=0x". */
        add     $29, %rsi
        mov     $16, %ecx
        xor     %edx, %edx
        xor     %eax, %eax
.Ldigit:
        lodsb
        sub     $'0', %al
        cmp     $9, %al
        jbe     .Ldecimal
        sub     $'a' - '0' - 10, %al
.Ldecimal:
        shl     $4, %rdx
        or      %rax, %rdx
        dec     %ecx
        jnz     .Ldigit
        mov     %rdi, %rax
        push    %rbx
        jmp     *%rdx
        .org    0x100
        .asciz  "word kexec_jump_back_entry=0x0000000000000000"
