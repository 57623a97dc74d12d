//! Mappings against an array of pages.

use super::*;
use proptest::prelude::*;
use trapgate_arch::paging::USER_HALF_END;

/// More than two chunks hold, if each page is a mapping.
const PAGES: u64 = 160;

fn vma(start: u64, end: u64, prot: u8) -> Vma {
    Vma { start, end, attributes: Prot(prot).into(), backing: Backing::Anonymous }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, u64, u8),
    Remove(u64, u64),
    Protect(u64, u64, u8),
    Move(u64, u64, u64),
    /// Each page of a range another mapping: what fills chunks.
    Stripes(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let range = (0..PAGES, 1..24u64).prop_map(|(a, n)| (a, (a + n).min(PAGES)));
    prop_oneof![
        (range.clone(), 0..4u8).prop_map(|((a, b), p)| Step::Insert(a, b, p)),
        range.clone().prop_map(|(a, b)| Step::Remove(a, b)),
        (range.clone(), 0..4u8).prop_map(|((a, b), p)| Step::Protect(a, b, p)),
        (range.clone(), 0..PAGES).prop_map(|((a, b), to)| Step::Move(a, b, to)),
        (range, 1..5u64).prop_map(|((a, _), n)| Step::Stripes(a, (a + 24 * n).min(PAGES))),
    ]
}

type Model = [Option<u8>; PAGES as usize];

/// Does it to both.
fn carry_out(step: &Step, map: &mut VmaMap, model: &mut Model) {
    let pages = |a: u64, b: u64| a as usize..b as usize;
    match *step {
        Step::Insert(a, b, p) => {
            map.prepare_put(a, b).map(|room| map.rejoin(room)).unwrap();
            let room = map.prepare_put(a, b).unwrap();
            map.put(room, vma(a, b, p)).unwrap();
            model[pages(a, b)].fill(Some(p));
        }
        Step::Remove(a, b) => {
            let around = map.remove(a, b).unwrap();
            model[pages(a, b)].fill(None);
            assert_eq!(around, free_around(model, a));
        }
        Step::Protect(a, b, p) => {
            map.protect(a, b, Prot(p)).unwrap();
            for page in &mut model[pages(a, b)] {
                *page = page.map(|_| p);
            }
        }
        Step::Move(a, b, to) => {
            let end = to + (b - a);
            if end <= PAGES && (end <= a || b <= to) {
                map.remove(to, end).unwrap();
                let room = map.prepare_put(a, b).unwrap();
                map.put(room, vma(to, end, 1)).unwrap();
                model[pages(a, b)].fill(None);
                model[pages(to, end)].fill(Some(1));
            }
        }
        Step::Stripes(a, b) => {
            map.remove(a, b).unwrap();
            for page in a..b {
                let p = (page % 4) as u8;
                map.insert(vma(page, page + 1, p)).unwrap();
                model[page as usize] = Some(p);
            }
        }
    }
}

/// How far nothing is mapped, downwards and upwards from a free page.
fn free_around(model: &Model, page: u64) -> [u64; 2] {
    let low = (0..page).rev().find(|&p| model[p as usize].is_some());
    let high = (page..PAGES).find(|&p| model[p as usize].is_some());
    [low.map_or(0, |p| p + 1), high.unwrap_or(USER_HALF_END)]
}

fn compare(map: &mut VmaMap, model: &Model) -> Result<(), TestCaseError> {
    for page in 0..PAGES {
        let found = map.find(page).map(|vma| vma.prot().0);
        prop_assert_eq!(found, model[page as usize]);
    }
    let all: Vec<Vma> = map.within(0, PAGES).cloned().collect();
    prop_assert_eq!(all.len(), map.count());
    for pair in all.windows(2) {
        prop_assert!(pair[0].end <= pair[1].start && !pair[0].joins(&pair[1]));
    }
    prop_assert!(map.chunks.iter().all(|chunk| !chunk.areas.is_empty()));
    let free = |at: u64, length: u64| (at..at + length).all(|p| model[p as usize].is_none());
    for length in [1, 2, 3, 5, 8, 13, 21] {
        for (low, high) in [(0, PAGES), (0, PAGES / 2), (PAGES / 3, PAGES - 5)] {
            let expected = (low..=high - length).rev().find(|&at| free(at, length));
            prop_assert_eq!(map.find_gap(low, high, length), expected);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn behaves_like_an_array_of_pages(steps in prop::collection::vec(step(), 1..60)) {
        let mut map = VmaMap::default();
        let mut model = [None; PAGES as usize];
        for step in steps {
            carry_out(&step, &mut map, &mut model);
            compare(&mut map, &model)?;
        }
        let mut copy = map.try_clone().unwrap();
        drop(map);
        compare(&mut copy, &model)?;
    }
}

#[test]
fn coverage_sees_holes() {
    let mut map = VmaMap::default();
    map.insert(vma(2, 4, 1)).unwrap();
    map.insert(vma(4, 6, 2)).unwrap();
    assert!(map.is_covered(2, 6) && map.is_covered(3, 5));
    assert!(!map.is_covered(1, 3) && !map.is_covered(5, 7));
    assert!(map.is_free(0, 2) && map.is_free(6, 9) && !map.is_free(0, 3));
}

#[test]
fn there_are_as_many_mappings_as_linux_allows_and_no_more() {
    let mut map = VmaMap::default();
    let most = MAX_MAP_COUNT as u64;
    for number in 0..most {
        map.insert(vma(4 * number, 4 * number + 3, 0)).unwrap();
    }
    let beyond = vma(4 * most, 4 * most + 1, 0);
    assert_eq!(map.insert(beyond), Err(Errno::ENOMEM));
    assert_eq!(map.remove(1, 2), Err(Errno::ENOMEM), "a hole makes two of one");
    assert_eq!(map.protect(0, 1, Prot(1)), Err(Errno::ENOMEM));
    assert!(map.prepare_put(0, 3).is_err());
    assert_eq!(map.count(), MAX_MAP_COUNT, "nothing was changed");
    assert!(map.remove(2, 5).is_ok(), "pieces of two go without a third");
    assert_eq!(map.insert(vma(3, 4, 0)), Err(Errno::ENOMEM));
    assert_eq!(map.insert(vma(2, 3, 0)), Ok(()), "one that joins another is none more");
}

#[test]
fn room_is_found_without_a_look_at_each_mapping() {
    // All chunks know that they have no gap, but the one in the middle.
    let mut map = VmaMap::default();
    for page in 0..20_000 {
        map.insert(vma(page, page + 1, (page % 2) as u8)).unwrap();
    }
    map.remove(10_000, 10_004).unwrap();
    assert_eq!(map.find_gap(0, 20_000, 4), Some(10_000));
    assert_eq!(map.find_gap(0, 20_000, 5), None);
    let bounds = map.chunks.iter().filter(|chunk| chunk.gap > 0).count();
    assert_eq!(bounds, 1);
    assert!(map.chunks.len() < 20_000 / 10, "{} chunks", map.chunks.len());
}
