//! What system this is, as uname(2) and proc(5) tell it.

use trapgate_uapi::utsname::{Name, NewUtsname};

const fn name(text: &str) -> Name {
    let mut field = [0; 65];
    let mut index = 0;
    while index < text.len() {
        field[index] = text.as_bytes()[index];
        index += 1;
    }
    field
}

/// What the program is told: a Linux whose interface this kernel follows.
pub static UTSNAME: NewUtsname = utsname("x86_64");
/// The same for one that believes to be on 32-bit Linux (personality(2)).
pub static UTSNAME32: NewUtsname = utsname("i686");

const fn utsname(machine: &str) -> NewUtsname {
    NewUtsname {
        sysname: name("Linux"),
        nodename: name("trapgate"),
        release: name("6.12.0-trapgate"),
        version: name(concat!("#1 trapgate ", env!("CARGO_PKG_VERSION"))),
        machine: name(machine),
        domainname: name("(none)"),
    }
}

/// A name without its NULs.
pub fn text(name: &Name) -> &str {
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    str::from_utf8(&name[..length]).unwrap_or_default()
}
