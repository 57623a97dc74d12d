//! The words of a line.

/// A line's words: blanks part them, but not within parentheses and brackets.
pub(crate) fn split(line: &str) -> Vec<&str> {
    let mut depth = 0;
    let blanks = |char: char| {
        match char {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        depth == 0 && char == ' '
    };
    line.split(blanks).filter(|word| !word.is_empty()).collect()
}

/// A text's bytes: `x*5` is five times x, `(./)*5` five times both; `""` is nothing.
pub(crate) fn expand(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    while let Some(first) = rest.chars().next() {
        let (unit, behind) = match rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            Some((unit, behind)) if behind.starts_with('*') => (unit, behind),
            _ => rest.split_at(first.len_utf8()),
        };
        let (times, behind) = match behind.strip_prefix('*') {
            Some(count) => {
                let end = count.find(|char: char| !char.is_ascii_digit()).unwrap_or(count.len());
                (count[..end].parse().expect("how often"), &count[end..])
            }
            None => (1, behind),
        };
        (0..times).for_each(|_| bytes.extend_from_slice(unit.as_bytes()));
        rest = behind;
    }
    bytes
}

/// A number, decimal, or with 0x, or octal with 0, and with a sign.
pub(crate) fn number(word: &str) -> Option<u64> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(digits, 8),
        None => digits.parse(),
    };
    let value = value.ok()?;
    Some(if negative { value.wrapping_neg() } else { value })
}
