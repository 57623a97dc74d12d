//! Any change to a real program: the loader refuses it, or describes memory that
//! the VMM can fill. (The loader's own tests begin with files made for them.)

use proptest::prelude::*;
use proptest::sample::Index;
use trapgate_loader::image::{Image, USER_MIN, parse};
use trapgate_tests::programs;

const PAGE: u64 = 4096;
/// In which part of a file linkers put what the loader reads.
const HEADERS: usize = 1024;

/// The static programs of the tests: a kernel is none, and neither is a shared library.
fn all() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    let others = ["so", "so32", "dyn", "dyn32", "gnu"];
    programs::all().filter(move |(name, _)| {
        let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
        !name.starts_with("test-hook") && !others.contains(&suffix)
    })
}

/// What the VMM relies on when it fills memory by this.
fn check(image: &Image, file: &[u8]) {
    let end = image.class.user_end();
    assert!(!image.segments.is_empty());
    assert!(image.segments.iter().any(|s| (s.start..s.end).contains(&image.entry)));
    assert!(image.segments.windows(2).all(|pair| pair[0].end <= pair[1].start));
    for s in &image.segments {
        assert!(USER_MIN <= s.start && s.start < s.end && s.end <= end, "{s:?}");
        assert!(s.start % PAGE == 0 && s.end % PAGE == 0, "{s:?}");
        assert!(s.file.start <= s.file.end && s.file.end <= file.len() as u64, "{s:?}");
        assert!(s.start + (s.file.end - s.file.start) <= s.end, "{s:?}");
    }
}

#[test]
fn every_program_of_the_tests_is_read() {
    for (name, file) in all() {
        let image = parse(file).unwrap_or_else(|error| panic!("{name}: {error}"));
        check(&image, file);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_changed_program_is_refused_or_read(
        seed in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..8),
        end in prop::option::weighted(0.2, any::<Index>()),
    ) {
        let programs: Vec<_> = all().collect();
        let (_, whole) = seed.get(&programs);
        let end = end.map_or(whole.len(), |end| end.index(whole.len()));
        let mut file = whole[..end].to_vec();
        for (at, value) in changes {
            if let Some(byte) = file.get_mut(at.index(HEADERS)) {
                *byte = value;
            }
        }
        if let Ok(image) = parse(&file) {
            check(&image, &file);
        }
    }
}
