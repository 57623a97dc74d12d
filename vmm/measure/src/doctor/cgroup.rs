//! Why making a VM may wait: the lock of Linux's control groups.
//!
//! KVM_CREATE_VM begins a kernel thread for each VM and puts it into its maker's
//! control groups (up to about Linux 6.12). For that it takes a lock for writing
//! which is made for readers, and waits until no CPU can be reading: RCU's grace
//! period, some 10 ms in which nobody runs. Where a hierarchy of control groups is
//! mounted with `favordynmods` (from Linux 6.0 on), the lock is made for writers
//! instead; fork and exit then cost a little more.
//!
//! Called by [`super::examine`].

use kvm_ioctls::Kvm;
use std::time::{Duration, Instant};

/// From here on it was not KVM's own work: that is below 1 ms.
const LONG: Duration = Duration::from_millis(4);

/// The option, as mountinfo has it.
const OPTION: &str = "favordynmods";

/// How long making a VM waits, if it does so each time.
pub(super) fn wait(kvm: &Kvm) -> Option<Duration> {
    let mut least = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        let vm = kvm.create_vm().ok()?;
        least = least.min(start.elapsed());
        drop(vm);
        if least < LONG {
            return None;
        }
    }
    Some(least)
}

/// The command, for root, that makes it wait no more; `None` if `mountinfo`, a
/// /proc/self/mountinfo (proc_pid_mountinfo(5)), has that option already.
pub(super) fn command(mountinfo: &str) -> Option<String> {
    // … mount point, its options, optional fields, "-", type, source, options.
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        let mut system = system.split(' ');
        let (kind, options) = (system.next()?, system.nth(1)?);
        Some((mount.split(' ').nth(4)?, kind, options))
    });
    let groups: Vec<_> =
        mounts.filter(|(_, kind, _)| matches!(*kind, "cgroup" | "cgroup2")).collect();
    if groups.iter().any(|(_, _, options)| options.split(',').any(|option| option == OPTION)) {
        return None;
    }
    let second = groups.iter().find(|(_, kind, _)| *kind == "cgroup2");
    Some(match second {
        Some((place, ..)) => format!("mount -o remount,{OPTION} {place}"),
        None => format!("mount -t cgroup2 -o {OPTION} none /sys/fs/cgroup"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n";

    /// mountinfo of a host with these mounts of control groups, too.
    fn command_beside(groups: &str) -> Option<String> {
        command(&format!("{ROOT}{groups}\n23 22 0:5 / /proc rw shared:2 - proc proc rw"))
    }

    #[test]
    fn cgroup2_without_the_option_is_mounted_anew_where_it_is() {
        let remount = command_beside(
            "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate",
        );
        assert_eq!(remount.as_deref(), Some("mount -o remount,favordynmods /sys/fs/cgroup"));
        let hybrid = "31 22 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      32 22 0:28 / /sys/fs/cgroup/unified rw master:4 shared:3 - cgroup2 c rw";
        assert_eq!(
            command_beside(hybrid).as_deref(),
            Some("mount -o remount,favordynmods /sys/fs/cgroup/unified")
        );
    }

    #[test]
    fn where_none_is_mounted_one_can_be() {
        let mount = "mount -t cgroup2 -o favordynmods none /sys/fs/cgroup";
        assert_eq!(command_beside("").as_deref(), Some(mount));
        assert_eq!(command("").as_deref(), Some(mount));
        assert_eq!(command("not - a mountinfo\n - cgroup2").as_deref(), Some(mount));
    }

    #[test]
    fn with_the_option_there_is_nothing_to_say() {
        let with = "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate,favordynmods";
        assert_eq!(command_beside(with), None);
        // Of the first version, too: the lock is the same.
        let first = "30 22 0:26 / /sys/fs/cgroup/pids rw - cgroup none rw,favordynmods,pids";
        assert_eq!(command_beside(first), None);
        // Its name alone in another place is not it.
        let other = "30 22 0:26 / /favordynmods rw,favordynmods - tmpfs favordynmods rw";
        assert!(command_beside(other).is_some());
    }
}
