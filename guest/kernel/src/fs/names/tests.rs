//! Names, against a plain map.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Finds a name, of a directory whose hashes collide much.
fn find(names: &Names<String>, name: &str) -> Option<Position> {
    names.find(bad_key(name), |other| other == name)
}

fn bad_key(name: &str) -> Key {
    let key = Key::of(name.as_bytes());
    Key { hash: key.hash % 7, ..key }
}

/// Names of one to twelve bytes: a word has seven or eight of them whole.
fn name_of(number: u8) -> String {
    format!("{}{}", &"aaaaaaaaaa"[..number as usize % 11], number)
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8),
    Remove(u8),
    List(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..60u8).prop_map(Step::Insert),
        2 => (0..60u8).prop_map(Step::Remove),
        1 => any::<u8>().prop_map(Step::List),
    ]
}

proptest! {
    #[test]
    fn names_are_what_was_inserted_and_not_removed(steps in prop::collection::vec(step(), 1..300)) {
        let mut names = Names::<String>::default();
        let mut model = BTreeMap::new();
        for step in steps {
            match step {
                Step::Insert(number) => {
                    let name = name_of(number);
                    if find(&names, &name).is_none() {
                        names.reserve().unwrap();
                        let cookie = names.next_cookie;
                        names.insert(bad_key(&name), name);
                        prop_assert!(model.insert(number, cookie).is_none());
                    }
                }
                Step::Remove(number) => {
                    let name = name_of(number);
                    let found = find(&names, &name);
                    prop_assert_eq!(found.is_some(), model.remove(&number).is_some());
                    if let Some(position) = found {
                        prop_assert_eq!(names.remove(position), name);
                    }
                }
                Step::List(from) => {
                    let listed: Vec<_> = names.from(from.into()).collect();
                    let mut expected: Vec<_> = model.iter().map(|(n, &c)| (c, name_of(*n))).collect();
                    expected.sort();
                    expected.retain(|(cookie, _)| *cookie >= from.into());
                    let listed: Vec<_> = listed.into_iter().map(|(c, n)| (c, n.clone())).collect();
                    prop_assert_eq!(listed, expected);
                }
            }
            prop_assert_eq!(names.len(), model.len());
        }
        for number in 0..60 {
            prop_assert_eq!(find(&names, &name_of(number)).is_some(), model.contains_key(&number));
        }
    }
}

#[test]
fn a_hundred_thousand_names_are_found_and_go_in_order() {
    let mut names = Names::<String>::default();
    let all: Vec<String> = (0..100_000).map(|number| format!("file-{number}")).collect();
    for name in &all {
        names.reserve().unwrap();
        names.insert(Key::of(name.as_bytes()), name.clone());
    }
    let position = |names: &Names<String>, name: &String| {
        names.find(Key::of(name.as_bytes()), |other| other == name)
    };
    assert!(all.iter().all(|name| position(&names, name).is_some()));
    for name in &all {
        let at = position(&names, name).unwrap();
        names.remove(at);
    }
    assert!(names.is_empty() && names.slots.is_empty());
}

#[test]
fn cookies_that_run_out_are_given_anew() {
    let mut names = Names::<u8>::default();
    for value in 0..3 {
        names.reserve().unwrap();
        names.insert(Key::of(&[value + 1]), value);
    }
    names.next_cookie = END_COOKIE;
    names.reserve().unwrap();
    names.insert(Key::of(&[9]), 9);
    let listed: Vec<_> = names.from(0).map(|(cookie, &value)| (cookie, value)).collect();
    assert_eq!(listed, [(3, 0), (4, 1), (5, 2), (6, 9)]);
}

#[test]
fn a_key_is_whole_up_to_seven_bytes_and_no_two_of_those_are_the_same() {
    let name = b"abcdefghijklmnopqrstuvwxyz";
    for length in 1..=20 {
        assert_eq!(Key::of(&name[..length]).is_whole(), length < 8);
        for start in 0..=name.len() - length {
            let expected = name[start..][..length.min(8)].iter().rev();
            let head = expected.fold(0, |word, &byte| word << 8 | u64::from(byte));
            assert_eq!(Key::of(&name[start..][..length]).head, head);
        }
    }
    let keys = (1..=20).map(|length| Key::of(&name[..length]).hash);
    assert_eq!(keys.collect::<std::collections::BTreeSet<_>>().len(), 20);
}
