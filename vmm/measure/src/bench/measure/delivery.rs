//! How a measured door arrived: told from what became of the probe, and from what
//! doctor found out. Pure; called by `probed`.

use crate::bench::measure::probe::ProbeError;
use crate::bench::record::Place;
use crate::doors::Delivery;
use trapgate::doors::Door;

/// Of a guest whose probe made its calls, with the kernel's count of them:
/// native, trapped. How an exception that brought them is called, doctor has
/// found out.
pub(crate) fn of_calls(calls: (u64, u64), doctor: Option<&Delivery>) -> Delivery {
    match (calls, doctor) {
        ((1.., 0), _) => Delivery::Native,
        ((0, 1..), Some(delivery @ Delivery::Trapped { .. })) => delivery.clone(),
        (calls, _) => Delivery::Failed { why: format!("native and trapped calls: {calls:?}") },
    }
}

/// Of a probe that did not answer. Absent is only what somebody says is not
/// there; whatever else went wrong is a failure, and named as one.
pub(crate) fn of_failure(
    error: &ProbeError,
    place: Place,
    door: Option<Door>,
    doctor: Option<&Delivery>,
) -> Delivery {
    let why = error.to_string();
    match (place, error) {
        // The probe looked for it.
        (_, ProbeError::Unknown) => Delivery::Absent { why },
        // Doctor has the better reason.
        (Place::Guest, _) => match doctor {
            Some(known @ (Delivery::Absent { .. } | Delivery::Failed { .. })) => known.clone(),
            _ => Delivery::Failed { why },
        },
        // A kernel without IA32 emulation executes no 32-bit file.
        (Place::Host, ProbeError::Host(_, error))
            if error.raw_os_error() == Some(libc::ENOEXEC) =>
        {
            Delivery::Absent { why }
        }
        // What Linux does at a door that its CPU, or itself, does not have.
        (Place::Host, ProbeError::Killed(libc::SIGILL | libc::SIGSEGV)) if door.is_some() => {
            Delivery::Absent { why }
        }
        (Place::Host, _) => Delivery::Failed { why },
    }
}

/// Of two blocks. One that failed, or came in another way, is told.
pub(crate) fn of_blocks(before: Option<Delivery>, now: Option<Delivery>) -> Option<Delivery> {
    match (before, now) {
        (Some(failed @ Delivery::Failed { .. }), _) => Some(failed),
        (Some(before), Some(now)) if before.word() != now.word() => Some(match now {
            Delivery::Failed { .. } => now,
            _ => Delivery::Failed {
                why: format!("arrived as {}, and later as {}", before.word(), now.word()),
            },
        }),
        (before, now) => now.or(before),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use trapgate::doors;

    fn absent(why: &str) -> Delivery {
        Delivery::Absent { why: why.to_owned() }
    }

    #[test]
    fn a_probe_that_fails_at_a_door_that_works_has_failed() {
        let door = Some(doors::ALL[0]);
        for doctor in [Some(&Delivery::Native), None] {
            for error in [
                ProbeError::Ended("took too long".to_owned()),
                ProbeError::Killed(libc::SIGSEGV),
                ProbeError::Malformed,
                ProbeError::Host("talking with the probe", io::ErrorKind::TimedOut.into()),
            ] {
                let why = error.to_string();
                let delivery = of_failure(&error, Place::Guest, door, doctor);
                assert_eq!(delivery, Delivery::Failed { why });
            }
        }
        let hung = ProbeError::Host("talking with the probe", io::ErrorKind::TimedOut.into());
        assert_eq!(of_failure(&hung, Place::Host, door, None).word(), "failed");
        assert_eq!(of_failure(&ProbeError::Malformed, Place::Host, door, None).word(), "failed");
    }

    #[test]
    fn absent_is_what_doctor_the_probe_or_the_host_says_is_not_there() {
        let door = Some(doors::ALL[1]);
        let killed = ProbeError::Killed(libc::SIGILL);
        let known = absent("#UD on CPUs of this maker");
        assert_eq!(of_failure(&killed, Place::Guest, door, Some(&known)), known);
        let why = "the probe was killed by SIGILL";
        assert_eq!(of_failure(&killed, Place::Host, door, Some(&Delivery::Native)), absent(why));
        // Not a door: nothing can be missing there.
        assert_eq!(of_failure(&killed, Place::Host, None, None).word(), "failed");
        let no_ia32 = ProbeError::Host("starting", io::Error::from_raw_os_error(libc::ENOEXEC));
        assert_eq!(of_failure(&no_ia32, Place::Host, None, None).word(), "absent");
        for place in [Place::Guest, Place::Host] {
            assert_eq!(of_failure(&ProbeError::Unknown, place, None, None).word(), "absent");
        }
    }

    #[test]
    fn a_door_that_arrives_otherwise_in_another_block_has_failed() {
        let failed = || Some(Delivery::Failed { why: "took too long".to_owned() });
        let native = || Some(Delivery::Native);
        let trapped = || Some(Delivery::Trapped { why: "#UD".to_owned() });
        assert_eq!(of_blocks(None, native()), native());
        assert_eq!(of_blocks(native(), None), native());
        assert_eq!(of_blocks(trapped(), trapped()), trapped());
        assert_eq!(of_blocks(failed(), native()), failed());
        assert_eq!(of_blocks(native(), failed()), failed());
        let why = "arrived as native, and later as trapped".to_owned();
        assert_eq!(of_blocks(native(), trapped()), Some(Delivery::Failed { why }));
    }

    #[test]
    fn calls_that_came_in_two_ways_are_no_delivery() {
        let trapped = Delivery::Trapped { why: "#UD".to_owned() };
        assert_eq!(of_calls((7, 0), None), Delivery::Native);
        assert_eq!(of_calls((0, 7), Some(&trapped)), trapped);
        for calls in [(0, 0), (1, 1), (0, 7)] {
            assert_eq!(of_calls(calls, Some(&Delivery::Native)).word(), "failed");
        }
    }
}
