/*
 * flip64(address, bits): inverts bits of the byte at a physical address. Returns the byte as it
 * was.
 */
        .globl _start
_start:
        movzbl  (%rdi), %eax
        xor     %sil, (%rdi)
        ret
