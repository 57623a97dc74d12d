//! Writes an image of a tree of files.
//!
//! The image is made for being mapped. **Each regular file has its bytes in blocks of
//! its own** (flat plain), the last one filled up with zeroes: so every page of every
//! file is a page of the image, which can be mapped into a program, executable or
//! not, without being copied, and the host keeps it once for all sandboxes. Bytes
//! behind the inode (flat inline) would save half a page a file on average, and cost
//! a copy in each sandbox of what is mapped; which files will be mapped nobody knows.
//! Directories and symbolic links are never mapped: they lie behind their inodes where
//! they fit, so that a look-up touches few pages.
//!
//! First come the superblock and all inodes, then what directories and links do not
//! have there, then files, all in the order in which a walk by name meets them. **The
//! same tree gives the same bytes**, in whatever order it was put together: times and
//! the UUID come from the caller. Blocks of zeroes are left out by seeking, so an image
//! on disk is as sparse as its files. All inodes have 64 bytes: owners of 32 bits,
//! times to the nanosecond. Extended attributes are not written.

mod layout;
mod output;
mod pack;
mod tree;

use std::io::{self, Read, Seek, Write};

use thiserror::Error;
use zerocopy::IntoBytes;

use self::layout::Layout;
use self::output::Output;
pub use self::tree::{Attributes, Body, Problem, Tree, TreeError};
use crate::checksum;
use crate::disk::{self, SuperBlock};
use crate::{BLOCK_SIZE, Time};

/// The bytes of a file that is to be written.
pub trait Content {
    /// Begins to read them. There must be as many as [`Body::Regular`] says.
    fn open(&self) -> io::Result<Box<dyn Read + '_>>;
}

impl Content for Vec<u8> {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.as_slice()))
    }
}

/// What an image has besides its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// What tells it from others.
    pub uuid: [u8; 16],
    /// When it was made.
    pub build_time: Time,
}

/// Why an image was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The output cannot be written.
    #[error("the image cannot be written: {0}")]
    Output(#[source] io::Error),
    /// A file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Content {
        /// Which.
        path: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A file has not as many bytes as was said: it was changed meanwhile.
    #[error("{path} has more or fewer than {size} bytes: it was changed while it was read")]
    Size {
        /// Which.
        path: String,
        /// How many it should have.
        size: u64,
    },
    /// Blocks have numbers of 32 bits.
    #[error("the files do not fit into an image, which has at most 16 TiB")]
    TooLarge,
}

/// Writes the image to `output`, which is empty; its length in bytes.
pub fn write<C: Content>(
    tree: &Tree<C>,
    settings: &Settings,
    output: impl Write + Seek,
) -> Result<u64, WriteError> {
    let layout = Layout::of(tree)?;
    let mut output = Output::new(output);
    let mut metadata = layout.metadata();
    super_block(&layout, settings, &mut metadata);
    output.write(&metadata)?;
    drop(metadata);
    for placed in &layout.placed {
        output.write(layout.blocks(placed).as_ref())?;
        output.pad(BLOCK_SIZE)?;
    }
    for placed in &layout.placed {
        if let Body::Regular { size, content } = placed.body {
            copy(&mut output, *size, content, &|| layout.path(placed))?;
            output.pad(BLOCK_SIZE)?;
        }
    }
    output.finish()
}

fn copy<C: Content, W: Write + Seek>(
    output: &mut Output<W>,
    size: u64,
    content: &C,
    path: &dyn Fn() -> String,
) -> Result<(), WriteError> {
    if size == 0 {
        return Ok(());
    }
    let failed = |error| WriteError::Content { path: path(), error };
    let mut content = content.open().map_err(failed)?;
    // Whole blocks.
    let mut buffer = vec![0; 64 << 10];
    let mut done = 0;
    loop {
        let len = fill(&mut content, &mut buffer).map_err(failed)?;
        done += len as u64;
        let is_end = len < buffer.len();
        if done > size || is_end && done < size {
            return Err(WriteError::Size { path: path(), size });
        }
        output.write(&buffer[..len])?;
        if is_end {
            return Ok(());
        }
    }
}

/// Reads until the buffer is full or there is no more; how much it was.
fn fill(content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match content.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(len) => done += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Puts the superblock in its place before the inodes.
fn super_block<C>(layout: &Layout<'_, C>, settings: &Settings, metadata: &mut [u8]) {
    let block = SuperBlock {
        magic: disk::MAGIC.into(),
        checksum: 0.into(),
        compatible: (disk::CHECKSUM | disk::MODIFICATION_TIMES).into(),
        block_bits: disk::BLOCK_BITS,
        extension_slots: 0,
        root_nid: layout.root_nid().into(),
        inodes: (layout.placed.len() as u64).into(),
        build_time: settings.build_time.seconds.cast_unsigned().into(),
        build_time_ns: settings.build_time.nanoseconds.into(),
        blocks: layout.block_count.into(),
        meta_block: 0.into(),
        xattr_block: 0.into(),
        uuid: settings.uuid,
        volume_name: [0; 16],
        incompatible: 0.into(),
        compression: 0.into(),
        extra_devices: 0.into(),
        device_table: 0.into(),
        directory_block_bits: 0,
        xattr_prefixes: 0,
        xattr_prefix_start: 0.into(),
        packed_nid: 0.into(),
        reserved: [0; 24],
    };
    let start = disk::SUPER_OFFSET as usize;
    metadata[start..][..size_of::<SuperBlock>()].copy_from_slice(block.as_bytes());
    let sum = checksum::with(checksum::START, &metadata[start..BLOCK_SIZE as usize]);
    let block = SuperBlock { checksum: sum.into(), ..block };
    metadata[start..][..size_of::<SuperBlock>()].copy_from_slice(block.as_bytes());
}
