//! What trapgate's doors, calls, exits and starts cost on this host, and whether
//! it can run sandboxes at all.
//!
//! Called by the program `trapgate` (`doctor` and `bench`), by trapgate's tests,
//! and by whoever measures with programs of their own. It stands on the library
//! `trapgate`, which knows nothing of it.
//!
//! | module | what it does |
//! |---|---|
//! | [`doctor`] | says what this host can do, and tries it |
//! | [`doors`] | how a door arrives |
//! | [`jobs`] | VMs that measure something of the CPU or of KVM, without a program |
//! | [`mod@bench`] | measures, records, shows and judges |

pub mod bench;
pub mod doctor;
pub mod doors;
pub mod jobs;
#[doc(hidden)]
pub mod version;
