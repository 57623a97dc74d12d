//! Who a program is: `USER[:GROUP]`, by numbers or by the names that the root has for them
//! (passwd(5), group(5)).

use super::config::quoted;
use super::tree::Tree;
use crate::Error;
use trapgate_abi::boot_info::{MAX_GROUPS, User};

/// A user with what the root says of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) numbers: User,
    pub(super) home: Vec<u8>,
}

impl Known {
    /// Root, of which nothing is known.
    pub(super) fn root() -> Known {
        Known { numbers: User::ROOT, home: b"/".to_vec() }
    }
}

/// The user that a text means; an empty one means root.
///
/// # Errors
/// [`Error::Input`] for a name that the root does not have.
pub(super) fn find(text: &str, tree: &Tree) -> Result<Known, Error> {
    let read = |path: &str| tree.read_file(path.as_bytes()).unwrap_or_default();
    let text = if text.is_empty() { "0" } else { text };
    known(text, &read("/etc/passwd"), &read("/etc/group"))
}

/// A user as these files have it.
fn known(text: &str, passwd: &[u8], group: &[u8]) -> Result<Known, Error> {
    let (name, group_name) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    // name:password:UID:GID:comment:directory:shell
    let line = lines(passwd).find(|fields| is(fields, name));
    let user = match (&line, number(name.as_bytes())) {
        (_, Some(number)) => number,
        (Some(fields), None) => field(fields, 2).ok_or_else(|| unknown(name, "/etc/passwd"))?,
        (None, None) => return Err(unknown(name, "/etc/passwd")),
    };
    let line = line.or_else(|| lines(passwd).find(|fields| field(fields, 2) == Some(user)));
    let own = line.as_ref().and_then(|fields| field(fields, 3)).unwrap_or(0);
    let mut numbers = User { user, group: own, ..User::ROOT };
    match group_name {
        Some(given) => {
            let line = lines(group).find(|fields| is(fields, given));
            let of_line = line.and_then(|fields| field(&fields, 2));
            let number = number(given.as_bytes()).or(of_line);
            numbers.group = number.ok_or_else(|| unknown(given, "/etc/group"))?;
        }
        None => {
            // name:password:GID:members
            let name = line.as_ref().and_then(|fields| fields.first().copied());
            let has = |fields: &[&[u8]]| {
                let members = fields.get(3).copied().unwrap_or_default();
                name.is_some_and(|name| members.split(|byte| *byte == b',').any(|one| one == name))
            };
            let others = lines(group).filter(|fields| has(fields));
            let others = others.filter_map(|fields| field(&fields, 2)).filter(|id| *id != own);
            for (to, id) in numbers.groups.iter_mut().zip(others.take(MAX_GROUPS)) {
                *to = id;
                numbers.group_count += 1;
            }
        }
    }
    let home = line.and_then(|fields| fields.get(5).copied()).filter(|home| !home.is_empty());
    Ok(Known { numbers, home: home.unwrap_or(b"/").to_vec() })
}

/// The fields of each line.
fn lines(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| line.split(|byte| *byte == b':').take(7).collect())
}

fn is(fields: &[&[u8]], name: &str) -> bool {
    fields.first() == Some(&name.as_bytes())
}

/// The number in a field.
fn field(fields: &[&[u8]], at: usize) -> Option<u32> {
    number(fields.get(at)?)
}

/// A user's or a group's number: the highest is nobody's (`-1`).
fn number(text: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'))?;
    digits.parse().ok().filter(|number| *number != u32::MAX)
}

fn unknown(name: &str, file: &'static str) -> Error {
    let reason = match file {
        "/etc/passwd" => "is no number, and the root's /etc/passwd has none of that name",
        _ => "is no number, and the root's /etc/group has none of that name",
    };
    Error::Input { what: format!("the user or group {}", quoted(name.as_bytes())), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nbad\nweb:x:33:34::/var/www:\nx:x:y:z\n";
    const GROUP: &[u8] = b"root:x:0:\nwww:x:34:\nlogs:x:50:a,web\nweb:x:51:web\nmail:x:8:webb\n";

    fn numbers(text: &str) -> (u32, u32, Vec<u32>, String) {
        let Known { numbers, home } = known(text, PASSWD, GROUP).unwrap();
        let groups = numbers.groups[..numbers.group_count as usize].to_vec();
        (numbers.user, numbers.group, groups, String::from_utf8(home).unwrap())
    }

    #[test]
    fn users_and_groups_are_numbers_or_names_that_the_root_has() {
        for (text, user, group, groups, home) in [
            ("0", 0, 0, vec![], "/root"),
            ("root", 0, 0, vec![], "/root"),
            ("web", 33, 34, vec![50, 51], "/var/www"),
            ("33", 33, 34, vec![50, 51], "/var/www"),
            ("web:", 33, 34, vec![50, 51], "/var/www"),
            ("web:logs", 33, 50, vec![], "/var/www"),
            ("web:7", 33, 7, vec![], "/var/www"),
            ("1000", 1000, 0, vec![], "/"),
            ("1000:1001", 1000, 1001, vec![], "/"),
        ] {
            assert_eq!(numbers(text), (user, group, groups, home.to_owned()), "{text}");
        }
    }

    #[test]
    fn who_is_not_there_is_said() {
        for (text, part) in [
            ("none", "'none' is no number, and the root's /etc/passwd"),
            ("x", "'x' is no number"),
            ("bad", "'bad' is no number"),
            ("+1", "'+1' is no number"),
            ("4294967295", "'4294967295' is no number"),
            (":5", "'' is no number"),
            ("web:none", "'none' is no number, and the root's /etc/group"),
        ] {
            let error = known(text, PASSWD, GROUP).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(known("web", b"", b"").is_err());
    }

    #[test]
    fn who_is_in_many_groups_is_in_as_many_as_there_is_room_for() {
        let group: String = (100..200).map(|id| format!("g{id}:x:{id}:web\n")).collect();
        let known = known("web", PASSWD, group.as_bytes()).unwrap();
        assert_eq!((known.numbers.group_count, known.numbers.groups[31]), (32, 131));
    }
}
