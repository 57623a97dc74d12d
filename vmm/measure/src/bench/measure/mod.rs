//! Measuring: the groups of a run, and what they are measured with.
//!
//! Called by [`crate::bench::run`]. A run is a list of works, each measured in
//! several parts, all in turn (`blocks`).
//!
//! | file | what it does |
//! |---|---|
//! | `blocks` | a run: each measurement in several parts, all in turn |
//! | [`probe`] | a program that measures itself on command, in a sandbox or as a process |
//! | `probed` | the groups `doors` and `calls`, which the probe measures, in one place by `side`; what there is in them says `items` |
//! | `delivery`, `explain` | how a door arrived; what disturbed a sample, such as `interrupts` |
//! | [`count`] | what does not depend on time: instructions and exits of a call |
//! | `jobs` | the group `exits`, and the doors that only a job can measure |
//! | [`steps`] | the steps of a call, stamped; `where_time_goes` is the group `steps` |
//! | `start` | the group `start` |
//! | `notes` | what a reader has to know about a run as a whole |

pub(crate) mod blocks;
pub mod count;
mod delivery;
mod explain;
mod interrupts;
mod items;
pub(crate) mod jobs;
pub(crate) mod notes;
pub mod probe;
pub(crate) mod probed;
mod side;
pub(crate) mod start;
pub mod steps;
pub(crate) mod where_time_goes;
