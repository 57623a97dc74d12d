//! Why /dev/kvm cannot be used, and what helps: called by [`super::vm::open`]
//! when it could not open it.
//!
//! [`advice`] is a pure function of what was found ([`Found`]); only
//! [`Found::look`] asks the host. What cannot help is not said: there is no use
//! in joining a group that may not open the node either, and none in talking of
//! firmware to who sits in a container.

use super::Maker;
use std::arch::x86_64::__cpuid;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// The node.
const PATH: &str = "/dev/kvm";
/// Its device number: "misc" (10), KVM_MINOR (Linux, include/linux/miscdevice.h).
const DEVICE: (u32, u32) = (10, 232);

/// Reading and writing, for one class of users: what KVM's clients ask for.
const READ_WRITE: u32 = 0o6;

/// The node /dev/kvm as stat(2) has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Whether it is KVM's device, and not something that covers it.
    pub(crate) is_kvm: bool,
    /// Its owner's number.
    pub(crate) uid: u32,
    /// Its group's number.
    pub(crate) gid: u32,
    /// Its permission bits.
    pub(crate) mode: u32,
}

/// A group of the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its name.
    pub(crate) name: String,
    /// Its number.
    pub(crate) gid: u32,
    /// Whether the caller is listed as a member.
    pub(crate) has_caller: bool,
}

/// What decides about the advice.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The node, if there is one.
    pub(crate) node: Option<Node>,
    /// The caller's user number.
    pub(crate) uid: u32,
    /// The caller's group numbers.
    pub(crate) groups: Vec<u32>,
    /// The node's group in /etc/group.
    pub(crate) group: Option<Group>,
    /// The group that usually owns the node.
    pub(crate) kvm_group: Option<Group>,
    /// Whether the host's Linux has KVM's device, with a node here or without.
    pub(crate) registered: bool,
    /// Whether this is a container.
    pub(crate) container: bool,
    /// Whether the CPU says that it has VMX or SVM.
    pub(crate) virtualises: bool,
    /// Whether the CPU says that it is a virtual machine's.
    pub(crate) is_virtual: bool,
    /// Who made it.
    pub(crate) maker: Maker,
}

/// What to do about open(2)'s failure of that kind.
pub(crate) fn advice(kind: io::ErrorKind, raw: Option<i32>, found: &Found) -> String {
    let covered = found.node.as_ref().is_some_and(|node| !node.is_kvm);
    match kind {
        _ if covered && found.container => CONTAINER.to_owned(),
        _ if covered => "something else is mounted or made there: sudo umount /dev/kvm, or \
                         sudo rm /dev/kvm && sudo mknod /dev/kvm c 10 232"
            .to_owned(),
        io::ErrorKind::NotFound if found.container => CONTAINER.to_owned(),
        // A chroot, or a /dev that nobody fills: no module makes a node there.
        io::ErrorKind::NotFound if found.registered => {
            "KVM's driver is there and its node is not: sudo mknod /dev/kvm c 10 232".to_owned()
        }
        io::ErrorKind::NotFound => no_driver(found),
        io::ErrorKind::PermissionDenied => permission(found),
        _ if matches!(raw, Some(libc::ENXIO | libc::ENODEV)) && found.container => {
            "this is a container, and the host has no KVM driver loaded: have one loaded there, or \
             take a host that has KVM"
                .to_owned()
        }
        _ if matches!(raw, Some(libc::ENXIO | libc::ENODEV)) => no_driver(found),
        _ => "'dmesg | grep -i kvm' may say more".to_owned(),
    }
}

const CONTAINER: &str = "this is a container, and its /dev/kvm is not the host's: start it with \
                         '--device /dev/kvm' (docker, podman)";

/// There is no such device, and nobody hides it.
fn no_driver(found: &Found) -> String {
    let module = match found.maker {
        Maker::Intel => "kvm_intel",
        Maker::Amd => "kvm_amd",
    };
    if found.virtualises {
        format!("load KVM's module: sudo modprobe {module}")
    } else if found.is_virtual {
        "this is a virtual machine whose CPU cannot virtualise: turn nested virtualisation on, on \
         the host above it, or take a machine that has it"
            .to_owned()
    } else {
        let name = match found.maker {
            Maker::Intel => "VT-x",
            Maker::Amd => "AMD-V, SVM",
        };
        format!("enable virtualisation ({name}) in the firmware, then: sudo modprobe {module}")
    }
}

