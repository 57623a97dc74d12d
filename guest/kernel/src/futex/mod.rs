//! Futexes (futex(7)): words of programs', and who waits for them to change.
//!
//! Below what is a process's, since a thread that ends lets go of its words. An address
//! space is known by where it is, a thread by its number.
//!
//! | file | what it has |
//! |---|---|
//! | [`key`] | which word is meant, by whatever address |
//! | [`table`] | who waits, by word |
//! | [`wait`], [`wake`] | the calls' plain halves, and moving from one word to another |
//! | [`operation`] | what `FUTEX_WAKE_OP` does to a word: pure |
//! | [`lock`] | words that say who owns a lock |
//! | [`robust`] | a thread ends: what it owned |

pub mod key;
pub mod lock;
pub mod operation;
pub mod robust;
pub mod table;
pub mod wait;
pub mod wake;
