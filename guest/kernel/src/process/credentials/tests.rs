//! Capabilities as the user changes.

use super::*;

fn set(ids: &mut Ids, three: [Option<u32>; 3]) -> Result<(), Errno> {
    ids.change_user(|users, anybody| users.set_three(three, anybody))
}

#[test]
fn capabilities_go_with_root_and_come_back_with_its_saved_number() {
    let mut ids = Ids::ROOT;
    assert_eq!(set(&mut ids, [None, Some(5), None]), Ok(()));
    assert_eq!((ids.effective, ids.permitted), (Capabilities::NONE, Capabilities::ALL));
    assert_eq!(set(&mut ids, [Some(7), None, None]), Err(Errno::EPERM));
    assert_eq!(set(&mut ids, [None, Some(0), None]), Ok(()));
    assert_eq!(ids.effective, Capabilities::ALL);
    assert_eq!(set(&mut ids, [Some(5); 3]), Ok(()));
    assert_eq!((ids.effective, ids.permitted), (Capabilities::NONE, Capabilities::NONE));
    assert_eq!(set(&mut ids, [None, Some(0), None]), Err(Errno::EPERM));
}

#[test]
fn kept_capabilities_stay_permitted_until_the_next_program() {
    let mut ids = Ids { keeps_capabilities: true, ..Ids::ROOT };
    set(&mut ids, [Some(5); 3]).unwrap();
    assert_eq!((ids.effective, ids.permitted), (Capabilities::NONE, Capabilities::ALL));
    ids.set_capabilities(Capabilities::of(&[CAP_CHOWN]), Capabilities::ALL, Capabilities::NONE)
        .unwrap();
    assert!(ids.effective.has(CAP_CHOWN));
    ids.begin_program();
    assert_eq!((ids.effective, ids.permitted), (Capabilities::NONE, Capabilities::NONE));
    assert!(!ids.keeps_capabilities);
}

#[test]
fn the_user_for_files_has_capabilities_of_its_own() {
    let mut ids = Ids::ROOT;
    ids.change_user_for_files(5);
    assert_eq!(ids.effective, Capabilities::ALL.without(FOR_FILES));
    ids.change_user_for_files(0);
    assert_eq!(ids.effective, Capabilities::ALL);
}

#[test]
fn capabilities_that_were_given_up_do_not_come_back() {
    let mut ids = Ids::ROOT;
    let (none, all) = (Capabilities::NONE, Capabilities::ALL);
    let few = Capabilities::of(&[CAP_CHOWN, CAP_SETUID]);
    assert_eq!(ids.set_capabilities(all, few, none), Err(Errno::EPERM));
    assert_eq!(ids.set_capabilities(few, few, all), Ok(()));
    assert_eq!(ids.set_capabilities(few, all, none), Err(Errno::EPERM));
    // As with PR_SET_NO_NEW_PRIVS: root's programs get no more, either.
    ids.begin_program();
    assert_eq!((ids.effective, ids.permitted), (few, few));
    assert_eq!(ids.drop_bounding(CAP_CHOWN), Err(Errno::EPERM));
}

#[test]
fn a_program_without_rights_is_bound() {
    let mut ids = Ids::ROOT;
    ids.drop_bounding(CAP_CHOWN).unwrap();
    assert!(ids.permitted.has(CAP_CHOWN));
    ids.begin_program();
    assert!(!ids.permitted.has(CAP_CHOWN) && ids.effective.has(CAP_SETUID));
}

#[test]
fn who_acts_as_its_real_user_has_that_ones_rights_until_it_ends() {
    let credentials = TaskCredentials::first(&User::ROOT).unwrap();
    let user = || (credentials.for_files().uid(), credentials.for_files().capabilities());
    let to = |ids: &mut Ids| set(ids, [None, Some(5), None]);
    credentials.change(to).unwrap();
    assert_eq!(user(), (5, Capabilities::NONE));
    let as_real = credentials.as_real();
    assert_eq!(user(), (0, Capabilities::ALL));
    drop(as_real);
    assert_eq!(user(), (5, Capabilities::NONE));
    let refused = credentials.change(|ids| {
        ids.users.files = 9;
        Err(Errno::EPERM)
    });
    assert_eq!((refused, user().0), (Err(Errno::EPERM), 5));
}
