//! An inode: a file's attributes, and where its bytes lie.

use crate::BLOCK_SIZE;
use crate::LINK_MAX;
use crate::disk::{self, CompactInode, ExtendedInode};
use crate::error::{Damage, Error, Feature};
use crate::image::Image;
use crate::source::Source;

/// The number of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nid(pub u64);

/// A time: seconds since the epoch and nanoseconds, fewer than 10^9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Seconds since the epoch.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: u32,
}

impl Time {
    pub(crate) fn new(seconds: u64, nanoseconds: u32) -> Option<Self> {
        let time = Self { seconds: seconds.cast_signed(), nanoseconds };
        (nanoseconds < 1_000_000_000).then_some(time)
    }
}

/// Kinds of files. The numbers are those of directory entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FileType {
    /// A regular file.
    Regular = 1,
    /// A directory.
    Directory = 2,
    /// A character device.
    Character = 3,
    /// A block device.
    Block = 4,
    /// A fifo.
    Fifo = 5,
    /// A socket's name.
    Socket = 6,
    /// A symbolic link.
    Symlink = 7,
}

impl FileType {
    /// With the bits of st_mode: `S_IFMT` of inode(7).
    const ALL: [(FileType, u16); 7] = [
        (FileType::Regular, 0o100_000),
        (FileType::Directory, 0o040_000),
        (FileType::Character, 0o020_000),
        (FileType::Block, 0o060_000),
        (FileType::Fifo, 0o010_000),
        (FileType::Socket, 0o140_000),
        (FileType::Symlink, 0o120_000),
    ];

    /// The one of a directory entry.
    pub(crate) fn of_entry(number: u8) -> Option<Self> {
        Self::ALL.iter().map(|(file_type, _)| *file_type).find(|it| *it as u8 == number)
    }

    fn of_mode(mode: u16) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, bits)| *bits == mode & 0o170_000);
        found.map(|(file_type, _)| *file_type)
    }

    /// The bits of st_mode that mean it.
    pub fn mode(self) -> u16 {
        Self::ALL[self as usize - 1].1
    }
}

/// The number of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its major number: 12 bits.
    pub major: u32,
    /// Its minor number: 20 bits.
    pub minor: u32,
}

impl Device {
    /// As Linux's new_decode_dev.
    fn decode(number: u32) -> Self {
        let minor = number & 0xff | number >> 12 & 0xf_ff00;
        Self { major: number >> 8 & 0xfff, minor }
    }

    /// As st_rdev has it, and Linux's new_encode_dev; none if a number is too large, as
    /// none of an image is.
    pub fn encode(self) -> Option<u32> {
        let fits = self.major <= 0xfff && self.minor <= 0xf_ffff;
        fits.then_some(self.minor & 0xff | self.major << 8 | (self.minor & 0xf_ff00) << 12)
    }
}

/// An inode whose numbers are in order and whose bytes are in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Its number.
    pub nid: Nid,
    /// What it is.
    pub file_type: FileType,
    /// The lower twelve bits of st_mode.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// How many names it has, at least 1; of a directory, 2 and one for each directory
    /// in it.
    pub links: u32,
    /// In bytes; of a device, fifo or socket 0.
    pub size: u64,
    /// Of a device its number, else zeroes.
    pub device: Device,
    /// When it was modified last: the image has no other times.
    pub modified: Time,
    /// Where its blocks lie, and how many bytes are there.
    blocks: (u64, u64),
    /// Where the rest of them lies: behind the inode.
    tail: u64,
}

/// Bytes of a file that lie in the image one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where the first one lies in the image.
    pub position: u64,
    /// How many there are, at least 1.
    pub length: u64,
    /// Whether they lie in blocks of their own, page by page: then a page of the file
    /// is a page of the image, the last one with zeroes behind its end. If not, they
    /// lie behind the inode, fewer than a page, with something else around them.
    pub in_blocks: bool,
}

/// An inode as it lies there, of either form.
struct Raw {
    /// How long it is.
    len: u64,
    fields: ExtendedInode,
}

impl<S: Source> Image<S> {
    /// The inode of this number.
    pub fn inode(&self, nid: Nid) -> Result<Inode, Error> {
        let damaged = |what| self.damaged(nid, what);
        let at = self.place_of(nid);
        if !self.has(at, disk::SLOT) {
            return Err(damaged(Damage::Inode));
        }
        let raw = self.raw(at)?;
        let fields = &raw.fields;
        let layout = layout(fields.format.get()).map_err(Error::Unsupported)?;
        let mode = fields.mode.get();
        let file_type = FileType::of_mode(mode).ok_or(damaged(Damage::Mode))?;
        let modified = Time::new(fields.time.get(), fields.time_ns.get());
        if fields.links.get() == 0 {
            return Err(damaged(Damage::Links));
        }
        let mut inode = Inode {
            nid,
            file_type,
            permissions: mode & 0o7777,
            uid: fields.uid.get(),
            gid: fields.gid.get(),
            links: fields.links.get(),
            size: 0,
            device: Device::default(),
            modified: modified.ok_or(damaged(Damage::Time))?,
            blocks: (0, 0),
            tail: at + raw.len + disk::xattr_bytes(fields.xattr_count.get()),
        };
        match file_type {
            FileType::Regular | FileType::Directory | FileType::Symlink => {
                inode.size = fields.size.get();
                self.place(&mut inode, layout, fields.place.get()).map_err(damaged)?;
            }
            FileType::Character | FileType::Block => {
                inode.device = Device::decode(fields.place.get());
            }
            FileType::Fifo | FileType::Socket => {}
        }
        Ok(inode)
    }