/// The node is there and may not be opened.
fn permission(found: &Found) -> String {
    let Some(node) = &found.node else {
        return "its directory may not be searched: look at the modes of / and /dev".to_owned();
    };
    let class = |shift: u32| node.mode >> shift & READ_WRITE == READ_WRITE;
    let (owner, group, others) = (class(6), class(3), class(0));
    let may = match () {
        // Root needs no bit, if it is the root that the node knows.
        _ if found.uid == 0 && node.uid == 0 => true,
        _ if found.uid == node.uid => owner,
        _ if found.groups.contains(&node.gid) => group,
        _ => others,
    };
    if may && found.container {
        return "its mode allows it, so the container's rules for devices refuse it: start it with \
                '--device /dev/kvm' (docker, podman)"
            .to_owned();
    }
    if may {
        return "its mode allows it, so something else refuses: an ACL (getfacl /dev/kvm), the \
                service's device rules (systemd: DeviceAllow=/dev/kvm), SELinux or AppArmor"
            .to_owned();
    }
    // Root's group is no group to join.
    if group && node.gid != 0 {
        let number = node.gid.to_string();
        let name = found.group.as_ref().map_or(number.as_str(), |group| &group.name);
        return match &found.group {
            _ if found.container => format!(
                "only its group may open it: start the container with '--group-add {number}' (podman: \
                 '--group-add keep-groups')"
            ),
            Some(group) if group.has_caller => format!(
                "you are in the group {name}, and this session began before that: log in again, \
                 or run 'newgrp {name}'"
            ),
            _ => {
                format!("join the group that may: sudo usermod -aG {name} $USER, then log in again")
            }
        };
    }
    let (uid, gid, mode) = (node.uid, node.gid, node.mode & 0o7777);
    let owned = format!("only user {uid} may open it (owner {uid}:{gid}, mode {mode:04o})");
    if found.container {
        return format!(
            "{owned}: run as that user here, or give the node on the host a group, and the \
             container that group (docker, podman: '--group-add')"
        );
    }
    let rule = r#"KERNEL=="kvm", GROUP="kvm", MODE="0660" in /etc/udev/rules.d/60-kvm.rules"#;
    match &found.kvm_group {
        Some(kvm) if kvm.has_caller => format!(
            "{owned}, not even its group: sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm; for \
             good, the udev rule {rule}"
        ),
        known => {
            // udev ignores a group that is not there.
            let add = if known.is_none() { "sudo groupadd --system kvm first, then " } else { "" };
            format!(
                "{owned}, so no group helps: sudo setfacl -m u:$USER:rw /dev/kvm (until the next \
                 boot); for good, {add}be in the group kvm and add the udev rule {rule}"
            )
        }
    }
}

impl Found {
    /// Asks the host.
    pub(crate) fn look() -> Found {
        let node = fs::metadata(PATH).ok().map(|metadata| Node {
            is_kvm: metadata.file_type().is_char_device() && device(metadata.rdev()) == DEVICE,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode(),
        });
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let (uid, groups) = caller(&status);
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let known = groups_in(&text("/etc/group"), user_name(&text("/etc/passwd"), uid));
        let group = |wanted: &dyn Fn(&Group) -> bool| known.iter().find(|g| wanted(g)).cloned();
        Found {
            group: node.as_ref().and_then(|node| group(&|g| g.gid == node.gid)),
            kvm_group: group(&|g| g.name == "kvm"),
            node,
            uid,
            groups,
            registered: Path::new("/sys/class/misc/kvm").exists(),
            container: is_container(),
            virtualises: __cpuid(1).ecx & 1 << 5 != 0 || __cpuid(0x8000_0001).ecx & 1 << 2 != 0,
            // Reserved for hypervisors: 1 in a virtual machine.
            is_virtual: __cpuid(1).ecx & 1 << 31 != 0,
            maker: Maker::of_this_cpu(),
        }
    }
}

/// Major and minor number, makedev(3).
fn device(number: u64) -> (u32, u32) {
    (libc::major(number), libc::minor(number))
}

