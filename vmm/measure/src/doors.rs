//! How a door arrives on this host.
//!
//! Pure: [`crate::doctor`] tries the doors, [`crate::bench`] measures them.

use serde::{Deserialize, Serialize};
use trapgate::doors::Door;
use trapgate::machine::kvm::Maker;

/// How a door's instruction arrives on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", tag = "how")]
pub enum Delivery {
    /// The CPU itself reached the entry point in ring 0.
    Native,
    /// It raised an exception instead, and the kernel carried the call out.
    Trapped {
        /// Which exception.
        why: String,
    },
    /// There is no such door here: the program gets the signal that Linux would
    /// give it.
    Absent {
        /// Who says so.
        why: String,
    },
    /// It should be there, and calls through it cannot be made.
    Failed {
        /// What happened instead.
        why: String,
    },
}

impl Delivery {
    /// One word: `native`, `trapped`, `absent`, `failed`.
    pub fn word(&self) -> &'static str {
        match self {
            Delivery::Native => "native",
            Delivery::Trapped { .. } => "trapped",
            Delivery::Absent { .. } => "absent",
            Delivery::Failed { .. } => "failed",
        }
    }

    /// The reason, if it needs one.
    pub fn why(&self) -> Option<&str> {
        match self {
            Delivery::Native => None,
            Delivery::Trapped { why } | Delivery::Absent { why } | Delivery::Failed { why } => {
                Some(why)
            }
        }
    }

    /// Whether the architecture promises something else: a door that the maker
    /// has and this KVM does not deliver as the CPU would, or the reverse.
    pub fn is_unexpected(&self, door: Door, maker: Maker) -> bool {
        match self {
            Delivery::Native => !door.is_made_by(maker),
            Delivery::Absent { .. } => door.is_made_by(maker),
            Delivery::Trapped { .. } | Delivery::Failed { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapgate::doors::ALL;

    #[test]
    fn what_differs_from_the_manual_is_unexpected() {
        let [syscall_compat, int80] = [ALL[3], ALL[2]];
        let trapped = Delivery::Trapped { why: "#UD".to_owned() };
        let absent = Delivery::Absent { why: "SIGILL".to_owned() };
        assert!(!Delivery::Native.is_unexpected(int80, Maker::Intel));
        assert!(trapped.is_unexpected(int80, Maker::Amd));
        assert!(!absent.is_unexpected(syscall_compat, Maker::Intel));
        assert!(absent.is_unexpected(syscall_compat, Maker::Amd));
        assert!(Delivery::Native.is_unexpected(syscall_compat, Maker::Intel));
    }
}
