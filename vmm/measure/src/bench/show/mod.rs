//! A record for people and programs: nothing is measured or judged here.
//!
//! Called by `trapgate bench` and by [`crate::bench::judge`], whose findings are
//! tables too. What is shown is worked out once (`view`; what steps add to doors:
//! `added`); the others set it in their forms.

mod added;
pub mod csv;
pub mod html;
pub mod junit;
pub mod markdown;
mod plot;
pub mod table;
mod view;
