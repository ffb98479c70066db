/*
 * pages64(table, word): adds up all words of the pages that a table names, writes the word over each of them, and
 * returns the sum. A table is a page of its own: the address of the next table or 0, then addresses of pages, 0 behind
 * the last one. Runs at any address.
 */
        .globl  _start
_start:
        xor     %eax, %eax
table:  mov     $1, %ecx
page:   mov     (%rdi, %rcx, 8), %rdx
        test    %rdx, %rdx
        jz      next
        xor     %r8d, %r8d
1:      add     (%rdx, %r8, 8), %rax
        mov     %rsi, (%rdx, %r8, 8)
        inc     %r8d
        cmp     $512, %r8d
        jb      1b
        inc     %ecx
        cmp     $512, %ecx
        jb      page
next:   mov     (%rdi), %rdi
        test    %rdi, %rdi
        jnz     table
        ret