    /// Where an inode lies; the highest address, if its number is too large for any.
    fn place_of(&self, nid: Nid) -> u64 {
        nid.0.saturating_mul(disk::SLOT).saturating_add(self.inodes)
    }

    /// What is wrong with an inode.
    pub(crate) fn damaged(&self, nid: Nid, what: Damage) -> Error {
        Error::Damaged { what, at: self.place_of(nid) }
    }

    fn raw(&self, at: u64) -> Result<Raw, Error> {
        let compact: CompactInode = self.structure(at)?;
        if compact.format.get() & disk::EXTENDED != 0 {
            if !self.has(at, size_of::<ExtendedInode>() as u64) {
                return Err(Error::Damaged { what: Damage::Inode, at });
            }
            let fields: ExtendedInode = self.structure(at)?;
            return Ok(Raw { len: size_of::<ExtendedInode>() as u64, fields });
        }
        let time = self.build_time();
        let fields = ExtendedInode {
            format: compact.format,
            xattr_count: compact.xattr_count,
            mode: compact.mode,
            reserved: 0.into(),
            size: u64::from(compact.size.get()).into(),
            place: compact.place,
            number: compact.number,
            uid: u32::from(compact.uid.get()).into(),
            gid: u32::from(compact.gid.get()).into(),
            time: time.seconds.cast_unsigned().into(),
            time_ns: time.nanoseconds.into(),
            links: u32::from(compact.links.get()).into(),
            reserved2: [0; 16],
        };
        Ok(Raw { len: size_of::<CompactInode>() as u64, fields })
    }

    /// Finds out where the bytes lie, and that they are in the image.
    fn place(&self, inode: &mut Inode, layout: Layout, block: u32) -> Result<(), Damage> {
        let is_link = inode.file_type == FileType::Symlink;
        if is_link && !(1..=LINK_MAX as u64).contains(&inode.size) {
            return Err(Damage::Target);
        }
        let in_blocks = match layout {
            Layout::Plain => inode.size,
            // The tail has at least a byte, if there are any.
            Layout::Inline => inode.size.saturating_sub(1) / BLOCK_SIZE * BLOCK_SIZE,
        };
        let tail = inode.size - in_blocks;
        inode.blocks = (u64::from(block) * BLOCK_SIZE, in_blocks);
        // The image ends with a block, so that the whole of the last one is there, too.
        if in_blocks > 0 && !self.has(inode.blocks.0, in_blocks) {
            return Err(Damage::Data);
        }
        if tail > 0 && !self.has(inode.tail, tail) {
            return Err(Damage::Data);
        }
        if tail > 0 && inode.tail % BLOCK_SIZE + tail > BLOCK_SIZE {
            return Err(Damage::Inline);
        }
        Ok(())
    }

    /// Where the file's bytes from this offset lie, as far as they lie one behind the
    /// other; none at or behind its end.
    pub fn extent(&self, inode: &Inode, offset: u64) -> Option<Extent> {
        let (start, in_blocks) = inode.blocks;
        if offset < in_blocks {
            let length = in_blocks - offset;
            Some(Extent { position: start + offset, length, in_blocks: true })
        } else if offset < inode.size {
            let position = inode.tail + (offset - in_blocks);
            Some(Extent { position, length: inode.size - offset, in_blocks: false })
        } else {
            None
        }
    }

    /// Copies the file's bytes from this offset; how many there were.
    pub fn read(&self, inode: &Inode, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        let mut done = 0;
        while done < bytes.len() {
            // A slice is never as long as to overflow this: the offset is in the file.
            let Some(extent) = self.extent(inode, offset.saturating_add(done as u64)) else {
                break;
            };
            let rest = &mut bytes[done..];
            let len = usize::try_from(extent.length).map_or(rest.len(), |len| len.min(rest.len()));
            self.copy(extent.position, &mut rest[..len])?;
            done += len;
        }
        Ok(done)
    }

    /// The target of a symbolic link, in the buffer's beginning; as much of it as there
    /// is room for. All of it is as long as the inode's size, and at most [`LINK_MAX`].
    pub fn read_link<'a>(&self, inode: &Inode, buffer: &'a mut [u8]) -> Result<&'a [u8], Error> {
        if inode.file_type != FileType::Symlink {
            return Err(Error::NotASymlink);
        }
        let len = self.read(inode, 0, buffer)?;
        let target = &buffer[..len];
        if target.contains(&0) {
            let at = self.extent(inode, 0).map_or(0, |extent| extent.position);
            return Err(Error::Damaged { what: Damage::Target, at });
        }
        Ok(target)
    }
}

/// The ways in which a file's bytes can lie here.
#[derive(Clone, Copy)]
enum Layout {
    Plain,
    Inline,
}

/// The layout that an inode's format says.
fn layout(format: u16) -> Result<Layout, Feature> {
    if format >> disk::LAYOUT_SHIFT & !disk::LAYOUT_MASK != 0 {
        return Err(Feature::InodeFormat(format));
    }
    match format >> disk::LAYOUT_SHIFT {
        disk::FLAT_PLAIN => Ok(Layout::Plain),
        disk::FLAT_INLINE => Ok(Layout::Inline),
        disk::COMPRESSED_FULL | disk::COMPRESSED_COMPACT => Err(Feature::Compression),
        disk::CHUNK_BASED => Err(Feature::Chunks),
        _ => Err(Feature::InodeFormat(format)),
    }
}
