//! Cases as they are written, and their lines: calls, and a few commands.

use crate::call::{Calls, Width, raw64};
use crate::show;
use crate::tokens::{expand, split};
use crate::{memory, tree};
use std::collections::BTreeMap;

/// A case: from a line with `=` to the next.
pub(crate) struct Case<'a> {
    pub(crate) name: &'a str,
    /// The width that it is for alone.
    width: Option<Width>,
    pub(crate) lines: Vec<&'a str>,
}

impl<'a> Case<'a> {
    /// All cases of a text.
    pub(crate) fn all(text: &'a str) -> impl Iterator<Item = Case<'a>> {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut cases: Vec<Case> = Vec::new();
        for line in lines {
            match line.strip_prefix("= ") {
                Some(head) => cases.push(Case::named(head)),
                None => cases.last_mut().expect("a name comes first").lines.push(line),
            }
        }
        cases.into_iter()
    }

    fn named(head: &'a str) -> Case<'a> {
        let mut words = head.split_whitespace();
        let name = words.next().expect("a case has a name");
        let mut width = None;
        for word in words {
            match word {
                "@x86_64" => width = Some(Width::X86_64),
                "@i386" => width = Some(Width::I386),
                // For which Linux it is: whoever runs the cases has chosen.
                _ if word.starts_with("linux>=") => {}
                _ => panic!("{name}: what is {word}?"),
            }
        }
        Case { name, width, lines: Vec::new() }
    }

    pub(crate) fn is_for(&self, width: Width) -> bool {
        self.width.is_none_or(|only| only == width)
    }
}

/// Does a line, and says what came of it.
pub(crate) fn run(calls: &mut Calls, line: &str) -> String {
    let words = split(line);
    let (name, args) = words.split_first().expect("a line is not empty");
    let answer = match (*name, args) {
        ("repeat", [times, call @ ..]) => repeat(calls, times.parse().expect("a number"), call),
        ("mark", []) => {
            tree::mark();
            return String::new();
        }
        ("times", [path]) => tree::times(&expand(path)),
        ("ls", [fd, room]) => {
            tree::list(fd.parse().expect("a descriptor"), room.parse().expect("how many bytes"))
        }
        ("peek", [at, length]) => memory::peek(calls.address(at), length.parse().expect("bytes")),
        ("poke", [at, text]) => memory::poke(calls.address(at), &expand(text)),
        // Bytes of a pattern in a file, by 64-bit calls.
        ("fill", [fd, length]) => fill(fd.parse().expect("a descriptor"), length),
        (name, args) => calls.make(name, args).to_string(),
    };
    format!("  {line} -> {answer}\n")
}

/// So many calls, `%` in them being 0, 1 and so on: how often which answer came.
fn repeat(calls: &mut Calls, times: u64, words: &[&str]) -> String {
    let mut answers: BTreeMap<String, u64> = BTreeMap::new();
    for index in 0..times {
        let index = index.to_string();
        let words: Vec<String> = words.iter().map(|word| word.replace('%', &index)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let answer = match calls.make(words[0], &words[1..]).error() {
            Some(error) => error.to_owned(),
            None => "done".to_owned(),
        };
        *answers.entry(answer).or_default() += 1;
    }
    let answers = answers.iter().map(|(answer, times)| format!("{times} {answer}"));
    answers.collect::<Vec<_>>().join(", ")
}

/// Writes so many bytes at once, which no two pages of have alike.
fn fill(fd: u64, length: &str) -> String {
    let length: u64 = length.parse().expect("bytes");
    let bytes: Vec<u8> = (0..length).map(|at| (at / 4096 * 7 + at % 251) as u8).collect();
    let write = raw64("write", &[fd, bytes.as_ptr() as u64, length]);
    show::number(write)
}