/// The effective user and all groups, from proc_pid_status(5).
fn caller(status: &str) -> (u32, Vec<u32>) {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().split_whitespace().filter_map(|word| word.parse().ok())
    };
    // Real, effective, saved, of file systems.
    let uid = field("Uid").nth(1).unwrap_or(u32::MAX);
    (uid, field("Gid").nth(1).into_iter().chain(field("Groups")).collect())
}

/// The user's name in `users`, which is as passwd(5) has it.
fn user_name(users: &str, uid: u32) -> Option<&str> {
    let uid = uid.to_string();
    let found = users.lines().find(|line| line.split(':').nth(2) == Some(&uid))?;
    found.split(':').next().filter(|name| !name.is_empty())
}

/// What `text` has, which is as group(5), with whether `user` is in each.
fn groups_in(text: &str, user: Option<&str>) -> Vec<Group> {
    let parse = |line: &str| {
        let mut fields = line.split(':');
        let (name, gid) = (fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?);
        let has_caller = fields.next()?.split(',').any(|member| Some(member) == user);
        Some(Group { name, gid, has_caller })
    };
    text.lines().filter_map(parse).collect()
}

/// Whether this is a container: by the marks that their makers leave in them.
fn is_container() -> bool {
    let marks = ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"];
    let named = ["container", "KUBERNETES_SERVICE_HOST"];
    let groups = fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    marks.iter().any(|mark| Path::new(mark).exists())
        || named.iter().any(|name| std::env::var_os(name).is_some())
        || ["docker", "kubepods", "libpod", "lxc", "containerd"]
            .iter()
            .any(|maker| groups.contains(maker))
}

#[cfg(test)]
mod tests {
    use super::*;
    use io::ErrorKind::{NotFound, PermissionDenied};

    /// A user of no group on bare metal, with this node.
    fn found(node: Option<(u32, u32, u32)>) -> Found {
        Found {
            node: node.map(|(uid, gid, mode)| Node { is_kvm: true, uid, gid, mode }),
            uid: 1000,
            groups: vec![1000],
            group: None,
            kvm_group: None,
            registered: false,
            container: false,
            virtualises: true,
            is_virtual: false,
            maker: Maker::Intel,
        }
    }

    fn kvm(has_caller: bool) -> Option<Group> {
        Some(Group { name: "kvm".to_owned(), gid: 104, has_caller })
    }

    #[track_caller]
    fn says(kind: io::ErrorKind, found: &Found, wanted: &[&str], not: &[&str]) {
        let text = advice(kind, None, found);
        assert!(!text.contains('\n') && !text.contains("doctor"), "{text}");
        for words in wanted {
            assert!(text.contains(words), "no {words:?} in {text:?}");
        }
        for words in not {
            assert!(!text.contains(words), "{words:?} in {text:?}");
        }
    }

    #[test]
    fn who_may_join_the_group_is_told_to() {
        let mut found = found(Some((0, 104, 0o20660)));
        found.group = kvm(false);
        says(PermissionDenied, &found, &["usermod -aG kvm"], &["setfacl"]);
        // By number, where the group has no name.
        found.group = None;
        says(PermissionDenied, &found, &["usermod -aG 104"], &[]);
        found.group = kvm(true);
        says(PermissionDenied, &found, &["newgrp kvm", "log in again"], &["usermod"]);
    }

    #[test]
    fn where_no_group_may_usermod_is_not_said() {
        let mut found = found(Some((0, 0, 0o20600)));
        let not = ["usermod", "newgrp"];
        let rule = ["0600", "setfacl", "udev", "MODE=\"0660\""];
        says(PermissionDenied, &found, &[&rule[..], &["groupadd"]].concat(), &not);
        found.kvm_group = kvm(false);
        says(PermissionDenied, &found, &rule, &["usermod", "newgrp", "groupadd"]);
        found.kvm_group = kvm(true);
        says(PermissionDenied, &found, &["chgrp kvm", "chmod 660", "udev"], &not);
        // Nor where the group's bits do not reach, nor where it is root's.
        for (gid, mode) in [(104, 0o20600), (104, 0o20640), (0, 0o20660)] {
            found.node = Some(Node { is_kvm: true, uid: 0, gid, mode });
            says(PermissionDenied, &found, &["udev"], &not);
        }
    }

