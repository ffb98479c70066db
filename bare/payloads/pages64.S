/*
 * pages64(table, word): adds up all 8-byte words of the pages that a table names, overwrites each
 * with `word`, and returns the sum. A table is a page: the address of the next table or 0, then
 * addresses of pages, ended by 0 or the end of the page. Runs at any address.
 */
        .globl  _start
_start:
        xor     %eax, %eax
table:  mov     $1, %ecx
page:   mov     (%rdi, %rcx, 8), %rdx
        test    %rdx, %rdx
        jz      next
        xor     %r8d, %r8d
.Lword:
        add     (%rdx, %r8, 8), %rax
        mov     %rsi, (%rdx, %r8, 8)
        inc     %r8d
        cmp     $512, %r8d
        jb      .Lword
        inc     %ecx
        cmp     $512, %ecx
        jb      page
next:   mov     (%rdi), %rdi
        test    %rdi, %rdi
        jnz     table
        ret
