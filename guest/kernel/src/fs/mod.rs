//! Open files: what a descriptor refers to, and how bytes get there.
//!
//! `sys` carries the calls out.

pub mod access;
pub mod attributes;
pub mod beside;
pub mod content;
pub mod create;
pub mod dentry;
pub mod dev;
pub mod epoll;
pub mod event;
pub mod executable;
pub mod file;
pub mod filesystem;
pub mod generated;
pub mod host;
pub mod image;
pub mod inode;
pub mod inode_file;
pub mod link;
pub mod list;
pub mod lock;
pub mod lower;
pub mod mapped;
pub mod mount;
pub mod names;
pub mod open;
pub mod open_flags;
pub mod over;
pub mod path;
pub mod pipe;
pub mod place;
pub mod pollable;
pub mod remove;
pub mod rename;
pub mod standard;
pub mod status;
pub mod table;
pub mod timer;
pub mod transfer;
pub mod tree;
pub mod unnamed;
pub mod walk;
pub mod write_rules;
