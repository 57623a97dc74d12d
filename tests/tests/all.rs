//! Every file of this directory as one executable: what the rigs get. Each test
//! executable has all programs in it, and a software CPU would unpack them once a
//! file. `cargo xtask test` builds it, statically.

mod attacks;
mod bad_input;
mod bench;
mod binds;
mod calls;
mod cli;
mod count;
mod debian;
mod doctor;
mod doors;
mod ends;
mod erofs;
mod exact;
mod exec;
mod files;
mod forks;
mod hostile_kernel;
mod image;
mod jobs;
mod leaks;
mod legacy;
mod library;
mod loader;
mod mapped_image;
mod method;
mod mitigations;
mod programs;
mod programs32;
mod root;
mod saved;
mod shares;
mod signals;
mod standard_files;
mod strace;
mod threads;
mod vdso;
mod waiting;
