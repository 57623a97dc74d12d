//! Files for the tests of execve(2): a list of paths, and ELF files made for them.

use crate::fs::dentry::Dentry;
use crate::fs::inode::{Inode, Kind, Meta};
use crate::fs::place;
use crate::mm::object::{Below, Object, Pager, Quota};
use crate::process::task::current;
use std::sync::Arc;
use trapgate_abi::layout::PAGE_SIZE;
use trapgate_arch::phys;
use trapgate_loader::image::{Class, Source};
use trapgate_uapi::Errno;

/// A file's bytes, and after how many of them reading fails.
#[derive(Debug)]
struct Bytes {
    bytes: Vec<u8>,
    good: u64,
}

impl Pager for Bytes {
    fn below(&self, _: u64) -> Result<Below, Errno> {
        Ok(Below::Bytes)
    }

    fn fill(&self, index: u64, frame: u64) -> Result<(), Errno> {
        let mut page = [0; PAGE_SIZE as usize];
        let Ok(length) = self.bytes[..].read_at(index * PAGE_SIZE, &mut page);
        phys::write(frame, &page[..length]);
        if index * PAGE_SIZE >= self.good { Err(Errno::EIO) } else { Ok(()) }
    }
}

/// Puts a file there, all of which is in memory already.
pub(in crate::tests) fn put(path: &str, bytes: &[u8]) {
    let object = put_as(path, bytes, u64::MAX, 0o755);
    assert_eq!(object.read_for_kernel(0, &mut vec![0; bytes.len()]), Ok(bytes.len()));
}

/// The same; behind so many bytes, whole pages, it cannot be read.
pub(super) fn put_damaged(path: &str, bytes: &[u8], good: u64) {
    put_as(path, bytes, good, 0o755);
}

/// A file that nobody may run.
pub(super) fn put_secret(path: &str) {
    put_as(path, b"#!/bin/sh\n", u64::MAX, 0o644);
}

/// A symbolic link.
pub(super) fn put_link(path: &str, to: &str) {
    put_kind(path, Kind::Symlink(to.into()), 0o777);
}

fn put_as(path: &str, bytes: &[u8], good: u64, permissions: u32) -> Arc<Object> {
    let (bytes, size) = (bytes.to_vec(), bytes.len() as u64);
    let pager = Box::new(Bytes { bytes, good });
    let object = Arc::new(Object::paged(size, Arc::new(Quota::new(u64::MAX)), pager));
    put_kind(path, Kind::Regular(object.clone()), permissions);
    object
}

fn put_kind(path: &str, kind: Kind, permissions: u32) {
    let mut directory = place::with(&current().process.places, |held| held.root.clone()).unwrap();
    let mut kind = Some(kind);
    let mut names = path.split('/').filter(|name| !name.is_empty()).peekable();
    while let Some(name) = names.next() {
        let filesystem = directory.inode.filesystem.clone();
        let new = |kind| {
            let meta = Meta::new(&filesystem, permissions, 0, 0);
            Dentry::new(name.as_bytes(), Inode::new(&filesystem, kind, meta).unwrap()).unwrap()
        };
        let old = directory.child(name.as_bytes()).unwrap();
        if names.peek().is_some() {
            directory = old.unwrap_or_else(|| {
                let made = new(Kind::Directory(None));
                made.put_into(&directory, name.as_bytes()).unwrap();
                made
            });
            continue;
        }
        let made = new(kind.take().expect("one name is the last"));
        if old.is_none() {
            made.put_into(&directory, name.as_bytes()).unwrap();
            continue;
        }
        let mut children = directory.children().unwrap();
        let position = children.position(name.as_bytes().into()).unwrap();
        directory.put_over(&mut children, position, &made);
    }
}

/// A program header.
#[derive(Clone, Copy)]
pub(in crate::tests) struct Ph {
    pub(in crate::tests) kind: u32,
    pub(in crate::tests) flags: u32,
    pub(in crate::tests) offset: u64,
    pub(in crate::tests) address: u64,
    pub(in crate::tests) file_size: u64,
    pub(in crate::tests) memory_size: u64,
}

pub(in crate::tests) const RX: u32 = 5;
pub(in crate::tests) const RW: u32 = 6;
pub(in crate::tests) const ET_EXEC: u16 = 2;
pub(in crate::tests) const ET_DYN: u16 = 3;
const PT_INTERP: u32 = 3;

/// PT_LOAD.
pub(in crate::tests) fn load(
    flags: u32,
    offset: u64,
    address: u64,
    file_size: u64,
    memory_size: u64,
) -> Ph {
    Ph { kind: 1, flags, offset, address, file_size, memory_size }
}

/// A file of `length` bytes at least; what is no header counts up, never 0.
pub(in crate::tests) fn elf(
    class: Class,
    kind: u16,
    entry: u64,
    headers: &[Ph],
    length: usize,
) -> Vec<u8> {
    let (ident, machine, header, entry_size) = match class {
        Class::Elf32 => (1, 3u16, 52u16, 32u16),
        Class::Elf64 => (2, 62, 64, 56),
    };
    let width = if class == Class::Elf32 { 4 } else { 8 };
    let mut bytes = vec![0x7f, b'E', b'L', b'F', ident, 1, 1];
    bytes.resize(16, 0);
    let mut put = |values: &[u64], size: usize| {
        values.iter().for_each(|value| bytes.extend(&value.to_le_bytes()[..size]));
    };
    put(&[kind.into(), machine.into()], 2);
    put(&[1], 4);
    put(&[entry, header.into(), 0], width);
    put(&[0], 4);
    put(&[header.into(), entry_size.into(), headers.len() as u64, 0, 0, 0], 2);
    for &Ph { kind, flags, offset, address, file_size, memory_size } in headers {
        put(&[kind.into()], 4);
        if width == 8 {
            put(&[flags.into()], 4);
        }
        put(&[offset, address, address, file_size, memory_size], width);
        if width == 4 {
            put(&[flags.into()], 4);
        }
        put(&[0x1000], width);
    }
    bytes.extend((bytes.len()..length).map(|at| (at % 251 + 1) as u8));
    bytes
}

/// Code, then data with zeroes behind it, all in one file of two and a half pages.
pub(in crate::tests) fn program(class: Class, kind: u16, base: u64) -> Vec<u8> {
    let text = load(RX, 0, base, 0x1800, 0x1800);
    let data = load(RW, 0x1800, base + 0x2800, 0x900, 0x3000);
    elf(class, kind, base + 0x400, &[text, data], 0x2800)
}

/// The same, to be started by an interpreter.
pub(in crate::tests) fn dynamic(class: Class, kind: u16, base: u64, interpreter: &str) -> Vec<u8> {
    let size = interpreter.len() as u64 + 1;
    let text = load(RX, 0, base, 0x1800, 0x1800);
    let data = load(RW, 0x1800, base + 0x2800, 0x900, 0x3000);
    let interp = Ph { kind: PT_INTERP, ..load(4, 0x1000, base + 0x1000, size, size) };
    let mut bytes = elf(class, kind, base + 0x400, &[interp, text, data], 0x2800);
    bytes[0x1000..0x1000 + interpreter.len()].copy_from_slice(interpreter.as_bytes());
    bytes[0x1000 + interpreter.len()] = 0;
    bytes
}
