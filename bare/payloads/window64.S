/*
 * window64(seed): fills SIZE bytes of memory with a pattern: 8-byte word n is n * seed. Returns the
 * number of words that differ from what the previous call left there; before the first call they
 * are zero.
 */
        .globl  _start
_start:
        mov     seed(%rip), %rdx
        mov     %rdi, seed(%rip)
        lea     window(%rip), %r8
        mov     $SIZE / 8, %ecx
        xor     %eax, %eax
        xor     %esi, %esi              /* n * old seed */
        xor     %r9d, %r9d              /* n * new seed */
.Lword: cmp     %rsi, (%r8)
        je      .Lsame
        inc     %rax
.Lsame: mov     %r9, (%r8)
        add     %rdx, %rsi
        add     %rdi, %r9
        add     $8, %r8
        dec     %ecx
        jnz     .Lword
        ret
        .data
seed:   .quad   0
        .bss
        .balign 4096
window: .skip   SIZE
