/* pages64(table): looks at the pages whose physical addresses stand in a table, returns how many of their words are not
   0, and overwrites them with ones. The table is a page of 511 addresses, of which a 0 is the last, and the address of
   the next such page or 0. Runs at any address. */
        .globl  _start
_start:
        xor     %eax, %eax
        mov     $-1, %r10
table:  mov     $511, %r9d
        mov     %rdi, %rsi
page:   mov     (%rsi), %rdx
        test    %rdx, %rdx
        jz      next
        mov     $512, %ecx
1:      cmpq    $0, (%rdx)
        je      2f
        inc     %rax
2:      mov     %r10, (%rdx)
        add     $8, %rdx
        dec     %ecx
        jnz     1b
        add     $8, %rsi
        dec     %r9d
        jnz     page
next:   mov     511 * 8(%rdi), %rdi
        test    %rdi, %rdi
        jnz     table
        ret
