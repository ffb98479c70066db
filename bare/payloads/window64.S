/*
 * window64(seed): fills SIZE bytes of memory with a pattern made from the seed, word n with n * seed. Returns how many
 * words were not what the call before had left there; before the first call they are zero.
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
1:      cmp     %rsi, (%r8)
        je      2f
        inc     %rax
2:      mov     %r9, (%r8)
        add     %rdx, %rsi
        add     %rdi, %r9
        add     $8, %r8
        dec     %ecx
        jnz     1b
        ret
        .data
seed:   .quad   0
        .bss
        .balign 4096
window: .skip   SIZE
