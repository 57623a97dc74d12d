//! linux/utsname.h: the three forms of uname(2). i386 has all of them, x86-64
//! the last.

use crate::macros::{same_layout, structure};

/// A name of uname(2), padded with NULs.
pub type Name = [u8; 65];
/// The same in uname(2)'s first form.
pub type ShortName = [u8; 9];

structure! {
    /// `struct new_utsname`.
    pub struct NewUtsname: 390 {
        pub sysname: Name,
        pub nodename: Name,
        pub release: Name,
        pub version: Name,
        pub machine: Name,
        pub domainname: Name,
    }
}
same_layout!(NewUtsname = system::new_utsname {
    sysname nodename release version machine domainname
});

structure! {
    /// `struct old_utsname`: no domain.
    pub struct OldUtsname: 325 {
        pub sysname: Name,
        pub nodename: Name,
        pub release: Name,
        pub version: Name,
        pub machine: Name,
    }
}
same_layout!(OldUtsname = system::old_utsname { sysname nodename release version machine });

structure! {
    /// `struct oldold_utsname`: eight characters a name.
    #[derive(Default)]
    pub struct OldoldUtsname: 45 {
        pub sysname: ShortName,
        pub nodename: ShortName,
        pub release: ShortName,
        pub version: ShortName,
        pub machine: ShortName,
    }
}
same_layout!(OldoldUtsname = system::oldold_utsname { sysname nodename release version machine });

impl From<&NewUtsname> for OldUtsname {
    fn from(names: &NewUtsname) -> Self {
        let NewUtsname { sysname, nodename, release, version, machine, .. } = *names;
        OldUtsname { sysname, nodename, release, version, machine }
    }
}

impl From<&NewUtsname> for OldoldUtsname {
    fn from(names: &NewUtsname) -> Self {
        let [sysname, nodename, release, version, machine] =
            [&names.sysname, &names.nodename, &names.release, &names.version, &names.machine]
                .map(shorten);
        OldoldUtsname { sysname, nodename, release, version, machine }
    }
}

/// Eight characters of a name, and a NUL.
fn shorten(name: &Name) -> ShortName {
    let mut short = ShortName::default();
    short[..8].copy_from_slice(&name[..8]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        let mut name = [0; 65];
        name[..text.len()].copy_from_slice(text.as_bytes());
        name
    }

    #[test]
    fn the_first_uname_has_eight_characters_of_each_name() {
        assert_eq!(&shorten(&name("Linux")), b"Linux\0\0\0\0");
        assert_eq!(&shorten(&name("6.12.0-trapgate")), b"6.12.0-t\0");
    }
}
