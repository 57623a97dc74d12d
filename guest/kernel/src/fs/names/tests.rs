//! Names, against a plain map.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Finds a name, of a directory whose hashes collide much.
fn find(names: &Names<String>, name: &str) -> Option<Position> {
    names.find(bad_hash(name), |other| other == name)
}

fn bad_hash(name: &str) -> u32 {
    hash(name.as_bytes()) % 7
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
                    let name = number.to_string();
                    if find(&names, &name).is_none() {
                        names.reserve().unwrap();
                        let cookie = names.next_cookie;
                        names.insert(bad_hash(&name), name);
                        prop_assert!(model.insert(number, cookie).is_none());
                    }
                }
                Step::Remove(number) => {
                    let name = number.to_string();
                    let found = find(&names, &name);
                    prop_assert_eq!(found.is_some(), model.remove(&number).is_some());
                    if let Some(position) = found {
                        prop_assert_eq!(names.remove(position), name);
                    }
                }
                Step::List(from) => {
                    let listed: Vec<_> = names.from(from.into()).collect();
                    let mut expected: Vec<_> = model.iter().map(|(n, &c)| (c, n.to_string())).collect();
                    expected.sort();
                    expected.retain(|(cookie, _)| *cookie >= from.into());
                    let listed: Vec<_> = listed.into_iter().map(|(c, n)| (c, n.clone())).collect();
                    prop_assert_eq!(listed, expected);
                }
            }
            prop_assert_eq!(names.len(), model.len());
        }
        for number in 0..60 {
            prop_assert_eq!(find(&names, &number.to_string()).is_some(), model.contains_key(&number));
        }
    }
}

#[test]
fn a_hundred_thousand_names_are_found_and_go_in_order() {
    let mut names = Names::<String>::default();
    let all: Vec<String> = (0..100_000).map(|number| format!("file-{number}")).collect();
    for name in &all {
        names.reserve().unwrap();
        names.insert(hash(name.as_bytes()), name.clone());
    }
    let position = |names: &Names<String>, name: &String| {
        names.find(hash(name.as_bytes()), |other| other == name)
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
        names.insert(value.into(), value);
    }
    names.next_cookie = END_COOKIE;
    names.reserve().unwrap();
    names.insert(9, 9);
    let listed: Vec<_> = names.from(0).map(|(cookie, &value)| (cookie, value)).collect();
    assert_eq!(listed, [(3, 0), (4, 1), (5, 2), (6, 9)]);
}
