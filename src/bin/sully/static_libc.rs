//! Stands in for parts of the static C library that this program never needs, so that they are not linked: translated
//! messages and character sets, the resolver, reading the stack's bounds with sscanf. That is 240 KB of 1.8 MB
//! (docs/decisions/0010-smaller-static-libc.md).
#![expect(
    unsafe_code,
    reason = "symbols of the C library are defined here, which is only possible in assembly"
)]
// Laws: 1. every symbol is weak: where the C library's own part is linked all the same, its own definition counts;
//       2. every function keeps the contract of the one it stands in for, at its narrowest: a failure that callers
//          handle, or the plain result without the convenience;
//       3. data has the size and the zeros that the C library's own has at the start.

use core::arch::global_asm;

// int pthread_getattr_np(pthread_t, pthread_attr_t *): ENOSYS. Rust's runtime then has no guard page to name.
global_asm!(".weak pthread_getattr_np", "pthread_getattr_np:", "mov eax, 38", "ret");

// int pthread_setname_np(pthread_t, const char *): prctl(PR_SET_NAME, name), since threads here name only themselves.
global_asm!(
    ".weak pthread_setname_np",
    "pthread_setname_np:",
    "mov edi, 15",
    "mov eax, 157",
    "syscall",
    "neg eax",
    "ret"
);

// char *__dcgettext(const char *domain, const char *message, int category): the message as it is.
global_asm!(".weak __dcgettext", "__dcgettext:", "mov rax, rsi", "ret");

// void __assert_fail(...): ends the program; what the C library asserts of itself has no reader in a guest.
global_asm!(".weak __assert_fail", "__assert_fail:", "jmp abort");

// The resolver's state, which the start of a thread sets and nobody reads: names are never looked up.
global_asm!(
    ".pushsection .tbss, \"awT\", @nobits",
    ".weak __libc_resp",
    ".type __libc_resp, @object",
    ".size __libc_resp, 8",
    ".balign 8",
    "__libc_resp:",
    ".zero 8",
    ".popsection",
    ".pushsection .bss, \"aw\", @nobits",
    ".weak _res",
    ".type _res, @object",
    ".size _res, 568",
    ".balign 32",
    "_res:",
    ".zero 568",
    ".popsection"
);
