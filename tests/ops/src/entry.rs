//! C's `main`. Called by libc; calls `run`.

#![allow(unsafe_code, reason = "the name is the C library's, and so are the arguments")]

use std::ffi::{CStr, c_char, c_int};

#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, words: *const *const c_char) -> c_int {
    let word = |index: c_int| {
        // SAFETY: libc gives so many strings, which stay.
        let word = unsafe { CStr::from_ptr(*words.add(index as usize)) };
        word.to_str().unwrap_or_default()
    };
    // At once: `vfork-exec` counts it.
    if count == 2 && word(1) == "exit" {
        return 0;
    }
    let args: Vec<&str> = (0..count).map(word).collect();
    let Some((program, args)) = args.split_first() else { return 2 };
    crate::run(program, args).into()
}
