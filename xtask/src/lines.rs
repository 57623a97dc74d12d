//! Lines out of bytes that come in pieces: a rig's console.

/// What came behind the last line.
#[derive(Default)]
pub(crate) struct Lines(Vec<u8>);

impl Lines {
    /// The lines that are whole with these bytes, without their ends.
    pub(crate) fn with(&mut self, new: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(new);
        let mut whole = Vec::new();
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            whole.push(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned());
        }
        whole
    }

    /// What there is of one that has not ended.
    pub(crate) fn rest(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_whatever_pieces_they_come_in() {
        let mut lines = Lines::default();
        assert_eq!(lines.with(b"a\r\nb"), ["a"]);
        assert_eq!(lines.with(b""), [""; 0]);
        assert_eq!(lines.with(b"c\n\nd\xff"), ["bc", ""]);
        assert_eq!((lines.rest(), lines.rest()), ("d\u{fffd}".to_owned(), String::new()));
    }
}
