//! Bytes in and out: vectors and offsets in i386's form.
//!
//! An `off_t` is 32 bits and signed; a `loff_t` comes as two registers, or goes
//! through memory (`_llseek`).

use super::join;
use crate::sys::define::{compat_define, ia32_define};
use crate::sys::descriptor::file;
use crate::sys::read_write::{
    input, input_at, output, output_at, position, read_at, seek, write_at,
};
use crate::sys::vectors::{read_with, write_with};
use crate::user::{UserPtr, read_compat_iovecs};
use trapgate_uapi::uio::CompatIovec;

ia32_define! {
    /// readv(2)
    fn readv(fd: u32, vectors: UserPtr<CompatIovec>, count: u64) {
        input(&*file(fd)?, &read_compat_iovecs(vectors, count)?)
    }
}
ia32_define! {
    /// writev(2)
    fn writev(fd: u32, vectors: UserPtr<CompatIovec>, count: u64) {
        output(&*file(fd)?, &read_compat_iovecs(vectors, count)?)
    }
}
ia32_define! {
    /// pread(2): the offset in two registers.
    fn ia32_pread64(fd: u32, buffer: UserPtr<u8>, count: u64, low: u32, high: u32) {
        read_at(fd, buffer, count, join(low, high) as i64)
    }
}
ia32_define! {
    /// pwrite(2): the offset in two registers.
    fn ia32_pwrite64(fd: u32, buffer: UserPtr<u8>, count: u64, low: u32, high: u32) {
        write_at(fd, buffer, count, join(low, high) as i64)
    }
}
compat_define! {
    /// pwritev(2): the offset in two registers.
    fn pwritev(fd: u32, vectors: UserPtr<CompatIovec>, count: u64, low: u32, high: u32) {
        let offset = position(join(low, high) as i64)?;
        output_at(&*file(fd)?, &read_compat_iovecs(vectors, count)?, offset)
    }
}
compat_define! {
    /// preadv(2): the offset in two registers.
    fn preadv(fd: u32, vectors: UserPtr<CompatIovec>, count: u64, low: u32, high: u32) {
        let offset = position(join(low, high) as i64)?;
        input_at(&*file(fd)?, &read_compat_iovecs(vectors, count)?, offset)
    }
}
compat_define! {
    /// lseek(2). A position of more than 32 bits is cut by the caller's
    /// register, as with Linux.
    fn lseek(fd: u32, offset: i32, whence: u32) { seek(fd, offset.into(), whence) }
}
ia32_define! {
    /// _llseek(2): the offset in two registers, the new position in memory.
    fn llseek(fd: u32, high: u32, low: u32, result: UserPtr<u64>, whence: u32) {
        result.write(seek(fd, join(low, high) as i64, whence)?).map(|()| 0)
    }
}
compat_define! {
    /// preadv2(2): the offset in two registers.
    fn preadv2(
        fd: u32,
        vectors: UserPtr<CompatIovec>,
        count: u64,
        low: u32,
        high: u32,
        flags: u32,
    ) {
        read_with(fd, || read_compat_iovecs(vectors, count), join(low, high) as i64, flags)
    }
}
compat_define! {
    /// pwritev2(2): the same.
    fn pwritev2(
        fd: u32,
        vectors: UserPtr<CompatIovec>,
        count: u64,
        low: u32,
        high: u32,
        flags: u32,
    ) {
        write_with(fd, || read_compat_iovecs(vectors, count), join(low, high) as i64, flags)
    }
}
