//! Two records beside each other: what differs ([`compare`]), and whether that
//! passes ([`gate`]). [`change`] says what a difference is.
//!
//! Called by `trapgate bench`. Pure.

pub mod change;
pub mod compare;
pub mod gate;
