//! The routines that compilers call without being told to: the C library's on
//! other programs, and of integer instructions alone, since compatibility mode
//! may be interpreted.
//!
//! All have the C ABI; the direction flag is clear.
#![allow(unsafe_code, reason = "the compiler finds them by name")]

use core::arch::naked_asm;

/// memcpy(3)
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    naked_asm!(
        "push edi",
        "push esi",
        "mov edi, [esp + 12]",
        "mov esi, [esp + 16]",
        "mov ecx, [esp + 20]",
        "mov eax, edi", // the result
        "rep movsb",
        "pop esi",
        "pop edi",
        "ret",
    )
}

/// memmove(3)
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    naked_asm!(
        "push edi",
        "push esi",
        "mov edi, [esp + 12]",
        "mov esi, [esp + 16]",
        "mov ecx, [esp + 20]",
        "mov eax, edi", // the result
        "mov edx, edi",
        "sub edx, esi", // unsigned: far away, or below
        "cmp edx, ecx",
        "jae 2f",
        "lea edi, [edi + ecx - 1]",
        "lea esi, [esi + ecx - 1]",
        "std", // the end first: the start is overwritten
        "rep movsb",
        "cld",
        "jmp 3f",
        "2: rep movsb",
        "3: pop esi",
        "pop edi",
        "ret",
    )
}

/// memset(3)
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    naked_asm!(
        "push edi",
        "mov edi, [esp + 8]",
        "mov eax, [esp + 12]",
        "mov ecx, [esp + 16]",
        "rep stosb",
        "mov eax, [esp + 8]", // the result
        "pop edi",
        "ret",
    )
}

/// memcmp(3)
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    naked_asm!(
        "push edi",
        "push esi",
        "mov esi, [esp + 12]",
        "mov edi, [esp + 16]",
        "mov ecx, [esp + 20]",
        "xor eax, eax", // nothing to compare is equal
        "xor edx, edx",
        "cmp eax, eax",
        "repe cmpsb",
        "je 2f",
        "mov al, [esi - 1]", // the bytes that differ
        "mov dl, [edi - 1]",
        "sub eax, edx",
        "2: pop esi",
        "pop edi",
        "ret",
    )
}

/// bcmp(3)
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    naked_asm!("jmp {memcmp}", memcmp = sym memcmp)
}

/// strlen(3)
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    naked_asm!(
        "mov ecx, [esp + 4]",
        "xor eax, eax",
        "2: cmp byte ptr [ecx + eax], 0",
        "je 3f",
        "inc eax",
        "jmp 2b",
        "3: ret",
    )
}