    #[test]
    fn what_the_mode_allows_something_else_refuses() {
        let mut found = found(Some((0, 104, 0o20666)));
        says(PermissionDenied, &found, &["ACL", "DeviceAllow"], &["usermod", "chmod"]);
        found.container = true;
        says(PermissionDenied, &found, &["--device /dev/kvm"], &["usermod", "firmware"]);
        found.uid = 0;
        found.node = Some(Node { is_kvm: true, uid: 0, gid: 0, mode: 0o20600 });
        says(PermissionDenied, &found, &["--device /dev/kvm"], &["setfacl"]);
    }

    #[test]
    fn a_container_is_told_of_its_own_options() {
        let mut found = found(None);
        found.container = true;
        let not = ["firmware", "modprobe", "usermod", "nested"];
        says(NotFound, &found, &["--device /dev/kvm"], &not);
        // Covered by /dev/null, as runtimes mask what they hide.
        found.node = Some(Node { is_kvm: false, uid: 0, gid: 0, mode: 0o20666 });
        says(io::ErrorKind::Other, &found, &["--device /dev/kvm"], &not);
        found.node = Some(Node { is_kvm: true, uid: 0, gid: 104, mode: 0o20660 });
        says(PermissionDenied, &found, &["--group-add 104"], &not);
        found.node = Some(Node { is_kvm: true, uid: 0, gid: 0, mode: 0o20600 });
        says(PermissionDenied, &found, &["--group-add"], &not);
        // A node that was passed on, and nothing behind it on the host.
        for number in [libc::ENXIO, libc::ENODEV] {
            let text = advice(io::ErrorKind::Other, Some(number), &found);
            assert!(text.contains("the host has no KVM driver loaded"), "{text}");
            assert!(!not.iter().any(|words| text.contains(words)), "{text}");
        }
    }

    #[test]
    fn where_only_the_node_is_missing_it_is_made() {
        let mut found = found(None);
        found.registered = true;
        says(NotFound, &found, &["mknod /dev/kvm c 10 232"], &["modprobe", "firmware"]);
        // Something else at its place.
        found.node = Some(Node { is_kvm: false, uid: 0, gid: 0, mode: 0o100_644 });
        let wanted = ["umount", "rm /dev/kvm && sudo mknod /dev/kvm c 10 232"];
        says(io::ErrorKind::Other, &found, &wanted, &["module"]);
    }

    #[test]
    fn without_a_node_the_machine_decides() {
        let mut found = found(None);
        says(NotFound, &found, &["modprobe kvm_intel"], &["firmware", "nested", "--device"]);
        found.maker = Maker::Amd;
        found.virtualises = false;
        says(NotFound, &found, &["firmware", "modprobe kvm_amd"], &["nested", "--device"]);
        found.is_virtual = true;
        says(NotFound, &found, &["nested"], &["firmware", "modprobe", "--device"]);
        // A node without a driver behind it.
        found.node = Some(Node { is_kvm: true, uid: 0, gid: 104, mode: 0o20660 });
        assert!(advice(io::ErrorKind::Other, Some(libc::ENXIO), &found).contains("nested"));
    }

    #[test]
    fn who_has_no_name_is_in_no_group() {
        let users = "root:x:0:0::/root:/bin/sh\njo:x:1000:1000::/:/bin/sh\n";
        let groups = "root:x:0:\nkvm:x:104:\nstaff:x:50:ann,jo\n";
        let of = |uid| {
            let groups = groups_in(groups, user_name(users, uid));
            let names = groups.into_iter().filter(|group| group.has_caller);
            names.map(|group| group.name).collect::<Vec<_>>()
        };
        assert_eq!(user_name(users, 1000), Some("jo"));
        assert_eq!(user_name(users, 4711), None);
        assert_eq!(of(1000), ["staff"]);
        // An empty list of members has no member without a name.
        assert!(of(4711).is_empty());
        let groups = groups_in(groups, None);
        assert_eq!((groups.len(), groups[1].gid), (3, 104));
    }

    #[test]
    fn the_callers_numbers_are_the_effective_ones() {
        let status = "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \n";
        assert_eq!(caller(status), (2, vec![6, 9, 10]));
        assert_eq!(caller(""), (u32::MAX, vec![]));
    }
}
