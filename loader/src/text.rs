//! Text that others chose, made fit for a terminal.
//!
//! This crate's errors quote files with it; the VMM does the same with whatever
//! the guest or a file says.

use alloc::string::String;

/// Text from a file that is not trusted, fit for one line of a terminal.
pub fn printable(bytes: &[u8]) -> String {
    const LONGEST: usize = 512;
    escaped(String::from_utf8_lossy(bytes).chars().take(LONGEST))
}

/// Text that steers no terminal: control characters, and those that turn the
/// direction of text, are written as escapes.
pub fn escaped(text: impl Iterator<Item = char>) -> String {
    let mut out = String::new();
    // What a terminal obeys instead of showing it.
    let steers =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    for c in text {
        if steers(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_an_escape() {
        assert_eq!(printable(b"a\x1b[2J\n\xff"), "a\\u{1b}[2J\\n\u{fffd}");
        assert_eq!(escaped("\u{202e}gr\u{fc}n".chars()), "\\u{202e}gr\u{fc}n");
    }

    #[test]
    fn a_long_text_is_cut_off() {
        assert_eq!(printable(&[b'a'; 1000]).len(), 512);
    }
}
